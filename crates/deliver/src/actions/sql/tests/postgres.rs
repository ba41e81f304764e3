use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::{
    relay::{Cut, relay},
    servers::{self, PASSWORD},
    *,
};

contracts!();

/// The text in the first column of the first row.
async fn ask(database: &str, sql: &str) -> String {
    let server = servers::postgres();
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let mut config = Config::new();
    config.user("shop").password(PASSWORD).dbname(database);
    let (client, connection) = config.connect_raw(tcp, NoTls).await.unwrap();
    TaskTracker::new().spawn(connection);
    let rows = client.simple_query(sql).await.unwrap();
    let text = rows.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    text.unwrap_or_default()
}

fn url(host: &str, port: u16, database: &str, more: &str) -> String {
    format!("postgres://shop:pass%2Fword%401@{host}:{port}/{database}{more}")
}

async fn world() -> World {
    // Starting it blocks until it is ready.
    let server = tokio::task::spawn_blocking(servers::postgres).await.unwrap();
    let database = unique("shop");
    ask("postgres", &format!("CREATE DATABASE {database}")).await;
    World {
        url: url("127.0.0.1", server.port, &database, ""),
        guard: guard_with(vec![server.root.clone()]),
        ask: Box::new(move |sql| {
            let database = database.clone();
            Box::pin(async move { ask(&database, &sql).await })
        }),
        is_typed: true,
        _held: None,
    }
}

/// The same database by way of another port.
fn by_way_of(world: &World, port: u16) -> String {
    let database = world.url.rsplit('/').next().unwrap();
    url("127.0.0.1", port, database, "?sslmode=disable")
}

#[tokio::test]
async fn values_become_whatever_type_a_column_has() {
    let world = world().await;
    world.sql("CREATE TYPE mood AS ENUM ('happy', 'sad')").await;
    world
        .sql(
            "CREATE TABLE t (a bigint, b numeric(10,2), c boolean, d timestamptz, e jsonb, f uuid, g mood, h text, i date, j int, \
             k double precision, l smallint)",
        )
        .await;
    let action = world.action(json!({"insert": "t", "set": {
        "a": "{{ n }}", "b": "{{ price }}", "c": "{{ yes }}", "d": "{{ at }}", "e": "{{ data }}", "f": "{{ id }}", "g": "{{ mood }}",
        "h": "{{ n }}", "i": "{{ day }}", "j": "{{ nothing }}", "k": "{{ price }}", "l": "7",
    }}));
    let payload = json!({
        "n": 9007199254740993_i64, "price": 19.99, "yes": true, "at": "2026-11-02T09:00:00+01:00", "data": {"a": [1, null]},
        "id": "6f1c1d3e-0000-4000-8000-000000000001", "mood": "sad", "day": "2026-11-02", "nothing": null,
    });
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Rows(1)));
    assert_eq!(
        world
            .ask("SELECT concat_ws('|', a, b, c, d AT TIME ZONE 'UTC', e, f, g, h, i, coalesce(j, -1), k, l) FROM t")
            .await,
        "9007199254740993|19.99|t|2026-11-02 08:00:00|{\"a\": [1, null]}|6f1c1d3e-0000-4000-8000-000000000001|sad|\
         9007199254740993|2026-11-02|-1|19.99|7"
    );
}

#[tokio::test]
async fn statements_use_values_and_casts_as_they_like() {
    let world = world().await;
    world.sql("CREATE TABLE t (tags text[], n int, at timestamptz)").await;
    let action = world.action(json!({
        "statement": "INSERT INTO t SELECT array(SELECT jsonb_array_elements_text(:tags::jsonb)), :n + 1, to_timestamp(:at)",
        "params": {"tags": "{{ tags }}", "n": "{{ n }}", "at": "{{ at }}"},
    }));
    run(
        &action,
        "msg_1",
        json!({"tags": ["a", "b c"], "n": 4, "at": 1766000000.5}),
    )
    .await
    .unwrap();
    assert_eq!(
        world
            .ask("SELECT concat_ws('|', tags, n, extract(epoch from at)) FROM t")
            .await,
        "{a,\"b c\"}|5|1766000000.500000"
    );
}

#[tokio::test]
async fn a_connection_cut_between_the_commit_and_its_answer_has_the_effect_once() {
    let world = world().await;
    world.table().await;
    let port = relay(servers::postgres().port, "COMMIT", Cut::After).await;
    let action = elsewhere(&world, by_way_of(&world, port)).action(insert());
    let payload = json!({"id": 1, "name": "ada"});
    let failure = run(&action, "msg_1", payload.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "sql_connect", "{}", failure.detail);
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Already));
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "1");
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_has_no_effect_and_the_next_attempt_has_it() {
    let world = world().await;
    world.table().await;
    let port = relay(servers::postgres().port, "COMMIT", Cut::Before).await;
    let action = elsewhere(&world, by_way_of(&world, port)).action(insert());
    let payload = json!({"id": 1, "name": "ada"});
    let failure = run(&action, "msg_1", payload.clone()).await.unwrap_err();
    assert_eq!(failure.reason, "sql_connect", "{}", failure.detail);
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "0");
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Rows(1)));
}

