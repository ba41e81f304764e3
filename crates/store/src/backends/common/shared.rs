//! What the writer and the rest of the store share: small things that are read often.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{backlog::Backlogs, lease::Leases};
use crate::{contract::Handoff, query::COMMIT_BUCKETS_MS};

/// Shared state. Nothing in it is held across a wait.
#[derive(Default)]
pub(crate) struct Shared {
    pub leases: Arc<Leases>,
    handoff: RwLock<Option<Arc<dyn Handoff>>>,
    unwritable: Mutex<Option<String>>,
    closed: AtomicBool,
    fenced: AtomicBool,
    backlogs: Mutex<Backlogs>,
    pub commits: AtomicU64,
    pub commit_micros: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS_MS.len() + 1],
    pub pauses: AtomicU64,
    pub pause_micros: AtomicU64,
}

impl Shared {
    /// With leases that know whose endpoints are.
    pub fn with(leases: Leases) -> Self {
        Self {
            leases: Arc::new(leases),
            ..Self::default()
        }
    }

    pub fn attach(&self, handoff: Arc<dyn Handoff>) {
        *self.handoff.write().unwrap_or_else(PoisonError::into_inner) = Some(handoff);
        let all = self.backlogs().endpoints();
        self.tell_waiting(&all);
    }

    /// How much waits for whom, as of the last commit.
    pub fn backlogs(&self) -> MutexGuard<'_, Backlogs> {
        self.backlogs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how much waits for these endpoints by now. What is told last is never out of date: the numbers stand still
    /// meanwhile.
    pub fn tell_waiting(&self, endpoints: &[u64]) {
        let Some(handoff) = self.handoff().filter(|_| !endpoints.is_empty()) else {
            return;
        };
        let backlogs = self.backlogs();
        handoff.waiting(&backlogs.told(endpoints));
    }

    pub fn handoff(&self) -> Option<Arc<dyn Handoff>> {
        self.handoff.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn is_attached(&self) -> bool {
        self.handoff.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why nothing can be written, if so.
    pub fn unwritable(&self) -> Option<String> {
        if self.closed.load(Ordering::Relaxed) {
            return Some("the store is closed".to_owned());
        }
        if self.is_fenced() {
            return Some("another process has taken this node's place; this one has to begin anew".to_owned());
        }
        self.unwritable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is written from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Another process writes in our place: nothing is written from now on.
    pub fn fence(&self) {
        self.fenced.store(true, Ordering::Relaxed);
    }

    /// Whether another process writes in our place.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Answers what was the case before; that the store is closed is no such case.
    pub fn set_unwritable(&self, reason: Option<String>) -> Option<String> {
        std::mem::replace(
            &mut *self.unwritable.lock().unwrap_or_else(PoisonError::into_inner),
            reason,
        )
    }

    /// Notes a commit and how long it took.
    pub fn committed(&self, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commit_micros
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let bucket = COMMIT_BUCKETS_MS.partition_point(|bound| Duration::from_millis(*bound) < took);
        self.commit_buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the writer copied the log itself, and how long that took.
    pub fn paused(&self, took: Duration) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
        self.pause_micros
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Commits by how long they took.
    pub fn commit_buckets(&self) -> [u64; COMMIT_BUCKETS_MS.len() + 1] {
        std::array::from_fn(|at| self.commit_buckets[at].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_counts_in_the_first_bucket_that_is_long_enough() {
        let shared = Shared::default();
        for millis in [1, 2, 3, 60_000] {
            shared.committed(Duration::from_millis(millis));
        }
        shared.committed(Duration::from_micros(1_001));
        assert_eq!(shared.commit_buckets(), [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(shared.commits.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_store_that_is_closed_could_be_written_before() {
        let shared = Shared::default();
        shared.close();
        assert!(shared.unwritable().is_some());
        assert_eq!(shared.set_unwritable(None), None);
    }
}
