//! Promises of `claim`.

use bellwire_core::{delivery::DeliveryKey, id::MessageId};
use bellwire_store::{ClaimRequest, Verdict, query::Cutoffs};
use futures_util::future::join_all;

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND},
};

/// Whatever the order in which they were published.
pub async fn the_earliest_due_comes_first<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut due = Vec::new();
    for seconds in [50, 10, 40, 20, 30] {
        let mut new = bench.message(&[endpoint]);
        new.deliver_at = Some(NOON.plus(seconds * SECOND));
        due.push((NOON.plus(seconds * SECOND), bench.append(new).await.unwrap().id));
    }
    due.sort_unstable();
    bench.clock.set(NOON.plus(HOUR));
    let claimed = bench.claim(endpoint, 10).await;
    let given: Vec<_> = claimed.work.iter().map(|work| (work.due_at, work.message.id)).collect();
    assert_eq!(given, due);
    assert_eq!(claimed.next_due, None);
}

/// And what is due exactly now is.
pub async fn what_is_not_due_is_not_given<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut new = bench.message(&[endpoint]);
    new.deliver_at = Some(NOON.plus(SECOND));
    bench.append(new).await.unwrap();
    let claimed = bench.claim(endpoint, 10).await;
    assert!(claimed.work.is_empty());
    assert_eq!(claimed.next_due, Some(NOON.plus(SECOND)));
    bench.tick();
    assert_eq!(bench.claim(endpoint, 10).await.work.len(), 1);
}

/// What remains may be due already, or later.
pub async fn a_limit_is_kept_and_what_remains_is_told<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..5 {
        bench.publish(&[endpoint]).await;
        bench.tick();
    }
    let mut later = bench.message(&[endpoint]);
    later.deliver_at = Some(NOON.plus(DAY));
    bench.append(later).await.unwrap();
    let first = bench.claim(endpoint, 3).await;
    assert_eq!(first.work.len(), 3);
    assert_eq!(first.next_due, Some(NOON.plus(3 * SECOND)));
    let second = bench.claim(endpoint, 3).await;
    assert_eq!(second.work.len(), 2);
    assert_eq!(second.next_due, Some(NOON.plus(DAY)));
    let third = bench.claim_at(endpoint, NOON.plus(DAY), 3).await;
    assert_eq!((third.work.len(), third.next_due), (1, None));
}

/// Until it is settled.
pub async fn two_claims_never_give_the_same_delivery<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let work = bench.claim_one(endpoint).await;
    let again = bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await;
    assert!(again.work.is_empty() && again.next_due.is_none());
    bench
        .settle(vec![bench.settlement(&work, Verdict::Park(NOON), None)])
        .await;
    assert_eq!(bench.claim_one(endpoint).await.key(), work.key());
}

/// However many ask at once.
pub async fn racing_claims_never_give_the_same_delivery<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..40 {
        bench.publish(&[endpoint]).await;
    }
    let store = bench.store();
    let races = (0..16).map(|_| {
        store.claim(ClaimRequest {
            endpoint,
            now: NOON,
            limit: 5,
        })
    });
    let mut given: Vec<DeliveryKey> = Vec::new();
    for claimed in join_all(races).await {
        given.extend(claimed.unwrap().work.iter().map(|work| work.key()));
    }
    assert_eq!(given.len(), 40);
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 40, "each was given once");
    bench.sound().await;
}

/// Lanes are apart.
pub async fn one_endpoint_is_not_given_what_another_ones_is<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let to_one = bench.publish(&[one]).await;
    let to_both = bench.publish(&[one, two]).await;
    let ids = |claimed: bellwire_store::Claimed| -> Vec<MessageId> {
        claimed.work.iter().map(|work| work.message.id).collect()
    };
    assert_eq!(ids(bench.claim(two, 10).await), [to_both]);
    assert_eq!(ids(bench.claim(one, 10).await), [to_one, to_both]);
}

/// It is forgotten, and does not come back.
pub async fn a_delivery_whose_message_is_gone_is_removed_silently<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut old = bench.message(&[endpoint]);
    old.deliver_at = Some(NOON.plus(10 * DAY));
    bench.append(old).await.unwrap();
    bench.clock.set(NOON.plus(5 * DAY));
    let young = bench.publish(&[endpoint]).await;
    let cutoffs = Cutoffs {
        messages: NOON.plus(3 * DAY),
        attempts: NOON,
        payloads: NOON,
    };
    while bench.store().retain(cutoffs).await.unwrap().more {}
    bench.sound().await;
    bench.clock.set(NOON.plus(11 * DAY));
    let claimed = bench.claim(endpoint, 10).await;
    assert_eq!(
        claimed.work.iter().map(|work| work.message.id).collect::<Vec<_>>(),
        [young]
    );
    let settled = bench.settlement(&claimed.work[0], Verdict::Succeeded, Some(200));
    bench.settle(vec![settled]).await;
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    assert_eq!(bench.head(endpoint).await, None);
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, None);
    assert_eq!(bench.sound().await.deliveries, 1);
}

/// The delivery does.
pub async fn an_expunged_payload_does_not_come_along<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    assert!(bench.store().expunge_payload(bench.app, id).await.unwrap());
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, &work.message.payload), (id, &None));
}
