//! Promises about messages and their lists.

use bellwire_core::{
    id::{Id, MessageId},
    message::Message,
};
use bellwire_store::query::{MessageFilter, Rows};

use super::{
    Backend, Bench,
    bench::{ALL, DAY, HOUR, NOON},
    pages::walk,
};

/// 24 messages over three days; every second one on channel `a`, every third with tag `x`, four event types in turn.
pub(super) async fn three_days<B: Backend>(bench: &Bench<B>) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in 0..24 {
        bench.clock.set(NOON.plus(n * 3 * HOUR));
        let mut new = bench.message(&[]);
        new.event_type = format!("type.{}", n % 4);
        new.channels = if n % 2 == 0 {
            vec!["a".to_owned(), "b".to_owned()]
        } else {
            vec!["ab".to_owned()]
        };
        new.tags = if n % 3 == 0 { vec!["x".to_owned()] } else { Vec::new() };
        ids.push(bench.append(new).await.unwrap().id);
    }
    ids
}

fn ids(rows: &Rows<Message>) -> Vec<MessageId> {
    rows.items.iter().map(|message| message.id).collect()
}

/// In pages of every size.
pub async fn pages_walk_forth_and_back_over_days<B: Backend>(bench: Bench<B>) {
    let made = three_days(&bench).await;
    let store = bench.store();
    let listed = walk(
        24,
        |message: &Message| message.id.number(),
        async |page| {
            store
                .messages(bench.app, MessageFilter::default(), page, false)
                .await
                .unwrap()
        },
    )
    .await;
    assert_eq!(listed.iter().map(|message| message.id).collect::<Vec<_>>(), made);
}

/// By channel, tag, event types and time.
pub async fn filters_narrow<B: Backend>(bench: Bench<B>) {
    let made = three_days(&bench).await;
    let store = bench.store();
    let list = async |filter: MessageFilter| ids(&store.messages(bench.app, filter, ALL, false).await.unwrap());
    let every = |keep: fn(usize) -> bool| -> Vec<_> {
        made.iter()
            .enumerate()
            .filter(|(n, _)| keep(*n))
            .map(|(_, id)| *id)
            .collect()
    };
    let any = MessageFilter::default;
    assert_eq!(
        list(MessageFilter {
            channel: Some("a".to_owned()),
            ..any()
        })
        .await,
        every(|n| n % 2 == 0)
    );
    assert_eq!(
        list(MessageFilter {
            channel: Some("ab".to_owned()),
            ..any()
        })
        .await,
        every(|n| n % 2 == 1)
    );
    assert_eq!(
        list(MessageFilter {
            tag: Some("x".to_owned()),
            ..any()
        })
        .await,
        every(|n| n % 3 == 0)
    );
    let event_types = vec!["type.1".to_owned(), "type.2".to_owned()];
    assert_eq!(
        list(MessageFilter { event_types, ..any() }).await,
        every(|n| n % 4 == 1 || n % 4 == 2)
    );
    assert!(
        list(MessageFilter {
            event_types: vec!["type".to_owned()],
            ..any()
        })
        .await
        .is_empty()
    );
    // The bounds: at or after, and before.
    let span = MessageFilter {
        after: Some(NOON.plus(9 * HOUR)),
        before: Some(NOON.plus(30 * HOUR)),
        ..any()
    };
    assert_eq!(list(span).await, every(|n| (3..10).contains(&n)));
    let both = MessageFilter {
        channel: Some("a".to_owned()),
        tag: Some("x".to_owned()),
        ..any()
    };
    assert_eq!(list(both).await, every(|n| n % 6 == 0));
}

/// A page is full of what matches, however much lies between.
pub async fn filters_and_pages_go_together<B: Backend>(bench: Bench<B>) {
    let made = three_days(&bench).await;
    let store = bench.store();
    let filter = MessageFilter {
        tag: Some("x".to_owned()),
        after: Some(NOON.plus(10 * HOUR)),
        before: Some(NOON.plus(3 * DAY)),
        ..MessageFilter::default()
    };
    let listed = walk(
        6,
        |message: &Message| message.id.number(),
        async |page| store.messages(bench.app, filter.clone(), page, false).await.unwrap(),
    )
    .await;
    let expected = made.iter().enumerate().filter(|(n, _)| n % 3 == 0 && *n > 3);
    assert_eq!(
        listed.iter().map(|message| message.id).collect::<Vec<_>>(),
        expected.map(|(_, id)| *id).collect::<Vec<_>>()
    );
}

/// In every way of looking.
pub async fn an_application_sees_its_own_messages_only<B: Backend>(bench: Bench<B>) {
    let other = bench.app().await;
    let mut new = bench.message(&[]);
    new.event_id = Some("evt-1".to_owned());
    let id = bench.append(new).await.unwrap().id;
    let store = bench.store();
    assert_eq!(store.message(other, id, true).await, Ok(None));
    assert_eq!(store.message_by_event_id(other, "evt-1").await, Ok(None));
    assert_eq!(
        store.messages(other, MessageFilter::default(), ALL, true).await,
        Ok(Rows::EMPTY)
    );
    assert_eq!(store.deliveries(other, id, ALL).await, Ok(Rows::EMPTY));
    assert_eq!(store.expunge_payload(other, id).await, Ok(false));
    let found = store.message(bench.app, id, true).await.unwrap().unwrap();
    assert!(found.payload.is_some());
}

/// In look-ups and in lists.
pub async fn payloads_come_only_when_asked_for<B: Backend>(bench: Bench<B>) {
    let id = bench.publish(&[]).await;
    let payload = bench.message(&[]).payload;
    let store = bench.store();
    for (with_payload, expected) in [(true, Some(payload)), (false, None)] {
        let one = store.message(bench.app, id, with_payload).await.unwrap().unwrap();
        let all = store
            .messages(bench.app, MessageFilter::default(), ALL, with_payload)
            .await
            .unwrap();
        assert_eq!(
            (one.payload, all.items[0].payload.clone()),
            (expected.clone(), expected)
        );
    }
}

/// The message stays.
pub async fn an_expunged_payload_is_gone_for_good<B: Backend>(mut bench: Bench<B>) {
    let id = bench.publish(&[]).await;
    let never: MessageId = bench.id();
    assert_eq!(bench.store().expunge_payload(bench.app, never).await, Ok(false));
    assert_eq!(bench.store().expunge_payload(bench.app, id).await, Ok(true));
    assert_eq!(
        bench.store().expunge_payload(bench.app, id).await,
        Ok(true),
        "asked twice, the answer is the same"
    );
    bench.crash().await;
    let found = bench.store().message(bench.app, id, true).await.unwrap().unwrap();
    assert_eq!(found.payload, None);
}

/// Its own.
pub async fn an_event_id_finds_its_message<B: Backend>(mut bench: Bench<B>) {
    let mut new = bench.message(&[]);
    new.event_id = Some("evt-1".to_owned());
    let id = bench.append(new).await.unwrap().id;
    bench.crash().await;
    assert_eq!(
        bench.store().message_by_event_id(bench.app, "evt-1").await,
        Ok(Some(id))
    );
    assert_eq!(bench.store().message_by_event_id(bench.app, "evt-2").await, Ok(None));
}
