//! Times, spans and numbers as people read them.

use std::time::Duration;

use bellwire_core::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago, or in how long: `3 min ago`, `in 2 h`.
pub(crate) fn ago(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        return format!("in {}", span(at.since(now)));
    }
    let passed = now.since(at);
    match passed.as_secs() {
        0 => "just now".to_owned(),
        _ => format!("{} ago", span(passed)),
    }
}

/// A span in its largest unit: `450 ms`, `12 s`, `3 min`, `2 h`, `5 d`.
pub(crate) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0 => format!("{} ms", span.as_millis()),
        1..MINUTE => format!("{secs} s"),
        MINUTE..HOUR => format!("{} min", secs / MINUTE),
        HOUR..DAY => format!("{} h", secs / HOUR),
        _ => format!("{} d", secs / DAY),
    }
}

/// Milliseconds: `12 ms`, `1.5 s`.
pub(crate) fn millis(millis: f64) -> String {
    if millis < 1_000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1_000.0)
    }
}

/// A date and a time of day in UTC: `2026-01-31 09:30:00`.
pub(crate) fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// The time of day, to the millisecond: `09:30:00.125`.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

/// A number with thin groups of three: `12 345`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things: `1 message`, `2 messages`.
pub(crate) fn count(many: u64, one: &str) -> String {
    let end = if many == 1 { "" } else { "s" };
    format!("{} {one}{end}", number(many))
}

/// A share in hundredths: `99.8 %`; nothing when there is nothing to share.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "a share is shown to a tenth of a percent")]
    let share = part as f64 * 100.0 / whole as f64;
    match part == whole {
        true => "100 %".to_owned(),
        // Rounding must not make all of nearly all.
        false => format!("{:.1} %", share.min(99.9)),
    }
}

/// A word as a shell reads it (POSIX, section 2.2.2).
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[test]
    fn times_are_told_by_their_distance() {
        assert_eq!(ago(NOON, NOON), "just now");
        assert_eq!(ago(NOON, NOON.minus(Duration::from_secs(59))), "59 s ago");
        assert_eq!(ago(NOON, NOON.minus(Duration::from_secs(7_300))), "2 h ago");
        assert_eq!(ago(NOON, NOON.plus(Duration::from_secs(300))), "in 5 min");
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            (count(1, "message"), count(0, "message")),
            ("1 message".into(), "0 messages".into())
        );
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(share(9_999, 10_000), "99.9 %");
        assert_eq!((share(3, 3), share(0, 0)), ("100 %".into(), "–".into()));
    }

    #[test]
    fn a_word_is_quoted_for_a_shell() {
        assert_eq!(quoted("/api/v1/app"), "/api/v1/app");
        assert_eq!(quoted("a b'c$d"), r"'a b'\''c$d'");
    }

    #[test]
    fn a_clock_shows_utc() {
        assert_eq!(clock(NOON), "2025-12-17 19:33:20");
        assert_eq!(time_of_day(NOON), "19:33:20.000");
    }
}
