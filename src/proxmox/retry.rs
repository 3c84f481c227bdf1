//! When a call is made again, and after what pause.
//!
//! Not here: what is known about an answer; that is [`Cause`]'s.

use super::error::Cause;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

/// Whether a call that failed may be made again. A write is, only where nothing of it was sent; a read also where the trouble was on
/// the way.
pub fn is_safe(is_write: bool, cause: &Cause) -> bool {
    match cause {
        // another certificate will not come by waiting
        Cause::Untrusted { .. } => false,
        // nor who was not at home all the time that a connection may take
        Cause::Unreachable(error) if error.is_connect() && error.is_timeout() => false,
        cause if is_write => cause.nothing_was_sent(),
        cause => cause.may_pass(),
    }
}

/// The pause after the `failed`th failure, the first being 1: doubled each time, and of that half to all, so that those who failed
/// together do not come back together.
pub fn pause(first: Duration, failed: u32, share: f64) -> Duration {
    first.saturating_mul(1 << failed.saturating_sub(1).min(16)).mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
}

/// A share from 0 to 1; where there is no randomness, all.
pub fn random_share() -> f64 {
    let mut byte = [u8::MAX];
    // what it leaves there is as good
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / f64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let first = Duration::from_millis(100);
        let range = |failed| (pause(first, failed, 0.0).as_millis(), pause(first, failed, 1.0).as_millis());
        assert_eq!((range(1), range(2), range(3)), ((50, 100), (100, 200), (200, 400)));
        assert!(pause(first, u32::MAX, 1.0) > pause(first, 3, 1.0));
    }

    #[test]
    fn a_write_is_not_made_again_when_it_may_have_been_carried_out() {
        let node_away = Cause::NodeUnreachable { status: 595, text: "Connection refused".to_owned() };
        assert!(is_safe(false, &node_away));
        assert!(!is_safe(true, &node_away));
        assert!(!is_safe(true, &Cause::TimedOut(Duration::ZERO)));
        for decided in [Cause::AlreadyRunning, Cause::SignedOut(String::new()), Cause::Other { status: 500, text: String::new() }] {
            assert!(!is_safe(false, &decided), "{decided:?}");
        }
    }
}
