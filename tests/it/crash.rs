//! A process that is killed in the middle of an operation or of a batch of them, before and after each write to our database and each call
//! to Proxmox; and what the next start makes of it, or on PostgreSQL another replica.
//!
//! The process that dies is this test program, run once more: it stops at the point that it was told, and is killed there by SIGKILL.

mod batches;

use crate::{
    harness::{Running, Setup, TestApp, change_macs, sign_in_as},
    lifecycle::with_tasks_ending,
};
use berth::{
    error::AppError,
    operations::{
        model::{Call, ContainerId, OperationId, OperationState, Verb},
        probe::{Point, Probe, Side, StepKind},
    },
    proxmox::client::{Address, Limits},
    server::{
        config::{ClusterConfig, Config, Lifecycle},
        db::Db,
    },
    simulator::{Fault, FaultAction, File, Request, Status as Really},
};
use futures::{StreamExt, stream};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use strum::{EnumIter, IntoEnumIterator};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// A step, and the call that it is about.
type Step = (StepKind, Option<Call>);

/// A verb on its way, by the calls that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter)]
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
    DeleteOfWhatIsGone,
    DeleteOfWhatVanishesAtTheLook,
    DeleteOfWhatVanishesAtTheCall,
    Refused,
    AnotherContainer,
    Moved,
    WithoutInterface,
    OfAGoneRow,
    WithAnOldTicket,
    SettledByTheNextWhoLooks,
    /// The following are batches.
    Batch,
    BatchOfWhichSomeHaveEnded,
    BatchThatTakesLong,
    BatchOfWhoSignsOut,
}

