//! What a verb may do to a container as it is now, and what comes after each of its calls. Pure: nothing is asked and nothing is written.

use super::model::{Call, Verb};
use crate::{
    containers::{model::Status, service::status_of},
    error::{AppError, Lock},
    proxmox::{ids::Vmid, wire::LxcStatus},
};

/// A container as it was read a moment ago, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Which.
    pub vmid: Vmid,
    /// Whether it runs.
    pub status: Status,
    /// What holds its configuration.
    pub lock: Option<Lock>,
    /// A template cannot be started.
    pub template: bool,
    /// Protected against removal.
    pub protected: bool,
    /// Whether high availability looks after it.
    pub ha: bool,
    /// Whether the user may remove it (VM.Allocate); none where nobody asked.
    pub may_allocate: Option<bool>,
}

impl Live {
    /// From what was read: its status, and of its configuration whether it is protected.
    pub fn of(vmid: Vmid, status: &LxcStatus, protected: bool, may_allocate: Option<bool>) -> Self {
        Self {
            vmid,
            status: status_of(Some(&status.status)),
            lock: status.lock.as_deref().map(Lock::of),
            template: status.template,
            protected,
            ha: status.ha.as_ref().is_some_and(|ha| ha.managed),
            may_allocate,
        }
    }
}

/// The first call of a verb, where it is allowed. Who may start and stop, Proxmox decides at the call; what a deletion needs is looked at
/// here, because it may begin with a stop.
pub fn allowed(verb: Verb, live: &Live) -> Result<Call, AppError> {
    let vmid = live.vmid;
    if verb == Verb::Delete {
        if live.may_allocate == Some(false) {
            return Err(AppError::Forbidden { vmid: Some(vmid) });
        }
        if live.protected {
            return Err(AppError::Protected { vmid });
        }
        if live.ha {
            return Err(AppError::HaManaged { vmid });
        }
    } else if live.template {
        return Err(AppError::IsTemplate { vmid });
    }
    let call = match (verb, live.status) {
        (_, Status::Unknown) => return Err(AppError::StatusUnknown { vmid }),
        (Verb::Start, Status::Running) => return Err(AppError::AlreadyRunning { vmid }),
        (Verb::Stop | Verb::Shutdown, Status::Stopped) => return Err(AppError::NotRunning { vmid }),
        (Verb::Start | Verb::Restart, Status::Stopped) => Call::Start,
        (Verb::Stop | Verb::Delete, Status::Running) => Call::Stop,
        (Verb::Shutdown | Verb::Restart, Status::Running) => Call::Shutdown,
        (Verb::Delete, Status::Stopped) => Call::Delete,
    };
    match live.lock {
        // `mounted` does not stop start or stop (PVE/API2/LXC/Status.pm); a shutdown and a removal it does
        Some(Lock::Mounted) if matches!(verb, Verb::Start | Verb::Stop) => Ok(call),
        Some(lock) => Err(AppError::ContainerLocked { vmid, lock }),
        None => Ok(call),
    }
}

/// How a call came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what it should.
    Done,
    /// A clean shutdown to which the container did not listen.
    DidNotStop,
    /// Our own time ran out, and the task goes on.
    Late,
    /// The task was broken off, by us where the call is [`Call::Abort`].
    Cancelled,
    /// Anything else.
    Failed,
}

/// What comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another call.
    Call(Call),
    /// Waiting on for the same task.
    Wait,
    /// The verb has done what it should.
    Finish,
    /// It has failed.
    Fail,
}

/// What comes after a call. `falls_back`: whether a shutdown that does not come to its end is followed by a hard stop; only that end of
/// a shutdown is, and our own time running out, never a refusal, a lock or a task that somebody broke off.
pub fn next(verb: Verb, call: Call, end: End, falls_back: bool) -> Next {
    match (call, end) {
        (Call::Shutdown, End::Late) if falls_back => Next::Call(Call::Abort),
        (_, End::Late) => Next::Wait,
        (Call::Shutdown, End::DidNotStop) if falls_back => Next::Call(Call::Stop),
        (Call::Abort, End::Cancelled | End::DidNotStop) => Next::Call(Call::Stop),
        (Call::Stop | Call::Shutdown | Call::Abort, End::Done) => match verb {
            Verb::Restart => Next::Call(Call::Start),
            Verb::Delete => Next::Call(Call::Delete),
            Verb::Start | Verb::Stop | Verb::Shutdown => Next::Finish,
        },
        (Call::Start | Call::Delete, End::Done) => Next::Finish,
        (_, End::DidNotStop | End::Cancelled | End::Failed) => Next::Fail,
    }
}

