//! What a new container shall be, and what shall change about one.

use super::{
    call::Params,
    config::{Features, MountPoint, NetworkInterface},
    ids::{StorageName, Vmid},
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};

/// The parameters of `POST /nodes/{node}/lxc`. What is not said is left to Proxmox: 512 MiB of memory and of swap, all cores, 4 GiB on
/// the storage `local`, unprivileged (FACTS §6).
#[derive(Debug, Clone)]
pub struct LxcCreate {
    vmid: Vmid,
    ostemplate: String,
    options: BTreeMap<String, String>,
    password: Option<SecretString>,
    ssh_public_keys: Option<SecretString>,
}

impl LxcCreate {
    /// A container made from a template, such as `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`.
    pub fn new(vmid: Vmid, ostemplate: impl Into<String>) -> Self {
        Self { vmid, ostemplate: ostemplate.into(), options: BTreeMap::new(), password: None, ssh_public_keys: None }
    }

    /// Any option by its name, for those that have no method here.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.options.insert(name.into(), value.to_string());
        self
    }

    /// Its host name.
    #[must_use]
    pub fn hostname(self, name: &str) -> Self {
        self.option("hostname", name)
    }

    /// How many cores it may use.
    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        self.option("cores", cores)
    }

    /// Main memory and swap, in MiB.
    #[must_use]
    pub fn memory(self, memory: u64, swap: u64) -> Self {
        self.option("memory", memory).option("swap", swap)
    }

    /// A new root file system of so many GiB.
    #[must_use]
    pub fn rootfs(self, storage: &StorageName, gibibytes: u64) -> Self {
        self.option("rootfs", format!("{storage}:{gibibytes}"))
    }

    /// `net{index}`.
    #[must_use]
    pub fn network(self, index: u8, interface: &NetworkInterface) -> Self {
        self.option(format!("net{index}"), interface)
    }

    /// `mp{index}`.
    #[must_use]
    pub fn mount(self, index: u16, mount: &MountPoint) -> Self {
        self.option(format!("mp{index}"), mount)
    }

    /// What it may beyond the usual.
    #[must_use]
    pub fn features(self, features: &Features) -> Self {
        self.option("features", features)
    }

    /// Whether its root is an ordinary user of the node; what is not needs Sys.Modify on `/`.
    #[must_use]
    pub fn unprivileged(self, yes: bool) -> Self {
        self.option("unprivileged", u8::from(yes))
    }

    /// Its tags.
    #[must_use]
    pub fn tags(self, tags: &[String]) -> Self {
        self.option("tags", tags.join(";"))
    }

    /// The pool that it belongs to.
    #[must_use]
    pub fn pool(self, pool: &str) -> Self {
        self.option("pool", pool)
    }

    /// Whether it is started once it is there, by a task of its own.
    #[must_use]
    pub fn start(self, yes: bool) -> Self {
        self.option("start", u8::from(yes))
    }

    /// The password of its root.
    #[must_use]
    pub fn password(self, password: SecretString) -> Self {
        Self { password: Some(password), ..self }
    }

    /// The public keys that may sign in as its root, one a line.
    #[must_use]
    pub fn ssh_public_keys(self, keys: SecretString) -> Self {
        Self { ssh_public_keys: Some(keys), ..self }
    }

    pub(super) fn params(&self) -> Params {
        let mut params = Params::default().with("vmid", self.vmid.to_string()).with("ostemplate", &self.ostemplate);
        for (name, value) in &self.options {
            params = params.with(name, value);
        }
        for (name, secret) in [("password", &self.password), ("ssh-public-keys", &self.ssh_public_keys)] {
            if let Some(secret) = secret {
                params = params.with(name, secret.expose_secret());
            }
        }
        params
    }
}

/// The parameters of `PUT /nodes/{node}/lxc/{vmid}/config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LxcConfigUpdate {
    /// Options with their new values.
    pub set: BTreeMap<String, String>,
    /// Options to take away.
    pub delete: BTreeSet<String>,
    /// Options whose pending change is to be forgotten.
    pub revert: BTreeSet<String>,
    /// Of the configuration that the change was made for: Proxmox refuses where it is another by now.
    pub digest: Option<String>,
}

impl LxcConfigUpdate {
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        for (name, value) in &self.set {
            params = params.with(name, value);
        }
        for (name, options) in [("delete", &self.delete), ("revert", &self.revert)] {
            if !options.is_empty() {
                params = params.with(name, options.iter().map(String::as_str).collect::<Vec<_>>().join(","));
            }
        }
        params.maybe("digest", self.digest.as_ref())
    }
}

/// The parameters of `DELETE /nodes/{node}/lxc/{vmid}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LxcDelete {
    /// Even while it runs; it is stopped hard.
    pub force: bool,
    /// Also from backup jobs, replication and HA.
    pub purge: bool,
    /// Also volumes that bear its number and stand in no configuration.
    pub destroy_unreferenced_disks: bool,
}

impl LxcDelete {
    pub(super) fn params(self) -> Params {
        Params::default()
            .flag("force", self.force)
            .flag("purge", self.purge)
            .flag("destroy-unreferenced-disks", self.destroy_unreferenced_disks)
    }
}
