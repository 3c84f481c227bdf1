//! A state as a file: TOML where people write it, the same as JSON on the control side. Demo, tests and conformance start from one.
//!
//! Configurations and `user.cfg` stand in it as Proxmox's own text. Not here: what the state does ([`super::state`]).

use super::{
    access::{Access, Realm, SecondFactors},
    clock::{Moment, seconds},
    config::Config,
    feature,
    state::{Container, Habit, Machine, Node, Process, State},
    storage::{self, Storage},
    tasks::{Ended, Phase, Task, Tasks},
    version::Version,
};
use crate::proxmox::ids::Upid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is wrong with a state file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not TOML, or has keys that do not exist.
    #[error("the state file cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A part of it contradicts itself or another.
    #[error("the state file is wrong: {0}")]
    Wrong(String),
}

/// The whole of a file. What is absent is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// Which release is simulated.
    pub version: Version,
    /// The cluster's name; absent for a node on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Seconds since the Unix epoch at which the state begins; absent is the real time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<i64>,
    /// The text of `user.cfg`: users, tokens, groups, pools, roles and access lists.
    pub access: String,
    /// By user.
    pub passwords: BTreeMap<String, String>,
    /// The secrets of the tokens in `access`, by `user@realm!token`.
    pub tokens: BTreeMap<String, String>,
    /// By user.
    pub second_factors: BTreeMap<String, SecondFactors>,
    /// Seconds for which a user's tickets are good, where that is not two hours.
    pub ticket_lifetimes: BTreeMap<String, i64>,
    /// Besides `pam` and `pve`, which are always there.
    pub realms: Vec<Realm>,
    /// `datacenter.cfg`, as `GET /cluster/options` gives it.
    pub options: Map<String, Value>,
    /// The first is the one that answers.
    pub nodes: Vec<NodeEntry>,
    /// `storage.cfg`, with what is on them. The disks of containers need not be listed.
    pub storages: Vec<Storage>,
    /// In any order.
    pub containers: Vec<ContainerEntry>,
    /// Guests that are no containers.
    pub machines: Vec<Machine>,
    /// In the order they began.
    pub tasks: Vec<TaskEntry>,
}

/// A node. Sizes are bytes, times seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeEntry {
    pub name: String,
    #[serde(default = "yes")]
    pub online: bool,
    #[serde(default = "two")]
    pub cpus: u32,
    #[serde(default = "gibibytes::<16>")]
    pub memory: u64,
    #[serde(default = "gibibytes::<98>")]
    pub disk: u64,
    #[serde(default)]
    pub uptime: i64,
    #[serde(default)]
    pub network: Vec<Map<String, Value>>,
}

/// A container. Times are seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ContainerEntry {
    pub vmid: u32,
    pub node: String,
    /// The text of its configuration file.
    pub config: String,
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub uptime: i64,
    #[serde(default)]
    pub habit: Habit,
    /// The HA manager's state of it, where it is managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ha: Option<String>,
    /// How busy it is, from 0 to 1.
    #[serde(default)]
    pub load: f64,
    /// Where `pvestatd` last saw something else than what is true now: these keys of its row in `/cluster/resources`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub sample: Map<String, Value>,
}

/// A task of the past, or, without an `exitstatus`, one that works for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskEntry {
    pub upid: Upid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exitstatus: Option<String>,
    /// Seconds since the Unix epoch; absent is when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endtime: Option<i64>,
    #[serde(default)]
    pub log: Vec<String>,
    /// So many made-up lines come before `log`.
    #[serde(default)]
    pub log_lines: u32,
}

fn yes() -> bool {
    true
}

fn two() -> u32 {
    2
}

fn gibibytes<const N: u64>() -> u64 {
    N << 30
}

