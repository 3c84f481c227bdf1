//! Tasks of Proxmox's: where one stands, what its log says, and stopping it.
//!
//! Proxmox shows a task to who started it and to who may audit its node, and lets who started it or may modify its node stop it
//! (PVE/API2/Tasks.pm). What is ours about a stop is written down as an event.

use super::{
    model::{ContainerId, OperationId, OperationState, Stage},
    service,
    store::OperationRow,
};
use crate::{
    auth,
    containers::{service as containers, store as container_store},
    error::AppError,
    events::{
        filter::Ended,
        model::EventKind,
        store::{NewEventRow, create_container_event},
        view::was_broken_off,
    },
    proxmox::{
        self, Cause, Client,
        client::TaskFilter,
        error::Thing,
        ids::{Upid, Vmid},
        wire::{Permissions, TaskRunState},
    },
    server::{Context, Error},
};
use futures::future::join_all;
use std::future::Future;
use tokio::time::{Instant, timeout_at};

/// How many lines of a log a page shows where nobody has asked for all of them.
pub const LINES: u64 = 1000;
/// How many it shows where somebody has; what is beyond can be downloaded.
const ALL_LINES: u64 = 50_000;

/// A task as a page shows it.
#[derive(Debug)]
pub struct TaskSeen {
    /// Which.
    pub upid: Upid,
    /// How it ended, where Proxmox tells.
    pub ended: Result<Ended, AppError>,
    /// Whether somebody asked it to end.
    pub was_broken_off: bool,
    /// When it ended, in epoch seconds.
    pub endtime: Option<i64>,
    /// What it says.
    pub log: Result<LogSeen, AppError>,
    /// Why this user cannot stop it.
    pub stop: Result<(), StopRefusal>,
}

/// A log as it is now.
#[derive(Debug)]
pub struct LogSeen {
    /// Its last lines.
    pub lines: Vec<String>,
    /// How many there are in all.
    pub total: u64,
}

/// Why a task cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRefusal {
    /// It has ended, or nobody could see whether it has.
    NotRunning,
    /// Proxmox does not allow this user to.
    NoPrivilege,
}

impl StopRefusal {
    /// Why, and when it is allowed.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotRunning => "It does not run.",
            Self::NoPrivilege => "Your Proxmox account may not: it is somebody else's, and that needs Sys.Modify on its node.",
        }
    }
}

/// Whether a user may stop a task, as far as is known before Proxmox is asked.
fn may_stop(user: &str, upid: &Upid, ended: Option<Ended>, permissions: Option<&Permissions>) -> Result<(), StopRefusal> {
    let may_modify = || permissions.is_some_and(|may| containers::holds(may, &format!("/nodes/{}", upid.node()), "Sys.Modify"));
    match ended {
        Some(Ended::Running) if upid.is_of(user) || may_modify() => Ok(()),
        Some(Ended::Running) => Err(StopRefusal::NoPrivilege),
        _ => Err(StopRefusal::NotRunning),
    }
}

fn error_of(context: &Context, upid: &Upid, source: proxmox::Error) -> Error {
    if matches!(source.cause, Cause::NotFound { what: Thing::Task, .. }) {
        return Error::Answer(AppError::NoSuchTask);
    }
    let (cluster, vmid) = (context.cluster.name.clone(), upid.id().parse().ok());
    Error::Proxmox { cluster, node: Some(upid.node()), vmid, source: Box::new(source) }
}

