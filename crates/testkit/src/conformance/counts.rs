//! Promises about counting, and about what a replay looks at.

use bellwire_core::{
    delivery::DeliveryState,
    id::{Id, MessageId},
};
use bellwire_store::{
    Verdict,
    query::{AttemptCounts, DeliveryCounts, ReplayCandidate},
};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON},
};

/// At one endpoint, for messages accepted in a span.
pub async fn deliveries_are_counted_by_state_and_time<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    for day in 0..3u32 {
        bench.clock.set(NOON.plus(day * DAY));
        for verdict in [
            Some(Verdict::Succeeded),
            Some(Verdict::Succeeded),
            Some(Verdict::Failed),
            Some(Verdict::Cancelled),
            Some(Verdict::RetryAt(NOON.plus(9 * DAY))),
            None,
        ] {
            bench.publish(&[endpoint, other]).await;
            if let Some(verdict) = verdict {
                let work = bench.claim_one(endpoint).await;
                let tried = (verdict != Verdict::Cancelled).then_some(500);
                bench.settle(vec![bench.settlement(&work, verdict, tried)]).await;
            } else {
                // Out.
                bench.claim_one(endpoint).await;
            }
        }
    }
    let store = bench.store();
    let of_days = |n| DeliveryCounts {
        succeeded: 2 * n,
        pending: 2 * n,
        failed: n,
        cancelled: n,
    };
    let count = async |since, until| store.delivery_counts(endpoint, since, until).await.unwrap();
    assert_eq!(count(NOON, NOON.plus(10 * DAY)).await, of_days(3));
    assert_eq!(count(NOON.plus(DAY), NOON.plus(2 * DAY)).await, of_days(1));
    assert_eq!(count(NOON.plus(HOUR), NOON.plus(2 * DAY + HOUR)).await, of_days(2));
    assert_eq!(count(NOON.plus(3 * DAY), NOON.plus(9 * DAY)).await, of_days(0));
    let waiting = DeliveryCounts {
        pending: 18,
        ..DeliveryCounts::default()
    };
    assert_eq!(
        store.delivery_counts(other, NOON, NOON.plus(9 * DAY)).await.unwrap(),
        waiting
    );
}

/// By when they began, at these endpoints, of these event types.
pub async fn attempts_are_counted_in_buckets<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    for hours in [0, 1, 1, 23, 24, 25, 47, 48] {
        bench.clock.set(NOON.plus(hours * HOUR));
        let mut new = bench.message(&[one, two]);
        new.event_type = format!("type.{}", hours % 2);
        bench.append(new).await.unwrap();
        bench.attempt_all(one, Verdict::Succeeded, 200).await;
        bench.attempt_all(two, Verdict::Failed, 500).await;
    }
    let store = bench.store();
    let counts = |pairs: &[(u64, u64)]| -> Vec<AttemptCounts> {
        pairs
            .iter()
            .map(|(succeeded, failed)| AttemptCounts {
                succeeded: *succeeded,
                failed: *failed,
            })
            .collect()
    };
    let ask = async |endpoints: &[_], types: &[&str], since, bucket, n| {
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        store
            .attempt_counts(endpoints.to_vec(), types, since, bucket, n)
            .await
            .unwrap()
    };
    assert_eq!(ask(&[one], &[], NOON, DAY, 3).await, counts(&[(4, 0), (3, 0), (1, 0)]));
    assert_eq!(ask(&[one, two], &[], NOON, DAY, 2).await, counts(&[(4, 4), (3, 3)]));
    assert_eq!(ask(&[two], &["type.1"], NOON, DAY, 2).await, counts(&[(0, 3), (0, 2)]));
    assert_eq!(
        ask(&[one], &["type.0", "type.1"], NOON, HOUR, 2).await,
        counts(&[(1, 0), (2, 0)])
    );
    assert_eq!(ask(&[one], &["type.9"], NOON, DAY, 1).await, counts(&[(0, 0)]));
    assert_eq!(
        ask(&[one], &[], NOON.plus(23 * HOUR), 2 * HOUR, 2).await,
        counts(&[(2, 0), (1, 0)])
    );
    assert_eq!(ask(&[], &[], NOON, DAY, 2).await, counts(&[(0, 0), (0, 0)]));
}

/// Those without a delivery to the endpoint as well.
pub async fn replay_candidates_come_oldest_first_with_how_they_stand<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    let mut ids: Vec<MessageId> = Vec::new();
    for n in 0..5u32 {
        bench.clock.set(NOON.plus(n * 20 * HOUR));
        let id = match n {
            1 => bench.publish(&[other]).await,
            _ => bench.publish(&[endpoint, other]).await,
        };
        ids.push(id);
        match n {
            0 => drop(bench.attempt_all(endpoint, Verdict::Succeeded, 204).await),
            2 => {
                bench.attempt_all(endpoint, Verdict::RetryAt(bench.now()), 0).await;
                bench.attempt_all(endpoint, Verdict::Failed, 503).await;
            }
            3 => drop(bench.store().cancel(endpoint, 10).await.unwrap()),
            _ => {}
        }
    }
    let (since, until) = (NOON, NOON.plus(9 * DAY));
    let rows = bench
        .store()
        .replay_candidates(bench.app, endpoint, since, until, 0, 100)
        .await
        .unwrap();
    assert!(!rows.more);
    assert_eq!(rows.items.iter().map(|row| row.message.id).collect::<Vec<_>>(), ids);
    let stand: Vec<_> = rows
        .items
        .iter()
        .map(|row: &ReplayCandidate| (row.delivery.map(|delivery| delivery.state), row.last_status_code))
        .collect();
    use DeliveryState::{Cancelled, Failed, Pending, Succeeded};
    assert_eq!(
        stand,
        [
            (Some(Succeeded), Some(204)),
            (None, None),
            (Some(Failed), Some(503)),
            (Some(Cancelled), None),
            (Some(Pending), None)
        ]
    );
    assert!(rows.items.iter().all(|row| row.message.payload.is_none()));
}

/// By number; and the span's beginning belongs to it, its end does not.
pub async fn replay_candidates_are_paged<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut ids = Vec::new();
    for n in 0..12u32 {
        bench.clock.set(NOON.plus(n * 6 * HOUR));
        ids.push(bench.publish(&[endpoint]).await);
    }
    let other = bench.app().await;
    let store = bench.store();
    let (since, until) = (NOON.plus(6 * HOUR), NOON.plus(60 * HOUR));
    let mut walked = Vec::new();
    let mut after = 0;
    loop {
        let rows = store
            .replay_candidates(bench.app, endpoint, since, until, after, 4)
            .await
            .unwrap();
        assert!(!rows.more || rows.items.len() == 4);
        walked.extend(rows.items.iter().map(|row| row.message.id));
        after = walked.last().map_or(0, |id| id.number());
        if !rows.more {
            break;
        }
    }
    assert_eq!(walked, ids[1..10]);
    assert!(
        store
            .replay_candidates(other, endpoint, since, until, 0, 4)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}
