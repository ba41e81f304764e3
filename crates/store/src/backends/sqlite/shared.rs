//! What the writer and the rest of the store share: small things that are read often.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::lease::Leases;
use crate::contract::Handoff;

/// Shared state. Nothing in it is held across a wait.
#[derive(Default)]
pub(super) struct Shared {
    pub leases: Arc<Leases>,
    handoff: RwLock<Option<Arc<dyn Handoff>>>,
    unwritable: Mutex<Option<String>>,
    closed: AtomicBool,
    pub waiting: AtomicI64,
    pub commits: AtomicU64,
    pub commit_micros: AtomicU64,
}

impl Shared {
    pub fn attach(&self, handoff: Arc<dyn Handoff>) {
        *self.handoff.write().unwrap_or_else(PoisonError::into_inner) = Some(handoff);
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
        self.unwritable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is written from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Answers what was the case before.
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
    }
}
