//! The SQL of containers, operations, events and services, on a database of its own for every test.

use crate::harness::Postgres;
use berth::{
    containers::{
        model::{Lifecycle, Status},
        store::{
            ContainerCounts, ContainerEndRow, SeenRow, delete_container_by_id, find_living, get_container_by_id, get_container_counts,
            get_container_node, get_container_with_details, list_containers_with_relations, list_nodes, retire, set_fingerprint,
            update_container_lifecycle, upsert_seen,
        },
    },
    error::AppError,
    events::{
        model::EventKind,
        store::{EventsOf, NewEventRow, create_container_event, list_events},
    },
    operations::{
        model::{Call, ContainerId, Manner, OperationId, OperationState, OperationView, Stage, Verb},
        store::{
            Claim, FinishRow, Held, IntentRow, NewOperationRow, OperationsOf, Terms, claim, finish, get_operation, get_operations,
            get_ticket, list_changed_since, list_current, list_open, list_operations, list_unknown, renew_lease, renew_ticket, set_intent,
            set_stage, set_upid, take_over,
        },
    },
    proxmox::ids::{ClusterName, NodeName, Upid, UserId, Vmid},
    server::{db::Db, ids::new_id, lease::Holder},
    services::{
        model::{ServiceId, ServiceStatus},
        store::{ServiceChangeRow, update_container_services},
    },
};
use std::time::Duration;
use strum::IntoEnumIterator;

const SECOND: Duration = Duration::from_secs(1);

/// A database of its own.
struct Store {
    db: Db,
    _data: tempfile::TempDir,
    _postgres: Option<Postgres>,
}

fn homelab() -> ClusterName {
    "homelab".parse().unwrap()
}

fn vmid(number: u32) -> Vmid {
    number.try_into().unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn alice() -> UserId {
    "alice@pve".parse().unwrap()
}

fn seen(number: u32, on: &str, status: Status) -> SeenRow {
    SeenRow { vmid: vmid(number), node: node(on), hostname: Some(format!("ct{number}")), status }
}

fn upid(number: u32) -> Upid {
    format!("UPID:pve1:{number:08X}:00029807:6B0325C5:vzstart:101:alice@pve:").parse().unwrap()
}

impl Store {
    async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let postgres = Postgres::database().await;
        let db = match &postgres {
            Some(postgres) => Db::open_postgres(postgres.url.expose()).await,
            None => Db::open_sqlite(data.path()).await,
        };
        Self { db: db.unwrap(), _data: data, _postgres: postgres }
    }

    /// With these containers, all on one node.
    async fn with(numbers: impl IntoIterator<Item = u32>) -> (Self, Vec<ContainerId>) {
        let store = Self::open().await;
        let rows: Vec<_> = numbers.into_iter().map(|number| seen(number, "pve1", Status::Stopped)).collect();
        let ids = store.see(&rows).await;
        (store, ids)
    }

    /// A list of Proxmox's; gives the ids of its containers in its order.
    async fn see(&self, rows: &[SeenRow]) -> Vec<ContainerId> {
        let ids = upsert_seen(&self.db, &homelab(), &[node("pve1")], rows).await.unwrap();
        rows.iter().map(|row| ids[&row.vmid].id.clone()).collect()
    }

    async fn execute(&self, sql: &str) -> sqlx::Result<u64> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Sqlite(pool, _) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
            Db::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
        }
    }

    async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.db {
            Db::Sqlite(pool, _) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Db::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .unwrap()
    }

    /// As if everybody's leases had been over for a minute.
    async fn expire_leases(&self) {
        self.execute("UPDATE leases SET until_at = until_at - 3600000").await.unwrap();
    }

    async fn service(&self, container: &ContainerId, name: &str) -> ServiceId {
        let id = new_id();
        let sealed = if matches!(self.db, Db::Sqlite(..)) { "x'5ea1ed'" } else { "'\\x5ea1ed'" };
        let sql = format!(
            "INSERT INTO container_services (id, container_id, name, kind, port, web_url, status, credentials, updated_at)
             VALUES ('{id}', '{container}', '{name}', 'systemd', 80, 'http://{name}', 'installing', {sealed}, 1)"
        );
        self.execute(&sql).await.unwrap();
        id.parse().unwrap()
    }

    async fn begin(&self, container: &ContainerId, number: u32, holder: &Holder) -> OperationId {
        let row = operation(container, number, Verb::Start);
        assert_eq!(claim(&self.db, &row, &terms(holder)).await.unwrap(), Claim::Taken);
        row.id
    }
}

fn event(container: &ContainerId, number: u32, kind: EventKind) -> NewEventRow {
    NewEventRow {
        container_id: container.clone(),
        cluster: homelab(),
        vmid: vmid(number),
        hostname: format!("ct{number}"),
        kind,
        actor: alice(),
        source: Some("192.0.2.7".into()),
        operation_id: None,
        verb: Some(Verb::Start),
        upid: Some(upid(1)),
        code: "ok".into(),
        manner: None,
        before: Some(Status::Stopped),
        after: Some(Status::Running),
    }
}

fn operation(container: &ContainerId, number: u32, verb: Verb) -> NewOperationRow {
    NewOperationRow {
        id: OperationId::fresh(),
        container_id: container.clone(),
        cluster: homelab(),
        vmid: vmid(number),
        hostname: format!("ct{number}"),
        node: node("pve1"),
        verb,
        graceful_only: false,
        actor: alice(),
        source: Some("192.0.2.7".into()),
        before: Some(Status::Stopped),
        ticket: b"sealed".to_vec(),
        deadline: 30 * SECOND,
    }
}

/// Of somebody who has looked after all that there was.
fn terms(holder: &Holder) -> Terms {
    Terms { holder: holder.clone(), length: 30 * SECOND, grace: 10 * SECOND, batch: None, looked_at: i64::MAX }
}

