//! The list of refused requests: gathered here, written in batches, so that who floods a source costs little.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::id::SourceId;
use bellwire_store::{Store, query::RefusedRequest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Written at least so often, when there is something.
const EVERY: Duration = Duration::from_secs(1);
/// Of one batch at most so many, and of one source so many; the others are counted.
const BATCH_MAX: usize = 256;
const OF_SOURCE_MAX: usize = 10;
/// Kinds of skipped requests that are counted at once.
const COUNTED_MAX: usize = 1_024;
/// So much of a body is kept.
pub(crate) const BODY_BYTES_MAX: usize = 4_096;

/// What was refused and is not written yet.
pub(crate) struct Refusals {
    store: Arc<dyn Store>,
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    batch: Vec<RefusedRequest>,
    of_source: HashMap<SourceId, usize>,
    skipped: HashMap<(SourceId, String), u64>,
}

impl Refusals {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            waiting: Mutex::default(),
            came: Notify::new(),
        }
    }

    /// Whether one more of this source would be kept; otherwise it is counted as skipped.
    pub fn has_room(&self, source: SourceId, reason: &str) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = waiting.of_source.get(&source).copied().unwrap_or_default();
        let room = waiting.batch.len() < BATCH_MAX && of_source < OF_SOURCE_MAX;
        if !room {
            waiting.skip(source, reason.to_owned(), 1);
        }
        room
    }

    /// Keeps one.
    pub fn keep(&self, mut refused: RefusedRequest) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (refused.source, refused.reason.clone());
        refused.skipped = waiting.skipped.remove(&key).unwrap_or_default();
        *waiting.of_source.entry(refused.source).or_default() += 1;
        waiting.batch.push(refused);
        self.came.notify_one();
    }

    /// Writes until stopped, and then what is left.
    pub async fn run(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.came.notified()).await.is_some() {
            self.write().await;
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                break;
            }
        }
        self.write().await;
    }

    async fn write(&self) {
        let batch = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.of_source.clear();
            std::mem::take(&mut waiting.batch)
        };
        if batch.is_empty() {
            return;
        }
        let lost: Vec<_> = batch
            .iter()
            .map(|one| (one.source, one.reason.clone(), one.skipped + 1))
            .collect();
        if let Err(error) = self.store.refuse(batch).await {
            tracing::warn!(%error, "refused requests could not be kept");
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for (source, reason, count) in lost {
                waiting.skip(source, reason, count);
            }
        }
    }
}

impl Waiting {
    fn skip(&mut self, source: SourceId, reason: String, count: u64) {
        let key = (source, reason);
        if let Some(skipped) = self.skipped.get_mut(&key) {
            *skipped += count;
        } else if self.skipped.len() < COUNTED_MAX {
            self.skipped.insert(key, count);
        }
    }
}