/// Whether the types of task are those that a call begins; under HA it is another one.
pub fn begins(call: Call, kind: &str) -> bool {
    match call {
        Call::Start => matches!(kind, "vzstart" | "hastart"),
        Call::Stop => matches!(kind, "vzstop" | "hastop"),
        Call::Shutdown => matches!(kind, "vzshutdown" | "hastop"),
        Call::Delete => kind == "vzdestroy",
        Call::Abort => false,
    }
}

/// What a container does once a call has done what it should; none where it is gone.
pub fn goal(call: Call) -> Option<Status> {
    match call {
        Call::Start => Some(Status::Running),
        Call::Stop | Call::Shutdown | Call::Abort => Some(Status::Stopped),
        Call::Delete => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(status: Status) -> Live {
        let vmid = 101.try_into().unwrap();
        Live { vmid, status, lock: None, template: false, protected: false, ha: false, may_allocate: Some(true) }
    }

    #[test]
    fn each_verb_begins_with_its_call_or_has_a_named_answer() {
        let (running, stopped, unknown) = (live(Status::Running), live(Status::Stopped), live(Status::Unknown));
        let vmid = running.vmid;
        for (verb, when_running, when_stopped) in [
            (Verb::Start, Err(AppError::AlreadyRunning { vmid }), Ok(Call::Start)),
            (Verb::Stop, Ok(Call::Stop), Err(AppError::NotRunning { vmid })),
            (Verb::Shutdown, Ok(Call::Shutdown), Err(AppError::NotRunning { vmid })),
            (Verb::Restart, Ok(Call::Shutdown), Ok(Call::Start)),
            (Verb::Delete, Ok(Call::Stop), Ok(Call::Delete)),
        ] {
            assert_eq!(allowed(verb, &running), when_running, "{verb:?}");
            assert_eq!(allowed(verb, &stopped), when_stopped, "{verb:?}");
            assert_eq!(allowed(verb, &unknown), Err(AppError::StatusUnknown { vmid }), "{verb:?}");
            let locked = |lock| allowed(verb, &Live { lock: Some(lock), ..if when_running.is_ok() { running } else { stopped } });
            assert_eq!(locked(Lock::Backup), Err(AppError::ContainerLocked { vmid, lock: Lock::Backup }), "{verb:?}");
            assert_eq!(locked(Lock::Mounted).is_ok(), matches!(verb, Verb::Start | Verb::Stop), "{verb:?}");
            let template = allowed(verb, &Live { template: true, ..stopped });
            assert_eq!(template == Err(AppError::IsTemplate { vmid }), verb != Verb::Delete, "{verb:?}");
        }
    }

    #[test]
    fn a_deletion_is_refused_before_anything_is_stopped() {
        let running = live(Status::Running);
        let vmid = running.vmid;
        let delete = |live| allowed(Verb::Delete, &live);
        assert_eq!(delete(Live { protected: true, ..running }), Err(AppError::Protected { vmid }));
        assert_eq!(delete(Live { ha: true, ..running }), Err(AppError::HaManaged { vmid }));
        assert_eq!(delete(Live { may_allocate: Some(false), ..running }), Err(AppError::Forbidden { vmid: Some(vmid) }));
        assert_eq!(allowed(Verb::Stop, &Live { protected: true, ha: true, may_allocate: Some(false), ..running }), Ok(Call::Stop));
    }

    #[test]
    fn a_shutdown_falls_back_only_where_it_did_not_come_to_its_end() {
        let after = |end, falls_back| next(Verb::Shutdown, Call::Shutdown, end, falls_back);
        assert_eq!(after(End::DidNotStop, true), Next::Call(Call::Stop));
        assert_eq!(after(End::Late, true), Next::Call(Call::Abort));
        assert_eq!((after(End::DidNotStop, false), after(End::Late, false)), (Next::Fail, Next::Wait));
        assert_eq!((after(End::Cancelled, true), after(End::Failed, true), after(End::Done, true)), (Next::Fail, Next::Fail, Next::Finish));
        let aborted = |end| next(Verb::Shutdown, Call::Abort, end, true);
        assert_eq!((aborted(End::Cancelled), aborted(End::Done)), (Next::Call(Call::Stop), Next::Finish));
    }

    #[test]
    fn a_restart_and_a_deletion_go_on_after_the_stop() {
        for call in [Call::Shutdown, Call::Abort, Call::Stop] {
            assert_eq!(next(Verb::Restart, call, End::Done, true), Next::Call(Call::Start));
        }
        assert_eq!(next(Verb::Delete, Call::Stop, End::Done, true), Next::Call(Call::Delete));
        assert_eq!(next(Verb::Delete, Call::Delete, End::Done, true), Next::Finish);
        assert_eq!(next(Verb::Restart, Call::Start, End::Failed, true), Next::Fail);
    }
}
