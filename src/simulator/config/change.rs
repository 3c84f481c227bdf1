//! What `PUT …/config` does: every change becomes a pending one first; what can be is then put in force, at once when the container is
//! stopped, by hot-plugging when it runs (API2/LXC/Config.pm:161, LC:1279-1370, LC:1620-1860).
//!
//! Not here: whether the values are well-formed, which is checked with the parameters of the endpoint; replication, which would
//! refuse some volumes; and zones of SDN other than that of the node's own bridges.

use super::{
    super::{
        caller::Caller,
        reply::{Failure, FailureBody},
        schema::{
            Raw,
            lxc::{DEVICE, NETWORK},
            property::split_list,
            property_string::{self, Properties, Refusal},
        },
        version::Version,
    },
    Config, MountPoint, Section, Sections, Volumes, World,
    options::{exists, is_in},
    privileges::Wish,
    view::deletions,
    volume::{NewVolume, storage_of},
};
use serde_json::{Map, Value};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// Options that are in force at once in a running container, without anything to be done (LC:1612).
const IMMEDIATE: &[&str] = &["cores", "description", "hookscript", "hostname", "lock", "onboot", "protection", "startup", "tags"];

/// Devices that every node has, in `/dev`.
const DEVICES: &[&str] = &["console", "full", "fuse", "kvm", "loop-control", "net/tun", "null", "ptmx", "random", "tty", "urandom", "zero"];

/// Changes a configuration as a request says: its parameters are options, besides `delete`, `revert` and `digest`. When it fails, the
/// configuration is as before, but for what a broken hot-plug leaves.
pub fn change(
    config: &mut Config,
    request: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    caller: &Caller<'_>,
    world: &World<'_>,
    volumes: &mut dyn Volumes,
) -> Result<(), Failure> {
    let request = Request::read(request)?;
    if let Some(lock) = config.get("lock").filter(|_| config.is_set("lock")) {
        return Err(Failure::died(format!("CT is locked ({lock})")));
    }
    if !request.digest.is_empty() && request.digest != config.digest() {
        return Err(Failure::died("detected modified configuration - file changed by other user? Try again."));
    }
    request.check(config, caller, world, volumes)?;

    let mut draft = Draft::new(config.sections.clone(), world, volumes);
    let touched = draft.stage(&request)?;
    if world.is_running {
        draft.hotplug(&touched);
    } else {
        draft.apply(Some(&touched));
    }
    let Draft { sections, saved, errors, .. } = draft;

    // Before 8.3 whatever had worked was written all the same (pve-container 5.2.2).
    if errors.is_empty() || world.version < Version::V8_4 {
        write(config, sections)?;
    } else if let Some(saved) = saved {
        write(config, saved)?;
    }
    if errors.is_empty() { check_lxc_config(config, world).map_err(Failure::died) } else { Err(Failure::parameters(errors)) }
}

/// The options of a new container in the form that a change leaves them in (LXC:413). Who may set them has been asked before.
pub fn accept(options: &Raw, world: &World<'_>, volumes: &mut dyn Volumes) -> Result<Section, Failure> {
    let mut draft = Draft::new(Sections::default(), world, volumes);
    let touched = draft.stage(&Request::of(options.clone()))?;
    draft.apply(Some(&touched));
    Ok(draft.sections.current)
}

