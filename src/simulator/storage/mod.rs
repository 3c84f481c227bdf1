//! Storages and the volumes on them: what may be used from where, what is free, and the names that new volumes get.
//!
//! Texts of errors are Proxmox's, without the newline at their end. Not here: what the API shows of them
//! ([`crate::simulator::api::storage`]).

mod disks;
mod ext4;
mod kind;

pub use disks::Disks;
pub use kind::{Kind, archive_format, archive_kind};

use super::{caller::Caller, reply::Failure, version::Version};
use kind::{Aspect, VolumeName};
use serde::{Deserialize, Serialize};

/// One section of `storage.cfg`, with what is on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    #[serde(rename = "storage")]
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub content: Contents,
    #[serde(default, rename = "shared")]
    pub is_said_to_be_shared: bool,
    #[serde(default, rename = "disabled")]
    pub is_disabled: bool,
    /// On which it is available; on all where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    #[serde(default)]
    pub total: u64,
    #[serde(default)]
    pub used: u64,
    /// Of those that are directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

/// What a storage is for, as `images,rootdir`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Contents(Vec<String>);

impl From<String> for Contents {
    fn from(text: String) -> Self {
        Self(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
}

impl From<Contents> for String {
    fn from(contents: Contents) -> Self {
        contents.0.join(",")
    }
}

impl Contents {
    pub fn has(&self, content: &str) -> bool {
        self.0.iter().any(|one| one == content)
    }
}

/// A disk, a template, a backup … Whose it is, its content and its format are read from its name, as Proxmox does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub volid: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// Bytes that it takes from its storage; where absent, none that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Seconds since the epoch.
    #[serde(default)]
    pub ctime: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    #[serde(default, rename = "protected")]
    pub is_protected: bool,
    /// A template or backup that cannot be unpacked (create-61-corrupt-template).
    #[serde(default, rename = "corrupt")]
    pub is_corrupt: bool,
    /// Of a backup: the configuration in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// `local-lvm` and `vm-101-disk-0` (Plugin.pm:420).
pub fn split_volid(volid: &str) -> Option<(&str, &str)> {
    let (storage, volume) = volid.split_once(':')?;
    let bytes = storage.as_bytes();
    let is_name = bytes.len() > 1
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    (is_name && !volume.is_empty() && !volume.starts_with('\n')).then_some((storage, volume))
}

/// Whether a storage of this name stands in `storage.cfg`.
pub fn find<'a>(storages: &'a [Storage], name: &str) -> Result<&'a Storage, String> {
    storages.iter().find(|storage| storage.name == name).ok_or_else(|| format!("storage '{name}' does not exist"))
}

fn find_mut<'a>(storages: &'a mut [Storage], name: &str) -> Result<&'a mut Storage, String> {
    storages.iter_mut().find(|storage| storage.name == name).ok_or_else(|| format!("storage '{name}' does not exist"))
}

/// The same for one that can be used on a node (Storage.pm:280).
pub fn find_usable<'a>(storages: &'a [Storage], name: &str, node: &str) -> Result<&'a Storage, String> {
    let storage = find(storages, name)?;
    if storage.is_disabled {
        Err(format!("storage '{name}' is disabled"))
    } else if storage.is_on(node) {
        Ok(storage)
    } else {
        Err(format!("storage '{name}' is not available on node '{node}'"))
    }
}

/// A volume's storage and name; it need not exist.
pub fn find_name<'a>(storages: &'a [Storage], volid: &'a str) -> Result<(&'a Storage, VolumeName<'a>), String> {
    let (storage, volume) = split_volid(volid).ok_or_else(|| format!("unable to parse volume ID '{volid}'"))?;
    let storage = find(storages, storage)?;
    Ok((storage, storage.kind.parse(volume)?))
}

pub fn find_volume<'a>(storages: &'a [Storage], volid: &str) -> Option<&'a Volume> {
    let (storage, _) = split_volid(volid)?;
    find(storages, storage).ok()?.volumes.iter().find(|volume| volume.volid == volid)
}

/// Whether containers can have a feature of a volume; never of what is no volume (Storage.pm:502).
pub fn has_feature(storages: &[Storage], feature: &str, volid: &str, of_snapshot: bool) -> Result<bool, String> {
    if split_volid(volid).is_none() {
        return Ok(false);
    }
    let (storage, name) = find_name(storages, volid)?;
    let aspect = match (of_snapshot, name.is_base) {
        (true, _) => Aspect::Snapshot,
        (false, true) => Aspect::Base,
        (false, false) => Aspect::Current,
    };
    Ok(storage.kind.has_feature(feature, aspect, name.format))
}