impl Way {
    fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::BatchOfWhichSomeHaveEnded | Self::BatchThatTakesLong | Self::BatchOfWhoSignsOut)
    }

    /// Whether nothing ends at the cluster before the test says so.
    fn is_stepped(self) -> bool {
        matches!(self, Self::BatchThatTakesLong | Self::BatchOfWhoSignsOut)
    }

    /// At which of the times that it comes to its point the process dies. Two containers of such a batch have ended by then.
    fn passage(self) -> usize {
        if self == Self::BatchOfWhichSomeHaveEnded { batches::AT_ONCE + 2 } else { 1 }
    }

    fn verb(self) -> Verb {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::Refused => Verb::Start,
            Self::Moved | Self::WithoutInterface | Self::OfAGoneRow | Self::WithAnOldTicket => Verb::Start,
            Self::Stop | Self::StopUnderHa | Self::AnotherContainer => Verb::Stop,
            Self::Batch | Self::BatchOfWhichSomeHaveEnded | Self::BatchThatTakesLong | Self::BatchOfWhoSignsOut => Verb::Stop,
            Self::Shutdown | Self::ShutdownForcedByProxmox | Self::ShutdownThatDidNotStop | Self::ShutdownBeyondOurTime => Verb::Shutdown,
            Self::SettledByTheNextWhoLooks => Verb::Shutdown,
            Self::RestartOfWhatRuns | Self::RestartOfWhatStands => Verb::Restart,
            Self::DeleteOfWhatRuns | Self::DeleteOfWhatStands | Self::DeleteOfWhatIsGone => Verb::Delete,
            Self::DeleteOfWhatVanishesAtTheLook | Self::DeleteOfWhatVanishesAtTheCall => Verb::Delete,
        }
    }

    fn vmid(self) -> u32 {
        match self {
            Self::StopUnderHa => 215,
            Self::ShutdownForcedByProxmox | Self::ShutdownBeyondOurTime | Self::SettledByTheNextWhoLooks => 116,
            Self::Stop | Self::Shutdown | Self::ShutdownThatDidNotStop | Self::RestartOfWhatRuns | Self::DeleteOfWhatRuns => 101,
            Self::Refused | Self::AnotherContainer => 101,
            _ => 103,
        }
    }

    fn calls(self) -> &'static [Call] {
        match self {
            Self::Start | Self::StartWithAnswerLost | Self::RestartOfWhatStands => &[Call::Start],
            Self::Moved | Self::WithoutInterface | Self::WithAnOldTicket => &[Call::Start],
            Self::Stop | Self::StopUnderHa => &[Call::Stop],
            // of each container
            Self::Batch | Self::BatchOfWhichSomeHaveEnded | Self::BatchThatTakesLong | Self::BatchOfWhoSignsOut => &[Call::Stop],
            Self::Shutdown | Self::ShutdownForcedByProxmox => &[Call::Shutdown],
            Self::ShutdownThatDidNotStop => &[Call::Shutdown, Call::Stop],
            Self::ShutdownBeyondOurTime => &[Call::Shutdown, Call::Abort, Call::Stop],
            Self::RestartOfWhatRuns => &[Call::Shutdown, Call::Start],
            Self::DeleteOfWhatRuns => &[Call::Stop, Call::Delete],
            Self::DeleteOfWhatStands | Self::DeleteOfWhatVanishesAtTheCall => &[Call::Delete],
            Self::DeleteOfWhatIsGone | Self::DeleteOfWhatVanishesAtTheLook => &[],
            Self::Refused | Self::AnotherContainer | Self::OfAGoneRow | Self::SettledByTheNextWhoLooks => &[],
        }
    }

    fn fault(self) -> Option<Fault> {
        let missing = || {
            let reason = "Configuration file 'nodes/pve1/lxc/103.conf' does not exist".into();
            Fault::new(FaultAction::Status { code: 500, reason })
        };
        match self {
            Self::StartWithAnswerLost => Some(Fault::new(FaultAction::LoseAnswer).method("POST").path_contains("/status/start")),
            Self::ShutdownThatDidNotStop => {
                Some(Fault::new(FaultAction::FailTask { text: "container did not stop".into() }).path_contains("/shutdown"))
            }
            Self::DeleteOfWhatVanishesAtTheLook => Some(missing().path_contains("/lxc/103/status/current")),
            Self::DeleteOfWhatVanishesAtTheCall => Some(missing().method("DELETE").path_contains("/lxc/103")),
            _ => None,
        }
    }

    /// The kinds of events at its good end.
    fn events(self) -> &'static [&'static str] {
        match self {
            Self::RestartOfWhatRuns => &["stopped", "started"],
            Self::Refused | Self::AnotherContainer => &["refused"],
            _ => match self.verb() {
                Verb::Start | Verb::Restart => &["started"],
                Verb::Stop | Verb::Shutdown => &["stopped"],
                Verb::Delete => &["deleted"],
            },
        }
    }

    /// Where it differs from another way in a few steps: those.
    fn only(self) -> Option<&'static [Step]> {
        match self {
            Self::DeleteOfWhatIsGone => {
                Some(&[(StepKind::Identify, None), (StepKind::Locate, None), (StepKind::Claim, None), (StepKind::Finish, None)])
            }
            Self::DeleteOfWhatVanishesAtTheLook => Some(&[(StepKind::Look, None), (StepKind::Locate, None)]),
            Self::DeleteOfWhatVanishesAtTheCall => Some(&[(StepKind::Locate, Some(Call::Delete))]),
            Self::Moved => Some(&[(StepKind::Locate, None), (StepKind::Finish, None)]),
            Self::WithoutInterface => Some(&[(StepKind::Trace, None)]),
            Self::OfAGoneRow => Some(&[(StepKind::Audit, None)]),
            Self::WithAnOldTicket => Some(&[(StepKind::RenewSession, None), (StepKind::KeepSession, None)]),
            Self::SettledByTheNextWhoLooks => Some(&[
                (StepKind::Audit, None),
                (StepKind::Ask, Some(Call::Shutdown)),
                (StepKind::TakeOver, None),
                (StepKind::Watch, Some(Call::Shutdown)),
                (StepKind::Measure, Some(Call::Shutdown)),
                (StepKind::Finish, None),
            ]),
            Self::Batch => Some(&[
                (StepKind::CreateBatch, None),
                (StepKind::RenewBatch, None),
                (StepKind::TakeItem, None),
                (StepKind::RefuseItem, None),
                (StepKind::EndBatch, None),
            ]),
            Self::BatchOfWhichSomeHaveEnded => Some(&[
                (StepKind::TakeItem, None),
                (StepKind::Claim, None),
                (StepKind::Intend, Some(Call::Stop)),
                (StepKind::Call, Some(Call::Stop)),
                (StepKind::Accept, Some(Call::Stop)),
                (StepKind::Watch, Some(Call::Stop)),
                (StepKind::Finish, None),
            ]),
            Self::BatchThatTakesLong => Some(&[(StepKind::RenewBatch, None), (StepKind::GiveUp, None), (StepKind::EndBatch, None)]),
            Self::BatchOfWhoSignsOut => Some(&[(StepKind::PutItemBack, None), (StepKind::EndBatch, None)]),
            _ => None,
        }
    }
}

