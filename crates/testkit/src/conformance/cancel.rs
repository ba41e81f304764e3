//! Promises of `cancel`.

use bellwire_core::delivery::DeliveryState;
use bellwire_store::Verdict;

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON},
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
