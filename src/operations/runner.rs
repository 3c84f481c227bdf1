//! Carries an operation out, from its first call or from wherever a process left it, to its end.
//!
//! Each call is the same: the intent is committed, the call is sent once, the task's name is committed, the task is watched; then
//! [`rules::next`] says what follows. Where an answer is lost, the task list tells whether there was a task (DESIGN §8.4). What a
//! process leaves undone, [`super::recovery`] takes up.

use super::{
    live::LiveOperations,
    model::{Call, Manner, OperationState, Report, Stage, Verb},
    probe::StepKind,
    rules::{self, End, Live, Next},
    service::Operations,
    store::{self, FinishRow, Held, IntentRow, OperationRow, OperationsOf},
};
use crate::{
    containers::{
        identity::{self, Fingerprint, Verdict},
        inventory::Inventory,
        model::Status,
        service as containers,
        store::ContainerEndRow,
    },
    error::AppError,
    events::{model::EventKind, store::NewEventRow},
    proxmox::{self, Cause, Client, client::TaskFilter, create::LxcDelete, ids::Upid, tasks::TaskEnd, wire::TaskRunState},
    server::{AppState, Error, state::Cluster, telemetry},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The pause after a poll that failed because the cluster is away, and between looks at a container under HA.
const PAUSE: Duration = Duration::from_secs(2);
/// For how long a task is waited for at a time where there is no limit.
const LONG: Duration = Duration::from_secs(60 * 60);

/// An operation at work in this process.
pub struct Runner {
    /// Who runs it.
    pub service: Operations,
    /// The application.
    pub state: AppState,
    /// Where.
    pub cluster: Arc<Cluster>,
    /// Acts as the actor, with the operation's own ticket.
    pub client: Client,
    /// As it stands in the database.
    pub row: OperationRow,
    /// What the container was recognised by when somebody looked last.
    pub fingerprint: Option<Fingerprint>,
    /// What time it was at the cluster when this process heard of it last, by another client; epoch seconds.
    pub clock: Option<i64>,
    /// Whether it was begun by another process, or by an earlier run of this one.
    pub is_resumed: bool,
    /// When its lease was last seen to be good for its whole length.
    pub leased: Instant,
    /// Whether a task had something to say.
    pub warnings: bool,
    /// Set when the process is told to end.
    pub stopping: watch::Receiver<bool>,
}

/// Where it goes on.
#[derive(Debug)]
pub enum Position {
    /// It has the lease, and this is to be its first call.
    Begin(Call),
    /// It has the lease, and its process is dead; what comes first has to be looked at anew.
    BeginAnew,
    /// The intent is committed, and nothing was sent.
    Send(Call),
    /// The intent is committed, and the call may have been carried out; or not, and this is why nobody knows.
    Find(Call, Option<proxmox::Error>),
    /// The call's task is known.
    Watch(Call, Upid),
    /// The task of a container under HA is done, and the container has to follow.
    Observe(Call),
    /// The end of the call's task is seen by somebody else: nothing more is called on their behalf.
    Settle(Call, Upid),
    /// Proxmox says that there is no such container any more, and that is what was wanted.
    Gone,
    /// It has ended, or is left to whoever comes next.
    End(Ending),
}

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// The operation has.
    Ended(Result<Report, AppError>),
    /// It is open still.
    LeftOpen,
}

/// What watching came to.
enum Seen {
    /// An end, or our own time; with what went wrong.
    End(End, Option<proxmox::Error>),
    /// Nobody can look any more.
    Blind(proxmox::Error),
    /// The process is told to end.
    Stopping,
}

/// What the task list came to.
enum Found {
    Task(Upid),
    Nothing,
    Blind(proxmox::Error),
    Stopping,
}

