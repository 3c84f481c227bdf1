//! The SQL of batches.

use super::model::{BatchId, BatchItem, BatchView, Cut, ItemState, Tally};
use crate::{
    error::AppError,
    operations::model::{ContainerId, Manner, OperationId, OperationState, Verb, result_code},
    proxmox::ids::{ClusterName, NodeName, UserId, Vmid},
    server::{
        db::{Db, JsonText, Tx, both, millis, text_columns, within},
        ids::new_id,
        lease::Holder,
    },
};
use serde::Serialize;
use std::time::Duration;
use strum::{Display, EnumString};

text_columns!(BatchId, Cut, Taken);

impl BatchId {
    /// A new one.
    pub fn fresh() -> Self {
        Self(new_id())
    }
}

/// For how long a batch can be looked at.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whether a container has had its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Taken {
    /// Not yet.
    Waiting,
    /// Its operation is what became of it, if that is there.
    Taken,
    /// There will be no operation.
    Refused,
}

/// A batch that is to begin.
#[derive(Debug, Clone)]
pub struct NewBatchRow {
    /// Its id.
    pub id: BatchId,
    /// Where its containers are.
    pub cluster: ClusterName,
    /// Who asked for it.
    pub actor: UserId,
    /// From which address.
    pub source: Option<String>,
    /// What is to be done to each.
    pub verb: Verb,
    /// Who works it off.
    pub holder: Holder,
    /// For how long it is that one's without being renewed.
    pub length: Duration,
    /// Its containers, in their order.
    pub items: Vec<NewItemRow>,
}

/// A container of it.
#[derive(Debug, Clone, Serialize)]
pub struct NewItemRow {
    /// Our row for it.
    pub container_id: ContainerId,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it is now.
    pub hostname: String,
    /// Where it lives now.
    pub node: NodeName,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BatchRow {
    /// Which. Ids sort by time.
    pub id: BatchId,
    /// Where its containers are.
    pub cluster: ClusterName,
    /// Who asked for it.
    pub actor: UserId,
    /// What is done to each.
    pub verb: Verb,
    /// When it is nobody's any more, in epoch milliseconds; so are the following.
    pub until_at: i64,
    /// When it was asked for.
    pub created_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it ended early.
    pub cause: Option<Cut>,
    /// The time now by the same clock.
    pub now: i64,
}

impl BatchRow {
    /// Why what was not taken up never will be; none where it may be yet, or all of it was.
    pub fn cut(&self) -> Option<Cut> {
        match (self.ended_at, self.cause) {
            (Some(_), cause) => cause,
            // whoever worked it off is gone
            (None, _) => (self.until_at < self.now).then_some(Cut::Stopped),
        }
    }

    /// As its actor sees it.
    pub fn view(self, items: Vec<ItemRow>, may_see: impl Fn(Vmid) -> bool) -> BatchView {
        let is_over = self.ended_at.is_some() || self.cut().is_some();
        let items: Vec<BatchItem> = items.into_iter().map(|item| item.view(is_over)).collect();
        BatchView {
            cut: self.cut(),
            tally: Tally::of(items.iter().map(|item| item.state)),
            items: items.into_iter().filter(|item| may_see(item.vmid)).collect(),
            id: self.id,
            verb: self.verb,
            created_at: self.created_at,
            ended_at: self.ended_at,
            now: self.now,
        }
    }
}

/// A batch that is under way.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenBatchRow {
    /// Which.
    pub id: BatchId,
    /// What is done to each.
    pub verb: Verb,
    /// How many containers it has.
    pub containers: i64,
    /// How many of them are not taken up yet.
    pub waiting: i64,
}

/// A container of a batch, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ItemRow {
    /// Its place.
    pub position: i64,
    /// Our row for it.
    pub container_id: ContainerId,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it was.
    pub hostname: String,
    /// Where it lived.
    pub node: NodeName,
    /// Whether it has had its turn.
    pub state: Taken,
    /// What its operation is to be called.
    pub operation_id: Option<OperationId>,
    /// Why it was refused.
    pub error: Option<JsonText<AppError>>,
    /// How its operation stands; none where that has not begun.
    pub operation_state: Option<OperationState>,
    /// See [`result_code`]
    pub code: Option<String>,
    /// How it was brought to stand.
    pub manner: Option<Manner>,
    /// Why its operation did not end well.
    pub operation_error: Option<JsonText<AppError>>,
}

