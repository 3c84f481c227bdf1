//! Numbers that move: how much CPU, memory, disk and network a running container uses at a moment.
//!
//! A pure function of the container and the moment, smooth, and the same for everybody who asks. Counters only grow.

use super::{
    clock::Moment,
    state::{Container, Process},
};
use std::f64::consts::TAU;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub cpu: f64,
    pub mem: u64,
    pub maxmem: u64,
    pub swap: u64,
    pub maxswap: u64,
    pub disk: u64,
    pub maxdisk: u64,
    pub netin: u64,
    pub netout: u64,
    pub diskread: u64,
    pub diskwrite: u64,
    pub uptime: i64,
}

/// The CPUs of a container: its `cores`, or those of the node (two, here).
pub fn cpus(container: &Container) -> u64 {
    container.config.number("cores").unwrap_or(2)
}

pub fn usage(container: &Container, now: Moment) -> Usage {
    let maxmem = container.config.number("memory").unwrap_or(512) << 20;
    let maxswap = container.config.number("swap").unwrap_or(512) << 20;
    let size = container.config.rootfs_size();
    let Process::Running { since, .. } = container.process else {
        // Stopped: zeroes, and the configured size of the disk (create-15-status-current-stopped).
        return Usage { maxmem, maxswap, maxdisk: size, ..Usage::default() };
    };
    let seed = f64::from(container.vmid) * 0.618_034;
    let (load, up) = (container.load, (now - since).max(0) as f64 / 1000.0);
    let wave = |period: f64, shift: f64| ((now as f64 / 1000.0 / period + seed + shift) * TAU).sin();
    // Running: the size of the file system, which is smaller (life-02-status-current-running).
    let maxdisk = size / 100 * 97;
    let part = |of: u64, share: f64| (of as f64 * share.clamp(0.0, 1.0)) as u64;
    let warm = 1.0 - (-up / 120.0).exp();
    Usage {
        // The first sample is 0 (L:261-415).
        cpu: if up < 3.0 { 0.0 } else { (load * (1.0 + 0.35 * wave(47.0, 0.0) + 0.25 * wave(613.0, 0.3))).clamp(0.0, 1.0) },
        mem: part(maxmem, 0.04 + warm * (0.25 + 0.5 * load + 0.04 * wave(311.0, 0.1))),
        maxmem,
        swap: part(maxswap, if load > 0.5 { 0.1 } else { 0.0 }),
        maxswap,
        disk: part(maxdisk, 0.12 + 0.55 * seed.fract()),
        maxdisk,
        netin: counter(up, 18_000.0 * (0.05 + load), 61.0, seed),
        netout: counter(up, 11_000.0 * (0.05 + load), 83.0, seed + 0.5),
        diskread: counter(up, 3_000.0 * load, 127.0, seed),
        diskwrite: counter(up, 7_000.0 * load, 97.0, seed + 0.2),
        uptime: up as i64,
    }
}

/// The integral of a rate that swings between a half and one and a half of its mean, so that it grows smoothly.
fn counter(up: f64, mean: f64, period: f64, shift: f64) -> u64 {
    let angle = |t: f64| (t / period + shift) * TAU;
    (mean * (up + 0.5 * period / TAU * (angle(0.0).cos() - angle(up).cos()))).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::super::state::State;
    use super::*;

    #[test]
    fn counters_only_grow_and_the_rest_stays_in_its_limits() {
        let state = State::demo(1_795_368_389_000).unwrap();
        for container in state.containers.values() {
            let mut last = Usage::default();
            for step in 0..200 {
                let now = usage(container, 1_795_368_389_000 + step * 1_700);
                assert!(now.netin >= last.netin && now.diskwrite >= last.diskwrite, "{}", container.name());
                assert!((0.0..=1.0).contains(&now.cpu) && now.mem <= now.maxmem && now.disk <= now.maxdisk);
                last = now;
            }
        }
    }
}
