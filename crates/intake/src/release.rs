//! Held messages whose wait is over: accepted when nobody came before them in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bellwire_core::time::Timestamp;
use bellwire_store::{Directory, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics::IntakeMetrics;

/// The longest sleep: a clock that jumps is noticed after it.
const LOOK: Duration = Duration::from_secs(30);
/// The wait after the store could not be used.
const AGAIN: Duration = Duration::from_secs(1);
/// The wait after a step that found nothing, whatever the store says is next.
const BREATH: Duration = Duration::from_millis(5);
/// Messages of one step.
const STEP: usize = 256;

/// The timer.
pub(crate) struct Release {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    metrics: Arc<IntakeMetrics>,
    /// When the timer wakes by itself, in microseconds.
    next: AtomicI64,
    sooner: Notify,
}

impl Release {
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, metrics: Arc<IntakeMetrics>) -> Self {
        Self {
            store,
            directory,
            metrics,
            next: AtomicI64::new(i64::MIN),
            sooner: Notify::new(),
        }
    }

    /// A message is held until then.
    pub fn held(&self, until: Timestamp) {
        if until.micros() < self.next.load(Ordering::Acquire) {
            self.sooner.notify_one();
        }
    }

    /// Releases until stopped.
    pub async fn run(&self, stop: &CancellationToken) {
        loop {
            let wait = self.step().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Releases what is due; answers how long nothing will be.
    async fn step(&self) -> Duration {
        // Until it is known when the next is due, whoever holds a message wakes the timer.
        self.next.store(i64::MAX, Ordering::Release);
        let now = self.directory.now();
        match self.store.release(now, STEP).await {
            Ok(released) => {
                self.metrics.released.inc_by(released.messages);
                let wait = released.next.map_or(LOOK, |next| next.since(now)).min(LOOK);
                let wait = if released.messages == 0 { wait.max(BREATH) } else { wait };
                self.next.store(now.plus(wait).micros(), Ordering::Release);
                wait
            }
            Err(error) => {
                tracing::warn!(%error, "held messages wait for the store");
                AGAIN
            }
        }
    }
}
