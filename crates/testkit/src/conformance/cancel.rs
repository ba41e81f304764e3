//! Promises of `cancel`.

use bellwire_core::delivery::DeliveryState;
use bellwire_store::{Change, Verdict};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, place, place_of},
};

/// Until there are none.
pub async fn waiting_deliveries_are_cancelled_in_pieces<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..4 {
        bench.publish(&[endpoint]).await;
    }
    // Those that are due later wait as well.
    bench.attempt_all(endpoint, Verdict::RetryAt(NOON.plus(DAY)), 500).await;
    for _ in 0..3 {
        bench.publish(&[endpoint]).await;
    }
    for expected in [3, 3, 1, 0] {
        assert_eq!(bench.store().cancel(endpoint, 3).await.unwrap(), expected);
        bench.sound().await;
    }
    bench.crash().await;
    assert_eq!(bench.sound().await.counts.cancelled, 7);
    assert_eq!(bench.head(endpoint).await, None);
}

/// Their holders decide.
pub async fn leased_deliveries_are_left_alone<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let claimed = bench.claim_one(endpoint).await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let fresh = inbox.take().remove(0);
    assert_eq!(bench.store().cancel(endpoint, 10).await.unwrap(), 0);
    for work in [claimed, fresh] {
        assert_eq!(bench.state(work.key()).await, Some(DeliveryState::Pending));
        bench
            .settle(vec![bench.settlement(
                &work,
                Verdict::RetryAt(NOON.plus(HOUR)),
                Some(500),
            )])
            .await;
    }
    assert_eq!(bench.store().cancel(endpoint, 10).await.unwrap(), 2);
    assert_eq!(bench.sound().await.counts.cancelled, 2);
}

/// The others go on.
pub async fn only_the_endpoint_that_was_named_is_touched<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let id = bench.publish(&[one, two]).await;
    assert_eq!(bench.store().cancel(one, 10).await.unwrap(), 1);
    assert_eq!(
        bench.delivery(id, one).await.map(|row| row.state),
        Some(DeliveryState::Cancelled)
    );
    assert_eq!(
        bench.delivery(id, two).await.map(|row| row.state),
        Some(DeliveryState::Pending)
    );
    assert_eq!(bench.claim_one(two).await.message.id, id);
}

/// It is over.
pub async fn a_cancelled_delivery_is_neither_given_nor_counted_as_waiting<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    assert_eq!(bench.store().cancel(endpoint, 10).await.unwrap(), 1);
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    assert_eq!(bench.head(endpoint).await, None);
    assert_eq!(bench.store().health().await.waiting, 0);
    let row = bench.delivery(id, endpoint).await.unwrap();
    assert_eq!(
        (row.state, row.next_at, row.progress.tries),
        (DeliveryState::Cancelled, None, 0)
    );
}

// -- in lines ----------------------------------------------------------------------------------------------------------

/// Nobody is given a turn in between, and numbers go on.
pub async fn lines_are_emptied_from_behind<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut heads = Vec::new();
    for (era, key) in [(1, "a"), (1, "b"), (2, "")] {
        heads.push(bench.publish_in_era(endpoint, key, era).await);
        for _ in 0..3 {
            bench.publish_in_era(endpoint, key, era).await;
        }
    }
    let loose = bench.publish(&[endpoint]).await;
    let mut cancelled = 0;
    loop {
        let n = bench.store().cancel(endpoint, 3).await.unwrap();
        bench.sound().await;
        cancelled += n;
        if n == 0 {
            break;
        }
        let left = bench.claim(endpoint, 10).await.work;
        for work in left {
            let known = [heads[0], heads[1], loose];
            assert!(known.contains(&work.message.id), "{work:?} was given a turn");
            bench.end(&work, Verdict::Park(NOON)).await;
        }
    }
    assert_eq!(cancelled, 13);
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, None);
    assert_eq!(bench.sound().await.counts.cancelled, 13);
    bench.publish_in_era(endpoint, "a", 2).await;
    assert_eq!(place_of(&bench.claim_one(endpoint).await), place("a", 5, 0));
}

/// They were given up before.
pub async fn blocked_heads_leave_their_lines_as_they_are<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let head = bench.publish_in(endpoint, "a").await;
    bench.publish_in(endpoint, "a").await;
    let work = bench.claim_one(endpoint).await;
    bench.end(&work, Verdict::Blocked).await;
    let mut cancelled = 0;
    while let n @ 1.. = bench.store().cancel(endpoint, 10).await.unwrap() {
        cancelled += n;
    }
    assert_eq!(cancelled, 1);
    bench.crash().await;
    assert_eq!(bench.state_at(head, endpoint).await, Some(DeliveryState::Failed));
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.waiting, line.head), (2, 0, None));
    let next = bench.publish_in(endpoint, "a").await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, next);
}

/// Its holder decides; until then, who comes later waits.
pub async fn a_head_that_is_out_keeps_its_place<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish_in(endpoint, "a").await;
    bench.publish_in(endpoint, "a").await;
    let out = inbox.take().remove(0);
    assert_eq!(bench.store().cancel(endpoint, 10).await.unwrap(), 1);
    let next = bench.publish_in(endpoint, "a").await;
    assert!(inbox.take().is_empty());
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    bench.end(&out, Verdict::Cancelled).await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (next, place("a", 3, 0)));
}

/// With a head that is out and one that is blocked.
pub async fn the_lines_of_a_deleted_endpoint_are_emptied<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for key in ["a", "b"] {
        for _ in 0..3 {
            bench.publish_in(endpoint, key).await;
        }
    }
    let work = bench.claim(endpoint, 10).await.work;
    bench.end(&work[0], Verdict::Blocked).await;
    bench.apply(vec![Change::DeleteEndpoint(endpoint)]).await;
    let mut cancelled = 0;
    while let n @ 1.. = bench.store().cancel(endpoint, 2).await.unwrap() {
        cancelled += n;
        bench.sound().await;
    }
    assert_eq!(cancelled, 4);
    bench.end(&work[1], Verdict::Cancelled).await;
    assert_eq!(bench.head(endpoint).await, None);
    assert!(bench.claim_at(endpoint, NOON.plus(DAY), 10).await.work.is_empty());
    assert_eq!(bench.line(endpoint, "a").await, None);
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, None);
    assert_eq!(bench.sound().await.counts.pending, 0);
}
