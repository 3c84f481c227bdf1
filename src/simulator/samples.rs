//! What `/cluster/resources` knows about guests: samples that `pvestatd` takes every ten seconds, and two API workers of which one
//! sees a new sample a little later, so that answers flip (REAL, State).
//!
//! Locks, tags and HA states are not sampled: Proxmox reads them from the configuration at each call.

use super::{
    clock::Moment,
    state::{Container, Process, State},
    usage::{Usage, cpus, usage},
    version::Version,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

const PERIOD: Moment = 10_000;

#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The newest last.
    taken: VecDeque<Sample>,
    next: Moment,
    /// How much later the second worker sees a sample. Zero: the workers agree.
    pub lag: Moment,
    asked: u64,
}

#[derive(Debug, Clone)]
pub struct Sample {
    at: Moment,
    /// For each container the sampled part of its row.
    rows: BTreeMap<u32, Map<String, Value>>,
}

impl Sample {
    pub fn row(&self, vmid: u32) -> Option<&Map<String, Value>> {
        self.rows.get(&vmid)
    }
}

impl Samples {
    /// The sample that the worker sees whose turn it is.
    pub fn next_answer(&mut self, now: Moment) -> Option<&Sample> {
        self.asked += 1;
        let lag = if self.asked.is_multiple_of(2) { self.lag } else { 0 };
        self.taken.iter().rfind(|sample| sample.at + lag <= now).or(self.taken.front())
    }
}

impl State {
    /// Takes the samples that are due up to a moment.
    pub fn take_samples(&mut self, until: Moment) {
        if until - self.samples.next > 3 * PERIOD {
            // Nobody can see the ones in between any more.
            self.samples.next += (until - self.samples.next) / PERIOD * PERIOD - 2 * PERIOD;
        }
        while self.samples.next <= until {
            let at = self.samples.next;
            self.sample_at(at);
            self.samples.next = at + PERIOD;
        }
    }

    /// Takes a sample now, out of turn, and lets both workers see it.
    pub fn refresh_samples(&mut self, now: Moment) {
        self.samples.taken.clear();
        self.sample_at(now);
        self.samples.next = now + PERIOD;
    }

    fn sample_at(&mut self, at: Moment) {
        let online: Vec<_> = self.nodes.iter().filter(|node| node.is_online).map(|node| node.name.as_str()).collect();
        let rows = self
            .containers
            .values()
            .filter(|c| online.contains(&c.node.as_str()))
            .map(|c| (c.vmid, sampled(c, self.version, at)))
            .collect();
        self.samples.taken.push_back(Sample { at, rows });
        while self.samples.taken.len() > 3 {
            self.samples.taken.pop_front();
        }
    }
}

fn sampled(container: &Container, version: Version, at: Moment) -> Map<String, Value> {
    let Usage { cpu, mem, maxmem, disk, maxdisk, netin, netout, diskread, diskwrite, uptime, .. } = usage(container, at);
    let status = match container.process {
        Process::Running { .. } => "running",
        Process::Stopped => "stopped",
    };
    // basic-04-cluster-resources
    let mut row = json!({
        "status": status, "name": container.name(), "template": u8::from(container.config.is_set("template")),
        "maxcpu": cpus(container), "cpu": cpu, "maxmem": maxmem, "mem": mem, "maxdisk": maxdisk, "disk": disk,
        "netin": netin, "netout": netout, "diskread": diskread, "diskwrite": diskwrite, "uptime": uptime,
    });
    if version >= Version::V9_2 {
        // What the host needs for it; 0 for containers (API2Tools.pm:113).
        row["memhost"] = json!(0);
    }
    let Value::Object(mut row) = row else { return Map::new() };
    row.extend(container.sample.clone());
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Moment = 1_795_368_389_000;

    fn status_of_web(state: &mut State, now: Moment) -> String {
        state.settle(now);
        state.samples.next_answer(now).unwrap().row(103).unwrap()["status"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_change_is_seen_up_to_ten_seconds_later_and_then_flips() {
        let mut state = State::demo(T).unwrap();
        state.samples.lag = 2_000;
        state.set_process(103, Process::Running { pid: 1, since: T });
        assert_eq!(status_of_web(&mut state, T + 9_000), "stopped");
        assert_eq!(status_of_web(&mut state, T + 9_000), "stopped");
        let both = [status_of_web(&mut state, T + 11_000), status_of_web(&mut state, T + 11_000)];
        assert_eq!(both, ["running", "stopped"]);
        let both = [status_of_web(&mut state, T + 12_500), status_of_web(&mut state, T + 12_500)];
        assert_eq!(both, ["running", "running"]);
    }

    #[test]
    fn a_sample_is_of_its_own_moment_even_when_taken_late() {
        let mut state = State::demo(T).unwrap();
        state.begin_task(T + 5_000, "pve1", 103, "root@pam", super::super::lifecycle::Work::Start { skiplock: false });
        assert_eq!(status_of_web(&mut state, T + 3_600_000), "running");
        state.begin_task(T + 3_605_000, "pve1", 103, "root@pam", super::super::lifecycle::Work::Stop { skiplock: false, overrule: false });
        assert_eq!(status_of_web(&mut state, T + 3_605_900), "running");
    }
}
