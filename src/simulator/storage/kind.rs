//! What the kinds of storage can do, and how each names its volumes.
//!
//! One `match` per question, each after the plugin of that kind (pve-storage, Storage/*Plugin.pm). Not here: which storages there
//! are and what is on them ([`super`]).

use crate::simulator::version::Version;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Dir,
    Nfs,
    Cifs,
    CephFs,
    Btrfs,
    Lvm,
    LvmThin,
    ZfsPool,
    Rbd,
    Pbs,
}

/// What the name of a volume says about it.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeName<'a> {
    /// `images` also for the volumes of containers: the plugins do not tell them apart.
    pub content: &'static str,
    pub name: &'a str,
    pub owner: Option<u32>,
    /// The volume that this one is a linked clone of, where the name says so.
    pub base: Option<&'a str>,
    pub is_base: bool,
    pub format: &'a str,
}

/// Which of a volume's states a feature is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The volume of a template.
    Base,
    Current,
    Snapshot,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Nfs => "nfs",
            Self::Cifs => "cifs",
            Self::CephFs => "cephfs",
            Self::Btrfs => "btrfs",
            Self::Lvm => "lvm",
            Self::LvmThin => "lvmthin",
            Self::ZfsPool => "zfspool",
            Self::Rbd => "rbd",
            Self::Pbs => "pbs",
        }
    }

    /// Whether its volumes are files below a path.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Dir | Self::Nfs | Self::Cifs | Self::CephFs | Self::Btrfs)
    }

    /// These are shared without being said to be (Plugin.pm:36).
    pub fn is_always_shared(self) -> bool {
        matches!(self, Self::Nfs | Self::Cifs | Self::CephFs | Self::Rbd | Self::Pbs)
    }

    /// The formats of disks, if the plugin names any. Since 9 each does (Plugin.pm:679).
    pub fn formats(self, version: Version) -> Option<&'static [&'static str]> {
        match self {
            Self::Dir => Some(&["qcow2", "raw", "subvol", "vmdk"]),
            Self::Nfs | Self::Cifs => Some(&["qcow2", "raw", "vmdk"]),
            Self::Btrfs | Self::ZfsPool => Some(&["raw", "subvol"]),
            Self::CephFs | Self::Lvm | Self::LvmThin | Self::Rbd | Self::Pbs => (version >= Version::V9_2).then_some(&["raw"]),
        }
    }

    /// Whether a disk without a file system of its own can be made here, so that its number may not be taken by one either.
    pub fn has_subvolumes(self) -> bool {
        matches!(self, Self::Dir | Self::Btrfs | Self::ZfsPool)
    }

    /// Whether containers can have this of a volume (`volume_has_feature` of the plugins). A linked clone on a directory is a
    /// qcow2, which containers cannot use (LC:88, Plugin.pm:1603).
    pub fn has_feature(self, feature: &str, aspect: Aspect, format: &str) -> bool {
        use Aspect::{Base, Current, Snapshot};
        let is_one_file = format != "subvol";
        match (self, feature) {
            (Self::Pbs, _) => false,
            (Self::Dir | Self::Nfs | Self::Cifs | Self::CephFs, "snapshot") => aspect != Base && format == "qcow2",
            (Self::Dir | Self::Nfs | Self::Cifs | Self::CephFs, "copy") => {
                if aspect == Snapshot {
                    format == "qcow2"
                } else {
                    is_one_file
                }
            }
            (Self::Lvm, "snapshot") => aspect != Base && format == "qcow2",
            (Self::Lvm, "copy") => aspect != Snapshot || format == "qcow2",
            (Self::Lvm, _) => false,
            (Self::Btrfs, "snapshot") => aspect != Base && format != "vmdk",
            (Self::Btrfs, "clone") => aspect == Base || format == "raw",
            (Self::Btrfs, "copy") => aspect != Snapshot || format != "vmdk",
            (Self::LvmThin, "snapshot") => aspect == Current,
            (Self::Rbd | Self::ZfsPool, "snapshot") => aspect != Base,
            (Self::LvmThin | Self::Rbd, "clone") => aspect != Current,
            (Self::ZfsPool, "clone") => aspect == Base,
            (Self::LvmThin | Self::Rbd, "copy") => true,
            (Self::ZfsPool, "copy") => aspect != Snapshot,
            (_, "template") => aspect == Current,
            _ => false,
        }
    }

    /// Reads the part of a volume's id after the storage's name (`parse_volname` of the plugins).
    pub fn parse(self, volname: &str) -> Result<VolumeName<'_>, String> {
        match self {
            Self::Dir | Self::Nfs | Self::Cifs | Self::CephFs | Self::Btrfs => parse_file(volname),
            Self::Lvm | Self::LvmThin => {
                if !is_lvm_name(volname) {
                    return Err(format!("lvm name '{volname}' contains illegal characters"));
                }
                let prefixes: &[&str] = if self == Self::Lvm { &["vm"] } else { &["vm", "base"] };
                let disk = parse_disk(volname, prefixes).ok_or_else(|| format!("unable to parse lvm volume name '{volname}'"))?;
                Ok(if volname.ends_with(".qcow2") && self == Self::Lvm { VolumeName { format: "qcow2", ..disk } } else { disk })
            }
            Self::ZfsPool => parse_based(volname, &["base", "basevol"], &["base", "basevol", "vm", "subvol"])
                .ok_or_else(|| format!("unable to parse zfs volume name '{volname}'")),
            Self::Rbd => {
                parse_based(volname, &["base"], &["base", "vm"]).ok_or_else(|| format!("unable to parse rbd volume name '{volname}'"))
            }
            Self::Pbs => parse_snapshot(volname).ok_or_else(|| format!("unable to parse PBS volume name '{volname}'")),
        }
    }
}