/// Whether a request asks for anything at all, which Proxmox looks at before it looks for the container.
pub fn check_request(request: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Result<(), Failure> {
    Request::read(request).map(|_| ())
}

/// Puts all that is pending in force, as happens before a start and after a stop (L:3128, lxc-pve-poststop-hook:57). Gives what did
/// not work, which stays pending; a start logs it.
pub fn apply_pending(config: &mut Config, world: &World<'_>, volumes: &mut dyn Volumes) -> Vec<String> {
    if config.sections.pending.is_empty() {
        return Vec::new();
    }
    let mut draft = Draft::new(config.sections.clone(), world, volumes);
    draft.apply(None);
    let Draft { sections, errors, .. } = draft;
    *config = Config::written(sections);
    errors.into_values().map(|error| error.trim_end_matches('\n').to_owned()).collect()
}

/// What keeps Proxmox from writing LXC's own configuration file, which it does after a change and before a start (L:697).
pub fn check_lxc_config(config: &Config, world: &World<'_>) -> Result<(), String> {
    let current = config.current();
    if current.is_set("template") {
        return Ok(());
    }
    let line = match world.version {
        Version::V7_4 => 608,
        Version::V8_4 => 661,
        Version::V9_2 => 729,
    };
    for (option, line) in [("arch", line), ("ostype", line + 6)] {
        if !current.is_set(option) {
            // Without a newline, so Perl adds where that is.
            return Err(format!("missing '{option}' - internal error at /usr/share/perl5/PVE/LXC.pm line {line}."));
        }
    }
    for (_, device) in current.entries().filter(|(option, _)| is_in(option, "dev")) {
        check_device(device)?;
    }
    if current.get("rootfs").is_none() {
        return Err("missing 'rootfs' configuration".to_owned());
    }
    for (option, network) in current.entries().filter(|(option, _)| is_in(option, "net")) {
        let network = property_string::parse(NETWORK, network).map_err(|refusal| refusal.to_string().trim_end().to_owned())?;
        check_mtu(option, &network, world)?;
    }
    Ok(())
}

/// An exception of the reader of property strings.
pub(super) fn format_error(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Malformed(text) => Failure::died(text.trim_end_matches('\n')),
        Refusal::Invalid(errors) => {
            let errors = errors.into_iter().collect();
            Failure { status: 500, message: "format error\n".to_owned(), errors, body: FailureBody::Json }
        }
    }
}

/// The tags in the form that the cluster's style asks for: each once, by default in lower case and sorted (GuestHelpers.pm:342).
pub fn unique_tags(tags: &str, options: &Map<String, Value>) -> String {
    let style = options.get("tag-style");
    let is_true = |value: &Value| value.as_bool().unwrap_or(!matches!(value.to_string().as_str(), "0" | "\"0\"" | "\"\"" | "null"));
    let is_case_sensitive = style.and_then(|style| style.get("case-sensitive")).is_some_and(is_true);
    let is_sorted = style.and_then(|style| style.get("ordering")?.as_str()) != Some("config");
    let fold = |tag: &str| if is_case_sensitive { tag.to_owned() } else { tag.to_ascii_lowercase() };
    let mut tags: Vec<_> = split_list(tags).map(fold).collect();
    if is_sorted {
        tags.sort();
    }
    let mut seen = BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags.join(";")
}

/// A network as a new container or a change gets it: of type veth, with a MAC address of its own where none was given.
pub fn complete_network(text: &str, world: &World<'_>) -> Result<String, Refusal> {
    parse_network(text, world).map(|network| property_string::print(NETWORK, &network))
}

fn parse_network(text: &str, world: &World<'_>) -> Result<Properties, Refusal> {
    let mut network = property_string::parse(NETWORK, text)?;
    network.set("type", "veth");
    if network.text("hwaddr").is_none() {
        network.set("hwaddr", mac_address(world));
    }
    Ok(network)
}

/// A local unicast address; with Proxmox's own prefix since 8.1 (Tools.pm:713, DataCenterConfig.pm).
fn mac_address(world: &World<'_>) -> String {
    let mut bytes = (world.random)();
    bytes[0] = (bytes[0] & 0xfe) | 2;
    let address = bytes.map(|byte| format!("{byte:02X}")).join(":");
    let usual = if world.version >= Version::V8_4 { "BC:24:11" } else { "" };
    let prefix = world.options.get("mac_prefix").and_then(Value::as_str).unwrap_or(usual).to_ascii_uppercase();
    let rest = address.get(prefix.len()..).unwrap_or_default();
    format!("{prefix}{rest}")
}

/// What the request asks for.
struct Request {
    set: Raw,
    delete: Vec<String>,
    revert: Vec<String>,
    digest: String,
}

