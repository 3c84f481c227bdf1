//! Who may change which option of a container (`check_ct_modify_config_perm`, L:1655-1755): for creating one and for changing one.
//!
//! Not here: the privilege that the endpoint itself asks for.

use super::{
    super::{
        caller::Caller,
        reply::Failure,
        schema::{
            lxc::{FEATURES, NETWORK},
            property::split_list,
            property_string::{self, Properties},
        },
        version::Version,
    },
    MountPoint, Section, Volumes, World,
    change::format_error,
    options::is_in,
    volume::storage_of,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A change that somebody wants to make to a container's options.
pub struct Wish<'a> {
    pub caller: &'a Caller<'a>,
    pub world: &'a World<'a>,
    pub volumes: &'a dyn Volumes,
    /// The pool that a new container goes to: what is allowed there is allowed here.
    pub pool: Option<&'a str>,
    /// What is in force now; nothing for a new container.
    pub old: &'a Section,
    pub is_unprivileged: bool,
}

impl Wish<'_> {
    /// Whether these options may be set.
    pub fn check_set(&self, new: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Result<(), Failure> {
        new.into_iter().try_for_each(|(option, value)| self.check(option.as_ref(), Some(value.as_ref())))
    }

    /// Whether these options may be deleted, or a change of theirs taken back.
    pub fn check_delete(&self, options: &[String]) -> Result<(), Failure> {
        options.iter().try_for_each(|option| self.check(option, None))
    }

    /// Proxmox takes several options in random order; here they come by name.
    fn check(&self, option: &str, value: Option<&str>) -> Result<(), Failure> {
        if self.caller.is_root() {
            return Ok(());
        }
        match option {
            "cores" | "cpuunits" | "cpulimit" => self.need("VM.Config.CPU"),
            "memory" | "swap" => self.need("VM.Config.Memory"),
            "nameserver" | "searchdomain" | "hostname" => self.need("VM.Config.Network"),
            "features" => self.check_features(value),
            "hookscript" => Err(denied("changing the hookscript is only allowed for root@pam")),
            "tags" => self.check_tags(value.unwrap_or_default()),
            _ if option == "rootfs" || is_in(option, "mp") => self.check_mount_point(option, value),
            _ if is_in(option, "net") => self.check_network(option, value),
            _ if is_in(option, "dev") => Err(denied("configuring device passthrough is only allowed for root@pam")),
            _ => self.need("VM.Config.Options"),
        }
    }

    fn may_here(&self, privilege: &str) -> bool {
        self.pool.is_some_and(|pool| (self.caller.may)(&format!("/pool/{pool}"), privilege))
            || (self.caller.may)(&format!("/vms/{}", self.world.vmid), privilege)
    }

    fn need(&self, privilege: &str) -> Result<(), Failure> {
        if self.may_here(privilege) { Ok(()) } else { Err(Failure::forbidden(&format!("/vms/{}", self.world.vmid), &[privilege])) }
    }

    fn need_at(&self, path: &str, privilege: &str) -> Result<(), Failure> {
        if (self.caller.may)(path, privilege) { Ok(()) } else { Err(Failure::forbidden(path, &[privilege])) }
    }

    fn check_mount_point(&self, option: &str, value: Option<&str>) -> Result<(), Failure> {
        self.need("VM.Config.Disk")?;
        let Some(mount) = value.and_then(|value| MountPoint::parse(option, value)) else { return Ok(()) };
        let mount = mount.map_err(format_error)?;
        if !mount.is_volume() {
            return Err(denied(&format!("mount point type {} is only allowed for root@pam", mount.kind())));
        }
        match mount.new_volume() {
            Some(new) => self.need_at(&format!("/storage/{}", new.storage), "Datastore.AllocateSpace"),
            None => self.check_volume(mount.volume()),
        }
    }

    /// Whether an existing volume may be used as a mount point (Storage.pm:619-656).
    fn check_volume(&self, volid: &str) -> Result<(), Failure> {
        let Some(storage) = storage_of(volid) else {
            // Without a newline, so Perl adds where that is.
            let line = match self.world.version {
                Version::V7_4 => 542,
                Version::V8_4 => 569,
                Version::V9_2 => 651,
            };
            let text = format!("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line {line}.");
            return Err(Failure::died(text));
        };
        let (kind, owner) = self.volumes.describe(volid).map_err(Failure::died)?;
        if !matches!(kind.as_str(), "rootdir" | "images") {
            return Err(Failure::died(format!("unable to use volume {volid} - content type needs to be 'rootdir'")));
        }
        let path = format!("/storage/{storage}");
        match owner {
            _ if (self.caller.may)(&path, "Datastore.Allocate") => Ok(()),
            Some(owner) if owner == self.world.vmid => Ok(()),
            Some(owner) => {
                self.need_at(&path, "Datastore.Audit")?;
                self.need_at(&format!("/vms/{owner}"), "VM.Config.Disk")
            }
            None => Err(Failure::died(format!("missing privileges to access {volid}"))),
        }
    }

    /// Both the bridge that is left and the one that is joined must be allowed, since 8.0 (L:1758).
    fn check_network(&self, option: &str, value: Option<&str>) -> Result<(), Failure> {
        self.need("VM.Config.Network")?;
        if self.world.version < Version::V8_4 {
            return Ok(());
        }
        for network in self.old.get(option).into_iter().chain(value) {
            let network = property_string::parse(NETWORK, network).map_err(format_error)?;
            let Some(bridge) = network.text("bridge") else { break };
            self.check_bridge(bridge, &network)?;
        }
        Ok(())
    }

    /// One VLAN may be allowed without the others (GuestHelpers.pm:381).
    fn check_bridge(&self, bridge: &str, network: &Properties) -> Result<(), Failure> {
        let path = format!("/sdn/zones/localnetwork/{bridge}");
        let tag = network.text("tag").filter(|tag| *tag != "0");
        let mut trunks: Vec<_> = network.text("trunks").into_iter().flat_map(|trunks| trunks.split(';')).collect();
        trunks.sort_unstable();
        for vlan in tag.into_iter().chain(trunks.iter().copied()) {
            self.need_at(&format!("{path}/{vlan}"), "SDN.Use")?;
        }
        if tag.is_none() && trunks.is_empty() { self.need_at(&path, "SDN.Use") } else { Ok(()) }
    }

    /// Nesting is for those who may create the container, all else is for root.
    fn check_features(&self, value: Option<&str>) -> Result<(), Failure> {
        if !self.is_unprivileged {
            return Err(denied("changing feature flags for privileged container is only allowed for root@pam"));
        }
        let parse = |text: Option<&str>| property_string::parse(FEATURES, text.unwrap_or_default()).map_err(format_error);
        let old = parse(self.old.get("features"))?;
        let has_old = self.old.is_set("features");
        let (changes_nesting, changes_others) = match value {
            Some(value) if has_old => {
                let new = parse(Some(value))?;
                let changes = |name: &str| old.text(name).unwrap_or_default() != new.text(name).unwrap_or_default();
                (changes("nesting"), names().any(|name| name != "nesting" && changes(name)))
            }
            Some(value) => self.classify(&parse(Some(value))?),
            None => self.classify(&old),
        };
        if changes_others {
            return Err(denied("changing feature flags (except nesting) is only allowed for root@pam"));
        }
        if changes_nesting { self.need("VM.Allocate") } else { Ok(()) }
    }

    /// Whether these features are nesting alone, or others.
    fn classify(&self, features: &Properties) -> (bool, bool) {
        // 7.4 takes switching it off for another feature.
        let has_nesting = features.text("nesting").is_some_and(|nesting| self.world.version >= Version::V8_4 || nesting == "1");
        let count = names().filter(|name| features.text(name).is_some()).count();
        let is_nesting = count == 1 && has_nesting;
        (is_nesting, count > 0 && !is_nesting)
    }

    /// Only tags that are added or removed count (GuestHelpers.pm:293).
    fn check_tags(&self, new: &str) -> Result<(), Failure> {
        let path = format!("/vms/{}", self.world.vmid);
        self.need_at(&path, "VM.Config.Options")?;
        if (self.caller.may)("/", "Sys.Modify") {
            return Ok(());
        }
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for tag in split_list(self.old.get("tags").unwrap_or_default()) {
            counts.entry(tag).or_default().0 += 1;
        }
        for tag in split_list(new) {
            counts.entry(tag).or_default().1 += 1;
        }
        let changed = counts.into_iter().filter(|(_, (old, new))| old != new).map(|(tag, _)| tag);
        let allowed = AllowedTags::of(self.caller, self.world);
        match changed.into_iter().find(|tag| !allowed.has(tag)) {
            Some(tag) => Err(denied(&format!("/, Sys.Modify for modifying tag '{tag}'"))),
            None => Ok(()),
        }
    }
}

