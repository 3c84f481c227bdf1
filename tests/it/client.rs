//! The client for Proxmox VE, against the simulated one.

use berth::{
    proxmox::{
        Cause, Client, Connection,
        client::{Address, Limits, SignIn},
        credentials::ApiToken,
        error::Thing,
        ids::{NodeName, Vmid},
        tasks::TaskEnd,
        ticket::Ticket,
        tls::Trust,
        wire::{ClusterResources, RunState},
    },
    simulator::{Fault, FaultAction, Options, Simulator},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

async fn connect(options: Options) -> (Simulator, Client) {
    let simulator = Simulator::start(options).await.unwrap();
    let connection = Connection::new(&[address(&simulator)]).unwrap();
    let client = connection.with(ticket(&connection).await);
    (simulator, client)
}

fn address(simulator: &Simulator) -> Address {
    let trust = Trust::Pinned(simulator.fingerprint().parse().unwrap());
    Address { host: simulator.addr().ip().to_string(), port: simulator.addr().port(), trust }
}

async fn ticket(connection: &Connection) -> Ticket {
    match connection.access_ticket(&"alice@pve".parse().unwrap(), &"berth".to_owned().into()).await.unwrap() {
        SignIn::Ticket(ticket) => ticket,
        SignIn::SecondFactor(_) => panic!("a second factor"),
    }
}

/// How often tickets were asked for.
fn sign_ins(simulator: &Simulator) -> usize {
    simulator.requests().iter().filter(|request| request.path == "/access/ticket").count()
}

fn quick() -> Options {
    Options { speed: 100.0, ..Options::default() }
}

fn place(number: u32) -> (NodeName, Vmid) {
    let node = if number < 200 { "pve1" } else { "pve2" };
    (node.parse().unwrap(), number.try_into().unwrap())
}

#[tokio::test]
async fn every_call_reads_what_the_cluster_answers() {
    let (_simulator, client) = connect(quick()).await;
    assert!(client.version().await.unwrap().version.starts_with("8.4"));
    let nodes = client.nodes().await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.status == Some(RunState::Online)).count(), 2);
    assert!(client.access_permissions().await.unwrap().contains_key("/vms"));
    assert!(client.cluster_resources(ClusterResources::All).await.unwrap().iter().any(|row| row.kind == "qemu"));
    let (node, vmid) = place(101);
    assert_eq!(client.lxc_status_current(&node, vmid).await.unwrap().status, RunState::Running);
    assert_eq!(client.lxc_config(&node, vmid).await.unwrap().get("hostname"), Some("pihole"));
    let renewed = client.access_ticket_renewal().await.unwrap();
    assert_eq!(&renewed.user, client.user());
}

#[tokio::test]
async fn a_task_is_waited_for_to_its_end() {
    let (_simulator, client) = connect(quick()).await;
    let wait = async |upid| client.wait_for_task(&upid, Duration::from_secs(20)).await.unwrap();
    let (node, vmid) = place(103);
    assert_eq!(wait(client.lxc_start(&node, vmid).await.unwrap()).await, TaskEnd::Ok);
    assert_eq!(wait(client.lxc_reboot(&node, vmid, Duration::from_secs(10)).await.unwrap()).await, TaskEnd::Ok);
    assert_eq!(wait(client.lxc_shutdown(&node, vmid, Duration::from_secs(10), true).await.unwrap()).await, TaskEnd::Ok);
    let (node, warns) = place(118);
    assert_eq!(wait(client.lxc_start(&node, warns).await.unwrap()).await, TaskEnd::Warnings);
    assert_eq!(wait(client.lxc_stop(&node, warns, false).await.unwrap()).await, TaskEnd::Ok);
}

#[tokio::test]
async fn a_task_that_fails_brings_its_exit_status_and_the_end_of_its_log() {
    let (_simulator, client) = connect(quick()).await;
    let (node, vmid) = place(115);
    let upid = client.lxc_start(&node, vmid).await.unwrap();
    let error = client.wait_for_task(&upid, Duration::from_secs(20)).await.unwrap_err();
    let Cause::TaskFailed { exitstatus, log, meaning } = error.cause else { panic!("{error:?}") };
    assert_eq!(exitstatus, "startup for container '115' failed");
    assert!(log.last().unwrap().starts_with("TASK ERROR"), "{log:?}");
    assert!(meaning.is_none());
    let (node, locked) = place(119);
    let upid = client.lxc_stop(&node, locked, false).await.unwrap();
    let error = client.wait_for_task(&upid, Duration::from_secs(20)).await.unwrap_err();
    let Cause::TaskFailed { meaning: Some(meaning), .. } = error.cause else { panic!("{error:?}") };
    assert!(matches!(*meaning, Cause::Locked(lock) if lock == "backup"));
}

