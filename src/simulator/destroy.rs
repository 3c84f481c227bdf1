//! `DELETE …/lxc/{vmid}`: when a container may be destroyed, and how that goes (`destroy_vm`, LXC:804; `destroy_lxc_container`, L:1023).

use super::{
    config::{Config, options::is_in},
    feature::volumes,
    reply::Failure,
    schema::{lxc::UNUSED, property_string::parse},
    step::{Step, Steps},
    storage::{self, Disks, Storage},
    version::Version,
};
use std::collections::BTreeSet;

/// What the request asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    pub vmid: u32,
    /// Even if it runs.
    pub force: bool,
    /// From jobs and HA too.
    pub purge: bool,
    /// Disks that have its number and that it does not know of, too.
    pub unreferenced: bool,
}

/// The container as it is when it is asked for, and again once the task has the lock.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub config: &'a Config,
    pub is_running: bool,
    /// Whether the HA manager minds it.
    pub is_managed: bool,
}

/// What the task needs of the world around.
pub struct Site<'a> {
    pub storages: &'a [Storage],
    pub node: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
    pub version: Version,
}

impl Order {
    /// What is refused at once. A missing configuration is the caller's to say.
    pub fn check(&self, target: Target<'_>) -> Result<(), Failure> {
        self.refusal(target).map_or(Ok(()), |text| Err(Failure::died(text)))
    }

    fn refusal(&self, Target { config, is_running, is_managed }: Target<'_>) -> Option<String> {
        let vmid = self.vmid;
        if config.is_set("protection") {
            return Some(format!("can't remove CT {vmid} - protection mode enabled"));
        }
        if let Some(lock) = config.get("lock").filter(|_| config.is_set("lock")) {
            return Some(format!("CT is locked ({lock})"));
        }
        if is_managed && !self.purge {
            return Some(format!("unable to remove CT {vmid} - used in HA resources and purge parameter not set."));
        }
        (is_running && !self.force).then(|| format!("unable to destroy CT {vmid} - container is running"))
    }

    /// What the task does. It checks again, as things may have changed while it waited.
    pub fn plan(&self, target: Target<'_>, site: &Site<'_>) -> Steps {
        if let Some(text) = self.refusal(target) {
            return vec![(30, Step::End(text))];
        }
        let vmid = self.vmid;
        let mut steps = Steps::new();
        // del-07-force-running-timeline
        let start = if target.is_running { 1_800 } else { 100 };
        if target.is_running {
            steps.push((50, Step::Log(format!("forced to stop CT {vmid} before destroying!"))));
            steps.push((start, Step::Stop));
        }

        let mut storages = site.storages.to_vec();
        let mut disks = Disks { storages: &mut storages, node: site.node, now: site.now, version: site.version, log: Vec::new() };
        for volid in referenced(target.config) {
            let removed = remove(&mut disks, vmid, &volid);
            steps.extend(disks.log.drain(..).map(|line| (start + 50, Step::Log(line))));
            match removed {
                Ok(true) => steps.push((start + 50, Step::Remove(volid))),
                Ok(false) => {}
                Err(text) => {
                    // Nothing is undone.
                    steps.push((start + 60, Step::End(text)));
                    return steps;
                }
            }
        }
        if self.unreferenced {
            for volid in unreferenced(disks.storages, vmid, site.node) {
                if let Err(text) = disks.remove(&volid) {
                    disks.log.push(text);
                }
                steps.extend(disks.log.drain(..).map(|line| (start + 80, Step::Log(line))));
                steps.push((start + 80, Step::Remove(volid)));
            }
        }

        steps.push((start + 100, Step::Write("lock: destroyed\n".to_owned())));
        steps.push((start + 120, Step::ForgetAccess));
        if self.purge {
            steps.push((start + 150, Step::Log(format!("purging CT {vmid} from related configurations.."))));
            if target.is_managed {
                steps.push((start + 170, Step::Unmanage));
                steps.push((start + 170, Step::Log(format!("NOTE: removed CT {vmid} from HA resource configuration."))));
            }
        }
        steps.push((start + 200, Step::RemoveConfig));
        // del-02-ok-timeline
        steps.push((start + 210, Step::End("OK".to_owned())));
        steps
    }
}

