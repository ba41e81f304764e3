//! Promises about the numbers of lines: from 1, without gaps, by key and endpoint.

use std::collections::BTreeMap;

use bellwire_core::{id::MessageId, order::Line};
use bellwire_store::{AppendError, query::MessageFilter};
use futures_util::future::join_all;

use super::{
    Backend, Bench,
    bench::{ALL, idempotency, place, place_of},
};

/// Each key at each endpoint counts from 1.
pub async fn numbers_are_given_by_key_and_endpoint<B: Backend>(mut bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let mut expected = BTreeMap::new();
    let mut given = BTreeMap::<_, u64>::new();
    for (n, key) in ["a", "b", "a", "a", "c", "b", "A", "a "].into_iter().enumerate() {
        for endpoint in [one, two].into_iter().take(1 + n % 2) {
            let number = given.entry((endpoint, key)).or_default();
            *number += 1;
            expected.insert((bench.publish_in(endpoint, key).await, endpoint), *number);
        }
        if n == 4 {
            bench.crash().await;
        }
    }
    for ((id, endpoint), number) in expected {
        assert_eq!(bench.delivery(id, endpoint).await.unwrap().sequence, Some(number));
    }
    for ((endpoint, key), last) in given {
        assert_eq!(bench.line(endpoint, key).await.unwrap().last, last);
    }
}

/// In each its own.
pub async fn one_message_joins_the_lines_of_several_endpoints<B: Backend>(bench: Bench<B>) {
    let endpoints = [bench.endpoint().await, bench.endpoint().await, bench.endpoint().await];
    bench.publish_in(endpoints[0], "a").await;
    let mut new = bench.message(&endpoints);
    new.routes[0].line = Some(Line {
        key: "a".into(),
        era: 1,
    });
    new.routes[1].line = Some(Line { key: "".into(), era: 4 });
    let id = bench.append(new).await.unwrap().id;
    let mut numbers = Vec::new();
    for endpoint in endpoints {
        numbers.push(bench.delivery(id, endpoint).await.unwrap().sequence);
    }
    assert_eq!(numbers, [Some(2), Some(1), None]);
    let first = bench.claim_one(endpoints[0]).await;
    assert_ne!(first.message.id, id);
    assert_eq!(place_of(&bench.claim_one(endpoints[1]).await), place("", 1, 0));
    assert_eq!(bench.claim_one(endpoints[2]).await.place, None);
}

/// A message that was filtered out before, one that is refused, and one that is published a second time.
pub async fn what_is_not_accepted_takes_no_number<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    bench.publish_in(endpoint, "a").await;
    let mut elsewhere = bench.message(&[other]);
    elsewhere.ordering_key = Some("a".to_owned());
    bench.append(elsewhere).await.unwrap();
    let mut new = bench.in_line(endpoint, "a", 1);
    new.event_id = Some("evt-1".to_owned());
    new.idempotency = idempotency(1, 1);
    bench.append(new.clone()).await.unwrap();
    assert!(bench.append(new.clone()).await.unwrap().repeated);
    new.idempotency = idempotency(1, 2);
    assert_eq!(bench.append(new.clone()).await, Err(AppendError::IdempotencyMismatch));
    new.idempotency = None;
    assert!(bench.append(new).await.is_err(), "its event id is taken");
    let third = bench.publish_in(endpoint, "a").await;
    assert_eq!(bench.delivery(third, endpoint).await.unwrap().sequence, Some(3));
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.waiting), (3, 3));
}

/// Also when some of them are refused in the same commit.
pub async fn racing_appends_are_numbered_without_gaps<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let store = bench.store();
    let keys = ["a", "b", "c", "d", "e"];
    let races = (0..300u16).map(|n| {
        let mut new = bench.in_line(endpoint, keys[usize::from(n % 5)], 1);
        // Every tenth event id is there three times.
        new.event_id = (n % 10 < 3).then(|| format!("evt-{}", n / 10));
        store.append(new)
    });
    let answers = join_all(races).await;
    let accepted: Vec<MessageId> = answers.iter().flatten().map(|appended| appended.id).collect();
    assert_eq!(accepted.len(), 300 - 30 * 2);
    let fresh = inbox.take();
    assert_eq!(fresh.len(), 5, "the head of each line is handed over, and nobody else");
    drop(store);
    bench.crash().await;
    let mut numbers = BTreeMap::<String, Vec<u64>>::new();
    for id in accepted {
        let number = bench.delivery(id, endpoint).await.unwrap().sequence.unwrap();
        let message = bench.store().message(bench.app, id, false).await.unwrap().unwrap();
        numbers.entry(message.ordering_key.unwrap()).or_default().push(number);
    }
    for (key, mut numbers) in numbers {
        numbers.sort_unstable();
        let last = numbers.len() as u64;
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "{key}");
        assert_eq!(bench.line(endpoint, &key).await.unwrap().last, last);
    }
}

/// With every copy that is shown, and across a crash.
pub async fn a_message_keeps_its_ordering_key<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let key = "customer 42/äöü%".to_owned();
    let id = bench.publish_in(endpoint, &key).await;
    assert_eq!(inbox.take().remove(0).message.ordering_key, Some(key.clone()));
    bench.crash().await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!(work.message.ordering_key, Some(key.clone()));
    assert_eq!(place_of(&work), place(&key, 1, 0));
    let store = bench.store();
    let found = store.message(bench.app, id, false).await.unwrap().unwrap();
    assert_eq!(found.ordering_key, Some(key.clone()));
    let listed = store.messages(bench.app, MessageFilter::default(), ALL, false).await;
    assert_eq!(listed.unwrap().items[0].ordering_key, Some(key.clone()));
    // A key is kept where nobody keeps order as well.
    let mut new = bench.message(&[endpoint]);
    new.ordering_key = Some(key.clone());
    let id = bench.append(new).await.unwrap().id;
    bench.crash().await;
    let found = bench.store().message(bench.app, id, true).await.unwrap().unwrap();
    assert_eq!(found.ordering_key, Some(key));
    assert_eq!(bench.delivery(id, endpoint).await.unwrap().sequence, None);
}
