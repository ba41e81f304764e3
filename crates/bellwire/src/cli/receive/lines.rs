//! What the receiver remembers of lines: the last number taken in each, and what a new one says about those between. Pure.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use super::item::Place;

/// Lines remembered; the oldest is forgotten first.
const REMEMBERED: usize = 100_000;

/// The memory.
#[derive(Debug, Default)]
pub struct Lines {
    last: HashMap<String, u64>,
    order: VecDeque<String>,
}

/// How a message stands to those of its line that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first of its line that comes here.
    First,
    /// The next one.
    Next,
    /// Ahead of the next one: what lies between is missing here, was given up by the sender, or both.
    Ahead {
        /// The last number taken.
        last: u64,
        /// Numbers up to this one were taken somewhere and did not come here; `last` when there are none.
        missing_to: u64,
    },
    /// The last one once more.
    Again,
    /// Behind the last one, in its turn: out of order.
    Behind {
        /// The last number taken.
        last: u64,
    },
    /// Sent again outside of its turn.
    Outside,
}

impl Standing {
    /// A short name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Next => "next",
            Self::Ahead { .. } if self.is_gap() => "gap",
            Self::Ahead { .. } => "given_up",
            Self::Again => "again",
            Self::Behind { .. } => "out_of_order",
            Self::Outside => "outside_of_its_turn",
        }
    }

    /// Whether something is missing here that the sender counts as taken.
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::Ahead { last, missing_to } if missing_to > last)
    }
}

impl Lines {
    /// How a message at `place` stands; `line` names the line and the URL it came to.
    pub fn standing(&self, line: &str, place: &Place) -> Standing {
        let Some(previous) = place.previous else {
            return Standing::Outside;
        };
        match self.last.get(line).copied() {
            None => Standing::First,
            Some(last) if place.sequence == last => Standing::Again,
            Some(last) if place.sequence < last => Standing::Behind { last },
            Some(last) if place.sequence == last + 1 => Standing::Next,
            Some(last) => Standing::Ahead {
                last,
                missing_to: previous.clamp(last, place.sequence - 1),
            },
        }
    }

    /// It is answered 2xx: it is the last one from now on, unless it came out of its turn or too late.
    pub fn taken(&mut self, line: &str, place: &Place) {
        if place.previous.is_none() {
            return;
        }
        if let Some(last) = self.last.get_mut(line) {
            *last = place.sequence.max(*last);
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.last.remove(&oldest);
        }
        self.order.push_back(line.to_owned());
        self.last.insert(line.to_owned(), place.sequence);
    }
}

/// Numbers from one to another: `4`, `4 to 6`.
struct Span(u64, u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{} to {}", self.0, self.1)
        }
    }
}

/// What the sender gave up between two numbers.
fn given_up(previous: u64, number: u64) -> Option<String> {
    let from = previous.checked_add(1).filter(|from| *from < number)?;
    let span = Span(from, number - 1);
    let were = if span.0 == span.1 { "was" } else { "were" };
    Some(format!("{span} {were} given up"))
}

