//! What a task does that creates or destroys a container, as data: it is planned when the task begins and carried out as time passes.
//!
//! Not here: who plans ([`super::create`], [`super::destroy`]) and who carries it out.

use super::{clock::Moment, storage::Volume};

/// One thing that happens in such a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A line of the task's log.
    Log(String),
    /// A volume appears on its storage.
    Place(Volume),
    /// A volume disappears, if it is there.
    Remove(String),
    /// The configuration file has this text from now on.
    Write(String),
    RemoveConfig,
    /// The container joins a pool.
    Join(String),
    /// Access lists and pools forget the container.
    ForgetAccess,
    /// The container is stopped.
    Stop,
    /// The HA manager takes the container over, in this state.
    Manage(&'static str),
    /// The HA manager forgets the container.
    Unmanage,
    /// A task starts the container, on behalf of the same user.
    Start,
    /// The task ends with this.
    End(String),
}

/// Steps with the milliseconds from the beginning of the work after which each is taken.
pub type Steps = Vec<(Moment, Step)>;
