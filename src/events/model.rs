//! What crosses the wire about events.

use crate::{
    containers::model::Status,
    operations::model::{Manner, OperationId, Verb, is_row_id},
    proxmox::ids::{InvalidId, Upid, UserId, Vmid, text_id},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use strum::{Display, EnumIter, EnumString};

/// The id of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(String);
text_id!(EventId, is_row_id, "the id of an event");

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// Berth made it.
    Created,
    /// It runs.
    Started,
    /// It stands.
    Stopped,
    /// It is no more.
    Deleted,
    /// A verb was tried, and failed.
    Failed,
    /// A verb was asked for, and not tried.
    Refused,
    /// A service in it answers.
    ServiceReady,
    /// A script of its creation has ended.
    ScriptCompleted,
    /// Somebody asked a task of Proxmox's to end.
    TaskStopped,
}

/// What the browser sees of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    /// Which. Ids sort by time.
    pub id: EventId,
    /// The container's number.
    pub vmid: Vmid,
    /// Its host name as it was.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: UserId,
    /// From which address.
    pub source: Option<String>,
    /// In which operation.
    pub operation: Option<OperationId>,
    /// What was asked for.
    pub verb: Option<Verb>,
    /// By which task.
    pub upid: Option<Upid>,
    /// `ok`, `warnings`, `already_gone`, or an error's code.
    pub code: String,
    /// How the container was brought to stand.
    pub manner: Option<Manner>,
    /// What it did before.
    pub before: Option<Status>,
    /// What it did afterwards.
    pub after: Option<Status>,
    /// Epoch milliseconds.
    pub at: i64,
}
