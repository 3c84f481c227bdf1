//! Start, stop, shut down, restart, delete: the rows of checklist A, each by its number, and what else was promised of the verbs.

use crate::harness::{Answer, Browser, Running, Setup, TestApp};
use berth::{
    containers::{
        api::{ListContainers, ShutdownContainer},
        model::Status,
    },
    error::{AppError, Lock},
    events::model::{ContainerEvent, EventKind},
    operations::{
        api::{GetOperation, ListContainerEvents, ListOperations},
        model::{ContainerId, Manner, OperationState, OperationView, Paged, Verb},
        probe::{Probe, Side, StepKind},
    },
    server::config::Lifecycle,
    simulator::{Fault, FaultAction, Simulator, Status as Really},
};
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// A cluster in which nothing ends before the test says so, and which says what Proxmox says.
async fn stepped() -> TestApp {
    TestApp::with(Setup { marked: false, ..Setup::stepped() }).await
}

/// Ends the tasks of a cluster one after the other as they come, and each a little after it has begun.
pub async fn with_tasks_ending<T>(cluster: &Simulator, work: impl Future<Output = T>) -> T {
    let ending = async {
        loop {
            cluster.wait_for_running_tasks(1).await;
            cluster.finish_tasks();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = ending => unreachable!("it does not end"),
    }
}

fn kinds(events: &[ContainerEvent]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

/// The changes that the cluster was asked for, without the node.
fn calls(app: &TestApp) -> Vec<String> {
    app.writes().into_iter().map(|call| call.replace("/nodes/pve1", "").replace("/nodes/pve2", "")).collect()
}

async fn only_event(browser: &Browser<'_>, id: &ContainerId) -> ContainerEvent {
    let mut events = browser.events(id).await;
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

async fn count(app: &TestApp, sql: &'static str) -> usize {
    app.column(sql).await.len()
}

#[tokio::test]
async fn row_1_start_checks_calls_waits_writes_an_event_and_both_views_follow() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Start, 103)).await.report();
    assert_eq!((report.verb, report.warnings, report.status_after), (Verb::Start, false, Some(Status::Running)));
    let event = only_event(&alice, &id).await;
    assert_eq!((event.kind, event.actor.as_str(), event.code.as_str()), (EventKind::Started, "alice@pve", "ok"));
    assert_eq!((event.before, event.after, event.verb), (Some(Status::Stopped), Some(Status::Running), Some(Verb::Start)));
    assert_eq!((event.name.as_str(), event.source.as_deref()), ("web", Some("127.0.0.1")));
    assert_eq!(event.upid.map(|upid| upid.to_string()), app.cluster.tasks().pop());
    assert_eq!(event.operation.as_ref(), Some(&report.operation));
    assert_eq!(alice.row(103).await.status, Status::Running);
    let operations: Paged<OperationView> = alice.read(ListOperations { container: id, before: None }).await.json();
    assert_eq!(operations.items.len(), 1);
    assert_eq!((operations.items[0].state, operations.items[0].error.clone()), (OperationState::Succeeded, None));
    assert_eq!(count(&app, "SELECT status FROM containers WHERE vmid = 103 AND status = 'running' AND fingerprint IS NOT NULL").await, 1);
    assert_eq!(count(&app, "SELECT holder FROM leases").await, 0);
    assert_eq!(count(&app, "SELECT id FROM operations WHERE ticket IS NOT NULL").await, 0);
}

#[tokio::test]
async fn row_2_start_of_what_runs_is_an_error_and_no_call() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.act(Verb::Start, 101).await.error(), AppError::AlreadyRunning { vmid: 101.try_into().unwrap() });
    assert_eq!(app.writes(), Vec::<String>::new());
    let event = only_event(&alice, &alice.id(101).await).await;
    assert_eq!((event.kind, event.code.as_str()), (EventKind::Refused, "already_running"));
}

