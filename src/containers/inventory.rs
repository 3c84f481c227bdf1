//! The last good list of each user, and the exact reads that outrank it.
//!
//! `/cluster/resources` lags up to ten seconds and flips between Proxmox's workers (REAL.md, State). What was read from a container
//! itself counts for [`EXACT_FOR`], so that a status never goes back on screen. It is in memory: a page that comes while Proxmox hangs
//! shows the last good list, and a restart begins with none.

use super::model::{ContainerList, Status};
use crate::{
    operations::model::ContainerId,
    proxmox::ids::{ClusterName, UserId, Vmid},
    server::{
        Error,
        flight::{Asked, Flights},
    },
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// For how long an exact read outranks a sample: the lag of ten seconds and some.
pub(super) const EXACT_FOR: Duration = Duration::from_secs(15);
/// A user who has not looked for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// Whose list: one user at one cluster.
pub type Viewer = (ClusterName, UserId);

/// What this slice keeps in memory. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inventory {
    known: Arc<Mutex<Known>>,
    asked: Flights<Viewer, ()>,
}

#[derive(Default)]
struct Known {
    lists: HashMap<Viewer, (ContainerList, Instant)>,
    exact: HashMap<(ClusterName, Vmid), (Status, Instant)>,
}

impl Inventory {
    /// The last good list of a user, with what is known more exactly.
    pub fn last_good(&self, viewer: &Viewer) -> Option<ContainerList> {
        let mut known = self.known();
        let (list, looked_at) = known.lists.get_mut(viewer)?;
        *looked_at = Instant::now();
        let mut list = list.clone();
        for row in &mut list.rows {
            if let Some((status, at)) = known.exact.get(&(viewer.0.clone(), row.vmid))
                && at.elapsed() < EXACT_FOR
            {
                row.status = *status;
                row.usage = row.usage.filter(|_| *status == Status::Running);
            }
        }
        Some(list)
    }

    /// Asks Proxmox by `fetch` and keeps the answer, or joins who is asking for the same viewer already.
    pub fn refresh(&self, viewer: &Viewer, fetch: impl Future<Output = Result<ContainerList, Error>> + Send + 'static) -> Asked<()> {
        let (inventory, own) = (self.clone(), viewer.clone());
        self.asked.join(viewer, async move {
            inventory.keep(own, fetch.await?);
            Ok(())
        })
    }

    /// Whether a user's last good list has this container, and is no older than `within`.
    pub fn shows(&self, viewer: &Viewer, container: &ContainerId, within: Duration) -> bool {
        let known = self.known();
        let list = known.lists.get(viewer).map(|(list, _)| list);
        let is_recent = |list: &&ContainerList| {
            let now = time::OffsetDateTime::now_utc().unix_timestamp();
            list.as_of.is_some_and(|as_of| now - as_of <= within.as_secs() as i64)
        };
        list.filter(is_recent).is_some_and(|list| list.rows.iter().any(|row| row.id == *container))
    }

    /// Keeps a good list.
    pub fn keep(&self, viewer: Viewer, list: ContainerList) {
        let mut known = self.known();
        known.lists.retain(|_, (_, looked_at)| looked_at.elapsed() < FORGET_AFTER);
        known.lists.insert(viewer, (list, Instant::now()));
    }

    /// Notes what was read from a container itself.
    pub fn note_exact(&self, cluster: &ClusterName, vmid: Vmid, status: Status) {
        let mut known = self.known();
        known.exact.retain(|_, (_, at)| at.elapsed() < EXACT_FOR);
        known.exact.insert((cluster.clone(), vmid), (status, Instant::now()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
