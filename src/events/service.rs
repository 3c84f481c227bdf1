//! A container's history: our events and the tasks that Proxmox knows, in one list.
//!
//! Who asks has been let through already ([`crate::operations::service::audited`]); the tasks are those that Proxmox shows to them.

use super::{
    filter::{Ended, Filter},
    model::EventId,
    store::{EventFilterRow, EventRow, EventsOf, MOST_ACTORS, list_actors, list_filtered_events},
};
use crate::{
    error::AppError,
    operations::{
        self,
        model::{OperationId, OperationState},
        store::OperationRow,
    },
    pages::query::Query,
    proxmox::{
        self, Client,
        client::TaskFilter,
        ids::{NodeName, Upid, UserId, Vmid},
        wire::NodeTask,
    },
    server::{Context, Error},
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many tasks Proxmox is asked for at once.
const TASKS_AT_ONCE: u64 = 200;
/// How often, where a filter or our own operations leave too few of them.
const ROUNDS: usize = 3;
/// By how much the clock of a node and that of our database may differ, and an operation may be longer than its tasks.
pub const SLACK_MS: i64 = 24 * 60 * 60 * 1000;

/// Where a part of a history begins: behind this event and this task, which are the last ones that were shown before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    event: Option<EventId>,
    task: Option<Upid>,
}

impl Cursor {
    /// What an address asks for.
    pub fn of(query: &Query) -> Self {
        Self { event: query.read("before"), task: query.read("task") }
    }

    /// As the pairs of a query.
    pub fn pairs(&self) -> [(&'static str, String); 2] {
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        [("before", text(self.event.as_ref().map(EventId::as_str))), ("task", text(self.task.as_ref().map(Upid::as_str)))]
    }

    /// Whether it is the beginning of all.
    pub fn is_newest(&self) -> bool {
        *self == Self::default()
    }
}

/// A line of a history.
#[derive(Debug, Clone)]
pub enum Entry {
    /// It goes on; its events come with its end.
    Operation(OperationRow),
    /// What was done by us.
    Event(EventRow),
    /// What was done elsewhere.
    Task(NodeTask),
}

impl Entry {
    /// Epoch milliseconds, as whoever wrote it down counts them.
    pub fn at(&self) -> i64 {
        match self {
            Self::Operation(row) => row.started_at,
            Self::Event(row) => row.at,
            Self::Task(task) => task.upid.starttime() * 1000,
        }
    }

