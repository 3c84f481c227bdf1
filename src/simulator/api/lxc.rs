//! `/nodes/{node}/lxc`: containers, and what is refused at once.
//!
//! What a start or stop does once it is a task is in [`crate::simulator::lifecycle`].

use super::Call;
use crate::simulator::{
    access::ROOT,
    clock::Moment,
    lifecycle::Work,
    reply::{Answer, Failure},
    state::{Container, Habit, Process, Status},
    usage::{cpus, usage},
};
use serde_json::{Value, json};

/// lock-03-lxc-list-locked: containers the caller may not audit are left out.
pub fn list(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let mine = call.state.containers.values().filter(|c| c.node == call.node() && c.has_config());
    let seen = mine.filter(|c| call.may(&format!("/vms/{}", c.vmid), "VM.Audit"));
    Ok(Value::from_iter(seen.map(|container| row(container, call.now))).into())
}

/// life-02-status-current-running, create-15-status-current-stopped
pub fn status_current(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = find(call)?;
    if container.habit == Habit::AnswersGarbage {
        return Ok(Answer::Broken("{\"data\":{\"status\":\"running\",\"vmid\":"));
    }
    let mut row = row(container, call.now);
    row["ha"] = match container.ha {
        None => json!({ "managed": 0 }),
        Some(state) => json!({ "managed": 1, "state": state }),
    };
    Ok(row.into())
}

/// create-16-config-after
pub fn config(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let container = find(call)?;
    if let Some(snapshot) = call.params.text("snapshot") {
        return Err(Failure::died(format!("snapshot '{snapshot}' does not exist")));
    }
    Ok(container.config.to_json().into())
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

fn find<'a>(call: &'a Call<'_>) -> Result<&'a Container, Failure> {
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
    // The pipeline has found the node, or would not have come here.
    let node = call.state.node(node).map(|node| node.name).ok_or_else(|| Failure::died("no such cluster node"))?;
    Ok(json!(call.state.begin_task(call.now, node, vmid, call.user, work)).into())
}

/// The row of the list, and most of `status/current` (L:261-415).
fn row(container: &Container, now: Moment) -> Value {
    let u = usage(container, now);
    let mut row = json!({
        "vmid": container.vmid, "name": container.name(), "type": "lxc", "status": container.status().as_str(),
        "cpus": cpus(container), "cpu": u.cpu, "maxmem": u.maxmem, "mem": u.mem, "maxswap": u.maxswap, "swap": u.swap,
        "maxdisk": u.maxdisk, "disk": u.disk, "netin": u.netin, "netout": u.netout, "diskread": u.diskread, "diskwrite": u.diskwrite,
        "uptime": u.uptime,
    });
    if let Process::Running { pid, .. } = container.process {
        row["pid"] = json!(pid);
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
