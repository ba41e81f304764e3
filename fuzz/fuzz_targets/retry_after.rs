//! Feeds `Retry-After` values to their parser, at any time of the clock.
#![no_main]

use std::time::Duration;

use bellwire_core::retry::parse_retry_after;
use bellwire_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, i64)| {
    let (value, micros) = input;
    let now = Timestamp::from_micros(micros);
    let wait = parse_retry_after(value, now);
    assert_eq!(
        wait,
        parse_retry_after(&format!(" {value}\t"), now),
        "spaces around changed the value"
    );
    let is_seconds = value
        .trim_matches([' ', '\t'])
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    if let (Some(wait), false) = (wait, is_seconds) {
        // A date: the later we ask, the shorter the wait, and never by more than the time that passed.
        let later = parse_retry_after(value, Timestamp::from_micros(micros.saturating_add(1_000_000)));
        assert!(
            later.is_some_and(|later| later <= wait && wait - later <= Duration::from_secs(1)),
            "{wait:?} {later:?}"
        );
    }
});
