//! Every code that a user can meet is reached by something that has a name.

use crate::harness::{Browser, Setup, TestApp, sign_in_as};
use berth::{
    auth::api::EnterSecondFactor,
    containers::{
        api::{ListContainers, StartContainer, StopContainer},
        model::ContainerList,
    },
    error::AppError,
    simulator::{CertificateMode, Fault, FaultAction},
};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use reqwest::Method;
use std::collections::BTreeSet;
use strum::VariantNames;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn code(error: &AppError) -> String {
    match serde_json::to_value(error).unwrap() {
        serde_json::Value::String(code) => code,
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

async fn start(browser: &Browser<'_>, number: u32) -> AppError {
    browser.post(StartContainer { vmid: number.try_into().unwrap() }).await.error()
}

async fn stop(browser: &Browser<'_>, number: u32) -> AppError {
    browser.post(StopContainer { vmid: number.try_into().unwrap() }).await.error()
}

async fn trouble(browser: &Browser<'_>) -> AppError {
    browser.read(ListContainers {}).await.json::<ContainerList>().trouble.expect("trouble")
}

#[tokio::test]
async fn each_code_is_reached_by_a_failure_with_a_name() {
    let app = TestApp::with(Setup { page_budget: Setup::SHORT * 3, ..Setup::quick() }).await;
    let stranger = app.stranger();
    let alice = app.sign_in("alice@pve").await;
    let auditor = app.sign_in("auditor@pve").await;
    // what has vanished is known by Proxmox's exact words alone
    let unmarked = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let ann = unmarked.sign_in("alice@pve").await;
    let mut reached: Vec<(&str, AppError)> = vec![
        ("a stranger", start(&stranger, 103).await),
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
        ("CT refuses-to-start", start(&alice, 115).await),
        ("node pve3", start(&alice, 301).await),
        ("CT answers-garbage", stop(&alice, 121).await),
        ("a vmid that is none", alice.send(Method::POST, "/api/start_container", &[FORM], "vmid=x").await.error()),
        ("10 MB", alice.send(Method::POST, "/api/start_container", &[FORM], vec![b'x'; 10 << 20]).await.error()),
        ("another site", alice.send(Method::POST, "/api/start_container", &[("origin", "https://evil.example")], "").await.error()),
        ("no function", alice.send(Method::POST, "/api/nothing", &[FORM], "").await.error()),
        ("another version", AppError::from_server_fn_error(ServerFnErrorErr::Deserialization(String::new()))),
        ("no network", AppError::from_server_fn_error(ServerFnErrorErr::Request(String::new()))),
    ];
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
    reached.push(("no cluster", trouble(&auditor).await));
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
