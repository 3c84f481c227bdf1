//! `POST …/lxc`: what is refused at once, in Proxmox's order, and how a container is made from a template or a backup (`create_vm`,
//! LXC:140-657).
//!
//! The request has passed its schema before it comes here. Not here: what the options mean ([`super::config`]), names and sizes of
//! volumes ([`super::storage`]).

mod archive;
mod restore;
mod work;

use super::{
    caller::Caller,
    config::{Config, MountPoint, World, change, options::is_in, privileges::Wish},
    feature::volumes,
    reply::Failure,
    schema::{Params, Raw},
    step::{Step, Steps},
    storage::{self, Disks, Storage, find_usable},
    version::Version,
};
use std::collections::BTreeMap;
use work::Work;

/// Where a container of this number is already.
pub struct Guest<'a> {
    pub node: &'a str,
    /// None of a virtual machine.
    pub config: Option<&'a Config>,
    pub is_running: bool,
}

/// The cluster as the request finds it.
pub struct Site<'a> {
    pub node: &'a str,
    pub storages: &'a [Storage],
    pub guest: Option<Guest<'a>>,
    pub has_pool: &'a dyn Fn(&str) -> bool,
    /// Seconds since the epoch.
    pub now: i64,
    pub world: &'a World<'a>,
}

/// A request that was accepted.
#[derive(Debug, Clone)]
pub struct Order {
    pub vmid: u32,
    pub is_restore: bool,
    /// Whether a container is there that is overwritten.
    replaces: bool,
    archive: String,
    /// For disks that name none.
    storage: String,
    pool: Option<String>,
    starts: bool,
    manages: bool,
    is_unique: bool,
    ignores_unpack_errors: bool,
    /// KiB/s.
    limit: Option<f64>,
    /// As it was asked for, or else the default of the release.
    is_unprivileged: Option<bool>,
    /// Whether whoever asks may make a privileged container.
    may_be_privileged: bool,
    is_root: bool,
    /// What the options come to.
    options: BTreeMap<String, String>,
    /// As given; without any the defaults are made.
    volumes: Vec<(String, MountPoint)>,
}

/// What the task does, and what is left to do when it is aborted.
pub struct Plan {
    pub steps: Steps,
    pub when_aborted: Vec<Step>,
}

/// Parameters of the request that are no options of the container.
const OTHERS: &[&str] = &[
    "bwlimit",
    "force",
    "ha-managed",
    "ignore-unpack-errors",
    "node",
    "ostemplate",
    "password",
    "pool",
    "restore",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
    "unprivileged",
    "vmid",
];

/// A 403 that names no path.
fn denied(what: &str) -> Failure {
    let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
    Failure::custom(403, &format!("Permission check failed{what}"))
}

