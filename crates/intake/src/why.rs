//! How often it is found out why a request is not trusted.
//!
//! An explanation hashes the body dozens of times, so strangers must not be able to have as many as they like.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bellwire_core::{id::SourceId, quota::Bucket, time::Timestamp};

/// Explanations a second, for one source and for all.
const PER_SOURCE: u32 = 5;
const OVERALL: u32 = 20;
/// What is kept for less sources than that is not worth looking through.
const FEW: usize = 256;

/// Who had explanations lately.
#[derive(Debug, Default)]
pub(crate) struct Explanations(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    all: Bucket,
    of: HashMap<SourceId, Bucket>,
}

impl Explanations {
    /// Whether there may be one now.
    pub fn allow(&self, source: SourceId, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.of.len() >= FEW {
            state.of.retain(|_, bucket| !bucket.is_as_new(now));
        }
        // The source's own first: one that has too many must not use up the others'.
        state.of.entry(source).or_default().take(PER_SOURCE, now).wait.is_none()
            && state.all.take(OVERALL, now).wait.is_none()
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::Id as _;

    use super::*;

    #[test]
    fn a_source_has_five_a_second_and_all_have_twenty() {
        let explanations = Explanations::default();
        let now = Timestamp::from_secs(1_766_000_000);
        let count = |source: u64| {
            let id = SourceId::from_number(source);
            (0..100).filter(|_| explanations.allow(id, now)).count()
        };
        assert_eq!(
            [count(1), count(1), count(2), count(3), count(4), count(5)],
            [5, 0, 5, 5, 5, 0]
        );
    }
}
