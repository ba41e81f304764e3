//! Promises about the configuration.

use bellwire_core::{
    app::Token,
    decide::Health,
    delivery::DeliveryState,
    endpoint::{Disabled, DisabledReason, LiveKey},
    event_type::EventType,
    id::Id as _,
    secret::SigningKey,
    token::Scope,
};
use bellwire_store::{Change, StoreError, StoredAnswer, Verdict};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND},
};

fn event_type<B: Backend>(bench: &Bench<B>, name: &str) -> EventType {
    let schema = [("1".to_owned(), "{}".parse().unwrap())].into_iter().collect();
    EventType {
        environment: bench.environment,
        name: name.to_owned(),
        description: "an invoice was paid".to_owned(),
        archived: false,
        deprecated: true,
        schemas: Some(schema),
        feature_flags: vec!["beta".to_owned()],
        group_name: Some("billing".to_owned()),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn token<B: Backend>(bench: &Bench<B>, app: Option<bellwire_core::id::AppId>) -> Token {
    Token {
        id: bench.id(),
        environment: bench.environment,
        scope: if app.is_some() { Scope::App } else { Scope::Admin },
        app,
        name: "a token".to_owned(),
        hash: [9; 32],
        expires_at: Some(NOON.plus(DAY)),
        created_at: NOON,
    }
}

fn answer(key: u8) -> StoredAnswer {
    StoredAnswer {
        key: [key; 32],
        body_hash: [1; 32],
        status: 201,
        body: b"{\"id\":\"x\"}".to_vec(),
        expires_at: NOON.plus(HOUR),
    }
}

/// As it was put, and as it was replaced.
pub async fn everything_reads_back_after_a_crash<B: Backend>(mut bench: Bench<B>) {
    let mut app = bench.new_app(bench.id(), Some("customer-1"));
    let mut endpoint = bench.new_endpoint(app.id, Some("main"));
    endpoint.action.settings = Some(r#"{"url": "https://example.com/s3cr3t"}"#.into());
    endpoint.action.hidden = ["/url".to_owned()].into();
    let paid = event_type(&bench, "invoice.paid");
    let token = token(&bench, Some(app.id));
    bench
        .apply(vec![
            Change::PutApp(app.clone()),
            Change::PutEndpoint(Box::new(endpoint.clone())),
            Change::PutEventType(Box::new(paid.clone())),
            Change::PutEventType(Box::new(event_type(&bench, "invoice.sent"))),
            Change::PutToken(Box::new(token.clone())),
        ])
        .await;
    app.name = "renamed".to_owned();
    app.updated_at = NOON.plus(SECOND);
    bench
        .apply(vec![
            Change::PutApp(app.clone()),
            Change::DeleteEventType {
                environment: bench.environment,
                name: "invoice.sent".to_owned(),
            },
        ])
        .await;
    bench.crash().await;
    let all = bench.store().configuration().await.unwrap();
    assert_eq!(
        all.environments.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["test"]
    );
    assert!(all.apps.contains(&app) && all.apps.len() == 2);
    assert_eq!(all.event_types, [paid]);
    assert_eq!(all.tokens, [token]);
    assert_eq!(
        all.endpoints.iter().map(|e| (e.id, e.app)).collect::<Vec<_>>(),
        [(endpoint.id, app.id)]
    );
    assert!(all.endpoints.iter().all(|kept| kept.action == endpoint.action));
    bench.apply(vec![Change::DeleteToken(all.tokens[0].id)]).await;
    assert!(bench.store().configuration().await.unwrap().tokens.is_empty());
}

/// Signing keys with their expiry, headers, and all that is not secret.
pub async fn secrets_read_back_as_they_were<B: Backend>(mut bench: Bench<B>) {
    let mut endpoint = bench.new_endpoint(bench.app, Some("main"));
    let (new, old) = (
        SigningKey::generate_symmetric([1; 24]),
        SigningKey::generate_asymmetric([2; 32]).unwrap(),
    );
    endpoint.keys = vec![
        LiveKey {
            key: new,
            expires_at: None,
        },
        LiveKey {
            key: old,
            expires_at: Some(NOON.plus(DAY)),
        },
    ];
    endpoint.description = "main".to_owned();
    endpoint.disabled = Some(Disabled {
        since: NOON,
        reason: DisabledReason::Gone,
    });
    endpoint.paused = true;
    endpoint.event_types = Some(vec!["invoice.*".to_owned()]);
    endpoint.channels = Some(vec!["a".to_owned()]);
    endpoint.throttle_rate = Some(7);
    endpoint.retry_schedule = Some(vec![SECOND, HOUR]);
    endpoint.timeout = Some(9 * SECOND);
    endpoint.max_in_flight = Some(3);
    bench.apply(vec![Change::PutEndpoint(Box::new(endpoint.clone()))]).await;
    bench.crash().await;
    let found = bench.store().configuration().await.unwrap().endpoints.remove(0);
    let keys = |endpoint: &bellwire_core::endpoint::Endpoint| -> Vec<_> {
        endpoint
            .keys
            .iter()
            .map(|live| (live.key.expose(), live.expires_at))
            .collect()
    };
    assert_eq!(keys(&found), keys(&endpoint));
    assert_eq!((found.headers, found.metadata), (endpoint.headers, endpoint.metadata));
    assert_eq!(
        (found.uid, found.url, found.description),
        (endpoint.uid, endpoint.url, endpoint.description)
    );
    assert_eq!((found.disabled, found.paused), (endpoint.disabled, endpoint.paused));
    assert_eq!(
        (found.event_types, found.channels),
        (endpoint.event_types, endpoint.channels)
    );
    assert_eq!(
        (found.throttle_rate, found.max_in_flight),
        (endpoint.throttle_rate, endpoint.max_in_flight)
    );
    assert_eq!(
        (found.retry_schedule, found.timeout),
        (endpoint.retry_schedule, endpoint.timeout)
    );
    assert_eq!(
        (found.created_at, found.updated_at),
        (endpoint.created_at, endpoint.updated_at)
    );
}

/// Its row of failures is forgotten; any other change leaves it.
pub async fn an_endpoint_that_is_enabled_again_starts_without_its_failures<B: Backend>(bench: Bench<B>) {
    let mut endpoint = bench.new_endpoint(bench.app, None);
    bench.apply(vec![Change::PutEndpoint(Box::new(endpoint.clone()))]).await;
    bench.publish(&[endpoint.id]).await;
    let work = bench.claim_one(endpoint.id).await;
    let mut settlement = bench.settlement(&work, Verdict::Failed, Some(500));
    settlement.health = Some(Health {
        failing_since: Some(NOON),
    });
    bench.settle(vec![settlement]).await;
    let failing = async || {
        bench
            .store()
            .configuration()
            .await
            .unwrap()
            .health
            .iter()
            .any(|(_, h)| h.failing_since.is_some())
    };
    endpoint.description = "another".to_owned();
    bench.apply(vec![Change::PutEndpoint(Box::new(endpoint.clone()))]).await;
    assert!(failing().await);
    endpoint.disabled = Some(Disabled {
        since: NOON,
        reason: DisabledReason::Failing,
    });
    bench.apply(vec![Change::PutEndpoint(Box::new(endpoint.clone()))]).await;
    endpoint.disabled = None;
    bench.apply(vec![Change::PutEndpoint(Box::new(endpoint))]).await;
    assert!(!failing().await);
}

/// Not even what came before it in the same call.
pub async fn a_taken_uid_is_refused_and_nothing_is_changed<B: Backend>(bench: Bench<B>) {
    let app = bench.new_app(bench.id(), Some("customer-1"));
    let endpoint = bench.new_endpoint(bench.app, Some("main"));
    bench
        .apply(vec![Change::PutApp(app), Change::PutEndpoint(Box::new(endpoint))])
        .await;
    let fine = || Change::PutEventType(Box::new(event_type(&bench, "invoice.paid")));
    let same_app = Change::PutApp(bench.new_app(bench.id(), Some("customer-1")));
    let same_endpoint = Change::PutEndpoint(Box::new(bench.new_endpoint(bench.app, Some("main"))));
    for (clash, value) in [(same_app, "customer-1"), (same_endpoint, "main")] {
        match bench.store().apply(vec![fine(), clash], None).await {
            Err(StoreError::Conflict { value: told, .. }) => assert_eq!(told, value),
            other => panic!("a conflict about {value}, not {other:?}"),
        }
        let all = bench.store().configuration().await.unwrap();
        assert_eq!((all.apps.len(), all.endpoints.len(), all.event_types.len()), (2, 1, 0));
    }
}

/// Also within one call.
pub async fn a_uid_is_free_again_after_its_owner_is_gone<B: Backend>(bench: Bench<B>) {
    let mut first = bench.new_endpoint(bench.app, Some("main"));
    bench.apply(vec![Change::PutEndpoint(Box::new(first.clone()))]).await;
    let second = bench.new_endpoint(bench.app, Some("main"));
    bench
        .apply(vec![
            Change::DeleteEndpoint(first.id),
            Change::PutEndpoint(Box::new(second.clone())),
        ])
        .await;
    // And after it took another name.
    let mut renamed = second;
    renamed.uid = Some("old".to_owned());
    first.id = bench.id();
    bench
        .apply(vec![
            Change::PutEndpoint(Box::new(renamed)),
            Change::PutEndpoint(Box::new(first)),
        ])
        .await;
    let app = bench.new_app(bench.id(), Some("customer-1"));
    bench
        .apply(vec![Change::PutApp(app.clone()), Change::DeleteApp(app.id)])
        .await;
    bench
        .apply(vec![Change::PutApp(bench.new_app(bench.id(), Some("customer-1")))])
        .await;
    let all = bench.store().configuration().await.unwrap();
    assert_eq!((all.apps.len(), all.endpoints.len()), (2, 2));
}

/// Names are unique where they belong, no further; and things without a name do not clash.
pub async fn one_uid_may_be_used_in_two_places<B: Backend>(bench: Bench<B>) {
    let other = bench.app().await;
    bench
        .apply(vec![
            Change::PutEndpoint(Box::new(bench.new_endpoint(bench.app, Some("main")))),
            Change::PutEndpoint(Box::new(bench.new_endpoint(other, Some("main")))),
            Change::PutEndpoint(Box::new(bench.new_endpoint(other, None))),
            Change::PutEndpoint(Box::new(bench.new_endpoint(other, None))),
        ])
        .await;
    assert_eq!(bench.store().configuration().await.unwrap().endpoints.len(), 4);
}

/// Across a crash.
pub async fn an_answer_is_kept_with_its_changes_until_it_expires<B: Backend>(mut bench: Bench<B>) {
    let app = bench.new_app(bench.id(), None);
    bench
        .store()
        .apply(vec![Change::PutApp(app)], Some(answer(1)))
        .await
        .unwrap();
    bench.crash().await;
    let (store, expiry) = (bench.store(), answer(1).expires_at);
    assert_eq!(store.answer([1; 32], NOON).await, Ok(Some(answer(1))));
    assert_eq!(store.answer([1; 32], expiry.minus(SECOND)).await, Ok(Some(answer(1))));
    assert_eq!(store.answer([1; 32], expiry).await, Ok(None));
    assert_eq!(store.answer([2; 32], NOON).await, Ok(None));
    // An answer without changes is kept as well.
    store.apply(Vec::new(), Some(answer(3))).await.unwrap();
    assert_eq!(store.answer([3; 32], NOON).await, Ok(Some(answer(3))));
}

/// All or none.
pub async fn an_answer_is_not_kept_when_its_changes_are_refused<B: Backend>(bench: Bench<B>) {
    bench
        .apply(vec![Change::PutApp(bench.new_app(bench.id(), Some("customer-1")))])
        .await;
    let clash = bench.new_app(bench.id(), Some("customer-1"));
    assert!(
        bench
            .store()
            .apply(vec![Change::PutApp(clash)], Some(answer(1)))
            .await
            .is_err()
    );
    assert_eq!(bench.store().answer([1; 32], NOON).await, Ok(None));
}

/// And leaves those of others.
pub async fn a_deleted_application_takes_its_endpoints_and_tokens_along<B: Backend>(mut bench: Bench<B>) {
    let other = bench.app().await;
    let kept = bench.new_endpoint(other, None);
    let (of_app, of_all) = (token(&bench, Some(bench.app)), token(&bench, None));
    bench
        .apply(vec![
            Change::PutEndpoint(Box::new(bench.new_endpoint(bench.app, None))),
            Change::PutEndpoint(Box::new(kept.clone())),
            Change::PutToken(Box::new(of_app)),
            Change::PutToken(Box::new(of_all.clone())),
        ])
        .await;
    bench.apply(vec![Change::DeleteApp(bench.app)]).await;
    bench.crash().await;
    let all = bench.store().configuration().await.unwrap();
    assert_eq!(all.apps.iter().map(|app| app.id).collect::<Vec<_>>(), [other]);
    assert_eq!(
        all.endpoints.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>(),
        [kept.id]
    );
    assert_eq!(all.tokens, [of_all]);
}

/// What waited for it does not stay pending for ever.
pub async fn deliveries_to_a_deleted_endpoint_can_be_cancelled<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    bench.apply(vec![Change::DeleteEndpoint(endpoint)]).await;
    bench.sound().await;
    bench.crash().await;
    while bench.store().cancel(endpoint, 10).await.unwrap() > 0 {}
    assert_eq!(
        bench.delivery(id, endpoint).await.map(|row| row.state),
        Some(DeliveryState::Cancelled)
    );
    assert_eq!(bench.head(endpoint).await, None);
    bench.sound().await;
}

/// No id is given twice, also when the newest one was deleted.
pub async fn the_largest_id_is_remembered_when_what_had_it_is_gone<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let change = vec![Change::DeleteEndpoint(endpoint)];
    bench.store().apply(change, None).await.unwrap();
    bench.crash().await;
    let configuration = bench.store().configuration().await.unwrap();
    assert!(configuration.endpoints.is_empty());
    assert!(configuration.largest_number >= endpoint.number());
}
