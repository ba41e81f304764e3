//! Promises of `append`.

use std::sync::Arc;

use bellwire_core::{
    delivery::{DeliveryState, Progress},
    id::{Id, MessageId},
    message::Route,
};
use bellwire_store::{AppendError, Appended, LaneHead};
use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND, idempotency},
};

/// A later message has a larger id, whatever the clock does.
pub async fn ids_grow_also_when_the_clock_goes_back<B: Backend>(bench: Bench<B>) {
    let mut last = None;
    for at in [NOON, NOON, NOON.plus(HOUR), NOON.minus(DAY), NOON.plus(SECOND)] {
        bench.clock.set(at);
        let id = bench.publish(&[]).await;
        assert!(last < Some(id), "{last:?} < {id}");
        last = Some(id);
    }
}

/// Everything about a message is there after a crash, byte for byte.
pub async fn a_message_is_durable_once_acknowledged<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut new = bench.message(&[endpoint]);
    new.event_id = Some("evt-1".to_owned());
    new.channels = vec!["a".to_owned(), "project_1".to_owned()];
    new.tags = vec!["x/y".to_owned()];
    new.payload = Bytes::from("{ \"n\": 1.0,\n\"ü\":\"\\u00e9\", \"n\":2 }");
    new.deliver_at = Some(NOON.plus(HOUR));
    new.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    new.content_type = Some("application/xml".to_owned());
    let id = bench.append(new.clone()).await.unwrap().id;
    bench.crash().await;
    let found = bench.store().message(bench.app, id, true).await.unwrap().unwrap();
    assert_eq!((found.id, found.app, found.event_type), (id, bench.app, new.event_type));
    assert_eq!(
        (found.event_id, found.channels, found.tags),
        (new.event_id, new.channels, new.tags)
    );
    assert_eq!(
        (found.payload, found.payload_expires_at),
        (Some(new.payload), new.payload_expires_at)
    );
    assert_eq!(
        (found.deliver_at, found.traceparent, found.created_at),
        (new.deliver_at, new.traceparent, NOON)
    );
    assert_eq!(found.content_type, new.content_type);
    assert_eq!(bench.head(endpoint).await, Some(NOON.plus(HOUR)));
}

/// For hours, and across a crash.
pub async fn the_same_idempotency_key_is_answered_with_the_first_message<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut new = bench.message(&[endpoint]);
    new.idempotency = idempotency(1, 1);
    let first = bench.append(new.clone()).await.unwrap();
    assert!(!first.repeated);
    let again = Appended {
        id: first.id,
        repeated: true,
    };
    assert_eq!(bench.append(new.clone()).await, Ok(again.clone()));
    bench.crash().await;
    bench.clock.advance(11 * HOUR);
    assert_eq!(bench.append(new.clone()).await, Ok(again));
    let report = bench.sound().await;
    assert_eq!((report.messages, report.deliveries), (1, 1));
    new.idempotency = idempotency(2, 1);
    assert_ne!(
        bench.append(new).await.unwrap().id,
        first.id,
        "another key is another publication"
    );
}

/// It is the client's mistake, and nothing is written.
pub async fn the_same_idempotency_key_with_another_body_is_refused<B: Backend>(bench: Bench<B>) {
    let mut new = bench.message(&[]);
    new.idempotency = idempotency(1, 1);
    bench.append(new.clone()).await.unwrap();
    new.idempotency = idempotency(1, 2);
    assert_eq!(bench.append(new).await, Err(AppendError::IdempotencyMismatch));
    assert_eq!(bench.sound().await.messages, 1);
}

