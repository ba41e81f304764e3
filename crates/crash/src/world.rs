//! What the parts of a run share: the account, the clock and the signals that moments wait for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::account::Account;
use crate::payload::Messages;
use crate::plan::Endpoint;

/// A number that grows, and that can be waited for.
pub(crate) struct Signal(watch::Sender<u64>);

impl Signal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn bump(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until it has grown by `more`, or for `patience`.
    pub(crate) async fn grow(&self, more: u64, patience: Duration) {
        let mut receiver = self.0.subscribe();
        let target = *receiver.borrow() + more;
        // The sender lives as long as `self`: only the time can run out.
        let _ = tokio::time::timeout(patience, receiver.wait_for(|count| *count >= target)).await;
    }
}

/// The run.
pub(crate) struct World {
    began: Instant,
    account: Mutex<Account>,
    pub(crate) plan: Arc<[Endpoint]>,
    pub(crate) messages: Messages,
    /// Requests to publish that are about to leave.
    pub(crate) publishing: Signal,
    /// Requests the receiver is about to answer.
    pub(crate) answering: Signal,
    /// Publications without an answer at this moment.
    pub(crate) unanswered: AtomicU64,
    /// Publications whose answer a kill took.
    pub(crate) answers_lost: AtomicU64,
    /// Answers 429 and 503.
    pub(crate) refusals: AtomicU64,
    /// Set when publishers are to come to an end.
    pub(crate) enough: AtomicBool,
}

impl World {
    pub(crate) fn new(plan: Vec<Endpoint>, messages: Messages, settling: Duration) -> Arc<Self> {
        let plan: Arc<[Endpoint]> = plan.into();
        let settling_us = u64::try_from(settling.as_micros()).unwrap_or(u64::MAX);
        Arc::new(Self {
            began: Instant::now(),
            account: Mutex::new(Account::new(Arc::clone(&plan), settling_us)),
            plan,
            messages,
            publishing: Signal::new(),
            answering: Signal::new(),
            unanswered: AtomicU64::new(0),
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

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_enough(&self) -> bool {
        self.enough.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_is_waited_for_from_now_on() {
        let signal = Arc::new(Signal::new());
        signal.bump();
        let waiting = Arc::clone(&signal);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { waiting.grow(2, Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        signal.bump();
        signal.bump();
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(signal.count(), 3);
    }
}
