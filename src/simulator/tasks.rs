//! Tasks: their UPIDs, logs, steps and ends.
//!
//! Not here: what a task does to a container ([`super::lifecycle`]) and when ([`super::state`]).

use super::{
    clock::{Moment, seconds},
    lifecycle::Work,
    step::Step,
};
use std::collections::VecDeque;

/// Of more tasks than this the older half is forgotten.
const MOST: usize = 2_000;

#[derive(Debug, Clone)]
pub struct Tasks {
    /// In the order they began.
    pub list: Vec<Task>,
    last_pid: u32,
    /// Is added to the texts of failures, see [`super::Options::marker`].
    pub marker: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Task {
    pub upid: String,
    pub node: String,
    /// Its type, such as `vzstart`.
    pub kind: String,
    /// What it is about: the vmid for a container's task.
    pub id: String,
    pub user: String,
    pub pid: u32,
    pub pstart: i64,
    pub started: Moment,
    /// Whether it holds the container's lock file while it works.
    pub locks: bool,
    pub work: Option<Work>,
    pub log: Vec<String>,
    pub phase: Phase,
    /// What is left to do when it is stopped from outside.
    pub when_aborted: Vec<Step>,
}

#[derive(Debug, Clone)]
pub enum Phase {
    /// For the container's lock.
    Waiting {
        until: Moment,
    },
    /// Without steps it works for ever.
    Working {
        steps: VecDeque<(Moment, Effect)>,
    },
    Ended(Ended),
}

#[derive(Debug, Clone)]
pub struct Ended {
    pub at: Moment,
    pub exit: String,
}

/// One thing that happens in a task.
#[derive(Debug, Clone)]
pub enum Effect {
    Log(String),
    /// A line about a failure.
    Complain(String),
    StartBegins,
    Started,
    Stopped,
    /// Of a task that creates or destroys a container.
    Step(Step),
    /// The HA manager takes over, and its node does the work a while later.
    HandOver {
        after: Moment,
        work: Work,
        ha: &'static str,
    },
    End(String),
}

impl Default for Tasks {
    fn default() -> Self {
        Self { list: Vec::new(), last_pid: 0x700, marker: None }
    }
}

impl Task {
    pub fn exit(&self) -> Option<&str> {
        self.ended().map(|ended| ended.exit.as_str())
    }

    pub fn ended(&self) -> Option<&Ended> {
        if let Phase::Ended(ended) = &self.phase { Some(ended) } else { None }
    }

    pub fn due(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Working { steps } => steps.front().map(|(at, _)| *at),
            Phase::Ended(_) => None,
        }
    }

    /// The container it is about; 0, which none has, where it is about something else.
    pub fn vmid(&self) -> u32 {
        self.id.parse().unwrap_or(0)
    }

    pub fn holds_lock(&self) -> bool {
        self.locks && matches!(self.phase, Phase::Working { .. })
    }
}

impl Tasks {
    pub fn next_pid(&mut self) -> u32 {
        // Pids of one machine are apart and wrap before they need more than eight digits.
        self.last_pid = (self.last_pid + 37) % 0x0040_0000;
        self.last_pid
    }

    /// `UPID:{node}:{pid}:{pstart}:{starttime}:{type}:{id}:{user}:` (PVE/UPID.pm:18-36).
    pub fn add(&mut self, now: Moment, booted: Moment, node: &str, vmid: u32, user: &str, work: Work) -> usize {
        // Nobody asks for tasks of long ago; what has not ended is kept.
        if self.list.len() >= MOST {
            let mut surplus = MOST / 2;
            self.list.retain(|task| {
                let is_forgotten = surplus > 0 && task.ended().is_some();
                surplus -= usize::from(is_forgotten);
                !is_forgotten
            });
        }
        let pid = self.next_pid();
        let pstart = ((now - booted) / 10).max(0);
        let kind = work.kind();
        let upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{:08X}:{kind}:{vmid}:{user}:", seconds(now));
        self.list.push(Task {
            upid,
            node: node.to_owned(),
            kind: kind.to_owned(),
            id: vmid.to_string(),
            user: user.to_owned(),
            pid,
            pstart,
            started: now,
            locks: work.locks(),
            work: Some(work),
            log: Vec::new(),
            phase: Phase::Working { steps: VecDeque::new() },
            when_aborted: Vec::new(),
        });
        self.list.len() - 1
    }

    pub fn position(&self, upid: &str) -> Option<usize> {
        self.list.iter().position(|task| task.upid == upid)
    }

    pub fn find(&self, upid: &str) -> Option<&Task> {
        self.list.iter().find(|task| task.upid == upid)
    }

    /// The task that is due next, with its moment.
    pub fn next_due(&self) -> Option<(Moment, usize)> {
        self.list.iter().enumerate().filter_map(|(index, task)| Some((task.due()?, index))).min()
    }

    /// The task that holds a container's lock.
    pub fn lock_holder(&self, vmid: u32) -> Option<&Task> {
        self.list.iter().find(|task| task.vmid() == vmid && task.holds_lock())
    }

    pub fn running(&self) -> impl Iterator<Item = &Task> {
        self.list.iter().filter(|task| task.ended().is_none())
    }

    fn marked(&self, text: &str) -> String {
        self.marker.as_ref().map_or_else(|| text.to_owned(), |marker| format!("{text} {marker}"))
    }

    pub fn complain(&mut self, index: usize, line: &str) {
        let line = self.marked(line);
        self.list[index].log.push(line);
    }

    /// Writes the last line as the worker does (RE:520-747). A killed worker writes none and is `unexpected status`.
    pub fn end(&mut self, index: usize, Ended { at, exit }: Ended) {
        let is_fine = exit == "OK" || exit.starts_with("WARNINGS: ");
        let exit = if is_fine { exit } else { self.marked(&exit) };
        let task = &mut self.list[index];
        if is_fine {
            task.log.push(format!("TASK {exit}"));
        } else if !exit.starts_with("unexpected status") {
            task.log.push(format!("TASK ERROR: {}", exit.replace('\n', " ")));
        }
        task.phase = Phase::Ended(Ended { at, exit });
    }
}
