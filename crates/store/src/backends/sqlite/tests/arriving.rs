//! What sources bring: pieces of work that a crash cuts, copies, the proof, and what is erased.

use super::*;
use crate::{
    backends::sqlite::arrival,
    contract::{Arrived, Change},
    query::{MessageFilter, Order, Page, RefusedRequest, Start, StreamQuery},
};

const ALL: Page = Page {
    limit: 1_000,
    start: Start::First,
    order: Order::Ascending,
};

/// The event ids of all messages in the order in which they were accepted.
async fn accepted(f: &Fixture) -> Vec<String> {
    let rows = f.store.messages(app(), MessageFilter::default(), ALL, false).await;
    let rows = rows.unwrap().items;
    rows.into_iter().filter_map(|message| message.event_id).collect()
}

fn named(key: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|number| format!("{key}/{number}")).collect()
}

/// Numbers 2 to 700 are held.
async fn with_many_held() -> Fixture {
    let f = Fixture::new().await;
    let early = (2..=700).map(|number| f.store.arrive(numbered("a", number)));
    let answers = futures_util::future::join_all(early).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Arrived::Held { .. }))));
    f
}

#[tokio::test]
async fn what_a_crash_cuts_off_from_its_turn_is_due_at_once() {
    let f = with_many_held().await;
    // The first transaction, and then the process ends.
    let first = f.store.write(|tx| arrival::arrive(tx, numbered("a", 1))).await;
    assert!(first.unwrap().is_ok_and(|answer| answer.more.is_some()));
    let f = f.after_crash().await;
    let report = f.store.check().await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.messages, report.held), (257, 443));
    // Whoever comes now overtakes nobody.
    let mut same = numbered("a", 258);
    same.message.event_id = Some("same number".to_owned());
    assert_eq!(
        f.store.arrive(same).await,
        Ok(Arrived::Held {
            until: NOON.plus(Duration::from_secs(5))
        })
    );
    f.store.arrive(numbered("a", 701)).await.unwrap();
    let released = f.store.release(NOON, 1_000).await.unwrap();
    assert_eq!((released.freed.len(), released.next), (445, None));
    let mut expected = named("a", 1..=701);
    expected.insert(258, "same number".to_owned());
    assert_eq!(accepted(&f).await, expected);
    f.proven().await;
}

#[tokio::test]
async fn concurrent_arrivals_share_commits() {
    let f = Fixture::new().await;
    let before = f.store.health().await.commits;
    let calls = (0..1_000u64).map(|n| f.store.arrive(numbered(&format!("key-{}", n % 50), 20 - n / 50)));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(accepted(&f).await.len(), 1_000);
    let commits = f.store.health().await.commits - before;
    assert!(commits < 200, "{commits} commits");
}

#[tokio::test]
async fn what_cannot_be_written_is_neither_held_nor_accepted() {
    let f = Fixture::new().await;
    f.store.arrive(numbered("a", 3)).await.unwrap();
    f.store
        .write(|tx| Ok(tx.connection.execute_batch("PRAGMA query_only = 1")?))
        .await
        .unwrap();
    for number in [1, 2] {
        assert!(f.store.arrive(numbered("a", number)).await.is_err());
    }
    assert!(f.store.release(NOON.plus(DAY), 10).await.is_err());
    let crashed = f.after_crash().await;
    assert_eq!(
        (
            crashed.store.check().await.unwrap().held,
            accepted(&crashed).await.len()
        ),
        (1, 0)
    );
    crashed.store.arrive(numbered("a", 1)).await.unwrap();
    crashed.store.arrive(numbered("a", 2)).await.unwrap();
    assert_eq!(accepted(&crashed).await, named("a", 1..=3));
}

#[tokio::test]
async fn a_backup_holds_what_is_held_and_refused() {
    let f = Fixture::new().await;
    let source = reading::source();
    let id = source.id;
    let put = vec![Change::PutSource(Box::new(source.clone()))];
    f.store.apply(put, None).await.unwrap();
    f.store.refuse(vec![refused(id, "body")]).await.unwrap();
    f.store.arrive(numbered("a", 1)).await.unwrap();
    f.store.arrive(numbered("a", 3)).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    f.store.backup(&copy.path().join("bellwire.db")).await.unwrap();
    let restored = open(copy.path(), &f.clock).await.unwrap();
    let report = restored.check().await.unwrap();
    assert_eq!((report.problems.len(), report.messages, report.held), (0, 1, 1));
    assert_eq!(restored.refused(id, ALL).await.unwrap().items, [refused(id, "body")]);
    assert_eq!(restored.configuration().await.unwrap().sources, [source]);
    restored.arrive(numbered("a", 2)).await.unwrap();
    assert_eq!(restored.check().await.unwrap().messages, 3);
}

