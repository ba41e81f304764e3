//! The three hot verbs.

use std::sync::Arc;

use bellwire_core::{
    decide::Health,
    delivery::{DeliveryState, Trigger},
    message::IdempotencyKey,
};

use super::*;
use crate::{
    error::AppendError,
    query::{Page, Requeue},
};

const ALL: Page = Page {
    limit: 100,
    start: crate::query::Start::First,
    order: crate::query::Order::Ascending,
};

fn requeue(message: MessageId, endpoint: u64, due_at: Timestamp) -> Requeue {
    Requeue {
        message,
        endpoint: ep(endpoint),
        due_at,
        trigger: Trigger::Manual,
    }
}

#[tokio::test]
async fn a_first_try_that_succeeds_leaves_an_attempt_and_no_delivery_row() {
    let f = Fixture::new().await;
    let (id, work) = f.publish(&[(11, false), (10, false)]).await;
    assert_eq!(work.iter().map(|w| w.endpoint).collect::<Vec<_>>(), [ep(10), ep(11)]);
    assert_eq!(work[0].message.payload.as_deref(), Some(&br#"{"amount":100}"#[..]));
    for delivery in &work {
        f.settle(delivery, Verdict::Succeeded).await;
    }
    let rows = f
        .store
        .read(|c| Ok(c.query_row("SELECT count(*) FROM delivery_20458", [], |r| r.get::<_, i64>(0))?));
    assert_eq!(rows.await, Ok(0));
    let deliveries = f.store.deliveries(app(), id, ALL).await.unwrap().items;
    assert!(
        deliveries
            .iter()
            .all(|d| d.state == DeliveryState::Succeeded && d.progress.tries == 1)
    );
    assert_eq!((deliveries.len(), f.proven().await), (2, (2, 0, 0, 0)));
}

#[tokio::test]
async fn a_delivery_that_fails_waits_until_it_is_due_and_is_given_to_one_claim_only() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false)]).await;
    let retry_at = NOON.plus(Duration::from_secs(5));
    f.settle(&work[0], Verdict::RetryAt(retry_at)).await;
    assert_eq!(
        f.received.take_heads(),
        [LaneHead {
            endpoint: ep(10),
            due_at: retry_at
        }]
    );
    let early = f
        .store
        .claim(ClaimRequest {
            endpoint: ep(10),
            now: NOON,
            limit: 9,
        })
        .await
        .unwrap();
    assert_eq!((early.work.len(), early.next_due), (0, Some(retry_at)));

    f.clock.advance(Duration::from_secs(5));
    let again = f.claim(10).await;
    assert_eq!(
        (again.len(), again[0].progress.tries, again[0].due_at),
        (1, 1, retry_at)
    );
    assert_eq!(again[0].message, work[0].message);
    let empty = f
        .store
        .claim(ClaimRequest {
            endpoint: ep(10),
            now: retry_at,
            limit: 9,
        })
        .await
        .unwrap();
    assert_eq!((empty.work.len(), empty.next_due), (0, None));
    assert_eq!(f.store.health().await.waiting, 1);

    f.settle(&again[0], Verdict::Succeeded).await;
    assert_eq!((f.proven().await, f.store.health().await.waiting), ((1, 0, 0, 0), 0));
    assert_eq!(f.store.shared.leases.len(), 0);
}

#[tokio::test]
async fn what_must_wait_is_stored_and_told() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, true), (11, false)]).await;
    assert_eq!(work.len(), 1);
    let mut later = message(&[(12, false)]);
    later.deliver_at = Some(NOON.plus(DAY));
    f.store.append(later).await.unwrap();
    assert!(f.received.take().is_empty());
    assert_eq!(
        f.received.take_heads(),
        [
            LaneHead {
                endpoint: ep(10),
                due_at: NOON
            },
            LaneHead {
                endpoint: ep(12),
                due_at: NOON.plus(DAY)
            }
        ]
    );
    assert_eq!(f.store.lanes().await.unwrap().len(), 2);
    assert_eq!(f.store.health().await.oldest_due, Some(NOON));
    assert_eq!(f.proven().await, (0, 3, 0, 0));
}

