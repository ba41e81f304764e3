//! What the conformance suite cannot see: how the server goes about statements. A real server, of the tests' own.

mod migration;
mod plans;
mod server;

use std::sync::Arc;

use bellwire_core::seal::{Keyring, MainSecret};

use super::{Postgres, pool::Snapshot};
use crate::{
    backends::OpenOptions,
    clock::{Clock, SystemClock},
    vault::Vault,
};

/// A store in a schema of its own.
async fn open(schema: &str) -> Arc<Postgres> {
    let secret = MainSecret::from_bytes([3; 32]).unwrap();
    let options = OpenOptions::new(Arc::new(SystemClock), Vault::new(Keyring::new(secret)));
    let url = server::url(server::server().folder(), "bellwire", schema);
    Postgres::open(&url, options).await.unwrap()
}

async fn snapshot(store: &Postgres) -> Snapshot {
    store.readers.snapshot().await.unwrap()
}

fn today() -> i64 {
    SystemClock.now().day()
}
