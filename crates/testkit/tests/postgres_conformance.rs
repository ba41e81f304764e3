//! The store in PostgreSQL keeps every promise of the seam.
//!
//! Each test has a schema of its own in one server. A crash is a store that is cut off from the server for ever: nothing is
//! written any more, and what was on its way may or may not arrive.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "postgres/relay.rs"]
mod relay;
#[path = "../../store/src/backends/postgres/tests/server.rs"]
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

use self::{
    relay::Relay,
    server::{server, url},
};

struct Postgres {
    schema: String,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
    _relay: Relay,
}

impl Postgres {
    async fn open(schema: String, clock: Arc<ManualClock>) -> Self {
        let secret = MainSecret::from_bytes([3; 32]).unwrap();
        let now = Arc::clone(&clock) as Arc<dyn Clock>;
        let options = OpenOptions::new(now, Vault::new(Keyring::new(secret)));
        let relay = Relay::to(server().folder());
        let store = backends::open(&url(relay.folder(), "bellwire", &schema), options)
            .await
            .unwrap();
        Self {
            schema,
            clock,
            store,
            _relay: relay,
        }
    }
}

impl Backend for Postgres {
    async fn create(clock: Arc<ManualClock>) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let schema = format!("t{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        Self::open(schema, clock).await
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn crash(self) -> Self {
        let (schema, clock) = (self.schema.clone(), Arc::clone(&self.clock));
        drop(self);
        Self::open(schema, clock).await
    }
}

bellwire_testkit::conformance!(Postgres);