fn done(container: &ContainerId, number: u32) -> FinishRow {
    FinishRow {
        state: OperationState::Succeeded,
        warnings: false,
        error: None,
        manner: None,
        after: Some(Status::Running),
        container: running_on("pve1"),
        events: vec![event(container, number, EventKind::Started)],
    }
}

fn running_on(name: &str) -> ContainerEndRow {
    ContainerEndRow::Seen { node: node(name), status: Status::Running, hostname: None, fingerprint: None, lifecycle: None }
}

fn kinds(events: &[berth::events::store::EventRow]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

// --- the checklist ---

#[tokio::test]
async fn row_22_the_list_has_node_template_services_and_the_latest_three_events_newest_first() {
    let (store, ids) = Store::with([101, 102, 103]).await;
    store.execute("INSERT INTO templates (id, name, created_at) VALUES ('t1', 'web3', 1)").await.unwrap();
    store.execute("UPDATE containers SET template_id = 't1' WHERE vmid = 102").await.unwrap();
    store.service(&ids[1], "nginx").await;
    store.service(&ids[1], "app").await;
    for kind in [EventKind::Created, EventKind::Started, EventKind::Failed, EventKind::Stopped, EventKind::Refused] {
        create_container_event(&store.db, &event(&ids[1], 102, kind)).await.unwrap();
    }
    create_container_event(&store.db, &event(&ids[2], 103, EventKind::Created)).await.unwrap();

    let all = list_containers_with_relations(&store.db, &homelab(), None).await.unwrap();
    let numbers: Vec<_> = all.iter().map(|row| row.container.vmid.get()).collect();
    assert_eq!(numbers, [103, 102, 101], "the newest container first");
    let row = &all[1];
    assert_eq!((row.container.node.as_str(), row.container.template_name.as_deref()), ("pve1", Some("web3")));
    assert_eq!(row.container.template_id.as_deref(), Some("t1"));
    assert_eq!(row.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["app", "nginx"]);
    assert!(row.services.iter().all(|service| service.has_credentials));
    assert_eq!(kinds(&row.events), [EventKind::Refused, EventKind::Stopped, EventKind::Failed]);
    assert_eq!(kinds(&all[0].events), [EventKind::Created]);
    assert_eq!((all[2].events.len(), all[2].services.len(), &all[2].container.template_name), (0, 0, &None));

    let window = list_containers_with_relations(&store.db, &homelab(), Some(&ids[..2])).await.unwrap();
    assert_eq!(window, all[1..], "the ids of a window give these alone");
    assert_eq!(list_containers_with_relations(&store.db, &homelab(), Some(&[])).await.unwrap(), []);
    let elsewhere = "elsewhere".parse().unwrap();
    assert_eq!(list_containers_with_relations(&store.db, &elsewhere, Some(&ids)).await.unwrap(), [], "of one cluster alone");
}

#[tokio::test]
async fn row_23_the_counts_by_lifecycle_are_those_of_the_fixture() {
    let (store, ids) = Store::with(101..=110).await;
    let counts = async |ids: Option<&[ContainerId]>| get_container_counts(&store.db, &homelab(), ids).await.unwrap();
    for (id, lifecycle) in ids.iter().zip([Lifecycle::Creating, Lifecycle::Creating, Lifecycle::Error]) {
        assert!(update_container_lifecycle(&store.db, id, lifecycle).await.unwrap());
    }
    let expected = ContainerCounts { total: 10, creating: 2, ready: 7, error: 1 };
    assert_eq!(counts(None).await, expected);
    assert_eq!(counts(Some(&ids)).await, expected);
    assert_eq!(counts(Some(&ids[1..4])).await, ContainerCounts { total: 3, creating: 1, ready: 1, error: 1 });
    assert_eq!(counts(Some(&[])).await, ContainerCounts { total: 0, creating: 0, ready: 0, error: 0 });

    // whatever changes them: gone, deleted, back to life, several at once, another cluster
    retire(&store.db, &ids[0]).await.unwrap();
    delete_container_by_id(&store.db, &ids[1]).await.unwrap();
    delete_container_by_id(&store.db, &ids[0]).await.unwrap();
    store.execute("UPDATE containers SET lifecycle = 'error' WHERE vmid > 107").await.unwrap();
    store.execute("UPDATE containers SET gone_at = 1 WHERE vmid IN (104, 110)").await.unwrap();
    store.execute("UPDATE containers SET gone_at = NULL WHERE vmid = 104").await.unwrap();
    let other = "other".parse().unwrap();
    upsert_seen(&store.db, &other, &[], &[seen(101, "pve1", Status::Running)]).await.unwrap();
    assert_eq!(counts(None).await, ContainerCounts { total: 7, creating: 0, ready: 4, error: 3 });
    assert_eq!(counts(Some(&ids)).await, counts(None).await);
    assert_eq!(get_container_counts(&store.db, &other, None).await.unwrap(), ContainerCounts { total: 1, creating: 0, ready: 1, error: 0 });
    assert_eq!(
        get_container_counts(&store.db, &"none".parse().unwrap(), None).await.unwrap(),
        ContainerCounts { total: 0, creating: 0, ready: 0, error: 0 }
    );
}

#[tokio::test]
async fn row_24_the_details_have_every_event_newest_first_by_the_page() {
    let (store, ids) = Store::with([101, 102]).await;
    store.service(&ids[0], "nginx").await;
    let all: Vec<_> = EventKind::iter().collect();
    for kind in &all {
        create_container_event(&store.db, &event(&ids[0], 101, *kind)).await.unwrap();
        create_container_event(&store.db, &event(&ids[1], 102, *kind)).await.unwrap();
    }
    let (mut read, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let details = get_container_with_details(&store.db, &ids[0], before.as_ref(), 3).await.unwrap().unwrap();
        assert_eq!((details.container.vmid.get(), details.services.len()), (101, 1));
        pages += 1;
        before = details.events.rows.last().map(|event| event.id.clone());
        read.extend(kinds(&details.events.rows));
        if !details.events.more {
            break;
        }
    }
    assert_eq!((pages, read), (3, all.into_iter().rev().collect()));
    assert_eq!(get_container_with_details(&store.db, &ContainerId::fresh(), None, 3).await.unwrap(), None);
}

#[tokio::test]
async fn row_25_a_deleted_container_takes_its_services_along_and_leaves_its_events() {
    let (store, ids) = Store::with([101, 102]).await;
    for id in &ids {
        store.service(id, "nginx").await;
        create_container_event(&store.db, &event(id, 101, EventKind::Created)).await.unwrap();
    }
    assert!(delete_container_by_id(&store.db, &ids[0]).await.unwrap());
    assert!(!delete_container_by_id(&store.db, &ids[0]).await.unwrap());
    assert_eq!(get_container_by_id(&store.db, &ids[0]).await.unwrap(), None);
    assert_eq!(store.number("SELECT COUNT(*) FROM container_services").await, 1);
    let events = list_events(&store.db, EventsOf::Container(&ids[0]), None, 10).await.unwrap();
    assert_eq!((kinds(&events.rows), events.rows[0].hostname.as_str()), (vec![EventKind::Created], "ct101"));
}

#[tokio::test]
async fn row_26_services_change_all_or_none_and_what_is_not_given_stays() {
    let (store, ids) = Store::with([101, 102]).await;
    let (first, second) = (store.service(&ids[0], "nginx").await, store.service(&ids[0], "app").await);
    let foreign = store.service(&ids[1], "db").await;
    let bare =
        |id: &ServiceId| ServiceChangeRow { id: id.clone(), status: ServiceStatus::Running, port: None, web_url: None, credentials: None };
    let read = async || {
        let details = get_container_with_details(&store.db, &ids[0], None, 1).await.unwrap().unwrap();
        let row = |s: berth::services::store::ServiceRow| (s.name, s.status, s.port, s.web_url, s.updated_at > 1);
        details.services.into_iter().map(row).collect::<Vec<_>>()
    };
    let before = read().await;
    for bad in [ServiceId::try_from(new_id()).unwrap(), foreign] {
        let changes = [bare(&first), bare(&bad), bare(&second)];
        assert_eq!(update_container_services(&store.db, &ids[0], &changes).await.unwrap(), Err(bad));
        assert_eq!(read().await, before, "one bad id, and nothing has changed");
    }
    let full =
        ServiceChangeRow { port: Some(8080), web_url: Some("https://app".into()), credentials: Some(b"other".to_vec()), ..bare(&second) };
    assert_eq!(update_container_services(&store.db, &ids[0], &[full, bare(&first)]).await.unwrap(), Ok(()));
    let running = |name: &str, port, url: &str| (name.to_owned(), ServiceStatus::Running, Some(port), Some(url.to_owned()), true);
    assert_eq!(read().await, [running("app", 8080, "https://app"), running("nginx", 80, "http://nginx")]);
    assert_eq!(store.number("SELECT COUNT(DISTINCT credentials) FROM container_services WHERE name <> 'db'").await, 2);
}

// --- containers ---

#[tokio::test]
async fn what_was_made_elsewhere_appears_and_what_moved_follows() {
    let store = Store::open().await;
    let ids = store.see(&[seen(101, "pve1", Status::Running), seen(102, "pve2", Status::Stopped)]).await;
    let row = get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap();
    assert_eq!((row.node.as_str(), row.hostname.as_str(), row.status), ("pve1", "ct101", Status::Running));
    assert_eq!((row.lifecycle, row.fingerprint, row.gone_at), (Lifecycle::Ready, None, None));
    assert_eq!(find_living(&store.db, &homelab(), vmid(102)).await.unwrap().unwrap().id, ids[1]);
    assert_eq!(get_container_node(&store.db, &ids[1]).await.unwrap().unwrap().name, node("pve2"));

    let moved = SeenRow { hostname: Some("renamed".into()), ..seen(101, "pve3", Status::Running) };
    assert_eq!(store.see(std::slice::from_ref(&moved)).await, ids[..1], "the same row");
    let row = get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap();
    assert_eq!((row.node.as_str(), row.hostname.as_str()), ("pve3", "renamed"));
    let names: Vec<_> = list_nodes(&store.db, &homelab()).await.unwrap().into_iter().map(|node| node.name.to_string()).collect();
    assert_eq!(names, ["pve1", "pve2", "pve3"]);
    assert!(find_living(&store.db, &homelab(), vmid(102)).await.unwrap().is_some(), "what is not in a list stays");
}

#[tokio::test]
async fn a_list_in_which_nothing_has_changed_writes_nothing() {
    let store = Store::open().await;
    let rows: Vec<_> = (101..110).map(|number| seen(number, "pve1", Status::Running)).collect();
    store.see(&rows).await;
    store.execute("UPDATE containers SET updated_at = 1").await.unwrap();
    store.see(&rows).await;
    assert_eq!(store.number("SELECT MAX(updated_at) FROM containers").await, 1);
    store.execute("UPDATE nodes SET seen_at = 5").await.unwrap();
    store.see(&rows).await;
    assert!(store.number("SELECT MIN(seen_at) FROM nodes").await > 5, "but a node is seen again after a minute");
}

#[tokio::test]
async fn an_exact_status_outranks_a_list_for_fifteen_seconds() {
    let (store, ids) = Store::with([101]).await;
    let status = async || get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap().status;
    store.see(&[seen(101, "pve1", Status::Running)]).await;
    assert_eq!(status().await, Status::Stopped);
    store.execute("UPDATE containers SET status_at = status_at - 15000").await.unwrap();
    store.see(&[seen(101, "pve1", Status::Running)]).await;
    assert_eq!(status().await, Status::Running);
}

#[tokio::test]
async fn many_lists_at_once_make_one_row_of_each_container() {
    let store = Store::open().await;
    let rows: Vec<_> = (101..1700).map(|number| seen(number, ["pve1", "pve2"][number as usize % 2], Status::Running)).collect();
    let backwards: Vec<_> = rows.iter().rev().cloned().collect();
    let (a, b, c, d) = tokio::join!(store.see(&rows), store.see(&backwards), store.see(&rows), store.see(&backwards));
    assert_eq!((&a, &b), (&c, &d));
    assert_eq!(a, b.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(store.number("SELECT COUNT(*) FROM containers").await, 1599);
    assert_eq!(get_container_counts(&store.db, &homelab(), None).await.unwrap().total, 1599);
}

#[tokio::test]
async fn another_container_under_the_same_number_has_a_row_of_its_own_and_the_old_one_keeps_its_history() {
    let (store, ids) = Store::with([101]).await;
    assert!(set_fingerprint(&store.db, &ids[0], "BC:24:11:00:00:01").await.unwrap());
    create_container_event(&store.db, &event(&ids[0], 101, EventKind::Created)).await.unwrap();
    assert!(retire(&store.db, &ids[0]).await.unwrap());
    assert!(!retire(&store.db, &ids[0]).await.unwrap());
    assert_eq!(find_living(&store.db, &homelab(), vmid(101)).await.unwrap(), None);
    let new = store.see(&[seen(101, "pve1", Status::Running)]).await.remove(0);
    assert_ne!(new, ids[0]);
    let old = get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap();
    assert!(old.gone_at.is_some());
    assert_eq!(old.fingerprint.as_deref(), Some("BC:24:11:00:00:01"));
    create_container_event(&store.db, &event(&new, 101, EventKind::Started)).await.unwrap();
    let of_old = list_events(&store.db, EventsOf::Container(&ids[0]), None, 10).await.unwrap().rows;
    let of_number = list_events(&store.db, EventsOf::Vmid(&homelab(), vmid(101)), None, 10).await.unwrap().rows;
    assert_eq!((kinds(&of_old), kinds(&of_number)), (vec![EventKind::Created], vec![EventKind::Started, EventKind::Created]));
    let listed = list_containers_with_relations(&store.db, &homelab(), None).await.unwrap();
    assert_eq!(listed.len(), 1, "the list has the living one");
}

#[tokio::test]
async fn a_template_can_go_and_a_node_with_containers_cannot() {
    let (store, ids) = Store::with([101]).await;
    store.execute("INSERT INTO templates (id, name, created_at) VALUES ('t1', 'web3', 1)").await.unwrap();
    store.execute("UPDATE containers SET template_id = 't1'").await.unwrap();
    store.execute("DELETE FROM templates").await.unwrap();
    assert_eq!(get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap().template_id, None);
    assert!(store.execute("DELETE FROM nodes").await.is_err());
}

#[tokio::test]
async fn the_database_refuses_what_the_code_has_no_word_for() {
    let (store, ids) = Store::with([101]).await;
    store.service(&ids[0], "nginx").await;
    store.begin(&ids[0], 101, &Holder::new_run()).await;
    upsert_seen(&store.db, &"other".parse().unwrap(), &[node("pve1")], &[]).await.unwrap();
    for bad in [
        "UPDATE containers SET vmid = 99",
        "UPDATE containers SET vmid = 1000000000",
        "UPDATE containers SET lifecycle = 'gone'",
        "UPDATE containers SET status = 'paused'",
        "UPDATE containers SET template_id = 'none'",
        "UPDATE containers SET node_id = (SELECT id FROM nodes WHERE cluster = 'other')",
        "UPDATE container_services SET kind = 'vm'",
        "UPDATE container_services SET status = 'paused'",
        "UPDATE container_services SET port = 65536",
        "UPDATE operations SET verb = 'reboot'",
        "UPDATE operations SET state = 'done'",
        "UPDATE operations SET state = 'failed'",
        "UPDATE operations SET stage = 'lost'",
        "UPDATE operations SET call = 'reboot'",
        "UPDATE operations SET ended_at = 1",
        "UPDATE leases SET operation_id = '00000000000000000000000000000000'",
    ] {
        let error = store.execute(bad).await.expect_err(bad).to_string();
        assert!(error.to_lowercase().contains("constraint"), "{bad}: {error}");
    }
}

// --- events ---

#[tokio::test]
async fn events_can_only_be_added() {
    let (store, ids) = Store::with([101]).await;
    create_container_event(&store.db, &event(&ids[0], 101, EventKind::Created)).await.unwrap();
    let mut ways = vec!["UPDATE container_events SET actor = 'nobody@pve'", "DELETE FROM container_events"];
    ways.push(match store.db {
        Db::Sqlite(..) => "INSERT OR REPLACE INTO container_events SELECT * FROM container_events",
        Db::Postgres(_) => "TRUNCATE container_events",
    });
    for way in ways {
        let error = store.execute(way).await.expect_err(way).to_string();
        assert!(error.contains("events are only added"), "{way}: {error}");
    }
    assert_eq!(list_events(&store.db, EventsOf::Container(&ids[0]), None, 10).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn an_event_says_what_it_was_about_by_itself() {
    let (store, ids) = Store::with([101]).await;
    let operation_id = OperationId::fresh();
    for kind in EventKind::iter() {
        for (verb, manner) in [(Verb::Shutdown, Some(Manner::Graceful)), (Verb::Restart, Some(Manner::Forced)), (Verb::Delete, None)] {
            let event = NewEventRow { verb: Some(verb), manner, operation_id: Some(operation_id.clone()), ..event(&ids[0], 101, kind) };
            create_container_event(&store.db, &event).await.unwrap();
            let read = list_events(&store.db, EventsOf::Container(&ids[0]), None, 1).await.unwrap().rows.remove(0);
            let as_written = NewEventRow {
                container_id: read.container_id,
                cluster: read.cluster,
                vmid: read.vmid,
                hostname: read.hostname,
                kind: read.kind,
                actor: read.actor,
                source: read.source,
                operation_id: read.operation_id,
                verb: read.verb,
                upid: read.upid,
                code: read.code,
                manner: read.manner,
                before: read.before,
                after: read.after,
            };
            assert_eq!(as_written, event);
            assert!((store.db.now_ms().await.unwrap() - read.at).abs() < 60_000);
        }
    }
}

// --- operations and leases ---

#[tokio::test]
async fn of_two_that_want_a_container_the_second_hears_who_has_it() {
    let (store, ids) = Store::with([101, 102]).await;
    let holder = Holder::new_run();
    let first = operation(&ids[0], 101, Verb::Shutdown);
    assert_eq!(claim(&store.db, &first, &terms(&holder)).await.unwrap(), Claim::Taken);
    let second = NewOperationRow { actor: "bob@pve".parse().unwrap(), ..operation(&ids[0], 101, Verb::Start) };
    let Claim::Busy(busy) = claim(&store.db, &second, &terms(&Holder::new_run())).await.unwrap() else { panic!("taken twice") };
    assert_eq!((busy.operation, busy.verb, busy.actor), (first.id.clone(), Verb::Shutdown, alice()));
    assert!((0..60_000).contains(&(busy.now - busy.started_at)) && busy.until_at > busy.now);
    assert_eq!(get_operation(&store.db, &second.id).await.unwrap(), None, "nothing was written");
    store.begin(&ids[1], 102, &holder).await;
    let open = list_open(&store.db).await.unwrap();
    assert_eq!(open.iter().map(|row| row.operation.vmid.get()).collect::<Vec<_>>(), [101, 102]);
    assert!(open.iter().all(|row| row.holder.as_ref() == Some(&holder)));
}

#[tokio::test]
async fn of_two_hundred_at_once_one_at_a_time_has_the_container() {
    let (store, ids) = Store::with([101]).await;
    let attempt = async |holder: Holder| {
        let row = operation(&ids[0], 101, Verb::Start);
        match claim(&store.db, &row, &terms(&holder)).await.unwrap() {
            Claim::Busy(_) => false,
            Claim::TooLate | Claim::Overtaken => unreachable!("it is of no batch, and nobody looked before"),
            Claim::Taken => {
                assert_eq!(store.number("SELECT COUNT(*) FROM leases").await, 1);
                assert_eq!(store.number("SELECT COUNT(*) FROM operations WHERE state = 'open'").await, 1);
                let held = Held { operation: &row.id, holder: &holder };
                assert!(finish(&store.db, held, &done(&ids[0], 101)).await.unwrap());
                true
            }
        }
    };
    let taken = futures::future::join_all((0..200).map(|_| attempt(Holder::new_run()))).await;
    let taken = taken.into_iter().filter(|taken| *taken).count() as i64;
    assert!(taken >= 1);
    assert_eq!(store.number("SELECT COUNT(*) FROM operations WHERE state = 'succeeded'").await, taken);
    assert_eq!(store.number("SELECT COUNT(*) FROM container_events").await, taken, "no event is lost");
    assert_eq!(store.number("SELECT COUNT(*) FROM leases").await, 0);
}

#[tokio::test]
async fn what_was_seen_before_another_operation_of_the_container_ended_begins_nothing() {
    let (store, ids) = Store::with([101, 102]).await;
    let holder = Holder::new_run();
    let looked_at = store.db.now_ms().await.unwrap();
    let first = store.begin(&ids[0], 101, &holder).await;
    assert!(finish(&store.db, Held { operation: &first, holder: &holder }, &done(&ids[0], 101)).await.unwrap());
    let before = Terms { looked_at, ..terms(&holder) };
    let second = operation(&ids[0], 101, Verb::Stop);
    assert_eq!(claim(&store.db, &second, &before).await.unwrap(), Claim::Overtaken);
    assert_eq!(get_operation(&store.db, &second.id).await.unwrap(), None, "nothing was written");
    assert_eq!(store.number("SELECT COUNT(*) FROM leases").await, 0);
    // what was done to another one is nothing to it, nor is what ended before
    assert_eq!(claim(&store.db, &operation(&ids[1], 102, Verb::Stop), &before).await.unwrap(), Claim::Taken);
    let ended = get_operation(&store.db, &first).await.unwrap().unwrap().ended_at.unwrap();
    let after = Terms { looked_at: ended + 1, ..terms(&holder) };
    assert_eq!(claim(&store.db, &second, &after).await.unwrap(), Claim::Taken);
}

#[tokio::test]
async fn a_lease_that_is_over_can_be_taken_where_its_operation_has_ended() {
    let (store, ids) = Store::with([101]).await;
    let id = store.begin(&ids[0], 101, &Holder::new_run()).await;
    store.expire_leases().await;
    let new = operation(&ids[0], 101, Verb::Stop);
    let Claim::Busy(busy) = claim(&store.db, &new, &terms(&Holder::new_run())).await.unwrap() else {
        panic!("begun beside what may still run")
    };
    assert!(busy.until_at < busy.now, "and it is said that nobody is at it");
    let sql = format!("UPDATE operations SET state = 'interrupted', code = 'internal', ended_at = 1, ticket = NULL WHERE id = '{id}'");
    store.execute(&sql).await.unwrap();
    assert_eq!(claim(&store.db, &new, &terms(&Holder::new_run())).await.unwrap(), Claim::Taken);
}

#[tokio::test]
async fn one_replica_takes_an_operation_over_and_the_former_one_can_write_nothing_more() {
    let (store, ids) = Store::with([101]).await;
    let dead = Holder::new_run();
    let id = store.begin(&ids[0], 101, &dead).await;
    let seen = list_open(&store.db).await.unwrap().remove(0);
    let heirs: Vec<_> = std::iter::repeat_with(Holder::new_run).take(8).collect();
    let attempt = |heir| take_over(&store.db, &seen, heir, 30 * SECOND, Some(10 * SECOND));
    assert!(!attempt(&heirs[0]).await.unwrap(), "it is not over");
    store.execute("UPDATE leases SET until_at = until_at - 35000").await.unwrap();
    assert!(!attempt(&heirs[0]).await.unwrap(), "over for less than a call may take");
    store.expire_leases().await;
    let taken: Vec<bool> = futures::future::try_join_all(heirs.iter().map(attempt)).await.unwrap();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    let heir = &heirs[taken.iter().position(|taken| *taken).unwrap()];
    assert_eq!(list_open(&store.db).await.unwrap()[0].holder.as_ref(), Some(heir));

    let held = Held { operation: &id, holder: &dead };
    let intent = IntentRow { call: Call::Start, intent_at: 1, limit: SECOND };
    let before = get_operation(&store.db, &id).await.unwrap();
    assert!(!set_intent(&store.db, held, intent).await.unwrap());
    assert!(!set_upid(&store.db, held, &upid(1)).await.unwrap());
    assert!(!set_stage(&store.db, held, Stage::Observing).await.unwrap());
    assert!(!renew_lease(&store.db, held, SECOND).await.unwrap());
    assert!(!renew_ticket(&store.db, held, b"mine").await.unwrap());
    assert!(!finish(&store.db, held, &done(&ids[0], 101)).await.unwrap());
    assert_eq!(get_operation(&store.db, &id).await.unwrap(), before);
    assert_eq!(store.number("SELECT COUNT(*) FROM container_events").await, 0);
    assert!(finish(&store.db, Held { operation: &id, holder: heir }, &done(&ids[0], 101)).await.unwrap());
}

#[tokio::test]
async fn where_the_other_process_is_known_to_be_dead_nobody_waits() {
    let (store, ids) = Store::with([101]).await;
    store.begin(&ids[0], 101, &Holder::new_run()).await;
    let seen = list_open(&store.db).await.unwrap().remove(0);
    assert!(take_over(&store.db, &seen, &Holder::new_run(), SECOND, None).await.unwrap());
    assert!(!take_over(&store.db, &seen, &Holder::new_run(), SECOND, None).await.unwrap(), "it is not as it was seen");
}

#[tokio::test]
async fn an_operation_is_written_down_before_and_after_each_call() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let held = Held { operation: &id, holder: &holder };
    let read = async || get_operation(&store.db, &id).await.unwrap().unwrap();
    let row = read().await;
    assert_eq!((row.state, row.stage, row.call, row.upid), (OperationState::Open, Stage::Begun, None, None));
    assert_eq!(row.deadline_at - row.started_at, 30_000);
    for (number, call) in (1..).zip(Call::iter()) {
        assert!(set_intent(&store.db, held, IntentRow { call, intent_at: 1_700_000_000, limit: 5 * SECOND }).await.unwrap());
        let row = read().await;
        assert_eq!((row.stage, row.call, row.intent_at, row.upid), (Stage::Intended, Some(call), Some(1_700_000_000), None));
        for _ in 0..2 {
            assert!(set_upid(&store.db, held, &upid(number)).await.unwrap(), "found once more after a restart");
        }
        let row = read().await;
        assert_eq!((row.stage, row.upid, row.upids.0.len()), (Stage::Waiting, Some(upid(number)), number as usize));
    }
    for stage in Stage::iter() {
        assert!(set_stage(&store.db, held, stage).await.unwrap());
        assert_eq!(read().await.stage, stage);
    }
    let long = IntentRow { call: Call::Stop, intent_at: 1, limit: 31 * SECOND };
    assert!(!set_intent(&store.db, held, long).await.unwrap(), "less is left of the lease than the call may take");
    assert!(renew_lease(&store.db, held, 60 * SECOND).await.unwrap());
    assert!(set_intent(&store.db, held, long).await.unwrap());
}

#[tokio::test]
async fn the_end_of_an_operation_is_one_write() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let held = Held { operation: &id, holder: &holder };
    let container = ContainerEndRow::Seen {
        node: node("pve9"),
        status: Status::Running,
        hostname: Some("new".into()),
        fingerprint: Some("BC:24:11:00:00:02".into()),
        lifecycle: Some(Lifecycle::Error),
    };
    let events = vec![event(&ids[0], 101, EventKind::Stopped), event(&ids[0], 101, EventKind::Started)];
    let end = FinishRow { warnings: true, manner: Some(Manner::Forced), container, events, ..done(&ids[0], 101) };
    // the last of its writes fails: nothing of it is there
    let torn = FinishRow { events: vec![NewEventRow { code: "\0".into(), ..end.events[0].clone() }], ..end.clone() };
    let torn = match store.db {
        Db::Sqlite(..) => {
            store.execute("CREATE TRIGGER torn BEFORE INSERT ON container_events BEGIN SELECT RAISE(ABORT, 'torn'); END").await.unwrap();
            finish(&store.db, held, &torn).await
        }
        // which has no zeros in a text
        Db::Postgres(_) => finish(&store.db, held, &torn).await,
    };
    assert!(torn.is_err());
    assert_eq!(get_operation(&store.db, &id).await.unwrap().unwrap().state, OperationState::Open);
    assert_eq!(get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap().node, node("pve1"));
    assert!(renew_lease(&store.db, held, SECOND).await.unwrap());
    if matches!(store.db, Db::Sqlite(..)) {
        store.execute("DROP TRIGGER torn").await.unwrap();
    }

    assert!(finish(&store.db, held, &end).await.unwrap());
    let row = get_operation(&store.db, &id).await.unwrap().unwrap();
    assert_eq!((row.state, row.code.as_deref(), row.manner), (OperationState::Succeeded, Some("warnings"), Some(Manner::Forced)));
    assert!(row.ended_at.is_some() && OperationView::from(row).warnings);
    let container = get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap();
    assert_eq!((container.node, container.status, container.lifecycle), (node("pve9"), Status::Running, Lifecycle::Error));
    assert_eq!((container.hostname.as_str(), container.fingerprint.as_deref()), ("new", Some("BC:24:11:00:00:02")));
    let events = list_events(&store.db, EventsOf::Container(&ids[0]), None, 10).await.unwrap().rows;
    assert_eq!(kinds(&events), [EventKind::Started, EventKind::Stopped]);
    assert_eq!(store.number("SELECT COUNT(*) FROM leases").await, 0);
    assert!(!finish(&store.db, held, &end).await.unwrap(), "it ends once");
}

#[tokio::test]
async fn a_failed_operation_keeps_what_the_user_was_told() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let error = AppError::TaskFailed { vmid: vmid(101), incident: berth::error::Incident(77) };
    let end = FinishRow {
        state: OperationState::Failed,
        error: Some(error.clone()),
        container: ContainerEndRow::Unchanged,
        ..done(&ids[0], 101)
    };
    assert!(finish(&store.db, Held { operation: &id, holder: &holder }, &end).await.unwrap());
    assert_eq!(store.number("SELECT incident FROM operations WHERE code = 'task_failed'").await, 77);
    let view = OperationView::from(get_operation(&store.db, &id).await.unwrap().unwrap());
    assert_eq!((view.state, view.error, view.name.as_str()), (OperationState::Failed, Some(error), "ct101"));
    assert_eq!(get_container_by_id(&store.db, &ids[0]).await.unwrap().unwrap().status, Status::Stopped);
}

#[tokio::test]
async fn a_delete_takes_the_row_and_its_services_and_leaves_its_events_and_operations() {
    let (store, ids) = Store::with([101]).await;
    store.service(&ids[0], "nginx").await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let events = vec![event(&ids[0], 101, EventKind::Deleted)];
    let end = FinishRow { container: ContainerEndRow::Deleted, after: None, events, ..done(&ids[0], 101) };
    assert!(finish(&store.db, Held { operation: &id, holder: &holder }, &end).await.unwrap());
    assert_eq!(get_container_by_id(&store.db, &ids[0]).await.unwrap(), None);
    assert_eq!(store.number("SELECT COUNT(*) FROM container_services").await, 0);
    let of_number = OperationsOf::Vmid(&homelab(), vmid(101));
    assert_eq!(list_operations(&store.db, of_number, None, 10).await.unwrap().rows[0].id, id);
    let events = list_events(&store.db, EventsOf::Vmid(&homelab(), vmid(101)), None, 10).await.unwrap();
    assert_eq!(kinds(&events.rows), [EventKind::Deleted]);
}

#[tokio::test]
async fn the_ticket_of_an_operation_dies_with_it() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let held = Held { operation: &id, holder: &holder };
    assert_eq!(get_ticket(&store.db, &id).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    assert!(renew_ticket(&store.db, held, b"newer").await.unwrap());
    assert_eq!(get_ticket(&store.db, &id).await.unwrap().as_deref(), Some(&b"newer"[..]));
    finish(&store.db, held, &done(&ids[0], 101)).await.unwrap();
    assert_eq!(get_ticket(&store.db, &id).await.unwrap(), None);
    assert!(!renew_ticket(&store.db, held, b"again").await.unwrap());
    assert_eq!(get_ticket(&store.db, &OperationId::fresh()).await.unwrap(), None);
}

#[tokio::test]
async fn an_end_that_was_unknown_is_settled_by_whoever_takes_the_free_lease() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let id = store.begin(&ids[0], 101, &holder).await;
    let unknown = FinishRow {
        state: OperationState::Unknown,
        error: Some(AppError::SignedOut),
        container: ContainerEndRow::Unchanged,
        ..done(&ids[0], 101)
    };
    assert!(finish(&store.db, Held { operation: &id, holder: &holder }, &unknown).await.unwrap());
    assert_eq!(list_open(&store.db).await.unwrap(), []);
    assert_eq!(list_unknown(&store.db, &"other".parse().unwrap()).await.unwrap(), []);
    let seen = list_unknown(&store.db, &homelab()).await.unwrap().remove(0);
    assert_eq!((seen.operation.id.clone(), seen.holder.clone()), (id.clone(), None));
    let settler = Holder::new_run();
    assert!(!finish(&store.db, Held { operation: &id, holder: &settler }, &done(&ids[0], 101)).await.unwrap(), "not without a lease");
    let other = store.begin(&ids[0], 101, &holder).await;
    assert!(!take_over(&store.db, &seen, &settler, SECOND, None).await.unwrap(), "another operation has the container");
    assert!(finish(&store.db, Held { operation: &other, holder: &holder }, &done(&ids[0], 101)).await.unwrap());
    assert!(take_over(&store.db, &seen, &settler, SECOND, None).await.unwrap());
    assert!(finish(&store.db, Held { operation: &id, holder: &settler }, &done(&ids[0], 101)).await.unwrap());
    let row = get_operation(&store.db, &id).await.unwrap().unwrap();
    assert_eq!((row.state, row.code.as_deref(), row.error), (OperationState::Succeeded, Some("ok"), None));
    assert_eq!(list_unknown(&store.db, &homelab()).await.unwrap(), []);
}