impl Runner {
    /// To the end.
    ///
    /// # Errors
    /// Where our database fails, or the lease is somebody else's by now: the operation is open still, and looked at again at the next beat.
    pub async fn run(mut self, mut position: Position) -> Result<Ending, Error> {
        loop {
            position = match position {
                Position::Begin(call) => self.intend(call).await?,
                Position::BeginAnew => self.begin_anew().await?,
                Position::Send(call) => self.send(call).await?,
                Position::Find(call, cause) => match self.find(call).await? {
                    Found::Task(upid) => self.accept(call, upid).await?,
                    Found::Blind(error) => self.lose_sight(error).await?,
                    Found::Stopping => Position::End(Ending::LeftOpen),
                    Found::Nothing => match cause {
                        Some(error) => self.fail_by(error).await?,
                        None => self.interrupt().await?,
                    },
                },
                Position::Watch(call, upid) => match self.watch(call, &upid).await {
                    // the task of a container under HA is done long before the container follows (DESIGN §8.8)
                    Seen::End(End::Done, _) if is_of_ha(&upid) => Position::Observe(call),
                    seen => self.follow(call, seen).await?,
                },
                Position::Observe(call) => {
                    let seen = self.observe(call).await?;
                    self.follow(call, seen).await?
                }
                Position::Settle(call, upid) => self.settle(call, &upid).await?,
                Position::Gone => self.succeed(true).await?,
                Position::End(ending) => return Ok(ending),
            };
        }
    }

    /// What follows on what was seen.
    async fn follow(&mut self, call: Call, seen: Seen) -> Result<Position, Error> {
        let (end, error) = match seen {
            Seen::End(end, error) => (end, error),
            Seen::Blind(error) => return self.lose_sight(error).await,
            Seen::Stopping => return Ok(Position::End(Ending::LeftOpen)),
        };
        match rules::next(self.row.verb, call, end, !self.row.graceful_only) {
            Next::Call(next) => self.step(next).await,
            Next::Wait => match self.task() {
                Some(upid) => Ok(Position::Watch(call, upid)),
                None => self.interrupt().await,
            },
            Next::Finish => self.succeed(false).await,
            Next::Fail => match error {
                Some(error) => self.fail_by(error).await,
                None => self.fail(AppError::OutcomeUnknown { vmid: self.row.vmid }).await,
            },
        }
    }

    /// Writes down the end of a task that somebody else has seen.
    async fn settle(&mut self, call: Call, upid: &Upid) -> Result<Position, Error> {
        let (end, error) = match self.watch(call, upid).await {
            Seen::End(end, error) => (end, error),
            Seen::Blind(error) => return self.lose_sight(error).await,
            Seen::Stopping => return Ok(Position::End(Ending::LeftOpen)),
        };
        match (rules::next(self.row.verb, call, end, !self.row.graceful_only), error) {
            (Next::Finish, _) => self.succeed(false).await,
            (_, Some(error)) => self.fail_by(error).await,
            (_, None) => self.interrupt().await,
        }
    }

    /// Sends the call, once.
    async fn send(&mut self, call: Call) -> Result<Position, Error> {
        self.hold_lease().await?;
        let (client, node, vmid) = (&self.client, &self.row.node, self.row.vmid);
        let upid = self.task();
        let work = async {
            match (call, &upid) {
                (Call::Start, _) => client.lxc_start(node, vmid).await.map(Some),
                (Call::Stop, _) => client.lxc_stop(node, vmid, false).await.map(Some),
                (Call::Shutdown, _) => client.lxc_shutdown(node, vmid, self.timeout(), !self.row.graceful_only).await.map(Some),
                (Call::Delete, _) => client.lxc_delete(node, vmid, LxcDelete { purge: true, ..LxcDelete::default() }).await.map(Some),
                (Call::Abort, Some(upid)) => client.task_abort(upid).await.map(|()| None),
                (Call::Abort, None) => Ok(None),
            }
        };
        let sent = self.service.probe().around(StepKind::Call, Some(call), work).await;
        match (sent, upid) {
            (Ok(Some(upid)), _) => self.accept(call, upid).await,
            // whether an abort was heard, the task tells
            (Ok(None) | Err(_), Some(upid)) if call == Call::Abort => Ok(Position::Watch(call, upid)),
            (Ok(None), _) => self.interrupt().await,
            (Err(error), _) if call == Call::Delete && self.is_gone(Some(call), &error).await => Ok(Position::Gone),
            (Err(error), _) if is_certain(&error.cause) => self.fail_by(error).await,
            (Err(error), _) => {
                tracing::warn!(?call, "the answer was lost; the task list tells: {}", telemetry::chain(&error));
                Ok(Position::Find(call, Some(error)))
            }
        }
    }

