//! What there is to know of an option of a container's configuration by its name (`$confdesc`, LC:512-1129).
//!
//! Not here: what values it takes from a request, which [`super::super::schema::lxc`] says.

use super::super::{schema::lxc::OPTIONS, version::Version};

const INTEGERS: &[&str] = &["cores", "cpuunits", "memory", "snaptime", "swap", "tty"];
/// Proxmox's own, which no request may set.
const INTERNAL: &[&str] = &["parent", "snaptime"];

fn is_boolean(option: &str) -> bool {
    OPTIONS.iter().any(|property| property.is_named(option) && property.is_boolean())
}

/// Whether readers are shown a number.
pub fn is_number(option: &str) -> bool {
    INTEGERS.contains(&option) || is_boolean(option)
}

/// Whether a release knows an option (`option_exists`).
pub fn exists(option: &str, version: Version) -> bool {
    INTERNAL.contains(&option) || OPTIONS.iter().any(|property| property.is_named(option) && property.is_in(version))
}

/// `net` and 0 of `net0`: the family that a numbered option is of.
pub fn family(option: &str) -> Option<(&str, u32)> {
    let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((name, option.strip_prefix(name)?.parse().ok()?))
}

/// Whether an option is of a numbered family.
pub fn is_in(option: &str, name: &str) -> bool {
    family(option).is_some_and(|(family, _)| family == name)
}

/// A value as reading the file leaves it (LC:1371): booleans and numbers in one form, anything else as it is.
pub fn canonical(option: &str, value: &str) -> String {
    let is_any_of = |words: [&str; 3]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is_boolean(option) && is_any_of(["on", "yes", "true"]) {
        "1".to_owned()
    } else if is_boolean(option) && is_any_of(["off", "no", "false"]) {
        "0".to_owned()
    } else if INTEGERS.contains(&option) && value.len() > 1 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = value.trim_start_matches('0');
        if digits.is_empty() { "0" } else { digits }.to_owned()
    } else {
        value.to_owned()
    }
}

/// Options that are handed to LXC as they are (LC:730-856). Others that begin with `lxc.` are left out when the file is read.
pub fn goes_to_lxc(option: &str) -> bool {
    const FAMILIES: &[&str] = &["lxc.cgroup.", "lxc.cgroup2.", "lxc.prlimit.", "lxc.limit.", "lxc.net."];
    const OPTIONS: &str = "\
        aa_allow_incomplete aa_profile apparmor.allow_incomplete apparmor.allow_nesting apparmor.profile apparmor.raw arch autodev \
        cap.drop cap.keep console console.logfile console.path devtty.dir devttydir environment environment.hooks group haltsignal \
        hook.autodev hook.clone hook.destroy hook.mount hook.post-stop hook.pre-mount hook.pre-start hook.start hook.stop \
        hook.version id_map idmap include init.cmd init.cwd init.gid init.groups init.uid init_cmd kmsg log.file log.level logfile \
        loglevel mount mount.auto mount.entry mount.fstab network.flags network.hwaddr network.ipv4 network.ipv4.gateway \
        network.ipv6 network.ipv6.gateway network.link network.mtu network.name network.script.down network.script.up network.type \
        pts pty.max rebootsignal rootfs.mount se_context seccomp seccomp.notify.cookie seccomp.notify.proxy seccomp.profile \
        selinux.context signal.halt signal.reboot signal.stop start.auto start.delay start.order stopsignal sysctl.fs.mqueue \
        sysctl.kernel.msgmax sysctl.kernel.msgmnb sysctl.kernel.msgmni sysctl.kernel.sem sysctl.kernel.shm_rmid_forced \
        sysctl.kernel.shmall sysctl.kernel.shmmax sysctl.kernel.shmmni tty tty.max uts.name utsname";
    FAMILIES.iter().any(|family| option.starts_with(family))
        || option.strip_prefix("lxc.").is_some_and(|option| OPTIONS.split(' ').any(|known| known == option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_options_end_where_proxmox_ends_them() {
        assert!(exists("net31", Version::V7_4) && !exists("net32", Version::V9_2) && !exists("net01", Version::V9_2));
        assert!(exists("dev255", Version::V8_4) && !exists("dev0", Version::V7_4));
        assert!(exists("lock", Version::V7_4) && !exists("digest", Version::V9_2));
    }

    #[test]
    fn only_what_lxc_knows_is_handed_to_it() {
        assert!(goes_to_lxc("lxc.utsname") && goes_to_lxc("lxc.aa_allow_incomplete") && goes_to_lxc("lxc.net.0.type"));
        assert!(!goes_to_lxc("lxc.rootfs.path") && !goes_to_lxc("lxc.nonsense"));
    }
}
