//! Tickets and CSRF tokens: how they are written, signed and checked.
//!
//! Not here: who may sign in ([`super::sign_in`]) and where a ticket stands in a request
//! ([`super::authentication`]).

use super::clock::{Moment, seconds};
use percent_encoding::percent_decode_str;
use ring::{hmac, rand::SystemRandom};
use std::sync::RwLock;

/// Two hours, and five minutes for a clock that is behind (AC:58-60).
const LIFETIME: i64 = 2 * 60 * 60;
const GRACE: i64 = 5 * 60;

pub struct Tickets {
    key: RwLock<hmac::Key>,
}

impl Tickets {
    pub fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self { key: RwLock::new(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?) })
    }

    /// Makes every ticket given so far invalid, as a change of Proxmox's key does.
    pub fn expire_all(&self) {
        if let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()) {
            *self.key.write().expect("nothing panics while it holds the key") = key;
        }
    }

    /// `PVE:{userid}:{time}::{signature}` (PVE/Ticket.pm:53-72).
    pub fn ticket(&self, user: &str, now: Moment) -> String {
        self.assemble(user, "", now)
    }

    /// The half ticket of somebody who still owes a second factor: the challenge stands where the user does, and the user is only
    /// in the signature (AC, `assemble_ticket`).
    pub fn second_factor_ticket(&self, user: &str, challenge: &str, now: Moment) -> String {
        self.assemble(&format!("!tfa!{challenge}"), &format!(":{user}"), now)
    }

    /// The half ticket of 7.4 for clients that do not ask for the newer form; only `/access/tfa` of then could make it whole.
    pub fn old_second_factor_ticket(&self, user: &str, now: Moment) -> String {
        self.assemble(&format!("tfa!{user}"), "", now)
    }

    /// The user of a ticket that is whole and in time. `lifetime` shortens the two hours for one user.
    pub fn check(&self, ticket: &str, now: Moment, lifetime: impl FnOnce(&str) -> Option<i64>) -> Option<String> {
        let (user, age) = self.verify(ticket, "", now)?;
        (age < lifetime(&user).unwrap_or(LIFETIME) && !user.starts_with("tfa!")).then_some(user)
    }

    /// Whether this is a half ticket of the user, in time.
    pub fn is_second_factor_ticket(&self, ticket: &str, user: &str, now: Moment, lifetime: Option<i64>) -> bool {
        let found = self.verify(ticket, &format!(":{user}"), now);
        found.is_some_and(|(data, age)| data.starts_with("!tfa!") && age < lifetime.unwrap_or(LIFETIME))
    }

    /// Only the colon is escaped.
    fn assemble(&self, data: &str, secret: &str, now: Moment) -> String {
        let plain = format!("PVE:{}:{:08X}", data.replace(':', "%3A"), seconds(now));
        let signature = base64(&self.long_signature(&format!("{plain}{secret}")));
        format!("{plain}::{signature}")
    }

    /// What a ticket is about, and its age.
    fn verify(&self, ticket: &str, secret: &str, now: Moment) -> Option<(String, i64)> {
        let (plain, signature) = ticket.rsplit_once("::")?;
        if signature != base64(&self.long_signature(&format!("{plain}{secret}"))) {
            return None;
        }
        let (data, time) = plain.strip_prefix("PVE:")?.rsplit_once(':')?;
        let age = seconds(now) - i64::from_str_radix(time, 16).ok()?;
        (age > -GRACE).then(|| (percent_decode_str(data).decode_utf8_lossy().into_owned(), age))
    }

    /// `{time}:{hmac of "time:user"}`, the hash without padding (PVE/Ticket.pm:29-50).
    pub fn csrf(&self, user: &str, now: Moment) -> String {
        let time = format!("{:08X}", seconds(now));
        let hash = self.short_signature(&time, user);
        format!("{time}:{hash}")
    }

    pub fn csrf_is_valid(&self, token: &str, user: &str, now: Moment) -> bool {
        let Some((time, hash)) = token.split_once(':') else { return false };
        let Ok(issued) = i64::from_str_radix(time, 16) else { return false };
        let age = seconds(now) - issued;
        hash == self.short_signature(time, user) && age > -GRACE && age < LIFETIME
    }

    fn short_signature(&self, time: &str, user: &str) -> String {
        let key = self.key.read().expect("nothing panics while it holds the key");
        let hash = hmac::sign(&key, format!("csrf:{time}:{user}").as_bytes());
        base64(hash.as_ref()).trim_end_matches('=').to_owned()
    }

    /// 256 bytes, so that a ticket is as long as one with Proxmox's RSA signature: 367 characters for most users.
    fn long_signature(&self, plain: &str) -> Vec<u8> {
        let key = self.key.read().expect("nothing panics while it holds the key");
        (0..8).flat_map(|part: u8| hmac::sign(&key, format!("{part}:{plain}").as_bytes()).as_ref().to_vec()).collect()
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = 1_795_368_389_000;

    #[test]
    fn base64_pads() {
        assert_eq!([base64(b"f"), base64(b"fo"), base64(b"foo"), base64(b"foob")], ["Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn a_ticket_is_good_for_two_hours_and_only_whole() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.ticket("root@pam", NOW);
        assert!(ticket.starts_with("PVE:root@pam:6B0325C5::"), "{ticket}");
        let check = |ticket: &str, at| tickets.check(ticket, at, |_| None);
        assert_eq!(check(&ticket, NOW).as_deref(), Some("root@pam"));
        assert_eq!(check(&ticket, NOW + 7_199_000).as_deref(), Some("root@pam"));
        assert_eq!(check(&ticket, NOW + 7_200_000), None);
        assert_eq!(check(&ticket, NOW - 299_000).as_deref(), Some("root@pam"));
        assert_eq!(check(&ticket, NOW - 300_000), None);
        assert_eq!(check(&ticket.replace("root", "boot"), NOW), None);
        assert_eq!(tickets.check(&ticket, NOW + 61_000, |_| Some(60)), None);
        tickets.expire_all();
        assert_eq!(check(&ticket, NOW), None);
    }

    #[test]
    fn a_half_ticket_opens_nothing_and_belongs_to_its_user() {
        let tickets = Tickets::new().unwrap();
        let half = tickets.second_factor_ticket("twofactor@pve", "{\"totp\":true}", NOW);
        assert!(half.starts_with("PVE:!tfa!{\"totp\"%3Atrue}:6B0325C5::"), "{half}");
        let old = tickets.old_second_factor_ticket("twofactor@pve", NOW);
        assert_eq!([half.as_str(), &old].map(|ticket| tickets.check(ticket, NOW, |_| None)), [None, None]);
        assert!(tickets.is_second_factor_ticket(&half, "twofactor@pve", NOW, None));
        assert!(!tickets.is_second_factor_ticket(&half, "bob@pve", NOW, None));
        assert!(!tickets.is_second_factor_ticket(&half, "twofactor@pve", NOW + 7_200_000, None));
        assert!(!tickets.is_second_factor_ticket(&tickets.ticket("bob@pve", NOW), "bob@pve", NOW, None));
    }

    #[test]
    fn a_csrf_token_belongs_to_its_user() {
        let tickets = Tickets::new().unwrap();
        let token = tickets.csrf("alice@pve", NOW);
        assert!(tickets.csrf_is_valid(&token, "alice@pve", NOW));
        assert!(!tickets.csrf_is_valid(&token, "bob@pve", NOW));
        assert!(!tickets.csrf_is_valid("junk", "alice@pve", NOW));
        assert!(!tickets.csrf_is_valid(&token, "alice@pve", NOW + 7_200_000));
    }
}
