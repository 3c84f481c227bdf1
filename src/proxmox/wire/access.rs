//! What `/access` and `/version` send.

use super::{flag, lenient};
use crate::proxmox::ids::Realm;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `POST /access/ticket`.
#[derive(Deserialize)]
pub struct Login {
    /// The user, with the realm.
    pub username: String,
    /// The ticket, or the challenge where a second factor is asked for.
    pub ticket: String,
    /// Of no use with a challenge.
    #[serde(rename = "CSRFPreventionToken")]
    pub csrf: Option<String>,
    /// A second factor is asked for.
    #[serde(rename = "NeedTFA", default, deserialize_with = "flag")]
    pub need_tfa: bool,
}

/// An entry of `GET /access/domains`.
#[derive(Debug, Clone, Deserialize)]
pub struct Domain {
    /// The realm.
    pub realm: Realm,
    /// `pam`, `pve`, `ldap`, `ad`, `openid` …
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    pub kind: Option<String>,
    /// What the admin calls it.
    #[serde(default, deserialize_with = "lenient")]
    pub comment: Option<String>,
    /// The realm that the sign-in form should offer first.
    #[serde(default, deserialize_with = "flag")]
    pub default: bool,
    /// The second factor that the realm demands of everybody: `oath` or `yubico`.
    #[serde(default, deserialize_with = "lenient")]
    pub tfa: Option<String>,
}

/// `GET /access/permissions`: by path the privileges, each with whether it holds for the paths below too.
pub type Permissions = BTreeMap<String, BTreeMap<String, Value>>;

/// `GET /version` (recording basic-01).
#[derive(Debug, Clone, Deserialize)]
pub struct Version {
    /// Such as `8.4.1`.
    pub version: String,
    /// Such as `8.4`.
    #[serde(default, deserialize_with = "lenient")]
    pub release: Option<String>,
}

impl Version {
    /// Major and minor number, to compare: `(8, 4)`.
    pub fn number(&self) -> (u32, u32) {
        let mut numbers = self.version.split(['.', '-', '~']).map(|part| part.parse().unwrap_or_default());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
    }
}
