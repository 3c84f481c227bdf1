//! The client for Proxmox VE, against the simulated one.

use berth::{
    proxmox::{
        Cause, Client, Connection,
        client::{Address, SignIn},
        ids::{NodeName, Vmid},
        tasks::TaskEnd,
        tls::Trust,
        wire::RunState,
    },
    simulator::{Fault, FaultAction, Options, Simulator},
};
use std::{sync::Arc, time::Duration};

async fn connect(options: Options) -> (Simulator, Client) {
    let simulator = Simulator::start(options).await.unwrap();
    let trust = Trust::Pinned(simulator.fingerprint().parse().unwrap());
    let address = Address { host: simulator.addr().ip().to_string(), port: simulator.addr().port(), trust };
    let connection = Connection::new(&address).unwrap();
    let SignIn::Ticket(ticket) = connection.access_ticket(&"alice@pve".parse().unwrap(), &"berth".to_owned().into()).await.unwrap() else {
        panic!("a second factor")
    };
    let client = connection.with(Arc::new(ticket));
    (simulator, client)
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
    assert!(client.cluster_resources().await.unwrap().iter().any(|row| row.kind == "qemu"));
    let (node, vmid) = place(101);
    assert_eq!(client.lxc_status_current(&node, vmid).await.unwrap().status, RunState::Running);
    assert_eq!(client.lxc_config(&node, vmid).await.unwrap()["hostname"], "pihole");
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
    assert_eq!(wait(client.lxc_stop(&node, warns).await.unwrap()).await, TaskEnd::Ok);
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
    let upid = client.lxc_stop(&node, locked).await.unwrap();
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
        client.lxc_stop(&node, vmid).await.expect_err("no answer");
        assert_eq!(simulator.requests().iter().filter(|r| r.method == "POST").count(), 1, "{action:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let (simulator, client) = connect(quick()).await;
    simulator.fault(Fault::new(FaultAction::TooLarge { bytes: 64 << 20 }));
    let error = client.cluster_resources().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Protocol(_)), "{error:?}");
}
