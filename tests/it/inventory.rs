//! The list that is kept fresh: what it costs, what it says when something is wrong, and who hears of a change. Time is stepped, for Berth
//! and for the cluster.

use crate::harness::{Browser, Listening, Setup, TestApp};
use berth::{
    auth::api::SignOut,
    containers::{
        api::{GetWindow, ListContainers},
        model::{ContainerList, ContainerRow, Reach, Status, TaskKind, Window},
        query::Query,
    },
    error::AppError,
    operations::{
        api::ListContainerEvents,
        model::{OperationState, Verb},
    },
    paths,
    proxmox::ids::Vmid,
    server::session::session_key,
    simulator::{self, CertificateMode, Fault, FaultAction, Request},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How often Proxmox is asked.
const BEAT: Duration = Duration::from_secs(10);
/// Some time for a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

async fn window(browser: &Browser<'_>, query: &str) -> Window {
    browser.read(GetWindow { query: query.into(), from: 0, count: 1000 }).await.json()
}

/// Looks until it is so.
async fn until(browser: &Browser<'_>, wanted: impl Fn(&Window) -> bool) -> Window {
    let looks = async {
        loop {
            let window = window(browser, "").await;
            if wanted(&window) {
                return window;
            }
        }
    };
    timeout(SOON, looks).await.expect("it becomes so")
}

fn pass(app: &TestApp, time: Duration) {
    app.cluster.advance(time);
    app.config.pace.advance(time);
}

/// Lets a beat pass, and looks when it has been taken in.
async fn beat(app: &TestApp, browser: &Browser<'_>) -> Window {
    pass(app, BEAT);
    let now = app.config.pace.epoch();
    until(browser, |window| window.as_of == Some(now)).await
}

fn find(window: &Window, number: u32) -> Option<&ContainerRow> {
    window.rows.iter().find(|row| row.vmid.get() == number)
}

fn row(window: &Window, number: u32) -> &ContainerRow {
    find(window, number).unwrap_or_else(|| panic!("no CT {number}"))
}

/// How often what was asked.
fn calls(app: &TestApp, wanted: impl Fn(&Request) -> bool) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for request in app.cluster.requests().into_iter().filter(wanted) {
        *calls.entry(request.path).or_default() += 1;
    }
    calls
}

/// What keeps the list fresh; single containers are read beside it, at a pace of their own.
fn is_for_the_list(request: &Request) -> bool {
    !request.path.contains("/lxc/")
}

async fn hears_list(tab: &mut Listening) {
    let heard = async { while tab.next_word().await.expect("the stream goes on") != berth::paths::LIVE_LIST {} };
    timeout(SOON, heard).await.expect("it hears of its list");
}

#[tokio::test]
async fn fifty_who_look_and_listen_cost_what_one_costs_and_a_page_costs_nothing() {
    let mut costs = Vec::new();
    for viewers in [1, 50] {
        let app = TestApp::with(Setup::stepped()).await;
        let sessions = futures::future::join_all((0..viewers / 10 + 1).map(|_| app.sign_in("alice@pve"))).await;
        let tabs: Vec<Browser<'_>> = (0..viewers).map(|viewer| sessions[viewer % sessions.len()].twin()).collect();
        window(&tabs[0], "").await;
        let mut streams = Vec::new();
        for tab in &tabs {
            streams.push(tab.listen().await);
        }
        app.cluster.clear_requests();
        for tab in &tabs {
            assert!(!window(tab, "q=status:running").await.rows.is_empty());
        }
        assert_eq!(calls(&app, is_for_the_list), BTreeMap::new(), "a page costs nothing");
        for _ in 0..6 {
            beat(&app, &tabs[0]).await;
            futures::future::join_all(tabs.iter().map(|tab| window(tab, ""))).await;
        }
        costs.push(calls(&app, is_for_the_list));
        let single: usize = calls(&app, |request| !is_for_the_list(request)).values().sum();
        // two addresses and a configuration a second, of which a step of ten seconds lets two slots through
        assert!(single <= 6 * 2 * 3, "{single} reads of single containers");
    }
    let expected = [("/access/permissions", 1), ("/cluster/resources", 6), ("/cluster/tasks", 6)];
    assert_eq!(costs[0], expected.map(|(path, count)| (path.to_owned(), count)).into());
    assert_eq!(costs[0], costs[1]);
}