fn is_lvm_name(name: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    name.len() > 1
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_blank(text: &str) -> bool {
    text.contains(char::is_whitespace)
}

/// `vm-101-disk-0`: a prefix, the owner, anything.
fn parse_disk<'a>(name: &'a str, prefixes: &[&str]) -> Option<VolumeName<'a>> {
    let (prefix, rest) = name.split_once('-')?;
    let (owner, label) = rest.split_once('-')?;
    if !prefixes.contains(&prefix) || !is_digits(owner) || label.is_empty() || has_blank(label) {
        return None;
    }
    let is_base = prefix.starts_with("base");
    let format = if matches!(prefix, "subvol" | "basevol") { "subvol" } else { "raw" };
    Some(VolumeName { content: "images", name, owner: owner.parse().ok(), base: None, is_base, format })
}

/// The same, perhaps with the volume before it that it is a linked clone of.
fn parse_based<'a>(volname: &'a str, bases: &[&str], prefixes: &[&str]) -> Option<VolumeName<'a>> {
    match volname.split_once('/') {
        None => parse_disk(volname, prefixes),
        Some((base, name)) => {
            parse_disk(base, bases)?;
            Some(VolumeName { base: Some(base), ..parse_disk(name, prefixes)? })
        }
    }
}

const DISK_FORMATS: &[&str] = &["raw", "qcow2", "vmdk", "subvol"];

/// The file of a disk in its owner's directory (Plugin.pm:784).
fn parse_disk_file(name: &str) -> Result<(&str, bool), String> {
    if name.starts_with("snap-") && name.ends_with(".qcow2") {
        return Err(format!("'{name}' is a snapshot filename, not a volume!"));
    }
    match name.rsplit_once('.') {
        Some((stem, format)) if !stem.is_empty() && DISK_FORMATS.contains(&format) && !has_blank(name) && !name.contains('/') => {
            Ok((format, name.starts_with("base-")))
        }
        _ => Err(format!("unable to parse volume filename '{name}'")),
    }
}

/// Plugin.pm:799.
fn parse_file(volname: &str) -> Result<VolumeName<'_>, String> {
    let unreadable = || format!("unable to parse directory volume name '{volname}'");
    let (directory, name) = volname.split_once('/').ok_or_else(unreadable)?;
    if is_digits(directory) && !name.is_empty() && !has_blank(name) {
        return parse_disk_of(directory, name);
    }
    let file = |content, format| VolumeName { content, name, owner: None, base: None, is_base: false, format };
    let lower = name.to_ascii_lowercase();
    let ends_in = |extensions: &[&str]| extensions.iter().any(|end| lower.len() > end.len() && lower.ends_with(end));
    match directory {
        _ if name.is_empty() || (name.contains('/') && directory != "import") => Err(unreadable()),
        "iso" if ends_in(&[".iso", ".img"]) => Ok(file("iso", "raw")),
        "vztmpl" if ends_in(&[".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"]) => Ok(file("vztmpl", "raw")),
        "backup" if archive_format(name).is_some() => Ok(VolumeName { owner: archive_owner(name), ..file("backup", "raw") }),
        "snippets" => Ok(file("snippets", "raw")),
        "import" if ends_in(&[".ova", ".ovf", ".qcow2", ".raw", ".vmdk"]) => {
            Ok(file("import", name.rsplit('.').next().unwrap_or_default()))
        }
        _ => Err(unreadable()),
    }
}

