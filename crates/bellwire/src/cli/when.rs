//! Times as options write them: a span back from now (`2h`) or a point in time (RFC 3339).
//!
//! Called by the option definitions of the commands. Parsing takes no clock: a span becomes a point when the command
//! asks [`When::at`] with its "now".

use std::{str::FromStr, time::Duration};

use bellwire_core::time::{Timestamp, parse_span};

/// A point in time, absolute or counted back from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long before now.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

impl When {
    /// The point in time this means at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.minus(span),
            Self::At(at) => at,
        }
    }

    /// Like [`When::at`], but a span counts forward: `deliver in 2h`.
    pub fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now.plus(span),
            Self::At(at) => at,
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // A bare number this large is a Unix time somebody pasted, not a span of thirty years.
        if text.parse::<f64>().is_ok_and(|number| number >= 1e9) {
            return Err(format!(
                "`{text}` looks like a Unix time; write it as RFC 3339, such as {}",
                example(text)
            ));
        }
        if let Ok(span) = parse_span(text) {
            return Ok(Self::Ago(span));
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is neither a span of time (500ms, 30s, 15m, 2h, 7d) nor RFC 3339 (2026-01-31T09:30:00Z)")
        })
    }
}

/// What the number would be as RFC 3339, read as seconds.
fn example(text: &str) -> Timestamp {
    text.split('.')
        .next()
        .and_then(|whole| whole.parse().ok())
        .map_or(Timestamp::MIN, Timestamp::from_secs)
}

/// For clap: a span of time such as `500ms`, `5s`, `2h`, or seconds.
///
/// # Errors
/// Says which forms are understood.
pub fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

/// The wall clock, read here only: commands hand the time on as a value.
pub fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// The time of day in UTC with milliseconds (`14:08:29.123`), for lines that scroll by.
pub fn clock(at: Timestamp) -> String {
    at.to_string().get(11..23).unwrap_or_default().to_owned()
}

/// An API time as people read it: to the second, the `Z` kept. What is no RFC 3339 time stays as it is.
pub fn short(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => format!("{}Z", at.to_string().get(..19).unwrap_or_default()),
        Err(_) => text.to_owned(),
    }
}

/// A span for people, two digits that matter: `85 ms`, `1.5 s`, `12 min`, `3.2 h`, `5 d`.
pub fn human(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1.0 => return format!("{} ms", span.as_millis()),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    if value < 10.0 && (value.fract() * 10.0).round() > 0.0 && (value.fract() * 10.0).round() < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_back_from_now_and_a_time_stands_for_itself() {
        let now = Timestamp::from_secs(1_700_000_000);
        let ago: When = "2h".parse().unwrap();
        assert_eq!(ago.at(now), Timestamp::from_secs(1_700_000_000 - 7_200));
        assert_eq!(ago.ahead(now), Timestamp::from_secs(1_700_000_000 + 7_200));
        let fixed: When = "2023-11-14T22:13:20+00:00".parse().unwrap();
        assert_eq!(fixed.at(Timestamp::MIN), now);
    }

    #[test]
    fn what_is_neither_says_what_can_be_written() {
        let error = "yesterday".parse::<When>().unwrap_err();
        assert!(error.contains("2h") && error.contains("RFC 3339"), "{error}");
        assert!("".parse::<When>().is_err());
        assert!(
            "2026-01-31T09:30:00".parse::<When>().is_err(),
            "a time without a zone is ambiguous"
        );
    }

    #[test]
    fn a_unix_time_is_not_mistaken_for_seconds_ago() {
        let error = "1700000000".parse::<When>().unwrap_err();
        assert!(error.contains("2023-11-14T22:13:20"), "{error}");
    }

    #[test]
    fn times_and_spans_read_short() {
        assert_eq!(clock(Timestamp::from_millis(1_700_000_000_123)), "22:13:20.123");
        assert_eq!(short("2026-01-31T09:30:00.123456Z"), "2026-01-31T09:30:00Z");
        assert_eq!(short("never"), "never");
        let spans = [
            (85, "85 ms"),
            (1_500, "1.5 s"),
            (30_000, "30 s"),
            (720_000, "12 min"),
            (432_000_000, "5 d"),
        ];
        for (ms, text) in spans {
            assert_eq!(human(Duration::from_millis(ms)), text);
        }
    }
}
