//! Servers with roles, as operators run them: processes that share nothing but a PostgreSQL.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod database;
#[path = "process/receiver.rs"]
mod receiver;
#[path = "process/server.rs"]
mod server;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{receiver::Receiver, server::Server};

/// Whatever is waited for comes sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something, by asking again and again.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} does not come");
    }
}

/// What the command line shows of the servers: their roles, and how much each serves.
fn nodes(of: &Server) -> Vec<(String, u64)> {
    let listed = of.command(&["nodes", "--json"]);
    let nodes = listed["data"].as_array().unwrap();
    let mut nodes: Vec<(String, u64)> = nodes
        .iter()
        .map(|node| {
            (
                node["role"].as_str().unwrap().to_owned(),
                node["shards"].as_u64().unwrap(),
            )
        })
        .collect();
    nodes.sort();
    nodes
}

/// Deliveries that ended well at this server.
fn delivered(server: &Server) -> u64 {
    let number = server.metric("bellwire_deliveries_ended_total{state=\"succeeded\"}");
    number.parse().unwrap()
}

#[test]
fn what_one_server_takes_another_delivers_and_when_that_is_killed_the_next_one_does() {
    let data = tempfile::tempdir().unwrap();
    let store = database::url(database::server().folder(), "bellwire", "roles");
    let start = |role, name: &str| Server::start(&data.path().join(name), &store, role);
    let both = [("api".to_owned(), 0), ("worker".to_owned(), 1_024)];
    let receiver = Receiver::listen();

    let front = start("api", "front");
    front.post("/api/v1/app", &json!({ "name": "Shop", "uid": "shop" }));
    front.post("/api/v1/app/shop/endpoint", &json!({ "url": receiver.url() }));
    let mut published: Vec<String> = (0..3).map(|_| front.publish()).collect();
    assert_eq!(nodes(&front), [("api".to_owned(), 0)]);

    let first = start("worker", "first");
    receiver.wait_for("what was published before", PATIENCE, |seen| seen.answered.len() >= 3);
    until("both are there", || nodes(&front) == both);
    until("the worker's count", || delivered(&first) == 3);

    receiver.hold();
    published.extend((0..3).map(|_| front.publish()));
    receiver.wait_for("one is under way", PATIENCE, |seen| !seen.held.is_empty());
    first.kill();
    receiver.answer();
    published.extend((0..2).map(|_| front.publish()));
    let second = start("worker", "second");
    let all: BTreeSet<String> = published.into_iter().collect();
    receiver.wait_for("the rest", PATIENCE, |seen| {
        all.iter().all(|id| seen.answered.contains(id))
    });
    until("the next one's count", || delivered(&second) == 5);
    until("the place of the one that was killed is empty", || {
        nodes(&front) == both
    });

    assert_eq!(delivered(&front), 0);
    assert_eq!(front.metric("bellwire_claims_total"), "0");
    for server in [second, front] {
        server.stop(PATIENCE);
    }
}
