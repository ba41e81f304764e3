//! Promises about attempts and their lists.

use bellwire_core::{
    delivery::DeliveryState,
    id::{AttemptId, EndpointId, Id, MessageId},
};
use bellwire_store::{
    Verdict,
    query::{AttemptFilter, AttemptKey, AttemptRow, MessageFilter, Rows},
};

use super::{
    Backend, Bench,
    bench::{ALL, DAY, HOUR, NOON},
    pages::walk,
};

/// Two messages to two endpoints, attempted twelve times each over three days, with answers in turn: none, 200, 404, 500.
struct History {
    endpoints: [EndpointId; 2],
    messages: [MessageId; 2],
}

const STATUSES: [u16; 4] = [0, 200, 404, 500];

async fn history<B: Backend>(bench: &Bench<B>) -> History {
    let endpoints = [bench.endpoint().await, bench.endpoint().await];
    let mut one = bench.message(&endpoints);
    one.event_type = "type.1".to_owned();
    one.channels = vec!["a".to_owned()];
    one.tags = vec!["x".to_owned()];
    let mut two = bench.message(&endpoints);
    two.event_type = "type.2".to_owned();
    let messages = [bench.append(one).await.unwrap().id, bench.append(two).await.unwrap().id];
    for round in 0..12u32 {
        bench.clock.set(NOON.plus(round * 6 * HOUR));
        for endpoint in endpoints {
            let again = Verdict::RetryAt(bench.now());
            bench.attempt_all(endpoint, again, STATUSES[round as usize % 4]).await;
        }
    }
    History { endpoints, messages }
}

fn number(row: &AttemptRow) -> u64 {
    row.attempt.id.number()
}

/// Of a message and of an endpoint, in pages of every size.
pub async fn pages_walk_forth_and_back_over_days<B: Backend>(bench: Bench<B>) {
    let History { endpoints, messages } = history(&bench).await;
    let store = bench.store();
    let of_message = walk(24, number, async |page| {
        store
            .attempts_of_message(bench.app, messages[0], AttemptFilter::default(), page)
            .await
            .unwrap()
    })
    .await;
    assert!(of_message.iter().all(|row| row.attempt.message == messages[0]));
    let of_endpoint = walk(24, number, async |page| {
        store
            .attempts_of_endpoint(bench.app, endpoints[1], AttemptFilter::default(), page, false)
            .await
            .unwrap()
    })
    .await;
    assert!(of_endpoint.iter().all(|row| row.attempt.endpoint == endpoints[1]));
    assert!(of_endpoint.is_sorted_by(|a, b| a.attempt.at <= b.attempt.at));
    // And with a condition that skips three of four.
    let filter = AttemptFilter {
        status_class: Some(400),
        ..AttemptFilter::default()
    };
    walk(6, number, async |page| {
        store
            .attempts_of_endpoint(bench.app, endpoints[0], filter.clone(), page, true)
            .await
            .unwrap()
    })
    .await;
    walk(6, number, async |page| {
        store
            .attempts_of_message(bench.app, messages[1], filter.clone(), page)
            .await
            .unwrap()
    })
    .await;
}

