//! What the stream tells of: operations that have begun, gone on or ended, here or at another replica.

use super::{
    model::{ContainerId, Verb},
    store::{self, OperationRow},
};
use crate::{
    containers::{inventory::Inventory, service::LIST_WITHIN},
    proxmox::ids::ClusterName,
    server::{
        AppState,
        context::SignedIn,
        db::Db,
        live::{Change, Live, Source},
    },
};
use async_trait::async_trait;
use tokio::sync::watch;
use tower_sessions::session::Id;

/// The changes of operations.
pub type LiveOperations = Live<About>;

/// How far back the first reading goes, and every other beyond the one before: what was written then may have been committed since.
const OVERLAP_MS: i64 = 3000;

/// Whose operation changed.
#[derive(Debug, Clone)]
pub struct About {
    container: ContainerId,
    cluster: ClusterName,
    /// Who hears of it although its container is in no list any more.
    deleted_by: Option<crate::proxmox::ids::UserId>,
}

/// Reads them from the database.
#[derive(Clone)]
pub struct ChangedOperations {
    /// Where they are.
    pub db: Db,
    /// Who sees which containers.
    pub inventory: Inventory,
}

fn change(row: OperationRow) -> Change<About> {
    let deleted_by = (row.verb == Verb::Delete).then_some(row.actor);
    let about = About { container: row.container_id, cluster: row.cluster, deleted_by };
    Change { key: format!("{}-{}", row.id, row.updated_at), about }
}

#[async_trait]
impl Source for ChangedOperations {
    type About = About;

    async fn latest(&self, since: Option<i64>) -> Result<(Vec<Change<About>>, i64), sqlx::Error> {
        let now = self.db.now_ms().await?;
        let rows = store::list_changed_since(&self.db, since.unwrap_or(now) - OVERLAP_MS).await?;
        Ok((rows.into_iter().map(change).collect(), now))
    }

    fn word(&self, about: &About, listener: &SignedIn) -> Option<String> {
        let viewer = (listener.cluster.clone(), listener.user.clone());
        let is_theirs = about.cluster == listener.cluster
            && (self.inventory.shows(&viewer, &about.container, LIST_WITHIN) || about.deleted_by.as_ref() == Some(&listener.user));
        is_theirs.then(|| about.container.to_string())
    }

    fn list(&self, state: &AppState, listener: &SignedIn, session: Id) -> watch::Receiver<u64> {
        self.inventory.listen(state, listener, session)
    }
}
