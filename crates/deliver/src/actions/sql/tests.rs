//! Effects in real databases: a file of SQLite, a PostgreSQL and a MariaDB that the tests start.

mod mysql;
mod postgres;
mod relay;
mod servers;
mod sqlite;

use std::sync::atomic::{AtomicU32, Ordering};

use bellwire_action::Event;
use bellwire_core::{address::AddressPolicy, time::Timestamp};
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::*;
use crate::guard::{Guard, GuardConfig};

const LONG: Duration = Duration::from_secs(30);

/// A database of one test's own, and a way to ask it.
struct World {
    url: String,
    guard: Arc<Guard>,
    /// The first column of the first row, as text.
    ask: Box<dyn Fn(String) -> BoxFuture<'static, String> + Send + Sync>,
    /// What the database cannot read as a number says so.
    is_typed: bool,
    /// Keeps what the database lives in.
    _held: Option<tempfile::TempDir>,
}

impl World {
    async fn ask(&self, sql: &str) -> String {
        (self.ask)(sql.to_owned()).await
    }

    fn action(&self, mut settings: Value) -> SqlAction {
        settings["url"] = self.url.clone().into();
        let settings = Settings::read(&settings).unwrap();
        let backend: Box<dyn Backend> = match settings.database() {
            Database::Sqlite(path) => Box::new(super::sqlite::Sqlite::new(path.clone())),
            Database::Postgres(server) => Box::new(super::postgres::Postgres::new(
                server.clone(),
                Arc::clone(&self.guard),
                TaskTracker::new(),
            )),
            Database::Mysql(server) => Box::new(super::mysql::Mysql::new(
                server.clone(),
                Arc::clone(&self.guard),
                TaskTracker::new(),
            )),
        };
        SqlAction { settings, backend }
    }

    /// Runs a statement, whatever it is.
    async fn sql(&self, sql: &str) {
        let action = self.action(json!({"statement": sql, "once": false}));
        run(&action, "setup", json!({})).await.unwrap();
    }

    async fn table(&self) {
        self.sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, version INTEGER)")
            .await;
    }
}

/// The same world behind another URL, which nobody asks.
fn elsewhere(world: &World, url: String) -> World {
    World {
        url,
        guard: Arc::clone(&world.guard),
        ask: Box::new(|_| Box::pin(async { String::new() })),
        is_typed: world.is_typed,
        _held: None,
    }
}

fn guard_with(roots: Vec<Vec<u8>>) -> Arc<Guard> {
    let policy = AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..AddressPolicy::default()
    };
    let config = GuardConfig {
        policy,
        extra_roots: roots,
        ..GuardConfig::default()
    };
    Arc::new(Guard::new(config).unwrap())
}

/// A name that no other test of this process uses.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One attempt for the message of this id with this payload.
async fn run(action: &SqlAction, id: &str, payload: Value) -> Result<Done, Failure> {
    run_within(action, id, payload, LONG).await
}

async fn run_within(action: &SqlAction, id: &str, payload: Value, timeout: Duration) -> Result<Done, Failure> {
    let json = payload.to_string();
    let event = Event {
        id,
        event_type: "customer.updated",
        channels: &[],
        payload: json.as_bytes(),
        content_type: "application/json",
        json: json.as_bytes(),
        headers: &[],
        item: None,
        accepted_at: Timestamp::from_secs(0),
        source: "",
        endpoint: "ep_1",
        attempt: 1,
    };
    let plan = action.settings.plan(&event).unwrap();
    match action.backend.run(plan, Limit::new(timeout), &|| Ok(())).await {
        Ok(done) => Ok(done),
        Err(Undone::Failed(failure)) => Err(failure),
        Err(Undone::Withheld | Undone::Unplanned(_)) => panic!("withheld or not planned"),
    }
}

fn insert() -> Value {
    json!({"insert": "customers", "set": {"id": "{{ id }}", "name": "{{ name }}"}})
}

fn upsert() -> Value {
    json!({
        "upsert": "customers", "key": ["id"], "newer": "version",
        "set": {"id": "{{ id }}", "name": "{{ name }}", "version": "{{ version }}"},
    })
}

/// The same message has its effect once, however often it comes, and another has its own.
async fn once(world: World) {
    world.table().await;
    let add =
        json!({"statement": "UPDATE customers SET version = version + :by WHERE id = 1", "params": {"by": "{{ by }}"}});
    world.sql("INSERT INTO customers VALUES (1, 'ada', 0)").await;
    let action = world.action(add.clone());
    assert_eq!(run(&action, "msg_1", json!({"by": 5})).await, Ok(Done::Rows(1)));
    assert_eq!(run(&action, "msg_1", json!({"by": 5})).await, Ok(Done::Already));
    // Another process, or this one after a restart.
    assert_eq!(
        run(&world.action(add), "msg_1", json!({"by": 5})).await,
        Ok(Done::Already)
    );
    assert_eq!(run(&action, "msg_2", json!({"by": 2})).await, Ok(Done::Rows(1)));
    assert_eq!(world.ask("SELECT version FROM customers").await, "7");
    assert_eq!(world.ask("SELECT count(*) FROM bellwire_done").await, "2");
    assert_eq!(world.ask("SELECT min(id) FROM bellwire_done").await, "msg_1.ep_1");
}

/// Attempts at the same time, at the first use of a database: one has the effect.
async fn once_at_once(world: World) {
    world.table().await;
    let action = world.action(json!({
        "statement": "INSERT INTO customers VALUES (:id, 'x', 0)", "params": {"id": "{{ id }}"},
    }));
    let attempts = (0..12).map(|n| {
        let action = &action;
        async move { run(action, &format!("msg_{}", n % 3), json!({"id": n % 3})).await }
    });
    let outcomes = join_all(attempts).await;
    let had = outcomes.iter().filter(|outcome| **outcome == Ok(Done::Rows(1))).count();
    let already = outcomes.iter().filter(|outcome| **outcome == Ok(Done::Already)).count();
    assert_eq!((had, already), (3, 9), "{outcomes:?}");
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "3");
}