/// By state, class, endpoint, time, and by their message.
pub async fn filters_narrow<B: Backend>(bench: Bench<B>) {
    let History { endpoints, messages } = history(&bench).await;
    let store = bench.store();
    let any = AttemptFilter::default;
    let message = |message| AttemptFilter { message, ..any() };
    let span = MessageFilter {
        after: Some(NOON.plus(DAY)),
        before: Some(NOON.plus(2 * DAY)),
        ..MessageFilter::default()
    };
    let channel = MessageFilter {
        channel: Some("a".to_owned()),
        ..MessageFilter::default()
    };
    let tag = MessageFilter {
        tag: Some("x".to_owned()),
        ..MessageFilter::default()
    };
    let event_types = MessageFilter {
        event_types: vec!["type.2".to_owned()],
        ..MessageFilter::default()
    };
    // How many of an endpoint's 24 attempts, and of message one's 24.
    for (filter, of_endpoint, of_message) in [
        (any(), 24, 24),
        (
            AttemptFilter {
                state: Some(DeliveryState::Succeeded),
                ..any()
            },
            6,
            6,
        ),
        (
            AttemptFilter {
                state: Some(DeliveryState::Failed),
                ..any()
            },
            18,
            18,
        ),
        (
            AttemptFilter {
                state: Some(DeliveryState::Pending),
                ..any()
            },
            0,
            0,
        ),
        (
            AttemptFilter {
                status_class: Some(0),
                ..any()
            },
            6,
            6,
        ),
        (
            AttemptFilter {
                status_class: Some(200),
                ..any()
            },
            6,
            6,
        ),
        (
            AttemptFilter {
                status_class: Some(500),
                ..any()
            },
            6,
            6,
        ),
        (
            AttemptFilter {
                status_class: Some(300),
                ..any()
            },
            0,
            0,
        ),
        (
            AttemptFilter {
                endpoint: Some(endpoints[0]),
                ..any()
            },
            24,
            12,
        ),
        (message(span), 8, 8),
        (message(channel), 12, 24),
        (message(tag), 12, 24),
        (message(event_types), 12, 0),
    ] {
        let rows = store
            .attempts_of_endpoint(bench.app, endpoints[0], filter.clone(), ALL, false)
            .await
            .unwrap();
        assert_eq!(rows.items.len(), of_endpoint, "at an endpoint: {filter:?}");
        let rows = store
            .attempts_of_message(bench.app, messages[0], filter.clone(), ALL)
            .await
            .unwrap();
        assert_eq!(rows.items.len(), of_message, "of a message: {filter:?}");
    }
}

/// In every way of looking.
pub async fn an_application_sees_its_own_attempts_only<B: Backend>(bench: Bench<B>) {
    let other = bench.app().await;
    let endpoint = bench.endpoint().await;
    let message = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let store = bench.store();
    let any = AttemptFilter::default;
    assert_eq!(
        store.attempts_of_message(other, message, any(), ALL).await,
        Ok(Rows::EMPTY)
    );
    assert_eq!(
        store.attempts_of_endpoint(other, endpoint, any(), ALL, true).await,
        Ok(Rows::EMPTY)
    );
    let attempt = bench.attempts(message).await[0].attempt.id;
    assert_eq!(
        store
            .attempt(AttemptKey {
                app: other,
                message,
                attempt
            })
            .await,
        Ok(None)
    );
    assert_eq!(
        store
            .expunge_attempt(AttemptKey {
                app: other,
                message,
                attempt
            })
            .await,
        Ok(false)
    );
    let second = bench.publish(&[]).await;
    assert_eq!(
        store
            .attempt(AttemptKey {
                app: bench.app,
                message: second,
                attempt
            })
            .await,
        Ok(None)
    );
    assert!(
        store
            .attempt(AttemptKey {
                app: bench.app,
                message,
                attempt
            })
            .await
            .unwrap()
            .is_some()
    );
}

/// With its payload when that is asked for.
pub async fn an_attempt_comes_with_its_message<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    let payload = bench.message(&[]).payload;
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let store = bench.store();
    for (with_payload, expected) in [(true, Some(payload)), (false, None)] {
        let rows = store
            .attempts_of_endpoint(bench.app, endpoint, AttemptFilter::default(), ALL, with_payload)
            .await;
        let message = rows.unwrap().items.remove(0).message.unwrap();
        assert_eq!((message.id, message.payload), (id, expected));
    }
    let message = bench.attempts(id).await.remove(0).message.unwrap();
    assert_eq!((message.id, message.payload), (id, None));
}

/// The attempt stays.
pub async fn an_expunged_answer_is_gone_for_good<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let message = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::Failed, 500).await;
    let attempt = bench.attempts(message).await[0].attempt.id;
    let key = AttemptKey {
        app: bench.app,
        message,
        attempt,
    };
    let never: AttemptId = bench.id();
    assert_eq!(
        bench
            .store()
            .expunge_attempt(AttemptKey { attempt: never, ..key })
            .await,
        Ok(false)
    );
    assert_eq!(bench.store().expunge_attempt(key).await, Ok(true));
    bench.crash().await;
    let found = bench.store().attempt(key).await.unwrap().unwrap().attempt;
    assert!(found.response.is_empty());
    assert_eq!((found.id, found.status_code), (attempt, 500));
}
