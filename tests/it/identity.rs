//! Whether a container is still the one that we know, and how our rows follow what users see.

use crate::harness::{Setup, TestApp, change_macs};
use berth::{
    containers::{
        api::{ListContainers, StartContainer},
        model::{ContainerList, Status},
    },
    error::{AppError, Field, Flaw},
    events::model::EventKind,
    operations::model::Verb,
    paths,
    simulator::{Simulator, Status as Really},
};
use std::time::Duration;

const WEB: &str = "BC:24:11:51:F6:37";
const VERBS: [Verb; 5] = [Verb::Start, Verb::Stop, Verb::Shutdown, Verb::Restart, Verb::Delete];

fn edit(cluster: &Simulator, change: impl Fn(&mut berth::simulator::File)) {
    let mut state = cluster.state();
    change(&mut state);
    cluster.load(state).unwrap();
}

#[tokio::test]
async fn a_container_made_again_under_the_same_number_name_and_storage_is_refused_by_every_verb() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    alice.act(Verb::Start, 103).await.report();
    let old = alice.id(103).await;
    change_macs(&app, WEB, Some("BC:24:11:00:00:01"));
    app.cluster.clear_requests();
    for verb in VERBS {
        let error = alice.act_on(verb, old.clone(), "web").await.error();
        assert_eq!(error, AppError::IdentityChanged { vmid: 103.try_into().unwrap() }, "{verb}");
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    // the new one is another row, and the old one keeps its history
    let new = alice.id(103).await;
    assert_ne!(new, old);
    let kinds: Vec<_> = alice.events(&old).await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[..2], [EventKind::Started, EventKind::Refused]);
    assert!(alice.events(&new).await.is_empty());
    alice.act(Verb::Stop, 103).await.report();
}

#[tokio::test]
async fn one_interface_that_stays_is_enough() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    alice.act(Verb::Start, 103).await.report();
    let id = alice.id(103).await;
    edit(&app.cluster, |state| {
        let web = state.containers.iter_mut().find(|container| container.vmid == 103).unwrap();
        web.config.push_str("net1: name=eth1,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,type=veth\n");
    });
    alice.act_on(Verb::Stop, id.clone(), "").await.report();
    edit(&app.cluster, |state| {
        let web = state.containers.iter_mut().find(|container| container.vmid == 103).unwrap();
        web.config = web.config.lines().filter(|line| !line.contains(WEB)).map(|line| format!("{line}\n")).collect();
    });
    alice.act_on(Verb::Start, id, "").await.report();
}

#[tokio::test]
async fn without_an_interface_its_name_has_to_be_typed() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    alice.act(Verb::Start, 103).await.report();
    let id = alice.id(103).await;
    change_macs(&app, WEB, None);
    let vmid = 103.try_into().unwrap();
    assert_eq!(alice.act_on(Verb::Stop, id.clone(), "").await.error(), AppError::IdentityUnclear { vmid });
    let wrong = berth::containers::api::StopContainer { id: id.clone(), confirm: Some("wbe".into()) };
    assert_eq!(alice.post(wrong).await.error(), AppError::Invalid { field: Field::Confirm, flaw: Flaw::Unknown });
    let typed = berth::containers::api::StopContainer { id: id.clone(), confirm: Some("web".into()) };
    alice.post(typed).await.report();
    // and again, because nothing tells next time either
    assert_eq!(alice.act_on(Verb::Start, id.clone(), "").await.error(), AppError::IdentityUnclear { vmid });
    alice.post(StartContainer { id, confirm: Some("web".into()) }).await.report();
}

