//! When a failed delivery is tried again.
//!
//! The schedule is a list of waits, one before each retry: n entries make n + 1 attempts. Pure: jitter and time are passed in.

use std::time::Duration;

use crate::time::Timestamp;

/// The Standard Webhooks schedule: at once, then after these waits.
pub const STANDARD_SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// A wait is lengthened by up to this share of itself, so that what failed together does not come back together.
pub const JITTER_MAX: f64 = 0.2;

/// The longest `Retry-After` that is honoured in full; longer ones are cut to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The wait before the next attempt after `tries` attempts were made, or `None` when the schedule is exhausted.
///
/// `jitter` is a number from 0 to 1 (outside is clamped). The wait is never shorter than the schedule says, at most
/// [`JITTER_MAX`] longer, and never shorter than what the receiver asked for (RFC 9110 section 10.2.3), up to
/// [`RETRY_AFTER_MAX`].
pub fn next_wait(schedule: &[Duration], tries: u16, jitter: f64, retry_after: Option<Duration>) -> Option<Duration> {
    let scheduled = *schedule.get(usize::from(tries).checked_sub(1)?)?;
    let jittered = scheduled.mul_f64(1.0 + JITTER_MAX * jitter.clamp(0.0, 1.0));
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(jittered.max(asked))
}

/// Reads a `Retry-After` field: seconds, or an HTTP date (RFC 9110 section 10.2.3, all three date forms of section 5.6.7).
///
/// Returns the wait from `now`, zero for a date that has passed, `None` for anything else.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are still a number of seconds: a very long wait.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = value
        .strip_suffix(" GMT")
        .or_else(|| (value.len() == 24).then_some(value))?;
    let seconds = ["%a, %d %b %Y %H:%M:%S", "%A, %d-%b-%y %H:%M:%S", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|form| jiff::civil::DateTime::strptime(form, date).ok())
        .and_then(|at| jiff::tz::TimeZone::UTC.to_timestamp(at).ok())?
        .as_second();
    Some(Timestamp::from_secs(seconds).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(784_111_770);

    #[test]
    fn retry_after_is_read_in_every_form_of_the_rfc() {
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            assert_eq!(
                parse_retry_after(value, NOW),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }

    #[test]
    fn a_schedule_of_n_waits_makes_n_plus_one_attempts() {
        let attempts = 1
            + (1..)
                .take_while(|tries| next_wait(&STANDARD_SCHEDULE, *tries, 0.0, None).is_some())
                .count();
        assert_eq!(attempts, 10);
        assert_eq!(next_wait(&[], 1, 0.5, Some(Duration::from_secs(5))), None);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_early_and_stays_in_its_band(tries in 1u16..10, jitter in -1.0..2.0f64, asked in 0u64..200_000) {
            let scheduled = STANDARD_SCHEDULE[usize::from(tries) - 1];
            let plain = next_wait(&STANDARD_SCHEDULE, tries, jitter, None).unwrap();
            prop_assert!(plain >= scheduled && plain <= scheduled.mul_f64(1.0 + JITTER_MAX));
            let asked = Duration::from_secs(asked);
            let wait = next_wait(&STANDARD_SCHEDULE, tries, jitter, Some(asked)).unwrap();
            prop_assert!(wait >= asked.min(RETRY_AFTER_MAX) && wait <= plain.max(RETRY_AFTER_MAX));
        }

        #[test]
        fn any_retry_after_is_read_or_ignored_without_panic(value in "\\PC{0,60}") {
            let _ = parse_retry_after(&value, NOW);
        }
    }
}
