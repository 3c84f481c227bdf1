//! `/nodes/{node}/storage`.

use super::{NODE, VMID};
use crate::simulator::{
    schema::{formats, property::Property},
    version::Version,
};

pub(super) const STORAGE: Property = Property::text("storage").format(formats::storage_id).since(Version::V9_2);
pub(super) const STORAGE_UNTIL_8: Property = Property::text("storage").format(formats::storage_id_of_any_length).until(Version::V8_4);

/// `GET /nodes/{node}/storage`.
pub const LIST: &[Property] = &[
    NODE,
    STORAGE.optional(),
    STORAGE_UNTIL_8.optional(),
    Property::text("content").list_of(formats::storage_content).optional().since(Version::V8_4),
    Property::text("content").list_of(formats::storage_content_without_import).optional().until(Version::V7_4),
    Property::boolean("enabled").optional(),
    Property::text("target").format(formats::node).optional(),
    Property::boolean("format").optional(),
];

/// `GET /nodes/{node}/storage/{storage}/content`.
pub const CONTENT: &[Property] = &[
    NODE,
    STORAGE,
    STORAGE_UNTIL_8,
    Property::text("content").format(formats::storage_content).optional().since(Version::V8_4),
    Property::text("content").format(formats::storage_content_without_import).optional().until(Version::V7_4),
    VMID.optional(),
];

/// `GET /nodes/{node}/storage/{storage}/status`.
pub const STATUS: &[Property] = &[NODE, STORAGE, STORAGE_UNTIL_8];
