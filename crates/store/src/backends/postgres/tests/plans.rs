//! How PostgreSQL goes about the statements that run on large tables: by an index, in its order, never by reading all.
//!
//! The tables here are empty, where a sequential scan would be right: so it is made to look expensive. Where an index could not
//! serve, the plan would still show one.

use super::*;
use crate::backends::postgres::{
    argument::args, attempt, claim, configuration, connection::Arg, connection::Connection, delivery, held, line,
    lines, message, refused, stream, tend,
};

async fn plan(connection: &Connection, sql: &str, args: &[Arg<'_>]) -> String {
    let rows = connection.rows(&format!("EXPLAIN (COSTS OFF) {sql}"), args).await;
    let rows = rows.unwrap_or_else(|fault| panic!("{sql}: {fault:?}"));
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// It goes by this index, and neither reads nor sorts everything.
async fn goes_by(connection: &Connection, sql: &str, args: &[Arg<'_>], index: &str) {
    let plan = plan(connection, sql, args).await;
    assert!(plan.contains(index), "{sql}\n{plan}");
    assert!(!plan.contains("Seq Scan"), "{sql}\n{plan}");
    assert!(!plan.contains("Sort"), "{sql}\n{plan}");
    assert!(plan.contains("Index Cond"), "{sql}\n{plan}");
}

async fn prepared(schema: &str) -> (Arc<Postgres>, Snapshot) {
    let store = open(schema).await;
    let snapshot = snapshot(&store).await;
    let settings = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off";
    snapshot.batch(settings).await.unwrap();
    (store, snapshot)
}

#[tokio::test]
async fn every_list_is_walked_by_an_index_in_its_order() {
    let (_store, c) = prepared("plans_lists").await;
    let day = today();
    for ascending in [true, false] {
        let args = args![7i64, 1i64, 9i64, 10i64];
        let index = format!(
            "Index Scan{} using message_app_{day}",
            if ascending { "" } else { " Backward" }
        );
        goes_by(&c, &message::of_app_sql(day, ascending), args, &index).await;
        goes_by(&c, &refused::of_source_sql(ascending), args, "using refused_source").await;
        let args = &args[..3];
        goes_by(
            &c,
            &attempt::of_message_sql(day, ascending),
            args,
            &format!("using attempt_{day}_pkey"),
        )
        .await;
        let index = format!("using attempt_endpoint_{day}");
        goes_by(&c, &attempt::of_endpoint_sql(day, ascending), args, &index).await;
        let args = args![7i64, 2i16, 1i64, 9i64];
        let index = format!("using delivery_over_{day}");
        goes_by(&c, &delivery::rows_of_endpoint_sql(day, ascending), args, &index).await;
        let args = args![Some(7i64), None::<String>, 1i64, 9i64, 10i64];
        goes_by(
            &c,
            &configuration::tasks_sql(true, false, ascending),
            args,
            "using task_environment",
        )
        .await;
        let args = args![None::<i64>, Some("running"), 1i64, 9i64, 10i64];
        goes_by(
            &c,
            &configuration::tasks_sql(false, true, ascending),
            args,
            "using task_status",
        )
        .await;
    }
}

#[tokio::test]
async fn counting_reads_an_index_alone() {
    let (_store, c) = prepared("plans_counts").await;
    let day = today();
    let index = format!("Index Only Scan using attempt_endpoint_{day}");
    goes_by(&c, &attempt::counting_sql(day), args![vec![7i64], 1i64, 9i64], &index).await;
    goes_by(&c, &delivery::successes_sql(day), args![7i64, 1i64, 9i64], &index).await;
    goes_by(
        &c,
        lines::COUNT_BLOCKED,
        args![7i64],
        "Index Only Scan using line_blocked",
    )
    .await;
}

#[tokio::test]
async fn a_lane_reads_its_own_stretch_of_the_queue() {
    let (_store, c) = prepared("plans_queue").await;
    goes_by(
        &c,
        claim::WAITING,
        args![3i16, 7i64, 1i64, 1i64, 10i64],
        "using due_pkey",
    )
    .await;
    let shards = vec![3i16, 4];
    goes_by(&c, claim::LANES, args![shards], "Index Only Scan using due_pkey").await;
    let lanes = plan(&c, claim::LANES, args![shards]).await;
    assert!(lanes.contains("(endpoint > lane.endpoint)"), "{lanes}");
}

#[tokio::test]
async fn lines_are_found_by_their_key() {
    let (_store, c) = prepared("plans_lines").await;
    let (endpoint, era, okey) = (7i64, 1i64, "a");
    goes_by(&c, line::ERAS, args![vec![endpoint]], "using line_pkey").await;
    let of = args![vec![0i64], vec![endpoint], vec![era], vec![okey]];
    goes_by(&c, line::FIRSTS, of, "using line_pkey").await;
    goes_by(&c, line::KEYS, args![endpoint, era], "Index Only Scan using line_pkey").await;
    goes_by(
        &c,
        lines::LINES,
        args![endpoint, okey, true, 10i64],
        "using sequence_pkey",
    )
    .await;
    goes_by(
        &c,
        lines::BLOCKED_LINES,
        args![endpoint, okey, true, 10i64],
        "using line_blocked",
    )
    .await;
    goes_by(
        &c,
        tend::IN_LINE,
        args![endpoint, era, okey, 1i64, 10i64],
        "using line_pkey",
    )
    .await;
    goes_by(
        &c,
        tend::OF_LINE,
        args![endpoint, era, okey, 1i64, 10i64],
        "using line_pkey",
    )
    .await;
    goes_by(&c, tend::NEXT_ERA, args![endpoint, era], "using line_pkey").await;
    goes_by(
        &c,
        tend::BLOCKED_BEHIND,
        args![endpoint, okey, 10i64],
        "using line_blocked",
    )
    .await;
    let heads = plan(&c, lines::HEADS, args![endpoint, vec![okey]]).await;
    assert!(
        heads.contains("using line_pkey") && !heads.contains("Seq Scan"),
        "{heads}"
    );
}

#[tokio::test]
async fn held_messages_are_found_by_their_place_and_due_ones_by_their_time() {
    let (_store, c) = prepared("plans_held").await;
    let (app, okey) = (7i64, "a");
    goes_by(&c, held::FIRST, args![app, okey], "Index Only Scan using held_place").await;
    goes_by(
        &c,
        held::OVER,
        args![app, okey, 9i64],
        "Index Only Scan Backward using held_place",
    )
    .await;
    goes_by(&c, held::COUNT, args![app, okey], "Index Only Scan using held_place").await;
    goes_by(&c, held::DUE, args![9i64], "using held_until").await;
    goes_by(&c, held::NEXT, &[], "using held_until").await;
    goes_by(&c, held::BY_EVENT_ID, args![app, okey], "using held_event_id").await;
    goes_by(&c, held::STREAMS, args![app, okey, true, 10i64], "using held_place").await;
    goes_by(&c, held::PROLONG, args![app, 9i64, 10i64], "using held_place").await;
    goes_by(&c, held::ERASE, args![app, 10i64], "using held_place").await;
    goes_by(&c, stream::STREAMS, args![app, okey, true, 10i64], "using stream_pkey").await;
    goes_by(&c, stream::FORGET_OF_APP, args![app, 10i64], "using stream_pkey").await;
    goes_by(&c, stream::FORGET_UNUSED, args![9i64, 10i64], "using stream_day").await;
    goes_by(&c, refused::DELETE_OLDER, args![app, 10i64], "using refused_source").await;
}

#[tokio::test]
async fn what_changes_often_changes_within_its_page() {
    let store = open("plans_hot").await;
    let c = snapshot(&store).await;
    // The new version of a row stays beside the old one as long as no index names what changes.
    let sql = "SELECT c.relname, a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid \
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) \
         WHERE c.relnamespace = current_schema()::regnamespace";
    let rows = c.rows(sql, &[]).await.unwrap();
    let indexed: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (table, column) in [
        ("sequence", "last"),
        ("sequence", "length"),
        ("sequence", "succeeded"),
        ("backlog", "waiting"),
        ("node", "renewed_at"),
        ("node", "mark"),
        ("meta", "value"),
        ("task", "document"),
    ] {
        let is_indexed = indexed.iter().any(|(of, name)| of == table && name == column);
        assert!(!is_indexed, "{table}.{column}");
    }
    let day = today();
    for column in ["tries", "next_at", "era"] {
        let of = format!("delivery_{day}");
        assert!(
            !indexed.iter().any(|(table, name)| *table == of && name == column),
            "{column}"
        );
    }
}
