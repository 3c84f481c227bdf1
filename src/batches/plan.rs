//! What a verb would come to for many containers: those that it is for, and those that are left out and why. The rules are those of the
//! buttons ([`hindrance`]).

use super::{
    model::{BatchId, MOST_BY_ID},
    service,
};
use crate::{
    containers::{
        self,
        model::{ContainerRow, hindrance},
        query::Query,
    },
    error::AppError,
    operations::model::{ContainerId, OperationLine, Verb},
    server::{Context, Error},
};
use std::collections::{HashMap, HashSet};

/// Which containers somebody has in mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These.
    These(Vec<ContainerId>),
    /// All that fit a query, but for some.
    Fitting(Query, Vec<ContainerId>),
    /// Those of a batch to which it was not done.
    NotDoneIn(BatchId),
}

/// What is asked about in the address of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What is to be done.
    pub verb: Verb,
    /// To which.
    pub which: Which,
}

impl Wish {
    /// Reads the query of an address: `verb=shutdown` with `id=…&id=…`, with `all&q=…&not=…`, or with `again=…`. What is no id is left out.
    pub fn of_url(query: &str) -> Result<Self, Unreadable> {
        let pairs = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let value = |name: &str| pairs().find(|(key, _)| *key == name).map(|(_, value)| value);
        let ids =
            |name: &str| -> Vec<ContainerId> { pairs().filter(|(key, _)| *key == name).filter_map(|(_, id)| id.parse().ok()).collect() };
        let which = match (value("again").and_then(|id| id.parse().ok()), value("all")) {
            (Some(batch), _) => Which::NotDoneIn(batch),
            (None, Some(_)) => Which::Fitting(Query::of_url(query).0, ids("not")),
            (None, None) => Which::These(ids("id")),
        };
        let named = match &which {
            Which::These(ids) | Which::Fitting(_, ids) => ids.len(),
            Which::NotDoneIn(_) => 0,
        };
        let verb = value("verb").and_then(|verb| verb.parse().ok()).ok_or(Unreadable::WithoutVerb)?;
        if named > MOST_BY_ID { Err(Unreadable::TooMany(verb, named)) } else { Ok(Self { verb, which }) }
    }
}

/// An address that asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It says nothing that could be done.
    WithoutVerb,
    /// It names more containers than [`MOST_BY_ID`]: so many.
    TooMany(Verb, usize),
}

/// What a verb would come to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which.
    pub verb: Verb,
    /// Those that it is for, in the order of the list.
    pub rows: Vec<ContainerRow>,
    /// Why others are left out, and which; the reason of the most comes first.
    pub left_out: Vec<(String, Vec<ContainerRow>)>,
    /// How many are not in the user's list.
    pub unseen: usize,
    /// Why the list is not fresh.
    pub trouble: Option<AppError>,
}

impl Plan {
    /// How many are left out.
    pub fn left_out_count(&self) -> usize {
        self.unseen + self.left_out.iter().map(|(_, rows)| rows.len()).sum::<usize>()
    }

    /// Which rows a verb is for. `under_way` is what is being done to them now.
    fn of(verb: Verb, chosen: Vec<ContainerRow>, unseen: usize, under_way: &[OperationLine], trouble: Option<AppError>) -> Self {
        let busy: HashMap<&ContainerId, &OperationLine> =
            under_way.iter().filter(|operation| operation.under_way.is_some()).map(|operation| (&operation.container, operation)).collect();
        let mut plan = Self { verb, rows: Vec::new(), left_out: Vec::new(), unseen, trouble };
        for row in chosen {
            match hindrance(verb, &row, busy.get(&row.id).copied()) {
                None => plan.rows.push(row),
                Some(why) => match plan.left_out.iter_mut().find(|(other, _)| *other == why) {
                    Some((_, rows)) => rows.push(row),
                    None => plan.left_out.push((why, vec![row])),
                },
            }
        }
        plan.left_out.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
        plan
    }
}

/// What a wish would come to now.
pub async fn plan(context: &Context, wish: &Wish) -> Result<Plan, Error> {
    let (query, named, except) = match &wish.which {
        Which::These(ids) => (Query::default(), Some(ids.clone()), &[][..]),
        Which::Fitting(query, except) => (query.clone(), None, &except[..]),
        Which::NotDoneIn(batch) => {
            let batch = service::get_batch(context, batch).await?;
            let ids = batch.items.into_iter().filter(|item| item.state.is_bad()).map(|item| item.container).collect();
            (Query::default(), Some(ids), &[][..])
        }
    };
    let window = containers::service::fitting(context, &query).await?;
    let except: HashSet<&ContainerId> = except.iter().collect();
    let named: Option<HashSet<&ContainerId>> = named.as_ref().map(|ids| ids.iter().collect());
    let is_chosen = |row: &ContainerRow| named.as_ref().is_none_or(|ids| ids.contains(&row.id)) && !except.contains(&row.id);
    let chosen: Vec<ContainerRow> = window.rows.into_iter().filter(is_chosen).collect();
    let unseen = named.map_or(0, |ids| ids.len() - chosen.len());
    Ok(Plan::of(wish.verb, chosen, unseen, &window.operations, window.trouble))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::model::{Status, tests::row};

    const ONE: &str = "0190163d8694739baea5966c26f8ad91";

    #[test]
    fn an_address_says_what_is_to_be_done_to_which() {
        let of = |query: &str| Wish::of_url(query).map(|wish| wish.which);
        let too_many = format!("verb=stop{}", format!("&id={ONE}").repeat(MOST_BY_ID + 1));
        let id: ContainerId = ONE.parse().unwrap();
        assert_eq!(of(&format!("verb=stop&id={ONE}&id=x")), Ok(Which::These(vec![id.clone()])));
        let query = "tag:prod".parse().unwrap();
        assert_eq!(of(&format!("verb=stop&all&q=tag:prod&not={ONE}")), Ok(Which::Fitting(query, vec![id])));
        assert_eq!(of(&format!("verb=stop&again={ONE}")), Ok(Which::NotDoneIn(ONE.parse().unwrap())));
        assert_eq!(of(&format!("id={ONE}")), Err(Unreadable::WithoutVerb));
        assert_eq!(of(&too_many), Err(Unreadable::TooMany(Verb::Stop, MOST_BY_ID + 1)));
    }

    #[test]
    fn what_the_rule_refuses_is_left_out_with_its_reason_and_the_most_come_first() {
        let stopped = |name: &str| ContainerRow { name: name.into(), ..row(Status::Stopped) };
        let template = ContainerRow { template: true, ..row(Status::Stopped) };
        let plan = Plan::of(Verb::Shutdown, vec![template, stopped("a"), row(Status::Running), stopped("b")], 1, &[], None);
        assert_eq!((plan.rows.len(), plan.left_out_count()), (1, 4));
        let reasons: Vec<_> = plan.left_out.iter().map(|(why, rows)| (why.as_str(), rows.len())).collect();
        assert_eq!(reasons, [("Not running.", 2), ("A template cannot be started.", 1)]);
    }

    #[test]
    fn what_is_under_way_is_left_out() {
        let line = OperationLine {
            id: ONE.parse().unwrap(),
            container: row(Status::Running).id,
            under_way: Some(Verb::Restart),
            is_bad: false,
            line: String::new(),
            sentence: String::new(),
            why: String::new(),
        };
        let plan = Plan::of(Verb::Stop, vec![row(Status::Running)], 0, &[line], None);
        assert_eq!(plan.left_out[0].0, "Restarting… Allowed again when that ends.");
    }
}
