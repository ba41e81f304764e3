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

/// Whether an endpoint is this process's.
type IsOurs = Box<dyn Fn(u64) -> bool + Send + Sync>;

/// What is out.
#[derive(Default)]
pub(crate) struct Leases {
    state: Mutex<State>,
    /// Nothing is given out of endpoints that are not ours, where others have some.
    is_ours: Option<IsOurs>,
}

/// A claim that has not ended: taken before its snapshot.
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
    /// Its endpoint is not ours (any more).
    Foreign,
}

impl Leases {
    /// For a process that shares the endpoints with others.
    pub fn of_ours(is_ours: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            is_ours: Some(Box::new(is_ours)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_have(&self, endpoint: u64) -> bool {
        self.is_ours.as_ref().is_none_or(|is_ours| is_ours(endpoint))
    }

    /// Changes whose endpoints are, while nothing is given out.
    pub fn meanwhile<T>(&self, change: impl FnOnce() -> T) -> T {
        let _state = self.state();
        change()
    }

    /// The endpoints to which something is out.
    pub fn endpoints(&self) -> HashSet<u64> {
        self.state().held.iter().map(|(endpoint, _)| *endpoint).collect()
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

    /// Takes it for the writer, which sees the newest state; false when somebody has it, or its endpoint is not ours.
    pub fn hold(&self, key: Key) -> bool {
        let mut state = self.state();
        self.may_have(key.0) && state.held.insert(key)
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
        if !self.leases.may_have(key.0) {
            return Take::Foreign;
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
    fn nothing_is_given_out_of_endpoints_that_are_anothers() {
        let leases = Leases::of_ours(|endpoint| endpoint == 1);
        let claim = leases.claim();
        assert_eq!(claim.take((1, 1)), Take::Taken);
        assert_eq!(claim.take((2, 1)), Take::Foreign);
        assert_eq!(leases.endpoints(), HashSet::from([1]));
    }

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
