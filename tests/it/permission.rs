//! What is ours about a container leaves Berth only towards who may audit it at Proxmox now (DESIGN §8.1).
//!
//! Generated: every registered server function is asked, whatever it is called, with arguments that fit any of them, so that a new one
//! is asked too.

use crate::harness::{Browser, TestApp};
use berth::{
    batches::{
        api::{GetBatch, RunBatch},
        model::{BatchId, BatchView, Chosen},
    },
    operations::{
        api::ListOperations,
        model::{ContainerId, OperationId, OperationView, Paged, Verb},
    },
    paths::{self, Tab},
    proxmox::ids::Upid,
    server::db::Db,
};
use leptos::server_fn::axum::server_fn_paths;

/// Whoever may see it reads these in an answer; whoever may not, must not.
struct Traces {
    container: ContainerId,
    operation: OperationId,
    /// Of that operation.
    task: Upid,
    batch: BatchId,
    others: [&'static str; 3],
}

impl Traces {
    fn found_in<'a>(&'a self, text: &str) -> Vec<&'a str> {
        let all = [self.container.as_str(), self.operation.as_str(), self.batch.as_str()].into_iter().chain(self.others);
        all.filter(|trace| text.contains(trace)).collect()
    }
}

/// The answers of every function but the one that ends the session, each with its path.
async fn ask_all(browser: &Browser<'_>, traces: &Traces) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for (path, method) in server_fn_paths() {
        if path == "/api/sign_out" {
            continue;
        }
        // a removal is confirmed with a wrong name
        let (container, operation) = (paths::container(&traces.container), paths::operation(&traces.operation));
        let tabs = [Tab::Operations, Tab::Services].map(|tab| paths::container_tab(&traces.container, tab));
        let task = paths::task(&traces.task);
        let (batch, bulk) = (paths::batch(&traces.batch), format!("{}?verb=stop&all", paths::bulk()));
        let again = format!("{}?verb=stop&again={}", paths::bulk(), traces.batch);
        let (menu, delete) = (paths::menu(&traces.container), paths::delete(&traces.container));
        let confirm = paths::confirm(&traces.container, Verb::Start);
        let bulk_of_it = format!("{}?verb=stop&id={}", paths::bulk(), traces.container);
        let (of_container, of_operation) = (traces.container.as_str(), traces.operation.as_str());
        let asked = [
            (container.as_str(), of_container),
            (&tabs[0], of_container),
            (&tabs[1], of_container),
            ("/clusters/homelab/104", of_container),
            (&operation, of_operation),
            (&task, of_operation),
            (&batch, traces.batch.as_str()),
            (&bulk, of_container),
            (&again, of_container),
            (&menu, of_container),
            (&delete, of_container),
            (&confirm, of_container),
            (&bulk_of_it, of_container),
        ];
        for (address, id) in asked {
            let query =
                [("id", id), ("ids", id), ("container", id), ("operation", id), ("address", address), ("upid", traces.task.as_str())];
            let query = serde_urlencoded::to_string(query).unwrap();
            let arguments = format!(
                "{query}&verb=delete&cluster=homelab&vmid=104&confirm=not-its-name&theme=dark\
                 &query=&from=0&count=1000&username=x&realm=pve&password=x"
            );
            let answer = if method == reqwest::Method::GET {
                browser.send(method.clone(), &format!("{path}?{arguments}"), &[("accept", "application/json")], "").await
            } else {
                let form = [("accept", "application/json"), ("content-type", "application/x-www-form-urlencoded")];
                browser.send(method.clone(), path, &form, arguments).await
            };
            answers.push((path.to_owned(), answer.text));
        }
    }
    answers
}

/// A service of a container, as the discovery of services will write it.
async fn put_service(db: &Db, container: &ContainerId) {
    let sql = "INSERT INTO container_services (id, container_id, name, kind, status, updated_at)
               VALUES ('0190163d8694739baea5966c26f8ad91', $1, 'postgresql-of-db', 'systemd', 'running', 1)";
    match db {
        Db::Sqlite(pool, _) => sqlx::query(sql).bind(container.as_str()).execute(pool).await.map(|_| ()),
        Db::Postgres(pool) => sqlx::query(sql).bind(container.as_str()).execute(pool).await.map(|_| ()),
    }
    .expect("a service");
}

#[tokio::test]
async fn no_server_function_tells_who_may_not_audit_a_container_anything_about_it() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let container = alice.id(104).await;
    alice.act(Verb::Restart, 104).await.report();
    let operations: Paged<OperationView> = alice.read(ListOperations { container: container.clone(), before: None }).await.json();
    let operation = operations.items[0].id.clone();
    put_service(&app.db(), &container).await;
    let again = RunBatch { verb: Verb::Start, ids: Chosen::of([container.clone()]).unwrap(), confirm: None };
    let batch: BatchId = alice.post(again).await.json();
    // it runs already: refused, and nothing is under way any more
    while alice.read(GetBatch { id: batch.clone() }).await.json::<BatchView>().tally.is_under_way() {}
    let task = alice.events(&container).await.remove(0).upid.unwrap();
    let traces = Traces { container, operation, task, batch, others: ["postgresql-of-db", "alice@pve", "\"db\""] };

    // the test can fail: who may see it sees it
    let seen = ask_all(&alice, &traces).await.into_iter().filter(|(_, text)| !traces.found_in(text).is_empty()).count();
    assert!(seen >= 4, "only {seen} answers speak of it");
    for user in ["nobody@pve", "bob@pve"] {
        let browser = app.sign_in(user).await;
        let before = app.writes();
        // what is no server function, but tells something of it too
        for path in [paths::operation_log(&traces.operation), paths::task_log(&traces.task)] {
            let answer = browser.open(&path).await;
            assert_eq!((answer.status.as_u16(), answer.text.contains("TASK OK")), (404, false), "{user} {path}: {}", answer.text);
        }
        for (path, text) in ask_all(&browser, &traces).await {
            assert_eq!(traces.found_in(&text), Vec::<&str>::new(), "{user} {path}: {text}");
        }
        assert_eq!(app.writes(), before, "{user}");
    }
}
