//! The cluster `demo`, which stands in `demo.toml`.

use super::file::File;

const DEMO: &str = include_str!("demo.toml");

impl File {
    /// The demo cluster.
    ///
    /// # Panics
    /// When the file that was built in is wrong.
    pub fn demo() -> Self {
        Self::parse(DEMO).expect("demo.toml was read by a test")
    }
}

#[cfg(test)]
impl super::state::State {
    pub fn demo(now: super::clock::Moment) -> Result<Self, super::file::FileError> {
        File::demo().into_state(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{
        clock::Moment,
        state::{Container, State},
    };
    use std::collections::BTreeSet;

    const NOW: Moment = 1_795_368_389_000;

    #[test]
    fn the_demo_has_what_tests_count_on() {
        let state = State::demo(NOW).unwrap();
        let find = |name: &str| state.containers.values().find(|c| c.name() == name).expect(name);
        for stopped in ["web", "worker"] {
            assert_eq!((find(stopped).status().as_str(), find(stopped).node.as_str()), ("stopped", "pve1"));
        }
        let (mut names, mut macs) = (BTreeSet::new(), BTreeSet::new());
        for container in state.containers.values() {
            assert!(names.insert(container.name()), "{}", container.name());
            assert!(macs.insert(container.config.get("net0").unwrap().to_owned()), "{}", container.name());
        }
        let may = |c: &&Container| state.access.allows("bob@pve", &format!("/vms/{}", c.vmid), "VM.PowerMgmt");
        assert_eq!(state.containers.values().filter(may).map(Container::name).collect::<Vec<_>>(), ["web", "worker", "grafana"]);
    }

    #[test]
    fn a_state_that_is_written_and_read_again_is_the_same() {
        let first = File::of_state(&State::demo(NOW).unwrap(), NOW);
        let again = File::of_state(&first.clone().into_state(0).unwrap(), NOW);
        assert_eq!(serde_json::to_value(first).unwrap(), serde_json::to_value(again).unwrap());
    }
}
