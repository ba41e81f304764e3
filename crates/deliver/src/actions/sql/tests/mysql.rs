use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};

use super::{
    relay::{Cut, mute, relay},
    servers::{self, PASSWORD},
    *,
};

contracts!();

async fn ask(database: Option<&str>, sql: &str) -> String {
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(servers::mariadb().port)
        .user(Some("shop"))
        .pass(Some(PASSWORD))
        .db_name(database);
    let mut connection = Conn::new(options).await.unwrap();
    let text: Option<Option<String>> = connection.query_first(sql).await.unwrap();
    connection.disconnect().await.unwrap();
    text.flatten().unwrap_or_default()
}

fn url(host: &str, port: u16, database: &str, more: &str) -> String {
    format!("mysql://shop:pass%2Fword%401@{host}:{port}/{database}{more}")
}

async fn world() -> World {
    // Starting it blocks until it is ready.
    let server = tokio::task::spawn_blocking(servers::mariadb).await.unwrap();
    let database = unique("shop");
    ask(None, &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await;
    World {
        url: url("127.0.0.1", server.port, &database, ""),
        guard: guard_with(vec![server.root.clone()]),
        ask: Box::new(move |sql| {
            let database = database.clone();
            Box::pin(async move { ask(Some(&database), &sql).await })
        }),
        is_typed: true,
        _held: None,
    }
}

#[tokio::test]
async fn values_become_whatever_type_a_column_has() {
    let world = world().await;
    world
        .sql("CREATE TABLE t (a bigint, b decimal(10,2), c boolean, e json, h text, i date, j int, k double, l timestamp(6), m datetime)")
        .await;
    let action = world.action(json!({"insert": "t", "set": {
        "a": "{{ n }}", "b": "{{ price }}", "c": "{{ yes }}", "e": "{{ data }}", "h": "{{ n }}", "i": "{{ day }}", "j": "{{ nothing }}",
        "k": "{{ price }}", "l": "{{ at }}", "m": "{{ at }}",
    }}));
    let payload = json!({
        "n": 9007199254740993_i64, "price": 19.99, "yes": true, "data": {"a": [1, null]}, "day": "2026-11-02", "nothing": null,
        "at": "2026-11-02T09:00:00.5+01:00",
    });
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Rows(1)));
    assert_eq!(
        world
            .ask("SELECT concat_ws('|', a, b, c, e, h, i, coalesce(j, -1), k, convert_tz(l, @@time_zone, '+00:00'), m) FROM t")
            .await,
        "9007199254740993|19.99|1|{\"a\":[1,null]}|9007199254740993|2026-11-02|-1|19.99|2026-11-02 08:00:00.500000|2026-11-02 08:00:00"
    );
}

#[tokio::test]
async fn a_connection_cut_between_the_commit_and_its_answer_has_the_effect_once() {
    let world = world().await;
    world.table().await;
    let port = relay(servers::mariadb().port, "COMMIT", Cut::After).await;
    let database = world.url.rsplit('/').next().unwrap();
    let action = elsewhere(&world, url("127.0.0.1", port, database, "?sslmode=disable")).action(insert());
    let payload = json!({"id": 1, "name": "ada"});
    let failure = run(&action, "msg_1", payload.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "sql_connect", "{}", failure.detail);
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Already));
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "1");
}

#[tokio::test]
async fn a_lock_that_another_holds_costs_the_timeout_and_the_transaction_is_given_up() {
    let world = world().await;
    world.table().await;
    world.sql("INSERT INTO customers VALUES (1, 'ada', 1)").await;
    let holder = world.action(json!({"statement": "SELECT sleep(2) FROM customers FOR UPDATE", "once": false}));
    let action = world.action(upsert());
    let payload = json!({"id": 1, "name": "bob", "version": 2});
    let blocked = async {
        let asleep =
            "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep' AND db = database()";
        while world.ask(asleep).await != "1" {}
        run_within(&action, "b", payload.clone(), Duration::from_millis(300)).await
    };
    let (held, blocked) = tokio::join!(run(&holder, "a", json!({})), blocked);
    held.unwrap();
    assert_eq!(blocked.unwrap_err().reason, "sql_timeout");
    assert_eq!(run(&action, "b", payload).await.map(|_| ()), Ok(()));
    assert_eq!(world.ask("SELECT name FROM customers").await, "bob");
}

