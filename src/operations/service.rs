//! The verbs: from the wish of somebody who is signed in to an operation that is under way, and what there is to read about operations.
//!
//! Checks come in this order: our row, the configuration (who may not read it hears of nothing), identity, the lease, the status, the
//! rule. Then lease, operation and the intent of its first call are committed at once, and a [`Runner`] goes on, whoever waits.

use super::{
    live::LiveOperations,
    model::{ContainerId, OperationId, OperationState, OperationView, Outcome, Paged, Report, Verb},
    probe::{Probe, StepKind},
    rules::{self, Live},
    runner::{Ending, Position, Runner},
    store::{self, BusyRow, Claim, NewOperationRow, OperationRow, OperationsOf, Terms},
};
use crate::{
    auth,
    batches::model::BatchId,
    containers::{
        identity::{self, Fingerprint, Verdict},
        inventory::Inventory,
        model::Status,
        service as containers,
        store::{self as container_store, StoredContainerRow},
    },
    error::{AppError, Field, Flaw},
    events::{
        model::{ContainerEvent, EventId, EventKind},
        store::{self as event_store, EventsOf, NewEventRow},
    },
    paths,
    proxmox::{
        self, Cause, Client,
        ids::{NodeName, Upid, UserId, Vmid},
        ticket::Ticket,
        wire::{LxcConfig, Permissions},
    },
    server::{AppState, Context, Error, config::Lifecycle, lease::Holder, state::Cluster, telemetry},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::Instrument;

/// How many operations or events a list has at a time.
const PAGE: u32 = 50;

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
    /// How many hands have each.
    ids: HashMap<OperationId, usize>,
    tasks: JoinSet<()>,
}

