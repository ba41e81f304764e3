//! How SQLite goes about the statements that run on large tables: by a key or an index, never by reading all.

use super::*;
use crate::backends::sqlite::{
    attempt, audit, claim, configuration, delivery, fault::Fault, find, held, line, lines, message, refused, stream,
    survey, tend,
};

const DAY_NUMBER: i64 = 20_458;

async fn plan(store: &Sqlite, sql: String) -> String {
    let explained = store.read(move |connection| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement
            .raw_query()
            .mapped(|row| row.get::<_, String>(3))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(lines.join("; "))
    });
    explained.await.unwrap()
}

#[tokio::test]
async fn every_list_is_walked_by_a_key_in_its_order() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, true), (11, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    for (sql, by) in [
        (
            message::of_app_sql(DAY_NUMBER, true),
            "SEARCH message_20458 USING INDEX message_app_20458 (app=? AND rowid>? AND rowid<?)",
        ),
        (
            message::of_app_sql(DAY_NUMBER, false),
            "SEARCH message_20458 USING INDEX message_app_20458 (app=? AND rowid>? AND rowid<?)",
        ),
        (
            attempt::of_message_sql(DAY_NUMBER, false),
            "SEARCH attempt_20458 USING PRIMARY KEY (msg=? AND id>? AND id<?)",
        ),
        (
            attempt::of_endpoint_sql(DAY_NUMBER, false),
            "SEARCH attempt_20458 USING INDEX attempt_endpoint_20458 (endpoint=? AND id>? AND id<?)",
        ),
        (
            attempt::counting_sql(DAY_NUMBER),
            "SEARCH attempt_20458 USING COVERING INDEX attempt_endpoint_20458 (endpoint=? AND id>? AND id<?)",
        ),
        (
            delivery::successes_sql(DAY_NUMBER),
            "SEARCH attempt_20458 USING COVERING INDEX attempt_endpoint_20458 (endpoint=?)",
        ),
        (
            delivery::rows_of_endpoint_sql(DAY_NUMBER, false),
            "SEARCH delivery_20458 USING COVERING INDEX delivery_over_20458 (endpoint=? AND state=? AND msg>? AND msg<?)",
        ),
        (
            survey::failures_sql(DAY_NUMBER),
            "SEARCH attempt_20458 USING COVERING INDEX attempt_failed_20458 (endpoint=? AND id>? AND id<?)",
        ),
        (
            survey::timing_sql(DAY_NUMBER),
            "SEARCH attempt_20458 USING INDEX attempt_endpoint_20458 (endpoint=? AND id>? AND id<?)",
        ),
        (
            find::newest_sql(DAY_NUMBER),
            "SEARCH message_20458 USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            audit::of_environment_sql(false),
            "SEARCH audit USING INDEX audit_environment (environment=? AND rowid>? AND rowid<?)",
        ),
        (claim::WAITING.to_owned(), "SEARCH due USING PRIMARY KEY (endpoint=?)"),
        (
            configuration::tasks_sql(true, false, false),
            "SEARCH task USING INDEX task_environment (environment=? AND rowid>? AND rowid<?)",
        ),
        (
            configuration::tasks_sql(false, true, true),
            "SEARCH task USING INDEX task_status (status=? AND rowid>? AND rowid<?)",
        ),
    ] {
        assert_eq!(plan(&f.store, sql.clone()).await, by, "{sql}");
    }
}

/// How often a statement was planned again, after it was run.
fn planned_again(connection: &rusqlite::Connection, sql: &str, value: i64) -> Result<i32, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.exists((value, value.to_string()))?;
    Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
}

#[tokio::test]
async fn a_statement_is_planned_once_whatever_it_is_asked() {
    let f = Fixture::new().await;
    for value in 0..5 {
        let read = f.store.read(move |c| planned_again(c, held::FIRST, value)).await;
        let written = f
            .store
            .write(move |tx| planned_again(tx.connection, held::FIRST, value));
        assert_eq!((read, written.await), (Ok(0), Ok(0)));
    }
}

#[tokio::test]
async fn finding_out_for_whom_something_waits_does_not_read_the_queue() {
    let f = Fixture::new().await;
    let plan = plan(&f.store, claim::LANES.to_owned()).await;
    assert!(!plan.contains("SCAN due;") && !plan.ends_with("SCAN due"), "{plan}");
    assert_eq!(plan.matches("SEARCH due").count(), 3, "{plan}");
}

