//! What `/nodes/{node}/lxc` sends.

use super::{Lenient, RunState, flag, lenient, needed, part, parts, tags};
use crate::proxmox::ids::Vmid;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// `GET /nodes/{node}/lxc/{vmid}/status/current` (recording life-02), and an entry of `GET /nodes/{node}/lxc` (basic-29).
#[derive(Debug, Clone, Deserialize)]
pub struct LxcStatus {
    /// Old versions leave it out of `status/current`.
    #[serde(default, deserialize_with = "lenient")]
    pub vmid: Option<Vmid>,
    /// `running` or `stopped`; there is no "starting".
    pub status: RunState,
    /// The host name, or `CT101` where there is none.
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    /// Set while something holds the configuration.
    #[serde(default, deserialize_with = "lock")]
    pub lock: Option<String>,
    /// A template cannot be started.
    #[serde(default, deserialize_with = "flag")]
    pub template: bool,
    /// Sorted by Proxmox.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// Seconds; 0 when stopped.
    #[serde(default, deserialize_with = "lenient")]
    pub uptime: Option<u64>,
    /// Used, as a fraction of `cpus`; 0 in the first sample.
    #[serde(default, deserialize_with = "lenient")]
    pub cpu: Option<f64>,
    /// Cores, or the limit where it is lower.
    #[serde(default, deserialize_with = "lenient")]
    pub cpus: Option<f64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "lenient")]
    pub mem: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub maxmem: Option<u64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "lenient")]
    pub swap: Option<u64>,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub maxswap: Option<u64>,
    /// Bytes in use of the root file system; 0 when stopped.
    #[serde(default, deserialize_with = "lenient")]
    pub disk: Option<u64>,
    /// Bytes: what was configured when stopped, what the file system has when running.
    #[serde(default, deserialize_with = "lenient")]
    pub maxdisk: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub netin: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub netout: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub diskread: Option<u64>,
    /// Bytes since the start.
    #[serde(default, deserialize_with = "lenient")]
    pub diskwrite: Option<u64>,
    /// Only in `status/current`.
    #[serde(default, deserialize_with = "part")]
    pub ha: Option<HaState>,
}

/// What high availability has to do with a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HaState {
    /// Whether it looks after it.
    #[serde(default, deserialize_with = "flag")]
    pub managed: bool,
    /// What it wants of it, or does with it.
    #[serde(default, deserialize_with = "lenient")]
    pub state: Option<String>,
}

/// Versions before 7 send an empty lock where there is none (FACTS §5).
fn lock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(lenient(deserializer)?.filter(|lock: &String| !lock.is_empty()))
}

/// `GET /nodes/{node}/lxc/{vmid}/config` (recording life-03): every option as the text that could be sent back for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LxcConfig {
    /// By name: `hostname`, `memory`, `net0`, `rootfs`, `mp0` … An `lxc.` entry is not among them.
    pub options: BTreeMap<String, String>,
    /// What `lxc.` entries there are, in order.
    pub lxc: Vec<(String, String)>,
    /// Of the configuration's text: who sends it with a change is refused where the text has changed since.
    pub digest: Option<String>,
}

impl LxcConfig {
    /// An option's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for LxcConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut config = Self::default();
        for (name, value) in BTreeMap::<String, Value>::deserialize(deserializer)? {
            match (name.as_str(), value) {
                ("lxc", Value::Array(pairs)) => {
                    config.lxc = pairs.into_iter().filter_map(|pair| serde_json::from_value(pair).ok()).collect();
                }
                ("digest", digest) => config.digest = String::read(digest),
                (_, value) => {
                    if let Some(text) = String::read(value) {
                        config.options.insert(name, text);
                    }
                }
            }
        }
        Ok(config)
    }
}

/// An entry of `GET /nodes/{node}/lxc/{vmid}/pending` (recording create-17): an option with what holds, and what waits for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PendingOption {
    /// The option.
    pub key: String,
    /// What holds now.
    #[serde(default, deserialize_with = "lenient")]
    pub value: Option<String>,
    /// What comes with the next start.
    #[serde(default, deserialize_with = "lenient")]
    pub pending: Option<String>,
    /// It goes with the next start.
    #[serde(default, deserialize_with = "flag")]
    pub delete: bool,
}

