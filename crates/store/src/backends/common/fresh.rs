//! Deliveries that were handed over in memory and are not settled: the ones that a crash would leave without a row.
//!
//! Kept in the order of their messages, so that the oldest is known: only messages from there on need to be looked at when
//! the store is opened after a crash.

use std::collections::VecDeque;

/// When this many settled ones lie between unsettled ones, they are swept out.
const SWEEP_AT: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    message: u64,
    endpoint: u64,
    settled: bool,
}

/// All fresh deliveries that are out.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    entries: VecDeque<Entry>,
    settled: usize,
}

impl Fresh {
    /// One more; messages come in ascending order, and a message's endpoints too.
    pub fn push(&mut self, message: u64, endpoint: u64) {
        self.entries.push_back(Entry {
            message,
            endpoint,
            settled: false,
        });
    }

    /// It is settled. Nothing happens when it is not out; answers whether it was.
    pub fn settle(&mut self, message: u64, endpoint: u64) -> bool {
        let found = self
            .entries
            .binary_search_by_key(&(message, endpoint), |entry| (entry.message, entry.endpoint));
        let Some(entry) = found.ok().and_then(|at| self.entries.get_mut(at)) else {
            return false;
        };
        let was_out = !std::mem::replace(&mut entry.settled, true);
        self.settled += usize::from(was_out);
        while self.entries.front().is_some_and(|entry| entry.settled) {
            self.entries.pop_front();
            self.settled -= 1;
        }
        if self.settled > SWEEP_AT && self.settled > self.entries.len() / 2 {
            self.entries.retain(|entry| !entry.settled);
            self.settled = 0;
        }
        was_out
    }

    /// The message of the oldest that is out.
    pub fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.message)
    }

    /// How many are out.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len() - self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_in_whatever_order_they_are_settled() {
        let mut fresh = Fresh::default();
        for message in 1..=3 {
            fresh.push(message, 7);
            fresh.push(message, 9);
        }
        fresh.settle(2, 7);
        fresh.settle(1, 9);
        assert_eq!((fresh.oldest(), fresh.len()), (Some(1), 4));
        fresh.settle(1, 7);
        assert_eq!((fresh.oldest(), fresh.len()), (Some(2), 3));
        fresh.settle(2, 9);
        fresh.settle(2, 9);
        fresh.settle(99, 9);
        assert_eq!((fresh.oldest(), fresh.len()), (Some(3), 2));
        fresh.settle(3, 7);
        fresh.settle(3, 9);
        assert_eq!((fresh.oldest(), fresh.len()), (None, 0));
    }

    #[test]
    fn one_that_hangs_does_not_keep_those_behind_it_in_memory() {
        let mut fresh = Fresh::default();
        for message in 0..100_000 {
            fresh.push(message, 1);
        }
        for message in 1..100_000 {
            fresh.settle(message, 1);
        }
        assert_eq!((fresh.oldest(), fresh.len()), (Some(0), 1));
        assert!(fresh.entries.len() <= 2 * SWEEP_AT + 2);
    }
}
