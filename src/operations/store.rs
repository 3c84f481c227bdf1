//! The SQL of operations.
//!
//! Whoever changes an open operation has its lease: each statement here says so by itself and answers false where that is no longer so.
//! Then another replica has taken over, and the caller stops without another word.

use super::model::{Call, ContainerId, Manner, OperationId, OperationState, OperationView, Stage, Verb, result_code};
use crate::{
    batches::{model::BatchId, store as batches},
    containers::{
        model::Status,
        store::{self as containers, ContainerEndRow},
    },
    error::AppError,
    events::store::{NEWEST, NewEventRow, insert_event},
    proxmox::ids::{ClusterName, NodeName, Upid, UserId, Vmid},
    server::{
        db::{Db, JsonText, Page, both, list, listed, millis, text_columns, within},
        ids::new_id,
        lease::{self, Holder, LeaseRow},
    },
};
use std::time::Duration;

text_columns!(ContainerId, OperationId, Verb, OperationState, Manner, Call, Stage);

impl ContainerId {
    /// A new one.
    pub fn fresh() -> Self {
        Self(new_id())
    }
}

impl OperationId {
    /// A new one.
    pub fn fresh() -> Self {
        Self(new_id())
    }
}

/// An operation that is to begin.
#[derive(Debug, Clone)]
pub struct NewOperationRow {
    /// Its id; the ticket is sealed for it.
    pub id: OperationId,
    /// The container's row.
    pub container_id: ContainerId,
    /// Where the container is.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it is now.
    pub hostname: String,
    /// Where it lives now.
    pub node: NodeName,
    /// What is to be done.
    pub verb: Verb,
    /// Whether it must not be stopped hard.
    pub graceful_only: bool,
    /// Who asked for it.
    pub actor: UserId,
    /// From which address.
    pub source: Option<String>,
    /// What the container does now.
    pub before: Option<Status>,
    /// The ticket, sealed.
    pub ticket: Vec<u8>,
    /// How long it may take.
    pub deadline: Duration,
}

/// The lease that an operation is to have.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who runs the operation.
    pub holder: Holder,
    /// For how long the lease lasts without being renewed.
    pub length: Duration,
    /// For how long a lease must have been over before somebody else gets it: the longest call.
    pub grace: Duration,
    /// The batch that it is a part of, which has to be the same holder's.
    pub batch: Option<BatchId>,
    /// When somebody began to look at the container, by the database's clock.
    pub looked_at: i64,
}

/// An operation in the hands of its lease's holder.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Which.
    pub operation: &'a OperationId,
    /// Who has its lease.
    pub holder: &'a Holder,
}

/// What became of a [`claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The operation is in the database and has the lease.
    Taken,
    /// Another has it; nothing was written.
    Busy(BusyRow),
    /// Its batch is not the holder's any more; nothing was written.
    TooLate,
    /// Another one has ended since somebody began to look: what was seen may be over. Nothing was written.
    Overtaken,
}

