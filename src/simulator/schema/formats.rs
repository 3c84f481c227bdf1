//! Proxmox's named formats: each takes a text and says in Proxmox's words why it is none.
//!
//! A `$` in Perl also matches before a newline at the very end, so most of these take a text with one; the functions that do say so
//! by [`before_newline`].

use super::timezones::is_timezone;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a text does not fit a format, as Proxmox says it: with a newline at the end.
pub type Unfit = String;

/// What a pattern that ends in `$` looks at.
pub fn before_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn verify(fits: bool, text: impl FnOnce() -> String) -> Result<(), Unfit> {
    if fits { Ok(()) } else { Err(text()) }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Perl's `\w`.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// `[-_.\w\d]+`: names of bridges and of interfaces inside a container.
pub fn is_interface_name(text: &str) -> bool {
    let name = before_newline(text);
    !name.is_empty() && name.chars().all(|character| is_word(character) || matches!(character, '-' | '.'))
}

/// `\d+(?:;\d+)*`
pub fn is_vlan_ids(text: &str) -> bool {
    before_newline(text).split(';').all(is_digits)
}

/// `[a-zA-Z0-9_; ]+`
pub fn is_file_system_types(text: &str) -> bool {
    let types = before_newline(text);
    !types.is_empty() && types.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b';' | b' '))
}

/// Four octal digits, the first of which is 0.
pub fn is_access_mode(text: &str) -> bool {
    before_newline(text).strip_prefix('0').is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')))
}

/// Of Proxmox VE 7.4 (pve-container 4.4-3 LC).
pub fn is_mount_options_without_discard(text: &str) -> bool {
    before_newline(text).split(';').all(|option| matches!(option, "noatime" | "lazytime" | "nodev" | "nosuid" | "noexec"))
}

pub fn is_mount_options(text: &str) -> bool {
    before_newline(text).split(';').all(|option| option == "discard" || is_mount_options_without_discard(option))
}

/// `passthrough`, or entries such as `u:0:1000:1` between semicolons (LC:395).
pub fn is_mount_idmap(text: &str) -> bool {
    let entries = before_newline(text);
    entries == "passthrough"
        || entries.split(';').all(|entry| {
            let parts: Vec<_> = entry.split(':').collect();
            matches!(parts[..], ["u" | "g", container, disk, size]
                if is_digits(container) && is_digits(disk) && is_digits(size) && !size.starts_with('0'))
        })
}

pub fn ipv4(text: &str) -> Result<(), Unfit> {
    verify(before_newline(text).parse::<Ipv4Addr>().is_ok(), || "value does not look like a valid IPv4 address\n".to_owned())
}

pub fn ipv6(text: &str) -> Result<(), Unfit> {
    verify(before_newline(text).parse::<Ipv6Addr>().is_ok(), || "value does not look like a valid IPv6 address\n".to_owned())
}

/// An address with a prefix of 8 to `longest` bits.
fn is_network<Address: std::str::FromStr>(text: &str, longest: u32) -> bool {
    before_newline(text).split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<Address>().is_ok() && is_digits(prefix) && prefix.parse().is_ok_and(|bits: u32| (8..=longest).contains(&bits))
    })
}

pub fn ipv4_config(text: &str) -> Result<(), Unfit> {
    verify(matches!(before_newline(text), "dhcp" | "manual") || is_network::<Ipv4Addr>(text, 32), || {
        "value does not look like a valid ipv4 network configuration\n".to_owned()
    })
}

pub fn ipv6_config(text: &str) -> Result<(), Unfit> {
    verify(matches!(before_newline(text), "auto" | "dhcp" | "manual") || is_network::<Ipv6Addr>(text, 128), || {
        "value does not look like a valid ipv6 network configuration\n".to_owned()
    })
}

/// Six octets between colons, the first of them even.
pub fn mac_address(text: &str) -> Result<(), Unfit> {
    let octets: Vec<_> = before_newline(text).split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_unicast = octets.first().and_then(|first| u8::from_str_radix(first, 16).ok()).is_some_and(|first| first % 2 == 0);
    verify(octets.len() == 6 && octets.iter().all(is_octet) && is_unicast, || {
        "value does not look like a valid unicast MAC address\n".to_owned()
    })
}