/// Checks a request.
pub fn order(params: &Params, caller: &Caller<'_>, site: &Site<'_>) -> Result<Order, Failure> {
    let (vmid, version) = (site.world.vmid, site.world.version);
    let (text, flag) = (|name| params.text(name), |name| params.flag(name));
    let need = |path: &str, privilege: &str| {
        if (caller.may)(path, privilege) { Ok(()) } else { Err(Failure::forbidden(path, &[privilege])) }
    };
    let (is_restore, force) = (flag("restore"), flag("force"));
    let own = site.guest.as_ref().filter(|guest| guest.node == site.node).and_then(|guest| guest.config);

    // Up to 8 containers were privileged unless it was said, and anybody could make one.
    let is_new_release = version >= Version::V9_2;
    let mut is_unprivileged = text("unprivileged").map(|_| flag("unprivileged"));
    if !is_restore && is_new_release {
        is_unprivileged = is_unprivileged.or(Some(true));
        if is_unprivileged == Some(false) {
            need("/", "Sys.Modify")?;
        }
    }
    if flag("ha-managed") {
        need("/", "Sys.Console")?;
    }

    let replaces = own.is_some() && is_restore && force;
    check_number(vmid, site, own.filter(|_| replaces))?;
    if text("ssh-public-keys").is_some_and(|keys| !keys.lines().all(is_ssh_key)) {
        return Err(Failure::died("SSH public key validation error"));
    }
    let pool = text("pool");
    if let Some(pool) = pool.filter(|pool| !(site.has_pool)(pool)) {
        return Err(denied(&format!("pool '{pool}' does not exist")));
    }
    let vms = format!("/vms/{vmid}");
    let may_allocate_in = |pool: &str| (caller.may)(&format!("/pool/{pool}"), "VM.Allocate");
    if !(caller.may)(&vms, "VM.Allocate") && !pool.is_some_and(may_allocate_in) {
        // Who may make backups may restore them.
        if !(replaces && (caller.may)(&vms, "VM.Backup")) {
            return Err(denied(""));
        }
        let gains_privileges = own.is_some_and(|own| own.is_set("unprivileged")) && is_unprivileged == Some(false);
        if gains_privileges && is_new_release {
            need("/", "Sys.Modify")?;
        } else if gains_privileges {
            return Err(denied("cannot change from unprivileged to privileged without VM.Allocate"));
        }
    }

    let options = params.iter().filter(|(name, _)| !OTHERS.contains(name));
    let options: Raw = options.map(|(option, value)| (option.to_owned(), value.to_owned())).collect();
    let mut storages = site.storages.to_vec();
    let mut disks = Disks { storages: &mut storages, node: site.node, now: site.now, version, log: Vec::new() };
    let nothing = Config::parse("");
    let wish =
        Wish { caller, world: site.world, volumes: &disks, pool, old: nothing.current(), is_unprivileged: is_unprivileged == Some(true) };
    wish.check_set(&options)?;

    let archive = text("ostemplate").unwrap_or_default();
    if archive == "-" {
        // The vectors come from a process that is no daemon; a daemon says the second of these in either case (LXC:332).
        return Err(Failure::died(if is_restore { "pipe requires cli environment" } else { "pipe can only be used with restore tasks" }));
    }
    let content = if is_restore { "backup" } else { "vztmpl" };
    storage::check_access(caller, site.storages, Some(vmid), archive, Some(content), version)?;

    let storage = text("storage").unwrap_or("local");
    let volumes = check_volumes(&options, storage, caller, site)?;
    let options = accept(&options, site.world, &mut disks)?;
    if let Some(lock) = own.and_then(|own| own.get("lock")) {
        return Err(Failure::died(format!("{} CT is locked ({lock})", complaint(vmid, is_restore))));
    }
    Ok(Order {
        vmid,
        is_restore,
        replaces,
        archive: archive.to_owned(),
        storage: storage.to_owned(),
        pool: pool.map(str::to_owned),
        starts: flag("start"),
        manages: flag("ha-managed"),
        is_unique: flag("unique"),
        ignores_unpack_errors: flag("ignore-unpack-errors"),
        limit: text("bwlimit").and_then(|limit| limit.parse().ok()),
        is_unprivileged,
        may_be_privileged: !is_new_release || (caller.may)("/", "Sys.Modify"),
        is_root: caller.is_root(),
        options,
        volumes,
    })
}

/// Whether the number is free, or its container may be overwritten.
fn check_number(vmid: u32, site: &Site<'_>, replaced: Option<&Config>) -> Result<(), Failure> {
    let Some(guest) = &site.guest else { return Ok(()) };
    match replaced {
        None => {
            let kind = if guest.config.is_some() { "CT" } else { "VM" };
            Err(Failure::died(format!("{kind} {vmid} already exists on node '{}'", guest.node)))
        }
        Some(_) if guest.is_running => Err(Failure::died("can't overwrite running container")),
        Some(config) if config.is_set("protection") => Err(Failure::died(format!("unable to restore CT {vmid} - protection mode enabled"))),
        Some(_) => Ok(()),
    }
}

/// A line that is blank, or has a type and then data that begin with that type. Proxmox has ssh-keygen look at the rest, too.
fn is_ssh_key(line: &str) -> bool {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let is_key = |kind: &str, data: &str| {
        let length = u32::try_from(kind.len()).unwrap_or_default();
        let start: Vec<u8> = length.to_be_bytes().into_iter().chain(kind.bytes()).collect();
        archive::decode_base64(data).is_some_and(|data| data.starts_with(&start))
    };
    words.is_empty() || words.windows(2).any(|pair| is_key(pair[0], pair[1]))
}

fn is_volume_option(option: &str) -> bool {
    option == "rootfs" || is_in(option, "mp")
}

/// The volumes that are asked for, once each may be made or used where it is to be.
fn check_volumes(options: &Raw, storage: &str, caller: &Caller<'_>, site: &Site<'_>) -> Result<Vec<(String, MountPoint)>, Failure> {
    let asked = options.iter().filter(|(option, _)| is_volume_option(option));
    // A number alone is a size on the default storage.
    let complete = |value: &str| if is_number(value) { format!("{storage}:{value}") } else { value.to_owned() };
    let asked: Vec<_> = asked.map(|(option, value)| (option.as_str(), complete(value))).collect();
    let has_root = asked.iter().any(|(option, _)| *option == "rootfs");
    if !asked.is_empty() && !has_root {
        return Err(Failure::died("mount points configured, but 'rootfs' not set - aborting"));
    }
    let asked = volumes(Config::new(None, asked).current());
    for (_, mount) in &asked {
        if !mount.is_volume() {
            if !caller.is_root() {
                return Err(Failure::died("Only root can pass arbitrary filesystem paths."));
            }
            continue;
        }
        let volume = mount.volume();
        let name = storage::split_volid(volume).ok_or_else(|| Failure::died(format!("unable to parse volume ID '{volume}'")))?.0;
        check_storage(name, caller, site)?;
    }
    if !has_root {
        check_storage(storage, caller, site)?;
    }
    Ok(asked)
}

