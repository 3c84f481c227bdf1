//! `/cluster`: resources, status, options, the next free vmid, tasks.

use super::{Call, nodes, tasks};
use crate::simulator::{
    reply::{Answer, Failure},
    version::Version,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// basic-04-cluster-resources, lock-04. Rows the caller may not audit are left out; nodes are always there.
pub fn resources(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let wanted = call.params.text("type").map(str::to_owned);
    let wants = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    let mut rows = Vec::new();
    let guests = if wanted.is_none() || wants("vm") { containers(call) } else { Vec::new() };
    if wanted.is_none() {
        rows.extend(pools(call, &guests));
    }
    if wants("vm") {
        rows.extend(
            guests.into_iter().filter(|row| call.may(&format!("/vms/{}", row["vmid"]), "VM.Audit")).map(|row| visible_pool(call, row)),
        );
        rows.extend(machines(call));
    }
    if wants("node") {
        rows.extend(call.state.nodes.iter().map(|node| {
            let mut row = nodes::row(call, node);
            if node.is_online && row.get("cpu").is_some() {
                row["cgroup-mode"] = json!(2);
            }
            row
        }));
    }
    if wants("storage") {
        rows.extend(storages(call));
    }
    // Since 9.1 these are rows of the type `network`, which a type filter does not know yet (FACTS §8).
    if call.state.version < Version::V9_2 && wants("sdn") && call.may("/sdn/zones/localnetwork", "SDN.Audit") {
        rows.extend(call.state.nodes.iter().map(|node| {
            let status = if node.is_online { "ok" } else { "unknown" };
            let id = format!("sdn/{}/localnetwork", node.name);
            json!({ "id": id, "type": "sdn", "sdn": "localnetwork", "node": node.name, "status": status })
        }));
    } else if call.state.version >= Version::V9_2 && wants("network") && call.may("/sdn/zones/localnetwork", "SDN.Audit") {
        rows.extend(call.state.nodes.iter().filter(|node| node.is_online).map(|node| {
            let id = format!("network/{}/zone/localnetwork", node.name);
            json!({
                "id": id, "type": "network", "network": "localnetwork", "network-type": "zone", "zone-type": "localnetwork",
                "node": node.name, "status": "ok",
            })
        }));
    }
    Ok(Value::Array(rows).into())
}

/// Everybody's: who may see which is for the caller to say.
fn containers(call: &mut Call<'_>) -> Vec<Value> {
    let sample = call.state.samples.next_answer(call.now).cloned();
    let rows = call.state.containers.values().map(|container| {
        // Not sampled: a new one, or on a node that is offline. Then there is a status and nothing else.
        let unknown = || Map::from_iter([("status".to_owned(), json!("unknown"))]);
        let mut row = sample.as_ref().and_then(|sample| sample.row(container.vmid)).cloned().unwrap_or_else(unknown);
        row.insert("id".to_owned(), json!(format!("lxc/{}", container.vmid)));
        row.insert("vmid".to_owned(), json!(container.vmid));
        row.insert("node".to_owned(), json!(container.node));
        row.insert("type".to_owned(), json!("lxc"));
        // These are read from the configuration at each call, and only there when set.
        for key in ["tags", "lock"] {
            if let Some(value) = container.config.get(key) {
                row.insert(key.to_owned(), json!(value));
            }
        }
        if let Some(ha) = &container.ha {
            row.insert("hastate".to_owned(), json!(ha));
        }
        if let Some(pool) = call.state.access.pool_of(container.vmid) {
            row.insert("pool".to_owned(), json!(pool));
        }
        Value::Object(row)
    });
    rows.collect()
}

/// A container's row names its pool only to those who may see the pool (misc-17-resources-with-pool).
fn visible_pool(call: &Call<'_>, mut row: Value) -> Value {
    let is_hidden = row.get("pool").and_then(Value::as_str).is_some_and(|pool| !call.may(&format!("/pool/{pool}"), "Pool.Audit"));
    if is_hidden && let Some(row) = row.as_object_mut() {
        row.remove("pool");
    }
    row
}

/// With the sums over what runs in them (CL, `resources`).
fn pools(call: &Call<'_>, guests: &[Value]) -> Vec<Value> {
    let mine = call.state.access.pools().filter(|pool| call.may(&format!("/pool/{pool}"), "Pool.Audit"));
    let rows = mine.map(|pool| {
        let mut row = json!({ "id": format!("/pool/{pool}"), "pool": pool, "type": "pool" });
        let number = |guest: &Value, key: &str| guest[key].as_f64().unwrap_or(0.0);
        let running: Vec<_> = guests.iter().filter(|guest| guest["pool"] == pool && number(guest, "uptime") > 0.0).collect();
        let sum = |key: &str| running.iter().map(|guest| guest[key].as_u64().unwrap_or(0)).sum::<u64>();
        if !running.is_empty() {
            row["uptime"] = json!(running.iter().map(|guest| guest["uptime"].as_u64().unwrap_or(0)).max());
            for key in ["mem", "maxmem", "maxcpu"] {
                row[key] = json!(sum(key));
            }
            let used: f64 = running.iter().map(|guest| number(guest, "cpu") * number(guest, "maxcpu")).sum();
            row["cpu"] = json!(used / (sum("maxcpu") as f64).max(1.0));
        }
        row
    });
    rows.collect()
}

fn machines(call: &Call<'_>) -> Vec<Value> {
    let mine = call.state.machines.iter().filter(|m| call.may(&format!("/vms/{}", m.vmid), "VM.Audit"));
    let rows = mine.map(|machine| {
        json!({
            "id": format!("qemu/{}", machine.vmid), "vmid": machine.vmid, "node": machine.node, "type": "qemu", "status": "running",
            "name": machine.name, "template": 0, "maxcpu": 2, "cpu": 0.021, "maxmem": 2_147_483_648_u64, "mem": 1_276_313_600_u64,
            "maxdisk": 17_179_869_184_u64, "disk": 0, "netin": 918_273_645, "netout": 546_372_819, "diskread": 48_159_623,
            "diskwrite": 71_625_364, "uptime": 1_209_600,
        })
    });
    rows.collect()
}

fn storages(call: &Call<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    let mine = call.state.storages.iter().filter(|s| call.may(&format!("/storage/{}", s.name), "Datastore.Audit"));
    for storage in mine {
        for node in call.state.nodes.iter().filter(|node| storage.is_on(&node.name)) {
            let mut row = json!({
                "id": format!("storage/{}/{}", node.name, storage.name), "type": "storage", "storage": storage.name, "node": node.name,
                "plugintype": storage.kind, "content": storage.content, "shared": u8::from(storage.is_shared()), "status": "unknown",
            });
            if node.is_online {
                row["status"] = json!("available");
                row["maxdisk"] = json!(storage.total);
                row["disk"] = json!(storage.used);
            }
            rows.push(row);
        }
    }
    rows
}

/// The cluster, if there is one, and its nodes (CL, `get_status`).
pub fn status(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let mut rows = Vec::new();
    let is_cluster = call.state.cluster.is_some();
    if let Some(name) = &call.state.cluster {
        let nodes = &call.state.nodes;
        let is_quorate = nodes.iter().filter(|node| node.is_online).count() * 2 > nodes.len();
        rows.push(json!({
            "type": "cluster", "id": "cluster", "name": name, "nodes": nodes.len(), "version": nodes.len(), "quorate": u8::from(is_quorate),
        }));
    }
    rows.extend(call.state.nodes.iter().enumerate().map(|(index, node)| {
        let number = if is_cluster { index + 1 } else { 0 };
        let mut row = json!({
            "type": "node", "id": format!("node/{}", node.name), "name": node.name, "nodeid": number, "local": u8::from(index == 0),
            "online": u8::from(node.is_online), "level": "",
        });
        if let Some(address) = node.address() {
            row["ip"] = json!(address);
        }
        row
    }));
    Ok(Value::Array(rows).into())
}

/// Of `datacenter.cfg` those without Sys.Audit on `/` see two keys; the tags they may use are always there (CL, `get_options`).
pub fn options(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let all = call.may("/", "Sys.Audit");
    let known = call.state.options.iter().filter(|(key, _)| all || matches!(key.as_str(), "console" | "tag-style"));
    let mut answer: Map<String, Value> = known.map(|(key, value)| (key.clone(), value.clone())).collect();
    if call.state.version >= Version::V8_4 {
        answer.insert("allowed-tags".to_owned(), json!(allowed_tags(call)));
    }
    Ok(Value::Object(answer).into())
}

/// GuestHelpers.pm:271-308.
fn allowed_tags(call: &Call<'_>) -> BTreeSet<String> {
    let options = &call.state.options;
    let is_privileged = call.may("/", "Sys.Modify");
    let list = |value: Option<&Value>| -> Vec<String> {
        let tags = value.and_then(Value::as_array).into_iter().flatten();
        tags.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let registered = list(options.get("registered-tags"));
    let access = options.get("user-tag-access");
    let user_allow = access.and_then(|access| access["user-allow"].as_str()).unwrap_or("free");
    let mut allowed = BTreeSet::new();
    if user_allow != "none" || is_privileged {
        allowed.extend(list(access.and_then(|access| access.get("user-allow-list"))));
    }
    if matches!(user_allow, "free" | "existing") || is_privileged {
        let seen = call.state.containers.values().filter(|c| is_privileged || call.may(&format!("/vms/{}", c.vmid), "VM.Audit"));
        allowed.extend(seen.filter_map(|c| c.config.get("tags")).flat_map(|tags| tags.split([';', ',', ' '])).map(str::to_owned));
    }
    allowed.remove("");
    if is_privileged {
        allowed.extend(registered);
    } else {
        allowed.retain(|tag| !registered.contains(tag));
    }
    allowed
}

/// A string, whatever the schema says (perm-19-viewer-nextid, basic-10-nextid-taken).
pub fn nextid(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let is_taken = |vmid: u32| call.state.containers.contains_key(&vmid) || call.state.machines.iter().any(|m| m.vmid == vmid);
    if call.params.text("vmid").is_some() {
        let vmid = call.params.vmid();
        return if is_taken(vmid) {
            Err(Failure::parameter("vmid", &format!("VM {vmid} already exists")))
        } else {
            Ok(json!(vmid.to_string()).into())
        };
    }
    let range = call.state.options.get("next-id");
    let bound = |key: &str, default: u32| {
        let value = range.and_then(|range| range.get(key));
        value.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())).and_then(|v| u32::try_from(v).ok()).unwrap_or(default)
    };
    let (lower, upper) = (bound("lower", 100), bound("upper", 1_000_000));
    match (lower..upper).find(|vmid| !is_taken(*vmid)) {
        Some(vmid) => Ok(json!(vmid.to_string()).into()),
        None => Err(Failure::died(format!("unable to get any free VMID in range [{lower}, {upper}]"))),
    }
}

/// Running and recent tasks of all nodes; without Sys.Audit on `/` only one's own (auth-73-cluster-tasks-with-token-task).
pub fn tasks(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let sees_all = call.may("/", "Sys.Audit");
    let user = call.user;
    let seen = call.state.tasks.list.iter().rev().filter(|task| sees_all || task.user.split('!').next() == Some(user));
    let rows = seen.take(25 * call.state.nodes.len()).map(|task| {
        let mut row = tasks::identity(task);
        row.remove("pstart");
        if let Some(ended) = task.ended() {
            row.remove("pid");
            row.insert("endtime".to_owned(), json!(ended.at.div_euclid(1000)));
            row.insert("status".to_owned(), json!(ended.exit));
            // A number at first, and a string from the next broadcast on (life-17-stop-timeline).
            let is_fresh = call.now - ended.at < 5_000;
            row.insert("saved".to_owned(), if is_fresh { json!(1) } else { json!("1") });
        }
        Value::Object(row)
    });
    Ok(Value::from_iter(rows).into())
}
