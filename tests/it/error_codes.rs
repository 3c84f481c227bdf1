//! Every code that a user can meet is reached by something that has a name.

use crate::harness::{Browser, Setup, TestApp, change_macs, sign_in_as};
use berth::{
    auth::api::EnterSecondFactor,
    batches::api::GetBatch,
    containers::{
        api::{ListContainers, ShutdownContainer},
        model::{ContainerList, Status},
    },
    error::AppError,
    operations::{
        api::{GetOperation, StopOperation, StopTask},
        model::{ContainerId, Verb},
        rules::{self, Live},
    },
    server::config::Lifecycle,
    simulator::{CertificateMode, Fault, FaultAction},
};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use reqwest::Method;
use std::{collections::BTreeSet, time::Duration};
use strum::VariantNames;

const NO_TASK: &str = "UPID:pve1:00000001:00000001:00000001:vzstart";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn code(error: &AppError) -> String {
    match serde_json::to_value(error).unwrap() {
        serde_json::Value::String(code) => code,
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

async fn start(browser: &Browser<'_>, number: u32) -> AppError {
    browser.act(Verb::Start, number).await.error()
}

async fn stop(browser: &Browser<'_>, number: u32) -> AppError {
    browser.act(Verb::Stop, number).await.error()
}

async fn delete(browser: &Browser<'_>, number: u32) -> AppError {
    browser.act(Verb::Delete, number).await.error()
}

/// An operation of a process that died over it long ago.
async fn left_over(app: &TestApp, browser: &Browser<'_>) -> AppError {
    app.execute(
        "INSERT INTO operations (id, container_id, cluster, vmid, hostname, node, verb, graceful_only, actor, state, stage, upids, started_at,
             deadline_at, updated_at)
         VALUES ('0190163d8694739baea5966c26f8ad91', '0190163d8694739baea5966c26f8ad92', 'homelab', 104, 'db', 'pve1', 'stop', FALSE,
             'alice@pve', 'open', 'begun', '[]', 0, 0, 0)",
    )
    .await;
    browser.end_of(&"0190163d8694739baea5966c26f8ad91".parse().unwrap()).await.error.unwrap()
}

async fn trouble(browser: &Browser<'_>) -> AppError {
    browser.read(ListContainers {}).await.json::<ContainerList>().trouble.expect("trouble")
}

#[tokio::test]
async fn each_code_is_reached_by_a_failure_with_a_name() {
    let times = Lifecycle { answer_within: Duration::from_secs(3), beat: Duration::from_millis(100), ..Lifecycle::default() };
    let app = TestApp::with(Setup { page_budget: Setup::SHORT * 3, lifecycle: times.clone(), ..Setup::quick() }).await;
    let stranger = app.stranger();
    let alice = app.sign_in("alice@pve").await;
    let auditor = app.sign_in("auditor@pve").await;
    // what has vanished is known by Proxmox's exact words alone
    let unmarked = TestApp::with(Setup { marked: false, lifecycle: times, ..Setup::quick() }).await;
    let ann = unmarked.sign_in("alice@pve").await;
    let nobody: ContainerId = "0".repeat(32).parse().unwrap();
    let mut reached: Vec<(&str, AppError)> = vec![
        ("a stranger", stranger.act_on(Verb::Start, nobody.clone(), "").await.error()),
        ("an id of nothing", alice.act_on(Verb::Start, nobody, "").await.error()),
        ("an operation of nothing", alice.read(GetOperation { id: "0".repeat(32).parse().unwrap() }).await.error()),
        ("a task of nothing", ann.post(StopTask { upid: format!("{NO_TASK}:101:alice@pve:").parse().unwrap() }).await.error()),
        ("a batch of nothing", alice.read(GetBatch { id: "0".repeat(32).parse().unwrap() }).await.error()),
        ("a wrong password", stranger.post(sign_in_as("alice", "pve", "wrong")).await.error()),
        ("yubikey@corp", stranger.post(sign_in_as("yubikey", "corp", "berth")).await.error()),
        ("a wrong code", {
            let halfway = app.stranger();
            halfway.post(sign_in_as("twofactor", "pve", "berth")).await;
            halfway.post(EnterSecondFactor { code: "000000".into(), recovery: false, next: None }).await.error()
        }),
        ("a wrong recovery key", {
            let halfway = app.stranger();
            halfway.post(sign_in_as("twofactor", "pve", "berth")).await;
            halfway.post(EnterSecondFactor { code: "0000-0000-0000-0000".into(), recovery: true, next: None }).await.error()
        }),
        ("a code without a password", {
            stranger.post(EnterSecondFactor { code: "000000".into(), recovery: false, next: None }).await.error()
        }),
        ("no password", stranger.post(sign_in_as("alice", "pve", "")).await.error()),
        ("auditor@pve", start(&auditor, 103).await),
        ("CT vanishes", stop(&ann, 122).await),
        ("CT locked-by-backup", stop(&alice, 119).await),
        ("CT pihole", start(&alice, 101).await),
        ("CT web", stop(&alice, 103).await),
        ("CT debian-12-template", start(&alice, 900).await),
        ("CT protected", delete(&alice, 120).await),
        ("CT ha-managed", delete(&alice, 215).await),
        ("a process that died", left_over(&app, &alice).await),
        ("CT refuses-to-start", start(&alice, 115).await),
        ("node pve3", start(&alice, 301).await),
        ("CT answers-garbage", stop(&alice, 121).await),
        ("an id that is none", alice.send(Method::POST, "/api/start_container", &[FORM], "id=x").await.error()),
        ("10 MB", alice.send(Method::POST, "/api/start_container", &[FORM], vec![b'x'; 10 << 20]).await.error()),
        ("another site", alice.send(Method::POST, "/api/start_container", &[("origin", "https://evil.example")], "").await.error()),
        ("no function", alice.send(Method::POST, "/api/nothing", &[FORM], "").await.error()),
        ("another version", AppError::from_server_fn_error(ServerFnErrorErr::Deserialization(String::new()))),
        ("no network", AppError::from_server_fn_error(ServerFnErrorErr::Request(String::new()))),
    ];
    reached.push(("an operation that has ended", {
        let operation = ann.act(Verb::Restart, 101).await.report().operation;
        ann.post(StopOperation { id: operation }).await.error()
    }));
    let status = |status| Live {
        vmid: 101.try_into().unwrap(),
        status,
        lock: None,
        template: false,
        protected: false,
        ha: false,
        may_allocate: None,
    };
    reached.push(("a status that is none", rules::allowed(Verb::Stop, &status(Status::Unknown)).unwrap_err()));
    unmarked
        .cluster
        .fault(Fault::new(FaultAction::FailTask { text: "received interrupt".into() }).path_contains("lxc/103/status/start").times(1));
    reached.push(("a task that somebody broke off", start(&ann, 103).await));
    let gently = ShutdownContainer { id: ann.id(116).await, graceful_only: Some(true), confirm: None };
    reached.push(("CT ignores-shutdown", ann.post(gently).await.error()));
    let reason = "unable to destroy CT 103 - container is running".to_owned();
    unmarked.cluster.fault(Fault::new(FaultAction::Status { code: 500, reason }).method("DELETE").times(1));
    reached.push(("a start in the same moment", delete(&ann, 103).await));
    reached.push(("another container under its number", {
        let id = ann.id(106).await;
        ann.act_on(Verb::Start, id.clone(), "").await.report();
        change_macs(&unmarked, "BC:24:11:F8:63:4A", Some("BC:24:11:00:00:01"));
        ann.act_on(Verb::Stop, id, "").await.error()
    }));
    reached.push(("no interface any more, and nobody who saw it made", {
        let id = ann.id(106).await;
        ann.act_on(Verb::Stop, id.clone(), "").await.report();
        change_macs(&unmarked, "BC:24:11:00:00:01", None);
        ann.act_on(Verb::Start, id, "").await.error()
    }));
    let endless = ann.act(Verb::Start, 216).await.goes_on();
    reached.push(("CT never-finishes, once more", stop(&ann, 216).await));
    unmarked.cluster.expire_tickets();
    let ann = unmarked.sign_in("alice@pve").await;
    reached.push(("a ticket that died in the middle", ann.end_of(&endless).await.error.unwrap()));
    app.cluster.fault(Fault::new(FaultAction::Status { code: 500, reason: "a new sentence".into() }).path_contains("status/start"));
    reached.push(("words that we do not know", start(&alice, 103).await));
    app.cluster.fault(Fault::new(FaultAction::Hang));
    reached.push(("a cluster that hangs", trouble(&alice).await));
    app.cluster.clear_faults();
    reached.push(("another certificate", {
        app.cluster.set_certificate(CertificateMode::New).unwrap();
        trouble(&auditor).await
    }));
    app.cluster.stop_listening().await;
    reached.push(("a cluster that is away", trouble(&auditor).await));
    let mut alone = TestApp::start().await;
    alone.config.clusters.clear();
    alone.restart().await;
    reached.push(("no cluster yet", alone.stranger().post(sign_in_as("alice", "pve", "berth")).await.error()));
    app.break_database().await;
    reached.push(("no database", alice.read(ListContainers {}).await.error()));

    let codes: BTreeSet<String> = reached.iter().map(|(_, error)| code(error)).collect();
    let missing: Vec<_> = AppError::VARIANTS.iter().filter(|code| !codes.contains(**code)).collect();
    assert!(missing.is_empty(), "not reached: {missing:?}; reached: {reached:#?}");
}

#[tokio::test]
async fn proxmoxs_own_sentences_are_understood_when_they_come_unmarked() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let answered = |reason: &str| {
        app.cluster.fault(Fault::new(FaultAction::Status { code: 500, reason: reason.into() }).path_contains("status/start").times(1))
    };
    for (sentence, expected) in [
        ("CT is locked (snapshot)", "container_locked"),
        ("CT 103 already running", "already_running"),
        ("CT 103 not running", "not_running"),
        ("you can't start a CT if it's a template", "is_template"),
        ("Configuration file 'nodes/pve1/lxc/103.conf' does not exist", "container_not_found"),
    ] {
        answered(sentence);
        assert_eq!(code(&start(&alice, 103).await), expected, "{sentence}");
    }
}