impl Request {
    fn read(request: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> Result<Self, Failure> {
        let own = |(name, value): (_, _)| (AsRef::<str>::as_ref(&name).to_owned(), AsRef::<str>::as_ref(&value).to_owned());
        let mut set: Raw = request.into_iter().map(own).filter(|(name, _)| !matches!(name.as_str(), "node" | "vmid")).collect();
        let digest = set.remove("digest").unwrap_or_default();
        if set.is_empty() {
            return Err(Failure::died("no options specified"));
        }
        let mut list = |name: &str| split_list(&set.remove(name).unwrap_or_default()).map(str::to_owned).collect();
        let (delete, revert) = (list("delete"), list("revert"));
        Ok(Self { delete, revert, digest, ..Self::of(set) })
    }

    fn of(mut set: Raw) -> Self {
        if let Some(units) = set.get_mut("cpuunits").filter(|units| units.parse::<u64>().is_ok_and(|units| units > 10_000)) {
            // What version 2 of control groups takes (CGroup.pm:493).
            "10000".clone_into(units);
        }
        Self { set, delete: Vec::new(), revert: Vec::new(), digest: String::new() }
    }

    fn check(&self, config: &Config, caller: &Caller<'_>, world: &World<'_>, volumes: &dyn Volumes) -> Result<(), Failure> {
        let wish = Wish { caller, world, volumes, pool: None, old: config.current(), is_unprivileged: config.is_set("unprivileged") };
        wish.check_delete(&self.delete)?;
        wish.check_delete(&self.revert)?;
        for option in &self.revert {
            if !exists(option, world.version) {
                return Err(Failure::parameter("revert", &format!("unknown option '{option}'")));
            }
            if self.set.contains_key(option) {
                return Err(Failure::parameter("revert", &format!("you can't use '-{option}' and '-revert {option}' at the same time")));
            }
        }
        for option in &self.delete {
            let refuse = |text: String| Err(Failure::parameter("delete", &text));
            if !exists(option, world.version) {
                return refuse(format!("unknown option '{option}'"));
            }
            if self.set.contains_key(option) {
                // The quote is missing there too.
                return refuse(format!("you can't use '-{option}' and -delete {option}' at the same time"));
            }
            if self.revert.contains(option) {
                return refuse(format!("you can't use '-delete {option}' and '-revert {option}' at the same time"));
            }
        }
        wish.check_set(&self.set)
    }
}

/// A configuration while it is being changed.
struct Draft<'a> {
    sections: Sections,
    /// What was written on the way: hot-plugging a network does that, and it stays when something else fails.
    saved: Option<Sections>,
    /// By option: what could not be put in force.
    errors: BTreeMap<String, String>,
    world: &'a World<'a>,
    volumes: &'a mut dyn Volumes,
}

/// Why a pending change is not put in force.
enum Hindrance {
    /// It has to wait until the container is stopped.
    Waits,
    /// Proxmox's text, as Perl has it: with a newline.
    Failed(String),
}

impl From<Refusal> for Hindrance {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal.to_string())
    }
}

fn failed(text: impl AsRef<str>) -> Hindrance {
    Hindrance::Failed(format!("{}\n", text.as_ref()))
}

impl<'a> Draft<'a> {
    fn new(sections: Sections, world: &'a World<'a>, volumes: &'a mut dyn Volumes) -> Self {
        Self { sections, saved: None, errors: BTreeMap::new(), world, volumes }
    }

    /// Makes everything that is asked for a pending change, as far as it changes something. Gives the options in question.
    fn stage(&mut self, request: &Request) -> Result<BTreeSet<String>, Failure> {
        let mut touched = BTreeSet::new();
        for option in &request.revert {
            self.sections.pending.remove(option);
            forget_deletion(&mut self.sections.pending, option);
        }
        for option in &request.delete {
            if self.sections.current.get(option).is_none() && self.sections.pending.get(option).is_none() {
                continue;
            }
            self.check_deletion(option)?;
            let mut deletions = deletions(&self.sections.pending);
            deletions.insert(option.clone(), false);
            store_deletions(&mut self.sections.pending, &deletions);
            touched.insert(option.clone());
        }
        for (option, value) in &request.set {
            let value = self.check_value(option, value)?;
            self.sections.pending.set(option, value);
            forget_deletion(&mut self.sections.pending, option);
            touched.insert(option.clone());
        }
        self.drop_idle_changes();
        Ok(touched)
    }

