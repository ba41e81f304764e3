//! Promises about forgetting, erasing and closing.

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Change, ClaimRequest, StoreError, Verdict,
    query::{AttemptFilter, Cutoffs, DeliveryCounts, MessageFilter, Requeue, Rows},
};

use super::{
    Backend, Bench,
    bench::{ALL, DAY, HOUR, NOON, is_unavailable},
};

/// Nothing that tests keep is older.
const NEVER: Timestamp = Timestamp::MIN;

async fn retain<B: Backend>(bench: &Bench<B>, cutoffs: Cutoffs) {
    for _ in 0..1_000 {
        let retained = bench.store().retain(cutoffs).await.unwrap();
        bench.sound().await;
        if !retained.more {
            return;
        }
    }
    panic!("cleaning up comes to an end");
}

/// The midnight that follows this day.
fn midnight_after(at: Timestamp) -> Timestamp {
    Timestamp::from_secs((at.day() + 1) * 86_400)
}

/// Deliveries and attempts too; younger ones stay as they are.
pub async fn old_messages_are_forgotten_with_all_about_them<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut ids = Vec::new();
    for day in 0..4u32 {
        bench.clock.set(NOON.plus(day * DAY));
        ids.push(bench.publish(&[endpoint]).await);
        bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
        bench.publish(&[endpoint]).await;
        bench
            .attempt_all(endpoint, Verdict::RetryAt(NOON.plus(9 * DAY)), 500)
            .await;
    }
    bench.clock.set(NOON.plus(5 * DAY));
    let cutoff = midnight_after(NOON.plus(DAY));
    retain(
        &bench,
        Cutoffs {
            messages: cutoff,
            attempts: NEVER,
            payloads: NEVER,
        },
    )
    .await;
    bench.crash().await;
    let store = bench.store();
    for id in &ids[..2] {
        assert_eq!(store.message(bench.app, *id, false).await, Ok(None));
        assert_eq!(store.deliveries(bench.app, *id, ALL).await, Ok(Rows::EMPTY));
    }
    assert_eq!(bench.attempts(ids[2]).await.len(), 1);
    let any = MessageFilter::default();
    assert_eq!(
        store
            .messages(bench.app, any.clone(), ALL, true)
            .await
            .unwrap()
            .items
            .len(),
        4
    );
    let rows = store
        .endpoint_messages(bench.app, endpoint, any, None, ALL, true)
        .await
        .unwrap();
    assert_eq!(rows.items.len(), 4);
    let counts = store.delivery_counts(endpoint, NOON, NOON.plus(9 * DAY)).await.unwrap();
    assert_eq!(
        counts,
        DeliveryCounts {
            succeeded: 2,
            pending: 2,
            failed: 0,
            cancelled: 0
        }
    );
    let report = bench.sound().await;
    assert_eq!((report.messages, report.deliveries), (4, 4));
    bench.clock.set(NOON.plus(9 * DAY));
    assert_eq!(
        bench.claim(endpoint, 10).await.work.len(),
        2,
        "what waited of the younger ones still does"
    );
}

/// How a delivery stands does not hang on its attempts being kept.
pub async fn old_attempts_are_forgotten_and_their_deliveries_stay<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let succeeded = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let inbox = bench.attach();
    let handed = bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    let failed = bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Failed, Some(500))])
        .await;
    bench.clock.set(NOON.plus(3 * DAY));
    let late = bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    let cutoff = midnight_after(NOON);
    retain(
        &bench,
        Cutoffs {
            messages: NEVER,
            attempts: cutoff,
            payloads: NEVER,
        },
    )
    .await;
    bench.crash().await;
    for (id, state) in [
        (succeeded, DeliveryState::Succeeded),
        (handed, DeliveryState::Succeeded),
        (failed, DeliveryState::Failed),
    ] {
        assert!(bench.attempts(id).await.is_empty());
        assert_eq!(bench.delivery(id, endpoint).await.map(|row| row.state), Some(state));
    }
    assert_eq!(bench.attempts(late).await.len(), 1);
    assert_eq!(bench.head(endpoint).await, None, "what was settled does not wait again");
    let of_endpoint = bench
        .store()
        .attempts_of_endpoint(bench.app, endpoint, AttemptFilter::default(), ALL, false)
        .await;
    assert_eq!(of_endpoint.unwrap().items.len(), 1);
}

