//! Working a batch off: apart from the request, a few containers of a node at a time, each by the verb that its own button has.
//!
//! A batch is in the database before its first container has its turn. A container is taken up by one statement that names the operation
//! to come, and only who did that begins it: so nothing is done twice, and after a kill the operation itself says what became of it. The
//! process renews the batch as it works; where that has stopped for 30 s, what was not taken up is not begun and never will be.

use super::{
    model::{BatchId, BatchView, Chosen, Cut, confirmation},
    store::{self, ItemRow, NewBatchRow, NewItemRow, OpenBatchRow},
};
use crate::{
    containers::{self, model::ContainerRow, query::Query},
    error::{AppError, Field, Flaw},
    operations::{
        self,
        model::{ContainerId, OperationId, Verb},
        probe::{Probe, StepKind},
        service::Operations,
    },
    proxmox::{
        ids::{ClusterName, NodeName, Vmid},
        wire::Permissions,
    },
    server::{Context, Error, telemetry},
};
use futures::{StreamExt, future::join_all, stream};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::Instrument;

/// How many containers of a node are worked on at a time, by all batches of this process together.
pub const PER_NODE: usize = 4;
/// How many containers of a batch are worked on at a time.
pub const PER_BATCH: usize = 16;

/// The batches of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Batches(Arc<Inner>);

#[derive(Default)]
struct Inner {
    turns: Mutex<HashMap<(ClusterName, NodeName), Arc<Semaphore>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Batches {
    /// Whose turn it is on a node.
    fn turns(&self, cluster: &ClusterName, node: &NodeName) -> Arc<Semaphore> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry((cluster.clone(), node.clone())).or_insert_with(|| Arc::new(Semaphore::new(PER_NODE))).clone()
    }

    /// Waits until no batch begins anything any more. [`Operations::tell_to_stop`] has told them to.
    pub async fn stop(&self, within: Duration) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("batches are cut in the middle of a look");
        }
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long a batch is its process's without being renewed: half as long as an operation, because no call to Proxmox depends on it.
fn length(operations: &Operations) -> Duration {
    operations.lifecycle().lease / 2
}

/// Begins a verb for many containers. Those that are not in the user's list are left out: nothing is said about them.
pub async fn run(context: Context, verb: Verb, chosen: Chosen, confirm: Option<String>) -> Result<BatchId, Error> {
    let typed = confirm.as_deref().map(str::trim).unwrap_or_default();
    if verb == Verb::Delete && typed != confirmation(chosen.ids().len()) {
        let flaw = if typed.is_empty() { Flaw::Empty } else { Flaw::Unknown };
        return Err(Error::Answer(AppError::Invalid { field: Field::ConfirmMany, flaw }));
    }
    let items = items(&context, &chosen).await?;
    let operations = context.state.slice::<Operations>();
    let id = BatchId::fresh();
    let row = NewBatchRow {
        id: id.clone(),
        cluster: context.cluster.name.clone(),
        actor: context.user.clone(),
        source: context.source.map(|address| address.to_string()),
        verb,
        holder: operations.holder().clone(),
        length: length(operations),
        items,
    };
    let span = tracing::info_span!("batch", %id, user = %context.user, %verb, containers = row.items.len());
    let batches = context.state.slice::<Batches>().clone();
    let batch = Batch { stopping: operations.stopping(), over: watch::Sender::new(None), context, id: id.clone(), verb };
    // whoever asked may go away in the middle; what was written down is worked off all the same
    let work = async move {
        let create = store::create_batch(batch.context.state.db(), &row);
        batch.probe().around(StepKind::CreateBatch, None, create).await.map_err(|e| Error::Db("begin a batch", e))?;
        let mut tasks = batches.tasks();
        // those that have ended are let go of
        while tasks.try_join_next().is_some() {}
        tasks.spawn(batch.work_off(batches.clone(), row.items).in_current_span());
        Ok::<(), Error>(())
    };
    tokio::spawn(work.instrument(span)).await??;
    Ok(id)
}

async fn items(context: &Context, chosen: &Chosen) -> Result<Vec<NewItemRow>, Error> {
    let wanted: HashSet<&ContainerId> = chosen.ids().iter().collect();
    let window = containers::service::fitting(context, &Query::default()).await?;
    let item = |row: ContainerRow| NewItemRow { container_id: row.id, vmid: row.vmid, hostname: row.name, node: row.node };
    let items: Vec<NewItemRow> = window.rows.into_iter().filter(|row| wanted.contains(&row.id)).map(item).collect();
    match (items.is_empty(), window.trouble) {
        (false, _) => Ok(items),
        (true, Some(trouble)) => Err(Error::Answer(trouble)),
        (true, None) => Err(Error::Answer(AppError::NoSuchContainer)),
    }
}

/// A batch at work.
struct Batch {
    context: Context,
    id: BatchId,
    verb: Verb,
    stopping: watch::Receiver<bool>,
    /// Why nothing more is to be begun.
    over: watch::Sender<Option<Cut>>,
}

