//! The verbs of containers.

use super::{
    inventory::{Inventory, Viewer},
    model::{ContainerList, ContainerRow, NodeRow, Outcome, Status, Usage, Verb, may, percent},
};
use crate::{
    auth,
    error::{AppError, Lock},
    proxmox::{
        self, Client,
        ids::{NodeName, Upid, Vmid},
        tasks::TaskEnd,
        wire::{ClusterResources, LxcStatus, Permissions, Resource, RunState},
    },
    server::{Context, Error, telemetry},
};
use std::{collections::BTreeSet, time::Duration};
use time::OffsetDateTime;
use tracing::Instrument;

/// How long Proxmox waits for a clean shutdown before it stops hard (its own default, FACTS §6).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a verb waits for its task. A shutdown that has to be forced takes its time-out and a little more (REAL.md, Tasks).
const TASK_LIMIT: Duration = Duration::from_secs(90);

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Every container that the user may see: fresh where Proxmox answers within the page's budget, else the last good list with the reason.
pub async fn list_containers(context: &Context) -> Result<ContainerList, Error> {
    let inventory = context.state.slice::<Inventory>();
    let budget = context.state.page_budget();
    let viewer: Viewer = (context.cluster.name.clone(), context.user.clone());
    let asked = inventory.refresh(&viewer, fetch(context.clone()));
    let trouble = match tokio::time::timeout(budget, asked).await {
        Ok(Ok(())) => None,
        // the question may have been asked with the ticket of another session of the same user; our own decides about ours
        Ok(Err(AppError::SignedOut)) => {
            let list = fetch(context.clone()).await?;
            inventory.keep(viewer.clone(), list);
            None
        }
        Ok(Err(error)) => Some(error),
        Err(_) => Some(auth::service::too_slow(&context.cluster, "GET /cluster/resources", budget).into()),
    };
    let known = inventory.last_good(&viewer);
    let nothing = ContainerList { rows: vec![], nodes: vec![], as_of: None, now: 0, trouble: None };
    Ok(ContainerList { now: now(), trouble, ..known.unwrap_or(nothing) })
}

/// Asks Proxmox for everything that the list shows, in two calls.
async fn fetch(context: Context) -> Result<ContainerList, Error> {
    let client = auth::service::create_proxmox_client_from_session(&context).await?;
    let answers = futures::try_join!(client.cluster_resources(ClusterResources::All), client.access_permissions());
    let (resources, permissions) = answers.map_err(|e| auth::service::of_cluster(&context.cluster, e))?;
    Ok(container_list(&resources, &permissions, now()))
}

fn container_list(resources: &[Resource], permissions: &Permissions, now: i64) -> ContainerList {
    let offline: BTreeSet<&NodeName> =
        resources.iter().filter(|r| r.kind == "node" && r.status != Some(RunState::Online)).filter_map(|r| r.node.as_ref()).collect();
    let rows = resources.iter().filter(|r| r.kind == "lxc").filter_map(|r| container_row(r, &offline, permissions, now)).collect();
    let nodes = resources.iter().filter(|r| r.kind == "node").filter_map(node_row).collect();
    let mut list = ContainerList { rows, nodes, as_of: Some(now), now, trouble: None };
    list.sort();
    list
}

fn container_row(resource: &Resource, offline: &BTreeSet<&NodeName>, permissions: &Permissions, now: i64) -> Option<ContainerRow> {
    let (vmid, node) = (resource.vmid?, resource.node.clone()?);
    let status = status_of(resource.status.as_ref());
    let usage = || {
        Some(Usage {
            cpu_percent: fraction_percent(resource.cpu?),
            memory: resource.mem?,
            memory_limit: resource.maxmem?,
            started_at: now - i64::try_from(resource.uptime?).ok()?,
        })
    };
    Some(ContainerRow {
        vmid,
        name: resource.name.clone().unwrap_or_else(|| format!("CT {vmid}")),
        node_online: !offline.contains(&node),
        node,
        status,
        lock: resource.lock.as_deref().map(Lock::of),
        template: resource.template,
        tags: resource.tags.clone(),
        usage: if status == Status::Running { usage() } else { None },
        may_power: holds(permissions, &format!("/vms/{vmid}"), "VM.PowerMgmt"),
    })
}

