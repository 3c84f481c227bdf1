//! Proxmox's names, parsed once and valid ever after.
//!
//! Both sides use these: the browser shows them, the server puts them into URLs. A value of one of these types needs no further
//! check and no escaping in a path segment, with one exception that is said at [`Upid`].

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// What a text was expected to be and is not. Holds no text of the user's, so it may be shown and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not {0}")]
pub struct InvalidId(pub &'static str);

/// Declares the text side of an id: `Display`, `FromStr`, and serde by way of the text.
macro_rules! text_id {
    ($name:ident, $check:expr, $what:literal) => {
        impl $name {
            /// The text as Proxmox writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId($what)) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}
pub(crate) use text_id;

/// The number of a guest, unique in its cluster: 100 to 999,999,999 (`pve-vmid`, pve-common JSONSchema.pm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vmid(u32);

impl Vmid {
    /// The plain number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vmid {
    type Error = InvalidId;
    fn try_from(number: u32) -> Result<Self, InvalidId> {
        if (100..=999_999_999).contains(&number) { Ok(Self(number)) } else { Err(InvalidId("a container number from 100 to 999999999")) }
    }
}

impl From<Vmid> for u32 {
    fn from(vmid: Vmid) -> u32 {
        vmid.0
    }
}

impl FromStr for Vmid {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = !text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten().ok_or(InvalidId("a container number"))?.try_into()
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a node: a host name's first label (`pve-node`, pve-common JSONSchema.pm).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);
text_id!(NodeName, is_node_name, "a node name");

fn is_node_name(text: &str) -> bool {
    text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The name of an authentication realm, such as `pam` (`pve-realm`: `[A-Za-z][A-Za-z0-9\.\-_]+`, at most 32 characters).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Realm(String);
text_id!(Realm, is_realm, "a realm");

fn is_realm(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// A user with their realm, such as `root@pam` (`pve-userid`, pve-access-control: at most 64 characters; no blank, colon or slash
/// in the name; the realm follows the last `@`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);
text_id!(UserId, is_user_id, "a user with a realm");

fn is_user_id(text: &str) -> bool {
    text.len() <= 64
        && text.rsplit_once('@').is_some_and(|(name, realm)| {
            !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == ':' || c == '/') && is_realm(realm)
        })
}

impl UserId {
    /// Joins a user's name and a realm; fails where the name is empty, too long, or has a blank, a colon or a slash.
    pub fn new(name: &str, realm: &Realm) -> Result<Self, InvalidId> {
        format!("{name}@{realm}").parse()
    }
}

/// A second factor that nobody can type (proxmox-tfa, `TfaChallenge`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherFactor {
    /// A security key or a passkey.
    WebAuthn,
    /// What came before WebAuthn.
    U2f,
    /// A Yubico key with a password for each time.
    Yubico,
    /// Recovery keys, all of them used.
    Spent,
    /// Something newer than Berth.
    Unknown,
}

/// The name of an API token with its user, such as `root@pam!backup` (`$token_full_regex`, pve-access-control AccessControl.pm:280-287).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);
text_id!(TokenId, |text| token_parts(text).is_some(), "an API token with its user");

/// The user and the token's own name, which follows the last `!` because a user's name may hold one.
fn token_parts(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('!').filter(|(user, token)| {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        is_user_id(user) && token.len() >= 2 && token.starts_with(|c: char| c.is_ascii_alphabetic()) && token.bytes().all(word)
    })
}

impl TokenId {
    /// Whose token it is.
    pub fn user(&self) -> UserId {
        UserId(token_parts(&self.0).map_or("", |(user, _)| user).to_owned())
    }
}

/// The name of a storage (`pve-storage-id`: `[a-z][a-z0-9\-_.]*[a-z0-9]`, in either case; pve-common JSONSchema.pm, parse_id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorageName(String);
text_id!(StorageName, is_storage_name, "a storage name");

fn is_storage_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The name under which a cluster stands in the configuration: 1 to 40 letters, digits, `-`, `_` or `.`. It is part of addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);
text_id!(ClusterName, is_cluster_name, "a cluster name of 1 to 40 letters, digits, `-`, `_` or `.`");

fn is_cluster_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The name of a task: `UPID:{node}:{pid}:{pstart}:{starttime}:{type}:{id}:{user}:` (PVE/UPID.pm:18-36).
///
/// It holds colons and can hold `@`, `!` and worse: escape it in a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid(String);
text_id!(Upid, |text| upid_fields(text).is_some(), "a task's UPID");

fn upid_fields(text: &str) -> Option<[&str; 7]> {
    let mut parts = text.strip_prefix("UPID:")?.strip_suffix(':')?.split(':');
    let mut next = || parts.next();
    let fields = [next()?, next()?, next()?, next()?, next()?, next()?, next()?];
    let hex = |s: &str, most: usize| (8..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit());
    let [node, pid, pstart, starttime, kind, id, user] = fields;
    let whole = parts.next().is_none()
        && is_node_name(node)
        && hex(pid, 8)
        && hex(pstart, 9)
        && hex(starttime, 8)
        && !kind.is_empty()
        && ![kind, id, user].iter().any(|s| s.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/'))
        && !user.is_empty();
    whole.then_some(fields)
}

impl Upid {
    fn field(&self, index: usize) -> &str {
        upid_fields(&self.0).map_or("", |fields| fields[index])
    }

    /// The node that runs the task.
    pub fn node(&self) -> NodeName {
        NodeName(self.field(0).to_owned())
    }

    /// The task's type, such as `vzstart`.
    pub fn kind(&self) -> &str {
        self.field(4)
    }

    /// The process id of the task's worker.
    pub fn pid(&self) -> u32 {
        u32::from_str_radix(self.field(1), 16).unwrap_or(0)
    }

    /// When the worker began, in ticks since its node booted.
    pub fn pstart(&self) -> i64 {
        i64::from_str_radix(self.field(2), 16).unwrap_or(0)
    }

    /// What the task is about: the vmid for a container's task, empty for a node's.
    pub fn id(&self) -> &str {
        self.field(5)
    }

    /// Who started it: `user@realm`, or `user@realm!token`.
    pub fn user(&self) -> &str {
        self.field(6)
    }

    /// Whether a user started it, or a token of theirs (PVE/API2/Tasks.pm:27-37).
    pub fn is_of(&self, user: &str) -> bool {
        self.user().strip_prefix(user).is_some_and(|rest| rest.is_empty() || rest.starts_with('!'))
    }

    /// When it began, in seconds since 1970 by the clock of its node.
    pub fn starttime(&self) -> i64 {
        i64::from_str_radix(self.field(3), 16).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vmid_is_a_number_from_100() {
        assert_eq!("101".parse::<Vmid>().unwrap().get(), 101);
        for bad in ["", "99", "+101", "0101", "1e3", "1000000000", "101 ", "٣٠٠"] {
            assert!(bad.parse::<Vmid>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_name_is_a_host_label() {
        for good in ["pve1", "a", "node-1"] {
            assert!(good.parse::<NodeName>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "a.b", "a/b", "..", "a b"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_user_id_ends_in_a_realm() {
        assert!("root@pam".parse::<UserId>().is_ok());
        assert!("ann@example.org@ldap-1".parse::<UserId>().is_ok());
        for bad in ["root", "@pam", "a b@pam", "a/b@pam", "a:b@pam", "root@p", "root@9x", &format!("{}@pam", "x".repeat(61))] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_belongs_to_a_user() {
        let token: TokenId = "ann!x@pve!dash-1".parse().unwrap();
        assert_eq!(token.user().as_str(), "ann!x@pve");
        for bad in ["root@pam", "root@pam!", "root@pam!1a", "root@pam!a b", "root!dash", "root@pam!a"] {
            assert!(bad.parse::<TokenId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_storage_name_needs_no_escape_in_a_path() {
        for good in ["local", "local-lvm", "btr", "Nas_2.x9"] {
            assert!(good.parse::<StorageName>().is_ok(), "{good:?}");
        }
        for bad in ["", "a", "1a", "a/b", "..", "a.", "a b", "a%2f"] {
            assert!(bad.parse::<StorageName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_upid_gives_its_fields_back() {
        let upid: Upid = "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:admin@pve!dash:".parse().unwrap();
        assert_eq!((upid.node().as_str(), upid.kind(), upid.id(), upid.user()), ("pve1", "vzstart", "103", "admin@pve!dash"));
        assert_eq!(upid.starttime(), 0x6B03_25C5);
        assert_eq!(["admin@pve", "admin@pv", "root@pam"].map(|user| upid.is_of(user)), [true, false, false]);
        assert!("UPID:pve1:00000741:00029807:6B0325C5:startall::root@pam:".parse::<Upid>().is_ok());
        for bad in [
            "",
            "UPID:",
            "UPID:pve1:741:00029807:6B0325C5:vzstart:103:admin@pve:",
            "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:admin@pve",
            "UPID:../x:00000741:00029807:6B0325C5:vzstart:103:a@pve:",
        ] {
            assert!(bad.parse::<Upid>().is_err(), "{bad:?}");
        }
    }
}
