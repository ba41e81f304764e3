//! Sequence: which of the messages that a source brings has its turn.
//!
//! What arrives about one thing forms a *stream*, named by a key. Where the sender numbers its messages, one that comes too
//! early is held until those before it came, or until its wait is over; what did not come by then is a *gap*, and stale when
//! it comes after all. Where the sender tells versions only, nobody can know whether one is missing: an older one is stale.
//!
//! [`Stream`] is what is kept of a stream between two arrivals. Stores keep it, and the held messages beside it; what has its
//! turn is decided here. They accept in a loop: the least held message, for as long as [`Stream::turn`] gives it the turn.
//!
//! Deliberately absent: the order in which deliveries are made. That is [`crate::order`]'s.

mod version;
mod words;

pub use self::{
    version::{VERSION_BYTES_MAX, compare},
    words::{Lateness, Stale},
};

/// How many gaps of a stream are remembered: the newest.
pub const GAPS_MAX: usize = 100;

/// Numbers that were waited for in vain: the first and the last of a stretch.
pub type Gap = (u64, u64);

/// How the arrivals of one key stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// The last number that was accepted.
    pub last: Option<u64>,
    /// The first number, where the source tells it. Counts as long as none was accepted.
    pub start: Option<u64>,
    /// The newest version that was accepted.
    pub version: Option<String>,
    /// The newest gaps, oldest first.
    pub gaps: Vec<Gap>,
}

/// What becomes of an arrival that has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It has its turn: it is accepted, and then the held ones that follow it.
    Accept,
    /// It is held.
    Hold {
        /// The number that it waits for first; `None` when it may be the first of all, or only has to let others go first.
        missing: Option<u64>,
    },
    /// It is kept, and goes nowhere.
    Stale(Stale),
}

/// The turn of a held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What was missing before it.
    pub gap: Option<Gap>,
}

impl Stream {
    /// The number whose turn it is; `None` as long as nobody knows.
    pub fn next(&self) -> Option<u64> {
        match self.last {
            Some(last) => last.checked_add(1),
            None => self.start,
        }
    }

    /// Judges an arrival by its number. `least_held` is the least number that is held at this time.
    ///
    /// The one that has its turn and comes while another of its number is held lets that one go first.
    pub fn judge_number(&mut self, number: u64, start: Option<u64>, least_held: Option<u64>) -> Judged {
        if self.last.is_none() {
            self.start = start;
        }
        if self.last == Some(number) {
            return Judged::Accept;
        }
        if let Some(last) = self.last.filter(|last| number < *last) {
            let given_up = self.gaps.iter().any(|(from, to)| (*from..=*to).contains(&number));
            return Judged::Stale(Stale::Number { number, last, given_up });
        }
        match self.next() {
            Some(next) if number < next => Judged::Stale(Stale::BelowStart { number, start: next }),
            Some(next) if number == next && least_held.is_none_or(|held| held > number) => Judged::Accept,
            next => Judged::Hold {
                missing: next.filter(|next| *next < number),
            },
        }
    }

    /// Judges an arrival by its version. One that is as new as the newest is accepted, because many senders tell no more than
    /// seconds.
    ///
    /// # Errors
    /// It is older than the newest.
    pub fn judge_version(&self, version: &str) -> Result<(), Stale> {
        match &self.version {
            Some(newest) if compare(version, newest).is_lt() => Err(Stale::Version {
                version: version.to_owned(),
                newest: newest.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Accepts a number. What is missing before it is a gap.
    pub fn accept_number(&mut self, number: u64) -> Turn {
        let gap = self.next().filter(|next| *next < number).map(|next| (next, number - 1));
        if let Some(gap) = gap {
            self.gaps.push(gap);
            let surplus = self.gaps.len().saturating_sub(GAPS_MAX);
            self.gaps.drain(..surplus);
        }
        self.last = self.last.max(Some(number));
        self.start = None;
        self.version = None;
        Turn { gap }
    }

    /// Accepts a version. What was known of numbers counts no longer.
    pub fn accept_version(&mut self, version: String) {
        let is_newest = self
            .version
            .as_ref()
            .is_none_or(|newest| compare(&version, newest).is_gt());
        if is_newest {
            self.version = Some(version);
        }
        self.last = None;
        self.start = None;
        self.gaps.clear();
    }

    /// Whether a number follows what was accepted, so that nothing is missing before it.
    pub fn follows(&self, number: u64) -> bool {
        match self.last {
            Some(last) => number <= last.saturating_add(1),
            None => self.start.is_some_and(|start| number <= start),
        }
    }

    /// The least held message: accepts it when it follows, or when a wait is over. `over` is the greatest held number whose
    /// wait is over; whoever is before that one has to go now, so that it does not wait any longer.
    pub fn turn(&mut self, least_held: u64, over: Option<u64>) -> Option<Turn> {
        let has_turn = self.follows(least_held) || over.is_some_and(|over| least_held <= over);
        has_turn.then(|| self.accept_number(least_held))
    }
}

#[cfg(test)]
mod tests;
