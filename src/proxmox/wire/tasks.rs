//! What `/nodes/{node}/tasks` sends.

use super::{lenient, needed};
use crate::proxmox::ids::Upid;
use serde::Deserialize;

/// Whether a task still runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum TaskRunState {
    /// It does.
    Running,
    /// It has ended; `exitstatus` says how.
    Stopped,
    /// A word that we do not know.
    Other(String),
}

impl From<String> for TaskRunState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "running" => Self::Running,
            "stopped" => Self::Stopped,
            _ => Self::Other(word),
        }
    }
}

/// `GET /nodes/{node}/tasks/{upid}/status` (PVE/API2/Tasks.pm:451-546).
#[derive(Debug, Clone, Deserialize)]
pub struct TaskStatus {
    /// The task.
    #[serde(deserialize_with = "needed")]
    pub upid: Upid,
    /// Whether it runs.
    pub status: TaskRunState,
    /// Only once it has ended: `OK`, `WARNINGS: n`, or what went wrong.
    #[serde(default, deserialize_with = "lenient")]
    pub exitstatus: Option<String>,
}

/// An entry of `GET /nodes/{node}/tasks` (recording basic-37).
#[derive(Debug, Clone, Deserialize)]
pub struct NodeTask {
    /// The task; it says node, type, subject, user and when it began.
    #[serde(deserialize_with = "needed")]
    pub upid: Upid,
    /// When it ended; absent while it runs.
    #[serde(default, deserialize_with = "lenient")]
    pub endtime: Option<i64>,
    /// How it ended: `OK`, `WARNINGS: n`, or what went wrong. Absent or `RUNNING` while it runs.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<String>,
}

/// A line of `GET /nodes/{node}/tasks/{upid}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// Its number, from 1.
    #[serde(deserialize_with = "needed")]
    pub n: u64,
    /// Its text; empty lines have one that is empty.
    #[serde(default, deserialize_with = "text")]
    pub t: String,
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_default())
}
