//! One line at the receiver: what arrived of it, in the order it came, and whether that keeps the order.
//!
//! Pure. The rules, for the numbers n of a line:
//!
//! * **inversion**: n is attempted after a higher number arrived, whatever became of it, also after a restart. Only the newest
//!   number may come again, since one in flight includes that its end is durable.
//! * **overlap**: a try that the receiver answered was not the only one of its line.
//! * **gap**: a number between 1 and the highest never arrived and was not given up; or, where nothing is ever given up, n + 1
//!   came before n was accepted.
//! * **wrong_place**: the number before that the server names is not the last one that the receiver accepted before this one.
//!   Where deliveries are given up, this is what tells the receiver which: no more, no fewer.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::violation::Kind;

/// A try that took so long at the receiver may have been cut off by the server before it was answered: it is not judged for
/// overlaps.
const STALLED_US: u64 = 2_000_000;
/// How many tries before and after are told with a violation.
const TOLD: usize = 10;

/// What a violation is and what there is to say about it.
pub(crate) type Finding = (Kind, String);

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has not.
    Open,
    /// Answered with 200.
    Accepted,
    /// Failed by the receiver.
    Refused,
    /// The server hung up first.
    Cut,
}

/// One request of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub(crate) at_us: u64,
    /// The message.
    pub(crate) seq: u32,
    /// `webhook-sequence`.
    pub(crate) number: u32,
    /// `webhook-previous-sequence`.
    pub(crate) previous: Option<u32>,
    /// The server's run.
    pub(crate) run: u32,
    pub(crate) end: End,
}

/// What a publisher knows of a message in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Who published it.
    pub(crate) publisher: u32,
    /// Whether it was acknowledged, which the publisher waited for.
    pub(crate) acknowledged: bool,
    /// Whether the server says that it was given up here.
    pub(crate) given_up: bool,
}

/// One line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    tries: Vec<Try>,
    /// The highest number that arrived.
    begun: u32,
    /// The highest number that was accepted, and the one before it.
    accepted: [u32; 2],
}

impl Line {
    /// The highest number that arrived.
    pub(crate) fn begun(&self) -> u32 {
        self.begun
    }

    /// The highest number that was accepted.
    pub(crate) fn accepted(&self) -> u32 {
        let [last, _] = self.accepted;
        last
    }

    /// A try begins; answers its place, for [`Line::end`]. `patient`: nothing is ever given up here.
    pub(crate) fn begin(&mut self, new: Try, patient: bool) -> (usize, Vec<Finding>) {
        let Try { number, previous, .. } = new;
        let mut found = Vec::new();
        let mut find = |kind, what: String| found.push((kind, what));
        let [last, before] = self.accepted;
        if number < self.begun {
            find(Kind::Inversion, format!("{number} after {} had arrived", self.begun));
        } else {
            let expected = if last < number { last } else { before };
            if previous != Some(expected) {
                let told = previous.map_or_else(|| "nothing".to_owned(), |previous| previous.to_string());
                let what = format!("{number} says that {told} came before it, and {expected} was the last accepted");
                find(Kind::Place, what);
            }
        }
        if patient && number > self.begun + 1 {
            find(Kind::Gap, format!("{number} right after {}", self.begun));
        } else if patient && number > self.begun && last != self.begun {
            let what = format!("{number} although {} was not accepted yet", self.begun);
            find(Kind::Gap, what);
        }
        let known = self.tries.iter().rev().find(|known| known.number == number);
        if let Some(known) = known.filter(|known| known.seq != new.seq) {
            let what = format!("{number} is both message {} and message {}", known.seq, new.seq);
            find(Kind::Place, what);
        }
        self.begun = self.begun.max(number);
        self.tries.push(new);
        (self.tries.len() - 1, found)
    }

    /// A try ended.
    pub(crate) fn end(&mut self, place: usize, end: End, at_us: u64) -> Option<Finding> {
        let ended = self.tries.get_mut(place)?;
        ended.end = end;
        let ended = *ended;
        let [last, _] = self.accepted;
        if end == End::Accepted && ended.number > last {
            self.accepted = [ended.number, last];
        }
        let answered = matches!(end, End::Accepted | End::Refused) && at_us.saturating_sub(ended.at_us) < STALLED_US;
        let mut later = self.tries.get(place + 1..).unwrap_or_default().iter();
        let other = later.find(|later| answered && later.run == ended.run)?;
        let what = format!("{} came while {} was being answered", other.number, ended.number);
        Some((Kind::Overlap, what))
    }

    /// Judges the whole line at the end. `origin` tells what is known of a message; `unseen` whether a number that never
    /// arrived was given up by the server all the same.
    pub(crate) fn close(&self, origin: impl Fn(u32) -> Origin, unseen: impl Fn(u32) -> bool) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut numbers: Vec<Option<(u32, bool)>> = vec![None; self.begun as usize + 1];
        for known in &self.tries {
            if let Some(number) = numbers.get_mut(known.number as usize) {
                let accepted = number.is_some_and(|(_, accepted)| accepted) || known.end == End::Accepted;
                *number = Some((known.seq, accepted));
            }
        }
        let mut latest: HashMap<u32, u32> = HashMap::new();
        for (number, known) in (0..).zip(numbers).skip(1) {
            let Some((seq, accepted)) = known else {
                if !unseen(number) {
                    found.push((Kind::Gap, format!("{number} never arrived and was not given up")));
                }
                continue;
            };
            let origin = origin(seq);
            match (accepted, origin.given_up) {
                (false, false) => {
                    let what = format!("{number} (message {seq}) was neither accepted nor given up");
                    found.push((Kind::Gap, what));
                }
                (true, true) => {
                    let what = format!("{number} (message {seq}) was accepted, and the server says that it gave up");
                    found.push((Kind::State, what));
                }
                _ => {}
            }
            if !origin.acknowledged {
                continue;
            }
            if let Some(before) = latest.insert(origin.publisher, seq).filter(|before| *before > seq) {
                let what = format!(
                    "{number} is message {seq}, which publisher {} published before message {before}",
                    origin.publisher
                );
                found.push((Kind::PublisherOrder, what));
            }
        }
        found
    }

    /// What arrived around a try, one line each, in the order it came.
    pub(crate) fn history(&self, place: usize) -> String {
        let from = place.saturating_sub(TOLD);
        let mut text = String::new();
        for (at, known) in self.tries.iter().enumerate().skip(from).take(2 * TOLD) {
            let Try {
                at_us,
                seq,
                number,
                previous,
                run,
                end,
            } = known;
            let mark = if at == place { '>' } else { ' ' };
            let previous = previous.map_or_else(|| "-".to_owned(), |previous| previous.to_string());
            let at_s = std::time::Duration::from_micros(*at_us).as_secs_f64();
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n    {mark} {at_s:>12.6} s  run {run:<4} {number:>6} (previous {previous}) message {seq}: {end:?}"
            );
        }
        text
    }

    /// Where the latest try of a number is; the last try when there is none.
    pub(crate) fn place_of(&self, number: u32) -> usize {
        let place = self.tries.iter().rposition(|known| known.number == number);
        place.unwrap_or(self.tries.len().saturating_sub(1))
    }
}
