//! Looking for something in messages, newest first, a bounded piece at a time.
//!
//! There is no index of texts: nothing is spent on it when a message is published. A scan reads messages one after the other,
//! with their payloads and what they were answered, and says how far it came. What is a hit is decided here, for all backends.

use bellwire_core::{
    attempt::Attempt,
    id::{AppId, EndpointId},
    message::Message,
};

use crate::query::MessageFilter;

/// Answers are looked for in the day of their message and so many days after it: the default schedule is over then.
pub const ANSWERED_WITHIN_DAYS: i64 = 4;
/// Bytes shown before and after what was found.
const AROUND: usize = 60;

/// Asks for messages in which something is found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Of these applications, sorted.
    pub apps: Vec<AppId>,
    /// Conditions on the message.
    pub filter: MessageFilter,
    /// Only those that were routed to this endpoint or attempted there; answers are looked at of it alone.
    pub endpoint: Option<EndpointId>,
    /// Only those with an attempt that was answered so.
    pub status: Option<StatusWanted>,
    /// Only those in which this stands.
    pub needle: Option<Needle>,
    /// Only messages with a smaller number: where the last piece stopped.
    pub below: Option<u64>,
    /// At most so many messages are looked at, at least 1.
    pub rows: usize,
    /// It stops behind the message with which so many bytes of payloads and answers were read.
    pub bytes: usize,
    /// It stops at so many hits.
    pub hits: usize,
}

/// Which status codes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusWanted {
    /// This one; 0 is no answer.
    Code(u16),
    /// Those of a class: 200 is 200 to 299.
    Class(u16),
}

impl StatusWanted {
    /// Whether this is one.
    pub fn takes(self, code: u16) -> bool {
        match self {
            Self::Code(wanted) => code == wanted,
            Self::Class(class) => code / 100 * 100 == class,
        }
    }
}

/// What a piece of a scan came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scanned {
    /// What was found, newest first.
    pub hits: Vec<Hit>,
    /// How many messages were looked at, of whatever application.
    pub seen: u64,
    /// The number of the last one.
    pub reached: Option<u64>,
    /// Whether there are no more.
    pub done: bool,
}

/// A message in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The message, without payload.
    pub message: Message,
    /// Where.
    pub found: Found,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The message itself is what was asked for.
    Message,
    /// In its payload.
    Payload(Excerpt),
    /// In what it was answered, or such an answer was asked for.
    Answer {
        /// The attempt.
        attempt: Box<Attempt>,
        /// Where in it.
        excerpt: Option<Excerpt>,
    },
}

/// What was found, with what stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// A piece of the text.
    pub text: String,
    /// Where in the piece it begins, in bytes…
    pub from: usize,
    /// …and ends.
    pub to: usize,
}

/// A text that is looked for; letters of ASCII are found in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    /// `None` for the empty text, which stands everywhere.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Where it first stands.
    fn position(&self, hay: &[u8]) -> Option<usize> {
        let needle = self.0.as_bytes();
        let (&first, rest) = needle.split_first()?;
        let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
        let last = hay.len().checked_sub(needle.len())?;
        memchr::memchr2_iter(lower, upper, &hay[..=last])
            .find(|&at| hay[at + 1..at + 1 + rest.len()].eq_ignore_ascii_case(rest))
    }

    /// What it was found in, with what stands around it.
    pub fn find(&self, hay: &[u8]) -> Option<Excerpt> {
        let at = self.position(hay)?;
        let end = at + self.0.len();
        let before = String::from_utf8_lossy(&hay[whole_from(hay, at.saturating_sub(AROUND))..at]);
        let found = String::from_utf8_lossy(&hay[at..end]);
        let after = String::from_utf8_lossy(&hay[end..whole_to(hay, (end + AROUND).min(hay.len()))]);
        Some(Excerpt {
            from: before.len(),
            to: before.len() + found.len(),
            text: format!("{before}{found}{after}"),
        })
    }
}

/// The beginning of the character that this is in.
fn whole_from(hay: &[u8], mut at: usize) -> usize {
    while at < hay.len() && hay[at] & 0xc0 == 0x80 {
        at += 1;
    }
    at
}