    fn check_deletion(&self, option: &str) -> Result<(), Failure> {
        match option {
            "memory" | "rootfs" | "ostype" => Err(Failure::died(format!("unable to delete required option '{option}'"))),
            "unprivileged" => Err(Failure::died(format!("unable to delete read-only option: '{option}'"))),
            _ if is_in(option, "unused") || is_in(option, "mp") => {
                self.check_protection(&format!("can't remove CT {} drive '{option}'", self.world.vmid))
            }
            _ => Ok(()),
        }
    }

    fn check_protection(&self, what: &str) -> Result<(), Failure> {
        let is_protected = self.sections.current.is_set("protection");
        if is_protected { Err(Failure::died(format!("{what} - protection mode enabled"))) } else { Ok(()) }
    }

    /// The value as it is kept.
    fn check_value(&self, option: &str, value: &str) -> Result<String, Failure> {
        match option {
            "unprivileged" => return Err(Failure::died(format!("unable to modify read-only option: '{option}'"))),
            "nameserver" | "searchdomain" => return Ok(split_list(value).collect::<Vec<_>>().join(" ")),
            "tags" => return Ok(unique_tags(value, self.world.options)),
            "hookscript" => self.check_hookscript(value).map_err(Failure::died)?,
            _ if is_in(option, "net") => {
                let network = property_string::parse(NETWORK, value).map_err(format_error)?;
                if network.integer("mtu").is_some_and(|mtu| mtu != 0) {
                    check_mtu(option, &network, self.world).map_err(Failure::died)?;
                }
                if !network.flag("link_down") && network.flag("host-managed") && network.text("ip6") == Some("auto") {
                    return Err(Failure::died(format!("{option}: SLAAC is not supported for host-managed network configuration.")));
                }
            }
            _ if is_in(option, "dev") => check_device(value).map_err(Failure::died)?,
            _ => {
                if let Some(mount) = MountPoint::parse(option, value) {
                    self.check_protection(&format!("can't update CT {} drive '{option}'", self.world.vmid))?;
                    self.check_mount_point(&mount.map_err(format_error)?).map_err(Failure::died)?;
                }
            }
        }
        Ok(value.to_owned())
    }

    fn check_mount_point(&self, mount: &MountPoint) -> Result<(), String> {
        if mount.is_volume() {
            let storage = storage_of(mount.volume()).ok_or_else(|| format!("unable to parse volume ID '{}'", mount.volume()))?;
            if !self.volumes.takes(storage, "rootdir")? {
                return Err(format!("storage '{storage}' does not allow content type 'rootdir' (Container)"));
            }
        }
        mount.idmap().map_or(Ok(()), check_idmap)
    }

    fn check_hookscript(&self, volid: &str) -> Result<(), String> {
        let (kind, _) = self.volumes.describe(volid)?;
        if kind != "snippets" {
            return Err(format!("'{volid}' is not in the snippets directory"));
        }
        if self.volumes.size(volid).is_none() {
            return Err(format!("script '{volid}' does not exist"));
        }
        Ok(())
    }

    /// Drops pending changes that change nothing (AbstractConfig.pm:147).
    fn drop_idle_changes(&mut self) {
        let Sections { current, pending, .. } = &mut self.sections;
        for option in pending.keys() {
            if option != "delete" && pending.get(&option) == current.get(&option) {
                pending.remove(&option);
            }
        }
        let mut deletions = deletions(pending);
        deletions.retain(|option, _| current.get(option).is_some());
        store_deletions(pending, &deletions);
    }

    /// Puts pending changes in force: those of the options in question, or all (LC:1731).
    fn apply(&mut self, touched: Option<&BTreeSet<String>>) {
        let is_touched = |option: &String| touched.is_none_or(|touched| touched.contains(option));
        for option in deletions(&self.sections.pending).into_keys().filter(is_touched) {
            match self.apply_deletion(&option) {
                Ok(()) => self.delete(&option),
                Err(hindrance) => self.note("unable to apply pending change", " ", &option, hindrance),
            }
        }
        self.drop_idle_changes();
        for option in self.sections.pending.keys().into_iter().filter(|option| option != "delete").filter(is_touched) {
            match self.apply_value(&option) {
                Ok(()) => {
                    if let Some(value) = self.sections.pending.remove(&option) {
                        self.sections.current.set(&option, value);
                    }
                }
                Err(hindrance) => self.note("unable to apply pending change", " ", &option, hindrance),
            }
        }
    }

