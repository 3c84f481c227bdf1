//! Who asks, as the rules about containers see it.

use super::access::ROOT;

/// The user of a call, and what they may.
pub struct Caller<'a> {
    /// `user@realm`, or `user@realm!token`.
    pub user: &'a str,
    /// Whether they have a privilege on a path.
    pub may: &'a dyn Fn(&str, &str) -> bool,
}

impl Caller<'_> {
    /// Some options are for `root@pam` alone; not even a token of root's may use them.
    pub fn is_root(&self) -> bool {
        self.user == ROOT
    }
}
