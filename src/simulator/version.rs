//! Which Proxmox VE is simulated. What differs stands where it matters, as a comparison with one of these.

/// A release of Proxmox VE; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Version {
    /// Errors without a message in the body, no `interfaces`, 70 points of history.
    #[serde(rename = "7.4")]
    V7_4,
    /// The release that was recorded.
    #[default]
    #[serde(rename = "8.4")]
    V8_4,
    /// Of the current source: finer history, pressure figures, one text for all bad tickets.
    #[serde(rename = "9.2")]
    V9_2,
}

impl Version {
    /// The kernel's release, and how `pveversion` names the package.
    pub fn node(self) -> (&'static str, &'static str) {
        match self {
            Self::V7_4 => ("5.15.158-2-pve", "pve-manager/7.4-19/f98bf8d4"),
            Self::V8_4 => ("6.8.12-10-pve", "pve-manager/8.4.1/2a5fa54a8503f96d"),
            Self::V9_2 => ("6.17.4-2-pve", "pve-manager/9.2.11/7c1f0e4b5d3a2968"),
        }
    }

    /// The version, release and repository id of `GET /version`.
    pub fn api(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::V7_4 => ("7.4-19", "7.4", "f98bf8d4"),
            Self::V8_4 => ("8.4.1", "8.4", "2a5fa54a8503f96d"),
            Self::V9_2 => ("9.2.11", "9.2", "7c1f0e4b5d3a2968"),
        }
    }
}
