//! One call at a time for what blocks while a container starts.
//!
//! Such calls hold Proxmox's few workers until they are answered, whoever has gone away meanwhile; asked again and again they bring the
//! whole node to a stop (REAL.md, State). So each container has a turn, and each node one for its list, for all users of a connection.

use super::ids::{NodeName, Vmid};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::OwnedMutexGuard;

/// What is asked about: a container, or all of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(pub NodeName, pub Option<Vmid>);

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<Subject, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for one's turn, which lasts as long as the guard is held.
    pub async fn take(&self, subject: &Subject) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = turns.get(subject).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::default();
                turns.insert(subject.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn one_at_a_time_for_each_subject() {
        let turns = Turns::default();
        let subject = |vmid: u32| Subject("pve1".parse().unwrap(), vmid.try_into().ok());
        let first = turns.take(&subject(101)).await;
        let _other = turns.take(&subject(102)).await;
        assert!(tokio::time::timeout(Duration::from_millis(1), turns.take(&subject(101))).await.is_err());
        drop(first);
        let _again = turns.take(&subject(101)).await;
        assert_eq!(turns.0.lock().unwrap().len(), 2);
    }
}
