//! Points in time and spans of it, as values.
//!
//! Everything in the house that needs "now" is handed a [`Timestamp`]; nothing here reads a clock.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since the Unix epoch, in UTC.
///
/// Text form is RFC 3339 with microseconds and `Z`. Years 1970 to 9999 are representable; arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last microsecond of the year 9999, the largest value RFC 3339 can write.
const MAX_MICROS: i64 = 253_402_207_200_999_999;

impl Timestamp {
    /// The Unix epoch, the smallest timestamp.
    pub const MIN: Self = Self(0);
    /// The largest timestamp.
    pub const MAX: Self = Self(MAX_MICROS);

    /// From microseconds since the epoch; values outside the range are clamped into it.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < 0 {
            Self(0)
        } else if micros > MAX_MICROS {
            Self(MAX_MICROS)
        } else {
            Self(micros)
        }
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0 / 1_000
    }

    /// Whole seconds since the epoch: what signatures carry.
    pub const fn secs(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Whole days since the epoch: what time partitions are named by.
    pub const fn day(self) -> i64 {
        self.0 / 86_400_000_000
    }

    /// This point plus a span.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This point minus a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// The span since an earlier point; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.6}"),
            Err(_) => write!(f, "9999-12-30T22:00:00.999999Z"),
        }
    }
}

/// Text that is not an RFC 3339 date and time with a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time with a zone, such as 2026-01-31T09:30:00Z")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at: jiff::Timestamp = text
            .parse()
            .map_err(|_| TimestampError(text.chars().take(64).collect()))?;
        Ok(Self::from_micros(at.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A span of time written as people write it: `500ms`, `5s`, `30m`, `2h`, `5d`, or a number of seconds.
///
/// # Errors
/// Says what was given and which forms are understood.
pub fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let fail = || SpanError(text.chars().take(32).collect());
    let value: f64 = number.parse().map_err(|_| fail())?;
    let seconds = match unit.trim() {
        "ms" => value / 1_000.0,
        "" | "s" => value,
        "m" => value * 60.0,
        "h" => value * 3_600.0,
        "d" => value * 86_400.0,
        _ => return Err(fail()),
    };
    if !(0.0..=3_155_760_000.0).contains(&seconds) {
        return Err(fail());
    }
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// The shortest exact text for a span, in the form that [`parse_span`] reads.
pub fn format_span(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0 => "0s".to_owned(),
        m if m % 86_400_000 == 0 => format!("{}d", m / 86_400_000),
        m if m % 3_600_000 == 0 => format!("{}h", m / 3_600_000),
        m if m % 60_000 == 0 => format!("{}m", m / 60_000),
        m if m % 1_000 == 0 => format!("{}s", m / 1_000),
        m => format!("{m}ms"),
    }
}

/// Text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write 500ms, 5s, 30m, 2h, 5d, or a number of seconds")]
pub struct SpanError(String);

/// Serde form of a span: text such as `5s`, or a number of seconds. Use as `#[serde(with = "span")]`.
pub mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the text form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_span(*span))
    }

    /// Reads text or a number of seconds.
    ///
    /// # Errors
    /// When it is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Span::deserialize(deserializer)?.0)
    }

    /// A span as one value of a list or an option.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Span(pub Duration);

    impl serde::Serialize for Span {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(&self.0, serializer)
        }
    }

    impl<'de> Deserialize<'de> for Span {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            #[derive(Deserialize)]
            #[serde(untagged)]
            enum Form {
                Text(String),
                Seconds(f64),
            }
            let text = match Form::deserialize(deserializer)? {
                Form::Text(text) => text,
                Form::Seconds(seconds) => seconds.to_string(),
            };
            super::parse_span(&text).map(Self).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_read_back_what_they_write() {
        let at = Timestamp::from_micros(1_766_000_000_123_456);
        assert_eq!(at.to_string(), "2025-12-17T19:33:20.123456Z");
        assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
        assert_eq!(Timestamp::MAX.to_string().parse::<Timestamp>(), Ok(Timestamp::MAX));
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        assert!("2026-01-31T09:30:00".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("2026-01-31T09:30:00+02:00".parse::<Timestamp>().is_ok());
    }

    #[test]
    fn spans_are_read_in_every_unit_and_written_shortest() {
        for (text, millis, shortest) in [
            ("500ms", 500, "500ms"),
            ("5s", 5_000, "5s"),
            ("5", 5_000, "5s"),
            ("90m", 5_400_000, "90m"),
            ("2h", 7_200_000, "2h"),
            ("5d", 432_000_000, "5d"),
            ("1.5s", 1_500, "1500ms"),
        ] {
            let span = parse_span(text).unwrap();
            assert_eq!(span, Duration::from_millis(millis), "{text}");
            assert_eq!(format_span(span), shortest);
        }
        for text in ["", "s", "5 weeks", "-1s", "1e9", "nan", "999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::from_secs(1)), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
    }
}
