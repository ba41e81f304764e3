//! The schema changes while others use it, and a program lives with what it can.

use futures_util::future;

use super::*;
use crate::{
    backends::postgres::{
        connection::Connection,
        migrate_at, partition,
        schema::{self, Standing},
    },
    error::OpenError,
};

async fn connect(schema: &str) -> (String, Connection) {
    let url = server::url(server::server().folder(), "bellwire", schema);
    let address = Address::parse(&url).unwrap();
    let connection = Server::new(address).unwrap().connect().await.unwrap();
    (url, connection)
}

async fn set(connection: &Connection, schema: &str, version: i64, lives_with: i64) {
    connection
        .batch(&format!(
            "UPDATE {schema}.meta SET value = {version} WHERE key = 'version'; \
             UPDATE {schema}.meta SET value = {lives_with} WHERE key = 'lives_with'"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_newer_database_is_opened_when_it_says_that_it_can_live_with_this_program() {
    let schema = "newer_and_kind";
    open(schema).await.close_orderly().await;
    let (url, connection) = connect(schema).await;
    let known = schema::newest_version();
    set(&connection, schema, known + 1, known).await;
    let store = open(schema).await;
    store.close_orderly().await;
    let standing = schema::standing(&connection, schema).await.unwrap();
    assert_eq!(standing.version, known + 1, "it is left as it is");
    set(&connection, schema, known + 2, known + 1).await;
    let refused = migrate_at(&url, false).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::TooNew { found, known: mine, .. } if found == known + 2 && mine == known),
        "{refused}"
    );
}

#[tokio::test]
async fn a_rehearsal_takes_all_steps_and_leaves_everything_as_it_was() {
    let schema = "rehearsed";
    let (url, connection) = connect(schema).await;
    let nothing = migrate_at(&url, true).await.unwrap_err().to_string();
    assert!(nothing.contains("no store"), "{nothing}");
    schema::take_first(&connection, schema).await.unwrap();
    let rehearsed = migrate_at(&url, true).await.unwrap();
    assert_eq!((rehearsed.found, rehearsed.known), (1, schema::newest_version()));
    let before = Standing {
        version: 1,
        lives_with: 1,
    };
    assert_eq!(schema::standing(&connection, schema).await.unwrap(), before);
    migrate_at(&url, false).await.unwrap();
    let after = schema::standing(&connection, schema).await.unwrap();
    assert_eq!(after.version, schema::newest_version());
}

#[tokio::test]
async fn a_step_waits_for_nobody_for_long_and_is_taken_when_it_can_be() {
    let schema = "busy";
    let (url, connection) = connect(schema).await;
    schema::take_first(&connection, schema).await.unwrap();
    // Somebody has what the step needs, until the migration has stepped back at least once: then others get through.
    connection
        .batch(&format!("BEGIN; LOCK TABLE {schema}.meta IN SHARE MODE"))
        .await
        .unwrap();
    let letting_go = async {
        let (_, other) = connect(schema).await;
        let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO meta%'";
        while other.row(waits, &[]).await.unwrap().is_none() {}
        while other.row(waits, &[]).await.unwrap().is_some() {}
        connection.batch("COMMIT").await.unwrap();
    };
    let (migrated, ()) = future::join(migrate_at(&url, false), letting_go).await;
    assert_eq!(migrated.unwrap().found, 1);
}

#[tokio::test]
async fn tables_of_a_day_are_made_in_the_form_that_the_database_keeps() {
    let schema = "form_of_days";
    open(schema).await.close_orderly().await;
    let (_, connection) = connect(schema).await;
    // As a newer version leaves it.
    connection
        .batch(&format!(
            "BEGIN; SET LOCAL search_path TO {schema}; \
             UPDATE form SET ddl = ddl || ' ALTER TABLE payload_{{d}} ADD COLUMN later text;' WHERE kind = 'payload'"
        ))
        .await
        .unwrap();
    partition::make(&connection, super::super::days::Kind::Payload, 77)
        .await
        .unwrap();
    let made = connection.rows("SELECT later FROM payload_77", &[]).await;
    assert!(made.is_ok(), "{:?}", made.err());
}