/// The operation that has a container's lease.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BusyRow {
    /// Which.
    pub operation: OperationId,
    /// What is being done.
    pub verb: Verb,
    /// Who asked for it.
    pub actor: UserId,
    /// Since when, in epoch milliseconds.
    pub started_at: i64,
    /// The time now by the same clock.
    pub now: i64,
    /// When the lease ends; where that is over, the replica that had it is gone and the operation waits for another.
    pub until_at: i64,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OperationRow {
    /// Which. Ids sort by time.
    pub id: OperationId,
    /// The container's row, which may be no more.
    pub container_id: ContainerId,
    /// Where the container is.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it was.
    pub hostname: String,
    /// Where it lived.
    pub node: NodeName,
    /// What is done.
    pub verb: Verb,
    /// Whether it must not be stopped hard.
    pub graceful_only: bool,
    /// Who asked for it.
    pub actor: UserId,
    /// From which address.
    pub source: Option<String>,
    /// Where it stands.
    pub state: OperationState,
    /// How far it is with its latest call.
    pub stage: Stage,
    /// The latest call.
    pub call: Option<Call>,
    /// When that was intended, by Proxmox's clock, in epoch seconds.
    pub intent_at: Option<i64>,
    /// The task of the latest call; none where it is not known.
    pub upid: Option<Upid>,
    /// Every task so far.
    pub upids: JsonText<Vec<Upid>>,
    /// What the container did before.
    pub before: Option<Status>,
    /// What it does now.
    pub after: Option<Status>,
    /// How it was brought to stand.
    pub manner: Option<Manner>,
    /// See [`result_code`]; none while it is open.
    pub code: Option<String>,
    /// What the user is told of a bad end.
    pub error: Option<JsonText<AppError>>,
    /// Epoch milliseconds, and so are the following.
    pub started_at: i64,
    /// Until when it may go on.
    pub deadline_at: i64,
    /// When this row was last changed.
    pub updated_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

impl From<OperationRow> for OperationView {
    fn from(row: OperationRow) -> Self {
        Self {
            id: row.id,
            container: row.container_id,
            vmid: row.vmid,
            name: row.hostname,
            verb: row.verb,
            actor: row.actor,
            state: row.state,
            stage: row.stage,
            call: row.call,
            started_at: row.started_at,
            ended_at: row.ended_at,
            manner: row.manner,
            warnings: row.code.as_deref() == Some(result_code(true, None)),
            error: row.error.map(|error| error.0),
        }
    }
}

/// An operation that has not ended, and its lease.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UnsettledRow {
    /// The operation.
    #[sqlx(flatten)]
    pub operation: OperationRow,
    /// Who has its lease; nobody where that is lost.
    pub holder: Option<Holder>,
    /// When the lease ends, in epoch milliseconds.
    pub until_at: Option<i64>,
    /// The time now by the same clock.
    pub now: i64,
}

/// All columns of an [`OperationRow`], of the table or alias `o`. The ticket is not among them.
macro_rules! operation_columns {
    () => {
        "o.id, o.container_id, o.cluster, o.vmid, o.hostname, o.node, o.verb, o.graceful_only, o.actor, o.source, o.state, o.stage, \
         o.call, o.intent_at, o.upid, o.upids, o.before, o.after, o.manner, o.code, o.error, o.started_at, o.deadline_at, o.updated_at, \
         o.ended_at"
    };
}

/// Begins an operation: its row and its lease, or neither. For every verb, before its first call.
pub async fn claim(db: &Db, row: &NewOperationRow, terms: &Terms) -> sqlx::Result<Claim> {
    let insert =
        "INSERT INTO operations (id, container_id, cluster, vmid, hostname, node, verb, graceful_only, actor, source, state, stage,
                      upids, before, ticket, started_at, deadline_at, updated_at)
                  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', 'begun', '[]', $11, $12, now_ms, now_ms + $13, now_ms FROM clock";
    let lease =
        LeaseRow { cluster: &row.cluster, vmid: row.vmid, operation_id: row.id.as_str(), holder: &terms.holder, length: terms.length };
    // By the index of a cluster's changes, of which there are few since then; neither database is to see that another index has the
    // number, with everything that was ever done to it.
    let overtaken = "SELECT EXISTS (SELECT 1 FROM operations o
                         WHERE o.cluster = $1 AND o.updated_at >= $2 AND o.vmid + 0 = $3 AND o.ended_at >= $2)";
    let mut tx = db.begin().await?;
    if lease::take(&mut tx, &lease, terms.grace).await? {
        let overtaken: bool = within!(&mut tx, |connection| sqlx::query_scalar(overtaken)
            .bind(&row.cluster)
            .bind(terms.looked_at)
            .bind(row.vmid)
            .fetch_one(connection)
            .await)?;
        if overtaken {
            tx.rollback().await?;
            return Ok(Claim::Overtaken);
        }
        within!(&mut tx, |connection| sqlx::query(insert)
            .bind(&row.id)
            .bind(&row.container_id)
            .bind(&row.cluster)
            .bind(row.vmid)
            .bind(&row.hostname)
            .bind(&row.node)
            .bind(row.verb)
            .bind(row.graceful_only)
            .bind(&row.actor)
            .bind(&row.source)
            .bind(row.before)
            .bind(&row.ticket)
            .bind(millis(row.deadline))
            .execute(connection)
            .await
            .map(|_| ()))?;
        // at the end: it may have taken a while to get here
        if let Some(batch) = &terms.batch
            && !batches::is_held(&mut tx, batch, &terms.holder).await?
        {
            tx.rollback().await?;
            return Ok(Claim::TooLate);
        }
        tx.commit().await?;
        return Ok(Claim::Taken);
    }
    let busy = "SELECT o.id AS operation, o.verb, o.actor, o.started_at, (SELECT now_ms FROM clock) AS now, l.until_at
                FROM leases l JOIN operations o ON o.id = l.operation_id WHERE l.cluster = $1 AND l.vmid = $2";
    let busy = within!(&mut tx, |connection| sqlx::query_as(busy).bind(&row.cluster).bind(row.vmid).fetch_one(connection).await)?;
    tx.rollback().await?;
    Ok(Claim::Busy(busy))
}

