//! What a sign-in yields: a ticket, which every later call carries, or the challenge for a second factor.

use super::ids::{OtherFactor, UserId};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a ticket lives: two hours (pve-access-control AccessControl.pm:58).
pub const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);

/// A ticket with its CSRF token. Both are secret: the type neither prints nor serialises them.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Whose it is.
    pub user: UserId,
    ticket: SecretString,
    csrf: SecretString,
    had_since: Instant,
}

impl Ticket {
    /// A ticket as Proxmox handed it out.
    pub fn new(user: UserId, ticket: String, csrf: String) -> Self {
        Self { user, ticket: ticket.into(), csrf: csrf.into(), had_since: Instant::now() }
    }

    /// The value of the `PVEAuthCookie` cookie, and the password of a renewal.
    pub fn cookie(&self) -> &str {
        self.ticket.expose_secret()
    }

    /// The value of the `CSRFPreventionToken` header.
    pub fn csrf(&self) -> &str {
        self.csrf.expose_secret()
    }

    /// For how long this process has had it; it is at least so old.
    pub fn had_for(&self) -> Duration {
        self.had_since.elapsed()
    }
}

/// A password was right, and a second factor is asked for. It can be answered for some minutes.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Who signs in.
    pub user: UserId,
    /// Whether a code of an authenticator app is taken.
    pub totp: bool,
    /// Whether a recovery key is taken.
    pub recovery: bool,
    /// What else it is, for who has neither of the two.
    pub other: OtherFactor,
    text: SecretString,
}

impl Challenge {
    /// A challenge as Proxmox handed it out: `PVE:!tfa!{JSON}:{time}::{signature}`, the colons of the JSON escaped
    /// (PVE/API2/AccessControl.pm, create_ticket_do; PVE/Ticket.pm:53-72). It says what the user has set up; where it cannot be read,
    /// everything is offered, and Proxmox decides.
    pub fn new(user: UserId, ticket: String) -> Self {
        let json = ticket.strip_prefix("PVE:!tfa!").and_then(|rest| rest.split(':').next());
        let json = json.map(|json| percent_decode_str(json).decode_utf8_lossy());
        let offered: Option<Value> = json.and_then(|json| serde_json::from_str(&json).ok());
        let mentions = |name: &str| offered.as_ref().is_some_and(|offered| offered.get(name).is_some());
        let has = |name: &str| {
            offered.as_ref().is_none_or(|offered| match &offered[name] {
                Value::Null | Value::Bool(false) => false,
                // the recovery codes that are left, by number; older versions say how many there are in a word
                Value::Array(left) => !left.is_empty(),
                Value::String(word) => word != "unavailable",
                _ => true,
            })
        };
        let other = [("webauthn", OtherFactor::WebAuthn), ("u2f", OtherFactor::U2f), ("yubico", OtherFactor::Yubico)];
        let other = other.into_iter().find(|(name, _)| has(name)).map(|(_, factor)| factor);
        let other = other.unwrap_or(if mentions("recovery") { OtherFactor::Spent } else { OtherFactor::Unknown });
        Self { totp: has("totp"), recovery: has("recovery"), other, user, text: ticket.into() }
    }

    /// What Proxmox wants back with the answer.
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The answer to a challenge. It is secret as long as it counts.
#[derive(Debug, Clone)]
pub enum SecondFactor {
    /// Six digits of an authenticator app.
    Totp(SecretString),
    /// A recovery key, which then is used up.
    Recovery(SecretString),
}

impl SecondFactor {
    /// As Proxmox wants it in place of the password (PVE/AccessControl.pm, authenticate_2nd_new_do).
    pub fn password(&self) -> SecretString {
        match self {
            Self::Totp(code) => format!("totp:{}", code.expose_secret()).into(),
            Self::Recovery(code) => format!("recovery:{}", code.expose_secret()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_what_is_taken() {
        let challenge = |json: &str| {
            let user = "x@pve".parse().unwrap();
            let challenge = Challenge::new(user, format!("PVE:!tfa!{}:6B0325C5::c2lnbmF0dXJl", json.replace(':', "%3A")));
            (challenge.totp, challenge.recovery, challenge.other)
        };
        assert!(matches!(challenge(r#"{"totp":true,"recovery":[0,1,2]}"#), (true, true, _)));
        assert!(matches!(challenge(r#"{"totp":true,"recovery":[]}"#), (true, false, _)));
        assert!(matches!(challenge(r#"{"recovery":"low","yubico":false,"u2f":null}"#), (false, true, _)));
        assert_eq!(challenge(r#"{"recovery":"unavailable","webauthn":{"x":1}}"#), (false, false, OtherFactor::WebAuthn));
        assert_eq!(challenge(r#"{"yubico":true}"#), (false, false, OtherFactor::Yubico));
        assert_eq!(challenge(r#"{"recovery":[]}"#), (false, false, OtherFactor::Spent));
        assert_eq!(challenge(r#"{"voice":true}"#), (false, false, OtherFactor::Unknown));
        assert!(matches!(challenge("odd"), (true, true, _)));
    }
}
