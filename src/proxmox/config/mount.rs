//! `rootfs` and `mpN`: what is mounted into a container (pve-container LXC/Config.pm, rootfs_desc and mp_desc).

use super::{
    properties::{InvalidValue, Properties, Value, Writer},
    size::Size,
};
use std::{fmt, str::FromStr};

/// What is mounted (pve-container LXC/Config.pm:1897-1904, classify_mountpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A volume of a storage, such as `local-lvm:vm-101-disk-0`; for a new one `local-lvm:8`, in GiB.
    Volume(String),
    /// A directory of the node.
    Bind(String),
    /// A block device of the node.
    Device(String),
}

impl Source {
    /// The storage that a volume is on.
    pub fn storage(&self) -> Option<&str> {
        match self {
            Self::Volume(volume) => volume.split_once(':').map(|(storage, _)| storage),
            Self::Bind(_) | Self::Device(_) => None,
        }
    }
}

impl Value for Source {
    fn read(text: &str) -> Option<Self> {
        let own = text.to_owned();
        Some(match text {
            _ if text.starts_with("/dev/") => Self::Device(own),
            _ if text.starts_with('/') => Self::Bind(own),
            _ => Self::Volume(own),
        })
    }

    fn print(&self) -> String {
        let (Self::Volume(text) | Self::Bind(text) | Self::Device(text)) = self;
        text.clone()
    }
}

/// A mount point; the root file system is one without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// What is mounted.
    pub source: Source,
    /// Where, in the container; none for `rootfs`.
    pub mp: Option<String>,
    /// How large a volume is; it says so, but does not decide it.
    pub size: Option<Size>,
    /// Access control lists on it.
    pub acl: Option<bool>,
    /// Whether a backup holds it too.
    pub backup: Option<bool>,
    /// Not to be written to.
    pub ro: Option<bool>,
    /// User quotas on it.
    pub quota: Option<bool>,
    /// Replicated with the rest.
    pub replicate: Option<bool>,
    /// The same on every node, which Proxmox then believes.
    pub shared: Option<bool>,
    /// Owner and mode as the directory has them.
    pub keepattrs: Option<bool>,
    /// Such as `noatime`.
    pub mountoptions: Option<Vec<String>>,
    /// What else there is, by key.
    pub other: Vec<(String, String)>,
}

impl MountPoint {
    /// A mount point of which nothing more is said.
    pub fn new(source: Source, mp: Option<String>) -> Self {
        Self {
            source,
            mp,
            size: None,
            acl: None,
            backup: None,
            ro: None,
            quota: None,
            replicate: None,
            shared: None,
            keepattrs: None,
            mountoptions: None,
            other: Vec::new(),
        }
    }
}

impl FromStr for MountPoint {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut parts = Properties::parse(text, Some("volume"))?;
        Ok(Self {
            source: parts.take("volume").ok_or(InvalidValue::Missing("volume"))?,
            mp: parts.take("mp"),
            size: parts.take("size"),
            acl: parts.take("acl"),
            backup: parts.take("backup"),
            ro: parts.take("ro"),
            quota: parts.take("quota"),
            replicate: parts.take("replicate"),
            shared: parts.take("shared"),
            keepattrs: parts.take("keepattrs"),
            mountoptions: parts.take("mountoptions"),
            other: parts.rest(),
        })
    }
}

impl fmt::Display for MountPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Writer::default();
        text.default_key("volume", &self.source);
        text.maybe("mp", self.mp.as_ref());
        text.maybe("acl", self.acl.as_ref());
        text.maybe("backup", self.backup.as_ref());
        text.maybe("keepattrs", self.keepattrs.as_ref());
        text.maybe("mountoptions", self.mountoptions.as_ref());
        text.maybe("quota", self.quota.as_ref());
        text.maybe("replicate", self.replicate.as_ref());
        text.maybe("ro", self.ro.as_ref());
        text.maybe("shared", self.shared.as_ref());
        text.maybe("size", self.size.as_ref());
        f.write_str(&text.finish(&self.other))
    }
}
