//! Whether a container is still the one that we know: a vmid can be given to another one, and then nothing may be done to it under the
//! old row.
//!
//! The MAC addresses of its interfaces tell: Proxmox makes new ones for a new container, while a re-created one can have the number, the
//! name and the names of the volumes of its predecessor (REAL.md, Tasks). Where there are none to compare, the task that made the container
//! tells, and where that one is not seen, whoever asks has to type the name.
//!
//! Checking and then acting is not one step at Proxmox: who re-creates a container in the moment between both is not noticed.

use crate::proxmox::{
    config::NetworkInterface,
    ids::Upid,
    wire::{LxcConfig, NodeTask},
};
use std::{collections::BTreeSet, fmt};

/// The tasks that make a container anew under a vmid.
pub const MAKERS: [&str; 2] = ["vzcreate", "vzrestore"];

/// What a container was recognised by when it was last looked at, as it stands in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fingerprint {
    /// The MAC addresses of its interfaces; at least one.
    Macs(BTreeSet<String>),
    /// It has no interface; this task made it.
    Task(Upid),
    /// It has no interface, and nobody saw how it was made.
    Nothing,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the same container.
    Same,
    /// It is another one.
    Another,
    /// Nothing tells.
    Unclear,
}

/// The MAC addresses in a configuration, in capitals.
pub fn macs(config: &LxcConfig) -> BTreeSet<String> {
    let is_net = |name: &str| name.strip_prefix("net").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let interfaces = config.options.iter().filter(|(name, _)| is_net(name));
    let parsed = interfaces.filter_map(|(_, text)| text.parse::<NetworkInterface>().ok()?.hwaddr);
    parsed.map(|mac| mac.to_string().to_uppercase()).collect()
}

/// The newest task that made the container, among those that are seen.
pub fn maker(tasks: &[NodeTask]) -> Option<&Upid> {
    let makers = tasks.iter().map(|task| &task.upid).filter(|upid| MAKERS.contains(&upid.kind()));
    makers.max_by_key(|upid| upid.starttime())
}

impl Fingerprint {
    /// Of what is seen now.
    pub fn of(macs: BTreeSet<String>, maker: Option<&Upid>) -> Self {
        match maker {
            _ if !macs.is_empty() => Self::Macs(macs),
            Some(upid) => Self::Task(upid.clone()),
            None => Self::Nothing,
        }
    }

    /// What stands in a row; none where it cannot be read.
    pub fn read(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some(("mac", list)) => Some(Self::Macs(list.split(',').map(str::to_owned).collect())),
            Some(("task", upid)) => upid.parse().ok().map(Self::Task),
            _ => (text == "nothing").then_some(Self::Nothing),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Macs(macs) => write!(f, "mac {}", macs.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
            Self::Task(upid) => write!(f, "task {upid}"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// What a container is to be known by that nobody has looked at before. Its maker is asked for only where it has no interface.
pub async fn first<E>(macs: BTreeSet<String>, maker: impl AsyncFnOnce() -> Result<Option<Upid>, E>) -> Result<Fingerprint, E> {
    let maker = if macs.is_empty() { maker().await? } else { None };
    Ok(Fingerprint::of(macs, maker.as_ref()))
}

/// Compares what stands in the row with the interfaces that are there now. None: that does not tell, and [`by_task`] has to.
pub fn by_macs(known: &Fingerprint, seen: &BTreeSet<String>) -> Option<Verdict> {
    match known {
        Fingerprint::Macs(known) if !seen.is_empty() => Some(if known.is_disjoint(seen) { Verdict::Another } else { Verdict::Same }),
        _ => None,
    }
}

/// Compares by the newest task that made a container of this vmid. `known_since` is when our row was made, in seconds since 1970.
///
/// A task that began after that made another container. The one that we know, or one that began before, made the same.
pub fn by_task(known: &Fingerprint, maker: Option<&Upid>, known_since: i64) -> Verdict {
    match (known, maker) {
        (_, None) => Verdict::Unclear,
        (Fingerprint::Task(known), Some(maker)) if known == maker => Verdict::Same,
        (_, Some(maker)) if maker.starttime() > known_since => Verdict::Another,
        // the one that we know is not seen by this user
        (Fingerprint::Task(_), Some(_)) => Verdict::Unclear,
        (Fingerprint::Macs(_) | Fingerprint::Nothing, Some(_)) => Verdict::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(options: &[(&str, &str)]) -> LxcConfig {
        LxcConfig { options: options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), ..LxcConfig::default() }
    }

    fn known(macs: &str) -> Fingerprint {
        Fingerprint::read(&format!("mac {macs}")).unwrap()
    }

    fn made(kind: &str, at: i64) -> Upid {
        format!("UPID:pve1:00000741:00029807:{at:08X}:{kind}:103:a@pve:").parse().unwrap()
    }

    #[test]
    fn one_common_interface_makes_it_the_same_and_none_another() {
        let seen = macs(&config(&[
            ("net0", "name=eth0,bridge=vmbr0,hwaddr=bc:24:11:00:00:01"),
            ("net1", "name=eth1,hwaddr=BC:24:11:00:00:02"),
            ("nets", "name=eth2,hwaddr=BC:24:11:00:00:03"),
        ]));
        assert_eq!(Fingerprint::of(seen.clone(), None).to_string(), "mac BC:24:11:00:00:01,BC:24:11:00:00:02");
        assert_eq!(by_macs(&known("BC:24:11:00:00:02,BC:24:11:00:00:09"), &seen), Some(Verdict::Same));
        assert_eq!(by_macs(&known("BC:24:11:00:00:09"), &seen), Some(Verdict::Another));
        assert_eq!(by_macs(&known("BC:24:11:00:00:09"), &BTreeSet::new()), None);
        assert_eq!(by_macs(&Fingerprint::Nothing, &seen), None);
    }

    #[test]
    fn without_interfaces_the_task_that_made_it_tells() {
        let (old, new) = (made("vzcreate", 1000), made("vzrestore", 3000));
        assert_eq!(by_task(&Fingerprint::Task(old.clone()), Some(&old), 2000), Verdict::Same);
        assert_eq!(by_task(&Fingerprint::Task(old.clone()), Some(&new), 2000), Verdict::Another);
        assert_eq!(by_task(&Fingerprint::Nothing, Some(&old), 2000), Verdict::Same);
        assert_eq!(by_task(&known("BC:24:11:00:00:09"), Some(&new), 2000), Verdict::Another);
        assert_eq!(by_task(&Fingerprint::Task(new), Some(&old), 5000), Verdict::Unclear);
        assert_eq!(by_task(&Fingerprint::Nothing, None, 2000), Verdict::Unclear);
    }

    #[test]
    fn what_stands_in_a_row_can_be_read_again() {
        let macs = BTreeSet::from(["BC:24:11:00:00:01".to_owned()]);
        for print in [Fingerprint::Macs(macs), Fingerprint::Task(made("vzcreate", 1)), Fingerprint::Nothing] {
            assert_eq!(Fingerprint::read(&print.to_string()), Some(print));
        }
        assert_eq!(Fingerprint::read("odd"), None);
    }
}
