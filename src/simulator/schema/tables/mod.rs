//! The tables: one constant for each endpoint, in a module for each part of the API. Parameters of the path are parameters too.

pub mod access;
pub mod cluster;
pub mod lxc;
pub mod nodes;
pub mod storage;
pub mod tasks;

use super::{formats, property::Property};

/// Of endpoints without parameters.
pub const NONE: &[Property] = &[];

const NODE: Property = Property::text("node").format(formats::node);
/// Its format leaves nothing for its bounds to refuse, so they are not here.
const VMID: Property = Property::integer("vmid").format(formats::vmid);

/// Of history: how much of it, and how points are made of more points.
const CONSOLIDATION: Property = Property::choice("cf", &["AVERAGE", "MAX"]).optional();