/// An entry of `GET /nodes/{node}/lxc/{vmid}/interfaces`: what the running container has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "InterfaceAsSent")]
pub struct Interface {
    /// Such as `eth0`; `lo` is among them.
    pub name: String,
    /// The MAC address.
    pub hwaddr: Option<String>,
    /// All there are, link-local ones too.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InterfaceAddress {
    /// IPv4 or IPv6.
    #[serde(rename = "ip-address")]
    pub address: String,
    /// The length of the network's part; a text on the wire (FACTS §5).
    #[serde(default, deserialize_with = "lenient")]
    pub prefix: Option<u32>,
}

/// Up to 8.3 there is one address of each family, with its prefix in one text; since 8.4 there is the whole list too.
#[derive(Deserialize)]
struct InterfaceAsSent {
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    hwaddr: Option<String>,
    #[serde(rename = "hardware-address", default, deserialize_with = "lenient")]
    hardware_address: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    inet: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    inet6: Option<String>,
    #[serde(rename = "ip-addresses", default, deserialize_with = "parts")]
    addresses: Vec<InterfaceAddress>,
}

impl From<InterfaceAsSent> for Interface {
    fn from(sent: InterfaceAsSent) -> Self {
        let mut addresses = sent.addresses;
        if addresses.is_empty() {
            let address = |text: String| match text.split_once('/') {
                Some((address, prefix)) => InterfaceAddress { address: address.to_owned(), prefix: prefix.parse().ok() },
                None => InterfaceAddress { address: text, prefix: None },
            };
            addresses = sent.inet.into_iter().chain(sent.inet6).map(address).collect();
        }
        Self { name: sent.name, hwaddr: sent.hwaddr.or(sent.hardware_address), addresses }
    }
}

/// What `GET /nodes/{node}/lxc/{vmid}/feature` can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Taking a snapshot.
    Snapshot,
    /// A linked clone.
    Clone,
    /// A full clone.
    Copy,
}

impl Feature {
    /// Proxmox's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Clone => "clone",
            Self::Copy => "copy",
        }
    }
}

/// An entry of `GET /nodes/{node}/lxc/{vmid}/snapshot` (recording snap-11). The last one is `current`, the state that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// `current` is none, but what holds now.
    #[serde(deserialize_with = "needed")]
    pub name: String,
    /// The snapshot that it is based on.
    #[serde(default, deserialize_with = "lenient")]
    pub parent: Option<String>,
    /// What somebody wrote about it; ends with a line break where it is not empty.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
    /// When, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient")]
    pub snaptime: Option<i64>,
    /// Set while it is not finished: `prepare`, `delete` …
    #[serde(default, deserialize_with = "lenient")]
    pub snapstate: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_configuration_is_read_as_the_texts_that_could_be_sent_back() {
        let sent = json!({"memory": 512, "cpulimit": "1.5", "hostname": "web", "digest": "abc", "lxc": [["lxc.apparmor.profile", "unconfined"]], "odd": {}});
        let config: LxcConfig = serde_json::from_value(sent).unwrap();
        assert_eq!((config.get("memory"), config.get("cpulimit"), config.get("odd")), (Some("512"), Some("1.5"), None));
        assert_eq!(config.digest.as_deref(), Some("abc"));
        assert_eq!(config.lxc, [("lxc.apparmor.profile".to_owned(), "unconfined".to_owned())]);
    }

    #[test]
    fn interfaces_are_read_in_the_old_form_and_the_new() {
        let old = json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01", "inet": "10.0.0.5/24", "inet6": "fe80::1/64"});
        let new = json!({"name": "eth0", "hwaddr": "bc:24:11:00:00:01", "inet": "10.0.0.5/24", "ip-addresses": [
            {"ip-address": "10.0.0.5", "ip-address-type": "inet", "prefix": "24"}, {"ip-address": "fe80::1", "ip-address-type": "inet6", "prefix": 64}]});
        let read = |value| serde_json::from_value::<Interface>(value).unwrap();
        assert_eq!(read(old), read(new.clone()));
        assert_eq!(read(new).addresses[0], InterfaceAddress { address: "10.0.0.5".to_owned(), prefix: Some(24) });
    }
}