#[tokio::test]
async fn a_form_that_is_refused_so_leads_to_where_the_name_is_typed() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    alice.act(Verb::Start, 103).await.report();
    alice.act(Verb::Stop, 103).await.report();
    change_macs(&app, WEB, None);
    app.cluster.clear_requests();
    let question = paths::confirm(&id, Verb::Start);
    let empty = AppError::Invalid { field: Field::Confirm, flaw: Flaw::Empty }.to_string();
    // a tab is told of the same
    assert_eq!(alice.act_on(Verb::Start, id.clone(), "").await.header("location"), question);
    let answer = alice.submit("/?q=web", Verb::Start.action(), format!("id={id}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, question.as_str()));
    let page = alice.open(&question).await.text;
    assert!(page.contains("<h1 class=\"text-lg\">Start web?</h1>") && page.contains("Nothing tells whether"), "{page}");
    assert!(page.contains("action=\"/api/start_container\"") && page.contains("name=\"confirm\""), "{page}");
    let typed = async |name: &str| alice.submit(&question, Verb::Start.action(), format!("id={id}&confirm={name}")).await;
    let answer = typed("wbe").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, question.as_str()));
    assert!(alice.open(&question).await.text.contains("That is not its name. Type “web”."));
    // who types nothing is told so, in the field
    let answer = typed("+").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, question.as_str()));
    let page = alice.open(&question).await.text;
    assert!(page.contains("aria-invalid=\"true\"") && page.contains(&empty), "{page}");
    // so is who deletes it, on a page of its own
    for (name, said) in [("wbe", "That is not its name. Type “web”."), ("", empty.as_str())] {
        let answer = alice.submit(&paths::delete(&id), Verb::Delete.action(), format!("id={id}&confirm={name}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, paths::delete(&id).as_str()));
        let page = alice.open(&paths::delete(&id)).await.text;
        assert!(page.contains("Delete web?") && page.contains(said), "{page}");
    }
    assert_eq!(alice.open(&format!("/containers/{id}/confirm?verb=delete")).await.status, 404);
    assert_eq!(app.writes(), Vec::<String>::new());
    let answer = typed("+web+").await;
    assert!(answer.header("location").starts_with(&format!("{}?op=", paths::container(&id))), "{:?}", answer.headers);
    assert_eq!(app.cluster.container_status(103), Some(Really::Running));
    // a choice is not lost on the way
    let graceful = alice.submit("/", Verb::Shutdown.action(), format!("id={id}&graceful_only=true")).await;
    assert_eq!(graceful.header("location"), paths::confirm_graceful(&id));
    let page = alice.open(graceful.header("location")).await.text;
    assert!(page.contains("name=\"graceful_only\" value=\"true\"") && page.contains("It keeps running if"), "{page}");
    assert_eq!(alice.open(&format!("/containers/{id}/confirm")).await.status, 404);
}

#[tokio::test]
async fn the_question_for_a_name_refuses_what_the_buttons_refuse_and_is_told_to_nobody_else() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let (web, pihole) = (alice.id(103).await, alice.id(101).await);
    let foot = |page: &str| page.split_once("<footer>").and_then(|(_, foot)| foot.split_once("</footer>")).expect("a foot").0.to_owned();
    let page = alice.open(&paths::confirm(&web, Verb::Start)).await.text;
    assert!(foot(&page).contains("aria-disabled=\"false\""), "{page}");
    let page = alice.open(&paths::confirm(&pihole, Verb::Start)).await.text;
    assert!(foot(&page).contains("aria-disabled=\"true\"") && foot(&page).contains(">Already running.<"), "{page}");
    let page = app.sign_in("auditor@pve").await.open(&paths::confirm(&web, Verb::Start)).await.text;
    assert!(foot(&page).contains("aria-disabled=\"true\"") && page.contains("Your Proxmox account may not"), "{page}");
    let answer = app.sign_in("nobody@pve").await.open(&paths::confirm(&web, Verb::Start)).await;
    assert!(answer.status == 404 && !answer.text.contains("Start web?"), "{}", answer.text);
    // a choice that no shutdown has made is none
    let page = alice.open(&format!("{}&graceful_only=true", paths::confirm(&pihole, Verb::Stop))).await.text;
    assert!(page.contains("like pulling the plug") && !page.contains("graceful_only\" value"), "{page}");
}

#[tokio::test]
async fn a_restricted_users_list_marks_nothing_missing_for_anybody() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let before: ContainerList = alice.read(ListContainers {}).await.json();
    for user in ["bob@pve", "nobody@pve"] {
        let restricted = app.sign_in(user).await;
        for _ in 0..3 {
            restricted.read(ListContainers {}).await;
        }
    }
    assert!(app.column("SELECT id FROM containers WHERE gone_at IS NOT NULL").await.is_empty());
    let after: ContainerList = alice.read(ListContainers {}).await.json();
    let ids = |list: &ContainerList| list.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(app.column("SELECT id FROM containers").await.len(), before.rows.len());
}

#[tokio::test]
async fn what_is_made_elsewhere_appears_and_what_moves_is_followed() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    edit(&app.cluster, |state| {
        let mut new = state.containers.iter().find(|container| container.vmid == 103).unwrap().clone();
        (new.vmid, new.config) = (950, new.config.replace("hostname: web", "hostname: new").replace(WEB, "BC:24:11:00:00:03"));
        new.config = new.config.lines().filter(|line| !line.starts_with("rootfs")).map(|line| format!("{line}\n")).collect();
        state.containers.iter_mut().find(|container| container.vmid == 103).unwrap().node = "pve2".to_owned();
        state.containers.push(new);
    });
    // before anybody has seen a list: the verb itself finds it
    alice.act_on(Verb::Start, id.clone(), "").await.report();
    assert_eq!(app.writes(), ["POST /nodes/pve2/lxc/103/status/start"]);
    assert_eq!(app.cluster.container_status(103), Some(Really::Running));
    app.cluster.refresh_resources();
    let row = alice.row(103).await;
    assert_eq!((row.id, row.node.as_str(), row.status), (id, "pve2", Status::Running));
    assert_eq!(alice.row(950).await.name, "new");
}

#[tokio::test]
async fn a_list_that_says_the_same_writes_nothing() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    alice.read(ListContainers {}).await;
    let changed = async || app.column("SELECT CAST(MAX(updated_at) AS TEXT) FROM containers").await;
    let before = changed().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    alice.read(ListContainers {}).await;
    assert_eq!(before, changed().await);
}

#[tokio::test]
async fn a_container_that_is_gone_is_so_only_for_who_has_read_it() {
    let app = TestApp::with(Setup { marked: false, ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    edit(&app.cluster, |state| state.containers.retain(|container| container.vmid != 103));
    alice.read(ListContainers {}).await;
    assert!(app.column("SELECT id FROM containers WHERE gone_at IS NOT NULL").await.is_empty());
    assert_eq!(alice.act_on(Verb::Start, id.clone(), "").await.error(), AppError::ContainerNotFound { vmid: 103.try_into().unwrap() });
    assert_eq!(app.column("SELECT id FROM containers WHERE gone_at IS NOT NULL").await, [id.to_string()]);
    let events = alice.events(&id).await;
    assert_eq!(events.last().map(|event| event.code.as_str()), Some("container_not_found"));
}
