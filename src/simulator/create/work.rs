//! The task that makes a container: disks, unpacking, configuration, with the times that were measured (create-10-timeline).

use super::{
    Order, Plan, Site,
    archive::{self, Archive},
    complaint,
};
use crate::simulator::{
    clock::Moment,
    config::{Config, MountPoint},
    feature::volumes,
    step::{Step, Steps},
    storage::{self, Disks, Storage, find_usable},
    version::Version,
};
use std::collections::BTreeMap;

/// A task that is being planned.
pub struct Work<'a> {
    pub(super) order: &'a Order,
    pub(super) site: &'a Site<'a>,
    /// Copies: the real ones change as the steps are taken.
    pub(super) disks: Disks<'a>,
    steps: Steps,
    pub(super) elapsed: Moment,
    /// Volumes that go away again when something fails.
    made: Vec<String>,
    /// The configuration that comes about.
    pub(super) config: BTreeMap<String, String>,
    /// Whether more than the lock has changed, so that no way leads back.
    is_touched: bool,
}

impl<'a> Work<'a> {
    pub fn new(order: &'a Order, site: &'a Site<'a>, storages: &'a mut [Storage]) -> Self {
        Self {
            order,
            site,
            disks: Disks { storages, node: site.node, now: site.now, version: site.world.version, log: Vec::new() },
            steps: Steps::new(),
            elapsed: 30,
            made: Vec::new(),
            config: order.options.clone(),
            is_touched: !order.replaces,
        }
    }

    pub fn plan(mut self) -> Plan {
        let old = self.site.guest.as_ref().and_then(|guest| guest.config).filter(|_| self.order.replaces);
        let outcome = if self.order.is_restore { self.restore(old) } else { self.create() };
        self.finish(outcome, old)
    }

    pub(super) fn take(&mut self, step: Step) {
        self.steps.push((self.elapsed, step));
    }

    pub(super) fn log(&mut self, line: impl Into<String>) {
        self.take(Step::Log(line.into()));
    }

    /// What the storages have said.
    pub(super) fn log_disks(&mut self) {
        for line in std::mem::take(&mut self.disks.log) {
            self.log(line);
        }
    }

    fn config(&self) -> Config {
        Config::new(None, self.config.iter().map(|(option, value)| (option.as_str(), value.clone())))
    }

    fn write(&mut self) {
        let text = self.config().text().to_owned();
        self.take(Step::Write(text));
    }

    pub(super) fn is_unprivileged(&self) -> bool {
        self.config.contains_key("unprivileged")
    }

    fn create(&mut self) -> Result<(), String> {
        if self.order.is_unprivileged == Some(true) {
            self.config.insert("unprivileged".to_owned(), "1".to_owned());
        }
        let volumes = if self.order.volumes.is_empty() {
            let rootfs = format!("{}:4", self.order.storage);
            volumes(Config::new(None, [("rootfs", rootfs)]).current())
        } else {
            self.order.volumes.clone()
        };
        self.make_disks(volumes)?;
        self.mount()?;
        // Since 9.1 it looks whether the archive is an image for OCI containers, and warns if it cannot (LC Create.pm:640).
        if self.site.world.version >= Version::V9_2
            && let Err(text) = Archive::find(self.disks.storages, self.site.node, &self.order.archive)
        {
            self.log(text);
        }
        let archive = Archive::find(self.disks.storages, self.site.node, &self.order.archive)?;
        self.unpack(&archive)?;
        self.detect(&archive);
        self.elapsed += 50;
        // Without the lock, and without the defaults (create-10-timeline).
        self.write();
        self.elapsed += 250;
        self.complete();
        Ok(())
    }

    /// L:2627. Disks that are there already are used as they are.
    pub(super) fn make_disks(&mut self, volumes: Vec<(String, MountPoint)>) -> Result<(), String> {
        self.is_touched = true;
        for (option, mut mount) in volumes {
            let new = mount.new_volume().map(|new| (new.storage.to_owned(), new.bytes));
            if let Some((storage, bytes)) = new.filter(|_| storage::split_volid(mount.volume()).is_some()) {
                let made = self.disks.make(&storage, self.order.vmid, bytes);
                self.elapsed += 60;
                self.log_disks();
                let mut volume = made?;
                mount.set_volume(&volume.volid, bytes);
                self.made.push(volume.volid.clone());
                if option == "rootfs" && volume.used.is_none() {
                    let unpacked = self.unpacked_size();
                    volume.used = Some(if bytes == 0 { unpacked } else { unpacked.min(bytes) });
                }
                self.take(Step::Place(volume));
            }
            self.config.insert(option, mount.print());
        }
        self.elapsed += 100;
        Ok(())
    }

    fn unpacked_size(&self) -> u64 {
        Archive::find(self.disks.storages, self.site.node, &self.order.archive).map_or(0, |archive| archive.unpacked)
    }

