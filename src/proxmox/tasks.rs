//! What becomes of a task: waiting for its end, and following its log.
//!
//! Not here: starting and aborting one; those are calls of the [`Client`].

use super::{
    client::Client,
    error::{Cause, Error},
    ids::Upid,
    wire::TaskRunState,
};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// How many lines of a failed task's log go into the error.
const LOG_TAIL: u64 = 20;
/// How many lines are asked for at once. Without a limit Proxmox would send 50 (PVE/API2/Tasks.pm).
const LOG_PAGE: u64 = 500;
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

/// The pause between polls in a task's first second: it is over in one, and somebody waits for its end.
const FIRST: Duration = Duration::from_millis(130);
/// How many pauses are as short as that.
const FIRST_POLLS: usize = 8;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3);

/// The pauses between polls: as many as the rule of 8 polls for a task of one second and 40 for one of a minute allows, evenly in the
/// first second, so that the end of a short task is seen 65 ms later on the average; then each a fifth longer than the last.
fn pauses() -> impl Iterator<Item = Duration> + Send + Sync {
    let longer = std::iter::successors(Some(FIRST), |last| Some(last.mul_f64(1.2).min(LONGEST)));
    std::iter::repeat_n(FIRST, FIRST_POLLS - 1).chain(longer)
}

/// Polls that may fail now and then.
#[derive(Default)]
struct Patience {
    failed: u32,
}

impl Patience {
    /// The answer, or none where the poll failed for now; an error where there is no use in asking on.
    fn with<T>(&mut self, upid: &Upid, poll: Result<T, Error>) -> Result<Option<T>, Error> {
        let error = match poll {
            Ok(answer) => {
                self.failed = 0;
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        self.failed += 1;
        let passes = error.cause.may_pass() || matches!(error.cause, Cause::TimedOut(_) | Cause::Protocol(_));
        if self.failed > FAILED_POLLS || !passes {
            return Err(error);
        }
        tracing::debug!(%upid, error = &error as &dyn std::error::Error, "a poll of a task failed; going on");
        Ok(None)
    }
}

impl Client {
    /// Waits until the task has ended, or the limit is over.
    ///
    /// A failed poll is survived as long as Proxmox could be away for a moment. Fails with [`Cause::TaskFailed`] where the task
    /// ended with anything but `OK` and `WARNINGS: n` (PVE/RESTEnvironment.pm:520-747), with the tail of its log.
    pub async fn wait_for_task(&self, upid: &Upid, limit: Duration) -> Result<TaskEnd, Error> {
        let deadline = Instant::now() + limit;
        let mut patience = Patience::default();
        for pause in pauses() {
            let poll = async {
                sleep(pause).await;
                self.task_status(upid).await
            };
            let Ok(polled) = timeout_at(deadline, poll).await else { return Ok(TaskEnd::StillRunning) };
            match patience.with(upid, polled)? {
                Some(task) if task.status == TaskRunState::Stopped => return self.task_end(upid, task.exitstatus.as_deref()).await,
                _ => {}
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
                let log = match self.task_log_tail(upid).await {
                    Ok(lines) => lines,
                    Err(error) => vec![format!("(the log could not be read: {error}: {})", error.cause)],
                };
                let meaning = Cause::of_text(&exitstatus).map(Box::new);
                Err(Error { call: "the task", cause: Cause::TaskFailed { exitstatus, log, meaning } })
            }
        }
    }

    /// The last lines of a task's log.
    async fn task_log_tail(&self, upid: &Upid) -> Result<Vec<String>, Error> {
        Ok(self.task_log_end(upid, LOG_TAIL).await?.0)
    }

    /// The last lines of a task's log as it is now, at most so many, and how many there are in all. None where it is empty.
    pub async fn task_log_end(&self, upid: &Upid, most: u64) -> Result<(Vec<String>, u64), Error> {
        let (mut lines, mut total) = self.task_log(upid, 0, most).await?;
        if total > most {
            let (end, grown) = self.task_log(upid, total - most, most).await?;
            (lines, total) = (end, grown.max(total));
        }
        let mut lines: Vec<String> = lines.into_iter().map(|line| line.t).collect();
        if is_empty_log(total, &lines) {
            (lines, total) = (Vec::new(), 0);
        }
        Ok((lines, total))
    }

    /// Follows a task's log from its first line to the last one it will ever have.
    pub fn follow_task_log(&self, upid: &Upid) -> TaskLog {
        let (client, upid) = (self.clone(), upid.clone());
        TaskLog { client, upid, reader: Reader::new(), patience: Patience::default(), pauses: Box::new(pauses()) }
    }

    /// The whole log of a task, however long; of one that runs, once it has ended.
    pub async fn whole_task_log(&self, upid: &Upid) -> Result<Vec<String>, Error> {
        let mut log = self.follow_task_log(upid);
        let mut lines = Vec::new();
        while let Some(line) = log.next().await? {
            lines.push(line);
        }
        Ok(lines)
    }
}

/// An empty log is shown as one line (Tools.pm, dump_logfile_by_filehandle).
fn is_empty_log(total: u64, lines: &[String]) -> bool {
    total <= 1 && lines == ["no content"]
}

/// A task's log as it grows: each line once, in order, without gaps.
pub struct TaskLog {
    client: Client,
    upid: Upid,
    reader: Reader,
    patience: Patience,
    pauses: Box<dyn Iterator<Item = Duration> + Send + Sync>,
}

impl TaskLog {
    /// The next line; waits for it while the task runs. None after the last one.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(line) = self.reader.ready.pop_front() {
                return Ok(Some(line));
            }
            match self.reader.stage {
                Stage::Read => return Ok(None),
                Stage::Running => {
                    // first the status, then the log: what a task wrote before it ended is in the log by then
                    let polled = self.client.task_status(&self.upid).await;
                    if self.patience.with(&self.upid, polled)?.is_some_and(|task| task.status == TaskRunState::Stopped) {
                        self.reader.stage = Stage::Ended;
                    }
                }
                Stage::Ended => {}
            }
            let polled = self.client.task_log(&self.upid, self.reader.taken, LOG_PAGE).await;
            if let Some((lines, total)) = self.patience.with(&self.upid, polled)? {
                self.reader.take(lines.into_iter().map(|line| line.t).collect(), total);
            }
            if self.reader.ready.is_empty() && self.reader.stage != Stage::Read {
                sleep(self.pauses.next().unwrap_or(LONGEST)).await;
            }
        }
    }

    /// The line that is being written, as far as it goes; it comes as a whole later.
    pub fn growing(&self) -> Option<&str> {
        self.reader.growing.as_deref()
    }
}

