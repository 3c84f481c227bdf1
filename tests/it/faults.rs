//! What becomes of each call when something goes wrong with it: the cause, how often it was sent, and that it ends in time.
//!
//! A fault comes before the simulator looks at the request, so a call whose answer is a refusal is as good as any.

use berth::{
    proxmox::{
        Client, Connection, Error,
        client::{Address, Limits, SignIn, TaskFilter},
        create::{LxcConfigUpdate, LxcCreate, LxcDelete},
        ids::{NodeName, Upid, UserId, Vmid},
        ticket::{Challenge, SecondFactor, Ticket},
        tls::Trust,
        wire::{ClusterResources, Feature, Rrd},
    },
    simulator::{Fault, FaultAction, Options, Simulator},
};
use futures::future::{BoxFuture, FutureExt};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Nothing that a fault does may take longer, on however slow a machine.
const BOUND: Duration = Duration::from_secs(60);

/// What a call needs.
struct World {
    simulator: Simulator,
    address: Address,
    ticket: Arc<Ticket>,
}

impl World {
    async fn new() -> Self {
        let simulator = Simulator::start(Options { speed: 1000.0, start_blocks_reads: false, ..Options::default() }).await.unwrap();
        let trust = Trust::Pinned(simulator.fingerprint().parse().unwrap());
        let address = Address { host: simulator.addr().ip().to_string(), port: simulator.addr().port(), trust };
        let connection = Connection::new(std::slice::from_ref(&address)).unwrap();
        let SignIn::Ticket(ticket) = connection.access_ticket(&user(), &"berth".to_owned().into()).await.unwrap() else {
            panic!("a second factor")
        };
        Self { simulator, address, ticket: Arc::new(ticket) }
    }

    /// A client of its own: it shares neither turns nor renewed tickets nor connections with those of other faults.
    fn client(&self, limit: Duration) -> (Connection, Client) {
        let limits = Limits { quick: limit, blocking: limit, first_pause: Duration::from_millis(1), ..Limits::default() };
        let connection = Connection::with_limits(std::slice::from_ref(&self.address), limits).unwrap();
        let client = connection.with(self.ticket.clone());
        (connection, client)
    }

    /// How often this was sent.
    fn count(&self, call: &Call) -> usize {
        self.simulator.requests().iter().filter(|request| request.method == call.method && request.path == call.path()).count()
    }
}

fn user() -> UserId {
    "alice@pve".parse().unwrap()
}

fn node() -> NodeName {
    "pve1".parse().unwrap()
}

fn vmid() -> Vmid {
    103.try_into().unwrap()
}

fn upid() -> Upid {
    "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:alice@pve:".parse().unwrap()
}

type Answer = Result<(), Error>;

/// One method of the client.
struct Call {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// Whether it carries a ticket that is renewed where it is refused.
    is_signed: bool,
    send: fn(Connection, Client) -> BoxFuture<'static, Answer>,
}

impl Call {
    fn path(&self) -> String {
        self.path.replace("{upid}", "UPID%3Apve1%3A00000741%3A00029807%3A6B0325C5%3Avzstart%3A103%3Aalice%40pve%3A")
    }

    fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// Declares the calls: how it is sent, and what arrives.
macro_rules! calls {
    ($($signed:ident $name:ident($($argument:expr),*) => $method:literal $path:literal;)*) => {
        &[$(calls!(@ $signed $name($($argument),*) $method $path)),*]
    };
    (@ client $name:ident($($argument:expr),*) $method:literal $path:literal) => {
        Call {
            name: stringify!($name), method: $method, path: $path, is_signed: true,
            send: |_, client| async move { client.$name($($argument),*).await.map(drop) }.boxed(),
        }
    };
    (@ itself $name:ident($($argument:expr),*) $method:literal $path:literal) => {
        Call { is_signed: false, ..calls!(@ client $name($($argument),*) $method $path) }
    };
    (@ anybody $name:ident($($argument:expr),*) $method:literal $path:literal) => {
        Call {
            name: stringify!($name), method: $method, path: $path, is_signed: false,
            send: |connection, _| async move { connection.$name($($argument),*).await.map(drop) }.boxed(),
        }
    };
}

const CALLS: &[Call] = calls! {
    anybody access_domains() => "GET" "/access/domains";
    anybody access_ticket(&user(), &"berth".to_owned().into()) => "POST" "/access/ticket";
    anybody access_ticket_second_factor(&Challenge::new(user(), "PVE:!tfa!{}:0::x".into()), &SecondFactor::Totp("123456".to_owned().into()))
        => "POST" "/access/ticket";
    itself access_ticket_renewal() => "POST" "/access/ticket";
    client access_permissions() => "GET" "/access/permissions";
    client version() => "GET" "/version";
    client cluster_resources(ClusterResources::All) => "GET" "/cluster/resources";
    client cluster_status() => "GET" "/cluster/status";
    client cluster_options() => "GET" "/cluster/options";
    client cluster_nextid(None) => "GET" "/cluster/nextid";
    client cluster_tasks() => "GET" "/cluster/tasks";
    client nodes() => "GET" "/nodes";
    client node_status(&node()) => "GET" "/nodes/pve1/status";
    client node_rrddata(&node(), Rrd::Hour) => "GET" "/nodes/pve1/rrddata";
    client node_storage(&node(), Some("rootdir")) => "GET" "/nodes/pve1/storage";
    client node_storage_content(&node(), &"local".parse().unwrap(), None, None) => "GET" "/nodes/pve1/storage/local/content";
    client node_network(&node()) => "GET" "/nodes/pve1/network";
    client lxc(&node()) => "GET" "/nodes/pve1/lxc";
    client lxc_create(&node(), &LxcCreate::new(950.try_into().unwrap(), "local:vztmpl/x.tar.zst")) => "POST" "/nodes/pve1/lxc";
    client lxc_status_current(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/status/current";
    client lxc_config(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/config";
    client lxc_config_current(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/config";
    client lxc_pending(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/pending";
    client lxc_config_update(&node(), vmid(), &change()) => "PUT" "/nodes/pve1/lxc/103/config";
    client lxc_delete(&node(), vmid(), LxcDelete { purge: true, ..LxcDelete::default() }) => "DELETE" "/nodes/pve1/lxc/103";
    client lxc_start(&node(), vmid()) => "POST" "/nodes/pve1/lxc/103/status/start";
    client lxc_stop(&node(), vmid(), true) => "POST" "/nodes/pve1/lxc/103/status/stop";
    client lxc_shutdown(&node(), vmid(), Duration::from_secs(1), true) => "POST" "/nodes/pve1/lxc/103/status/shutdown";
    client lxc_reboot(&node(), vmid(), Duration::from_secs(1)) => "POST" "/nodes/pve1/lxc/103/status/reboot";
    client lxc_interfaces(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/interfaces";
    client lxc_rrddata(&node(), vmid(), Rrd::Day) => "GET" "/nodes/pve1/lxc/103/rrddata";
    client lxc_feature(&node(), vmid(), Feature::Snapshot) => "GET" "/nodes/pve1/lxc/103/feature";
    client lxc_snapshots(&node(), vmid()) => "GET" "/nodes/pve1/lxc/103/snapshot";
    client tasks(&node(), &TaskFilter::default()) => "GET" "/nodes/pve1/tasks";
    client task_status(&upid()) => "GET" "/nodes/pve1/tasks/{upid}/status";
    client task_log(&upid(), 0, 50) => "GET" "/nodes/pve1/tasks/{upid}/log";
    client task_abort(&upid()) => "DELETE" "/nodes/pve1/tasks/{upid}";
};

fn change() -> LxcConfigUpdate {
    LxcConfigUpdate { set: BTreeMap::from([("memory".to_owned(), "256".to_owned())]), ..LxcConfigUpdate::default() }
}

/// How an answer came out, in a word.
fn outcome(answer: &Answer) -> String {
    match answer {
        Ok(()) => "Ok".to_owned(),
        Err(error) => format!("{:?}", error.cause).split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned(),
    }
}

/// Sends a call into a fault; how it came out, and how often it was sent.
async fn meet(world: &World, call: &Call) -> (String, usize) {
    let (connection, client) = world.client(BOUND);
    let answer =
        tokio::time::timeout(BOUND, (call.send)(connection, client)).await.unwrap_or_else(|_| panic!("{} does not end", call.name));
    (outcome(&answer), world.count(call))
}

/// Every call, each with this fault; `expected` says of each what comes out and how often it is sent.
async fn check(action: FaultAction, times: Option<u32>, expected: impl Fn(&Call) -> (&'static str, usize)) {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for call in CALLS {
        world.simulator.clear_faults();
        world.simulator.clear_requests();
        let fault = Fault::new(action.clone()).method(call.method).path_prefix(&call.path());
        world.simulator.fault(Fault { times, ..fault });
        let (outcome, count) = meet(&world, call).await;
        let (wanted, times) = expected(call);
        let fits = match wanted {
            "an answer" => !matches!(outcome.as_str(), "Unreachable" | "TimedOut" | "Protocol" | "NodeUnreachable"),
            wanted => outcome == wanted,
        };
        if !fits || count != times {
            wrong.push(format!("{}: {outcome}, sent {count} times, but expected {wanted}, {times} times", call.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A read is tried three times; a write that has been sent is not sent again.
fn tries(call: &Call) -> usize {
    if call.is_write() { 1 } else { 3 }
}

fn status(code: u16, reason: &str) -> FaultAction {
    FaultAction::Status { code, reason: reason.to_owned() }
}

#[tokio::test]
async fn a_refused_connection_is_unreachable_and_nothing_is_sent() {
    let world = World::new().await;
    world.simulator.stop_listening().await;
    world.simulator.clear_requests();
    for call in CALLS {
        assert_eq!(meet(&world, call).await, ("Unreachable".to_owned(), 0), "{}", call.name);
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_its_limit() {
    let world = World::new().await;
    world.simulator.clear_requests();
    world.simulator.fault(Fault::new(FaultAction::Hang));
    let hang = |call: &'static Call| {
        let (connection, client) = world.client(Duration::from_secs(3));
        async move { (call, (call.send)(connection, client).await) }
    };
    let answers = tokio::time::timeout(BOUND, futures::future::join_all(CALLS.iter().map(hang))).await.expect("every call ends");
    for (call, answer) in answers {
        let alike = CALLS.iter().filter(|other| (other.method, other.path) == (call.method, call.path)).count();
        assert_eq!((outcome(&answer).as_str(), world.count(call)), ("TimedOut", alike), "{}", call.name);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again_only_where_nothing_changes() {
    check(FaultAction::Drop, None, |call| ("Unreachable", tries(call))).await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_only_where_nothing_changes() {
    check(FaultAction::LoseAnswer, None, |call| ("Unreachable", tries(call))).await;
}

#[tokio::test]
async fn a_connection_that_is_closed_on_a_request_counts_as_a_lost_answer() {
    check(FaultAction::Refuse, None, |call| ("Unreachable", tries(call))).await;
}

#[tokio::test]
async fn a_ticket_that_is_refused_is_renewed_once() {
    let sent = |call: &Call| if call.is_signed { 2 } else { 1 };
    check(status(401, "permission denied - invalid PVE ticket"), None, |call| ("SignedOut", sent(call))).await;
}

#[tokio::test]
async fn with_the_renewed_ticket_the_call_goes_through() {
    let expected = |call: &Call| if call.is_signed { ("an answer", 2) } else { ("SignedOut", 1) };
    check(status(401, "Permission denied - invalid csrf token"), Some(1), expected).await;
}

#[tokio::test]
async fn a_refusal_in_unknown_words_stays_unknown_and_is_final() {
    check(status(500, "a new sentence"), None, |_| ("Other", 1)).await;
}

#[tokio::test]
async fn a_node_that_is_away_is_asked_again_only_where_nothing_changes() {
    check(status(595, "Connection refused"), None, |call| ("NodeUnreachable", tries(call))).await;
    check(status(596, "Connection timed out"), None, |call| ("NodeUnreachable", tries(call))).await;
}

#[tokio::test]
async fn trouble_that_passes_is_not_noticed_by_who_reads() {
    let expected = |call: &Call| if call.is_write() { ("NodeUnreachable", 1) } else { ("an answer", 3) };
    check(status(599, "Too many redirections"), Some(2), expected).await;
}

#[tokio::test]
async fn garbage_is_no_answer() {
    check(FaultAction::Garbage, None, |_| ("Protocol", 1)).await;
    check(FaultAction::Html, None, |_| ("Protocol", 1)).await;
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    check(FaultAction::Slow { seconds: 0.02 }, None, |_| ("an answer", 1)).await;
}

#[tokio::test]
async fn every_call_of_the_client_is_in_the_table() {
    let client = include_str!("../../src/proxmox/client.rs");
    let (_, calls) = client.split_once("impl Connection {").unwrap();
    let methods = calls.split("pub async fn ").skip(1).filter_map(|text| text.split('(').next());
    let missing: Vec<_> = methods.filter(|name| CALLS.iter().all(|call| call.name != *name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
