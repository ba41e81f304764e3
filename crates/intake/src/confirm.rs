//! Subscriptions that a provider wants confirmed by a visit (AWS SNS): made once, in the background.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bellwire_core::id::SourceId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fetch::Fetch;

/// Visits that wait; what comes while so many do is left to the provider's next try.
const WAITING_MAX: usize = 64;
/// Visits that are remembered.
const REMEMBERED: usize = 256;

/// A visit that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub source: SourceId,
    pub url: String,
}

/// The visits to be made.
pub(crate) struct Confirmations {
    fetch: Arc<dyn Fetch>,
    wanted: mpsc::Sender<Visit>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Visit>>,
    made: Mutex<VecDeque<String>>,
}

impl Confirmations {
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        let (wanted, waiting) = mpsc::channel(WAITING_MAX);
        Self {
            fetch,
            wanted,
            waiting: tokio::sync::Mutex::new(waiting),
            made: Mutex::default(),
        }
    }

    /// Has a URL visited, unless it was.
    pub fn want(&self, visit: Visit) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.contains(&visit.url) {
            return;
        }
        let url = visit.url.clone();
        if self.wanted.try_send(visit).is_ok() {
            made.push_back(url);
            if made.len() > REMEMBERED {
                made.pop_front();
            }
        }
    }

    /// Makes visits until stopped; `failed` is told of those that came to nothing.
    pub async fn run(&self, stop: &CancellationToken, failed: impl Fn(&Visit, String)) {
        let mut waiting = self.waiting.lock().await;
        while let Some(Some(visit)) = stop.run_until_cancelled(waiting.recv()).await {
            match self.fetch.get(&visit.url).await {
                Ok(_) => tracing::info!(source = %visit.source, "the provider's subscription is confirmed"),
                Err(error) => {
                    tracing::warn!(source = %visit.source, %error, "the provider's subscription could not be confirmed");
                    // It sends the question again; then it is answered again.
                    self.made
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .retain(|url| *url != visit.url);
                    failed(&visit, error.to_string());
                }
            }
        }
    }
}
