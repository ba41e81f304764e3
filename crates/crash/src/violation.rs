//! What may not happen, and the collection of what did.

use std::collections::BTreeMap;
use std::fmt;

/// How many of one kind are told in words; the rest is counted.
const EXAMPLES: usize = 8;

/// The kinds of violation. The names are those of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Acknowledged, wanted by an endpoint, and never accepted there.
    Lost,
    /// Arrived with other bytes than were published.
    Changed,
    /// Arrived with a signature that does not verify.
    Unverified,
    /// Arrived at an endpoint that does not want it.
    Misrouted,
    /// One published message has two message ids, or one id two messages.
    SecondMessage,
    /// Arrived again although no kill explains it.
    Stray,
    /// In a line: attempted after a later one had arrived.
    Inversion,
    /// In a line: two attempts at once.
    Overlap,
    /// In a line: a number is missing, or was passed over before it had ended.
    Gap,
    /// The number, the one before it or the key that a delivery arrives with is not what it must be.
    Place,
    /// The numbers of a line are in another order than a publisher's acknowledged messages.
    PublisherOrder,
    /// At the end, the server says something else than what arrived.
    State,
    /// More arrivals repeated than can have been in flight at a kill.
    OverBound,
    /// An event that came in several times took effect more than once.
    Twice,
    /// A server wrote something of a delivery that was no longer its own.
    Stale,
    /// Nobody delivered for too long after one of the servers had failed.
    Takeover,
    /// Something arrived that was never published.
    Unknown,
    /// A publication was answered as none may be.
    Answer,
    /// The server ended by itself, did not start, stop or check as it should.
    Server,
}

impl Kind {
    /// The name, as the summary and the JSON form have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Changed => "changed",
            Kind::Unverified => "unverified",
            Kind::Misrouted => "misrouted",
            Kind::SecondMessage => "second_message",
            Kind::Stray => "stray_repeat",
            Kind::Inversion => "inversion",
            Kind::Overlap => "overlap",
            Kind::Gap => "gap",
            Kind::Place => "wrong_place",
            Kind::PublisherOrder => "publisher_order",
            Kind::State => "wrong_state",
            Kind::OverBound => "over_bound",
            Kind::Twice => "twice",
            Kind::Stale => "stale_write",
            Kind::Takeover => "takeover",
            Kind::Unknown => "unknown",
            Kind::Answer => "wrong_answer",
            Kind::Server => "server",
        }
    }
}

/// All violations of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Violations(BTreeMap<Kind, (u64, Vec<String>)>);

impl Violations {
    /// Adds one, and what there is to say about it.
    pub(crate) fn add(&mut self, kind: Kind, what: impl Into<String>) {
        let (count, examples) = self.0.entry(kind).or_default();
        *count += 1;
        let what = what.into();
        if examples.len() < EXAMPLES && !examples.contains(&what) {
            examples.push(what);
        }
    }

    /// How many of a kind.
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.0.get(&kind).map_or(0, |(count, _)| *count)
    }

    /// Whether another one of a kind would be told in words.
    pub(crate) fn is_told(&self, kind: Kind) -> bool {
        self.0.get(&kind).is_none_or(|(_, examples)| examples.len() < EXAMPLES)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Kinds with their counts.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(kind, (count, _))| (kind.name(), *count)).collect()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, examples)) in &self.0 {
            writeln!(f, "  VIOLATION {} × {count}", kind.name())?;
            for example in examples {
                writeln!(f, "    {example}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_some_are_told() {
        let mut violations = Violations::default();
        assert!(violations.is_empty());
        for number in 0..20 {
            violations.add(Kind::Lost, format!("number {number}"));
        }
        assert_eq!(violations.count(Kind::Lost), 20);
        assert_eq!(violations.counts(), BTreeMap::from([("lost", 20)]));
        let text = violations.to_string();
        assert!(
            text.contains("lost × 20") && text.contains("number 7") && !text.contains("number 8"),
            "{text}"
        );
    }
}