/// What Proxmox says of some tasks, each within what a page can wait; what does not come in time is missing with a reason.
pub async fn look_at(context: &Context, upids: &[Upid], has_all_lines: bool) -> Result<Vec<TaskSeen>, Error> {
    let until = Instant::now() + context.state.page_budget();
    let client = match timeout_at(until, auth::service::create_proxmox_client_from_session(context)).await {
        Ok(client) => client?,
        Err(_) => return Ok(upids.iter().map(|upid| unseen(context, upid)).collect()),
    };
    let most = if has_all_lines { ALL_LINES } else { LINES };
    let permissions = async { timeout_at(until, client.access_permissions()).await.ok()?.ok() };
    let seen = join_all(upids.iter().map(|upid| look_at_one(context, &client, upid, most, until)));
    let (permissions, mut seen) = futures::join!(permissions, seen);
    for task in &mut seen {
        task.stop = may_stop(context.user.as_str(), &task.upid, task.ended.as_ref().ok().copied(), permissions.as_ref());
    }
    Ok(seen)
}

/// A task of which nothing came in time.
fn unseen(context: &Context, upid: &Upid) -> TaskSeen {
    let error = AppError::from(auth::service::too_slow(&context.cluster, "POST /access/ticket", context.state.page_budget()));
    TaskSeen {
        upid: upid.clone(),
        ended: Err(error.clone()),
        was_broken_off: false,
        endtime: None,
        log: Err(error),
        stop: Err(StopRefusal::NotRunning),
    }
}

async fn look_at_one(context: &Context, client: &Client, upid: &Upid, most: u64, until: Instant) -> TaskSeen {
    let (status, end, log) = futures::join!(
        in_time(context, upid, until, "GET /nodes/{node}/tasks/{upid}/status", client.task_status(upid)),
        in_time(context, upid, until, "GET /nodes/{node}/tasks", endtime(client, upid)),
        in_time(context, upid, until, "GET /nodes/{node}/tasks/{upid}/log", client.task_log_end(upid, most)),
    );
    let exit = status.as_ref().ok().and_then(|status| status.exitstatus.as_deref());
    let was_broken_off = was_broken_off(exit);
    let ended = status.map(|status| match (status.status, status.exitstatus) {
        (TaskRunState::Stopped, exit) => Ended::of_exit(Some(exit.as_deref().unwrap_or("unknown"))),
        _ => Ended::Running,
    });
    TaskSeen {
        upid: upid.clone(),
        ended,
        was_broken_off,
        // what is missing here, `ended` has said
        endtime: end.ok().flatten(),
        log: log.map(|(lines, total)| LogSeen { lines, total }),
        stop: Err(StopRefusal::NotRunning),
    }
}

async fn in_time<T>(
    context: &Context,
    upid: &Upid,
    until: Instant,
    call: &'static str,
    work: impl Future<Output = Result<T, proxmox::Error>>,
) -> Result<T, AppError> {
    let answer = match timeout_at(until, work).await {
        Ok(answer) => answer.map_err(|source| error_of(context, upid, source)),
        Err(_) => Err(auth::service::too_slow(&context.cluster, call, context.state.page_budget())),
    };
    answer.map_err(AppError::from)
}

/// When a task ended: only the list says so, its status does not (REAL.md, Tasks).
async fn endtime(client: &Client, upid: &Upid) -> Result<Option<i64>, proxmox::Error> {
    let at = Some(upid.starttime());
    let kind = Some(upid.kind().to_owned());
    let filter = TaskFilter { running_too: true, vmid: upid.id().parse().ok(), kind, since: at, until: at, ..TaskFilter::default() };
    let (tasks, _) = client.tasks(&upid.node(), &filter).await?;
    Ok(tasks.into_iter().find(|task| task.upid == *upid).and_then(|task| task.endtime))
}

/// The number that a task is about, for who may audit it now.
pub async fn audited_task(context: &Context, upid: &Upid) -> Result<Vmid, Error> {
    let vmid = upid.id().parse().map_err(|_| Error::Answer(AppError::NoSuchTask))?;
    match service::audited_number(context, vmid).await {
        Ok(()) => Ok(vmid),
        Err(Error::Answer(AppError::NoSuchContainer)) => Err(Error::Answer(AppError::NoSuchTask)),
        Err(error) => Err(error),
    }
}

