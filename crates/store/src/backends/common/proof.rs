//! What the proof of a store goes by, whatever it is kept in: the numbers of lines, and what things are called.

use std::{collections::HashMap, sync::Arc};

use bellwire_core::id::{EndpointId, Id, MessageId, node_of};

/// A line: its endpoint and its key.
pub(crate) type LineName = (u64, Arc<str>);

/// A delivery, in words.
pub(crate) fn name(message: u64, endpoint: u64) -> String {
    format!(
        "{} for {}",
        MessageId::from_number(message),
        EndpointId::from_number(endpoint)
    )
}

/// A line, in words.
pub(crate) fn shown((endpoint, okey): &LineName) -> String {
    format!("the line \"{okey}\" of {}", EndpointId::from_number(*endpoint))
}

/// A delivery with its number in a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered<'a> {
    pub message: u64,
    pub endpoint: u64,
    pub okey: &'a Arc<str>,
    pub sequence: i64,
}

/// A number that does not follow the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Odd {
    message: u64,
    pub endpoint: u64,
    sequence: i64,
    before: i64,
    /// Of an endpoint that was deleted, numbers may have begun anew, because somebody published at that moment: then this is none.
    pub unless_deleted: bool,
}

impl Odd {
    /// What there is to say of it.
    pub fn told(&self) -> String {
        let name = name(self.message, self.endpoint);
        format!("{name} has number {} and follows number {}", self.sequence, self.before)
    }
}

/// The numbers of the deliveries of each line, seen in the order of their messages' ids.
///
/// Those of one node rise. Between nodes ids say nothing: each makes its own, and numbers are given as transactions commit.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<LineName, Seen>);

impl Numbers {
    /// Looks at the next messages' deliveries. Answers what contradicts itself.
    pub fn follow<'a>(&mut self, deliveries: impl Iterator<Item = Numbered<'a>>) -> Vec<Odd> {
        let mut deliveries: Vec<_> = deliveries.collect();
        deliveries.sort_unstable_by_key(|next| (next.message, next.endpoint));
        let take = |next: Numbered<'_>| {
            let line = (next.endpoint, Arc::clone(next.okey));
            let before = self.0.entry(line).or_default().take(next.message, next.sequence)?;
            Some(Odd {
                message: next.message,
                endpoint: next.endpoint,
                sequence: next.sequence,
                before,
                unless_deleted: next.sequence == 1,
            })
        };
        deliveries.into_iter().filter_map(take).collect()
    }

    /// Once all were seen: who follows a number that nobody has.
    pub fn gaps(&self) -> Vec<Odd> {
        let of_line = |((endpoint, _), seen): (&LineName, &Seen)| {
            let (endpoint, several) = (*endpoint, seen.last.len() > 1);
            let odd = move |pair: &[Span]| Odd {
                message: pair[1].message,
                endpoint,
                sequence: pair[1].first,
                before: pair[0].last,
                unless_deleted: several,
            };
            seen.spans.windows(2).map(odd).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_line).collect()
    }

    /// The largest number of a line.
    pub fn last(&self, line: &LineName) -> Option<i64> {
        Some(self.0.get(line)?.spans.last()?.last)
    }
}

/// The numbers of a line so far.
#[derive(Debug, Default)]
struct Seen {
    /// In order, and apart.
    spans: Vec<Span>,
    /// The last one of each node: a few, and there may be many lines.
    last: Vec<(u16, i64)>,
}

/// Numbers without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: i64,
    last: i64,
    /// Who has the first one.
    message: u64,
}

impl Seen {
    /// Takes a message's number. Answers the one that it contradicts; numbers go on from this one then.
    fn take(&mut self, message: u64, sequence: i64) -> Option<i64> {
        let node = node_of(message);
        let alone = Span {
            first: sequence,
            last: sequence,
            message,
        };
        let at = self.spans.partition_point(|span| span.last < sequence);
        let taken = self.spans.get(at).is_some_and(|span| span.first <= sequence);
        let of_node = self.last.iter_mut().find(|(of, _)| *of == node);
        let before = of_node
            .as_ref()
            .map(|(_, before)| *before)
            .filter(|before| *before >= sequence);
        if let Some(contradicted) = before.or(taken.then_some(sequence)) {
            self.spans = vec![alone];
            self.last = vec![(node, sequence)];
            return Some(contradicted);
        }
        match of_node {
            Some((_, last)) => *last = sequence,
            None => self.last.push((node, sequence)),
        }
        let joins_before = at > 0 && self.spans[at - 1].last + 1 == sequence;
        let joins_after = self.spans.get(at).is_some_and(|span| span.first - 1 == sequence);
        match (joins_before, joins_after) {
            (true, true) => self.spans[at - 1].last = self.spans.remove(at).last,
            (true, false) => self.spans[at - 1].last = sequence,
            (false, true) => {
                self.spans[at] = Span {
                    last: self.spans[at].last,
                    ..alone
                };
            }
            (false, false) => self.spans.insert(at, alone),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is odd about numbers that come in this order, from these nodes.
    fn odd(numbers: &[(u16, i64)]) -> Vec<(i64, i64, bool)> {
        let okey: Arc<str> = "k".into();
        let mut all = Numbers::default();
        let mut found = Vec::new();
        for (at, (node, sequence)) in (1..).zip(numbers) {
            let mut ids = bellwire_core::id::IdGenerator::new(*node, 0);
            let id: MessageId = ids.next(bellwire_core::time::Timestamp::from_secs(1_800_000_000 + at));
            found.extend(all.follow(std::iter::once(Numbered {
                message: id.number(),
                endpoint: 7,
                okey: &okey,
                sequence: *sequence,
            })));
        }
        assert_eq!(all.last(&(7, "other".into())), None);
        found.extend(all.gaps());
        let told = |odd: &Odd| (odd.sequence, odd.before, odd.unless_deleted);
        found.iter().map(told).collect()
    }

    #[test]
    fn numbers_of_one_node_follow_each_other() {
        assert_eq!(odd(&[(0, 3), (0, 4), (0, 5)]), []);
        assert_eq!(odd(&[(0, 1), (0, 2), (0, 5), (0, 6)]), [(5, 2, false)]);
        assert_eq!(odd(&[(0, 1), (0, 2), (0, 2)]), [(2, 2, false)]);
        assert_eq!(odd(&[(0, 2), (0, 3), (0, 2), (0, 3)]), [(2, 3, false)]);
    }

    #[test]
    fn numbers_of_several_nodes_come_in_any_order_and_leave_no_gap() {
        assert_eq!(odd(&[(0, 10), (1, 12), (0, 11), (1, 13), (2, 9)]), []);
        assert_eq!(odd(&[(0, 1), (1, 4), (0, 2), (1, 5)]), [(4, 2, true)]);
        assert_eq!(odd(&[(0, 1), (1, 3), (1, 2)]), [(2, 3, false)]);
        assert_eq!(odd(&[(0, 1), (0, 2), (1, 2)]), [(2, 2, false)]);
    }

    #[test]
    fn numbers_that_begin_anew_may_be_those_of_an_endpoint_that_was_deleted() {
        assert_eq!(odd(&[(0, 4), (0, 5), (0, 1), (0, 2)]), [(1, 5, true)]);
    }
}
