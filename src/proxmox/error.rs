//! What went wrong at Proxmox, by call and cause.
//!
//! Proxmox answers nearly every refusal with status 500 and a sentence; the table in [`Cause::of_text`] is the only place that
//! reads such sentences. A sentence that is not in it stays [`Cause::Other`]: nothing is guessed.

use super::{
    ids::{NodeName, Vmid},
    tls::{Fingerprint, PinMismatch},
};
use std::{collections::BTreeMap, error::Error as StdError, fmt, time::Duration};

/// A call that did not end as hoped.
#[derive(Debug)]
pub struct Error {
    /// The call, as method and path pattern: `POST /nodes/{node}/lxc/{vmid}/status/start`.
    pub call: &'static str,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.call)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.cause)
    }
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A container, on the node that was asked.
    Container,
    /// A node.
    Node,
    /// A storage.
    Storage,
    /// A snapshot.
    Snapshot,
    /// A task, or its log.
    Task,
}

/// Why a call failed. The texts in it are Proxmox's own: for the log, never for a browser.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection: refused, no route, name not found, or cut before the whole answer was there.
    #[error("no connection to the cluster")]
    Unreachable(#[source] reqwest::Error),
    /// The certificate is not the one we trust. Nothing was sent.
    #[error("the certificate is not trusted (expected {expected:?}, seen {seen:?})")]
    Untrusted {
        /// The pinned fingerprint, where one is pinned.
        expected: Option<Fingerprint>,
        /// What the server showed, where we came to look at it.
        seen: Option<Fingerprint>,
    },
    /// No whole answer within the limit.
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
    /// 401: the ticket or token is dead, the password is wrong, or there was none.
    #[error("not signed in: {0}")]
    SignedOut(String),
    /// 403, with the path and privilege where Proxmox names them (`Permission check failed (/vms/101, VM.PowerMgmt)`).
    #[error("forbidden: {text}")]
    Forbidden {
        /// What the privilege was asked for, such as `/vms/101`.
        path: Option<String>,
        /// The privilege Proxmox asked for, such as `VM.PowerMgmt`; several that would do are joined by `|`.
        privilege: Option<String>,
        /// Proxmox's own words.
        text: String,
    },
    /// Parameters refused: the reason by name. Nothing stands in it where Proxmox names none.
    #[error("parameters refused: {fields:?} ({text})")]
    Invalid {
        /// By parameter; `net0.ip` is a part of one.
        fields: BTreeMap<String, String>,
        /// Proxmox's own words.
        text: String,
    },
    /// The container's configuration is locked: by what.
    #[error("locked: {0}")]
    Locked(String),
    /// Something else works on it at this moment and did not end in time.
    #[error("busy: {0}")]
    Busy(String),
    /// There is no such thing.
    #[error("no such {what:?}: {text}")]
    NotFound {
        /// What it would have been.
        what: Thing,
        /// Proxmox's own words.
        text: String,
    },
    /// The vmid is taken.
    #[error("it exists already: {0}")]
    AlreadyExists(String),
    /// Started while running.
    #[error("already running")]
    AlreadyRunning,
    /// Stopped, shut down or restarted while not running.
    #[error("not running")]
    NotRunning,
    /// To be removed while running.
    #[error("it is running and would have to be stopped")]
    MustBeStopped,
    /// A clean shutdown to which the container did not listen.
    #[error("it did not stop")]
    DidNotStop,
    /// Protected against removal.
    #[error("it is protected")]
    Protected,
    /// High availability looks after it.
    #[error("it is managed by HA")]
    HaManaged,
    /// A template cannot be started.
    #[error("it is a template")]
    IsTemplate,
    /// A task that somebody aborted or overruled.
    #[error("it was broken off")]
    Cancelled,
    /// The configuration has changed since it was read.
    #[error("the configuration was changed by somebody else")]
    DigestMismatch,
    /// A storage that is there, but not to be used.
    #[error("the storage cannot be used: {0}")]
    StorageUnavailable(String),
    /// Most nodes are away: nothing can be changed.
    #[error("the cluster has no quorum")]
    NoQuorum,
    /// The cluster answers, the node does not (595, 596, 599 of the proxying node).
    #[error("the node does not answer: {status} {text}")]
    NodeUnreachable {
        /// 595: no connection, 596: no answer in time, 599: anything else.
        status: u16,
        /// Proxmox's own words.
        text: String,
    },
    /// A task came to an end that is neither `OK` nor `WARNINGS`.
    #[error("the task ended with {exitstatus:?}; end of its log: {log:?}")]
    TaskFailed {
        /// The exit status.
        exitstatus: String,
        /// The last lines of the task's log.
        log: Vec<String>,
        /// What the exit status means, where the table knows it.
        meaning: Option<Box<Cause>>,
    },
    /// This version of Proxmox has no such call.
    #[error("not implemented there: {0}")]
    NotImplemented(String),
    /// The answer is not what the API promises.
    #[error("unintelligible answer: {0}")]
    Protocol(String),
    /// A refusal in words that we do not know.
    #[error("refused: {status} {text}")]
    Other {
        /// The HTTP status.
        status: u16,
        /// Proxmox's own words.
        text: String,
    },
}

