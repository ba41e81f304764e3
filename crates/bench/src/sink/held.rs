//! How long senders waited for receivers that do not answer, or not to the end.
//!
//! What is measured is the time from the request to the moment in which the sender gave up (or was answered after all): as long as that,
//! it kept a slot for this attempt.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::clock::Clock;
use crate::latency::Latency;

/// Requests whose answer is held back.
pub(super) struct Holding {
    clock: Clock,
    now: AtomicU64,
    peak: AtomicU64,
    times: Mutex<Latency>,
}

/// One of them; dropped when it is over.
pub(super) struct Hold {
    of: Arc<Holding>,
    since_us: u64,
}

/// What is known of requests whose answer was held back.
#[derive(Clone, Debug)]
pub struct Held {
    /// How many wait now.
    pub now: u64,
    /// How many waited at once, at most.
    pub peak: u64,
    /// How long each waited that waits no longer.
    pub times: Latency,
}

impl Holding {
    pub(super) fn new(clock: Clock, times: Latency) -> Arc<Self> {
        Arc::new(Self {
            clock,
            now: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            times: Mutex::new(times),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Hold {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        Hold {
            of: Arc::clone(self),
            since_us: self.clock.now_us(),
        }
    }

    pub(super) fn read(&self) -> Held {
        Held {
            now: self.now.load(Relaxed),
            peak: self.peak.load(Relaxed),
            times: lock(&self.times).clone(),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let of = &self.of;
        lock(&of.times).record(of.clock.now_us().saturating_sub(self.since_us));
        of.now.fetch_sub(1, Relaxed);
    }
}
