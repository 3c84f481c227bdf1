//! What the rules about one container must know of the cluster around it, taken from the state before the container changes.

use super::{config::World, state::State, version::Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Copies: the state may change while they are used.
pub struct Surroundings {
    version: Version,
    vmid: u32,
    is_running: bool,
    options: Map<String, Value>,
    tags: Vec<(u32, String)>,
    /// The bridges of its node with their MTU.
    bridges: BTreeMap<String, u64>,
}

impl Surroundings {
    pub fn of(state: &State, node: &str, vmid: u32) -> Self {
        let network = state.node(node).map(|node| node.network.as_slice()).unwrap_or_default();
        let text = |interface: &Map<String, Value>, key: &str| interface.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let bridges = network.iter().filter(|interface| matches!(text(interface, "type").as_str(), "bridge" | "OVSBridge"));
        Self {
            version: state.version,
            vmid,
            is_running: state.container_on(node, vmid).is_some_and(super::state::Container::is_running),
            options: state.options.clone(),
            tags: state.containers.values().map(|c| (c.vmid, c.config.get("tags").unwrap_or_default().to_owned())).collect(),
            bridges: bridges.map(|interface| (text(interface, "iface"), text(interface, "mtu").parse().unwrap_or(1500))).collect(),
        }
    }

    pub fn with<R>(&self, work: impl FnOnce(&World<'_>) -> R) -> R {
        work(&World {
            version: self.version,
            vmid: self.vmid,
            is_running: self.is_running,
            options: &self.options,
            tags: &|| self.tags.clone(),
            bridge_mtu: &|bridge| self.bridges.get(bridge).copied(),
            random: &random_bytes,
        })
    }
}

/// Without random numbers all MAC addresses are alike, which a test would notice.
fn random_bytes() -> [u8; 6] {
    let mut bytes = [0; 6];
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}
