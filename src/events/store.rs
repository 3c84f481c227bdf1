//! The SQL of events.

use super::model::{ContainerEvent, EventId, EventKind};
use crate::{
    containers::model::Status,
    operations::model::{ContainerId, Manner, OperationId, Verb},
    proxmox::ids::{ClusterName, Upid, UserId, Vmid},
    server::{
        db::{Db, Page, Tx, both, list, text_columns, within},
        ids::new_id,
    },
};

text_columns!(EventId, EventKind);

/// An event that is to be written. Its id and time are given to it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEventRow {
    /// The container's row, which the event may outlive.
    pub container_id: ContainerId,
    /// Where the container is.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it is now.
    pub hostname: String,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: UserId,
    /// From which address, where it was asked for over the network.
    pub source: Option<String>,
    /// In which operation.
    pub operation_id: Option<OperationId>,
    /// What was asked for.
    pub verb: Option<Verb>,
    /// By which task.
    pub upid: Option<Upid>,
    /// See [`crate::operations::model::result_code`].
    pub code: String,
    /// How the container was brought to stand.
    pub manner: Option<Manner>,
    /// What it did before.
    pub before: Option<Status>,
    /// What it does now.
    pub after: Option<Status>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    /// Which. Ids sort by time.
    pub id: EventId,
    /// The container's row, which may be no more.
    pub container_id: ContainerId,
    /// Where the container was.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name as it was.
    pub hostname: String,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: UserId,
    /// From which address.
    pub source: Option<String>,
    /// In which operation.
    pub operation_id: Option<OperationId>,
    /// What was asked for.
    pub verb: Option<Verb>,
    /// By which task.
    pub upid: Option<Upid>,
    /// See [`crate::operations::model::result_code`].
    pub code: String,
    /// How the container was brought to stand.
    pub manner: Option<Manner>,
    /// What it did before.
    pub before: Option<Status>,
    /// What it did afterwards.
    pub after: Option<Status>,
    /// When, in epoch milliseconds.
    pub at: i64,
}

impl From<EventRow> for ContainerEvent {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            vmid: row.vmid,
            name: row.hostname,
            kind: row.kind,
            actor: row.actor,
            source: row.source,
            operation: row.operation_id,
            verb: row.verb,
            upid: row.upid,
            code: row.code,
            manner: row.manner,
            before: row.before,
            after: row.after,
            at: row.at,
        }
    }
}

/// All columns of an [`EventRow`], of the table or alias `e`.
macro_rules! event_columns {
    () => {
        "e.id, e.container_id, e.cluster, e.vmid, e.hostname, e.kind, e.actor, e.source, e.operation_id, e.verb, e.upid, e.code, \
         e.manner, e.before, e.after, e.at"
    };
}

/// Whose events.
#[derive(Debug, Clone, Copy)]
pub enum EventsOf<'a> {
    /// Of one container, gone or not.
    Container(&'a ContainerId),
    /// Of every container that has had this number.
    Vmid(&'a ClusterName, Vmid),
}

/// Sorts behind every id: what is older than this is everything.
pub const NEWEST: &str = "g";

/// The statement that writes an event, for either database.
macro_rules! insert {
    ($event:expr) => {
        sqlx::query(
            "INSERT INTO container_events (id, container_id, cluster, vmid, hostname, kind, actor, source, operation_id, verb, upid, code,
                 manner, before, after, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, (SELECT now_ms FROM clock))",
        )
        .bind(new_id())
        .bind(&$event.container_id)
        .bind(&$event.cluster)
        .bind($event.vmid)
        .bind(&$event.hostname)
        .bind($event.kind)
        .bind(&$event.actor)
        .bind(&$event.source)
        .bind(&$event.operation_id)
        .bind($event.verb)
        .bind(&$event.upid)
        .bind(&$event.code)
        .bind($event.manner)
        .bind($event.before)
        .bind($event.after)
    };
}

/// Writes an event. For what no operation ends with: a verb that was refused, a service that is ready, a script that has ended.
pub async fn create_container_event(db: &Db, event: &NewEventRow) -> sqlx::Result<()> {
    both!(db, |pool| insert!(event).execute(pool).await.map(|_| ()))
}

/// Writes an event in a transaction. For the end of every operation, in [`crate::operations::store::finish`].
pub async fn insert_event(tx: &mut Tx, event: &NewEventRow) -> sqlx::Result<()> {
    within!(tx, |connection| insert!(event).execute(connection).await.map(|_| ()))
}

/// Events, the newest first, from the one before `before` on.
pub async fn list_events(db: &Db, of: EventsOf<'_>, before: Option<&EventId>, limit: u32) -> sqlx::Result<Page<EventRow>> {
    list_filtered_events(db, of, &EventFilterRow::default(), before, limit).await
}

/// Which events; what is none lets all through.
#[derive(Debug, Clone, Default)]
pub struct EventFilterRow {
    /// The word for the kind of thing: a verb, or `create`, `service`, `other`.
    pub what: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// The word for its end: `ok`, `warnings`, `failed` or `refused`.
    pub ended: Option<String>,
}

