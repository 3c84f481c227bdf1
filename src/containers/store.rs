//! The SQL of containers and nodes: what we know of them. Whoever calls this has seen to it that the asking user may know it too.

use super::{
    model::{Lifecycle, Status},
    snapshot::EXACT_FOR,
};
use crate::{
    events::{
        model::EventId,
        store::{EventRow, EventsOf, list_events, list_latest_events},
    },
    operations::model::ContainerId,
    proxmox::ids::{ClusterName, NodeName, Vmid},
    server::{
        db::{Db, Page, Tx, both, list, listed, millis, text_columns, within},
        ids::new_id,
    },
    services::store::{ServiceRow, list_services},
};
use sqlx::QueryBuilder;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

text_columns!(Status, Lifecycle);

/// How often a node's row is told that the node is still there.
const NODE_SEEN_EVERY: Duration = Duration::from_secs(60);
/// How many new rows one statement holds; SQLite takes 32,766 parameters.
const ROWS_PER_INSERT: usize = 1000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredNodeRow {
    /// Its row.
    pub id: String,
    /// Where it is.
    pub cluster: ClusterName,
    /// Its name.
    pub name: NodeName,
    /// When it last answered, to the minute, in epoch milliseconds.
    pub seen_at: i64,
}

/// A container as we know it, gone or not.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredContainerRow {
    /// Which.
    pub id: ContainerId,
    /// Where it is.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Where it lives, as far as we know.
    pub node: NodeName,
    /// What it was made from.
    pub template_id: Option<String>,
    /// What that is called.
    pub template_name: Option<String>,
    /// Its host name.
    pub hostname: String,
    /// How far our own work on it is.
    pub lifecycle: Lifecycle,
    /// What it did when we last knew.
    pub status: Status,
    /// When that was, in epoch milliseconds, as are the following.
    pub status_at: i64,
    /// What we know it by; none where nobody has read it yet.
    pub fingerprint: Option<String>,
    /// When this row was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
    /// When it had vanished, or been replaced by another under its number.
    pub gone_at: Option<i64>,
}

/// The columns of a [`StoredContainerRow`], and where they come from.
macro_rules! select_containers {
    ($rest:expr) => {
        concat!(
            "SELECT c.id, c.cluster, c.vmid, n.name AS node, c.template_id, t.name AS template_name, c.hostname, c.lifecycle, c.status, \
             c.status_at, c.fingerprint, c.created_at, c.updated_at, c.gone_at \
             FROM containers c JOIN nodes n ON n.id = c.node_id LEFT JOIN templates t ON t.id = c.template_id ",
            $rest
        )
    };
}

/// A container with everything about it that the list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerWithRelations {
    /// The container, its node and its template.
    pub container: StoredContainerRow,
    /// By name.
    pub services: Vec<ServiceRow>,
    /// The latest three, the newest first.
    pub events: Vec<EventRow>,
}

/// A container with everything about it that its page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerWithDetails {
    /// The container, its node and its template.
    pub container: StoredContainerRow,
    /// By name.
    pub services: Vec<ServiceRow>,
    /// The newest first.
    pub events: Page<EventRow>,
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct ContainerCounts {
    /// All.
    pub total: i64,
    /// Those that are being made.
    pub creating: i64,
    /// Those with which there is nothing left to do.
    pub ready: i64,
    /// Those whose making failed.
    pub error: i64,
}

/// A container in a list of Proxmox's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    /// Its number.
    pub vmid: Vmid,
    /// Where it lives.
    pub node: NodeName,
    /// Its host name; none where the list does not say it.
    pub hostname: Option<String>,
    /// Whether it runs.
    pub status: Status,
}

/// What we know of a container that Proxmox lists.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct KnownRow {
    /// Which.
    pub id: ContainerId,
    /// Its number.
    pub vmid: Vmid,
    /// Where it lives.
    pub node: NodeName,
    /// Its host name.
    pub hostname: String,
    /// How far our own work on it is.
    pub lifecycle: Lifecycle,
    /// What it was made from.
    pub template_name: Option<String>,
    /// Whether anybody has read what to know it by.
    pub is_recognised: bool,
    /// What it did when we last knew.
    pub status: Status,
    /// When that was, in epoch milliseconds.
    pub status_at: i64,
}

