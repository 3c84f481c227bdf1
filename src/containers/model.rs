//! What crosses the wire about containers, and the rules that button, service and tests share.

use super::query::Counts;
use crate::{
    error::{AppError, Lock},
    events::model::ContainerEvent,
    operations::model::{ContainerId, OperationLine, Verb},
    proxmox::ids::{ClusterName, InvalidId, NodeName, StorageName, Vmid},
    services::model::ServiceLine,
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};
use strum::{Display, EnumString};

/// Whether a container runs. There is no "starting": that is an action's, not the container's (REAL.md, State).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// Its node does not answer, or it is too new for Proxmox to say.
    Unknown,
}

/// How far our own work on a container is. A container that was made elsewhere is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Lifecycle {
    /// It is being made.
    Creating,
    /// There is nothing left to do.
    Ready,
    /// The making of it failed.
    Error,
}

/// A container in the list. What is said to be of a window is there only in a [`Window`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRow {
    /// Our row for it: what the verbs want.
    pub id: ContainerId,
    /// Where it is.
    pub cluster: ClusterName,
    /// Its number.
    pub vmid: Vmid,
    /// Its host name.
    pub name: String,
    /// Where it lives.
    pub node: NodeName,
    /// Whether that node answers.
    pub node_online: bool,
    /// Whether it runs.
    pub status: Status,
    /// How far our own work on it is.
    pub lifecycle: Lifecycle,
    /// What holds its configuration.
    pub lock: Option<Lock>,
    /// A template cannot be started.
    pub template: bool,
    /// What it was made from, where we made it.
    pub template_name: Option<String>,
    /// As Proxmox sorts them.
    pub tags: Vec<Tag>,
    /// The figures where it runs; where its status is unknown the last good ones, of when it was [last seen](Self::last_seen).
    pub usage: Option<Usage>,
    /// How many cores it may use; a fraction where that is limited.
    pub cores: Option<f64>,
    /// Since when nothing is known of it, in epoch seconds; none where what is said here is of now.
    pub last_seen: Option<i64>,
    /// What is under way on it that Berth has not begun, as far as the user sees the cluster's tasks.
    pub task: Option<ForeignTask>,
    /// Whether the user may start and stop it (VM.PowerMgmt).
    pub may_power: bool,
    /// Whether the user may delete it (VM.Allocate).
    pub may_delete: bool,
    /// Of a window: its addresses where it runs, without those of the loopback and link-local ones. They come a moment later.
    pub addresses: Vec<IpAddr>,
    /// Of a window: its CPU in percent of its cores (0 to 100), a value for each of the last minutes, at most 60, the oldest first.
    pub history: Vec<u8>,
    /// Of a window: what runs in it, by name.
    pub services: Vec<ServiceLine>,
    /// Of a window: what happened to it last.
    pub last_event: Option<Box<ContainerEvent>>,
}

impl AsRef<ContainerRow> for ContainerRow {
    fn as_ref(&self) -> &ContainerRow {
        self
    }
}

/// A colour, `#rrggbb` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl FromStr for Colour {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(InvalidId("a colour"))?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl TryFrom<String> for Colour {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

/// A tag, coloured as Proxmox colours it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// What it says.
    pub name: String,
    /// What is behind its text.
    pub colour: Colour,
    /// Its text.
    pub text: Colour,
}

/// Something that is under way on a container and was begun at Proxmox itself, by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignTask {
    /// What.
    pub kind: TaskKind,
    /// By whom: a user, or one of their tokens.
    pub by: String,
    /// Since when, in epoch seconds by the server's clock.
    pub since: i64,
}

/// What a task of Proxmox does to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of its name say it")]
pub enum TaskKind {
    Start,
    Stop,
    Shutdown,
    Reboot,
    Suspend,
    Resume,
    Create,
    Restore,
    Delete,
    Clone,
    MakeTemplate,
    Snapshot,
    DeleteSnapshot,
    Rollback,
    Migrate,
    Backup,
    Resize,
    MoveVolume,
}

