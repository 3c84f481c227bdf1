//! `/access`.

use crate::simulator::{
    schema::{formats, property::Property},
    version::Version,
};

/// `POST /access/ticket`.
pub const CREATE_TICKET: &[Property] = &[
    Property::text("username").max_length(64),
    Property::text("realm").format(formats::realm).max_length(32).optional(),
    Property::text("password"),
    Property::text("otp").optional(),
    Property::text("path").requires("privs").max_length(64).optional(),
    privileges(formats::privilege).since(Version::V9_2),
    privileges(formats::privilege_of_8).since(Version::V8_4).until(Version::V8_4),
    privileges(formats::privilege_of_7).until(Version::V7_4),
    Property::boolean("new-format").optional(),
    Property::text("tfa-challenge").optional(),
];

const fn privileges(verify: fn(&str) -> Result<(), formats::Unfit>) -> Property {
    Property::text("privs").list_of(verify).requires("path").max_length(64).optional()
}

/// `GET /access/permissions`.
pub const PERMISSIONS: &[Property] =
    &[Property::text("userid").pattern(formats::is_user_or_token).optional(), Property::text("path").optional()];
