//! The page of a container with its parts, tasks that were begun elsewhere, task logs, and stopping a task.

use crate::harness::{Browser, Setup, TestApp};
use berth::{
    batches::{
        api::{GetBatch, RunBatch},
        model::{BatchId, BatchView, Chosen},
    },
    error::AppError,
    events::{
        model::EventKind,
        store::{MOST_ACTORS, NewEventRow, create_container_event},
        view::PER_PAGE,
    },
    operations::{
        api::{StopOperation, StopTask},
        model::{ContainerId, OperationId, OperationState, Verb},
    },
    paths::{self, Page, Tab},
    proxmox::{client::Limits, ids::Upid},
    simulator::{Fault, FaultAction},
};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Longer than any test.
const FOR_GOOD: Duration = Duration::from_secs(60 * 60);
/// No page may take longer, on however slow a machine.
const BOUND: Duration = Duration::from_secs(60);

/// No answer of Proxmox's serves any more.
fn later(app: &TestApp) {
    app.config.pace.advance(Duration::from_secs(5));
}

/// A cluster that says what Proxmox says: a task's log is shown as it is.
async fn plain() -> TestApp {
    TestApp::with(Setup { marked: false, ..Setup::quick() }).await
}

async fn overview(browser: &Browser<'_>, number: u32) -> String {
    browser.open(&paths::container(&browser.id(number).await)).await.text
}

async fn operations(browser: &Browser<'_>, id: &ContainerId, query: &str) -> String {
    let page = browser.open(&format!("{}{query}", paths::container_tab(id, Tab::Operations))).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.text
}

/// The main part of a page without its tags, as somebody reads it.
fn words(page: &str) -> String {
    let page = page.split_once("<main").map_or(page, |(_, main)| main);
    let page = page.split_once("</main>").map_or(page, |(main, _)| main);
    let mut text = String::new();
    let mut in_tag = false;
    for c in page.chars() {
        match c {
            '<' => {
                in_tag = true;
                text.push(' ');
            }
            '>' => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a page's history.
fn history(page: &str) -> Vec<String> {
    let (_, list) = page.split_once("<ol class=\"tl\">").expect("a history");
    let (list, _) = list.split_once("</ol>").expect("its end");
    list.split("<li").skip(1).map(|line| words(&format!("<li{line}"))).collect()
}

/// Where a link with this text leads.
fn link(page: &str, text: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!(">{text}<"))?;
    let (_, tag) = before.rsplit_once("href=\"")?;
    Some(tag.split('"').next()?.replace("&amp;", "&"))
}

/// A task of Proxmox's about a container, that began so long ago.
fn task(kind: &str, user: &str, vmid: u32, now: i64, seconds_ago: i64) -> Upid {
    format!("UPID:pve1:0000{:04X}:00029807:{:08X}:{kind}:{vmid}:{user}:", seconds_ago & 0xffff, now - seconds_ago).parse().unwrap()
}

/// Puts tasks into the cluster, as if Proxmox's own screens or jobs had begun them. Without an exit status they run.
fn put_tasks(app: &TestApp, tasks: &[(Upid, Option<&str>, u32)]) {
    let mut state = app.cluster.state();
    for (upid, exit, lines) in tasks {
        let mut entry = json!({ "upid": upid, "log-lines": lines });
        if let Some(exit) = exit {
            entry["exitstatus"] = json!(exit);
            entry["endtime"] = json!(upid.starttime() + 112);
            entry["log"] = json!([if *exit == "OK" { "TASK OK".to_owned() } else { format!("TASK ERROR: {exit}") }]);
        }
        state.tasks.push(serde_json::from_value(entry).unwrap());
    }
    app.cluster.load(state).unwrap();
}

fn configure(app: &TestApp, name: &str, change: impl Fn(&str) -> String) {
    let mut state = app.cluster.state();
    for container in &mut state.containers {
        if container.config.contains(&format!("hostname: {name}\n")) {
            container.config = change(&container.config);
        }
    }
    app.cluster.load(state).unwrap();
}

#[tokio::test]
async fn the_overview_says_what_a_container_is_in_peoples_words() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    configure(&app, "db", |config| {
        format!("{config}features: nesting=1\nmp0: /mnt/tank,mp=/tank,ro=1\nprotection: 1\nstartup: order=3,up=30\n")
    });
    let page = words(&overview(&alice, 104).await);
    for said in [
        "Cores 4",
        "Memory 4 GiB + 512 MiB swap",
        "Root disk 32 GiB on local-lvm",
        "Mount point 0 /mnt/tank of the node, at /tank, read only",
        "eth0 on vmbr0 by DHCP, firewall BC:24:11:89:6F:E8",
        "System Debian · amd64",
        "Privileges Unprivileged",
        "Features nesting",
        "Start on boot Yes, order 3, the next waits 30 s",
        "Protection On",
        "PostgreSQL 16 asks before a restart: web, gitea",
        // the address that it has, not only how it comes to one
        "Network 192.0.2.124/24",
        "Address 192.0.2.124",
        // the configuration itself
        "net0: name=eth0,bridge=vmbr0",
    ] {
        assert!(page.contains(said), "{said:?} in {page}");
    }
}

#[tokio::test]
async fn what_somebody_wrote_in_proxmox_is_a_text_and_nothing_that_runs() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    configure(&app, "db", |config| format!("#<script>alert(1)</script><img src=x onerror=alert(1)>\n{config}"));
    let page = overview(&alice, 104).await;
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"));
}

