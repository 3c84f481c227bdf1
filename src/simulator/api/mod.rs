//! The endpoints, one function each, in the files of their first path segments.
//!
//! A handler is called when its caller may, its node answers and its parameters are right. It reads and changes the state, and
//! answers; it never waits. Not here: any of these checks ([`super::pipeline`]).

pub mod access;
pub mod cluster;
pub mod history;
pub mod lxc;
pub mod nodes;
pub mod storage;
pub mod tasks;
pub mod version;

use super::{
    clock::Moment,
    reply::{Answer, Failure},
    schema::Params,
    state::State,
    tickets::Tickets,
};

pub type Handler = fn(&mut Call<'_>) -> Result<Answer, Failure>;

/// One call of an endpoint.
pub struct Call<'a> {
    pub state: &'a mut State,
    pub tickets: &'a Tickets,
    /// The fingerprint of the certificate that is shown just now.
    pub fingerprint: &'a str,
    pub now: Moment,
    /// Empty where nobody has to sign in.
    pub user: &'a str,
    pub params: &'a Params,
}

impl Call<'_> {
    fn may(&self, path: &str, privilege: &str) -> bool {
        self.state.access.allows(self.user, path, privilege)
    }

    fn node(&self) -> &str {
        self.params.text("node").unwrap_or_default()
    }
}
