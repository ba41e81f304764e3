//! Held messages whose wait is over: accepted when nobody came before them in time.
//!
//! Only time in which the intake listened counts: whoever is missing cannot come to a server that is down or takes nothing.
//! So at the start, and after each request that was turned away for want of room or store, held messages wait their source's
//! whole wait once more before anything is released. Of servers that share a store each prolongs, and one releases.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bellwire_core::{id::AppId, source::Source, time::Timestamp};
use bellwire_store::{Directory, Released, Store, StoreError};
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
    /// When the intake last did not take what came, in microseconds. The time before its start is such a time.
    deaf_at: AtomicI64,
    /// When the timer wakes by itself, in microseconds.
    next: AtomicI64,
    sooner: Notify,
}

impl Release {
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, metrics: Arc<IntakeMetrics>) -> Self {
        Self {
            deaf_at: AtomicI64::new(directory.now().micros()),
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

    /// The intake did not take something that it was to take.
    pub fn turned_away(&self) {
        self.deaf_at.store(self.directory.now().micros(), Ordering::Release);
    }

    /// Releases until stopped.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut made_up_for = None;
        loop {
            let wait = self.step(&mut made_up_for).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Releases what is due; answers how long nothing will be. `made_up_for` is the last deaf time that waits were prolonged for.
    async fn step(&self, made_up_for: &mut Option<i64>) -> Duration {
        // Until it is known when the next is due, whoever holds a message wakes the timer.
        self.next.store(i64::MAX, Ordering::Release);
        let now = self.directory.now();
        match self.release(now, made_up_for).await {
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

    async fn release(&self, now: Timestamp, made_up_for: &mut Option<i64>) -> Result<Released, StoreError> {
        let deaf_at = self.deaf_at.load(Ordering::Acquire);
        if *made_up_for != Some(deaf_at) {
            let since = Timestamp::from_micros(deaf_at);
            for (app, wait) in self.directory.all_sources().iter().filter_map(|source| waits(source)) {
                self.store.prolong(app, since.plus(wait)).await?;
            }
            *made_up_for = Some(deaf_at);
        }
        match self.store.lead() {
            Some(_lead) => self.store.release(now, STEP).await,
            None => Ok(Released {
                messages: 0,
                next: Some(now.plus(AGAIN)),
            }),
        }
    }
}

/// How long what a source brings waits for those before it, where anything does.
fn waits(source: &Source) -> Option<(AppId, Duration)> {
    let order = source.rules.order.as_ref()?;
    order.sequence.as_ref()?;
    Some((source.app, order.waits()))
}
