//! What the handle and the control side can both do.

use super::{
    file::File,
    shared::Shared,
    state::{Process, Status},
};
use serde_json::{Value, json};
use std::time::Duration;

pub fn advance(shared: &Shared, by: Duration) {
    shared.clock.advance(by);
    drop(shared.state());
    shared.announce();
}

pub fn finish_tasks(shared: &Shared) {
    let (mut state, now) = shared.state();
    state.finish_tasks(now);
    drop(state);
    shared.announce();
}

pub fn slow_down(shared: &Shared, factor: f64) {
    let (mut state, _) = shared.state();
    state.slowness = factor;
}

pub fn refresh_resources(shared: &Shared) {
    let (mut state, now) = shared.state();
    state.refresh_samples(now);
}

pub fn clear_faults(shared: &Shared) {
    shared.faults.clear();
    shared.announce();
}

/// Whether there is such a container.
pub fn set_status(shared: &Shared, vmid: u32, status: Status) -> bool {
    let (mut state, now) = shared.state();
    let process = match status {
        Status::Running => Process::Running { pid: state.tasks.next_pid(), since: now },
        Status::Stopped => Process::Stopped,
    };
    let is_known = state.containers.contains_key(&vmid);
    if state.containers.get(&vmid).is_some_and(|container| container.status() != status) {
        state.set_process(vmid, process);
    }
    drop(state);
    shared.announce();
    is_known
}

/// Whether there is such a container.
pub fn set_lock(shared: &Shared, vmid: u32, lock: Option<&str>) -> bool {
    let (mut state, _) = shared.state();
    let Some(container) = state.containers.get_mut(&vmid) else { return false };
    container.config.set("lock", lock);
    drop(state);
    shared.announce();
    true
}

pub fn state(shared: &Shared) -> File {
    let (state, now) = shared.state();
    File::of_state(&state, now)
}

pub fn containers(shared: &Shared) -> Value {
    let (state, _) = shared.state();
    let rows = state.containers.values().map(|container| {
        json!({
            "vmid": container.vmid, "name": container.name(), "node": container.node, "status": container.status().as_str(),
            "lock": container.config.get("lock"),
        })
    });
    Value::from_iter(rows)
}