/// What becomes of a container's row at the end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerEndRow {
    /// Nothing is known that was not known before.
    Unchanged,
    /// It was read.
    Seen {
        /// Where it lives.
        node: NodeName,
        /// What it does.
        status: Status,
        /// Its host name, where that was read.
        hostname: Option<String>,
        /// What to know it by, where that was read.
        fingerprint: Option<String>,
        /// How far our own work on it is, where that has changed.
        lifecycle: Option<Lifecycle>,
    },
    /// It vanished, or is another; its history stays.
    Gone,
    /// We deleted it: its row goes, its services with it; its events stay.
    Deleted,
}

/// The nodes of a cluster that were ever seen, by name. For the strip of nodes above the list, where the cluster does not answer.
pub async fn list_nodes(db: &Db, cluster: &ClusterName) -> sqlx::Result<Vec<StoredNodeRow>> {
    let sql = "SELECT id, cluster, name, seen_at FROM nodes WHERE cluster = $1 ORDER BY name";
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_all(pool).await)
}

/// The first service of each container of a cluster, by its name in lower case. For the list that is sorted by it.
pub async fn list_first_services(db: &Db, cluster: &ClusterName) -> sqlx::Result<Vec<(ContainerId, Option<String>)>> {
    let sql = "SELECT c.id, (SELECT LOWER(MIN(s.name)) FROM container_services s WHERE s.container_id = c.id)
               FROM containers c WHERE c.cluster = $1 AND c.gone_at IS NULL";
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_all(pool).await)
}

/// The latest event of each container of a cluster. For the list that is sorted by it.
pub async fn list_last_events(db: &Db, cluster: &ClusterName) -> sqlx::Result<Vec<(ContainerId, Option<String>)>> {
    // one step into the index for each; GROUP BY would read them all
    let sql = "SELECT c.id, (SELECT MAX(e.id) FROM container_events e WHERE e.container_id = c.id)
               FROM containers c WHERE c.cluster = $1 AND c.gone_at IS NULL";
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_all(pool).await)
}

/// A container. For every verb, which is given its id.
pub async fn get_container_by_id(db: &Db, id: &ContainerId) -> sqlx::Result<Option<StoredContainerRow>> {
    let sql = select_containers!("WHERE c.id = $1");
    both!(db, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)
}

/// The node that a container lives on, as far as we know. For every verb, which asks there first.
pub async fn get_container_node(db: &Db, id: &ContainerId) -> sqlx::Result<Option<StoredNodeRow>> {
    let sql = "SELECT n.id, n.cluster, n.name, n.seen_at FROM containers c JOIN nodes n ON n.id = c.node_id WHERE c.id = $1";
    both!(db, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)
}

/// The container that has this number now. For addresses and forms that have the number, and for recovery.
pub async fn find_living(db: &Db, cluster: &ClusterName, vmid: Vmid) -> sqlx::Result<Option<StoredContainerRow>> {
    let sql = select_containers!("WHERE c.cluster = $1 AND c.vmid = $2 AND c.gone_at IS NULL");
    both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(vmid).fetch_optional(pool).await)
}

/// A container with its node, its template, its services, and a page of its events from the one before `before` on. For the page of a
/// container.
pub async fn get_container_with_details(
    db: &Db,
    id: &ContainerId,
    before: Option<&EventId>,
    limit: u32,
) -> sqlx::Result<Option<ContainerWithDetails>> {
    let Some(container) = get_container_by_id(db, id).await? else { return Ok(None) };
    let services = list_services(db, &[id]).await?;
    let events = list_events(db, EventsOf::Container(id), before, limit).await?;
    Ok(Some(ContainerWithDetails { container, services, events }))
}

/// Containers with their node, template, services and latest three events, the newest container first: those of `ids`, or all living ones
/// of the cluster where none are given. For the list, which asks for the window on screen. Three statements, however many there are.
pub async fn list_containers_with_relations(
    db: &Db,
    cluster: &ClusterName,
    ids: Option<&[ContainerId]>,
) -> sqlx::Result<Vec<ContainerWithRelations>> {
    let containers: Vec<StoredContainerRow> = match ids {
        Some(ids) => {
            let sql = db.pick(listed!(select_containers!("WHERE c.cluster = $1 AND c.id"), "$2", " ORDER BY c.id DESC"));
            both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(list(ids)).fetch_all(pool).await)
        }
        None => {
            let sql = select_containers!("WHERE c.cluster = $1 AND c.gone_at IS NULL ORDER BY c.id DESC");
            both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_all(pool).await)
        }
    }?;
    let ids: Vec<_> = containers.iter().map(|container| &container.id).collect();
    let mut services: HashMap<ContainerId, Vec<ServiceRow>> = HashMap::new();
    for service in list_services(db, &ids).await? {
        services.entry(service.container_id.clone()).or_default().push(service);
    }
    let mut events: HashMap<ContainerId, Vec<EventRow>> = HashMap::new();
    for event in list_latest_events(db, &ids).await? {
        events.entry(event.container_id.clone()).or_default().push(event);
    }
    let with_relations = |container: StoredContainerRow| ContainerWithRelations {
        services: services.remove(&container.id).unwrap_or_default(),
        events: events.remove(&container.id).unwrap_or_default(),
        container,
    };
    Ok(containers.into_iter().map(with_relations).collect())
}

