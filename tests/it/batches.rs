//! One verb for many containers at once: what is asked before, what becomes of each, and what remains where Berth ends in the middle.

use crate::{
    harness::{Answer, Browser, Setup, TestApp},
    lifecycle::with_tasks_ending,
};
use berth::{
    auth::api::SignOut,
    batches::{
        api::{GetBatch, RunBatch},
        model::{BatchId, BatchView, Chosen, Cut, ItemState},
        service::PER_NODE,
    },
    containers::{api::ListContainers, model::ContainerList},
    error::{AppError, Field, Flaw},
    events::model::EventKind,
    operations::model::{ContainerId, Verb},
    simulator::{Fault, FaultAction, Status as Really},
};
use std::time::Duration;

async fn stepped() -> TestApp {
    TestApp::with(Setup { marked: false, ..Setup::stepped() }).await
}

/// The rows of these containers, in this order.
async fn ids(browser: &Browser<'_>, numbers: &[u32]) -> Vec<ContainerId> {
    let list: ContainerList = browser.read(ListContainers {}).await.json();
    let id = |number: &u32| list.rows.iter().find(|row| row.vmid.get() == *number).unwrap_or_else(|| panic!("no CT {number}")).id.clone();
    numbers.iter().map(id).collect()
}

async fn run(browser: &Browser<'_>, verb: Verb, ids: &[ContainerId], confirm: Option<&str>) -> Answer {
    let ids = Chosen::of(ids.iter().cloned()).unwrap();
    browser.post(RunBatch { verb, ids, confirm: confirm.map(str::to_owned) }).await
}

async fn batch(browser: &Browser<'_>, id: &BatchId) -> BatchView {
    browser.read(GetBatch { id: id.clone() }).await.json()
}