fn check_storage(name: &str, caller: &Caller<'_>, site: &Site<'_>) -> Result<(), Failure> {
    let storage = find_usable(site.storages, name, site.node).map_err(Failure::died)?;
    if !storage.content.has("rootdir") {
        return Err(Failure::parameter("storage", &format!("storage '{name}' does not support container directories")));
    }
    let path = format!("/storage/{name}");
    if (caller.may)(&path, "Datastore.AllocateSpace") { Ok(()) } else { Err(Failure::forbidden(&path, &["Datastore.AllocateSpace"])) }
}

fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').map_or_else(|| is_digits(text), |(whole, rest)| is_digits(whole) && is_digits(rest))
}

/// The options in the form in which they are written; unused volumes are passed over.
fn accept(options: &Raw, world: &World<'_>, disks: &mut Disks<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let is_plain = |option: &str| !is_volume_option(option) && !is_in(option, "unused");
    let plain = options.iter().filter(|(option, _)| is_plain(option));
    let plain: Raw = plain.map(|(option, value)| (option.clone(), value.clone())).collect();
    let accepted = change::accept(&plain, world, disks)?;
    Ok(accepted.entries().map(|(option, value)| (option.to_owned(), value.to_owned())).collect())
}

/// What errors of the task begin with.
fn complaint(vmid: u32, is_restore: bool) -> String {
    let verb = if is_restore { "restore" } else { "create" };
    format!("unable to {verb} CT {vmid} -")
}

