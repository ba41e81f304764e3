//! When which lane or application is to be looked at again.

use std::{cmp::Reverse, collections::BinaryHeap};

use bellwire_core::{id::EndpointId, time::Timestamp};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    /// A lane.
    Lane(EndpointId),
    /// An application, by its place among the applications.
    App(usize),
}

/// Planned looks, the earliest first. A look that was planned and is no longer needed is made all the same: it costs little.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Timestamp, Whom)>>);

impl Timers {
    /// When the earliest look is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Plans a look, unless one as early is planned (`planned` is what its subject remembers of it). Answers whether it is the
    /// earliest of all now.
    pub fn plan(&mut self, whom: Whom, at: Timestamp, planned: &mut Option<Timestamp>) -> bool {
        if planned.is_some_and(|planned| planned <= at) {
            return false;
        }
        *planned = Some(at);
        let earliest = self.next().is_none_or(|first| at < first);
        self.0.push(Reverse((at, whom)));
        earliest
    }

    /// Takes a look that is due.
    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Whom)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    /// Forgets all plans.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