#[tokio::test]
async fn the_proof_finds_what_is_held_for_nobody_and_what_cannot_be_read() {
    let f = Fixture::new().await;
    for number in [3, 4] {
        f.store.arrive(numbered("a", number)).await.unwrap();
    }
    f.store.arrive(numbered("b", 2)).await.unwrap();
    let damage = f.store.write(|tx| {
        tx.connection.execute_batch(
            "UPDATE stream SET start = start + 2 WHERE okey = 'a'; UPDATE held SET document = '{}' WHERE okey = 'b'",
        )?;
        Ok(())
    });
    damage.await.unwrap();
    let problems = f.store.check().await.unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("3 of the stream \"a\" of app_") && problems[0].ends_with("has its turn and is held")
    );
    assert!(problems[1].contains("2 of the stream \"b\"") && problems[1].contains("cannot be read"));
}

fn refused(source: SourceId, body: &str) -> RefusedRequest {
    RefusedRequest {
        number: 7,
        source,
        at: NOON,
        status: 401,
        reason: "mismatch".to_owned(),
        detail: "another secret".to_owned(),
        method: "POST".to_owned(),
        target: "/in/shop".to_owned(),
        headers: Vec::new(),
        peer: None,
        body: body.to_owned(),
        skipped: 0,
    }
}

#[tokio::test]
async fn what_was_held_or_refused_is_nowhere_on_the_disk_once_it_is_erased() {
    let f = Fixture::new().await;
    let source = reading::source();
    let id = source.id;
    f.store
        .apply(vec![Change::PutSource(Box::new(source))], None)
        .await
        .unwrap();
    f.store.refuse(vec![refused(id, "CANARY-REFUSED")]).await.unwrap();
    for number in 2..300 {
        for of in [1, 2] {
            let mut early = numbered("a", number);
            early.message.app = AppId::from_number(of);
            let text = if of == APP { "CANARY-HELD" } else { "bystander" };
            early.message.payload = Bytes::from(text.repeat(number as usize));
            f.store.arrive(early).await.unwrap();
        }
    }
    f.store.apply(vec![Change::DeleteSource(id)], None).await.unwrap();
    let mut erased = 0;
    loop {
        match f.store.erase_app(app(), 50).await.unwrap() {
            0 => break,
            more => erased += more,
        }
    }
    assert_eq!(erased, 298);
    assert_eq!(f.store.check().await.unwrap().held, 298);
    f.store.close().await;
    for text in ["CANARY-HELD", "CANARY-REFUSED"] {
        assert_eq!(erasure::holders(f.folder.path(), text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(erasure::holders(f.folder.path(), "bystander"), ["bellwire.db"]);
}

#[tokio::test]
async fn many_streams_are_forgotten_in_pieces() {
    let f = Fixture::new().await;
    let filled = f.store.write(|tx| {
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000) \
             INSERT INTO stream (app, okey, day) SELECT n % 2, 'key-' || n, 20000 FROM n";
        Ok(tx.connection.execute(sql, [])?)
    });
    assert_eq!(filled.await, Ok(9_000));
    f.store.erase_app(app(), 10).await.unwrap();
    let count = || {
        f.store
            .read(|c| Ok(c.query_row("SELECT count(*) FROM stream", [], |row| row.get::<_, i64>(0))?))
    };
    assert_eq!(count().await, Ok(4_500));
    let cutoffs = crate::query::Cutoffs {
        messages: NOON,
        attempts: Timestamp::MIN,
        payloads: Timestamp::MIN,
    };
    assert!(!f.store.retain(cutoffs).await.unwrap().more);
    assert_eq!(count().await, Ok(0));
    let query = StreamQuery {
        key: None,
        held: false,
        after: None,
        limit: 1,
    };
    assert!(f.store.streams(app(), query).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_held_message_that_cannot_be_read_holds_up_nobody() {
    let f = Fixture::new().await;
    let mut source = reading::source();
    source.app = app();
    f.store
        .apply(vec![Change::PutSource(Box::new(source.clone()))], None)
        .await
        .unwrap();
    for (key, number) in [("a", 2), ("a", 3), ("b", 2)] {
        f.store.arrive(numbered(key, number)).await.unwrap();
    }
    f.store
        .write(|tx| {
            let spoil = "UPDATE held SET document = '{' WHERE okey = 'a' AND number = (SELECT min(number) FROM held)";
            Ok(tx.connection.execute(spoil, [])?)
        })
        .await
        .unwrap();
    let released = f.store.release(NOON.plus(DAY), 100).await.unwrap();
    assert_eq!((released.freed.len(), released.next), (3, None));
    let rows = f.store.messages(app(), MessageFilter::default(), ALL, true).await;
    let rows = rows.unwrap().items;
    let spoiled = rows.iter().find(|row| row.event_id.as_deref() == Some("a/2")).unwrap();
    assert_eq!(spoiled.event_type, "unreadable");
    assert!(spoiled.payload.is_some());
    let inbound = spoiled.inbound.as_ref().unwrap();
    assert_eq!(inbound.source, source.id);
    assert!(inbound.note.as_ref().unwrap().contains("cannot be read"), "{inbound:?}");
    f.proven().await;
}