/// What a sentence means; it is given what stood in the sentence's gaps, and the sentence.
type Meaning = fn(gaps: &[&str], text: &str) -> Cause;

fn not_found(what: Thing, text: &str) -> Cause {
    Cause::NotFound { what, text: text.to_owned() }
}

/// What Proxmox says where a node has no such container, word for word (AbstractConfig.pm:57).
pub fn missing_configuration(node: &NodeName, vmid: Vmid) -> String {
    format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist")
}

/// The sentences that we know, as a reason phrase, a message, or the exit status of a task. `{}` is a gap for any text, `{n}` for a
/// number. Behind each its source: `ST` is PVE/API2/LXC/Status.pm, `LXC` PVE/API2/LXC.pm, `L` PVE/LXC.pm; or a recording.
const SENTENCES: &[(&str, Meaning)] = &[
    ("CT {n} already running", |_, _| Cause::AlreadyRunning), // ST:162; auth-31
    ("CT {n} not running", |_, _| Cause::NotRunning),         // ST:264, ST:363; life-12, life-13
    ("VM {n} not running", |_, _| Cause::NotRunning),         // ST:542: a reboot says VM
    ("container did not stop", |_, _| Cause::DidNotStop),     // L:3270; exit status of life-30
    ("unexpected status", |_, _| Cause::Cancelled), // RE:520-747: a worker that was killed; exit status of an overruled shutdown (REAL.md, Tasks)
    ("received interrupt", |_, _| Cause::Cancelled), // RE:520-747: a worker that was asked to end
    ("you can't start a CT if it's a template", |_, _| Cause::IsTemplate), // ST:191; exit status of tmpl-05
    ("CT is locked ({})", |gaps, _| Cause::Locked(gaps[0].to_owned())), // AbstractConfig.pm:339; lock-09, lock-05
    ("can't lock file '{}' - got timeout", |_, text| Cause::Busy(text.to_owned())), // Tools.pm:157, 264; conc-03
    ("Configuration file 'nodes/{}.conf' does not exist", |_, text| not_found(Thing::Container, text)), // AbstractConfig.pm:57; basic-35
    ("hostname lookup '{}' failed - {}", |_, text| not_found(Thing::Node, text)), // Network.pm:891; create-42
    ("no such cluster node '{}'", |_, text| not_found(Thing::Node, text)), // Cluster.pm:807; clone-07, misc-02
    ("storage '{}' does not exist", |_, text| not_found(Thing::Storage, text)), // Storage.pm:259; create-31
    ("snapshot '{}' does not exist", |_, text| not_found(Thing::Snapshot, text)), // AbstractConfig.pm:221; snap-16
    ("unable to open file - No such file or directory", |_, text| not_found(Thing::Task, text)), // Tools.pm, dump_logfile; basic-46
    ("storage '{}' is disabled", |_, text| Cause::StorageUnavailable(text.to_owned())), // Storage.pm:286; storage-03
    ("storage '{}' is not available on node '{}'", |_, text| Cause::StorageUnavailable(text.to_owned())), // Storage.pm:272
    ("CT {n} already exists on node '{}'", |_, text| Cause::AlreadyExists(text.to_owned())), // Cluster.pm:796; create-20, conc-41
    ("VM {n} already exists on node '{}'", |_, text| Cause::AlreadyExists(text.to_owned())), // Cluster.pm:796
    ("unable to destroy CT {n} - container is running", |_, _| Cause::MustBeStopped), // LXC:879; life-09b
    ("{} - protection mode enabled", |_, _| Cause::Protected), // AbstractConfig.pm:393
    ("unable to remove CT {n} - used in HA resources and purge parameter not set.", |_, _| Cause::HaManaged), // LXC:866
    ("detected modified configuration - file changed by other user? Try again.", |_, _| Cause::DigestMismatch), // Tools.pm:872; conf-02
    ("cluster not ready - no quorum?", |_, _| Cause::NoQuorum), // Cluster.pm:129
    ("{}error: no quorum!", |_, _| Cause::NoQuorum), // Cluster.pm:671-680: "cfs-lock 'x' error: no quorum!"
    ("Method '{}' not implemented", |_, text| Cause::NotImplemented(text.to_owned())), // PVE/HTTPServer.pm:150; basic-25
];