/// How many living containers there are by lifecycle: of `ids`, or of the whole cluster where none are given, which is for a user who may
/// see all of it. For the line above the list.
pub async fn get_container_counts(db: &Db, cluster: &ClusterName, ids: Option<&[ContainerId]>) -> sqlx::Result<ContainerCounts> {
    match ids {
        Some(ids) => {
            let sql = db.pick(listed!(
                "SELECT COUNT(*) AS total, COUNT(CASE lifecycle WHEN 'creating' THEN 1 END) AS creating,
                     COUNT(CASE lifecycle WHEN 'ready' THEN 1 END) AS ready, COUNT(CASE lifecycle WHEN 'error' THEN 1 END) AS error
                 FROM containers WHERE cluster = $1 AND gone_at IS NULL AND id",
                "$2",
                ""
            ));
            both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(list(ids)).fetch_one(pool).await)
        }
        None => {
            let sql = "SELECT CAST(COALESCE(SUM(number), 0) AS BIGINT) AS total,
                           CAST(COALESCE(SUM(CASE lifecycle WHEN 'creating' THEN number END), 0) AS BIGINT) AS creating,
                           CAST(COALESCE(SUM(CASE lifecycle WHEN 'ready' THEN number END), 0) AS BIGINT) AS ready,
                           CAST(COALESCE(SUM(CASE lifecycle WHEN 'error' THEN number END), 0) AS BIGINT) AS error
                       FROM container_counts WHERE cluster = $1";
            both!(db, |pool| sqlx::query_as(sql).bind(cluster).fetch_one(pool).await)
        }
    }
}

/// Removes a container's row and its services; its events and operations stay. False where there is none. For whoever clears away a row
/// whose creation never came to anything; the verb delete does it in [`crate::operations::store::finish`].
pub async fn delete_container_by_id(db: &Db, id: &ContainerId) -> sqlx::Result<bool> {
    both!(db, |pool| sqlx::query(DELETE).bind(id).execute(pool).await.map(|done| done.rows_affected() == 1))
}

const DELETE: &str = "DELETE FROM containers WHERE id = $1";

