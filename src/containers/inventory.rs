//! The last good list of each user, and the exact reads that outrank it.
//!
//! `/cluster/resources` lags up to ten seconds and flips between Proxmox's workers (REAL.md, State). What was read from a container
//! itself counts for [`EXACT_FOR`], so that a status never goes back on screen. It is in memory: a page that comes while Proxmox hangs
//! shows the last good list, and a restart begins with none.

use super::model::{ContainerList, Status};
use crate::{
    error::AppError,
    proxmox::ids::{ClusterName, UserId, Vmid},
    server::Error,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// For how long an exact read outranks a sample: the lag of ten seconds and some.
const EXACT_FOR: Duration = Duration::from_secs(15);
/// A user who has not looked for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// Whose list: one user at one cluster.
pub type Viewer = (ClusterName, UserId);
/// One question to Proxmox, for all who ask it at the same time.
type Asked = Shared<BoxFuture<'static, Result<(), AppError>>>;

/// What this slice keeps in memory. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inventory(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    viewers: HashMap<Viewer, Seen>,
    exact: HashMap<(ClusterName, Vmid), (Status, Instant)>,
}

struct Seen {
    last_good: Option<ContainerList>,
    under_way: Option<Asked>,
    looked_at: Instant,
}

impl Inventory {
    /// The last good list of a user, with what is known more exactly.
    pub fn last_good(&self, viewer: &Viewer) -> Option<ContainerList> {
        let known = self.known();
        let mut list = known.viewers.get(viewer)?.last_good.clone()?;
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

    /// Asks Proxmox by `fetch`, or joins who is asking for the same viewer already. The question goes on where a caller gives up, and
    /// its answer is there for the next.
    pub fn refresh(&self, viewer: &Viewer, fetch: impl Future<Output = Result<ContainerList, Error>> + Send + 'static) -> Asked {
        let mut known = self.known();
        known.viewers.retain(|_, seen| seen.looked_at.elapsed() < FORGET_AFTER);
        let now = Instant::now();
        let seen = known.viewers.entry(viewer.clone()).or_insert(Seen { last_good: None, under_way: None, looked_at: now });
        seen.looked_at = now;
        if let Some(asked) = &seen.under_way {
            return asked.clone();
        }
        let (inventory, viewer) = (self.clone(), viewer.clone());
        let asked = async move {
            let result = tokio::spawn(fetch).await.unwrap_or_else(|e| Err(Error::Background(e)));
            inventory.settle(&viewer, result.map_err(AppError::from))
        };
        let asked = asked.boxed().shared();
        seen.under_way = Some(asked.clone());
        tokio::spawn(asked.clone());
        asked
    }

    fn settle(&self, viewer: &Viewer, result: Result<ContainerList, AppError>) -> Result<(), AppError> {
        let mut known = self.known();
        let Some(seen) = known.viewers.get_mut(viewer) else { return result.map(|_| ()) };
        seen.under_way = None;
        seen.last_good = Some(result?);
        Ok(())
    }

    /// Notes what was read from a container itself.
    pub fn note_exact(&self, cluster: &ClusterName, vmid: Vmid, status: Status) {
        let mut known = self.known();
        known.exact.retain(|_, (_, at)| at.elapsed() < EXACT_FOR);
        known.exact.insert((cluster.clone(), vmid), (status, Instant::now()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