/// Gives so many containers another name, as somebody does it at Proxmox.
fn rename(app: &TestApp, count: usize, name: &str) {
    let mut state = app.cluster.state();
    for container in state.containers.iter_mut().take(count) {
        let named = |line: &str| if line.starts_with("hostname: ") { format!("hostname: {name}\n") } else { format!("{line}\n") };
        container.config = container.config.lines().map(named).collect();
    }
    app.cluster.load(state).unwrap();
}

#[tokio::test]
async fn a_tab_hears_of_its_list_once_a_beat_however_many_rows_change_and_not_at_all_where_none_does() {
    // For each word it asks Berth once, beside a look of its own at every beat: so often in a minute, whatever happens, asks a viewer.
    const TABS: usize = 5;
    for changed in [0, 1, 20] {
        let mut app = TestApp::with(Setup::stepped()).await;
        let cookies = app.sign_in("alice@pve").await.cookies();
        let (mut tabs, mut words, mut differences) = (Vec::new(), vec![0; TABS], 0);
        {
            let alice = app.browser(&cookies);
            // what runs uses something else at each beat
            for row in window(&alice, "").await.rows {
                app.cluster.set_status(row.vmid.get(), simulator::Status::Stopped);
            }
            // as it is after a change by hand
            app.cluster.load(app.cluster.state()).unwrap();
            let mut before = beat(&app, &alice).await;
            for _ in 0..TABS {
                tabs.push(alice.listen().await);
            }
            for step in 0..6 {
                rename(&app, changed, &format!("name-{step}"));
                let now = beat(&app, &alice).await;
                assert_eq!(now.rows.iter().filter(|row| row.name == format!("name-{step}")).count(), changed);
                // the course of its use is drawn when the tab looks of itself
                let row = |row: &ContainerRow| ContainerRow { history: Vec::new(), ..row.clone() };
                let look = |window: &Window| (window.rows.iter().map(row).collect::<Vec<_>>(), window.nodes.clone());
                if look(&now) != look(&before) {
                    differences += 1;
                    for (tab, words) in tabs.iter_mut().zip(&mut words) {
                        hears_list(tab).await;
                        *words += 1;
                    }
                }
                before = now;
            }
        }
        // whatever else was said stands before the end
        app.stop().await;
        for (tab, words) in tabs.iter_mut().zip(&mut words) {
            while tab.next_word().await.is_some() {
                *words += 1;
            }
        }
        assert_eq!(differences, if changed == 0 { 0 } else { 6 }, "beats with {changed} rows that change");
        assert_eq!(words, vec![differences; TABS], "{changed} rows change before each beat");
    }
}

#[tokio::test]
async fn the_watcher_leaves_when_nobody_looks_or_listens_and_a_stream_alone_keeps_it() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    let asked = |user: &'static str| {
        calls(&app, move |r| r.path == "/cluster/resources" && r.user.as_deref() == Some(user)).into_values().sum::<usize>()
    };
    let stream = alice.listen().await;
    app.cluster.wait_for_requests(|requests| requests.iter().any(|r| r.path == "/cluster/tasks")).await;
    for step in 0..6 {
        let before = asked("alice@pve");
        pass(&app, BEAT);
        let wanted = |requests: &[Request]| {
            requests.iter().filter(|r| r.path == "/cluster/resources" && r.user.as_deref() == Some("alice@pve")).count() > before
        };
        let wait = app.cluster.wait_for_requests(wanted);
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("somebody listens, step {step}"));
    }
    drop(stream);
    // bob's beats say when a step has been gone through
    window(&bob, "").await;
    let mut quiet = 0;
    for _ in 0..20 {
        let before = asked("alice@pve");
        beat(&app, &bob).await;
        quiet = if asked("alice@pve") == before { quiet + 1 } else { 0 };
    }
    assert!(quiet >= 10, "she was asked for in all but the last {quiet} of 20 steps");
    let seen = window(&alice, "").await;
    assert_eq!(seen.as_of, Some(app.config.pace.epoch()), "who comes back has it fresh");
}

