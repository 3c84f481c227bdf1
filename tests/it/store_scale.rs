//! What a query costs does not grow with what it does not answer: measured in counts, not in time.
//!
//! Every function that a page or a verb calls runs on a small database and on one a hundred times as large, through the real functions
//! and on one connection, which is then asked what they cost: on SQLite the steps of its virtual machine, statement by statement; on
//! PostgreSQL the rows that it read from tables and indexes. Then it is asked how it carries out each of the very statements that it
//! has just prepared.

use crate::harness::Postgres;
use berth::{
    containers::{
        model::{Lifecycle, Status},
        store::{
            ContainerEndRow, SeenRow, delete_container_by_id, find_living, get_container_by_id, get_container_counts, get_container_node,
            get_container_with_details, list_containers_with_relations, list_first_services, list_last_events, list_nodes, retire,
            update_container_lifecycle, upsert_seen,
        },
    },
    events::store::{EventsOf, MOST_ACTORS, list_actors, list_events},
    operations::{
        model::{Call, ContainerId, OperationId, OperationState, Verb},
        store::{
            Claim, FinishRow, Held, IntentRow, NewOperationRow, OperationsOf, Terms, claim, finish, get_operation, get_operations,
            get_ticket, list_changed_since, list_current, list_open, list_operations, list_unknown, renew_lease, set_intent, set_upid,
        },
    },
    proxmox::ids::{ClusterName, Upid, Vmid},
    server::{db::Db, lease::Holder},
    services::{
        model::{ServiceId, ServiceStatus},
        store::{ServiceChangeRow, update_container_services},
    },
};
use libsqlite3_sys::{SQLITE_STMTSTATUS_RUN, SQLITE_STMTSTATUS_VM_STEP, sqlite3_next_stmt, sqlite3_sql, sqlite3_stmt_status};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use std::{
    collections::BTreeMap,
    ffi::CStr,
    ptr::null_mut,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// How large a database is.
#[derive(Clone, Copy)]
struct Size {
    containers: u32,
    events: u32,
}

/// As many as a page shows.
const WINDOW: u32 = 50;
const SMALL: Size = Size { containers: 100, events: 1_000 };
const LARGE: Size = Size { containers: 10_000, events: 100_000 };
const HUGE: Size = Size { containers: 10_000, events: 1_000_000 };
/// No more containers than in the small one, to each of which much was done.
const BUSY: Size = Size { containers: 100, events: 100_000 };
/// How many have done something to each container.
const ACTORS: usize = 5;

/// How the statements begin that fill it.
const FIXTURE: &str = "WITH RECURSIVE n(i)";

/// A database with one connection.
struct Scale {
    db: Db,
    size: Size,
    /// What PostgreSQL has counted so far.
    counted: AtomicI64,
    _data: tempfile::TempDir,
    _postgres: Option<Postgres>,
}

/// The ids of the fixture: the kind of row, then its number.
fn id(kind: u32, number: u32) -> String {
    format!("{kind:019}{}", 1_000_000_000_000 + u64::from(number))
}

fn container(number: u32) -> ContainerId {
    id(0, number).try_into().unwrap()
}

fn vmid(number: u32) -> Vmid {
    (100 + number).try_into().unwrap()
}

fn homelab() -> ClusterName {
    "homelab".parse().unwrap()
}

impl Scale {
    async fn of(size: Size) -> Self {
        let data = tempfile::tempdir().unwrap();
        let postgres = Postgres::database().await;
        let db = match postgres.as_ref().map(|postgres| &postgres.url) {
            Some(url) => {
                let migrated = Db::open_postgres(url.expose()).await.unwrap();
                migrated.close().await;
                Db::Postgres(PgPoolOptions::new().max_connections(1).connect(url.expose()).await.unwrap())
            }
            None => {
                let Db::Sqlite(migrated, lock) = Db::open_sqlite(data.path()).await.unwrap() else { unreachable!() };
                migrated.close().await;
                let options = SqliteConnectOptions::new().filename(data.path().join("berth.db")).foreign_keys(true);
                Db::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap(), lock)
            }
        };
        let scale = Self { db, size, counted: AtomicI64::new(0), _data: data, _postgres: postgres };
        scale.fill().await;
        scale
    }

    async fn execute(&self, sql: String) {
        let sql = AssertSqlSafe(sql);
        match &self.db {
            Db::Sqlite(pool, _) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
            Db::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
        }
        .unwrap();
    }

    async fn lines(&self, sql: String) -> Vec<String> {
        let sql = AssertSqlSafe(sql);
        match &self.db {
            Db::Sqlite(pool, _) => {
                let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).persistent(false).fetch_all(pool).await.unwrap();
                rows.into_iter().map(|row| row.3).collect()
            }
            Db::Postgres(pool) => sqlx::query_scalar(sql).persistent(false).fetch_all(pool).await.unwrap(),
        }
    }

    /// Containers on three nodes with two services each, their events in turn by several actors, and two operations each; five more are open, and five
    /// unknown. The ids have the form of real ones.
    async fn fill(&self) {
        let Size { containers, events } = self.size;
        let rows = |count: u32| format!("{FIXTURE} AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)");
        let id = |kind: u32, number: &str| format!("'{kind:019}' || CAST(1000000000000 + {number} AS TEXT)");
        let of = |number: &str| id(0, &format!("({number}) % {containers}"));
        self.execute("INSERT INTO clusters VALUES ('homelab', 1)".into()).await;
        self.execute(format!("{} INSERT INTO nodes SELECT {}, 'homelab', 'pve' || CAST(i AS TEXT), 1 FROM n", rows(3), id(1, "i"))).await;
        self.execute(format!(
            "{} INSERT INTO containers SELECT {}, 'homelab', 100 + i, {}, NULL, 'ct' || CAST(i AS TEXT),
                 CASE WHEN i % 100 = 7 THEN 'error' ELSE 'ready' END, 'running', 1, NULL, 1, 1, NULL FROM n",
            rows(containers),
            id(0, "i"),
            id(1, "i % 3"),
        ))
        .await;
        self.execute(format!(
            "{} INSERT INTO container_services SELECT {}, {}, 'service', 'systemd', 80, NULL, 'running', NULL, 1 FROM n",
            rows(containers * 2),
            id(2, "i"),
            of("i"),
        ))
        .await;
        self.execute(format!(
            "{} INSERT INTO container_events SELECT {}, {}, 'homelab', 100 + i % {containers}, 'ct', 'started',
                 'user' || CAST(i / {containers} % {ACTORS} AS TEXT) || '@pve', NULL, NULL, 'start', NULL, 'ok', NULL, 'stopped', 'running', i
             FROM n",
            rows(events),
            id(3, "i"),
            of("i"),
        ))
        .await;
        self.execute(format!(
            "{} INSERT INTO operations (id, container_id, cluster, vmid, hostname, node, verb, graceful_only, actor, state, stage, upids,
                 code, started_at, deadline_at, updated_at, ended_at)
             SELECT {}, {}, 'homelab', 100 + i % {containers}, 'ct', 'pve1', 'start', 1 = 0, 'alice@pve',
                 CASE WHEN i < 5 THEN 'open' WHEN i < 10 THEN 'unknown' ELSE 'succeeded' END, 'begun', '[]',
                 CASE WHEN i < 5 THEN NULL ELSE 'ok' END, 1, 1, 1, CASE WHEN i < 5 THEN NULL ELSE 1 END FROM n",
            rows(containers * 2),
            id(4, "i"),
            of("i"),
        ))
        .await;
        if matches!(self.db, Db::Postgres(_)) {
            // which autovacuum does by itself after a while; SQLite never does
            self.execute("ANALYZE".into()).await;
        }
    }

    /// What was read since this was last asked, and in how many statements, where that is known.
    async fn cost(&self) -> (i64, Option<i32>) {
        match &self.db {
            Db::Sqlite(pool, _) => {
                let statements = sqlite_statements(pool).await;
                (statements.iter().map(|s| s.steps).sum(), Some(statements.iter().map(|s| s.runs).sum()))
            }
            Db::Postgres(pool) => {
                let flush = "SELECT pg_stat_force_next_flush()";
                sqlx::query(flush).execute(pool).await.unwrap();
                let sql = "SELECT CAST((SELECT SUM(seq_tup_read) FROM pg_stat_user_tables)
                               + (SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes) AS BIGINT)";
                let counted: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
                (counted - self.counted.swap(counted, Ordering::Relaxed), None)
            }
        }
    }

    /// How every statement that was prepared so far is carried out.
    async fn plans(&self) -> BTreeMap<String, Vec<String>> {
        let mut plans = BTreeMap::new();
        match &self.db {
            Db::Sqlite(pool, _) => {
                for statement in sqlite_statements(pool).await {
                    plans.insert(statement.sql.clone(), self.lines(format!("EXPLAIN QUERY PLAN {}", statement.sql)).await);
                }
            }
            Db::Postgres(pool) => {
                self.execute("SET plan_cache_mode = force_generic_plan".into()).await;
                let sql = "SELECT name, statement, COALESCE(array_length(parameter_types, 1), 0) FROM pg_prepared_statements
                           WHERE statement NOT LIKE '%pg_%'";
                let prepared: Vec<(String, String, i32)> = sqlx::query_as(sql).persistent(false).fetch_all(pool).await.unwrap();
                for (name, statement, parameters) in prepared {
                    let nulls = vec!["NULL"; parameters as usize].join(", ");
                    let explain =
                        if parameters == 0 { format!("EXPLAIN EXECUTE {name}") } else { format!("EXPLAIN EXECUTE {name}({nulls})") };
                    plans.insert(statement, self.lines(explain).await);
                }
            }
        }
        plans
    }

    /// Runs everything that a page or a verb asks, and gives what each of it cost.
    async fn run(&self) -> Vec<(&'static str, i64, Option<i32>)> {
        let (db, cluster) = (&self.db, homelab());
        let mut costs = Vec::new();
        self.cost().await;
        macro_rules! measure {
            ($name:literal, $work:expr) => {{
                let answer = $work.await.unwrap();
                let (read, statements) = self.cost().await;
                costs.push(($name, read, statements));
                answer
            }};
        }
        let window: Vec<_> = (25..25 + WINDOW).map(container).collect();
        let one = container(42);
        measure!("list_nodes", list_nodes(db, &cluster));
        measure!("get_container_by_id", get_container_by_id(db, &one));
        measure!("get_container_node", get_container_node(db, &one));
        measure!("find_living", find_living(db, &cluster, vmid(42)));
        let listed = measure!("list_containers_with_relations", list_containers_with_relations(db, &cluster, Some(&window)));
        assert!(listed.len() == 50 && listed.iter().all(|row| (row.services.len(), row.events.len()) == (2, 3)));
        let counts = measure!("get_container_counts", get_container_counts(db, &cluster, None));
        assert_eq!((counts.total, counts.error), (i64::from(self.size.containers), i64::from(self.size.containers / 100)));
        measure!("get_container_counts of a window", get_container_counts(db, &cluster, Some(&window)));
        let whole = usize::try_from(self.size.containers).unwrap();
        assert_eq!(measure!("list_first_services, of all", list_first_services(db, &cluster)).len(), whole);
        assert_eq!(measure!("list_last_events, of all", list_last_events(db, &cluster)).len(), whole);
        let details = measure!("get_container_with_details", get_container_with_details(db, &one, None, 5)).unwrap();
        let older = details.events.rows.last().map(|event| &event.id);
        measure!("get_container_with_details, older events", get_container_with_details(db, &one, older, 4));
        measure!("list_events of a number", list_events(db, EventsOf::Vmid(&cluster, vmid(42)), older, 4));
        let actors = measure!("list_actors", list_actors(db, EventsOf::Container(&one), MOST_ACTORS));
        assert_eq!(actors.len(), ACTORS);
        assert_eq!(measure!("list_actors of a number", list_actors(db, EventsOf::Vmid(&cluster, vmid(42)), MOST_ACTORS)), actors);
        measure!("list_operations", list_operations(db, OperationsOf::Container(&one), None, 2));
        measure!("list_operations of a number", list_operations(db, OperationsOf::Vmid(&cluster, vmid(42)), None, 2));
        measure!("get_operation", get_operation(db, &OperationId::try_from(id(4, 3)).unwrap()));
        assert_eq!(measure!("list_open", list_open(db)).len(), 5);
        assert_eq!(measure!("list_unknown", list_unknown(db, &cluster)).len(), 5);

        let holder = Holder::new_run();
        let row = NewOperationRow {
            id: OperationId::fresh(),
            container_id: one.clone(),
            cluster: cluster.clone(),
            vmid: vmid(42),
            hostname: "ct".into(),
            node: "pve1".parse().unwrap(),
            verb: Verb::Start,
            graceful_only: false,
            actor: "alice@pve".parse().unwrap(),
            source: None,
            before: Some(Status::Stopped),
            ticket: vec![1],
            deadline: Duration::from_secs(30),
        };
        let looked_at = db.now_ms().await.unwrap();
        let terms =
            Terms { holder: holder.clone(), length: Duration::from_secs(30), grace: Duration::from_secs(5), batch: None, looked_at };
        let held = Held { operation: &row.id, holder: &holder };
        assert_eq!(measure!("claim", claim(db, &row, &terms)), Claim::Taken);
        let second = NewOperationRow { id: OperationId::fresh(), ..row.clone() };
        assert!(matches!(measure!("claim, busy", claim(db, &second, &terms)), Claim::Busy(_)));
        let intent = IntentRow { call: Call::Start, intent_at: 1, limit: Duration::from_secs(5) };
        assert!(measure!("set_intent", set_intent(db, held, intent)));
        let upid: Upid = "UPID:pve1:00000741:00029807:6B0325C5:vzstart:142:alice@pve:".parse().unwrap();
        assert!(measure!("set_upid", set_upid(db, held, &upid)));
        assert!(measure!("renew_lease", renew_lease(db, held, Duration::from_secs(30))));
        measure!("get_ticket", get_ticket(db, &row.id));
        let since = db.now_ms().await.unwrap() - 600_000;
        assert_eq!(measure!("list_changed_since", list_changed_since(db, since)).len(), 1);
        let hour = Duration::from_secs(3600);
        assert!(measure!("list_current", list_current(db, &cluster, hour, hour)).iter().any(|current| current.id == row.id));
        assert_eq!(measure!("get_operations", get_operations(db, &[&row.id])).len(), 1);
        let seen = ContainerEndRow::Seen {
            node: "pve2".parse().unwrap(),
            status: Status::Running,
            hostname: None,
            fingerprint: None,
            lifecycle: None,
        };
        let end = FinishRow {
            state: OperationState::Succeeded,
            warnings: false,
            error: None,
            manner: None,
            after: Some(Status::Running),
            container: seen,
            events: vec![],
        };
        assert!(measure!("finish", finish(db, held, &end)));
        let seen = |number: u32| SeenRow {
            vmid: vmid(number),
            node: "pve0".parse().unwrap(),
            hostname: Some("renamed".into()),
            status: Status::Running,
        };
        let rows: Vec<_> = (25..25 + WINDOW).chain([1_000_000]).map(seen).collect();
        assert_eq!(measure!("upsert_seen, all changed", upsert_seen(db, &cluster, &[], &rows)).len(), 51);
        measure!("upsert_seen, none changed", upsert_seen(db, &cluster, &[], &rows));
        let change = ServiceChangeRow {
            id: ServiceId::try_from(id(2, 42)).unwrap(),
            status: ServiceStatus::Stopped,
            port: None,
            web_url: None,
            credentials: None,
        };
        measure!("update_container_services", update_container_services(db, &one, &[change])).unwrap();
        assert!(measure!("update_container_lifecycle", update_container_lifecycle(db, &one, Lifecycle::Error)));
        assert!(measure!("retire", retire(db, &container(43))));
        assert!(measure!("delete_container_by_id", delete_container_by_id(db, &one)));
        costs
    }
}

