//! Disks of containers: how they are made and removed, what they are called, and what that says.

use super::{Kind, Storage, Volume, ext4, find, find_mut, find_name, find_usable, find_volume, split_volid};
use crate::simulator::{config::Volumes, version::Version};

/// More disks of one guest on one storage there are not (Plugin.pm:55).
const MOST_DISKS: usize = 1024;
const MIB: u64 = 1 << 20;

/// The storages as somebody works on them from a node: what that makes and says is kept.
pub struct Disks<'a> {
    pub storages: &'a mut [Storage],
    pub node: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
    pub version: Version,
    /// What has been said, for the log of a task.
    pub log: Vec<String>,
}

impl Disks<'_> {
    /// Makes a disk for a container and a file system on it (`alloc_disk`, L:2581).
    pub fn make(&mut self, storage: &str, vmid: u32, bytes: u64) -> Result<Volume, String> {
        let format = find(self.storages, storage)?.disk_format(bytes)?;
        find_usable(self.storages, storage, self.node)?;
        let storage = find_mut(self.storages, storage)?;
        let (volume, log) = storage.allocate(vmid, format, bytes, self.now, self.version)?;
        self.log.extend(log);
        if format == "raw" {
            self.log.extend(ext4::log_of_mkfs(&volume.volid, self.now, bytes));
        }
        Ok(volume)
    }

    /// Removes a volume (`vdisk_free`, Storage.pm:1186). That there is none is no error.
    pub fn remove(&mut self, volid: &str) -> Result<(), String> {
        let (storage, volume) = split_volid(volid).ok_or_else(|| format!("unable to parse volume ID '{volid}'"))?;
        find_usable(self.storages, storage, self.node)?;
        let storage = find_mut(self.storages, storage)?;
        let log = storage.log_of_removal(volid, volume)?;
        self.log.extend(log);
        storage.remove(volid);
        Ok(())
    }
}

impl Volumes for Disks<'_> {
    fn takes(&self, storage: &str, content: &str) -> Result<bool, String> {
        find(self.storages, storage).map(|storage| storage.content.has(content))
    }

    fn allocate(&mut self, storage: &str, vmid: u32, bytes: u64) -> Result<String, String> {
        self.make(storage, vmid, bytes).map(|volume| volume.volid)
    }

    fn free(&mut self, volid: &str) -> Result<(), String> {
        self.remove(volid)
    }

    fn size(&self, volid: &str) -> Option<u64> {
        find_volume(self.storages, volid).map(|volume| volume.size)
    }

    fn describe(&self, volid: &str) -> Result<(String, Option<u32>), String> {
        find_name(self.storages, volid).map(|(_, name)| (name.content.to_owned(), name.owner))
    }
}

