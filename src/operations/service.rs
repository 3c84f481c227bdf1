//! The verbs: from the wish of somebody who is signed in to an operation that is under way, and what there is to read about operations.
//!
//! Checks come in this order: our row, the configuration (who may not read it hears of nothing), identity, the lease, the status, the
//! rule. Then lease, operation and the intent of its first call are committed at once, and a [`Runner`] goes on, whoever waits.

use super::{
    model::{Call, Choice, ContainerId, OperationId, OperationState, OperationView, Outcome, Report, Stage, Verb},
    probe::{Probe, StepKind},
    rules::{self, Live},
    runner::{Ending, Position, Runner},
    store::{self, OperationRow},
};
use crate::{
    auth,
    containers::{
        identity::{self, Fingerprint, Verdict},
        inventory::Inventory,
        model::Status,
        service as containers, store as container_store,
    },
    error::{AppError, Field, Flaw, Lock},
    events::{
        model::{ContainerEvent, EventId, EventKind},
        store as event_store,
    },
    proxmox::{
        self, Cause, Client,
        error::Thing,
        ids::{NodeName, Vmid},
        wire::{LxcConfig, LxcStatus},
    },
    server::{AppState, Context, Error, config::Lifecycle, lease::Holder},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;

/// The operations of this process. Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<Inner>);

struct Inner {
    holder: Holder,
    lifecycle: Lifecycle,
    probe: Probe,
    running: Mutex<Running>,
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Running {
    ids: HashSet<OperationId>,
    tasks: JoinSet<()>,
}

impl Operations {
    /// None yet.
    pub fn new(lifecycle: Lifecycle, probe: Probe) -> Self {
        let inner = Inner { holder: Holder::new_run(), lifecycle, probe, running: Mutex::default(), stopping: watch::Sender::new(false) };
        Self(Arc::new(inner))
    }

    /// Under which name this process holds its leases.
    pub fn holder(&self) -> &Holder {
        &self.0.holder
    }

    /// The times.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }

    /// Who listens.
    pub fn probe(&self) -> &Probe {
        &self.0.probe
    }

    /// Whether the process is told to end.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    /// Whether this process works on it.
    pub fn has(&self, id: &OperationId) -> bool {
        self.running().ids.contains(id)
    }

    /// Lets an operation run. Its end comes out of the channel; nothing does where it is left open.
    pub fn spawn(&self, runner: Runner, position: Position) -> oneshot::Receiver<Result<Report, AppError>> {
        let (tell, told) = oneshot::channel();
        let (own, id, own_id) = (self.clone(), runner.row.id.clone(), runner.row.id.clone());
        let row = &runner.row;
        let span = tracing::info_span!("operation", id = %row.id, verb = %row.verb, vmid = %row.vmid, user = %row.actor);
        let work = async move {
            // in a task of its own, so that a panic ends no more than itself
            match tokio::spawn(runner.run(position).in_current_span()).await {
                // who waited may have gone
                Ok(Ok(Ending::Ended(result))) => drop(tell.send(result)),
                Ok(Ok(Ending::LeftOpen)) => tracing::info!("left open for the next start"),
                Ok(Err(error)) => tracing::error!("left open for the next beat: {}", crate::server::telemetry::chain(&error)),
                Err(panic) => tracing::error!("left open for the next beat: {panic}"),
            }
            own.running().ids.remove(&id);
        };
        let mut running = self.running();
        running.ids.insert(own_id);
        running.tasks.spawn(work.instrument(span));
        told
    }

    /// Tells all operations to stop where they can be taken up again, and waits for that.
    pub async fn stop(&self, within: Duration) {
        self.0.stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut self.running().tasks);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("operations in the middle of a call are cut; the next start takes them up");
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
