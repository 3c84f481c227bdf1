//! What the simulated cluster is at a moment: nodes, containers, tasks, users; and [`State::settle`], by which time passes.
//!
//! No HTTP and no clock here: who asks brings the moment along.

use super::{
    access::Access,
    clock::Moment,
    config::{Config, World, change::apply_pending},
    create, destroy,
    lifecycle::{self, Work},
    samples::Samples,
    step::Step,
    storage::{self, Disks, Storage},
    surroundings::Surroundings,
    tasks::{Effect, Ended, Phase, Tasks},
    version::Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// Everything the simulator knows. It begins as a [`super::File`].
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) version: Version,
    /// Absent: one node, and no cluster.
    pub(super) cluster: Option<String>,
    /// `datacenter.cfg`, as `GET /cluster/options` gives it.
    pub(super) options: Map<String, Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) storages: Vec<Storage>,
    pub(super) containers: BTreeMap<u32, Container>,
    pub(super) machines: Vec<Machine>,
    pub(super) access: Access,
    pub(super) tasks: Tasks,
    pub(super) samples: Samples,
    /// How the next task of this request ends, where a fault wants that.
    pub(super) fails_next: Option<String>,
    /// How many times longer tasks take; 0 and 1 are as measured.
    pub(super) slowness: f64,
    /// Work that somebody has accepted and not yet begun: the HA manager, or a task that starts a container when it ends.
    pub(super) appointments: Vec<Appointment>,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub is_online: bool,
    pub cpus: u32,
    pub memory: u64,
    pub disk: u64,
    pub booted: Moment,
    /// Its network interfaces, as `GET …/network` gives them.
    pub network: Vec<Map<String, Value>>,
}

impl Node {
    /// Its own address: that of its first interface that has one.
    pub fn address(&self) -> Option<&str> {
        self.network.iter().find_map(|interface| interface.get("address")?.as_str())
    }

    /// Seconds since it was booted.
    pub fn uptime(&self, now: Moment) -> i64 {
        super::clock::seconds(now - self.booted).max(0)
    }
}

/// A QEMU guest, which is there so that clients have to filter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub vmid: u32,
    pub name: String,
    pub node: String,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub vmid: u32,
    pub node: String,
    pub config: Config,
    pub process: Process,
    /// LXC is at work on its start: reads that ask LXC about it block (slow-01, slow-02).
    pub is_starting: bool,
    pub habit: Habit,
    /// The HA manager's state of it, where it is managed.
    pub ha: Option<String>,
    /// How busy it is, from 0 to 1.
    pub load: f64,
    /// What the first sample of `/cluster/resources` says in the place of the truth.
    pub sample: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It does not.
    Stopped,
    Running {
        pid: u32,
        since: Moment,
    },
}

/// Stopped or running: there is nothing in between (life-01-start-timeline).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
}

impl Status {
    /// Proxmox's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// What goes wrong with a container, every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    #[default]
    Obeys,
    RefusesToStart,
    IgnoresShutdown,
    /// Its start takes 20 s.
    SlowToStart,
    /// Its start takes 40 s, so that reads run into 596 (slow-02).
    StartHangs,
    WarnsOnStart,
    /// Its start waits for a storage that never answers. LXC has not been asked yet, so reads go on.
    NeverFinishes,
    AnswersGarbage,
    /// Still in the samples, its configuration gone.
    Vanished,
}

#[derive(Debug, Clone)]
pub struct Appointment {
    pub at: Moment,
    pub vmid: u32,
    pub user: String,
    pub work: Work,
}

impl Container {
    /// One that has just been asked for.
    pub fn new(vmid: u32, node: &str, config: Config) -> Self {
        Self {
            vmid,
            node: node.to_owned(),
            config,
            process: Process::Stopped,
            is_starting: false,
            habit: Habit::Obeys,
            ha: None,
            load: 0.05,
            sample: Map::new(),
        }
    }

    pub fn as_target(&self) -> destroy::Target<'_> {
        destroy::Target { config: &self.config, is_running: self.is_running(), is_managed: self.ha.is_some() }
    }

    pub fn status(&self) -> Status {
        match self.process {
            Process::Stopped => Status::Stopped,
            Process::Running { .. } => Status::Running,
        }
    }

    pub fn is_running(&self) -> bool {
        self.status() == Status::Running
    }

    pub fn name(&self) -> String {
        self.config.get("hostname").map_or_else(|| format!("CT{}", self.vmid), str::to_owned)
    }

    pub fn has_config(&self) -> bool {
        self.habit != Habit::Vanished
    }
}

