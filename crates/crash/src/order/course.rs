//! What the parts of an ordered run share: the account, the clock, and the signals that moments wait for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::plan::Script;
use crate::world::Signal;

/// The run.
pub(crate) struct Course {
    began: Instant,
    ledger: Mutex<Ledger>,
    pub(crate) script: Script,
    /// Publishers come to an end when so many deliveries are promised in lines.
    pub(crate) deliveries: u64,
    /// So many of a hundred tries fail.
    pub(crate) failures: u8,
    /// Requests to publish that are about to leave.
    pub(crate) publishing: Signal,
    /// Requests the receiver is about to answer.
    pub(crate) answering: Signal,
    /// Publications whose answer was lost.
    pub(crate) answers_lost: AtomicU64,
    /// Answers 429 and 503.
    pub(crate) refusals: AtomicU64,
    /// Set when publishers are to come to an end early.
    pub(crate) enough: AtomicBool,
}

impl Course {
    pub(crate) fn new(script: Script, deliveries: u64, failures: u8, settling: Duration) -> Arc<Self> {
        let settling_us = u64::try_from(settling.as_micros()).unwrap_or(u64::MAX);
        Arc::new(Self {
            began: Instant::now(),
            ledger: Mutex::new(Ledger::new(script, settling_us)),
            script,
            deliveries,
            failures,
            publishing: Signal::new(),
            answering: Signal::new(),
            answers_lost: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            enough: AtomicBool::new(false),
        })
    }

    /// Microseconds since the run began.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Since when.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_enough(&self) -> bool {
        self.enough.load(Relaxed)
    }
}
