//! The cluster `demo`: three nodes of which one is offline, containers as somebody would have at home or at work, containers whose
//! names say what goes wrong with them, and users who may different things.

use super::{
    access::{Access, Acl, Realm, User},
    clock::Moment,
    config::Config,
    state::{Container, Habit, Machine, Node, Process, State, Storage},
};
use std::collections::BTreeMap;

/// Everybody's password.
pub const PASSWORD: &str = "berth";

const DAY: Moment = 86_400_000;

impl State {
    /// The demo cluster. Times are differences to the start of the simulator.
    pub fn demo() -> Self {
        let node = |name, is_online, cpus, gib: u64, days: Moment| Node {
            name,
            is_online,
            cpus,
            memory: gib << 30,
            disk: 98 << 30,
            booted: -days * DAY - 4_217_000,
        };
        let storage = |name, plugin, content, is_shared, gib: u64, used: u64| Storage {
            name,
            plugin,
            content,
            is_shared,
            size: gib << 30,
            used: used << 30,
        };
        Self {
            name: "demo",
            nodes: vec![node("pve1", true, 16, 64, 41), node("pve2", true, 8, 32, 12), node("pve3", false, 8, 32, 90)],
            storages: vec![
                storage("local", "dir", "iso,vztmpl,backup,snippets", false, 98, 30),
                storage("local-lvm", "lvmthin", "images,rootdir", false, 794, 311),
                storage("nas", "nfs", "backup,vztmpl", true, 7_450, 2_903),
            ],
            containers: containers(),
            machines: vec![Machine { vmid: 400, name: "opnsense", node: "pve2" }],
            access: access(),
            ..Self::default()
        }
    }
}

fn access() -> Access {
    let realm = |name, kind, comment, is_default| Realm { name, kind, comment, is_default };
    let user = |id, about| User { id, password: PASSWORD, is_enabled: true, needs_second_factor: false, ticket_lifetime: None, about };
    let acl = |path: &str, user, role| Acl { path: path.to_owned(), user, role, propagates: true };
    Access {
        realms: vec![
            realm("corp", "ldap", "Company directory", false),
            realm("pam", "pam", "Linux PAM standard authentication", false),
            realm("pve", "pve", "Proxmox VE authentication server", true),
        ],
        users: vec![
            user("root@pam", "may everything"),
            user("alice@pve", "PVEAdmin on everything"),
            user("bob@pve", "PVEVMUser on the containers web, worker and grafana"),
            user("auditor@pve", "may look at everything and change nothing"),
            user("nobody@pve", "may sign in and nothing else"),
            User { ticket_lifetime: Some(60), ..user("expired@pve", "PVEAdmin, but every ticket dies after a minute") },
            User { is_enabled: false, ..user("disabled@pve", "is refused at sign-in") },
            User { needs_second_factor: true, ..user("twofactor@pve", "is asked for a second factor") },
        ],
        acls: vec![
            acl("/", "alice@pve", "PVEAdmin"),
            acl("/", "auditor@pve", "PVEAuditor"),
            acl("/", "expired@pve", "PVEAdmin"),
            acl("/", "twofactor@pve", "PVEAuditor"),
            acl("/vms/103", "bob@pve", "PVEVMUser"),
            acl("/vms/106", "bob@pve", "PVEVMUser"),
            acl("/vms/201", "bob@pve", "PVEVMUser"),
        ],
    }
}

/// One line of the table below.
struct Seed {
    vmid: u32,
    name: &'static str,
    node: &'static str,
    /// Days it has been running; zero is stopped.
    days: f64,
    tags: &'static str,
    cores: u32,
    memory: u32,
    disk: u32,
    load: f64,
}

const fn seed(vmid: u32, name: &'static str, node: &'static str, days: f64, tags: &'static str, size: [u32; 3], load: f64) -> Seed {
    let [cores, memory, disk] = size;
    Seed { vmid, name, node, days, tags, cores, memory, disk, load }
}

