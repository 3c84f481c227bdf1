//! A container's configuration as the text of its file, `/etc/pve/lxc/{vmid}.conf`: the text is the truth, everything else is read
//! from it, and every change writes the whole file anew, as Proxmox does.
//!
//! What readers are shown stands in [`view`], what a change does in [`change`], who may make it in [`privileges`]. Not here: the
//! storages, of which only [`Volumes`] is known, and locks that last longer than one call.

pub mod change;
pub mod options;
pub mod privileges;
pub mod view;
mod volume;

use super::version::Version;
use ring::digest;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt::Write as _};

pub use volume::MountPoint;

/// What the rules about configurations need of the storages. Errors are Proxmox's texts, without the newline at their end.
pub trait Volumes {
    /// Whether a storage takes a kind of content, such as `rootdir`. Fails where there is no such storage.
    fn takes(&self, storage: &str, content: &str) -> Result<bool, String>;

    /// Makes a volume for a container and gives its id.
    fn allocate(&mut self, storage: &str, vmid: u32, bytes: u64) -> Result<String, String>;

    /// Destroys a volume.
    fn free(&mut self, volid: &str) -> Result<(), String>;

    /// The size of a volume in bytes; none where there is no such volume.
    fn size(&self, volid: &str) -> Option<u64>;

    /// What the name of a volume says, whether there is one or not: its kind (`images`, `rootdir`, `snippets`, `vztmpl` …), and the
    /// guest it belongs to.
    fn describe(&self, volid: &str) -> Result<(String, Option<u32>), String>;
}

/// What the rules must know of the world around a container.
pub struct World<'a> {
    pub version: Version,
    pub vmid: u32,
    pub is_running: bool,
    /// `datacenter.cfg`, as `GET /cluster/options` gives it.
    pub options: &'a Map<String, Value>,
    /// Every guest of the cluster with its tags.
    pub tags: &'a dyn Fn() -> Vec<(u32, String)>,
    /// The MTU of a bridge of this node; none where there is no such bridge.
    pub bridge_mtu: &'a dyn Fn(&str) -> Option<u64>,
    /// Random bytes for a MAC address.
    pub random: &'a dyn Fn() -> [u8; 6],
}

/// A part of the file: what is in force, what is pending, or a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// By option. Pending deletions are a text under `delete`; the variables of `env` are separated by NUL.
    entries: BTreeMap<String, String>,
    /// `lxc.*` options, in the order of the file.
    raw: Vec<(String, String)>,
}

impl Section {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// Whether Perl takes the value for true.
    pub fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value, "" | "0"))
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.entries.insert(key.to_owned(), value.into());
    }

    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.entries.remove(key)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.raw.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// The root file system and the mount points by number, as far as they can be read (LC:1979).
    pub fn mount_points(&self) -> impl Iterator<Item = (&str, MountPoint)> {
        let place = |option: &str| match options::family(option) {
            Some(("mp", number)) => Some(number + 1),
            _ => (option == "rootfs").then_some(0),
        };
        let mut found: Vec<_> = self.entries().filter_map(|(option, value)| Some((place(option)?, option, value))).collect();
        found.sort_unstable();
        found.into_iter().filter_map(|(_, option, value)| Some((option, MountPoint::parse(option, value)?.ok()?)))
    }

    /// LC:1217-1262: the description on top, then the options by name, variables, and the options that go to LXC as they are.
    fn print(&self, text: &mut String) {
        // Perl takes "0" for no description.
        let description = self.get("description").filter(|description| *description != "0").unwrap_or_default();
        for line in description.trim_end_matches('\n').split('\n').filter(|_| !description.trim_end_matches('\n').is_empty()) {
            let _ = writeln!(text, "#{}", encode(line));
        }
        for (key, value) in self.entries().filter(|(key, _)| !matches!(*key, "description" | "env")) {
            let _ = writeln!(text, "{key}: {value}");
        }
        for variable in self.get("env").into_iter().flat_map(|env| env.split('\0')).filter(|variable| !variable.is_empty()) {
            let _ = writeln!(text, "{ENVIRONMENT}: {variable}");
        }
        for (key, value) in &self.raw {
            let _ = writeln!(text, "{key}: {value}");
        }
    }

    /// One line of the file (LC:1168-1209). What Proxmox cannot read it warns of and leaves out, so it is lost with the next change.
    fn read(&mut self, line: &str, description: &mut String, is_pending: bool) {
        if let Some(comment) = line.strip_prefix('#') {
            description.push_str(&decode(comment));
            description.push('\n');
        } else if let Some((key, value)) = split_raw(line) {
            if key == ENVIRONMENT {
                let env = self.get("env").map_or_else(|| value.to_owned(), |env| format!("{env}\0{value}"));
                self.set("env", env);
            } else if options::goes_to_lxc(key) {
                self.raw.push((key.to_owned(), value.to_owned()));
            }
        } else if let Some(value) = line.strip_prefix("description:").map(trim).filter(|value| !value.is_empty()) {
            description.push_str(&decode(value));
        } else if let Some(state) = snapstate(line) {
            self.set("snapstate", state);
        } else if let Some(value) = line.strip_prefix("delete:") {
            if is_pending && !trim(value).is_empty() {
                self.set("delete", trim(value));
            }
        } else if let Some((key, value)) = split_option(line) {
            self.set(key, options::canonical(key, value));
        }
    }
}

