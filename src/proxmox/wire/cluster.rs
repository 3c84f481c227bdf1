//! What `/cluster` sends.

use super::{Lenient, flag, lenient, list, needed, tags};
use crate::proxmox::ids::{NodeName, StorageName, Upid, Vmid};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The status of a guest, a node or a storage.
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
    /// A storage that can be used.
    Available,
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
            "available" => Self::Available,
            "unknown" => Self::Unknown,
            _ => Self::Other(word),
        }
    }
}

impl Lenient for RunState {
    fn read(value: Value) -> Option<Self> {
        String::read(value).map(Self::from)
    }
}

/// What `GET /cluster/resources` is narrowed to. Containers alone cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterResources {
    /// Everything, pools too.
    All,
    /// Containers and virtual machines.
    Guests,
    /// Nodes.
    Nodes,
    /// Storages, once for each node.
    Storages,
}

/// An entry of `GET /cluster/resources` (recording basic-04): containers, virtual machines, nodes, storages and more. Figures are
/// absent where the node is offline. An entry of `GET /nodes` has the same fields.
#[derive(Debug, Clone, Deserialize)]
pub struct Resource {
    /// `lxc`, `qemu`, `node`, `storage`, `sdn`, `pool` …
    #[serde(rename = "type", deserialize_with = "needed")]
    pub kind: String,
    /// Of guests.
    #[serde(default, deserialize_with = "lenient")]
    pub vmid: Option<Vmid>,
    /// Of guests, nodes and storages.
    #[serde(default, deserialize_with = "lenient")]
    pub node: Option<NodeName>,
    /// Of storages.
    #[serde(default, deserialize_with = "lenient")]
    pub storage: Option<StorageName>,
    /// Of guests: absent for the first seconds of a new one.
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    /// Lags up to 10 s behind.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<RunState>,
    /// A template cannot be started.
    #[serde(default, deserialize_with = "flag")]
    pub template: bool,
    /// The lock of its configuration.
    #[serde(default, deserialize_with = "lenient")]
    pub lock: Option<String>,
    /// Sorted by Proxmox.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The pool that it is in.
    #[serde(default, deserialize_with = "lenient")]
    pub pool: Option<String>,
    /// What HA wants of it, or does with it: `started`, `stopped`, `error` …
    #[serde(default, deserialize_with = "lenient")]
    pub hastate: Option<String>,
    /// Used, as a fraction of `maxcpu`.
    #[serde(default, deserialize_with = "lenient")]
    pub cpu: Option<f64>,
    /// Cores; a fraction where limited.
    #[serde(default, deserialize_with = "lenient")]
    pub maxcpu: Option<f64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "lenient")]
    pub mem: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub maxmem: Option<u64>,
    /// Bytes in use; of a node: of its root file system.
    #[serde(default, deserialize_with = "lenient")]
    pub disk: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub maxdisk: Option<u64>,
    /// Seconds.
    #[serde(default, deserialize_with = "lenient")]
    pub uptime: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub netin: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub netout: Option<u64>,
    /// Of storages: what they may hold.
    #[serde(default, deserialize_with = "tags")]
    pub content: Vec<String>,
    /// Of storages: `dir`, `lvmthin`, `zfspool` …
    #[serde(default, deserialize_with = "lenient")]
    pub plugintype: Option<String>,
    /// Of storages: the same on every node.
    #[serde(default, deserialize_with = "flag")]
    pub shared: bool,
}

/// An entry of `GET /cluster/status`: the cluster itself, or a node of it. Without a cluster the node alone.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterMember {
    /// `cluster` or `node`.
    #[serde(rename = "type", deserialize_with = "needed")]
    pub kind: String,
    /// The cluster's or the node's.
    #[serde(deserialize_with = "needed")]
    pub name: String,
    /// Of the cluster: whether most nodes are there.
    #[serde(default, deserialize_with = "lenient")]
    pub quorate: Option<bool>,
    /// Of the cluster: how many nodes belong to it.
    #[serde(default, deserialize_with = "lenient")]
    pub nodes: Option<u32>,
    /// Of a node: whether it is there.
    #[serde(default, deserialize_with = "lenient")]
    pub online: Option<bool>,
    /// Of a node: whether it is the one that answers.
    #[serde(default, deserialize_with = "flag")]
    pub local: bool,
    /// Of a node.
    #[serde(default, deserialize_with = "lenient")]
    pub ip: Option<String>,
}