    /// Who did it.
    pub fn actor(&self) -> &str {
        match self {
            Self::Operation(row) => row.actor.as_str(),
            Self::Event(row) => row.actor.as_str(),
            Self::Task(task) => task.upid.user(),
        }
    }
}

/// A part of a history.
pub struct History {
    /// The newest first.
    pub entries: Vec<Entry>,
    /// Where it goes on.
    pub older: Option<Cursor>,
    /// Whether there may be newer ones.
    pub is_older_part: bool,
    /// What was asked for.
    pub filter: Filter,
    /// Whom it could be asked for: who is on it, who asks, and who was asked for.
    pub actors: BTreeSet<String>,
    /// The operations that the events belong to.
    pub operations: HashMap<OperationId, OperationRow>,
    /// Why the tasks of Proxmox are not among them.
    pub trouble: Option<AppError>,
    /// Epoch milliseconds.
    pub now: i64,
}

impl History {
    /// Whether something on it goes on.
    pub fn is_under_way(&self) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Operation(_) => true,
            Entry::Task(task) => Ended::of_exit(task.status.as_deref()) == Ended::Running,
            Entry::Event(_) => false,
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of what kind.
    pub filter: Filter,
    /// From where on.
    pub from: Cursor,
    /// How much.
    pub most: u32,
}

/// Tasks that are no operation of ours, the newest first.
#[derive(Debug, Clone, Default)]
pub struct ForeignTasks {
    tasks: Vec<NodeTask>,
    /// Where to look on, where there may be more.
    scanned_to: Option<Upid>,
}

/// In which order tasks stand.
fn place(upid: &Upid) -> (i64, &str) {
    (upid.starttime(), upid.as_str())
}

/// The tasks of a number on a node, as far as Proxmox shows them to this user, without those that our operations consist of.
pub async fn list_foreign_tasks(
    context: &Context,
    client: &Client,
    node: &NodeName,
    vmid: Vmid,
    wanted: &Wanted,
) -> Result<ForeignTasks, Error> {
    let failed = |source: proxmox::Error| Error::Proxmox {
        cluster: context.cluster.name.clone(),
        node: Some(node.clone()),
        vmid: Some(vmid),
        source: Box::new(source),
    };
    let mut found = ForeignTasks { tasks: Vec::new(), scanned_to: wanted.from.task.clone() };
    for _ in 0..ROUNDS {
        let behind = found.scanned_to.clone();
        let filter = TaskFilter {
            running_too: true,
            vmid: Some(vmid),
            // a part of the name is enough for Proxmox; what it lets through too much is left out below
            user: wanted.filter.by.clone(),
            until: behind.as_ref().map(Upid::starttime),
            limit: Some(TASKS_AT_ONCE),
            ..TaskFilter::default()
        };
        let (mut tasks, total) = client.tasks(node, &filter).await.map_err(failed)?;
        let is_all = total <= tasks.len() as u64;
        // Proxmox sorts them by their ends
        tasks.sort_by(|a, b| place(&b.upid).cmp(&place(&a.upid)));
        tasks.retain(|task| behind.as_ref().is_none_or(|behind| place(&task.upid) < place(behind)));
        let Some(last) = tasks.last().map(|task| task.upid.clone()) else {
            found.scanned_to = None;
            break;
        };
        let newest = tasks.first().map_or(0, |task| task.upid.starttime());
        let (from, to) = (last.starttime() * 1000 - SLACK_MS, newest * 1000 + SLACK_MS);
        let ours = operations::store::list_upids(context.state.db(), &context.cluster.name, vmid, from, to).await;
        let ours: HashSet<Upid> = ours.map_err(|e| Error::Db("read the tasks of operations", e))?.into_iter().collect();
        found.tasks.extend(tasks.into_iter().filter(|task| !ours.contains(&task.upid) && wanted.filter.fits(task)));
        found.scanned_to = (!is_all).then_some(last);
        if is_all || found.tasks.len() > wanted.most as usize {
            break;
        }
    }
    Ok(found)
}

/// A part of a history. `foreign` is what [`list_foreign_tasks`] found, or why it did not; `open` is the operation that goes on.
pub async fn history(
    context: &Context,
    of: EventsOf<'_>,
    wanted: Wanted,
    foreign: Result<ForeignTasks, AppError>,
    open: Option<OperationRow>,
) -> Result<History, Error> {
    let db = context.state.db();
    let failed = |e| Error::Db("read a container's history", e);
    let Wanted { filter, from, most } = wanted;
    let events = list_filtered_events(db, of, &row_of(&filter), from.event.as_ref(), most).await.map_err(failed)?;
    let (foreign, trouble) = match foreign {
        Ok(foreign) => (foreign, None),
        // where to look on is known all the same
        Err(error) => (ForeignTasks { tasks: Vec::new(), scanned_to: from.task.clone() }, Some(error)),
    };
    let (entries, older) = merge(events.rows, events.more, foreign, &from, most as usize);
    let open = open.filter(|row| from.is_newest() && row.state == OperationState::Open);
    let open = open.filter(|row| filter.fits_open(row.verb, &row.actor));
    let entries: Vec<Entry> = open.map(Entry::Operation).into_iter().chain(entries).collect();
    let named: BTreeSet<&OperationId> = entries.iter().filter_map(named_in).collect();
    let named: Vec<&OperationId> = named.into_iter().collect();
    let operations = operations::store::get_operations(db, &named).await.map_err(failed)?;
    let operations = operations.into_iter().map(|row| (row.id.clone(), row)).collect();
    let actors = entries.iter().map(|entry| user_of(entry.actor()).to_owned());
    let actors = actors.chain([context.user.to_string()]).chain(filter.by.clone()).collect();
    let now = db.now_ms().await.map_err(failed)?;
    Ok(History { entries, older, is_older_part: !from.is_newest(), filter, actors, operations, trouble, now })
}

/// The same where it can be asked for one user: of everybody who ever did something through Berth, not only of who is on this part.
pub async fn history_to_filter(
    context: &Context,
    of: EventsOf<'_>,
    wanted: Wanted,
    foreign: Result<ForeignTasks, AppError>,
    open: Option<OperationRow>,
) -> Result<History, Error> {
    // its events come with its end, and it is on the newest part alone
    let at_work = open.as_ref().map(|row| row.actor.to_string());
    let mut history = history(context, of, wanted, foreign, open).await?;
    let all = list_actors(context.state.db(), of, MOST_ACTORS).await.map_err(|e| Error::Db("read a container's actors", e))?;
    history.actors.extend(all.iter().map(ToString::to_string).chain(at_work));
    Ok(history)
}

/// The operation that an event belongs to.
fn named_in(entry: &Entry) -> Option<&OperationId> {
    match entry {
        Entry::Event(event) => event.operation_id.as_ref(),
        _ => None,
    }
}

/// A task of a token is its user's.
fn user_of(actor: &str) -> &str {
    let is_token = |(user, _): &(&str, &str)| user.parse::<UserId>().is_ok();
    actor.rsplit_once('!').filter(is_token).map_or(actor, |(user, _)| user)
}

fn row_of(filter: &Filter) -> EventFilterRow {
    EventFilterRow {
        what: filter.what.map(|what| what.to_string()),
        actor: filter.by.clone(),
        ended: filter.result.map(|result| result.to_string()),
    }
}

/// The newest of both, at most so many, and where it goes on.
fn merge(events: Vec<EventRow>, more: bool, foreign: ForeignTasks, from: &Cursor, most: usize) -> (Vec<Entry>, Option<Cursor>) {
    let ForeignTasks { tasks, scanned_to } = foreign;
    let (mut events, mut tasks) = (events.into_iter().peekable(), tasks.into_iter().peekable());
    let mut entries: Vec<Entry> = Vec::new();
    let mut cursor = from.clone();
    while entries.len() < most {
        let event_first = match (events.peek(), tasks.peek()) {
            (Some(event), Some(task)) => event.at >= task.upid.starttime() * 1000,
            (event, _) => event.is_some(),
        };
        if event_first {
            let Some(event) = events.next() else { break };
            cursor.event = Some(event.id.clone());
            entries.push(Entry::Event(event));
        } else {
            let Some(task) = tasks.next() else { break };
            cursor.task = Some(task.upid.clone());
            entries.push(Entry::Task(task));
        }
    }
    // tasks that were looked at and left out need not be looked at again
    if tasks.peek().is_none() && scanned_to.is_some() {
        cursor.task = scanned_to.clone();
    }
    let is_more = more || events.peek().is_some() || tasks.peek().is_some() || scanned_to.is_some();
    (entries, is_more.then_some(cursor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::model::EventKind;

    fn event(number: u32, at: i64) -> EventRow {
        EventRow {
            id: format!("{number:032x}").parse().unwrap(),
            container_id: "0".repeat(32).parse().unwrap(),
            cluster: "homelab".parse().unwrap(),
            vmid: 103.try_into().unwrap(),
            hostname: "web".to_owned(),
            kind: EventKind::Started,
            actor: "a@pve".parse().unwrap(),
            source: None,
            operation_id: None,
            verb: None,
            upid: None,
            code: "ok".to_owned(),
            manner: None,
            before: None,
            after: None,
            at,
        }
    }

    fn task(at: i64) -> NodeTask {
        let upid = format!("UPID:pve1:00000741:00029807:{at:08X}:vzdump:103:root@pam:").parse().unwrap();
        NodeTask { upid, endtime: None, status: Some("OK".to_owned()) }
    }

    #[test]
    fn both_are_in_one_order_and_the_next_part_begins_behind_what_was_shown() {
        let foreign = ForeignTasks { tasks: vec![task(40), task(20)], scanned_to: None };
        let (entries, older) = merge(vec![event(3, 50_000), event(2, 30_000)], true, foreign, &Cursor::default(), 3);
        assert_eq!(entries.iter().map(Entry::at).collect::<Vec<_>>(), [50_000, 40_000, 30_000]);
        let older = older.unwrap();
        assert_eq!((older.event, older.task), (Some(format!("{:032x}", 2).parse().unwrap()), Some(task(40).upid)));
    }

    #[test]
    fn where_nothing_is_left_there_is_no_next_part() {
        let foreign = ForeignTasks { tasks: vec![task(40)], scanned_to: None };
        let (entries, older) = merge(vec![event(3, 50_000)], false, foreign, &Cursor::default(), 3);
        assert_eq!((entries.len(), older), (2, None));
    }

    #[test]
    fn a_token_counts_as_its_user() {
        assert_eq!([user_of("root@pam!cron"), user_of("ann!x@pve"), user_of("a@pve")], ["root@pam", "ann!x@pve", "a@pve"]);
    }
}