#[tokio::test]
async fn row_3_stop_is_forced() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Stop, 101)).await.report();
    assert_eq!((report.manner, report.status_after), (Some(Manner::Forced), Some(Status::Stopped)));
    let event = only_event(&alice, &alice.id(101).await).await;
    assert_eq!((event.kind, event.manner), (EventKind::Stopped, Some(Manner::Forced)));
    assert_eq!(calls(&app), ["POST /lxc/101/status/stop"]);
}

#[tokio::test]
async fn row_4_stop_of_what_stands_is_an_error_and_no_call() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    for verb in [Verb::Stop, Verb::Shutdown] {
        assert_eq!(alice.act(verb, 103).await.error(), AppError::NotRunning { vmid: 103.try_into().unwrap() });
    }
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn row_5_shutdown_is_graceful_where_the_container_listens() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Shutdown, 101)).await.report();
    assert_eq!(report.manner, Some(Manner::Graceful));
    let event = only_event(&alice, &alice.id(101).await).await;
    assert_eq!((event.kind, event.manner), (EventKind::Stopped, Some(Manner::Graceful)));
    assert_eq!(calls(&app), ["POST /lxc/101/status/shutdown"]);
    let asked = app.cluster.requests().into_iter().find(|r| r.path.ends_with("/shutdown")).unwrap();
    assert_eq!(
        (asked.params.get("timeout").map(String::as_str), asked.params.get("forceStop").map(String::as_str)),
        (Some("60"), Some("1"))
    );
}

#[tokio::test]
async fn row_5_a_shutdown_that_took_its_whole_time_was_forced_by_proxmox() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let (answer, ()) = tokio::join!(alice.act(Verb::Shutdown, 116), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.advance(Duration::from_secs(62));
    });
    assert_eq!(answer.report().manner, Some(Manner::Forced));
    assert_eq!(calls(&app), ["POST /lxc/116/status/shutdown"]);
}

#[tokio::test]
async fn row_6_a_shutdown_that_did_not_stop_it_is_followed_by_a_stop() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let fault = Fault::new(FaultAction::FailTask { text: "container did not stop".into() }).path_contains("/shutdown");
    app.cluster.fault(fault);
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Shutdown, 101)).await.report();
    assert_eq!(report.manner, Some(Manner::Forced));
    assert_eq!(calls(&app), ["POST /lxc/101/status/shutdown", "POST /lxc/101/status/stop"]);
    assert_eq!(only_event(&alice, &alice.id(101).await).await.manner, Some(Manner::Forced));
}

#[tokio::test]
async fn row_6_a_shutdown_beyond_our_time_is_broken_off_and_then_stopped() {
    let lifecycle = Lifecycle { shutdown_wait: Duration::from_millis(400), ..Lifecycle::default() };
    let app = TestApp::with(Setup { marked: false, lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let (answer, ()) = tokio::join!(alice.act(Verb::Shutdown, 116), async {
        // the stop does not meet the lock of the shutdown: that one has ended before
        app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.method == "DELETE" && r.status.is_some())).await;
        app.cluster.finish_tasks();
        app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.path.ends_with("/stop") && r.status.is_some())).await;
        app.cluster.finish_tasks();
    });
    assert_eq!(answer.report().manner, Some(Manner::Forced));
    let calls = calls(&app);
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert!(calls[1].starts_with("DELETE /tasks/UPID") && calls[2] == "POST /lxc/116/status/stop", "{calls:?}");
}

