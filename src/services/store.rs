//! The SQL of services. Their credentials are sealed, and no query here reads them.

use super::model::{ServiceId, ServiceKind, ServiceLine, ServiceStatus};
use crate::{
    operations::model::ContainerId,
    server::db::{Db, both, list, listed, text_columns, within},
};

text_columns!(ServiceId, ServiceKind, ServiceStatus);

/// A service of a container.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ServiceRow {
    /// Which.
    pub id: ServiceId,
    /// Of which container.
    pub container_id: ContainerId,
    /// What it is called.
    pub name: String,
    /// What runs it.
    pub kind: ServiceKind,
    /// Where it listens, where it does.
    pub port: Option<i64>,
    /// Where its page is, where it has one.
    pub web_url: Option<String>,
    /// Whether it runs.
    pub status: ServiceStatus,
    /// Whether there are credentials for it.
    pub has_credentials: bool,
    /// When this row was last changed, in epoch milliseconds.
    pub updated_at: i64,
}

impl From<ServiceRow> for ServiceLine {
    fn from(row: ServiceRow) -> Self {
        // a link that a browser follows and does not run
        let is_link = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        Self {
            name: row.name,
            kind: row.kind,
            status: row.status,
            port: row.port.and_then(|port| port.try_into().ok()),
            web_url: row.web_url.filter(is_link),
        }
    }
}

/// What is new about a service. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceChangeRow {
    /// Which.
    pub id: ServiceId,
    /// Whether it runs.
    pub status: ServiceStatus,
    /// Where it listens.
    pub port: Option<u16>,
    /// Where its page is.
    pub web_url: Option<String>,
    /// Its credentials, sealed.
    pub credentials: Option<Vec<u8>>,
}

/// The services of some containers, by name. For the list and a container's page.
pub async fn list_services(db: &Db, containers: &[&ContainerId]) -> sqlx::Result<Vec<ServiceRow>> {
    let sql = db.pick(listed!(
        "SELECT id, container_id, name, kind, port, web_url, status, credentials IS NOT NULL AS has_credentials, updated_at
         FROM container_services WHERE container_id",
        "$1",
        " ORDER BY container_id, name, id"
    ));
    both!(db, |pool| sqlx::query_as(sql).bind(list(containers)).fetch_all(pool).await)
}

/// Changes services of one container, all or none. The first that the container does not have is given back, and nothing has changed.
/// For the discovery of services, which finds all of a container's at once.
pub async fn update_container_services(
    db: &Db,
    container: &ContainerId,
    changes: &[ServiceChangeRow],
) -> sqlx::Result<Result<(), ServiceId>> {
    let sql = "UPDATE container_services
               SET status = $3, port = COALESCE($4, port), web_url = COALESCE($5, web_url), credentials = COALESCE($6, credentials),
                   updated_at = (SELECT now_ms FROM clock)
               WHERE container_id = $1 AND id = $2";
    // in the order of their ids, so that two that change the same ones do not wait for each other
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(|change| &change.id);
    let mut tx = db.begin().await?;
    for change in changes {
        let changed = within!(&mut tx, |connection| sqlx::query(sql)
            .bind(container)
            .bind(&change.id)
            .bind(change.status)
            .bind(change.port.map(i64::from))
            .bind(&change.web_url)
            .bind(&change.credentials)
            .execute(connection)
            .await
            .map(|done| done.rows_affected()))?;
        if changed == 0 {
            tx.rollback().await?;
            return Ok(Err(change.id.clone()));
        }
    }
    tx.commit().await?;
    Ok(Ok(()))
}
