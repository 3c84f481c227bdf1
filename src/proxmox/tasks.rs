//! Waiting for a task: fast at first, then with patience.

use super::{
    client::Client,
    error::{Cause, Error},
    ids::Upid,
    wire::TaskRunState,
};
use std::time::{Duration, Instant};

/// How many lines of a failed task's log go into the error.
const LOG_TAIL: u32 = 20;
/// How many polls in a row may fail before the wait is given up. A node that restarts its API is back within seconds.
const FAILED_POLLS: u32 = 5;

/// How a task was seen to end, or not.
#[derive(Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// Exit status `OK`.
    Ok,
    /// Exit status `WARNINGS: n`: it did what it should, and has something to say.
    Warnings,
    /// The limit came first. The task goes on; that is no failure.
    StillRunning,
}

/// The pauses between polls: 150 ms, each a quarter longer than the last, 2 s at most. That is 5 polls for a task of one second and
/// 38 for one of a minute.
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_millis(150)), |last| Some(last.mul_f64(1.25).min(Duration::from_secs(2))))
}

impl Client {
    /// Waits until the task has ended, or the limit is over.
    ///
    /// A failed poll is survived as long as Proxmox could be away for a moment. Fails with [`Cause::TaskFailed`] where the task
    /// ended with anything but `OK` and `WARNINGS: n` (PVE/RESTEnvironment.pm:520-747), with the tail of its log.
    pub async fn wait_for_task(&self, upid: &Upid, limit: Duration) -> Result<TaskEnd, Error> {
        let start = Instant::now();
        let mut failed = 0;
        for pause in pauses() {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(TaskEnd::StillRunning);
            }
            tokio::time::sleep(pause.min(left)).await;
            match self.task_status(upid).await {
                Ok(task) if task.status == TaskRunState::Stopped => return self.task_end(upid, task.exitstatus.as_deref()).await,
                Ok(_) => failed = 0,
                Err(error) => {
                    failed += 1;
                    if failed > FAILED_POLLS || !passing(&error.cause) {
                        return Err(error);
                    }
                    tracing::debug!(%upid, error = &error as &dyn std::error::Error, "a poll of a task failed; going on");
                }
            }
        }
        Ok(TaskEnd::StillRunning)
    }

    async fn task_end(&self, upid: &Upid, exitstatus: Option<&str>) -> Result<TaskEnd, Error> {
        match exitstatus {
            Some("OK") => Ok(TaskEnd::Ok),
            Some(warnings) if warnings.starts_with("WARNINGS: ") => Ok(TaskEnd::Warnings),
            other => {
                let exitstatus = other.unwrap_or("unknown").to_owned();
                let log = match self.task_log_tail(upid, LOG_TAIL).await {
                    Ok(lines) => lines,
                    Err(error) => vec![format!("(the log could not be read: {error}: {})", error.cause)],
                };
                let meaning = Cause::of_text(&exitstatus).map(Box::new);
                Err(Error { call: "the task", cause: Cause::TaskFailed { exitstatus, log, meaning } })
            }
        }
    }
}

/// Whether a failed poll may be followed by a good one.
fn passing(cause: &Cause) -> bool {
    matches!(cause, Cause::Unreachable(_) | Cause::TimedOut(_) | Cause::NodeUnreachable { .. } | Cause::Protocol(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_polled_often_at_first_and_seldom_later() {
        let polls_within = |limit: Duration| {
            let mut at = Duration::ZERO;
            pauses()
                .take_while(|pause| {
                    at += *pause;
                    at <= limit
                })
                .count()
        };
        assert!(polls_within(Duration::from_secs(1)) <= 8);
        assert!(polls_within(Duration::from_secs(60)) <= 40);
        assert!(polls_within(Duration::from_millis(200)) >= 1);
    }
}