/// Where the process dies: at a step of a way, itself or while it takes up what another has left.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: Way,
    /// Where the other has died.
    left_at: Option<Point>,
    point: Point,
}

/// The points of a way at a step: the calls that it passes there. A new step has no place here and does not compile.
fn passes(way: Way, step: StepKind) -> Vec<Option<Call>> {
    if let Some(only) = way.only() {
        return only.iter().filter(|(other, _)| *other == step).map(|(_, call)| *call).collect();
    }
    let calls = || way.calls().iter().copied().map(Some);
    let is_operation = !way.calls().is_empty();
    let once = |yes: bool| if yes { vec![None] } else { vec![] };
    let first = |yes: bool| if yes { vec![calls().next().flatten()] } else { vec![] };
    match step {
        // before the verb, and after it was refused
        StepKind::List | StepKind::Follow => once(way == Way::Start || way == Way::AnotherContainer),
        StepKind::Identify => once(true),
        StepKind::Look => once(way != Way::AnotherContainer),
        StepKind::Retire => once(way == Way::AnotherContainer),
        StepKind::Refuse => once(!is_operation),
        StepKind::Recognise | StepKind::Claim | StepKind::Finish => once(is_operation),
        StepKind::Intend | StepKind::Call | StepKind::Watch => calls().collect(),
        // an abort has no task of its own
        StepKind::Accept => calls().filter(|call| *call != Some(Call::Abort)).collect(),
        StepKind::Measure => first(way == Way::ShutdownForcedByProxmox),
        StepKind::Await | StepKind::Observe => first(way == Way::StopUnderHa),
        StepKind::RenewLease => once(way == Way::ShutdownBeyondOurTime),
        StepKind::Beat | StepKind::GiveUp => once(way == Way::ShutdownForcedByProxmox),
        StepKind::Find => first(way == Way::StartWithAnswerLost),
        // only who takes an operation up, or has one of the ways with a few steps of their own
        StepKind::TakeOver | StepKind::RenewTicket | StepKind::KeepTicket => vec![],
        StepKind::Locate | StepKind::Trace | StepKind::Audit | StepKind::RenewSession | StepKind::KeepSession | StepKind::Ask => vec![],
        StepKind::CreateBatch | StepKind::RenewBatch | StepKind::TakeItem => vec![],
        StepKind::PutItemBack | StepKind::RefuseItem | StepKind::EndBatch => vec![],
    }
}

