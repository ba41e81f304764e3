//! The parts that all endpoints are divided into: each is served by one node.

use super::columns::key;

/// How many there are. Never to be changed: it is in the rows of every queue.
pub(super) const SHARDS: u64 = 1_024;

/// The shard of an endpoint. Never to be changed, either.
pub(super) fn shard_of(endpoint: u64) -> i16 {
    // Ids of one moment differ in their lowest bits and in their milliseconds: a multiplication spreads both.
    let spread = endpoint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (spread % SHARDS) as i16
}

/// An endpoint's shard and its key: how its queue is found.
pub(super) fn place(endpoint: u64) -> (i16, i64) {
    (shard_of(endpoint), key(endpoint))
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
        assert_eq!(counts.len() as u64, SHARDS);
        assert!(counts.values().all(|count| (40..200).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_endpoint_stays_in_its_shard_for_ever() {
        assert_eq!([1, 2, 7_000_000_000].map(shard_of), [441, 882, 745]);
    }
}
