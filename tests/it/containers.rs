//! The list, and start, shut down, stop.

use crate::harness::{Answer, Browser, Setup, TestApp};
use berth::{
    containers::{
        api::{ListContainers, ShutdownContainer, StartContainer, StopContainer},
        model::{ContainerList, ContainerRow, Outcome, Status},
    },
    error::{AppError, Lock},
    proxmox::ids::Vmid,
    simulator::{self, Fault, FaultAction},
};

fn ct(number: u32) -> Vmid {
    number.try_into().unwrap()
}

async fn list(browser: &Browser<'_>) -> ContainerList {
    browser.read(ListContainers {}).await.json()
}

async fn row(browser: &Browser<'_>, number: u32) -> ContainerRow {
    list(browser).await.rows.into_iter().find(|row| row.vmid == ct(number)).unwrap()
}

const DONE: Outcome = Outcome::Done { warnings: false };

#[tokio::test]
async fn every_container_the_user_may_see_is_in_the_page_itself() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let page = alice.open("/").await;
    let list = list(&alice).await;
    assert!(list.rows.len() > 30);
    assert!(list.rows.is_sorted_by_key(|row| (row.name.to_lowercase(), row.vmid)));
    for row in &list.rows {
        assert!(page.text.contains(&format!("data-vmid=\"{}\"", row.vmid)), "CT {}", row.vmid);
    }
    assert!(!page.text.contains("opnsense"), "a virtual machine is no container");
    let bob = app.sign_in("bob@pve").await;
    let names: Vec<_> = self::list(&bob).await.rows.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["grafana", "web", "worker"]);
    let page = bob.open("/").await;
    assert!(!page.text.contains("nextcloud"));
}

#[tokio::test]
async fn start_waits_for_the_end_and_the_list_says_the_truth_at_once() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(row(&alice, 103).await.status, Status::Stopped);
    let (answer, ()) = tokio::join!(alice.post(StartContainer { vmid: ct(103) }), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.finish_tasks();
    });
    assert_eq!(answer.json::<Outcome>(), DONE);
    // the cluster's own list still says stopped: its clock stands still
    assert_eq!(row(&alice, 103).await.status, Status::Running);
    assert_eq!(app.writes(), ["POST /nodes/pve1/lxc/103/status/start"]);
}

#[tokio::test]
async fn shutdown_and_stop_end_on_the_truth() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.post(ShutdownContainer { vmid: ct(101) }).await.json::<Outcome>(), DONE);
    assert_eq!(alice.post(StopContainer { vmid: ct(102) }).await.json::<Outcome>(), DONE);
    assert_eq!(app.cluster.container_status(101), Some(simulator::Status::Stopped));
    assert_eq!(app.cluster.container_status(102), Some(simulator::Status::Stopped));
}

#[tokio::test]
async fn a_container_that_ignores_the_shutdown_is_stopped_by_proxmox_after_a_while() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.post(ShutdownContainer { vmid: ct(116) }).await.json::<Outcome>(), DONE);
}

#[tokio::test]
async fn warnings_are_no_failure() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let end = alice.post(StartContainer { vmid: ct(118) }).await.json::<Outcome>();
    assert_eq!(end, Outcome::Done { warnings: true });
}

#[tokio::test]
async fn what_the_rules_refuse_is_not_asked_of_proxmox() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let start = |n| alice.post(StartContainer { vmid: ct(n) });
    assert_eq!(start(101).await.error(), AppError::AlreadyRunning { vmid: ct(101) });
    assert_eq!(start(900).await.error(), AppError::IsTemplate { vmid: ct(900) });
    assert_eq!(alice.post(StopContainer { vmid: ct(103) }).await.error(), AppError::NotRunning { vmid: ct(103) });
    assert_eq!(alice.post(StopContainer { vmid: ct(119) }).await.error(), AppError::ContainerLocked { vmid: ct(119), lock: Lock::Backup });
    assert_eq!(start(99_999).await.error(), AppError::ContainerNotFound { vmid: ct(99_999) });
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn proxmox_decides_about_rights_and_says_no_to_who_may_only_look() {
    let app = TestApp::start().await;
    let auditor = app.sign_in("auditor@pve").await;
    assert!(!row(&auditor, 103).await.may_power);
    assert_eq!(auditor.post(StartContainer { vmid: ct(103) }).await.error(), AppError::Forbidden { vmid: Some(ct(103)) });
    let bob = app.sign_in("bob@pve").await;
    assert_eq!(bob.post(StartContainer { vmid: ct(110) }).await.error(), AppError::ContainerNotFound { vmid: ct(110) });
}