impl TaskKind {
    /// Of the type of a task; none where such a task does nothing to a container, as an open console (FACTS §3 has the types).
    pub fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "vzstart" | "hastart" => Self::Start,
            "vzstop" | "hastop" => Self::Stop,
            "vzshutdown" => Self::Shutdown,
            "vzreboot" => Self::Reboot,
            "vzsuspend" => Self::Suspend,
            "vzresume" => Self::Resume,
            "vzcreate" => Self::Create,
            "vzrestore" => Self::Restore,
            "vzdestroy" => Self::Delete,
            "vzclone" => Self::Clone,
            "vztemplate" => Self::MakeTemplate,
            "vzsnapshot" => Self::Snapshot,
            "vzdelsnapshot" => Self::DeleteSnapshot,
            "vzrollback" => Self::Rollback,
            "vzmigrate" | "hamigrate" => Self::Migrate,
            "vzdump" => Self::Backup,
            "resize" => Self::Resize,
            "move_volume" => Self::MoveVolume,
            _ => return None,
        })
    }

    /// While it goes on.
    pub fn under_way(self) -> &'static str {
        match self {
            Self::Start => "Starting…",
            Self::Stop => "Stopping…",
            Self::Shutdown => "Shutting down…",
            Self::Reboot => "Restarting…",
            Self::Suspend => "Suspending…",
            Self::Resume => "Resuming…",
            Self::Create => "Creating…",
            Self::Restore => "Restoring…",
            Self::Delete => "Deleting…",
            Self::Clone => "Cloning…",
            Self::MakeTemplate => "Becoming a template…",
            Self::Snapshot => "Taking a snapshot…",
            Self::DeleteSnapshot => "Deleting a snapshot…",
            Self::Rollback => "Rolling back…",
            Self::Migrate => "Migrating…",
            Self::Backup => "Backing up…",
            Self::Resize => "Resizing…",
            Self::MoveVolume => "Moving a volume…",
        }
    }
}

/// What a running container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of its cores, in percent, 0 to 999.
    pub cpu_percent: u16,
    /// Bytes in use. A change that is less than a percent of the limit is not told.
    pub memory: u64,
    /// Bytes it may use.
    pub memory_limit: u64,
    /// When it was started, in epoch seconds by the server's clock.
    pub started_at: i64,
}

impl Usage {
    /// Of its limit, in percent.
    pub fn memory_percent(&self) -> u16 {
        percent(self.memory, self.memory_limit)
    }
}

/// A part of a whole in percent, rounded; 0 of nothing.
pub fn percent(part: u64, whole: u64) -> u16 {
    if whole == 0 { 0 } else { (part as f64 / whole as f64 * 100.0).round().min(999.0) as u16 }
}

/// A node in the strip above the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub name: NodeName,
    /// Whether it is part of the cluster's quorum.
    pub online: bool,
    /// How it answers, as far as anybody has asked about a container of its. One that is not online is gone.
    pub reach: Reach,
    /// Since when it does not answer well, as far as Berth has seen, in epoch seconds.
    pub away_since: Option<i64>,
    /// CPU and memory in percent, where the user may see them (Sys.Audit).
    pub cpu_percent: Option<u16>,
    /// In percent.
    pub memory_percent: Option<u16>,
    /// How full the fullest is of its root disk and those of its storages that the user may see (Datastore.Audit), in percent.
    pub disk_percent: Option<u16>,
    /// Which storage that is; none where it is the root disk.
    pub storage: Option<StorageName>,
}

impl NodeRow {
    /// The most of its figures, in percent.
    pub fn fullest(&self) -> Option<u16> {
        [self.cpu_percent, self.memory_percent, self.disk_percent].into_iter().flatten().max()
    }
}

/// What the list shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerList {
    /// Sorted by name, then number.
    pub rows: Vec<ContainerRow>,
    /// Sorted: in trouble first, then by name.
    pub nodes: Vec<NodeRow>,
    /// What is under way on them, and what has ended lately.
    pub operations: Vec<OperationLine>,
    /// When Proxmox said so, in epoch seconds; none where it has not said anything yet.
    pub as_of: Option<i64>,
    /// The server's time of this answer: what relative times are relative to.
    pub now: i64,
    /// Why this is not fresh.
    pub trouble: Option<AppError>,
}