/// Also when they share a commit.
pub async fn racing_appends_with_one_idempotency_key_make_one_message<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let store = bench.store();
    for round in 0..20 {
        let races = (0..16).map(|racer| {
            let mut new = bench.message(&[endpoint]);
            // The last two tell another body.
            new.idempotency = idempotency(round, u8::from(racer >= 14));
            store.append(new)
        });
        let answers = join_all(races).await;
        let made: Vec<_> = answers.iter().flatten().filter(|appended| !appended.repeated).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        assert!(answers.iter().flatten().all(|appended| appended.id == made[0].id));
        let refused = answers
            .iter()
            .filter(|a| **a == Err(AppendError::IdempotencyMismatch))
            .count();
        assert!(
            refused == 2 || refused == 14,
            "all with the other body are refused: {answers:?}"
        );
        assert_eq!(inbox.take().len(), 1);
    }
    assert_eq!(bench.sound().await.messages, 20);
}

/// And names the message that has it; another application has its own.
pub async fn an_event_id_is_taken_once_in_an_application<B: Backend>(mut bench: Bench<B>) {
    let mut new = bench.message(&[]);
    new.event_id = Some("evt-1".to_owned());
    let existing = bench.append(new.clone()).await.unwrap().id;
    let taken = AppendError::EventIdTaken {
        event_id: "evt-1".to_owned(),
        existing,
        overtaken: false,
    };
    assert_eq!(bench.append(new.clone()).await, Err(taken.clone()));
    bench.crash().await;
    bench.clock.advance(2 * DAY);
    assert_eq!(bench.append(new.clone()).await, Err(taken));
    assert_eq!(bench.sound().await.messages, 1);
    new.app = bench.app().await;
    assert!(bench.append(new.clone()).await.is_ok());
    new.app = bench.app;
    new.event_id = Some("evt-2".to_owned());
    assert!(bench.append(new).await.is_ok());
}

/// Also when they share a commit.
pub async fn racing_appends_with_one_event_id_make_one_message<B: Backend>(bench: Bench<B>) {
    let store = bench.store();
    for round in 0..20 {
        let races = (0..16).map(|_| {
            let mut new = bench.message(&[]);
            new.event_id = Some(format!("evt-{round}"));
            store.append(new)
        });
        let answers = join_all(races).await;
        let made: Vec<MessageId> = answers.iter().flatten().map(|appended| appended.id).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let event_id = format!("evt-{round}");
            assert_eq!(
                *refused,
                AppendError::EventIdTaken {
                    event_id,
                    existing: made[0],
                    overtaken: false,
                }
            );
        }
    }
    assert_eq!(bench.sound().await.messages, 20);
}

/// The key is looked at first: a repetition is answered, not told that its own event id is taken.
pub async fn racing_appends_with_one_event_id_and_one_idempotency_key_are_all_answered<B: Backend>(bench: Bench<B>) {
    let store = bench.store();
    let races = (0..16).map(|_| {
        let mut new = bench.message(&[]);
        new.event_id = Some("evt-1".to_owned());
        new.idempotency = idempotency(1, 1);
        store.append(new)
    });
    let answers = join_all(races).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(
        answers.iter().flatten().filter(|appended| !appended.repeated).count(),
        1
    );
    assert_eq!(bench.sound().await.messages, 1);
}

/// And leased: nobody else is given it.
pub async fn a_due_delivery_is_handed_over_before_it_is_acknowledged<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    let mut new = bench.message(&[one, two]);
    new.deliver_at = Some(NOON.minus(SECOND));
    let id = bench.append(new.clone()).await.unwrap().id;
    let mut fresh = inbox.take();
    fresh.sort_by_key(|work| work.endpoint);
    assert_eq!(fresh.iter().map(|work| work.endpoint).collect::<Vec<_>>(), [one, two]);
    for work in &fresh {
        assert_eq!(
            (work.message.id, work.message.payload.as_ref()),
            (id, Some(&new.payload))
        );
        assert_eq!(work.progress, Progress::default());
        assert!(work.due_at <= bench.now());
        assert_eq!(bench.head(work.endpoint).await, None);
        assert!(bench.claim(work.endpoint, 10).await.work.is_empty());
        assert_eq!(bench.state(work.key()).await, Some(DeliveryState::Pending));
    }
}