/// An operation that this process works on, as long as this lives.
struct Reserved {
    service: Operations,
    id: OperationId,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut running = self.service.running();
        if let Some(hands) = running.ids.get_mut(&self.id) {
            *hands -= 1;
            if *hands == 0 {
                running.ids.remove(&self.id);
            }
        }
    }
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

    /// What this process works on.
    pub fn ids(&self) -> HashSet<OperationId> {
        self.running().ids.keys().cloned().collect()
    }

    /// Says that this process works on an operation, before it is in the database: nobody here takes it for left over.
    fn reserve(&self, id: &OperationId) -> Reserved {
        *self.running().ids.entry(id.clone()).or_default() += 1;
        Reserved { service: self.clone(), id: id.clone() }
    }

    /// Lets an operation run. Its end comes out of the channel; nothing does where it is left open.
    pub fn spawn(&self, runner: Runner, position: Position) -> oneshot::Receiver<Result<Report, AppError>> {
        let (tell, told) = oneshot::channel();
        let (own, id) = (self.clone(), runner.row.id.clone());
        let reserved = self.reserve(&id);
        let state = runner.state.clone();
        let row = &runner.row;
        let span = tracing::info_span!("operation", id = %row.id, verb = %row.verb, vmid = %row.vmid, user = %row.actor);
        let work = async move {
            // in a task of its own, so that a panic ends no more than itself
            match tokio::spawn(runner.run(position).in_current_span()).await {
                // who waited may have gone
                Ok(Ok(Ending::Ended(result))) => drop(tell.send(result)),
                Ok(Ok(Ending::LeftOpen)) => {
                    tracing::info!("left open for the next start");
                    let held = store::Held { operation: &id, holder: own.holder() };
                    if let Err(error) = own.probe().around(StepKind::GiveUp, None, store::give_up(state.db(), held)).await {
                        tracing::warn!("its lease has to run out: {error}");
                    }
                }
                Ok(Err(error)) => tracing::error!("left open for the next beat: {}", telemetry::chain(&error)),
                Err(panic) => tracing::error!("left open for the next beat: {panic}"),
            }
            drop(reserved);
        };
        let mut running = self.running();
        // those that have ended are let go of
        while running.tasks.try_join_next().is_some() {}
        running.tasks.spawn(work.instrument(span));
        told
    }

    /// Tells all operations to stop where they can be taken up again.
    pub fn tell_to_stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Does so, and waits for that.
    pub async fn stop(&self, within: Duration) {
        self.tell_to_stop();
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

/// Boots it, where it stands.
pub async fn start(context: Context, id: ContainerId, confirm: Option<String>) -> Result<Outcome, Error> {
    begin(context, Verb::Start, id, Choice { confirm, ..Choice::default() }).await
}

/// Stops it hard, where it runs.
pub async fn stop(context: Context, id: ContainerId, confirm: Option<String>) -> Result<Outcome, Error> {
    begin(context, Verb::Stop, id, Choice { confirm, ..Choice::default() }).await
}

/// Shuts it down, where it runs; hard after a while, unless `graceful_only`.
pub async fn shutdown(context: Context, id: ContainerId, graceful_only: bool, confirm: Option<String>) -> Result<Outcome, Error> {
    begin(context, Verb::Shutdown, id, Choice { confirm, graceful_only, ..Choice::default() }).await
}

/// Shuts it down where it runs, and boots it.
pub async fn restart(context: Context, id: ContainerId, confirm: Option<String>) -> Result<Outcome, Error> {
    begin(context, Verb::Restart, id, Choice { confirm, ..Choice::default() }).await
}

/// Stops it hard where it runs, and removes it with all its data.
pub async fn delete(context: Context, id: ContainerId, confirm: String) -> Result<Outcome, Error> {
    begin(context, Verb::Delete, id, Choice { confirm: Some(confirm), ..Choice::default() }).await
}

/// What somebody chose with a verb.
#[derive(Debug, Clone, Default)]
struct Choice {
    /// A shutdown is not followed by a hard stop.
    graceful_only: bool,
    /// The container's name, typed.
    confirm: Option<String>,
    /// One of many, which were confirmed together by their number: what its operation is to be called, and in which batch.
    among_many: Option<(OperationId, BatchId)>,
}

impl Choice {
    fn typed(&self) -> &str {
        self.confirm.as_deref().map(str::trim).unwrap_or_default()
    }
}

/// Begins a verb, and answers at its end, or after a while in which it goes on.
async fn begin(context: Context, verb: Verb, id: ContainerId, choice: Choice) -> Result<Outcome, Error> {
    let service = context.state.slice::<Operations>().clone();
    let span = tracing::info_span!("verb", user = %context.user, %verb, container = %id);
    // whoever asked may go away in the middle; what was begun is written down all the same
    let question = match choice.graceful_only {
        true => paths::confirm_graceful(&id),
        false => paths::confirm(&id, verb),
    };
    let work = async move { Attempt { context, verb, choice }.begin(&id).await };
    let begun = tokio::spawn(work.instrument(span)).await?;
    if matches!(begun, Err(Error::Answer(AppError::IdentityUnclear { .. }))) {
        // a form leads to where its name can be typed
        crate::server::handle::tell_of_question(&question);
    }
    let (operation, end) = begun?;
    // a form leads to where its end is told
    crate::server::handle::tell_of_operation(operation.as_str());
    let mut stopping = service.stopping();
    let end = tokio::select! {
        end = tokio::time::timeout(service.lifecycle().answer_within, end) => end,
        // who waits does not hold up the end of the process
        _ = stopping.wait_for(|stopping| *stopping) => return Ok(Outcome::Running { operation }),
    };
    match end {
        Ok(Ok(Ok(report))) => Ok(Outcome::Done(report)),
        Ok(Ok(Err(error))) => Err(Error::Answer(error)),
        // it goes on, here or at whoever takes it up
        Ok(Err(_)) | Err(_) => Ok(Outcome::Running { operation }),
    }
}

/// One of many containers for which the same was asked: under the name that its operation is to have, and to its end, or until the process
/// is told to stop. Nobody has typed its name; where that is wanted to tell which container it is, it is refused.
///
/// # Errors
/// [`Error::LeaseLost`] where the batch is somebody else's by now, or over: nothing was begun.
pub async fn run_among_many(
    context: Context,
    verb: Verb,
    id: ContainerId,
    operation: OperationId,
    batch: BatchId,
) -> Result<Outcome, Error> {
    let mut stopping = context.state.slice::<Operations>().stopping();
    let choice = Choice { among_many: Some((operation, batch)), ..Choice::default() };
    let (operation, end) = Attempt { context, verb, choice }.begin(&id).await?;
    let end = tokio::select! {
        end = end => end,
        _ = stopping.wait_for(|stopping| *stopping) => return Ok(Outcome::Running { operation }),
    };
    match end {
        Ok(Ok(report)) => Ok(Outcome::Done(report)),
        Ok(Err(error)) => Err(Error::Answer(error)),
        // it goes on at whoever takes it up
        Err(_) => Ok(Outcome::Running { operation }),
    }
}

/// An operation that has begun, and where its end will be told.
type Begun = (OperationId, oneshot::Receiver<Result<Report, AppError>>);

/// Somebody's wish.
struct Attempt {
    context: Context,
    verb: Verb,
    choice: Choice,
}

/// What was read before anything is done.
struct Checked {
    node: NodeName,
    /// None where it is gone.
    fingerprint: Option<Fingerprint>,
    protected: bool,
}

/// What came of looking at a container.
enum Looked {
    Here(Checked),
    /// There is no such container any more.
    Gone,
}

impl Attempt {
    async fn begin(self, id: &ContainerId) -> Result<Begun, Error> {
        let context = &self.context;
        let db = context.state.db();
        let client = self.client().await?;
        loop {
            let looked_at = db.now_ms().await.map_err(|e| Error::Db("tell the time", e))?;
            let row = container_store::get_container_by_id(db, id).await.map_err(|e| Error::Db("read a container", e))?;
            let row = row.filter(|row| row.cluster == context.cluster.name).ok_or(Error::Answer(AppError::NoSuchContainer))?;
            if row.gone_at.is_some() {
                return Err(Error::Answer(self.of_gone_row(&client, &row).await?));
            }
            match self.check(&client, &row).await {
                Ok((checked, position, before)) => {
                    if let Some(begun) = self.claim(&client, row, checked, position, before, looked_at).await? {
                        return Ok(begun);
                    }
                    tracing::debug!("another verb has begun and ended meanwhile: it is looked at again");
                }
                Err(error) => return Err(self.refuse(&client, &row, error).await?),
            }
        }
    }

    /// As [`auth::service::create_proxmox_client_from_session`] makes it.
    async fn client(&self) -> Result<Client, Error> {
        let session = auth::service::open_session(&self.context).await?;
        if !session.is_due() {
            return Ok(session.client);
        }
        match self.probe().around(StepKind::RenewSession, None, session.renew()).await? {
            Some(ticket) => self.probe().around(StepKind::KeepSession, None, session.keep(ticket)).await,
            None => Ok(session.client),
        }
    }

    /// Everything that is looked at before the lease is taken.
    async fn check(&self, client: &Client, row: &StoredContainerRow) -> Result<(Checked, Position, Option<Status>), Error> {
        let vmid = row.vmid;
        let checked = match self.identify(client, row).await? {
            Looked::Here(checked) => checked,
            Looked::Gone if self.verb == Verb::Delete => {
                self.confirm(row, None)?;
                let checked = Checked { node: row.node.clone(), fingerprint: None, protected: false };
                return Ok((checked, Position::Gone, None));
            }
            Looked::Gone => return Err(self.retire(row, AppError::ContainerNotFound { vmid }).await?),
        };
        // while another verb is at work, a status can block for a while, and the answer is known
        if let Some(busy) = store::find_busy(self.context.state.db(), &row.cluster, vmid).await.map_err(|e| Error::Db("read a lease", e))? {
            return Err(Error::Answer(busy_with(row, &busy)));
        }
        let look = async {
            let status = client.lxc_status_current(&checked.node, vmid);
            if self.verb == Verb::Delete {
                let (status, permissions) = futures::try_join!(status, client.access_permissions())?;
                let may = containers::holds(&permissions, &format!("/vms/{vmid}"), "VM.Allocate");
                Ok((status, Some(may)))
            } else {
                Ok((status.await?, None))
            }
        };
        let looked: Result<_, proxmox::Error> = self.probe().around(StepKind::Look, None, look).await;
        let (status, may_allocate) = match looked {
            Ok(looked) => looked,
            // it vanished in this moment
            Err(error) if self.is_gone(client, &checked.node, vmid, &error).await => {
                return match self.verb {
                    Verb::Delete => Ok((checked, Position::Gone, None)),
                    _ => Err(self.retire(row, AppError::ContainerNotFound { vmid }).await?),
                };
            }
            Err(error) => return Err(self.of_call(row, &checked.node, error)),
        };
        let live = Live::of(vmid, &status, checked.protected, may_allocate);
        self.context.state.slice::<Inventory>().note_exact(&row.cluster, vmid, live.status);
        let call = rules::allowed(self.verb, &live).map_err(Error::Answer)?;
        self.confirm(row, status.name.as_deref())?;
        Ok((checked, Position::Begin(call), Some(live.status)))
    }

    /// Whether the container is still the one of our row, wherever it lives by now.
    async fn identify(&self, client: &Client, row: &StoredContainerRow) -> Result<Looked, Error> {
        let mut node = row.node.clone();
        let mut read = self.probe().around(StepKind::Identify, None, client.lxc_config_current(&node, row.vmid)).await;
        if let Err(error) = &read
            && containers::is_missing(&node, row.vmid, error)
        {
            let found = self.probe().around(StepKind::Locate, None, containers::find_node(client, row.vmid)).await;
            match found.map_err(|e| self.of_call(row, &node, e))? {
                Some(other) if other != node => {
                    tracing::info!(from = %node, to = %other, "the container has moved");
                    node = other;
                    read = self.probe().around(StepKind::Identify, None, client.lxc_config_current(&node, row.vmid)).await;
                }
                _ => return Ok(Looked::Gone),
            }
        }
        let config: LxcConfig = match read {
            Ok(config) => config,
            // who may not read it hears of nothing
            Err(proxmox::Error { cause: Cause::Forbidden { .. }, .. }) => return Err(Error::Answer(AppError::Forbidden { vmid: None })),
            Err(error) => return Err(self.of_call(row, &node, error)),
        };
        let macs = identity::macs(&config);
        let known = row.fingerprint.as_deref().and_then(Fingerprint::read);
        let maker = async || -> Result<Option<Upid>, Error> {
            let trace = containers::maker_of(client, &node, row.vmid);
            self.probe().around(StepKind::Trace, None, trace).await.map_err(|e| self.of_call(row, &node, e))
        };
        let (verdict, fingerprint) = match &known {
            // the first read records
            None => (Verdict::Same, identity::first(macs, maker).await?),
            Some(known) => {
                let (verdict, maker) = match identity::by_macs(known, &macs) {
                    Some(verdict) => (verdict, None),
                    None => {
                        let maker = maker().await?;
                        (identity::by_task(known, maker.as_ref(), row.created_at / 1000), maker)
                    }
                };
                (verdict, Fingerprint::of(macs, maker.as_ref()))
            }
        };
        let vmid = row.vmid;
        let typed = self.choice.typed();
        match verdict {
            Verdict::Same => {}
            Verdict::Another => return Err(self.retire(row, AppError::IdentityChanged { vmid }).await?),
            Verdict::Unclear if typed == row.hostname => {}
            // who was asked for it hears what is wrong with it, and not once more that it is asked for
            Verdict::Unclear if self.choice.confirm.is_some() => return Err(wrong_name(typed)),
            Verdict::Unclear => return Err(Error::Answer(AppError::IdentityUnclear { vmid })),
        }
        let protected = config.get("protection").is_some_and(|text| text == "1");
        Ok(Looked::Here(Checked { node, fingerprint: Some(fingerprint), protected }))
    }

    /// A direct read by this user has shown that the container of this row is no more, or is another (DESIGN §8.2, §8.3): the row keeps its
    /// history and makes room.
    async fn retire(&self, row: &StoredContainerRow, answer: AppError) -> Result<Error, Error> {
        let work = container_store::retire(self.context.state.db(), &row.id);
        self.probe().around(StepKind::Retire, None, work).await.map_err(|e| Error::Db("retire a container", e))?;
        self.context.state.slice::<Inventory>().note_gone(&row.cluster, &row.id);
        Ok(Error::Answer(answer))
    }

    /// A removal wants the container's name, typed once more.
    fn confirm(&self, row: &StoredContainerRow, name: Option<&str>) -> Result<(), Error> {
        let typed = self.choice.typed();
        if self.verb != Verb::Delete || self.choice.among_many.is_some() || typed == row.hostname || Some(typed) == name {
            return Ok(());
        }
        Err(wrong_name(typed))
    }

    /// Takes the lease, and lets the operation run. None where what was seen since `looked_at` may be over, because another operation has
    /// ended.
    async fn claim(
        &self,
        client: &Client,
        row: StoredContainerRow,
        checked: Checked,
        position: Position,
        before: Option<Status>,
        looked_at: i64,
    ) -> Result<Option<Begun>, Error> {
        let context = &self.context;
        let service = context.state.slice::<Operations>();
        let times = service.lifecycle();
        let ticket = client.ticket().ok_or(Error::NotSignedIn)?;
        // before anything is done: who takes the operation up has to recognise the container
        if let Some(fingerprint) = checked.fingerprint.as_ref().map(ToString::to_string)
            && row.fingerprint.as_ref() != Some(&fingerprint)
        {
            let work = container_store::set_fingerprint(context.state.db(), &row.id, &fingerprint);
            service.probe().around(StepKind::Recognise, None, work).await.map_err(|e| Error::Db("keep a fingerprint", e))?;
        }
        let (id, batch) = self.choice.among_many.clone().unzip();
        let id = id.unwrap_or_else(OperationId::fresh);
        let _reserved = service.reserve(&id);
        let new = NewOperationRow {
            id: id.clone(),
            container_id: row.id.clone(),
            cluster: row.cluster.clone(),
            vmid: row.vmid,
            hostname: row.hostname.clone(),
            node: checked.node,
            verb: self.verb,
            graceful_only: self.choice.graceful_only && self.verb == Verb::Shutdown,
            actor: context.user.clone(),
            source: context.source.map(|address| address.to_string()),
            before,
            ticket: seal(&context.state, &id, &ticket)?,
            deadline: match self.verb {
                Verb::Start => times.start_wait,
                Verb::Stop => times.stop_wait,
                Verb::Shutdown => times.shutdown_wait + times.stop_wait,
                Verb::Restart => times.restart_wait + times.stop_wait + times.start_wait,
                Verb::Delete => times.stop_wait + times.delete_wait,
            },
        };
        let grace = context.cluster.connection.longest_call();
        let terms = Terms { holder: service.holder().clone(), length: times.lease, grace, batch, looked_at };
        let leased = Instant::now();
        let work = store::claim(context.state.db(), &new, &terms);
        match service.probe().around(StepKind::Claim, None, work).await.map_err(|e| Error::Db("begin an operation", e))? {
            Claim::Taken => context.state.slice::<LiveOperations>().nudge(),
            Claim::Busy(busy) => {
                tracing::info!(by = %busy.actor, verb = %busy.verb, "busy");
                return Err(Error::Answer(busy_with(&row, &busy)));
            }
            Claim::TooLate => return Err(Error::LeaseLost),
            Claim::Overtaken => return Ok(None),
        }
        let operation = store::get_operation(context.state.db(), &id).await.map_err(|e| Error::Db("read an operation", e))?;
        let operation = operation.ok_or(Error::LeaseLost)?;
        let runner = Runner {
            service: service.clone(),
            state: context.state.clone(),
            cluster: context.cluster.clone(),
            client: client_of(&context.state, &context.cluster, service, &operation, ticket),
            clock: client.latest_date(),
            row: operation,
            fingerprint: checked.fingerprint,
            is_resumed: false,
            leased,
            warnings: false,
            stopping: service.stopping(),
        };
        Ok(Some((id, service.spawn(runner, position))))
    }

    /// Writes down that it was not tried, and by whom, where that is to be written down.
    async fn refuse(&self, client: &Client, row: &StoredContainerRow, error: Error) -> Result<Error, Error> {
        let answer = AppError::from(error);
        let db = self.context.state.db();
        let kind = match &answer {
            AppError::SignedOut | AppError::Invalid { .. } | AppError::Internal { .. } => return Ok(Error::Answer(answer)),
            AppError::Busy { by, verb, .. } => {
                tracing::info!(%by, %verb, "busy");
                return Ok(Error::Answer(answer));
            }
            AppError::ClusterUnreachable { .. }
            | AppError::ClusterSlow { .. }
            | AppError::CertificateUntrusted { .. }
            | AppError::NodeUnreachable { .. }
            | AppError::Unintelligible { .. } => EventKind::Failed,
            _ => EventKind::Refused,
        };
        let event = NewEventRow {
            container_id: row.id.clone(),
            cluster: row.cluster.clone(),
            vmid: row.vmid,
            hostname: row.hostname.clone(),
            kind,
            actor: self.context.user.clone(),
            source: self.context.source.map(|address| address.to_string()),
            operation_id: None,
            verb: Some(self.verb),
            upid: None,
            code: answer.code().to_owned(),
            manner: None,
            before: None,
            after: None,
        };
        let write = event_store::create_container_event(db, &event);
        self.probe().around(StepKind::Refuse, None, write).await.map_err(|e| Error::Db("write an event", e))?;
        if matches!(answer, AppError::Forbidden { .. }) {
            self.context.state.slice::<Inventory>().note_refusal(&(row.cluster.clone(), self.context.user.clone()));
        }
        if matches!(answer, AppError::IdentityChanged { .. }) {
            // the new one gets its row at once
            if let Err(error) = containers::look_again(&self.context, client).await {
                tracing::debug!("the list cannot be read: {}", telemetry::chain(&error));
            }
        }
        Ok(Error::Answer(match answer {
            // who may not read the container hears of nothing
            AppError::Forbidden { vmid: None } => AppError::NoSuchContainer,
            answer => answer,
        }))
    }

    /// The answer for a row whose container has vanished or was replaced; who may not see its number hears of nothing.
    async fn of_gone_row(&self, client: &Client, row: &StoredContainerRow) -> Result<AppError, Error> {
        if !may_audit(&self.context, client, row.vmid).await? {
            return Ok(AppError::NoSuchContainer);
        }
        let vmid = row.vmid;
        let living = container_store::find_living(self.context.state.db(), &row.cluster, vmid).await;
        let living = living.map_err(|e| Error::Db("read a container", e))?;
        Ok(if living.is_some() { AppError::IdentityChanged { vmid } } else { AppError::ContainerNotFound { vmid } })
    }

    fn of_call(&self, row: &StoredContainerRow, node: &NodeName, source: proxmox::Error) -> Error {
        Error::Proxmox { cluster: row.cluster.clone(), node: Some(node.clone()), vmid: Some(row.vmid), source: Box::new(source) }
    }

    /// Whether Proxmox says exactly that there is no such container on its node, and no other node of the user's list has it.
    async fn is_gone(&self, client: &Client, node: &NodeName, vmid: Vmid, error: &proxmox::Error) -> bool {
        let look = containers::is_nowhere_else(client, node, vmid);
        containers::is_missing(node, vmid, error) && self.probe().around(StepKind::Locate, None, look).await
    }

    fn probe(&self) -> &Probe {
        probe(&self.context)
    }
}

/// Who listens to the points that a request passes.
pub fn probe(context: &Context) -> &Probe {
    context.state.slice::<Operations>().probe()
}

/// What is wrong with a name that was typed.
fn wrong_name(typed: &str) -> Error {
    let flaw = if typed.is_empty() { Flaw::Empty } else { Flaw::Unknown };
    Error::Answer(AppError::Invalid { field: Field::Confirm, flaw })
}

fn busy_with(row: &StoredContainerRow, busy: &BusyRow) -> AppError {
    let since = u64::try_from((busy.now - busy.started_at) / 1000).unwrap_or(0);
    AppError::Busy { vmid: row.vmid, verb: busy.verb, by: busy.actor.clone(), since }
}

/// A ticket, sealed for its operation.
fn seal(state: &AppState, id: &OperationId, ticket: &Ticket) -> Result<Vec<u8>, Error> {
    Ok(state.sealer().seal(id.as_str(), &format!("{}\n{}", ticket.csrf(), ticket.cookie()))?)
}

/// A client with the operation's own ticket, which is kept where it is renewed.
pub fn client_of(state: &AppState, cluster: &Cluster, service: &Operations, operation: &OperationRow, ticket: Arc<Ticket>) -> Client {
    let client = cluster.connection.with(ticket);
    let (state, service, id) = (state.clone(), service.clone(), operation.id.clone());
    client.on_renewal(move |ticket| {
        let (state, service, id, ticket) = (state.clone(), service.clone(), id.clone(), ticket.clone());
        tokio::spawn(async move { keep_ticket(&state, &service, &id, &ticket).await });
    });
    client
}

/// Keeps an operation's renewed ticket. Where that fails, it goes on with the one it has.
pub async fn keep_ticket(state: &AppState, service: &Operations, id: &OperationId, ticket: &Ticket) {
    let work = async {
        let sealed = seal(state, id, ticket)?;
        let held = store::Held { operation: id, holder: service.holder() };
        let kept = store::renew_ticket(state.db(), held, &sealed);
        service.probe().around(StepKind::KeepTicket, None, kept).await.map_err(|e| Error::Db("keep a ticket", e))
    };
    if let Err(error) = work.await {
        tracing::warn!("an operation's renewed ticket could not be kept: {}", telemetry::chain(&error));
    }
}

/// Whether the user may audit this number on their cluster now (DESIGN §8.1).
async fn may_audit(context: &Context, client: &Client, vmid: Vmid) -> Result<bool, Error> {
    let permissions = probe(context).around(StepKind::Audit, None, client.access_permissions()).await;
    let permissions = permissions.map_err(|e| auth::service::of_cluster(&context.cluster, e))?;
    Ok(may_audit_by(&permissions, vmid))
}

/// Whether these rights let a user audit a number.
pub fn may_audit_by(permissions: &Permissions, vmid: Vmid) -> bool {
    containers::holds(permissions, &format!("/vms/{vmid}"), "VM.Audit")
}

/// Whether the user's list is recent and has this container, which is as much as that they may audit it: nothing need be asked.
pub fn is_listed(context: &Context, id: &ContainerId) -> bool {
    let viewer = (context.cluster.name.clone(), context.user.clone());
    context.state.slice::<Inventory>().shows(&viewer, id, containers::LIST_WITHIN)
}

/// What the user may do, as Proxmox says now, within what a page can wait.
pub async fn permissions_in_time(context: &Context) -> Result<Permissions, Error> {
    let budget = context.state.page_budget();
    let ask = async {
        let client = auth::service::create_proxmox_client_from_session(context).await?;
        let permissions = probe(context).around(StepKind::Audit, None, client.access_permissions()).await;
        permissions.map_err(|e| auth::service::of_cluster(&context.cluster, e))
    };
    let slow = |_| auth::service::too_slow(&context.cluster, "GET /access/permissions", budget);
    timeout(budget, ask).await.map_err(slow)?
}

/// [`may_audit`] for who reads: by their list where that tells, else asked within what a page can wait.
async fn may_read(context: &Context, vmid: Vmid) -> Result<bool, Error> {
    let living = container_store::find_living(context.state.db(), &context.cluster.name, vmid).await;
    let living = living.map_err(|e| Error::Db("read a container", e))?;
    if living.is_some_and(|living| is_listed(context, &living.id)) {
        return Ok(true);
    }
    Ok(may_audit_by(&permissions_in_time(context).await?, vmid))
}

/// An operation, for who may audit its container now.
pub async fn get_operation(context: &Context, id: &OperationId) -> Result<OperationView, Error> {
    Ok(read_operation(context, id).await?.into())
}

/// The same with everything that its page shows. One whose end is unknown is settled where this user can see it.
pub async fn read_operation(context: &Context, id: &OperationId) -> Result<OperationRow, Error> {
    let read = async || store::get_operation(context.state.db(), id).await.map_err(|e| Error::Db("read an operation", e));
    let row = read().await?.filter(|row| row.cluster == context.cluster.name).ok_or(Error::Answer(AppError::NoSuchOperation))?;
    if !may_read(context, row.vmid).await? {
        return Err(Error::Answer(AppError::NoSuchOperation));
    }
    if row.state == OperationState::Unknown {
        settle_in_time(context, row.clone()).await?;
        return Ok(read().await?.unwrap_or(row));
    }
    Ok(row)
}

/// Settles what is unknown, and waits for that as long as a page can. It goes on to its end, so that it leaves no lease behind.
async fn settle_in_time(context: &Context, row: OperationRow) -> Result<(), Error> {
    let (own, id) = (context.clone(), row.id.clone());
    let work = async move {
        let client = auth::service::create_proxmox_client_from_session(&own).await?;
        let settled = super::recovery::settle(&own, &client, row).await;
        settled.inspect_err(|error| tracing::warn!("an operation could not be settled: {}", telemetry::chain(error)))
    };
    match timeout(context.state.page_budget(), tokio::spawn(work.in_current_span())).await {
        Ok(settled) => settled?,
        Err(_) => {
            tracing::debug!(%id, "it is not settled within what a page can wait");
            Ok(())
        }
    }
}

/// Whose number a container's row has or had, for who may audit it now. What is said about a container outlives its row.
pub async fn audited(context: &Context, id: &ContainerId) -> Result<Vmid, Error> {
    let db = context.state.db();
    let no_such = || Error::Answer(AppError::NoSuchContainer);
    let row = container_store::get_container_by_id(db, id).await.map_err(|e| Error::Db("read a container", e))?;
    let (cluster, vmid) = match row {
        Some(row) => (row.cluster, row.vmid),
        None => {
            let events = event_store::list_events(db, EventsOf::Container(id), None, 1).await.map_err(|e| Error::Db("read events", e))?;
            let event = events.rows.into_iter().next().ok_or_else(no_such)?;
            (event.cluster, event.vmid)
        }
    };
    if cluster != context.cluster.name {
        return Err(no_such());
    }
    if may_read(context, vmid).await? { Ok(vmid) } else { Err(no_such()) }
}

/// Whether the user may audit this number on their cluster now.
pub async fn audited_number(context: &Context, vmid: Vmid) -> Result<(), Error> {
    if may_read(context, vmid).await? { Ok(()) } else { Err(Error::Answer(AppError::NoSuchContainer)) }
}

/// What is under way on the containers of a user's list, and what has ended lately. `shows` says whether that list lets the user hear of
/// what somebody does to a container. A deletion is told to who asked for it, although its container is in no list any more.
pub async fn list_current(context: &Context, shows: impl Fn(&ContainerId, &UserId) -> bool) -> Result<Vec<OperationView>, Error> {
    let current = store::list_current(context.state.db(), &context.cluster.name, SPEAKS_FOR, SPEAKS_FOR_GOOD).await;
    let current = current.map_err(|e| Error::Db("read the operations under way", e))?;
    let shown = |row: &OperationRow| shows(&row.container_id, &row.actor) || row.verb == Verb::Delete && row.actor == context.user;
    Ok(current.into_iter().filter(shown).map(Into::into).collect())
}

/// For how long a bad end stands beside its container in the list.
const SPEAKS_FOR: Duration = Duration::from_secs(60 * 60);
/// For how long a good one can be told to who comes back for it.
const SPEAKS_FOR_GOOD: Duration = Duration::from_secs(60);

/// The operations of a container, the newest first.
pub async fn list_operations(context: &Context, id: &ContainerId, before: Option<&OperationId>) -> Result<Paged<OperationView>, Error> {
    audited(context, id).await?;
    let page = store::list_operations(context.state.db(), OperationsOf::Container(id), before, PAGE).await;
    let page = page.map_err(|e| Error::Db("read operations", e))?;
    Ok(Paged { items: page.rows.into_iter().map(Into::into).collect(), more: page.more })
}

/// The events of a container, the newest first.
pub async fn list_container_events(context: &Context, id: &ContainerId, before: Option<&EventId>) -> Result<Paged<ContainerEvent>, Error> {
    audited(context, id).await?;
    let page = event_store::list_events(context.state.db(), EventsOf::Container(id), before, PAGE).await;
    let page = page.map_err(|e| Error::Db("read events", e))?;
    Ok(Paged { items: page.rows.into_iter().map(Into::into).collect(), more: page.more })
}