/// A statement that a connection has prepared, and what it has cost since this was last asked.
struct Prepared {
    sql: String,
    runs: i32,
    steps: i64,
}

async fn sqlite_statements(pool: &SqlitePool) -> Vec<Prepared> {
    let mut connection = pool.acquire().await.unwrap();
    let mut handle = connection.lock_handle().await.unwrap();
    let db = handle.as_raw_handle().as_ptr();
    let mut statements = Vec::new();
    let mut statement = null_mut();
    loop {
        // SAFETY: the handle is locked, so nobody else uses the connection or finalises a statement of it; the text is SQLite's own and
        // copied at once
        unsafe {
            statement = sqlite3_next_stmt(db, statement);
            if statement.is_null() {
                break;
            }
            statements.push(Prepared {
                sql: CStr::from_ptr(sqlite3_sql(statement)).to_str().unwrap().to_owned(),
                runs: sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_RUN, 1),
                steps: sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1).into(),
            });
        }
    }
    statements
}

/// The lines of a plan that go through a whole table or index of those that grow.
fn walks_through_all(plan: &[String]) -> Vec<&String> {
    let walks = |line: &&String| {
        let line = line.trim().trim_start_matches("->").trim();
        // PostgreSQL: these tables have few rows however many containers there are
        let few = ["clusters", "nodes", "templates", "leases", "container_counts"];
        let seq_scan = line.starts_with("Seq Scan on ") && !few.iter().any(|table| line.contains(&format!("on {table}")));
        // SQLite: a list that is given or found by the statement itself, the view of one row that is the clock, and the index that holds
        // what is open and nothing else, are read from end to end
        let scan = line.starts_with("SCAN ")
            && !line.contains("VIRTUAL TABLE")
            && !line.contains("CONSTANT ROW")
            && line != "SCAN clock"
            && line != "SCAN actors"
            && !line.contains("USING INDEX operations_open");
        seq_scan || scan
    };
    plan.iter().filter(walks).collect()
}

