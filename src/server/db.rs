//! Our database: one SQLite file, or PostgreSQL where several replicas share it.
//!
//! A query is written once, with `$1` placeholders and `ON CONFLICT`, which both understand; [`both!`] runs it on whichever is open.
//! Times are epoch seconds.

use super::config::Config;
use sqlx::{
    PgPool, SqlitePool,
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

impl Db {
    /// Opens the database that the configuration names, and migrates it.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        match &config.database_url {
            Some(url) => Self::open_postgres(url.expose()).await,
            None => Self::open_sqlite(&config.data_dir).await,
        }
    }

    async fn open_sqlite(dir: &Path) -> Result<Self, OpenError> {
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
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(OpenError::Connect)?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self::Sqlite(pool, Arc::new(lock)))
    }

    async fn open_postgres(url: &str) -> Result<Self, OpenError> {
        let options = PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(5));
        let pool = options.connect(url).await.map_err(OpenError::Connect)?;
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Ends all connections; whatever is asked afterwards fails.
    pub async fn close(&self) {
        both!(self, |pool| pool.close().await);
    }
}
