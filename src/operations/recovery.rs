//! Takes up what a process left undone: at the start, and on every beat what another replica has left.
//!
//! What was called is looked for and watched, and never called again. What was not called yet goes on in time, after the same checks as
//! at the begin; else it is closed as interrupted. Whose ticket is dead is closed as unknown, until somebody looks who may.

use super::{
    model::{Call, OperationId, OperationState, Stage},
    probe::StepKind,
    rules,
    runner::{Position, Runner, is_of_ha},
    service::{Operations, client_of, keep_ticket},
    store::{self, OperationRow, UnsettledRow},
};
use crate::{
    containers::{identity::Fingerprint, store as container_store},
    proxmox::{Client, ids::UserId, ticket::Ticket, wire::TaskRunState},
    server::{AppState, Context, Error, db::Db, secrets::SecretError, state::Cluster, telemetry},
};
use std::sync::Arc;
use tokio::time::Instant;

/// Renews the leases of this process and takes up what is left over, again and again.
pub async fn keep_on(state: AppState) {
    let service = state.slice::<Operations>().clone();
    let times = service.lifecycle();
    // three times as often as a lease lasts
    let mut beat = tokio::time::interval(times.beat.min(times.lease / 3));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopping = service.stopping();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Err(error) = take_up(&state, &service).await {
            tracing::error!("open operations cannot be looked after: {}", telemetry::chain(&error));
        }
    }
}

async fn take_up(state: &AppState, service: &Operations) -> Result<(), Error> {
    let length = service.lifecycle().lease;
    let at_work = service.ids();
    for seen in store::list_open(state.db()).await.map_err(|e| Error::Db("read open operations", e))? {
        let id = &seen.operation.id;
        let is_own = seen.holder.as_ref() == Some(service.holder());
        if at_work.contains(id) {
            let held = store::Held { operation: id, holder: service.holder() };
            let work = store::renew_lease(state.db(), held, length);
            let kept = service.probe().around(StepKind::Beat, None, work).await.map_err(|e| Error::Db("renew a lease", e))?;
            if !kept {
                tracing::debug!(%id, "it has ended, or its lease is somebody else's");
            }
            continue;
        }
        // a cluster that is not configured any more may come back
        let Some(cluster) = state.cluster(&seen.operation.cluster) else { continue };
        let leased = Instant::now();
        // what this process itself has dropped, by an error or a panic, it still has
        let taken = is_own || take_over(state, service, &cluster, &seen).await?;
        if taken
            && !service.ids().contains(id)
            && let Err(error) = resume(state, service, cluster, id, leased).await
        {
            tracing::error!(%id, "an operation cannot be taken up: {}", telemetry::chain(&error));
        }
    }
    Ok(())
}

/// Takes an operation over, once nothing that its old holder has sent can still arrive (DESIGN §8.5).
///
/// On PostgreSQL that is up to 105 s after a replica was killed: its lease, which it may have renewed just before, the longest call, and
/// a beat of ours. The lease cannot be shorter than the longest call, which it has to outlast, and some beats; and the call is waited
/// for besides, because a holder that is not dead but was held up may send what it has intended only when its lease is almost over.
async fn take_over(state: &AppState, service: &Operations, cluster: &Cluster, seen: &UnsettledRow) -> Result<bool, Error> {
    let expired_for = match state.db() {
        // there is one process: whoever had the lease is dead
        Db::Sqlite(..) => None,
        Db::Postgres(_) => Some(cluster.connection.longest_call()),
    };
    let work = store::take_over(state.db(), seen, service.holder(), service.lifecycle().lease, expired_for);
    let taken = service.probe().around(StepKind::TakeOver, None, work).await.map_err(|e| Error::Db("take an operation over", e))?;
    if taken {
        tracing::info!(id = %seen.operation.id, verb = %seen.operation.verb, vmid = %seen.operation.vmid, "an operation is taken up");
    }
    Ok(taken)
}

async fn resume(state: &AppState, service: &Operations, cluster: Arc<Cluster>, id: &OperationId, leased: Instant) -> Result<(), Error> {
    // Whoever had the lease may have made a call after the list was read, and have given it up only then. From now on only we write.
    let row = store::get_operation(state.db(), id).await.map_err(|e| Error::Db("read an operation", e))?;
    let Some(row) = row.filter(|row| row.state == OperationState::Open) else { return Ok(()) };
    let sealed = store::get_ticket(state.db(), &row.id).await.map_err(|e| Error::Db("read an operation's ticket", e))?;
    let ticket = match sealed.map(|sealed| state.sealer().open(row.id.as_str(), &sealed)).transpose() {
        Ok(opened) => opened.and_then(|text| read(row.actor.clone(), &text)),
        // the key was replaced
        Err(SecretError::Sealed) => None,
        Err(error) => return Err(error.into()),
    };
    let container = container_store::get_container_by_id(state.db(), &row.container_id).await;
    let container = container.map_err(|e| Error::Db("read a container", e))?;
    // without a ticket every call is refused, and that is what it comes to
    let ticket = ticket.unwrap_or_else(|| Ticket::new(row.actor.clone(), String::new(), String::new()));
    let client = renewed(state, service, &cluster, &row, Arc::new(ticket)).await;
    let position = position_of(&row);
    let runner = Runner {
        service: service.clone(),
        state: state.clone(),
        cluster,
        client,
        clock: None,
        row,
        fingerprint: container.and_then(|container| Fingerprint::read(container.fingerprint.as_deref()?)),
        is_resumed: true,
        leased,
        warnings: false,
        stopping: service.stopping(),
    };
    drop(service.spawn(runner, position));
    Ok(())
}

