//! What crosses the wire about batches, and the words that the pages and the tests share.

use crate::{
    error::AppError,
    operations::model::{ContainerId, Manner, OperationId, OperationState, Verb, is_row_id},
    proxmox::ids::{InvalidId, NodeName, Vmid, text_id},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How many containers a batch has at the most.
pub const MOST: usize = 5000;
/// How many containers can be named one by one in an address.
pub const MOST_BY_ID: usize = 200;

/// The id of a batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(pub(super) String);
text_id!(BatchId, is_row_id, "the id of a batch");

/// Containers by our rows, each once; 1 to [`MOST`]. On the wire they stand behind each other with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chosen(Vec<ContainerId>);

impl Chosen {
    /// Of ids; none where they are too few or too many.
    pub fn of(ids: impl IntoIterator<Item = ContainerId>) -> Option<Self> {
        let mut chosen = Vec::new();
        let mut known = std::collections::HashSet::new();
        for id in ids {
            if known.insert(id.clone()) {
                chosen.push(id);
            }
        }
        (1..=MOST).contains(&chosen.len()).then_some(Self(chosen))
    }

    /// The ids.
    pub fn ids(&self) -> &[ContainerId] {
        &self.0
    }
}

impl FromStr for Chosen {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ids = text.split(',').map(str::parse).collect::<Result<Vec<ContainerId>, InvalidId>>()?;
        Self::of(ids).ok_or(InvalidId("a list of containers"))
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Chosen {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Chosen> for String {
    fn from(chosen: Chosen) -> Self {
        chosen.to_string()
    }
}

/// What has to be typed before many containers are deleted: `delete 3`.
pub fn confirmation(count: usize) -> String {
    format!("delete {count}")
}

/// Where one container of a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// It has not had its turn yet.
    Waiting,
    /// Its operation is about to begin, or under way.
    Open,
    /// Its operation did what it was for.
    Done,
    /// Its operation did not.
    Failed,
    /// It was looked at, and no operation was begun.
    Refused,
    /// The batch ended before its turn came.
    NotBegun,
}

impl ItemState {
    /// Whether there is nothing more to come.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Open)
    }

    /// Whether it can be asked for once more.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Refused | Self::NotBegun)
    }
}

/// Why a batch ended before the turn of its last container came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Cut {
    /// The session that had asked for it has ended.
    SignedOut,
    /// Berth was stopped, or died.
    Stopped,
}

impl Cut {
    /// What it says beside what was not begun.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::SignedOut => "Not begun: you signed out, or your session ended.",
            Self::Stopped => "Not begun: Berth was restarted.",
        }
    }
}

/// One container of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// Its place in the batch, from 0.
    pub position: u32,
    /// Our row for it.
    pub container: ContainerId,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it was.
    pub name: String,
    /// Where it lived.
    pub node: NodeName,
    /// Where it stands.
    pub state: ItemState,
    /// Its operation, once that has begun.
    pub operation: Option<OperationId>,
    /// How that stands.
    pub operation_state: Option<OperationState>,
    /// How it was brought to stand, where it was.
    pub manner: Option<Manner>,
    /// A task had something to say.
    pub warnings: bool,
    /// Why it was refused, or did not end well.
    pub error: Option<AppError>,
}

/// How many containers of a batch stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub total: usize,
    /// Not their turn yet.
    pub waiting: usize,
    /// Under way.
    pub open: usize,
    /// Done.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Refused.
    pub refused: usize,
    /// Not begun any more.
    pub not_begun: usize,
}

impl Tally {
    /// Counts.
    pub fn of(states: impl IntoIterator<Item = ItemState>) -> Self {
        let mut tally = Self::default();
        for state in states {
            tally.total += 1;
            *match state {
                ItemState::Waiting => &mut tally.waiting,
                ItemState::Open => &mut tally.open,
                ItemState::Done => &mut tally.done,
                ItemState::Failed => &mut tally.failed,
                ItemState::Refused => &mut tally.refused,
                ItemState::NotBegun => &mut tally.not_begun,
            } += 1;
        }
        tally
    }

    /// How many can be asked for once more.
    pub fn bad(&self) -> usize {
        self.failed + self.refused + self.not_begun
    }

    /// Whether something is still to come.
    pub fn is_under_way(&self) -> bool {
        self.waiting + self.open > 0
    }

    /// `9 of 12 done, 1 failed`
    pub fn sentence(&self) -> String {
        let parts = [(self.failed, "failed"), (self.refused, "refused"), (self.not_begun, "not begun"), (self.open, "under way")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}"));
        format!("{} of {} done{}", self.done, self.total, parts.collect::<String>())
    }
}

/// A batch, as its actor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchView {
    /// Which.
    pub id: BatchId,
    /// What is done to each.
    pub verb: Verb,
    /// When it was asked for, in epoch milliseconds by the database's clock.
    pub created_at: i64,
    /// When it ended, in epoch milliseconds.
    pub ended_at: Option<i64>,
    /// Why it ended early.
    pub cut: Option<Cut>,
    /// Of all its containers, whether the user may see them now or not.
    pub tally: Tally,
    /// Those of its containers that the user may audit now, in the order in which they were asked for.
    pub items: Vec<BatchItem>,
    /// The time now by the same clock.
    pub now: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_chosen_once_each_and_not_none() {
        let (one, two) = ("0190163d8694739baea5966c26f8ad91", "0190163d8694739baea5966c26f8ad92");
        let chosen: Chosen = format!("{one},{two},{one}").parse().unwrap();
        assert_eq!((chosen.ids().len(), chosen.to_string()), (2, format!("{one},{two}")));
        assert!("".parse::<Chosen>().is_err() && format!("{one},").parse::<Chosen>().is_err());
        let many = (0..=MOST).map(|n| format!("{n:032x}").parse::<ContainerId>().unwrap());
        assert_eq!(Chosen::of(many), None);
    }

    #[test]
    fn a_tally_says_what_there_is_to_say() {
        let states = [ItemState::Done, ItemState::Done, ItemState::Failed, ItemState::Open, ItemState::Waiting];
        let tally = Tally::of(states);
        assert_eq!((tally.sentence().as_str(), tally.bad(), tally.is_under_way()), ("2 of 5 done, 1 failed, 1 under way", 1, true));
        assert_eq!(Tally::of([ItemState::NotBegun, ItemState::Refused]).sentence(), "0 of 2 done, 1 refused, 1 not begun");
    }
}