/// A batch once it looks as it is wanted.
async fn until(browser: &Browser<'_>, id: &BatchId, wanted: impl Fn(&BatchView) -> bool) -> BatchView {
    let look = async {
        loop {
            let seen = batch(browser, id).await;
            if wanted(&seen) {
                return seen;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("it comes about")
}

async fn end_of(browser: &Browser<'_>, id: &BatchId) -> BatchView {
    until(browser, id, |batch| !batch.tally.is_under_way() && batch.ended_at.is_some()).await
}

fn states(batch: &BatchView) -> Vec<(u32, ItemState)> {
    let mut states: Vec<_> = batch.items.iter().map(|item| (item.vmid.get(), item.state)).collect();
    states.sort_by_key(|(number, _)| *number);
    states
}

fn address(verb: Verb, ids: &[ContainerId]) -> String {
    let ids: String = ids.iter().map(|id| format!("&id={id}")).collect();
    format!("/bulk?verb={verb}{ids}")
}

#[tokio::test]
async fn the_question_says_how_many_and_which_are_left_out_and_why() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let chosen = ids(&alice, &[101, 102, 103, 106, 119, 900]).await;
    let page = alice.open(&address(Verb::Shutdown, &chosen)).await;
    for words in [
        "Shut down 2 containers?",
        "pihole, traefik",
        "4 are left out",
        "2: Not running.",
        "web, worker",
        "1: Locked: backup. Allowed again when it ends.",
        "1: A template cannot be started.",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    // what it sends is what it says
    assert!(page.text.contains(&format!("value=\"{},{}\"", chosen[0], chosen[1])), "{}", page.text);
    let page = alice.open(&address(Verb::Start, &chosen[..2])).await;
    assert!(page.text.contains("Nothing to start") && page.text.contains("2: Already running."), "{}", page.text);
    // what is under way is left out too
    let (answer, ()) = tokio::join!(alice.act_on(Verb::Stop, chosen[0].clone(), ""), async {
        app.cluster.wait_for_running_tasks(1).await;
        let page = alice.open(&address(Verb::Stop, &chosen[..2])).await;
        assert!(
            page.text.contains("Stop 1 container?") && page.text.contains("1: Stopping… Allowed again when that ends."),
            "{}",
            page.text
        );
        app.cluster.finish_tasks();
    });
    answer.report();
    let auditor = app.sign_in("auditor@pve").await;
    let page = auditor.open(&address(Verb::Delete, &chosen[..2])).await;
    assert!(page.text.contains("2: Your Proxmox account may not: it needs VM.Allocate on this container."), "{}", page.text);
}

#[tokio::test]
async fn all_that_fit_a_query_are_asked_about_but_for_those_that_were_left_out() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let list: ContainerList = alice.read(ListContainers {}).await.json();
    let running = list.rows.iter().filter(|row| row.node.as_str() == "pve2" && row.status == berth::containers::model::Status::Running);
    let running = running.count();
    let grafana = alice.id(201).await;
    let page = alice.open(&format!("/bulk?verb=stop&all&q=node:pve2+status:running&not={grafana}")).await;
    assert!(page.text.contains(&format!("Stop {} containers?", running - 1)), "{}", page.text);
    assert!(page.text.contains("like pulling the plug"));
    assert!(!page.text.contains(grafana.as_str()));
    let many = address(Verb::Stop, &vec![grafana; 201]);
    assert!(alice.open(&many).await.text.contains("Too many at once"));
    assert_eq!(alice.open("/bulk?verb=reboot").await.status, 404);
}

#[tokio::test]
async fn each_container_has_its_operation_and_its_event_and_one_that_fails_stops_no_other() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    // 115 refuses to start, and 101 runs
    let chosen = ids(&alice, &[103, 115, 106, 101]).await;
    let id: BatchId = run(&alice, Verb::Start, &chosen, None).await.json();
    let batch = end_of(&alice, &id).await;
    assert_eq!(states(&batch), [(101, ItemState::Refused), (103, ItemState::Done), (106, ItemState::Done), (115, ItemState::Failed)]);
    assert_eq!((batch.tally.sentence().as_str(), batch.cut), ("2 of 4 done, 1 failed, 1 refused", None));
    for item in &batch.items {
        let events = alice.events(&item.container).await;
        assert_eq!(events.len(), 1, "CT {}", item.vmid);
        assert_eq!((events[0].operation.as_ref(), events[0].actor.as_str()), (item.operation.as_ref(), "alice@pve"));
        let kind = match item.state {
            ItemState::Done => EventKind::Started,
            ItemState::Failed => EventKind::Failed,
            _ => EventKind::Refused,
        };
        assert_eq!(events[0].kind, kind, "CT {}", item.vmid);
    }
    let page = alice.open(&berth::paths::batch(&id)).await;
    for words in ["Start 4 containers", "2 of 4 done, 1 failed, 1 refused", "CT 101 is already running.", "Reference ", "Start failed"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("http-equiv=\"refresh\""));
    // what was not done can be asked for again, by the same rules
    assert!(page.text.contains("Retry what was not done (2)"), "{}", page.text);
    let page = alice.open(&berth::paths::bulk_again(Verb::Start, &id)).await;
    assert!(page.text.contains("Start 1 container?") && page.text.contains("1: Already running."), "{}", page.text);
    assert!(page.text.contains(&format!("value=\"{}\"", chosen[1])), "{}", page.text);
}

#[tokio::test]
async fn who_goes_back_to_the_list_finds_there_what_they_have_under_way() {
    let app = stepped().await;
    let (alice, root) = (app.sign_in("alice@pve").await, app.sign_in("root@pam").await);
    let id: BatchId = run(&alice, Verb::Stop, &ids(&alice, &[101, 102, 104, 105, 107]).await, None).await.json();
    app.cluster.wait_for_running_tasks(4).await;
    let link = format!("href=\"{}\"", berth::paths::batch(&id));
    let list = alice.open("/").await.text;
    assert!([link.as_str(), "Stop 5 containers", "1 waiting"].iter().all(|part| list.contains(part)), "{list}");
    assert!(!root.open("/").await.text.contains(&link));
    with_tasks_ending(&app.cluster, end_of(&alice, &id)).await;
    assert!(!alice.open("/").await.text.contains(&link));
}

#[tokio::test]
async fn a_node_has_no_more_than_four_at_a_time_and_two_batches_share_them() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let first = ids(&alice, &[101, 102, 104, 105, 107, 201, 202]).await;
    let second = ids(&alice, &[108, 109, 111, 203]).await;
    let one: BatchId = run(&alice, Verb::Stop, &first, None).await.json();
    let two: BatchId = run(&alice, Verb::Stop, &second, None).await.json();
    // four on pve1, and three on pve2
    let on = |node: &str| app.cluster.running_tasks().iter().filter(|upid| upid.starts_with(&format!("UPID:{node}:"))).count();
    let mut ended = 0;
    while ended < 11 {
        let (of_one, of_two) = (batch(&alice, &one).await.tally, batch(&alice, &two).await.tally);
        assert!(on("pve1") <= PER_NODE && on("pve2") <= PER_NODE);
        for sql in [
            "SELECT id FROM operations WHERE state = 'open' AND node = 'pve1'",
            "SELECT id FROM operations WHERE state = 'open' AND node = 'pve2'",
        ] {
            assert!(app.column(sql).await.len() <= PER_NODE);
        }
        ended = of_one.done + of_two.done;
        // all that have their turn are at work before any ends
        if on("pve1") == PER_NODE.min(8 - done_on(&app, 1)) && on("pve2") == 3 - done_on(&app, 2) {
            app.cluster.finish_tasks();
        }
    }
    assert_eq!(app.writes().len(), 11);
}

