//! What crosses the wire about containers, and the rules that button, service and tests share.

use crate::{
    error::{AppError, Lock},
    operations::model::{ContainerId, OperationLine, Verb},
    proxmox::ids::{NodeName, Vmid},
};
use serde::{Deserialize, Serialize};
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

/// A container in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRow {
    /// Our row for it: what the verbs want.
    pub id: ContainerId,
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
    /// What holds its configuration.
    pub lock: Option<Lock>,
    /// A template cannot be started.
    pub template: bool,
    /// As Proxmox sorts them.
    pub tags: Vec<String>,
    /// The figures, where it runs and its node answers.
    pub usage: Option<Usage>,
    /// Whether the user may start and stop it (VM.PowerMgmt).
    pub may_power: bool,
    /// Whether the user may delete it (VM.Allocate).
    pub may_delete: bool,
}

/// What a running container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of its cores, in percent.
    pub cpu_percent: u16,
    /// Bytes in use.
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
    /// CPU, memory and root disk in percent, where the user may see them (Sys.Audit).
    pub cpu_percent: Option<u16>,
    /// In percent.
    pub memory_percent: Option<u16>,
    /// In percent.
    pub disk_percent: Option<u16>,
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
    /// Puts rows and nodes into the order in which they are shown.
    pub fn sort(&mut self) {
        self.rows.sort_by_cached_key(|row| (row.name.to_lowercase(), row.vmid));
        self.nodes.sort_by(|a, b| (a.online, &a.name).cmp(&(b.online, &b.name)));
    }

    /// How many have this status.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Status) -> ContainerRow {
        ContainerRow {
            id: "0190163d8694739baea5966c26f8ad91".parse().unwrap(),
            vmid: 101.try_into().unwrap(),
            name: "web".into(),
            node: "pve1".parse().unwrap(),
            node_online: true,
            status,
            lock: None,
            template: false,
            tags: vec![],
            usage: None,
            may_power: true,
            may_delete: false,
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