/// The conditions of a filter, whose words are `$4` to `$6`. An event has its kind of thing from its verb where there is one.
macro_rules! filtered {
    () => {
        " AND (CAST($4 AS TEXT) IS NULL OR $4 = COALESCE(e.verb, CASE e.kind WHEN 'created' THEN 'create' WHEN 'service_ready' THEN 'service'
               WHEN 'script_completed' THEN 'service' ELSE 'other' END))
          AND (CAST($5 AS TEXT) IS NULL OR e.actor = $5)
          AND (CAST($6 AS TEXT) IS NULL OR $6 = CASE WHEN e.kind IN ('failed', 'refused') THEN e.kind WHEN e.code = 'warnings' THEN 'warnings'
               WHEN e.manner = 'forced' AND e.verb <> 'stop' THEN 'warnings' ELSE 'ok' END)
          ORDER BY e.id DESC LIMIT "
    };
}

/// Events, the newest first, from the one before `before` on, as a filter lets them through. For a container's page.
pub async fn list_filtered_events(
    db: &Db,
    of: EventsOf<'_>,
    filter: &EventFilterRow,
    before: Option<&EventId>,
    limit: u32,
) -> sqlx::Result<Page<EventRow>> {
    let before = before.map_or(NEWEST, EventId::as_str);
    let asked = i64::from(limit) + 1;
    let EventFilterRow { what, actor, ended } = filter;
    let rows = match of {
        EventsOf::Container(id) => {
            let sql =
                concat!("SELECT ", event_columns!(), " FROM container_events e WHERE e.container_id = $1 AND e.id < $2", filtered!(), "$3");
            both!(db, |pool| sqlx::query_as(sql).bind(id).bind(before).bind(asked).bind(what).bind(actor).bind(ended).fetch_all(pool).await)
        }
        EventsOf::Vmid(cluster, vmid) => {
            let sql = concat!(
                "SELECT ",
                event_columns!(),
                " FROM container_events e WHERE e.cluster = $1 AND e.vmid = $7 AND e.id < $2",
                filtered!(),
                "$3"
            );
            both!(db, |pool| sqlx::query_as(sql)
                .bind(cluster)
                .bind(before)
                .bind(asked)
                .bind(what)
                .bind(actor)
                .bind(ended)
                .bind(vmid)
                .fetch_all(pool)
                .await)
        }
    }?;
    Ok(Page::of(rows, limit))
}

/// How many of a container's actors are told at most.
pub const MOST_ACTORS: u32 = 50;

/// Those of whom there are events for which a condition holds, in their order, as many as the number that follows. Each is found by an
/// index behind the one before, so that it costs as much as there are actors; DISTINCT would read all their events.
macro_rules! actors_where {
    ($of:literal) => {
        concat!(
            "WITH RECURSIVE actors (actor) AS (
                 SELECT MIN(e.actor) FROM container_events e WHERE ",
            $of,
            "    UNION ALL
                 SELECT (SELECT MIN(e.actor) FROM container_events e WHERE ",
            $of,
            "            AND e.actor > actors.actor) FROM actors WHERE actors.actor IS NOT NULL
             )
             SELECT actor FROM actors WHERE actor IS NOT NULL LIMIT "
        )
    };
}

/// Everybody who has done something, at most so many. For the filter on a container's page.
pub async fn list_actors(db: &Db, of: EventsOf<'_>, limit: u32) -> sqlx::Result<Vec<UserId>> {
    let limit = i64::from(limit);
    match of {
        EventsOf::Container(id) => {
            let sql = concat!(actors_where!("e.container_id = $1"), "$2");
            both!(db, |pool| sqlx::query_scalar(sql).bind(id).bind(limit).fetch_all(pool).await)
        }
        EventsOf::Vmid(cluster, vmid) => {
            let sql = concat!(actors_where!("e.cluster = $1 AND e.vmid = $2"), "$3");
            both!(db, |pool| sqlx::query_scalar(sql).bind(cluster).bind(vmid).bind(limit).fetch_all(pool).await)
        }
    }
}

/// The latest three events of each of some containers, the newest first within a container. For the list.
pub async fn list_latest_events(db: &Db, containers: &[&ContainerId]) -> sqlx::Result<Vec<EventRow>> {
    // One look into the index per container, and three steps from there. A window function would number every event of these containers
    // first; and without LATERAL, which SQLite does not have, PostgreSQL would look for the list's containers in all events.
    let sql = db.pick((
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM json_each($1) AS wanted CROSS JOIN container_events e
                ON e.id IN (SELECT x.id FROM container_events x WHERE x.container_id = wanted.value ORDER BY x.id DESC LIMIT 3)
              ORDER BY e.container_id, e.id DESC"
        ),
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM json_array_elements_text($1::json) AS wanted (id)
              CROSS JOIN LATERAL (SELECT * FROM container_events x WHERE x.container_id = wanted.id ORDER BY x.id DESC LIMIT 3) AS e
              ORDER BY e.container_id, e.id DESC"
        ),
    ));
    both!(db, |pool| sqlx::query_as(sql).bind(list(containers)).fetch_all(pool).await)
}
