//! What Proxmox sends, field by field, read leniently.
//!
//! Versions 7.4 to 9.x send numbers as strings and the reverse, leave fields out and add new ones. Nothing here refuses a field it
//! does not know, and one entry that does not parse does not lose its list ([`entries`]).

use super::ids::{NodeName, Realm, Upid, Vmid};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// The envelope of every answer (PVE/APIServer/Formatter/Standard.pm:14-51).
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// The answer itself; null where there is none.
    #[serde(default)]
    pub data: Value,
    /// All there are, where `data` is a window of a list.
    #[serde(default, deserialize_with = "number")]
    pub total: Option<u64>,
    /// The error's text, since 8.4; older servers say it in the reason phrase alone.
    #[serde(default)]
    pub message: Option<String>,
    /// The refused parameters, by name.
    #[serde(default)]
    pub errors: Option<BTreeMap<String, String>>,
}

/// Reads a list entry by entry: what does not parse is logged by its position and left out.
pub fn entries<T: DeserializeOwned>(call: &'static str, data: Value) -> Option<Vec<T>> {
    let Value::Array(items) = data else { return None };
    let read = |(index, item)| match serde_json::from_value(item) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::warn!(call, index, %error, "an entry of an answer does not parse and is left out");
            None
        }
    };
    Some(items.into_iter().enumerate().filter_map(read).collect())
}

/// A whole number that may come as a string; anything else is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(n) => n.as_u64().or_else(|| n.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64)),
        Value::String(s) => s.parse().ok(),
        _ => None,
    })
}

/// A fraction that may come as a string.
fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    }
    .filter(|f: &f64| f.is_finite()))
}

/// `1`, `"1"` and `true` are yes; all else is no.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(n) => n.as_u64() == Some(1),
        Value::String(s) => s == "1",
        Value::Bool(b) => b,
        _ => false,
    })
}

/// Tags as Proxmox joins them: by `;`, and in old versions by `,` or a blank.
fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    Ok(text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
}

/// `POST /access/ticket`.
#[derive(Deserialize)]
pub struct Login {
    /// The user, with the realm.
    pub username: String,
    /// The ticket, or the challenge where a second factor is asked for.
    pub ticket: String,
    /// Not sent with a challenge.
    #[serde(rename = "CSRFPreventionToken")]
    pub csrf: Option<String>,
    /// A second factor is asked for.
    #[serde(rename = "NeedTFA", default, deserialize_with = "flag")]
    pub need_tfa: bool,
}

/// An entry of `GET /access/domains`.
#[derive(Debug, Clone, Deserialize)]
pub struct Domain {
    /// The realm.
    pub realm: Realm,
    /// What the admin calls it.
    #[serde(default)]
    pub comment: Option<String>,
    /// The realm that the sign-in form should offer first.
    #[serde(default, deserialize_with = "flag")]
    pub default: bool,
}

/// `GET /access/permissions`: by path the privileges, each with whether it holds for the paths below too.
pub type Permissions = BTreeMap<String, BTreeMap<String, Value>>;

/// `GET /version`.
#[derive(Debug, Clone, Deserialize)]
pub struct Version {
    /// Such as `8.4.1`.
    pub version: String,
}

/// The status of a guest or a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum RunState {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// A node that is part of the quorum.
    Online,
    /// A node that is not.
    Offline,
    /// Proxmox does not know.
    Unknown,
    /// A word that we do not know.
    Other(String),
}

impl From<String> for RunState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "running" => Self::Running,
            "stopped" => Self::Stopped,
            "online" => Self::Online,
            "offline" => Self::Offline,
            "unknown" => Self::Unknown,
            _ => Self::Other(word),
        }
    }
}

/// An entry of `GET /cluster/resources` (recording basic-04): containers, virtual machines, nodes, storages and more. Figures are
/// absent where the node is offline.
#[derive(Debug, Clone, Deserialize)]
pub struct Resource {
    /// `lxc`, `qemu`, `node`, `storage`, `sdn`, `pool` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Of guests.
    #[serde(default)]
    pub vmid: Option<Vmid>,
    /// Of guests, nodes and storages.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// Of guests: absent for the first seconds of a new one.
    #[serde(default)]
    pub name: Option<String>,
    /// Lags up to 10 s behind.
    #[serde(default)]
    pub status: Option<RunState>,
    /// A template cannot be started.
    #[serde(default, deserialize_with = "flag")]
    pub template: bool,
    /// The lock of its configuration.
    #[serde(default)]
    pub lock: Option<String>,
    /// Sorted by Proxmox.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// Used, as a fraction of `maxcpu`.
    #[serde(default, deserialize_with = "fraction")]
    pub cpu: Option<f64>,
    /// Cores; a fraction where limited.
    #[serde(default, deserialize_with = "fraction")]
    pub maxcpu: Option<f64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "number")]
    pub mem: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    pub maxmem: Option<u64>,
    /// Bytes in use; of a node: of its root file system.
    #[serde(default, deserialize_with = "number")]
    pub disk: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    pub maxdisk: Option<u64>,
    /// Seconds.
    #[serde(default, deserialize_with = "number")]
    pub uptime: Option<u64>,
}

/// `GET /nodes/{node}/lxc/{vmid}/status/current` (recording life-02).
#[derive(Debug, Clone, Deserialize)]
pub struct LxcStatus {
    /// `running` or `stopped`; there is no "starting".
    pub status: RunState,
    /// Set while something holds the configuration.
    #[serde(default)]
    pub lock: Option<String>,
    /// A template cannot be started.
    #[serde(default, deserialize_with = "flag")]
    pub template: bool,
    /// Seconds.
    #[serde(default, deserialize_with = "number")]
    pub uptime: Option<u64>,
}

/// Whether a task still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskRunState {
    /// It does.
    Running,
    /// It has ended; `exitstatus` says how.
    Stopped,
}

/// `GET /nodes/{node}/tasks/{upid}/status` (PVE/API2/Tasks.pm:451-546).
#[derive(Debug, Clone, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub upid: Upid,
    /// Whether it runs.
    pub status: TaskRunState,
    /// Only once it has ended: `OK`, `WARNINGS: n`, or what went wrong.
    #[serde(default)]
    pub exitstatus: Option<String>,
}

/// A line of `GET /nodes/{node}/tasks/{upid}/log`.
#[derive(Debug, Clone, Deserialize)]
pub struct LogLine {
    /// The text.
    pub t: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_entry_that_does_not_parse_does_not_lose_the_list() {
        let list = json!([{"type": "lxc", "vmid": 101}, {"vmid": 5}, "odd", {"type": "node", "node": "pve1"}]);
        let read: Vec<Resource> = entries("GET /cluster/resources", list).unwrap();
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn numbers_come_as_strings_and_the_reverse() {
        let row = json!({"type": "lxc", "vmid": 101, "mem": "1024", "cpu": "0.5", "template": "1", "maxcpu": 2, "status": "frozen", "tags": "b;a c"});
        let row: Resource = serde_json::from_value(row).unwrap();
        assert_eq!((row.mem, row.cpu, row.template, row.maxcpu), (Some(1024), Some(0.5), true, Some(2.0)));
        assert_eq!(row.status, Some(RunState::Other("frozen".into())));
        assert_eq!(row.tags, ["b", "a", "c"]);
    }
}