/// By the day they expire on, whenever they were accepted.
pub async fn expired_payloads_are_forgotten_and_their_messages_stay<B: Backend>(mut bench: Bench<B>) {
    let mut new = bench.message(&[]);
    new.payload_expires_at = NOON.plus(DAY);
    let early = bench.append(new.clone()).await.unwrap().id;
    new.payload_expires_at = NOON.plus(5 * DAY);
    let late = bench.append(new).await.unwrap().id;
    bench.clock.set(NOON.plus(3 * DAY));
    retain(
        &bench,
        Cutoffs {
            messages: NEVER,
            attempts: NEVER,
            payloads: midnight_after(NOON.plus(DAY)),
        },
    )
    .await;
    bench.crash().await;
    let store = bench.store();
    let payload = async |id| store.message(bench.app, id, true).await.unwrap().unwrap().payload;
    assert_eq!(payload(early).await, None);
    assert!(payload(late).await.is_some());
    assert_eq!(bench.sound().await.messages, 2);
}

/// Ids of events need not be unique for ever.
pub async fn an_event_id_is_free_again_once_its_message_is_forgotten<B: Backend>(bench: Bench<B>) {
    let mut new = bench.message(&[]);
    new.event_id = Some("evt-1".to_owned());
    bench.append(new.clone()).await.unwrap();
    bench.clock.set(NOON.plus(5 * DAY));
    retain(
        &bench,
        Cutoffs {
            messages: NOON.plus(2 * DAY),
            attempts: NEVER,
            payloads: NEVER,
        },
    )
    .await;
    assert_eq!(bench.store().message_by_event_id(bench.app, "evt-1").await, Ok(None));
    new.payload_expires_at = NOON.plus(30 * DAY);
    let again = bench.append(new).await.unwrap();
    assert!(!again.repeated);
    assert_eq!(
        bench.store().message_by_event_id(bench.app, "evt-1").await,
        Ok(Some(again.id))
    );
}

/// In pieces, and across a crash.
pub async fn an_erased_application_leaves_nothing<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut ids = Vec::new();
    for n in 0..25u32 {
        bench.clock.set(NOON.plus(n * 4 * HOUR));
        let mut new = bench.message(&[endpoint]);
        new.event_id = Some(format!("evt-{n}"));
        ids.push(bench.append(new).await.unwrap().id);
        match n % 3 {
            0 => drop(bench.attempt_all(endpoint, Verdict::Succeeded, 200).await),
            1 => drop(
                bench
                    .attempt_all(endpoint, Verdict::RetryAt(NOON.plus(30 * DAY)), 500)
                    .await,
            ),
            _ => {}
        }
    }
    bench.apply(vec![Change::DeleteApp(bench.app)]).await;
    let mut erased = 0;
    loop {
        let n = bench.store().erase_app(bench.app, 4).await.unwrap();
        assert!(n <= 4);
        bench.sound().await;
        erased += n;
        if n == 0 {
            break;
        }
        if erased == 12 {
            bench.crash().await;
        }
    }
    assert_eq!(erased, 25);
    bench.crash().await;
    let store = bench.store();
    for id in &ids {
        assert_eq!(store.message(bench.app, *id, true).await, Ok(None));
        assert_eq!(store.deliveries(bench.app, *id, ALL).await, Ok(Rows::EMPTY));
        assert!(bench.attempts(*id).await.is_empty());
    }
    let any = AttemptFilter::default();
    assert_eq!(
        store.attempts_of_endpoint(bench.app, endpoint, any, ALL, true).await,
        Ok(Rows::EMPTY)
    );
    assert_eq!(store.message_by_event_id(bench.app, "evt-1").await, Ok(None));
    let counts = store
        .attempt_counts(vec![endpoint], Vec::new(), NOON, 30 * DAY, 1)
        .await
        .unwrap();
    assert_eq!((counts[0].succeeded, counts[0].failed), (0, 0));
    assert!(bench.claim_at(endpoint, NOON.plus(60 * DAY), 100).await.work.is_empty());
    assert_eq!(bench.head(endpoint).await, None);
    let report = bench.sound().await;
    assert_eq!((report.messages, report.deliveries), (0, 0));
    // And nothing can be started anew.
    let wish = Requeue {
        message: ids[0],
        endpoint,
        due_at: NOON,
        trigger: Trigger::Manual,
    };
    assert_eq!(bench.requeue(vec![wish]).await, 0);
}

/// Of the same days.
pub async fn erasing_leaves_other_applications_alone<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.app().await);
    let of_other = bench.new_endpoint(other, None).id;
    let mut new = bench.message(&[of_other]);
    new.app = other;
    new.event_id = Some("evt-1".to_owned());
    let kept = bench.append(new).await.unwrap().id;
    bench.publish(&[endpoint]).await;
    bench.apply(vec![Change::DeleteApp(bench.app)]).await;
    while bench.store().erase_app(bench.app, 10).await.unwrap() > 0 {}
    let report = bench.sound().await;
    assert_eq!((report.messages, report.deliveries), (1, 1));
    assert!(
        bench
            .store()
            .message(other, kept, true)
            .await
            .unwrap()
            .unwrap()
            .payload
            .is_some()
    );
    assert_eq!(bench.store().message_by_event_id(other, "evt-1").await, Ok(Some(kept)));
    assert_eq!(bench.claim_one(of_other).await.message.id, kept);
}

