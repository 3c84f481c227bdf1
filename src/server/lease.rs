//! Leases: one operation at a time per container, across replicas. The clock is the database's.
//!
//! A lease guards our rows. Against Proxmox it guards nothing by itself: whoever is about to make a call first sees to it that more of
//! the lease is left than the call may take, and whoever takes one over waits until it has been expired for that long.

use super::{
    db::{Db, Tx, both, millis, text_columns, within},
    ids::new_id,
};
use crate::proxmox::ids::{ClusterName, Vmid};
use std::{convert::Infallible, fmt, str::FromStr, time::Duration};

/// A replica: one run of a process. A restart is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder(String);

impl Holder {
    /// A name that no run had before.
    pub fn new_run() -> Self {
        Self(new_id())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Holder {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

text_columns!(Holder);

/// A lease as somebody wants it.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRow<'a> {
    /// The container's cluster.
    pub cluster: &'a ClusterName,
    /// The container's number.
    pub vmid: Vmid,
    /// The operation that it is for.
    pub operation_id: &'a str,
    /// Who wants it.
    pub holder: &'a Holder,
    /// For how long from now.
    pub length: Duration,
}

/// Takes a container's lease for a new operation, in the transaction that writes the operation. False where another has it.
///
/// One that has been expired for `grace` is free where its operation has ended. Where that is still open, its replica died over it, and
/// only [`take_over`] gets the lease: whoever begins something new would do so beside what the dead one may have left running.
pub async fn take(tx: &mut Tx, lease: &LeaseRow<'_>, grace: Duration) -> sqlx::Result<bool> {
    // On PostgreSQL the row that is in the way stays locked until the transaction ends, so it can be read afterwards.
    let sql = "INSERT INTO leases (cluster, vmid, operation_id, holder, until_at)
               VALUES ($1, $2, $3, $4, (SELECT now_ms FROM clock) + $5)
               ON CONFLICT (cluster, vmid) DO UPDATE
               SET operation_id = excluded.operation_id, holder = excluded.holder, until_at = excluded.until_at
               WHERE leases.until_at + $6 < (SELECT now_ms FROM clock)
                 AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = leases.operation_id AND o.state = 'open')";
    within!(tx, |connection| sqlx::query(sql)
        .bind(lease.cluster)
        .bind(lease.vmid)
        .bind(lease.operation_id)
        .bind(lease.holder)
        .bind(millis(lease.length))
        .bind(millis(grace))
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Keeps a lease for another `length` from now. False where it is no longer this holder's.
///
/// Counted from before this was called, `length` is what is surely left of it.
pub async fn renew(db: &Db, operation_id: &str, holder: &Holder, length: Duration) -> sqlx::Result<bool> {
    let sql = "UPDATE leases SET until_at = (SELECT now_ms FROM clock) + $3 WHERE operation_id = $1 AND holder = $2";
    both!(db, |pool| sqlx::query(sql)
        .bind(operation_id)
        .bind(holder)
        .bind(millis(length))
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Lets anybody take a lease over at once: its holder has no call under way, and is about to end.
pub async fn give_up(db: &Db, operation_id: &str, holder: &Holder) -> sqlx::Result<bool> {
    let sql = "UPDATE leases SET until_at = 0 WHERE operation_id = $1 AND holder = $2";
    both!(db, |pool| sqlx::query(sql).bind(operation_id).bind(holder).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// Takes the lease of an operation from `from`, if that still has it and its time has been over for `expired_for`; at once where none is
/// given, because its process is known to be dead. False where that is not so.
pub async fn take_over(db: &Db, lease: &LeaseRow<'_>, from: &Holder, expired_for: Option<Duration>) -> sqlx::Result<bool> {
    let sql = "UPDATE leases SET holder = $3, until_at = (SELECT now_ms FROM clock) + $4
               WHERE operation_id = $1 AND holder = $2 AND until_at + $5 < (SELECT now_ms FROM clock)";
    // far before any expiry, and far from an overflow
    let expired_for = expired_for.map_or(-(1 << 50), millis);
    both!(db, |pool| sqlx::query(sql)
        .bind(lease.operation_id)
        .bind(from)
        .bind(lease.holder)
        .bind(millis(lease.length))
        .bind(expired_for)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Takes the lease of a container for an operation that has none, where the container has none either. False where it has one.
pub async fn take_free(db: &Db, lease: &LeaseRow<'_>) -> sqlx::Result<bool> {
    let sql = "INSERT INTO leases (cluster, vmid, operation_id, holder, until_at)
               VALUES ($1, $2, $3, $4, (SELECT now_ms FROM clock) + $5) ON CONFLICT DO NOTHING";
    both!(db, |pool| sqlx::query(sql)
        .bind(lease.cluster)
        .bind(lease.vmid)
        .bind(lease.operation_id)
        .bind(lease.holder)
        .bind(millis(lease.length))
        .execute(pool)
        .await
        .map(|done| done.rows_affected() == 1))
}

/// Gives a lease back, in the transaction that ends its operation. False where it is no longer this holder's.
pub async fn release(tx: &mut Tx, operation_id: &str, holder: &Holder) -> sqlx::Result<bool> {
    let sql = "DELETE FROM leases WHERE operation_id = $1 AND holder = $2";
    within!(tx, |connection| sqlx::query(sql)
        .bind(operation_id)
        .bind(holder)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1))
}
