//! `/cluster`: resources and tasks.

use super::{Call, nodes, tasks};
use crate::simulator::reply::{Answer, Failure};
use serde_json::{Map, Value, json};

/// basic-04-cluster-resources, lock-04. Rows the caller may not audit are left out; nodes are always there.
pub fn resources(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let wanted = call.params.text("type");
    let wants = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    let mut rows = Vec::new();
    if wants("vm") {
        rows.extend(containers(call));
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
    if wants("sdn") && call.may("/sdn/zones/localnetwork", "SDN.Audit") {
        rows.extend(call.state.nodes.iter().map(|node| {
            let status = if node.is_online { "ok" } else { "unknown" };
            let id = format!("sdn/{}/localnetwork", node.name);
            json!({ "id": id, "type": "sdn", "sdn": "localnetwork", "node": node.name, "status": status })
        }));
    }
    Ok(Value::Array(rows).into())
}

fn containers(call: &mut Call<'_>) -> Vec<Value> {
    let sample = call.state.samples.next_answer(call.now).cloned();
    let mine = call.state.containers.values().filter(|c| call.may(&format!("/vms/{}", c.vmid), "VM.Audit"));
    let rows = mine.map(|container| {
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
        if let Some(ha) = container.ha {
            row.insert("hastate".to_owned(), json!(ha));
        }
        Value::Object(row)
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
        for node in &call.state.nodes {
            let mut row = json!({
                "id": format!("storage/{}/{}", node.name, storage.name), "type": "storage", "storage": storage.name, "node": node.name,
                "plugintype": storage.plugin, "content": storage.content, "shared": u8::from(storage.is_shared), "status": "unknown",
            });
            if node.is_online {
                row["status"] = json!("available");
                row["maxdisk"] = json!(storage.size);
                row["disk"] = json!(storage.used);
            }
            rows.push(row);
        }
    }
    rows
}

/// Running and recent tasks of all nodes; without Sys.Audit on `/` only one's own (auth-73-cluster-tasks-with-token-task).
pub fn tasks(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let sees_all = call.may("/", "Sys.Audit");
    let seen = call.state.tasks.list.iter().rev().filter(|task| sees_all || tasks::is_own(call, task));
    let rows = seen.take(25 * call.state.nodes.len()).map(|task| {
        let mut row = tasks::identity(task);
        row.remove("pstart");
        if let Some(ended) = task.ended() {
            row.remove("pid");
            row.insert("endtime".to_owned(), json!(ended.at.div_euclid(1000)));
            row.insert("status".to_owned(), json!(ended.exit));
            row.insert("saved".to_owned(), json!("1"));
        }
        Value::Object(row)
    });
    Ok(Value::from_iter(rows).into())
}
