//! What Proxmox is asked for a page, all at once and within what a page can wait. What does not come in time is missing with a reason.
//!
//! Equal questions of one user about one container are one, and its answer serves for [`SERVES_FOR`]: however many tabs a container is
//! open in, it costs what one costs. An answer from before the latest word of an operation of ours on the container serves no more.

use crate::{
    auth,
    containers::inventory::Viewer,
    error::AppError,
    events::service::{ForeignTasks, Wanted, list_foreign_tasks},
    operations::model::{ContainerId, OperationId},
    proxmox::{
        self, Client,
        ids::{NodeName, Vmid},
        wire::{Interface, LxcConfig, LxcStatus, PendingOption, Rrd, Sample},
    },
    server::{
        Context, Error,
        flight::{Asked as UnderWay, Flights},
        pace::Pace,
    },
};
use futures::FutureExt;
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// How long an answer serves: less than a beat of the list, so that each beat has figures of its own.
const SERVES_FOR: Duration = Duration::from_secs(5);

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

/// The questions under way and their latest answers. Cheap to clone.
#[derive(Clone)]
pub struct Questions {
    pace: Pace,
    configs: Shelf<LxcConfig>,
    pending: Shelf<Vec<PendingOption>>,
    statuses: Shelf<LxcStatus>,
    interfaces: Shelf<Option<Vec<Interface>>>,
    samples: Shelf<Vec<Sample>>,
    tasks: Shelf<ForeignTasks>,
}

impl Questions {
    /// Nobody has asked yet.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            configs: Shelf::default(),
            pending: Shelf::default(),
            statuses: Shelf::default(),
            interfaces: Shelf::default(),
            samples: Shelf::default(),
            tasks: Shelf::default(),
        }
    }
}

/// Which questions are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    viewer: Viewer,
    container: ContainerId,
    node: NodeName,
    after: Word,
    /// What part of it.
    what: String,
}

/// The latest word of our operations on a container: of which, and when, in epoch milliseconds.
pub type Word = Option<(OperationId, i64)>;