fn read(user: UserId, text: &str) -> Option<Ticket> {
    let (csrf, cookie) = text.split_once('\n')?;
    Some(Ticket::new(user, cookie.to_owned(), csrf.to_owned()))
}

/// A client with a new ticket: nobody knows how old the one is that was left.
async fn renewed(state: &AppState, service: &Operations, cluster: &Cluster, row: &OperationRow, ticket: Arc<Ticket>) -> Client {
    let client = client_of(state, cluster, service, row, ticket);
    match service.probe().around(StepKind::RenewTicket, None, client.access_ticket_renewal()).await {
        Ok(ticket) => {
            keep_ticket(state, service, &row.id, &ticket).await;
            client_of(state, cluster, service, row, Arc::new(ticket))
        }
        Err(error) => {
            tracing::warn!("an operation's ticket could not be renewed: {}", telemetry::chain(&error));
            client
        }
    }
}

/// Where a process left it.
fn position_of(row: &OperationRow) -> Position {
    match (row.call, row.stage, row.upids.0.last()) {
        (Some(call @ Call::Abort), _, Some(upid)) => Position::Watch(call, upid.clone()),
        (Some(call), Stage::Intended, _) => Position::Find(call, None),
        (Some(call), Stage::Waiting, Some(upid)) => Position::Watch(call, upid.clone()),
        (Some(call), Stage::Observing, Some(upid)) if is_of_ha(upid) => Position::Observe(call),
        _ => Position::BeginAnew,
    }
}

/// Settles an operation whose end nobody could see, where this user sees it now: its last task has ended, and says how.
pub async fn settle(context: &Context, client: &Client, row: OperationRow) -> Result<(), Error> {
    let (state, service) = (&context.state, context.state.slice::<Operations>());
    let Some(upid) = row.upids.0.last().cloned() else { return Ok(()) };
    let Some(call) = row.call.filter(|call| *call == Call::Abort || rules::begins(*call, upid.kind())) else { return Ok(()) };
    let task = service.probe().around(StepKind::Ask, Some(call), client.task_status(&upid)).await;
    let ended = matches!(task, Ok(task) if task.status == TaskRunState::Stopped);
    let ticket = client.ticket();
    let unknown = store::list_unknown(state.db(), &row.cluster).await.map_err(|e| Error::Db("read operations", e))?;
    let seen = unknown.into_iter().find(|seen| seen.operation.id == row.id && seen.operation.state == OperationState::Unknown);
    let (true, Some(ticket), Some(seen)) = (ended, ticket, seen) else { return Ok(()) };
    let leased = Instant::now();
    if !take_over(state, service, &context.cluster, &seen).await? {
        return Ok(());
    }
    // somebody else who looked may have settled it before this had the lease
    let read = store::get_operation(state.db(), &row.id).await.map_err(|e| Error::Db("read an operation", e))?;
    let Some(row) = read.filter(|row| row.state == OperationState::Unknown) else {
        let held = store::Held { operation: &row.id, holder: service.holder() };
        let give_up = service.probe().around(StepKind::GiveUp, None, store::give_up(state.db(), held));
        return give_up.await.map(|_| ()).map_err(|e| Error::Db("give a lease up", e));
    };
    let container = container_store::get_container_by_id(state.db(), &row.container_id).await;
    let container = container.map_err(|e| Error::Db("read a container", e))?;
    let runner = Runner {
        service: service.clone(),
        state: state.clone(),
        cluster: context.cluster.clone(),
        client: context.cluster.connection.with(ticket),
        clock: client.latest_date(),
        row,
        fingerprint: container.and_then(|container| Fingerprint::read(container.fingerprint.as_deref()?)),
        is_resumed: true,
        leased,
        warnings: false,
        stopping: service.stopping(),
    };
    // what a task's end leaves to be done is not done on behalf of somebody else
    let end = service.spawn(runner, Position::Settle(call, upid));
    if end.await.is_err() {
        tracing::warn!("an operation could not be settled");
    }
    Ok(())
}
