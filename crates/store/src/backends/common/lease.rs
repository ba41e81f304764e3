//! Which stored deliveries are out with somebody.
//!
//! A claim reads a snapshot of the queue while settlements go on. A delivery that such a snapshot still shows may have been
//! settled, and given back, since the snapshot was taken. So a claim announces itself first, and what is given back while
//! claims are under way is remembered until they are over.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::contract::Lease;

/// The delivery is out in memory and has no row.
pub(crate) const FRESH: Lease = Lease(0);
/// The delivery has a row, and a place among the leases.
pub(crate) const ROWED: Lease = Lease(1);
/// As [`ROWED`], and others of its line wait for its end.
pub(crate) const IN_LINE: Lease = Lease(2);

/// Endpoint and message.
pub(crate) type Key = (u64, u64);

#[derive(Debug, Default)]
struct State {
    held: HashSet<Key>,
    /// Given back while claims are under way, and when.
    returned: HashMap<Key, u64>,
    claims: usize,
    time: u64,
}

/// What is out.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<State>);

/// A claim that has not ended: taken before its snapshot.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    leases: &'a Leases,
    began: u64,
}

/// What a claim may do with a delivery that its snapshot shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// It is the claim's.
    Taken,
    /// Somebody else has it.
    Held,
    /// It was given back since the claim began: what the snapshot shows of it may be out of date.
    Returned,
}

impl Leases {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a claim.
    pub fn claim(&self) -> Claim<'_> {
        let mut state = self.state();
        state.claims += 1;
        Claim {
            leases: self,
            began: state.time,
        }
    }

    /// Takes it for the writer, which sees the newest state; false when somebody has it.
    pub fn hold(&self, key: Key) -> bool {
        self.state().held.insert(key)
    }

    /// Gives back, after what was written about them is committed.
    pub fn give_back(&self, keys: impl IntoIterator<Item = Key>) {
        let mut state = self.state();
        state.time += 1;
        let (time, remember) = (state.time, state.claims > 0);
        for key in keys {
            if state.held.remove(&key) && remember {
                state.returned.insert(key, time);
            }
        }
    }

    /// The messages that are out, by endpoint.
    pub fn by_endpoint(&self) -> HashMap<u64, HashSet<u64>> {
        let mut out: HashMap<u64, HashSet<u64>> = HashMap::new();
        for (endpoint, message) in &self.state().held {
            out.entry(*endpoint).or_default().insert(*message);
        }
        out
    }

    /// The messages that are out to this endpoint.
    pub fn of(&self, endpoint: u64) -> HashSet<u64> {
        let state = self.state();
        let of_endpoint = state.held.iter().filter(|(of, _)| *of == endpoint);
        of_endpoint.map(|(_, message)| *message).collect()
    }

    /// How many are out.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.state().held.len()
    }
}

impl Claim<'_> {
    /// Tries to take it.
    pub fn take(&self, key: Key) -> Take {
        let mut state = self.leases.state();
        if state.held.contains(&key) {
            return Take::Held;
        }
        if state.returned.get(&key).is_some_and(|time| *time > self.began) {
            return Take::Returned;
        }
        state.held.insert(key);
        Take::Taken
    }

    /// Whether somebody else has it.
    pub fn is_held(&self, key: Key) -> bool {
        self.leases.state().held.contains(&key)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.leases.state();
        state.claims -= 1;
        if state.claims == 0 {
            state.returned.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_since_a_claim_began_is_not_taken_by_it() {
        let leases = Leases::default();
        let first = leases.claim();
        assert_eq!(first.take((1, 1)), Take::Taken);
        assert_eq!(first.take((1, 1)), Take::Held);
        let second = leases.claim();
        drop(first);
        leases.give_back([(1, 1)]);
        assert_eq!(second.take((1, 1)), Take::Returned);
        let third = leases.claim();
        drop(second);
        assert_eq!(third.take((1, 1)), Take::Taken);
    }
}
