//! `/nodes/{node}/lxc`: containers, and what is refused at once.
//!
//! What a start or stop does once it is a task is in [`crate::simulator::lifecycle`].

use super::Call;
use crate::simulator::{
    access::ROOT,
    caller::Caller,
    clock::seconds,
    config::{
        change::{change, check_request},
        view,
    },
    create, destroy, feature,
    lifecycle::Work,
    reply::{Answer, Failure},
    state::{Container, Habit, Process, State, Status},
    storage::Disks,
    surroundings::Surroundings,
    usage::{cpus, usage},
    version::Version,
};
use serde_json::{Value, json};

/// lock-03-lxc-list-locked: containers the caller may not audit are left out.
pub fn list(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let mine = call.state.containers.values().filter(|c| c.node == call.node() && c.has_config());
    let seen = mine.filter(|c| call.may(&format!("/vms/{}", c.vmid), "VM.Audit"));
    Ok(Value::from_iter(seen.map(|container| row(call, container))).into())
}

/// life-02-status-current-running, create-15-status-current-stopped
pub fn status_current(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = find(call)?;
    if container.habit == Habit::AnswersGarbage {
        return Ok(Answer::Broken("{\"data\":{\"status\":\"running\",\"vmid\":"));
    }
    let mut row = row(call, container);
    row["ha"] = match &container.ha {
        None => json!({ "managed": 0 }),
        Some(state) => json!({ "managed": 1, "state": state }),
    };
    Ok(row.into())
}

/// create-16-config-after
pub fn config(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let config = &find(call)?.config;
    let may = |path: &str, privilege: &str| call.may(path, privilege);
    let caller = Caller { user: call.user, may: &may };
    Ok(view::config(config, call.params, &caller, call.params.vmid(), call.state.version)?.into())
}

/// create-17-pending
pub fn pending(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let config = &find(call)?.config;
    let may = |path: &str, privilege: &str| call.may(path, privilege);
    let caller = Caller { user: call.user, may: &may };
    Ok(view::pending(config, &caller, call.params.vmid(), call.state.version)?.into())
}

/// snap-05-list
pub fn snapshots(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = find(call)?;
    Ok(view::snapshots(&container.config, container.is_running()).into())
}

/// API2/LXC.pm, `vm_feature`
pub fn feature(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let config = &find(call)?.config;
    let (snapshot, feature) = (call.params.text("snapname"), call.params.text("feature").unwrap_or_default());
    let has = feature::has_feature(&call.state.storages, config, snapshot, feature)?;
    Ok(json!({ "hasFeature": u8::from(has) }).into())
}

/// conf-10-put-memory-running-hotplug; null when it is done.
pub fn update_config(call: &mut Call<'_>) -> Result<Answer, Failure> {
    check_request(call.params.iter())?;
    find(call)?;
    let (node, vmid, user) = (call.node().to_owned(), call.params.vmid(), call.user);
    let around = Surroundings::of(call.state, &node, vmid);
    let State { access, containers, storages, version, .. } = &mut *call.state;
    let Some(container) = containers.get_mut(&vmid) else { return Err(Failure::missing_config(&node, vmid)) };
    let caller = Caller { user, may: &|path, privilege| access.allows(user, path, privilege) };
    let mut disks = Disks { storages, node: &node, now: seconds(call.now), version: *version, log: Vec::new() };
    around.with(|world| change(&mut container.config, call.params.iter(), &caller, world, &mut disks))?;
    Ok(Value::Null.into())
}

/// The container is there from the answer on, locked; the rest is the task's (create-05-config-while-creating).
pub fn create(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let (node, vmid, user) = (call.node().to_owned(), call.params.vmid(), call.user);
    let around = Surroundings::of(call.state, &node, vmid);
    let may = |path: &str, privilege: &str| call.state.access.allows(user, path, privilege);
    let caller = Caller { user, may: &may };
    let has_pool = |pool: &str| call.state.access.has_pool(pool);
    let order = around.with(|world| {
        let site = call.state.site(&node, vmid, world, &has_pool, call.now);
        create::order(call.params, &caller, &site)
    })?;
    let config = order.locked(call.state.containers.get(&vmid).map(|container| &container.config));
    match call.state.containers.get_mut(&vmid) {
        Some(container) => container.config = config,
        None => {
            call.state.containers.insert(vmid, Container::new(vmid, &node, config));
        }
    }
    begin(call, Work::Create(Box::new(order)), None)
}

/// del-02-ok-timeline
pub fn destroy(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = find(call)?;
    let order = destroy::Order {
        vmid: container.vmid,
        force: call.params.flag("force"),
        purge: call.params.flag("purge"),
        unreferenced: call.params.flag("destroy-unreferenced-disks"),
    };
    order.check(container.as_target())?;
    begin(call, Work::Destroy(order), None)
}

