//! `…/rrddata`: the past of a node or a container, computed for the moments that Proxmox would have kept.
//!
//! A container that did not run has no samples: their keys are absent. Not here: what a figure is at a moment ([`super::super::usage`]).

use super::{Call, nodes};
use crate::simulator::{
    clock::{Moment, seconds},
    reply::{Answer, Failure},
    state::Process,
    usage::{cpus, usage},
    version::Version,
};
use serde_json::{Map, Value, json};

/// Seconds between two points, and how many there are (RRD.pm:57-72). Before 9 there was no decade; it is answered as a year.
fn resolution(version: Version, timeframe: &str) -> (i64, i64) {
    match (version >= Version::V9_2, timeframe) {
        (true, "day") => (60, 1440),
        (true, "week") => (1_800, 336),
        (true, "month") => (1_800, 1440),
        (true, "year") => (21_600, 1440),
        (true, "decade") => (604_800, 570),
        (false, "day") => (1_800, 70),
        (false, "week") => (10_800, 70),
        (false, "month") => (43_200, 70),
        (false, "year" | "decade") => (604_800, 70),
        (true, _) => (60, 60),
        (false, _) => (60, 70),
    }
}

/// One row for each point, the oldest first, each with its `time`.
fn rows(call: &Call<'_>, mut row: impl FnMut(Moment) -> Map<String, Value>) -> Answer {
    let (step, count) = resolution(call.state.version, call.params.text("timeframe").unwrap_or_default());
    let end = seconds(call.now).div_euclid(step) * step;
    let times = (0..count).map(|index| end - step * (count - index));
    let rows = times.map(|time| {
        let mut row = row(time * 1000);
        row.insert("time".to_owned(), json!(time));
        Value::Object(row)
    });
    Value::from_iter(rows).into()
}

fn map(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// basic-49-node-rrddata
pub fn node(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let Some(node) = call.state.node(call.node()) else { return Err(Failure::died("no such cluster node")) };
    let version = call.state.version;
    Ok(rows(call, |at| {
        if at < node.booted {
            return Map::new();
        }
        let (cpu, mem) = nodes::load(call.state, node, at);
        let mut row = map(json!({
            "maxcpu": node.cpus, "cpu": cpu, "iowait": 0.002, "loadavg": cpu * f64::from(node.cpus), "memtotal": node.memory, "memused": mem,
            "swaptotal": 8_u64 << 30, "swapused": 0, "roottotal": node.disk, "rootused": node.disk / 100 * 31,
            "netin": 48_000.0 * (1.0 + cpu), "netout": 31_000.0 * (1.0 + cpu),
        }));
        if version >= Version::V9_2 {
            row.insert("memavailable".to_owned(), json!(node.memory - mem));
            row.insert("arcsize".to_owned(), json!(0));
            pressures(&mut row, cpu);
        }
        row
    }))
}

/// The counters come as bytes per second.
pub fn container(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = super::lxc::find(call)?;
    let version = call.state.version;
    let since = match container.process {
        Process::Running { since, .. } => since,
        Process::Stopped => Moment::MAX,
    };
    Ok(rows(call, |at| {
        if at < since {
            return Map::new();
        }
        let (u, before) = (usage(container, at), usage(container, at - 60_000));
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / 60.0;
        let mut row = map(json!({
            "maxcpu": cpus(container), "cpu": u.cpu, "maxmem": u.maxmem, "mem": u.mem, "maxdisk": u.maxdisk, "disk": u.disk,
            "netin": rate(u.netin, before.netin), "netout": rate(u.netout, before.netout),
            "diskread": rate(u.diskread, before.diskread), "diskwrite": rate(u.diskwrite, before.diskwrite),
        }));
        if version >= Version::V9_2 {
            pressures(&mut row, u.cpu);
        }
        row
    }))
}

/// How long somebody had to wait for something, since 9.0.
fn pressures(row: &mut Map<String, Value>, load: f64) {
    for (key, share) in [
        ("pressurecpusome", 2.0),
        ("pressurecpufull", 0.0),
        ("pressureiosome", 0.5),
        ("pressureiofull", 0.2),
        ("pressurememorysome", 0.0),
        ("pressurememoryfull", 0.0),
    ] {
        row.insert(key.to_owned(), json!(load * share));
    }
}