fn node_row(resource: &Resource) -> Option<NodeRow> {
    let of = |part: Option<u64>, whole: Option<u64>| Some(percent(part?, whole?));
    Some(NodeRow {
        name: resource.node.clone()?,
        online: resource.status == Some(RunState::Online),
        cpu_percent: resource.cpu.map(fraction_percent),
        memory_percent: of(resource.mem, resource.maxmem),
        disk_percent: of(resource.disk, resource.maxdisk),
    })
}

fn status_of(state: Option<&RunState>) -> Status {
    match state {
        Some(RunState::Running) => Status::Running,
        Some(RunState::Stopped) => Status::Stopped,
        _ => Status::Unknown,
    }
}

fn fraction_percent(fraction: f64) -> u16 {
    (fraction * 100.0).round().clamp(0.0, 999.0) as u16
}

/// Whether `GET /access/permissions` grants a privilege on a path: what stands at the path itself, else at the nearest path above that
/// hands it down (value 1; 0 holds for that path alone).
fn holds(permissions: &Permissions, path: &str, privilege: &str) -> bool {
    if let Some(here) = permissions.get(path) {
        return here.contains_key(privilege);
    }
    let mut above = path;
    while let Some((parent, _)) = above.rsplit_once('/') {
        let parent = if parent.is_empty() { "/" } else { parent };
        if let Some(granted) = permissions.get(parent) {
            return granted.get(privilege).is_some_and(|handed_down| handed_down == 1 || handed_down == "1");
        }
        if parent == "/" {
            return false;
        }
        above = parent;
    }
    false
}

/// Carries a verb out and waits for its end. It goes on to its end, and its failure is logged, where the browser goes away.
pub async fn act(context: Context, verb: Verb, vmid: Vmid) -> Result<Outcome, Error> {
    let span = tracing::info_span!("verb", user = %context.user, ?verb, %vmid);
    let work = async move { carry_out(context, verb, vmid).await.map_err(AppError::from) };
    tokio::spawn(work.instrument(span)).await?.map_err(Error::Answer)
}

async fn carry_out(context: Context, verb: Verb, vmid: Vmid) -> Result<Outcome, Error> {
    let client = auth::service::create_proxmox_client_from_session(&context).await?;
    let row = find(&context, &client, vmid).await?;
    let failed = |source| of_container(&context, &row, source);
    if let Some(answer) = may(verb, &row).err().and_then(|refusal| refusal.error(&row)) {
        return Err(Error::Answer(answer));
    }
    let upid = call(&client, verb, &row.node, vmid).await.map_err(failed)?;
    tracing::info!(%upid, "started a task");
    let end = client.wait_for_task(&upid, TASK_LIMIT).await.map_err(failed)?;
    tracing::info!(%upid, ?end, "the wait for the task ended");
    if end == TaskEnd::StillRunning {
        return Ok(Outcome::StillRunning);
    }
    // The task of a container under HA is OK long before the container follows; what it does is the end (DESIGN §8.8).
    let current = match client.lxc_status_current(&row.node, vmid).await {
        Ok(current) => status_of(Some(&current.status)),
        Err(error) => {
            tracing::warn!("the task ended well, but the status cannot be read: {}", telemetry::chain(&error));
            Status::Unknown
        }
    };
    if current != verb.goal() {
        return Ok(Outcome::StillRunning);
    }
    context.state.slice::<Inventory>().note_exact(&context.cluster.name, vmid, current);
    Ok(Outcome::Done { warnings: end == TaskEnd::Warnings })
}

