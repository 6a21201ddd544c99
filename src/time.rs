//! The clock and the dice.
//!
//! The only place that asks for the time of day or for a random number: everything else takes a [`SystemTime`]
//! or a [`Duration`] as a value, so that it can be tested without waiting.
//!
//! Deliberately not here: timers (those are tokio's) and randomness for keys (that is the crypto provider's).

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The time of day. Certificates live by it: a monotonic clock stands still while a machine is suspended.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the clock"
)]
pub fn now() -> SystemTime {
    let time = SystemTime::now();
    let offset = OFFSET_SECONDS.load(Ordering::Relaxed);
    let seconds = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 {
        time - seconds
    } else {
        time + seconds
    }
}

/// Makes [`now`] go wrong by so many seconds: a test needs a machine whose clock does.
pub fn set_offset(seconds: i64) {
    OFFSET_SECONDS.store(seconds, Ordering::Relaxed);
}

static OFFSET_SECONDS: AtomicI64 = AtomicI64::new(0);

/// Seconds since 1970, as metrics tell times; 0 for anything before.
pub fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

/// What [`unix_seconds`] told; `None` for more than a clock can have.
pub fn from_unix_seconds(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// As RFC 3339 has it, in UTC and whole seconds: `2026-11-23T03:17:30Z`. 1970 for what no calendar has.
pub fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .and_then(|time| Timestamp::from_second(time.as_second()))
        .unwrap_or_default()
        .to_string()
}

/// What [`rfc3339`] wrote, or anybody else in that format.
pub fn from_rfc3339(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// `duration`, shortened by up to a fifth at random, so that replicas which started together do not act
/// together.
///
/// Only ever shorter: a deadline that was computed from `duration` still holds.
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(1.0 - 0.2 * random_fraction())
}

/// A number in `0.0..=1.0`, good enough to spread load. `RandomState` is seeded by the operating system, and no
/// two of one thread are alike.
fn random_fraction() -> f64 {
    // The upper 32 bits: an exact conversion to f64.
    let random = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(u32::MAX);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_shortens_and_by_a_fifth_at_most() {
        let full = Duration::from_secs(100);
        for _ in 0..1_000 {
            let spread = jittered(full);
            assert!(
                spread <= full && spread >= Duration::from_secs(80),
                "{spread:?}"
            );
        }
    }

    #[test]
    fn times_before_1970_are_0() {
        assert_eq!(unix_seconds(UNIX_EPOCH + Duration::from_secs(7)), 7);
        assert_eq!(unix_seconds(UNIX_EPOCH - Duration::from_secs(7)), 0);
    }

    #[test]
    fn times_are_told_in_utc_and_whole_seconds_and_read_back() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_403_850_999);
        assert_eq!(rfc3339(time), "2026-11-23T03:17:30Z");
        let whole = UNIX_EPOCH + Duration::from_secs(1_795_403_850);
        assert_eq!(from_rfc3339("2026-11-23T03:17:30Z"), Some(whole));
        assert_eq!(from_rfc3339("2026-11-23T04:17:30+01:00"), Some(whole));
        assert_eq!(from_rfc3339("tomorrow"), None);
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
