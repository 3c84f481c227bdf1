//! Property strings: `key=value` pairs joined by commas, one of which may leave its key out (pve-common JSONSchema.pm,
//! parse_property_string).

use thiserror::Error;

/// A text that is no property string, or lacks what makes it one of its kind. Holds no text of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidValue {
    /// `=value`, `key=`, or a value where every one needs a key.
    #[error("a part without a key or a value")]
    Incomplete,
    /// A key stands there twice.
    #[error("a key that is given twice")]
    Twice,
    /// A key without which it is none.
    #[error("no {0}")]
    Missing(&'static str),
}

/// A value of a property.
pub trait Value: Sized {
    /// What the text means, where we understand it.
    fn read(text: &str) -> Option<Self>;
    /// A text that means this.
    fn print(&self) -> String;
}

/// The pairs of a property string that have not been taken out yet, in their order.
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Takes a property string apart. A part without a key has the default one.
    pub fn parse(text: &str, default_key: Option<&str>) -> Result<Self, InvalidValue> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => (key, value),
                Some(_) => return Err(InvalidValue::Incomplete),
                None => (default_key.ok_or(InvalidValue::Incomplete)?, part),
            };
            if pairs.iter().any(|(known, _)| known == key) {
                return Err(InvalidValue::Twice);
            }
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(pairs))
    }

    /// Takes out a value that we understand; one that we do not stays.
    pub fn take<T: Value>(&mut self, key: &str) -> Option<T> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        let value = T::read(&self.0[index].1)?;
        self.0.remove(index);
        Some(value)
    }

    /// What is left.
    pub fn rest(self) -> Vec<(String, String)> {
        self.0
    }
}

/// A property string being written.
#[derive(Default)]
pub struct Writer(Vec<String>);

impl Writer {
    /// Adds a value without its key, where it can be told from a pair.
    pub fn default_key<T: Value>(&mut self, key: &str, value: &T) {
        let text = value.print();
        self.0.push(if text.contains('=') || text.trim().is_empty() { format!("{key}={text}") } else { text });
    }

    /// Adds a value where there is one.
    pub fn maybe<T: Value>(&mut self, key: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.0.push(format!("{key}={}", value.print()));
        }
    }

    /// The whole, with what else there was.
    pub fn finish(mut self, rest: &[(String, String)]) -> String {
        self.0.extend(rest.iter().map(|(key, value)| format!("{key}={value}")));
        self.0.join(",")
    }
}

impl Value for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn print(&self) -> String {
        self.clone()
    }
}

/// `1 on yes true` and `0 off no false` in either case (pve-common JSONSchema.pm, parse_boolean).
impl Value for bool {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "yes" | "true" => Some(true),
            "0" | "off" | "no" | "false" => Some(false),
            _ => None,
        }
    }

    fn print(&self) -> String {
        u8::from(*self).to_string()
    }
}

/// Words joined by `;`.
impl Value for Vec<String> {
    fn read(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split(';').map(str::to_owned).collect();
        words.iter().all(|word| !word.is_empty()).then_some(words)
    }

    fn print(&self) -> String {
        self.join(";")
    }
}

/// Declares that a value is read and printed as Rust does, but without a sign or a blank.
macro_rules! as_rust_does {
    ($($name:ty),*) => {$(
        impl Value for $name {
            fn read(text: &str) -> Option<Self> {
                text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':').then(|| text.parse().ok()).flatten()
            }
            fn print(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
as_rust_does!(u16, std::net::Ipv4Addr, std::net::Ipv6Addr);