/// The task that an operation waits for, where there is one.
pub fn awaited(row: &OperationRow) -> Option<&Upid> {
    row.upid.as_ref().filter(|_| row.state == OperationState::Open && row.stage == Stage::Waiting)
}

/// Which container's history a stop belongs to.
struct About {
    container: ContainerId,
    vmid: Vmid,
    hostname: String,
    operation: Option<OperationId>,
}

/// Stops the task that an operation waits for; the operation sees that it has ended, and goes on or fails as it would with any other end.
pub async fn stop_operation(context: &Context, id: &OperationId) -> Result<(), Error> {
    let row = service::read_operation(context, id).await?;
    let upid = awaited(&row).cloned().ok_or(Error::Answer(AppError::NothingToStop))?;
    let about = About { container: row.container_id, vmid: row.vmid, hostname: row.hostname, operation: Some(row.id) };
    stop(context, about, &upid).await
}

/// Stops a task, whoever began it.
pub async fn stop_task(context: &Context, upid: &Upid) -> Result<(), Error> {
    let vmid = audited_task(context, upid).await?;
    let find = async || container_store::find_living(context.state.db(), &context.cluster.name, vmid).await;
    let mut living = find().await.map_err(|e| Error::Db("read a container", e))?;
    if living.is_none() {
        // nobody has listed it yet, which gives it its row
        containers::list_containers(context).await?;
        living = find().await.map_err(|e| Error::Db("read a container", e))?;
    }
    let living = living.ok_or(Error::Answer(AppError::NoSuchTask))?;
    let about = About { container: living.id, vmid, hostname: living.hostname, operation: None };
    stop(context, about, upid).await
}

/// Asks Proxmox, and writes down who did, whatever the answer.
async fn stop(context: &Context, about: About, upid: &Upid) -> Result<(), Error> {
    let client = auth::service::create_proxmox_client_from_session(context).await?;
    let failed = |source| error_of(context, upid, source);
    let status = client.task_status(upid).await.map_err(failed)?;
    if status.status == TaskRunState::Stopped {
        return Err(Error::Answer(AppError::NothingToStop));
    }
    let asked = client.task_abort(upid).await.map_err(failed).map_err(AppError::from);
    let (kind, code) = match &asked {
        Ok(()) => (EventKind::TaskStopped, "ok"),
        Err(error @ AppError::Forbidden { .. }) => (EventKind::Refused, error.code()),
        Err(error) => (EventKind::Failed, error.code()),
    };
    let event = NewEventRow {
        container_id: about.container,
        cluster: context.cluster.name.clone(),
        vmid: about.vmid,
        hostname: about.hostname,
        kind,
        actor: context.user.clone(),
        source: context.source.map(|address| address.to_string()),
        operation_id: about.operation,
        verb: None,
        upid: Some(upid.clone()),
        code: code.to_owned(),
        manner: None,
        before: None,
        after: None,
    };
    create_container_event(context.state.db(), &event).await.map_err(|e| Error::Db("write an event", e))?;
    tracing::info!(user = %context.user, %upid, code, "a task was to be stopped");
    asked.map_err(Error::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_running_task_is_stopped_by_who_began_it_or_may_modify_its_node() {
        let upid: Upid = "UPID:pve1:00000741:00029807:6B0325C5:vzdump:103:root@pam:".parse().unwrap();
        let node: Permissions = serde_json::from_value(json!({"/nodes/pve1": {"Sys.Modify": 1}})).unwrap();
        let running = Some(Ended::Running);
        assert_eq!(may_stop("root@pam", &upid, running, None), Ok(()));
        assert_eq!(may_stop("a@pve", &upid, running, Some(&node)), Ok(()));
        assert_eq!(may_stop("a@pve", &upid, running, None), Err(StopRefusal::NoPrivilege));
        assert_eq!(may_stop("root@pam", &upid, Some(Ended::Ok), None), Err(StopRefusal::NotRunning));
        assert_eq!(may_stop("root@pam", &upid, None, None), Err(StopRefusal::NotRunning));
    }
}