/// Compares a small database with a large one.
async fn compare(small: Size, large: Size) {
    let (small, large) = (Scale::of(small).await, Scale::of(large).await);
    // small tables are read from end to end where that is allowed; then they would be no measure for anything
    for scale in [&small, &large].into_iter().filter(|scale| scale.size.containers == SMALL.containers) {
        if matches!(scale.db, Db::Postgres(_)) {
            scale.execute("SET enable_seqscan = off".into()).await;
        }
    }
    let (few, many) = (small.run().await, large.run().await);
    let unit = if matches!(small.db, Db::Sqlite(..)) { "steps" } else { "rows" };
    println!("{unit} read, of {} and of {} containers:", small.size.containers, large.size.containers);
    let mut failures = Vec::new();
    for ((name, few, statements), (_, many, _)) in few.into_iter().zip(many) {
        println!("{few:>8} {many:>8}  {name}");
        // what answers about each container may cost as much more as there are more of them
        let answers = if name.ends_with("of all") { i64::from(large.size.containers / small.size.containers) } else { 1 };
        // a few rows more or less are where index pages end
        if many > 2 * few * answers + 8 {
            failures.push(format!("{name}: {few} {unit} in the small database, {many} in the large one"));
        }
        if name == "list_containers_with_relations" && statements.is_some_and(|statements| statements != 3) {
            failures.push(format!("{name}: {statements:?} statements"));
        }
    }
    if matches!(large.db, Db::Postgres(_)) {
        large.execute("SET enable_seqscan = off".into()).await;
    }
    let plans = large.plans().await;
    assert!(plans.len() > 25, "the statements of the run are still prepared: {}", plans.len());
    for (statement, plan) in plans.iter().filter(|(statement, _)| !statement.starts_with(FIXTURE)) {
        for line in walks_through_all(plan) {
            failures.push(format!("{statement}\n  {line}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn a_hundred_times_as_many_containers_cost_no_query_more() {
    compare(SMALL, LARGE).await;
}

#[tokio::test]
async fn a_hundred_times_as_many_events_of_each_container_cost_no_query_more() {
    compare(SMALL, BUSY).await;
}

#[tokio::test]
#[ignore = "takes long; for the soak"]
async fn a_million_events_cost_no_query_more() {
    compare(SMALL, HUGE).await;
}