/// The container as the cluster lists it for this user, its status and lock read from itself. That read blocks while the container
/// starts, so it is left out where the list cannot be acted on anyway.
async fn find(context: &Context, client: &Client, vmid: Vmid) -> Result<ContainerRow, Error> {
    let list = fetch(context.clone()).await?;
    let not_found = || Error::Answer(AppError::ContainerNotFound { vmid });
    let row = list.rows.into_iter().find(|row| row.vmid == vmid).ok_or_else(not_found)?;
    if !row.may_power || !row.node_online {
        return Ok(row);
    }
    let current: LxcStatus = client.lxc_status_current(&row.node, vmid).await.map_err(|e| of_container(context, &row, e))?;
    context.state.slice::<Inventory>().note_exact(&context.cluster.name, vmid, status_of(Some(&current.status)));
    Ok(ContainerRow {
        status: status_of(Some(&current.status)),
        lock: current.lock.as_deref().map(Lock::of),
        template: current.template,
        ..row
    })
}

/// An error of a call that is about one container.
fn of_container(context: &Context, row: &ContainerRow, source: proxmox::Error) -> Error {
    let cluster = context.cluster.name.clone();
    Error::Proxmox { cluster, node: Some(row.node.clone()), vmid: Some(row.vmid), source: Box::new(source) }
}

async fn call(client: &Client, verb: Verb, node: &NodeName, vmid: Vmid) -> Result<Upid, proxmox::Error> {
    match verb {
        Verb::Start => client.lxc_start(node, vmid).await,
        Verb::Shutdown => client.lxc_shutdown(node, vmid, SHUTDOWN_TIMEOUT, true).await,
        Verb::Stop => client.lxc_stop(node, vmid, false).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn permissions(value: serde_json::Value) -> Permissions {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_right_on_the_container_itself_outranks_the_rights_above() {
        let rights = permissions(json!({"/": {"VM.PowerMgmt": 1}, "/vms/101": {"VM.Audit": 1}}));
        assert!(!holds(&rights, "/vms/101", "VM.PowerMgmt"));
        assert!(holds(&rights, "/vms/102", "VM.PowerMgmt"));
    }

    #[test]
    fn a_right_that_is_not_handed_down_holds_for_its_path_alone() {
        let rights = permissions(json!({"/vms": {"VM.PowerMgmt": 0}}));
        assert!(holds(&rights, "/vms", "VM.PowerMgmt"));
        assert!(!holds(&rights, "/vms/101", "VM.PowerMgmt"));
        assert!(!holds(&permissions(json!({})), "/vms/101", "VM.PowerMgmt"));
    }

    #[test]
    fn the_list_shows_containers_only_and_marks_those_on_an_offline_node() {
        let resources: Vec<Resource> = serde_json::from_value(json!([
            {"type": "node", "node": "pve1", "status": "online", "cpu": 0.25, "mem": 1, "maxmem": 4},
            {"type": "node", "node": "pve2", "status": "offline"},
            {"type": "qemu", "vmid": 100, "node": "pve1", "status": "running", "name": "vm"},
            {"type": "lxc", "vmid": 103, "node": "pve2", "status": "unknown"},
            {"type": "lxc", "vmid": 101, "node": "pve1", "status": "running", "name": "web", "cpu": 0.125, "maxcpu": 2, "mem": 512, "maxmem": 1024, "uptime": 60}
        ]))
        .unwrap();
        let list = container_list(&resources, &permissions(json!({"/vms/101": {"VM.PowerMgmt": 1}})), 1000);
        let names: Vec<_> = list.rows.iter().map(|r| (r.name.as_str(), r.node_online, r.may_power)).collect();
        assert_eq!(names, [("CT 103", false, false), ("web", true, true)]);
        assert_eq!(list.rows[1].usage, Some(Usage { cpu_percent: 13, memory: 512, memory_limit: 1024, started_at: 940 }));
        assert_eq!(list.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["pve2", "pve1"]);
        assert_eq!((list.nodes[1].cpu_percent, list.nodes[1].memory_percent, list.nodes[1].disk_percent), (Some(25), Some(25), None));
    }
}