impl Batch {
    async fn work_off(self, batches: Batches, items: Vec<NewItemRow>) {
        let mut of_node: BTreeMap<NodeName, Vec<(u32, NewItemRow)>> = BTreeMap::new();
        for (position, item) in (0..).zip(items) {
            of_node.entry(item.node.clone()).or_default().push((position, item));
        }
        let all = Semaphore::new(PER_BATCH);
        let nodes = of_node.into_iter().map(|(node, items)| {
            let turns = batches.turns(&self.context.cluster.name, &node);
            let (this, all) = (&self, &all);
            // as many wait for their turn as there are turns
            let one = move |(position, item)| this.one(turns.clone(), all, position, item);
            stream::iter(items).map(one).buffer_unordered(PER_NODE).collect::<()>()
        });
        tokio::select! {
            _ = join_all(nodes) => {}
            () = self.keep() => {}
        }
        let cause = *self.over.borrow();
        let holder = self.context.state.slice::<Operations>().holder();
        let end = store::end(self.context.state.db(), &self.id, holder, cause);
        match self.probe().around(StepKind::EndBatch, None, end).await {
            Ok(_) => tracing::info!(?cause, "the batch has ended"),
            Err(error) => tracing::warn!("the batch ends when nobody renews it: {error}"),
        }
    }

    /// Renews the batch for as long as there is something to be begun.
    async fn keep(&self) {
        let operations = self.context.state.slice::<Operations>();
        let length = length(operations);
        let mut beat = tokio::time::interval(length / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let renew = store::renew(self.context.state.db(), &self.id, operations.holder(), length);
            match self.probe().around(StepKind::RenewBatch, None, renew).await {
                Ok(true) => {}
                // it has been said to everybody that the rest is not begun; what has begun goes on
                Ok(false) => self.cut(Cut::Stopped),
                Err(error) => tracing::warn!("a batch cannot be renewed: {error}"),
            }
        }
    }

    fn cut(&self, cause: Cut) {
        self.over.send_if_modified(|over| over.replace(over.unwrap_or(cause)).is_none());
    }

    /// Ends once nothing more is to be begun.
    async fn is_over(&self) {
        let (mut stopping, mut over) = (self.stopping.clone(), self.over.subscribe());
        tokio::select! {
            // a sender that is gone is the end too
            _ = stopping.wait_for(|stopping| *stopping) => self.cut(Cut::Stopped),
            _ = over.wait_for(Option::is_some) => {}
        }
    }

    /// One container, in its turn, to the end of its operation.
    async fn one(&self, turns: Arc<Semaphore>, all: &Semaphore, position: u32, item: NewItemRow) {
        let turn = async { (turns.acquire().await, all.acquire().await) };
        let _turn = tokio::select! {
            biased;
            () = self.is_over() => return,
            turn = turn => turn,
        };
        if let Err(error) = self.do_one(position, item).await {
            // it stays taken: its operation says what became of it, or that there is none
            tracing::error!(position, "a container of a batch is left: {}", telemetry::chain(&error));
        }
    }

    async fn do_one(&self, position: u32, item: NewItemRow) -> Result<(), Error> {
        let db = self.context.state.db();
        let holder = self.context.state.slice::<Operations>().holder();
        let operation = OperationId::fresh();
        let take = store::take(db, &self.id, holder, position, &operation);
        let taken = self.probe().around(StepKind::TakeItem, None, take).await.map_err(|e| Error::Db("take a container up", e))?;
        if !taken {
            // nobody else knows of it: the batch was not renewed in time, and is over
            self.cut(Cut::Stopped);
            return Ok(());
        }
        let (context, batch) = (self.context.clone(), self.id.clone());
        let done = match operations::service::run_among_many(context, self.verb, item.container_id, operation, batch).await {
            // the same, found out when it was about to begin
            Err(Error::LeaseLost) => {
                self.cut(Cut::Stopped);
                return Ok(());
            }
            done => done.map_err(AppError::from),
        };
        match done {
            Ok(_) => Ok(()),
            Err(AppError::SignedOut) => {
                self.cut(Cut::SignedOut);
                let put_back = store::put_back(db, &self.id, position);
                self.probe().around(StepKind::PutItemBack, None, put_back).await.map_err(|e| Error::Db("put a container back", e))
            }
            // of what was begun the operation tells the end
            Err(error) => {
                let refuse = store::refuse(db, &self.id, holder, position, &error);
                self.probe().around(StepKind::RefuseItem, None, refuse).await.map_err(|e| Error::Db("keep a refusal", e))
            }
        }
    }

    fn probe(&self) -> &Probe {
        operations::service::probe(&self.context)
    }
}

/// The batches that this user has under way, the newest first.
pub async fn list_open(context: &Context) -> Result<Vec<OpenBatchRow>, Error> {
    let open = store::list_open_batches(context.state.db(), &context.cluster.name, &context.user).await;
    open.map_err(|e| Error::Db("list batches", e))
}

/// A batch, for who has asked for it; of its containers those that they may audit now (DESIGN §8.1).
pub async fn get_batch(context: &Context, id: &BatchId) -> Result<BatchView, Error> {
    let db = context.state.db();
    let row = store::get_batch(db, id).await.map_err(|e| Error::Db("read a batch", e))?;
    let row = row.filter(|row| row.cluster == context.cluster.name && row.actor == context.user);
    let row = row.ok_or(Error::Answer(AppError::NoSuchBatch))?;
    let items = store::list_items(db, id).await.map_err(|e| Error::Db("read a batch", e))?;
    let is_listed = |item: &&ItemRow| operations::service::is_listed(context, &item.container_id);
    let listed: HashSet<Vmid> = items.iter().filter(is_listed).map(|item| item.vmid).collect();
    // nothing is asked where the user's list knows of all
    let permissions = match items.iter().all(|item| listed.contains(&item.vmid)) {
        true => Permissions::default(),
        false => operations::service::permissions_in_time(context).await?,
    };
    Ok(row.view(items, |vmid| listed.contains(&vmid) || operations::service::may_audit_by(&permissions, vmid)))
}