/// How far a log is read.
///
/// A worker's output is written as it comes, so the last line of a running task may be half of one. It is held back until another one
/// follows or the task has ended.
struct Reader {
    ready: VecDeque<String>,
    /// How many lines were taken over from Proxmox.
    taken: u64,
    growing: Option<String>,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// It has ended before the log was read last, so nothing will be added to what comes now.
    Ended,
    /// The last line was taken.
    Read,
}

impl Reader {
    fn new() -> Self {
        Self { ready: VecDeque::new(), taken: 0, growing: None, stage: Stage::Running }
    }

    /// Takes over the page that follows what was taken.
    fn take(&mut self, mut lines: Vec<String>, total: u64) {
        if self.taken == 0 && is_empty_log(total, &lines) {
            lines.clear();
        }
        let is_last_page = lines.is_empty() || self.taken + lines.len() as u64 >= total;
        self.growing = if is_last_page && self.stage == Stage::Running { lines.pop() } else { None };
        if is_last_page && self.stage == Stage::Ended {
            self.stage = Stage::Read;
        }
        self.taken += lines.len() as u64;
        self.ready.extend(lines);
    }
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
        // one more than fit is the poll that sees the end
        assert!(polls_within(Duration::from_secs(1)) < 8);
        assert!(polls_within(Duration::from_secs(60)) < 40);
        assert!(polls_within(Duration::from_millis(200)) >= 1);
    }

    /// What Proxmox would send of a log from `start` on.
    fn page(log: &[&str], start: u64, limit: usize) -> (Vec<String>, u64) {
        let lines = log.iter().skip(start as usize).take(limit).map(|line| (*line).to_owned()).collect();
        (lines, log.len() as u64)
    }

    #[test]
    fn each_line_of_a_log_comes_once_and_whole() {
        let mut reader = Reader::new();
        let mut seen = Vec::new();
        for log in
            [&["no content"][..], &["one"], &["one", "tw"], &["one", "two", "three"], &["one", "two", "three", "four", "five", "TASK OK"]]
        {
            let (lines, total) = page(log, reader.taken, 2);
            reader.take(lines, total);
            seen.extend(reader.ready.drain(..));
        }
        assert_eq!((seen.join(" "), reader.stage == Stage::Running), ("one two three four".to_owned(), true));
        reader.stage = Stage::Ended;
        while reader.stage != Stage::Read {
            let (lines, total) = page(&["one", "two", "three", "four", "five", "TASK OK"], reader.taken, 2);
            reader.take(lines, total);
            seen.extend(reader.ready.drain(..));
        }
        assert_eq!(seen.join(" "), "one two three four five TASK OK");
    }

    #[test]
    fn the_last_line_is_shown_as_it_grows() {
        let mut reader = Reader::new();
        reader.take(vec!["one".to_owned(), "tw".to_owned()], 2);
        assert_eq!((reader.ready.len(), reader.growing.as_deref()), (1, Some("tw")));
        reader.take(vec!["two".to_owned()], 2);
        assert_eq!((reader.ready.len(), reader.growing.as_deref()), (1, Some("two")));
    }
}
