//! Mount points: what a value of `rootfs`, `mp0` or `unused0` says (LC:1414-1490).

use super::{
    super::schema::{
        formats::parse_size,
        lxc::{MOUNT_POINT, ROOTFS, UNUSED},
        property_string::{self, Properties, Refusal},
    },
    options::is_in,
};

/// A mount point of a container; the root file system is one, and so is an unused volume.
#[derive(Debug, Clone)]
pub struct MountPoint {
    properties: Properties,
}

/// A volume that does not exist yet: `STORAGE:SIZE_IN_GIB` (L:63).
pub struct NewVolume<'a> {
    pub storage: &'a str,
    pub bytes: u64,
}

impl MountPoint {
    /// None where the option is not one for volumes.
    pub fn parse(option: &str, value: &str) -> Option<Result<Self, Refusal>> {
        let format = match option {
            "rootfs" => ROOTFS,
            _ if is_in(option, "mp") => MOUNT_POINT,
            _ if is_in(option, "unused") => UNUSED,
            _ => return None,
        };
        Some(property_string::parse(format, value).map(|mut properties| {
            if let Some(bytes) = properties.text("size").and_then(parse_size) {
                properties.set("size", bytes.to_string());
            }
            Self { properties }
        }))
    }

    pub fn volume(&self) -> &str {
        self.properties.text("volume").unwrap_or_default()
    }

    /// What Proxmox calls the type: of a device, of a directory that is bound, or of a volume (LC:1928).
    pub fn kind(&self) -> &'static str {
        match self.volume() {
            volume if volume.starts_with("/dev/") => "device",
            volume if volume.starts_with('/') => "bind",
            _ => "volume",
        }
    }

    pub fn is_volume(&self) -> bool {
        self.kind() == "volume"
    }

    /// The volume's id, where it is of a volume and the id is one.
    pub fn volume_id(&self) -> Option<&str> {
        Some(self.volume()).filter(|volume| self.is_volume() && storage_of(volume).is_some())
    }

    pub fn new_volume(&self) -> Option<NewVolume<'_>> {
        new_volume(self.volume())
    }

    /// In bytes, as the configuration has it.
    pub fn size(&self) -> Option<u64> {
        self.properties.text("size")?.parse().ok()
    }

    pub fn set_volume(&mut self, volid: &str, bytes: u64) {
        self.properties.set("volume", volid);
        self.properties.set("size", bytes.to_string());
    }

    /// Own mappings of user and group ids.
    pub fn idmap(&self) -> Option<&str> {
        self.properties.text("idmap")
    }

    pub fn print(&self) -> String {
        property_string::print(MOUNT_POINT, &self.properties)
    }
}

fn new_volume(text: &str) -> Option<NewVolume<'_>> {
    let (storage, size) = text.split_once(':')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_size = size.split_once('.').map_or_else(|| is_number(size), |(whole, part)| is_number(whole) && is_number(part));
    if storage.is_empty() || storage.contains(super::is_space) || !is_size {
        return None;
    }
    // Whole megabytes (L:2649).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative, and too many saturate")]
    let megabytes = (size.parse::<f64>().ok()? * 1024.0) as u64;
    Some(NewVolume { storage, bytes: megabytes.saturating_mul(1 << 20) })
}

/// The storage of a volume id (Storage/Plugin.pm:420).
pub fn storage_of(volid: &str) -> Option<&str> {
    let (storage, name) = volid.split_once(':')?;
    let is_name = storage.len() > 1
        && storage.starts_with(|c: char| c.is_ascii_alphabetic())
        && storage.ends_with(|c: char| c.is_ascii_alphanumeric())
        && storage.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (is_name && !name.is_empty()).then_some(storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_volume_is_a_storage_and_gigabytes() {
        let bytes = |text| new_volume(text).map(|volume| volume.bytes);
        assert_eq!(bytes("local-lvm:4"), Some(4 << 30));
        assert_eq!(bytes("local-lvm:0.5"), Some(512 << 20));
        assert!(bytes("local-lvm:4G").is_none() && bytes("local-lvm:.5").is_none() && bytes("4").is_none());
    }
}