impl State {
    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The container that has its configuration on this node. Proxmox's text otherwise:
    /// `Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist` (basic-35).
    pub fn container_on(&self, node: &str, vmid: u32) -> Option<&Container> {
        self.containers.get(&vmid).filter(|container| container.node == node && container.has_config())
    }

    /// Sets whether and since when a container runs.
    pub fn set_process(&mut self, vmid: u32, process: Process) {
        if let Some(container) = self.containers.get_mut(&vmid) {
            container.process = process;
        }
    }

    /// The next moment at which a task or the HA manager does something by itself.
    pub fn next_due(&self) -> Option<Moment> {
        self.tasks.next_due().map(|(at, _)| at).into_iter().chain(self.appointments.iter().map(|a| a.at)).min()
    }

    /// Lets time pass up to `now`: whatever was due happens in its order, and the samples of `/cluster/resources` are taken in
    /// between.
    pub fn settle(&mut self, now: Moment) {
        loop {
            let due = self.next_due().filter(|at| *at <= now);
            self.take_samples(due.map_or(now, |at| at - 1));
            match due {
                Some(at) => self.run_next(at),
                None => return,
            }
        }
    }

    /// Ends every task that will ever end, now.
    pub fn finish_tasks(&mut self, now: Moment) {
        self.settle(now);
        while self.next_due().is_some() {
            self.run_next(now);
        }
    }

    /// Does the one thing that is due next, at the moment `at`.
    fn run_next(&mut self, at: Moment) {
        let appointment = self.appointments.iter().enumerate().min_by_key(|(_, a)| a.at).map(|(index, a)| (a.at, index));
        let task = self.tasks.next_due();
        if let Some((due, index)) = appointment
            && task.is_none_or(|(other, _)| due < other)
        {
            let appointment = self.appointments.swap_remove(index);
            self.keep_appointment(appointment, at);
        } else if let Some((_, index)) = task {
            self.run_task(index, at);
        }
    }

    /// Begins the work on the container's node.
    fn keep_appointment(&mut self, Appointment { vmid, user, work, .. }: Appointment, at: Moment) {
        if let Some(node) = self.containers.get(&vmid).map(|container| container.node.clone()) {
            self.begin_task(at, &node, vmid, &user, work);
        }
    }

    /// Makes a task and begins it, or lets it wait for the container's lock. Gives its UPID.
    pub fn begin_task(&mut self, now: Moment, node: &str, vmid: u32, user: &str, work: Work) -> String {
        if let Work::Stop { overrule: true, .. } = work {
            for index in 0..self.tasks.list.len() {
                let task = &self.tasks.list[index];
                if task.vmid() == vmid && task.kind == "vzshutdown" {
                    self.abort_task(index, now);
                }
            }
        }
        let booted = self.node(node).map_or(now, |node| node.booted);
        let fails = self.fails_next.take();
        let is_free = !work.locks() || self.tasks.lock_holder(vmid).is_none();
        let index = self.tasks.add(now, booted, node, vmid, user, work);
        if let Some(exit) = fails {
            self.tasks.list[index].phase = Phase::Working { steps: VecDeque::from([(now + 400, Effect::End(exit))]) };
        } else if is_free {
            self.start_working(index, now);
        } else {
            // Ten seconds, then it gives up (Tools.pm, lock_file_full; conc-03).
            let task = &mut self.tasks.list[index];
            task.log.push("trying to acquire lock...".to_owned());
            task.phase = Phase::Waiting { until: now + 10_000 };
        }
        self.tasks.list[index].upid.clone()
    }