impl ItemRow {
    /// Where it stands. What its operation says is the truth; `is_over` is whether nobody will take it up any more.
    fn state(&self, is_over: bool) -> ItemState {
        match (self.operation_state, self.state) {
            (Some(OperationState::Open), _) => ItemState::Open,
            (Some(OperationState::Succeeded), _) => ItemState::Done,
            (Some(_), _) => ItemState::Failed,
            (None, Taken::Refused) => ItemState::Refused,
            (None, _) if is_over => ItemState::NotBegun,
            (None, Taken::Waiting) => ItemState::Waiting,
            (None, Taken::Taken) => ItemState::Open,
        }
    }

    fn view(self, is_over: bool) -> BatchItem {
        BatchItem {
            state: self.state(is_over),
            position: u32::try_from(self.position).unwrap_or_default(),
            operation: self.operation_id.filter(|_| self.operation_state.is_some()),
            error: self.operation_error.or(self.error).map(|error| error.0),
            warnings: self.code.as_deref() == Some(result_code(true, None)),
            container: self.container_id,
            vmid: self.vmid,
            name: self.hostname,
            node: self.node,
            operation_state: self.operation_state,
            manner: self.manner,
        }
    }
}

/// Writes a batch down with all its containers, and forgets those that are too old.
pub async fn create_batch(db: &Db, row: &NewBatchRow) -> sqlx::Result<()> {
    let forget = "DELETE FROM batches WHERE created_at < (SELECT now_ms FROM clock) - $1";
    let batch = "INSERT INTO batches (id, cluster, actor, source, verb, holder, until_at, created_at)
                 SELECT $1, $2, $3, $4, $5, $6, now_ms + $7, now_ms FROM clock";
    // their places are those in the list
    let items = db.pick((
        "INSERT INTO batch_items (batch_id, position, container_id, vmid, hostname, node, state)
         SELECT $1, key, value ->> 'container_id', value ->> 'vmid', value ->> 'hostname', value ->> 'node', 'waiting' FROM json_each($2)",
        "INSERT INTO batch_items (batch_id, position, container_id, vmid, hostname, node, state)
         SELECT $1, place - 1, value ->> 'container_id', (value ->> 'vmid')::bigint, value ->> 'hostname', value ->> 'node', 'waiting'
         FROM json_array_elements($2::json) WITH ORDINALITY AS listed (value, place)",
    ));
    let mut tx = db.begin().await?;
    within!(&mut tx, |connection| sqlx::query(forget).bind(millis(KEPT)).execute(connection).await.map(|_| ()))?;
    within!(&mut tx, |connection| sqlx::query(batch)
        .bind(&row.id)
        .bind(&row.cluster)
        .bind(&row.actor)
        .bind(&row.source)
        .bind(row.verb)
        .bind(&row.holder)
        .bind(millis(row.length))
        .execute(connection)
        .await
        .map(|_| ()))?;
    within!(&mut tx, |connection| sqlx::query(items).bind(&row.id).bind(JsonText(&row.items)).execute(connection).await.map(|_| ()))?;
    tx.commit().await
}

/// The condition of every change: the batch `$1` is the holder's, `$2`, and not over.
macro_rules! while_held {
    () => {
        "EXISTS (SELECT 1 FROM batches b WHERE b.id = $1 AND b.holder = $2 AND b.ended_at IS NULL
             AND b.until_at >= (SELECT now_ms FROM clock))"
    };
}