#[tokio::test]
async fn with_lag_and_flipping_workers_a_status_never_goes_back() {
    let mut setup = Setup::stepped();
    setup.simulator.worker_lag = Duration::from_secs(8);
    let app = TestApp::with(setup).await;
    let alice = app.sign_in("alice@pve").await;
    let mut shown = Vec::new();
    assert_eq!(row(&window(&alice, "").await, 103).status, Status::Stopped);
    app.cluster.set_status(103, simulator::Status::Running);
    for _ in 0..20 {
        pass(&app, Duration::from_secs(3));
        // asked anew each time, so that both workers have their turn
        let list: ContainerList = alice.read(ListContainers {}).await.json();
        shown.push(list.rows.iter().find(|row| row.vmid.get() == 103).unwrap().status);
    }
    let first = shown.iter().position(|status| *status == Status::Running).expect("it is seen to run");
    assert!(shown[first..].iter().all(|status| *status == Status::Running), "{shown:?}");
}

#[tokio::test]
async fn a_cluster_that_hangs_leaves_the_last_list_dated_and_the_page_answers() {
    let app = TestApp::with(Setup { page_budget: Setup::SHORT, ..Setup::stepped() }).await;
    let alice = app.sign_in("alice@pve").await;
    let good = until(&alice, |window| window.trouble.is_none() && !window.rows.is_empty()).await;
    let mut tab = alice.listen().await;
    app.cluster.fault(Fault::new(FaultAction::Hang));
    pass(&app, BEAT);
    hears_list(&mut tab).await;
    let hanging = until(&alice, |window| window.trouble.is_some()).await;
    assert!(matches!(hanging.trouble, Some(AppError::ClusterSlow { .. })), "{:?}", hanging.trouble);
    assert_eq!((hanging.cluster.reach, hanging.as_of), (Reach::Slow, good.as_of));
    assert_eq!(hanging.cluster.since, Some(app.config.pace.epoch()));
    assert_eq!(hanging.rows.len(), good.rows.len());
    let page = alice.open("/").await;
    assert!(page.status.is_success() && page.text.contains(good.rows[0].id.as_str()), "{}", page.text);
    // somebody who has not looked before waits no longer than a page does
    app.cluster.clear_faults();
    let well = until(&alice, |window| window.trouble.is_none()).await;
    assert_eq!(well.cluster.reach, Reach::Answers);
}

#[tokio::test]
async fn a_node_that_is_away_keeps_its_figures_and_disturbs_nobody() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    // as it is after a change by hand
    app.cluster.load(app.cluster.state()).unwrap();
    let before = window(&alice, "").await;
    let on_pve2 = before.rows.iter().find(|row| row.node.as_str() == "pve2" && row.usage.is_some()).expect("one runs there").clone();
    let mut state = app.cluster.state();
    state.nodes[1].online = false;
    app.cluster.load(state).unwrap();
    let after = beat(&app, &alice).await;
    let now = app.config.pace.epoch();
    let away = row(&after, on_pve2.vmid.get());
    assert_eq!((away.status, away.node_online, away.last_seen), (Status::Unknown, false, before.as_of));
    assert_eq!((away.usage, &away.name), (on_pve2.usage, &on_pve2.name));
    assert_eq!(after.nodes.iter().find(|node| node.name.as_str() == "pve2").unwrap().away_since, Some(now));
    // its page says so, and counts nothing on
    let page = alice.open(&paths::container(&away.id)).await.text;
    assert!(
        page.contains("data-word>Unknown<") && page.contains("Last seen <span class=\"text-ink-2\">10 s ago") && !page.contains(">Up "),
        "{page}"
    );
    let here = |window: &Window| window.rows.iter().filter(|row| row.node.as_str() == "pve1" && row.status != Status::Unknown).count();
    assert_eq!((here(&after), after.trouble.clone(), after.rows.len()), (here(&before), None, before.rows.len()));
    let counts = after.counts;
    assert_eq!(counts.total, counts.running + counts.stopped + counts.creating + counts.error + counts.unknown);
    // the same a beat later, and back again
    assert_eq!(row(&beat(&app, &alice).await, on_pve2.vmid.get()).last_seen, before.as_of);
    let mut state = app.cluster.state();
    state.nodes[1].online = true;
    app.cluster.load(state).unwrap();
    let back = beat(&app, &alice).await;
    assert_eq!((row(&back, on_pve2.vmid.get()).status, row(&back, on_pve2.vmid.get()).last_seen), (Status::Running, None));
}

