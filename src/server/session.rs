//! Sessions in the database, for `tower-sessions`.
//!
//! The key is the SHA-256 of what the cookie holds. `save` only updates: a request that began before a sign-out and ends after it
//! cannot bring the session back.

use super::db::{Db, both};
use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

/// How long a session lasts after its last request.
///
/// While somebody works, the ticket is renewed once it is older than [`RENEW_AFTER`], 10 minutes. So a ticket outlives its session:
/// 10 + 100 minutes is less than its two hours, even with the five that Proxmox takes off for clocks that differ.
///
/// [`RENEW_AFTER`]: crate::auth::service::RENEW_AFTER
pub const IDLE: time::Duration = time::Duration::minutes(100);

/// The store.
#[derive(Debug, Clone)]
pub struct Sessions(pub Db);

/// What stands in the database for a session.
pub fn session_key(id: &Id) -> String {
    digest(&SHA256, &id.0.to_be_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

impl Sessions {
    /// Removes what has expired, tickets with it. Returns how many.
    pub async fn delete_expired(&self, now: i64) -> sqlx::Result<u64> {
        let sql = "DELETE FROM sessions WHERE expires_at <= $1";
        both!(&self.0, |pool| sqlx::query(sql).bind(now).execute(pool).await.map(|done| done.rows_affected()))
    }

    /// Inserts; false where the id is taken.
    async fn insert(&self, record: &Record) -> Result<bool> {
        let sql = "INSERT INTO sessions (id, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
        let (key, data, expires) = columns(record)?;
        let done =
            both!(&self.0, |pool| sqlx::query(sql).bind(key).bind(data).bind(expires).execute(pool).await.map(|done| done.rows_affected()));
        done.map(|rows| rows == 1).map_err(backend)
    }
}

fn columns(record: &Record) -> Result<(String, String, i64)> {
    let data = serde_json::to_string(&record.data).map_err(|e| Error::Encode(e.to_string()))?;
    Ok((session_key(&record.id), data, record.expiry_date.unix_timestamp()))
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while !self.insert(record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let sql = "UPDATE sessions SET data = $2, expires_at = $3 WHERE id = $1";
        let (key, data, expires) = columns(record)?;
        both!(&self.0, |pool| sqlx::query(sql).bind(key).bind(data).bind(expires).execute(pool).await.map(|_| ())).map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let sql = "SELECT data, expires_at FROM sessions WHERE id = $1 AND expires_at > $2";
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let row: Option<(String, i64)> =
            both!(&self.0, |pool| sqlx::query_as(sql).bind(session_key(id)).bind(now).fetch_optional(pool).await).map_err(backend)?;
        let Some((data, expires)) = row else { return Ok(None) };
        let data = serde_json::from_str(&data).map_err(|e| Error::Decode(e.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires).map_err(|e| Error::Decode(e.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let sql = "DELETE FROM sessions WHERE id = $1";
        both!(&self.0, |pool| sqlx::query(sql).bind(session_key(id)).execute(pool).await.map(|_| ())).map_err(backend)
    }
}
