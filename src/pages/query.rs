//! The query of a page's address.

use std::str::FromStr;

/// What stands behind the question mark. What cannot be read is as if it were not there: a link may be old, or typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it.
    pub fn of(text: &str) -> Self {
        Self(serde_urlencoded::from_str(text).unwrap_or_default())
    }

    /// What is said under a name, where that is something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The same, where it can be read.
    pub fn read<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_there() {
        let query = Query::of("by=alice%40pve&what=&n=x");
        assert_eq!((query.get("by"), query.get("what"), query.read::<u8>("n")), (Some("alice@pve"), None, None));
    }
}