#[tokio::test]
async fn a_certificate_that_changes_is_said_and_gets_no_ticket() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let good = window(&alice, "").await;
    app.cluster.set_certificate(CertificateMode::New).unwrap();
    app.cluster.clear_requests();
    pass(&app, BEAT);
    let changed = until(&alice, |window| window.trouble.is_some()).await;
    assert!(matches!(changed.trouble, Some(AppError::CertificateUntrusted { .. })));
    assert_eq!((changed.cluster.reach, changed.as_of, changed.rows.len()), (Reach::CertificateChanged, good.as_of, good.rows.len()));
    assert!(app.cluster.requests().is_empty(), "nothing is sent");
    app.cluster.set_certificate(CertificateMode::Original).unwrap();
    beat(&app, &alice).await;
    assert_eq!(window(&alice, "").await.trouble, None);
}

#[tokio::test]
async fn a_permission_that_is_lost_in_mid_session_takes_its_rows_along() {
    let app = TestApp::with(Setup::stepped()).await;
    let bob = app.sign_in("bob@pve").await;
    let before = window(&bob, "").await;
    assert_eq!((before.rows.len(), before.cluster.may_audit), (3, true));
    let id = row(&before, 103).id.clone();
    let mut tab = bob.listen().await;
    let mut state = app.cluster.state();
    let lines: Vec<&str> = state.access.lines().filter(|line| !line.contains("/vms/")).collect();
    state.access = lines.join("\n") + "\n";
    app.cluster.load(state).unwrap();
    let after = beat(&app, &bob).await;
    hears_list(&mut tab).await;
    assert!(after.rows.is_empty() && after.operations.is_empty());
    // his rights themselves are asked for each minute
    for _ in 0..5 {
        beat(&app, &bob).await;
    }
    assert!(!window(&bob, "").await.cluster.may_audit);
    let events = bob.read(ListContainerEvents { container: id, before: None }).await;
    assert_eq!(events.error(), AppError::NoSuchContainer);
}

#[tokio::test]
async fn a_refusal_has_the_rights_asked_for_at_the_next_beat() {
    let app = TestApp::with(Setup::stepped()).await;
    let bob = app.sign_in("bob@pve").await;
    assert!(row(&window(&bob, "").await, 103).may_power);
    let mut state = app.cluster.state();
    state.access = state.access.replace("acl:1:/vms/103:bob@pve:PVEVMUser:", "acl:1:/vms/103:bob@pve:PVEAuditor:");
    app.cluster.load(state).unwrap();
    assert!(row(&beat(&app, &bob).await, 103).may_power, "not known yet");
    let id = row(&window(&bob, "").await, 103).id.clone();
    assert!(matches!(bob.act_on(Verb::Start, id, "").await.error(), AppError::Forbidden { .. }));
    assert!(!row(&beat(&app, &bob).await, 103).may_power);
}

