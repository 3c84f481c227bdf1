//! What parameters an endpoint takes, as tables of our own, and Proxmox's answers to those it does not.
//!
//! A table lists [`property::Property`]s; [`check`] holds what was given against it and says all that is wrong at once, in the words
//! of JSONSchema.pm (JS). Tables say which release knows what. Not here: where parameters come from, what JSON values become as text
//! (true is `1`), and everything that only the handler of an endpoint can judge.

pub mod formats;
pub mod lxc;
pub mod property;
pub mod property_string;
pub mod tables;
mod timezones;

use super::version::Version;
use property::{MISSING, Property, UNKNOWN, as_integer};
use std::collections::BTreeMap;

/// Parameters as they were given, of path, query and body.
pub type Raw = BTreeMap<String, String>;

/// Parameters that passed their table. Nothing is filled in for those that were not given.
#[derive(Debug, Clone, Default)]
pub struct Params(Raw);

impl Params {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).map(as_integer)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    /// The `vmid` of endpoints that cannot do without.
    pub fn vmid(&self) -> u32 {
        self.integer("vmid").and_then(|vmid| u32::try_from(vmid).ok()).unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Checks the given parameters against a table. The errors are by parameter.
pub fn check(params: &[Property], given: Raw, version: Version) -> Result<Params, BTreeMap<String, String>> {
    let known = || params.iter().filter(|property| property.is_in(version));
    let mut errors = BTreeMap::new();
    for property in known().filter(|property| !property.is_optional && !given.contains_key(property.name)) {
        add_error(&mut errors, property.name, MISSING.to_owned());
    }
    for (name, value) in &given {
        let Some(property) = known().find(|property| property.is_named(name)) else {
            add_error(&mut errors, name, UNKNOWN.to_owned());
            continue;
        };
        if let Err(error) = property.check(value, name, version) {
            add_error(&mut errors, name, error);
        }
    }
    // After all values, as Perl does (JS:1336): it shows where a property has two errors.
    for name in given.keys() {
        let requires = known().find(|property| property.is_named(name)).and_then(|property| property.requires);
        if let Some(required) = requires.filter(|required| !given.contains_key(*required)) {
            add_error(&mut errors, required, missing_requirement(name, version));
        }
    }
    if errors.is_empty() { Ok(Params(given)) } else { Err(errors) }
}

fn missing_requirement(name: &str, version: Version) -> String {
    if version >= Version::V9_2 {
        format!("missing property required by '{name}'")
    } else {
        format!("missing property - '{name}' requires this property")
    }
}

/// A second error of the same property follows a backslash and an `n`: Perl joins them with `'\n'`. What is no name for Perl, which
/// has a nought for nothing, is `_root` (JS:1151).
fn add_error(errors: &mut BTreeMap<String, String>, name: &str, error: String) {
    let name = if matches!(name, "" | "0") { "_root" } else { name };
    errors
        .entry(name.to_owned())
        .and_modify(|errors| {
            errors.push_str("\\n");
            errors.push_str(&error);
        })
        .or_insert(error);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(table: &[Property], given: &[(&str, &str)], version: Version) -> BTreeMap<String, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check(table, given, version).err().unwrap_or_default()
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let given = [("node", "pve1"), ("vmid", "99"), ("timeout", "abc"), ("forceStop", "true"), ("bogus", "1")];
        let errors = errors(tables::lxc::SHUTDOWN, &given, Version::V9_2);
        assert_eq!(errors["vmid"], "invalid format - value does not look like a valid VM ID\n");
        assert_eq!(errors["timeout"], "type check ('integer') failed - got 'abc'");
        assert_eq!(errors["forceStop"], "type check ('boolean') failed - got 'true'");
        assert_eq!(errors["bogus"], UNKNOWN);
        assert_eq!(errors.len(), 4);
    }

    #[test]
    fn what_another_parameter_requires_is_named_by_what_is_missing() {
        let given = [("node", "pve1"), ("vmid", "100"), ("ostemplate", "x"), ("unique", "1")];
        let text = |version| errors(tables::lxc::CREATE, &given, version)["restore"].clone();
        assert_eq!(text(Version::V9_2), "missing property required by 'unique'");
        assert_eq!(text(Version::V8_4), "missing property - 'unique' requires this property");
    }

    #[test]
    fn a_parameter_is_unknown_before_the_release_that_brought_it() {
        let given = [("node", "pve1"), ("vmid", "100"), ("overrule-shutdown", "1")];
        assert_eq!(errors(tables::lxc::STOP, &given, Version::V7_4)["overrule-shutdown"], UNKNOWN);
        assert!(errors(tables::lxc::STOP, &given, Version::V8_4).is_empty());
    }
}