    /// Keeps the name of the task that a call has begun.
    async fn accept(&mut self, call: Call, upid: Upid) -> Result<Position, Error> {
        tracing::info!(%upid, "a task has begun");
        let work = store::set_upid(self.state.db(), self.held(), &upid);
        let kept = self.service.probe().around(StepKind::Accept, Some(call), work).await.map_err(|e| Error::Db("keep a task's name", e))?;
        must_hold(kept)?;
        self.state.slice::<LiveOperations>().nudge();
        if !self.row.upids.0.contains(&upid) {
            self.row.upids.0.push(upid.clone());
        }
        Ok(Position::Watch(call, upid))
    }

    /// The next step. What a process has left is gone on with only in time, and only where it is the same container still; a removal looks
    /// once more in any case. A stop that is the second half of a shutdown is the same act.
    async fn step(&mut self, next: Call) -> Result<Position, Error> {
        if self.is_resumed && self.is_too_late().await {
            return self.interrupt().await;
        }
        if next == Call::Delete || self.is_resumed {
            match self.check().await {
                Ok(Some(Verdict::Same)) => {}
                Ok(Some(Verdict::Unclear)) if !self.is_resumed => {}
                Ok(Some(Verdict::Another)) => return self.fail(AppError::IdentityChanged { vmid: self.row.vmid }).await,
                Ok(Some(Verdict::Unclear)) => return self.interrupt().await,
                Ok(None) => return Ok(Position::Gone),
                Err(error) => return self.fail_by(error).await,
            }
        }
        self.intend(next).await
    }

    /// What a process has begun that died before its first call: the same checks as at its begin.
    async fn begin_anew(&mut self) -> Result<Position, Error> {
        if self.is_too_late().await {
            return self.interrupt().await;
        }
        let look = self.client.lxc_status_current(&self.row.node, self.row.vmid);
        let status = match self.service.probe().around(StepKind::Look, None, look).await {
            Ok(status) => status,
            Err(error) if self.row.verb == Verb::Delete && self.is_gone(None, &error).await => return Ok(Position::Gone),
            Err(error) => return self.fail_by(error).await,
        };
        // protection and rights were looked at before; Proxmox itself looks at them again
        let live = Live::of(self.row.vmid, &status, false, None);
        match rules::allowed(self.row.verb, &live) {
            Ok(call) => self.step(call).await,
            Err(refusal) => self.fail(refusal).await,
        }
    }

    /// Commits the intent of a call.
    async fn intend(&mut self, call: Call) -> Result<Position, Error> {
        self.hold_lease().await?;
        let intent_at = match self.now() {
            Some(now) => now,
            // no answer of the cluster had a date: ours is as good as none
            None => self.state.db().now_ms().await.map_err(|e| Error::Db("tell the time", e))? / 1000,
        };
        let intent = IntentRow { call, intent_at, limit: self.cluster.connection.longest_call() };
        let work = store::set_intent(self.state.db(), self.held(), intent);
        let kept = self.service.probe().around(StepKind::Intend, Some(call), work).await.map_err(|e| Error::Db("keep an intent", e))?;
        must_hold(kept)?;
        self.row.call = Some(call);
        self.row.intent_at = Some(intent_at);
        Ok(Position::Send(call))
    }

    /// Waits for the end of a task; of a shutdown that can be followed by a stop, for as long as that may take.
    async fn watch(&mut self, call: Call, upid: &Upid) -> Seen {
        let (probe, stopping) = (self.service.probe().clone(), self.stopping.clone());
        probe.around(StepKind::Watch, Some(call), until_stopping(stopping, self.watch_on(call, upid), Seen::Stopping)).await
    }

