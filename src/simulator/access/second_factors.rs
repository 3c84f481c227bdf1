//! Second factors of a user: one-time codes by time (RFC 6238: SHA-1, 30 s, six digits) and recovery keys, and when Proxmox takes
//! no more attempts (proxmox-tfa, `api/mod.rs` and `totp.rs`).
//!
//! Not here: security keys, and when a second factor is asked for ([`crate::simulator::sign_in`]).

use crate::simulator::version::Version;
use ring::hmac;
use serde_json::json;

const STEP: i64 = 30;
/// A code may be one step early or late.
const TOLERANCE: i64 = 1;
/// After so many wrong codes in a row only a recovery key helps.
const MOST_WRONG_CODES: u32 = 8;
/// After so many wrong answers in a row nothing helps for an hour.
const MOST_WRONG_ANSWERS: u32 = 100;
const LOCKED_FOR: i64 = 60 * 60;

/// What a user has for a second factor.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct SecondFactors {
    /// The secret, in Base32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
    /// A key that was used is empty from then on: the others keep their places, by which users know them. Without any, there
    /// never were recovery keys.
    pub recovery: Vec<String>,
    #[serde(skip)]
    pub attempts: Attempts,
}

/// What the next answer depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attempts {
    /// The step of the last code that was good.
    last_step: Option<i64>,
    wrong_codes: u32,
    wrong_answers: u32,
    /// In seconds.
    locked_until: i64,
}

impl SecondFactors {
    /// What may be answered, as JSON without white space; nothing where no second factor is asked for. Recovery keys are named by
    /// their places, and an empty list says that all were used.
    pub fn challenge(&self) -> Option<String> {
        let totp = self.totp.is_some().then(|| r#""totp":true"#.to_owned());
        let recovery = self.recovery_challenge();
        let parts: Vec<String> = totp.into_iter().chain(recovery).collect();
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")))
    }

    /// The challenge of a realm that demands Yubico, which nobody can answer here but with a recovery key.
    pub fn yubico_challenge(&self) -> String {
        let recovery = self.recovery_challenge().map(|part| format!(",{part}")).unwrap_or_default();
        format!(r#"{{"yubico":true{recovery}}}"#)
    }

    fn recovery_challenge(&self) -> Option<String> {
        let left: Vec<usize> = self.recovery.iter().enumerate().filter(|(_, key)| !key.is_empty()).map(|(place, _)| place).collect();
        (!self.recovery.is_empty()).then(|| format!(r#""recovery":{}"#, json!(left)))
    }

    /// Whether `totp:{code}` or `recovery:{key}` is right; a recovery key is used up by that. Locks, and codes that are good only
    /// once, came with 8.0.
    pub fn verify(&mut self, response: &str, now: i64, version: Version) -> bool {
        let locks = version >= Version::V8_4;
        if locks && now < self.attempts.locked_until {
            return false;
        }
        let is_right = match response.split_once(':') {
            Some(("totp", _)) if locks && self.attempts.wrong_codes >= MOST_WRONG_CODES => return false,
            Some(("totp", code)) => self.verify_code(code, now, locks),
            Some(("recovery", key)) => self.use_up(key),
            _ => return false,
        };
        if is_right {
            (self.attempts.wrong_codes, self.attempts.wrong_answers) = (0, 0);
        } else {
            self.attempts.wrong_answers += 1;
            if self.attempts.wrong_answers >= MOST_WRONG_ANSWERS {
                self.attempts.locked_until = now + LOCKED_FOR;
            }
        }
        is_right
    }

    /// Whether a code fits one of the steps around now.
    pub fn fits(&self, code: &str, now: i64) -> bool {
        self.step_of(code, now).is_some()
    }

    fn verify_code(&mut self, code: &str, now: i64, once: bool) -> bool {
        let step = self.step_of(code, now).filter(|step| !once || self.attempts.last_step.is_none_or(|last| *step > last));
        match step {
            Some(_) => self.attempts.last_step = step,
            None => self.attempts.wrong_codes += 1,
        }
        step.is_some()
    }

    fn use_up(&mut self, key: &str) -> bool {
        let known = self.recovery.iter_mut().find(|known| !known.is_empty() && **known == key);
        known.map(String::clear).is_some()
    }

    fn step_of(&self, code: &str, now: i64) -> Option<i64> {
        let secret = base32(self.totp.as_deref()?)?;
        let now = now.div_euclid(STEP);
        (now - TOLERANCE..=now + TOLERANCE).find(|step| code_of(&secret, *step) == code)
    }
}

/// RFC 4226, section 5.3.
fn code_of(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let hash = hmac::sign(&key, &step.to_be_bytes());
    let hash = hash.as_ref();
    let start = usize::from(hash[hash.len() - 1] & 0xf);
    let number = hash[start..start + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// RFC 4648, section 6. Padding does not matter, nor does what is left of the last bits.
fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut word, mut bits) = (0_u32, 0);
    for sign in text.trim_end_matches('=').bytes() {
        let digit = match sign.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            number @ b'2'..=b'7' => number - b'2' + 26,
            _ => return None,
        };
        word = word << 5 | u32::from(digit);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, `12345678901234567890`.
    fn factors() -> SecondFactors {
        let totp = Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
        SecondFactors { totp, recovery: vec!["1111-2222".to_owned(), "3333-4444".to_owned()], ..SecondFactors::default() }
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert!(factors().fits(code, time) && factors().fits(code, time + STEP) && factors().fits(code, time - STEP));
            assert!(!factors().fits(code, time + 2 * STEP));
        }
    }

    #[test]
    fn a_code_is_good_once_since_8_0() {
        let mut factors = factors();
        assert!(factors.verify("totp:287082", 59, Version::V9_2));
        assert!(!factors.verify("totp:287082", 59, Version::V9_2));
        assert!(factors.verify("totp:287082", 59, Version::V7_4));
    }

    #[test]
    fn a_recovery_key_is_used_up_and_the_others_keep_their_places() {
        let mut factors = factors();
        assert_eq!(factors.challenge().as_deref(), Some(r#"{"totp":true,"recovery":[0,1]}"#));
        assert!(factors.verify("recovery:1111-2222", 0, Version::V8_4));
        assert!(!factors.verify("recovery:1111-2222", 0, Version::V8_4) && !factors.verify("recovery:", 0, Version::V8_4));
        assert_eq!(factors.challenge().as_deref(), Some(r#"{"totp":true,"recovery":[1]}"#));
    }

    #[test]
    fn after_eight_wrong_codes_only_a_recovery_key_helps() {
        let mut factors = factors();
        for _ in 0..8 {
            assert!(!factors.verify("totp:000000", 59, Version::V8_4));
        }
        assert!(!factors.verify("totp:287082", 59, Version::V8_4));
        assert!(factors.verify("recovery:3333-4444", 59, Version::V8_4));
        assert!(factors.verify("totp:287082", 59, Version::V8_4));
    }
}
