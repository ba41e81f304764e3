//! At most one message of a kind in a span of time: which kinds were acted upon, and when. Pure; `now` comes from outside.
//!
//! An endpoint that throttles has one [`Seen`]. It is in memory only: after a restart the first message of a kind is acted upon.

use std::{collections::HashMap, time::Duration};

use ring::digest;

use crate::time::Timestamp;

/// The most kinds that are remembered of one endpoint. Beyond it the oldest quarter is forgotten.
pub const KINDS_MAX: usize = 10_000;

/// What a message's kind is remembered by: a kind may be a long text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind([u8; 32]);

impl Kind {
    /// The kind of that name.
    pub fn of(name: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let mut kind = [0; 32];
        kind.copy_from_slice(hash.as_ref());
        Self(kind)
    }
}

/// Which kinds of messages were acted upon lately.
#[derive(Debug, Default)]
pub struct Seen {
    kinds: HashMap<Kind, Acted>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Acted {
    at: Timestamp,
    /// Which attempt is under way; `None` when it succeeded.
    under_way: Option<Ticket>,
}

/// The right to act upon a message of a kind, until it is known how that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Another message of the kind was acted upon too short a while ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When it was.
    pub since: Timestamp,
    /// Whether that attempt is still under way.
    pub under_way: bool,
}

impl Seen {
    /// Asks to act upon a message. While an attempt is under way its kind counts as acted upon.
    ///
    /// # Errors
    /// When one of its kind was acted upon less than `every` ago.
    pub fn begin(&mut self, kind: Kind, every: Duration, now: Timestamp) -> Result<Ticket, Held> {
        if let Some(acted) = self.kinds.get(&kind)
            && (acted.under_way.is_some() || now.since(acted.at) < every)
        {
            return Err(Held {
                since: acted.at,
                under_way: acted.under_way.is_some(),
            });
        }
        if self.kinds.len() >= KINDS_MAX {
            self.forget(every, now);
        }
        self.next = self.next.wrapping_add(1);
        let ticket = Ticket(self.next);
        self.kinds.insert(
            kind,
            Acted {
                at: now,
                under_way: Some(ticket),
            },
        );
        Ok(ticket)
    }

    /// The attempt is over. One that failed leaves no trace: the next message of the kind, or the retry, is acted upon.
    pub fn end(&mut self, kind: Kind, ticket: Ticket, succeeded: bool) {
        let Some(acted) = self
            .kinds
            .get_mut(&kind)
            .filter(|acted| acted.under_way == Some(ticket))
        else {
            return;
        };
        if succeeded {
            acted.under_way = None;
        } else {
            self.kinds.remove(&kind);
        }
    }

    /// Makes room: what no longer holds anything goes first, then the oldest.
    fn forget(&mut self, every: Duration, now: Timestamp) {
        self.kinds
            .retain(|_, acted| acted.under_way.is_some() || now.since(acted.at) < every);
        if self.kinds.len() < KINDS_MAX {
            return;
        }
        let mut times: Vec<_> = self.kinds.values().map(|acted| acted.at).collect();
        let (_, oldest, _) = times.select_nth_unstable(KINDS_MAX / 4);
        let oldest = *oldest;
        self.kinds.retain(|_, acted| acted.at > oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn one_of_a_kind_is_acted_upon_in_a_span() {
        let mut seen = Seen::default();
        let (a, b) = (Kind::of("a"), Kind::of("b"));
        let ticket = seen.begin(a, MINUTE, NOON).unwrap();
        let held = |since, under_way| Err(Held { since, under_way });
        assert_eq!(seen.begin(a, MINUTE, after(1)), held(NOON, true));
        assert!(seen.begin(b, MINUTE, after(1)).is_ok(), "another kind");
        seen.end(a, ticket, true);
        assert_eq!(seen.begin(a, MINUTE, after(59)), held(NOON, false));
        let ticket = seen.begin(a, MINUTE, after(60)).unwrap();
        assert_eq!(
            seen.begin(a, MINUTE, after(500)),
            held(after(60), true),
            "however long it takes"
        );
        seen.end(a, ticket, true);
        assert_eq!(
            seen.begin(a, MINUTE, after(61)),
            held(after(60), false),
            "counted from its beginning"
        );
        assert!(seen.begin(a, Duration::ZERO, after(61)).is_ok());
    }

    #[test]
    fn an_attempt_that_fails_leaves_no_trace() {
        let mut seen = Seen::default();
        let kind = Kind::of("");
        let first = seen.begin(kind, MINUTE, NOON).unwrap();
        seen.end(kind, first, false);
        let second = seen.begin(kind, MINUTE, after(1)).unwrap();
        seen.end(kind, first, false);
        assert!(
            seen.begin(kind, MINUTE, after(2)).is_err(),
            "a late word of the first changes nothing"
        );
        seen.end(kind, second, true);
        assert!(seen.begin(kind, MINUTE, after(3)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let mut seen = Seen::default();
        for number in 0..3 * KINDS_MAX as u64 {
            let kind = Kind::of(&number.to_string());
            let ticket = seen.begin(kind, MINUTE * 60 * 24, after(number)).unwrap();
            seen.end(kind, ticket, true);
            assert!(seen.kinds.len() <= KINDS_MAX);
        }
        let last = Kind::of(&(3 * KINDS_MAX - 1).to_string());
        let now = after(3 * KINDS_MAX as u64);
        assert!(seen.begin(last, MINUTE * 60 * 24, now).is_err());
        assert!(seen.begin(Kind::of("0"), MINUTE * 60 * 24, now).is_ok());
        let later = now.plus(MINUTE * 60 * 24 * 30);
        for number in 0..KINDS_MAX {
            let _ = seen.begin(Kind::of(&format!("x{number}")), MINUTE, later);
        }
        assert!(seen.kinds.len() <= KINDS_MAX);
    }
}