/// For everything that is asked of it.
pub async fn a_closed_store_is_unavailable<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    let work = bench.claim_one(endpoint).await;
    let settlement = bench.settlement(&work, Verdict::Succeeded, Some(200));
    let store = bench.store();
    store.close().await;
    let appended = store.append(bench.message(&[endpoint])).await;
    assert!(
        matches!(appended, Err(AppendError::Store(StoreError::Unavailable(_)))),
        "{appended:?}"
    );
    assert!(is_unavailable(
        &store
            .claim(ClaimRequest {
                endpoint,
                now: NOON,
                limit: 1
            })
            .await
            .map(drop)
    ));
    assert!(is_unavailable(
        &store.settle(std::sync::Arc::new(vec![settlement])).await
    ));
    assert!(is_unavailable(&store.lanes().await));
    assert!(is_unavailable(&store.cancel(endpoint, 1).await));
    assert!(is_unavailable(&store.requeue(Vec::new()).await.map(drop)) || store.requeue(Vec::new()).await == Ok(0));
    assert!(is_unavailable(
        &store.apply(vec![Change::DeleteEndpoint(endpoint)], None).await
    ));
    assert!(is_unavailable(&store.message(bench.app, id, true).await));
    assert!(is_unavailable(&store.configuration().await.map(drop)));
    assert!(store.health().await.unwritable.is_some());
    drop(store);
    // What was acknowledged before is there.
    bench.crash().await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, id);
}

/// How much, and since when.
pub async fn health_tells_what_waits<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let nothing = bench.store().health().await;
    assert_eq!(
        (nothing.unwritable, nothing.waiting, nothing.oldest_due),
        (None, 0, None)
    );
    for _ in 0..3 {
        bench.publish(&[endpoint]).await;
        bench.tick();
    }
    let health = bench.store().health().await;
    assert_eq!((health.waiting, health.oldest_due), (3, Some(NOON)));
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let health = bench.store().health().await;
    assert_eq!((health.waiting, health.oldest_due), (0, None));
}

/// Everything at once, for a while, from a seed.
pub async fn the_store_adds_up_through_a_busy_day<B: Backend>(mut bench: Bench<B>) {
    let endpoints = [bench.endpoint().await, bench.endpoint().await, bench.endpoint().await];
    let mut random = fastrand::Rng::with_seed(7);
    let (mut messages, mut out) = (Vec::new(), Vec::new());
    let mut inbox = bench.attach();
    for _ in 0..150 {
        bench.clock.advance(random.u32(1..1_200) * super::bench::SECOND);
        match random.u32(0..10) {
            0..4 => {
                let to = &endpoints[..random.usize(0..=3)];
                messages.push((bench.publish(to).await, to.len()));
                out.extend(inbox.take());
            }
            4..7 => {
                let n = random.usize(0..=out.len());
                let batch = out.drain(..n).map(|work| match random.u32(0..5) {
                    0 => bench.settlement(&work, Verdict::Failed, Some(500)),
                    1 => bench.settlement(&work, Verdict::RetryAt(bench.now().plus(HOUR)), Some(0)),
                    2 => bench.settlement(&work, Verdict::Park(bench.now()), None),
                    _ => bench.settlement(&work, Verdict::Succeeded, Some(200)),
                });
                let batch: Vec<_> = batch.collect();
                bench.settle(batch).await;
            }
            7 => {
                let endpoint = endpoints[random.usize(0..3)];
                out.extend(bench.claim(endpoint, 5).await.work);
            }
            8 if !messages.is_empty() => {
                let (message, n) = messages[random.usize(0..messages.len())];
                let wish = |endpoint| Requeue {
                    message,
                    endpoint,
                    due_at: bench.now(),
                    trigger: Trigger::Manual,
                };
                assert_eq!(
                    bench.requeue(endpoints[..n].iter().map(|e| wish(*e)).collect()).await,
                    n as u64
                );
            }
            _ => {
                bench.crash().await;
                inbox = bench.attach();
                out.clear();
            }
        }
        let report = bench.sound().await;
        let expected: usize = messages.iter().map(|(_, n)| n).sum();
        assert_eq!(
            (report.messages, report.deliveries),
            (messages.len() as u64, expected as u64)
        );
    }
    bench.crash().await;
    bench.clock.advance(2 * HOUR);
    for endpoint in endpoints {
        bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    }
    assert_eq!(
        bench.sound().await.counts.pending,
        0,
        "whatever happened, nothing is stuck"
    );
}