/// How many of a node's containers were asked to stop and have.
fn done_on(app: &TestApp, node: u32) -> usize {
    let all = [101, 102, 104, 105, 107, 108, 109, 111, 201, 202, 203];
    all.iter().filter(|number| *number / 100 == node && app.cluster.container_status(**number) == Some(Really::Stopped)).count()
}

#[tokio::test]
async fn a_wrong_confirmation_deletes_nothing_and_the_right_one_says_how_many() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let chosen = ids(&alice, &[103, 106]).await;
    for (typed, flaw) in [(None, Flaw::Empty), (Some("delete 3"), Flaw::Unknown), (Some("web"), Flaw::Unknown), (Some(" "), Flaw::Empty)] {
        let error = run(&alice, Verb::Delete, &chosen, typed).await.error();
        assert_eq!(error, AppError::Invalid { field: Field::ConfirmMany, flaw });
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    assert_eq!(app.column("SELECT id FROM batches").await, Vec::<String>::new());
    // without JavaScript the question says it, and the page that follows looks again by itself
    let from = address(Verb::Delete, &chosen);
    let body = |typed: &str| format!("verb=delete&ids={},{}&confirm={typed}", chosen[0], chosen[1]);
    let answer = alice.submit(&from, "/api/run_batch", body("delete")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, from.as_str()));
    assert!(alice.open(&from).await.text.contains("That is not it. Type “delete 2”."));
    let answer = alice.submit(&from, "/api/run_batch", body("delete+2")).await;
    let location = answer.header("location").to_owned();
    let id: BatchId = location.strip_prefix("/bulk/").expect("a batch").parse().unwrap();
    assert!(alice.open(&location).await.text.contains("http-equiv=\"refresh\""));
    let batch = with_tasks_ending(&app.cluster, end_of(&alice, &id)).await;
    assert_eq!(batch.tally.done, 2);
    assert_eq!((app.cluster.container_status(103), app.cluster.container_status(106)), (None, None));
}

