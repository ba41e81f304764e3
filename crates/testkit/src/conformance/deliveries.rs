//! Promises about how deliveries are shown.

use bellwire_core::{
    delivery::DeliveryState,
    id::{EndpointId, Id, MessageId},
};
use bellwire_store::{
    Verdict,
    query::{DeliveryRow, EndpointMessage, MessageFilter, Order, Page, Start},
};

use super::{
    Backend, Bench,
    bench::{ALL, DAY, HOUR, NOON},
    pages::walk,
};

async fn listed<B: Backend>(
    bench: &Bench<B>,
    endpoint: EndpointId,
    filter: MessageFilter,
    state: Option<DeliveryState>,
) -> Vec<MessageId> {
    let rows = bench
        .store()
        .endpoint_messages(bench.app, endpoint, filter, state, ALL, false)
        .await
        .unwrap();
    rows.items.iter().map(|row| row.message.id).collect()
}

/// One row each, whatever became of it.
pub async fn a_message_lists_its_deliveries_by_endpoint<B: Backend>(bench: Bench<B>) {
    let mut endpoints = Vec::new();
    for _ in 0..9 {
        endpoints.push(bench.endpoint().await);
    }
    let id = bench.publish(&endpoints).await;
    bench.attempt_all(endpoints[1], Verdict::Succeeded, 200).await;
    bench.attempt_all(endpoints[2], Verdict::Failed, 500).await;
    bench
        .attempt_all(endpoints[3], Verdict::RetryAt(NOON.plus(HOUR)), 500)
        .await;
    assert_eq!(bench.store().cancel(endpoints[4], 1).await.unwrap(), 1);
    let store = bench.store();
    let rows = walk(
        9,
        |row: &DeliveryRow| row.endpoint.number(),
        async |page| store.deliveries(bench.app, id, page).await.unwrap(),
    )
    .await;
    assert_eq!(rows.iter().map(|row| row.endpoint).collect::<Vec<_>>(), endpoints);
    use DeliveryState::{Cancelled, Failed, Pending, Succeeded};
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    assert_eq!(
        states,
        [
            Pending, Succeeded, Failed, Pending, Cancelled, Pending, Pending, Pending, Pending
        ]
    );
    assert!(rows.iter().all(|row| row.message == id));
    assert_eq!((rows[0].next_at, rows[3].next_at), (Some(NOON), Some(NOON.plus(HOUR))));
    assert!(rows.iter().all(|row| (row.state == Pending) == row.next_at.is_some()));
}

/// In pages of every size; other endpoints' messages lie between.
pub async fn an_endpoint_lists_its_messages_over_days<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let mut expected = Vec::new();
    for n in 0..24u32 {
        bench.clock.set(NOON.plus(n * 3 * HOUR));
        let to: &[EndpointId] = if n % 3 == 0 { &[two] } else { &[one, two] };
        let id = bench.publish(to).await;
        if n % 3 != 0 {
            expected.push(id);
        }
        // Some are over, some are not.
        if n % 2 == 0 {
            bench.attempt_all(one, Verdict::Succeeded, 200).await;
        }
    }
    let store = bench.store();
    let rows = walk(
        16,
        |row: &EndpointMessage| row.message.id.number(),
        async |page| {
            store
                .endpoint_messages(bench.app, one, MessageFilter::default(), None, page, true)
                .await
                .unwrap()
        },
    )
    .await;
    assert_eq!(rows.iter().map(|row| row.message.id).collect::<Vec<_>>(), expected);
    for row in rows {
        assert_eq!((row.delivery.message, row.delivery.endpoint), (row.message.id, one));
        assert!(row.message.payload.is_some());
    }
}

