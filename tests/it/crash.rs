//! A process that is killed in the middle of an operation, before and after each write to our database and each call to Proxmox; and what
//! the next start makes of it, or on PostgreSQL another replica.
//!
//! The process that dies is this test program, run once more: it stops at the point that it was told, and is killed there by SIGKILL.

use crate::harness::{Running, Setup, TestApp, change_macs, sign_in_as};
use berth::{
    operations::{
        model::{Call, Verb},
        probe::{Point, Probe, Side, StepKind},
    },
    proxmox::client::{Address, Limits},
    server::config::{ClusterConfig, Config, Lifecycle},
    simulator::{Fault, FaultAction, Status as Really},
};
use futures::{StreamExt, stream};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};
use strum::IntoEnumIterator;
use tokio::{sync::mpsc, time::timeout};

/// A verb on its way, by the calls that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Start,
    StartWithAnswerLost,
    Stop,
    StopUnderHa,
    Shutdown,
    ShutdownForcedByProxmox,
    ShutdownThatDidNotStop,
    ShutdownBeyondOurTime,
    RestartOfWhatRuns,
    RestartOfWhatStands,
    DeleteOfWhatRuns,
    DeleteOfWhatStands,
    Refused,
    AnotherContainer,
}

const WAYS: [Way; 14] = [
    Way::Start,
    Way::StartWithAnswerLost,
    Way::Stop,
    Way::StopUnderHa,
    Way::Shutdown,
    Way::ShutdownForcedByProxmox,
    Way::ShutdownThatDidNotStop,
    Way::ShutdownBeyondOurTime,
    Way::RestartOfWhatRuns,
    Way::RestartOfWhatStands,
    Way::DeleteOfWhatRuns,
    Way::DeleteOfWhatStands,
    Way::Refused,
    Way::AnotherContainer,
];

impl Way {
    fn verb(self) -> Verb {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::Refused => Verb::Start,
            Self::Stop | Self::StopUnderHa | Self::AnotherContainer => Verb::Stop,
            Self::Shutdown | Self::ShutdownForcedByProxmox | Self::ShutdownThatDidNotStop | Self::ShutdownBeyondOurTime => Verb::Shutdown,
            Self::RestartOfWhatRuns | Self::RestartOfWhatStands => Verb::Restart,
            Self::DeleteOfWhatRuns | Self::DeleteOfWhatStands => Verb::Delete,
        }
    }

    fn vmid(self) -> u32 {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::RestartOfWhatStands | Self::DeleteOfWhatStands => 103,
            Self::StopUnderHa => 215,
            Self::ShutdownForcedByProxmox | Self::ShutdownBeyondOurTime => 116,
            _ => 101,
        }
    }

    fn calls(self) -> &'static [Call] {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::RestartOfWhatStands => &[Call::Start],
            Self::Stop | Self::StopUnderHa => &[Call::Stop],
            Self::Shutdown | Self::ShutdownForcedByProxmox => &[Call::Shutdown],
            Self::ShutdownThatDidNotStop => &[Call::Shutdown, Call::Stop],
            Self::ShutdownBeyondOurTime => &[Call::Shutdown, Call::Abort, Call::Stop],
            Self::RestartOfWhatRuns => &[Call::Shutdown, Call::Start],
            Self::DeleteOfWhatRuns => &[Call::Stop, Call::Delete],
            Self::DeleteOfWhatStands => &[Call::Delete],
            Self::Refused | Self::AnotherContainer => &[],
        }
    }

    fn fault(self) -> Option<Fault> {
        match self {
            Self::StartWithAnswerLost => Some(Fault::new(FaultAction::LoseAnswer).method("POST").path_contains("/status/start")),
            Self::ShutdownThatDidNotStop => {
                Some(Fault::new(FaultAction::FailTask { text: "container did not stop".into() }).path_contains("/shutdown"))
            }
            _ => None,
        }
    }

    /// The kinds of events at its good end.
    fn events(self) -> &'static [&'static str] {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::RestartOfWhatStands => &["started"],
            Self::RestartOfWhatRuns => &["stopped", "started"],
            Self::DeleteOfWhatRuns | Self::DeleteOfWhatStands => &["deleted"],
            Self::Refused | Self::AnotherContainer => &["refused"],
            _ => &["stopped"],
        }
    }
}

/// Where the process dies: at a step of a way, itself or while it takes up what another has left at [`LEFT_AT`].
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    point: Point,
    in_recovery: bool,
}

/// After the call, before its task is known to us.
const LEFT_AT: (StepKind, Side) = (StepKind::Call, Side::After);

