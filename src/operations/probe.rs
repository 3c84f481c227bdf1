//! The points between which an operation or a batch can be interrupted: before and after each write to our database and each call to
//! Proxmox.
//!
//! In production nobody listens. A test does, to end the process at one of them.

use super::model::Call;
use std::{future::Future, sync::Arc};
use strum::EnumIter;

/// What is done at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter)]
pub enum StepKind {
    /// Proxmox: the list of containers and the user's rights are read.
    List,
    /// Database: our rows are brought in line with that list.
    Follow,
    /// Proxmox: the user's ticket is renewed, where it is old.
    RenewSession,
    /// Database: a session's renewed ticket.
    KeepSession,
    /// Proxmox: the user's rights, where that is all that is asked.
    Audit,
    /// Proxmox: the configuration is read, to see whether it is still the same container.
    Identify,
    /// Proxmox: the cluster's list, for a container that is not where it was.
    Locate,
    /// Proxmox: the task list, for the task that made a container without a network interface.
    Trace,
    /// Proxmox: status and rights are read.
    Look,
    /// Database: a container that was seen to be gone, or to be another.
    Retire,
    /// Database: a refusal's event.
    Refuse,
    /// Database: what the container is recognised by, where it was not known or has changed.
    Recognise,
    /// Database: lease and operation.
    Claim,
    /// Database: the intent of a call.
    Intend,
    /// Proxmox: the call.
    Call,
    /// Database: the UPID.
    Accept,
    /// Proxmox: polls of the task, until it has ended or our time is over.
    Watch,
    /// Proxmox: the task list, for how long a shutdown took.
    Measure,
    /// Database: the task of a container under HA is done, and the container has to follow.
    Await,
    /// Proxmox: the status of a container under HA, until it follows.
    Observe,
    /// Database: row, events, end and lease.
    Finish,
    /// Database: an open operation is taken over.
    TakeOver,
    /// Proxmox: the ticket of an operation that was taken over is renewed.
    RenewTicket,
    /// Database: a renewed ticket.
    KeepTicket,
    /// Proxmox: the task list, for a task that an intent may have begun.
    Find,
    /// Database: the lease, where it would end in the middle of a call.
    RenewLease,
    /// Database: the lease of what is at work, on every beat.
    Beat,
    /// Database: the lease of what is left open, where the process is told to end.
    GiveUp,
    /// Proxmox: the task of an operation whose end nobody could see.
    Ask,
    /// Database: a batch with all its containers.
    CreateBatch,
    /// Database: a batch stays its process's.
    RenewBatch,
    /// Database: a container of a batch has its turn.
    TakeItem,
    /// Database: a container of a batch is put back, because nobody is signed in any more.
    PutItemBack,
    /// Database: why there is no operation for a container of a batch.
    RefuseItem,
    /// Database: the end of a batch.
    EndBatch,
}

/// On which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter)]
pub enum Side {
    /// Before.
    Before,
    /// After.
    After,
}

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// What is done.
    pub step: StepKind,
    /// The call of the operation that it is about, where it is about one.
    pub call: Option<Call>,
    /// On which side of it.
    pub side: Side,
}

/// Who listens.
#[derive(Clone, Default)]
pub struct Probe(Option<Arc<dyn Fn(Point) + Send + Sync>>);

impl Probe {
    /// Somebody who hears of each point as it is passed.
    pub fn new(listen: impl Fn(Point) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    /// Does it, and passes the points before and after.
    pub async fn around<T>(&self, step: StepKind, call: Option<Call>, work: impl Future<Output = T>) -> T {
        self.at(Point { step, call, side: Side::Before });
        let done = work.await;
        self.at(Point { step, call, side: Side::After });
        done
    }

    fn at(&self, point: Point) {
        if let Some(listen) = &self.0 {
            listen(point);
        }
    }
}