impl Order {
    /// The type of the task.
    pub fn kind(&self) -> &'static str {
        if self.is_restore { "vzrestore" } else { "vzcreate" }
    }

    /// The configuration from the answer on: a lock, besides what there was.
    pub fn locked(&self, old: Option<&Config>) -> Config {
        let mut config = old.cloned().unwrap_or_else(|| Config::parse(""));
        config.set("lock", Some("create"));
        config
    }

    /// What the task does once it has the container's lock.
    pub fn plan(&self, site: &Site<'_>) -> Plan {
        let mut storages = site.storages.to_vec();
        Work::new(self, site, &mut storages).plan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::schema::{self, tables::lxc::CREATE};
    use serde_json::Map;

    const ROOT: Caller<'_> = Caller { user: "admin@pve", may: &|_, _| true };
    const DEBIAN: &str = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";

    fn storages() -> Vec<Storage> {
        let text = r#"[{"storage":"local","type":"dir","content":"vztmpl,rootdir,backup","total":100000000000,"volumes":[
            {"volid":"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst","size":58374010},
            {"volid":"local:vztmpl/corrupt_1_amd64.tar.zst","size":1000,"corrupt":true},
            {"volid":"local:backup/vzdump-lxc-102-2026_11_22-17_43_32.tar.zst","size":58584154}]},
            {"storage":"isoonly","type":"dir","content":"iso"}]"#;
        let mut storages: Vec<Storage> = serde_json::from_str(text).unwrap();
        let config = "arch: amd64\nhostname: web\nmemory: 256\nnet0: name=eth0,hwaddr=BC:24:11:01:01:01,type=veth\nostype: debian\n\
            rootfs: local:102/vm-102-disk-0.raw,size=1G\nswap: 0\nunprivileged: 1\n";
        storages[0].volumes[2].config = Some(config.to_owned());
        storages
    }

    /// The steps of a request of version 8.4, or what is refused.
    fn run(given: &[(&str, &str)], caller: &Caller<'_>, old: Option<&Config>) -> Result<Steps, Failure> {
        let given = given.iter().chain(&[("node", "pve1"), ("vmid", "102")]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let params = schema::check(CREATE, given.collect(), Version::V8_4).unwrap();
        let (options, storages) = (Map::new(), storages());
        let world = World {
            version: Version::V8_4,
            vmid: 102,
            is_running: false,
            options: &options,
            tags: &Vec::new,
            bridge_mtu: &|_| Some(1500),
            random: &|| [0, 0, 0, 0xa4, 0x6c, 0x24],
        };
        let guest = |config| Guest { node: "pve1", config: Some(config), is_running: false };
        let site = Site { node: "pve1", storages: &storages, guest: old.map(guest), has_pool: &|_| false, now: 0, world: &world };
        Ok(order(&params, caller, &site)?.plan(&site).steps)
    }

    fn logs(steps: &Steps) -> Vec<&str> {
        steps.iter().filter_map(|(_, step)| if let Step::Log(line) = step { Some(line.as_str()) } else { None }).collect()
    }

    fn texts(steps: &Steps) -> Vec<&str> {
        steps.iter().filter_map(|(_, step)| if let Step::Write(text) = step { Some(text.as_str()) } else { None }).collect()
    }

    fn refusal(given: &[(&str, &str)]) -> String {
        run(given, &ROOT, None).unwrap_err().message
    }

    #[test]
    fn a_container_is_made_as_recorded() {
        // create-01-ok, create-13b-task-log-limit-0, create-16-config-after
        let net = ("net0", "name=eth0,bridge=vmbr0,ip=dhcp");
        let given =
            [("ostemplate", DEBIAN), ("rootfs", "local:1"), net, ("unprivileged", "1"), ("tags", "web;test"), ("description", "a\nb")];
        let steps = run(&given, &ROOT, None).unwrap();
        let log = logs(&steps);
        assert_eq!(log[0], "Formatting '/var/lib/vz/images/102/vm-102-disk-0.raw', fmt=raw size=1073741824 preallocation=off");
        let rest = [
            "extracting archive '/var/lib/vz/template/cache/debian-12-standard_12.7-1_amd64.tar.zst'",
            "Total bytes read: 170158080 (163MiB, 158MiB/s)",
            "Detected container architecture: amd64",
        ];
        assert_eq!(log[5..], rest);
        let expected = "#a\n#b\narch: amd64\nhostname: CT102\nmemory: 512\n\
            net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:A4:6C:24,ip=dhcp,type=veth\n\
            ostype: debian\nrootfs: local:102/vm-102-disk-0.raw,size=1G\nswap: 512\ntags: test;web\nunprivileged: 1\n";
        assert_eq!(texts(&steps).last(), Some(&expected));
        assert_eq!(steps.last().map(|(_, step)| step), Some(&Step::End("OK".to_owned())));
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        // create-61-corrupt-template
        let steps = run(&[("ostemplate", "local:vztmpl/corrupt_1_amd64.tar.zst"), ("rootfs", "local:1")], &ROOT, None).unwrap();
        let [.., (_, removed), (_, config), (_, Step::End(exit))] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((removed, config), (&Step::Remove("local:102/vm-102-disk-0.raw".to_owned()), &Step::RemoveConfig));
        assert!(exit.starts_with("unable to create CT 102 - command 'tar xpf - --zstd --totals "), "{exit}");
        assert!(exit.ends_with("' failed: exit code 2"), "{exit}");
        // create-60-disk-too-small-for-template
        let steps = run(&[("ostemplate", DEBIAN), ("rootfs", "local:0.05")], &ROOT, None).unwrap();
        assert!(logs(&steps).len() > 9_000);
    }

    #[test]
    fn refusals_are_those_that_were_recorded() {
        // create-31, create-34, create-36 and create-32
        assert_eq!(refusal(&[("ostemplate", DEBIAN), ("rootfs", "nosuch:1")]), "storage 'nosuch' does not exist\n");
        assert_eq!(refusal(&[("ostemplate", "nosuch:vztmpl/a.tar.zst"), ("rootfs", "local:1")]), "storage 'nosuch' does not exist\n");
        assert_eq!(refusal(&[("ostemplate", DEBIAN), ("ssh-public-keys", "not a key")]), "SSH public key validation error\n");
        let failure = run(&[("ostemplate", DEBIAN), ("rootfs", "isoonly:1")], &ROOT, None).unwrap_err();
        assert_eq!(failure.errors["storage"], "storage 'isoonly' does not support container directories");
    }

    #[test]
    fn a_restore_takes_the_place_of_the_container() {
        let archive = "local:backup/vzdump-lxc-102-2026_11_22-17_43_32.tar.zst";
        let old = Config::parse("lock: create\nrootfs: local:102/vm-102-disk-7.raw,size=1G\nunprivileged: 1\n");
        let given = [("ostemplate", archive), ("restore", "1"), ("force", "1"), ("unique", "1"), ("storage", "local")];
        let without_lock = Config::parse(old.text().replace("lock: create\n", ""));
        let steps = run(&given, &ROOT, Some(&without_lock)).unwrap();
        assert!(steps.iter().any(|(_, step)| *step == Step::Remove("local:102/vm-102-disk-7.raw".to_owned())));
        let expected = "arch: amd64\nhostname: web\nmemory: 256\nnet0: name=eth0,hwaddr=BC:24:11:A4:6C:24,type=veth\nostype: debian\n\
            rootfs: local:102/vm-102-disk-0.raw,size=1G\nswap: 0\nunprivileged: 1\n";
        assert_eq!(texts(&steps).last(), Some(&expected));
        assert_eq!(run(&given, &ROOT, Some(&old)).unwrap_err().message, "unable to restore CT 102 - CT is locked (create)\n");
    }
}
