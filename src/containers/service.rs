//! The list of containers, and what is known of one from Proxmox itself.

use super::{
    identity,
    inventory::{Inventory, Viewer},
    model::{ClusterRow, ContainerList, ContainerRow, NodeRow, Reach, Status, Usage, Window, percent},
    query::Query,
    store::{self, KnownRow, SeenRow},
    tags,
};
use crate::{
    auth,
    error::{AppError, Lock},
    operations::{self, model::ContainerId, probe::StepKind},
    proxmox::{
        self, Cause, Client,
        client::TaskFilter,
        error::{Thing, missing_configuration},
        ids::{ClusterName, NodeName, Upid, Vmid},
        wire::{ClusterResources, Permissions, Resource, RunState},
    },
    server::{Context, Error},
};
use std::collections::{BTreeSet, HashMap};
use time::OffsetDateTime;

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
    let nothing = ContainerList { rows: vec![], nodes: vec![], operations: vec![], as_of: None, now: 0, trouble: None };
    let known = known.unwrap_or(nothing);
    let now = now();
    let status_of = |id: &ContainerId| known.rows.iter().find(|row| row.id == *id).map(|row| row.status);
    let current = operations::service::list_current(context, &known.rows).await?;
    let operations = current.iter().map(|operation| operation.in_list(status_of(&operation.container), now)).collect();
    Ok(ContainerList { operations, now, trouble, ..known })
}

/// A part of the user's list, as `query` sorts it: `count` rows from the place `from` on.
pub async fn window(context: &Context, query: &Query, from: usize, count: usize) -> Result<Window, Error> {
    let list = list_containers(context).await?;
    let order = query.order(&list.rows);
    let rows: Vec<ContainerRow> = order.iter().skip(from).take(count).map(|place| list.rows[*place as usize].clone()).collect();
    let cluster = ClusterRow {
        name: context.cluster.name.clone(),
        reach: Reach::of(list.trouble.as_ref()),
        since: None,
        may_audit: !list.rows.is_empty(),
    };
    let counts = query.count(&list.rows);
    Ok(Window {
        rows,
        from,
        total: order.len(),
        counts,
        operations: list.operations,
        nodes: list.nodes,
        cluster,
        as_of: list.as_of,
        now: list.now,
        trouble: list.trouble,
    })
}

/// Asks Proxmox for everything that the list shows, in two calls.
async fn fetch(context: Context) -> Result<ContainerList, Error> {
    let client = auth::service::create_proxmox_client_from_session(&context).await?;
    look(&context, &client).await
}

async fn look(context: &Context, client: &Client) -> Result<ContainerList, Error> {
    let ask = async { futures::try_join!(client.cluster_resources(ClusterResources::All), client.access_permissions()) };
    let answers = operations::service::probe(context).around(StepKind::List, None, ask).await;
    let (resources, permissions) = answers.map_err(|e| auth::service::of_cluster(&context.cluster, e))?;
    let ids = reconcile(context, &resources).await?;
    Ok(container_list(&context.cluster.name, &resources, &permissions, &ids, now()))
}

/// Asks Proxmox once more and keeps the answer as the user's last good list, so that our rows follow at once.
pub async fn look_again(context: &Context, client: &Client) -> Result<(), Error> {
    let list = look(context, client).await?;
    context.state.slice::<Inventory>().keep((context.cluster.name.clone(), context.user.clone()), list);
    Ok(())
}

/// Brings our rows in line with what a user sees: what is new gets a row, what has changed follows, and what is not in the list is left as
/// it is, because it may only be invisible to this user.
async fn reconcile(context: &Context, resources: &[Resource]) -> Result<HashMap<Vmid, KnownRow>, Error> {
    let of_kind = |kind: &'static str| resources.iter().filter(move |r| r.kind == kind);
    let online: Vec<NodeName> = of_kind("node").filter(|r| r.status == Some(RunState::Online)).filter_map(|r| r.node.clone()).collect();
    let seen = of_kind("lxc").filter_map(|resource| {
        let (vmid, node) = (resource.vmid?, resource.node.clone()?);
        Some(SeenRow { vmid, node, hostname: resource.name.clone(), status: status_of(resource.status.as_ref()) })
    });
    let seen: Vec<SeenRow> = seen.collect();
    let follow = store::upsert_seen(context.state.db(), &context.cluster.name, &online, &seen);
    let known = operations::service::probe(context).around(StepKind::Follow, None, follow).await;
    known.map_err(|e| Error::Db("bring the containers' rows up to date", e))
}

fn container_list(
    cluster: &ClusterName,
    resources: &[Resource],
    permissions: &Permissions,
    known: &HashMap<Vmid, KnownRow>,
    now: i64,
) -> ContainerList {
    let offline: BTreeSet<&NodeName> =
        resources.iter().filter(|r| r.kind == "node" && r.status != Some(RunState::Online)).filter_map(|r| r.node.as_ref()).collect();
    let rows =
        resources.iter().filter(|r| r.kind == "lxc").filter_map(|r| container_row(cluster, r, &offline, permissions, known, now)).collect();
    let nodes = resources.iter().filter(|r| r.kind == "node").filter_map(node_row).collect();
    let mut list = ContainerList { rows, nodes, operations: vec![], as_of: Some(now), now, trouble: None };
    list.sort();
    list
}