/// All of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sections {
    current: Section,
    pending: Section,
    snapshots: BTreeMap<String, Section>,
}

impl Sections {
    fn parse(text: &str) -> Self {
        /// Where a line belongs.
        enum Place {
            Current,
            Pending,
            Snapshot(String),
        }
        let mut sections = Self::default();
        let mut place = Place::Current;
        let mut section = Section::default();
        let mut description = String::new();
        let mut close = |place: &Place, mut section: Section, description: String| {
            if !description.is_empty() {
                section.set("description", description);
            }
            match place {
                Place::Current => sections.current = section,
                Place::Pending => sections.pending = section,
                Place::Snapshot(name) => {
                    sections.snapshots.insert(name.clone(), section);
                }
            }
        };
        for line in text.split('\n').filter(|line| !trim(line).is_empty()) {
            if let Some(name) = header(line) {
                close(&place, std::mem::take(&mut section), std::mem::take(&mut description));
                place = if name.eq_ignore_ascii_case("pve:pending") { Place::Pending } else { Place::Snapshot(name.to_owned()) };
            } else {
                section.read(line, &mut description, matches!(place, Place::Pending));
            }
        }
        close(&place, section, description);
        sections.current.remove("snapstate");
        sections
    }

    /// The text of the file (LC:1200-1277).
    fn print(&mut self) -> String {
        self.current.remove("snapstate");
        let used: Vec<_> = self.current.mount_points().filter_map(|(_, mount)| Some(mount.volume_id()?.to_owned())).collect();
        self.current.entries.retain(|key, value| !key.starts_with("unused") || !used.contains(value));

        let mut text = String::new();
        self.current.print(&mut text);
        if !self.pending.is_empty() {
            text.push_str("\n[pve:pending]\n");
            self.pending.print(&mut text);
        }
        for (name, snapshot) in &self.snapshots {
            let _ = writeln!(text, "\n[{name}]");
            snapshot.print(&mut text);
        }
        text
    }
}

/// A container's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    text: String,
    sections: Sections,
}