#[tokio::test]
async fn a_session_that_ends_in_mid_action_leaves_the_list_to_the_others_and_the_last_one_ends_it() {
    let app = TestApp::with(Setup::stepped()).await;
    let (first, second) = (app.sign_in("alice@pve").await, app.sign_in("alice@pve").await);
    let bob = app.sign_in("bob@pve").await;
    window(&second, "").await;
    let id = row(&window(&first, "").await, 103).id.clone();
    let operation = tokio::select! {
        answer = first.act_on(Verb::Start, id.clone(), "") => panic!("{}", answer.text),
        () = app.cluster.wait_for_running_tasks(1) => window(&second, "").await.operations.remove(0),
    };
    assert_eq!((operation.container, operation.under_way), (id, Some(Verb::Start)));
    first.post(SignOut {}).await;
    let seen = beat(&app, &second).await;
    assert_eq!(row(&seen, 103).task, None, "told once, as our own");
    app.cluster.finish_tasks();
    assert_eq!(second.end_of(&operation.id).await.state, OperationState::Succeeded);
    let ended = window(&second, "").await;
    assert_eq!((row(&ended, 103).status, &row(&ended, 103).task), (Status::Running, &None), "at once, and nothing goes on any more");
    second.post(SignOut {}).await;
    window(&bob, "").await;
    beat(&app, &bob).await;
    app.cluster.clear_requests();
    for _ in 0..3 {
        beat(&app, &bob).await;
    }
    let hers = calls(&app, |request| request.user.as_deref() == Some("alice@pve"));
    assert_eq!(hers, BTreeMap::new(), "nobody of hers is signed in");
}

#[tokio::test]
async fn a_dead_ticket_falls_back_to_another_sessions_and_ends_its_own() {
    let app = TestApp::with(Setup::stepped()).await;
    let (dead, alive) = (app.sign_in("alice@pve").await, app.sign_in("alice@pve").await);
    window(&alive, "").await;
    window(&dead, "").await;
    let key = session_key(&dead.cookies().split_once('=').unwrap().1.parse().unwrap());
    app.forget_ticket(&key).await;
    beat(&app, &alive).await;
    assert_eq!(dead.read(GetWindow { query: String::new(), from: 0, count: 1 }).await.error(), AppError::SignedOut);
    assert_eq!(window(&alive, "").await.trouble, None);
    // all of them: the session ends, and no stream brings it back
    let mut stream = alive.listen().await;
    app.cluster.expire_tickets();
    pass(&app, BEAT);
    hears_list(&mut stream).await;
    assert_eq!(alive.read(GetWindow { query: String::new(), from: 0, count: 1 }).await.error(), AppError::SignedOut);
    assert_eq!(app.column("SELECT id FROM sessions").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_stream_that_is_cut_five_times_misses_nothing() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    window(&alice, "").await;
    let mut last: Option<String> = None;
    for cut in 0..5 {
        let mut stream = alice.listen_from(last.as_deref()).await;
        if last.is_some() {
            hears_list(&mut stream).await;
        }
        app.cluster.set_lock(103, (cut % 2 == 0).then_some("backup"));
        beat(&app, &alice).await;
        hears_list(&mut stream).await;
        last = stream.last_id.clone();
        drop(stream);
        // in between
        app.cluster.set_lock(106, (cut % 2 == 0).then_some("backup"));
        let seen = beat(&app, &alice).await;
        assert_eq!(row(&seen, 106).lock.is_some(), cut % 2 == 0);
    }
    let mut stranger = alice.listen_from(Some("another-1")).await;
    assert_eq!(timeout(SOON, stranger.next_word()).await.unwrap().as_deref(), Some("*"));
}

#[tokio::test]
async fn where_nothing_changes_nothing_is_said() {
    let app = TestApp::with(Setup::stepped()).await;
    // who sees two containers that stand, and no figures of nodes
    let mut state = app.cluster.state();
    state.access = state.access.replace("acl:1:/vms/201:@operators:PVEVMUser:", "");
    app.cluster.load(state).unwrap();
    let bob = app.sign_in("bob@pve").await;
    assert!(window(&bob, "").await.rows.iter().all(|row| row.status == Status::Stopped));
    let mut stream = bob.listen().await;
    for _ in 0..5 {
        beat(&app, &bob).await;
    }
    app.cluster.set_lock(103, Some("backup"));
    pass(&app, BEAT);
    hears_list(&mut stream).await;
    assert_eq!(row(&window(&bob, "").await, 103).lock, Some(berth::error::Lock::Backup), "the first word is about that");
}

#[tokio::test]
async fn what_somebody_begins_at_proxmox_is_under_way_on_its_row() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    window(&alice, "").await;
    window(&bob, "").await;
    let mut state = app.cluster.state();
    let task = |kind: &str, number: u32| {
        let upid = format!("UPID:pve1:0000ABCD:00029807:{:08X}:{kind}:{number}:root@pam:", app.cluster.now() - 5);
        serde_json::from_value(serde_json::json!({ "upid": upid })).unwrap()
    };
    state.tasks.extend([task("vzdump", 101), task("vzmigrate", 103), task("vncproxy", 102)]);
    app.cluster.load(state).unwrap();
    let seen = beat(&app, &alice).await;
    let backup = row(&seen, 101).task.clone().expect("a backup");
    assert_eq!((backup.kind, backup.by.as_str()), (TaskKind::Backup, "root@pam"));
    // and at the head of its page
    let page = alice.open(&paths::container(&row(&seen, 101).id)).await.text;
    assert!(page.contains("data-word>Backing up…<") && page.contains("Backing up… · root@pam · from Proxmox"), "{page}");
    let lasts = seen.now - backup.since;
    assert!((13..=17).contains(&lasts), "{lasts} s");
    assert_eq!(row(&seen, 103).task.as_ref().map(|task| task.kind), Some(TaskKind::Migrate));
    assert_eq!(row(&seen, 102).task, None, "an open console is nothing that goes on");
    // who has no Sys.Audit on `/` is told of his own tasks alone
    assert_eq!(row(&window(&bob, "").await, 103).task, None);
}