/// The same of what is said about one parameter, with status 400.
const ABOUT_PARAMETERS: &[(&str, &str, Meaning)] = &[
    ("upid", "no such task", |_, text| not_found(Thing::Task, text)), // PVE/API2/Tasks.pm:316, 517; basic-44
    ("vmid", "VM {n} already exists", |_, text| Cause::AlreadyExists(text.to_owned())), // PVE/API2/Cluster.pm:1039; basic-10
    ("storage", "No such storage.", |_, text| not_found(Thing::Storage, text)), // PVE/API2/Storage/Status.pm:236, 404
];

/// What stands in the gaps of a sentence, where it is that sentence.
fn gaps<'t>(sentence: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut pieces = sentence.split(['{', '}']);
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    while let (Some(kind), Some(after)) = (pieces.next(), pieces.next()) {
        let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
        let (gap, more) = rest.split_at(end);
        if gap.is_empty() || kind == "n" && !gap.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        found.push(gap);
        rest = &more[after.len()..];
    }
    rest.is_empty().then_some(found)
}

impl Cause {
    /// Reads an answer that is not a success. `text` is the body's `message` or else the reason phrase.
    pub fn of_answer(status: u16, text: &str, fields: BTreeMap<String, String>) -> Cause {
        let text = text.trim_end();
        let own = || text.to_owned();
        match status {
            401 => Cause::SignedOut(own()),
            403 => {
                let (path, privilege) = path_and_privilege(text).unzip();
                Cause::Forbidden { path, privilege, text: own() }
            }
            595..=599 => Cause::NodeUnreachable { status, text: own() },
            // a 500 `format error` names its parameters too (recording resize-05)
            _ if status == 400 || !fields.is_empty() => Cause::of_fields(&fields).unwrap_or_else(|| Cause::Invalid { fields, text: own() }),
            _ => Cause::of_text(text).unwrap_or_else(|| Cause::Other { status, text: own() }),
        }
    }

    /// What a sentence of Proxmox means; nothing where we do not know it.
    pub fn of_text(text: &str) -> Option<Cause> {
        SENTENCES.iter().find_map(|(sentence, meaning)| Some(meaning(&gaps(sentence, text)?, text)))
    }

    fn of_fields(fields: &BTreeMap<String, String>) -> Option<Cause> {
        let known = |(name, sentence, meaning): &(&str, &str, Meaning)| {
            let text = fields.get(*name)?.trim_end();
            Some(meaning(&gaps(sentence, text)?, text))
        };
        ABOUT_PARAMETERS.iter().find_map(known)
    }

    /// Reads what reqwest says went wrong with a connection or an answer.
    pub fn of_transport(error: reqwest::Error, limit: Duration) -> Cause {
        if let Some(untrusted) = find(&error, untrusted) {
            return untrusted;
        }
        // a connection that does not come about in time is none
        if error.is_timeout() && !error.is_connect() {
            return Cause::TimedOut(limit);
        }
        // an answer that breaks off is a broken connection; one that cannot be unpacked is not
        let cut = find(&error, |error| error.downcast_ref::<hyper::Error>().map(|_| ())).is_some();
        if (error.is_decode() || error.is_body()) && !cut {
            return Cause::Protocol(error.without_url().to_string());
        }
        Cause::Unreachable(error.without_url())
    }

    /// Whether it is certain that nothing was carried out, because no connection came about.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Cause::Unreachable(error) => error.is_connect(),
            Cause::Untrusted { .. } => true,
            _ => false,
        }
    }

    /// Whether the same question may be answered a moment later: trouble on the way, and none of Proxmox's decisions. What is in
    /// front of a cluster says 502 to 504.
    pub fn may_pass(&self) -> bool {
        matches!(self, Cause::Unreachable(_) | Cause::NodeUnreachable { .. } | Cause::Other { status: 502..=504, .. })
    }
}