#[tokio::test]
async fn what_waits_for_the_next_start_is_marked_as_such() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    configure(&app, "db", |config| format!("{config}\n[pve:pending]\nswap: 1024\ndelete: onboot\n"));
    let page = words(&overview(&alice, 104).await);
    assert!(page.contains("Swap 512 MiB → 1 GiB"), "{page}");
    assert!(page.contains("Start on boot Yes → removed") && page.contains("Takes effect at the next restart."), "{page}");
    assert!(page.contains("Memory 4 GiB + 512 MiB swap"), "what holds now is shown: {page}");
}

#[tokio::test]
async fn the_charts_are_there_without_javascript_with_their_values_as_a_table() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(104).await;
    let asked = |query: &str| format!("{}{query}", paths::container(&id));
    let hour = alice.open(&asked("")).await.text;
    for id in ["chart-cpu", "chart-memory", "chart-network", "chart-disk-io", "chart-disk"] {
        assert!(hour.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(hour.contains("<path d=\"M") && hour.contains("data-points=\""));
    assert_eq!(hour.matches("<th scope=\"row\">").count(), 61, "a row for each minute of the hour");
    assert!(!hour.contains("style=\""), "the policy forbids styles in attributes");
    assert!(hour.contains("aria-label=\"CPU, last hour: now "));
    for range in ["day", "week", "month", "year"] {
        let page = alice.open(&asked(&format!("?range={range}"))).await.text;
        assert!(page.contains(&format!("CPU, last {range}: now ")), "{range}");
    }
    let asked = app.cluster.requests().into_iter().filter(|request| request.path.ends_with("/rrddata"));
    let asked: std::collections::BTreeSet<_> = asked.filter_map(|request| request.params.get("timeframe").cloned()).collect();
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["day", "hour", "month", "week", "year"]);
}

#[tokio::test]
async fn where_a_container_did_not_run_the_charts_have_a_gap() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let page = overview(&alice, 103).await;
    assert!(page.contains("class=\"gap\"") && words(&page).contains("no data"));
    assert!(!page.contains("<path d=\"M0.0") && page.contains("<path d=\"\""), "no line where nothing was measured");
}

#[tokio::test]
async fn a_part_for_which_proxmox_has_no_answer_says_so_and_all_else_stands() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    for (path, said, stands) in [
        ("/rrddata", "The charts are missing", "Memory 4 GiB"),
        ("/config", "The configuration is missing here", "Usage"),
        ("/pending", "Whether changes wait for the next start is missing here", "Memory 4 GiB"),
        ("/tasks", "What was done elsewhere, in Proxmox itself, is missing here", "Memory 4 GiB"),
        ("/interfaces", "Proxmox does not say now which it has", "Memory 4 GiB"),
    ] {
        app.cluster.fault(Fault::new(FaultAction::Status { code: 500, reason: "odd".into() }).path_contains(path));
        let page = words(&overview(&alice, 104).await);
        assert!(page.contains(said) && page.contains(stands), "{path}: {page}");
        app.cluster.clear_faults();
        later(&app);
    }
}

