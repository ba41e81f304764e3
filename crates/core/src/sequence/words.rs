//! What the resequencer did with a message, in words that are kept with it and shown.

use std::{fmt, time::Duration};

use super::Gap;

/// So much of a version is shown.
const SHOWN_CHARS: usize = 64;

/// Why a message came after its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// Later numbers were accepted already.
    Number {
        /// Its number.
        number: u64,
        /// The last number that was accepted.
        last: u64,
        /// It was waited for, and then given up.
        given_up: bool,
    },
    /// Numbers begin later.
    BelowStart {
        /// Its number.
        number: u64,
        /// The first number.
        start: u64,
    },
    /// A newer version was accepted already.
    Version {
        /// Its version.
        version: String,
        /// The newest version.
        newest: String,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number {
                number,
                last,
                given_up: true,
            } => write!(f, "{number} was waited for and given up; by now {last} was accepted"),
            Self::Number { number, last, .. } => write!(f, "{number} is below {last}, which came before"),
            Self::BelowStart { number, start } => write!(f, "{number} is below {start}, where numbers begin"),
            Self::Version { version, newest } => write!(
                f,
                "version {} is older than {}, which came before",
                Short(version),
                Short(newest)
            ),
        }
    }
}

/// That a message was accepted later than it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// How long it was held.
    pub waited: Duration,
    /// The number it waited for first.
    pub missing: Option<u64>,
    /// What did not come in time.
    pub gap: Option<Gap>,
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waited = Span(self.waited);
        match (self.gap, self.missing) {
            (Some((first, last)), _) if first == last => write!(f, "{first} did not come within {waited}"),
            (Some((first, last)), _) => write!(f, "{first} to {last} did not come within {waited}"),
            (None, Some(missing)) => write!(f, "waited {waited} for {missing}"),
            (None, None) => write!(f, "waited {waited} for those before it"),
        }
    }
}

/// Seconds with one decimal; below a second, milliseconds.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            return write!(f, "{millis} ms");
        }
        match (millis / 1_000, millis % 1_000 / 100) {
            (seconds, 0) => write!(f, "{seconds} s"),
            (seconds, tenths) => write!(f, "{seconds}.{tenths} s"),
        }
    }
}

/// The beginning of a text that somebody else wrote.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARS) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_says_what_was_waited_for() {
        let late = |millis, missing, gap| {
            let waited = Duration::from_millis(millis);
            Lateness { waited, missing, gap }.to_string()
        };
        assert_eq!(late(1_234, Some(5), None), "waited 1.2 s for 5");
        assert_eq!(late(350, Some(5), None), "waited 350 ms for 5");
        assert_eq!(late(5_004, None, None), "waited 5 s for those before it");
        assert_eq!(late(5_004, Some(5), Some((5, 6))), "5 to 6 did not come within 5 s");
        assert_eq!(late(5_000, Some(5), Some((5, 5))), "5 did not come within 5 s");
    }

    #[test]
    fn stale_says_what_came_before() {
        let version = |version: &str| {
            let newest = "9".to_owned();
            Stale::Version {
                version: version.to_owned(),
                newest,
            }
        };
        assert_eq!(version("8").to_string(), "version 8 is older than 9, which came before");
        assert!(
            version(&"é".repeat(65))
                .to_string()
                .contains(&format!("{}… is", "é".repeat(64)))
        );
        let number = |given_up| Stale::Number {
            number: 5,
            last: 7,
            given_up,
        };
        assert_eq!(
            number(true).to_string(),
            "5 was waited for and given up; by now 7 was accepted"
        );
        assert_eq!(number(false).to_string(), "5 is below 7, which came before");
        let below = Stale::BelowStart { number: 0, start: 1 };
        assert_eq!(below.to_string(), "0 is below 1, where numbers begin");
    }
}