/// And its endpoint is told of.
pub async fn a_stored_route_waits_in_the_store<B: Backend>(bench: Bench<B>) {
    let (handed, stored) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    let mut new = bench.message(&[handed]);
    new.routes.push(Route {
        endpoint: stored,
        stored: true,
        line: None,
    });
    let id = bench.append(new).await.unwrap().id;
    assert_eq!(
        inbox.take().iter().map(|work| work.endpoint).collect::<Vec<_>>(),
        [handed]
    );
    let told = inbox.take_stored();
    assert!(
        told.contains(&LaneHead {
            endpoint: stored,
            due_at: NOON
        }),
        "{told:?}"
    );
    assert!(told.iter().all(|head| head.endpoint == stored), "{told:?}");
    assert_eq!(bench.head(stored).await, Some(NOON));
    assert_eq!(bench.claim_one(stored).await.message.id, id);
}

/// `deliver_at`: neither handed over nor given before.
pub async fn a_delivery_for_later_waits_until_its_time<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let later = NOON.plus(3 * DAY);
    let mut new = bench.message(&[endpoint]);
    new.deliver_at = Some(later);
    bench.append(new).await.unwrap();
    assert!(inbox.take().is_empty());
    assert!(inbox.take_stored().contains(&LaneHead {
        endpoint,
        due_at: later
    }));
    let early = bench.claim_at(endpoint, later.minus(SECOND), 10).await;
    assert!(early.work.is_empty());
    assert_eq!((early.next_due, bench.head(endpoint).await), (Some(later), Some(later)));
    bench.clock.set(later);
    assert_eq!(bench.claim_one(endpoint).await.due_at, later);
}

/// Until somebody is attached.
pub async fn without_a_receiver_all_deliveries_wait_in_the_store<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    let inbox = bench.attach();
    assert!(inbox.take().is_empty());
    assert_eq!(bench.head(endpoint).await, Some(NOON));
    assert_eq!(bench.claim_one(endpoint).await.message.id, id);
    bench.publish(&[endpoint]).await;
    assert_eq!(inbox.take().len(), 1);
}

/// Nor does a refused one.
pub async fn a_repeated_publication_hands_nothing_over<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let mut new = bench.message(&[endpoint]);
    new.idempotency = idempotency(1, 1);
    new.event_id = Some("evt-1".to_owned());
    bench.append(new.clone()).await.unwrap();
    assert_eq!(inbox.take().len(), 1);
    assert!(bench.append(new.clone()).await.unwrap().repeated);
    new.idempotency = None;
    assert!(bench.append(new).await.is_err());
    assert!(inbox.take().is_empty() && inbox.take_stored().is_empty());
    assert_eq!(bench.sound().await.deliveries, 1);
}

/// Nobody wants it, and it is a message all the same.
pub async fn a_message_without_routes_is_kept<B: Backend>(mut bench: Bench<B>) {
    let id = bench.publish(&[]).await;
    bench.crash().await;
    assert!(bench.store().message(bench.app, id, false).await.unwrap().is_some());
    let report = bench.sound().await;
    assert_eq!((report.messages, report.deliveries), (1, 0));
}

/// Each under its own id, in the order of their ids, and all durable.
pub async fn many_concurrent_appends_are_all_kept<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let store = bench.store();
    let races = (0..300).map(|_| store.append(bench.message(&[endpoint])));
    let answers = join_all(races).await;
    let mut ids: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap().id.number()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 300);
    drop(store);
    bench.crash().await;
    let report = bench.sound().await;
    assert_eq!(
        (report.messages, report.deliveries, report.counts.pending),
        (300, 300, 300)
    );
    let claimed = bench.claim(endpoint, 1_000).await.work;
    let mut found: Vec<u64> = claimed.iter().map(|work| work.message.id.number()).collect();
    found.sort_unstable();
    assert_eq!(found, ids);
    assert!(
        claimed
            .iter()
            .all(|work| Arc::strong_count(&work.message) >= 1 && work.message.payload.is_some())
    );
}
