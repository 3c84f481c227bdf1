//! `/nodes`, and the numbers of a node.

use super::Call;
use crate::simulator::{
    clock::Moment,
    reply::{Answer, Failure},
    state::{Node, State},
    usage::usage,
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

/// The row of a node in `/nodes` and in `/cluster/resources`.
pub fn row(call: &Call<'_>, node: &Node) -> Value {
    let status = if node.is_online { "online" } else { "offline" };
    let mut row = json!({ "id": format!("node/{}", node.name), "node": node.name, "type": "node", "status": status, "level": "" });
    if node.is_online && call.may(&format!("/nodes/{}", node.name), "Sys.Audit") {
        let (cpu, mem) = load(call.state, node, call.now);
        row["maxcpu"] = json!(node.cpus);
        row["cpu"] = json!(cpu);
        row["maxmem"] = json!(node.memory);
        row["mem"] = json!(mem);
        row["maxdisk"] = json!(node.disk);
        row["disk"] = json!(node.disk / 100 * 31);
        row["uptime"] = json!((call.now - node.booted).max(0) / 1000);
    }
    row
}

/// What its containers use, and a little for the node itself.
fn load(state: &State, node: &Node, now: Moment) -> (f64, u64) {
    let mine = state.containers.values().filter(|c| c.node == node.name);
    let (cpu, mem) = mine.fold((0.02 * f64::from(node.cpus), 2 << 30), |(cpu, mem), container| {
        let now = usage(container, now);
        (cpu + now.cpu * crate::simulator::usage::cpus(container) as f64, mem + now.mem)
    });
    ((cpu / f64::from(node.cpus)).min(1.0), mem.min(node.memory))
}
