//! What crosses the wire about signing in.

use crate::{
    error::AppError,
    proxmox::ids::{ClusterName, Realm, UserId},
};
use serde::{Deserialize, Serialize};

/// What the sign-in form offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInForm {
    /// The configured clusters, in their order.
    pub clusters: Vec<ClusterName>,
    /// The chosen one.
    pub cluster: ClusterName,
    /// Its realms. Where it does not answer, the two that every cluster has.
    pub realms: Vec<RealmChoice>,
    /// Why its realms are not known.
    pub trouble: Option<AppError>,
}

/// A realm to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmChoice {
    /// What is sent.
    pub realm: Realm,
    /// What is shown.
    pub title: String,
    /// Whether the cluster offers it first.
    pub default: bool,
}

/// Who is signed in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Who.
    pub user: UserId,
    /// Where.
    pub cluster: ClusterName,
}