#[tokio::test]
async fn deliveries_wait_in_the_store_until_somebody_is_attached() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &TestClock::at(NOON)).await.unwrap();
    store.append(message(&[(10, false)])).await.unwrap();
    let claimed = store
        .claim(ClaimRequest {
            endpoint: ep(10),
            now: NOON,
            limit: 1,
        })
        .await
        .unwrap();
    assert_eq!(claimed.work.len(), 1);
}

#[tokio::test]
async fn publications_that_come_together_share_commits_and_keep_their_order() {
    let f = Fixture::new().await;
    let before = f.store.health().await.commits;
    let calls: Vec<_> = (0..500).map(|_| f.store.append(message(&[(10, false)]))).collect();
    let ids: Vec<_> = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|a| a.unwrap().id)
        .collect();
    let commits = f.store.health().await.commits - before;
    assert!(commits < 250, "{commits} commits for 500 messages");
    assert_eq!(f.received.hand_overs.load(Ordering::SeqCst) as u64, commits);
    let handed: Vec<_> = f.received.take().into_iter().map(|w| w.message.id).collect();
    assert!(handed.is_sorted() && handed.len() == 500);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 500);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_message_however_many_race() {
    let f = Fixture::new().await;
    let keyed = |body| {
        let mut message = message(&[(10, false)]);
        message.idempotency = Some(IdempotencyKey { key: [1; 32], body });
        message
    };
    let calls: Vec<_> = (0..100).map(|_| f.store.append(keyed([2; 32]))).collect();
    let answers = futures_util::future::join_all(calls).await;
    let first = answers[0].as_ref().unwrap().id;
    assert!(answers.iter().all(|a| a.as_ref().unwrap().id == first));
    assert_eq!(answers.iter().filter(|a| !a.as_ref().unwrap().repeated).count(), 1);
    assert_eq!(f.received.take().len(), 1);
    assert_eq!(
        f.store.append(keyed([3; 32])).await,
        Err(AppendError::IdempotencyMismatch)
    );
    f.clock.advance(Duration::from_secs(12 * 3_600));
    assert!(!f.store.append(keyed([3; 32])).await.unwrap().repeated);
}

#[tokio::test]
async fn an_event_id_is_used_once_also_across_days_and_a_refusal_harms_nobody_else() {
    let f = Fixture::new().await;
    let named = || {
        let mut message = message(&[(10, false)]);
        message.event_id = Some("evt".to_owned());
        message
    };
    let first = f.store.append(named()).await.unwrap().id;
    f.clock.advance(DAY);
    let (refused, fine) = tokio::join!(f.store.append(named()), f.store.append(message(&[(10, false)])));
    assert_eq!(
        refused,
        Err(AppendError::EventIdTaken {
            event_id: "evt".to_owned(),
            existing: first,
            overtaken: false,
        })
    );
    assert!(fine.is_ok());
    assert_eq!(f.store.message_by_event_id(app(), "evt").await, Ok(Some(first)));
    assert_eq!(f.proven().await, (0, 2, 0, 0));
}

#[tokio::test]
async fn an_outcome_of_an_older_run_is_kept_as_an_attempt_and_decides_nothing() {
    let f = Fixture::new().await;
    for verdict in [
        Verdict::Succeeded,
        Verdict::Failed,
        Verdict::Park(NOON),
        Verdict::RetryAt(NOON),
    ] {
        let (id, fresh) = f.publish(&[(10, false)]).await;
        assert_eq!(f.store.requeue(vec![requeue(id, 10, NOON)]).await, Ok(1));
        f.settle(&fresh[0], verdict).await;
        let second = f.claim(10).await;
        assert_eq!(
            (second[0].progress.run, second[0].progress.trigger),
            (1, Trigger::Manual)
        );
        // Started anew once more while the second run is out.
        assert_eq!(f.store.requeue(vec![requeue(id, 10, NOON)]).await, Ok(1));
        f.received.take_heads();
        f.settle(&second[0], verdict).await;
        assert_eq!(
            f.received.take_heads(),
            [LaneHead {
                endpoint: ep(10),
                due_at: NOON
            }]
        );
        let third = f.claim(10).await;
        assert_eq!((third.len(), third[0].progress.run, third[0].progress.tries), (1, 2, 0));
        f.settle(&third[0], Verdict::Failed).await;
        let deliveries = f.store.deliveries(app(), id, ALL).await.unwrap().items;
        assert_eq!(
            (deliveries[0].state, deliveries[0].progress.run),
            (DeliveryState::Failed, 2)
        );
    }
    assert_eq!((f.proven().await, f.store.health().await.waiting), ((0, 0, 4, 0), 0));
}

