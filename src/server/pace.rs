//! How time passes for what is done again and again, so that a test can step it and need not wait.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::watch;

/// A clock that is looked at and waited for. Cheap to clone; clones show the same time.
#[derive(Debug, Clone)]
pub struct Pace(Arc<Way>);

#[derive(Debug)]
enum Way {
    Real(Instant),
    Stepped { began: i64, passed: watch::Sender<Duration> },
}

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(Way::Real(Instant::now())))
    }
}

impl Pace {
    /// Time stands still but for [`Pace::advance`].
    pub fn stepped() -> Self {
        let began = OffsetDateTime::now_utc().unix_timestamp();
        Self(Arc::new(Way::Stepped { began, passed: watch::Sender::new(Duration::ZERO) }))
    }

    /// Lets time pass where it is stepped; else it does so by itself.
    pub fn advance(&self, by: Duration) {
        if let Way::Stepped { passed, .. } = &*self.0 {
            passed.send_modify(|passed| *passed += by);
        }
    }

    /// How long this has been going on.
    pub fn now(&self) -> Duration {
        match &*self.0 {
            Way::Real(began) => began.elapsed(),
            Way::Stepped { passed, .. } => *passed.borrow(),
        }
    }

    /// The time of day, in epoch seconds.
    pub fn epoch(&self) -> i64 {
        match &*self.0 {
            Way::Real(_) => OffsetDateTime::now_utc().unix_timestamp(),
            Way::Stepped { began, passed } => *began + passed.borrow().as_secs() as i64,
        }
    }

    /// Waits for a time by [`Pace::now`].
    pub async fn until(&self, at: Duration) {
        match &*self.0 {
            Way::Real(began) => tokio::time::sleep_until((*began + at).into()).await,
            Way::Stepped { passed, .. } => {
                let mut passed = passed.subscribe();
                // the sender is this clock's own
                let _ = passed.wait_for(|now| *now >= at).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_stepped_time_passes_by_steps_alone() {
        let pace = Pace::stepped();
        let (began, clone) = (pace.epoch(), pace.clone());
        let mut ends = Box::pin(async { clone.until(Duration::from_secs(10)).await });
        assert!(ends.as_mut().now_or_never().is_none());
        pace.advance(Duration::from_secs(10));
        ends.await;
        assert_eq!((pace.now(), pace.epoch()), (Duration::from_secs(10), began + 10));
    }
}
