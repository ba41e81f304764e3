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

/// So much of path and query, and so much of names and values of headers beside it.
const TARGET_BYTES_MAX: usize = 2_048;
const HEAD_BYTES_MAX: usize = 8_192;
/// So much of a method.
const METHOD_BYTES_MAX: usize = 40;
/// What stands for the end of a text that was too long.
const CUT: &str = "…";

/// The head of a refused request, as much as is kept of it: strangers say how long it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Headers that are not kept.
    left_out: usize,
}

impl Head {
    /// As many headers as there is room for, in their order; one that is too long leaves the room to those behind it.
    pub fn of(method: &str, target: &str, headers: Vec<(String, String)>) -> Self {
        let target = beginning(target, TARGET_BYTES_MAX);
        let all = headers.len();
        let mut room = HEAD_BYTES_MAX.saturating_sub(target.len());
        let fits = |(name, value): &(String, String)| {
            let left = room.checked_sub(name.len() + value.len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let headers: Vec<_> = headers.into_iter().filter(fits).collect();
        Self {
            method: beginning(method, METHOD_BYTES_MAX),
            target,
            left_out: all - headers.len(),
            headers,
        }
    }

    /// Why it was refused, and what is missing here.
    pub fn and_what_was_cut(&self, detail: String) -> String {
        match self.left_out {
            0 => detail,
            1 => format!("{detail} (1 header is not kept: more than {HEAD_BYTES_MAX} bytes)"),
            n => format!("{detail} ({n} headers are not kept: more than {HEAD_BYTES_MAX} bytes)"),
        }
    }
}

/// A text, or its beginning.
fn beginning(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes - CUT.len()).rev().find(|end| text.is_char_boundary(*end));
    format!("{}{CUT}", &text[..end.unwrap_or(0)])
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_of_a_head_is_kept_as_there_is_room_for() {
        let header = |name: &str, bytes: usize| (name.to_owned(), "v".repeat(bytes));
        let headers = vec![
            header("a", 5_000),
            header("b", 5_000),
            header("c", 100),
            header("d", 9_000),
        ];
        let head = Head::of("POST", &"/ü".repeat(2_000), headers);
        let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(head.target.len() <= TARGET_BYTES_MAX && head.target.ends_with(CUT));
        let detail = head.and_what_was_cut("no signature".to_owned());
        assert_eq!(detail, "no signature (2 headers are not kept: more than 8192 bytes)");
        let whole = Head::of("POST", "/in/x", vec![header("a", 8_000)]);
        assert_eq!(whole.and_what_was_cut("why".to_owned()), "why");
    }
}
