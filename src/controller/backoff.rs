//! How long to wait before doing the same again: longer each time, and back to the beginning after a calm.
//!
//! Deliberately not here: waiting itself, and the clock.

use std::time::{Duration, Instant};

use crate::time::jittered;

/// A growing delay. The first is short, so that an accident is mended at once; the last is long, so that
/// whatever keeps undoing our work is not answered with a storm.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    calm: Duration,
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// For trying again what has failed.
    pub fn of_retries() -> Self {
        Self::new(
            Duration::from_millis(250),
            Duration::from_secs(30),
            Duration::from_mins(2),
        )
    }

    /// For reading again after another replica was first: it has most likely done the work.
    pub fn of_conflicts() -> Self {
        Self::new(
            Duration::from_millis(20),
            Duration::from_secs(5),
            Duration::from_secs(10),
        )
    }

    /// From `first`, doubling, to `longest`. It begins anew when nothing has happened for `calm` after a delay.
    pub fn new(first: Duration, longest: Duration, calm: Duration) -> Self {
        Self {
            first,
            longest,
            calm,
            last: None,
        }
    }

    /// It has happened again: how long to wait.
    pub fn next(&mut self, now: Instant) -> Duration {
        let delay = match self.last {
            Some((then, delay)) if now.duration_since(then) <= delay + self.calm => {
                (delay * 2).min(self.longest)
            }
            _ => self.first,
        };
        self.last = Some((now, delay));
        jittered(delay)
    }
}

/// Allows something at once, and then again only after a growing delay.
#[derive(Debug)]
pub struct RateLimit {
    pace: Backoff,
    free_at: Option<Instant>,
}

impl RateLimit {
    /// For repairing what somebody else has overwritten: always within a second, since until then pods start
    /// without the agent, and at most about once a second, whoever keeps overwriting it.
    pub fn of_repairs() -> Self {
        let pace = Backoff::new(
            Duration::from_millis(100),
            Duration::from_millis(800),
            Duration::from_secs(10),
        );
        Self {
            pace,
            free_at: None,
        }
    }

    /// For asking again whether a call comes through.
    pub fn of_proofs() -> Self {
        Self {
            pace: Backoff::of_retries(),
            free_at: None,
        }
    }

    /// How long it is not allowed yet; `None` if it is.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.free_at?.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// It has been done.
    pub fn used(&mut self, now: Instant) {
        self.free_at = Some(now + self.pace.next(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_waits_for_less_than_a_second_however_often_it_is_undone() {
        let mut rate_limit = RateLimit::of_repairs();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..14 {
            let wait = rate_limit.wait(now).unwrap_or_default();
            waits.push(wait);
            now += wait;
            assert_eq!(rate_limit.wait(now), None);
            rate_limit.used(now);
        }

        assert_eq!(waits[0], Duration::ZERO);
        assert!(
            waits.iter().all(|wait| *wait < Duration::from_secs(1)),
            "{waits:?}"
        );
        assert!(waits[13] >= Duration::from_millis(600), "{waits:?}");
    }

    #[test]
    fn doubles_up_to_the_longest_and_begins_anew_after_a_calm() {
        let (first, longest, calm) = (
            Duration::from_secs(10),
            Duration::from_secs(35),
            Duration::from_secs(100),
        );
        let mut pace = Backoff::new(first, longest, calm);
        let start = Instant::now();
        let within = |delay: Duration, seconds: u64| {
            let full = Duration::from_secs(seconds);
            assert!(
                delay <= full && delay >= full.mul_f64(0.79),
                "{delay:?} is not about {full:?}"
            );
        };

        within(pace.next(start), 10);
        within(pace.next(start + Duration::from_secs(10)), 20);
        within(pace.next(start + Duration::from_secs(30)), 35);
        within(pace.next(start + Duration::from_secs(65)), 35);
        within(pace.next(start + Duration::from_secs(65 + 35 + 101)), 10);
    }
}
