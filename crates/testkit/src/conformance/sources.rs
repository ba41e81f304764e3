//! Promises about sources: their configuration, and the requests that they refused.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    app::Environment,
    id::{EnvironmentId, Id as _, SourceId},
    source::{Source, SourceOrder, SourceRules},
    time::span::Span,
};
use bellwire_store::{
    Change, StoreError,
    query::{Order, Page, REFUSED_MAX, RefusedRequest, Rows, Start},
};

use super::{
    Backend, Bench,
    bench::{ALL, NOON, SECOND},
};

fn source<B: Backend>(bench: &Bench<B>, uid: Option<&str>) -> Source {
    let setting = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Source {
        id: bench.id(),
        environment: bench.environment,
        app: bench.app,
        uid: uid.map(str::to_owned),
        name: "Payments".to_owned(),
        kind: "stripe".to_owned(),
        token: "unguessable".to_owned(),
        former_tokens: Vec::new(),
        settings: BTreeMap::from([("secret".to_owned(), setting(&["whsec_new", "whsec_old"]))]),
        rules: SourceRules {
            for_each: Some("body.items".to_owned()),
            event_type: Some("type".to_owned()),
            dedupe: Some("id".to_owned()),
            order: Some(SourceOrder {
                by: "data.object.id".to_owned(),
                sequence: Some("data.seq".to_owned()),
                start: Some(1),
                wait: Some(Span(Duration::from_secs(5))),
                version: None,
            }),
        },
        managed: true,
        metadata: [("team".to_owned(), "billing".to_owned())].into(),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn put(source: &Source) -> Change {
    Change::PutSource(Box::new(source.clone()))
}

async fn sources<B: Backend>(bench: &Bench<B>) -> Vec<Source> {
    bench.store().configuration().await.unwrap().sources
}

/// Secret settings and the URL's token included; as it was replaced.
pub async fn a_source_reads_back_as_it_was<B: Backend>(mut bench: Bench<B>) {
    let mut payments = source(&bench, Some("payments"));
    bench.apply(vec![put(&payments), put(&source(&bench, None))]).await;
    payments = payments.rotated("rotated".to_owned(), NOON, NOON.plus(SECOND));
    payments.settings.clear();
    payments.rules = SourceRules::default();
    payments.updated_at = NOON.plus(SECOND);
    bench.apply(vec![put(&payments)]).await;
    bench.crash().await;
    let all = sources(&bench).await;
    assert!(all.len() == 2 && all.contains(&payments), "{all:?}");
    let other = all.iter().find(|source| source.id != payments.id).unwrap();
    let mut expected = source(&bench, None);
    expected.id = other.id;
    assert_eq!(*other, expected);
    let configuration = bench.store().configuration().await.unwrap();
    assert!(configuration.largest_number >= other.id.number());
    bench.apply(vec![Change::DeleteSource(payments.id)]).await;
    bench.crash().await;
    assert_eq!(sources(&bench).await, [expected]);
}

/// And nothing of the call is done.
pub async fn a_taken_uid_is_refused<B: Backend>(bench: Bench<B>) {
    let payments = source(&bench, Some("payments"));
    bench.apply(vec![put(&payments)]).await;
    let changes = vec![put(&source(&bench, None)), put(&source(&bench, Some("payments")))];
    match bench.store().apply(changes, None).await {
        Err(StoreError::Conflict { what, value }) => assert_eq!((what, value.as_str()), ("source uid", "payments")),
        other => panic!("a conflict, not {other:?}"),
    }
    assert_eq!(sources(&bench).await, std::slice::from_ref(&payments));
    // It may be put again, renamed, and its uid taken then.
    let mut renamed = payments.clone();
    renamed.uid = Some("old".to_owned());
    let successor = source(&bench, Some("payments"));
    bench.apply(vec![put(&payments), put(&renamed), put(&successor)]).await;
    let third = source(&bench, Some("payments"));
    bench.apply(vec![Change::DeleteSource(successor.id), put(&third)]).await;
    assert_eq!(sources(&bench).await.len(), 2);
}

/// A uid is unique where it belongs.
pub async fn two_environments_may_use_one_uid<B: Backend>(bench: Bench<B>) {
    let other: EnvironmentId = bench.id();
    let environment = Environment {
        id: other,
        name: "other".to_owned(),
        validate_payloads: false,
        created_at: NOON,
        updated_at: NOON,
    };
    let mut elsewhere = source(&bench, Some("payments"));
    elsewhere.environment = other;
    let here = source(&bench, Some("payments"));
    bench
        .apply(vec![Change::PutEnvironment(environment), put(&elsewhere), put(&here)])
        .await;
    assert_eq!(sources(&bench).await.len(), 2);
}

fn refused(source: SourceId, number: u64) -> RefusedRequest {
    RefusedRequest {
        number,
        source,
        at: NOON,
        status: 401,
        reason: "mismatch".to_owned(),
        detail: "the signature was made with another secret".to_owned(),
        method: "POST".to_owned(),
        target: "/in/payments?x=1".to_owned(),
        headers: vec![("stripe-signature".to_owned(), "t=1,v1=ab".to_owned())],
        peer: Some("192.0.2.7".to_owned()),
        body: "{\"ü\":1".to_owned(),
        skipped: number % 3,
    }
}

async fn refuse<B: Backend>(bench: &Bench<B>, batch: Vec<RefusedRequest>) {
    bench.store().refuse(batch).await.unwrap();
    bench.sound().await;
}

/// In pages, either way.
pub async fn refused_requests_read_back_after_a_crash<B: Backend>(mut bench: Bench<B>) {
    let (one, two) = (source(&bench, None), source(&bench, None));
    bench.apply(vec![put(&one), put(&two)]).await;
    refuse(&bench, vec![refused(one.id, 5), refused(two.id, 6), refused(one.id, 7)]).await;
    refuse(&bench, vec![refused(one.id, 9)]).await;
    // Repeated, because the answer was lost.
    refuse(&bench, vec![refused(one.id, 9)]).await;
    refuse(&bench, Vec::new()).await;
    bench.crash().await;
    let of = async |source: SourceId, page| bench.store().refused(source, page).await.unwrap();
    let expected = Rows {
        items: [5, 7, 9].map(|number| refused(one.id, number)).into(),
        more: false,
    };
    assert_eq!(of(one.id, ALL).await, expected);
    let newest = Page {
        limit: 2,
        start: Start::First,
        order: Order::Descending,
    };
    let page = of(one.id, newest).await;
    assert_eq!((page.items[0].number, page.items[1].number, page.more), (9, 7, true));
    let older = Page {
        start: Start::After(7),
        ..newest
    };
    let page = of(one.id, older).await;
    assert_eq!((page.items[0].number, page.items.len(), page.more), (5, 1, false));
    let newer = Page {
        start: Start::Before(5),
        ..newest
    };
    let page = of(one.id, newer).await;
    assert_eq!((page.items[0].number, page.items[1].number, page.more), (9, 7, false));
    assert_eq!(of(two.id, ALL).await.items.len(), 1);
}

/// Whether they come one by one or all at once.
pub async fn of_each_source_the_newest_are_kept<B: Backend>(bench: Bench<B>) {
    let (one, two) = (source(&bench, None), source(&bench, None));
    bench.apply(vec![put(&one), put(&two)]).await;
    let first = 1..=REFUSED_MAX as u64 + 20;
    let batch = first.flat_map(|number| [refused(one.id, 2 * number), refused(two.id, 2 * number + 1)]);
    refuse(&bench, batch.collect()).await;
    for number in 5_000..5_003 {
        refuse(&bench, vec![refused(one.id, number)]).await;
    }
    for (source, oldest) in [(one.id, 2 * 24), (two.id, 2 * 21 + 1)] {
        let kept = bench.store().refused(source, ALL).await.unwrap().items;
        assert_eq!((kept.len(), kept[0].number), (REFUSED_MAX, oldest));
    }
}

/// And one that is not there keeps none.
pub async fn a_deleted_source_takes_what_it_refused_along<B: Backend>(mut bench: Bench<B>) {
    let (one, two) = (source(&bench, None), source(&bench, None));
    bench.apply(vec![put(&one), put(&two)]).await;
    refuse(&bench, vec![refused(one.id, 5), refused(two.id, 6)]).await;
    bench.apply(vec![Change::DeleteSource(one.id)]).await;
    refuse(&bench, vec![refused(one.id, 7), refused(two.id, 8)]).await;
    bench.crash().await;
    assert_eq!(bench.store().refused(one.id, ALL).await, Ok(Rows::EMPTY));
    assert_eq!(bench.store().refused(two.id, ALL).await.unwrap().items.len(), 2);
    // Replacing one is not deleting it.
    bench.apply(vec![put(&two)]).await;
    assert_eq!(bench.store().refused(two.id, ALL).await.unwrap().items.len(), 2);
}

/// No number is given twice.
pub async fn the_numbers_of_refused_requests_are_remembered<B: Backend>(mut bench: Bench<B>) {
    let one = source(&bench, None);
    bench.apply(vec![put(&one)]).await;
    let number = bench.id::<SourceId>().number() + 1_000;
    refuse(&bench, vec![refused(one.id, number)]).await;
    bench.crash().await;
    assert!(bench.store().configuration().await.unwrap().largest_number >= number);
}
