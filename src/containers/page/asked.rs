//! What Proxmox is asked for a page, all at once and within what a page can wait. What does not come in time is missing with a reason.

use crate::{
    auth,
    error::AppError,
    events::service::{ForeignTasks, Wanted, list_foreign_tasks},
    proxmox::{
        self, Client,
        ids::{NodeName, Vmid},
        wire::{Interface, LxcConfig, LxcStatus, PendingOption, Rrd, Sample},
    },
    server::{Context, Error},
};
use std::future::Future;
use tokio::time::timeout;

/// An answer, or why there is none.
pub type Part<T> = Result<T, AppError>;

/// What is known of a container from Proxmox itself.
#[derive(Debug, Clone)]
pub struct Known {
    /// As it holds now.
    pub config: Part<LxcConfig>,
    /// What waits for the next start.
    pub pending: Part<Vec<PendingOption>>,
    /// Its figures now.
    pub status: Part<LxcStatus>,
    /// Its addresses; none where it is stopped.
    pub interfaces: Part<Option<Vec<Interface>>>,
    /// Its figures over the time that was asked for.
    pub samples: Part<Vec<Sample>>,
    /// The latest of them as fine as there are, where that is another time.
    pub latest: Option<Vec<Sample>>,
}

/// What the overview shows.
pub struct Asked {
    /// Of the container.
    pub known: Known,
    /// Of what was done to it elsewhere.
    pub foreign: Part<ForeignTasks>,
}

/// Runs questions with the user's client. Making that may itself be a question, where the ticket is old.
pub async fn with_client<T, F: Future<Output = Part<T>>>(context: &Context, ask: impl FnOnce(Client) -> F) -> Part<T> {
    let client = auth::service::create_proxmox_client_from_session(context);
    let client = match timeout(context.state.page_budget(), client).await {
        Ok(client) => client.map_err(AppError::from)?,
        Err(_) => return Err(slow(context, "POST /access/ticket")),
    };
    ask(client).await
}

fn slow(context: &Context, call: &'static str) -> AppError {
    auth::service::too_slow(&context.cluster, call, context.state.page_budget()).into()
}

/// The tasks that were begun elsewhere.
pub async fn foreign_tasks(context: &Context, client: &Client, node: &NodeName, vmid: Vmid, wanted: &Wanted) -> Part<ForeignTasks> {
    let work = list_foreign_tasks(context, client, node, vmid, wanted);
    match timeout(context.state.page_budget(), work).await {
        Ok(tasks) => tasks.map_err(AppError::from),
        Err(_) => Err(slow(context, "GET /nodes/{node}/tasks")),
    }
}

impl Asked {
    /// Asks for everything that the overview shows.
    pub async fn of(context: &Context, client: &Client, node: &NodeName, vmid: Vmid, range: Rrd, wanted: &Wanted) -> Self {
        let about = About { context, node, vmid };
        // the figures that change are the last ones of the hour
        let latest = async { if range == Rrd::Hour { None } else { client.lxc_rrddata(node, vmid, Rrd::Hour).await.ok() } };
        let latest = async { timeout(context.state.page_budget(), latest).await.ok().flatten() };
        let (config, pending, status, interfaces, samples, latest, foreign) = futures::join!(
            about.part("GET /nodes/{node}/lxc/{vmid}/config", client.lxc_config_current(node, vmid)),
            about.part("GET /nodes/{node}/lxc/{vmid}/pending", client.lxc_pending(node, vmid)),
            about.part("GET /nodes/{node}/lxc/{vmid}/status/current", client.lxc_status_current(node, vmid)),
            about.part("GET /nodes/{node}/lxc/{vmid}/interfaces", client.lxc_interfaces(node, vmid)),
            about.part("GET /nodes/{node}/lxc/{vmid}/rrddata", client.lxc_rrddata(node, vmid, range)),
            latest,
            foreign_tasks(context, client, node, vmid, wanted),
        );
        Self { known: Known { config, pending, status, interfaces, samples, latest }, foreign }
    }
}

/// What a question is about.
struct About<'a> {
    context: &'a Context,
    node: &'a NodeName,
    vmid: Vmid,
}

impl About<'_> {
    async fn part<T>(&self, call: &'static str, work: impl Future<Output = Result<T, proxmox::Error>>) -> Part<T> {
        let Self { context, node, vmid } = self;
        let answer = timeout(context.state.page_budget(), work).await.map_err(|_| slow(context, call))?;
        answer.map_err(|source| {
            let (cluster, node) = (context.cluster.name.clone(), Some((*node).clone()));
            Error::Proxmox { cluster, node, vmid: Some(*vmid), source: Box::new(source) }.into()
        })
    }
}

impl Known {
    /// The address by which it is reached from elsewhere: IPv4 before IPv6, and none that is known on its own link alone.
    pub fn address(&self) -> Option<String> {
        let interfaces = self.interfaces.as_ref().ok()?.as_ref()?;
        let addresses = interfaces.iter().filter(|interface| interface.name != "lo").flat_map(|interface| &interface.addresses);
        let mut reachable: Vec<_> = addresses.map(|address| address.address.as_str()).filter(|address| !is_link_local(address)).collect();
        reachable.sort_by_key(|address| address.contains(':'));
        reachable.first().map(|address| (*address).to_owned())
    }
}

/// Whether an address is known on its own link alone.
pub fn is_link_local(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    lower.starts_with("fe80:") || lower.starts_with("169.254.")
}