#[tokio::test]
async fn what_was_read_exactly_is_seen_and_heard_at_once_by_everybody() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    assert_eq!(row(&window(&bob, "").await, 103).status, Status::Stopped);
    let mut his = bob.listen().await;
    let (answer, ()) = tokio::join!(alice.act(Verb::Start, 103), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.finish_tasks();
    });
    answer.report();
    hears_list(&mut his).await;
    assert_eq!(row(&window(&bob, "").await, 103).status, Status::Running);
    // the cluster's own list still says stopped, and is not believed
    let list: ContainerList = bob.read(ListContainers {}).await.json();
    assert_eq!(list.rows.iter().find(|row| row.vmid.get() == 103).unwrap().status, Status::Running);
}

#[tokio::test]
async fn what_is_deleted_leaves_every_list_at_once() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    assert!(find(&window(&bob, "").await, 106).is_some());
    let (answer, ()) = tokio::join!(alice.act(Verb::Delete, 106), async {
        app.cluster.wait_for_running_tasks(1).await;
        app.cluster.finish_tasks();
    });
    answer.report();
    assert!(find(&window(&bob, "").await, 106).is_none());
    assert!(find(&window(&alice, "").await, 106).is_none());
}

#[tokio::test]
async fn addresses_and_fingerprints_come_by_and_by_and_wait_for_nobody() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let seen = window(&alice, "").await;
    let running = seen.rows.iter().filter(|row| row.status == Status::Running && row.node_online).count();
    assert!(seen.rows.iter().all(|row| row.addresses.is_empty()));
    app.cluster.clear_requests();
    let (mut steps, mut reads) = (0, BTreeMap::new());
    let of =
        |reads: &BTreeMap<String, usize>, end: &str| reads.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, n)| n).sum::<usize>();
    while of(&reads, "/interfaces") < running / 2 || of(&reads, "/config") < 5 {
        app.config.pace.advance(Duration::from_millis(500));
        steps += 1;
        window(&alice, "").await;
        reads = calls(&app, |request| !is_for_the_list(request));
        assert!(of(&reads, "/interfaces") <= steps, "two a second");
        assert!(of(&reads, "/config") <= steps.div_ceil(2), "one a second");
        assert!(steps < 10_000);
    }
    let shown = until(&alice, |window| window.rows.iter().any(|row| !row.addresses.is_empty())).await;
    let row = shown.rows.iter().find(|row| !row.addresses.is_empty()).unwrap();
    assert!(row.addresses.iter().all(|address| !address.is_loopback()) && row.status == Status::Running, "{row:?}");
    let kept = app.column("SELECT fingerprint FROM containers WHERE fingerprint IS NOT NULL").await;
    assert!(!kept.is_empty() && kept.iter().all(|text| text.starts_with("mac ") || text.starts_with("task ")), "{kept:?}");
}

