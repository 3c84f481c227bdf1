//! A container's configuration in people's words. What is not known here stays as Proxmox writes it.

use crate::{
    proxmox::config::{Features, Ipv4Setting, Ipv6Setting, MountPoint, NetworkInterface, Source},
    ui::format,
};

/// What an option is called.
pub fn name_of(key: &str) -> String {
    let numbered = |prefix: &str| key.strip_prefix(prefix).filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let word = match key {
        "arch" => "Architecture",
        "cmode" => "Console mode",
        "console" => "Console",
        "cores" => "Cores",
        "cpulimit" => "CPU limit",
        "cpuunits" => "CPU weight",
        "description" => "Notes",
        "features" => "Features",
        "hookscript" => "Hook script",
        "hostname" => "Host name",
        "memory" => "Memory",
        "nameserver" => "DNS servers",
        "onboot" => "Start on boot",
        "ostype" => "System",
        "protection" => "Protection",
        "rootfs" => "Root disk",
        "searchdomain" => "DNS domain",
        "startup" => "Boot order",
        "swap" => "Swap",
        "tags" => "Tags",
        "template" => "Template",
        "timezone" => "Time zone",
        "tty" => "Consoles",
        "unprivileged" => "Privileges",
        _ => {
            return match (numbered("net"), numbered("mp"), numbered("dev"), numbered("unused")) {
                (Some(n), ..) => format!("Network {n}"),
                (_, Some(n), ..) => format!("Mount point {n}"),
                (_, _, Some(n), _) => format!("Device {n}"),
                (_, _, _, Some(n)) => format!("Unused disk {n}"),
                _ => key.to_owned(),
            };
        }
    };
    word.to_owned()
}

/// What an option says, in one line.
pub fn value_of(key: &str, text: &str) -> String {
    let is_numbered = |prefix: &str| key.strip_prefix(prefix).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match key {
        "memory" | "swap" => mebibytes(text).map_or_else(|| text.to_owned(), format::bytes),
        "onboot" | "template" | "console" => yes_or_no(text).to_owned(),
        "protection" => if is_set(text) { "On" } else { "Off" }.to_owned(),
        "unprivileged" => if is_set(text) { "Unprivileged" } else { "Privileged" }.to_owned(),
        "features" => text.parse().map_or_else(|_| text.to_owned(), |features| features_in_words(&features)),
        "startup" => startup(text),
        "ostype" => system(text),
        "cpulimit" => cpu_limit(text).unwrap_or_else(|| "none".to_owned()),
        "tags" => text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).collect::<Vec<_>>().join(", "),
        "description" => text.trim_end().to_owned(),
        _ if is_numbered("net") => text.parse().map_or_else(|_| text.to_owned(), |net| network(&net)),
        _ if key == "rootfs" || is_numbered("mp") || is_numbered("unused") => {
            text.parse().map_or_else(|_| text.to_owned(), |point| mount_point(&point))
        }
        _ => text.to_owned(),
    }
}

/// Whether a flag is set.
pub fn is_set(text: &str) -> bool {
    text == "1"
}

fn yes_or_no(text: &str) -> &'static str {
    if is_set(text) { "Yes" } else { "No" }
}

/// A number of MiB, in bytes.
pub fn mebibytes(text: &str) -> Option<u64> {
    text.parse::<u64>().ok()?.checked_mul(1 << 20)
}

/// What `cpulimit` says; none where there is no limit.
pub fn cpu_limit(text: &str) -> Option<String> {
    let limit: f64 = text.parse().ok().filter(|limit| *limit > 0.0)?;
    Some(if limit == 1.0 { "1 core".to_owned() } else { format!("{text} cores") })
}

/// The name of a system as its makers write it.
pub fn system(text: &str) -> String {
    let name = match text {
        "alpine" => "Alpine",
        "archlinux" => "Arch Linux",
        "centos" => "CentOS or alike",
        "debian" => "Debian",
        "devuan" => "Devuan",
        "fedora" => "Fedora",
        "gentoo" => "Gentoo",
        "nixos" => "NixOS",
        "opensuse" => "openSUSE",
        "ubuntu" => "Ubuntu",
        "unmanaged" => "Not managed by Proxmox",
        other => other,
    };
    name.to_owned()
}

/// "order 3, waits 30 s after its start, 60 s to shut down"
pub fn startup(text: &str) -> String {
    let part = |part: &str| match part.split_once('=') {
        Some(("order", n)) => format!("order {n}"),
        Some(("up", n)) => format!("the next waits {n} s"),
        Some(("down", n)) => format!("{n} s to shut down"),
        // the order may stand without its key
        None if part.bytes().all(|b| b.is_ascii_digit()) => format!("order {part}"),
        _ => part.to_owned(),
    };
    text.split(',').filter(|text| !text.is_empty()).map(part).collect::<Vec<_>>().join(", ")
}

