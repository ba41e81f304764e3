//! How much waits for each endpoint: places in the queue, and deliveries that wait for their turn in line.
//!
//! Every transaction that changes it writes what the numbers of the endpoints it touched become; the same numbers are kept
//! in memory, so that nothing is counted, neither at the start nor for anybody who asks.

use std::collections::HashMap;

use bellwire_core::id::{EndpointId, Id};

/// The numbers as of the last commit. An endpoint for which nothing waits is not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlogs {
    waiting: HashMap<u64, i64>,
    total: i64,
}

impl Backlogs {
    /// From all numbers there are.
    pub fn all(waiting: HashMap<u64, i64>) -> Self {
        let total = waiting.values().sum();
        Self { waiting, total }
    }

    /// How many wait for this endpoint.
    pub fn of(&self, endpoint: u64) -> i64 {
        self.waiting.get(&endpoint).copied().unwrap_or(0)
    }

    /// How many wait.
    pub fn total(&self) -> u64 {
        u64::try_from(self.total).unwrap_or(0)
    }

    /// For whom something waits.
    pub fn endpoints(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// The numbers of these endpoints, for whoever is told.
    pub fn told(&self, endpoints: &[u64]) -> Vec<(EndpointId, u64)> {
        let one = |endpoint: &u64| {
            let waiting = u64::try_from(self.of(*endpoint)).unwrap_or(0);
            (EndpointId::from_number(*endpoint), waiting)
        };
        endpoints.iter().map(one).collect()
    }

    /// What the numbers of the touched endpoints become.
    pub fn after(&self, changes: &HashMap<u64, i64>) -> Vec<(u64, i64)> {
        let changed = changes.iter().filter(|(_, more)| **more != 0);
        changed
            .map(|(endpoint, more)| (*endpoint, self.of(*endpoint) + more))
            .collect()
    }

    /// Takes over all numbers there are. Answers those that are others than before.
    pub fn replace(&mut self, all: HashMap<u64, i64>) -> Vec<u64> {
        let gone = self.waiting.keys().filter(|endpoint| !all.contains_key(endpoint));
        let mut changed: Vec<u64> = gone.copied().collect();
        let differs = |(endpoint, waiting): &(&u64, &i64)| self.of(**endpoint) != **waiting;
        changed.extend(all.iter().filter(differs).map(|(endpoint, _)| *endpoint));
        *self = Self::all(all);
        changed
    }

    /// Takes over what was committed.
    pub fn set(&mut self, numbers: &[(u64, i64)]) {
        for (endpoint, waiting) in numbers {
            self.total += waiting - self.of(*endpoint);
            if *waiting == 0 {
                self.waiting.remove(endpoint);
            } else {
                self.waiting.insert(*endpoint, *waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_changed_is_taken_over_and_told() {
        let mut backlogs = Backlogs::all(HashMap::from([(1, 3), (2, 2), (3, 1)]));
        let mut changed = backlogs.replace(HashMap::from([(2, 2), (3, 4), (5, 1)]));
        changed.sort_unstable();
        assert_eq!((changed, backlogs.total()), (vec![1, 3, 5], 7));
    }

    #[test]
    fn the_total_follows_the_numbers_and_what_is_empty_is_forgotten() {
        let mut backlogs = Backlogs::default();
        let first = backlogs.after(&HashMap::from([(1, 3), (2, 2), (3, 0)]));
        backlogs.set(&first);
        assert_eq!((backlogs.total(), backlogs.of(1), first.len()), (5, 3, 2));
        let second = backlogs.after(&HashMap::from([(1, -3), (2, 1)]));
        backlogs.set(&second);
        assert_eq!((backlogs.total(), backlogs.endpoints()), (3, vec![2]));
        assert_eq!(
            backlogs.told(&[1, 2]),
            [(EndpointId::from_number(1), 0), (EndpointId::from_number(2), 3)]
        );
    }
}
