//! What the conformance suite cannot see: how the server goes about statements. A real server, of the tests' own.

mod migration;
mod plans;
mod server;

use std::sync::Arc;

use bellwire_core::seal::{Keyring, MainSecret};

use super::{Postgres, address::Address, argument::args, connection::Server, node::end_session, pool::Snapshot};
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

#[tokio::test]
async fn a_session_in_which_something_happened_is_not_ended() {
    let address = Address::parse(&server::url(server::server().folder(), "bellwire", "public")).unwrap();
    let database = Server::new(address).unwrap();
    let (session, other) = (database.connect().await.unwrap(), database.connect().await.unwrap());
    let row = other.row("SELECT pg_backend_pid()", &[]).await.unwrap();
    let pid: i32 = row.unwrap().get(0);
    let is_there = async || -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)";
        let row = session.row(sql, args![pid]).await.unwrap();
        row.unwrap().get(0)
    };

    end_session(&session, pid, 3_600).await.unwrap();
    other.batch("SELECT 1").await.unwrap();

    end_session(&session, pid, 0).await.unwrap();
    while is_there().await {}
    assert!(other.batch("SELECT 1").await.is_err());
}