fn container_row(
    cluster: &ClusterName,
    resource: &Resource,
    offline: &BTreeSet<&NodeName>,
    permissions: &Permissions,
    known: &HashMap<Vmid, KnownRow>,
    now: i64,
) -> Option<ContainerRow> {
    let (vmid, node) = (resource.vmid?, resource.node.clone()?);
    let known = known.get(&vmid)?;
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
        id: known.id.clone(),
        cluster: cluster.clone(),
        vmid,
        name: resource.name.clone().unwrap_or_else(|| known.hostname.clone()),
        node_online: !offline.contains(&node),
        node,
        status,
        lifecycle: known.lifecycle,
        lock: resource.lock.as_deref().map(Lock::of),
        template: resource.template,
        template_name: known.template_name.clone(),
        tags: resource.tags.iter().map(|name| tags::coloured(name, None)).collect(),
        cores: resource.maxcpu,
        last_seen: None,
        task: None,
        addresses: vec![],
        history: vec![],
        services: vec![],
        last_event: None,
        usage: if status == Status::Running { usage() } else { None },
        may_power: holds(permissions, &format!("/vms/{vmid}"), "VM.PowerMgmt"),
        may_delete: holds(permissions, &format!("/vms/{vmid}"), "VM.Allocate"),
    })
}

fn node_row(resource: &Resource) -> Option<NodeRow> {
    let of = |part: Option<u64>, whole: Option<u64>| Some(percent(part?, whole?));
    Some(NodeRow {
        name: resource.node.clone()?,
        online: resource.status == Some(RunState::Online),
        away_since: None,
        cpu_percent: resource.cpu.map(fraction_percent),
        memory_percent: of(resource.mem, resource.maxmem),
        disk_percent: of(resource.disk, resource.maxdisk),
    })
}

/// Proxmox's word for it, as ours.
pub fn status_of(state: Option<&RunState>) -> Status {
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
pub fn holds(permissions: &Permissions, path: &str, privilege: &str) -> bool {
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

/// Whether Proxmox says exactly that this node has no such container. Anything else proves nothing.
pub fn is_missing(node: &NodeName, vmid: Vmid, error: &proxmox::Error) -> bool {
    matches!(&error.cause, Cause::NotFound { what: Thing::Container, text } if *text == missing_configuration(node, vmid))
}

/// Whether no other node of this user's list has a container. Where its own node says that it [is missing](is_missing), it is gone
/// (DESIGN §8.2).
pub async fn is_nowhere_else(client: &Client, node: &NodeName, vmid: Vmid) -> bool {
    matches!(find_node(client, vmid).await, Ok(ref other) if other.as_ref().is_none_or(|other| other == node))
}

/// Where a container lives, as the cluster lists it for this user.
pub async fn find_node(client: &Client, vmid: Vmid) -> Result<Option<NodeName>, proxmox::Error> {
    let resources = client.cluster_resources(ClusterResources::Guests).await?;
    Ok(resources.into_iter().find(|r| r.kind == "lxc" && r.vmid == Some(vmid)).and_then(|r| r.node))
}

/// The newest task that made a container under this number, among those that this user sees.
pub async fn maker_of(client: &Client, node: &NodeName, vmid: Vmid) -> Result<Option<Upid>, proxmox::Error> {
    let filter = TaskFilter { running_too: true, vmid: Some(vmid), limit: Some(500), ..TaskFilter::default() };
    let (tasks, _) = client.tasks(node, &filter).await?;
    Ok(identity::maker(&tasks).cloned())
}

#[cfg(test)]
mod tests {
    use super::{super::model::Lifecycle, *};
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
        let known = |n: u32| KnownRow {
            id: ContainerId::fresh(),
            vmid: n.try_into().unwrap(),
            node: "pve2".parse().unwrap(),
            hostname: format!("old{n}"),
            lifecycle: Lifecycle::Ready,
            template_name: None,
            is_recognised: true,
            status: Status::Running,
            status_at: 1,
        };
        let known = [101, 103].map(|n| (Vmid::try_from(n).unwrap(), known(n))).into();
        let cluster = "homelab".parse().unwrap();
        let list = container_list(&cluster, &resources, &permissions(json!({"/vms/101": {"VM.PowerMgmt": 1}})), &known, 1000);
        let names: Vec<_> = list.rows.iter().map(|r| (r.name.as_str(), r.node_online, r.may_power)).collect();
        assert_eq!(names, [("old103", false, false), ("web", true, true)]);
        assert_eq!(list.rows[1].usage, Some(Usage { cpu_percent: 13, memory: 512, memory_limit: 1024, started_at: 940 }));
        assert_eq!(list.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["pve2", "pve1"]);
        assert_eq!((list.nodes[1].cpu_percent, list.nodes[1].memory_percent, list.nodes[1].disk_percent), (Some(25), Some(25), None));
    }
}