/// How tags look, by the datacenter's options: `tag-style` (pve-cluster DataCenterConfig.pm).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagColours {
    /// By tag: background, and the text's colour where one is given; six hex digits each.
    pub colours: BTreeMap<String, (String, Option<String>)>,
    /// Whether `A` and `a` are two tags.
    pub case_sensitive: bool,
    /// `config` or `alphabetical`.
    pub ordering: Option<String>,
    /// `circle`, `full`, `dense` or `none`.
    pub shape: Option<String>,
}

impl Lenient for TagColours {
    /// An object, or the property string of the file: `case-sensitive=1,color-map=web:ff0000:ffffff;db:00ff00,shape=full`.
    fn read(value: Value) -> Option<Self> {
        let fields: BTreeMap<String, Value> = match value {
            Value::Object(object) => object.into_iter().collect(),
            Value::String(text) => {
                let pairs = text.split(',').filter_map(|part| part.split_once('='));
                pairs.map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
            }
            _ => return None,
        };
        let text = |name: &str| fields.get(name).cloned().and_then(String::read);
        let colours = text("color-map").unwrap_or_default();
        let colour = |entry: &str| {
            let mut parts = entry.split(':').map(str::to_owned);
            Some((parts.next()?, (parts.next()?, parts.next())))
        };
        Some(Self {
            colours: colours.split(';').filter_map(colour).collect(),
            case_sensitive: fields.get("case-sensitive").cloned().and_then(bool::read).unwrap_or_default(),
            ordering: text("ordering"),
            shape: text("shape"),
        })
    }
}

/// `GET /cluster/options`: of all the options what concerns a user of containers. Without Sys.Audit on `/` there are only the console,
/// the style of tags and the tags that are allowed (PVE/API2/Cluster.pm, get_options).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClusterOptions {
    /// The tags that the user may set and see.
    #[serde(rename = "allowed-tags", default, deserialize_with = "names")]
    pub allowed_tags: Vec<String>,
    /// How tags look, where that is set.
    #[serde(rename = "tag-style", default, deserialize_with = "lenient")]
    pub tag_style: Option<TagColours>,
    /// Tags that only admins may set.
    #[serde(rename = "registered-tags", default, deserialize_with = "names")]
    pub registered_tags: Vec<String>,
    /// The first three bytes of new MAC addresses.
    #[serde(default, deserialize_with = "lenient")]
    pub mac_prefix: Option<String>,
    /// The datacenter's notes.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
}

/// Names in an array, or joined in one text.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(items) => items.into_iter().filter_map(String::read).collect(),
        Value::String(text) => list(&text),
        _ => Vec::new(),
    })
}

/// An entry of `GET /cluster/tasks` (recording auth-73): what runs, and the latest 25 of each node.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterTask {
    /// Which task; it says node, type, subject, user and when it began.
    #[serde(deserialize_with = "needed")]
    pub upid: Upid,
    /// When it ended; absent while it runs.
    #[serde(default, deserialize_with = "lenient")]
    pub endtime: Option<i64>,
    /// How it ended: `OK`, `WARNINGS: n`, or what went wrong. Absent or `RUNNING` while it runs.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tag_colours_come_as_an_object_or_as_the_text_of_the_file() {
        let object = json!({"color-map": "web:ff0000:ffffff;db:00ff00", "case-sensitive": 1, "shape": "full"});
        let style = TagColours::read(object).unwrap();
        assert_eq!(style.colours["web"], ("ff0000".to_owned(), Some("ffffff".to_owned())));
        assert_eq!(style.colours["db"], ("00ff00".to_owned(), None));
        assert_eq!(TagColours::read(json!("case-sensitive=1,color-map=web:ff0000:ffffff;db:00ff00,shape=full")), Some(style));
    }

    #[test]
    fn options_without_an_audit_are_read_too() {
        let options: ClusterOptions = serde_json::from_value(json!({"allowed-tags": []})).unwrap();
        assert!(options.allowed_tags.is_empty() && options.tag_style.is_none());
    }
}
