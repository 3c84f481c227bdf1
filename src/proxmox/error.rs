//! What went wrong at Proxmox, by call and cause.
//!
//! Proxmox answers nearly every refusal with status 500 and a sentence; the table in [`Cause::of_text`] is the only place that
//! reads such sentences. A sentence that is not in it stays [`Cause::Other`]: nothing is guessed.

use super::tls::{Fingerprint, PinMismatch};
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

/// Why a call failed. The texts in it are Proxmox's own: for the log, never for a browser.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection: refused, no route, name not found, or cut before an answer.
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
    /// 401: the ticket is dead, or there was none.
    #[error("not signed in: {0}")]
    SignedOut(String),
    /// 403, with the path and privilege where Proxmox names them (`Permission check failed (/vms/101, VM.PowerMgmt)`).
    #[error("forbidden: {text}")]
    Forbidden {
        /// The privilege Proxmox asked for, such as `VM.PowerMgmt`.
        privilege: Option<String>,
        /// Proxmox's own words.
        text: String,
    },
    /// 400: parameters refused, by name.
    #[error("parameters refused: {0:?}")]
    Invalid(BTreeMap<String, String>),
    /// The container's configuration is locked.
    #[error("locked: {0}")]
    Locked(String),
    /// No such container on that node.
    #[error("no such container: {0}")]
    NotFound(String),
    /// Started while running.
    #[error("already running")]
    AlreadyRunning,
    /// Stopped, shut down or restarted while not running.
    #[error("not running")]
    NotRunning,
    /// A template cannot be started.
    #[error("it is a template")]
    IsTemplate,
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

impl Cause {
    /// Reads an answer that is not a success. `text` is the body's `message` or else the reason phrase.
    pub fn of_answer(status: u16, text: &str, errors: BTreeMap<String, String>) -> Cause {
        let text = text.trim_end();
        match status {
            401 => Cause::SignedOut(text.to_owned()),
            403 => Cause::Forbidden { privilege: privilege(text), text: text.to_owned() },
            400 => Cause::Invalid(errors),
            595..=599 => Cause::NodeUnreachable { status, text: text.to_owned() },
            _ => Cause::of_text(text).unwrap_or_else(|| Cause::Other { status, text: text.to_owned() }),
        }
    }

    /// The sentences that we know, each with its source. They come as a reason phrase, or as the exit status of a task.
    pub fn of_text(text: &str) -> Option<Cause> {
        let numbered = |before: &str, after: &str| {
            text.strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|vmid| !vmid.is_empty() && vmid.bytes().all(|b| b.is_ascii_digit()))
        };
        // PVE/API2/LXC/Status.pm, vm_start
        if numbered("CT ", " already running") {
            return Some(Cause::AlreadyRunning);
        }
        // PVE/API2/LXC/Status.pm: vm_stop and vm_shutdown say CT, vm_reboot says VM (recordings life-12, life-13; FACTS §6)
        if numbered("CT ", " not running") || numbered("VM ", " not running") {
            return Some(Cause::NotRunning);
        }
        // PVE/AbstractConfig.pm:336, check_lock
        if let Some(lock) = text.strip_prefix("CT is locked (").and_then(|rest| rest.strip_suffix(')')) {
            return Some(Cause::Locked(lock.to_owned()));
        }
        // PVE/AbstractConfig.pm, load_config; on every call about a container that is not on that node
        if text.starts_with("Configuration file 'nodes/") && text.contains(".conf' does not exist") {
            return Some(Cause::NotFound(text.to_owned()));
        }
        // PVE/LXC.pm, vm_start (recording tmpl-05)
        if text == "you can't start a CT if it's a template" {
            return Some(Cause::IsTemplate);
        }
        // PVE/Network.pm:891 by way of Cluster.pm remote_node_ip: the node is not known to the cluster
        if text.starts_with("hostname lookup '") {
            return Some(Cause::NodeUnreachable { status: 500, text: text.to_owned() });
        }
        None
    }

    /// Reads what reqwest says went wrong with a connection or an answer.
    pub fn of_transport(error: reqwest::Error, limit: Duration) -> Cause {
        if let Some(untrusted) = untrusted(&error) {
            return untrusted;
        }
        if error.is_timeout() {
            return Cause::TimedOut(limit);
        }
        if error.is_decode() || error.is_body() && !error.is_connect() {
            return Cause::Protocol(error.without_url().to_string());
        }
        Cause::Unreachable(error.without_url())
    }
}

/// `VM.PowerMgmt` of `Permission check failed (/vms/101, VM.PowerMgmt)` (PVE/RPCEnvironment.pm, check).
fn privilege(text: &str) -> Option<String> {
    let inside = text.strip_prefix("Permission check failed (")?.strip_suffix(')')?;
    inside.split_once(", ").map(|(_, privilege)| privilege.to_owned())
}

/// Looks for a refused certificate in the chain of an error: reqwest, hyper, and `io::Error`s, whose content is not their source.
fn untrusted(error: &(dyn StdError + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
                let mismatch = other.0.downcast_ref::<PinMismatch>();
                return Some(Cause::Untrusted { expected: mismatch.map(|m| m.expected.clone()), seen: mismatch.map(|m| m.seen.clone()) });
            }
            // also the pinned certificate presented with another key: its signature does not fit
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Cause::Untrusted { expected: None, seen: None }),
            _ => {}
        }
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = content.map(|content| content as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
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
        assert!(matches!(meaning("Configuration file 'nodes/pve1/lxc/999.conf' does not exist"), Some(Cause::NotFound(_))));
        assert!(meaning("CT web already running").is_none());
        assert!(meaning("a new sentence").is_none());
    }

    #[test]
    fn a_forbidden_answer_names_the_privilege() {
        assert_eq!(privilege("Permission check failed (/vms/101, VM.PowerMgmt)").as_deref(), Some("VM.PowerMgmt"));
        assert_eq!(privilege("Permission check failed"), None);
    }
}
