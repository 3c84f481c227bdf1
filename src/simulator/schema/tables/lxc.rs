//! `/nodes/{node}/lxc`.

use super::{
    CONSOLIDATION, NODE, VMID,
    storage::{STORAGE, STORAGE_UNTIL_8},
};
use crate::simulator::{
    schema::{formats, lxc::OPTIONS, property::Property},
    version::Version,
};

/// Of endpoints that need nothing but the container.
const CONTAINER: &[Property] = &[NODE, VMID];

/// `GET /nodes/{node}/lxc`.
pub const LIST: &[Property] = &[NODE];

/// `POST /nodes/{node}/lxc`.
pub const CREATE: &[Property] = &with_options::<{ OPTIONS.len() + CREATE_ONLY.len() }>(CREATE_ONLY);

const CREATE_ONLY: &[Property] = &[
    NODE,
    VMID,
    Property::text("ostemplate").max_length(255),
    Property::text("password").min_length(5).optional(),
    STORAGE.optional(),
    STORAGE_UNTIL_8.optional(),
    Property::boolean("force").optional(),
    Property::boolean("restore").optional(),
    Property::boolean("unique").requires("restore").optional(),
    Property::text("pool").format(formats::pool).optional().since(Version::V8_4),
    Property::text("pool").format(formats::pool_without_levels).optional().until(Version::V7_4),
    Property::boolean("ignore-unpack-errors").optional(),
    Property::text("ssh-public-keys").optional(),
    Property::number("bwlimit").minimum(0).optional(),
    Property::boolean("start").optional(),
    Property::boolean("ha-managed").optional().since(Version::V9_2),
];

/// `DELETE /nodes/{node}/lxc/{vmid}`.
pub const DESTROY: &[Property] = &[
    NODE,
    VMID,
    Property::boolean("force").optional(),
    Property::boolean("purge").optional(),
    Property::boolean("destroy-unreferenced-disks").optional(),
];

/// `GET /nodes/{node}/lxc/{vmid}/config`.
pub const CONFIG: &[Property] =
    &[NODE, VMID, Property::boolean("current").optional(), Property::text("snapshot").format(formats::config_id).max_length(40).optional()];

/// `PUT /nodes/{node}/lxc/{vmid}/config`.
pub const UPDATE_CONFIG: &[Property] = &with_options::<{ OPTIONS.len() + UPDATE_ONLY.len() }>(UPDATE_ONLY);

const UPDATE_ONLY: &[Property] = &[
    NODE,
    VMID,
    Property::text("delete").list_of(formats::config_id).optional(),
    Property::text("revert").list_of(formats::config_id).optional(),
    Property::text("digest").max_length(40).optional(),
];

/// `GET /nodes/{node}/lxc/{vmid}/pending`.
pub const PENDING: &[Property] = CONTAINER;

/// `GET /nodes/{node}/lxc/{vmid}/status/current`.
pub const STATUS_CURRENT: &[Property] = CONTAINER;

/// `POST /nodes/{node}/lxc/{vmid}/status/start`.
pub const START: &[Property] = &[NODE, VMID, SKIPLOCK, Property::boolean("debug").optional()];

/// `POST /nodes/{node}/lxc/{vmid}/status/stop`.
pub const STOP: &[Property] = &[NODE, VMID, SKIPLOCK, Property::boolean("overrule-shutdown").optional().since(Version::V8_4)];

/// `POST /nodes/{node}/lxc/{vmid}/status/shutdown`.
pub const SHUTDOWN: &[Property] = &[NODE, VMID, TIMEOUT, Property::boolean("forceStop").optional()];

/// `POST /nodes/{node}/lxc/{vmid}/status/reboot`.
pub const REBOOT: &[Property] = &[NODE, VMID, TIMEOUT];

const SKIPLOCK: Property = Property::boolean("skiplock").optional();
const TIMEOUT: Property = Property::integer("timeout").minimum(0).optional();

/// `GET /nodes/{node}/lxc/{vmid}/interfaces`, since Proxmox VE 8.1.
pub const INTERFACES: &[Property] = CONTAINER;

/// `GET /nodes/{node}/lxc/{vmid}/rrddata`.
pub const RRDDATA: &[Property] = &[NODE, VMID, Property::choice("timeframe", &["hour", "day", "week", "month", "year"]), CONSOLIDATION];

/// `GET /nodes/{node}/lxc/{vmid}/feature`.
pub const FEATURE: &[Property] = &[
    NODE,
    VMID,
    Property::choice("feature", &["snapshot", "clone", "copy"]),
    Property::text("snapname").format(formats::config_id).max_length(40).optional(),
];

/// `GET /nodes/{node}/lxc/{vmid}/snapshot`.
pub const SNAPSHOTS: &[Property] = CONTAINER;

/// A table that takes all options of a config besides its own parameters.
const fn with_options<const COUNT: usize>(own: &[Property]) -> [Property; COUNT] {
    let mut table = [NODE; COUNT];
    let mut at = 0;
    while at < COUNT {
        table[at] = if at < own.len() { own[at] } else { OPTIONS[at - own.len()] };
        at += 1;
    }
    table
}
