//! What start, stop, shutdown and reboot do to a container, step by step and with the times that were measured.
//!
//! Only what happens inside the task. What is refused at once is said by the endpoint, [`super::api::lxc`]; how containers come and
//! go stands in [`super::create`] and [`super::destroy`].

use super::{
    clock::{Moment, seconds},
    config::change::check_lxc_config,
    create, destroy,
    state::{Container, Habit, State, Status},
    step::{Step, Steps},
    surroundings::Surroundings,
    tasks::Effect,
};

#[derive(Debug, Clone)]
pub enum Work {
    Start {
        skiplock: bool,
    },
    Stop {
        skiplock: bool,
        overrule: bool,
    },
    Shutdown {
        timeout: i64,
        force: bool,
    },
    Reboot {
        timeout: i64,
    },
    Create(Box<create::Order>),
    Destroy(destroy::Order),
    /// Asks the HA manager to start or stop it.
    HaStart,
    HaStop,
}

impl Work {
    /// The task's type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "vzstart",
            Self::Stop { .. } => "vzstop",
            Self::Shutdown { .. } => "vzshutdown",
            Self::Reboot { .. } => "vzreboot",
            Self::Create(order) => order.kind(),
            Self::Destroy(_) => "vzdestroy",
            Self::HaStart => "hastart",
            Self::HaStop => "hastop",
        }
    }

    /// Whether the task holds the container's lock file while it works.
    pub fn locks(&self) -> bool {
        !matches!(self, Self::HaStart | Self::HaStop)
    }
}

type Plan = Vec<(Moment, Effect)>;

