//! The options of a container's config (LC:345-707, LC:852-1124), and the property strings among them: network interfaces, volumes,
//! features and devices. Creating and changing a container take all of them.

use super::{formats, property::Property};
use crate::simulator::version::Version;

/// `netN`.
pub const NETWORK: &[Property] = &[
    Property::choice("type", &["veth"]).optional(),
    Property::text("name").pattern(formats::is_interface_name),
    Property::text("bridge").pattern(formats::is_interface_name).optional(),
    Property::text("hwaddr").format(formats::mac_address).optional(),
    Property::integer("mtu").minimum(64).maximum(65535).optional(),
    Property::text("ip").format(formats::ipv4_config).optional(),
    Property::text("gw").format(formats::ipv4).optional(),
    Property::text("ip6").format(formats::ipv6_config).optional(),
    Property::text("gw6").format(formats::ipv6).optional(),
    Property::boolean("firewall").optional(),
    Property::integer("tag").minimum(1).maximum(4094).optional(),
    Property::text("trunks").pattern(formats::is_vlan_ids).optional(),
    Property::number("rate").optional(),
    Property::boolean("link_down").optional(),
    Property::boolean("host-managed").optional().since(Version::V9_2),
];

const VOLUME: Property = Property::text("volume").format(formats::mount_point_string).default_key();
const SIZE: Property = Property::text("size").format(formats::disk_size).optional().since(Version::V9_2);
const SIZE_UNTIL_8: Property = Property::text("size").format(formats::disk_size_without_ib).optional().until(Version::V8_4);
const MOUNT_OPTIONS: Property = Property::text("mountoptions").pattern(formats::is_mount_options).optional().since(Version::V8_4);
const MOUNT_OPTIONS_UNTIL_7: Property =
    Property::text("mountoptions").pattern(formats::is_mount_options_without_discard).optional().until(Version::V7_4);
const IDMAP: Property = Property::text("idmap").pattern(formats::is_mount_idmap).optional().since(Version::V9_2);

/// `rootfs`.
pub const ROOTFS: &[Property] = &[
    VOLUME,
    SIZE,
    SIZE_UNTIL_8,
    Property::boolean("acl").optional(),
    MOUNT_OPTIONS,
    MOUNT_OPTIONS_UNTIL_7,
    IDMAP,
    Property::boolean("ro").optional(),
    Property::boolean("quota").optional(),
    Property::boolean("replicate").optional(),
    Property::boolean("shared").optional(),
];

/// `mpN`: as [`ROOTFS`], with a place to be mounted at.
pub const MOUNT_POINT: &[Property] = &[
    VOLUME,
    Property::text("mp").format(formats::mount_point_string),
    SIZE,
    SIZE_UNTIL_8,
    Property::boolean("acl").optional(),
    MOUNT_OPTIONS,
    MOUNT_OPTIONS_UNTIL_7,
    IDMAP,
    Property::boolean("ro").optional(),
    Property::boolean("quota").optional(),
    Property::boolean("replicate").optional(),
    Property::boolean("shared").optional(),
    Property::boolean("backup").optional(),
    Property::boolean("keepattrs").optional().since(Version::V9_2),
];

/// `unusedN`.
pub const UNUSED: &[Property] = &[Property::text("volume").format(formats::volume_id).default_key()];

/// `devN`.
pub const DEVICE: &[Property] = &[
    Property::text("path").format(formats::device_path).default_key().optional(),
    Property::text("mode").pattern(formats::is_access_mode).optional(),
    Property::integer("uid").minimum(0).optional(),
    Property::integer("gid").minimum(0).optional(),
    Property::boolean("deny-write").optional(),
];

/// `features`.
pub const FEATURES: &[Property] = &[
    Property::text("mount").pattern(formats::is_file_system_types).optional(),
    Property::boolean("nesting").optional(),
    Property::boolean("keyctl").optional(),
    Property::boolean("fuse").optional(),
    Property::boolean("mknod").optional(),
    Property::boolean("force_rw_sys").optional(),
];

/// What a config may say.
pub const OPTIONS: &[Property] = &[
    Property::choice(
        "lock",
        &["backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted", "rollback", "snapshot", "snapshot-delete"],
    )
    .optional(),
    Property::boolean("onboot").optional(),
    Property::text("startup").format(formats::startup_order).optional(),
    Property::boolean("template").optional(),
    Property::choice("arch", &["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"]).optional(),
    Property::choice(
        "ostype",
        &["debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos", "unmanaged"],
    )
    .optional(),
    Property::boolean("console").optional(),
    Property::integer("tty").minimum(0).maximum(6).optional(),
    Property::integer("cores").minimum(1).maximum(8192).optional(),
    Property::number("cpulimit").minimum(0).maximum(8192).optional(),
    Property::integer("cpuunits").minimum(0).maximum(500_000).optional(),
    Property::integer("memory").minimum(16).optional(),
    Property::integer("swap").minimum(0).optional(),
    Property::text("hostname").format(formats::dns_name).max_length(255).optional(),
    Property::text("description").max_length(8192).optional(),
    Property::text("searchdomain").list_of(formats::dns_name).optional(),
    Property::text("nameserver").list_of(formats::name_server).optional(),
    Property::text("timezone").format(formats::timezone).optional(),
    Property::property_string("rootfs", ROOTFS).optional(),
    Property::choice("cmode", &["shell", "console", "tty"]).optional(),
    Property::text("entrypoint").pattern(formats::is_command).optional().since(Version::V9_2),
    Property::boolean("protection").optional(),
    Property::boolean("unprivileged").optional(),
    Property::property_string("features", FEATURES).optional(),
    Property::text("env").pattern(formats::is_environment).optional().since(Version::V9_2),
    Property::text("hookscript").format(formats::volume_id).optional(),
    Property::text("tags").list_of(formats::tag).optional(),
    Property::boolean("debug").optional(),
    Property::property_string("net", NETWORK).numbered(32),
    Property::property_string("mp", MOUNT_POINT).numbered(256),
    Property::property_string("unused", UNUSED).numbered(256),
    Property::property_string("dev", DEVICE).numbered(256).since(Version::V8_4),
];
