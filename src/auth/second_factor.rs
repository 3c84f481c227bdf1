//! Between the two steps of a sign-in: the challenge that Proxmox wants back with the second factor.
//!
//! It rests in a session of its own, which signs nobody in and ends after some minutes: sealed for that session, whose id only the
//! cookie of one browser holds. So a second tab, another replica or a restart of Berth make no difference.

use crate::{
    error::Flaw,
    proxmox::{
        ids::{ClusterName, UserId},
        ticket::{Challenge, SecondFactor},
    },
    server::{Error, Visitor, session::session_key, state::Cluster},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tower_sessions::Expiry;

/// How long the second factor may take. Proxmox's own challenge lives longer.
pub const ANSWER_WITHIN: Duration = Duration::minutes(5);

/// Where the session keeps it.
const KEY: &str = "second_factor";

/// What the session keeps.
#[derive(Serialize, Deserialize)]
struct Kept {
    user: UserId,
    cluster: ClusterName,
    sealed: Vec<u8>,
}

/// A sign-in that waits for its second factor.
pub struct Begun {
    /// Where.
    pub cluster: Arc<Cluster>,
    /// What Proxmox wants to have answered.
    pub challenge: Challenge,
}

/// What it is sealed for; no session's ticket is sealed for the same.
fn place(key: &str) -> String {
    format!("challenge {key}")
}

/// Keeps a challenge in a new session, whatever the browser had before.
pub async fn keep(visitor: &Visitor, cluster: &Cluster, challenge: &Challenge) -> Result<(), Error> {
    let session = &visitor.session;
    session.clear().await;
    session.cycle_id().await?;
    session.set_expiry(Some(Expiry::AtDateTime(OffsetDateTime::now_utc() + ANSWER_WITHIN)));
    // the id that it is sealed for is known once there is a row
    session.save().await?;
    let key = session.id().map(|id| session_key(&id)).ok_or(Error::NotSignedIn)?;
    let sealed = visitor.state.sealer().seal(&place(&key), challenge.text())?;
    session.insert(KEY, Kept { user: challenge.user.clone(), cluster: cluster.name.clone(), sealed }).await?;
    Ok(session.save().await?)
}

/// The sign-in that this browser has begun, where it has not expired.
pub async fn begun(visitor: &Visitor) -> Result<Option<Begun>, Error> {
    let Some(Kept { user, cluster, sealed }) = visitor.session.get(KEY).await? else { return Ok(None) };
    let (Some(cluster), Some(id)) = (visitor.state.cluster(&cluster), visitor.session.id()) else { return Ok(None) };
    match visitor.state.sealer().open(&place(&session_key(&id)), &sealed) {
        Ok(text) => Ok(Some(Begun { cluster, challenge: Challenge::new(user, text) })),
        Err(error) => {
            tracing::error!(%user, "a challenge cannot be opened; was the key file replaced? {error}");
            Ok(None)
        }
    }
}

/// Reads a code of an authenticator app as people type and paste it. Six digits are what everybody has; Proxmox can be told to take
/// up to eight (proxmox-tfa, `totp.rs`).
pub fn code(text: &SecretString) -> Result<SecondFactor, Flaw> {
    let code = without_gaps(text)?;
    let is_code = (6..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    if is_code { Ok(SecondFactor::Totp(code.into())) } else { Err(Flaw::Malformed) }
}

/// Reads a recovery key and writes it as Proxmox does: four groups of four digits of 0 to f (proxmox-tfa, `api/recovery.rs`).
pub fn recovery_key(text: &SecretString) -> Result<SecondFactor, Flaw> {
    let key = without_gaps(text)?.to_ascii_lowercase();
    if key.len() != 16 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Flaw::Malformed);
    }
    let key = format!("{}-{}-{}-{}", &key[..4], &key[4..8], &key[8..12], &key[12..]);
    Ok(SecondFactor::Recovery(key.into()))
}

fn without_gaps(text: &SecretString) -> Result<String, Flaw> {
    let text: String = text.expose_secret().chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if text.is_empty() { Err(Flaw::Empty) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(by: fn(&SecretString) -> Result<SecondFactor, Flaw>, text: &str) -> Result<String, Flaw> {
        by(&text.to_owned().into()).map(|answer| answer.password().expose_secret().to_owned())
    }

    #[test]
    fn a_code_is_taken_as_it_is_pasted() {
        for good in ["123456", "123 456", " 123-456\n", "123\u{a0}456"] {
            assert_eq!(read(code, good).as_deref(), Ok("totp:123456"), "{good:?}");
        }
        for (bad, flaw) in [("", Flaw::Empty), (" - ", Flaw::Empty), ("12345", Flaw::Malformed), ("12345a", Flaw::Malformed)] {
            assert_eq!(read(code, bad), Err(flaw), "{bad:?}");
        }
        assert_eq!(read(code, "１２３４５６"), Err(Flaw::Malformed));
    }

    #[test]
    fn a_recovery_key_is_taken_with_and_without_its_hyphens() {
        for good in ["1a2b-3c4d-5e6f-7a8b", "1A2B 3C4D 5E6F 7A8B", "1a2b3c4d5e6f7a8b"] {
            assert_eq!(read(recovery_key, good).as_deref(), Ok("recovery:1a2b-3c4d-5e6f-7a8b"), "{good:?}");
        }
        for (bad, flaw) in
            [("", Flaw::Empty), ("123456", Flaw::Malformed), ("1a2b-3c4d-5e6f-7a8g", Flaw::Malformed), ("ééééé-ééé", Flaw::Malformed)]
        {
            assert_eq!(read(recovery_key, bad), Err(flaw), "{bad:?}");
        }
    }
}