#[tokio::test]
async fn row_6_nothing_else_that_ends_a_shutdown_is_followed_by_a_stop() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let vmid = 101.try_into().unwrap();
    for (text, expected) in [
        ("CT is locked (backup)", AppError::ContainerLocked { vmid, lock: Lock::Backup }),
        ("unexpected status", AppError::Cancelled { vmid }),
        ("received interrupt", AppError::Cancelled { vmid }),
    ] {
        app.cluster.fault(Fault::new(FaultAction::FailTask { text: text.into() }).path_contains("/shutdown").times(1));
        assert_eq!(with_tasks_ending(&app.cluster, alice.act(Verb::Shutdown, 101)).await.error(), expected);
    }
    for (code, reason) in [(403, "Permission check failed (/vms/101, VM.PowerMgmt)"), (500, "something new")] {
        app.cluster.fault(Fault::new(FaultAction::Status { code, reason: reason.into() }).path_contains("/shutdown").times(1));
        alice.act(Verb::Shutdown, 101).await.error();
    }
    assert!(app.writes().iter().all(|call| !call.ends_with("/stop")), "{:?}", app.writes());
    let events = alice.events(&alice.id(101).await).await;
    let codes: Vec<_> = events.iter().map(|event| event.code.as_str()).collect();
    assert_eq!(codes, ["container_locked", "cancelled", "cancelled", "forbidden", "refused"]);
    assert_eq!(events[3].kind, EventKind::Refused);
}

#[tokio::test]
async fn row_6_a_cluster_that_is_away_beyond_our_time_is_waited_for_and_nothing_is_stopped() {
    let lifecycle =
        Lifecycle { shutdown_wait: Duration::from_millis(300), answer_within: Duration::from_millis(200), ..Lifecycle::default() };
    let app = TestApp::with(Setup { marked: false, lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(101).await;
    let fault = Fault::new(FaultAction::Status { code: 596, reason: "Connection timed out".into() }).path_contains("/tasks/");
    let (answer, ()) = tokio::join!(alice.act(Verb::Shutdown, 101), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.fault(fault);
    });
    let operation = answer.goes_on();
    tokio::time::sleep(Duration::from_secs(1)).await;
    app.cluster.finish_tasks();
    app.cluster.clear_faults();
    assert_eq!(alice.end_of(&operation).await.manner, Some(Manner::Graceful));
    assert_eq!(calls(&app), ["POST /lxc/101/status/shutdown"]);
    assert_eq!(only_event(&alice, &id).await.kind, EventKind::Stopped);
}

#[tokio::test]
async fn row_6_graceful_only_neither_forces_nor_falls_back() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let gently = ShutdownContainer { id: alice.id(116).await, graceful_only: Some(true), confirm: None };
    let (answer, ()) = tokio::join!(alice.post(gently), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.advance(Duration::from_secs(126));
    });
    assert_eq!(answer.error(), AppError::DidNotStop { vmid: 116.try_into().unwrap() });
    assert_eq!(calls(&app), ["POST /lxc/116/status/shutdown"]);
    assert!(app.cluster.requests().iter().all(|request| !request.params.contains_key("forceStop")));
    assert_eq!(app.cluster.container_status(116), Some(Really::Running));
}

#[tokio::test]
async fn row_7_restart_of_what_runs_shuts_down_then_starts_with_two_events() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(101).await;
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Restart, 101)).await.report();
    assert_eq!((report.status_after, report.manner), (Some(Status::Running), Some(Manner::Graceful)));
    assert_eq!(calls(&app), ["POST /lxc/101/status/shutdown", "POST /lxc/101/status/start"]);
    let events = alice.events(&id).await;
    assert_eq!(kinds(&events), [EventKind::Stopped, EventKind::Started]);
    assert_eq!(events.iter().map(|e| e.upid.as_ref().unwrap().kind().to_owned()).collect::<Vec<_>>(), ["vzshutdown", "vzstart"]);
    let asked = app.cluster.requests().into_iter().find(|r| r.path.ends_with("/shutdown")).unwrap();
    assert_eq!(asked.params.get("timeout").map(String::as_str), Some("30"));
}

#[tokio::test]
async fn row_7_a_restart_whose_start_fails_says_that_it_was_stopped() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(101).await;
    app.cluster.fault(Fault::new(FaultAction::FailTask { text: "startup failed".into() }).path_contains("/start"));
    let error = with_tasks_ending(&app.cluster, alice.act(Verb::Restart, 101)).await.error();
    assert!(matches!(error, AppError::TaskFailed { .. }), "{error:?}");
    assert_eq!(kinds(&alice.events(&id).await), [EventKind::Stopped, EventKind::Failed]);
    assert_eq!(count(&app, "SELECT id FROM containers WHERE vmid = 101 AND status = 'stopped'").await, 1);
}