/// `101/vm-101-disk-0.raw`, or a linked clone: `100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2`.
fn parse_disk_of<'a>(directory: &'a str, name: &'a str) -> Result<VolumeName<'a>, String> {
    let parts: Vec<_> = name.splitn(3, '/').collect();
    let (base, owner, name) = match parts[..] {
        [base, owner, name] if is_digits(owner) => {
            parse_disk_file(base)?;
            (Some(base), owner, name)
        }
        _ => (None, directory, name),
    };
    let (format, is_base) = parse_disk_file(name)?;
    Ok(VolumeName { content: "images", name, owner: owner.parse().ok(), base, is_base, format })
}

/// The extension of a backup without its dot (Storage.pm:118).
pub fn archive_format(name: &str) -> Option<&str> {
    const FORMATS: &[&str] = &["tgz", "tar", "vma", "tar.gz", "tar.lzo", "tar.zst", "tar.bz2", "vma.gz", "vma.lzo", "vma.zst", "vma.bz2"];
    let mut ends = name.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &name[at + 1..]);
    ends.find(|end| FORMATS.contains(end))
}

/// Of `vzdump-lxc-102-2026_11_22-17_43_32.tar.zst`: its kind and its guest.
fn archive_guest(name: &str) -> Option<(&str, u32)> {
    let (kind, rest) = name.strip_prefix("vzdump-")?.split_once('-')?;
    let (owner, rest) = rest.split_once('-')?;
    (matches!(kind, "openvz" | "lxc" | "qemu") && !rest.is_empty()).then_some(())?;
    Some((kind, owner.parse().ok()?))
}

fn archive_owner(name: &str) -> Option<u32> {
    archive_guest(name).map(|(_, owner)| owner)
}

/// The kind of guest that a backup is of.
pub fn archive_kind(name: &str) -> &str {
    archive_guest(name).map_or("unknown", |(kind, _)| kind)
}

/// `backup/ct/101/2026-11-22T17:43:32Z`
fn parse_snapshot(volname: &str) -> Option<VolumeName<'_>> {
    let name = volname.strip_prefix("backup/")?;
    let parts: Vec<_> = name.split('/').collect();
    let [kind, id, time] = parts[..] else { return None };
    let is_word = |text: &str| !text.is_empty() && !has_blank(text) && !text.contains('_');
    let is_time = time.len() == 20
        && time.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !is_word(kind) || !is_word(id) || !is_time {
        return None;
    }
    let format = if kind == "ct" { "pbs-ct" } else { "pbs-vm" };
    Some(VolumeName { content: "backup", name, owner: id.parse().ok(), base: None, is_base: false, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_volume_says_whose_it_is_and_what_it_was_cloned_from() {
        let clone = Kind::Dir.parse("100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2").unwrap();
        assert_eq!((clone.owner, clone.base, clone.is_base, clone.format), (Some(101), Some("base-100-disk-0.qcow2"), false, "qcow2"));
        let clone = Kind::ZfsPool.parse("basevol-100-disk-0/subvol-101-disk-0").unwrap();
        assert_eq!((clone.owner, clone.base, clone.format), (Some(101), Some("basevol-100-disk-0"), "subvol"));
        assert!(Kind::LvmThin.parse("base-100-disk-0").unwrap().is_base);
        let backup = Kind::Dir.parse("backup/vzdump-lxc-102-2026_11_22-17_43_32.tar.zst").unwrap();
        assert_eq!((backup.content, backup.owner), ("backup", Some(102)));
        assert_eq!(archive_format(backup.name), Some("tar.zst"));
    }

    #[test]
    fn a_name_of_another_kind_is_refused_in_the_words_of_the_plugin() {
        let refusal = |kind: Kind, name| kind.parse(name).unwrap_err();
        assert_eq!(refusal(Kind::Dir, "vm-100-disk-0"), "unable to parse directory volume name 'vm-100-disk-0'");
        assert_eq!(refusal(Kind::Dir, "100/vm-100-disk-0"), "unable to parse volume filename 'vm-100-disk-0'");
        assert_eq!(refusal(Kind::LvmThin, "100/x.raw"), "lvm name '100/x.raw' contains illegal characters");
        assert_eq!(refusal(Kind::Lvm, "base-100-disk-0"), "unable to parse lvm volume name 'base-100-disk-0'");
    }
}