    fn apply_deletion(&mut self, option: &str) -> Result<(), Hindrance> {
        if is_in(option, "mp") {
            let mount = self.sections.current.get(option).unwrap_or_default().to_owned();
            self.retire(option, &mount)
        } else if is_in(option, "unused") {
            self.free_unused(option)
        } else {
            Ok(())
        }
    }

    fn apply_value(&mut self, option: &str) -> Result<(), Hindrance> {
        if is_in(option, "mp") {
            self.apply_mount_point(option)?;
        } else if is_in(option, "net") {
            let network = complete_network(self.sections.pending.get(option).unwrap_or_default(), self.world)?;
            self.sections.pending.set(option, network);
        }
        Ok(())
    }

    /// Puts in force what can be while the container runs (LC:1624).
    fn hotplug(&mut self, touched: &BTreeSet<String>) {
        for option in touched.iter().filter(|option| IMMEDIATE.contains(&option.as_str())) {
            if let Some(value) = self.sections.pending.remove(option) {
                self.sections.current.set(option, value);
            }
        }
        for option in deletions(&self.sections.pending).into_keys().filter(|option| touched.contains(option)) {
            match self.hotplug_deletion(&option) {
                Ok(()) => self.delete(&option),
                Err(hindrance) => self.note("unable to hotplug", "", &option, hindrance),
            }
        }
        for option in self.sections.pending.keys().into_iter().filter(|option| option != "delete" && touched.contains(option)) {
            match self.hotplug_value(&option) {
                Ok(value) => {
                    self.sections.current.set(&option, value);
                    self.sections.pending.remove(&option);
                }
                Err(hindrance) => self.note("unable to hotplug", "", &option, hindrance),
            }
        }
    }

    fn hotplug_deletion(&mut self, option: &str) -> Result<(), Hindrance> {
        match option {
            "swap" | "cpulimit" | "cpuunits" => Ok(()),
            _ if IMMEDIATE.contains(&option) => Ok(()),
            _ if is_in(option, "unused") => self.free_unused(option),
            // Proxmox looks at one digit, so it cannot unplug net10.
            _ if is_in(option, "net") && option.len() == 4 => Ok(()),
            _ => Err(Hindrance::Waits),
        }
    }

    /// The value as it is then in force.
    fn hotplug_value(&mut self, option: &str) -> Result<String, Hindrance> {
        let value = self.sections.pending.get(option).unwrap_or_default().to_owned();
        let is_new = self.sections.current.get(option).is_none();
        match option {
            "cpulimit" | "cpuunits" | "memory" | "swap" => Ok(value),
            _ if is_in(option, "net") => self.hotplug_network(option, &value),
            _ if is_in(option, "mp") && is_new => {
                self.apply_mount_point(option)?;
                Ok(self.sections.pending.get(option).unwrap_or_default().to_owned())
            }
            _ if is_in(option, "dev") && is_new && self.world.version >= Version::V9_2 => {
                check_device(&value).map_err(failed)?;
                Ok(value)
            }
            _ => Err(Hindrance::Waits),
        }
    }

    /// L:1115. A network that gets another address or name is taken out first, and that is written at once: when plugging in then
    /// fails, the container is without it (conf-14-config-with-pending, conf-15-config-current).
    fn hotplug_network(&mut self, option: &str, value: &str) -> Result<String, Hindrance> {
        let network = parse_network(value, self.world)?;
        let old = match self.sections.current.get(option) {
            Some(old) => Some(parse_network(old, self.world)?),
            None => None,
        };
        let differs = |old: &Properties, keys: &[&str]| keys.iter().any(|key| old.text(key) != network.text(key));
        let bridge = network.text("bridge");
        let has_bridge = bridge.is_some_and(|bridge| (self.world.bridge_mtu)(bridge).is_some());
        match old {
            Some(old) if !differs(&old, &["hwaddr", "name"]) => {
                let moves = differs(&old, &["bridge", "tag", "firewall", "link_down"]) && !network.flag("link_down");
                if moves && !has_bridge {
                    let bridge = bridge.unwrap_or_default();
                    return Err(failed(format!("bridge '{bridge}' is neither a linux nor an OVS bridge!\n")));
                }
            }
            old => {
                if old.is_some() {
                    self.sections.current.remove(option);
                    self.saved = Some(self.sections.clone());
                }
                let bridge = bridge.ok_or_else(|| failed("unable to get bridge setting"))?;
                if !has_bridge {
                    return Err(failed(format!("bridge '{bridge}' does not exist")));
                }
            }
        }
        let value = property_string::print(NETWORK, &network);
        self.sections.current.set(option, value.as_str());
        self.saved = Some(self.sections.clone());
        Ok(value)
    }

