//! Property strings: `name=eth0,bridge=vmbr0,ip=dhcp`, read and written as Proxmox does (JS:1068-1148, JS:2779).
//!
//! Which keys there are stands in a table of properties; those of containers in [`super::lxc`]. Not here: keys that stand for two
//! keys at once (`virtio=AA:…` of virtual machines), which containers have none of.

use super::{
    formats::{before_newline, format_size},
    property::{MISSING, Property, UNKNOWN, as_integer},
};
use crate::simulator::version::Version;
use std::{collections::BTreeMap, fmt};

/// The keys of a property string.
pub type Format = [Property];

/// What a property string says. Booleans are `1` or `0`, whatever was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub fn integer(&self, key: &str) -> Option<i64> {
        self.text(key).map(as_integer)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.text(key) == Some("1")
    }

    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }
}

/// Why a text is no property string of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be taken apart: Perl dies with this text, which ends in a newline.
    Malformed(String),
    /// It can, but these keys are wrong, missing or unknown: an exception `format error\n` that carries them.
    Invalid(Vec<(String, String)>),
}

/// As Perl writes it into another text.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => f.write_str(text),
            Self::Invalid(errors) => {
                f.write_str("format error\n")?;
                errors.iter().try_for_each(|(path, error)| writeln!(f, "{path}: {error}"))
            }
        }
    }
}

/// Reads a property string as the newest release does.
pub fn parse(format: &'static Format, text: &str) -> Result<Properties, Refusal> {
    parse_at(format, text, "", Version::V9_2)
}

/// The same for a release; `path` stands before the keys in errors, such as `net0` in `net0.ip`.
pub fn parse_at(format: &'static Format, text: &str, path: &str, version: Version) -> Result<Properties, Refusal> {
    let found = split(format, text).map_err(|text| Refusal::Malformed(format!("{text}\n")))?;
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let known = || format.iter().filter(|property| property.is_in(version));
    let mut errors = Vec::new();
    for property in known() {
        let path = at(property.name);
        let checked = match found.text(property.name) {
            Some(value) => property.check(value, &path, version),
            None if property.is_optional => Ok(()),
            None => Err(MISSING.to_owned()),
        };
        errors.extend(checked.err().map(|error| (path, error)));
    }
    // Perl gives them in the order of a hash, which is any.
    errors.sort();
    let unknown = found.0.keys().filter(|key| !known().any(|property| property.name == **key));
    errors.extend(unknown.map(|key| (at(key), UNKNOWN.to_owned())));
    if errors.is_empty() { Ok(found) } else { Err(Refusal::Invalid(errors)) }
}

/// Takes a property string apart without looking at the values. There is a text for unknown keys here too (JS:1115), but looking for
/// an alias makes the key known before that.
fn split(format: &Format, text: &str) -> Result<Properties, String> {
    let duplicate = |key: &str| Err(format!("duplicate key in comma-separated list property: {key}"));
    let mut found = Properties::default();
    let mut had_default = false;
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        if let Some((key, value)) = part.split_once('=') {
            let value = before_newline(value);
            if key.is_empty() || value.is_empty() || value.contains('\n') {
                return Err("missing key in comma-separated list property".to_owned());
            }
            if found.text(key).is_some() {
                return duplicate(key);
            }
            let is_boolean = format.iter().any(|property| property.name == key && property.is_boolean());
            found.set(key, if is_boolean { normalise(value) } else { value });
        } else {
            let Some(default) = format.iter().find(|property| property.is_default_key) else {
                return Err("value without key, but schema does not define a default key".to_owned());
            };
            if had_default || found.text(default.name).is_some_and(|value| value != "0") {
                return duplicate(default.name);
            }
            had_default = true;
            found.set(default.name, part);
        }
    }
    Ok(found)
}

/// In property strings, and only there, a boolean may be a word in any case.
fn normalise(value: &str) -> &str {
    let is_any_of = |words: [&str; 4]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is_any_of(["1", "on", "yes", "true"]) {
        "1"
    } else if is_any_of(["0", "off", "no", "false"]) {
        "0"
    } else {
        value
    }
}

/// Writes a property string: the default key without its name, the keys it cannot do without, the others; each by name.
pub fn print(format: &'static Format, properties: &Properties) -> String {
    let rank = |key: &str| {
        let property = format.iter().find(|property| property.name == key);
        (property.is_none_or(|property| !property.is_default_key), property.is_none_or(|property| property.is_optional))
    };
    let mut pairs: Vec<_> = properties.0.iter().collect();
    pairs.sort_by_key(|(key, _)| rank(key));
    let print_pair = |(key, value): (&String, &String)| {
        let bytes = if key == "size" { value.parse().ok() } else { None };
        let value = bytes.map_or_else(|| value.clone(), format_size);
        if rank(key).0 { format!("{key}={value}") } else { value }
    };
    pairs.into_iter().map(print_pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{
        super::lxc::{DEVICE, FEATURES, MOUNT_POINT, NETWORK, ROOTFS},
        *,
    };

    fn again(format: &'static Format, text: &str) -> String {
        print(format, &parse(format, text).unwrap())
    }

    fn refusal(format: &'static Format, text: &str) -> String {
        parse(format, text).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_written_in_proxmoxs_order() {
        assert_eq!(
            again(NETWORK, "type=veth,ip=dhcp,hwaddr=BC:24:11:00:00:01,bridge=vmbr0,name=eth0"),
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth"
        );
        assert_eq!(
            again(MOUNT_POINT, "size=8G,backup=yes,mp=/data,local:100/vm-100-disk-1.raw"),
            "local:100/vm-100-disk-1.raw,mp=/data,backup=1,size=8G"
        );
        assert_eq!(again(FEATURES, " ,nesting=TRUE,keyctl=off"), "keyctl=0,nesting=1");
        assert_eq!(again(DEVICE, "mode=0660,path=/dev/fuse"), "/dev/fuse,mode=0660");
    }

    #[test]
    fn a_size_in_bytes_is_written_in_the_largest_unit() {
        let mut rootfs = parse(ROOTFS, "local:8").unwrap();
        rootfs.set("size", (8_u64 << 30).to_string());
        assert_eq!(print(ROOTFS, &rootfs), "local:8,size=8G");
    }

    #[test]
    fn what_cannot_be_taken_apart_is_one_error() {
        assert_eq!(refusal(NETWORK, "eth0"), "value without key, but schema does not define a default key\n");
        assert_eq!(refusal(NETWORK, "name="), "missing key in comma-separated list property\n");
        assert_eq!(refusal(NETWORK, "name=a,name=b"), "duplicate key in comma-separated list property: name\n");
        assert_eq!(refusal(FEATURES, "x=1,x=1"), "duplicate key in comma-separated list property: x\n");
        assert_eq!(refusal(ROOTFS, "local:8,local:9"), "duplicate key in comma-separated list property: volume\n");
    }

    #[test]
    fn wrong_values_are_all_named_with_their_path() {
        let refusal = parse_at(NETWORK, "colour=red,ip=10.0.0.1,tag=0", "net0", Version::V8_4).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "format error\n\
             net0.ip: invalid format - value does not look like a valid ipv4 network configuration\n\n\
             net0.name: property is missing and it is not optional\n\
             net0.tag: value must have a minimum value of 1\n\
             net0.colour: property is not defined in schema and the schema does not allow additional properties\n"
        );
    }
}
