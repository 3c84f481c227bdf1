//! `features`: what a container may beyond the usual (pve-container LXC/Config.pm, features_desc).

use super::properties::{InvalidValue, Properties, Writer};
use std::{fmt, str::FromStr};

/// The parts of `features`. All but `nesting` are for root@pam to set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Containers inside, and what systemd needs.
    pub nesting: Option<bool>,
    /// The `keyctl()` system call, for Docker inside an unprivileged container.
    pub keyctl: Option<bool>,
    /// File systems in user space.
    pub fuse: Option<bool>,
    /// Some device nodes.
    pub mknod: Option<bool>,
    /// `/sys` to be written to.
    pub force_rw_sys: Option<bool>,
    /// File systems that it may mount, such as `nfs`.
    pub mount: Option<Vec<String>>,
    /// What else there is, by key.
    pub other: Vec<(String, String)>,
}

impl FromStr for Features {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut parts = Properties::parse(text, None)?;
        Ok(Self {
            nesting: parts.take("nesting"),
            keyctl: parts.take("keyctl"),
            fuse: parts.take("fuse"),
            mknod: parts.take("mknod"),
            force_rw_sys: parts.take("force_rw_sys"),
            mount: parts.take("mount"),
            other: parts.rest(),
        })
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Writer::default();
        text.maybe("force_rw_sys", self.force_rw_sys.as_ref());
        text.maybe("fuse", self.fuse.as_ref());
        text.maybe("keyctl", self.keyctl.as_ref());
        text.maybe("mknod", self.mknod.as_ref());
        text.maybe("mount", self.mount.as_ref());
        text.maybe("nesting", self.nesting.as_ref());
        f.write_str(&text.finish(&self.other))
    }
}