#[tokio::test]
async fn row_8_restart_of_what_stands_only_starts() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    with_tasks_ending(&app.cluster, alice.act(Verb::Restart, 103)).await.report();
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
    assert_eq!(only_event(&alice, &alice.id(103).await).await.kind, EventKind::Started);
}

#[tokio::test]
async fn row_9_delete_stops_first_purges_and_removes_the_row() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(101).await;
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Delete, 101)).await.report();
    assert_eq!(report.status_after, None);
    assert_eq!(calls(&app), ["POST /lxc/101/status/stop", "DELETE /lxc/101"]);
    let asked = app.cluster.requests().into_iter().find(|r| r.method == "DELETE").unwrap();
    assert_eq!(asked.params.get("purge").map(String::as_str), Some("1"));
    assert_eq!(app.cluster.container_status(101), None);
    assert_eq!(count(&app, "SELECT id FROM containers WHERE vmid = 101").await, 0);
    assert_eq!(only_event(&alice, &id).await.kind, EventKind::Deleted);
}

#[tokio::test]
async fn row_9_a_deletion_wants_the_name_typed() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    for typed in ["", "wbe", "103"] {
        let error = alice.act_on(Verb::Delete, id.clone(), typed).await.error();
        assert!(matches!(error, AppError::Invalid { .. }), "{error:?}");
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    assert!(alice.events(&id).await.is_empty());
}

#[tokio::test]
async fn row_10_what_is_already_gone_is_deleted_only_where_proxmox_says_exactly_that() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let answered = |reason: &str| {
        let fault = Fault::new(FaultAction::Status { code: 500, reason: reason.into() }).path_contains("/lxc/103");
        app.cluster.fault(fault);
    };
    for reason in [
        "no such cluster node 'pve1'",
        "hostname lookup 'pve1' failed - failed to get address info",
        "Configuration file 'nodes/pve2/lxc/103.conf' does not exist",
        "Configuration file 'nodes/pve1/lxc/104.conf' does not exist",
        "unable to open volume: no such file",
    ] {
        answered(reason);
        alice.act_on(Verb::Delete, id.clone(), "web").await.error();
        app.cluster.clear_faults();
        assert_eq!(count(&app, "SELECT id FROM containers WHERE vmid = 103 AND gone_at IS NULL").await, 1, "{reason}");
    }
    answered("Configuration file 'nodes/pve1/lxc/103.conf' does not exist");
    alice.act_on(Verb::Delete, id.clone(), "web").await.report();
    assert_eq!(app.writes(), Vec::<String>::new());
    let events = alice.events(&id).await;
    assert_eq!(events.last().map(|event| (event.kind, event.code.as_str())), Some((EventKind::Deleted, "already_gone")));
    assert_eq!(count(&app, "SELECT id FROM containers WHERE vmid = 103").await, 0);
}

#[tokio::test]
async fn row_12_of_two_verbs_at_once_one_works_and_the_other_hears_who_is_busy() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let bob = app.sign_in("bob@pve").await;
    let id = bob.id(103).await;
    let (first, second) = with_tasks_ending_once_seen(&app.cluster, alice.act(Verb::Start, 103), async {
        app.cluster.wait_for_running_tasks(1).await;
        bob.act_on(Verb::Start, id.clone(), "").await
    })
    .await;
    first.report();
    let error = second.error();
    assert!(
        matches!(&error, AppError::Busy { verb: Verb::Start, by, since: 0..5, .. } if by.as_str() == "alice@pve"),
        "{error:?}: {error}"
    );
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
    // busy is no event
    assert_eq!(kinds(&alice.events(&id).await), [EventKind::Started]);
}

/// Both, and the tasks end once the second has been answered.
async fn with_tasks_ending_once_seen(
    cluster: &Simulator,
    first: impl Future<Output = Answer>,
    second: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    tokio::join!(first, async {
        let second = second.await;
        cluster.finish_tasks();
        second
    })
}

