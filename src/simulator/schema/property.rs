//! One property: what a value has to be, and what is said of one that is not.
//!
//! A property is the same thing as a parameter of an endpoint and as a key of a property string, so both have this type. The checks
//! come in the order of `check_prop` (JS:1507-1692), and the first that fails is the only one that is reported.

use super::{
    formats::{Unfit, before_newline},
    property_string,
};
use crate::simulator::version::Version;

/// Said of what has to be there.
pub const MISSING: &str = "property is missing and it is not optional";

/// Said of what has no property.
pub const UNKNOWN: &str = "property is not defined in schema and the schema does not allow additional properties";

/// What Perl calls the type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    Number,
    Text,
}

/// A format that has a name with Proxmox, or the keys of a property string.
#[derive(Debug, Clone, Copy)]
enum Format {
    One(fn(&str) -> Result<(), Unfit>),
    /// `-list`: each part is checked, and no part at all is fine.
    List(fn(&str) -> Result<(), Unfit>),
    PropertyString(&'static [Property]),
}

/// A parameter of an endpoint, or a key of a property string.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    pub name: &'static str,
    kind: Kind,
    /// `net` with 32 stands for `net0` to `net31`.
    count: Option<u32>,
    pub is_optional: bool,
    /// Of a property string: whether its value may stand without `key=`.
    pub is_default_key: bool,
    minimum: Option<i64>,
    maximum: Option<i64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    format: Option<Format>,
    pattern: Option<fn(&str) -> bool>,
    choices: Option<&'static [&'static str]>,
    pub requires: Option<&'static str>,
    since: Version,
    until: Version,
}

impl Property {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            count: None,
            is_optional: false,
            is_default_key: false,
            minimum: None,
            maximum: None,
            min_length: None,
            max_length: None,
            format: None,
            pattern: None,
            choices: None,
            requires: None,
            since: Version::V7_4,
            until: Version::V9_2,
        }
    }

    pub const fn boolean(name: &'static str) -> Self {
        Self::new(name, Kind::Boolean)
    }

    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, Kind::Integer)
    }

    pub const fn number(name: &'static str) -> Self {
        Self::new(name, Kind::Number)
    }

    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    pub const fn choice(name: &'static str, choices: &'static [&'static str]) -> Self {
        let mut property = Self::text(name);
        property.choices = Some(choices);
        property
    }

    /// A text of keys and values, such as `name=eth0,bridge=vmbr0`.
    pub const fn property_string(name: &'static str, keys: &'static [Property]) -> Self {
        let mut property = Self::text(name);
        property.format = Some(Format::PropertyString(keys));
        property
    }

    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    pub const fn default_key(mut self) -> Self {
        self.is_default_key = true;
        self
    }

    /// Makes it a numbered family: `net` becomes `net0`, `net1` … All its members are optional.
    pub const fn numbered(mut self, count: u32) -> Self {
        self.count = Some(count);
        self.optional()
    }

    pub const fn minimum(mut self, minimum: i64) -> Self {
        self.minimum = Some(minimum);
        self
    }

    pub const fn maximum(mut self, maximum: i64) -> Self {
        self.maximum = Some(maximum);
        self
    }

    pub const fn min_length(mut self, length: usize) -> Self {
        self.min_length = Some(length);
        self
    }

    pub const fn max_length(mut self, length: usize) -> Self {
        self.max_length = Some(length);
        self
    }

    pub const fn format(mut self, verify: fn(&str) -> Result<(), Unfit>) -> Self {
        self.format = Some(Format::One(verify));
        self
    }

    pub const fn list_of(mut self, verify: fn(&str) -> Result<(), Unfit>) -> Self {
        self.format = Some(Format::List(verify));
        self
    }

    pub const fn pattern(mut self, matches: fn(&str) -> bool) -> Self {
        self.pattern = Some(matches);
        self
    }

    pub const fn requires(mut self, name: &'static str) -> Self {
        self.requires = Some(name);
        self
    }

    /// The first release that knows it.
    pub const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    /// The last release that knows it. Where a later one knows it differently, two properties have the same name.
    pub const fn until(mut self, version: Version) -> Self {
        self.until = version;
        self
    }

    pub const fn is_boolean(&self) -> bool {
        matches!(self.kind, Kind::Boolean)
    }

    pub fn is_in(&self, version: Version) -> bool {
        (self.since..=self.until).contains(&version)
    }

    /// Whether this is the property of that name; numbers of a family have no leading zeros.
    pub fn is_named(&self, name: &str) -> bool {
        let Some(count) = self.count else { return self.name == name };
        name.strip_prefix(self.name)
            .filter(|number| number.starts_with(|first: char| first.is_ascii_digit()) && (*number == "0" || !number.starts_with('0')))
            .and_then(|number| number.parse::<u32>().ok())
            .is_some_and(|number| number < count)
    }

    /// Checks a value; `path` is the name under which it was given, which the errors of a property string repeat.
    pub fn check(&self, value: &str, path: &str, version: Version) -> Result<(), String> {
        self.check_kind(value)?;
        self.check_format(value, path, version)?;
        if self.pattern.is_some_and(|matches| !matches(value)) {
            return Err("value does not match the regex pattern".to_owned());
        }
        self.check_length(value)?;
        self.check_bounds(value)?;
        match self.choices {
            Some(choices) if !choices.contains(&value) => {
                Err(format!("value '{value}' does not have a value in the enumeration '{}'", choices.join(", ")))
            }
            _ => Ok(()),
        }
    }

    fn check_kind(&self, value: &str) -> Result<(), String> {
        let (fits, kind) = match self.kind {
            Kind::Text => return Ok(()),
            // The words `true`, `on`, `yes` are for property strings and the command line (http-16-form-boolean).
            Kind::Boolean => (matches!(value, "0" | "1"), "boolean"),
            Kind::Integer => (is_integer(value), "integer"),
            Kind::Number => (is_number(value), "number"),
        };
        if fits { Ok(()) } else { Err(format!("type check ('{kind}') failed - got '{value}'")) }
    }

    fn check_format(&self, value: &str, path: &str, version: Version) -> Result<(), String> {
        let unfit = match self.format {
            None => return Ok(()),
            Some(Format::One(verify)) => verify(value),
            Some(Format::List(verify)) => split_list(value).try_for_each(verify),
            Some(Format::PropertyString(keys)) => {
                property_string::parse_at(keys, value, path, version).map(drop).map_err(|refusal| refusal.to_string())
            }
        };
        unfit.map_err(|text| format!("invalid format - {text}"))
    }

    fn check_length(&self, value: &str) -> Result<(), String> {
        let length = value.chars().count();
        match (self.max_length, self.min_length) {
            (Some(most), _) if length > most => Err(format!("value may only be {most} characters long")),
            (_, Some(least)) if length < least => Err(format!("value must be at least {least} characters long")),
            _ => Ok(()),
        }
    }

    fn check_bounds(&self, value: &str) -> Result<(), String> {
        if !is_number(value) {
            return Ok(());
        }
        let number = as_number(value);
        match (self.maximum, self.minimum) {
            (Some(most), _) if number > widen(most) => Err(format!("value must have a maximum value of {most}")),
            (_, Some(least)) if number < widen(least) => Err(format!("value must have a minimum value of {least}")),
            _ => Ok(()),
        }
    }
}