impl File {
    /// Reads TOML.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        Ok(toml::from_str(text)?)
    }

    /// The state that begins at `now`.
    pub fn into_state(self, now: Moment) -> Result<State, FileError> {
        let Self { version, access, passwords, tokens, second_factors, ticket_lifetimes, realms, .. } = self;
        let now = self.now.map_or(now, |seconds| seconds * 1000);
        let mut access = Access::from_text(&access, version);
        access.set_realms(realms);
        access.passwords = passwords;
        access.token_secrets = tokens;
        access.second_factors = second_factors;
        access.ticket_lifetimes = ticket_lifetimes;
        let mut tasks = Tasks::default();
        let nodes: Vec<Node> = self.nodes.into_iter().map(|entry| node(entry, now)).collect();
        let mut containers = BTreeMap::new();
        for entry in self.containers {
            let vmid = entry.vmid;
            if !nodes.iter().any(|node| node.name == entry.node) {
                return Err(FileError::Wrong(format!("there is no node {} for the container {vmid}", entry.node)));
            }
            if containers.insert(vmid, container(entry, &mut tasks, now)).is_some() {
                return Err(FileError::Wrong(format!("there are two containers {vmid}")));
            }
        }
        tasks.list = self.tasks.into_iter().map(task).collect();
        let mut storages = self.storages;
        for (_, volume) in containers.values().flat_map(|c: &Container| feature::volumes(c.config.current())).filter(|(_, v)| v.is_volume())
        {
            storage::adopt(&mut storages, volume.volume(), volume.size().unwrap_or(0), seconds(now));
        }
        let (cluster, options, machines) = (self.cluster, self.options, self.machines);
        let mut state = State { version, cluster, options, nodes, storages, containers, machines, access, tasks, ..State::default() };
        state.refresh_samples(now);
        Ok(state)
    }

    /// The state as it is at `now`, to be compared or begun again.
    pub fn of_state(state: &State, now: Moment) -> Self {
        Self {
            version: state.version,
            cluster: state.cluster.clone(),
            now: Some(seconds(now)),
            access: state.access.to_text(),
            passwords: state.access.passwords.clone(),
            tokens: state.access.token_secrets.clone(),
            second_factors: state.access.second_factors.clone(),
            ticket_lifetimes: state.access.ticket_lifetimes.clone(),
            realms: state.access.realms().to_vec(),
            options: state.options.clone(),
            nodes: state.nodes.iter().map(|node| node_entry(node, now)).collect(),
            storages: state.storages.clone(),
            containers: state.containers.values().filter(|c| c.has_config()).map(|c| container_entry(c, now)).collect(),
            machines: state.machines.clone(),
            tasks: state.tasks.list.iter().filter_map(task_entry).collect(),
        }
    }
}

fn node(entry: NodeEntry, now: Moment) -> Node {
    let NodeEntry { name, online, cpus, memory, disk, uptime, network } = entry;
    Node { name, is_online: online, cpus, memory, disk, booted: now - uptime * 1000, network }
}

fn node_entry(node: &Node, now: Moment) -> NodeEntry {
    let Node { name, is_online, cpus, memory, disk, booted, network } = node.clone();
    NodeEntry { name, online: is_online, cpus, memory, disk, uptime: seconds(now - booted), network }
}

fn container(entry: ContainerEntry, tasks: &mut Tasks, now: Moment) -> Container {
    let ContainerEntry { vmid, node, config, running, uptime, habit, ha, load, sample } = entry;
    let process = if running { Process::Running { pid: tasks.next_pid(), since: now - uptime * 1000 } } else { Process::Stopped };
    Container { vmid, node, config: Config::parse(config), process, is_starting: false, habit, ha, load, sample }
}

fn container_entry(container: &Container, now: Moment) -> ContainerEntry {
    let (running, uptime) = match container.process {
        Process::Running { since, .. } => (true, seconds(now - since)),
        Process::Stopped => (false, 0),
    };
    let Container { vmid, node, config, habit, ha, load, sample, .. } = container.clone();
    ContainerEntry { vmid, node, config: config.text().to_owned(), running, uptime, habit, ha, load, sample }
}

fn task(entry: TaskEntry) -> Task {
    let TaskEntry { upid, exitstatus, endtime, mut log, log_lines } = entry;
    let mut lines: Vec<String> = (1..=log_lines).map(|n| format!("line {n}")).collect();
    lines.append(&mut log);
    let started = upid.starttime() * 1000;
    let phase = match exitstatus {
        Some(exit) => Phase::Ended(Ended { at: endtime.map_or(started, |end| end * 1000), exit }),
        None => Phase::Working { steps: std::collections::VecDeque::new() },
    };
    Task {
        node: upid.node().to_string(),
        kind: upid.kind().to_owned(),
        id: upid.id().to_owned(),
        user: upid.user().to_owned(),
        pid: upid.pid(),
        pstart: upid.pstart(),
        started,
        locks: false,
        work: None,
        log: lines,
        phase,
        when_aborted: Vec::new(),
        upid: upid.to_string(),
    }
}

/// None of the tasks that the simulator makes has a UPID that does not parse.
fn task_entry(task: &Task) -> Option<TaskEntry> {
    let ended = task.ended();
    Some(TaskEntry {
        upid: task.upid.parse().ok()?,
        exitstatus: ended.map(|ended| ended.exit.clone()),
        endtime: ended.map(|ended| seconds(ended.at)),
        log: task.log.clone(),
        log_lines: 0,
    })
}