#[tokio::test]
async fn a_lock_that_another_holds_costs_the_timeout_and_the_transaction_is_given_up() {
    let world = world().await;
    world.table().await;
    world.sql("INSERT INTO customers VALUES (1, 'ada', 1)").await;
    let holder = world.action(json!({"statement": "WITH held AS MATERIALIZED (SELECT id FROM customers FOR UPDATE) SELECT pg_sleep(60) FROM held", "once": false}));
    let hold = run_within(&holder, "a", json!({}), Duration::from_secs(3));
    let action = world.action(upsert());
    let blocked = async {
        world.ask("DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'WITH held%' AND wait_event = 'PgSleep') LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$").await;
        run_within(
            &action,
            "b",
            json!({"id": 1, "name": "bob", "version": 2}),
            Duration::from_millis(300),
        )
        .await
    };
    let (_, blocked) = tokio::join!(hold, blocked);
    assert_eq!(blocked.unwrap_err().reason, "sql_timeout");
    assert_eq!(
        run(&action, "b", json!({"id": 1, "name": "bob", "version": 2})).await,
        Ok(Done::Rows(1))
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_fails_no_attempt() {
    let world = world().await;
    world.table().await;
    let action = world.action(insert());
    run(&action, "msg_1", json!({"id": 1, "name": "ada"})).await.unwrap();
    let closed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'bellwire' AND datname = current_database()";
    assert_eq!(world.ask(closed).await, "1");
    assert_eq!(
        run(&action, "msg_2", json!({"id": 2, "name": "bob"})).await,
        Ok(Done::Rows(1))
    );
}

#[tokio::test]
async fn a_server_has_to_prove_who_it_is_where_that_is_asked() {
    let world = world().await;
    let server = servers::postgres();
    let strangers = guard_with(Vec::new());
    for (host, mode, guard, expected) in [
        ("127.0.0.1", "disable", &strangers, None),
        ("127.0.0.1", "prefer", &strangers, None),
        ("127.0.0.1", "require", &strangers, None),
        ("localhost", "verify-full", &world.guard, None),
        ("127.0.0.1", "verify-full", &world.guard, Some("tls_wrong_name")),
        (
            "localhost",
            "verify-full",
            &strangers,
            Some("tls_certificate_unknown_issuer"),
        ),
    ] {
        let mut there = elsewhere(&world, url(host, server.port, "postgres", &format!("?sslmode={mode}")));
        there.guard = Arc::clone(guard);
        // Fails unless the connection is what was asked for.
        let action = there.action(json!({
            "once": false,
            "statement": "SELECT 1 / (CASE WHEN ssl = :tls THEN 1 ELSE 0 END) FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            "params": {"tls": mode != "disable"},
        }));
        let outcome = run(&action, "msg_1", json!({})).await;
        assert_eq!(outcome.err().map(|failure| failure.reason), expected, "{host} {mode}");
    }
}

#[tokio::test]
async fn who_may_not_come_in_is_told_so() {
    let world = world().await;
    let port = servers::postgres().port;
    for (url, expected) in [
        (format!("postgres://shop:canary@127.0.0.1:{port}/postgres"), "sql_auth"),
        (url("127.0.0.1", port, "nowhere", ""), "sql_connect"),
        (url("127.0.0.1", 9, "postgres", ""), "address_refused"),
        (url("10.0.0.1", port, "postgres", ""), "address_refused"),
    ] {
        let failure = run(
            &elsewhere(&world, url).action(insert()),
            "msg_1",
            json!({"id": 1, "name": "x"}),
        )
        .await
        .unwrap_err();
        assert_eq!(failure.reason, expected, "{}", failure.detail);
        assert!(!failure.detail.contains("canary"));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing_where_it_is_required() {
    let world = world().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TaskTracker::new().spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut asked = [0; 8];
            let _ = tcp.read_exact(&mut asked).await;
            let _ = tcp.write_all(b"N").await;
            let mut told = Vec::new();
            tcp.read_to_end(&mut told).await.unwrap();
            assert!(told.is_empty(), "{told:?}");
        }
    });
    let action = elsewhere(&world, url("127.0.0.1", port, "postgres", "?sslmode=require")).action(insert());
    let failure = run(&action, "msg_1", json!({"id": 1, "name": "x"})).await.unwrap_err();
    assert_eq!(failure.reason, "sql_connect");
    assert!(failure.detail.contains("does not offer TLS"), "{}", failure.detail);
}

#[tokio::test]
async fn a_socket_of_this_machine_leads_there_as_well() {
    let world = world().await;
    let server = servers::postgres();
    let url = format!(
        "postgres://shop:pass%2Fword%401@:{}/postgres?host={}",
        server.port,
        server.folder.display()
    );
    let action = elsewhere(&world, url).action(json!({"statement": "SELECT 1", "once": false}));
    assert!(run(&action, "msg_1", json!({})).await.is_ok());
}

#[tokio::test]
async fn a_server_that_sends_without_end_costs_no_memory() {
    let world = world().await;
    let flood = "SELECT repeat('x', 1000000) FROM generate_series(1, 100)";
    let action = world.action(json!({"statement": flood, "once": false}));
    let failure = run(&action, "msg_1", json!({})).await.unwrap_err();
    assert_eq!(failure.reason, "sql_connect");
    assert!(failure.detail.contains("more than 16 MiB"), "{}", failure.detail);
    let little = world.action(json!({"statement": "SELECT 1", "once": false}));
    for _ in 0..2 {
        assert_eq!(run(&little, "msg_1", json!({})).await, Ok(Done::Rows(1)));
    }
}