/// Keeps a batch for another `length`. False where it is over, or was too late: then everybody may take what is left for not begun.
pub async fn renew(db: &Db, id: &BatchId, holder: &Holder, length: Duration) -> sqlx::Result<bool> {
    let sql = concat!("UPDATE batches SET until_at = (SELECT now_ms FROM clock) + $3 WHERE id = $1 AND ", while_held!());
    both!(db, |pool| sqlx::query(sql).bind(id).bind(holder).bind(millis(length)).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// Whether a batch is the holder's still, in the transaction that begins an operation of it. Where it is not, everybody may have been told
/// that there is none.
pub async fn is_held(tx: &mut Tx, id: &BatchId, holder: &Holder) -> sqlx::Result<bool> {
    let sql = concat!("SELECT ", while_held!());
    within!(tx, |connection| sqlx::query_scalar(sql).bind(id).bind(holder).fetch_one(connection).await)
}

/// Takes a container up, under the name of the operation that is to follow. False where it is taken, or the batch is not the holder's
/// any more.
pub async fn take(db: &Db, id: &BatchId, holder: &Holder, position: u32, operation: &OperationId) -> sqlx::Result<bool> {
    let sql = concat!(
        "UPDATE batch_items SET state = 'taken', operation_id = $4 WHERE batch_id = $1 AND position = $3 AND state = 'waiting' AND ",
        while_held!()
    );
    both!(db, |pool| sqlx::query(sql)
        .bind(id)
        .bind(holder)
        .bind(i64::from(position))
        .bind(operation)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Puts a container back for which no operation was begun, because nobody was signed in any more.
pub async fn put_back(db: &Db, id: &BatchId, position: u32) -> sqlx::Result<()> {
    let sql = "UPDATE batch_items SET state = 'waiting', operation_id = NULL WHERE batch_id = $1 AND position = $2 AND state = 'taken'
               AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = batch_items.operation_id)";
    both!(db, |pool| sqlx::query(sql).bind(id).bind(i64::from(position)).execute(pool).await.map(|_| ()))
}

/// Writes down why there is no operation for a container. Where there is one, it says itself how it ended, and nothing is written; nor is
/// it where the batch is not the holder's any more, and the container is one that is not begun.
pub async fn refuse(db: &Db, id: &BatchId, holder: &Holder, position: u32, error: &AppError) -> sqlx::Result<()> {
    let sql = concat!(
        "UPDATE batch_items SET state = 'refused', error = $4 WHERE batch_id = $1 AND position = $3 AND state = 'taken'
             AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = batch_items.operation_id) AND ",
        while_held!()
    );
    both!(db, |pool| sqlx::query(sql).bind(id).bind(holder).bind(i64::from(position)).bind(JsonText(error)).execute(pool).await.map(|_| ()))
}

/// Ends a batch, early where there is a cause; where it was not renewed in time, everybody was told already what that is. False where it is
/// not the holder's any more.
pub async fn end(db: &Db, id: &BatchId, holder: &Holder, cause: Option<Cut>) -> sqlx::Result<bool> {
    let sql = "UPDATE batches SET ended_at = (SELECT now_ms FROM clock),
                   cause = CASE WHEN until_at < (SELECT now_ms FROM clock) THEN 'stopped' ELSE $3 END
               WHERE id = $1 AND holder = $2 AND ended_at IS NULL";
    both!(db, |pool| sqlx::query(sql).bind(id).bind(holder).bind(cause).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// A batch.
pub async fn get_batch(db: &Db, id: &BatchId) -> sqlx::Result<Option<BatchRow>> {
    let sql = "SELECT id, cluster, actor, verb, until_at, created_at, ended_at, cause, (SELECT now_ms FROM clock) AS now
               FROM batches WHERE id = $1";
    both!(db, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)
}

/// The batches that a user has under way in a cluster, the newest first, with how many containers each has, and how many of them wait.
/// Called by the list of containers.
pub async fn list_open_batches(db: &Db, cluster: &ClusterName, actor: &UserId) -> sqlx::Result<Vec<OpenBatchRow>> {
    let sql = "SELECT b.id, b.verb, (SELECT COUNT(*) FROM batch_items i WHERE i.batch_id = b.id) AS containers,
                   (SELECT COUNT(*) FROM batch_items i WHERE i.batch_id = b.id AND i.state = 'waiting') AS waiting
               FROM batches b WHERE b.cluster = $1 AND b.actor = $2 AND b.ended_at IS NULL AND b.until_at >= (SELECT now_ms FROM clock)
               ORDER BY b.id DESC";
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(actor).fetch_all(pool).await)
}

/// The containers of a batch in their order, each with its operation.
pub async fn list_items(db: &Db, id: &BatchId) -> sqlx::Result<Vec<ItemRow>> {
    let sql = "SELECT i.position, i.container_id, i.vmid, i.hostname, i.node, i.state, i.operation_id, i.error, o.state AS operation_state,
                   o.code, o.manner, o.error AS operation_error
               FROM batch_items i LEFT JOIN operations o ON o.id = i.operation_id WHERE i.batch_id = $1 ORDER BY i.position";
    both!(db, |pool| sqlx::query_as(sql).bind(id).fetch_all(pool).await)
}