/// The points of who takes a way up where another has died: after a call and before its task was known, or before the first call.
fn passes_in_recovery(way: Way) -> Vec<(Point, Vec<Step>)> {
    let after = |step, call| Point { step, call, side: Side::After };
    match way {
        Way::Start | Way::Stop | Way::Shutdown | Way::RestartOfWhatRuns | Way::DeleteOfWhatRuns | Way::DeleteOfWhatStands => {}
        Way::DeleteOfWhatIsGone => {
            return vec![(after(StepKind::Claim, None), vec![(StepKind::Look, None), (StepKind::Locate, None), (StepKind::Finish, None)])];
        }
        // while there are several to be taken up
        Way::Batch => {
            let call = Some(Call::Stop);
            let steps = vec![(StepKind::TakeOver, None), (StepKind::Find, call), (StepKind::Accept, call), (StepKind::Finish, None)];
            return vec![(after(StepKind::Call, call), steps)];
        }
        _ => return vec![],
    }
    let calls = way.calls();
    let left_at = |(index, call): (usize, &Call)| {
        let mut steps = vec![
            (StepKind::TakeOver, None),
            (StepKind::RenewTicket, None),
            (StepKind::KeepTicket, None),
            (StepKind::Find, Some(*call)),
            (StepKind::Accept, Some(*call)),
            (StepKind::Watch, Some(*call)),
            (StepKind::Finish, None),
        ];
        for next in &calls[index + 1..] {
            steps.push((StepKind::Identify, None));
            steps.extend([StepKind::Intend, StepKind::Call, StepKind::Accept, StepKind::Watch].map(|step| (step, Some(*next))));
        }
        (after(StepKind::Call, Some(*call)), steps)
    };
    calls.iter().enumerate().map(left_at).collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in Way::iter() {
        let both = |left_at, step, call| Side::iter().map(move |side| Case { way, left_at, point: Point { step, call, side } });
        for step in StepKind::iter() {
            cases.extend(passes(way, step).into_iter().flat_map(|call| both(None, step, call)));
        }
        for (left_at, steps) in passes_in_recovery(way) {
            cases.extend(steps.into_iter().flat_map(|(step, call)| both(Some(left_at), step, call)));
        }
    }
    cases
}

/// What a process is told before it can come to a point, once its task is being watched; of a batch as many tasks as there can be.
fn prompt(way: Way, step: StepKind) -> &'static str {
    match (way, step) {
        // passed again and again
        (_, StepKind::Beat) | (Way::BatchThatTakesLong, StepKind::RenewBatch) => GO_ON,
        (_, StepKind::GiveUp) | (Way::BatchThatTakesLong, _) => STOP,
        _ => "",
    }
}

fn setup(way: Way) -> Setup {
    let setup = if way.is_stepped() { Setup::stepped() } else { Setup::quick() };
    let mut setup = Setup { marked: false, ..setup };
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
        // a batch has half of it, and is over where a slow machine renews it later than that
        lease: if way.is_batch() { Duration::from_secs(10) } else { Duration::from_millis(3_500) },
        beat: Duration::from_millis(100),
        answer_within: Duration::from_secs(60),
        ..Lifecycle::default()
    }
}

/// What the process that dies has to know, in its environment.
const MESSAGE: &str = "BERTH_TEST_CRASH";
const LISTENS: &str = "it listens on ";
const REACHED: &str = "it is there";
/// What it is told.
const GO_ON: &str = "go on to the point";
const STOP: &str = "stop";