impl ContainerList {
    /// How many have this status.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

/// How a cluster answers, or a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It does.
    Answers,
    /// It takes longer than a page can wait.
    Slow,
    /// It cannot be reached.
    Gone,
    /// Its certificate is not the one that we trust: nothing is sent to it.
    CertificateChanged,
    /// It answers, with an error.
    Failing,
}

impl Reach {
    /// What a trouble makes of it.
    pub fn of(trouble: Option<&AppError>) -> Self {
        match trouble {
            None => Self::Answers,
            Some(AppError::ClusterSlow { .. }) => Self::Slow,
            Some(AppError::ClusterUnreachable { .. }) => Self::Gone,
            Some(AppError::CertificateUntrusted { .. }) => Self::CertificateChanged,
            Some(_) => Self::Failing,
        }
    }
}

/// A cluster, as its user finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Its name.
    pub name: ClusterName,
    /// How it answers.
    pub reach: Reach,
    /// Since when it does so, as far as Berth has seen, in epoch seconds; none where it has not been asked yet.
    pub since: Option<i64>,
    /// Whether the user may see any container at all (VM.Audit anywhere): an empty list is for lack of containers.
    pub may_audit: bool,
}

/// A part of the list, as a query sorts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Those of this part.
    pub rows: Vec<ContainerRow>,
    /// At which place it begins, from 0.
    pub from: usize,
    /// How many rows fit the query.
    pub total: usize,
    /// Of each status, among those that fit the query but for its status.
    pub counts: Counts,
    /// What is under way on these rows, what the user has under way elsewhere, and what has ended lately on any row of theirs.
    pub operations: Vec<OperationLine>,
    /// Sorted: in trouble first, then by name.
    pub nodes: Vec<NodeRow>,
    /// How the cluster answers.
    pub cluster: ClusterRow,
    /// When Proxmox said so, in epoch seconds; none where it has not said anything yet.
    pub as_of: Option<i64>,
    /// The server's time of this answer: what relative times are relative to.
    pub now: i64,
    /// Why this is not fresh.
    pub trouble: Option<AppError>,
}

/// Why something cannot be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Start, and it runs.
    AlreadyRunning,
    /// Stop or shut down, and it does not run.
    NotRunning,
    /// A template cannot be started.
    Template,
    /// Something holds its configuration.
    Locked(Lock),
    /// Its node does not answer.
    NodeOffline,
    /// Proxmox does not allow this user to.
    NoPrivilege,
    /// Proxmox does not allow this user to delete it.
    MayNotDelete,
}

impl Refusal {
    /// Why, and when it is allowed again.
    pub fn sentence(self) -> String {
        match self {
            Self::AlreadyRunning => "Already running.".to_owned(),
            Self::NotRunning => "Not running.".to_owned(),
            Self::Template => "A template cannot be started.".to_owned(),
            Self::Locked(Lock::Other) => "Locked by Proxmox. Allowed again when the lock is gone.".to_owned(),
            Self::Locked(lock) => format!("Locked: {}. Allowed again when it ends.", lock.word()),
            Self::NodeOffline => "Its node does not answer. Allowed again when it does.".to_owned(),
            Self::NoPrivilege => "Your Proxmox account may not: it needs VM.PowerMgmt on this container.".to_owned(),
            Self::MayNotDelete => "Your Proxmox account may not: it needs VM.Allocate on this container.".to_owned(),
        }
    }
}