/// `/vms/101` and `VM.PowerMgmt` of `Permission check failed (/vms/101, VM.PowerMgmt)` (PVE/RPCEnvironment.pm:300, 325). Other
/// reasons stand in the brackets too (`user != root@pam`, :558).
fn path_and_privilege(text: &str) -> Option<(String, String)> {
    let inside = text.strip_prefix("Permission check failed (")?.strip_suffix(')')?;
    let (path, privilege) = inside.split_once(", ").filter(|(path, _)| path.starts_with('/'))?;
    // `Sys.Modify for modifying tag 'prod'` (GuestHelpers.pm:332)
    let privilege = privilege.split_once(" for ").map_or(privilege, |(privilege, _)| privilege);
    Some((path.to_owned(), privilege.to_owned()))
}

/// Looks through the chain of an error: reqwest's, hyper's, and `io::Error`s, whose content is not their source.
fn find<T>(error: &(dyn StdError + 'static), wanted: impl Fn(&(dyn StdError + 'static)) -> Option<T>) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = wanted(error) {
            return Some(found);
        }
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = content.map(|content| content as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// A refused certificate.
fn untrusted(error: &(dyn StdError + 'static)) -> Option<Cause> {
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            let mismatch = other.0.downcast_ref::<PinMismatch>();
            Some(Cause::Untrusted { expected: mismatch.map(|m| m.expected.clone()), seen: mismatch.map(|m| m.seen.clone()) })
        }
        // also the pinned certificate presented with another key: its signature does not fit
        rustls::Error::InvalidCertificate(_) => Some(Cause::Untrusted { expected: None, seen: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_of_proxmox_have_a_meaning() {
        let meaning = |text: &str| Cause::of_text(text);
        assert!(matches!(meaning("CT 103 already running"), Some(Cause::AlreadyRunning)));
        assert!(matches!(meaning("VM 103 not running"), Some(Cause::NotRunning)));
        assert!(matches!(meaning("CT is locked (snapshot-delete)"), Some(Cause::Locked(lock)) if lock == "snapshot-delete"));
        let missing = meaning("Configuration file 'nodes/pve1/lxc/999.conf' does not exist");
        assert!(matches!(missing, Some(Cause::NotFound { what: Thing::Container, .. })));
        assert!(matches!(meaning("can't remove CT 101 - protection mode enabled"), Some(Cause::Protected)));
        assert!(matches!(meaning("CT 101 already exists on node 'pve1'"), Some(Cause::AlreadyExists(_))));
    }

    #[test]
    fn a_sentence_that_is_only_like_a_known_one_stays_unknown() {
        for text in
            ["CT web already running", "CT 103 already running now", "a CT 103 already running", "CT  not running", "", "a new sentence"]
        {
            assert!(Cause::of_text(text).is_none(), "{text:?}");
        }
        assert!(
            matches!(Cause::of_answer(500, "a new sentence\n", BTreeMap::new()), Cause::Other { status: 500, text } if text == "a new sentence")
        );
    }

    #[test]
    fn a_forbidden_answer_names_path_and_privilege() {
        let named = |text| path_and_privilege(text).map(|(path, privilege)| format!("{path} {privilege}"));
        assert_eq!(named("Permission check failed (/vms/101, VM.PowerMgmt)").as_deref(), Some("/vms/101 VM.PowerMgmt"));
        let either = "Permission check failed (/storage/x, Datastore.Audit|Datastore.AllocateSpace)";
        assert_eq!(named(either).as_deref(), Some("/storage/x Datastore.Audit|Datastore.AllocateSpace"));
        assert_eq!(named("Permission check failed (/, Sys.Modify for modifying tag 'prod')").as_deref(), Some("/ Sys.Modify"));
        for text in ["Permission check failed", "Permission check failed (user != root@pam)", "Permission check failed (a, b)"] {
            assert_eq!(named(text), None, "{text:?}");
        }
    }

    #[test]
    fn refused_parameters_are_named() {
        let fields = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
        let refused = Cause::of_answer(400, "Parameter verification failed.\n", fields("net0.ip", "bad\n"));
        assert!(matches!(refused, Cause::Invalid { fields, .. } if fields["net0.ip"] == "bad\n"));
        let taken = Cause::of_answer(400, "Parameter verification failed.", fields("vmid", "VM 101 already exists"));
        assert!(matches!(taken, Cause::AlreadyExists(_)));
    }
}