impl Storage {
    /// A directory without quotas can only be unlimited; ZFS has them, and then needs no file system of its own (L:2590).
    fn disk_format(&self, bytes: u64) -> Result<&'static str, String> {
        let takes_containers = self.content.has("rootdir");
        if takes_containers && self.kind.is_directory() {
            Ok(if bytes > 0 { "raw" } else { "subvol" })
        } else if self.kind == Kind::ZfsPool {
            Ok("subvol")
        } else if takes_containers {
            Ok("raw")
        } else {
            Err(format!("content type 'rootdir' is not available or configured on storage '{}'", self.name))
        }
    }

    /// The lowest number that no disk of this guest has here (Plugin.pm:950-990). An extension makes numbers apart where there are
    /// no subvolumes.
    fn free_name(&self, vmid: u32, format: &str) -> Result<String, String> {
        let prefix = if format == "subvol" { "subvol" } else { "vm" };
        let suffix = if self.kind.is_directory() { format!(".{format}") } else { String::new() };
        let taken: Vec<usize> = self.volumes.iter().filter_map(|volume| self.number_of(volume, vmid, &suffix)).collect();
        let number = (0..MOST_DISKS).find(|number| !taken.contains(number));
        number
            .map(|number| format!("{prefix}-{vmid}-disk-{number}{suffix}"))
            .ok_or_else(|| format!("unable to allocate an image name for VM {vmid} in storage '{}'", self.name))
    }

    fn number_of(&self, volume: &Volume, vmid: u32, suffix: &str) -> Option<usize> {
        let name = self.name_of(volume).filter(|name| name.content == "images" && name.owner == Some(vmid))?;
        let (_, rest) = name.name.split_once(&format!("-{vmid}-disk-"))?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        if !self.kind.has_subvolumes() && !rest[end..].starts_with(suffix) {
            return None;
        }
        rest[..end].parse().ok()
    }

    fn allocate(&mut self, vmid: u32, format: &str, bytes: u64, now: i64, version: Version) -> Result<(Volume, Vec<String>), String> {
        let name = self.free_name(vmid, format)?;
        let volid = if self.kind.is_directory() { format!("{}:{vmid}/{name}", self.name) } else { format!("{}:{name}", self.name) };
        let mut used = None;
        let log = match self.kind {
            Kind::Lvm => {
                let (extents, free) = (bytes.div_ceil(4 * MIB), self.available() / (4 * MIB));
                if extents > free {
                    let reason = format!("insufficient free space ({free} extents): {extents} required.");
                    return Err(format!("lvcreate 'pve/{name}' error:   Volume group \"pve\" has {reason}"));
                }
                used = Some(bytes);
                vec![format!("  Logical volume \"{name}\" created.")]
            }
            Kind::LvmThin => {
                let mut log = vec![format!("  Logical volume \"{name}\" created.")];
                if version >= Version::V9_2 {
                    log.push(format!("  Logical volume pve/{name} changed."));
                }
                log
            }
            Kind::Dir | Kind::Nfs | Kind::Cifs if format == "raw" => {
                vec![format!("Formatting '{}', fmt=raw size={bytes} preallocation=off", self.path_of(&volid))]
            }
            _ => Vec::new(),
        };
        let volume = Volume { volid, size: bytes, used, ctime: now, ..Volume::default() };
        self.add(volume.clone());
        Ok((volume, log))
    }

    fn log_of_removal(&self, volid: &str, volume: &str) -> Result<Vec<String>, String> {
        let name = self.kind.parse(volume)?;
        let is_base_of = |other: &Volume| self.name_of(other).is_some_and(|other| other.base == Some(name.name));
        if name.is_base && self.volumes.iter().any(is_base_of) {
            return Err(format!("base volume '{volume}' is still in use by linked clones"));
        }
        let is_there = self.volumes.iter().any(|one| one.volid == volid);
        Ok(match self.kind {
            Kind::Lvm | Kind::LvmThin if is_there => vec![format!("  Logical volume \"{}\" successfully removed.", name.name)],
            Kind::Rbd if is_there => vec!["Removing image: 100% complete...done.".to_owned()],
            Kind::Dir | Kind::Nfs | Kind::Cifs if !is_there && name.format != "subvol" => {
                vec![format!("disk image '{}' does not exist", self.path_of(volid))]
            }
            _ => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Contents, *};

    fn storage(name: &str, kind: Kind, volids: &[&str]) -> Storage {
        Storage {
            name: name.to_owned(),
            kind,
            content: Contents::from("images,rootdir".to_owned()),
            is_said_to_be_shared: false,
            is_disabled: false,
            nodes: None,
            total: 100 << 30,
            used: 0,
            path: None,
            volumes: volids.iter().map(|volid| Volume { volid: (*volid).to_owned(), ..Volume::default() }).collect(),
        }
    }

    fn disks(storages: &mut [Storage]) -> Disks<'_> {
        Disks { storages, node: "pve1", now: 0, version: Version::V9_2, log: Vec::new() }
    }

    fn next(storage: Storage, gib: u64) -> String {
        let name = storage.name.clone();
        disks(&mut [storage]).make(&name, 101, gib << 30).unwrap().volid
    }

    #[test]
    fn a_new_disk_has_the_lowest_free_number() {
        assert_eq!(next(storage("lvm", Kind::LvmThin, &["lvm:vm-101-disk-0", "lvm:vm-1012-disk-1"]), 8), "lvm:vm-101-disk-1");
        assert_eq!(next(storage("dir", Kind::Dir, &["dir:101/subvol-101-disk-0.subvol"]), 8), "dir:101/vm-101-disk-1.raw");
        assert_eq!(next(storage("dir", Kind::Dir, &[]), 0), "dir:101/subvol-101-disk-0.subvol");
        assert_eq!(next(storage("nas", Kind::Nfs, &["nas:101/vm-101-disk-0.qcow2"]), 8), "nas:101/vm-101-disk-0.raw");
        assert_eq!(next(storage("zfs", Kind::ZfsPool, &["zfs:vm-101-disk-0"]), 8), "zfs:subvol-101-disk-1");
    }

    #[test]
    fn only_a_thick_volume_takes_its_whole_size_at_once() {
        let error = disks(&mut [storage("thick", Kind::Lvm, &[])]).make("thick", 101, 101 << 30).unwrap_err();
        assert!(error.ends_with("insufficient free space (25600 extents): 25856 required."), "{error}");
        let mut thin = [storage("thin", Kind::LvmThin, &[])];
        assert!(disks(&mut thin).make("thin", 101, 101 << 30).is_ok());
        assert_eq!(thin[0].used, 0);
    }

    #[test]
    fn the_base_of_a_linked_clone_cannot_be_removed() {
        let mut zfs = [storage("zfs", Kind::ZfsPool, &["zfs:basevol-100-disk-0", "zfs:basevol-100-disk-0/subvol-101-disk-0"])];
        let error = disks(&mut zfs).remove("zfs:basevol-100-disk-0").unwrap_err();
        assert_eq!(error, "base volume 'basevol-100-disk-0' is still in use by linked clones");
        disks(&mut zfs).remove("zfs:basevol-100-disk-0/subvol-101-disk-0").unwrap();
        assert!(disks(&mut zfs).remove("zfs:basevol-100-disk-0").is_ok());
    }
}