/// Whether a verb is allowed now, as far as this row can tell. Shared by the button, the service and the tests.
pub fn may(verb: Verb, row: &ContainerRow) -> Result<(), Refusal> {
    match verb {
        Verb::Delete if !row.may_delete => return Err(Refusal::MayNotDelete),
        // a removal stops first what runs
        Verb::Delete if row.may_power || row.status == Status::Stopped => {}
        _ if !row.may_power => return Err(Refusal::NoPrivilege),
        _ => {}
    }
    if !row.node_online {
        return Err(Refusal::NodeOffline);
    }
    match (verb, row.status) {
        (Verb::Delete, _) => {}
        _ if row.template => return Err(Refusal::Template),
        (Verb::Start, Status::Running) => return Err(Refusal::AlreadyRunning),
        (Verb::Shutdown | Verb::Stop, Status::Stopped) => return Err(Refusal::NotRunning),
        _ => {}
    }
    match row.lock {
        None => Ok(()),
        // `mounted` does not stop start or stop (PVE/API2/LXC/Status.pm)
        Some(Lock::Mounted) if matches!(verb, Verb::Start | Verb::Stop) => Ok(()),
        Some(lock) => Err(Refusal::Locked(lock)),
    }
}

/// Why a verb cannot be asked for now: something is being done already, by us (`operation`) or by somebody else, or [`may`] says so. What
/// a row, a page and the question about many go by.
pub fn hindrance(verb: Verb, row: &ContainerRow, operation: Option<&OperationLine>) -> Option<String> {
    let ours = operation.and_then(|operation| operation.under_way).map(Verb::under_way);
    match ours.or_else(|| row.task.as_ref().map(|task| task.kind.under_way())) {
        Some(under_way) => Some(format!("{under_way} Allowed again when that ends.")),
        None => may(verb, row).err().map(Refusal::sentence),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// CT 101, `web`.
    pub fn row(status: Status) -> ContainerRow {
        ContainerRow {
            id: "0190163d8694739baea5966c26f8ad91".parse().unwrap(),
            cluster: "homelab".parse().unwrap(),
            vmid: 101.try_into().unwrap(),
            name: "web".into(),
            node: "pve1".parse().unwrap(),
            node_online: true,
            status,
            lifecycle: Lifecycle::Ready,
            lock: None,
            template: false,
            template_name: None,
            tags: vec![],
            usage: None,
            cores: None,
            last_seen: None,
            task: None,
            may_power: true,
            may_delete: false,
            addresses: vec![],
            history: vec![],
            services: vec![],
            last_event: None,
        }
    }

    #[test]
    fn what_runs_can_be_stopped_and_what_stands_can_be_started() {
        assert_eq!(may(Verb::Start, &row(Status::Stopped)), Ok(()));
        assert_eq!(may(Verb::Start, &row(Status::Running)), Err(Refusal::AlreadyRunning));
        for verb in [Verb::Shutdown, Verb::Stop] {
            assert_eq!(may(verb, &row(Status::Running)), Ok(()));
            assert_eq!(may(verb, &row(Status::Stopped)), Err(Refusal::NotRunning));
        }
    }

    #[test]
    fn a_lock_refuses_and_mounted_does_not() {
        let locked = |lock| ContainerRow { lock: Some(lock), ..row(Status::Running) };
        assert_eq!(may(Verb::Stop, &locked(Lock::Backup)), Err(Refusal::Locked(Lock::Backup)));
        assert_eq!(may(Verb::Stop, &locked(Lock::Mounted)), Ok(()));
        assert_eq!(may(Verb::Shutdown, &locked(Lock::Mounted)), Err(Refusal::Locked(Lock::Mounted)));
    }

    #[test]
    fn a_removal_has_a_right_of_its_own() {
        let running = row(Status::Running);
        assert_eq!(may(Verb::Delete, &running), Err(Refusal::MayNotDelete));
        assert_eq!(may(Verb::Delete, &ContainerRow { may_delete: true, template: true, ..running.clone() }), Ok(()));
        assert_eq!(may(Verb::Delete, &ContainerRow { may_delete: true, may_power: false, ..running }), Err(Refusal::NoPrivilege));
    }

    #[test]
    fn rights_come_before_everything_else() {
        let row = ContainerRow { may_power: false, node_online: false, template: true, ..row(Status::Running) };
        assert_eq!(may(Verb::Start, &row), Err(Refusal::NoPrivilege));
        assert_eq!(may(Verb::Start, &ContainerRow { may_power: true, ..row.clone() }), Err(Refusal::NodeOffline));
        assert_eq!(may(Verb::Start, &ContainerRow { may_power: true, node_online: true, ..row }), Err(Refusal::Template));
    }
}
