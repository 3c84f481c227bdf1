//! What is read of single containers in the background: their addresses, and what to know them by (DESIGN §8.3, §8.13).
//!
//! Nobody waits for it. For each cluster there are at most two reads of addresses and one of a configuration a second, whoever wants
//! them: addresses for rows that somebody has before them and that run, a configuration once for each container that nobody has read
//! yet.

use super::{
    identity,
    inventory::{Inventory, Post},
    model::{ContainerRow, Lifecycle, Reach, Status},
    service::maker_of,
    snapshot::Snapshot,
    store,
};
use crate::{
    error::Lock,
    operations::model::ContainerId,
    proxmox::{
        self, Cause, Client,
        ids::{ClusterName, NodeName, Vmid},
        wire::Interface,
    },
    server::{pace::Pace, telemetry},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How often a cluster is asked for addresses at most.
const ADDRESSES_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked for a configuration at most.
const CONFIG_EVERY: Duration = Duration::from_secs(1);
/// How long addresses are good for.
const ADDRESSES_FRESH: Duration = Duration::from_secs(60);
/// The same where there were none: DHCP takes its time.
const NONE_FRESH: Duration = Duration::from_secs(15);
/// How long after a failure, or after a container was looked at in vain, it is not tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);
/// How many rows wait for their addresses at most: as many as are on screens.
const MOST_WAITING: usize = 200;
/// How far apart two readings of the same boot are at most, in seconds.
const SAME_BOOT: i64 = 30;

/// The errands of all watchers.
pub struct Errands {
    pace: Pace,
    clusters: Mutex<HashMap<ClusterName, Arc<Care>>>,
}

/// What is shared by all who watch a cluster. An address that one user has read is shown to another only in a row of their own list: both
/// may audit the container, which is all that Proxmox asks for (VM.Audit, FACTS §5).
struct Care {
    addresses: Mutex<HashMap<Vmid, Known>>,
    addresses_turn: Turn,
    /// When a container's configuration was last looked at.
    looked_at: Mutex<HashMap<ContainerId, Duration>>,
    config_turn: Turn,
}

/// Addresses that were read.
struct Known {
    addresses: Vec<IpAddr>,
    /// Of the container that was booted then.
    started_at: i64,
    good_until: Duration,
}

impl Known {
    /// Whether they are of the container that was booted then.
    fn is_of(&self, started_at: i64) -> bool {
        (self.started_at - started_at).abs() <= SAME_BOOT
    }
}

/// When a container was booted that has addresses now.
fn booted(row: &ContainerRow) -> Option<i64> {
    row.usage.filter(|_| row.status == Status::Running && row.node_online).map(|usage| usage.started_at)
}

/// Lets one pass at a time.
struct Turn {
    next: Mutex<Duration>,
    every: Duration,
}

impl Turn {
    fn new(pace: &Pace, every: Duration) -> Self {
        Self { next: Mutex::new(pace.now() + every), every }
    }

    async fn wait(&self, pace: &Pace) {
        let at = {
            let mut next = locked(&self.next);
            let at = (*next).max(pace.now());
            *next = at + self.every;
            at
        };
        pace.until(at).await;
    }
}

/// What waits for one watcher.
#[derive(Default)]
pub struct Waiting {
    addresses: Queue<(Vmid, NodeName, i64)>,
    configs: Queue<(ContainerId, Vmid, NodeName)>,
}

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    nudge: Notify,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), nudge: Notify::new() }
    }
}

impl<T: PartialEq> Queue<T> {
    /// What was wanted last comes first, and what nobody has waited for the longest is left out.
    fn put(&self, item: T) {
        let mut items = locked(&self.items);
        items.retain(|other| *other != item);
        items.push_front(item);
        items.truncate(MOST_WAITING);
        self.nudge.notify_one();
    }