/// Not a test of its own: what runs in the process that dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Ok(message) = std::env::var(MESSAGE) else { return };
    let lines: Vec<&str> = message.lines().collect();
    let [data, key, database, host, port, fingerprint, way, point, prompt] = lines[..] else { panic!("{message}") };
    let way = Way::iter().nth(way.parse().unwrap()).unwrap();
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
        pace: berth::server::pace::Pace::stepped(),
    };
    let (point, prompt) = (point.to_owned(), prompt.trim().to_owned());
    let is_prompted = Arc::new(AtomicBool::new(prompt.is_empty()));
    let passages = AtomicUsize::new(0);
    let (tell, told) = oneshot::channel();
    let prompted = is_prompted.clone();
    std::thread::spawn(move || {
        // nothing is said where nothing is waited for
        if matches!(std::io::stdin().lines().next(), Some(Ok(_))) {
            prompted.store(true, Ordering::SeqCst);
            tell.send(()).unwrap();
        }
    });
    let probe = Probe::new(move |passed| {
        let is_there = is_prompted.load(Ordering::SeqCst) && format!("{passed:?}") == point;
        if is_there && passages.fetch_add(1, Ordering::SeqCst) + 1 == way.passage() {
            println!("{REACHED}");
            // until it is killed
            loop {
                std::thread::park();
            }
        }
    });
    let berth = Running::start(config, probe).await;
    println!("{LISTENS}{}", berth.url);
    if told.await.is_ok() && prompt == STOP {
        berth.stop().await;
    }
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
        let number = Way::iter().position(|other| other == way).unwrap();
        let database = config.database_url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default();
        let message = format!(
            "{}\n{}\n{database}\n{host}\n{port}\n{fingerprint}\n{number}\n{point:?}\n{} ",
            config.data_dir.display(),
            config.key_file.display(),
            prompt(way, point.step)
        );
        let mut command = Command::new(std::env::current_exe().unwrap());
        if is_patient {
            command.env(PATIENT, "1");
        }
        let mut child = command
            .args(["--exact", "crash::the_process_that_is_killed", "--nocapture"])
            .env(MESSAGE, message)
            .stdin(Stdio::piped())
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

    /// Tells it what it waits for.
    fn tell(stdin: Option<ChildStdin>, words: &str) {
        writeln!(stdin.unwrap(), "{words}").unwrap();
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

/// Somebody who has looked at a container before it changed.
struct Known {
    cookies: String,
    id: ContainerId,
    name: String,
    /// What nobody could see the end of.
    operation: Option<OperationId>,
}

/// Makes the world as a way wants it.
async fn prepare(app: &TestApp, way: Way) -> Known {
    let edit = |change: &dyn Fn(&mut File)| {
        let mut state = app.cluster.state();
        change(&mut state);
        app.cluster.load(state).unwrap();
    };
    let mut alice = app.sign_in("alice@pve").await;
    if way == Way::WithoutInterface {
        change_macs(app, "BC:24:11:51:F6:37", None);
    }
    let row = alice.row(way.vmid()).await;
    match way {
        Way::AnotherContainer => {
            alice.act(Verb::Shutdown, 101).await.report();
            alice.act(Verb::Start, 101).await.report();
            change_macs(app, "BC:24:11:E3:02:D5", Some("BC:24:11:00:00:01"));
            app.execute("DELETE FROM operations").await;
        }
        Way::Moved => edit(&|state| {
            let moves = state.containers.iter_mut().filter(|container| container.vmid == 103);
            moves.for_each(|container| container.node = "pve2".to_owned());
        }),
        Way::DeleteOfWhatIsGone => edit(&|state| state.containers.retain(|container| container.vmid != 103)),
        Way::OfAGoneRow => drop(app.execute("UPDATE containers SET gone_at = 1 WHERE vmid = 103").await),
        Way::WithAnOldTicket => drop(app.execute("UPDATE tickets SET issued_at = 1").await),
        Way::SettledByTheNextWhoLooks => {
            let (answer, ()) = tokio::join!(alice.act(Verb::Shutdown, 116), async {
                app.cluster.wait_for_requests(|seen| seen.iter().any(is_poll)).await;
                app.cluster.expire_tickets();
            });
            assert_eq!(answer.error(), AppError::OutcomeUnknown { vmid: 116.try_into().unwrap() });
            while !app.cluster.running_tasks().is_empty() {
                a_moment().await;
            }
            alice = app.sign_in("alice@pve").await;
        }
        _ => {}
    }
    let operation = app.column("SELECT id FROM operations").await.pop().map(|id| id.parse().unwrap());
    Known { cookies: alice.cookies(), id: row.id, name: row.name, operation }
}

/// Before something is looked at once more.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn is_poll(request: &Request) -> bool {
    request.path.contains("/tasks/UPID")
}

