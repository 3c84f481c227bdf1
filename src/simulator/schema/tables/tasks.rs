//! `/nodes/{node}/tasks`. A UPID may be any text here; the handlers take it apart.

use super::{NODE, VMID};
use crate::simulator::schema::{formats, property::Property};

const UPID: Property = Property::text("upid");
const START: Property = Property::integer("start").minimum(0).optional();
const LIMIT: Property = Property::integer("limit").minimum(0).optional();

/// `GET /nodes/{node}/tasks`.
pub const LIST: &[Property] = &[
    NODE,
    START,
    LIMIT,
    Property::text("userfilter").optional(),
    Property::text("typefilter").optional(),
    VMID.optional(),
    Property::boolean("errors").optional(),
    Property::choice("source", &["archive", "active", "all"]).optional(),
    Property::integer("since").optional(),
    Property::integer("until").optional(),
    Property::text("statusfilter").list_of(formats::task_status).optional(),
];

/// `GET /nodes/{node}/tasks/{upid}/status`.
pub const STATUS: &[Property] = &[NODE, UPID];

/// `GET /nodes/{node}/tasks/{upid}/log`.
pub const LOG: &[Property] = &[NODE, UPID, START, LIMIT, Property::boolean("download").optional()];

/// `DELETE /nodes/{node}/tasks/{upid}`.
pub const ABORT: &[Property] = &[NODE, UPID];
