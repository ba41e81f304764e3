//! Connections to one place that wait to be used again.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::connection::Connection;

/// So many unused connections are kept.
const IDLE_MAX: usize = 64;

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Unused connections, all to the same place for the same endpoint. Dropping it closes them.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Vec<Idle>>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is ready, the one used last first; a shared one stays.
    pub fn take(&self) -> Option<Connection> {
        let mut all = self.lock();
        while let Some(mut idle) = all.pop() {
            if !idle.connection.is_usable() && idle.connection.is_closed() {
                continue;
            }
            if let Some(shared) = idle.connection.share() {
                idle.since = Instant::now();
                all.push(idle);
                return Some(shared);
            }
            return Some(idle.connection);
        }
        None
    }

    /// Keeps a connection for the next attempt.
    pub fn put(&self, connection: Connection) {
        let mut all = self.lock();
        let already_shared = connection.is_http2() && all.iter().any(|idle| idle.connection.is_http2());
        if !already_shared && all.len() < IDLE_MAX && !connection.is_closed() {
            all.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what has not been used for `unused`.
    pub fn sweep(&self, unused: Duration) {
        self.lock()
            .retain(|idle| idle.since.elapsed() < unused && !idle.connection.is_closed());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }
}