/// Which tags an ordinary user may set and remove (GuestHelpers.pm:248).
struct AllowedTags {
    any: bool,
    listed: Vec<String>,
    registered: Vec<String>,
}

impl AllowedTags {
    fn of(caller: &Caller<'_>, world: &World<'_>) -> Self {
        let texts = |value: Option<&Value>| -> Vec<String> {
            value.and_then(Value::as_array).into_iter().flatten().filter_map(|tag| Some(tag.as_str()?.to_owned())).collect()
        };
        let access = world.options.get("user-tag-access");
        let mode = access.and_then(|access| access.get("user-allow")?.as_str()).unwrap_or("free");
        let mut listed = if mode == "none" { Vec::new() } else { texts(access.and_then(|access| access.get("user-allow-list"))) };
        if matches!(mode, "free" | "existing") {
            let visible = (world.tags)().into_iter().filter(|(vmid, _)| (caller.may)(&format!("/vms/{vmid}"), "VM.Audit"));
            listed.extend(visible.flat_map(|(_, tags)| split_list(&tags).map(str::to_owned).collect::<Vec<_>>()));
        }
        Self { any: mode == "free", listed, registered: texts(world.options.get("registered-tags")) }
    }

    fn has(&self, tag: &str) -> bool {
        let is_in = |tags: &[String]| tags.iter().any(|other| other == tag);
        (self.any || is_in(&self.listed)) && !is_in(&self.registered)
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.name)
}

/// A 403 that names no path.
fn denied(what: &str) -> Failure {
    Failure::custom(403, &format!("Permission check failed ({what})"))
}
