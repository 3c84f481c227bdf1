//! The list of containers, and what is known of one from Proxmox itself.

use super::{
    identity,
    inventory::{Inventory, Post, View},
    model::{ClusterRow, ContainerList, ContainerRow, Reach, Status, Window},
    query::{Counts, Key, Query, Sort},
    snapshot::{Order, Snapshot},
    store,
};
use crate::{
    error::AppError,
    operations::{
        self,
        model::{ContainerId, OperationLine},
    },
    proxmox::{
        self, Cause, Client,
        client::TaskFilter,
        error::{Thing, missing_configuration},
        ids::{NodeName, Upid, UserId, Vmid},
        wire::{ClusterResources, Permissions, RunState},
    },
    server::{Context, Error},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// How old a list may be that tells what its user may hear of: Proxmox lists to nobody what they may not audit (VM.Audit, PVE/API2/Cluster.pm,
/// resources), and a watcher asks every ten seconds.
pub const LIST_WITHIN: Duration = Duration::from_secs(60);

/// How many rows a window has at most.
const MOST_ROWS: usize = 1000;

/// Every container that the user may see: fresh where Proxmox answers within the page's budget, else the last good list with the reason.
pub async fn list_containers(context: &Context) -> Result<ContainerList, Error> {
    let (_, view) = look(context, true).await?;
    let Window { rows, nodes, operations, as_of, now, trouble, .. } = whole(context, view, &Query::default()).await?;
    Ok(ContainerList { rows, nodes, operations, as_of, now, trouble })
}

/// A part of the user's list, as `query` sorts it: `count` rows, at most [`MOST_ROWS`], from the place `from` on. From memory: Proxmox is
/// asked, and waited for within the page's budget, only where this user has not looked for a while.
pub async fn window(context: &Context, query: &Query, from: usize, count: usize) -> Result<Window, Error> {
    let inventory = context.state.slice::<Inventory>();
    let (post, view) = look(context, false).await?;
    let order = order_of(context, &view, query).await?;
    let mut rows = rows_of(&view, order.as_deref(), from, count.min(MOST_ROWS));
    post.watch.histories(&mut rows);
    inventory.errands().fill_in_addresses(&post, &mut rows);
    // our own rows only beside containers that the user may audit now, which is what being in a recent list means (DESIGN §8.1)
    if view.snapshot.as_ref().is_some_and(|snapshot| inventory.is_recent(snapshot, LIST_WITHIN)) {
        relate(context, &mut rows).await?;
    }
    window_of(context, order, view, from, rows).await
}

/// All of the user's list that fits a query, without what only a screen shows beside the rows.
pub async fn fitting(context: &Context, query: &Query) -> Result<Window, Error> {
    let (_, view) = look(context, false).await?;
    whole(context, view, query).await
}

async fn whole(context: &Context, view: View, query: &Query) -> Result<Window, Error> {
    let order = order_of(context, &view, query).await?;
    let rows = rows_of(&view, order.as_deref(), 0, usize::MAX);
    window_of(context, order, view, 0, rows).await
}

/// The order in which a query puts the list. What only the rows of a window have is looked up for all of them then, once for each answer
/// of Proxmox's.
async fn order_of(context: &Context, view: &View, query: &Query) -> Result<Option<Arc<Order>>, Error> {
    let Some(snapshot) = &view.snapshot else { return Ok(None) };
    if let Some(order) = snapshot.known_order(query) {
        return Ok(Some(order));
    }
    let (inventory, db, cluster) = (context.state.slice::<Inventory>(), context.state.db(), &context.cluster.name);
    let is_recent = inventory.is_recent(snapshot, LIST_WITHIN);
    let texts = match query.sort {
        Sort::Services if is_recent => store::list_first_services(db, cluster).await,
        Sort::Event if is_recent => store::list_last_events(db, cluster).await,
        _ => Ok(Vec::new()),
    };
    let texts = texts.map_err(|e| Error::Db("read what the list is sorted by", e))?;
    let mut keys: HashMap<_, _> = texts.into_iter().filter_map(|(id, text)| Some((id, Key::Text(text?)))).collect();
    if query.sort == Sort::Address {
        let addresses = inventory.errands().first_addresses(cluster, &snapshot.rows);
        keys.extend(addresses.into_iter().map(|(id, address)| (id, Key::Address(address))));
    }
    Ok(Some(snapshot.order(query, &keys)))
}

fn rows_of(view: &View, order: Option<&Order>, from: usize, count: usize) -> Vec<ContainerRow> {
    let (Some(snapshot), Some(order)) = (&view.snapshot, order) else { return Vec::new() };
    let places = order.places.iter().skip(from).take(count);
    places.map(|place| ContainerRow::clone(&snapshot.rows[*place as usize])).collect()
}

async fn window_of(
    context: &Context,
    order: Option<Arc<Order>>,
    view: View,
    from: usize,
    mut rows: Vec<ContainerRow>,
) -> Result<Window, Error> {
    let now = context.state.slice::<Inventory>().pace().epoch();
    let (total, counts) = order.map_or((0, Counts::default()), |order| (order.places.len(), order.counts));
    let operations = operations_of(context, view.snapshot.as_deref(), &mut rows, now).await?;
    let cluster = ClusterRow {
        name: context.cluster.name.clone(),
        reach: view.reach.map_or_else(|| Reach::of(view.trouble.as_ref()), |(reach, _)| reach),
        since: view.reach.map(|(_, since)| since),
        may_audit: view.snapshot.as_ref().is_none_or(|snapshot| snapshot.may_audit),
    };
    let (nodes, as_of) = view.snapshot.map(|snapshot| (snapshot.nodes.clone(), snapshot.as_of)).unzip();
    Ok(Window { rows, from, total, counts, operations, nodes: nodes.unwrap_or_default(), cluster, as_of, now, trouble: view.trouble })
}

/// A container as the user's list has it.
pub struct Sight {
    /// None where the list does not have it.
    pub row: Option<ContainerRow>,
    /// What is under way on it, or has ended lately.
    pub operation: Option<OperationLine>,
    /// Whether that is recent enough to tell what the user may hear of ([`LIST_WITHIN`]).
    pub is_recent: bool,
    /// When Proxmox said so, in epoch seconds; none where it has not said anything yet.
    pub as_of: Option<i64>,
    /// The server's time of this answer, in epoch seconds.
    pub now: i64,
    /// Why this is not fresh.
    pub trouble: Option<AppError>,
}

/// One container, from memory; Proxmox is asked where the list does not have it, which may have come about since.
pub async fn sight(context: &Context, id: Option<&ContainerId>) -> Result<Sight, Error> {
    let find = |view: &View| view.snapshot.as_ref().and_then(|snapshot| snapshot.row(id?).cloned());
    let (_, mut view) = look(context, false).await?;
    let mut row = find(&view);
    if row.is_none() && id.is_some() {
        (_, view) = look(context, true).await?;
        row = find(&view);
    }
    let inventory = context.state.slice::<Inventory>();
    let now = inventory.pace().epoch();
    let is_recent = view.snapshot.as_ref().is_some_and(|snapshot| inventory.is_recent(snapshot, LIST_WITHIN));
    let shows = |other: &ContainerId, actor: &UserId| row.is_some() && Some(other) == id && (is_recent || *actor == context.user);
    let current = operations::service::list_current(context, shows).await?;
    let of_it = current.iter().filter(|operation| Some(&operation.container) == id).max_by(|a, b| a.id.cmp(&b.id));
    Ok(Sight {
        operation: of_it.map(|operation| operation.in_list(row.as_ref().map(|row| row.status), now)),
        row: row.map(|row| ContainerRow::clone(&row)),
        is_recent,
        as_of: view.snapshot.map(|snapshot| snapshot.as_of),
        now,
        trouble: view.trouble,
    })
}

/// What is known of the user's cluster, `anew` from Proxmox, or where nobody has watched. What that takes is waited for within the page's
/// budget.
async fn look(context: &Context, anew: bool) -> Result<(Post, View), Error> {
    let inventory = context.state.slice::<Inventory>();
    let budget = context.state.page_budget();
    let mut post = inventory.look(context)?;
    // who was asked for already may have begun without this session's ticket
    for _ in 0..2 {
        if !anew && post.watch.is_warm() {
            // who looks at trouble wants to know whether it is over: it is asked once more, and nobody waits for the answer
            if post.watch.view().trouble.is_some_and(|trouble| Reach::of(Some(&trouble)) != Reach::Slow) {
                drop(inventory.ask(&post, false));
            }
            break;
        }
        match tokio::time::timeout(budget, inventory.ask(&post, anew)).await {
            Ok(Err(AppError::SignedOut)) => {
                if post.watch.is_dead(&context.session) {
                    return Err(Error::NotSignedIn);
                }
                post = inventory.look(context)?;
            }
            Ok(_) => break,
            Err(_) => {
                post.watch.slow(&context.cluster, budget, inventory.pace().epoch());
                break;
            }
        }
    }
    if post.watch.is_dead(&context.session) {
        return Err(Error::NotSignedIn);
    }
    let view = post.watch.view();
    Ok((post, view))
}

/// What we know of containers beside what Proxmox says: their services, and what happened last.
async fn relate(context: &Context, rows: &mut [ContainerRow]) -> Result<(), Error> {
    let ids: Vec<ContainerId> = rows.iter().map(|row| row.id.clone()).collect();
    let related = store::list_containers_with_relations(context.state.db(), &context.cluster.name, Some(&ids)).await;
    let related = related.map_err(|e| Error::Db("read what belongs to the containers", e))?;
    let mut related: HashMap<_, _> = related.into_iter().map(|related| (related.container.id.clone(), related)).collect();
    for row in rows {
        let Some(related) = related.remove(&row.id) else { continue };
        row.services = related.services.into_iter().map(Into::into).collect();
        row.last_event = related.events.into_iter().next().map(|event| Box::new(event.into()));
    }
    Ok(())
}

/// What is under way on the rows of a window or by this user, and what has ended lately. What Berth does itself is told once, and not as
/// a task besides.
async fn operations_of(
    context: &Context,
    snapshot: Option<&Snapshot>,
    rows: &mut [ContainerRow],
    now: i64,
) -> Result<Vec<OperationLine>, Error> {
    let find = |id: &ContainerId| snapshot.and_then(|snapshot| snapshot.row(id));
    let is_recent = snapshot.is_some_and(|snapshot| context.state.slice::<Inventory>().is_recent(snapshot, LIST_WITHIN));
    // what others do is told by a recent list alone, as all that is ours; what one does oneself is known
    let shows = |id: &ContainerId, actor: &UserId| find(id).is_some() && (is_recent || *actor == context.user);
    let current = operations::service::list_current(context, shows).await?;
    let open: HashSet<&ContainerId> =
        current.iter().filter(|operation| operation.is_open()).map(|operation| &operation.container).collect();
    rows.iter_mut().filter(|row| open.contains(&row.id)).for_each(|row| row.task = None);
    let before_us: HashSet<&ContainerId> = rows.iter().map(|row| &row.id).collect();
    let shown = current
        .iter()
        .filter(|operation| !operation.is_open() || operation.actor == context.user || before_us.contains(&operation.container));
    Ok(shown.map(|operation| operation.in_list(find(&operation.container).map(|row| row.status), now)).collect())
}

/// Asks Proxmox once more, so that our rows follow at once.
pub async fn look_again(context: &Context, client: &Client) -> Result<(), Error> {
    let inventory = context.state.slice::<Inventory>();
    let post = inventory.look(context)?;
    inventory.ask_as(&post, context, client, true).await
}

/// Proxmox's word for it, as ours.
pub fn status_of(state: Option<&RunState>) -> Status {
    match state {
        Some(RunState::Running) => Status::Running,
        Some(RunState::Stopped) => Status::Stopped,
        _ => Status::Unknown,
    }
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
}
