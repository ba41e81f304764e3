//! Connections of one endpoint: a few at once, kept for the next effect.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections to one server for one endpoint. Whoever wants one waits for a slot first, so there never are more than slots.
#[derive(Debug)]
pub(super) struct Pool<C> {
    slots: Semaphore,
    idle: Mutex<Vec<(C, Instant)>>,
}

impl<C> Pool<C> {
    /// A pool of at most so many connections.
    pub fn new(slots: usize) -> Self {
        Self {
            slots: Semaphore::new(slots),
            idle: Mutex::default(),
        }
    }

    /// The right to hold a connection; given back when dropped.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the semaphore.
        self.slots.acquire().await.ok()
    }

    /// The connection that was used last.
    pub fn take(&self) -> Option<C> {
        self.lock().pop().map(|(connection, _)| connection)
    }

    /// Keeps a connection for the next effect.
    pub fn put(&self, connection: C) {
        self.lock().push((connection, Instant::now()));
    }

    /// Drops what was not used for so long.
    pub fn sweep(&self, unused: Duration) {
        self.lock().retain(|(_, since)| since.elapsed() < unused);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(C, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
