//! What parameters an endpoint takes, as a table, and Proxmox's answers to those it does not.
//!
//! The texts are those of JSONSchema.pm (JS:1151-1722). Not here: where parameters come from ([`super::pipeline`]).

use super::reply::Failure;
use crate::proxmox::ids::{Realm, Vmid};
use std::collections::BTreeMap;

pub type Raw = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Boolean,
    Integer { least: Option<i64> },
    Text { most: usize },
    Choice(&'static [&'static str]),
    Vmid,
    Realm,
}

#[derive(Debug, Clone, Copy)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub is_optional: bool,
}

pub const fn required(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, is_optional: false }
}

pub const fn optional(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, is_optional: true }
}

pub const TEXT: Kind = Kind::Text { most: usize::MAX };
pub const NATURAL: Kind = Kind::Integer { least: Some(0) };

/// Parameters that passed their table.
#[derive(Debug, Clone, Default)]
pub struct Params(Raw);

impl Params {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    pub fn vmid(&self) -> u32 {
        self.text("vmid").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// Checks the given parameters against a table; all that is wrong is said at once.
pub fn check(table: &[Param], given: Raw) -> Result<Params, Failure> {
    let mut errors = BTreeMap::new();
    for name in given.keys().filter(|name| !table.iter().any(|param| param.name == **name)) {
        errors.insert(name.clone(), "property is not defined in schema and the schema does not allow additional properties".to_owned());
    }
    for param in table {
        match given.get(param.name) {
            Some(value) => {
                if let Err(error) = check_value(param.kind, value) {
                    errors.insert(param.name.to_owned(), error);
                }
            }
            None if param.is_optional => {}
            None => {
                errors.insert(param.name.to_owned(), "property is missing and it is not optional".to_owned());
            }
        }
    }
    if errors.is_empty() { Ok(Params(given)) } else { Err(Failure::parameters(errors)) }
}

fn check_value(kind: Kind, value: &str) -> Result<(), String> {
    let wrong_type = |name: &str| Err(format!("type check ('{name}') failed - got '{value}'"));
    match kind {
        // Proxmox 8.4 takes nothing else (http-16-form-boolean).
        Kind::Boolean if !matches!(value, "0" | "1") => wrong_type("boolean"),
        Kind::Integer { .. } | Kind::Vmid if value.parse::<i64>().is_err() || value.starts_with('+') => wrong_type("integer"),
        Kind::Integer { least: Some(least) } if value.parse::<i64>().is_ok_and(|number| number < least) => {
            Err(format!("value must have a minimum value of {least}"))
        }
        // The format is checked before the minimum (basic-32-vmid-too-small).
        Kind::Vmid if value.parse::<Vmid>().is_err() => Err("invalid format - value does not look like a valid VM ID\n".to_owned()),
        Kind::Text { most } if value.chars().count() > most => Err(format!("value may only be {most} characters long")),
        Kind::Choice(choices) if !choices.contains(&value) => {
            Err(format!("value '{value}' does not have a value in the enumeration '{}'", choices.join(", ")))
        }
        Kind::Realm if value.chars().count() > 32 => Err("value may only be 32 characters long".to_owned()),
        Kind::Realm if value.parse::<Realm>().is_err() => Err("invalid format - value does not look like a valid realm\n".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(table: &[Param], given: &[(&str, &str)]) -> BTreeMap<String, String> {
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        check(table, given).err().map(|failure| failure.errors).unwrap_or_default()
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let table = [required("vmid", Kind::Vmid), optional("timeout", NATURAL), optional("forceStop", Kind::Boolean), required("x", TEXT)];
        let errors = errors(&table, &[("vmid", "99"), ("timeout", "abc"), ("forceStop", "true"), ("bogus", "1")]);
        assert_eq!(errors["vmid"], "invalid format - value does not look like a valid VM ID\n");
        assert_eq!(errors["timeout"], "type check ('integer') failed - got 'abc'");
        assert_eq!(errors["forceStop"], "type check ('boolean') failed - got 'true'");
        assert_eq!(errors["bogus"], "property is not defined in schema and the schema does not allow additional properties");
        assert_eq!(errors["x"], "property is missing and it is not optional");
    }

    #[test]
    fn limits_are_named() {
        assert_eq!(errors(&[optional("limit", NATURAL)], &[("limit", "-1")])["limit"], "value must have a minimum value of 0");
        let table = [optional("type", Kind::Choice(&["vm", "node"]))];
        assert_eq!(errors(&table, &[("type", "lxc")])["type"], "value 'lxc' does not have a value in the enumeration 'vm, node'");
    }
}