    async fn watch_on(&mut self, call: Call, upid: &Upid) -> Seen {
        let limit = (call == Call::Shutdown && !self.row.graceful_only && !is_of_ha(upid)).then(|| self.wait());
        let deadline = limit.map(|limit| Instant::now() + limit.saturating_sub(self.age(upid)));
        loop {
            // also where our time is over while the cluster was away, it is asked once how the task stands
            let left = deadline.map_or(LONG, |deadline| deadline.saturating_duration_since(Instant::now()).max(PAUSE / 4));
            // where our time is over, what the cluster says now counts, and a cluster that is away says nothing
            let error = match self.client.wait_for_task(upid, left).await {
                Ok(TaskEnd::StillRunning) => match self.client.task_status(upid).await {
                    Ok(task) if task.status != TaskRunState::Stopped && deadline.is_some() => return Seen::End(End::Late, None),
                    Ok(_) => continue,
                    Err(error) => error,
                },
                Ok(end) => {
                    self.warnings |= end == TaskEnd::Warnings;
                    return Seen::End(End::Done, None);
                }
                Err(error) => error,
            };
            let end = match &error.cause {
                Cause::TaskFailed { meaning, exitstatus, .. } => match meaning.as_deref() {
                    Some(Cause::DidNotStop) => End::DidNotStop,
                    Some(Cause::Cancelled) => End::Cancelled,
                    // what we have broken off ourselves, whatever it says about it
                    _ if call == Call::Abort && exitstatus.starts_with("unexpected status") => End::Cancelled,
                    _ => End::Failed,
                },
                cause if passes(cause) => {
                    tracing::debug!(%upid, "the cluster is away; the task is watched on: {}", telemetry::chain(&error));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                _ => return Seen::Blind(error),
            };
            return Seen::End(end, Some(error));
        }
    }

    /// Looks at a container under HA until it does what the call was for, or the operation's time and some more is over.
    async fn observe(&mut self, call: Call) -> Result<Seen, Error> {
        let probe = self.service.probe().clone();
        let work = store::set_stage(self.state.db(), self.held(), Stage::Observing);
        must_hold(probe.around(StepKind::Await, Some(call), work).await.map_err(|e| Error::Db("keep a stage", e))?)?;
        let (node, vmid) = (self.row.node.clone(), self.row.vmid);
        let look = async {
            loop {
                match self.client.lxc_status_current(&node, vmid).await {
                    Ok(current) if Some(containers::status_of(Some(&current.status))) == rules::goal(call) => {
                        return Seen::End(End::Done, None);
                    }
                    Err(error) if !passes(&error.cause) => return Seen::Blind(error),
                    _ if self.is_too_late().await => return Seen::End(End::Failed, None),
                    _ => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        Ok(probe.around(StepKind::Observe, Some(call), until_stopping(self.stopping.clone(), look, Seen::Stopping)).await)
    }

    /// Looks in the task list for the task that the intent may have begun, until it could no longer appear.
    async fn find(&self, call: Call) -> Result<Found, Error> {
        // those that are known to have been begun by something else
        let of = OperationsOf::Vmid(&self.row.cluster, self.row.vmid);
        let latest = store::list_operations(self.state.db(), of, None, 20).await.map_err(|e| Error::Db("read operations", e))?;
        let taken: Vec<Upid> = latest.rows.into_iter().flat_map(|operation| operation.upids.0).collect();
        let look = until_stopping(self.stopping.clone(), self.find_on(call, &taken), Found::Stopping);
        Ok(self.service.probe().around(StepKind::Find, Some(call), look).await)
    }

    async fn find_on(&self, call: Call, taken: &[Upid]) -> Found {
        let Some(since) = self.row.intent_at else { return Found::Nothing };
        let filter =
            TaskFilter { running_too: true, vmid: Some(self.row.vmid), since: Some(since), limit: Some(100), ..TaskFilter::default() };
        let actor = self.row.actor.as_str();
        loop {
            match self.client.tasks(&self.row.node, &filter).await {
                Ok((tasks, _)) => {
                    let is_ours = |upid: &Upid| {
                        rules::begins(call, upid.kind())
                            && upid.starttime() >= since
                            && upid.user().split('!').next() == Some(actor)
                            && !taken.contains(upid)
                    };
                    let ours = tasks.into_iter().map(|task| task.upid).filter(is_ours);
                    // the first one after the intent
                    if let Some(upid) = ours.min_by_key(Upid::starttime) {
                        return Found::Task(upid);
                    }
                    let limit = self.service.lifecycle().appears_within;
                    if self.now().is_some_and(|now| now - since >= limit.as_secs() as i64) {
                        return Found::Nothing;
                    }
                }
                Err(error) if passes(&error.cause) => {
                    tracing::debug!("the task list cannot be read: {}", telemetry::chain(&error));
                }
                Err(error) => return Found::Blind(error),
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
    }

    /// Whether it is still the same container; none where it is gone and was to be removed.
    async fn check(&self) -> Result<Option<Verdict>, proxmox::Error> {
        let (node, vmid) = (&self.row.node, self.row.vmid);
        let work = async {
            let config = match self.client.lxc_config_current(node, vmid).await {
                Ok(config) => config,
                Err(error) if self.row.verb == Verb::Delete && self.is_gone(None, &error).await => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(known) = &self.fingerprint else { return Ok(Some(Verdict::Unclear)) };
            if let Some(verdict) = identity::by_macs(known, &identity::macs(&config)) {
                return Ok(Some(verdict));
            }
            let maker = containers::maker_of(&self.client, node, vmid).await?;
            Ok(Some(identity::by_task(known, maker.as_ref(), self.row.started_at / 1000)))
        };
        self.service.probe().around(StepKind::Identify, None, work).await
    }

    /// Whether Proxmox says exactly that there is no such container on its node, and no other node of the user's list has it.
    async fn is_gone(&self, call: Option<Call>, error: &proxmox::Error) -> bool {
        let (node, vmid) = (&self.row.node, self.row.vmid);
        let look = containers::is_nowhere_else(&self.client, node, vmid);
        containers::is_missing(node, vmid, error) && self.service.probe().around(StepKind::Locate, call, look).await
    }

    /// How the container came to stand, where it was brought to: its tasks tell.
    async fn manner(&self) -> Option<Manner> {
        let tasks = &self.row.upids.0;
        if tasks.iter().any(|upid| upid.kind() == "vzstop") || self.row.verb == Verb::Stop {
            return Some(Manner::Forced);
        }
        let shutdown = tasks.iter().find(|upid| rules::begins(Call::Shutdown, upid.kind()))?;
        let is_forced = !self.row.graceful_only
            && !is_of_ha(shutdown)
            && self.age(shutdown) >= self.timeout()
            && self.took(shutdown).await >= self.timeout();
        Some(if is_forced { Manner::Forced } else { Manner::Graceful })
    }

    /// How long a task took that has ended: until the list says, or else until now.
    async fn took(&self, upid: &Upid) -> Duration {
        let began = upid.starttime();
        let filter = TaskFilter { vmid: Some(self.row.vmid), since: Some(began), limit: Some(100), ..TaskFilter::default() };
        let work = self.client.tasks(&self.row.node, &filter);
        let end = match self.service.probe().around(StepKind::Measure, Some(Call::Shutdown), work).await {
            Ok((tasks, _)) => tasks.into_iter().find(|task| task.upid == *upid).and_then(|task| task.endtime),
            Err(_) => None,
        };
        end.map_or_else(|| self.age(upid), |end| Duration::from_secs(u64::try_from(end - began).unwrap_or(0)))
    }

    /// For how long a task has been there, by the cluster's clock.
    fn age(&self, upid: &Upid) -> Duration {
        let age = self.now().map_or(0, |now| now - upid.starttime());
        Duration::from_secs(u64::try_from(age).unwrap_or(0))
    }

    /// What time it is at the cluster, as far as it has said.
    fn now(&self) -> Option<i64> {
        self.client.latest_date().max(self.clock).max(self.row.intent_at)
    }

    /// What Proxmox is told for a clean shutdown.
    fn timeout(&self) -> Duration {
        let times = self.service.lifecycle();
        if self.row.verb == Verb::Restart { times.restart_timeout } else { times.shutdown_timeout }
    }

    /// How long we wait for the end of that.
    fn wait(&self) -> Duration {
        let times = self.service.lifecycle();
        if self.row.verb == Verb::Restart { times.restart_wait } else { times.shutdown_wait }
    }

    /// Whether the operation's deadline and some more is over.
    async fn is_too_late(&self) -> bool {
        let grace = i64::try_from(self.service.lifecycle().grace.as_millis()).unwrap_or(i64::MAX);
        match self.state.db().now_ms().await {
            Ok(now) => now > self.row.deadline_at.saturating_add(grace),
            Err(_) => true,
        }
    }

    /// Sees to it that the lease lasts longer than a call may take (DESIGN §8.5).
    async fn hold_lease(&mut self) -> Result<(), Error> {
        let length = self.service.lifecycle().lease;
        // with some time left for what comes before the call
        if self.leased.elapsed() < length.saturating_sub(self.cluster.connection.longest_call()) / 2 {
            return Ok(());
        }
        let since = Instant::now();
        let work = store::renew_lease(self.state.db(), self.held(), length);
        let kept = self.service.probe().around(StepKind::RenewLease, None, work).await.map_err(|e| Error::Db("renew a lease", e))?;
        must_hold(kept)?;
        self.leased = since;
        Ok(())
    }

    fn held(&self) -> Held<'_> {
        Held { operation: &self.row.id, holder: self.service.holder() }
    }

    /// The latest task.
    fn task(&self) -> Option<Upid> {
        self.row.upids.0.last().cloned()
    }
}

/// How it ends.
impl Runner {
    /// The verb has done what it should. `was_gone`: there was nothing left to remove.
    async fn succeed(&mut self, was_gone: bool) -> Result<Position, Error> {
        let after = self.row.verb.goal();
        let manner = if self.row.verb == Verb::Delete { None } else { self.manner().await };
        let kind = match self.row.verb {
            Verb::Start | Verb::Restart => EventKind::Started,
            Verb::Stop | Verb::Shutdown => EventKind::Stopped,
            Verb::Delete => EventKind::Deleted,
        };
        let code = if was_gone {
            "already_gone"
        } else if self.warnings {
            "warnings"
        } else {
            "ok"
        };
        let own = NewEventRow { manner: manner.filter(|_| kind == EventKind::Stopped), after, ..self.event(kind, code) };
        let container = match after {
            Some(status) => self.seen(status),
            None => ContainerEndRow::Deleted,
        };
        let events = self.stopped_before(manner).into_iter().chain([own]).collect();
        let end = FinishRow { state: OperationState::Succeeded, warnings: self.warnings, error: None, manner, after, container, events };
        self.finish(end).await?;
        let (operation, vmid, verb) = (self.row.id.clone(), self.row.vmid, self.row.verb);
        let report = Report { operation, vmid, verb, warnings: self.warnings, manner, status_after: after };
        tracing::info!(warnings = self.warnings, ?manner, "done");
        Ok(Position::End(Ending::Ended(Ok(report))))
    }

    /// The first half of a restart has its own event, also where the second half fails.
    fn stopped_before(&self, manner: Option<Manner>) -> Option<NewEventRow> {
        let tasks = &self.row.upids.0;
        let stop = tasks.iter().rev().find(|upid| rules::begins(Call::Shutdown, upid.kind()) || rules::begins(Call::Stop, upid.kind()))?;
        let is_over = self.row.verb == Verb::Restart && self.row.call == Some(Call::Start);
        let event = NewEventRow { manner, upid: Some(stop.clone()), after: Some(Status::Stopped), ..self.event(EventKind::Stopped, "ok") };
        is_over.then_some(event)
    }

    /// It has failed with this cause.
    async fn fail_by(&mut self, error: proxmox::Error) -> Result<Position, Error> {
        let (cluster, node, vmid) = (self.row.cluster.clone(), Some(self.row.node.clone()), Some(self.row.vmid));
        self.fail(Error::Proxmox { cluster, node, vmid, source: Box::new(error) }.into()).await
    }

    /// It has failed.
    async fn fail(&mut self, error: AppError) -> Result<Position, Error> {
        let state = OperationState::Failed;
        // what Proxmox does not allow was not tried
        let kind = if matches!(error, AppError::Forbidden { .. }) { EventKind::Refused } else { EventKind::Failed };
        self.end_badly(state, kind, error).await
    }

    /// It was not gone on with.
    async fn interrupt(&mut self) -> Result<Position, Error> {
        let error = AppError::Interrupted { vmid: self.row.vmid };
        self.end_badly(OperationState::Interrupted, EventKind::Failed, error).await
    }

    /// Nobody can look any more: whoever may looks next settles it.
    async fn lose_sight(&mut self, error: proxmox::Error) -> Result<Position, Error> {
        tracing::warn!("the outcome is unknown: {}", telemetry::chain(&error));
        let error = AppError::OutcomeUnknown { vmid: self.row.vmid };
        self.end_badly(OperationState::Unknown, EventKind::Failed, error).await
    }

    async fn end_badly(&mut self, state: OperationState, kind: EventKind, error: AppError) -> Result<Position, Error> {
        let stopped = if self.row.verb == Verb::Restart { self.stopped_before(self.manner().await) } else { None };
        // what was stopped to be started or removed stands now
        let was_stopped = self.row.verb == Verb::Delete && self.row.call == Some(Call::Delete) || stopped.is_some();
        let after = was_stopped.then_some(Status::Stopped);
        let own = NewEventRow { after, ..self.event(kind, error.code()) };
        let manner = stopped.as_ref().and_then(|event| event.manner);
        let container = match error {
            AppError::IdentityChanged { .. } => ContainerEndRow::Gone,
            _ => after.map_or(ContainerEndRow::Unchanged, |status| self.seen(status)),
        };
        let events = stopped.into_iter().chain([own]).collect();
        let warnings = self.warnings;
        let end = FinishRow { state, warnings, error: Some(error.clone()), manner, after, container, events };
        self.finish(end).await?;
        tracing::info!(%error, ?state, "ended badly");
        Ok(Position::End(Ending::Ended(Err(error))))
    }

    /// Row, events, end and lease, in one transaction; and then what is in memory.
    async fn finish(&mut self, end: FinishRow) -> Result<(), Error> {
        let work = store::finish(self.state.db(), self.held(), &end);
        let kept = self.service.probe().around(StepKind::Finish, None, work).await.map_err(|e| Error::Db("end an operation", e))?;
        must_hold(kept)?;
        let inventory = self.state.slice::<Inventory>();
        if matches!(end.error, Some(AppError::Forbidden { .. })) {
            inventory.note_refusal(&(self.row.cluster.clone(), self.row.actor.clone()));
        }
        match (end.after, &end.container) {
            (_, ContainerEndRow::Gone | ContainerEndRow::Deleted) => inventory.note_gone(&self.row.cluster, &self.row.container_id),
            (Some(status), _) => inventory.note_exact(&self.row.cluster, self.row.vmid, status),
            (None, _) => {}
        }
        self.state.slice::<LiveOperations>().nudge();
        Ok(())
    }

    fn seen(&self, status: Status) -> ContainerEndRow {
        let fingerprint = self.fingerprint.as_ref().map(ToString::to_string);
        ContainerEndRow::Seen { node: self.row.node.clone(), status, hostname: None, fingerprint, lifecycle: None }
    }

    fn event(&self, kind: EventKind, code: &str) -> NewEventRow {
        NewEventRow {
            container_id: self.row.container_id.clone(),
            cluster: self.row.cluster.clone(),
            vmid: self.row.vmid,
            hostname: self.row.hostname.clone(),
            kind,
            actor: self.row.actor.clone(),
            source: self.row.source.clone(),
            operation_id: Some(self.row.id.clone()),
            verb: Some(self.row.verb),
            upid: self.task(),
            code: code.to_owned(),
            manner: None,
            before: self.row.before,
            after: None,
        }
    }
}

/// Does what only reads, as long as the process is not told to end; a cluster that does not answer holds nobody up.
async fn until_stopping<T>(mut stopping: watch::Receiver<bool>, work: impl Future<Output = T>, stopped: T) -> T {
    tokio::select! {
        done = work => done,
        _ = stopping.wait_for(|stopping| *stopping) => stopped,
    }
}

/// Who has lost the lease writes nothing more.
fn must_hold(is_held: bool) -> Result<(), Error> {
    if is_held { Ok(()) } else { Err(Error::LeaseLost) }
}

/// Whether a task only asks the HA manager.
pub fn is_of_ha(upid: &Upid) -> bool {
    upid.kind().starts_with("ha")
}

/// Whether a failed call certainly did nothing: Proxmox refused it, or nothing was sent.
fn is_certain(cause: &Cause) -> bool {
    cause.nothing_was_sent() || !(passes(cause) || matches!(cause, Cause::Unreachable(_)))
}

/// Trouble that says nothing about the operation: who asks again may get an answer.
fn passes(cause: &Cause) -> bool {
    cause.may_pass() || matches!(cause, Cause::TimedOut(_) | Cause::Protocol(_) | Cause::Untrusted { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_certain() {
        assert!(is_certain(&Cause::AlreadyRunning));
        assert!(is_certain(&Cause::SignedOut(String::new())));
        assert!(is_certain(&Cause::NotFound { what: crate::proxmox::error::Thing::Container, text: String::new() }));
        assert!(!is_certain(&Cause::TimedOut(PAUSE)));
        assert!(!is_certain(&Cause::Protocol(String::new())));
        assert!(!is_certain(&Cause::NodeUnreachable { status: 596, text: String::new() }));
    }
}