/// Whether somebody may use a volume that is there already, for a guest and as some content (`check_volume_access`, Storage.pm:619).
pub fn check_access(
    caller: &Caller<'_>,
    storages: &[Storage],
    vmid: Option<u32>,
    volid: &str,
    content: Option<&str>,
    version: Version,
) -> Result<(), Failure> {
    if split_volid(volid).is_none() {
        return if caller.is_root() { Ok(()) } else { Err(Failure::died(only_root(version))) };
    }
    let (storage, name) = find_name(storages, volid).map_err(Failure::died)?;
    if let Some(content) = content.filter(|content| *content != name.content) {
        return Err(Failure::died(format!("unable to use volume {volid} - content type needs to be '{content}'")));
    }
    let path = format!("/storage/{}", storage.name);
    let need = |path: &str, privilege: &str| {
        if (caller.may)(path, privilege) { Ok(()) } else { Err(Failure::forbidden(path, &[privilege])) }
    };
    if (caller.may)(&path, "Datastore.Allocate") {
        return Ok(());
    }
    match (name.content, name.owner) {
        ("iso" | "vztmpl" | "import", _) => {
            const READ: &[&str] = &["Datastore.AllocateSpace", "Datastore.Audit"];
            let may_read = READ.iter().any(|privilege| (caller.may)(&path, privilege));
            if may_read { Ok(()) } else { Err(Failure::forbidden(&path, READ)) }
        }
        (_, Some(owner)) if vmid == Some(owner) => Ok(()),
        ("backup", Some(owner)) => {
            need(&path, "Datastore.AllocateSpace")?;
            need(&format!("/vms/{owner}"), "VM.Backup")
        }
        ("images", Some(owner)) => {
            need(&path, "Datastore.Audit")?;
            need(&format!("/vms/{owner}"), "VM.Config.Disk")
        }
        _ => Err(Failure::died(format!("missing privileges to access {volid}"))),
    }
}

/// Perl adds where it died, as this text has no newline (create-39-bad-ostemplate-format).
fn only_root(version: Version) -> String {
    let line = match version {
        Version::V7_4 => 542,
        Version::V8_4 => 569,
        Version::V9_2 => 651,
    };
    format!("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line {line}.")
}

/// Puts a volume on its storage that something speaks of and that is not there, so that a state need not list the disks of its
/// containers.
pub fn adopt(storages: &mut [Storage], volid: &str, size: u64, ctime: i64) {
    let is_new = find_name(storages, volid).is_ok() && find_volume(storages, volid).is_none();
    if let Some((name, _)) = split_volid(volid).filter(|_| is_new)
        && let Ok(storage) = find_mut(storages, name)
    {
        storage.volumes.push(Volume { volid: volid.to_owned(), size, ctime, ..Volume::default() });
    }
}

impl Storage {
    pub fn is_shared(&self) -> bool {
        self.is_said_to_be_shared || self.kind.is_always_shared()
    }

    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|one| one == node))
    }

    pub fn available(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }

    /// A volume's name as the kind of this storage reads it. Whoever wrote the state may have got it wrong.
    pub fn name_of<'a>(&self, volume: &'a Volume) -> Option<VolumeName<'a>> {
        self.kind.parse(split_volid(&volume.volid)?.1).ok()
    }

    fn directory(&self) -> String {
        match (&self.path, self.kind) {
            (Some(path), _) => path.clone(),
            (None, Kind::Nfs | Kind::Cifs | Kind::CephFs) => format!("/mnt/pve/{}", self.name),
            (None, _) if self.name == "local" => "/var/lib/vz".to_owned(),
            (None, _) => format!("/mnt/{}", self.name),
        }
    }

    /// Where a volume can be found on the node.
    pub fn path_of(&self, volid: &str) -> String {
        let Some(name) = split_volid(volid).and_then(|(_, volume)| self.kind.parse(volume).ok()) else { return volid.to_owned() };
        match (self.kind, name.content) {
            (Kind::Lvm | Kind::LvmThin, _) => format!("/dev/pve/{}", name.name),
            (Kind::ZfsPool, _) => format!("/rpool/data/{}", name.name),
            (Kind::Rbd, _) => format!("/dev/rbd-pve/{}", name.name),
            (Kind::Btrfs, "images") if name.format == "raw" => {
                let stem = name.name.strip_suffix(".raw").unwrap_or(name.name);
                format!("{}/images/{}/{stem}/disk.raw", self.directory(), name.owner.unwrap_or_default())
            }
            (_, "images") => format!("{}/images/{}/{}", self.directory(), name.owner.unwrap_or_default(), name.name),
            (_, content) => {
                let place = match content {
                    "iso" => "template/iso",
                    "vztmpl" => "template/cache",
                    "backup" => "dump",
                    other => other,
                };
                format!("{}/{place}/{}", self.directory(), name.name)
            }
        }
    }

    /// What is said of a volume that is to be used and is not there.
    pub fn missing(&self, volid: &str) -> String {
        match (self.kind, split_volid(volid)) {
            (Kind::LvmThin, Some((_, volume))) => format!("no such logical volume pve/{volume}"),
            _ => format!("volume '{volid}' does not exist"),
        }
    }

    /// Puts a volume here.
    pub fn add(&mut self, volume: Volume) {
        self.used = self.used.saturating_add(volume.used.unwrap_or_default());
        self.volumes.push(volume);
    }

    fn remove(&mut self, volid: &str) {
        if let Some(index) = self.volumes.iter().position(|volume| volume.volid == volid) {
            let volume = self.volumes.remove(index);
            self.used = self.used.saturating_sub(volume.used.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_what_storages_are_for_as_proxmox_does() {
        let text = r#"{"storage":"a","type":"zfspool","content":"images, rootdir","volumes":[{"volid":"a:vm-1-disk-0","format":"raw"}]}"#;
        let storage: Storage = serde_json::from_str(text).unwrap();
        assert!(storage.content.has("rootdir") && !storage.is_shared() && storage.is_on("pve9"));
        assert_eq!(serde_json::to_value(&storage).unwrap()["content"], "images,rootdir");
    }
}
