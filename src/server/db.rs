//! Our database: one SQLite file, or PostgreSQL where several replicas share it.
//!
//! A query is written once, with `$1` placeholders and `ON CONFLICT`, which both understand; [`both!`] runs it on whichever is open, and
//! [`within!`] in a transaction on it. Where the two need different texts, [`Db::pick`] takes a pair. Times are epoch milliseconds by the
//! database's clock, which a statement reads from the view `clock`; those of sessions and tickets are epoch seconds by ours.

use super::config::Config;
use crate::proxmox::ids::{ClusterName, NodeName, Upid, UserId, Vmid};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Database, Decode, Encode, PgPool, Postgres, Sqlite, SqlitePool, Transaction, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The open database. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Db {
    /// One file, one process.
    Sqlite(SqlitePool, Arc<File>),
    /// Shared by replicas.
    Postgres(PgPool),
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("the data directory {0} cannot be used")]
    Directory(PathBuf, #[source] std::io::Error),
    /// Another Berth has it.
    #[error("another Berth already works on {0}; several on one database need PostgreSQL")]
    Taken(PathBuf),
    /// No connection.
    #[error("the database cannot be opened")]
    Connect(#[source] sqlx::Error),
    /// The tables cannot be brought up to date.
    #[error("the database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Runs one query on whichever database is open: `both!(db, |pool| sqlx::query(..).execute(pool).await)`.
macro_rules! both {
    ($db:expr, |$pool:ident| $query:expr) => {
        match $db {
            $crate::server::db::Db::Sqlite($pool, _) => $query,
            $crate::server::db::Db::Postgres($pool) => $query,
        }
    };
}
pub(crate) use both;

/// A transaction on whichever database is open. Dropped without [`Tx::commit`], it changes nothing.
pub enum Tx {
    /// It holds the one lock for writing from its beginning.
    Sqlite(Transaction<'static, Sqlite>),
    /// Each statement in it sees what was committed before that statement.
    Postgres(Transaction<'static, Postgres>),
}

/// Runs one query in a transaction: `within!(tx, |connection| sqlx::query(..).execute(connection).await)`.
macro_rules! within {
    ($tx:expr, |$connection:ident| $query:expr) => {
        match $tx {
            $crate::server::db::Tx::Sqlite(tx) => {
                let $connection = &mut **tx;
                $query
            }
            $crate::server::db::Tx::Postgres(tx) => {
                let $connection = &mut **tx;
                $query
            }
        }
    };
}
pub(crate) use within;

impl Tx {
    /// Keeps what was done in it.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    /// Undoes what was done in it and lets others go on at once.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

/// A statement in two texts: for SQLite, and for PostgreSQL.
pub type Texts = (&'static str, &'static str);

/// The two texts of a statement about a list, which is bound as JSON: `listed!("… WHERE id", "$1", " ORDER BY …")` for the rows whose `id`
/// is in the list `$1`; `as bigint` where it holds numbers.
///
/// SQLite and PostgreSQL unfold one differently. PostgreSQL gets an array, for which it takes an index; to a subquery, which it thinks is
/// long, it prefers reading the whole table.
macro_rules! listed {
    ($before:expr, $place:literal, $after:expr) => {
        (
            concat!($before, " IN (SELECT value FROM json_each(", $place, "))", $after),
            concat!($before, " = ANY (ARRAY(SELECT json_array_elements_text(", $place, "::json)))", $after),
        )
    };
    ($before:expr, $place:literal as bigint, $after:expr) => {
        (
            concat!($before, " IN (SELECT value FROM json_each(", $place, "))", $after),
            concat!($before, " = ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text(", $place, "::json)))", $after),
        )
    };
}
pub(crate) use listed;

/// A list as [`listed!`] wants it bound.
pub fn list<T: Serialize>(items: impl IntoIterator<Item = T>) -> JsonText<Vec<T>> {
    JsonText(items.into_iter().collect())
}

/// A text column that holds JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText<T>(pub T);

impl<T, DB: Database> Type<DB> for JsonText<T>
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        String::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        String::compatible(ty)
    }
}

impl<'q, T: Serialize, DB: Database> Encode<'q, DB> for JsonText<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buf: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        serde_json::to_string(&self.0)?.encode(buf)
    }
}

impl<'r, T: DeserializeOwned, DB: Database> Decode<'r, DB> for JsonText<T>
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(&String::decode(value)?)?))
    }
}

