use rusqlite::Connection;

use super::*;

contracts!();

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    World {
        url: format!("sqlite:{}", path.display()),
        guard: guard_with(Vec::new()),
        ask: Box::new(move |sql| {
            let answer = Connection::open(&path)
                .unwrap()
                .query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
            Box::pin(async move {
                match answer.unwrap() {
                    rusqlite::types::Value::Text(text) => text,
                    rusqlite::types::Value::Integer(integer) => integer.to_string(),
                    other => format!("{other:?}"),
                }
            })
        }),
        is_typed: false,
        _held: Some(folder),
    }
}

#[tokio::test]
async fn values_keep_the_types_that_sqlite_has() {
    let world = world().await;
    world.sql("CREATE TABLE t (a, b, c, d, e, f)").await;
    let action = world.action(json!({"insert": "t", "set": {
        "a": "{{ n }}", "b": "{{ half }}", "c": "{{ yes }}", "d": "{{ nothing }}", "e": "{{ text }}", "f": "{{ list }}",
    }}));
    let payload = json!({"n": 5, "half": 0.5, "yes": true, "nothing": null, "text": "5", "list": [1, {"a": "b"}]});
    run(&action, "msg_1", payload).await.unwrap();
    let types = "SELECT typeof(a) || typeof(b) || typeof(c) || typeof(d) || typeof(e) || f FROM t";
    assert_eq!(world.ask(types).await, "integerrealintegernulltext[1,{\"a\":\"b\"}]");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");
    let world = elsewhere(&world().await, format!("sqlite:{}", path.display()));
    let failure = run(&world.action(insert()), "msg_1", json!({"id": 1, "name": "x"}))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, "sql_connect", "{}", failure.detail);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_lock_that_another_holds_costs_the_timeout_and_the_next_attempt_has_the_effect() {
    let world = world().await;
    world.table().await;
    let path = world.url.strip_prefix("sqlite:").unwrap();
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let action = world.action(insert());
    let payload = json!({"id": 1, "name": "x"});
    let failure = run_within(&action, "msg_1", payload.clone(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(failure.reason, "sql_timeout" | "sql_busy"), "{failure:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(run(&action, "msg_1", payload).await, Ok(Done::Rows(1)));
}

#[tokio::test]
async fn a_statement_that_runs_too_long_is_stopped_and_leaves_nothing() {
    let world = world().await;
    world.table().await;
    let endless =
        "INSERT INTO customers WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'x', 0 FROM n";
    let action = world.action(json!({"statement": endless}));
    let failure = run_within(&action, "msg_1", json!({}), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, "sql_timeout", "{}", failure.detail);
    assert_eq!(world.ask("SELECT count(*) FROM customers").await, "0");
}