#[tokio::test]
async fn the_history_grows_by_a_value_each_minute() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    window(&alice, "").await;
    for _ in 0..18 {
        beat(&app, &alice).await;
    }
    let seen = window(&alice, "").await;
    let running = seen.rows.iter().find(|row| row.status == Status::Running).unwrap();
    assert!((3..=4).contains(&running.history.len()) && running.history.iter().all(|cpu| *cpu <= 100), "{:?}", running.history);
}

#[tokio::test]
async fn a_window_is_what_its_query_says() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let all: ContainerList = alice.read(ListContainers {}).await.json();
    for query in [
        "",
        "q=web",
        "q=status:running",
        "q=status:running+-node:pve1",
        "q=tag:prod&sort=cpu&desc",
        "sort=memory",
        "sort=uptime&desc",
        "q=lock:&sort=vmid&desc",
        "q=10&sort=tags",
        "q=cluster:homelab&sort=status",
        "q=cluster:other",
        "q=%22status:running%22",
        "sort=node&desc",
    ] {
        let asked = Query::of_url(query).0;
        let mut expected: Vec<&ContainerRow> = all.rows.iter().filter(|row| asked.matches(row)).collect();
        expected.sort_by(|a, b| asked.compare(a, b));
        let expected: Vec<Vmid> = expected.into_iter().map(|row| row.vmid).collect();
        let whole = window(&alice, query).await;
        assert_eq!(whole.rows.iter().map(|row| row.vmid).collect::<Vec<_>>(), expected, "{query}");
        let part: Window = alice.read(GetWindow { query: query.into(), from: 2, count: 3 }).await.json();
        let places = expected.iter().skip(2).take(3).copied().collect::<Vec<_>>();
        assert_eq!(part.rows.iter().map(|row| row.vmid).collect::<Vec<_>>(), places, "{query}");
        assert_eq!((part.total, part.from, part.counts), (expected.len(), 2, asked.count(&all.rows)), "{query}");
    }
    let tagged = all.rows.iter().find_map(|row| row.tags.first()).expect("a tag");
    assert_eq!(tagged.colour.to_string().len(), 7);
}

/// Starts one after the other.
async fn start(app: &TestApp, browser: &Browser<'_>, numbers: [u32; 2]) {
    for number in numbers {
        let (answer, ()) = tokio::join!(browser.act(Verb::Start, number), async {
            app.cluster.wait_for_running_tasks(1).await;
            app.cluster.finish_tasks();
        });
        answer.report();
    }
}