/// A volume or a path without `.` and `..` as a part (LC:982); `./` is fine at the beginning.
pub fn mount_point_string(text: &str) -> Result<(), Unfit> {
    let path = before_newline(text);
    let is_illegal = text.contains("/./")
        || text.contains("/../")
        || [path, text].iter().any(|path| path.ends_with("/.") || path.ends_with("/.."))
        || text.starts_with("../");
    verify(!is_illegal, || format!("{text} contains illegal character sequences\n"))
}

/// A path below `/dev/` without `.` and `..` as a part (LC:1063).
pub fn device_path(text: &str) -> Result<(), Unfit> {
    verify(mount_point_string(text).is_ok() && text.starts_with("/dev/"), || format!("{text} is not a valid device path\n"))
}

/// `storage:volume` (Plugin.pm:420).
pub fn volume_id(text: &str) -> Result<(), Unfit> {
    let fits = before_newline(text)
        .split_once(':')
        .is_some_and(|(storage, volume)| is_storage_name(storage) && !volume.is_empty() && !volume.contains('\n'));
    verify(fits, || format!("unable to parse volume ID '{text}'\n"))
}

/// `[a-z][a-z0-9\-\_\.]*[a-z0-9]` in any case.
fn is_storage_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The bytes of a size such as `8G` or `0.5TiB` (JS:1022).
pub fn parse_size(text: &str) -> Option<u64> {
    let size = before_newline(text);
    let (number, unit) = size.split_at(size.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(size.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let factor = match unit {
        "" => 1.0,
        "K" | "KiB" => 1024.0,
        "M" | "MiB" => 1024.0 * 1024.0,
        "G" | "GiB" => 1024.0 * 1024.0 * 1024.0,
        "T" | "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "Perl's int() of a product; no number is negative")]
    Some((number.parse::<f64>().ok()? * factor) as u64)
}

/// A size in the largest unit that needs no fraction (JS:1041).
pub fn format_size(bytes: u64) -> String {
    let mut size = bytes;
    for unit in ["", "K", "M", "G"] {
        if !size.is_multiple_of(1024) {
            return format!("{size}{unit}");
        }
        size /= 1024;
    }
    format!("{size}T")
}

pub fn disk_size(text: &str) -> Result<(), Unfit> {
    verify(parse_size(text).is_some(), || format!("value does not look like a valid disk size: {text}\n"))
}

/// Before Proxmox VE 9, units were single letters (pve-common 8.3.1 JSONSchema.pm).
pub fn disk_size_without_ib(text: &str) -> Result<(), Unfit> {
    verify(parse_size(text).is_some() && !before_newline(text).ends_with("iB"), || {
        format!("value does not look like a valid disk size: {text}\n")
    })
}

/// `order=1,up=30,down=60`, each of them a number and the first without its key if one likes (JS:905).
pub fn startup_order(text: &str) -> Result<(), Unfit> {
    let is_part = |part: &str| {
        let part = before_newline(part);
        is_digits(["order=", "up=", "down="].iter().find_map(|key| part.strip_prefix(key)).unwrap_or(part))
    };
    let fits = !matches!(text, "" | "0") && text.split(',').all(|part| part.trim().is_empty() || is_part(part));
    verify(fits, || "unable to parse startup options\n".to_owned())
}

/// 100 to 999999999; one text for everything else.
pub fn vmid(text: &str) -> Result<(), Unfit> {
    let digits = before_newline(text);
    verify((3..=9).contains(&digits.len()) && is_digits(digits) && !digits.starts_with('0'), || {
        "value does not look like a valid VM ID\n".to_owned()
    })
}

/// `[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?`
fn is_host_label(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

pub fn node(text: &str) -> Result<(), Unfit> {
    verify(is_host_label(before_newline(text)), || "value does not look like a valid node name\n".to_owned())
}

pub fn dns_name(text: &str) -> Result<(), Unfit> {
    verify(before_newline(text).split('.').all(is_host_label), || "value does not look like a valid DNS name\n".to_owned())
}

/// Names of options and of snapshots.
pub fn config_id(text: &str) -> Result<(), Unfit> {
    let id = before_newline(text);
    let fits = id.len() >= 2
        && id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    verify(fits, || format!("invalid configuration ID '{text}'\n"))
}

pub fn storage_id(text: &str) -> Result<(), Unfit> {
    verify(text.chars().count() >= 2, || format!("storage ID '{text}' cannot be shorter than 2 characters\n"))?;
    storage_id_of_any_length(text)
}

/// Before Proxmox VE 9, too short was one kind of illegal (pve-common 8.3.1 JSONSchema.pm).
pub fn storage_id_of_any_length(text: &str) -> Result<(), Unfit> {
    verify(is_storage_name(before_newline(text)), || format!("storage ID '{text}' contains illegal characters\n"))
}

/// What a storage may hold (Plugin.pm:372, DirPlugin.pm:27).
pub fn storage_content(text: &str) -> Result<(), Unfit> {
    if text == "import" { Ok(()) } else { storage_content_without_import(text) }
}

/// Of Proxmox VE 7.4 (pve-storage of March 2023).
pub fn storage_content_without_import(text: &str) -> Result<(), Unfit> {
    verify(matches!(text, "images" | "rootdir" | "vztmpl" | "iso" | "backup" | "snippets" | "none"), || {
        format!("invalid content type '{text}'\n")
    })
}

/// `[A-Za-z0-9\.\-_]+`
fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Up to three names between slashes (AC:1353).
pub fn pool(text: &str) -> Result<(), Unfit> {
    // Perl's split does not count what is empty at the end.
    verify(text.trim_end_matches('/').split('/').count() <= 3, || format!("pool name '{text}' nested too deeply (max levels = 3)\n"))?;
    verify(before_newline(text).split('/').all(is_plain_name), || format!("pool name '{text}' contains invalid characters\n"))
}

/// Of Proxmox VE 7.4, without pools in pools.
pub fn pool_without_levels(text: &str) -> Result<(), Unfit> {
    verify(is_plain_name(before_newline(text)), || format!("pool name '{text}' contains invalid characters\n"))
}

/// `[A-Za-z][A-Za-z0-9\.\-_]+`: realms, and the names of tokens.
fn is_realm(text: &str) -> bool {
    text.len() >= 2 && text.starts_with(|first: char| first.is_ascii_alphabetic()) && is_plain_name(text)
}

pub fn realm(text: &str) -> Result<(), Unfit> {
    verify(is_realm(before_newline(text)), || "value does not look like a valid realm\n".to_owned())
}

/// `user@realm` or `user@realm!token` (AC:286).
pub fn is_user_or_token(text: &str) -> bool {
    before_newline(text).rsplit_once('@').is_some_and(|(user, rest)| {
        let (domain, token) = rest.split_once('!').map_or((rest, None), |(domain, token)| (domain, Some(token)));
        let is_user = !user.is_empty() && !user.contains(|character: char| character.is_whitespace() || matches!(character, ':' | '/'));
        is_user && is_realm(domain) && token.is_none_or(is_realm)
    })
}

/// The privileges of all releases; those of some are in the functions below.
#[rustfmt::skip]
const PRIVILEGES: &[&str] = &[
    "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit", "Group.Allocate",
    "Permissions.Modify", "Pool.Allocate", "Pool.Audit", "Realm.Allocate", "Realm.AllocateUser", "SDN.Allocate", "SDN.Audit",
    "Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Sys.Syslog", "User.Modify", "VM.Allocate",
    "VM.Audit", "VM.Backup", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk",
    "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Console", "VM.Migrate", "VM.PowerMgmt",
    "VM.Snapshot", "VM.Snapshot.Rollback",
];
const PRIVILEGES_SINCE_8: &[&str] = &["Mapping.Audit", "Mapping.Modify", "Mapping.Use", "SDN.Use", "Sys.AccessNetwork"];
#[rustfmt::skip]
const PRIVILEGES_SINCE_9: &[&str] = &[
    "VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted", "VM.Replicate",
];
const PRIVILEGES_UNTIL_8: &[&str] = &["VM.Monitor"];

fn any_privilege(text: &str, lists: &[&[&str]]) -> Result<(), Unfit> {
    verify(lists.iter().any(|list| list.contains(&text)), || format!("invalid privilege '{text}'\n"))
}

pub fn privilege(text: &str) -> Result<(), Unfit> {
    any_privilege(text, &[PRIVILEGES, PRIVILEGES_SINCE_8, PRIVILEGES_SINCE_9])
}

/// Of Proxmox VE 8.4.
pub fn privilege_of_8(text: &str) -> Result<(), Unfit> {
    any_privilege(text, &[PRIVILEGES, PRIVILEGES_SINCE_8, PRIVILEGES_UNTIL_8])
}

/// Of Proxmox VE 7.4.
pub fn privilege_of_7(text: &str) -> Result<(), Unfit> {
    any_privilege(text, &[PRIVILEGES, PRIVILEGES_UNTIL_8])
}

pub fn tag(text: &str) -> Result<(), Unfit> {
    let tag = before_newline(text);
    let fits = tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.'));
    verify(fits, || "invalid characters in tag\n".to_owned())
}

/// An address, with the interface if it is link-local: `fe80::1%eth0` (LC:438).
pub fn name_server(text: &str) -> Result<(), Unfit> {
    let is_address = |text: &str| ipv4(text).is_ok() || ipv6(text).is_ok();
    let is_link_local = text.starts_with("fe80:")
        && text.split_once('%').is_some_and(|(address, interface)| is_address(address) && is_host_interface(before_newline(interface)));
    verify(is_link_local || is_address(text), || "value does not look like a valid IP address\n".to_owned())
}

/// `[a-z][a-z0-9_]{1,20}([:\.]\d+)?` in any case.
fn is_host_interface(text: &str) -> bool {
    let (name, number) = text.split_once([':', '.']).map_or((text, None), |(name, number)| (name, Some(number)));
    (2..=21).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && number.is_none_or(is_digits)
}

pub fn timezone(text: &str) -> Result<(), Unfit> {
    verify(text == "host" || is_timezone(text), || format!("invalid time zone '{text}'\n"))
}

pub fn task_status(text: &str) -> Result<(), Unfit> {
    let status = before_newline(text);
    let fits = ["ok", "error", "warning", "unknown"].iter().any(|known| status.eq_ignore_ascii_case(known));
    verify(fits, || format!("invalid status '{text}'\n"))
}

/// Whether a text has no control characters but tabs, which is all that is asked of a command.
fn is_printable(text: &str) -> bool {
    text.chars().all(|character| character == '\t' || (character >= ' ' && character != '\u{7f}'))
}

/// `[^\x00-\x08\x0a-\x1F\x7F]+`
pub fn is_command(text: &str) -> bool {
    let command = before_newline(text);
    !command.is_empty() && is_printable(command)
}

/// `NAME=value`, with zero bytes between several.
pub fn is_environment(text: &str) -> bool {
    before_newline(text).split('\0').all(|variable| {
        variable.split_once('=').is_some_and(|(name, value)| !name.is_empty() && name.chars().all(is_word) && is_printable(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_both_ways() {
        assert_eq!(parse_size("8G"), Some(8 << 30));
        assert_eq!(parse_size("1.5K"), Some(1536));
        assert_eq!(parse_size("4MiB"), Some(4 << 20));
        assert_eq!(parse_size("8g"), None);
        assert_eq!(parse_size(".5G"), None);
        assert_eq!(format_size(8 << 30), "8G");
        assert_eq!(format_size(1536), "1536");
        assert_eq!(format_size(3 << 40), "3T");
    }
}
