//! The list, and start, shut down, stop.

use crate::harness::{Answer, Browser, Setup, TestApp};
use berth::{
    containers::{
        api::ListContainers,
        model::{ContainerList, ContainerRow, Status},
    },
    error::{AppError, Lock},
    operations::model::{Manner, OperationState, Verb},
    proxmox::ids::Vmid,
    simulator::{self, Fault, FaultAction},
};
use std::time::Duration;

fn ct(number: u32) -> Vmid {
    number.try_into().unwrap()
}

async fn list(browser: &Browser<'_>) -> ContainerList {
    browser.read(ListContainers {}).await.json()
}

async fn row(browser: &Browser<'_>, number: u32) -> ContainerRow {
    list(browser).await.rows.into_iter().find(|row| row.vmid == ct(number)).unwrap()
}

#[tokio::test]
async fn every_container_the_user_may_see_is_in_the_page_itself() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let page = alice.open("/").await;
    let list = list(&alice).await;
    assert!(list.rows.len() > 30);
    assert!(list.rows.is_sorted_by_key(|row| (row.name.to_lowercase(), row.vmid)));
    for row in &list.rows {
        assert!(page.text.contains(row.id.as_str()), "CT {}", row.vmid);
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
    let (answer, ()) = tokio::join!(alice.act(Verb::Start, 103), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.finish_tasks();
    });
    assert_eq!(answer.report().status_after, Some(Status::Running));
    // the cluster's own list still says stopped: its clock stands still
    assert_eq!(row(&alice, 103).await.status, Status::Running);
    assert_eq!(app.writes(), ["POST /nodes/pve1/lxc/103/status/start"]);
}

#[tokio::test]
async fn shutdown_and_stop_end_on_the_truth() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.act(Verb::Shutdown, 101).await.report().manner, Some(Manner::Graceful));
    assert_eq!(alice.act(Verb::Stop, 102).await.report().manner, Some(Manner::Forced));
    assert_eq!(app.cluster.container_status(101), Some(simulator::Status::Stopped));
    assert_eq!(app.cluster.container_status(102), Some(simulator::Status::Stopped));
}

#[tokio::test]
async fn a_container_that_ignores_the_shutdown_is_stopped_by_proxmox_after_a_while() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.act(Verb::Shutdown, 116).await.report().manner, Some(Manner::Forced));
}

#[tokio::test]
async fn warnings_are_no_failure() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert!(alice.act(Verb::Start, 118).await.report().warnings);
}

#[tokio::test]
async fn what_the_rules_refuse_is_not_asked_of_proxmox() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let start = |n| alice.act(Verb::Start, n);
    assert_eq!(start(101).await.error(), AppError::AlreadyRunning { vmid: ct(101) });
    assert_eq!(start(900).await.error(), AppError::IsTemplate { vmid: ct(900) });
    assert_eq!(alice.act(Verb::Stop, 103).await.error(), AppError::NotRunning { vmid: ct(103) });
    assert_eq!(alice.act(Verb::Stop, 119).await.error(), AppError::ContainerLocked { vmid: ct(119), lock: Lock::Backup });
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn proxmox_decides_about_rights_and_says_no_to_who_may_only_look() {
    let app = TestApp::start().await;
    let auditor = app.sign_in("auditor@pve").await;
    assert!(!row(&auditor, 103).await.may_power);
    assert_eq!(auditor.act(Verb::Start, 103).await.error(), AppError::Forbidden { vmid: Some(ct(103)) });
    let bob = app.sign_in("bob@pve").await;
    let alice = app.sign_in("alice@pve").await;
    // who may not see it hears the same of it as of an id that there is not
    let unseen = alice.id(110).await;
    assert_eq!(bob.act_on(Verb::Start, unseen, "").await.error(), AppError::NoSuchContainer);
    assert_eq!(bob.act_on(Verb::Start, "0".repeat(32).parse().unwrap(), "").await.error(), AppError::NoSuchContainer);
    assert_eq!(app.writes(), ["POST /nodes/pve1/lxc/103/status/start"]);
}

#[tokio::test]
async fn a_failed_task_is_a_sentence_with_a_number_and_the_row_keeps_its_true_status() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let error = alice.act(Verb::Start, 115).await.error();
    assert!(matches!(error, AppError::TaskFailed { vmid, .. } if vmid == ct(115)), "{error:?}");
    assert_eq!(row(&alice, 115).await.status, Status::Stopped);
}

#[tokio::test]
async fn two_verbs_at_once_do_not_disturb_each_other() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let (bad, good) = tokio::join!(alice.act(Verb::Start, 115), alice.act(Verb::Start, 103));
    assert!(matches!(bad.error(), AppError::TaskFailed { .. }));
    assert_eq!(good.report().status_after, Some(Status::Running));
}

#[tokio::test]
async fn a_verb_goes_on_to_its_end_when_the_browser_goes_away() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let gone = tokio::select! {
        _ = alice.act(Verb::Start, 103) => false,
        () = app.cluster.wait_for_running_tasks(1) => true,
    };
    assert!(gone);
    app.cluster.finish_tasks();
    // the server still writes down how it ended, though nobody waits
    let id = alice.id(103).await;
    while alice.events(&id).await.is_empty() {}
}

#[tokio::test]
async fn while_proxmox_hangs_the_page_has_the_last_good_rows() {
    let app = TestApp::with(Setup { page_budget: Setup::SHORT, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    // on a slow machine the first list may itself come late; then the next one has it
    while list(&alice).await.rows.is_empty() {}
    app.cluster.fault(Fault::new(FaultAction::Hang));
    let list = list(&alice).await;
    let page = alice.open("/").await;
    assert!(page.text.contains("homelab does not answer in time."), "{}", page.text);
    assert!(page.text.contains(list.rows[0].id.as_str()));
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
    let id = async |number| format!("id={}", alice.id(number).await);
    let answer = alice.submit("/?tag=prod", "/api/start_container", id(103).await).await;
    // the page shows the operation until its end
    let (status, location) = to(&answer);
    assert!(status == 303 && location.starts_with("/?tag=prod&op="), "{location}");
    assert_eq!(app.cluster.container_status(103), Some(simulator::Status::Running));
    let answer = alice.submit("/", "/api/start_container", id(115).await).await;
    assert_eq!(to(&answer), (303, "/".into()));
    let page = alice.open("/").await;
    assert!(page.text.contains("Proxmox tried, and the task for CT 115 failed."), "{}", page.text);
    let worker = id(106).await;
    app.cluster.expire_tickets();
    let answer = alice.submit("/?tag=prod", "/api/start_container", worker).await;
    assert_eq!(to(&answer), (303, "/login?next=/%3Ftag%3Dprod".into()));
    assert_eq!(app.cluster.container_status(106), Some(simulator::Status::Stopped));
}

#[tokio::test]
async fn a_container_under_ha_is_not_called_stopped_before_it_has_stopped() {
    let mut setup = Setup::quick();
    setup.simulator.speed = 5.0;
    setup.lifecycle.answer_within = Duration::from_millis(300);
    let app = TestApp::with(setup).await;
    let alice = app.sign_in("alice@pve").await;
    // the hastop task is OK at once, the manager acts eight seconds later
    let id = alice.id(215).await;
    let operation = alice.act(Verb::Stop, 215).await.goes_on();
    assert_eq!(app.cluster.container_status(215), Some(simulator::Status::Running));
    assert!(alice.events(&id).await.is_empty());
    assert_eq!(alice.end_of(&operation).await.state, OperationState::Succeeded);
    assert_eq!(app.cluster.container_status(215), Some(simulator::Status::Stopped));
}