/// In words: `5 after 3: 4 was given up`.
pub fn words(place: &Place, standing: &Standing) -> String {
    let number = place.sequence;
    match standing {
        Standing::First => {
            let previous = place.previous.unwrap_or(0);
            let first = match previous {
                0 => format!("{number}, the first one"),
                _ => format!("{number}, the first one here; the sender says {previous} came before it"),
            };
            match given_up(previous, number) {
                Some(given_up) => format!("{first}; {given_up}"),
                None => first,
            }
        }
        Standing::Next => format!("{number} after {}", number - 1),
        Standing::Ahead { last, missing_to } => {
            let mut parts = Vec::new();
            if missing_to > last {
                parts.push(format!("gap, {} did not come here", Span(last + 1, *missing_to)));
            }
            parts.extend(given_up(*missing_to, number));
            format!("{number} after {last}: {}", parts.join("; "))
        }
        Standing::Again => format!("{number} again"),
        Standing::Behind { last } => format!("{number} after {last}: OUT OF ORDER"),
        Standing::Outside => format!("{number}, sent again outside of its turn"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: u64, previous: Option<u64>) -> Place {
        Place {
            key: "k".to_owned(),
            sequence,
            previous,
        }
    }

    fn said(lines: &mut Lines, sequence: u64, previous: Option<u64>) -> String {
        let place = place(sequence, previous);
        let standing = lines.standing("k", &place);
        lines.taken("k", &place);
        words(&place, &standing)
    }

    #[test]
    fn what_lies_between_two_numbers_is_said_in_words() {
        let mut lines = Lines::default();
        assert_eq!(
            said(&mut lines, 2, Some(1)),
            "2, the first one here; the sender says 1 came before it"
        );
        assert_eq!(said(&mut lines, 3, Some(2)), "3 after 2");
        assert_eq!(said(&mut lines, 5, Some(3)), "5 after 3: 4 was given up");
        assert_eq!(said(&mut lines, 5, Some(3)), "5 again");
        assert_eq!(said(&mut lines, 4, None), "4, sent again outside of its turn");
        assert_eq!(said(&mut lines, 8, Some(7)), "8 after 5: gap, 6 to 7 did not come here");
        assert_eq!(
            said(&mut lines, 12, Some(9)),
            "12 after 8: gap, 9 did not come here; 10 to 11 were given up"
        );
        assert_eq!(said(&mut lines, 11, Some(9)), "11 after 12: OUT OF ORDER");
        assert_eq!(
            said(&mut lines, 13, Some(12)),
            "13 after 12",
            "what came too late changes nothing"
        );
        let first = |sequence, previous| said(&mut Lines::default(), sequence, Some(previous));
        assert_eq!(first(1, 0), "1, the first one");
        assert_eq!(first(2, 0), "2, the first one; 1 was given up");
        assert_eq!(first(3, 0), "3, the first one; 1 to 2 were given up");
        assert_eq!(
            first(9, 6),
            "9, the first one here; the sender says 6 came before it; 7 to 8 were given up"
        );
    }

    #[test]
    fn a_nonsensical_previous_number_is_no_gap_and_no_panic() {
        for (sequence, previous) in [(0, 0), (3, 3), (3, 9), (3, u64::MAX), (u64::MAX, u64::MAX)] {
            let words = said(&mut Lines::default(), sequence, Some(previous));
            assert!(
                words.contains("the first one") && !words.contains("given up"),
                "{words}"
            );
        }
        let mut lines = Lines::default();
        assert_eq!(
            said(&mut lines, 3, Some(2)),
            "3, the first one here; the sender says 2 came before it"
        );
        assert_eq!(said(&mut lines, 5, Some(1)), "5 after 3: 4 was given up");
        assert_eq!(
            said(&mut lines, 9, Some(99)),
            "9 after 5: gap, 6 to 8 did not come here"
        );
        assert_eq!(
            said(&mut lines, u64::MAX, Some(0)),
            "18446744073709551615 after 9: 10 to 18446744073709551614 were given up"
        );
        assert_eq!(
            said(&mut lines, 1, Some(0)),
            "1 after 18446744073709551615: OUT OF ORDER"
        );
    }

    #[test]
    fn lines_do_not_know_of_each_other_and_memory_is_bounded() {
        let mut lines = Lines::default();
        for n in 0..REMEMBERED + 5 {
            lines.taken(&n.to_string(), &place(7, Some(6)));
        }
        assert_eq!((lines.last.len(), lines.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(lines.standing("0", &place(8, Some(7))), Standing::First);
        assert_eq!(lines.standing("9", &place(8, Some(7))), Standing::Next);
    }

    #[test]
    fn names_for_programs_tell_a_gap_from_what_was_given_up() {
        let ahead = |missing_to| Standing::Ahead { last: 3, missing_to }.name();
        assert_eq!((ahead(3), ahead(4)), ("given_up", "gap"));
    }
}