/// Every volume that the configuration speaks of, each once; unused ones and those of pending changes too, those of snapshots not.
pub fn referenced(config: &Config) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for section in [config.current(), config.pending()] {
        let mounted = volumes(section).into_iter().filter(|(_, mount)| mount.is_volume());
        let mounted = mounted.map(|(_, mount)| mount.volume().to_owned());
        let unused = section.entries().filter(|(option, _)| is_in(option, "unused"));
        let unused = unused.filter_map(|(_, value)| Some(parse(UNUSED, value).ok()?.text("volume")?.to_owned()));
        found.extend(mounted.chain(unused).filter(|volid| seen.insert(volid.clone())));
    }
    found
}

/// Removes a volume, unless it is somebody else's (`delete_mountpoint_volume`, L:1009). Gives whether it did.
pub fn remove(disks: &mut Disks<'_>, vmid: u32, volid: &str) -> Result<bool, String> {
    let (_, name) = storage::find_name(disks.storages, volid)?;
    let is_own = name.owner == Some(vmid);
    if is_own {
        disks.remove(volid)?;
    } else {
        disks.log.push(format!("ignore deletion of '{volid}', CT {vmid} isn't the owner!"));
    }
    Ok(is_own)
}

/// Disks of this number on every storage that is there for containers.
fn unreferenced(storages: &[Storage], vmid: u32, node: &str) -> Vec<String> {
    let usable = storages.iter().filter(|storage| !storage.is_disabled && storage.is_on(node) && storage.content.has("rootdir"));
    let theirs = usable.flat_map(|storage| storage.volumes.iter().map(move |volume| (storage, volume)));
    let is_its = |storage: &Storage, volume| storage.name_of(volume).is_some_and(|n| n.content == "images" && n.owner == Some(vmid));
    theirs.filter(|(storage, volume)| is_its(storage, volume)).map(|(_, volume)| volume.volid.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "mp0: thin:vm-100-disk-1,mp=/a,size=1G\nmp1: /srv/x,mp=/x\nmp2: thin:vm-200-disk-0,mp=/b\n\
        rootfs: thin:vm-100-disk-0,size=8G\nunused0: thin:vm-100-disk-2\n\n[pve:pending]\n\
        mp3: thin:vm-100-disk-3,mp=/c\n\n[s1]\nmp9: thin:vm-100-disk-9,mp=/d\nsnaptime: 1\n";

    fn site(storages: &[Storage]) -> Site<'_> {
        Site { storages, node: "pve1", now: 0, version: Version::V9_2 }
    }

    #[test]
    fn every_volume_of_its_own_goes_and_others_stay() {
        let volumes = (0..4).map(|number| format!(r#"{{"volid":"thin:vm-100-disk-{number}"}}"#)).collect::<Vec<_>>().join(",");
        let text =
            format!(r#"[{{"storage":"thin","type":"lvmthin","content":"rootdir","volumes":[{volumes},{{"volid":"thin:vm-100-old"}}]}}]"#);
        let storages: Vec<Storage> = serde_json::from_str(&text).unwrap();
        let config = Config::parse(FILE);
        let target = Target { config: &config, is_running: false, is_managed: false };
        let removed = |unreferenced| -> Vec<String> {
            let steps = Order { vmid: 100, unreferenced, ..Order::default() }.plan(target, &site(&storages));
            assert_eq!(steps.last().map(|(_, step)| step), Some(&Step::End("OK".to_owned())));
            steps.into_iter().filter_map(|(_, step)| if let Step::Remove(volid) = step { Some(volid) } else { None }).collect()
        };
        let own = ["thin:vm-100-disk-0", "thin:vm-100-disk-1", "thin:vm-200-disk-0", "thin:vm-100-disk-2", "thin:vm-100-disk-3"];
        assert_eq!(removed(false), own.into_iter().filter(|volid| !volid.contains("200")).collect::<Vec<_>>());
        assert_eq!(removed(true).last().map(String::as_str), Some("thin:vm-100-old"));
    }

    #[test]
    fn it_is_refused_while_something_holds_it() {
        let order = Order { vmid: 100, ..Order::default() };
        let refusal = |text: &str, is_running, is_managed| {
            let config = Config::parse(text);
            order.check(Target { config: &config, is_running, is_managed }).unwrap_err().message
        };
        assert_eq!(refusal("protection: 1\nlock: backup\n", true, true), "can't remove CT 100 - protection mode enabled\n");
        assert_eq!(refusal("lock: backup\n", true, true), "CT is locked (backup)\n");
        assert_eq!(refusal("", true, true), "unable to remove CT 100 - used in HA resources and purge parameter not set.\n");
        assert_eq!(refusal("", true, false), "unable to destroy CT 100 - container is running\n");
    }
}