impl Config {
    /// A configuration of these options, written as Proxmox writes it.
    pub fn new<'a>(description: Option<&str>, entries: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut current = Section::default();
        for (key, value) in entries {
            current.set(key, value);
        }
        if let Some(description) = description {
            current.set("description", description);
        }
        Self::written(Sections { current, ..Sections::default() })
    }

    /// Reads a file. Its text stays as it is until the first change.
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { sections: Sections::parse(&text), text }
    }

    /// Writes the file and reads it again, which is what brings the values into their form.
    fn written(mut sections: Sections) -> Self {
        Self::parse(sections.print())
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-1 of the file's text (LC:1132).
    pub fn digest(&self) -> String {
        hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes()).as_ref())
    }

    /// What is in force.
    pub fn current(&self) -> &Section {
        &self.sections.current
    }

    /// What is to be in force once the container has stopped.
    pub fn pending(&self) -> &Section {
        &self.sections.pending
    }

    pub fn snapshot(&self, name: &str) -> Option<&Section> {
        self.sections.snapshots.get(name)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.sections.current.get(key)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    pub fn is_set(&self, key: &str) -> bool {
        self.sections.current.is_set(key)
    }

    /// Sets an option that is in force, or removes it.
    pub fn set(&mut self, key: &str, value: Option<&str>) {
        let mut sections = std::mem::take(&mut self.sections);
        match value {
            Some(value) => sections.current.set(key, value),
            None => _ = sections.current.remove(key),
        }
        *self = Self::written(sections);
    }

    /// The configured size of the root file system in bytes.
    pub fn rootfs_size(&self) -> u64 {
        let rootfs = self.get("rootfs").and_then(|value| MountPoint::parse("rootfs", value)?.ok());
        rootfs.and_then(|mount| mount.size()).unwrap_or(0)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const ENVIRONMENT: &str = "lxc.environment.runtime";

/// What Perl's `\s` is, of what can be in a line.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `[name]`, of two characters or more; or `[pve:pending]`.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_end_matches(is_space).strip_prefix('[')?.strip_suffix(']')?;
    let is_name = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    (is_name || name.eq_ignore_ascii_case("pve:pending")).then_some(name)
}

/// `lxc.key: value` or `lxc.key = value`.
fn split_raw(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("lxc.")?;
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    let length = rest.find(|c| !is_key(c)).filter(|length| *length > 0)? + 4;
    let (key, rest) = line.split_at(length);
    let value = rest.strip_prefix(':').or_else(|| rest.trim_start_matches(is_space).strip_prefix('='))?;
    Some((key, trim(value)))
}

/// `key: value`; a value of blanks alone is one blank (LC:1199).
fn split_option(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_key = stem.starts_with(|c: char| c.is_ascii_lowercase()) && stem.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let value = if trim(value).is_empty() { value.char_indices().next_back().map(|(at, _)| &value[at..])? } else { trim(value) };
    // What Proxmox's reader itself keeps beside the options.
    let is_ours = matches!(key, "digest" | "snapname" | "pending" | "snapshots" | "lxc");
    (is_key && !is_ours).then_some((key, value))
}

fn snapstate(line: &str) -> Option<&'static str> {
    let line = line.trim_end_matches(is_space);
    ["prepare", "delete"]
        .into_iter()
        .find(|state| line.strip_suffix(state).is_some_and(|rest| rest.trim_end_matches(is_space).ends_with("snapstate:")))
}

/// A line of a description: colons, per cents, and all that is not printable ASCII are escaped (ParseUtils.pm:60).
fn encode(line: &str) -> String {
    line.bytes().fold(String::new(), |mut text, byte| {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b':') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "#one%3A\n#two\narch: amd64\nmemory: 0256\nlxc.apparmor.profile = unconfined\nlxc.environment.runtime: A=1\n\
        lxc.environment.runtime: B=2\nonboot: yes\nNonsense\nlxc.nonsense: 1\ntags:  \nunused0: local:100/x.raw\n\n[PVE:pending]\n\
        swap: 0\ndelete: cores\n\n[s1]\n#a snapshot\nsnaptime: 1\nsnapstate: prepare\n";

    #[test]
    fn a_change_writes_the_file_anew_in_proxmoxs_form() {
        let mut config = Config::parse(FILE);
        assert_eq!(config.text(), FILE);
        config.set("unused1", Some("local:100/y.raw"));
        assert_eq!(
            config.text(),
            "#one%3A\n#two\narch: amd64\nmemory: 256\nonboot: 1\ntags:  \nunused0: local:100/x.raw\nunused1: local:100/y.raw\n\
             lxc.environment.runtime: A=1\nlxc.environment.runtime: B=2\nlxc.apparmor.profile: unconfined\n\n\
             [pve:pending]\ndelete: cores\nswap: 0\n\n[s1]\n#a snapshot\nsnapstate: prepare\nsnaptime: 1\n"
        );
        assert_eq!(config.get("description"), Some("one:\ntwo\n"));
        assert_eq!(config.get("env"), Some("A=1\0B=2"));
    }

    #[test]
    fn a_volume_in_use_is_not_listed_as_unused() {
        let mut config = Config::parse("mp0: local:100/x.raw,mp=/data\nunused0: local:100/x.raw\n");
        config.set("memory", Some("64"));
        assert_eq!(config.text(), "memory: 64\nmp0: local:100/x.raw,mp=/data\n");
    }

    #[test]
    fn a_change_gives_another_digest_and_undoing_it_the_same() {
        let config = Config::new(Some("one\ntwo"), [("memory", "256".to_owned()), ("rootfs", "local:100/x.raw,size=8G".to_owned())]);
        let mut changed = config.clone();
        changed.set("lock", Some("backup"));
        assert_ne!(changed.digest(), config.digest());
        changed.set("lock", None);
        assert_eq!(changed.digest(), config.digest());
        assert_eq!(config.rootfs_size(), 8 << 30);
    }

    #[test]
    fn a_description_survives_whatever_is_in_it() {
        for description in ["a: 50%\n", "ä\n\n[s1]\n", "\u{7}\n"] {
            let config = Config::new(Some(description), []);
            assert_eq!(config.get("description"), Some(description));
        }
    }
}