/// As [`whole_from`], for an end.
fn whole_to(hay: &[u8], mut at: usize) -> usize {
    while at > 0 && at < hay.len() && hay[at] & 0xc0 == 0x80 {
        at -= 1;
    }
    at
}

impl Scan {
    /// Whether a message of this application is meant at all.
    pub fn is_of(&self, app: AppId) -> bool {
        self.apps.binary_search(&app).is_ok()
    }

    /// Whether payloads have to be read.
    pub fn reads_payloads(&self) -> bool {
        self.needle.is_some()
    }

    /// Whether attempts have to be read.
    pub fn reads_attempts(&self) -> bool {
        self.needle.is_some() || self.status.is_some() || self.endpoint.is_some()
    }

    /// What is found in a message that fits the filter. `routed` says whether it was routed to the scan's endpoint.
    pub fn judge(
        &self,
        message: &Message,
        payload: Option<&[u8]>,
        attempts: &[Attempt],
        routed: bool,
    ) -> Option<Found> {
        let of_endpoint = |attempt: &&Attempt| self.endpoint.is_none_or(|wanted| attempt.endpoint == wanted);
        let answered = |attempt: &&Attempt| self.status.is_none_or(|wanted| wanted.takes(attempt.status_code));
        let mut fitting = attempts
            .iter()
            .filter(|attempt| attempt.app == message.app)
            .filter(of_endpoint)
            .filter(answered)
            .rev();
        let first = fitting.clone().next();
        if self.status.is_some() && first.is_none() {
            return None;
        }
        if self.endpoint.is_some() && first.is_none() && !routed {
            return None;
        }
        let Some(needle) = &self.needle else {
            return Some(match first.filter(|_| self.status.is_some()) {
                Some(attempt) => Found::Answer {
                    attempt: Box::new(attempt.clone()),
                    excerpt: None,
                },
                None => Found::Message,
            });
        };
        if let Some(excerpt) = payload.and_then(|payload| needle.find(payload)) {
            return Some(Found::Payload(excerpt));
        }
        fitting.find_map(|attempt| {
            needle.find(&attempt.response).map(|excerpt| Found::Answer {
                attempt: Box::new(attempt.clone()),
                excerpt: Some(excerpt),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needle: &str, hay: &str) -> Option<(String, String)> {
        let excerpt = Needle::new(needle)?.find(hay.as_bytes())?;
        let marked = excerpt.text[excerpt.from..excerpt.to].to_owned();
        Some((excerpt.text, marked))
    }

    #[test]
    fn a_text_is_found_in_either_case_with_what_stands_around_it() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(
            found("order-17", r#"{"id":"ORDER-17"}"#),
            pair(r#"{"id":"ORDER-17"}"#, "ORDER-17")
        );
        assert_eq!(
            found("aab", "aaab"),
            pair("aaab", "aab"),
            "beginnings that lead nowhere are passed"
        );
        assert_eq!(found("x", "abc"), None);
        assert_eq!(found("abcd", "abc"), None);
        assert!(Needle::new("").is_none());
    }

    #[test]
    fn an_excerpt_is_short_and_never_cuts_a_character() {
        let hay = format!("{}needle{}", "ä".repeat(200), "€".repeat(200));
        let (text, marked) = found("needle", &hay).unwrap();
        assert_eq!(marked, "needle");
        assert!(text.len() <= 2 * AROUND + 6 && !text.contains('\u{fffd}'), "{text}");
    }

    #[test]
    fn bytes_that_are_no_text_are_looked_through_as_well() {
        let excerpt = Needle::new("id").unwrap().find(b"\xff\xfeid\x80").unwrap();
        assert_eq!(&excerpt.text[excerpt.from..excerpt.to], "id");
    }

    #[test]
    fn status_codes_are_wanted_alone_or_by_class() {
        assert!(StatusWanted::Code(503).takes(503) && !StatusWanted::Code(503).takes(500));
        assert!(StatusWanted::Class(500).takes(503) && !StatusWanted::Class(500).takes(404));
        assert!(StatusWanted::Code(0).takes(0));
    }
}