/// Perl compares a text with a bound as floating point.
#[expect(clippy::cast_precision_loss, reason = "no bound is beyond 2^53")]
const fn widen(bound: i64) -> f64 {
    bound as f64
}

/// The parts of a `-list`: between commas, semicolons or white space; between zero bytes if there is one (`split_list`, ParseUtils.pm).
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let has_zeros = text.contains('\0');
    let mut parts: Vec<_> = if has_zeros {
        text.split('\0').collect()
    } else {
        text.split(|character: char| matches!(character, ',' | ';') || character.is_whitespace()).filter(|part| !part.is_empty()).collect()
    };
    // Perl's split leaves out what is empty at the end.
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts.into_iter()
}

/// `^[+-]?\d+$` (JS:1170).
fn is_integer(value: &str) -> bool {
    let digits = before_newline(value);
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `^[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?$` (JS:1163).
fn is_number(value: &str) -> bool {
    let number = before_newline(value);
    let number = number.strip_prefix(['+', '-']).unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).map_or((number, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent.is_none_or(is_integer_without_newline)
}

fn is_integer_without_newline(exponent: &str) -> bool {
    !exponent.ends_with('\n') && is_integer(exponent)
}

/// A text that [`is_number`] as a number.
fn as_number(value: &str) -> f64 {
    before_newline(value).parse().unwrap_or(0.0)
}

/// A text that [`is_integer`] as a number; beyond the largest, the largest.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub fn as_integer(value: &str) -> i64 {
    before_newline(value).parse().unwrap_or_else(|_| as_number(value) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(property: Property, value: &str) -> Result<(), String> {
        property.check(value, property.name, Version::V9_2)
    }

    #[test]
    fn the_kind_comes_before_the_bounds_and_the_bounds_before_the_choices() {
        let property = Property::integer("cores").minimum(1).maximum(8192);
        assert_eq!(check(property, "1.5"), Err("type check ('integer') failed - got '1.5'".to_owned()));
        assert_eq!(check(property, ""), Err("type check ('integer') failed - got ''".to_owned()));
        assert_eq!(check(property, "0"), Err("value must have a minimum value of 1".to_owned()));
        assert_eq!(check(property, "8193"), Err("value must have a maximum value of 8192".to_owned()));
        assert_eq!(check(property, "+4\n"), Ok(()));
    }

    #[test]
    fn a_number_may_have_a_bare_point_and_an_exponent() {
        for number in ["1", "1.", ".5", "-1.5e3", "2E+1", "7\n"] {
            assert!(is_number(number), "{number}");
        }
        for text in ["", ".", "e1", "1e", "1.2.3", "1 ", "0x1", "1e1e1"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn a_list_is_split_at_commas_semicolons_and_spaces() {
        assert_eq!(split_list(" a,b;;c  d,").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(split_list("").count(), 0);
    }

    #[test]
    fn a_family_has_members_up_to_its_count() {
        let net = Property::text("net").numbered(32);
        assert!(net.is_named("net0") && net.is_named("net31"));
        assert!(!net.is_named("net32") && !net.is_named("net") && !net.is_named("net01") && !net.is_named("net+1"));
    }
}
