//! `GET …/feature`: what can be done with a container's volumes (`vm_feature`, LXC:1757; `has_feature`, LC:88).

use super::{
    config::{Config, MountPoint, Section},
    reply::Failure,
    storage::{self, Storage},
};

/// Root file system and mount points in the order in which Proxmox goes through them; what it cannot read it skips (LC:1979).
pub fn volumes(section: &Section) -> Vec<(String, MountPoint)> {
    let place = |option: &str| match option.strip_prefix("mp") {
        Some(number) => number.parse::<u32>().ok().map(|number| number + 1),
        None => (option == "rootfs").then_some(0),
    };
    let mut found: Vec<_> = section.entries().filter_map(|(option, value)| Some((place(option)?, option, value))).collect();
    found.sort_unstable();
    let parse = |(_, option, value): (u32, &str, &str)| Some((option.to_owned(), MountPoint::parse(option, value)?.ok()?));
    found.into_iter().filter_map(parse).collect()
}

/// Whether a container, or a snapshot of it, has a feature: `snapshot`, `clone` or `copy`. One volume that has not is enough for no.
pub fn has_feature(storages: &[Storage], config: &Config, snapshot: Option<&str>, feature: &str) -> Result<bool, Failure> {
    let snapshot = snapshot.filter(|name| !matches!(*name, "" | "0"));
    let section = match snapshot {
        Some(name) => config.snapshot(name).ok_or_else(|| Failure::died(format!("snapshot '{name}' does not exist")))?,
        None => config.current(),
    };
    for (_, volume) in volumes(section) {
        if !storage::has_feature(storages, feature, volume.volume(), snapshot.is_some()).map_err(Failure::died)? {
            return Ok(false);
        }
    }
    Ok(true)
}
