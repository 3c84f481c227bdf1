//! What every connection and every handle share.

use super::{
    clock::{Clock, Moment},
    faults::Faults,
    file::{File, FileError},
    requests::Requests,
    state::State,
    tickets::Tickets,
    tls::Certificates,
};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Semaphore, watch};

const POISONED: &str = "a handler of the simulator panicked, its state cannot be trusted";

pub struct Shared {
    pub clock: Clock,
    state: Mutex<State>,
    pub tickets: Tickets,
    pub faults: Faults,
    pub requests: Requests,
    pub certificates: Arc<Certificates>,
    pub marker: Option<String>,
    worker_lag: Moment,
    pub has_control: bool,
    pub start_blocks_reads: bool,
    /// Those of `pvedaemon`.
    pub workers: Semaphore,
    /// Counts whatever somebody may be waiting for.
    pub changed: watch::Sender<u64>,
    /// What the server is told to be.
    pub wanted: watch::Sender<Phase>,
    /// What the server is.
    pub phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Listening,
    /// Connections are refused.
    Closed,
    Ended,
}

pub struct Parts {
    pub clock: Clock,
    pub file: File,
    pub worker_lag: Moment,
    pub tickets: Tickets,
    pub certificates: Arc<Certificates>,
    pub marker: Option<String>,
    pub has_control: bool,
    pub start_blocks_reads: bool,
}

impl Shared {
    pub fn new(parts: Parts) -> Result<Self, FileError> {
        let Parts { clock, file, worker_lag, tickets, certificates, marker, has_control, start_blocks_reads } = parts;
        let shared = Self {
            clock,
            state: Mutex::default(),
            tickets,
            faults: Faults::default(),
            requests: Requests::default(),
            certificates,
            marker,
            worker_lag,
            has_control,
            start_blocks_reads,
            workers: Semaphore::new(3),
            changed: watch::Sender::new(0),
            wanted: watch::Sender::new(Phase::Listening),
            phase: watch::Sender::new(Phase::Listening),
        };
        shared.load(file)?;
        Ok(shared)
    }

    /// Begins another state. Tickets stay good for the users that it has.
    pub fn load(&self, file: File) -> Result<(), FileError> {
        if let Some(now) = file.now {
            self.clock.set(now * 1000);
        }
        let mut next = file.into_state(self.clock.now())?;
        next.tasks.marker.clone_from(&self.marker);
        next.samples.lag = self.worker_lag;
        *self.state.lock().expect(POISONED) = next;
        self.announce();
        Ok(())
    }

    /// The state as it is now, with the moment that now is.
    pub fn state(&self) -> (MutexGuard<'_, State>, Moment) {
        let mut state = self.state.lock().expect(POISONED);
        let now = self.clock.now();
        state.settle(now);
        (state, now)
    }

    pub fn announce(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Waits until something holds that changes only with an announcement.
    pub async fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let mut changed = self.changed.subscribe();
        while !holds() {
            // The sender lives in `self`, so this cannot fail.
            let _ = changed.changed().await;
        }
    }
}
