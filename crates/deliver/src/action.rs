//! What can be done with a delivery: one trait, one row per kind in [`crate::actions`].

mod letter;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_core::{attempt::Outcome, delivery::Work, time::Timestamp};
use bellwire_store::directory::EndpointEntry;

pub use self::letter::Letter;

/// One attempt that is to be made: of one delivery, or of several in a batch.
pub struct Order<'a> {
    /// The endpoint as it stands now.
    pub endpoint: &'a Arc<EndpointEntry>,
    /// The deliveries it carries: one, or those of a batch. Never empty.
    pub works: Vec<&'a Work>,
    /// What is sent.
    pub letter: Letter<'a>,
    /// When the attempt begins: what is signed as its time.
    pub started_at: Timestamp,
    /// How long it may take, connecting and answer included.
    pub timeout: Duration,
    /// Asked once more right before the first byte leaves: false when the endpoint was disabled, paused or deleted meanwhile, or
    /// when the attempt may be another process's to make by now.
    pub may_begin: &'a (dyn Fn() -> bool + Send + Sync),
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("id", &self.letter.id)
            .finish_non_exhaustive()
    }
}

/// How it went.
#[derive(Debug)]
pub enum Acted {
    /// An attempt was made.
    Attempted(Outcome),
    /// Nothing was sent: `may_begin` said no.
    Withheld,
}

/// A way of delivering. Never fails as a call: what goes wrong is an outcome.
#[async_trait]
pub trait Action: Send + Sync + 'static {
    /// Makes one attempt.
    async fn act(&self, order: Order<'_>) -> Acted;

    /// The endpoint's settings changed, or it is gone: what was kept for it (connections) is let go of.
    fn forget(&self, endpoint: bellwire_core::id::EndpointId);
}