#[tokio::test]
async fn row_13_a_lease_outlasts_a_task_that_is_longer_than_itself() {
    let short = Duration::from_millis(900);
    let limits = berth::proxmox::client::Limits { quick: short / 2, blocking: short / 2, ..Default::default() };
    let lifecycle = Lifecycle { lease: short, answer_within: Duration::from_millis(100), ..Lifecycle::default() };
    let app = TestApp::with(Setup { lifecycle, limits, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let operation = alice.act(Verb::Start, 103).await.goes_on();
    for _ in 0..6 {
        tokio::time::sleep(short / 2).await;
        assert!(matches!(alice.act(Verb::Start, 103).await.error(), AppError::Busy { .. }));
    }
    app.cluster.finish_tasks();
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Succeeded);
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
}

#[tokio::test]
async fn row_15_a_failure_is_an_event_with_its_actor_and_code() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(115).await;
    let error = alice.act(Verb::Start, 115).await.error();
    let event = only_event(&alice, &id).await;
    assert_eq!((event.kind, event.actor.as_str(), event.code.as_str()), (EventKind::Failed, "alice@pve", "task_failed"));
    let view = alice.operation(event.operation.as_ref().unwrap()).await;
    assert_eq!((view.state, view.error), (OperationState::Failed, Some(error)));
}

#[tokio::test]
async fn row_15_a_refusal_of_proxmox_is_an_event_too() {
    let app = stepped().await;
    let (alice, auditor) = (app.sign_in("alice@pve").await, app.sign_in("auditor@pve").await);
    let id = alice.id(103).await;
    assert_eq!(auditor.act(Verb::Start, 103).await.error(), AppError::Forbidden { vmid: Some(103.try_into().unwrap()) });
    let event = only_event(&alice, &id).await;
    assert_eq!((event.kind, event.actor.as_str(), event.code.as_str()), (EventKind::Refused, "auditor@pve", "forbidden"));
    assert_eq!(auditor.act(Verb::Delete, 101).await.error(), AppError::Forbidden { vmid: Some(101.try_into().unwrap()) });
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"], "nothing was stopped for a deletion that is not allowed");
}

#[tokio::test]
async fn row_16_who_did_what_outlives_the_container() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    with_tasks_ending(&app.cluster, alice.act(Verb::Start, 103)).await.report();
    with_tasks_ending(&app.cluster, alice.act(Verb::Delete, 103)).await.report();
    let events = alice.events(&id).await;
    assert_eq!(kinds(&events), [EventKind::Started, EventKind::Deleted]);
    assert!(events.iter().all(|event| event.vmid.get() == 103 && event.name == "web" && event.actor.as_str() == "alice@pve"));
}

#[tokio::test]
async fn row_17_what_proxmox_says_is_in_the_log_alone() {
    // the harness looks for the marker in every answer
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let error = alice.act(Verb::Start, 115).await.error();
    assert!(error.incident().is_some_and(|incident| incident.0 > 0), "{error:?}");
    assert_eq!(count(&app, "SELECT id FROM operations WHERE error LIKE '%zq-proxmox%' OR code LIKE '%zq-proxmox%'").await, 0);
}

