//! What Proxmox sends, field by field, read leniently.
//!
//! Versions 7.4 to 9.x send numbers as strings and the reverse, leave fields out and add new ones. Nothing here refuses a field it
//! does not know. A field that cannot be read is as if it were absent, an entry without what makes it one is left out of its list
//! ([`entries`]); both are logged without what stood there.
//!
//! Not here: what the values mean to a user, and the value of a configuration's keys ([`super::config`]).

mod access;
mod cluster;
mod lxc;
mod nodes;
mod tasks;

pub use access::{Domain, Login, Permissions, Version};
pub use cluster::{ClusterMember, ClusterOptions, ClusterResources, ClusterTask, Resource, RunState, TagColours};
pub use lxc::{Feature, HaState, Interface, InterfaceAddress, LxcConfig, LxcStatus, PendingOption, Snapshot};
pub use nodes::{CpuInfo, NetworkDevice, NodeStatus, Rrd, Sample, StorageEntry, Usage, Volume};
pub use tasks::{LogLine, NodeTask, TaskRunState, TaskStatus};

use super::ids::{NodeName, StorageName, Upid, UserId, Vmid};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// The envelope of every answer (PVE/APIServer/Formatter/Standard.pm:14-51).
#[derive(Debug, Deserialize)]
pub struct Envelope {
    /// The answer itself; none where it is null.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// All there are, where `data` is a window of a list.
    #[serde(default, deserialize_with = "lenient")]
    pub total: Option<u64>,
    /// The error's text, since 8.4; older servers say it in the reason phrase alone.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
    /// The refused parameters, by name.
    #[serde(default, deserialize_with = "texts")]
    pub errors: BTreeMap<String, String>,
}

impl Envelope {
    /// The answer as JSON text.
    pub fn text(&self) -> &str {
        self.data.as_ref().map_or("null", |data| data.get())
    }
}

/// Reads a list entry by entry: what does not parse is logged by its position and left out. None where it is no list.
pub fn entries<T: DeserializeOwned>(call: &'static str, text: &str) -> Option<Vec<T>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let read = |(index, item): (usize, &RawValue)| match serde_json::from_str(item.get()) {
        Ok(entry) => Some(entry),
        Err(error) => {
            // where in the entry, not what: serde's own words quote it
            tracing::warn!(call, index, column = error.column(), "an entry of an answer does not parse and is left out");
            None
        }
    };
    Some(items.into_iter().enumerate().filter_map(read).collect())
}

/// A value that is read as far as it can be.
trait Lenient: Sized {
    fn read(value: Value) -> Option<Self>;
}

/// A field that may be absent, null, of another type, or unreadable.
fn lenient<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        value => {
            let read = T::read(value);
            if read.is_none() {
                tracing::debug!(wanted = std::any::type_name::<T>(), "a field of an answer does not parse and is left out");
            }
            read
        }
    })
}

/// A field that says yes or no; absent or unreadable is no.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_default())
}

/// A field that may be absent, whose type is lenient by itself.
fn part<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// A list in a field; entries that do not parse are left out.
fn parts<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(items) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

/// An object whose values are texts.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Value::Object(object) = Value::deserialize(deserializer)? else { return Ok(BTreeMap::new()) };
    Ok(object.into_iter().filter_map(|(name, value)| Some((name, String::read(value)?))).collect())
}

/// Tags as Proxmox joins them: by `;`, and in old versions by `,` or a blank.
fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    Ok(list(&text.unwrap_or_default()))
}

/// What a `-list` of Proxmox holds (pve-common Tools.pm, split_list).
fn list(text: &str) -> Vec<String> {
    text.split([';', ',', ' ']).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

impl Lenient for u64 {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Number(n) => n.as_u64().or_else(|| n.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64)),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
    }
}

impl Lenient for u32 {
    fn read(value: Value) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }
}

impl Lenient for i64 {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
    }
}

impl Lenient for f64 {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
        .filter(|f: &f64| f.is_finite())
    }
}

/// `1`, `"1"` and `true` are yes, and so is what Proxmox reads as such (pve-common JSONSchema.pm, parse_boolean).
impl Lenient for bool {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Bool(yes) => Some(yes),
            Value::Number(n) => Some(n.as_f64() != Some(0.0)),
            Value::String(s) => match s.to_ascii_lowercase().as_str() {
                "1" | "on" | "yes" | "true" => Some(true),
                "" | "0" | "off" | "no" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Lenient for String {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::String(s) => Some(s),
            Value::Number(n) => Some(n.to_string()),
            Value::Bool(yes) => Some(u8::from(yes).to_string()),
            _ => None,
        }
    }
}

/// Declares that a value is read from its text, or from a number that stands for it.
macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl Lenient for $name {
            fn read(value: Value) -> Option<Self> {
                String::read(value)?.parse().ok()
            }
        }
    )*};
}
from_text!(Vmid, NodeName, StorageName, Upid, UserId);

/// A field without which an entry is none.
fn needed<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<T, D::Error> {
    let missing = || serde::de::Error::custom(format_args!("no {}", std::any::type_name::<T>()));
    lenient(deserializer)?.ok_or_else(missing)
}

/// `GET /cluster/nextid` is a number in a string (recording basic-11), and an integer by its schema.
pub fn vmid(text: &str) -> Option<Vmid> {
    Vmid::read(serde_json::from_str(text).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_entry_that_does_not_parse_does_not_lose_the_list() {
        let list = json!([{"type": "lxc", "vmid": 101}, {"vmid": 5}, "odd", {"type": "node", "node": "pve1"}]);
        let read: Vec<Resource> = entries("GET /cluster/resources", &list.to_string()).unwrap();
        assert_eq!(read.len(), 2);
        assert!(entries::<Resource>("GET /cluster/resources", "{}").is_none());
    }

    #[test]
    fn an_entry_is_kept_as_far_as_it_goes() {
        let row = json!({"type": "lxc", "vmid": 5, "node": "no/node", "mem": "much", "name": ["x"], "status": 7, "tags": {}, "cpu": "0.5"});
        let row: Resource = serde_json::from_value(row).unwrap();
        assert_eq!((row.vmid, row.node, row.mem, row.name, row.cpu), (None, None, None, None, Some(0.5)));
        assert_eq!(row.status, Some(RunState::Other("7".into())));
        assert!(row.tags.is_empty());
    }

    #[test]
    fn numbers_come_as_strings_and_the_reverse() {
        let row = json!({"type": "lxc", "vmid": "101", "mem": "1024", "cpu": "0.5", "template": "1", "maxcpu": 2, "status": "frozen", "tags": "b;a c", "name": 12});
        let row: Resource = serde_json::from_value(row).unwrap();
        assert_eq!((row.mem, row.cpu, row.template, row.maxcpu), (Some(1024), Some(0.5), true, Some(2.0)));
        assert_eq!((row.vmid.map(Vmid::get), row.name.as_deref()), (Some(101), Some("12")));
        assert_eq!(row.status, Some(RunState::Other("frozen".into())));
        assert_eq!(row.tags, ["b", "a", "c"]);
        assert_eq!(vmid("\"104\""), vmid("104"));
    }
}