#[tokio::test]
async fn columns_are_looked_at_anew_when_a_table_comes_or_changes() {
    let world = world().await;
    let action = world.action(json!({"insert": "t", "set": {"at": "{{ at }}"}}));
    let payload = json!({"at": "2026-11-02T09:00:00+01:00"});
    let failure = run(&action, "1", payload.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "sql_undefined", "{}", failure.detail);
    world.sql("CREATE TABLE t (at text)").await;
    assert_eq!(run(&action, "2", payload.clone()).await, Ok(Done::Rows(1)));
    world.sql("DELETE FROM t").await;
    world.sql("ALTER TABLE t MODIFY at datetime").await;
    // It says that it is no time of its own, and is understood at the next try.
    assert_eq!(run(&action, "3", payload.clone()).await.unwrap_err().reason, "sql_type");
    assert_eq!(run(&action, "3", payload).await, Ok(Done::Rows(1)));
    assert_eq!(world.ask("SELECT at FROM t").await, "2026-11-02 08:00:00");
}

#[tokio::test]
async fn a_connection_whose_answer_never_ends_is_closed_when_its_time_is_over() {
    let world = world().await;
    world.table().await;
    let (port, closed) = mute(servers::mariadb().port, "COMMIT").await;
    let database = world.url.rsplit('/').next().unwrap();
    let action = elsewhere(&world, url("127.0.0.1", port, database, "?sslmode=disable")).action(insert());
    let payload = json!({"id": 1, "name": "ada"});
    let failure = run_within(&action, "msg_1", payload, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, "sql_timeout", "{}", failure.detail);
    closed.await.unwrap();
}

#[tokio::test]
async fn a_server_has_to_prove_who_it_is_where_that_is_asked() {
    let world = world().await;
    let port = servers::mariadb().port;
    let strangers = guard_with(Vec::new());
    for (host, mode, guard, expected) in [
        ("127.0.0.1", "disable", &strangers, None),
        ("127.0.0.1", "prefer", &strangers, None),
        ("127.0.0.1", "require", &strangers, None),
        ("localhost", "verify-full", &world.guard, None),
        ("127.0.0.1", "verify-full", &world.guard, Some("sql_connect")),
        ("localhost", "verify-full", &strangers, Some("sql_connect")),
    ] {
        let mut there = elsewhere(&world, url(host, port, "mysql", &format!("?sslmode={mode}")));
        there.guard = Arc::clone(guard);
        let action = there.action(json!({"statement": "SELECT 1", "once": false}));
        let outcome = run(&action, "msg_1", json!({})).await;
        assert_eq!(outcome.err().map(|failure| failure.reason), expected, "{host} {mode}");
    }
}

#[tokio::test]
async fn who_may_not_come_in_is_told_so() {
    let world = world().await;
    let port = servers::mariadb().port;
    for (url, expected) in [
        (format!("mysql://shop:canary@127.0.0.1:{port}/mysql"), "sql_auth"),
        (url("127.0.0.1", port, "nowhere", ""), "sql_connect"),
        (url("10.0.0.1", port, "mysql", ""), "address_refused"),
    ] {
        let action = elsewhere(&world, url).action(insert());
        let failure = run(&action, "msg_1", json!({"id": 1, "name": "x"})).await.unwrap_err();
        assert_eq!(failure.reason, expected, "{}", failure.detail);
        assert!(!failure.detail.contains("canary"));
    }
}
