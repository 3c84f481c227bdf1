//! A container's configuration as the text of its file, `/etc/pve/lxc/{vmid}.conf`: the text is the truth, everything else is
//! read from it.
//!
//! Not here: who may change what, and pending changes (a later issue; the sections after the first `[` are already left alone).

use ring::digest;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Keys whose schema type is integer or boolean: they arrive as JSON numbers. `cpulimit` is of type number and arrives as a
/// string, as does everything else (FACTS §5; create-16-config-after).
const NUMBERS: &[&str] =
    &["console", "cores", "cpuunits", "debug", "memory", "onboot", "protection", "swap", "template", "tty", "unprivileged"];

#[derive(Debug, Clone)]
pub struct Config {
    text: String,
}

impl Config {
    /// Writes the file: description as `#` lines on top, then the keys sorted (FACTS §4).
    pub fn new<'a>(description: Option<&str>, entries: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        let mut text = String::new();
        for line in description.unwrap_or_default().lines() {
            let _ = writeln!(text, "#{line}");
        }
        for (key, value) in entries {
            let _ = writeln!(text, "{key}: {value}");
        }
        Self { text }
    }

    /// The part before the first section, which is the current configuration (LC:1132 ff.).
    fn current(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| !line.starts_with('['))
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.current().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    pub fn is_set(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    fn description(&self) -> Option<String> {
        let lines: Vec<_> = self.current().filter_map(|line| line.strip_prefix('#')).collect();
        // The description gains a newline at its end (create-16-config-after).
        (!lines.is_empty()).then(|| lines.join("\n") + "\n")
    }

    /// Sets one key, or removes it.
    pub fn set(&mut self, key: &str, value: Option<&str>) {
        let description = self.description();
        let rest: String = self.text.lines().skip_while(|line| !line.starts_with('[')).fold(String::new(), |text, line| text + line + "\n");
        let others = self.entries().filter(|(k, _)| *k != key).map(|(k, v)| (k, v.to_owned()));
        let mut next = Self::new(description.as_deref(), others.chain(value.map(|v| (key, v.to_owned()))));
        next.text.push_str(&rest);
        *self = next;
    }

    /// SHA-1 of the file's text (LC:1132).
    pub fn digest(&self) -> String {
        let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
        hex(sum.as_ref())
    }

    /// The answer of `GET …/config`.
    pub fn to_json(&self) -> Value {
        let mut answer = Map::new();
        let mut raw = Vec::new();
        for (key, value) in self.entries() {
            if key.starts_with("lxc.") {
                raw.push(json!([key, value]));
            } else if NUMBERS.contains(&key) {
                answer.insert(key.to_owned(), value.parse::<i64>().map_or(json!(value), |number| json!(number)));
            } else {
                answer.insert(key.to_owned(), json!(value));
            }
        }
        if let Some(description) = self.description() {
            answer.insert("description".to_owned(), json!(description));
        }
        if !raw.is_empty() {
            answer.insert("lxc".to_owned(), Value::Array(raw));
        }
        answer.insert("digest".to_owned(), json!(self.digest()));
        Value::Object(answer)
    }

    /// The configured size of the root file system in bytes.
    pub fn rootfs_size(&self) -> u64 {
        let size = self.get("rootfs").and_then(|v| v.split(',').find_map(|part| part.strip_prefix("size="))).unwrap_or("4G");
        let (number, unit) = size.split_at(size.len() - usize::from(size.ends_with(|c: char| c.is_ascii_alphabetic())));
        let factor: u64 = match unit {
            "K" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            _ => 1,
        };
        number.parse::<u64>().unwrap_or(0).saturating_mul(factor)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(
            Some("one\ntwo"),
            [("memory", "256".to_owned()), ("cpulimit", "1.5".to_owned()), ("rootfs", "local-lvm:vm-101-disk-0,size=8G".to_owned())],
        )
    }

    #[test]
    fn values_are_typed_as_the_schema_says() {
        let answer = config().to_json();
        assert_eq!(answer["memory"], json!(256));
        assert_eq!(answer["cpulimit"], json!("1.5"));
        assert_eq!(answer["description"], json!("one\ntwo\n"));
        assert_eq!(config().rootfs_size(), 8 << 30);
    }

    #[test]
    fn a_change_gives_another_digest_and_undoing_it_the_same() {
        let mut changed = config();
        changed.set("lock", Some("backup"));
        assert_ne!(changed.digest(), config().digest());
        assert_eq!(changed.get("lock"), Some("backup"));
        changed.set("lock", None);
        assert_eq!(changed.digest(), config().digest());
    }
}
