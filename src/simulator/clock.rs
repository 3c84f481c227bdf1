//! The simulated clock: real time times a speed plus what tests skipped, or, stepped, only what tests skipped.
//!
//! Everything that depends on time (tasks, tickets, samples, usage) asks this clock and no other. Not here: what happens when
//! time passes; that is [`super::state::State::settle`].

use std::{
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// Milliseconds of simulated time since the Unix epoch.
pub type Moment = i64;

/// The seconds of a moment, as Proxmox writes times.
pub fn seconds(moment: Moment) -> i64 {
    moment.div_euclid(1000)
}

/// A duration as a difference of moments.
pub fn millis(duration: Duration) -> Moment {
    Moment::try_from(duration.as_millis()).unwrap_or(Moment::MAX / 4)
}

pub struct Clock {
    speed: f64,
    stepped: bool,
    origin: Moment,
    started: Instant,
    skipped: Mutex<Moment>,
    moved: watch::Sender<u64>,
}

impl Clock {
    pub fn new(speed: f64, stepped: bool) -> Self {
        let origin = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        let speed = if speed.is_finite() { speed.clamp(0.001, 1e6) } else { 1.0 };
        Self { speed, stepped, origin, started: Instant::now(), skipped: Mutex::new(0), moved: watch::Sender::new(0) }
    }

    pub fn now(&self) -> Moment {
        let skipped = *self.skipped.lock().expect("nothing panics while it holds the clock");
        // f64 counts milliseconds exactly for longer than any simulator runs.
        let elapsed = if self.stepped { 0 } else { (self.started.elapsed().as_secs_f64() * self.speed * 1000.0) as Moment };
        self.origin + skipped + elapsed
    }

    /// Goes to a moment, forwards or back: a state that is loaded brings its own time along.
    pub fn set(&self, moment: Moment) {
        let now = self.now();
        *self.skipped.lock().expect("nothing panics while it holds the clock") += moment - now;
        self.moved.send_modify(|n| *n += 1);
    }

    pub fn advance(&self, by: Duration) {
        *self.skipped.lock().expect("nothing panics while it holds the clock") += millis(by);
        self.moved.send_modify(|n| *n += 1);
    }

    /// Waits until a moment has come: by itself, or stepped only by [`Clock::advance`].
    pub async fn until(&self, moment: Moment) {
        let mut moved = self.moved.subscribe();
        loop {
            moved.borrow_and_update();
            let left = moment - self.now();
            if left <= 0 {
                return;
            }
            let alarm = async {
                if self.stepped {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_secs_f64(left as f64 / 1000.0 / self.speed)).await;
            };
            tokio::select! {
                () = alarm => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// A delay that is only there to be slow (the 3 s of a 401). Stepped, it is left out: no test has to wait for it.
    pub async fn delay_until(&self, moment: Moment) {
        if !self.stepped {
            self.until(moment).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_clock_moves_only_when_told() {
        let clock = Clock::new(50.0, true);
        let before = clock.now();
        assert_eq!(clock.now(), before);
        clock.advance(Duration::from_secs(10));
        assert_eq!(clock.now(), before + 10_000);
    }
}
