//! Writes outcomes in batches.
//!
//! Workers leave their settlements here and go on; one task writes what has gathered while the batch before it was being
//! written (the store lets small batches ride on its next commit). A batch that cannot be written is
//! tried again until it can: an outcome is never dropped while the process lives.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bellwire_store::{Settlement, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The wait after a batch could not be written.
const AGAIN: Duration = Duration::from_millis(200);
/// How often at most it is said again that nothing can be written.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// At most so many go in one call.
const BATCH: usize = 4_096;
/// While more than this is unwritten, nothing new is begun.
const BRAKE: usize = 16_384;

/// Where settlements gather.
#[derive(Default)]
pub(crate) struct Settler {
    gathered: Mutex<Vec<Settlement>>,
    /// Gathered or being written.
    unwritten: AtomicUsize,
    woken: Notify,
    eased: Notify,
}

impl Settler {
    /// Leaves settlements to be written.
    pub fn put(&self, settlements: impl IntoIterator<Item = Settlement>) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let before = gathered.len();
        gathered.extend(settlements);
        let added = gathered.len() - before;
        drop(gathered);
        self.unwritten.fetch_add(added, Ordering::Relaxed);
        if before == 0 && added > 0 {
            self.woken.notify_one();
        }
    }

    /// Settlements that are not durable yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Waits while too much is unwritten: the store is slower than the receivers, or gone.
    pub async fn brake(&self) {
        while self.unwritten() > BRAKE {
            let eased = self.eased.notified();
            if self.unwritten() <= BRAKE {
                break;
            }
            eased.await;
        }
    }

    /// Writes until stopped, then until nothing is left or the store has failed once more.
    pub async fn write(self: Arc<Self>, store: Arc<dyn Store>, stop: CancellationToken) {
        loop {
            let stopping = stop.is_cancelled();
            let batch = {
                let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
                let n = gathered.len().min(BATCH);
                gathered.drain(..n).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                if stopping {
                    return;
                }
                tokio::select! {
                    biased;
                    () = self.woken.notified() => {}
                    () = stop.cancelled() => continue,
                }
                continue;
            }
            let written = batch.len();
            let batch = Arc::new(batch);
            let mut trouble = Trouble::default();
            while let Err(error) = store.settle(Arc::clone(&batch)).await {
                if trouble.is_news(Instant::now()) {
                    tracing::error!(%error, deliveries = self.unwritten(), "outcomes could not be written; they are kept and tried again");
                }
                if stop.is_cancelled() {
                    return;
                }
                tokio::time::sleep(AGAIN).await;
            }
            if trouble.said_at.is_some() {
                tracing::info!("outcomes can be written again");
            }
            self.unwritten.fetch_sub(written, Ordering::Relaxed);
            self.eased.notify_waiters();
        }
    }
}

/// What was said about a batch that cannot be written.
#[derive(Default)]
struct Trouble {
    said_at: Option<Instant>,
}

impl Trouble {
    /// Whether one more failure is to be logged: the first one, and from then on one in a while.
    fn is_news(&mut self, now: Instant) -> bool {
        let news = self.said_at.is_none_or(|said| now.duration_since(said) >= SAY_AGAIN);
        if news {
            self.said_at = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_then_now_and_then() {
        let begun = Instant::now();
        let mut trouble = Trouble::default();
        // As long as a full disk may last, at the pace of the retries.
        let told = (0..305).filter(|n| trouble.is_news(begun + AGAIN * *n)).count();
        assert_eq!(told, 3, "at 0 s, 30 s and 60 s");
    }
}