    /// Makes the volume of a pending mount point where it is a new one, and lets go of the one that it takes the place of (LC:1876).
    fn apply_mount_point(&mut self, option: &str) -> Result<(), Hindrance> {
        let Some(mount) = MountPoint::parse(option, self.sections.pending.get(option).unwrap_or_default()) else { return Ok(()) };
        let mut mount = mount?;
        if let Some(NewVolume { storage, bytes }) = mount.new_volume() {
            let volid = self.volumes.allocate(storage, self.world.vmid, bytes).map_err(failed)?;
            mount.set_volume(&volid, bytes);
        } else if let Some(volid) = mount.volume_id().map(str::to_owned)
            && let Some(bytes) = self.volumes.size(&volid)
        {
            mount.set_volume(&volid, bytes);
        }
        self.sections.pending.set(option, mount.print());
        match self.sections.current.get(option).map(str::to_owned) {
            Some(old) => self.retire(option, &old),
            None => Ok(()),
        }
    }

    /// The volume of a mount point that goes becomes an unused one. Whether it is needed elsewhere is not seen: Proxmox looks for the
    /// whole text of the mount point instead of the volume (LC:1748).
    fn retire(&mut self, option: &str, mount: &str) -> Result<(), Hindrance> {
        let Some(mount) = MountPoint::parse(option, mount) else { return Ok(()) };
        let mount = mount?;
        if mount.is_volume() { add_unused(&mut self.sections.current, mount.volume()).map_err(failed) } else { Ok(()) }
    }

    /// Destroys an unused volume, if it is the container's own and really unused (L:1009).
    fn free_unused(&mut self, option: &str) -> Result<(), Hindrance> {
        let volid = self.sections.current.get(option).unwrap_or_default().to_owned();
        if volid.starts_with('/') || self.is_in_use(&volid) {
            return Ok(());
        }
        let (_, owner) = self.volumes.describe(&volid).map_err(failed)?;
        if owner == Some(self.world.vmid) { self.volumes.free(&volid).map_err(failed) } else { Ok(()) }
    }

    fn is_in_use(&self, volid: &str) -> bool {
        let Sections { current, pending, snapshots } = &self.sections;
        let mut sections = [current, pending].into_iter().chain(snapshots.values());
        sections.any(|section| section.mount_points().any(|(_, mount)| mount.is_volume() && mount.volume() == volid))
    }

    fn delete(&mut self, option: &str) {
        self.sections.current.remove(option);
        forget_deletion(&mut self.sections.pending, option);
    }

    fn note(&mut self, what: &str, space: &str, option: &str, hindrance: Hindrance) {
        if let Hindrance::Failed(text) = hindrance {
            self.errors.insert(option.to_owned(), format!("{what} {option}{space}: {text}"));
        }
    }
}

fn write(config: &mut Config, sections: Sections) -> Result<(), Failure> {
    let all = [&sections.current, &sections.pending].into_iter().chain(sections.snapshots.values());
    let is_broken = |(option, value): &(&str, &str)| !matches!(*option, "description" | "env") && value.contains('\n');
    if let Some((option, _)) = all.flat_map(Section::entries).find(is_broken) {
        return Err(Failure::died(format!("detected invalid newline inside property '{option}'")));
    }
    *config = Config::written(sections);
    Ok(())
}

fn forget_deletion(pending: &mut Section, option: &str) {
    let mut deletions = deletions(pending);
    if deletions.remove(option).is_some() {
        store_deletions(pending, &deletions);
    }
}

