//! How a container comes about from a backup (LXC:388-600, LC Create.pm).
//!
//! Left out: backups of templates become containers, and options that go to LXC as they are get lost.

use super::{archive::Archive, work::Work};
use crate::simulator::{
    config::{Config, MountPoint, World, change::complete_network, options::is_in},
    destroy::{referenced, remove},
    feature::volumes,
    schema::{
        lxc::NETWORK,
        property_string::{parse, print},
    },
    step::Step,
};

/// Gibibytes.
const GIB: f64 = 1_073_741_824.0;

impl Work<'_> {
    /// `old` is the container that is overwritten.
    pub(super) fn restore(&mut self, old: Option<&Config>) -> Result<(), String> {
        let volid = &self.order.archive;
        self.log(format!("recovering backed-up configuration from '{volid}'"));
        let archive = Archive::find(self.disks.storages, self.site.node, volid)?;
        let original = archive.config.as_deref().map(Config::parse).ok_or("ERROR: archive contains no configuration file")?;
        let is_unprivileged = self.order.is_unprivileged.unwrap_or_else(|| original.is_set("unprivileged"));
        if is_unprivileged {
            self.config.insert("unprivileged".to_owned(), "1".to_owned());
        } else if old.is_none_or(|old| old.is_set("unprivileged")) && !self.order.may_be_privileged {
            return Err("Permission check failed (/, Sys.Modify)".to_owned());
        }

        let mut bound = Vec::new();
        let mounts = if self.order.volumes.is_empty() { self.recovered(&original, &mut bound)? } else { self.order.volumes.clone() };
        self.make_disks(mounts)?;
        if let Some(old) = old {
            self.clear(old)?;
        }
        self.mount()?;
        self.log(format!("restoring '{volid}' now.."));
        self.unpack(&archive)?;
        self.log("merging backed-up and given configuration..");
        self.merge(&original);
        if !self.config.contains_key("arch") || !self.config.contains_key("ostype") {
            self.detect(&archive);
        }
        self.elapsed += 250;
        self.config.extend(bound);
        self.complete();
        Ok(())
    }

    /// The volumes of the backup, to be made anew on the default storage. What was bound comes back after the unpacking.
    fn recovered(&self, original: &Config, bound: &mut Vec<(String, String)>) -> Result<Vec<(String, MountPoint)>, String> {
        let mut found = Vec::new();
        for (option, mut mount) in volumes(original.current()) {
            if mount.is_volume() {
                let bytes = mount.size().ok_or_else(|| format!("unable to detect disk size - please specify {option} (size)"))?;
                mount.set_volume(&format!("{}:{}", self.order.storage, bytes as f64 / GIB), bytes);
                found.push((option, mount));
            } else if option == "rootfs" {
                return Err(format!("restoring rootfs to {} mount is only possible by specifying -rootfs manually!", mount.kind()));
            } else if self.order.is_root {
                bound.push((option, mount.print()));
            } else {
                return Err(format!("restoring '{option}' to {} mount is only possible for root", mount.kind()));
            }
        }
        if found.first().is_none_or(|(option, _)| option != "rootfs") {
            return Err("rootfs configuration could not be recovered, please check and specify manually!".to_owned());
        }
        Ok(found)
    }

    /// Destroys what the overwritten container had.
    fn clear(&mut self, old: &Config) -> Result<(), String> {
        for volid in referenced(old) {
            let is_removed = remove(&mut self.disks, self.order.vmid, &volid)?;
            self.log_disks();
            if is_removed {
                self.take(Step::Remove(volid));
            }
        }
        self.take(Step::Write("lock: create\n".to_owned()));
        Ok(())
    }

    fn merge(&mut self, original: &Config) {
        let (gains, loses) = (self.is_unprivileged(), original.is_set("unprivileged"));
        for (option, value) in original.current().entries() {
            let is_ours = matches!(option, "rootfs" | "unprivileged" | "parent" | "template" | "lock");
            if is_ours || is_in(option, "mp") || is_in(option, "unused") {
                continue;
            }
            if option == "features" && !self.order.is_root && !gains && loses {
                self.log("changing from unprivileged to privileged, skipping features");
                continue;
            }
            if self.order.is_unique && is_in(option, "net") {
                let value = with_new_address(value, self.site.world).unwrap_or_else(|| value.to_owned());
                self.config.insert(option.to_owned(), value);
            } else if !self.config.contains_key(option) {
                self.config.insert(option.to_owned(), value.to_owned());
            }
        }
    }
}

fn with_new_address(network: &str, world: &World<'_>) -> Option<String> {
    let mut network = parse(NETWORK, network).ok()?;
    network.remove("hwaddr");
    complete_network(&print(NETWORK, &network), world).ok()
}
