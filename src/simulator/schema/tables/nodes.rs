//! `/nodes/{node}`, without its containers, storages and tasks.

use super::{CONSOLIDATION, NODE};
use crate::simulator::{schema::property::Property, version::Version};

/// `GET /nodes/{node}/status`.
pub const STATUS: &[Property] = &[NODE];

/// `GET /nodes/{node}/rrddata`.
pub const RRDDATA: &[Property] = &[
    NODE,
    Property::choice("timeframe", &["hour", "day", "week", "month", "year", "decade"]).since(Version::V9_2),
    Property::choice("timeframe", &["hour", "day", "week", "month", "year"]).until(Version::V8_4),
    CONSOLIDATION,
];

/// `GET /nodes/{node}/network`.
pub const NETWORK: &[Property] = &[
    NODE,
    interfaces(&[
        "bridge",
        "bond",
        "eth",
        "alias",
        "vlan",
        "fabric",
        "OVSBridge",
        "OVSBond",
        "OVSPort",
        "OVSIntPort",
        "vnet",
        "any_bridge",
        "any_local_bridge",
        "include_sdn",
    ])
    .since(Version::V9_2),
    interfaces(&[
        "bridge",
        "bond",
        "eth",
        "alias",
        "vlan",
        "OVSBridge",
        "OVSBond",
        "OVSPort",
        "OVSIntPort",
        "vnet",
        "any_bridge",
        "any_local_bridge",
    ])
    .since(Version::V8_4)
    .until(Version::V8_4),
    interfaces(&["bridge", "bond", "eth", "alias", "vlan", "OVSBridge", "OVSBond", "OVSPort", "OVSIntPort", "any_bridge"])
        .until(Version::V7_4),
];

const fn interfaces(types: &'static [&'static str]) -> Property {
    Property::choice("type", types).optional()
}