#[tokio::test]
async fn lines_are_walked_by_their_key_and_blocked_ones_by_their_index() {
    let f = Fixture::new().await;
    f.publish_in("a", 0).await;
    for (sql, by) in [
        (
            line::ERAS.to_owned(),
            "SCAN CONSTANT ROW; SCALAR SUBQUERY 1; SEARCH line USING PRIMARY KEY (endpoint=?); SCALAR SUBQUERY 2; \
             SEARCH line USING PRIMARY KEY (endpoint=?)",
        ),
        (
            line::FIRST.to_owned(),
            "SEARCH line USING PRIMARY KEY (endpoint=? AND era=? AND okey=?)",
        ),
        (
            line::NEXT_KEY.to_owned(),
            "SEARCH line USING PRIMARY KEY (endpoint=? AND era=? AND okey>?)",
        ),
        (
            line::NEXT_ERA.to_owned(),
            "SEARCH line USING PRIMARY KEY (endpoint=? AND era>?)",
        ),
        (
            line::WHEN.replace("{d}", &DAY_NUMBER.to_string()),
            "SEARCH message USING INTEGER PRIMARY KEY (rowid=?); SEARCH delivery USING PRIMARY KEY (msg=? AND endpoint=?)",
        ),
        (
            tend::IN_LINE.to_owned(),
            "SEARCH line USING PRIMARY KEY (endpoint=? AND (era,okey,seq)>(?,?,?))",
        ),
        (
            tend::OF_LINE.to_owned(),
            "SEARCH line USING PRIMARY KEY (endpoint=? AND era=? AND okey=? AND seq>?)",
        ),
        (
            tend::BLOCKED_BEHIND.to_owned(),
            "SEARCH line USING COVERING INDEX line_blocked (endpoint=? AND okey>?)",
        ),
        (
            tend::BLOCKED_BEFORE.to_owned(),
            "SCAN line USING COVERING INDEX line_blocked",
        ),
        (
            lines::LINES.to_owned(),
            "SEARCH sequence USING PRIMARY KEY (endpoint=? AND okey>?)",
        ),
        (
            lines::BLOCKED_LINES.to_owned(),
            "SEARCH line USING COVERING INDEX line_blocked (endpoint=? AND okey>?); \
             SEARCH sequence USING PRIMARY KEY (endpoint=? AND okey=?)",
        ),
        (
            lines::COUNT_BLOCKED.to_owned(),
            "SEARCH line USING COVERING INDEX line_blocked (endpoint=?)",
        ),
        (claim::PLACES.to_owned(), "SEARCH due USING PRIMARY KEY (endpoint=?)"),
    ] {
        assert_eq!(plan(&f.store, sql.clone()).await, by, "{sql}");
    }
}

#[tokio::test]
async fn held_messages_are_found_by_their_place_and_due_ones_by_their_time() {
    let f = Fixture::new().await;
    for (sql, by) in [
        (
            held::FIRST.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND okey=?)",
        ),
        (
            held::PROLONG.to_owned(),
            "SEARCH held USING INTEGER PRIMARY KEY (rowid=?); LIST SUBQUERY 1; SEARCH held USING INDEX held_place (app=?)",
        ),
        (
            held::OVER.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND okey=?)",
        ),
        (held::DUE.to_owned(), "SEARCH held USING INDEX held_until (until<?)"),
        (held::NEXT.to_owned(), "SEARCH held USING COVERING INDEX held_until"),
        (
            held::BY_EVENT_ID.to_owned(),
            "SEARCH held USING INDEX held_event_id (app=? AND event_id=?)",
        ),
        (
            held::COUNT.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND okey=?)",
        ),
        (
            held::STREAM_FROM.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND okey>?)",
        ),
        (
            held::STREAM_BEHIND.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND okey>?)",
        ),
        (
            held::OF_APP.to_owned(),
            "SEARCH held USING COVERING INDEX held_place (app=? AND (okey,number)>(?,?))",
        ),
    ] {
        assert_eq!(plan(&f.store, sql.clone()).await, by, "{sql}");
    }
}

#[tokio::test]
async fn streams_and_refused_requests_are_walked_by_their_key() {
    let f = Fixture::new().await;
    for (sql, by) in [
        (
            stream::STREAMS.to_owned(),
            "SEARCH stream USING PRIMARY KEY (app=? AND okey>?)",
        ),
        (stream::OF_APP.to_owned(), "SEARCH stream USING PRIMARY KEY (app=?)"),
        (
            stream::UNUSED.to_owned(),
            "SEARCH stream USING COVERING INDEX stream_day (day<?); CORRELATED SCALAR SUBQUERY 1; \
             SEARCH held USING COVERING INDEX held_place (app=? AND okey=?)",
        ),
        (
            refused::of_source_sql(false),
            "SEARCH refused USING INDEX refused_source (source=? AND rowid>? AND rowid<?)",
        ),
        (
            refused::ONE_TOO_MANY.to_owned(),
            "SEARCH refused USING COVERING INDEX refused_source (source=?)",
        ),
        (
            refused::DELETE_UP_TO.to_owned(),
            "SEARCH refused USING INDEX refused_source (source=? AND rowid<?)",
        ),
    ] {
        assert_eq!(plan(&f.store, sql.clone()).await, by, "{sql}");
    }
}
