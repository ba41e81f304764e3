//! What a proof needs from elsewhere: certificates on the provider's own host, fetched once and kept for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{quota::Bucket, time::Timestamp};
use bytes::Bytes;
use tokio::sync::OnceCell;

/// What is kept at once; the oldest makes room.
const KEPT_MAX: usize = 64;
/// How long a certificate is kept, and how long a failure.
const GOOD_FOR: Duration = Duration::from_secs(3_600);
const BAD_FOR: Duration = Duration::from_secs(10);
/// A forged request names what it likes on the provider's host: so many of them a second are looked for.
const PER_SECOND: u32 = 5;

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
    by_url: HashMap<String, (Timestamp, Cell)>,
    quota: Bucket,
}

impl Certificates {
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self {
            fetch,
            kept: Mutex::default(),
        }
    }

    /// The certificate at a URL that a provider's row has approved. Those who ask at the same time share one request.
    pub async fn get(&self, url: &str, now: Timestamp) -> Result<Bytes, FetchError> {
        let cell = self.cell(url, now)?;
        cell.get_or_init(|| self.fetch.get(url)).await.clone()
    }

    fn cell(&self, url: &str, now: Timestamp) -> Result<Cell, FetchError> {
        let mut state = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, cell)) = state.by_url.get(url) {
            let good_for = if matches!(cell.get(), Some(Err(_))) {
                BAD_FOR
            } else {
                GOOD_FOR
            };
            // A clock that was set back must not keep it for ever.
            if now.since(*at).max(at.since(now)) < good_for {
                return Ok(Arc::clone(cell));
            }
        }
        if state.quota.take(PER_SECOND, now).wait.is_some() {
            let why = "too many different certificates are asked for at once; try again later";
            return Err(FetchError::Unreachable(why.to_owned()));
        }
        if state.by_url.len() >= KEPT_MAX
            && let Some(oldest) = state
                .by_url
                .iter()
                .min_by_key(|(_, (at, _))| *at)
                .map(|(url, _)| url.clone())
        {
            state.by_url.remove(&oldest);
        }
        let cell = Cell::default();
        state.by_url.insert(url.to_owned(), (now, Arc::clone(&cell)));
        Ok(cell)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl Fetch for Counting {
        async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match url {
                "bad" => Err(FetchError::Refused("404".to_owned())),
                _ => Ok(Bytes::copy_from_slice(url.as_bytes())),
            }
        }
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
            let _ = certificates.get(url, after(secs)).await;
            assert_eq!(fetch.0.load(Ordering::Relaxed), fetched, "{url} after {secs} s");
        }
    }

    #[tokio::test]
    async fn strangers_cannot_have_as_many_fetched_as_they_like() {
        let fetch = Arc::new(Counting::default());
        let certificates = Certificates::new(fetch.clone());
        for n in 0..50 {
            let _ = certificates.get(&n.to_string(), START).await;
        }
        assert_eq!(fetch.0.load(Ordering::Relaxed), 5);
        for n in 0..500_u64 {
            let _ = certificates
                .get(&n.to_string(), START.plus(Duration::from_secs(n)))
                .await;
        }
        assert!(certificates.kept.lock().unwrap().by_url.len() <= KEPT_MAX);
    }
}