/// The questions of one kind.
#[derive(Clone)]
struct Shelf<T> {
    asked: Flights<Key, T>,
    answers: Arc<Mutex<HashMap<Key, (Duration, T)>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { asked: Flights::default(), answers: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Shelf<T> {
    /// An answer that serves still, or that of a question. What goes wrong is not kept.
    fn get(&self, pace: &Pace, key: &Key, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> UnderWay<T> {
        let (shelf, pace, own) = (self.clone(), pace.clone(), key.clone());
        self.asked.join(key, async move {
            let asked_at = pace.now();
            let serves = |at: Duration| asked_at.saturating_sub(at) < SERVES_FOR;
            if let Some((at, answer)) = shelf.answers().get(&own)
                && serves(*at)
            {
                return Ok(answer.clone());
            }
            let answer = work.await?;
            let mut answers = shelf.answers();
            answers.retain(|_, (at, _)| serves(*at));
            answers.insert(own, (asked_at, answer.clone()));
            Ok(answer)
        })
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Key, (Duration, T)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a page's questions are about.
#[derive(Clone)]
pub struct About {
    context: Context,
    container: ContainerId,
    node: NodeName,
    vmid: Vmid,
    after: Word,
    /// Made once, by the first question that is not answered already. Making it may itself be a question, where the ticket is old.
    client: UnderWay<Client>,
}

impl About {
    /// A container on a node, after the latest word of our operations on it.
    pub fn new(context: &Context, container: &ContainerId, node: &NodeName, vmid: Vmid, after: Word) -> Self {
        let own = context.clone();
        let client = async move { auth::service::create_proxmox_client_from_session(&own).await.map_err(AppError::from) };
        Self { context: context.clone(), container: container.clone(), node: node.clone(), vmid, after, client: client.boxed().shared() }
    }

    async fn ask<T, F>(
        &self,
        shelf: fn(&Questions) -> &Shelf<T>,
        call: &'static str,
        what: &str,
        ask: impl FnOnce(Client, Self) -> F + Clone + Send + 'static,
    ) -> Part<T>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let context = &self.context;
        let questions = context.state.slice::<Questions>();
        let key = Key {
            viewer: (context.cluster.name.clone(), context.user.clone()),
            container: self.container.clone(),
            node: self.node.clone(),
            after: self.after.clone(),
            what: what.to_owned(),
        };
        let work = || {
            let (about, ask) = (self.clone(), ask.clone());
            async move {
                let client = about.client.clone().await.map_err(Error::Answer)?;
                ask(client, about).await
            }
        };
        let answer = async {
            match shelf(questions).get(&questions.pace, &key, work()).await {
                // it may have been asked with the ticket of another session, which is dead
                Err(AppError::SignedOut) => work().await.map_err(AppError::from),
                answer => answer,
            }
        };
        let budget = context.state.page_budget();
        timeout(budget, answer).await.unwrap_or_else(|_| Err(auth::service::too_slow(&context.cluster, call, budget).into()))
    }

    fn failed(&self, source: proxmox::Error) -> Error {
        let (cluster, node) = (self.context.cluster.name.clone(), Some(self.node.clone()));
        Error::Proxmox { cluster, node, vmid: Some(self.vmid), source: Box::new(source) }
    }

    async fn config(&self) -> Part<LxcConfig> {
        let ask = |client: Client, it: Self| async move { client.lxc_config_current(&it.node, it.vmid).await.map_err(|e| it.failed(e)) };
        self.ask(|all| &all.configs, "GET /nodes/{node}/lxc/{vmid}/config", "", ask).await
    }

    async fn pending(&self) -> Part<Vec<PendingOption>> {
        let ask = |client: Client, it: Self| async move { client.lxc_pending(&it.node, it.vmid).await.map_err(|e| it.failed(e)) };
        self.ask(|all| &all.pending, "GET /nodes/{node}/lxc/{vmid}/pending", "", ask).await
    }

    async fn status(&self) -> Part<LxcStatus> {
        let ask = |client: Client, it: Self| async move { client.lxc_status_current(&it.node, it.vmid).await.map_err(|e| it.failed(e)) };
        self.ask(|all| &all.statuses, "GET /nodes/{node}/lxc/{vmid}/status/current", "", ask).await
    }

    async fn interfaces(&self) -> Part<Option<Vec<Interface>>> {
        let ask = |client: Client, it: Self| async move { client.lxc_interfaces(&it.node, it.vmid).await.map_err(|e| it.failed(e)) };
        self.ask(|all| &all.interfaces, "GET /nodes/{node}/lxc/{vmid}/interfaces", "", ask).await
    }

    async fn samples(&self, range: Rrd) -> Part<Vec<Sample>> {
        let ask =
            move |client: Client, it: Self| async move { client.lxc_rrddata(&it.node, it.vmid, range).await.map_err(|e| it.failed(e)) };
        self.ask(|all| &all.samples, "GET /nodes/{node}/lxc/{vmid}/rrddata", range.as_str(), ask).await
    }

    /// The tasks that were begun elsewhere.
    pub async fn foreign_tasks(&self, wanted: &Wanted) -> Part<ForeignTasks> {
        let own = wanted.clone();
        let ask = |client: Client, it: Self| async move { list_foreign_tasks(&it.context, &client, &it.node, it.vmid, &own).await };
        self.ask(|all| &all.tasks, "GET /nodes/{node}/tasks", &format!("{wanted:?}"), ask).await
    }

    /// Everything that the overview shows.
    pub async fn overview(&self, range: Rrd, wanted: &Wanted) -> Asked {
        // the figures that change are the last ones of the hour
        let latest = async { if range == Rrd::Hour { None } else { self.samples(Rrd::Hour).await.ok() } };
        let (config, pending, status, interfaces, samples, latest, foreign) = futures::join!(
            self.config(),
            self.pending(),
            self.status(),
            self.interfaces(),
            self.samples(range),
            latest,
            self.foreign_tasks(wanted),
        );
        Asked { known: Known { config, pending, status, interfaces, samples, latest }, foreign }
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
