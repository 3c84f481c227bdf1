//! What `/nodes/{node}` sends, containers and tasks apart.

use super::{flag, lenient, needed, part, parts, tags};
use crate::proxmox::ids::{StorageName, Vmid};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// `GET /nodes/{node}/status` (recording basic-03).
#[derive(Debug, Clone, Deserialize)]
pub struct NodeStatus {
    /// Such as `pve-manager/8.4.1/2a5fa54a8503f96d`.
    #[serde(default, deserialize_with = "lenient")]
    pub pveversion: Option<String>,
    /// The kernel, in one text.
    #[serde(default, deserialize_with = "lenient")]
    pub kversion: Option<String>,
    /// Seconds.
    #[serde(default, deserialize_with = "lenient")]
    pub uptime: Option<u64>,
    /// Used, as a fraction of all cores.
    #[serde(default, deserialize_with = "lenient")]
    pub cpu: Option<f64>,
    /// Waiting for disks, as a fraction.
    #[serde(default, deserialize_with = "lenient")]
    pub wait: Option<f64>,
    /// Over 1, 5 and 15 minutes; texts on the wire.
    #[serde(default, deserialize_with = "loads")]
    pub loadavg: Vec<f64>,
    /// Main memory.
    #[serde(default, deserialize_with = "part")]
    pub memory: Option<Usage>,
    /// Swap.
    #[serde(default, deserialize_with = "part")]
    pub swap: Option<Usage>,
    /// The node's own root file system.
    #[serde(default, deserialize_with = "part")]
    pub rootfs: Option<Usage>,
    /// The processors.
    #[serde(default, deserialize_with = "part")]
    pub cpuinfo: Option<CpuInfo>,
}

/// Bytes of something that fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// In use.
    #[serde(default, deserialize_with = "lenient")]
    pub used: Option<u64>,
    /// In all.
    #[serde(default, deserialize_with = "lenient")]
    pub total: Option<u64>,
}

/// The processors of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CpuInfo {
    /// Logical ones.
    #[serde(default, deserialize_with = "lenient")]
    pub cpus: Option<u32>,
    /// What the maker calls them.
    #[serde(default, deserialize_with = "lenient")]
    pub model: Option<String>,
}

fn loads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let loads: Vec<Value> = parts(deserializer)?;
    Ok(loads.into_iter().filter_map(super::Lenient::read).collect())
}

/// What `rrddata` is asked for: how far back, and so how fine (FACTS §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rrd {
    /// The last hour.
    Hour,
    /// The last day.
    Day,
    /// The last week.
    Week,
    /// The last month.
    Month,
    /// The last year.
    Year,
}

impl Rrd {
    /// Proxmox's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// A sample of `rrddata` (recording basic-49): its time, and by name what was measured then. What was not measured is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Seconds since 1970.
    pub time: i64,
    /// `cpu`, `mem`, `netin` (bytes per second) …
    pub values: BTreeMap<String, f64>,
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let time = fields.remove("time").and_then(super::Lenient::read).ok_or_else(|| serde::de::Error::missing_field("time"))?;
        let values = fields.into_iter().filter_map(|(name, value)| Some((name, super::Lenient::read(value)?))).collect();
        Ok(Self { time, values })
    }
}

/// An entry of `GET /nodes/{node}/storage` (recording basic-14).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StorageEntry {
    /// Its name.
    #[serde(deserialize_with = "needed")]
    pub storage: StorageName,
    /// `dir`, `lvmthin`, `zfspool` …
    #[serde(rename = "type", deserialize_with = "needed")]
    pub kind: String,
    /// What it may hold: `rootdir`, `vztmpl`, `backup` … In no order.
    #[serde(default, deserialize_with = "tags")]
    pub content: Vec<String>,
    /// Whether the admin lets it be used.
    #[serde(default, deserialize_with = "flag")]
    pub enabled: bool,
    /// Whether it is there.
    #[serde(default, deserialize_with = "flag")]
    pub active: bool,
    /// The same on every node.
    #[serde(default, deserialize_with = "flag")]
    pub shared: bool,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub total: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub used: Option<u64>,
    /// Bytes that can still be had.
    #[serde(default, deserialize_with = "lenient")]
    pub avail: Option<u64>,
}

/// An entry of `GET /nodes/{node}/storage/{storage}/content` (recordings basic-17, backup-02).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// Such as `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`.
    #[serde(deserialize_with = "needed")]
    pub volid: String,
    /// `vztmpl`, `rootdir`, `backup`, `iso` …
    #[serde(default, deserialize_with = "lenient")]
    pub content: Option<String>,
    /// `raw`, `subvol`, `tzst` …
    #[serde(default, deserialize_with = "lenient")]
    pub format: Option<String>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub size: Option<u64>,
    /// About how many bytes: since 9.2, of storages that do not know better.
    #[serde(rename = "approximate-size", default, deserialize_with = "lenient")]
    pub approximate_size: Option<u64>,
    /// Bytes in use, where the storage knows.
    #[serde(default, deserialize_with = "lenient")]
    pub used: Option<u64>,
    /// Whose it is.
    #[serde(default, deserialize_with = "lenient")]
    pub vmid: Option<Vmid>,
    /// When it was made, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient")]
    pub ctime: Option<i64>,
    /// What somebody wrote about it.
    #[serde(default, deserialize_with = "lenient")]
    pub notes: Option<String>,
    /// Not to be removed.
    #[serde(default, deserialize_with = "flag")]
    pub protected: bool,
}

/// An entry of `GET /nodes/{node}/network` (recording basic-51).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkDevice {
    /// Such as `vmbr0`.
    #[serde(deserialize_with = "needed")]
    pub iface: String,
    /// `bridge`, `bond`, `eth`, `vlan`, `OVSBridge`, `vnet` …
    #[serde(rename = "type", deserialize_with = "needed")]
    pub kind: String,
    /// Whether it is up.
    #[serde(default, deserialize_with = "flag")]
    pub active: bool,
    /// IPv4, with the length of the network's part.
    #[serde(default, deserialize_with = "lenient")]
    pub cidr: Option<String>,
    /// IPv6, with the length of the network's part.
    #[serde(default, deserialize_with = "lenient")]
    pub cidr6: Option<String>,
    /// IPv4.
    #[serde(default, deserialize_with = "lenient")]
    pub gateway: Option<String>,
    /// Whether VLAN tags may be set on it.
    #[serde(default, deserialize_with = "flag")]
    pub bridge_vlan_aware: bool,
    /// What the admin wrote about it.
    #[serde(default, deserialize_with = "lenient")]
    pub comments: Option<String>,
}