/// And one that was started anew by hand is among them.
pub async fn an_endpoint_lists_its_messages_by_state<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let verdicts = [
        Verdict::Succeeded,
        Verdict::Failed,
        Verdict::RetryAt(NOON.plus(9 * DAY)),
        Verdict::Cancelled,
    ];
    let mut ids = Vec::new();
    for n in 0..12u32 {
        bench.clock.set(NOON.plus(n * 6 * HOUR));
        ids.push(bench.publish(&[endpoint]).await);
        let verdict = verdicts[n as usize % 4];
        let work = bench.claim_one(endpoint).await;
        let tried = (verdict != Verdict::Cancelled).then_some(500);
        bench.settle(vec![bench.settlement(&work, verdict, tried)]).await;
    }
    use DeliveryState::{Cancelled, Failed, Pending, Sending, Succeeded};
    let store = bench.store();
    for (at, state) in [Succeeded, Failed, Pending, Cancelled].into_iter().enumerate() {
        let expected: Vec<_> = ids.iter().skip(at).step_by(4).copied().collect();
        assert_eq!(
            listed(&bench, endpoint, MessageFilter::default(), Some(state)).await,
            expected,
            "{state:?}"
        );
        walk(
            3,
            |row: &EndpointMessage| row.message.id.number(),
            async |page| {
                let any = MessageFilter::default();
                store
                    .endpoint_messages(bench.app, endpoint, any, Some(state), page, false)
                    .await
                    .unwrap()
            },
        )
        .await;
    }
    assert!(
        listed(&bench, endpoint, MessageFilter::default(), Some(Sending))
            .await
            .is_empty()
    );
    let other = bench.endpoint().await;
    let wish = bellwire_store::query::Requeue {
        message: ids[0],
        endpoint: other,
        due_at: bench.now(),
        trigger: bellwire_core::delivery::Trigger::Manual,
    };
    bench.requeue(vec![wish]).await;
    assert_eq!(
        listed(&bench, other, MessageFilter::default(), Some(Pending)).await,
        [ids[0]]
    );
}

/// Type, channel, tag and time.
pub async fn an_endpoint_lists_its_messages_by_condition<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut ids = Vec::new();
    for n in 0..8u32 {
        bench.clock.set(NOON.plus(n * 12 * HOUR));
        let mut new = bench.message(&[endpoint]);
        new.event_type = format!("type.{}", n % 2);
        new.channels = if n < 4 { vec!["a".to_owned()] } else { Vec::new() };
        new.tags = if n == 5 { vec!["x".to_owned()] } else { Vec::new() };
        ids.push(bench.append(new).await.unwrap().id);
    }
    let any = MessageFilter::default;
    let event_types = vec!["type.1".to_owned()];
    let by_type = listed(&bench, endpoint, MessageFilter { event_types, ..any() }, None).await;
    assert_eq!(by_type, [ids[1], ids[3], ids[5], ids[7]]);
    let by_channel = listed(
        &bench,
        endpoint,
        MessageFilter {
            channel: Some("a".to_owned()),
            ..any()
        },
        None,
    )
    .await;
    assert_eq!(by_channel, ids[..4]);
    assert_eq!(
        listed(
            &bench,
            endpoint,
            MessageFilter {
                tag: Some("x".to_owned()),
                ..any()
            },
            None
        )
        .await,
        [ids[5]]
    );
    let span = MessageFilter {
        after: Some(NOON.plus(12 * HOUR)),
        before: Some(NOON.plus(2 * DAY)),
        ..any()
    };
    assert_eq!(listed(&bench, endpoint, span, None).await, ids[1..4]);
}

/// The store does not know what is on the wire.
pub async fn what_is_in_flight_is_pending<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    bench.claim_one(endpoint).await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    assert_eq!(inbox.take().len(), 1);
    let page = Page {
        limit: 10,
        start: Start::First,
        order: Order::Descending,
    };
    let any = MessageFilter::default();
    let pending = Some(DeliveryState::Pending);
    let rows = bench
        .store()
        .endpoint_messages(bench.app, endpoint, any, pending, page, false)
        .await
        .unwrap();
    assert_eq!(rows.items.len(), 2);
    assert_eq!(bench.sound().await.counts.pending, 2);
}