#[tokio::test]
async fn row_18_each_state_has_its_answer() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let ct = |number: u32| number.try_into().unwrap();
    assert_eq!(alice.act(Verb::Delete, 120).await.error(), AppError::Protected { vmid: ct(120) });
    assert_eq!(alice.act(Verb::Delete, 215).await.error(), AppError::HaManaged { vmid: ct(215) });
    assert_eq!(alice.act(Verb::Restart, 900).await.error(), AppError::IsTemplate { vmid: ct(900) });
    for verb in [Verb::Stop, Verb::Shutdown, Verb::Restart, Verb::Delete] {
        assert_eq!(alice.act(verb, 119).await.error(), AppError::ContainerLocked { vmid: ct(119), lock: Lock::Backup });
    }
    app.cluster.set_lock(101, Some("mounted"));
    assert_eq!(alice.act(Verb::Shutdown, 101).await.error(), AppError::ContainerLocked { vmid: ct(101), lock: Lock::Mounted });
    assert_eq!(app.writes(), Vec::<String>::new());
    with_tasks_ending(&app.cluster, alice.act(Verb::Stop, 101)).await.report();
    let error = alice.act(Verb::Start, 301).await.error();
    assert!(matches!(error, AppError::NodeUnreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn row_20_a_restart_of_berth_in_the_middle_of_a_task_sees_its_end() {
    let mut app = stepped().await;
    app.config.lifecycle.beat = Duration::from_millis(100);
    let (id, cookies) = {
        let alice = app.sign_in("alice@pve").await;
        let id = alice.id(103).await;
        tokio::select! {
            _ = alice.act(Verb::Start, 103) => panic!("it does not end"),
            () = app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.path.ends_with("/status") && r.path.contains("UPID"))) => {}
        }
        (id, alice.cookies())
    };
    app.stop().await;
    app.cluster.finish_tasks();
    app.restart().await;
    let alice = app.browser(&cookies);
    let operations: Paged<OperationView> = alice.read(ListOperations { container: id.clone(), before: None }).await.json();
    assert_eq!(alice.end_of(&operations.items[0].id).await.state, OperationState::Succeeded);
    assert_eq!(only_event(&alice, &id).await.kind, EventKind::Started);
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
}

#[tokio::test]
async fn row_21_without_a_session_nothing_is_looked_up() {
    let app = stepped().await;
    let id = app.sign_in("alice@pve").await.id(103).await;
    let stranger = app.stranger();
    for verb in [Verb::Start, Verb::Stop, Verb::Shutdown, Verb::Restart, Verb::Delete] {
        assert_eq!(stranger.act_on(verb, id.clone(), "web").await.error(), AppError::SignedOut);
    }
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_verb_takes_one_look_at_the_configuration_one_at_the_status_and_one_call() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    app.cluster.clear_requests();
    with_tasks_ending(&app.cluster, alice.act_on(Verb::Start, id, "")).await.report();
    let asked = app.cluster.requests();
    let count = |part: &str| asked.iter().filter(|request| request.path.ends_with(part)).count();
    let polls = asked.iter().filter(|request| request.path.contains("/tasks/")).count();
    assert_eq!((count("/config"), count("/status/current"), count("/status/start")), (1, 1, 1));
    assert_eq!(asked.len(), 3 + polls, "{asked:?}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_in_the_task_list_and_nothing_is_called_twice() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    app.cluster.fault(Fault::new(FaultAction::LoseAnswer).method("POST").path_contains("/status/start"));
    let report = with_tasks_ending(&app.cluster, alice.act(Verb::Start, 103)).await.report();
    assert_eq!(report.status_after, Some(Status::Running));
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
    assert_eq!(only_event(&alice, &id).await.upid.map(|upid| upid.to_string()), app.cluster.tasks().pop());
}

#[tokio::test]
async fn an_answer_that_was_lost_without_a_task_is_a_failure_after_fifteen_seconds() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    app.cluster.fault(Fault::new(FaultAction::Refuse).method("POST").path_contains("/status/start"));
    let (answer, ()) = tokio::join!(alice.act(Verb::Start, 103), async {
        app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.path == "/nodes/pve1/tasks")).await;
        app.cluster.advance(Duration::from_secs(15));
    });
    let error = answer.error();
    assert!(matches!(error, AppError::ClusterUnreachable { .. }), "{error:?}");
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
}

