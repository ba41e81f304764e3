//! What a proof needs from elsewhere: certificates on the provider's own host, fetched once and kept for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{id::SourceId, quota::Bucket, time::Timestamp};
use bytes::Bytes;
use tokio::sync::OnceCell;

/// What is kept at once. What proved nothing makes room first, the oldest of it.
const KEPT_MAX: usize = 64;
/// How long a certificate is kept, and how long a failure.
const GOOD_FOR: Duration = Duration::from_secs(3_600);
const BAD_FOR: Duration = Duration::from_secs(10);
/// A forged request names what it likes on the provider's host: so many of them a second are looked for, for one source.
const PER_SECOND: u32 = 5;
/// Quotas of less sources than that are not worth looking through.
const FEW: usize = 256;

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The other side has no such thing, or gives something that cannot be used.
    #[error("{0}")]
    Refused(String),
    /// The other side was not reached, or cannot answer now.
    #[error("{0}")]
    Unreachable(String),
}

/// The way out for a GET to a provider: https only, bounded in time and bytes, to public addresses.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// What is at the URL.
    ///
    /// # Errors
    /// [`FetchError`], in words without the URL's query.
    async fn get(&self, url: &str) -> Result<Bytes, FetchError>;
}

type Cell = Arc<OnceCell<Result<Bytes, FetchError>>>;

/// Certificates by their URL.
pub(crate) struct Certificates {
    fetch: Arc<dyn Fetch>,
    kept: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_url: HashMap<String, Entry>,
    quotas: HashMap<SourceId, Bucket>,
}

struct Entry {
    at: Timestamp,
    cell: Cell,
    /// A request was proved with it: it is the provider's own.
    proved: bool,
}

impl Entry {
    fn failed(&self) -> bool {
        matches!(self.cell.get(), Some(Err(_)))
    }

    /// What makes room first: failures, then what proved nothing, then the oldest.
    fn worth(&self) -> (bool, bool, Timestamp) {
        (self.proved, !self.failed(), self.at)
    }
}

impl Certificates {
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            fetch,
            kept: Mutex::default(),
        }
    }

    /// The certificate at a URL that a provider's row has approved. Those who ask at the same time share one request.
    pub async fn get(&self, source: SourceId, url: &str, now: Timestamp) -> Result<Bytes, FetchError> {
        let cell = self.cell(source, url, now)?;
        cell.get_or_init(|| self.fetch.get(url)).await.clone()
    }

    /// A request was proved with what is at this URL.
    pub fn proved(&self, url: &str) {
        let mut state = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = state.by_url.get_mut(url) {
            entry.proved = true;
        }
    }

    fn cell(&self, source: SourceId, url: &str, now: Timestamp) -> Result<Cell, FetchError> {
        let mut state = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut proved = false;
        if let Some(entry) = state.by_url.get(url) {
            let good_for = if entry.failed() { BAD_FOR } else { GOOD_FOR };
            // A clock that was set back must not keep it for ever.
            if now.since(entry.at).max(entry.at.since(now)) < good_for {
                return Ok(Arc::clone(&entry.cell));
            }
            proved = entry.proved;
        }
        // What is the provider's own is looked for again whatever strangers ask for.
        if !proved && !state.allows(source, now) {
            let why = "too many different certificates are asked for at once; try again later";
            return Err(FetchError::Unreachable(why.to_owned()));
        }
        if !state.by_url.contains_key(url) {
            state.make_room();
        }
        let cell = Cell::default();
        let entry = Entry {
            at: now,
            cell: Arc::clone(&cell),
            proved,
        };
        state.by_url.insert(url.to_owned(), entry);
        Ok(cell)
    }
}

impl State {
    fn allows(&mut self, source: SourceId, now: Timestamp) -> bool {
        if self.quotas.len() >= FEW {
            self.quotas.retain(|_, quota| !quota.is_as_new(now));
        }
        let quota = self.quotas.entry(source).or_default();
        quota.take(PER_SECOND, now).wait.is_none()
    }

    fn make_room(&mut self) {
        if self.by_url.len() < KEPT_MAX {
            return;
        }
        let least = self.by_url.iter().min_by_key(|(_, entry)| entry.worth());
        if let Some(url) = least.map(|(url, _)| url.clone()) {
            self.by_url.remove(&url);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bellwire_core::id::Id as _;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Fetch for Counting {
        async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match url {
                bad if bad.starts_with("bad") => Err(FetchError::Refused("404".to_owned())),
                _ => Ok(Bytes::copy_from_slice(url.as_bytes())),
            }
        }
    }

    fn source(number: u64) -> SourceId {
        SourceId::from_number(number)
    }

    const START: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[tokio::test]
    async fn what_was_fetched_is_kept_and_a_failure_is_forgotten_soon() {
        let fetch = Arc::new(Counting::default());
        let certificates = Certificates::new(fetch.clone());
        let after = |secs| START.plus(Duration::from_secs(secs));
        for (secs, url, fetched) in [
            (0, "a", 1),
            (3_000, "a", 1),
            (3_700, "a", 2),
            (0, "bad", 3),
            (5, "bad", 3),
            (60, "bad", 4),
        ] {
            let _ = certificates.get(source(1), url, after(secs)).await;
            assert_eq!(fetch.0.load(Ordering::Relaxed), fetched, "{url} after {secs} s");
        }
    }

    #[tokio::test]
    async fn strangers_cannot_have_as_many_fetched_as_they_like() {
        let fetch = Arc::new(Counting::default());
        let certificates = Certificates::new(fetch.clone());
        for n in 0..50 {
            let _ = certificates.get(source(1), &n.to_string(), START).await;
        }
        assert_eq!(fetch.0.load(Ordering::Relaxed), 5);
        for n in 0..500_u64 {
            let _ = certificates
                .get(source(1), &n.to_string(), START.plus(Duration::from_secs(n)))
                .await;
        }
        assert!(certificates.kept.lock().unwrap().by_url.len() <= KEPT_MAX);
    }

    #[tokio::test]
    async fn what_strangers_name_neither_displaces_a_certificate_nor_takes_its_turn() {
        let fetch = Arc::new(Counting::default());
        let certificates = Certificates::new(fetch.clone());
        let ours = async |at: Timestamp| certificates.get(source(1), "ours", at).await;
        ours(START).await.unwrap();
        certificates.proved("ours");
        for n in 0..500_u64 {
            let kind = if n % 2 == 0 { "bad" } else { "good" };
            let at = START.plus(Duration::from_millis(n * 200));
            let _ = certificates.get(source(1), &format!("{kind}-{n}"), at).await;
        }
        let before = fetch.0.load(Ordering::Relaxed);
        let later = START.plus(Duration::from_secs(100));
        ours(later).await.unwrap();
        assert_eq!(fetch.0.load(Ordering::Relaxed), before, "it was kept");
        let expired = START.plus(Duration::from_secs(4_000));
        for n in 0..20 {
            let _ = certificates.get(source(1), &format!("other-{n}"), expired).await;
        }
        ours(expired).await.unwrap();
        assert!(certificates.get(source(1), "one more", expired).await.is_err());
        certificates.get(source(2), "one more", expired).await.unwrap();
    }
}
