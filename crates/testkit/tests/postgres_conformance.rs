//! The store in PostgreSQL keeps every promise of the seam.
//!
//! Each test has a schema of its own in one server. A crash is a store whose tasks and connections are gone at once: nothing is
//! written any more, and what was on its way may or may not arrive.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "postgres/server.rs"]
mod server;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    Clock, Store,
    backends::{self, OpenOptions},
    vault::Vault,
};
use bellwire_testkit::{ManualClock, conformance::Backend};

struct Postgres {
    url: String,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Postgres {
    async fn open(url: String, clock: Arc<ManualClock>) -> Self {
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let options = OpenOptions::new(now, Vault::new(Keyring::new(secret)));
        let store = backends::open(&url, options).await.unwrap();
        Self { url, clock, store }
    }
}

impl Backend for Postgres {
    async fn create(clock: Arc<ManualClock>) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let schema = format!("t{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self::open(server::server().url(&schema), clock).await
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        let Self { url, clock, store } = self;
        drop(store);
        Self::open(url, clock).await
    }
}

bellwire_testkit::conformance!(Postgres);
