//! A file of an older version becomes one of this version, and loses nothing.

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    id::first_number_at,
};
use rusqlite::Connection;

use super::*;
use crate::{
    backends::sqlite::schema,
    query::{AttemptFilter, Cutoffs, Order, Page, Start},
};

/// Tables per day as version 1 made them.
const V1_DAY: &str = "
CREATE TABLE message_20458 (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, event_type TEXT NOT NULL,
    event_id TEXT, channels TEXT, tags TEXT, payload_expires_at INTEGER NOT NULL, deliver_at INTEGER, traceparent TEXT,
    content_type TEXT,
    created_at INTEGER NOT NULL, endpoints BLOB NOT NULL) STRICT;
CREATE INDEX message_app_20458 ON message_20458 (app);
CREATE TABLE delivery_20458 (msg INTEGER NOT NULL, endpoint INTEGER NOT NULL, state INTEGER NOT NULL,
    run INTEGER NOT NULL, tries INTEGER NOT NULL, trigger INTEGER NOT NULL, next_at INTEGER,
    PRIMARY KEY (msg, endpoint)) STRICT, WITHOUT ROWID;
INSERT INTO partition (kind, day) VALUES ('message', 20458);
CREATE TABLE payload_20488 (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
INSERT INTO partition (kind, day) VALUES ('payload', 20488);
CREATE TABLE attempt_20458 (msg INTEGER NOT NULL, id INTEGER NOT NULL, endpoint INTEGER NOT NULL,
    app INTEGER NOT NULL, started_at INTEGER NOT NULL, duration_us INTEGER NOT NULL, status INTEGER NOT NULL,
    ok INTEGER NOT NULL, failure TEXT, trigger INTEGER NOT NULL, number INTEGER NOT NULL, last INTEGER NOT NULL,
    url TEXT NOT NULL, signature TEXT NOT NULL, response BLOB, response_headers TEXT,
    PRIMARY KEY (msg, id)) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_endpoint_20458 ON attempt_20458 (endpoint, id, started_at, ok);
INSERT INTO partition (kind, day) VALUES ('attempt', 20458);
";

const ALL: Page = Page {
    limit: 100,
    start: Start::First,
    order: Order::Ascending,
};

/// What a program of version 1 left in a file: how its deliveries stand, by message.
struct Left {
    folder: tempfile::TempDir,
    /// Succeeded at the first try at endpoint 10.
    made: MessageId,
    /// Waits at endpoint 10 for its third try.
    retried: MessageId,
    /// Waits at endpoint 11, never tried; at endpoint 10 it failed.
    pending: MessageId,
    /// Was out in memory at endpoint 12 when the process ended.
    out: MessageId,
}

fn left_by_version_1() -> Left {
    let folder = tempfile::tempdir().unwrap();
    let file = Connection::open(folder.path().join("bellwire.db")).unwrap();
    let mode: String = file
        .query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    file.execute_batch(schema::V1).unwrap();
    file.execute_batch(&format!(
        "{V1_DAY} PRAGMA application_id = 1115122034; PRAGMA user_version = 1;"
    ))
    .unwrap();
    let number = |n: u64| first_number_at(NOON) + n;
    let noon = NOON.micros();
    let messages: [(u64, &[u64]); 4] = [(1, &[10]), (2, &[10]), (3, &[10, 11]), (4, &[12])];
    for (n, endpoints) in messages {
        let endpoints: Vec<u8> = endpoints.iter().flat_map(|endpoint| endpoint.to_be_bytes()).collect();
        file.execute(
            "INSERT INTO message_20458 (id, app, event_type, event_id, channels, tags, payload_expires_at, deliver_at, \
             traceparent, content_type, created_at, endpoints) \
             VALUES (?1, 1, 'invoice.paid', 'evt' || ?2, '[\"eu\"]', NULL, ?3, NULL, NULL, NULL, ?4, ?5)",
            (
                number(n) as i64,
                n as i64,
                NOON.plus(30 * DAY).micros(),
                noon,
                endpoints,
            ),
        )
        .unwrap();
        file.execute(
            "INSERT INTO payload_20488 VALUES (?1, CAST('{\"n\":' || ?2 || '}' AS BLOB))",
            (number(n) as i64, n as i64),
        )
        .unwrap();
        file.execute(
            "INSERT INTO event_id VALUES (1, 'evt' || ?2, ?1)",
            (number(n) as i64, n as i64),
        )
        .unwrap();
    }
    let attempts = [
        (1, 11, 204, 1, 1, 1),
        (2, 12, 500, 0, 1, 0),
        (2, 13, 500, 0, 2, 0),
        (3, 14, 500, 0, 1, 1),
    ];
    for (msg, id, status, ok, nth, last) in attempts {
        file.execute(
            "INSERT INTO attempt_20458 VALUES (?1, ?2, 10, 1, ?3, 12000, ?4, ?5, NULL, 0, ?6, ?7, 'https://example.com/', \
             'v1,x', CAST('answer' AS BLOB), NULL)",
            (number(msg) as i64, number(id) as i64, noon, status, ok, nth, last),
        )
        .unwrap();
    }
    let rows = [
        (2, 10, 0, 0, 2, 0, Some(noon + 5_000_000)),
        (3, 10, 2, 0, 1, 0, None),
        (3, 11, 0, 1, 0, 1, Some(noon)),
    ];
    for (msg, endpoint, state, run, tries, trigger, next_at) in rows {
        let row = (number(msg) as i64, endpoint, state, run, tries, trigger, next_at);
        file.execute("INSERT INTO delivery_20458 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", row)
            .unwrap();
        if let Some(next_at) = next_at {
            let place = (endpoint, next_at, number(msg) as i64, run, tries, trigger);
            file.execute("INSERT INTO due VALUES (?1, ?2, ?3, ?4, ?5, ?6)", place)
                .unwrap();
        }
    }
    for (name, value) in [
        ("mark", number(4) as i64),
        ("last_id", number(20) as i64),
        ("waiting", 2),
        ("largest_put", 77),
    ] {
        file.execute("INSERT INTO meta VALUES (?1, ?2)", (name, value)).unwrap();
    }
    let id = |n| MessageId::from_number(number(n));
    Left {
        folder,
        made: id(1),
        retried: id(2),
        pending: id(3),
        out: id(4),
    }
}

/// The same, by a program of version 2.
fn left_by_version_2() -> Left {
    let left = left_by_version_1();
    let file = Connection::open(left.folder.path().join("bellwire.db")).unwrap();
    schema::take(&file, 2).unwrap();
    left
}

#[tokio::test]
async fn a_file_of_version_1_is_migrated_and_its_deliveries_go_on() {
    goes_on(left_by_version_1()).await;
}

#[tokio::test]
async fn a_file_of_version_2_is_migrated_and_its_deliveries_go_on() {
    goes_on(left_by_version_2()).await;
}

async fn goes_on(left: Left) {
    let clock = TestClock::at(NOON.plus(Duration::from_secs(10)));
    let store = open(left.folder.path(), &clock).await.unwrap();
    let received = Arc::new(Received::default());
    store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
    let f = Fixture {
        folder: left.folder,
        clock,
        store,
        received,
    };
    // What was out in memory waits again; all the rest stands as it stood.
    assert_eq!(f.proven().await, (1, 3, 1, 0));
    assert_eq!(f.store.health().await.waiting, 3);
    assert_eq!(
        (f.received.told(10), f.received.told(11), f.received.told(12)),
        (Some(1), Some(1), Some(1))
    );
    let message = f.store.message(app(), left.made, true).await.unwrap().unwrap();
    assert_eq!(message.payload.as_deref(), Some(&br#"{"n":1}"#[..]));
    assert_eq!((message.ordering_key, message.channels), (None, vec!["eu".to_owned()]));
    let attempts = f
        .store
        .attempts_of_message(app(), left.retried, AttemptFilter::default(), ALL)
        .await;
    assert_eq!(attempts.unwrap().items.len(), 2);
    let failed = f.store.deliveries(app(), left.pending, ALL).await.unwrap().items;
    assert_eq!((failed[0].state, failed[0].sequence), (DeliveryState::Failed, None));

    let retried = f.claim(10).await.remove(0);
    assert_eq!((retried.message.id, retried.progress.tries), (left.retried, 2));
    assert_eq!(retried.place, None);
    f.settle(&retried, Verdict::Succeeded).await;
    let manual = f.claim(11).await.remove(0);
    assert_eq!(
        (manual.message.id, manual.progress.run, manual.progress.trigger),
        (left.pending, 1, Trigger::Manual)
    );
    f.settle(&manual, Verdict::RetryAt(NOON.plus(DAY))).await;
    assert_eq!(f.claim(12).await[0].message.id, left.out);

    // The old day's tables take what is new: an ordered message that is started anew, and its end.
    let (id, handed) = f.publish_in("a", 1).await;
    assert!(id > left.out, "ids go on behind the last one");
    f.settle(&handed[0], Verdict::Failed).await;
    assert_eq!(
        f.store.deliveries(app(), id, ALL).await.unwrap().items[0].sequence,
        Some(1)
    );
    assert_eq!(f.proven().await, (2, 2, 2, 0));
    let version = f
        .store
        .read(|c| Ok(c.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(version.await, Ok(schema::newest_version()));

    // So do messages of sources, with how they came in.
    for number in [2, 1] {
        f.store.arrive(numbered("a", number)).await.unwrap();
    }
    let brought = f.store.message_by_event_id(app(), "a/2").await.unwrap().unwrap();
    let brought = f.store.message(app(), brought, false).await.unwrap().unwrap();
    assert_eq!(brought.inbound.unwrap().note.as_deref(), Some("waited 0 ms for 1"));
    assert_eq!(
        f.store.message(app(), left.made, false).await.unwrap().unwrap().inbound,
        None
    );

    let crashed = f.after_crash().await;
    assert_eq!(crashed.proven().await, (2, 2, 2, 0));
    let cut = NOON.plus(60 * DAY);
    let cutoffs = Cutoffs {
        messages: cut,
        attempts: cut,
        payloads: cut,
    };
    assert_eq!(f.store.retain(cutoffs).await.unwrap().partitions, 3);
}

#[tokio::test]
async fn a_migration_that_cannot_be_finished_leaves_the_file_as_it_was() {
    let left = left_by_version_1();
    let path = left.folder.path().join("bellwire.db");
    let file = Connection::open(&path).unwrap();
    // Somebody's table is in the way.
    file.execute_batch("CREATE TABLE backlog (mine TEXT)").unwrap();
    let clock = TestClock::at(NOON);
    let refused = open(left.folder.path(), &clock).await;
    assert!(matches!(refused, Err(OpenError::Failed { .. })), "{refused:?}");
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let columns: i64 = file
        .query_row("SELECT count(*) FROM pragma_table_info('due')", [], |row| row.get(0))
        .unwrap();
    assert_eq!((version, columns), (1, 6));
    file.execute_batch("DROP TABLE backlog").unwrap();
    drop(file);
    let store = open(left.folder.path(), &clock).await.unwrap();
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}