/// The operation that works on a container now. For a verb, before it asks Proxmox what blocks while another one is at work; [`claim`]
/// decides.
pub async fn find_busy(db: &Db, cluster: &ClusterName, vmid: Vmid) -> sqlx::Result<Option<BusyRow>> {
    both!(db, |pool| sqlx::query_as(BUSY).bind(cluster).bind(vmid).fetch_optional(pool).await)
}

const BUSY: &str = "SELECT o.id AS operation, o.verb, o.actor, o.started_at, (SELECT now_ms FROM clock) AS now, l.until_at
                    FROM leases l JOIN operations o ON o.id = l.operation_id
                    WHERE l.cluster = $1 AND l.vmid = $2 AND o.state = 'open'";

/// The condition of every change: the operation `$1` has not ended, and the holder `$2` has its lease.
macro_rules! while_held {
    () => {
        " WHERE id = $1 AND ended_at IS NULL AND EXISTS (SELECT 1 FROM leases l WHERE l.operation_id = $1 AND l.holder = $2"
    };
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct IntentRow {
    /// Which.
    pub call: Call,
    /// The time by Proxmox's clock, in epoch seconds.
    pub intent_at: i64,
    /// How long the call may take: more than that is left of the lease.
    pub limit: Duration,
}

/// Writes down what is about to be called. Only after this is true may the call be made. False also where too little is left of the
/// lease.
pub async fn set_intent(db: &Db, held: Held<'_>, intent: IntentRow) -> sqlx::Result<bool> {
    let sql = concat!(
        "UPDATE operations SET stage = 'intended', call = $3, intent_at = $4, upid = NULL, updated_at = (SELECT now_ms FROM clock)",
        while_held!(),
        " AND l.until_at > (SELECT now_ms FROM clock) + $5)"
    );
    both!(db, |pool| sqlx::query(sql)
        .bind(held.operation)
        .bind(held.holder)
        .bind(intent.call)
        .bind(intent.intent_at)
        .bind(millis(intent.limit))
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Writes down the task that a call has begun.
pub async fn set_upid(db: &Db, held: Held<'_>, upid: &Upid) -> sqlx::Result<bool> {
    let read = "SELECT upids FROM operations WHERE id = $1";
    let write = concat!(
        "UPDATE operations SET stage = 'waiting', upid = $3, upids = $4, updated_at = (SELECT now_ms FROM clock)",
        while_held!(),
        ")"
    );
    let mut tx = db.begin().await?;
    let upids: Option<JsonText<Vec<Upid>>> =
        within!(&mut tx, |connection| sqlx::query_scalar(read).bind(held.operation).fetch_optional(connection).await)?;
    let mut upids = upids.map(|upids| upids.0).unwrap_or_default();
    // found once more after a restart
    if !upids.contains(upid) {
        upids.push(upid.clone());
    }
    let changed = within!(&mut tx, |connection| sqlx::query(write)
        .bind(held.operation)
        .bind(held.holder)
        .bind(upid)
        .bind(JsonText(upids))
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1))?;
    tx.commit().await?;
    Ok(changed)
}

/// Writes down how far the operation is.
pub async fn set_stage(db: &Db, held: Held<'_>, stage: Stage) -> sqlx::Result<bool> {
    let sql = concat!("UPDATE operations SET stage = $3, updated_at = (SELECT now_ms FROM clock)", while_held!(), ")");
    both!(db, |pool| sqlx::query(sql)
        .bind(held.operation)
        .bind(held.holder)
        .bind(stage)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Keeps the lease for another `length`; see [`lease::renew`].
pub async fn renew_lease(db: &Db, held: Held<'_>, length: Duration) -> sqlx::Result<bool> {
    lease::renew(db, held.operation.as_str(), held.holder, length).await
}

/// Leaves the operation to whoever takes it over; see [`lease::give_up`].
pub async fn give_up(db: &Db, held: Held<'_>) -> sqlx::Result<bool> {
    lease::give_up(db, held.operation.as_str(), held.holder).await
}

/// Keeps a newer ticket, sealed.
pub async fn renew_ticket(db: &Db, held: Held<'_>, ticket: &[u8]) -> sqlx::Result<bool> {
    let sql = concat!("UPDATE operations SET ticket = $3", while_held!(), ")");
    both!(db, |pool| sqlx::query(sql)
        .bind(held.operation)
        .bind(held.holder)
        .bind(ticket)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// An operation's ticket, sealed. For whoever takes the operation over.
pub async fn get_ticket(db: &Db, operation: &OperationId) -> sqlx::Result<Option<Vec<u8>>> {
    let sql = "SELECT ticket FROM operations WHERE id = $1";
    let ticket: Option<Option<Vec<u8>>> = both!(db, |pool| sqlx::query_scalar(sql).bind(operation).fetch_optional(pool).await)?;
    Ok(ticket.flatten())
}

/// How an operation ended, and everything that is written with its end.
#[derive(Debug, Clone)]
pub struct FinishRow {
    /// Where it stands now; not open.
    pub state: OperationState,
    /// A task had something to say.
    pub warnings: bool,
    /// What the user is told of a bad end.
    pub error: Option<AppError>,
    /// How the container was brought to stand.
    pub manner: Option<Manner>,
    /// What it does now; none where it is no more, or nobody knows.
    pub after: Option<Status>,
    /// What becomes of the container's row.
    pub container: ContainerEndRow,
    /// In the order in which they happened.
    pub events: Vec<NewEventRow>,
}

/// Ends an operation: its end, the container's row, the events; its lease and its ticket are gone. All of it, or false and none: then
/// another has the lease, or it has ended. An operation whose end is unknown can be ended once more, by whoever has taken a lease for it.
pub async fn finish(db: &Db, held: Held<'_>, end: &FinishRow) -> sqlx::Result<bool> {
    let sql = "UPDATE operations SET state = $2, code = $3, incident = $4, error = $5, manner = $6, after = $7, ticket = NULL,
                   updated_at = (SELECT now_ms FROM clock), ended_at = (SELECT now_ms FROM clock)
               WHERE id = $1 AND state IN ('open', 'unknown')";
    let code = result_code(end.warnings, end.error.as_ref());
    let incident = end.error.as_ref().and_then(AppError::incident).map(|incident| i64::from(incident.0));
    // Lease, operation, node, container, count of containers, in this order: nobody who waits for one of them holds a later one.
    let mut tx = db.begin().await?;
    let ended = lease::release(&mut tx, held.operation.as_str(), held.holder).await?
        && within!(&mut tx, |connection| sqlx::query(sql)
            .bind(held.operation)
            .bind(end.state)
            .bind(code)
            .bind(incident)
            .bind(end.error.clone().map(JsonText))
            .bind(end.manner)
            .bind(end.after)
            .execute(connection)
            .await
            .map(|done| done.rows_affected() == 1))?;
    if !ended {
        tx.rollback().await?;
        return Ok(false);
    }
    let id = "SELECT container_id FROM operations WHERE id = $1";
    let id: ContainerId = within!(&mut tx, |connection| sqlx::query_scalar(id).bind(held.operation).fetch_one(connection).await)?;
    containers::write_end(&mut tx, &id, &end.container).await?;
    for event in &end.events {
        insert_event(&mut tx, event).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// An operation. For a page that is told of one (`?op=…`), and for the stream.
pub async fn get_operation(db: &Db, id: &OperationId) -> sqlx::Result<Option<OperationRow>> {
    let sql = concat!("SELECT ", operation_columns!(), " FROM operations o WHERE o.id = $1");
    both!(db, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)
}

/// Some operations, in no order. For the page of a container, whose events name them.
pub async fn get_operations(db: &Db, ids: &[&OperationId]) -> sqlx::Result<Vec<OperationRow>> {
    let sql = db.pick(listed!(concat!("SELECT ", operation_columns!(), " FROM operations o WHERE o.id"), "$1", ""));
    both!(db, |pool| sqlx::query_as(sql).bind(list(ids)).fetch_all(pool).await)
}

/// What is said of a cluster's operations in the list of its containers: those that are open, and of each container the latest one where
/// it ended badly within `bad`, or well within `good`.
pub async fn list_current(db: &Db, cluster: &ClusterName, bad: Duration, good: Duration) -> sqlx::Result<Vec<OperationRow>> {
    // The open ones by their own index, the others by that of the changes of a cluster; both are as few as what happens. SQLite is not to
    // see that another index has the cluster of the open ones too: it would read all of that.
    let sql = concat!(
        "SELECT ",
        operation_columns!(),
        " FROM operations o WHERE o.state = 'open' AND o.cluster || '' = $1
          UNION ALL SELECT ",
        operation_columns!(),
        " FROM operations o WHERE o.updated_at >= (SELECT now_ms FROM clock) - $2 AND o.cluster = $1 AND o.state <> 'open'
             AND (o.state <> 'succeeded' OR o.updated_at >= (SELECT now_ms FROM clock) - $3)
             AND NOT EXISTS (SELECT 1 FROM operations n WHERE n.container_id = o.container_id AND n.id > o.id)"
    );
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(millis(bad)).bind(millis(good)).fetch_all(pool).await)
}

/// Every open operation with its lease, the oldest first. For recovery, at the start and on every beat.
pub async fn list_open(db: &Db) -> sqlx::Result<Vec<UnsettledRow>> {
    let sql = concat!(
        "SELECT ",
        operation_columns!(),
        ", l.holder, l.until_at, (SELECT now_ms FROM clock) AS now
         FROM operations o LEFT JOIN leases l ON l.operation_id = o.id WHERE o.state = 'open' ORDER BY o.id"
    );
    both!(db, |pool| sqlx::query_as(sql).fetch_all(pool).await)
}

/// Every operation of a cluster whose end is unknown, the oldest first. For the next user of that cluster who may look.
pub async fn list_unknown(db: &Db, cluster: &ClusterName) -> sqlx::Result<Vec<UnsettledRow>> {
    let sql = concat!(
        "SELECT ",
        operation_columns!(),
        ", l.holder, l.until_at, (SELECT now_ms FROM clock) AS now
         FROM operations o LEFT JOIN leases l ON l.operation_id = o.id WHERE o.state = 'unknown' AND o.cluster = $1 ORDER BY o.id"
    );
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_all(pool).await)
}

/// Takes an operation over whose replica is gone, if its lease still is as it was seen: with another holder and over for `expired_for`
/// (at once where that is none, because the other process is known to be dead), or without any. Of several that try, one succeeds.
pub async fn take_over(
    db: &Db,
    seen: &UnsettledRow,
    holder: &Holder,
    length: Duration,
    expired_for: Option<Duration>,
) -> sqlx::Result<bool> {
    let operation = &seen.operation;
    let lease = LeaseRow { cluster: &operation.cluster, vmid: operation.vmid, operation_id: operation.id.as_str(), holder, length };
    match &seen.holder {
        Some(from) => lease::take_over(db, &lease, from, expired_for).await,
        None => lease::take_free(db, &lease).await,
    }
}

/// Whose operations.
#[derive(Debug, Clone, Copy)]
pub enum OperationsOf<'a> {
    /// Of one container, gone or not.
    Container(&'a ContainerId),
    /// Of every container that has had this number.
    Vmid(&'a ClusterName, Vmid),
}

/// Operations, the newest first, from the one before `before` on. For a container's page.
pub async fn list_operations(db: &Db, of: OperationsOf<'_>, before: Option<&OperationId>, limit: u32) -> sqlx::Result<Page<OperationRow>> {
    let before = before.map_or(NEWEST, OperationId::as_str);
    let asked = i64::from(limit) + 1;
    let rows = match of {
        OperationsOf::Container(id) => {
            let sql = concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operations o WHERE o.container_id = $1 AND o.id < $2 ORDER BY o.id DESC LIMIT $3"
            );
            both!(db, |pool| sqlx::query_as(sql).bind(id).bind(before).bind(asked).fetch_all(pool).await)
        }
        OperationsOf::Vmid(cluster, vmid) => {
            let sql = concat!(
                "SELECT ",
                operation_columns!(),
                " FROM operations o WHERE o.cluster = $1 AND o.vmid = $2 AND o.id < $3 ORDER BY o.id DESC LIMIT $4"
            );
            both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(vmid).bind(before).bind(asked).fetch_all(pool).await)
        }
    }?;
    Ok(Page::of(rows, limit))
}

/// The tasks of all operations on a number that began between two times, in epoch milliseconds. For a history that holds the tasks of
/// Proxmox too, of which these are left out.
pub async fn list_upids(db: &Db, cluster: &ClusterName, vmid: Vmid, from: i64, to: i64) -> sqlx::Result<Vec<Upid>> {
    // an id begins with the time it was made (UUIDv7), and is what the index of a number's operations is sorted by
    let id = |ms: i64| format!("{:012x}", ms.clamp(0, (1 << 48) - 1));
    let sql = "SELECT o.upids FROM operations o WHERE o.cluster = $1 AND o.vmid = $2 AND o.id >= $3 AND o.id < $4";
    let lists: Vec<JsonText<Vec<Upid>>> =
        both!(db, |pool| sqlx::query_scalar(sql).bind(cluster).bind(vmid).bind(id(from)).bind(id(to)).fetch_all(pool).await)?;
    Ok(lists.into_iter().flat_map(|list| list.0).collect())
}

/// Every operation that was changed since then, in epoch milliseconds by the database's clock, the earliest change first. For the stream,
/// which tells this replica's browsers what the others do.
///
/// A change counts from when it was written and is seen from when it was committed, so ask from a little before the last answer.
pub async fn list_changed_since(db: &Db, since: i64) -> sqlx::Result<Vec<OperationRow>> {
    let sql = concat!("SELECT ", operation_columns!(), " FROM operations o WHERE o.updated_at >= $1 ORDER BY o.updated_at, o.id");
    both!(db, |pool| sqlx::query_as(sql).bind(since).fetch_all(pool).await)
}