#[tokio::test]
async fn two_tabs_that_press_at_once_begin_a_batch_each_and_no_container_is_worked_on_twice_at_a_time() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let other = alice.twin();
    let chosen = ids(&alice, &[101, 102, 201]).await;
    let press = async { tokio::join!(run(&alice, Verb::Stop, &chosen, None), run(&other, Verb::Stop, &chosen, None)) };
    let both = async {
        let (one, two) = press.await;
        let (one, two): (BatchId, BatchId) = (one.json(), two.json());
        assert_ne!(one, two);
        (end_of(&alice, &one).await.tally, end_of(&alice, &two).await.tally)
    };
    let (one, two) = with_tasks_ending(&app.cluster, both).await;
    // whoever came second was refused: it was busy, or stopped already
    assert_eq!((one.done + two.done, one.refused + two.refused), (3, 3));
    assert_eq!(app.writes().len(), 3);
    let overlaps = "SELECT a.id FROM operations a JOIN operations b
         ON a.id <> b.id AND a.vmid = b.vmid AND a.started_at <= b.started_at AND b.started_at < a.ended_at";
    assert_eq!(app.column(overlaps).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_that_nobody_renews_is_cut_and_its_rest_can_be_asked_for_again() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let numbers = [101, 102, 104, 105, 107, 108];
    let id: BatchId = run(&alice, Verb::Stop, &ids(&alice, &numbers).await, None).await.json();
    app.cluster.wait_for_running_tasks(PER_NODE).await;
    // as if its process had been killed 30 s ago
    app.execute("UPDATE batches SET until_at = 0").await;
    let batch = batch(&alice, &id).await;
    assert_eq!((batch.cut, batch.tally.open, batch.tally.not_begun), (Some(Cut::Stopped), PER_NODE, 2));
    // what had begun goes on to its end, and nothing else begins
    let batch = with_tasks_ending(&app.cluster, until(&alice, &id, |batch| batch.tally.done == PER_NODE)).await;
    assert_eq!((batch.tally.not_begun, app.writes().len()), (2, PER_NODE));
    let page = alice.open(&berth::paths::batch(&id)).await;
    assert!(page.text.contains("Not begun: Berth was restarted.") && page.text.contains("Retry what was not done (2)"), "{}", page.text);
    let page = alice.open(&berth::paths::bulk_again(Verb::Stop, &id)).await;
    assert!(page.text.contains("Stop 2 containers?"), "{}", page.text);
}

#[tokio::test]
async fn what_was_said_not_to_be_begun_is_not_begun_by_a_process_that_was_held_up() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    // one that could begin, and one that would be refused
    for number in [103, 101] {
        let path = format!("/nodes/pve1/lxc/{number}/config");
        app.cluster.fault(Fault::new(FaultAction::Hang).path_contains(&path));
        let id: BatchId = run(&alice, Verb::Start, &ids(&alice, &[number]).await, None).await.json();
        app.cluster.wait_for_requests(|seen| seen.iter().any(|request| request.path == path)).await;
        app.execute("UPDATE batches SET until_at = 0 WHERE ended_at IS NULL").await;
        let told = batch(&alice, &id).await;
        assert_eq!((states(&told), told.cut), (vec![(number, ItemState::NotBegun)], Some(Cut::Stopped)));
        app.cluster.clear_faults();
        let ended = until(&alice, &id, |batch| batch.ended_at.is_some()).await;
        assert_eq!((ended.items, ended.cut), (told.items, told.cut));
    }
    assert_eq!(app.writes(), Vec::<String>::new());
    assert!(app.column("SELECT id FROM operations").await.is_empty() && app.column("SELECT operation_id FROM leases").await.is_empty());
}