/// Makes types columns of text, by their `Display` and `FromStr`.
macro_rules! text_columns {
    ($($name:ty),+ $(,)?) => {$(
        impl<DB: sqlx::Database> sqlx::Type<DB> for $name
        where
            String: sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                String::type_info()
            }

            fn compatible(ty: &DB::TypeInfo) -> bool {
                String::compatible(ty)
            }
        }

        impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name
        where
            String: sqlx::Encode<'q, DB>,
        {
            fn encode_by_ref(&self, buf: &mut DB::ArgumentBuffer) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                self.to_string().encode(buf)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name
        where
            String: sqlx::Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(String::decode(value)?.parse()?)
            }
        }
    )+};
}
pub(crate) use text_columns;

text_columns!(ClusterName, NodeName, Upid, UserId);

impl<DB: Database> Type<DB> for Vmid
where
    i64: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        i64::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        i64::compatible(ty)
    }
}

impl<'q, DB: Database> Encode<'q, DB> for Vmid
where
    i64: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buf: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        i64::from(self.get()).encode(buf)
    }
}

impl<'r, DB: Database> Decode<'r, DB> for Vmid
where
    i64: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(u32::try_from(i64::decode(value)?)?.try_into()?)
    }
}

/// A part of a long list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// As many as were asked for, or all that are left.
    pub rows: Vec<T>,
    /// Whether there are more behind the last of them.
    pub more: bool,
}

impl<T> Page<T> {
    /// From rows of which one more than `limit` was asked for.
    pub fn of(mut rows: Vec<T>, limit: u32) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        Self { rows, more }
    }
}

/// A length of time as the database counts it.
pub fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

impl Db {
    /// Opens the database that the configuration names, and migrates it.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        match &config.database_url {
            Some(url) => Self::open_postgres(url.expose()).await,
            None => Self::open_sqlite(&config.data_dir).await,
        }
    }

    /// Opens the file in a data directory.
    pub async fn open_sqlite(dir: &Path) -> Result<Self, OpenError> {
        let file_error = |e| OpenError::Directory(dir.to_owned(), e);
        let private = |name: &str| OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(name));
        let lock = private("lock").map_err(file_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken(dir.to_owned())),
            Err(TryLockError::Error(e)) => return Err(file_error(e)),
        }
        // Made here so that it is never open to others; SQLite gives its -wal and -shm the same mode.
        private("berth.db").map_err(file_error)?;
        let options = SqliteConnectOptions::new()
            .filename(dir.join("berth.db"))
            .journal_mode(SqliteJournalMode::Wal)
            // a commit is on the disk before it counts: what an operation is about to do is written down before its call, and a power cut
            // must not take that back
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(OpenError::Connect)?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self::Sqlite(pool, Arc::new(lock)))
    }

    /// Opens a database on a server.
    pub async fn open_postgres(url: &str) -> Result<Self, OpenError> {
        let options = PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(5));
        let pool = options.connect(url).await.map_err(OpenError::Connect)?;
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that writes.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        match self {
            // one that reads first and then wants to write would be refused where another has written in between
            Self::Sqlite(pool, _) => pool.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            Self::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
        }
    }

    /// The text for the database that is open.
    pub fn pick(&self, (sqlite, postgres): Texts) -> &'static str {
        match self {
            Self::Sqlite(..) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// The time by the clock that all replicas share.
    pub async fn now_ms(&self) -> sqlx::Result<i64> {
        let sql = "SELECT now_ms FROM clock";
        both!(self, |pool| sqlx::query_scalar(sql).fetch_one(pool).await)
    }

    /// Ends all connections; whatever is asked afterwards fails. Another process can have the file at once, also where somebody still
    /// holds a handle.
    pub async fn close(&self) {
        both!(self, |pool| pool.close().await);
        if let Self::Sqlite(_, lock) = self
            && let Err(error) = lock.unlock()
        {
            tracing::debug!(%error, "the data directory stays locked until the process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_committed_outlives_a_power_cut() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open_sqlite(dir.path()).await.unwrap();
        let ask = async |sql: &'static str| -> i64 { both!(&db, |pool| sqlx::query_scalar(sql).fetch_one(pool).await).unwrap() };
        // 2 is FULL
        assert_eq!(ask("SELECT synchronous FROM pragma_synchronous").await, 2);
    }
}