    /// Every volume has to be there (L:1810).
    pub(super) fn mount(&mut self) -> Result<(), String> {
        for (_, mount) in volumes(self.config().current()) {
            let Some(volid) = mount.volume_id() else { continue };
            let (name, _) = storage::split_volid(volid).unwrap_or_default();
            let storage = find_usable(self.disks.storages, name, self.site.node)?;
            if storage::find_volume(self.disks.storages, volid).is_none() {
                return Err(storage.missing(volid));
            }
        }
        Ok(())
    }

    /// The room for what is unpacked: the root file system and its storage, whichever is less.
    fn room(&self) -> u64 {
        let config = self.config();
        let rootfs = volumes(config.current()).into_iter().find(|(option, _)| option == "rootfs").map(|(_, mount)| mount);
        let volid = rootfs.as_ref().and_then(MountPoint::volume_id);
        let Some(volume) = volid.and_then(|volid| storage::find_volume(self.disks.storages, volid)) else { return u64::MAX };
        let storage = storage::find_name(self.disks.storages, &volume.volid).ok().map(|(storage, _)| storage);
        // What has taken its room already needs no more of it.
        let free = storage.filter(|_| volume.used.is_none()).map_or(u64::MAX, Storage::available);
        if volume.size == 0 { free } else { volume.size.min(free) }
    }

    pub(super) fn unpack(&mut self, archive: &Archive) -> Result<(), String> {
        let flag = archive.flag()?;
        self.log(format!("extracting archive '{}'", archive.path));
        let said = archive.unpack(self.room());
        self.elapsed += said.takes;
        for line in said.lines {
            self.log(line);
        }
        if said.is_fine || self.order.ignores_unpack_errors {
            return Ok(());
        }
        Err(format!("command '{}' failed: exit code 2", self.command(flag)))
    }

    fn command(&self, flag: &str) -> String {
        archive::command(self.order.vmid, flag, self.is_unprivileged(), self.order.limit)
    }

    /// What the unpacked system is (Setup.pm:103).
    pub(super) fn detect(&mut self, archive: &Archive) {
        let found = archive.system();
        let is_unmanaged = self.config.get("ostype").is_some_and(|kind| kind == "unmanaged");
        if let Some(expected) = self.config.get("ostype").filter(|expected| !is_unmanaged && *expected != found) {
            let line = format!("got unexpected ostype ({found} != {expected})");
            self.log(line);
        }
        if !is_unmanaged {
            self.config.insert("ostype".to_owned(), found.to_owned());
        }
        if !self.config.contains_key("arch") {
            let arch = archive.arch();
            self.log(format!("Detected container architecture: {arch}"));
            self.config.insert("arch".to_owned(), arch.to_owned());
        }
    }

    /// The defaults, and the last word on the configuration.
    pub(super) fn complete(&mut self) {
        let vmid = self.order.vmid;
        let is_false = |value: Option<&String>| value.is_none_or(|value| matches!(value.as_str(), "" | "0"));
        if is_false(self.config.get("hostname")) {
            self.config.insert("hostname".to_owned(), format!("CT{vmid}"));
        }
        if is_false(self.config.get("memory")) {
            self.config.insert("memory".to_owned(), "512".to_owned());
        }
        self.config.entry("swap".to_owned()).or_insert_with(|| "512".to_owned());
        self.write();
        if let Some(pool) = &self.order.pool {
            self.take(Step::Join(pool.clone()));
        }
    }

    fn finish(mut self, outcome: Result<(), String>, old: Option<&Config>) -> Plan {
        let order = self.order;
        let complaint = complaint(order.vmid, order.is_restore);
        let removal = |made: &[String]| made.iter().cloned().map(Step::Remove).chain([Step::RemoveConfig]).collect::<Vec<_>>();
        // An abort hits the unpacking, which is what takes time (task-21-aborted-create-status).
        let flag =
            Archive::find(self.disks.storages, self.site.node, &order.archive).and_then(|archive| archive.flag()).unwrap_or_default();
        let mut when_aborted = removal(&self.made);
        when_aborted.push(Step::End(format!("{complaint} command '{}' failed: received interrupt", self.command(flag))));

        self.elapsed += 20;
        match outcome {
            Ok(()) => {
                if order.starts {
                    self.take(Step::Start);
                }
                if order.manages {
                    self.log("Add as HA resource");
                    self.take(Step::Manage(if order.starts { "started" } else { "stopped" }));
                }
                self.take(Step::End("OK".to_owned()));
            }
            Err(text) => {
                for volid in std::mem::take(&mut self.made) {
                    if let Err(text) = self.disks.remove(&volid) {
                        self.log(text);
                    }
                    self.log_disks();
                    self.take(Step::Remove(volid));
                }
                let untouched = old.filter(|_| !self.is_touched).cloned();
                self.take(untouched.map_or(Step::RemoveConfig, |mut old| {
                    old.set("lock", None);
                    Step::Write(old.text().to_owned())
                }));
                self.take(Step::End(format!("{complaint} {text}")));
            }
        }
        Plan { steps: self.steps, when_aborted }
    }
}