#[tokio::test]
async fn what_was_taken_up_and_not_begun_says_so_and_nobody_begins_it_later() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let container = alice.id(103).await;
    // killed after the container was taken up, and before its operation was in the database
    app.execute(
        "INSERT INTO batches (id, cluster, actor, verb, holder, until_at, created_at)
         VALUES ('0190163d8694739baea5966c26f8ad91', 'homelab', 'alice@pve', 'start', 'dead', 1, 1)",
    )
    .await;
    app.execute(
        "INSERT INTO batch_items (batch_id, position, container_id, vmid, hostname, node, state, operation_id)
         SELECT '0190163d8694739baea5966c26f8ad91', 0, id, vmid, hostname, 'pve1', 'taken', '0190163d8694739baea5966c26f8ad92'
         FROM containers WHERE vmid = 103",
    )
    .await;
    let batch = batch(&alice, &"0190163d8694739baea5966c26f8ad91".parse().unwrap()).await;
    assert_eq!((states(&batch), batch.cut), (vec![(103, ItemState::NotBegun)], Some(Cut::Stopped)));
    assert_eq!((&batch.items[0].container, &batch.items[0].operation), (&container, &None));
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn at_the_order_to_stop_nothing_new_begins_and_what_had_begun_is_taken_up_again() {
    let mut app = stepped().await;
    app.config.lifecycle.beat = Duration::from_millis(100);
    let (id, cookies) = {
        let alice = app.sign_in("alice@pve").await;
        let id: BatchId = run(&alice, Verb::Stop, &ids(&alice, &[101, 102, 104, 105, 107, 108]).await, None).await.json();
        app.cluster.wait_for_running_tasks(PER_NODE).await;
        (id, alice.cookies())
    };
    app.stop().await;
    app.cluster.finish_tasks();
    app.restart().await;
    let alice = app.browser(&cookies);
    let batch = end_of(&alice, &id).await;
    assert_eq!((batch.tally.done, batch.tally.not_begun, batch.cut), (PER_NODE, 2, Some(Cut::Stopped)));
    assert_eq!(app.writes().len(), PER_NODE);
}

#[tokio::test]
async fn who_signs_out_in_the_middle_lets_what_has_begun_end_and_nothing_more_begin() {
    let app = stepped().await;
    let alice = app.sign_in("alice@pve").await;
    let id: BatchId = run(&alice, Verb::Stop, &ids(&alice, &[101, 102, 104, 105, 107, 108]).await, None).await.json();
    app.cluster.wait_for_running_tasks(PER_NODE).await;
    alice.post(SignOut {}).await;
    let alice = app.sign_in("alice@pve").await;
    let batch = with_tasks_ending(&app.cluster, end_of(&alice, &id)).await;
    assert_eq!((batch.tally.done, batch.tally.not_begun, batch.cut), (PER_NODE, 2, Some(Cut::SignedOut)));
    assert_eq!(app.writes().len(), PER_NODE);
    let page = alice.open(&berth::paths::batch(&id)).await;
    assert!(page.text.contains("Not begun: you signed out, or your session ended."), "{}", page.text);
}

#[tokio::test]
async fn a_batch_is_its_actors_alone_and_nobody_begins_one_on_what_they_do_not_see() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let chosen = ids(&alice, &[103, 110]).await;
    let id: BatchId = run(&alice, Verb::Start, &chosen, None).await.json();
    end_of(&alice, &id).await;
    let before = app.writes();
    assert_eq!(run(&app.stranger(), Verb::Stop, &chosen, None).await.error(), AppError::SignedOut);
    for user in ["auditor@pve", "nobody@pve"] {
        let other = app.sign_in(user).await;
        assert_eq!(other.read(GetBatch { id: id.clone() }).await.error(), AppError::NoSuchBatch);
        let page = other.open(&berth::paths::batch(&id)).await;
        assert!(page.status == 404 && page.text.contains("There is no such batch") && !page.text.contains("archive"), "{}", page.text);
        assert_eq!(other.open(&berth::paths::bulk_again(Verb::Stop, &id)).await.status, 404);
    }
    // bob sees web, and not archive: of what he does not see he hears nothing, whatever its id
    let bob = app.sign_in("bob@pve").await;
    let page = bob.open(&address(Verb::Stop, &chosen)).await;
    assert!(page.text.contains("1: Not in your list of containers any more.") && !page.text.contains("archive"), "{}", page.text);
    assert_eq!(run(&bob, Verb::Stop, &chosen[1..], None).await.error(), AppError::NoSuchContainer);
    assert_eq!(app.writes(), before);
}

#[tokio::test]
async fn a_line_is_shown_as_long_as_its_actor_may_audit_the_container() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let id: BatchId = run(&alice, Verb::Start, &ids(&alice, &[103, 110]).await, None).await.json();
    end_of(&alice, &id).await;
    // as if it were bob's, who may see web alone
    app.execute("UPDATE batches SET actor = 'bob@pve'").await;
    let bob = app.sign_in("bob@pve").await;
    let batch = batch(&bob, &id).await;
    assert_eq!((states(&batch), batch.tally.total), (vec![(103, ItemState::Done)], 2));
    let page = bob.open(&berth::paths::batch(&id)).await;
    assert!(page.text.contains("1 not shown") && !page.text.contains("archive"), "{}", page.text);
}