#[tokio::test]
async fn a_list_is_sorted_by_what_only_the_rows_of_a_window_have() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    start(&app, &alice, [110, 103]).await;
    app.execute(
        "INSERT INTO container_services (id, container_id, name, kind, status, updated_at)
         SELECT s.id, c.id, s.name, 'systemd', 'running', 1 FROM containers c JOIN (
             SELECT '0190163d8694739baea5966c26f8ad91' AS id, 104 AS vmid, 'postgresql' AS name
             UNION ALL SELECT '0190163d8694739baea5966c26f8ad92', 104, 'ssh'
             UNION ALL SELECT '0190163d8694739baea5966c26f8ad93', 108, 'Mosquitto'
         ) s ON s.vmid = c.vmid",
    )
    .await;
    // two of them a second
    timeout(SOON, async {
        while window(&alice, "").await.rows.iter().filter(|row| !row.addresses.is_empty()).count() < 3 {
            app.config.pace.advance(Duration::from_millis(500));
        }
    })
    .await
    .expect("addresses are read");
    beat(&app, &alice).await;
    let first = |window: &Window, count| window.rows.iter().take(count).map(|row| row.vmid.get()).collect::<Vec<_>>();
    for (sort, firsts) in [("event&desc", &[103, 110][..]), ("event", &[110, 103]), ("services", &[108, 104]), ("address", &[])] {
        let query = format!("sort={sort}");
        let (asked, seen) = (Query::of_url(&query).0, window(&alice, &query).await);
        assert_eq!(first(&seen, firsts.len()), firsts, "{sort}");
        assert!(seen.rows.is_sorted_by(|a, b| asked.compare(a, b).is_lt()), "{sort}");
        assert_eq!((seen.rows.len(), seen.counts), (seen.total, window(&alice, "").await.counts), "{sort}");
    }
    let by_address = window(&alice, "sort=address").await;
    assert!(!by_address.rows[0].addresses.is_empty() && by_address.rows.last().unwrap().addresses.is_empty());
    // who may not see a container sees nothing of what happened to it either
    assert_eq!(first(&window(&bob, "sort=event&desc").await, 1), [103]);
}

#[tokio::test]
async fn a_window_says_what_happened_last_to_who_may_audit_it() {
    let app = TestApp::with(Setup::stepped()).await;
    let (alice, bob) = (app.sign_in("alice@pve").await, app.sign_in("bob@pve").await);
    start(&app, &alice, [103, 110]).await;
    let last = |window: &Window, number| row(window, number).last_event.as_ref().map(|event| (event.actor.to_string(), event.verb));
    let hers = window(&alice, "").await;
    assert_eq!(last(&hers, 103), Some(("alice@pve".to_owned(), Some(Verb::Start))));
    assert_eq!(last(&hers, 110), last(&hers, 103));
    let his = window(&bob, "").await;
    assert_eq!(last(&his, 103), last(&hers, 103));
    assert!(find(&his, 110).is_none());
    // what is too old to say what he may see now is shown without it
    app.cluster.stop_listening().await;
    for _ in 0..7 {
        pass(&app, BEAT);
    }
    let stale = until(&bob, |window| window.trouble.is_some()).await;
    assert_eq!(stale.rows.len(), his.rows.len());
    assert_eq!(last(&stale, 103), None);
}

#[tokio::test]
async fn a_stream_that_is_still_open_does_not_revive_a_session_that_has_expired() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    window(&alice, "").await;
    let _stream = alice.listen().await;
    app.execute("UPDATE sessions SET expires_at = 1").await;
    let bob = app.sign_in("bob@pve").await;
    window(&bob, "").await;
    beat(&app, &bob).await;
    beat(&app, &bob).await;
    app.cluster.clear_requests();
    for _ in 0..3 {
        beat(&app, &bob).await;
    }
    assert_eq!(calls(&app, |request| request.user.as_deref() == Some("alice@pve")), BTreeMap::new());
    assert_eq!(app.column("SELECT id FROM sessions WHERE expires_at = 1").await.len(), 1, "nobody has touched it");
}

#[tokio::test]
async fn however_much_changes_the_list_is_spoken_of_four_times_a_second_at_most() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    window(&alice, "").await;
    let mut stream = alice.listen().await;
    let began = Instant::now();
    let change = async {
        for step in 0..30 {
            app.cluster.set_lock(103, (step % 2 == 0).then_some("backup"));
            alice.read(ListContainers {}).await;
        }
        app.cluster.set_lock(106, Some("backup"));
        alice.read(ListContainers {}).await;
    };
    let mut words = 0;
    let listen = async {
        loop {
            assert_eq!(stream.next_word().await.as_deref(), Some(berth::paths::LIVE_LIST));
            words += 1;
            if row(&window(&alice, "").await, 106).lock.is_some() {
                break;
            }
        }
    };
    timeout(SOON, async { tokio::join!(change, listen) }).await.expect("the last change is heard of");
    let quarters = began.elapsed().as_millis() / 250;
    assert!(words <= quarters + 1, "{words} words in {quarters} quarters of a second");
}