    /// The cluster as somebody finds it who wants to make a container.
    pub fn site<'a>(
        &'a self,
        node: &'a str,
        vmid: u32,
        world: &'a World<'a>,
        has_pool: &'a dyn Fn(&str) -> bool,
        now: Moment,
    ) -> create::Site<'a> {
        let container = self.containers.get(&vmid).map(|container| create::Guest {
            node: &container.node,
            config: Some(&container.config),
            is_running: container.is_running(),
        });
        let machine = || self.machines.iter().find(|machine| machine.vmid == vmid);
        let guest = container.or_else(|| machine().map(|machine| create::Guest { node: &machine.node, config: None, is_running: true }));
        create::Site { node, storages: &self.storages, guest, has_pool, now: super::clock::seconds(now), world }
    }

    fn start_working(&mut self, index: usize, now: Moment) {
        let task = &mut self.tasks.list[index];
        let Some(work) = task.work.take() else { return };
        let (node, vmid) = (task.node.clone(), task.vmid());
        let (steps, when_aborted) = lifecycle::plan(self, &node, vmid, work, now);
        self.tasks.list[index].when_aborted = when_aborted;
        let factor = if self.slowness > 0.0 { self.slowness } else { 1.0 };
        let later = |after: Moment| now + (after as f64 * factor) as Moment;
        let steps: VecDeque<_> = steps.into_iter().map(|(after, effect)| (later(after), effect)).collect();
        self.tasks.list[index].phase = Phase::Working { steps };
        // What begins at once is seen by whoever asks next.
        while self.tasks.list[index].due().is_some_and(|due| due <= now) {
            self.run_task(index, now);
        }
    }

    fn run_task(&mut self, index: usize, at: Moment) {
        let vmid = self.tasks.list[index].vmid();
        let effect = match &mut self.tasks.list[index].phase {
            Phase::Waiting { .. } => Some(Effect::End(format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout"))),
            Phase::Working { steps } => steps.pop_front().map(|(_, effect)| effect),
            Phase::Ended(_) => None,
        };
        match effect {
            Some(Effect::Log(line)) => self.tasks.list[index].log.push(line),
            Some(Effect::Complain(line)) => self.tasks.complain(index, &line),
            Some(Effect::StartBegins) => {
                self.set_starting(vmid, true);
                let complaints = self.apply_pending(vmid);
                self.tasks.list[index].log.extend(complaints);
            }
            Some(Effect::Started) => {
                let pid = self.tasks.next_pid();
                self.set_starting(vmid, false);
                self.set_process(vmid, Process::Running { pid, since: at });
            }
            Some(Effect::Stopped) => self.stop(vmid),
            Some(Effect::Step(step)) => self.take(step, index, at),
            Some(Effect::HandOver { after, work, ha }) => {
                if let Some(container) = self.containers.get_mut(&vmid) {
                    container.ha = Some(ha.to_owned());
                }
                // The local resource manager does it as root.
                let user = super::access::ROOT.to_owned();
                self.appointments.push(Appointment { at: at + after, vmid, user, work });
            }
            Some(Effect::End(exit)) => self.end_task(index, at, &exit),
            None => {}
        }
    }

    /// A container that has stopped takes over what was pending (lxc-pve-poststop-hook:57).
    fn stop(&mut self, vmid: u32) {
        self.set_process(vmid, Process::Stopped);
        // What does not work stays pending, and nobody is told.
        self.apply_pending(vmid);
    }

    /// Puts pending changes in force. Gives what did not work, which stays pending.
    fn apply_pending(&mut self, vmid: u32) -> Vec<String> {
        let Some(node) = self.containers.get(&vmid).map(|container| container.node.clone()) else { return Vec::new() };
        let around = Surroundings::of(self, &node, vmid);
        let (now, version) = (0, self.version);
        let Some(container) = self.containers.get_mut(&vmid) else { return Vec::new() };
        let mut disks = Disks { storages: &mut self.storages, node: &node, now, version, log: Vec::new() };
        around.with(|world| apply_pending(&mut container.config, world, &mut disks))
    }

    /// Takes a step of a task that creates or destroys a container.
    fn take(&mut self, step: Step, index: usize, at: Moment) {
        let (vmid, user) = (self.tasks.list[index].vmid(), self.tasks.list[index].user.clone());
        let container = self.containers.get_mut(&vmid);
        match step {
            Step::Log(line) => self.tasks.list[index].log.push(line),
            Step::Place(volume) => {
                let name = storage::split_volid(&volume.volid).map(|(name, _)| name.to_owned());
                if let Some(storage) = self.storages.iter_mut().find(|storage| Some(&storage.name) == name.as_ref()) {
                    storage.add(volume);
                }
            }
            Step::Remove(volid) => {
                for storage in &mut self.storages {
                    storage.volumes.retain(|volume| volume.volid != volid);
                }
            }
            Step::Write(text) => {
                if let Some(container) = container {
                    container.config = Config::parse(text);
                }
            }
            Step::RemoveConfig => {
                self.containers.remove(&vmid);
            }
            Step::Join(pool) => self.access.add_to_pool(vmid, &pool),
            Step::ForgetAccess => self.access.forget_guest(vmid),
            Step::Stop => self.stop(vmid),
            Step::Manage(state) => {
                if let Some(container) = container {
                    container.ha = Some(state.to_owned());
                }
            }
            Step::Unmanage => {
                if let Some(container) = container {
                    container.ha = None;
                }
            }
            // Once this task has ended (create-18d-start-1-tasks-list).
            Step::Start => self.appointments.push(Appointment { at: at + 20, vmid, user, work: Work::Start { skiplock: false } }),
            Step::End(exit) => self.end_task(index, at, &exit),
        }
    }

    fn end_task(&mut self, index: usize, at: Moment, exit: &str) {
        let task = &self.tasks.list[index];
        let (vmid, held_lock) = (task.vmid(), task.holds_lock());
        self.tasks.end(index, Ended { at, exit: exit.to_owned() });
        if !held_lock {
            return;
        }
        self.set_starting(vmid, false);
        if let Some(next) = self.tasks.list.iter().position(|task| task.vmid() == vmid && matches!(task.phase, Phase::Waiting { .. })) {
            self.tasks.list[next].log.push(" OK".to_owned());
            self.start_working(next, at);
        }
    }

    /// Stops a task: `DELETE …/tasks/{upid}`, or a stop with `overrule-shutdown`. A shutdown takes five seconds to give way and
    /// leaves no last line; others end as interrupted (REAL, Tasks).
    pub fn abort_task(&mut self, index: usize, now: Moment) {
        let task = &mut self.tasks.list[index];
        let (after, exit) = if task.kind == "vzshutdown" { (5_000, "unexpected status") } else { (1_000, "received interrupt") };
        let cleaning = std::mem::take(&mut task.when_aborted).into_iter().map(|step| (now + after, Effect::Step(step)));
        match &mut task.phase {
            Phase::Waiting { .. } => self.end_task(index, now, "received interrupt"),
            Phase::Working { steps } => {
                *steps = cleaning.chain([(now + after, Effect::End(exit.to_owned()))]).collect();
            }
            Phase::Ended(_) => {}
        }
    }

    fn set_starting(&mut self, vmid: u32, is_starting: bool) {
        if let Some(container) = self.containers.get_mut(&vmid) {
            container.is_starting = is_starting;
        }
    }

    /// Whether a read of this container, or of the node's whole list, would block.
    pub fn is_starting(&self, node: &str, vmid: Option<u32>) -> bool {
        self.containers.values().any(|c| c.is_starting && c.node == node && vmid.is_none_or(|vmid| c.vmid == vmid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxmox::ids::Upid;

    const T: Moment = 1_795_368_389_000;

    fn demo() -> State {
        State::demo(T).unwrap()
    }

    fn vmid(state: &State, name: &str) -> u32 {
        state.containers.values().find(|c| c.name() == name).expect(name).vmid
    }

    fn start(state: &mut State, name: &str) -> (u32, usize) {
        let vmid = vmid(state, name);
        let node = state.containers[&vmid].node.clone();
        let upid = state.begin_task(T, &node, vmid, "alice@pve", Work::Start { skiplock: false });
        (vmid, state.tasks.position(&upid).unwrap())
    }

    #[test]
    fn a_upid_is_one_that_clients_can_read() {
        let mut state = demo();
        let (vmid, index) = start(&mut state, "web");
        let upid: Upid = state.tasks.list[index].upid.parse().unwrap();
        assert_eq!((upid.node().as_str(), upid.kind(), upid.id(), upid.user()), ("pve1", "vzstart", &*vmid.to_string(), "alice@pve"));
        assert!(upid.as_str().contains(":6B0325C5:"), "{upid}");
    }

    #[test]
    fn a_container_stays_stopped_until_its_start_is_done() {
        let mut state = demo();
        let (vmid, index) = start(&mut state, "web");
        state.settle(T + 1_000);
        assert_eq!(state.containers[&vmid].status(), Status::Stopped);
        assert!(state.is_starting("pve1", Some(vmid)));
        state.settle(T + 5_000);
        assert_eq!(state.containers[&vmid].status(), Status::Running);
        assert!(!state.is_starting("pve1", None));
        assert_eq!(state.tasks.list[index].exit(), Some("OK"));
        assert_eq!(state.tasks.list[index].log, ["TASK OK"]);
    }

    #[test]
    fn the_start_of_a_locked_container_fails_as_a_task() {
        let mut state = demo();
        let web = vmid(&state, "web");
        state.containers.get_mut(&web).unwrap().config.set("lock", Some("backup"));
        let (_, index) = start(&mut state, "web");
        state.finish_tasks(T);
        assert_eq!(state.tasks.list[index].exit(), Some("CT is locked (backup)"));
        assert_eq!(state.tasks.list[index].log, ["TASK ERROR: CT is locked (backup)"]);
        assert_eq!(state.containers[&web].status(), Status::Stopped);
    }

    #[test]
    fn a_shutdown_that_is_ignored_takes_twice_its_timeout_and_five_seconds() {
        let mut state = demo();
        let vmid = vmid(&state, "ignores-shutdown");
        let upid = state.begin_task(T, "pve1", vmid, "root@pam", Work::Shutdown { timeout: 10, force: false });
        let index = state.tasks.position(&upid).unwrap();
        state.settle(T + 24_999);
        assert_eq!(state.tasks.list[index].exit(), None);
        state.settle(T + 25_000);
        assert_eq!(state.tasks.list[index].exit(), Some("container did not stop"));
        let upid = state.begin_task(T + 30_000, "pve1", vmid, "root@pam", Work::Shutdown { timeout: 10, force: true });
        state.settle(T + 30_000 + 11_400);
        assert_eq!(state.tasks.find(&upid).unwrap().exit(), Some("OK"));
        assert_eq!(state.containers[&vmid].status(), Status::Stopped);
    }

    #[test]
    fn a_task_that_waits_for_the_lock_gives_up_after_ten_seconds() {
        let mut state = demo();
        let vmid = vmid(&state, "ignores-shutdown");
        state.begin_task(T, "pve1", vmid, "root@pam", Work::Shutdown { timeout: 60, force: false });
        let upid = state.begin_task(T, "pve1", vmid, "root@pam", Work::Stop { skiplock: false, overrule: false });
        state.settle(T + 10_000);
        let task = state.tasks.find(&upid).unwrap();
        assert_eq!(task.log[0], "trying to acquire lock...");
        assert_eq!(task.exit(), Some(format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout").as_str()));
    }

    #[test]
    fn a_queued_task_goes_on_when_the_lock_is_free() {
        let mut state = demo();
        let (vmid, _) = start(&mut state, "web");
        let upid = state.begin_task(T, "pve1", vmid, "root@pam", Work::Stop { skiplock: false, overrule: false });
        state.finish_tasks(T);
        assert_eq!(state.tasks.find(&upid).unwrap().log, ["trying to acquire lock...", " OK", "TASK OK"]);
        assert_eq!(state.containers[&vmid].status(), Status::Stopped);
    }

    #[test]
    fn what_never_finishes_does_not_finish_but_can_be_aborted() {
        let mut state = demo();
        let (_, index) = start(&mut state, "never-finishes");
        state.finish_tasks(T);
        state.settle(T + 86_400_000);
        assert_eq!(state.tasks.list[index].exit(), None);
        state.abort_task(index, T + 86_400_000);
        state.finish_tasks(T + 86_400_000);
        assert_eq!(state.tasks.list[index].exit(), Some("received interrupt"));
    }

    #[test]
    fn an_ha_managed_container_moves_after_its_task_is_done() {
        let mut state = demo();
        let vmid = vmid(&state, "ha-managed");
        let node = state.containers[&vmid].node.clone();
        let upid = state.begin_task(T, &node, vmid, "root@pam", Work::HaStop);
        state.settle(T + 2_000);
        assert_eq!(state.tasks.find(&upid).unwrap().exit(), Some("OK"));
        assert_eq!(state.containers[&vmid].status(), Status::Running);
        state.settle(T + 60_000);
        assert_eq!(state.containers[&vmid].status(), Status::Stopped);
    }
}
