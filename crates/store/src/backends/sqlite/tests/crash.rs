//! What a crash leaves behind.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn what_was_out_in_memory_waits_again_and_what_was_settled_does_not() {
    let f = Fixture::new().await;
    let (_, made) = f.publish(&[(10, false)]).await;
    f.settle(&made[0], Verdict::Succeeded).await;
    let (_, retried) = f.publish(&[(10, false)]).await;
    f.settle(&retried[0], Verdict::RetryAt(NOON.plus(DAY))).await;
    let (out, _) = f.publish(&[(10, false), (11, false)]).await;
    let (half, work) = f.publish(&[(10, false), (11, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;

    let crashed = f.after_crash().await;
    let ids = |work: Vec<Work>| work.into_iter().map(|w| w.message.id).collect::<Vec<_>>();
    assert_eq!(ids(crashed.claim(10).await), [out]);
    assert_eq!(ids(crashed.claim(11).await), [out, half]);
    assert_eq!(crashed.proven().await, (2, 4, 0, 0));
    assert_eq!(crashed.store.health().await.waiting, 4);
    // Once more, before anything was settled: nothing is lost, nothing is there twice.
    let again = crashed.after_crash().await;
    assert_eq!(again.store.health().await.waiting, 4);
    assert_eq!(again.claim(11).await.len(), 2);
}

#[tokio::test]
async fn recovery_spans_days_and_strides() {
    let f = Fixture::new().await;
    let calls: Vec<_> = (0..12_000)
        .map(|_| f.store.append(message(&[(10, false), (11, false)])))
        .collect();
    futures_util::future::join_all(calls).await;
    let work = f.received.take();
    f.clock.advance(DAY);
    // Every third delivery succeeds, a day later.
    let settled = work
        .iter()
        .step_by(3)
        .map(|w| settlement(w, Verdict::Succeeded))
        .collect();
    f.store.settle(Arc::new(settled)).await.unwrap();
    f.publish(&[(10, false)]).await;
    let crashed = f.after_crash().await;
    assert_eq!(crashed.proven().await, (8_000, 16_001, 0, 0));
    assert_eq!(crashed.store.health().await.waiting, 16_001);
}

#[tokio::test]
async fn an_orderly_end_leaves_nothing_to_recover() {
    let f = Fixture::new().await;
    let (id, work) = f.publish(&[(10, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    f.store.close().await;
    assert!(matches!(
        f.store.append(message(&[])).await,
        Err(crate::AppendError::Store(_))
    ));
    assert!(f.store.lanes().await.is_err());
    let connection = rusqlite::Connection::open(f.folder.path().join("bellwire.db")).unwrap();
    let mark: i64 = connection
        .query_row("SELECT value FROM meta WHERE key = 'mark'", [], |r| r.get(0))
        .unwrap();
    assert!(mark as u64 > id.number());
    drop(connection);
    let reopened = open(f.folder.path(), &f.clock).await.unwrap();
    assert_eq!(reopened.check().await.unwrap().counts.succeeded, 1);
}

#[tokio::test]
async fn a_settled_delivery_counts_as_made_below_the_mark_also_when_its_attempt_is_gone() {
    let f = Fixture::new().await;
    let (id, work) = f.publish(&[(10, false)]).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    f.clock.advance(3 * DAY);
    f.publish(&[]).await;
    let now = f.clock.now();
    let cutoffs = crate::query::Cutoffs {
        messages: NOON,
        attempts: now,
        payloads: NOON,
    };
    f.store.close().await;
    let store = open(f.folder.path(), &f.clock).await.unwrap();
    assert_eq!(store.retain(cutoffs).await.unwrap().partitions, 1);
    let page = Page {
        limit: 9,
        start: crate::query::Start::First,
        order: crate::query::Order::Ascending,
    };
    let deliveries = store.deliveries(app(), id, page).await.unwrap().items;
    assert_eq!(deliveries[0].state, bellwire_core::delivery::DeliveryState::Succeeded);
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn ids_grow_over_a_restart_with_the_clock_put_back() {
    let f = Fixture::new().await;
    let (first, _) = f.publish(&[]).await;
    f.store.close().await;
    let store = open(f.folder.path(), &TestClock::at(NOON.minus(DAY))).await.unwrap();
    assert!(store.append(message(&[])).await.unwrap().id > first);
}

use crate::query::Page;