#[tokio::test]
async fn a_question_that_hangs_does_not_hold_up_the_page() {
    let app = TestApp::with(Setup { page_budget: Duration::from_secs(2), ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(104).await;
    for hanging in ["/rrddata", "/config", "/tasks", "/status/current"] {
        app.cluster.fault(Fault::new(FaultAction::Hang).path_contains(hanging));
    }
    let began = Instant::now();
    let page = alice.open(&paths::container(&id)).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(page.status, StatusCode::OK);
    assert!(words(&page.text).contains("homelab does not answer in time."), "{}", page.text);
    app.cluster.clear_faults();
}

/// What a page says of a cluster that hangs: of one whose list is a moment old, and of one that was never heard of.
struct Said {
    address: String,
    known: &'static str,
    unknown: &'static str,
}

/// Every page, of CT 104 where it is about a container.
async fn every_page(alice: &Browser<'_>) -> Vec<Said> {
    let id = alice.id(104).await;
    let operation = alice.act(Verb::Restart, 104).await.report().operation;
    let upid = alice.events(&id).await.remove(0).upid.unwrap();
    let ids = Chosen::of([id.clone()]).unwrap();
    let batch: BatchId = alice.post(RunBatch { verb: Verb::Start, ids, confirm: None }).await.json();
    while alice.read(GetBatch { id: batch.clone() }).await.json::<BatchView>().tally.is_under_way() {}
    let pages = [
        Page::Home,
        Page::Container(id.clone(), Tab::Overview),
        Page::Container(id.clone(), Tab::Operations),
        Page::Container(id.clone(), Tab::Services),
        Page::Menu(id.clone()),
        Page::Delete(id.clone()),
        Page::Confirm(id.clone()),
        Page::Number("homelab".parse().unwrap(), 104.try_into().unwrap()),
        Page::Operation(operation),
        Page::Task(upid),
        Page::Bulk,
        Page::Batch(batch.clone()),
    ];
    let no_answer = "homelab does not answer in time.";
    let mut kinds = std::collections::HashSet::new();
    let mut said: Vec<Said> = pages
        .into_iter()
        .map(|page| {
            // a new page has to stand here and above
            let (kind, address, known) = match &page {
                Page::Home => (0, paths::home().to_owned(), "pihole"),
                Page::Container(id, tab @ Tab::Services) => (1, paths::container_tab(id, *tab), "No services are known"),
                Page::Container(id, tab) => (1, paths::container_tab(id, *tab), no_answer),
                Page::Menu(id) => (2, paths::menu(id), "Actions for db"),
                Page::Delete(id) => (3, paths::delete(id), "Proxmox does not say now which it has"),
                Page::Number(cluster, vmid) => (4, paths::number(cluster, *vmid), no_answer),
                Page::Operation(id) => (5, paths::operation(id), no_answer),
                Page::Task(upid) => (6, paths::task(upid), no_answer),
                Page::Bulk => (7, format!("{}?verb=restart&id={id}", paths::bulk()), "Restart 1 container?"),
                Page::Batch(id) => (8, paths::batch(id), "1 refused"),
                Page::Confirm(id) => (9, paths::confirm(id, Verb::Restart), "Type db to confirm"),
            };
            kinds.insert(kind);
            Said { address, known, unknown: no_answer }
        })
        .collect();
    assert_eq!(kinds.into_iter().sum::<i32>(), (0..=9).sum::<i32>(), "every kind of page is asked for");
    said.push(Said { address: paths::bulk_again(Verb::Start, &batch), known: "Nothing to start", unknown: no_answer });
    said
}

#[tokio::test]
async fn every_page_comes_while_proxmox_hangs_and_says_what_is_missing() {
    let mut app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let (pages, cookies) = (every_page(&alice).await, alice.cookies());
    // no call ends by itself
    app.config.limits = Limits { quick: FOR_GOOD, blocking: FOR_GOOD, ..Limits::default() };
    app.config.page_budget = Setup::SHORT;
    app.restart().await;
    let open_all = async |is_known: bool| {
        let alice = app.browser(&cookies);
        for Said { address, known, unknown } in &pages {
            let said = if is_known { known } else { unknown };
            let page = timeout(BOUND, alice.open(address)).await.unwrap_or_else(|_| panic!("{address} waits"));
            assert!(words(&page.text).contains(said), "{address}, {said:?}: {}", words(&page.text));
        }
    };
    // nothing is known: Berth has just been started
    app.cluster.fault(Fault::new(FaultAction::Hang));
    open_all(false).await;
    app.cluster.clear_faults();
    // the list is a moment old
    let alice = app.browser(&cookies);
    let list = async { while !alice.open(paths::home()).await.text.contains("pihole") {} };
    timeout(BOUND, list).await.expect("the list comes");
    later(&app);
    app.cluster.fault(Fault::new(FaultAction::Hang));
    open_all(true).await;
    app.cluster.clear_faults();
}

/// How often what was asked about CT 103, for its page alone.
fn asked_for_the_page(app: &TestApp) -> BTreeMap<String, usize> {
    let of_the_page = ["/pending", "/status/current", "/rrddata", "/interfaces", "/pve1/tasks"];
    let mut asked = BTreeMap::new();
    for request in app.cluster.requests() {
        if of_the_page.iter().any(|part| request.path.ends_with(part)) {
            *asked.entry(request.path).or_default() += 1;
        }
    }
    asked
}

#[tokio::test]
async fn ten_who_read_a_containers_page_cost_what_one_costs() {
    let mut costs = Vec::new();
    for readers in [1, 10] {
        let app = TestApp::with(Setup::stepped()).await;
        let sessions = [app.sign_in("alice@pve").await, app.sign_in("alice@pve").await];
        let tabs: Vec<Browser<'_>> = (0..readers).map(|reader| sessions[reader % 2].twin()).collect();
        let page = paths::container(&tabs[0].id(103).await);
        app.cluster.clear_requests();
        for _ in 0..3 {
            // together, and then one behind the other
            for answer in futures::future::join_all(tabs.iter().map(|tab| tab.open(&page))).await {
                assert!(words(&answer.text).contains("Memory 1 GiB"), "{}", words(&answer.text));
            }
            for tab in &tabs {
                tab.open(&page).await;
            }
            later(&app);
        }
        costs.push(asked_for_the_page(&app));
    }
    assert_eq!(costs[0].values().copied().collect::<Vec<_>>(), [3; 5], "one of each for each time: {costs:?}");
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn what_was_said_before_an_operation_ended_is_not_said_after_it() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let opened = async |times: usize| {
        let page = overview(&alice, 103).await;
        let asked = asked_for_the_page(&app).get("/nodes/pve1/lxc/103/pending").copied();
        assert_eq!(asked, Some(times));
        page
    };
    assert!(!opened(1).await.contains("192.0.2.123"));
    opened(1).await;
    alice.act(Verb::Start, 103).await.report();
    assert!(opened(2).await.contains("192.0.2.123"));
    opened(2).await;
    later(&app);
    opened(3).await;
}

#[tokio::test]
async fn what_was_done_in_proxmox_itself_is_in_the_same_history_and_marked_as_such() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let now = app.cluster.now();
    let (good, bad) = (task("vzdump", "root@pam", 103, now, 7200), task("vzdump", "root@pam!cron", 103, now, 3600));
    put_tasks(
        &app,
        &[(good.clone(), Some("OK"), 3), (bad.clone(), Some("job errors"), 3), (task("vzstart", "root@pam", 104, now, 60), Some("OK"), 0)],
    );
    let id = alice.id(103).await;
    alice.act(Verb::Start, 103).await.report();
    let page = operations(&alice, &id, "").await;
    let lines = history(&page);
    assert_eq!(lines.len(), 3, "our own task is not there a second time: {lines:?}");
    assert!(lines[0].starts_with("Started") && lines[0].contains("alice@pve"), "{lines:?}");
    assert!(lines[1].starts_with("Back up failed root@pam!cron · from Proxmox · 1 min 52 s"), "{lines:?}");
    assert!(lines[2].starts_with("Back up root@pam · from Proxmox"), "{lines:?}");
    // the overview has the same, newest first
    assert_eq!(history(&overview(&alice, 103).await), lines);
    // each opens with its log
    let page = alice.open(&paths::task(&bad)).await.text;
    assert!(words(&page).contains("line 1") && words(&page).contains("TASK ERROR: job errors"), "{page}");
    assert!(words(&page).contains("failed after 1 min 52 s"), "{page}");
}

#[tokio::test]
async fn who_may_not_see_a_task_at_proxmox_does_not_see_it_here() {
    let app = plain().await;
    let now = app.cluster.now();
    let backup = task("vzdump", "root@pam", 103, now, 3600);
    put_tasks(&app, &[(backup.clone(), Some("OK"), 3)]);
    let bob = app.sign_in("bob@pve").await;
    let id = bob.id(103).await;
    assert_eq!(history(&operations(&bob, &id, "").await), Vec::<String>::new());
    let page = bob.open(&paths::task(&backup)).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text.contains("There is no such task") && !page.text.contains("line 1"), "{}", page.text);
    assert!(!bob.open(&paths::task_log(&backup)).await.text.contains("line 1"));
    // a container of which he may know nothing
    let other = task("vzstart", "bob@pve", 104, now, 3600);
    put_tasks(&app, &[(other.clone(), Some("OK"), 3)]);
    assert_eq!(bob.open(&paths::task(&other)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.open(&paths::task_log(&other)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.post(StopTask { upid: other }).await.error(), AppError::NoSuchTask);
}

#[tokio::test]
async fn the_history_shows_what_is_asked_for() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let now = app.cluster.now();
    put_tasks(
        &app,
        &[
            (task("vzdump", "root@pam", 103, now, 7200), Some("OK"), 0),
            (task("vzdump", "root@pam", 103, now, 3600), Some("job errors"), 0),
            (task("vzstart", "auditor@pve", 103, now, 1800), Some("OK"), 0),
        ],
    );
    let id = alice.id(103).await;
    alice.act(Verb::Start, 103).await.report();
    alice.act(Verb::Start, 103).await.error();
    let shown = async |query: &str| history(&operations(&alice, &id, query).await);
    assert_eq!(shown("").await.len(), 5);
    assert_eq!(shown("?what=backup").await.len(), 2);
    assert_eq!(shown("?what=start").await.len(), 3);
    assert_eq!(shown("?what=start&by=alice%40pve").await.len(), 2);
    assert_eq!(shown("?by=root%40pam&result=failed").await.len(), 1);
    assert_eq!(shown("?result=refused").await.len(), 1);
    assert_eq!(shown("?what=&by=&result=").await.len(), 5);
    let page = operations(&alice, &id, "?what=migrate&by=nobody%40pve").await;
    assert!(history(&page).is_empty() && words(&page).contains("Nothing of this kind is here"), "{}", words(&page));
    // the form says what is shown, and works without a program
    assert!(page.contains("method=\"get\"") && page.contains("<option value=\"nobody@pve\" selected"), "{page}");
}

#[tokio::test]
async fn a_long_history_is_read_part_by_part_and_nothing_is_lost_or_there_twice() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let now = app.cluster.now();
    let tasks: Vec<_> = (1..=40).map(|n| (task("vzdump", "root@pam", 103, now, n * 600), Some("OK"), 0)).collect();
    put_tasks(&app, &tasks);
    let id = alice.id(103).await;
    for _ in 0..30 {
        alice.act_on(Verb::Stop, id.clone(), "").await.error();
    }
    let mut seen: Vec<String> = Vec::new();
    let mut page = operations(&alice, &id, "").await;
    let mut parts = 1;
    loop {
        seen.extend(history(&page));
        let Some(older) = link(&page, "Older") else { break };
        page = alice.open(&older).await.text;
        parts += 1;
    }
    assert_eq!((seen.len(), parts), (70, 3), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.contains("from Proxmox")).count(), 40);
    assert!(link(&page, "Newest").is_some());
}