#[tokio::test]
async fn a_resend_may_go_to_an_endpoint_that_was_not_among_the_messages_own() {
    let f = Fixture::new().await;
    let (id, _) = f.publish(&[]).await;
    let gone = MessageId::from_number(id.number() + 1);
    assert_eq!(
        f.store
            .requeue(vec![requeue(id, 99, NOON), requeue(gone, 99, NOON)])
            .await,
        Ok(1)
    );
    let work = f.claim(99).await;
    f.settle(&work[0], Verdict::Succeeded).await;
    assert_eq!(f.proven().await, (1, 0, 0, 0));
}

#[tokio::test]
async fn cancelling_leaves_what_is_out_to_its_settlement() {
    let f = Fixture::new().await;
    for _ in 0..5 {
        f.publish(&[(10, true)]).await;
    }
    let one = f
        .store
        .claim(ClaimRequest {
            endpoint: ep(10),
            now: NOON,
            limit: 1,
        })
        .await
        .unwrap()
        .work;
    assert_eq!(f.store.cancel(ep(10), 3).await, Ok(3));
    assert_eq!(f.store.cancel(ep(10), 3).await, Ok(1));
    assert_eq!(f.store.cancel(ep(10), 3).await, Ok(0));
    f.settle(&one[0], Verdict::Cancelled).await;
    assert_eq!(f.proven().await, (0, 0, 0, 5));
    assert_eq!((f.store.shared.leases.len(), f.store.health().await.waiting), (0, 0));
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_gives_its_leases_back() {
    let f = Fixture::new().await;
    f.publish(&[(10, true)]).await;
    let leases = Arc::clone(&f.store.shared.leases);
    let request = ClaimRequest {
        endpoint: ep(10),
        now: NOON,
        limit: 9,
    };
    let granted = f
        .store
        .claimers
        .read(move |c| super::super::claim::claim(c, &leases, request, NOON))
        .await;
    assert_eq!(f.store.shared.leases.len(), 1);
    drop(granted);
    assert_eq!((f.store.shared.leases.len(), f.claim(10).await.len()), (0, 1));
}

#[tokio::test]
async fn notices_and_health_are_written_with_the_outcome() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false)]).await;
    let mut failed = settlement(&work[0], Verdict::Failed);
    failed.health = Some(Health {
        failing_since: Some(NOON),
    });
    failed.notices = vec![message(&[(20, false)])];
    f.store.settle(Arc::new(vec![failed])).await.unwrap();
    assert_eq!(f.received.take()[0].endpoint, ep(20));
    let health = f.store.configuration().await.unwrap().health;
    assert_eq!(
        health,
        [(
            ep(10),
            Health {
                failing_since: Some(NOON)
            }
        )]
    );
    assert_eq!(f.proven().await, (0, 1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_that_race_with_settlements_never_give_a_delivery_out_twice() {
    let f = Fixture::new().await;
    let messages = 400;
    let calls: Vec<_> = (0..messages).map(|_| f.store.append(message(&[(10, true)]))).collect();
    futures_util::future::join_all(calls).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let store = Arc::clone(&f.store);
        workers.spawn(async move {
            let mut tries = Vec::new();
            loop {
                let request = ClaimRequest {
                    endpoint: ep(10),
                    now: NOON,
                    limit: 3,
                };
                let claimed = store.claim(request).await.unwrap();
                if claimed.work.is_empty() && store.health().await.waiting == 0 {
                    return tries;
                }
                for work in claimed.work {
                    tries.push((work.message.id, work.progress.tries));
                    let verdict = if work.progress.tries < 2 {
                        Verdict::RetryAt(NOON)
                    } else {
                        Verdict::Succeeded
                    };
                    store.settle(Arc::new(vec![settlement(&work, verdict)])).await.unwrap();
                }
            }
        });
    }
    let mut tries: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let given = tries.len();
    tries.sort_unstable();
    tries.dedup();
    assert_eq!((given, tries.len()), (3 * messages, 3 * messages));
    assert_eq!(
        (f.proven().await, f.store.shared.leases.len()),
        ((messages as u64, 0, 0, 0), 0)
    );
}