/// Runs a way in a process that is killed at a point.
async fn kill_at(app: &TestApp, way: Way, known: Option<&Known>, point: Point) -> Result<(), String> {
    let mut victim = Victim::start(app, way, point);
    let stdin = victim.child.stdin.take();
    let url = victim.says(LISTENS).await;
    let work = async {
        if way.is_batch() {
            batches::begin(app, way, &url).await;
            // it goes on, whoever waits
            return std::future::pending().await;
        }
        let (alice, id, name) = match known {
            Some(known) => (app.browser_at(&url, &known.cookies), known.id.clone(), known.name.clone()),
            None => {
                let alice = app.browser_at(&url, "");
                alice.post(sign_in_as("alice", "pve", "berth")).await;
                let row = alice.row(way.vmid()).await;
                (alice, row.id, row.name)
            }
        };
        if let Some(fault) = way.fault() {
            app.cluster.fault(fault);
        }
        let answer = match known.and_then(|known| known.operation.as_ref()) {
            Some(operation) => format!("{:?}", alice.operation(operation).await),
            None => alice.act_on(way.verb(), id, &name).await.text,
        };
        if point.step == StepKind::GiveUp {
            // it heard that it goes on
            std::future::pending::<()>().await;
        }
        answer
    };
    let prompt = async {
        let words = prompt(way, point.step);
        if !words.is_empty() {
            if way.is_batch() {
                app.cluster.wait_for_running_tasks(batches::AT_ONCE).await;
            } else {
                app.cluster.wait_for_requests(|seen| seen.iter().any(is_poll)).await;
            }
            Victim::tell(stdin, words);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = work => Err(format!("it was answered: {answer}")),
        () = prompt => unreachable!("it does not end"),
        _ = victim.says(REACHED) => {
            victim.kill();
            Ok(())
        }
    }
}

/// Kills a process at the point, lets the next one take up what it left, and looks whether all agrees.
async fn check(case: Case) -> Result<(), String> {
    let Case { way, left_at, point } = case;
    let mut app = TestApp::with(setup(way)).await;
    let is_known = way.only().is_some() && !way.is_batch() || way == Way::AnotherContainer;
    let known = if is_known { Some(prepare(&app, way).await) } else { None };
    app.stop().await;
    app.cluster.clear_requests();
    // on PostgreSQL another replica is there all the time
    let has_replica = app.config.database_url.is_some() && left_at.is_none();
    if has_replica {
        app.config.data_dir = app.data.path().join("replica");
        app.restart().await;
        app.config.data_dir = app.data.path().to_owned();
    }
    kill_at(&app, way, known.as_ref(), left_at.unwrap_or(point)).await?;
    if left_at.is_some() {
        let mut victim = Victim::start(&app, way, point);
        victim.says(REACHED).await;
        victim.kill();
    }
    app.cluster.clear_faults();
    if !has_replica {
        app.restart().await;
    }
    if way.is_batch() {
        return batches::agree(&app, case).await;
    }
    let settled = async {
        if let Some((known, operation)) = known.as_ref().and_then(|known| Some((known, known.operation.as_ref()?))) {
            let alice = app.browser(&known.cookies);
            while alice.operation(operation).await.state == OperationState::Unknown {
                a_moment().await;
            }
        }
        while !app.column("SELECT id FROM operations WHERE state = 'open'").await.is_empty() {
            a_moment().await;
        }
    };
    timeout(Duration::from_secs(60), settled).await.map_err(|_| "an operation is open still".to_owned())?;
    agrees(&app, case).await
}

async fn agrees(app: &TestApp, Case { way, left_at, point }: Case) -> Result<(), String> {
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
    let before = match way {
        Way::AnotherContainer => 2,
        Way::SettledByTheNextWhoLooks => 1,
        _ => 0,
    };
    let events: Vec<&str> = all.iter().skip(before).map(String::as_str).collect();
    let was_claimed = match (point.step, point.side) {
        _ if left_at.is_some() || way == Way::SettledByTheNextWhoLooks => true,
        (StepKind::Identify | StepKind::Look | StepKind::Retire | StepKind::Refuse | StepKind::Recognise | StepKind::Trace, _)
        | (StepKind::List | StepKind::Follow | StepKind::Audit | StepKind::RenewSession | StepKind::KeepSession, _)
        | (StepKind::Claim, Side::Before) => false,
        (StepKind::Locate, _) => point.call.is_some(),
        _ => !way.calls().is_empty() || way == Way::DeleteOfWhatIsGone,
    };
    if !was_claimed {
        let was_refused = match point.step {
            StepKind::Refuse => point.side == Side::After,
            StepKind::List | StepKind::Follow => way == Way::AnotherContainer,
            _ => false,
        };
        let expected: &[&str] = if was_refused { way.events() } else { &[] };
        return if states.is_empty() && events == expected && calls == 0 {
            Ok(())
        } else {
            wrong("more than there was", format!("{states:?} {events:?} {writes:?}"))
        };
    }
    // an intent whose call was never made is closed, and not made up for; an abort that was not made is not missed
    let is_unsent = matches!((point.step, point.side), (StepKind::Intend, Side::After) | (StepKind::Call, Side::Before));
    // nor is one that Proxmox has refused without a task, where nobody wrote that down
    let is_interrupted = is_unsent && point.call != Some(Call::Abort) || way == Way::DeleteOfWhatVanishesAtTheCall;
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

/// How many processes die at the same time: on PostgreSQL more, because each waits for leases to run out.
fn at_once() -> usize {
    if std::env::var_os("BERTH_TEST_POSTGRES").is_some() { 16 } else { 6 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_nothing_is_lost_and_nothing_is_done_twice() {
    let only = std::env::var("BERTH_TEST_CRASH_ONLY").unwrap_or_default();
    let cases: Vec<Case> = cases().into_iter().filter(|case| format!("{case:?}").contains(&only)).collect();
    for step in StepKind::iter().filter(|_| only.is_empty()) {
        assert!(cases.iter().any(|case| case.point.step == step), "{step:?} has no case");
    }
    let count = cases.len();
    let results = stream::iter(cases).map(async |case| (case, tokio::spawn(check(case)).await)).buffer_unordered(at_once());
    let results: Vec<_> = results.collect().await;
    let mut wrong = Vec::new();
    for (case, result) in results {
        let left = case.left_at.map_or_else(String::new, |left| format!(", left at {:?} {:?}", left.step, left.call));
        let name = format!("{:?} {:?} {:?} {:?}{left}", case.way, case.point.step, case.point.call, case.point.side);
        match result {
            Ok(Ok(())) => println!("agrees: {name}"),
            Ok(Err(error)) => wrong.push(format!("{name}: {error}")),
            Err(panic) => wrong.push(format!("{name}: {panic}")),
        }
    }
    println!("crash matrix: {count} points, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn change(db: &Db, sql: &'static str) {
    match db {
        Db::Sqlite(pool, _) => sqlx::query(sql).execute(pool).await.map(|_| ()),
        Db::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(|_| ()),
    }
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_holder_did_after_it_was_found_open_is_not_done_again_by_who_takes_it_over() {
    let mut app = TestApp::with(Setup { marked: false, ..Setup::stepped() }).await;
    let cookies = app.sign_in("alice@pve").await.cookies();
    let first = app.take();
    let alice = app.browser_at(&first.url, &cookies);
    let stop = async {
        app.cluster.wait_for_running_tasks(1).await;
        first.stop().await;
    };
    let (answer, ()) = tokio::join!(alice.act(Verb::Stop, 101), stop);
    // whoever takes it over finds it before its first call
    let db = Db::open(&app.config).await.unwrap();
    change(&db, "UPDATE operations SET stage = 'begun', call = NULL, intent_at = NULL, upid = NULL, upids = '[]'").await;
    db.close().await;
    drop(db);
    let (say, mut said) = mpsc::unbounded_channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let probe = Probe::new(move |passed| {
        if (passed.step, passed.side) == (StepKind::TakeOver, Side::Before) {
            say.send(()).unwrap();
            // until nobody holds it up any more
            let held_up = || wait.lock().unwrap().recv();
            assert!(tokio::task::block_in_place(held_up).is_err());
        }
    });
    let second = Running::start(app.config.clone(), probe).await;
    said.recv().await.unwrap();
    // and in this moment the first one intends the call, makes it, and gives the lease up
    change(&second.db, "UPDATE operations SET stage = 'intended', call = 'stop', intent_at = 1").await;
    drop(go_on);
    let alice = app.browser_at(&second.url, &cookies);
    let ended = with_tasks_ending(&app.cluster, alice.end_of(&answer.goes_on())).await;
    assert_eq!((ended.state, app.writes()), (OperationState::Succeeded, vec!["POST /nodes/pve1/lxc/101/status/stop".to_owned()]));
    second.stop().await;
}