#[tokio::test]
async fn a_failed_task_is_a_sentence_with_a_number_and_the_row_keeps_its_true_status() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let error = alice.post(StartContainer { vmid: ct(115) }).await.error();
    assert!(matches!(error, AppError::TaskFailed { vmid, .. } if vmid == ct(115)), "{error:?}");
    assert_eq!(row(&alice, 115).await.status, Status::Stopped);
}

#[tokio::test]
async fn two_verbs_at_once_do_not_disturb_each_other() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let (bad, good) = tokio::join!(alice.post(StartContainer { vmid: ct(115) }), alice.post(StartContainer { vmid: ct(103) }));
    assert!(matches!(bad.error(), AppError::TaskFailed { .. }));
    assert_eq!(good.json::<Outcome>(), DONE);
}

#[tokio::test]
async fn a_verb_goes_on_to_its_end_when_the_browser_goes_away() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let gone = tokio::select! {
        _ = alice.post(StartContainer { vmid: ct(103) }) => false,
        () = app.cluster.wait_for_running_tasks(1) => true,
    };
    assert!(gone);
    app.cluster.clear_requests();
    app.cluster.finish_tasks();
    // the server still looks how it ended, though nobody waits
    app.cluster.wait_for_requests(|seen| seen.iter().any(|r| r.path.ends_with("/lxc/103/status/current"))).await;
}

#[tokio::test]
async fn while_proxmox_hangs_the_page_has_the_last_good_rows() {
    let app = TestApp::with(Setup { page_budget: Setup::SHORT, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    // on a slow machine the first list may itself come late; then the next one has it
    while list(&alice).await.rows.is_empty() {}
    app.cluster.fault(Fault::new(FaultAction::Hang));
    let page = alice.open("/").await;
    assert!(page.text.contains("homelab does not answer in time."), "{}", page.text);
    assert!(page.text.contains("data-vmid=\"103\""));
    let list = list(&alice).await;
    assert!(matches!(list.trouble, Some(AppError::ClusterSlow { .. })));
    app.cluster.clear_faults();
}

#[tokio::test]
async fn one_user_never_sees_the_list_of_another() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let nobody = app.sign_in("nobody@pve").await;
    alice.open("/").await;
    app.cluster.stop_listening().await;
    let list = list(&nobody).await;
    assert!(list.rows.is_empty() && list.trouble.is_some(), "{list:?}");
}

#[tokio::test]
async fn without_javascript_a_verb_ends_on_the_page_it_came_from() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let to = |answer: &Answer| (answer.status.as_u16(), answer.header("location").to_owned());
    let answer = alice.submit("/?tag=prod", "/api/start_container", "vmid=103").await;
    assert_eq!(to(&answer), (303, "/?tag=prod".into()));
    assert_eq!(app.cluster.container_status(103), Some(simulator::Status::Running));
    let answer = alice.submit("/", "/api/start_container", "vmid=115").await;
    assert_eq!(to(&answer), (303, "/".into()));
    let page = alice.open("/").await;
    assert!(page.text.contains("Proxmox tried, and the task for CT 115 failed."), "{}", page.text);
    app.cluster.expire_tickets();
    let answer = alice.submit("/?tag=prod", "/api/start_container", "vmid=106").await;
    assert_eq!(to(&answer), (303, "/login?next=/%3Ftag%3Dprod".into()));
    assert_eq!(app.cluster.container_status(106), Some(simulator::Status::Stopped));
}

#[tokio::test]
async fn a_container_under_ha_is_not_called_running_before_it_runs() {
    let mut setup = Setup::quick();
    setup.simulator.speed = 1.0;
    let app = TestApp::with(setup).await;
    let alice = app.sign_in("alice@pve").await;
    // the hastop task is OK at once, the manager acts eight seconds later
    assert_eq!(alice.post(StopContainer { vmid: ct(215) }).await.json::<Outcome>(), Outcome::StillRunning);
    assert_eq!(row(&alice, 215).await.status, Status::Running);
}

#[tokio::test]
async fn a_task_that_ended_well_is_no_failure_because_the_status_cannot_be_read() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let (answer, ()) = tokio::join!(alice.post(StartContainer { vmid: ct(103) }), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster
            .fault(Fault::new(FaultAction::Status { code: 596, reason: "Connection timed out".into() }).path_contains("status/current"));
        app.cluster.finish_tasks();
    });
    assert_eq!(answer.json::<Outcome>(), Outcome::StillRunning);
}
