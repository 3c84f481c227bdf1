//! What crosses the wire about operations, and the words that the engine, the pages and the tests share.

use crate::{
    containers::model::Status,
    error::AppError,
    proxmox::ids::{InvalidId, UserId, Vmid, text_id},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use strum::{Display, EnumIter, EnumString};

/// The id of a row of ours that stands for one container: another one that later gets the same number has another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(pub(super) String);
text_id!(ContainerId, is_row_id, "the id of a container");

/// The id of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(pub(super) String);
text_id!(OperationId, is_row_id, "the id of an operation");

/// Whether a text is the id of a row of ours: 32 hex digits in lower case.
pub(crate) fn is_row_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// What can be done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// Boots it.
    Start,
    /// Stops it hard.
    Stop,
    /// Asks it to shut down, and stops it hard after a while.
    Shutdown,
    /// Shuts it down where it runs, and boots it.
    Restart,
    /// Stops it hard where it runs, and removes it with all its data.
    Delete,
}

impl Verb {
    /// On a button.
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Shutdown => "Shut down",
            Self::Restart => "Restart",
            Self::Delete => "Delete",
        }
    }

    /// What the container does after it; nothing after a delete.
    pub fn goal(self) -> Option<Status> {
        match self {
            Self::Start | Self::Restart => Some(Status::Running),
            Self::Stop | Self::Shutdown => Some(Status::Stopped),
            Self::Delete => None,
        }
    }

    /// While it goes on.
    pub fn under_way(self) -> &'static str {
        match self {
            Self::Start => "Starting…",
            Self::Stop => "Stopping…",
            Self::Shutdown => "Shutting down…",
            Self::Restart => "Restarting…",
            Self::Delete => "Deleting…",
        }
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OperationState {
    /// Its end is not known yet.
    Open,
    /// It did what it was for.
    Succeeded,
    /// It did not.
    Failed,
    /// Berth ended in the middle of it, and it was not gone on with.
    Interrupted,
    /// Nobody could ask how it ended; the next user who may look settles it.
    Unknown,
}

/// How a container came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Manner {
    /// It shut itself down.
    Graceful,
    /// It was stopped hard.
    Forced,
}

/// A call to Proxmox that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    /// `POST …/status/start`
    Start,
    /// `POST …/status/stop`
    Stop,
    /// `POST …/status/shutdown`
    Shutdown,
    /// `DELETE …/tasks/{upid}`
    Abort,
    /// `DELETE …/lxc/{vmid}`
    Delete,
}

/// How far an operation is with its latest call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// It has the lease, and no call was intended.
    Begun,
    /// The call was made, or not: its intent is in the database, its task is not.
    Intended,
    /// Its task is known, and is waited for.
    Waiting,
    /// Its task has ended, and the container is looked at until it does what the call was for.
    Observing,
}

/// A part of a list that can be long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// The newest first.
    pub items: Vec<T>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// What a server function answers that began an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has ended well.
    Done(Report),
    /// It goes on; its end will be in the list.
    Running {
        /// Which.
        operation: OperationId,
    },
}

impl Outcome {
    /// Which operation it is about.
    pub fn operation(&self) -> &OperationId {
        match self {
            Self::Done(report) => &report.operation,
            Self::Running { operation } => operation,
        }
    }
}

/// How an operation ended that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub operation: OperationId,
    /// Of which container.
    pub vmid: Vmid,
    /// What was done.
    pub verb: Verb,
    /// A task had something to say.
    pub warnings: bool,
    /// How the container was brought to stand, where it was.
    pub manner: Option<Manner>,
    /// What it does now; none after a delete.
    pub status_after: Option<Status>,
}

/// What the browser sees of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// Which.
    pub id: OperationId,
    /// The container's row.
    pub container: ContainerId,
    /// The container's number.
    pub vmid: Vmid,
    /// The container's host name as it was.
    pub name: String,
    /// What is being done.
    pub verb: Verb,
    /// Who asked for it.
    pub actor: UserId,
    /// Where it stands.
    pub state: OperationState,
    /// How far it is with its latest call.
    pub stage: Stage,
    /// The call that is intended or under way.
    pub call: Option<Call>,
    /// Epoch milliseconds.
    pub started_at: i64,
    /// Epoch milliseconds.
    pub ended_at: Option<i64>,
    /// How the container was brought to stand.
    pub manner: Option<Manner>,
    /// A task had something to say.
    pub warnings: bool,
    /// Why it did not end well.
    pub error: Option<AppError>,
}

/// What the list of containers says of an operation. In words: a browser has no need to make them itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationLine {
    /// Which.
    pub id: OperationId,
    /// The container's row.
    pub container: ContainerId,
    /// What is being done; none where it has ended.
    pub under_way: Option<Verb>,
    /// It did not end well.
    pub is_bad: bool,
    /// Beside the container's status; empty where there is nothing to say.
    pub line: String,
    /// The same at more length, without a full stop.
    pub sentence: String,
    /// Why nothing else can be done meanwhile, or why it did not end well.
    pub why: String,
}

/// The result in an operation's row and in its event: `ok`, `warnings`, or the error's code.
pub fn result_code(warnings: bool, error: Option<&AppError>) -> &'static str {
    match error {
        Some(error) => error.code(),
        None if warnings => "warnings",
        None => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_hex_digits() {
        let good = "0190163d8694739baea5966c26f8ad91";
        assert_eq!(good.parse::<ContainerId>().unwrap().as_str(), good);
        for bad in ["", "101", &good[1..], &good.to_uppercase(), &format!("{good}0"), "0190163d-8694-739b-aea5-966c26f8ad91"] {
            assert!(bad.parse::<OperationId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_result_is_an_errors_code_or_ok() {
        let vmid = 101.try_into().unwrap();
        assert_eq!(result_code(false, None), "ok");
        assert_eq!(result_code(true, None), "warnings");
        assert_eq!(result_code(true, Some(&AppError::NotRunning { vmid })), "not_running");
    }
}