/// "nesting, keyctl"; "none" where there are none.
pub fn features_in_words(features: &Features) -> String {
    let flags = [
        ("nesting", features.nesting),
        ("keyctl", features.keyctl),
        ("FUSE", features.fuse),
        ("mknod", features.mknod),
        ("writable /sys", features.force_rw_sys),
    ];
    let set = flags.into_iter().filter(|(_, flag)| *flag == Some(true)).map(|(word, _)| word.to_owned());
    let mount = features.mount.iter().map(|kinds| format!("mounts {}", kinds.join(", ")));
    let other = features.other.iter().map(|(key, value)| format!("{key}={value}"));
    let all: Vec<String> = set.chain(mount).chain(other).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// "eth0 on vmbr0, by DHCP, VLAN 20"
pub fn network(net: &NetworkInterface) -> String {
    let bridge = net.bridge.as_ref().map_or_else(|| net.name.clone(), |bridge| format!("{} on {bridge}", net.name));
    [Some(bridge)].into_iter().chain([addresses_as_configured(net)]).flatten().chain(network_details(net)).collect::<Vec<_>>().join(", ")
}

/// How an interface comes to its addresses: "by DHCP", "10.0.0.5/24", "by DHCP and SLAAC".
pub fn addresses_as_configured(net: &NetworkInterface) -> Option<String> {
    let v4 = net.ip.map(|ip| match ip {
        Ipv4Setting::Dhcp => "DHCP".to_owned(),
        Ipv4Setting::Manual => "hand inside".to_owned(),
        Ipv4Setting::Static(address, prefix) => format!("{address}/{prefix}"),
    });
    let v6 = net.ip6.map(|ip| match ip {
        Ipv6Setting::Auto => "SLAAC".to_owned(),
        Ipv6Setting::Dhcp => "DHCPv6".to_owned(),
        Ipv6Setting::Manual => "hand inside".to_owned(),
        Ipv6Setting::Static(address, prefix) => format!("{address}/{prefix}"),
    });
    let by = |text: String| if text.contains('/') { text } else { format!("by {text}") };
    match (v4, v6) {
        (Some(v4), Some(v6)) if v4 == v6 => Some(by(v4)),
        (Some(v4), Some(v6)) => Some(format!("{}, {}", by(v4), by(v6))),
        (v4, v6) => v4.or(v6).map(by),
    }
}

/// What else there is to say of an interface.
pub fn network_details(net: &NetworkInterface) -> Vec<String> {
    let parts = [
        net.gw.map(|gw| format!("router {gw}")),
        net.gw6.map(|gw| format!("router {gw}")),
        net.tag.map(|tag| format!("VLAN {tag}")),
        net.trunks.as_ref().map(|trunks| format!("VLANs {}", trunks.join(", "))),
        net.mtu.map(|mtu| format!("MTU {mtu}")),
        net.rate.as_ref().map(|rate| format!("at most {rate} MB/s")),
        (net.firewall == Some(true)).then(|| "firewall".to_owned()),
        (net.link_down == Some(true)).then(|| "unplugged".to_owned()),
    ];
    parts.into_iter().flatten().collect()
}

/// "8 GiB on local-zfs", "/mnt/tank of the node"; with its path inside, and what else there is.
pub fn mount_point(point: &MountPoint) -> String {
    let what = match &point.source {
        Source::Volume(volume) => {
            let storage = point.source.storage().unwrap_or(volume);
            point.size.map_or_else(|| format!("on {storage}"), |size| format!("{} on {storage}", format::bytes(size.0)))
        }
        Source::Bind(path) | Source::Device(path) => format!("{path} of the node"),
    };
    let at = point.mp.as_ref().map(|path| format!("at {path}"));
    let flags = [
        (point.ro == Some(true)).then_some("read only"),
        (point.mp.is_some() && point.backup == Some(true)).then_some("in backups"),
        (point.quota == Some(true)).then_some("quotas"),
        (point.acl == Some(true)).then_some("ACLs"),
        (point.shared == Some(true)).then_some("shared"),
        (point.replicate == Some(false)).then_some("not replicated"),
    ];
    let flags = flags.into_iter().flatten().map(str::to_owned);
    let options = point.mountoptions.iter().map(|options| options.join(", "));
    [Some(what), at].into_iter().flatten().chain(flags).chain(options).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_said_in_words() {
        for (key, text, name, value) in [
            ("memory", "1024", "Memory", "1 GiB"),
            ("swap", "0", "Swap", "0 B"),
            ("unprivileged", "1", "Privileges", "Unprivileged"),
            ("onboot", "0", "Start on boot", "No"),
            ("features", "nesting=1,keyctl=0,mount=nfs;cifs", "Features", "nesting, mounts nfs, cifs"),
            ("startup", "order=3,up=30,down=60", "Boot order", "order 3, the next waits 30 s, 60 s to shut down"),
            ("startup", "3", "Boot order", "order 3"),
            ("rootfs", "local-zfs:subvol-101-disk-0,size=8G", "Root disk", "8 GiB on local-zfs"),
            ("mp0", "/mnt/tank,mp=/tank,ro=1", "Mount point 0", "/mnt/tank of the node, at /tank, read only"),
            ("net0", "name=eth0,bridge=vmbr0,ip=dhcp,ip6=auto,tag=20", "Network 0", "eth0 on vmbr0, by DHCP, by SLAAC, VLAN 20"),
            ("net1", "name=eth1,bridge=vmbr1,ip=10.0.0.5/24,firewall=1", "Network 1", "eth1 on vmbr1, 10.0.0.5/24, firewall"),
            ("cpulimit", "1.5", "CPU limit", "1.5 cores"),
            ("cpulimit", "0", "CPU limit", "none"),
            ("ostype", "nixos", "System", "NixOS"),
            ("tags", "prod;web", "Tags", "prod, web"),
            ("new-option", "a=b", "new-option", "a=b"),
            ("net", "odd", "net", "odd"),
            ("rootfs", "=", "Root disk", "="),
        ] {
            assert_eq!((name_of(key), value_of(key, text)), (name.to_owned(), value.to_owned()), "{key}: {text}");
        }
    }
}