/// The steps of a task from the moment it has the lock, with the milliseconds after which each happens, and what is left to do when
/// it is stopped from outside.
pub fn plan(state: &State, node: &str, vmid: u32, work: Work, now: Moment) -> (Plan, Vec<Step>) {
    let around = Surroundings::of(state, node, vmid);
    if let Work::Create(order) = work {
        let has_pool = |pool: &str| state.access.has_pool(pool);
        let plan = around.with(|world| order.plan(&state.site(node, vmid, world, &has_pool, now)));
        return (effects(plan.steps), plan.when_aborted);
    }
    let Some(container) = state.container_on(node, vmid) else {
        return (at_once(&format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist")), Vec::new());
    };
    if let Work::Destroy(order) = work {
        let site = destroy::Site { storages: &state.storages, node, now: seconds(now), version: state.version };
        return (effects(order.plan(container.as_target(), &site)), Vec::new());
    }
    (change_power(container, &around, work), Vec::new())
}

/// Steps of a task that creates or destroys, as effects.
fn effects(steps: Steps) -> Plan {
    steps.into_iter().map(|(after, step)| (after, Effect::Step(step))).collect()
}

fn change_power(container: &Container, around: &Surroundings, work: Work) -> Plan {
    match work {
        Work::Start { skiplock } => {
            if container.config.is_set("template") {
                return at_once("you can't start a CT if it's a template"); // tmpl-05-start-template
            }
            if let Some(lock) = lock(container, skiplock).filter(|lock| *lock != "mounted") {
                return at_once(&locked(lock)); // lock-05-start-locked
            }
            // Somebody else was first, while it waited for the lock.
            if container.is_running() { at_once("OK") } else { start(container, around) }
        }
        Work::Stop { .. } | Work::Shutdown { .. } if container.status() == Status::Stopped => at_once("OK"),
        Work::Stop { skiplock, .. } => match lock(container, skiplock).filter(|lock| *lock != "mounted") {
            Some(lock) => at_once(&locked(lock)),
            // life-17-stop-timeline
            None => vec![(1_700, Effect::Stopped), (1_750, end("OK"))],
        },
        Work::Shutdown { timeout, force } => match lock(container, false) {
            Some(lock) => at_once(&locked(lock)), // lock-12-shutdown-locked-running
            None => shutdown(container, timeout, force),
        },
        Work::Reboot { timeout } => reboot(container, around, timeout),
        // Planned above.
        Work::Create(_) | Work::Destroy(_) => Vec::new(),
        // HA-managed: the task is done long before the container moves (DESIGN §8.8).
        Work::HaStart => hand_over(Work::Start { skiplock: false }, "started"),
        Work::HaStop => hand_over(Work::Shutdown { timeout: 60, force: true }, "stopped"),
    }
}

fn end(exit: &str) -> Effect {
    Effect::End(exit.to_owned())
}

fn at_once(exit: &str) -> Plan {
    vec![(40, end(exit))]
}

fn lock(container: &Container, skip: bool) -> Option<&str> {
    container.config.get("lock").filter(|_| !skip)
}

/// AbstractConfig.pm:336.
fn locked(lock: &str) -> String {
    format!("CT is locked ({lock})")
}

fn start(container: &Container, around: &Surroundings) -> Plan {
    let vmid = container.vmid;
    if let Err(text) = around.with(|world| check_lxc_config(&container.config, world)) {
        return vec![(180, end(&text))]; // life-40-start-fails-unknown-bridge-timeline
    }
    let started = |after| vec![(0, Effect::StartBegins), (after, Effect::Started), (after + 50, end("OK"))];
    match container.habit {
        Habit::RefusesToStart => vec![
            (0, Effect::StartBegins),
            (1_400, Effect::Complain("run_buffer: 571 Script exited with status 255".to_owned())),
            (1_400, Effect::Complain(format!("lxc_init: 845 Failed to run lxc.hook.pre-start for container \"{vmid}\""))),
            (1_400, Effect::Complain(format!("__lxc_start: 2034 Failed to initialize container \"{vmid}\""))),
            (1_500, end(&format!("startup for container '{vmid}' failed"))), // L:3121
        ],
        Habit::SlowToStart => started(20_000),
        Habit::StartHangs => started(40_000), // slow-02-start-blocked-40s-in-prestart-hook
        Habit::WarnsOnStart => vec![
            (0, Effect::StartBegins),
            (900, Effect::Log("WARN: Systemd 257 detected. You may need to enable nesting.".to_owned())),
            (1_800, Effect::Started),
            (1_850, end("WARNINGS: 1")),
        ],
        Habit::NeverFinishes => Vec::new(),
        // life-01-start-timeline
        _ => started(1_750),
    }
}

fn shutdown(container: &Container, timeout: i64, force: bool) -> Plan {
    let wait = timeout.saturating_mul(1000);
    match (container.habit, force) {
        // Measured: 11.4 s for 10, 21.5 s for 20; the log does not say that it was forced.
        (Habit::IgnoresShutdown, true) => vec![(wait + 1_350, Effect::Stopped), (wait + 1_400, end("OK"))],
        // Measured: 25 s for 10, 65 s for 30 (life-30-shutdown-timeout-not-reacting).
        (Habit::IgnoresShutdown, false) => {
            let command = format!("command 'lxc-stop -n {} --nokill --timeout {timeout}' failed: exit code 1", container.vmid);
            vec![(wait + 1_000, Effect::Complain(command)), (wait.saturating_mul(2) + 5_000, end("container did not stop"))]
        }
        _ => vec![(1_400, Effect::Stopped), (1_450, end("OK"))],
    }
}

/// A shutdown that kills, then a start (life-18-reboot-timeline; with a container that ignores it 12.8 s for a timeout of 10). It
/// does not look at the lock (FACTS §4).
fn reboot(container: &Container, around: &Surroundings, timeout: i64) -> Plan {
    let mut plan: Plan = shutdown(container, timeout, true).into_iter().filter(|(_, effect)| !matches!(effect, Effect::End(_))).collect();
    let stopped = plan.last().map_or(0, |(after, _)| *after);
    plan.extend(start(container, around).into_iter().map(|(after, effect)| (stopped + 100 + after, effect)));
    plan
}

fn hand_over(work: Work, ha: &'static str) -> Plan {
    vec![(800, Effect::HandOver { after: 8_000, work, ha }), (850, end("OK"))]
}
