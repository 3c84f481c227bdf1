//! What crosses the wire about services.

use crate::{
    operations::model::is_row_id,
    proxmox::ids::{InvalidId, text_id},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use strum::{Display, EnumString};

/// The id of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceId(String);
text_id!(ServiceId, is_row_id, "the id of a service");

/// What runs a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ServiceKind {
    /// A unit of systemd.
    Systemd,
    /// A container of Docker.
    Docker,
    /// A process of its own.
    Process,
}

/// Whether a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ServiceStatus {
    /// It is being installed.
    Installing,
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// It does not, and should.
    Error,
}

/// What a list says of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLine {
    /// What it is called.
    pub name: String,
    /// What runs it.
    pub kind: ServiceKind,
    /// Whether it runs.
    pub status: ServiceStatus,
    /// Where it listens, where it does.
    pub port: Option<u16>,
    /// Where its page is, by HTTP or HTTPS, where it has one.
    pub web_url: Option<String>,
}
