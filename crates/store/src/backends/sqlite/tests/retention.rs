//! Forgetting.

use bellwire_core::message::IdempotencyKey;

use super::*;
use crate::query::{Cutoffs, Order, Page, Start};

const NEWEST: Page = Page {
    limit: 10,
    start: Start::First,
    order: Order::Descending,
};

fn tables(store: &Sqlite) -> impl Future<Output = Vec<String>> + '_ {
    let names = store.read(|c| {
        let mut statement =
            c.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '*_[0-9]*'")?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<rusqlite::Result<Vec<String>>>()?)
    });
    async { names.await.unwrap() }
}

#[tokio::test]
async fn days_that_are_over_are_dropped_with_all_about_them() {
    let f = Fixture::new().await;
    let mut old = message(&[(10, true), (11, false)]);
    old.event_id = Some("evt".to_owned());
    old.payload_expires_at = NOON.plus(DAY);
    old.idempotency = Some(IdempotencyKey {
        key: [1; 32],
        body: [1; 32],
    });
    let old_id = f.store.append(old.clone()).await.unwrap().id;
    let work = f.received.take();
    f.settle(&work[0], Verdict::Succeeded).await;
    f.clock.advance(3 * DAY);
    let (new_id, _) = f.publish(&[(10, false)]).await;
    let cut = NOON.plus(2 * DAY);
    let retained = f
        .store
        .retain(Cutoffs {
            messages: cut,
            attempts: cut,
            payloads: cut,
        })
        .await
        .unwrap();
    assert_eq!((retained.partitions, retained.more), (4, false));
    assert_eq!(f.store.message(app(), old_id, false).await, Ok(None));
    let left = tables(&f.store).await;
    assert!(
        left.iter()
            .all(|table| !table.contains("20458") && !table.contains("20459")),
        "{left:?}"
    );
    let listed = f
        .store
        .messages(app(), Default::default(), NEWEST, true)
        .await
        .unwrap()
        .items;
    assert_eq!(listed.iter().map(|m| m.id).collect::<Vec<_>>(), [new_id]);
    // The event id is free again; what waited for the message is cleared away when it comes up.
    old.idempotency = None;
    assert_ne!(f.store.append(old).await.unwrap().id, old_id);
    f.received.take();
    let claimed = f.claim(10).await;
    assert!(claimed.iter().all(|work| work.message.id != old_id));
    assert_eq!(f.store.health().await.waiting, 1);
    f.proven().await;
}

#[tokio::test]
async fn a_payload_expires_at_its_time_and_not_a_day_later() {
    let f = Fixture::new().await;
    let mut short = message(&[(10, true)]);
    short.payload_expires_at = NOON.plus(Duration::from_secs(60));
    let id = f.store.append(short).await.unwrap().id;
    assert!(
        f.store
            .message(app(), id, true)
            .await
            .unwrap()
            .unwrap()
            .payload
            .is_some()
    );
    f.clock.advance(Duration::from_secs(60));
    assert_eq!(f.store.message(app(), id, true).await.unwrap().unwrap().payload, None);
    assert_eq!(f.claim(10).await[0].message.payload, None);
}

#[tokio::test]
async fn a_large_day_is_emptied_in_steps_and_then_dropped() {
    let f = Fixture::new().await;
    let mut old = message(&[]);
    old.payload_expires_at = NOON;
    let calls: Vec<_> = (0..9_000).map(|_| f.store.append(old.clone())).collect();
    futures_util::future::join_all(calls).await;
    f.store
        .write(|tx| Ok(tx.connection.execute("UPDATE partition SET rows = 1000000", [])?))
        .await
        .unwrap();
    f.clock.advance(3 * DAY);
    let cut = f.clock.now();
    let retained = f
        .store
        .retain(Cutoffs {
            messages: cut,
            attempts: cut,
            payloads: cut,
        })
        .await
        .unwrap();
    assert_eq!((retained.partitions, retained.more), (2, false));
    assert_eq!(tables(&f.store).await, Vec::<String>::new());
    assert!(f.store.health().await.commits > 6);
}

#[tokio::test]
async fn an_application_is_erased_piece_by_piece() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for at in 0..5 {
        let mut one = message(&[(10, true), (11, false)]);
        one.event_id = Some(format!("evt{at}"));
        ids.push(f.store.append(one).await.unwrap().id);
        f.clock.advance(Duration::from_secs(8 * 3_600));
    }
    for work in f.received.take() {
        f.settle(&work, Verdict::Succeeded).await;
    }
    let mut other = message(&[(12, true)]);
    other.app = AppId::from_number(2);
    f.store.append(other).await.unwrap();
    assert_eq!(f.store.erase_app(app(), 3).await, Ok(3));
    assert_eq!(f.store.erase_app(app(), 3).await, Ok(2));
    assert_eq!(f.store.erase_app(app(), 3).await, Ok(0));
    assert_eq!(f.store.message_by_event_id(app(), "evt0").await, Ok(None));
    assert_eq!((f.proven().await, f.store.health().await.waiting), ((0, 1, 0, 0), 1));
    let rows = f.store.read(|c| {
        let days = super::super::partition::Days::read(c)?;
        let mut rows = 0;
        for day in days.of(super::super::partition::Kind::Attempt) {
            rows += c.query_row(&format!("SELECT count(*) FROM attempt_{day}"), [], |row| {
                row.get::<_, i64>(0)
            })?;
        }
        Ok(rows)
    });
    assert_eq!(rows.await, Ok(0));
}