#[tokio::test]
async fn operations_are_listed_newest_first_and_changes_earliest_first() {
    let (store, ids) = Store::with([101]).await;
    let holder = Holder::new_run();
    let mut begun = Vec::new();
    for verb in Verb::iter() {
        let row = operation(&ids[0], 101, verb);
        assert_eq!(claim(&store.db, &row, &terms(&holder)).await.unwrap(), Claim::Taken);
        assert!(finish(&store.db, Held { operation: &row.id, holder: &holder }, &done(&ids[0], 101)).await.unwrap());
        begun.push(row.id);
    }
    let newest_first: Vec<_> = begun.iter().rev().cloned().collect();
    for of in [OperationsOf::Container(&ids[0]), OperationsOf::Vmid(&homelab(), vmid(101))] {
        let first = list_operations(&store.db, of, None, 3).await.unwrap();
        let second = list_operations(&store.db, of, Some(&first.rows[2].id), 3).await.unwrap();
        assert_eq!((first.more, second.more), (true, false));
        let read: Vec<_> = first.rows.into_iter().chain(second.rows).map(|row| row.id).collect();
        assert_eq!(read, newest_first);
    }
    let now = store.db.now_ms().await.unwrap();
    let changed = list_changed_since(&store.db, now - 60_000).await.unwrap();
    assert_eq!(changed.len(), begun.len());
    assert!(changed.is_sorted_by_key(|row| row.updated_at));
    assert_eq!(list_changed_since(&store.db, now + 60_000).await.unwrap(), []);
}

