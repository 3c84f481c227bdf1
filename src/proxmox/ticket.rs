//! A Proxmox ticket: what a sign-in yields and every later call carries.

use super::ids::UserId;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How long a ticket lives: two hours (pve-access-control AccessControl.pm:58).
pub const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);

/// A ticket with its CSRF token. Both are secret: the type neither prints nor serialises them.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Whose it is.
    pub user: UserId,
    ticket: SecretString,
    csrf: SecretString,
}

impl Ticket {
    /// A ticket as Proxmox handed it out.
    pub fn new(user: UserId, ticket: String, csrf: String) -> Self {
        Self { user, ticket: ticket.into(), csrf: csrf.into() }
    }

    /// The value of the `PVEAuthCookie` cookie, and the password of a renewal.
    pub fn cookie(&self) -> &str {
        self.ticket.expose_secret()
    }

    /// The value of the `CSRFPreventionToken` header.
    pub fn csrf(&self) -> &str {
        self.csrf.expose_secret()
    }
}