/// Tags come sorted (REAL, State). Sizes are cores, MiB of memory and GiB of disk.
const SEEDS: &[Seed] = &[
    seed(101, "pihole", "pve1", 41.0, "infra", [1, 512, 4], 0.03),
    seed(102, "traefik", "pve1", 41.0, "infra;prod", [2, 1024, 4], 0.08),
    seed(103, "web", "pve1", 0.0, "prod", [2, 1024, 8], 0.12),
    seed(104, "db", "pve1", 27.3, "prod", [4, 4096, 32], 0.31),
    seed(105, "gitea", "pve1", 19.8, "ci;prod", [2, 2048, 20], 0.07),
    seed(106, "worker", "pve1", 0.0, "prod", [2, 1024, 8], 0.2),
    seed(107, "vaultwarden", "pve1", 40.9, "infra;prod", [1, 512, 4], 0.01),
    seed(108, "mqtt", "pve1", 33.2, "home", [1, 256, 2], 0.02),
    seed(109, "unifi", "pve1", 12.5, "infra", [2, 2048, 12], 0.06),
    seed(110, "archive", "pve1", 0.0, "", [1, 512, 120], 0.0),
    seed(111, "build-runner", "pve1", 2.1, "ci", [8, 8192, 60], 0.72),
    seed(112, "syncthing", "pve1", 8.4, "home", [1, 1024, 64], 0.04),
    seed(115, "refuses-to-start", "pve1", 0.0, "trouble", [1, 512, 4], 0.1),
    seed(116, "ignores-shutdown", "pve1", 3.3, "trouble", [1, 512, 4], 0.1),
    seed(117, "slow-to-start", "pve1", 0.0, "trouble", [1, 512, 4], 0.1),
    seed(118, "warns-on-start", "pve1", 0.0, "trouble", [1, 512, 4], 0.1),
    seed(119, "locked-by-backup", "pve1", 6.2, "trouble", [1, 1024, 8], 0.1),
    seed(120, "protected", "pve1", 5.0, "trouble", [1, 512, 4], 0.1),
    seed(121, "answers-garbage", "pve1", 1.0, "trouble", [1, 512, 4], 0.1),
    seed(122, "vanishes", "pve1", 9.0, "trouble", [1, 512, 4], 0.1),
    seed(201, "grafana", "pve2", 12.0, "monitoring", [2, 1024, 8], 0.09),
    seed(202, "prometheus", "pve2", 12.0, "monitoring", [2, 4096, 40], 0.26),
    seed(203, "home-assistant", "pve2", 11.2, "home", [2, 2048, 16], 0.11),
    seed(204, "nextcloud", "pve2", 6.7, "home;prod", [4, 4096, 200], 0.18),
    seed(205, "jellyfin", "pve2", 11.9, "media", [4, 4096, 16], 0.44),
    seed(206, "immich", "pve2", 4.5, "media", [4, 6144, 80], 0.35),
    seed(207, "paperless", "pve2", 10.1, "home", [2, 2048, 24], 0.05),
    seed(208, "minecraft", "pve2", 0.0, "home", [4, 6144, 20], 0.5),
    seed(209, "staging-api", "pve2", 0.0, "staging", [2, 1024, 8], 0.1),
    seed(210, "staging-web", "pve2", 0.7, "staging", [1, 512, 8], 0.03),
    seed(211, "loki", "pve2", 11.5, "monitoring", [2, 2048, 50], 0.15),
    seed(215, "ha-managed", "pve2", 11.0, "trouble", [1, 512, 4], 0.1),
    seed(216, "never-finishes", "pve2", 0.0, "trouble", [1, 512, 4], 0.1),
    seed(217, "start-hangs", "pve2", 0.0, "trouble", [1, 512, 4], 0.1),
    seed(301, "offsite-mirror", "pve3", 80.0, "prod", [1, 1024, 100], 0.1),
    seed(302, "old-wiki", "pve3", 80.0, "", [1, 512, 8], 0.02),
    seed(900, "debian-12-template", "pve1", 0.0, "", [1, 512, 2], 0.0),
];

