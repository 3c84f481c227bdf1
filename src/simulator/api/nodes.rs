//! `/nodes`: their list, status and network, and the numbers of a node.

use super::Call;
use crate::simulator::{
    clock::Moment,
    reply::{Answer, Failure},
    state::{Node, State},
    usage::usage,
    version::Version,
};
use serde_json::{Value, json};

/// perm-07-viewer-nodes: without Sys.Audit only the bare row.
pub fn nodes(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let rows = call.state.nodes.iter().enumerate().map(|(index, node)| {
        let mut row = row(call, node);
        // This API speaks for the first node; the others have certificates of their own.
        row["ssl_fingerprint"] = if index == 0 { json!(call.fingerprint) } else { json!(other_fingerprint(index)) };
        row
    });
    Ok(Value::from_iter(rows).into())
}

fn other_fingerprint(index: usize) -> String {
    let bytes: Vec<_> = (0..32).map(|place| format!("{:02X}", (place * 37 + index * 101 + place * place * 11) % 256)).collect();
    bytes.join(":")
}

/// The row of a node in `/nodes` and in `/cluster/resources`. An offline node has no `level` (behaviour of 9.2).
pub fn row(call: &Call<'_>, node: &Node) -> Value {
    let status = if node.is_online { "online" } else { "offline" };
    let mut row = json!({ "id": format!("node/{}", node.name), "node": node.name, "type": "node", "status": status });
    if node.is_online {
        row["level"] = json!("");
    }
    if node.is_online && call.may(&format!("/nodes/{}", node.name), "Sys.Audit") {
        let (cpu, mem) = load(call.state, node, call.now);
        row["maxcpu"] = json!(node.cpus);
        row["cpu"] = json!(cpu);
        row["maxmem"] = json!(node.memory);
        row["mem"] = json!(mem);
        row["maxdisk"] = json!(node.disk);
        row["disk"] = json!(node.disk / 100 * 31);
        row["uptime"] = json!(node.uptime(call.now));
    }
    row
}

/// What its containers use, and a little for the node itself.
pub fn load(state: &State, node: &Node, now: Moment) -> (f64, u64) {
    let mine = state.containers.values().filter(|c| c.node == node.name);
    let (cpu, mem) = mine.fold((0.02 * f64::from(node.cpus), 2 << 30), |(cpu, mem), container| {
        let now = usage(container, now);
        (cpu + now.cpu * crate::simulator::usage::cpus(container) as f64, mem + now.mem)
    });
    ((cpu / f64::from(node.cpus)).min(1.0), mem.min(node.memory))
}

/// basic-03-node-status. The load averages are strings.
pub fn status(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let Some(node) = call.state.node(call.node()) else { return Err(Failure::died("no such cluster node")) };
    let (cpu, mem) = load(call.state, node, call.now);
    let average = |share: f64| format!("{:.2}", cpu * f64::from(node.cpus) * share);
    let used = node.disk / 100 * 31;
    let (release, package) = call.state.version.node();
    let mut answer = json!({
        "uptime": node.uptime(call.now), "idle": 0, "cpu": cpu, "wait": 0.002,
        "loadavg": [average(1.0), average(0.96), average(0.9)],
        "kversion": format!("Linux {release} #1 SMP PREEMPT_DYNAMIC PMX {release}"),
        "pveversion": package,
        "cpuinfo": {
            "model": "AMD EPYC", "cpus": node.cpus, "cores": node.cpus, "sockets": 1, "mhz": "2596.128", "user_hz": 100, "hvm": "1",
            "flags": "fpu vme de pse tsc msr svm",
        },
        "memory": { "total": node.memory, "used": mem, "free": node.memory - mem },
        "swap": { "total": 8_u64 << 30, "used": 0, "free": 8_u64 << 30 },
        "rootfs": { "total": node.disk, "used": used, "free": node.disk - used, "avail": node.disk - used - node.disk / 20 },
        "ksm": { "shared": 0 },
    });
    if call.state.version >= Version::V8_4 {
        answer["boot-info"] = json!({ "mode": "legacy-bios" });
        answer["current-kernel"] =
            json!({ "sysname": "Linux", "release": release, "machine": "x86_64", "version": "#1 SMP PREEMPT_DYNAMIC" });
    }
    if call.state.version >= Version::V9_2 {
        answer["memory"]["available"] = json!(node.memory - mem);
    }
    Ok(answer.into())
}

/// basic-51-network. Bridges only for those who may use or audit them, since SDN has privileges (API2/Network.pm, `index`).
pub fn network(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let wanted = call.params.text("type");
    let Some(node) = call.state.node(call.node()) else { return Err(Failure::died("no such cluster node")) };
    let rows = node.network.iter().filter(|interface| {
        let text = |key: &str| interface.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_bridge = matches!(text("type"), "bridge" | "OVSBridge");
        let is_wanted = match wanted {
            None | Some("include_sdn") => true,
            Some("any_bridge" | "any_local_bridge") => is_bridge,
            Some(wanted) => wanted == text("type"),
        };
        let may_see = || call.state.access.allows_bridge(call.user, "localnetwork", text("iface"), &["SDN.Audit", "SDN.Use"]);
        is_wanted && (!is_bridge || call.state.version < Version::V8_4 || may_see())
    });
    Ok(Value::from_iter(rows.cloned().map(Value::Object)).into())
}
