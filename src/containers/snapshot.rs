//! What a user sees of a cluster, worked out from what Proxmox says and what was seen before. Nothing here asks anybody.
//!
//! `/cluster/resources` lags up to ten seconds and flips between Proxmox's workers (REAL.md, State). So a change between running and
//! stopped holds for [`EXACT_FOR`]: within that time nothing but an exact read turns it back, and a status never goes back on screen.
//! Figures move by whole percents, and the time of a boot is the earliest that fits, so that what has not changed looks the same.

use super::{
    model::{ContainerRow, ForeignTask, NodeRow, Reach, Status, TaskKind, Usage, percent},
    query::{Counts, Key, Query},
    service::{holds, status_of},
    store::KnownRow,
    tags,
};
use crate::{
    error::Lock,
    operations::model::ContainerId,
    proxmox::{
        ids::{ClusterName, NodeName, StorageName, Vmid},
        wire::{ClusterTask, Permissions, Resource, RunState, TagColours},
    },
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

/// For how long an exact read outranks a sample: the lag of ten seconds and some.
pub const EXACT_FOR: Duration = Duration::from_secs(15);
/// How many minutes of CPU are kept.
const HISTORY: usize = 60;
/// How far apart two boot times are at most that are the same: a sample is up to ten seconds old, and not always as old.
const SAME_BOOT: i64 = 15;
/// How many orders of a snapshot are kept.
const ORDERS: usize = 16;

/// What Proxmox said at one time, and what we know of it.
pub struct Answers {
    /// Everything there is.
    pub resources: Vec<Resource>,
    /// What runs and what has run; nothing where that was not answered.
    pub tasks: Vec<ClusterTask>,
    /// What the user may.
    pub permissions: Arc<Permissions>,
    /// How tags look, where an admin has said so.
    pub style: Option<Arc<TagColours>>,
    /// Our rows.
    pub known: HashMap<Vmid, KnownRow>,
    /// When that was, in epoch seconds.
    pub now: i64,
    /// How many seconds the cluster's clock is behind ours.
    pub behind: i64,
}

/// What a user sees.
pub struct Snapshot {
    /// In the order of the default query.
    pub rows: Vec<Arc<ContainerRow>>,
    /// Sorted: in trouble first, then by name.
    pub nodes: Vec<NodeRow>,
    /// When Proxmox said so, in epoch seconds.
    pub as_of: i64,
    /// Whether the user may see any container at all.
    pub may_audit: bool,
    /// The places of the rows by their ids.
    places: Vec<u32>,
    orders: Mutex<VecDeque<(Query, Arc<Order>)>>,
}

/// The rows of a snapshot that fit a query.
pub struct Order {
    /// Their places, in order.
    pub places: Vec<u32>,
    /// Of each status, among those that fit but for their status.
    pub counts: Counts,
}

impl Snapshot {
    fn new(rows: Vec<Arc<ContainerRow>>, nodes: Vec<NodeRow>, as_of: i64, may_audit: bool) -> Self {
        let mut places: Vec<u32> = (0..).take(rows.len()).collect();
        places.sort_unstable_by_key(|place| &rows[*place as usize].id);
        Self { rows, nodes, as_of, may_audit, places, orders: Mutex::default() }
    }

    /// A container's row, where the user sees it.
    pub fn row(&self, id: &ContainerId) -> Option<&Arc<ContainerRow>> {
        let row = |place: u32| &self.rows[place as usize];
        let found = self.places.binary_search_by_key(&id, |place| &row(*place).id).ok()?;
        Some(row(self.places[found]))
    }

    fn orders(&self) -> MutexGuard<'_, VecDeque<(Query, Arc<Order>)>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What fits a query, where that was worked out already.
    pub fn known_order(&self, query: &Query) -> Option<Arc<Order>> {
        self.orders().iter().find(|(known, _)| known == query).map(|(_, order)| order.clone())
    }

    /// What fits a query: worked out once for each, with one pass over the rows. What they are sorted by and do not have is in `keys`.
    pub fn order(&self, query: &Query, keys: &HashMap<ContainerId, Key<'static>>) -> Arc<Order> {
        if let Some(order) = self.known_order(query) {
            return order;
        }
        let counts = query.count(self.rows.iter().map(AsRef::as_ref));
        let order = Arc::new(Order { places: query.order(&self.rows, keys), counts });
        let mut orders = self.orders();
        orders.push_back((query.clone(), order.clone()));
        if orders.len() > ORDERS {
            orders.pop_front();
        }
        order
    }

    /// Whether somebody who looks at both sees a difference.
    fn looks_like(&self, other: &Self) -> bool {
        self.may_audit == other.may_audit
            && self.nodes == other.nodes
            && self.rows.len() == other.rows.len()
            // what has not changed is the same row, or one that another user has in common
            && self.rows.iter().zip(&other.rows).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}

/// What users of a cluster have in common: what is the same for several of them is there once.
#[derive(Default)]
pub struct SharedRows(Mutex<HashMap<Vmid, Common>>);

/// Of a container, for as long as anybody has it.
struct Common {
    /// The row that somebody has got last.
    row: Weak<ContainerRow>,
    history: Weak<Mutex<History>>,
    of: ContainerId,
}

impl SharedRows {
    /// The row that somebody has got last, where anybody still has it.
    fn latest(&self, vmid: Vmid) -> Option<Arc<ContainerRow>> {
        self.commons().get(&vmid)?.row.upgrade()
    }

    /// The same row, in common with whoever has it already, and the CPU of its container.
    fn share(&self, row: ContainerRow) -> (Arc<ContainerRow>, Arc<Mutex<History>>) {
        let mut commons = self.commons();
        let known = commons.get(&row.vmid).filter(|common| common.of == row.id);
        let history = known.and_then(|common| common.history.upgrade());
        let same = known.and_then(|common| common.row.upgrade()).filter(|same| **same == row);
        let (row, history) = match (same, history) {
            (Some(row), Some(history)) => return (row, history),
            (same, history) => (same.unwrap_or_else(|| Arc::new(row)), history.unwrap_or_default()),
        };
        let common = Common { row: Arc::downgrade(&row), history: Arc::downgrade(&history), of: row.id.clone() };
        commons.insert(row.vmid, common);
        (row, history)
    }

    fn commons(&self) -> MutexGuard<'_, HashMap<Vmid, Common>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered from one answer to the next, for one user.
#[derive(Default)]
pub struct Memory {
    shared: Arc<SharedRows>,
    rows: HashMap<Vmid, Remembered>,
    /// Since when these nodes are not part of the quorum.
    away: HashMap<NodeName, i64>,
    /// How these nodes answered when they were last asked, and since when.
    troubled: HashMap<NodeName, (Reach, i64)>,
    snapshot: Option<Arc<Snapshot>>,
}

struct Remembered {
    row: Arc<ContainerRow>,
    /// When it last came to run or to stand.
    changed_at: Option<Duration>,
    history: Arc<Mutex<History>>,
}

impl Memory {
    /// Nothing yet; what comes is shared with others.
    pub fn sharing(shared: Arc<SharedRows>) -> Self {
        Self { shared, ..Self::default() }
    }

    /// What the user sees.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The CPU of the last hour.
    pub fn history(&self, vmid: Vmid) -> Vec<u8> {
        self.rows.get(&vmid).map(|remembered| lock(&remembered.history).values()).unwrap_or_default()
    }

    /// Takes in what Proxmox says now. `exact` is what was read from the containers themselves; `at` is the time by the clock that
    /// [`EXACT_FOR`] is counted by. True where the user sees a difference.
    pub fn take_in(&mut self, cluster: &ClusterName, answers: &Answers, exact: impl Fn(Vmid) -> Option<Status>, at: Duration) -> bool {
        let of_kind = |kind: &'static str| answers.resources.iter().filter(move |resource| resource.kind == kind);
        let is_online = |resource: &&Resource| resource.status == Some(RunState::Online);
        let offline: BTreeSet<&NodeName> = of_kind("node").filter(|r| !is_online(r)).filter_map(|r| r.node.as_ref()).collect();
        self.away.retain(|node, _| offline.contains(node));
        for node in &offline {
            self.away.entry((*node).clone()).or_insert(answers.now);
        }
        let tasks = foreign_tasks(answers);
        let last_as_of = self.snapshot.as_ref().map(|snapshot| snapshot.as_of);
        let mut before = std::mem::take(&mut self.rows);
        let mut rows = Vec::new();
        for resource in of_kind("lxc") {
            let (Some(vmid), Some(node)) = (resource.vmid, resource.node.clone()) else { continue };
            // nobody has deleted it meanwhile
            let Some(known) = answers.known.get(&vmid) else { continue };
            let prior = before.remove(&vmid).filter(|prior| prior.row.id == known.id);
            let (node_online, task) = (!offline.contains(&node), tasks.get(&vmid));
            let shared = &*self.shared;
            let seen = Seen { shared, cluster, resource, vmid, node, node_online, known, task, last_as_of };
            let remembered = seen.remember(prior, answers, exact(vmid), at);
            rows.push(remembered.row.clone());
            self.rows.insert(vmid, remembered);
        }
        rows.sort_by_cached_key(|row| (row.name.to_lowercase(), row.vmid));
        let mut storages: HashMap<&NodeName, (u16, &StorageName)> = HashMap::new();
        for resource in of_kind("storage") {
            let (Some(node), Some(name), Some(percent)) = (&resource.node, &resource.storage, disk_percent(resource)) else { continue };
            let fullest = storages.entry(node).or_insert((percent, name));
            *fullest = (percent, name).max(*fullest);
        }
        let mut nodes: Vec<NodeRow> = of_kind("node").filter_map(|resource| self.node_row(resource, &storages)).collect();
        sort_nodes(&mut nodes);
        self.show(Snapshot::new(rows, nodes, answers.now, may_audit_any(&answers.permissions)))
    }

    /// Takes in what was read from a container itself, by an operation that begins or ends: a task that was under way before may be its own,
    /// or over. True where the user sees a difference.
    pub fn take_in_exact(&mut self, vmid: Vmid, status: Status, at: Duration) -> bool {
        let (Some(remembered), Some(snapshot)) = (self.rows.get_mut(&vmid), &self.snapshot) else { return false };
        if remembered.row.status == status && remembered.row.task.is_none() {
            return false;
        }
        let mut row = ContainerRow::clone(&remembered.row);
        if row.status != status {
            remembered.changed_at = Some(at);
        }
        row.status = status;
        row.usage = row.usage.filter(|_| status == Status::Running);
        row.last_seen = None;
        row.task = None;
        remembered.row = Arc::new(row);
        let changed = |row: &Arc<ContainerRow>| if row.vmid == vmid { remembered.row.clone() } else { row.clone() };
        let rows = snapshot.rows.iter().map(changed).collect();
        self.show(Snapshot::new(rows, snapshot.nodes.clone(), snapshot.as_of, snapshot.may_audit))
    }

    /// A container is no more. True where the user sees a difference.
    pub fn forget(&mut self, id: &ContainerId) -> bool {
        let Some(snapshot) = self.snapshot.as_ref().filter(|snapshot| snapshot.row(id).is_some()) else { return false };
        let rows = snapshot.rows.iter().filter(|row| row.id != *id).cloned().collect();
        let left = Snapshot::new(rows, snapshot.nodes.clone(), snapshot.as_of, snapshot.may_audit);
        self.rows.retain(|_, remembered| remembered.row.id != *id);
        self.show(left)
    }

    /// Takes in how a node answered. True where the user sees a difference.
    pub fn take_in_node(&mut self, node: &NodeName, reach: Reach, now: i64) -> bool {
        let before = self.troubled.get(node).map_or(Reach::Answers, |(reach, _)| *reach);
        if before == reach {
            return false;
        }
        match reach {
            Reach::Answers => self.troubled.remove(node),
            _ => self.troubled.insert(node.clone(), (reach, now)),
        };
        let Some(snapshot) = self.snapshot.clone() else { return false };
        let mut nodes = snapshot.nodes.clone();
        for row in &mut nodes {
            (row.reach, row.away_since) = self.reach(&row.name);
        }
        sort_nodes(&mut nodes);
        self.show(Snapshot::new(snapshot.rows.clone(), nodes, snapshot.as_of, snapshot.may_audit))
    }

    fn reach(&self, node: &NodeName) -> (Reach, Option<i64>) {
        match (self.away.get(node), self.troubled.get(node)) {
            (Some(since), _) => (Reach::Gone, Some(*since)),
            (None, Some((reach, since))) => (*reach, Some(*since)),
            (None, None) => (Reach::Answers, None),
        }
    }

    fn show(&mut self, snapshot: Snapshot) -> bool {
        let is_new = self.snapshot.as_ref().is_none_or(|before| !before.looks_like(&snapshot));
        self.snapshot = Some(Arc::new(snapshot));
        is_new
    }

    /// `storages` is the fullest of each node.
    fn node_row(&self, resource: &Resource, storages: &HashMap<&NodeName, (u16, &StorageName)>) -> Option<NodeRow> {
        let name = resource.node.clone()?;
        let (reach, away_since) = self.reach(&name);
        let root = disk_percent(resource);
        let storage = storages.get(&name).filter(|(percent, _)| Some(*percent) > root);
        Some(NodeRow {
            online: resource.status == Some(RunState::Online),
            reach,
            away_since,
            name,
            cpu_percent: resource.cpu.map(fraction_percent),
            memory_percent: resource.mem.zip(resource.maxmem).map(|(part, whole)| percent(part, whole)),
            disk_percent: storage.map_or(root, |(percent, _)| Some(*percent)),
            storage: storage.map(|(_, name)| (*name).clone()),
        })
    }
}

/// How full a node's root disk is, or a storage.
fn disk_percent(resource: &Resource) -> Option<u16> {
    Some(percent(resource.disk?, resource.maxdisk?))
}

/// In trouble first, then by name.
fn sort_nodes(nodes: &mut [NodeRow]) {
    nodes.sort_by(|a, b| (a.reach == Reach::Answers, &a.name).cmp(&(b.reach == Reach::Answers, &b.name)));
}

/// A container in an answer, with what else is known of it.
struct Seen<'a> {
    shared: &'a SharedRows,
    cluster: &'a ClusterName,
    resource: &'a Resource,
    vmid: Vmid,
    node: NodeName,
    node_online: bool,
    known: &'a KnownRow,
    task: Option<&'a ForeignTask>,
    /// When the answer before this one was given.
    last_as_of: Option<i64>,
}

impl Seen<'_> {
    fn remember(self, prior: Option<Remembered>, answers: &Answers, exact: Option<Status>, at: Duration) -> Remembered {
        let sampled = status_of(self.resource.status.as_ref());
        let before = prior.as_ref().map(|prior| &prior.row);
        let moved = |status: Status| before.is_some_and(|row| row.status != status && ![row.status, status].contains(&Status::Unknown));
        let holds_still = prior.as_ref().and_then(|prior| prior.changed_at).is_some_and(|changed| at.saturating_sub(changed) < EXACT_FOR);
        let status = match (exact, before) {
            (Some(exact), _) => exact,
            (None, Some(row)) if moved(sampled) && holds_still => row.status,
            _ => sampled,
        };
        let changed_at = if moved(status) { Some(at) } else { prior.as_ref().and_then(|prior| prior.changed_at) };
        // what is less than a percent away from what anybody sees is the same for all
        let anybodys = self.shared.latest(self.vmid).filter(|row| row.id == self.known.id);
        let last_usage = || anybodys.as_ref().and_then(|row| row.usage).or_else(|| before?.usage);
        let usage = match (status, sampled) {
            (Status::Running, Status::Running) => self.usage(answers.now, last_usage()),
            (Status::Running | Status::Unknown, _) => last_usage(),
            (Status::Stopped, _) => None,
        };
        let last_seen = match before {
            _ if status != Status::Unknown => None,
            Some(row) if row.status == Status::Unknown => row.last_seen,
            Some(_) => self.last_as_of,
            None => Some(answers.now),
        };
        let may = |privilege: &str| holds(&answers.permissions, &format!("/vms/{}", self.vmid), privilege);
        let row = ContainerRow {
            id: self.known.id.clone(),
            cluster: self.cluster.clone(),
            vmid: self.vmid,
            // an offline node's containers have none (FACTS §5)
            name: self.resource.name.clone().unwrap_or_else(|| self.known.hostname.clone()),
            node: self.node,
            node_online: self.node_online,
            status,
            lifecycle: self.known.lifecycle,
            lock: self.resource.lock.as_deref().map(Lock::of),
            template: self.resource.template || status == Status::Unknown && before.is_some_and(|row| row.template),
            template_name: self.known.template_name.clone(),
            tags: self.resource.tags.iter().map(|name| tags::coloured(name, answers.style.as_deref())).collect(),
            usage,
            cores: self.resource.maxcpu.or_else(|| before.and_then(|row| row.cores)),
            last_seen,
            task: self.task.filter(|_| exact.is_none()).cloned(),
            may_power: may("VM.PowerMgmt"),
            may_delete: may("VM.Allocate"),
            addresses: Vec::new(),
            history: Vec::new(),
            services: Vec::new(),
            last_event: None,
        };
        let (row, history) = self.shared.share(row);
        match (row.status, row.usage) {
            (Status::Running, Some(usage)) => lock(&history).add(answers.now, usage.cpu_percent),
            (Status::Stopped, _) => lock(&history).add(answers.now, 0),
            _ => {}
        }
        Remembered { row, changed_at, history }
    }

    /// The figures of a sample, in which nothing has changed that is less than a percent.
    fn usage(&self, now: i64, last: Option<Usage>) -> Option<Usage> {
        let resource = self.resource;
        let sampled = Usage {
            cpu_percent: fraction_percent(resource.cpu?),
            memory: resource.mem?,
            memory_limit: resource.maxmem?,
            started_at: now - i64::try_from(resource.uptime?).ok()?,
        };
        let Some(last) = last else { return Some(sampled) };
        let is_same_memory = last.memory_limit == sampled.memory_limit && last.memory_percent() == sampled.memory_percent();
        let is_same_boot = (last.started_at - sampled.started_at).abs() <= SAME_BOOT;
        Some(Usage {
            memory: if is_same_memory { last.memory } else { sampled.memory },
            started_at: if is_same_boot { last.started_at.min(sampled.started_at) } else { sampled.started_at },
            ..sampled
        })
    }
}

/// What is under way by number: the newest task of each.
fn foreign_tasks(answers: &Answers) -> HashMap<Vmid, ForeignTask> {
    let mut tasks = HashMap::new();
    let is_running = |task: &&ClusterTask| task.endtime.is_none() && task.status.as_deref().is_none_or(|status| status == "RUNNING");
    for task in answers.tasks.iter().filter(is_running) {
        let (Ok(vmid), Some(kind)) = (task.upid.id().parse::<Vmid>(), TaskKind::of(task.upid.kind())) else { continue };
        let foreign = ForeignTask { kind, by: task.upid.user().to_owned(), since: task.upid.starttime() + answers.behind };
        let newest = tasks.entry(vmid).or_insert_with(|| foreign.clone());
        if newest.since < foreign.since {
            *newest = foreign;
        }
    }
    tasks
}

/// Whether the user has VM.Audit on any path that guests are below.
fn may_audit_any(permissions: &Permissions) -> bool {
    let is_above_guests = |path: &str| path == "/" || ["/vms", "/pool"].iter().any(|root| path.starts_with(root));
    permissions.iter().any(|(path, granted)| is_above_guests(path) && granted.contains_key("VM.Audit"))
}

fn fraction_percent(fraction: f64) -> u16 {
    (fraction * 100.0).round().clamp(0.0, 999.0) as u16
}

/// The CPU of the last hour: a mean for each minute.
#[derive(Default)]
struct History {
    minutes: VecDeque<u8>,
    /// The minute that goes on, the sum of its values, and how many there are.
    current: (i64, u32, u32),
}

impl History {
    /// Adds a value in percent. After a gap it begins anew: the line has a value for each minute. What another user was told may be of a
    /// little later, and counts for the same minute.
    fn add(&mut self, now: i64, cpu_percent: u16) {
        let (minute, sum, count) = self.current;
        let this = now.div_euclid(60).max(minute);
        if count > 0 && this != minute {
            if this == minute + 1 {
                self.minutes.push_back(mean(sum, count));
            } else {
                self.minutes.clear();
            }
            self.current = (this, 0, 0);
        }
        while self.minutes.len() >= HISTORY {
            self.minutes.pop_front();
        }
        self.current = (this, self.current.1 + u32::from(cpu_percent.min(100)), self.current.2 + 1);
    }

    fn values(&self) -> Vec<u8> {
        let (_, sum, count) = self.current;
        self.minutes.iter().copied().chain((count > 0).then(|| mean(sum, count))).collect()
    }
}

fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At most 100, as are the values.
fn mean(sum: u32, count: u32) -> u8 {
    (f64::from(sum) / f64::from(count)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            model::Lifecycle,
            query::{Query, Sort},
        },
        *,
    };
    use serde_json::{Value, json};
    use std::time::Instant;

    const NOW: i64 = 1_000_000;

    fn ct(number: u32) -> Vmid {
        number.try_into().unwrap()
    }

    fn cluster() -> ClusterName {
        "homelab".parse().unwrap()
    }

    fn known(number: u32) -> KnownRow {
        KnownRow {
            id: format!("{number:032}").parse().unwrap(),
            vmid: ct(number),
            node: "pve1".parse().unwrap(),
            hostname: format!("old{number}"),
            lifecycle: Lifecycle::Ready,
            template_name: None,
            is_recognised: true,
            status: Status::Running,
            status_at: 1,
        }
    }

    fn answers(resources: Vec<Value>, now: i64) -> Answers {
        let resources: Vec<Resource> = resources.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
        let known = resources.iter().filter_map(|resource| resource.vmid).map(|vmid| (vmid, known(vmid.get()))).collect();
        let permissions = serde_json::from_value(json!({"/vms/101": {"VM.PowerMgmt": 1, "VM.Audit": 1}})).unwrap();
        Answers { resources, tasks: vec![], permissions: Arc::new(permissions), style: None, known, now, behind: 0 }
    }

    fn running(number: u32, cpu: f64, mem: u64, uptime: i64) -> Value {
        json!({"type": "lxc", "vmid": number, "node": "pve1", "status": "running", "name": format!("web{number}"), "cpu": cpu, "maxcpu": 2,
               "mem": mem, "maxmem": 1000, "uptime": uptime})
    }

    fn stopped(number: u32) -> Value {
        json!({"type": "lxc", "vmid": number, "node": "pve1", "status": "stopped", "name": format!("web{number}"), "cpu": 0, "maxcpu": 2, "mem": 0,
               "maxmem": 1000, "uptime": 0})
    }

    fn node(name: &str, status: &str) -> Value {
        json!({"type": "node", "node": name, "status": status})
    }

    /// Takes in what is said so many seconds after the beginning; whether that makes a difference.
    fn take_in(memory: &mut Memory, resources: Vec<Value>, after: u64) -> bool {
        let answers = answers(resources, NOW + after as i64);
        memory.take_in(&cluster(), &answers, |_| None, Duration::from_secs(after))
    }

    fn row(memory: &Memory, number: u32) -> &ContainerRow {
        memory.snapshot().unwrap().rows.iter().find(|row| row.vmid == ct(number)).unwrap()
    }

    #[test]
    fn a_nodes_disk_is_the_fullest_of_its_root_disk_and_its_storages() {
        let mut memory = Memory::sharing(Arc::default());
        let node = |name: &str, disk: u64| json!({"type": "node", "node": name, "status": "online", "disk": disk, "maxdisk": 100});
        let storage = |node: &str, name: &str, disk: Option<u64>| json!({"type": "storage", "node": node, "storage": name, "status": "available", "disk": disk, "maxdisk": 100});
        let resources = vec![
            node("pve1", 30),
            node("pve2", 30),
            node("pve3", 30),
            storage("pve1", "local", Some(30)),
            storage("pve1", "local-lvm", Some(92)),
            storage("pve1", "away", None),
            storage("pve2", "local", Some(30)),
        ];
        take_in(&mut memory, resources, 0);
        let nodes = &memory.snapshot().unwrap().nodes;
        let seen: Vec<_> = nodes.iter().map(|node| (node.disk_percent, node.storage.as_ref().map(StorageName::as_str))).collect();
        assert_eq!(seen, [(Some(92), Some("local-lvm")), (Some(30), None), (Some(30), None)]);
    }

    #[test]
    fn what_is_the_same_for_two_users_is_there_once() {
        let shared = Arc::new(SharedRows::default());
        let [mut one, mut other] = [(); 2].map(|()| Memory::sharing(shared.clone()));
        take_in(&mut one, vec![stopped(101), running(102, 0.1, 500, 60)], 0);
        // a sample that differs by less than a percent, and another that differs
        take_in(&mut other, vec![stopped(101), running(102, 0.1, 501, 65)], 5);
        let rows = |memory: &Memory| memory.snapshot().unwrap().rows.clone();
        let is_shared = |a: &Memory, b: &Memory| -> Vec<bool> { rows(a).iter().zip(rows(b)).map(|(a, b)| Arc::ptr_eq(a, &b)).collect() };
        assert_eq!(is_shared(&one, &other), [true, true]);
        take_in(&mut other, vec![stopped(101), running(102, 0.9, 501, 75)], 15);
        assert_eq!(is_shared(&one, &other).iter().filter(|same| **same).count(), 1);
        assert!(!take_in(&mut one, vec![stopped(101), running(102, 0.1, 500, 80)], 20), "what others have seen is no news");
    }

    #[test]
    fn who_comes_later_sees_the_cpu_that_others_have_seen_and_another_container_begins_anew() {
        let shared = Arc::new(SharedRows::default());
        let [mut one, mut other] = [(); 2].map(|()| Memory::sharing(shared.clone()));
        take_in(&mut one, vec![running(102, 0.1, 500, 60)], 0);
        take_in(&mut one, vec![running(102, 0.3, 500, 120)], 60);
        take_in(&mut other, vec![running(102, 0.5, 500, 121)], 61);
        assert_eq!(other.history(ct(102)), [10, 40]);
        // an answer that was given before that
        take_in(&mut one, vec![running(102, 0.3, 500, 70)], 10);
        assert_eq!(one.history(ct(102)), [10, 37]);
        let mut again = answers(vec![running(102, 0.7, 500, 1)], NOW + 70);
        again.known.get_mut(&ct(102)).unwrap().id = known(999).id;
        one.take_in(&cluster(), &again, |_| None, Duration::from_secs(70));
        assert_eq!(one.history(ct(102)), [70]);
        drop((one, other));
        let mut later = Memory::sharing(shared);
        take_in(&mut later, vec![running(102, 0.2, 500, 200)], 80);
        assert_eq!(later.history(ct(102)), [20], "nobody has looked meanwhile");
    }

    #[test]
    fn the_list_shows_containers_only_and_marks_those_on_an_offline_node() {
        let mut memory = Memory::default();
        let machine = json!({"type": "qemu", "vmid": 100, "node": "pve1", "status": "running", "name": "vm"});
        let lost = json!({"type": "lxc", "vmid": 103, "node": "pve2", "status": "unknown"});
        let pve1 = json!({"type": "node", "node": "pve1", "status": "online", "cpu": 0.25, "mem": 1, "maxmem": 4});
        take_in(&mut memory, vec![pve1, node("pve2", "offline"), machine, lost, running(101, 0.125, 512, 60)], 0);
        let snapshot = memory.snapshot().unwrap();
        let names: Vec<_> = snapshot.rows.iter().map(|row| (row.name.as_str(), row.node_online, row.may_power)).collect();
        assert_eq!(names, [("old103", false, false), ("web101", true, true)]);
        let usage = Usage { cpu_percent: 13, memory: 512, memory_limit: 1000, started_at: NOW - 60 };
        assert_eq!((snapshot.rows[1].usage, snapshot.rows[1].cores), (Some(usage), Some(2.0)));
        let nodes: Vec<_> = snapshot.nodes.iter().map(|node| (node.name.as_str(), node.away_since)).collect();
        assert_eq!(nodes, [("pve2", Some(NOW)), ("pve1", None)]);
        assert_eq!(
            (snapshot.nodes[1].cpu_percent, snapshot.nodes[1].memory_percent, snapshot.nodes[1].disk_percent),
            (Some(25), Some(25), None)
        );
        assert!(snapshot.may_audit);
    }

    #[test]
    fn a_change_is_not_taken_back_within_the_lag() {
        let mut memory = Memory::default();
        take_in(&mut memory, vec![stopped(101)], 0);
        take_in(&mut memory, vec![running(101, 0.1, 100, 1)], 10);
        assert_eq!(row(&memory, 101).status, Status::Running);
        assert!(!take_in(&mut memory, vec![stopped(101)], 20), "a worker that is behind");
        assert_eq!((row(&memory, 101).status, row(&memory, 101).usage.is_some()), (Status::Running, true));
        take_in(&mut memory, vec![stopped(101)], 30);
        assert_eq!(row(&memory, 101).status, Status::Stopped, "it has stopped indeed");
    }

    #[test]
    fn an_exact_read_is_seen_at_once_and_outranks_samples() {
        let mut memory = Memory::default();
        take_in(&mut memory, vec![stopped(101), stopped(102)], 0);
        let at = Duration::from_secs(1);
        assert!(memory.take_in_exact(ct(101), Status::Running, at));
        assert!(!memory.take_in_exact(ct(101), Status::Running, at) && !memory.take_in_exact(ct(109), Status::Running, at));
        assert_eq!(row(&memory, 101).status, Status::Running);
        let exact = |vmid: Vmid| (vmid == ct(101)).then_some(Status::Running);
        assert!(!memory.take_in(&cluster(), &answers(vec![stopped(101), stopped(102)], NOW + 10), exact, Duration::from_secs(10)));
        assert!(memory.forget(&known(102).id) && !memory.forget(&known(102).id));
        assert_eq!(memory.snapshot().unwrap().rows.len(), 1);
    }

    #[test]
    fn less_than_a_percent_is_no_difference() {
        let mut memory = Memory::default();
        assert!(take_in(&mut memory, vec![running(101, 0.121, 500, 60)], 0));
        assert!(!take_in(&mut memory, vec![running(101, 0.124, 504, 65)], 10));
        let usage = row(&memory, 101).usage.unwrap();
        assert_eq!((usage.memory, usage.started_at), (500, NOW - 60));
        assert!(take_in(&mut memory, vec![running(101, 0.124, 506, 75)], 20));
        assert!(take_in(&mut memory, vec![running(101, 0.124, 506, 3)], 30), "it was booted again");
        assert_eq!(row(&memory, 101).usage.unwrap().started_at, NOW + 27);
    }

    #[test]
    fn what_nobody_knows_keeps_its_last_figures_and_their_date() {
        let mut memory = Memory::default();
        take_in(&mut memory, vec![node("pve1", "online"), running(101, 0.1, 500, 60)], 0);
        let usage = row(&memory, 101).usage;
        let lost = json!({"type": "lxc", "vmid": 101, "node": "pve1", "status": "unknown"});
        for after in [10, 20] {
            take_in(&mut memory, vec![node("pve1", "offline"), lost.clone()], after);
            let row = row(&memory, 101);
            assert_eq!((row.status, row.usage, row.last_seen, row.node_online), (Status::Unknown, usage, Some(NOW), false));
            assert_eq!(memory.snapshot().unwrap().nodes[0].away_since, Some(NOW + 10));
        }
        take_in(&mut memory, vec![node("pve1", "online"), running(101, 0.1, 500, 90)], 30);
        assert_eq!((row(&memory, 101).status, row(&memory, 101).last_seen), (Status::Running, None));
        assert_eq!(memory.snapshot().unwrap().nodes[0].away_since, None);
    }

    #[test]
    fn a_node_that_does_not_answer_itself_is_in_trouble_though_the_quorum_has_it() {
        let mut memory = Memory::default();
        let nodes = || vec![node("pve1", "online"), node("pve2", "online"), running(101, 0.1, 500, 60)];
        take_in(&mut memory, nodes(), 0);
        let pve2 = "pve2".parse().unwrap();
        assert!(memory.take_in_node(&pve2, Reach::Slow, NOW + 5) && !memory.take_in_node(&pve2, Reach::Slow, NOW + 6));
        assert!(!take_in(&mut memory, nodes(), 10), "it is so still");
        let shown = |memory: &Memory| {
            let nodes = &memory.snapshot().unwrap().nodes;
            nodes.iter().map(|node| (node.name.to_string(), node.reach, node.away_since)).collect::<Vec<_>>()
        };
        let well = |name: &str| (name.to_owned(), Reach::Answers, None);
        assert_eq!(shown(&memory), [("pve2".to_owned(), Reach::Slow, Some(NOW + 5)), well("pve1")]);
        assert!(memory.take_in_node(&pve2, Reach::Answers, NOW + 15));
        assert_eq!(shown(&memory), [well("pve1"), well("pve2")]);
    }

    #[test]
    fn another_container_under_the_same_number_begins_anew() {
        let mut memory = Memory::default();
        take_in(&mut memory, vec![running(101, 0.5, 500, 60)], 0);
        let mut other = answers(vec![stopped(101)], NOW + 10);
        other.known.get_mut(&ct(101)).unwrap().id = known(999).id;
        memory.take_in(&cluster(), &other, |_| None, Duration::from_secs(10));
        assert_eq!((row(&memory, 101).status, memory.history(ct(101))), (Status::Stopped, vec![0]));
    }

    #[test]
    fn the_history_is_a_mean_for_each_minute_of_an_hour() {
        let mut history = History::default();
        for beat in 0..600 {
            history.add(NOW / 60 * 60 + beat * 10, if beat % 2 == 0 { 10 } else { 20 });
        }
        assert_eq!(history.values(), vec![15; 60]);
        history.add(NOW + 100_000, 300);
        assert_eq!(history.values(), [100], "after a gap it begins anew");
    }

    #[test]
    fn ten_thousand_rows_are_gone_through_once_for_a_query() {
        for count in [200_u32, 10_000] {
            let mut memory = Memory::default();
            let rows =
                |cpu: f64| (0..count).map(|n| running(100_000 + n * 7919 % count, (f64::from(n % 97) + cpu) / 100.0, 500, 60)).collect();
            let began = Instant::now();
            take_in(&mut memory, rows(0.0), 0);
            let (first, began) = (began.elapsed(), Instant::now());
            take_in(&mut memory, rows(1.0), 10);
            let again = began.elapsed();
            let snapshot = memory.snapshot().unwrap();
            let query = Query { sort: Sort::Cpu, ..Query::of_url("q=web").0 };
            let began = Instant::now();
            let order = snapshot.order(&query, &HashMap::new());
            let (sorted, began) = (began.elapsed(), Instant::now());
            // who asks the same gets the same: nothing is compared again
            assert!(Arc::ptr_eq(&order, &snapshot.order(&query, &HashMap::new())));
            let page: Vec<_> = order.places.iter().take(50).map(|place| ContainerRow::clone(&snapshot.rows[*place as usize])).collect();
            let window = began.elapsed();
            println!("{count} rows: taken in {first:?}, again {again:?}, sorted {sorted:?}, a window of {} {window:?}", page.len());
            assert_eq!((order.places.len(), order.counts.running), (count as usize, count as usize));
        }
    }

    mod any {
        use super::*;
        use proptest::{collection::vec, prelude::*};

        /// What can happen to one of five containers.
        #[derive(Debug, Clone)]
        enum Happening {
            /// It comes to run or to stand, and nobody is told.
            Truth(u32, bool),
            /// It does, and that is read from itself.
            Exact(u32, bool),
            /// Proxmox answers, and some of its workers are behind.
            Beat(Vec<bool>),
            /// It is deleted.
            Gone(u32),
        }

        fn happening() -> impl Strategy<Value = Happening> {
            prop_oneof![
                (101..106_u32, any::<bool>()).prop_map(|(n, runs)| Happening::Truth(n, runs)),
                (101..106_u32, any::<bool>()).prop_map(|(n, runs)| Happening::Exact(n, runs)),
                vec(any::<bool>(), 5).prop_map(Happening::Beat),
                (101..106_u32).prop_map(Happening::Gone),
            ]
        }

        fn said(truth: &HashMap<u32, bool>) -> Vec<Value> {
            truth.iter().map(|(n, runs)| if *runs { running(*n, 0.1, 500, 60) } else { stopped(*n) }).collect()
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn whatever_happens_in_whatever_order_it_comes_to_what_a_fresh_look_shows(happenings in vec(happening(), 0..30)) {
                let mut truth: HashMap<u32, bool> = (101..106).map(|n| (n, n % 2 == 0)).collect();
                let mut behind = truth.clone();
                let (mut memory, mut after) = (Memory::default(), 0);
                take_in(&mut memory, said(&truth), after);
                for happening in happenings {
                    after += 3;
                    match happening {
                        Happening::Truth(n, runs) => truth.entry(n).and_modify(|now| *now = runs).or_insert(runs),
                        Happening::Exact(n, runs) => {
                            let status = if runs { Status::Running } else { Status::Stopped };
                            memory.take_in_exact(ct(n), status, Duration::from_secs(after));
                            truth.entry(n).and_modify(|now| *now = runs).or_insert(runs)
                        }
                        Happening::Beat(lags) => {
                            let mix = truth.iter().map(|(n, runs)| {
                                let lags = lags[(*n - 101) as usize];
                                (*n, if lags { behind.get(n).copied().unwrap_or(*runs) } else { *runs })
                            });
                            take_in(&mut memory, said(&mix.collect()), after);
                            behind.clone_from(&truth);
                            continue;
                        }
                        Happening::Gone(n) => {
                            memory.forget(&known(n).id);
                            truth.remove(&n);
                            continue;
                        }
                    };
                }
                // the lag is over
                for _ in 0..2 {
                    after += 16;
                    take_in(&mut memory, said(&truth), after);
                }
                let mut fresh = Memory::default();
                take_in(&mut fresh, said(&truth), after);
                let shown = |memory: &Memory, query: &Query| {
                    let snapshot = memory.snapshot().unwrap();
                    let order = snapshot.order(query, &HashMap::new());
                    let row = |place: &u32| {
                        let row = &snapshot.rows[*place as usize];
                        (row.vmid, row.status, row.name.clone(), row.usage.map(|usage| usage.cpu_percent))
                    };
                    (order.places.iter().map(row).collect::<Vec<_>>(), order.counts)
                };
                for url in ["", "q=status:running", "sort=status&desc", "sort=cpu", "q=-status:stopped&sort=vmid&desc"] {
                    let query = Query::of_url(url).0;
                    prop_assert_eq!(shown(&memory, &query), shown(&fresh, &query), "{}", url);
                }
            }
        }
    }
}