fn store_deletions(pending: &mut Section, deletions: &BTreeMap<String, bool>) {
    if deletions.is_empty() {
        pending.remove("delete");
    } else {
        let print = |(option, is_forced): (&String, &bool)| format!("{}{option}", if *is_forced { "!" } else { "" });
        pending.set("delete", deletions.iter().map(print).collect::<Vec<_>>().join(","));
    }
}

/// The lowest free number (AbstractConfig.pm:437).
fn add_unused(current: &mut Section, volid: &str) -> Result<(), String> {
    let mut free = None;
    for option in (0..256).rev().map(|number| format!("unused{number}")) {
        match current.get(&option) {
            Some(other) if other == volid => return Ok(()),
            Some(_) => {}
            None => free = Some(option),
        }
    }
    let free = free.ok_or("Too many unused volumes - please delete them first.")?;
    current.set(&free, volid);
    Ok(())
}

fn check_device(value: &str) -> Result<(), String> {
    let device = property_string::parse(DEVICE, value).map_err(|refusal| refusal.to_string().trim_end().to_owned())?;
    let path = device.text("path").ok_or("Path has to be defined")?;
    let is_there = path.strip_prefix("/dev/").is_some_and(|name| DEVICES.contains(&name));
    if is_there { Ok(()) } else { Err(format!("Device {path} does not exist")) }
}

fn check_mtu(option: &str, network: &Properties, world: &World<'_>) -> Result<(), String> {
    let bridge = network.text("bridge").unwrap_or_default();
    let most = (world.bridge_mtu)(bridge).ok_or_else(|| format!("bridge '{bridge}' does not exist"))?;
    match network.integer("mtu").map(|mtu| (mtu, u64::try_from(mtu).unwrap_or(0).cmp(&most))) {
        Some((mtu, Ordering::Greater)) => Err(format!("{option}: MTU size '{mtu}' is bigger than bridge MTU '{most}'")),
        _ => Ok(()),
    }
}

/// Mappings of one kind must not overlap on either side (L:2934).
fn check_idmap(text: &str) -> Result<(), String> {
    let mappings: Vec<_> = text.split(';').filter_map(Mapping::parse).collect();
    for kind in ["u", "g"] {
        for (side, name) in ["container", "host"].into_iter().enumerate() {
            let mut entries: Vec<_> = mappings.iter().filter(|mapping| mapping.fields[0] == kind).collect();
            entries.sort_by_key(|mapping| mapping.starts[side]);
            let overlap = entries.windows(2).find(|pair| pair[0].starts[side].saturating_add(pair[0].count) > pair[1].starts[side]);
            if let Some([previous, current]) = overlap {
                let (entry, other, id) = (current.fields.join(" "), previous.fields.join(" "), current.starts[side]);
                return Err(format!("invalid map entry '{entry}': {name} {kind}id {id} is also mapped by entry '{other}'"));
            }
        }
    }
    Ok(())
}

/// `u:0:100000:65536`.
struct Mapping<'a> {
    fields: [&'a str; 4],
    /// In the container and on the disk.
    starts: [u64; 2],
    count: u64,
}