/// Sets how far our own work on a container is. False where there is none. For the steps of a creation.
pub async fn update_container_lifecycle(db: &Db, id: &ContainerId, lifecycle: Lifecycle) -> sqlx::Result<bool> {
    let sql = "UPDATE containers SET lifecycle = $2, updated_at = (SELECT now_ms FROM clock) WHERE id = $1";
    both!(db, |pool| sqlx::query(sql).bind(id).bind(lifecycle).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// Keeps what a container is to be known by, where nobody has read that before. False where somebody has. For the reads in the background,
/// which no verb waits for.
pub async fn record_fingerprint(db: &Db, id: &ContainerId, fingerprint: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE containers SET fingerprint = $2, updated_at = (SELECT now_ms FROM clock)
               WHERE id = $1 AND fingerprint IS NULL AND gone_at IS NULL";
    both!(db, |pool| sqlx::query(sql).bind(id).bind(fingerprint).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// Keeps what a container is to be known by. False where there is none. For the first read, and for one that shows a change of its own.
pub async fn set_fingerprint(db: &Db, id: &ContainerId, fingerprint: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE containers SET fingerprint = $2, updated_at = (SELECT now_ms FROM clock) WHERE id = $1";
    both!(db, |pool| sqlx::query(sql).bind(id).bind(fingerprint).execute(pool).await.map(|done| done.rows_affected() == 1))
}

/// A container has vanished, or another has its number: its row keeps its history and makes room for the other. False where that was
/// known. For whoever has read it from Proxmox itself, and never from a list, in which a container is only not visible.
pub async fn retire(db: &Db, id: &ContainerId) -> sqlx::Result<bool> {
    both!(db, |pool| sqlx::query(RETIRE).bind(id).execute(pool).await.map(|done| done.rows_affected() == 1))
}

const RETIRE: &str = "UPDATE containers SET gone_at = (SELECT now_ms FROM clock), updated_at = (SELECT now_ms FROM clock)
                      WHERE id = $1 AND gone_at IS NULL";

/// Brings a container's row up to date in the transaction that ends an operation.
pub(crate) async fn write_end(tx: &mut Tx, id: &ContainerId, end: &ContainerEndRow) -> sqlx::Result<()> {
    match end {
        ContainerEndRow::Unchanged => Ok(()),
        ContainerEndRow::Gone => within!(tx, |connection| sqlx::query(RETIRE).bind(id).execute(connection).await.map(|_| ())),
        ContainerEndRow::Deleted => within!(tx, |connection| sqlx::query(DELETE).bind(id).execute(connection).await.map(|_| ())),
        ContainerEndRow::Seen { node, status, hostname, fingerprint, lifecycle } => {
            let cluster = "SELECT cluster FROM containers WHERE id = $1";
            let cluster: Option<ClusterName> =
                within!(&mut *tx, |connection| sqlx::query_scalar(cluster).bind(id).fetch_optional(connection).await)?;
            // a row that is gone has nothing to be brought up to date
            let Some(cluster) = cluster else { return Ok(()) };
            insert_node(tx, &cluster, node).await?;
            let sql = "UPDATE containers
                       SET node_id = (SELECT n.id FROM nodes n WHERE n.cluster = $2 AND n.name = $3), status = $4,
                           status_at = (SELECT now_ms FROM clock), hostname = COALESCE($5, hostname),
                           fingerprint = COALESCE($6, fingerprint), lifecycle = COALESCE($7, lifecycle),
                           updated_at = (SELECT now_ms FROM clock)
                       WHERE id = $1";
            within!(tx, |connection| sqlx::query(sql)
                .bind(id)
                .bind(&cluster)
                .bind(node)
                .bind(status)
                .bind(hostname)
                .bind(fingerprint)
                .bind(lifecycle)
                .execute(connection)
                .await
                .map(|_| ()))
        }
    }
}

/// Sees to it that there is a row for a node.
async fn insert_node(tx: &mut Tx, cluster: &ClusterName, node: &NodeName) -> sqlx::Result<()> {
    let sql = "INSERT INTO nodes (id, cluster, name, seen_at) VALUES ($1, $2, $3, (SELECT now_ms FROM clock))
               ON CONFLICT (cluster, name) DO NOTHING";
    within!(tx, |connection| sqlx::query(sql).bind(new_id()).bind(cluster).bind(node).execute(connection).await.map(|_| ()))
}

/// Brings our rows in line with a list that Proxmox gave some user: unknown containers and nodes get a row, what has moved, got another
/// name or another status follows. Answers with the row, as it was before, of each that nobody has deleted meanwhile. For every new list; where nothing has
/// changed, nothing is written.
///
/// What is not in the list is not touched: it may only be invisible to this user. A status that was written less than [`EXACT_FOR`] ago
/// outranks the list's, which lags and flips.
pub async fn upsert_seen(
    db: &Db,
    cluster: &ClusterName,
    nodes_online: &[NodeName],
    seen: &[SeenRow],
) -> sqlx::Result<HashMap<Vmid, KnownRow>> {
    let now = db.now_ms().await?;
    upsert_nodes(db, cluster, nodes_online, seen, now).await?;
    let known = list_known(db, cluster, seen).await?;
    let mut changed: Vec<(&KnownRow, &SeenRow, Status)> = Vec::new();
    let mut new: Vec<&SeenRow> = Vec::new();
    for row in seen {
        match known.get(&row.vmid) {
            None => new.push(row),
            Some(known) => {
                let fresh = now - known.status_at < millis(EXACT_FOR);
                let status = if fresh { known.status } else { row.status };
                let is_named = row.hostname.as_ref().is_none_or(|hostname| *hostname == known.hostname);
                if !is_named || (&known.node, known.status) != (&row.node, status) {
                    changed.push((known, row, status));
                }
            }
        }
    }
    update_changed(db, cluster, changed).await?;
    if new.is_empty() {
        return Ok(known);
    }
    insert_new(db, cluster, new).await?;
    // once more, because another list may have been faster with some of them
    list_known(db, cluster, seen).await
}

async fn list_known(db: &Db, cluster: &ClusterName, seen: &[SeenRow]) -> sqlx::Result<HashMap<Vmid, KnownRow>> {
    let sql = db.pick(listed!(
        "SELECT c.id, c.vmid, n.name AS node, c.hostname, c.lifecycle, t.name AS template_name, c.fingerprint IS NOT NULL AS is_recognised,
             c.status, c.status_at
         FROM containers c JOIN nodes n ON n.id = c.node_id LEFT JOIN templates t ON t.id = c.template_id
         WHERE c.cluster = $1 AND c.gone_at IS NULL AND c.vmid",
        "$2" as bigint,
        ""
    ));
    let vmids = list(seen.iter().map(|row| row.vmid));
    let rows: Vec<KnownRow> = both!(db, |pool| sqlx::query_as(sql).bind(cluster).bind(vmids).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|row| (row.vmid, row)).collect())
}

/// Rows for the cluster and its nodes: those that answer, and those that containers are on.
async fn upsert_nodes(db: &Db, cluster: &ClusterName, online: &[NodeName], seen: &[SeenRow], now: i64) -> sqlx::Result<()> {
    let stored: HashMap<NodeName, i64> = list_nodes(db, cluster).await?.into_iter().map(|node| (node.name, node.seen_at)).collect();
    // in the order of their names, so that two lists do not wait for each other
    let missing: BTreeSet<&NodeName> =
        online.iter().chain(seen.iter().map(|row| &row.node)).filter(|node| !stored.contains_key(node)).collect();
    let stale = |node: &&NodeName| stored.get(node).is_some_and(|at| now - at >= millis(NODE_SEEN_EVERY));
    let stale: BTreeSet<&NodeName> = online.iter().filter(stale).collect();
    if missing.is_empty() && stale.is_empty() {
        return Ok(());
    }
    let first = "INSERT INTO clusters (name, first_seen_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    let again = "UPDATE nodes SET seen_at = $3 WHERE cluster = $1 AND name = $2";
    let mut tx = db.begin().await?;
    within!(&mut tx, |connection| sqlx::query(first).bind(cluster).bind(now).execute(connection).await.map(|_| ()))?;
    for node in missing {
        insert_node(&mut tx, cluster, node).await?;
    }
    for node in stale {
        within!(&mut tx, |connection| sqlx::query(again).bind(cluster).bind(node).bind(now).execute(connection).await.map(|_| ()))?;
    }
    tx.commit().await
}

async fn update_changed(db: &Db, cluster: &ClusterName, mut changed: Vec<(&KnownRow, &SeenRow, Status)>) -> sqlx::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    // An exact read that was written in between stays.
    let sql = "UPDATE containers
               SET node_id = (SELECT n.id FROM nodes n WHERE n.cluster = $2 AND n.name = $3),
                   hostname = COALESCE($4, hostname), status = $5, status_at = CASE status WHEN $5 THEN status_at ELSE (SELECT now_ms FROM clock) END,
                   updated_at = (SELECT now_ms FROM clock)
               WHERE id = $1 AND status_at = $6";
    // in one order, so that two lists do not wait for each other
    changed.sort_by(|(a, ..), (b, ..)| a.id.cmp(&b.id));
    let mut tx = db.begin().await?;
    for (known, row, status) in changed {
        within!(&mut tx, |connection| sqlx::query(sql)
            .bind(&known.id)
            .bind(cluster)
            .bind(&row.node)
            .bind(&row.hostname)
            .bind(status)
            .bind(known.status_at)
            .execute(connection)
            .await
            .map(|_| ()))?;
    }
    tx.commit().await
}

async fn insert_new(db: &Db, cluster: &ClusterName, mut new: Vec<&SeenRow>) -> sqlx::Result<()> {
    let nodes: HashMap<NodeName, String> = list_nodes(db, cluster).await?.into_iter().map(|node| (node.name, node.id)).collect();
    let now = db.now_ms().await?;
    // In one order and a statement each without a transaction around them: whoever waits for another's rows holds no count yet.
    new.sort_by_key(|row| row.vmid);
    for rows in new.chunks(ROWS_PER_INSERT) {
        both!(db, |pool| {
            let mut insert = QueryBuilder::new(
                "INSERT INTO containers (id, cluster, vmid, node_id, hostname, lifecycle, status, status_at, created_at, updated_at) ",
            );
            insert.push_values(rows, |mut values, row| {
                values
                    .push_bind(new_id())
                    .push_bind(cluster)
                    .push_bind(row.vmid)
                    .push_bind(nodes.get(&row.node))
                    .push_bind(row.hostname.clone().unwrap_or_else(|| format!("CT {}", row.vmid)))
                    .push_bind(Lifecycle::Ready)
                    .push_bind(row.status)
                    .push_bind(now)
                    .push_bind(now)
                    .push_bind(now);
            });
            insert.push(" ON CONFLICT (cluster, vmid) WHERE gone_at IS NULL DO NOTHING");
            insert.build().execute(pool).await.map(|_| ())
        })?;
    }
    Ok(())
}