/// Whom the history can be asked for.
fn actors(page: &str) -> Vec<String> {
    let (_, form) = page.split_once(" name=\"by\"").expect("a choice of users");
    let (form, _) = form.split_once("</select>").expect("its end");
    let options = form.split("<option value=\"").skip(2);
    options.map(|option| option.split_once('"').expect("the end of a value").0.to_owned()).collect()
}

/// Writes an event of CT 103 by each of these users, one after the other.
async fn put_events_by(app: &TestApp, id: &ContainerId, users: impl Iterator<Item = u32>) {
    for user in users {
        let event = NewEventRow {
            container_id: id.clone(),
            cluster: "homelab".parse().unwrap(),
            vmid: 103.try_into().unwrap(),
            hostname: "web".to_owned(),
            kind: EventKind::Started,
            actor: format!("user{user}@pve").parse().unwrap(),
            source: None,
            operation_id: None,
            verb: Some(Verb::Start),
            upid: None,
            code: "ok".to_owned(),
            manner: None,
            before: None,
            after: None,
        };
        create_container_event(&app.db(), &event).await.unwrap();
    }
}

#[tokio::test]
async fn everybody_who_did_something_to_a_container_can_be_asked_for_on_each_part_of_its_history() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let (web, pihole) = (alice.id(103).await, alice.id(101).await);
    put_events_by(&app, &web, 10..50).await;
    let all: Vec<_> = ["alice@pve".to_owned()].into_iter().chain((10..50).map(|n| format!("user{n}@pve"))).collect();
    let page = operations(&alice, &web, "").await;
    let shown = history(&page);
    assert!(shown.len() == PER_PAGE as usize && !shown.iter().any(|line| line.contains("user10@pve")), "{shown:?}");
    assert_eq!(actors(&page), all);
    assert_eq!(actors(&alice.open(&link(&page, "Older").expect("an older part")).await.text), all);
    assert_eq!(actors(&alice.open("/clusters/homelab/103").await.text), all, "its number has the same history");
    let page = operations(&alice, &web, "?by=user10%40pve").await;
    assert!(history(&page).len() == 1 && page.contains("<option value=\"user10@pve\" selected"), "{page}");
    assert_eq!(actors(&page), all);
    // what they did to this one says nothing of another
    assert_eq!(actors(&operations(&alice, &pihole, "").await), ["alice@pve"]);
    // and is told to nobody who may not see its history
    for path in [paths::container_tab(&web, Tab::Operations), "/clusters/homelab/103".to_owned()] {
        let answer = app.sign_in("nobody@pve").await.open(&path).await;
        assert!(answer.status == StatusCode::NOT_FOUND && !answer.text.contains("user10@pve"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn of_very_many_users_the_first_can_be_asked_for_and_whoever_is_asked_for_already() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    // the newest, which are on the part that is shown, are by the first of them
    put_events_by(&app, &id, (100..200).rev()).await;
    let first = (100..100 + MOST_ACTORS).map(|n| format!("user{n}@pve"));
    let offered = |more: &[&str]| -> Vec<String> {
        ["alice@pve".to_owned()].into_iter().chain(first.clone()).chain(more.iter().map(|user| (*user).to_owned())).collect()
    };
    assert_eq!(actors(&operations(&alice, &id, "").await), offered(&[]));
    let page = operations(&alice, &id, "?by=user199%40pve").await;
    assert_eq!((history(&page).len(), actors(&page)), (1, offered(&["user199@pve"])));
}

#[tokio::test]
async fn who_is_at_work_can_be_asked_for_wherever_one_is_in_the_history() {
    let app = TestApp::with(Setup { marked: false, ..Setup::stepped() }).await;
    let (alice, root) = (app.sign_in("alice@pve").await, app.sign_in("root@pam").await);
    let id = alice.id(103).await;
    let begun = root.act_on(Verb::Start, id.clone(), "");
    let look = async {
        app.cluster.wait_for_running_tasks(1).await;
        let page = operations(&alice, &id, "?by=alice%40pve").await;
        app.cluster.finish_tasks();
        page
    };
    let (begun, page) = tokio::join!(begun, look);
    begun.report();
    assert_eq!((history(&page).len(), actors(&page)), (0, vec!["alice@pve".to_owned(), "root@pam".to_owned()]));
}

#[tokio::test]
async fn an_operation_opens_with_the_log_of_each_of_its_tasks() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let operation = alice.act(Verb::Restart, 101).await.report().operation;
    let page = alice.open(&paths::operation(&operation)).await.text;
    let read = words(&page);
    assert!(read.contains("Task vzshutdown on pve1 · done after") && read.contains("Task vzstart on pve1 · done after"), "{read}");
    assert_eq!(read.matches("TASK OK").count(), 2, "{read}");
    let text = alice.open(&paths::operation_log(&operation)).await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert!(text.header("content-disposition").starts_with("attachment; filename=\"pihole-restart-"), "{:?}", text.headers);
    let lines: Vec<_> = text.text.lines().collect();
    assert!(lines[0].contains(":vzshutdown:101:alice@pve:") && lines[1] == "TASK OK", "{lines:?}");
    assert!(text.text.ends_with("TASK OK\n"), "{lines:?}");
    // bob may not see the container, auditor may read every log
    let bob = app.sign_in("bob@pve").await;
    assert_eq!(bob.open(&paths::operation_log(&operation)).await.status, StatusCode::NOT_FOUND);
    let auditor = app.sign_in("auditor@pve").await;
    assert_eq!(auditor.open(&paths::operation_log(&operation)).await.text, text.text);
}

#[tokio::test]
async fn a_failed_operation_shows_what_proxmox_said() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    alice.act(Verb::Start, 115).await.error();
    let line = alice.events(&alice.id(115).await).await.pop().unwrap();
    let page = alice.open(&paths::operation(&line.operation.unwrap())).await.text;
    assert!(words(&page).contains("TASK ERROR: startup for container '115' failed"), "{}", words(&page));
}