#[tokio::test]
async fn who_may_not_audit_a_container_hears_nothing_of_what_was_done_to_it() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(110).await;
    let operation = with_tasks_ending(&app.cluster, alice.act(Verb::Start, 110)).await.report().operation;
    let gone = alice.id(112).await;
    with_tasks_ending(&app.cluster, alice.act(Verb::Delete, 112)).await.report();
    for user in ["bob@pve", "nobody@pve"] {
        let other = app.sign_in(user).await;
        for id in [&id, &gone] {
            let events = other.read(ListContainerEvents { container: id.clone(), before: None }).await;
            assert_eq!(events.error(), AppError::NoSuchContainer);
            let operations = other.read(ListOperations { container: id.clone(), before: None }).await;
            assert_eq!(operations.error(), AppError::NoSuchContainer);
        }
        assert_eq!(other.read(GetOperation { id: operation.clone() }).await.error(), AppError::NoSuchOperation);
        assert!(!other.read(ListContainers {}).await.text.contains(id.as_str()));
    }
}

#[tokio::test]
async fn without_javascript_a_verb_that_goes_on_leads_to_the_page_that_follows_it() {
    let lifecycle = Lifecycle { answer_within: Duration::from_millis(100), ..Lifecycle::default() };
    let app = TestApp::with(Setup { lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let body = format!("id={}", alice.id(103).await);
    let answer = alice.submit("/?tag=prod", "/api/start_container", body).await;
    let operation = answer.header("location").strip_prefix("/?tag=prod&op=").unwrap().parse().unwrap();
    app.cluster.finish_tasks();
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Succeeded);
}

#[tokio::test]
async fn behind_a_proxy_the_source_is_what_the_proxy_says() {
    let url = "https://berth.example".parse().unwrap();
    for (public_url, expected) in [(Some(url), "203.0.113.7"), (None, "127.0.0.1")] {
        let app = TestApp::with(Setup { public_url, ..Setup::stepped() }).await;
        let alice = app.sign_in("alice@pve").await;
        let id = alice.id(101).await;
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-forwarded-for", "198.51.100.1, 203.0.113.7"),
            ("accept", "application/json"),
        ];
        alice.send(reqwest::Method::POST, "/api/start_container", &headers, format!("id={id}")).await.error();
        assert_eq!(only_event(&alice, &id).await.source.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn a_verb_from_two_tabs_at_once_is_done_once() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let other = alice.twin();
    let both = async { tokio::join!(alice.act_on(Verb::Start, id.clone(), ""), other.act_on(Verb::Start, id.clone(), "")) };
    let (first, second) = with_tasks_ending(&app.cluster, both).await;
    let refused = [first, second].into_iter().filter(|answer| !answer.status.is_success()).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert!(matches!(refused[0].error(), AppError::Busy { .. } | AppError::AlreadyRunning { .. }));
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
}

#[tokio::test]
async fn an_outcome_that_nobody_could_see_is_settled_by_the_next_who_looks() {
    let lifecycle = Lifecycle { answer_within: Duration::from_millis(100), ..Lifecycle::default() };
    let app = TestApp::with(Setup { marked: false, lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let operation = alice.act(Verb::Start, 103).await.goes_on();
    app.cluster.expire_tickets();
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Unknown);
    // it runs still: nobody can say more
    assert_eq!(alice.operation(&operation).await.state, OperationState::Unknown);
    app.cluster.finish_tasks();
    assert_eq!(alice.operation(&operation).await.state, OperationState::Succeeded);
    let codes: Vec<_> = alice.events(&id).await.into_iter().map(|event| (event.kind, event.code)).collect();
    assert_eq!(codes, [(EventKind::Failed, "outcome_unknown".to_owned()), (EventKind::Started, "ok".to_owned())]);
    assert_eq!(count(&app, "SELECT operation_id FROM leases").await, 0);
}

/// Holds the first one up that comes before a step; says so, and lets it go on when the last of what it gives is dropped.
fn holds_the_first_up(step: StepKind) -> (Probe, tokio::sync::mpsc::UnboundedReceiver<()>, std::sync::mpsc::Sender<()>) {
    let (say, said) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let probe = Probe::new(move |passed| {
        if (passed.step, passed.side) != (step, Side::Before) {
            return;
        }
        let first = wait.lock().unwrap().take();
        if let Some(wait) = first {
            say.send(()).unwrap();
            assert!(tokio::task::block_in_place(|| wait.recv()).is_err());
        }
    });
    (probe, said, go_on)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_look_at_the_same_time_settle_an_outcome_once_and_nothing_holds_the_container_afterwards() {
    let lifecycle = Lifecycle { answer_within: Duration::from_millis(100), ..Lifecycle::default() };
    let mut app = TestApp::with(Setup { marked: false, lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let operation = alice.act(Verb::Start, 103).await.goes_on();
    app.cluster.expire_tickets();
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Unknown);
    let cookies = alice.cookies();
    app.take().stop().await;
    app.cluster.finish_tasks();
    // the first of them is held up until the other is done
    let (probe, mut said, go_on) = holds_the_first_up(StepKind::TakeOver);
    let berth = Running::start(app.config.clone(), probe).await;
    let alice = app.browser_at(&berth.url, &cookies);
    let other = async {
        said.recv().await.unwrap();
        assert_eq!(alice.operation(&operation).await.state, OperationState::Succeeded);
        drop(go_on);
    };
    let (first, ()) = tokio::join!(alice.operation(&operation), other);
    assert_eq!(first.state, OperationState::Succeeded);
    assert_eq!(alice.events(&id).await.len(), 2);
    alice.act(Verb::Stop, 103).await.goes_on();
    berth.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_verb_has_changed_between_the_look_and_the_lease_is_looked_at_again() {
    let mut app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let (id, cookies) = (alice.id(101).await, alice.cookies());
    app.take().stop().await;
    // the first of them has seen that it runs, and is held up until the other has stopped it
    let (probe, mut said, go_on) = holds_the_first_up(StepKind::Claim);
    let berth = Running::start(app.config.clone(), probe).await;
    let alice = app.browser_at(&berth.url, &cookies);
    let other = async {
        said.recv().await.unwrap();
        alice.act_on(Verb::Stop, id.clone(), "").await.report();
        drop(go_on);
    };
    let (first, ()) = tokio::join!(alice.act_on(Verb::Stop, id.clone(), ""), other);
    assert_eq!(first.error(), AppError::NotRunning { vmid: 101.try_into().unwrap() });
    assert_eq!(calls(&app), ["POST /lxc/101/status/stop"], "it is not asked to stop what stands");
    assert_eq!(kinds(&alice.events(&id).await), [EventKind::Stopped, EventKind::Refused]);
    berth.stop().await;
}

#[tokio::test]
async fn an_operation_outlives_the_session_that_began_it() {
    let lifecycle = Lifecycle { answer_within: Duration::from_millis(100), ..Lifecycle::default() };
    let app = TestApp::with(Setup { lifecycle, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let operation = alice.act(Verb::Start, 103).await.goes_on();
    alice.post(berth::auth::api::SignOut {}).await;
    app.cluster.finish_tasks();
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Succeeded);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_does_not_hold_up_the_end_and_the_operation_is_taken_up_again() {
    let mut app = stepped().await;
    app.config.lifecycle.beat = Duration::from_millis(100);
    let cookies = app.sign_in("alice@pve").await.cookies();
    app.cluster.fault(Fault::new(FaultAction::LoseAnswer).method("POST").path_contains("/status/start"));
    app.cluster.fault(Fault::new(FaultAction::Hang).path_contains("/nodes/pve1/tasks"));
    let berth = app.take();
    let alice = app.browser(&cookies);
    let (answer, took) = tokio::join!(alice.act(Verb::Start, 103), async {
        app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.path == "/nodes/pve1/tasks")).await;
        let began = Instant::now();
        berth.stop().await;
        began.elapsed()
    });
    let operation = answer.goes_on();
    // half of what requests get
    assert!(took < Duration::from_secs(5), "{took:?}");
    app.cluster.clear_faults();
    app.cluster.finish_tasks();
    app.restart().await;
    assert_eq!(app.browser(&cookies).end_of(&operation).await.state, OperationState::Succeeded);
    assert_eq!(calls(&app), ["POST /lxc/103/status/start"]);
}