#[tokio::test]
async fn a_list_of_thousands_is_read_and_written_in_one_piece() {
    use berth::batches::{
        model::MOST,
        store::{NewBatchRow, NewItemRow, create_batch, get_batch, list_items, renew, take},
    };
    use berth::{operations::model::OperationId, server::lease::Holder};
    let app = stepped().await;
    app.sign_in("alice@pve").await.id(103).await;
    let db = app.db();
    let item = |n: usize| NewItemRow {
        container_id: format!("{n:032x}").parse().unwrap(),
        vmid: (100 + n as u32).try_into().unwrap(),
        hostname: format!("ct{n}"),
        node: "pve1".parse().unwrap(),
    };
    let (holder, another) = (Holder::new_run(), Holder::new_run());
    let row = NewBatchRow {
        id: BatchId::fresh(),
        cluster: "homelab".parse().unwrap(),
        actor: "alice@pve".parse().unwrap(),
        source: None,
        verb: Verb::Start,
        holder: holder.clone(),
        length: Duration::from_secs(30),
        items: (0..MOST).map(item).collect(),
    };
    create_batch(&db, &row).await.unwrap();
    let items = list_items(&db, &row.id).await.unwrap();
    assert_eq!((items.len(), items[4999].hostname.as_str(), items[4999].position), (MOST, "ct4999", 4999));
    // taken up once, and by its holder alone
    let take = async |holder, operation: &OperationId| take(&db, &row.id, holder, 7, operation).await.unwrap();
    assert!(!take(&another, &OperationId::fresh()).await);
    assert!(take(&holder, &OperationId::fresh()).await);
    assert!(!take(&holder, &OperationId::fresh()).await);
    assert!(renew(&db, &row.id, &holder, Duration::from_secs(30)).await.unwrap());
    assert!(!renew(&db, &row.id, &another, Duration::from_secs(30)).await.unwrap());
    // one that is 30 days old is forgotten when another comes
    app.execute("UPDATE batches SET created_at = 0").await;
    create_batch(&db, &NewBatchRow { id: BatchId::fresh(), items: vec![], ..row.clone() }).await.unwrap();
    assert_eq!(get_batch(&db, &row.id).await.unwrap(), None);
    assert!(list_items(&db, &row.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_longest_list_fits_into_a_form() {
    use berth::{batches::model::MOST, server::web::MOST_BODY};
    let ids = (0..MOST).map(|n| format!("{n:032x}").parse().unwrap());
    let chosen = Chosen::of(ids).unwrap();
    let body = serde_urlencoded::to_string(RunBatch { verb: Verb::Delete, ids: chosen, confirm: Some("delete 5000".into()) }).unwrap();
    assert!(body.len() < MOST_BODY, "{}", body.len());
}

#[tokio::test]
async fn all_that_fit_are_meant_however_many_they_are() {
    let app = stepped().await;
    let mut state = app.cluster.state();
    let web = state.containers.iter().find(|container| container.vmid == 103).unwrap().clone();
    for number in 0..1_200 {
        let config = web.config.replace("hostname: web", &format!("hostname: many-{number}"));
        let mut another = web.clone();
        (another.vmid, another.config) = (2_000 + number, config);
        state.containers.push(another);
    }
    app.cluster.load(state).unwrap();
    let alice = app.sign_in("alice@pve").await;
    let page = alice.open("/bulk?verb=start&all&q=name:many").await;
    assert!(page.text.contains("Start 1200 containers?") || page.text.contains("Start 1,200 containers?"), "{}", page.text);
    // the list itself comes in parts
    let list = alice.open("/?q=name:many&all=1").await;
    assert_eq!(list.text.matches("<tr id=\"r-").count(), 1_000);
}