#[tokio::test]
async fn the_list_hears_of_what_is_open_and_of_the_latest_end_of_each_container_for_a_while() {
    let (store, ids) = Store::with([101, 102]).await;
    let holder = Holder::new_run();
    let hour = 3600 * SECOND;
    let current = async |good| {
        let mut rows = list_current(&store.db, &homelab(), hour, good).await.unwrap();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows.into_iter().map(|row| (row.id, row.state)).collect::<Vec<_>>()
    };
    let failed = store.begin(&ids[0], 101, &holder).await;
    let bad = FinishRow { state: OperationState::Failed, error: Some(AppError::NotRunning { vmid: vmid(101) }), ..done(&ids[0], 101) };
    assert!(finish(&store.db, Held { operation: &failed, holder: &holder }, &bad).await.unwrap());
    let open = store.begin(&ids[1], 102, &holder).await;
    let both = [(failed, OperationState::Failed), (open.clone(), OperationState::Open)];
    assert_eq!(current(Duration::ZERO).await, both);
    // a later end speaks for the container, and a good one not for long
    let good = store.begin(&ids[0], 101, &holder).await;
    assert!(finish(&store.db, Held { operation: &good, holder: &holder }, &done(&ids[0], 101)).await.unwrap());
    assert_eq!(current(hour).await, [(open.clone(), OperationState::Open), (good.clone(), OperationState::Succeeded)]);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(current(Duration::ZERO).await, [(open.clone(), OperationState::Open)]);
    assert_eq!(list_current(&store.db, &"other".parse().unwrap(), hour, hour).await.unwrap(), []);
    let named = get_operations(&store.db, &[&open, &good, &OperationId::fresh()]).await.unwrap();
    assert_eq!(named.len(), 2);
}

