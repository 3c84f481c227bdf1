//! What crosses the wire about events.

use crate::{
    operations::model::is_row_id,
    proxmox::ids::{InvalidId, text_id},
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
}