impl<'a> Mapping<'a> {
    fn parse(entry: &'a str) -> Option<Self> {
        let fields: Vec<_> = entry.split(':').collect();
        let fields: [&str; 4] = fields.try_into().ok()?;
        Some(Self { fields, starts: [fields[1].parse().ok()?, fields[2].parse().ok()?], count: fields[3].parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::schema::{check, tables::lxc::UPDATE_CONFIG},
        *,
    };

    const CT: &str = "arch: amd64\nmp0: one:vm-100-disk-1,mp=/data,size=1G\nostype: debian\nrootfs: one:vm-100-disk-0,size=8G\n\
        net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:09,type=veth\n";

    /// One storage, `one`, whose volumes are these.
    #[derive(Default)]
    struct OneStorage(Vec<(String, u64)>);

    impl Volumes for OneStorage {
        fn takes(&self, storage: &str, _: &str) -> Result<bool, String> {
            if storage == "one" { Ok(true) } else { Err(format!("storage '{storage}' does not exist")) }
        }

        fn allocate(&mut self, _: &str, vmid: u32, bytes: u64) -> Result<String, String> {
            self.0.push((format!("one:vm-{vmid}-disk-9"), bytes));
            Ok(format!("one:vm-{vmid}-disk-9"))
        }

        fn free(&mut self, volid: &str) -> Result<(), String> {
            self.0.retain(|(other, _)| other != volid);
            Ok(())
        }

        fn size(&self, volid: &str) -> Option<u64> {
            self.0.iter().find(|(other, _)| other == volid).map(|(_, bytes)| *bytes)
        }

        fn describe(&self, _: &str) -> Result<(String, Option<u32>), String> {
            Ok(("images".to_owned(), Some(100)))
        }
    }

    struct Site {
        config: Config,
        is_running: bool,
        volumes: OneStorage,
    }

    impl Site {
        fn new(is_running: bool) -> Self {
            Self { config: Config::parse(CT), is_running, volumes: OneStorage(vec![("one:vm-100-disk-1".to_owned(), 1 << 30)]) }
        }

        fn with_world<T>(&mut self, act: impl FnOnce(&mut Config, &World<'_>, &mut OneStorage) -> T) -> T {
            let world = World {
                version: Version::V9_2,
                vmid: 100,
                is_running: self.is_running,
                options: &Map::new(),
                tags: &Vec::new,
                bridge_mtu: &|bridge| (bridge == "vmbr0").then_some(1500),
                random: &|| [1; 6],
            };
            act(&mut self.config, &world, &mut self.volumes)
        }

        fn put(&mut self, given: &[(&str, &str)]) -> Result<(), Failure> {
            let path = [("node", "pve1"), ("vmid", "100")];
            let given = path.iter().chain(given).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let request = check(UPDATE_CONFIG, given, Version::V9_2).unwrap();
            let root = Caller { user: "root@pam", may: &|_, _| true };
            self.with_world(|config, world, volumes| change(config, request.iter(), &root, world, volumes))
        }

        fn pending(&self) -> Vec<(&str, &str)> {
            self.config.sections.pending.entries().collect()
        }
    }

    #[test]
    fn a_mount_point_that_goes_leaves_an_unused_volume_which_can_be_destroyed() {
        let mut site = Site::new(true);
        site.put(&[("delete", "mp0")]).unwrap();
        assert_eq!(site.pending(), [("delete", "mp0")]);
        assert!(site.with_world(|config, world, volumes| apply_pending(config, world, volumes)).is_empty());
        assert_eq!((site.config.get("mp0"), site.config.get("unused0")), (None, Some("one:vm-100-disk-1")));
        site.put(&[("delete", "unused0")]).unwrap();
        assert!(site.volumes.0.is_empty() && site.config.get("unused0").is_none());
    }

    #[test]
    fn a_new_mount_point_gets_a_volume() {
        let mut site = Site::new(true);
        site.put(&[("mp1", "one:0.5,mp=/more")]).unwrap();
        assert_eq!(site.config.get("mp1"), Some("one:vm-100-disk-9,mp=/more,size=512M"));
    }

    #[test]
    fn a_network_that_cannot_be_plugged_in_is_pending_and_out_of_the_container() {
        let mut site = Site::new(true);
        let failure = site.put(&[("net0", "name=eth0,bridge=vmbr9")]).unwrap_err();
        assert_eq!(failure.errors["net0"], "unable to hotplug net0: bridge 'vmbr9' does not exist\n");
        assert_eq!(site.config.get("net0"), None);
        assert_eq!(site.pending(), [("net0", "name=eth0,bridge=vmbr9")]);
    }

    #[test]
    fn what_was_pending_and_is_set_back_is_no_longer_pending() {
        let mut site = Site::new(true);
        site.put(&[("arch", "i386"), ("tty", "3")]).unwrap();
        assert_eq!(site.pending(), [("arch", "i386"), ("tty", "3")]);
        site.put(&[("arch", "amd64"), ("revert", "tty")]).unwrap();
        assert_eq!(site.pending(), []);
    }

    #[test]
    fn ids_are_mapped_once() {
        assert_eq!(check_idmap("u:0:100:10;g:0:100:10;u:10:110:1"), Ok(()));
        assert_eq!(
            check_idmap("u:5:200:1;u:0:100:10").unwrap_err(),
            "invalid map entry 'u 5 200 1': container uid 5 is also mapped by entry 'u 0 100 10'"
        );
    }
}