/// The points of a way at a step: the calls that it passes there. A new step has no place here and does not compile.
fn passes(way: Way, step: StepKind) -> Vec<Option<Call>> {
    let calls = || way.calls().iter().copied().map(Some);
    let is_operation = !way.calls().is_empty();
    let once = |yes: bool| if yes { vec![None] } else { vec![] };
    match step {
        StepKind::Identify => once(true),
        StepKind::Look => once(way != Way::AnotherContainer),
        StepKind::Retire => once(way == Way::AnotherContainer),
        StepKind::Refuse => once(!is_operation),
        StepKind::Recognise | StepKind::Claim | StepKind::Finish => once(is_operation),
        StepKind::Intend | StepKind::Call | StepKind::Watch => calls().collect(),
        // an abort has no task of its own
        StepKind::Accept => calls().filter(|call| *call != Some(Call::Abort)).collect(),
        StepKind::Measure => {
            if way == Way::ShutdownForcedByProxmox {
                vec![Some(Call::Shutdown)]
            } else {
                vec![]
            }
        }
        StepKind::Observe => {
            if way == Way::StopUnderHa {
                vec![Some(Call::Stop)]
            } else {
                vec![]
            }
        }
        StepKind::RenewLease => once(way == Way::ShutdownBeyondOurTime),
        StepKind::TakeOver | StepKind::RenewTicket | StepKind::KeepTicket => once(way == Way::Start || way == Way::DeleteOfWhatStands),
        StepKind::Find => {
            if matches!(way, Way::Start | Way::StartWithAnswerLost | Way::DeleteOfWhatStands) {
                vec![calls().next().flatten()]
            } else {
                vec![]
            }
        }
    }
}

/// Whether only who takes an operation up passes a step.
fn is_of_recovery(way: Way, step: StepKind) -> bool {
    match step {
        StepKind::TakeOver | StepKind::RenewTicket | StepKind::KeepTicket => true,
        StepKind::Find => way != Way::StartWithAnswerLost,
        _ => false,
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in WAYS {
        for step in StepKind::iter() {
            for call in passes(way, step) {
                cases.extend(Side::iter().map(|side| Case {
                    way,
                    point: Point { step, call, side },
                    in_recovery: is_of_recovery(way, step),
                }));
            }
        }
    }
    cases
}

fn setup(way: Way) -> Setup {
    let mut setup = Setup { marked: false, ..Setup::quick() };
    setup.simulator.speed = 40.0;
    setup.simulator.start_blocks_reads = false;
    setup.limits = limits();
    setup.lifecycle = lifecycle(way);
    setup
}

/// In the environment of a process that is not to die, but to work: with the times of production.
const PATIENT: &str = "BERTH_TEST_PATIENT";

fn limits() -> Limits {
    if std::env::var_os(PATIENT).is_some() {
        return Limits::default();
    }
    Limits { quick: Duration::from_secs(3), blocking: Duration::from_secs(3), ..Limits::default() }
}

fn lifecycle(way: Way) -> Lifecycle {
    if std::env::var_os(PATIENT).is_some() {
        return Lifecycle { answer_within: Duration::from_secs(60), ..Lifecycle::default() };
    }
    let late = way == Way::ShutdownBeyondOurTime;
    Lifecycle {
        // the abort comes when less is left of the lease than a call may take, and long before Proxmox stops it after 1.5 s
        shutdown_wait: if late { Duration::from_millis(600) } else { Duration::from_secs(60) },
        lease: Duration::from_millis(3_500),
        beat: Duration::from_millis(100),
        answer_within: Duration::from_secs(60),
        ..Lifecycle::default()
    }
}

/// What the process that dies has to know, in its environment.
const MESSAGE: &str = "BERTH_TEST_CRASH";
const LISTENS: &str = "it listens on ";
const REACHED: &str = "it is there";

/// Not a test of its own: what runs in the process that dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Ok(message) = std::env::var(MESSAGE) else { return };
    let lines: Vec<&str> = message.lines().collect();
    let [data, key, database, host, port, fingerprint, way, point] = lines[..] else { panic!("{message}") };
    let way = WAYS[way.parse::<usize>().unwrap()];
    let trust = berth::proxmox::tls::Trust::Pinned(fingerprint.parse().unwrap());
    let address = Address { host: host.to_owned(), port: port.parse().unwrap(), trust };
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        data_dir: data.into(),
        database_url: (!database.is_empty()).then(|| database.parse().unwrap()),
        key_file: key.into(),
        site: Some(std::path::Path::new(key).with_file_name("site")),
        clusters: vec![ClusterConfig { name: "homelab".parse().unwrap(), addresses: vec![address] }],
        page_budget: Duration::from_secs(20),
        lifecycle: lifecycle(way),
        limits: limits(),
    };
    let point = point.to_owned();
    let probe = Probe::new(move |passed| {
        if format!("{passed:?}") == point {
            println!("{REACHED}");
            // until it is killed
            loop {
                std::thread::park();
            }
        }
    });
    let berth = Running::start(config, probe).await;
    println!("{LISTENS}{}", berth.url);
    std::future::pending::<()>().await;
}