#[tokio::test]
async fn a_log_of_any_length_is_shown_from_its_end_and_downloaded_whole() {
    let app = plain().await;
    let alice = app.sign_in("alice@pve").await;
    let now = app.cluster.now();
    let long = task("vzcreate", "alice@pve", 103, now, 3600);
    put_tasks(&app, &[(long.clone(), Some("OK"), 9691)]);
    let page = alice.open(&paths::task(&long)).await.text;
    assert!(words(&page).contains("8692 lines are before these.") && page.contains("line 9691") && !page.contains(">line 8691<"));
    let whole = alice.open(&link(&page, "Show all").expect("the way to all")).await.text;
    assert!(whole.contains(">line 1<") && whole.contains("line 9691"));
    let text = alice.open(&paths::task_log(&long)).await.text;
    assert_eq!((text.lines().count(), text.lines().next(), text.lines().last()), (9692, Some("line 1"), Some("TASK OK")));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_leaves_its_operation_readable() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let operation = alice.act(Verb::Start, 103).await.report().operation;
    app.cluster.fault(Fault::new(FaultAction::Status { code: 500, reason: "odd".into() }).path_contains("/tasks/"));
    let page = alice.open(&paths::operation(&operation)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(words(&page.text).contains("web is running") && words(&page.text).contains("Proxmox refused."), "{}", page.text);
    // a download that fails at once is an error and no empty file
    assert_eq!(alice.open(&paths::operation_log(&operation)).await.status, StatusCode::BAD_GATEWAY);
}

/// A start that never ends by itself.
async fn endless(app: &TestApp, browser: &Browser<'_>) -> OperationId {
    let (operation, ()) = tokio::join!(browser.act(Verb::Start, 216), app.cluster.wait_for_running_tasks(1));
    operation.goes_on()
}

fn impatient() -> Setup {
    let mut setup = Setup { marked: false, ..Setup::quick() };
    setup.lifecycle.answer_within = Duration::from_millis(300);
    setup
}

#[tokio::test]
async fn an_operation_that_is_under_way_is_followed_and_can_be_stopped_and_says_by_whom() {
    let app = TestApp::with(impatient()).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(216).await;
    let operation = endless(&app, &alice).await;
    let page = alice.open(&paths::operation(&operation)).await.text;
    assert!(page.contains("http-equiv=\"refresh\"") && page.contains("action=\"/api/stop_operation\""), "{page}");
    // in the history of its container, too
    assert!(history(&operations(&alice, &id, "").await)[0].starts_with("Start Starting…"));
    let answer = alice.submit(&paths::operation(&operation), "/api/stop_operation", format!("id={operation}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, paths::operation(&operation).as_str()));
    let end = alice.end_of(&operation).await;
    assert_eq!((end.state, end.error), (OperationState::Failed, Some(AppError::Cancelled { vmid: 216.try_into().unwrap() })));
    let events = alice.events(&id).await;
    assert_eq!(
        (events[0].kind, events[0].actor.as_str(), events[0].operation.as_ref()),
        (EventKind::TaskStopped, "alice@pve", Some(&operation))
    );
    // once it has ended there is nothing to stop
    assert_eq!(alice.post(StopOperation { id: operation }).await.error(), AppError::NothingToStop);
    assert_eq!(app.writes().iter().filter(|call| call.starts_with("DELETE")).count(), 1);
}

#[tokio::test]
async fn a_task_that_was_begun_elsewhere_is_stopped_by_who_may_and_every_attempt_is_written_down() {
    let app = plain().await;
    let now = app.cluster.now();
    let backup = task("vzdump", "root@pam", 103, now, 60);
    put_tasks(&app, &[(backup.clone(), None, 2)]);
    let auditor = app.sign_in("auditor@pve").await;
    let page = auditor.open(&paths::task(&backup)).await.text;
    assert!(words(&page).contains("that needs Sys.Modify on its node") && !page.contains("/api/stop_task"), "{}", words(&page));
    let error = auditor.post(StopTask { upid: backup.clone() }).await.error();
    assert!(matches!(error, AppError::Forbidden { .. }), "{error:?}");
    let alice = app.sign_in("alice@pve").await;
    let page = alice.open(&paths::task(&backup)).await.text;
    assert!(page.contains("http-equiv=\"refresh\""), "it is followed");
    assert!(!page.contains("action=\"/api/stop_task\""), "PVEAdmin has no Sys.Modify");
    let root = app.sign_in("root@pam").await;
    let page = root.open(&paths::task(&backup)).await.text;
    assert!(page.contains("action=\"/api/stop_task\""), "{}", words(&page));
    let answer = root.post(StopTask { upid: backup.clone() }).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let events = root.events(&root.id(103).await).await;
    let told: Vec<_> = events.iter().map(|event| (event.kind, event.actor.as_str(), event.upid.as_ref())).collect();
    assert_eq!(told, [(EventKind::Refused, "auditor@pve", Some(&backup)), (EventKind::TaskStopped, "root@pam", Some(&backup))]);
    let gone = task("vzdump", "root@pam", 103, now, 61);
    assert_eq!(root.post(StopTask { upid: gone }).await.error(), AppError::NoSuchTask);
}

#[tokio::test]
async fn the_services_of_a_container_have_a_part_of_their_own() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(104).await;
    let services = paths::container_tab(&id, Tab::Services);
    assert!(words(&alice.open(&services).await.text).contains("No services are known"));
    app.execute(
        "INSERT INTO container_services (id, container_id, name, kind, port, web_url, status, updated_at)
         SELECT '0190163d8694739baea5966c26f8ad91', id, 'postgresql', 'systemd', 5432, 'javascript:alert(1)', 'running', 1
         FROM containers WHERE vmid = 104",
    )
    .await;
    let page = alice.open(&services).await.text;
    assert!(words(&page).contains("postgresql systemd 5432 no web page Running"), "{}", words(&page));
    assert!(!page.contains("javascript:"));
    assert!(words(&overview(&alice, 104).await).contains("postgresql"));
    let bob = app.sign_in("bob@pve").await;
    for tab in [Tab::Overview, Tab::Operations, Tab::Services] {
        let page = bob.open(&paths::container_tab(&id, tab)).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{tab:?}");
        assert!(!page.text.contains("postgresql"));
    }
}