/// What failed left nothing, not even that it was done.
async fn nothing_half_done(world: World) {
    world.table().await;
    let action = world.action(insert());
    assert_eq!(
        run(&action, "msg_1", json!({"id": 1, "name": "ada"})).await,
        Ok(Done::Rows(1))
    );
    let failure = run(&action, "msg_2", json!({"id": 1, "name": "bob"}))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, "sql_constraint", "{}", failure.detail);
    assert!(!failure.is_final());
    let failure = run(&action, "msg_3", json!({"id": 3, "name": null})).await.unwrap_err();
    assert_eq!(failure.reason, "sql_constraint", "{}", failure.detail);
    assert_eq!(world.ask("SELECT count(*) FROM bellwire_done").await, "1");
    world.sql("DELETE FROM customers").await;
    assert_eq!(
        run(&action, "msg_2", json!({"id": 1, "name": "bob"})).await,
        Ok(Done::Rows(1))
    );
    assert_eq!(world.ask("SELECT name FROM customers").await, "bob");
}

/// A row is changed when what comes is newer than what is there, and only then.
async fn only_if_newer(world: World) {
    world.table().await;
    let action = world.action(upsert());
    for (id, version, name) in [
        ("a", 2, "second"),
        ("b", 1, "first"),
        ("c", 2, "again"),
        ("d", 3, "third"),
    ] {
        run(&action, id, json!({"id": 1, "name": name, "version": version}))
            .await
            .unwrap();
        let stays = if version == 3 { "third" } else { "second" };
        assert_eq!(world.ask("SELECT name FROM customers").await, stays);
    }
    assert_eq!(world.ask("SELECT version FROM customers").await, "3");
    world.sql("UPDATE customers SET version = NULL").await;
    run(&action, "e", json!({"id": 1, "name": "fourth", "version": 1}))
        .await
        .unwrap();
    assert_eq!(world.ask("SELECT name FROM customers").await, "fourth");
}

/// Whatever a value holds, it is a value.
async fn values_stay_values(world: World) {
    world.table().await;
    let action = world.action(insert());
    for (id, evil) in [
        "'); DROP TABLE customers; --",
        "\\",
        "\" ' ` $1 ? :a %s \u{1F389}",
        "a\nb",
    ]
    .into_iter()
    .enumerate()
    {
        run(&action, &format!("msg_{id}"), json!({"id": id, "name": evil}))
            .await
            .unwrap();
        assert_eq!(
            world.ask(&format!("SELECT name FROM customers WHERE id = {id}")).await,
            evil
        );
    }
}

/// What a database does not like has a name.
async fn failures_have_names(world: World) {
    world.table().await;
    for (settings, expected) in [
        (json!({"insert": "nowhere", "set": {"id": 1}}), "sql_undefined"),
        (
            json!({"insert": "customers", "set": {"id": 1, "colour": 1}}),
            "sql_undefined",
        ),
        (json!({"statement": "INSERT INSERT"}), "sql_syntax"),
    ] {
        let failure = run(&world.action(settings), "msg_1", json!({})).await.unwrap_err();
        assert_eq!(failure.reason, expected, "{}", failure.detail);
        assert!(!failure.is_final());
    }
    if world.is_typed {
        let failure = run(&world.action(insert()), "msg_1", json!({"id": "one", "name": "x"}))
            .await
            .unwrap_err();
        assert_eq!(failure.reason, "sql_type", "{}", failure.detail);
        assert!(failure.detail.contains("one"), "{}", failure.detail);
    }
}

/// Where it need not be once, it is every time, and the database is left as it was.
async fn every_time(world: World) {
    world.table().await;
    let action = world.action(json!({
        "statement": "INSERT INTO customers (id, name) SELECT count(*), :name FROM customers", "params": {"name": "{{ name }}"}, "once": false,
    }));
    for _ in 0..2 {
        assert_eq!(run(&action, "msg_1", json!({"name": "x"})).await, Ok(Done::Rows(1)));
    }
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "2");
    let rows = world.action(json!({"statement": "SELECT * FROM customers", "once": false}));
    for _ in 0..2 {
        run(&rows, "msg_1", json!({})).await.unwrap();
    }
}

/// An endpoint that was paused at the last moment has no effect, and the connection is good for the next.
async fn withheld(world: World) {
    world.table().await;
    let action = world.action(insert());
    let plan = Plan {
        text: "INSERT INTO customers VALUES (1, 'x', 0)".to_owned(),
        values: Vec::new(),
        row: None,
        once: Some("a".to_owned()),
    };
    let undone = action
        .backend
        .run(plan, Limit::new(LONG), &|| Err(Undone::Withheld))
        .await;
    assert!(matches!(undone, Err(Undone::Withheld)));
    assert_eq!(
        run(&action, "msg_1", json!({"id": 1, "name": "ada"})).await,
        Ok(Done::Rows(1))
    );
}

/// The same for every database.
macro_rules! contract {
    ($($name:ident),*) => {$(
        #[tokio::test]
        async fn $name() {
            super::$name(world().await).await;
        }
    )*};
}
macro_rules! contracts {
    () => {
        contract!(
            once,
            once_at_once,
            nothing_half_done,
            only_if_newer,
            values_stay_values,
            failures_have_names,
            every_time,
            withheld
        );
    };
}
use {contract, contracts};