fn containers() -> BTreeMap<u32, Container> {
    SEEDS.iter().map(|seed| (seed.vmid, container(seed))).collect()
}

fn container(seed: &Seed) -> Container {
    let &Seed { vmid, name, node, days, tags, cores, memory, disk, load } = seed;
    let is_template = name.ends_with("-template");
    let volume = if is_template { "base" } else { "vm" };
    // The first half is the one Proxmox gives; the second is different for each vmid (an odd factor maps them one to one).
    let [_, a, b, c] = vmid.wrapping_mul(2_654_435_761).to_be_bytes();
    let mut entries = vec![
        ("arch", "amd64".to_owned()),
        ("cores", cores.to_string()),
        ("hostname", name.to_owned()),
        ("memory", memory.to_string()),
        ("net0", format!("name=eth0,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:{a:02X}:{b:02X}:{c:02X},ip=dhcp,type=veth")),
        ("ostype", "debian".to_owned()),
        ("rootfs", format!("local-lvm:{volume}-{vmid}-disk-0,size={disk}G")),
        ("swap", "512".to_owned()),
        ("unprivileged", "1".to_owned()),
    ];
    if !tags.is_empty() {
        entries.push(("tags", tags.to_owned()));
    }
    if days > 0.0 {
        entries.push(("onboot", "1".to_owned()));
    }
    if is_template {
        entries.push(("template", "1".to_owned()));
    }
    match name {
        "locked-by-backup" => entries.push(("lock", "backup".to_owned())),
        "protected" => entries.push(("protection", "1".to_owned())),
        "build-runner" => entries.push(("cpulimit", "6.5".to_owned())),
        _ => {}
    }
    let description = match name {
        "db" => Some("PostgreSQL 16\nasks before a restart: web, gitea"),
        "home-assistant" => Some("USB stick is passed through"),
        _ => None,
    };
    let habit = match name {
        "refuses-to-start" => Habit::RefusesToStart,
        "ignores-shutdown" => Habit::IgnoresShutdown,
        "slow-to-start" => Habit::SlowToStart,
        "start-hangs" => Habit::StartHangs,
        "warns-on-start" => Habit::WarnsOnStart,
        "never-finishes" => Habit::NeverFinishes,
        "answers-garbage" => Habit::AnswersGarbage,
        "vanishes" => Habit::Vanished,
        _ => Habit::Obeys,
    };
    let process =
        if days > 0.0 { Process::Running { pid: 1_000 + vmid * 7, since: -((days * DAY as f64) as Moment) } } else { Process::Stopped };
    Container {
        vmid,
        node,
        config: Config::new(description, entries),
        process,
        is_starting: false,
        habit,
        ha: (name == "ha-managed").then_some("started"),
        load,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_demo_has_what_tests_count_on() {
        let state = State::demo();
        let find = |name: &str| state.containers.values().find(|c| c.name() == name).expect(name);
        assert!(matches!(find("web").process, Process::Stopped) && find("web").node == "pve1");
        assert!(matches!(find("worker").process, Process::Stopped));
        let (mut names, mut macs) = (BTreeSet::new(), BTreeSet::new());
        for container in state.containers.values() {
            assert!(names.insert(container.name()), "{}", container.name());
            assert!(macs.insert(container.config.get("net0").unwrap().to_owned()), "{}", container.name());
            assert!(state.node(container.node).is_some());
        }
        let bobs: Vec<_> =
            state.containers.values().filter(|c| state.access.allows("bob@pve", &format!("/vms/{}", c.vmid), "VM.PowerMgmt")).collect();
        assert_eq!(bobs.iter().map(|c| c.name()).collect::<Vec<_>>(), ["web", "worker", "grafana"]);
    }
}
