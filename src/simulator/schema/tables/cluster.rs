//! `/cluster`. Its status, options and tasks take no parameters.

use crate::simulator::schema::{formats, property::Property};

/// `GET /cluster/resources`.
pub const RESOURCES: &[Property] = &[Property::choice("type", &["vm", "storage", "node", "sdn"]).optional()];

/// `GET /cluster/nextid`.
pub const NEXTID: &[Property] = &[Property::integer("vmid").format(formats::vmid).optional()];
