//! Whether what belongs to one key arrives in the order in which it was published.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The last arrival of each key.
pub(super) struct OrderBook {
    /// One more than the last message's number; 0 before the first.
    last: Box<[AtomicU64]>,
    inversions: AtomicU64,
}

impl OrderBook {
    pub(super) fn new(keys: usize) -> Self {
        Self {
            last: (0..keys).map(|_| AtomicU64::new(0)).collect(),
            inversions: AtomicU64::new(0),
        }
    }

    /// Notes an arrival. An earlier one after a later one is an inversion, also when it is a repetition: a receiver that saw the later one
    /// must never see the earlier one again. The same one twice is none.
    pub(super) fn arrive(&self, key: usize, seq: u64) {
        if let Some(last) = self.last.get(key)
            && last.fetch_max(seq + 1, Relaxed) > seq + 1
        {
            self.inversions.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn inversions(&self) -> u64 {
        self.inversions.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_one_after_a_later_one_is_an_inversion() {
        let book = OrderBook::new(2);
        for (key, seq) in [(0, 0), (1, 5), (0, 2), (0, 2), (0, 8), (1, 7)] {
            book.arrive(key, seq);
        }
        assert_eq!(book.inversions(), 0);
        book.arrive(0, 2);
        book.arrive(1, 5);
        book.arrive(9, 0);
        assert_eq!(book.inversions(), 2);
    }
}