/// What `ip a` says inside the container; nothing while it is stopped (L:1262-1302). The fields with dashes came in 8.4; prefixes are
/// strings (FACTS §5).
pub fn interfaces(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let (node, vmid) = (call.node(), call.params.vmid());
    let Some(container) = call.state.container_on(node, vmid).filter(|c| c.status() == Status::Running) else {
        return Ok(Value::Null.into());
    };
    let interface = |name: &str, mac: &str, addresses: Vec<(&str, String, u8)>| {
        let mut row = json!({ "name": name, "hwaddr": mac, "hardware-address": mac });
        for (family, address, prefix) in &addresses {
            row[family] = json!(format!("{address}/{prefix}"));
        }
        let list = addresses
            .iter()
            .map(|(family, address, prefix)| json!({ "ip-address-type": family, "ip-address": address, "prefix": prefix.to_string() }));
        row["ip-addresses"] = Value::from_iter(list);
        row
    };
    let loopback = vec![("inet", "127.0.0.1".to_owned(), 8), ("inet6", "::1".to_owned(), 128)];
    let mut rows = vec![interface("lo", "00:00:00:00:00:00", loopback)];
    for (key, value) in container.config.current().entries().filter(|(key, _)| key.starts_with("net")) {
        let part = |name: &str| value.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
        let mac = part("hwaddr").to_lowercase();
        let mut addresses = match part("ip") {
            "" | "manual" => Vec::new(),
            // Whoever asks a DHCP server here gets an address that says which container it is.
            "dhcp" => vec![("inet", format!("192.0.2.{}", vmid % 200 + 20), 24)],
            fixed => fixed.split_once('/').map(|(ip, prefix)| ("inet", ip.to_owned(), prefix.parse().unwrap_or(24))).into_iter().collect(),
        };
        addresses.push(("inet6", link_local(&mac), 64));
        rows.push(interface(if part("name").is_empty() { key } else { part("name") }, &mac, addresses));
    }
    Ok(Value::Array(rows).into())
}

/// The address that every interface gives itself: `fe80::` and its MAC with `ff:fe` in the middle.
fn link_local(mac: &str) -> String {
    let bytes: Vec<u8> = mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let &[a, b, c, d, e, f] = bytes.as_slice() else { return "fe80::1".to_owned() };
    format!(
        "fe80::{:x}:{:x}:{:x}:{:x}",
        u16::from_be_bytes([a ^ 2, b]),
        u16::from_be_bytes([c, 0xff]),
        u16::from_be_bytes([0xfe, d]),
        u16::from_be_bytes([e, f])
    )
}

/// A start of what does not exist, is locked or is a template is accepted, and fails as a task.
pub fn start(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let skiplock = skiplock(call)?;
    if is_running(call) {
        return Err(Failure::died(format!("CT {} already running", call.params.vmid())));
    }
    begin(call, Work::Start { skiplock }, Some(Work::HaStart))
}

/// life-13-stop-when-stopped; the same for one that does not exist.
pub fn stop(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let skiplock = skiplock(call)?;
    must_run(call, "CT")?;
    let overrule = call.params.flag("overrule-shutdown");
    begin(call, Work::Stop { skiplock, overrule }, Some(Work::HaStop))
}

/// life-12-shutdown-when-stopped
pub fn shutdown(call: &mut Call<'_>) -> Result<Answer, Failure> {
    must_run(call, "CT")?;
    let timeout = call.params.integer("timeout").unwrap_or(60);
    let force = call.params.flag("forceStop");
    begin(call, Work::Shutdown { timeout, force }, Some(Work::HaStop))
}

/// "VM", not "CT", in its refusal (FACTS §6).
pub fn reboot(call: &mut Call<'_>) -> Result<Answer, Failure> {
    must_run(call, "VM")?;
    let timeout = call.params.integer("timeout").unwrap_or(60);
    begin(call, Work::Reboot { timeout }, None)
}

pub fn find<'a>(call: &'a Call<'_>) -> Result<&'a Container, Failure> {
    let (node, vmid) = (call.node(), call.params.vmid());
    call.state.container_on(node, vmid).ok_or_else(|| Failure::missing_config(node, vmid))
}

fn is_running(call: &Call<'_>) -> bool {
    call.state.container_on(call.node(), call.params.vmid()).is_some_and(|c| c.status() == Status::Running)
}

fn must_run(call: &Call<'_>, noun: &str) -> Result<(), Failure> {
    if is_running(call) { Ok(()) } else { Err(Failure::died(format!("{noun} {} not running", call.params.vmid()))) }
}

/// life-26-skiplock-not-root
fn skiplock(call: &Call<'_>) -> Result<bool, Failure> {
    let skips = call.params.flag("skiplock");
    if skips && call.user != ROOT { Err(Failure::parameter("skiplock", "Only root may use this option.")) } else { Ok(skips) }
}

fn begin(call: &mut Call<'_>, work: Work, managed: Option<Work>) -> Result<Answer, Failure> {
    let (node, vmid) = (call.node(), call.params.vmid());
    let is_managed = call.state.container_on(node, vmid).is_some_and(|c| c.ha.is_some());
    let work = managed.filter(|_| is_managed).unwrap_or(work);
    let node = node.to_owned();
    Ok(json!(call.state.begin_task(call.now, &node, vmid, call.user, work)).into())
}

/// The row of the list, and most of `status/current` (L:261-415).
fn row(call: &Call<'_>, container: &Container) -> Value {
    let u = usage(container, call.now);
    let mut row = json!({
        "vmid": container.vmid, "name": container.name(), "type": "lxc", "status": container.status().as_str(),
        "cpus": cpus(container), "cpu": u.cpu, "maxmem": u.maxmem, "mem": u.mem, "maxswap": u.maxswap, "swap": u.swap,
        "maxdisk": u.maxdisk, "disk": u.disk, "netin": u.netin, "netout": u.netout, "diskread": u.diskread, "diskwrite": u.diskwrite,
        "uptime": u.uptime,
    });
    if let Process::Running { pid, .. } = container.process {
        row["pid"] = json!(pid);
        if call.state.version >= Version::V9_2 {
            // Strings, though those of VMs are numbers (FACTS §5).
            for key in
                ["pressurecpusome", "pressurecpufull", "pressureiosome", "pressureiofull", "pressurememorysome", "pressurememoryfull"]
            {
                row[key] = json!("0.00");
            }
        }
    }
    for key in ["tags", "lock"] {
        if let Some(value) = container.config.get(key) {
            row[key] = json!(value);
        }
    }
    if container.config.is_set("template") {
        row["template"] = json!(1);
    }
    row
}