#[tokio::test]
async fn a_failed_poll_is_survived() {
    let (simulator, client) = connect(quick()).await;
    let (node, vmid) = place(103);
    let upid = client.lxc_start(&node, vmid).await.unwrap();
    simulator.fault(Fault::new(FaultAction::Status { code: 595, reason: "Connection refused".into() }).path_contains("/tasks/").times(2));
    assert_eq!(client.wait_for_task(&upid, Duration::from_secs(20)).await.unwrap(), TaskEnd::Ok);
}

#[tokio::test]
async fn a_wait_that_ends_before_the_task_is_no_failure() {
    let (_simulator, client) = connect(Options { stepped: true, ..Options::default() }).await;
    let (node, vmid) = place(103);
    let upid = client.lxc_start(&node, vmid).await.unwrap();
    assert_eq!(client.wait_for_task(&upid, Duration::from_millis(400)).await.unwrap(), TaskEnd::StillRunning);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let (simulator, client) = connect(quick()).await;
    let (node, vmid) = place(103);
    for action in [FaultAction::LoseAnswer, FaultAction::Refuse, FaultAction::Drop, FaultAction::Garbage, FaultAction::Html] {
        simulator.clear_faults();
        simulator.clear_requests();
        simulator.fault(Fault::new(action.clone()).method("POST"));
        client.lxc_stop(&node, vmid, false).await.expect_err("no answer");
        assert_eq!(simulator.requests().iter().filter(|r| r.method == "POST").count(), 1, "{action:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let (simulator, client) = connect(quick()).await;
    simulator.fault(Fault::new(FaultAction::TooLarge { bytes: 64 << 20 }));
    let error = client.cluster_resources(ClusterResources::All).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn who_is_down_is_passed_over_and_who_answered_last_is_asked_first() {
    let (first, second) = (Simulator::start(quick()).await.unwrap(), Simulator::start(quick()).await.unwrap());
    let connection = Connection::new(&[address(&first), address(&second)]).unwrap();
    let asked = || (first.requests().len(), second.requests().len());
    connection.access_domains().await.unwrap();
    assert_eq!(asked(), (1, 0));
    first.stop_listening().await;
    connection.access_domains().await.unwrap();
    assert_eq!(asked(), (1, 1));
    first.resume_listening().await;
    connection.access_domains().await.unwrap();
    assert_eq!(asked(), (1, 2));
    second.stop_listening().await;
    // a write goes on to the next address too: nothing of it was sent
    ticket(&connection).await;
    assert_eq!(asked(), (2, 2));
}

#[tokio::test]
async fn an_address_with_another_certificate_is_not_passed_over() {
    let (first, second) = (Simulator::start(quick()).await.unwrap(), Simulator::start(quick()).await.unwrap());
    let impostor = Address { trust: address(&second).trust, ..address(&first) };
    let connection = Connection::new(&[impostor, address(&second)]).unwrap();
    let error = connection.access_domains().await.unwrap_err();
    let Cause::Untrusted { expected: Some(expected), seen: Some(seen) } = error.cause else { panic!("{error:?}") };
    assert_eq!((expected.to_string(), seen.to_string()), (second.fingerprint(), first.fingerprint()));
    assert!(first.requests().is_empty() && second.requests().is_empty());
}

#[tokio::test]
async fn calls_that_are_refused_at_once_share_one_renewal() {
    let (simulator, client) = connect(Options { stepped: true, ..Options::default() }).await;
    let connection = Connection::new(&[address(&simulator)]).unwrap();
    let good = client.access_ticket_renewal().await.unwrap();
    // as after two hours with the same page open: the ticket was renewed, its CSRF token was not
    let stale = Ticket::new(good.user.clone(), good.cookie().to_owned(), "6B0325C5:stale".to_owned());
    let client = connection.with(stale);
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    client.on_renewal(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    simulator.clear_requests();
    let starts = [103, 115, 118].map(|number| {
        let client = client.clone();
        async move {
            let (node, vmid) = place(number);
            client.lxc_start(&node, vmid).await.unwrap();
        }
    });
    futures::future::join_all(starts).await;
    assert_eq!((sign_ins(&simulator), told.load(Ordering::Relaxed)), (1, 1));
    client.version().await.unwrap();
}

#[tokio::test]
async fn a_ticket_that_is_dead_is_not_tried_again() {
    let (simulator, client) = connect(Options { stepped: true, ..Options::default() }).await;
    simulator.expire_tickets();
    simulator.clear_requests();
    assert!(matches!(client.version().await.unwrap_err().cause, Cause::SignedOut(_)));
    assert_eq!((simulator.requests().len(), sign_ins(&simulator)), (2, 1));
    assert!(matches!(client.clone().nodes().await.unwrap_err().cause, Cause::SignedOut(_)));
    assert_eq!(simulator.requests().len(), 2);
}

#[tokio::test]
async fn an_old_ticket_is_renewed_before_it_is_used_and_used_where_that_fails() {
    let simulator = Simulator::start(quick()).await.unwrap();
    let limits = Limits { renew_after: Duration::ZERO, first_pause: Duration::from_millis(1), ..Limits::default() };
    let connection = Connection::with_limits(&[address(&simulator)], limits).unwrap();
    let client = connection.with(ticket(&connection).await);
    simulator.clear_requests();
    client.version().await.unwrap();
    assert_eq!(sign_ins(&simulator), 1);
    simulator.fault(Fault::new(FaultAction::LoseAnswer).path_prefix("/access/ticket"));
    client.version().await.unwrap();
}

#[tokio::test]
async fn a_token_is_shown_as_it_is_and_never_renewed() {
    let simulator = Simulator::start(Options { stepped: true, ..Options::default() }).await.unwrap();
    let connection = Connection::new(&[address(&simulator)]).unwrap();
    let client = connection.with(ApiToken { id: "alice@pve!nosuch".parse().unwrap(), secret: "secret".to_owned().into() });
    assert_eq!(client.user().as_str(), "alice@pve");
    let error = client.version().await.unwrap_err();
    assert!(matches!(&error.cause, Cause::SignedOut(text) if text.contains("token")), "{error:?}");
    assert_eq!(simulator.requests().len(), 1);
}

#[tokio::test]
async fn of_the_calls_that_block_while_a_container_starts_one_is_under_way_at_a_time() {
    let (simulator, client) = connect(Options { stepped: true, ..Options::default() }).await;
    let (node, vmid) = place(103);
    client.lxc_start(&node, vmid).await.unwrap();
    simulator.clear_requests();
    let ask = || {
        let (client, node) = (client.clone(), node.clone());
        tokio::spawn(async move { client.lxc_status_current(&node, vmid).await.map(|current| current.status) })
    };
    let gone = ask();
    simulator.wait_for_requests(|requests| requests.len() == 1).await;
    // whoever goes away leaves the turn taken, as the cluster's worker is
    gone.abort();
    let waiting = [ask(), ask()];
    client.version().await.unwrap();
    assert_eq!(simulator.requests().iter().filter(|request| request.path.ends_with("/status/current")).count(), 1);
    simulator.finish_tasks();
    for answer in waiting {
        assert_eq!(answer.await.unwrap().unwrap(), RunState::Running);
    }
    assert_eq!(simulator.requests().iter().filter(|request| request.path.ends_with("/status/current")).count(), 3);
}

#[tokio::test]
async fn a_log_is_followed_to_its_last_line() {
    let (simulator, client) = connect(Options { stepped: true, ..Options::default() }).await;
    let (node, vmid) = place(115);
    let upid = client.lxc_start(&node, vmid).await.unwrap();
    let follow = {
        let (client, upid) = (client.clone(), upid.clone());
        tokio::spawn(async move { client.whole_task_log(&upid).await.unwrap() })
    };
    simulator.wait_for_requests(|requests| requests.iter().any(|request| request.path.ends_with("/log"))).await;
    simulator.finish_tasks();
    let lines = follow.await.unwrap();
    assert!(lines.last().unwrap().starts_with("TASK ERROR"), "{lines:?}");
    assert_eq!(lines, client.whole_task_log(&upid).await.unwrap());
}

#[tokio::test]
async fn the_log_of_an_unknown_task_is_not_found() {
    let (_simulator, client) = connect(quick()).await;
    let upid = "UPID:pve1:00000001:00000001:6B032421:vzstart:101:alice@pve:".parse().unwrap();
    for error in [client.task_status(&upid).await.unwrap_err(), client.task_log(&upid, 0, 50).await.unwrap_err()] {
        assert!(matches!(error.cause, Cause::NotFound { what: Thing::Task, .. }), "{error:?}");
    }
}