    fn put_all(&self, all: impl Iterator<Item = T>) {
        let mut items = locked(&self.items);
        *items = all.collect();
        if !items.is_empty() {
            self.nudge.notify_one();
        }
    }

    async fn next(&self) -> T {
        loop {
            if let Some(item) = locked(&self.items).pop_front() {
                return item;
            }
            self.nudge.notified().await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Errands {
    /// None yet.
    pub fn new(pace: Pace) -> Self {
        Self { pace, clusters: Mutex::default() }
    }

    fn care(&self, cluster: &ClusterName) -> Arc<Care> {
        let fresh = || {
            Arc::new(Care {
                addresses: Mutex::default(),
                addresses_turn: Turn::new(&self.pace, ADDRESSES_EVERY),
                looked_at: Mutex::default(),
                config_turn: Turn::new(&self.pace, CONFIG_EVERY),
            })
        };
        locked(&self.clusters).entry(cluster.clone()).or_insert_with(fresh).clone()
    }

    /// Fills in the addresses that are known of rows that somebody has before them, and has the others read.
    pub fn fill_in_addresses(&self, post: &Post, rows: &mut [ContainerRow]) {
        let care = self.care(&post.cluster.name);
        let (addresses, now) = (locked(&care.addresses), self.pace.now());
        for row in rows {
            let Some(started_at) = booted(row) else { continue };
            let known = addresses.get(&row.vmid).filter(|known| known.is_of(started_at));
            row.addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
            // while something is under way, a read can block (REAL.md, State)
            if known.is_none_or(|known| known.good_until <= now) && row.task.is_none() {
                post.watch.waiting().addresses.put((row.vmid, row.node.clone(), started_at));
            }
        }
    }

    /// The first address of each of the rows of which it is known. For the list that is sorted by it.
    pub fn first_addresses(&self, cluster: &ClusterName, rows: &[Arc<ContainerRow>]) -> HashMap<ContainerId, IpAddr> {
        let care = self.care(cluster);
        let addresses = locked(&care.addresses);
        let first = |row: &Arc<ContainerRow>| {
            let started_at = booted(row)?;
            let known = addresses.get(&row.vmid).filter(|known| known.is_of(started_at))?;
            Some((row.id.clone(), *known.addresses.first()?))
        };
        rows.iter().filter_map(first).collect()
    }

    /// Has what nobody has been recognised by yet read.
    pub fn recognise(&self, post: &Post, snapshot: &Snapshot, unrecognised: &HashSet<ContainerId>) {
        let care = self.care(&post.cluster.name);
        let (looked_at, now) = (locked(&care.looked_at), self.pace.now());
        let is_due = |id: &ContainerId| looked_at.get(id).is_none_or(|at| now.saturating_sub(*at) >= AGAIN_AFTER);
        // one that is being made has no interfaces yet (REAL.md, State)
        let is_whole = |row: &ContainerRow| row.lifecycle == Lifecycle::Ready && row.lock != Some(Lock::Create);
        let fits = |row: &&Arc<ContainerRow>| unrecognised.contains(&row.id) && row.node_online && is_whole(row) && is_due(&row.id);
        let wanted = snapshot.rows.iter().filter(fits).map(|row| (row.id.clone(), row.vmid, row.node.clone()));
        post.watch.waiting().configs.put_all(wanted);
    }
}

/// Runs the errands of a watcher, as long as it is waited for.
pub async fn run(inventory: &Inventory, post: &Post) {
    futures::join!(read_addresses(inventory, post), read_configs(inventory, post));
}

async fn read_addresses(inventory: &Inventory, post: &Post) {
    let (care, pace) = (inventory.errands().care(&post.cluster.name), inventory.pace());
    loop {
        let (vmid, node, started_at) = post.watch.waiting().addresses.next().await;
        care.addresses_turn.wait(pace).await;
        let is_good = |known: &Known| known.good_until > pace.now() && known.is_of(started_at);
        if locked(&care.addresses).get(&vmid).is_some_and(is_good) {
            continue;
        }
        let Some(client) = inventory.client(post).await else { continue };
        let read = client.lxc_interfaces(&node, vmid).await;
        inventory.note_node(post, &node, reach_of(read.as_ref().err()));
        let (addresses, good_for) = match read {
            Ok(interfaces) => {
                let addresses = addresses_of(&interfaces.unwrap_or_default());
                let good_for = if addresses.is_empty() { NONE_FRESH } else { ADDRESSES_FRESH };
                (addresses, good_for)
            }
            // before 8.1 there is no such call
            Err(error) => {
                tracing::debug!(%vmid, "addresses cannot be read: {}", telemetry::chain(&error));
                (Vec::new(), AGAIN_AFTER)
            }
        };
        let known = Known { addresses, started_at, good_until: pace.now() + good_for };
        let is_new = |before: Option<Known>, now: &[IpAddr]| before.map_or(!now.is_empty(), |before| before.addresses != now);
        let addresses = known.addresses.clone();
        if is_new(locked(&care.addresses).insert(vmid, known), &addresses) {
            post.watch.tell();
        }
    }
}

/// What an answer about a container says of its node. An error that is not about the way there says that it answers.
fn reach_of(error: Option<&proxmox::Error>) -> Reach {
    match error.map(|error| &error.cause) {
        // the other end of that way has another certificate than the cluster knows (FACTS §1)
        Some(Cause::NodeUnreachable { text, .. }) if text.contains("certificate") => Reach::CertificateChanged,
        Some(Cause::NodeUnreachable { status: 595, .. }) => Reach::Gone,
        Some(Cause::NodeUnreachable { .. } | Cause::TimedOut(_)) => Reach::Slow,
        _ => Reach::Answers,
    }
}

/// Where a container can be reached: not by itself alone, nor by its own link alone.
fn addresses_of(interfaces: &[Interface]) -> Vec<IpAddr> {
    let all = interfaces.iter().flat_map(|interface| &interface.addresses).filter_map(|sent| sent.address.parse::<IpAddr>().ok());
    let is_far = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = all.filter(is_far).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

async fn read_configs(inventory: &Inventory, post: &Post) {
    let (care, pace) = (inventory.errands().care(&post.cluster.name), inventory.pace());
    loop {
        let (id, vmid, node) = post.watch.waiting().configs.next().await;
        care.config_turn.wait(pace).await;
        {
            let mut looked_at = locked(&care.looked_at);
            // somebody else's watcher was faster
            if looked_at.get(&id).is_some_and(|at| pace.now().saturating_sub(*at) < AGAIN_AFTER) {
                continue;
            }
            looked_at.retain(|_, at| pace.now().saturating_sub(*at) < AGAIN_AFTER);
            looked_at.insert(id.clone(), pace.now());
        }
        let Some(client) = inventory.client(post).await else { continue };
        let read = read_fingerprint(&care, pace, &client, &node, vmid).await;
        inventory.note_node(post, &node, reach_of(read.as_ref().err()));
        match read {
            Ok(fingerprint) => {
                let db = post.state.db();
                if let Err(error) = store::record_fingerprint(db, &id, &fingerprint.to_string()).await {
                    tracing::warn!("a fingerprint cannot be kept: {}", telemetry::chain(&error));
                }
            }
            Err(error) => tracing::debug!(%vmid, "what to know it by cannot be read: {}", telemetry::chain(&error)),
        }
    }
}

async fn read_fingerprint(
    care: &Care,
    pace: &Pace,
    client: &Client,
    node: &NodeName,
    vmid: Vmid,
) -> Result<identity::Fingerprint, proxmox::Error> {
    let config = client.lxc_config_current(node, vmid).await?;
    let maker = async || {
        care.config_turn.wait(pace).await;
        maker_of(client, node, vmid).await
    };
    identity::first(identity::macs(&config), maker).await
}