/// Another Berth on the same PostgreSQL, in a process of its own.
pub struct Replica(Victim);

impl Replica {
    /// Its address too.
    pub async fn start(app: &TestApp) -> (Self, String) {
        // a step that no verb on a container that is still the same passes
        let mut victim = Victim::start_with(app, Way::Start, Point { step: StepKind::Retire, call: None, side: Side::Before }, true);
        let url = victim.says(LISTENS).await;
        (Self(victim), url)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A process that will be killed.
struct Victim {
    child: Child,
    said: mpsc::UnboundedReceiver<String>,
}

impl Victim {
    fn start(app: &TestApp, way: Way, point: Point) -> Self {
        Self::start_with(app, way, point, false)
    }

    fn start_with(app: &TestApp, way: Way, point: Point, is_patient: bool) -> Self {
        let config = &app.config;
        let Address { host, port, trust } = &config.clusters[0].addresses[0];
        let berth::proxmox::tls::Trust::Pinned(fingerprint) = trust else { panic!("a pinned certificate") };
        let way = WAYS.iter().position(|other| *other == way).unwrap();
        let database = config.database_url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default();
        let message = format!(
            "{}\n{}\n{database}\n{host}\n{port}\n{fingerprint}\n{way}\n{point:?}",
            config.data_dir.display(),
            config.key_file.display()
        );
        let mut command = Command::new(std::env::current_exe().unwrap());
        if is_patient {
            command.env(PATIENT, "1");
        }
        let mut child = command
            .args(["--exact", "crash::the_process_that_is_killed", "--nocapture"])
            .env(MESSAGE, message)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, said) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // who waits may be content already
                let _ = say.send(line);
            }
        });
        Self { child, said }
    }

    /// What it says after these words, which may follow others on a line.
    async fn says(&mut self, words: &str) -> String {
        let find = async {
            while let Some(line) = self.said.recv().await {
                if let Some((_, rest)) = line.split_once(words) {
                    return rest.to_owned();
                }
            }
            panic!("it ended without saying {words:?}");
        };
        timeout(Duration::from_secs(60), find).await.unwrap_or_else(|_| panic!("it does not say {words:?}"))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // it may be dead already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process at the point, lets the next one take up what it left, and looks whether all agrees.
async fn check(case: Case) -> Result<(), String> {
    let Case { way, point, in_recovery } = case;
    let mut app = TestApp::with(setup(way)).await;
    if way == Way::AnotherContainer {
        let alice = app.sign_in("alice@pve").await;
        alice.act(Verb::Shutdown, 101).await.report();
        alice.act(Verb::Start, 101).await.report();
        change_macs(&app, "BC:24:11:E3:02:D5", Some("BC:24:11:00:00:01"));
        app.execute("DELETE FROM operations").await;
    }
    app.stop().await;
    app.cluster.clear_requests();
    let first = if in_recovery { Point { step: LEFT_AT.0, call: way.calls().first().copied(), side: LEFT_AT.1 } } else { point };
    // on PostgreSQL another replica is there all the time
    let has_replica = app.config.database_url.is_some() && !in_recovery;
    if has_replica {
        app.config.data_dir = app.data.path().join("replica");
        app.restart().await;
        app.config.data_dir = app.data.path().to_owned();
    }
    {
        let mut victim = Victim::start(&app, way, first);
        let url = victim.says(LISTENS).await;
        let alice = app.browser_at(&url, "");
        alice.post(sign_in_as("alice", "pve", "berth")).await;
        let row = alice.row(way.vmid()).await;
        if let Some(fault) = way.fault() {
            app.cluster.fault(fault);
        }
        tokio::select! {
            answer = alice.act_on(way.verb(), row.id, &row.name) => return Err(format!("it was answered: {}", answer.text)),
            _ = victim.says(REACHED) => victim.kill(),
        }
    }
    if in_recovery {
        let mut victim = Victim::start(&app, way, point);
        victim.says(REACHED).await;
        victim.kill();
    }
    app.cluster.clear_faults();
    if !has_replica {
        app.restart().await;
    }
    let settled = async {
        while !app.column("SELECT id FROM operations WHERE state = 'open'").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), settled).await.map_err(|_| "an operation is open still".to_owned())?;
    agrees(&app, case).await
}