#[tokio::test]
async fn whatever_writes_at_once_never_waits_in_a_circle_and_the_counts_stay_right() {
    let (store, _) = Store::with(101..121).await;
    let work = async |worker: u32| {
        for round in 0..25 {
            let number = 101 + (worker * 7 + round * 3) % 20;
            let on = ["pve1", "pve2", "pve3"][(worker + round) as usize % 3];
            let rows: Vec<_> = (101..121).map(|number| seen(number, on, Status::Running)).collect();
            store.execute("UPDATE containers SET status_at = 1 WHERE vmid = 105 AND gone_at IS NULL").await.unwrap();
            let ids = upsert_seen(&store.db, &homelab(), &[node(on)], &rows).await.unwrap();
            // another may have deleted it since
            let Some(id) = ids.get(&vmid(number)).map(|known| known.id.clone()) else { continue };
            let holder = Holder::new_run();
            let row = operation(&id, number, Verb::Delete);
            if claim(&store.db, &row, &terms(&holder)).await.unwrap() == Claim::Taken {
                let container = match round % 3 {
                    0 => ContainerEndRow::Deleted,
                    1 => ContainerEndRow::Gone,
                    _ => running_on(on),
                };
                let end = FinishRow { container, ..done(&id, number) };
                assert!(finish(&store.db, Held { operation: &row.id, holder: &holder }, &end).await.unwrap());
            }
            let lifecycle = [Lifecycle::Creating, Lifecycle::Ready, Lifecycle::Error][(worker + round) as usize % 3];
            update_container_lifecycle(&store.db, &id, lifecycle).await.unwrap();
        }
    };
    futures::future::join_all((0..8).map(work)).await;
    for lifecycle in ["creating", "ready", "error"] {
        let counted = format!("SELECT CAST(SUM(number) AS BIGINT) FROM container_counts WHERE lifecycle = '{lifecycle}'");
        let there = format!("SELECT COUNT(*) FROM containers WHERE gone_at IS NULL AND lifecycle = '{lifecycle}'");
        assert_eq!(store.number(&counted).await, store.number(&there).await, "{lifecycle}");
    }
}
