//! The parts that all endpoints are divided into: each is served by one node at a time. Which of them are ours is kept here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::columns::key;

/// How many there are. Never to be changed: it is in the rows of every queue.
pub(super) const SHARDS: usize = crate::query::SHARDS as usize;
/// Whose shard this is does what one node does for all.
pub(super) const LEADING: i16 = 0;
const BITS: usize = u64::BITS as usize;

/// The shard of an endpoint. Never to be changed, either.
pub(super) fn shard_of(endpoint: u64) -> i16 {
    // Ids of one moment differ in their lowest bits and in their milliseconds: a multiplication spreads both.
    let spread = endpoint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (spread % SHARDS as u64) as i16
}

/// An endpoint's shard and its key: how its queue is found.
pub(super) fn place(endpoint: u64) -> (i16, i64) {
    (shard_of(endpoint), key(endpoint))
}

/// The shards that are this node's, and how much of each is out in memory without a row.
pub(super) struct Owned {
    bits: [AtomicU64; SHARDS / BITS],
    fresh: [AtomicU32; SHARDS],
}

impl Default for Owned {
    fn default() -> Self {
        Self {
            bits: std::array::from_fn(|_| AtomicU64::new(0)),
            fresh: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Owned {
    /// Whether a shard is ours.
    pub fn has(&self, shard: i16) -> bool {
        let at = usize::from(shard.unsigned_abs());
        let word = self.bits.get(at / BITS).map_or(0, |word| word.load(Ordering::Acquire));
        word >> (at % BITS) & 1 == 1
    }

    /// Whether an endpoint is in one of ours.
    pub fn serves(&self, endpoint: u64) -> bool {
        self.has(shard_of(endpoint))
    }

    /// They are ours from now on.
    pub fn add(&self, shards: &[i16]) {
        for shard in shards {
            let at = usize::from(shard.unsigned_abs());
            if let Some(word) = self.bits.get(at / BITS) {
                word.fetch_or(1 << (at % BITS), Ordering::AcqRel);
            }
        }
    }

    /// They are no longer ours.
    pub fn remove(&self, shards: &[i16]) {
        for shard in shards {
            let at = usize::from(shard.unsigned_abs());
            if let Some(word) = self.bits.get(at / BITS) {
                word.fetch_and(!(1 << (at % BITS)), Ordering::AcqRel);
            }
        }
    }

    /// All that are ours.
    pub fn all(&self) -> Vec<i16> {
        (0..SHARDS as i16).filter(|shard| self.has(*shard)).collect()
    }

    /// How many are ours.
    pub fn count(&self) -> usize {
        let words = self.bits.iter().map(|word| word.load(Ordering::Acquire).count_ones());
        words.sum::<u32>() as usize
    }

    /// One more delivery to this endpoint is out without a row.
    pub fn fresh_went_out(&self, endpoint: u64) {
        if let Some(fresh) = self.fresh.get(usize::from(shard_of(endpoint).unsigned_abs())) {
            fresh.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// One of those is settled.
    pub fn fresh_came_back(&self, endpoint: u64) {
        if let Some(fresh) = self.fresh.get(usize::from(shard_of(endpoint).unsigned_abs())) {
            fresh.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether something of a shard is out without a row.
    pub fn has_fresh(&self, shard: i16) -> bool {
        let fresh = self.fresh.get(usize::from(shard.unsigned_abs()));
        fresh.is_some_and(|fresh| fresh.load(Ordering::Acquire) > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn endpoints_that_were_made_together_are_spread_evenly() {
        let mut counts: HashMap<i16, u32> = HashMap::new();
        for n in 0..102_400u64 {
            *counts.entry(shard_of(((n / 7) << 22) | (n % 7))).or_default() += 1;
        }
        assert_eq!(counts.len(), SHARDS);
        assert!(counts.values().all(|count| (40..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_endpoint_stays_in_its_shard_for_ever() {
        assert_eq!([1, 2, 7_000_000_000].map(shard_of), [441, 882, 745]);
    }

    #[test]
    fn what_is_ours_is_what_was_taken_and_not_given_up() {
        let owned = Owned::default();
        owned.add(&[0, 63, 64, 1_023]);
        owned.remove(&[63, 5]);
        assert_eq!((owned.all(), owned.count()), (vec![0, 64, 1_023], 3));
        assert!(owned.serves(7_000_000_000) == owned.has(745));
    }

    #[test]
    fn what_is_out_without_a_row_is_counted_by_shard() {
        let owned = Owned::default();
        owned.fresh_went_out(1);
        owned.fresh_went_out(1);
        owned.fresh_came_back(1);
        assert!(owned.has_fresh(441) && !owned.has_fresh(442));
        owned.fresh_came_back(1);
        assert!(!owned.has_fresh(441));
    }
}