async fn agrees(app: &TestApp, Case { way, point, .. }: Case) -> Result<(), String> {
    let wrong = |what: &str, found: String| Err(format!("{what}: {found}"));
    let mut writes = app.writes();
    writes.sort();
    let calls = writes.len();
    writes.dedup();
    if writes.len() != calls {
        return wrong("a call was repeated", format!("{:?}", app.writes()));
    }
    if !app.column("SELECT operation_id FROM leases").await.is_empty() {
        return wrong("a lease is left", String::new());
    }
    if !app.column("SELECT id FROM operations WHERE ticket IS NOT NULL").await.is_empty() {
        return wrong("a ticket is left", String::new());
    }
    let states = app.column("SELECT state FROM operations").await;
    let all = app.column("SELECT kind FROM container_events ORDER BY id").await;
    let before = if way == Way::AnotherContainer { 2 } else { 0 };
    let events: Vec<&str> = all.iter().skip(before).map(String::as_str).collect();
    let was_claimed = match (point.step, point.side) {
        (StepKind::Identify | StepKind::Look | StepKind::Retire | StepKind::Refuse | StepKind::Recognise, _)
        | (StepKind::Claim, Side::Before) => false,
        _ => !way.calls().is_empty(),
    };
    if !was_claimed {
        let expected: &[&str] = if (point.step, point.side) == (StepKind::Refuse, Side::After) { way.events() } else { &[] };
        return if states.is_empty() && events == expected && calls == 0 {
            Ok(())
        } else {
            wrong("more than there was", format!("{states:?} {events:?} {writes:?}"))
        };
    }
    // an intent whose call was never made is closed, and not made up for; an abort that was not made is not missed
    let is_unsent = matches!((point.step, point.side), (StepKind::Intend, Side::After) | (StepKind::Call, Side::Before));
    let is_interrupted = is_unsent && point.call != Some(Call::Abort);
    let expected_state = if is_interrupted { "interrupted" } else { "succeeded" };
    if states != [expected_state] {
        return wrong("the operation's end", format!("{states:?} {events:?} {writes:?}"));
    }
    let was_stopped = way == Way::RestartOfWhatRuns && point.call == Some(Call::Start);
    let expected_events: &[&str] = match (is_interrupted, was_stopped) {
        (false, _) => way.events(),
        (true, true) => &["stopped", "failed"],
        (true, false) => &["failed"],
    };
    if events != expected_events {
        return wrong("the events", format!("{events:?}"));
    }
    // what our row says, if there is one, is so
    let rows = app.column(match way.vmid() {
        101 => "SELECT status FROM containers WHERE vmid = 101",
        103 => "SELECT status FROM containers WHERE vmid = 103",
        116 => "SELECT status FROM containers WHERE vmid = 116",
        _ => "SELECT status FROM containers WHERE vmid = 215",
    });
    let rows = rows.await;
    let really = app.cluster.container_status(way.vmid()).map(|status| if status == Really::Running { "running" } else { "stopped" });
    if rows.first().map(String::as_str) != really {
        return wrong("row and container", format!("{rows:?} {really:?}"));
    }
    Ok(())
}

/// How many processes die at the same time.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_nothing_is_lost_and_nothing_is_done_twice() {
    let only = std::env::var("BERTH_TEST_CRASH_ONLY").unwrap_or_default();
    let cases: Vec<Case> = cases().into_iter().filter(|case| format!("{case:?}").contains(&only)).collect();
    for step in StepKind::iter().filter(|_| only.is_empty()) {
        assert!(cases.iter().any(|case| case.point.step == step), "{step:?} has no case");
    }
    let count = cases.len();
    let results = stream::iter(cases).map(async |case| (case, tokio::spawn(check(case)).await)).buffer_unordered(AT_ONCE);
    let results: Vec<_> = results.collect().await;
    let mut wrong = Vec::new();
    for (case, result) in results {
        let name = format!("{:?} {:?} {:?} {:?}", case.way, case.point.step, case.point.call, case.point.side);
        match result {
            Ok(Ok(())) => println!("agrees: {name}"),
            Ok(Err(error)) => wrong.push(format!("{name}: {error}")),
            Err(panic) => wrong.push(format!("{name}: {panic}")),
        }
    }
    println!("crash matrix: {count} points, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
