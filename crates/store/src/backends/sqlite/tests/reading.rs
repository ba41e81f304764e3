//! Lists, counts, and what is kept of the configuration.

use std::collections::BTreeMap;

use bellwire_core::{
    app::{App, AppKind, Environment, Token},
    delivery::DeliveryState,
    endpoint::{Endpoint, LiveKey},
    event_type::EventType,
    id::{EnvironmentId, TaskId, TokenId},
    secret::SigningKey,
    source::{Source, SourceRules},
    task::{Job, Task, TaskStatus},
    token::Scope,
};

use super::*;
use crate::{
    contract::{Change, StoredAnswer},
    error::StoreError,
    query::{AttemptFilter, AttemptKey, DeliveryCounts, MessageFilter, Order, Page, Start},
};

fn page(limit: usize, start: Start, order: Order) -> Page {
    Page { limit, start, order }
}

fn newest(limit: usize) -> Page {
    page(limit, Start::First, Order::Descending)
}

#[tokio::test]
async fn messages_are_listed_across_days_forth_and_back_with_conditions() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for at in 0..6 {
        let mut one = message(&[]);
        one.event_type = if at % 2 == 0 {
            "even".to_owned()
        } else {
            "odd".to_owned()
        };
        one.channels = vec![format!("c{at}")];
        one.tags = vec!["all".to_owned()];
        ids.push(f.store.append(one).await.unwrap().id);
        f.clock.advance(Duration::from_secs(10 * 3_600));
    }
    let list = async |filter: MessageFilter, page: Page| {
        let rows = f.store.messages(app(), filter, page, true).await.unwrap();
        assert!(
            rows.items
                .iter()
                .all(|m| m.payload.is_some() || f.clock.now() >= m.payload_expires_at)
        );
        (
            rows.items
                .iter()
                .map(|m| ids.iter().position(|id| *id == m.id).unwrap())
                .collect::<Vec<_>>(),
            rows.more,
        )
    };
    let any = MessageFilter::default;
    assert_eq!(list(any(), newest(4)).await, (vec![5, 4, 3, 2], true));
    let mark = ids[2].number();
    assert_eq!(
        list(any(), page(4, Start::After(mark), Order::Descending)).await,
        (vec![1, 0], false)
    );
    assert_eq!(
        list(any(), page(2, Start::Before(mark), Order::Descending)).await,
        (vec![4, 3], true)
    );
    assert_eq!(
        list(any(), page(9, Start::After(mark), Order::Ascending)).await,
        (vec![3, 4, 5], false)
    );
    let odd = MessageFilter {
        event_types: vec!["odd".to_owned()],
        tag: Some("all".to_owned()),
        ..any()
    };
    assert_eq!(list(odd, newest(2)).await, (vec![5, 3], true));
    let third = MessageFilter {
        channel: Some("c3".to_owned()),
        ..any()
    };
    assert_eq!(list(third, newest(9)).await, (vec![3], false));
    let hours = |n: u64| Some(NOON.plus(Duration::from_secs(n * 3_600)));
    let between = MessageFilter {
        after: hours(10),
        before: hours(30),
        ..any()
    };
    assert_eq!(list(between, newest(9)).await, (vec![2, 1], false));
    assert_eq!(
        f.store
            .messages(AppId::from_number(2), any(), newest(9), true)
            .await
            .unwrap()
            .items,
        []
    );
    assert_eq!(f.store.message(AppId::from_number(2), ids[0], false).await, Ok(None));
}

#[tokio::test]
async fn attempts_are_listed_by_message_and_by_endpoint_and_shown_one_by_one() {
    let f = Fixture::new().await;
    let (id, work) = f.publish(&[(10, false), (11, false)]).await;
    f.settle(&work[0], Verdict::RetryAt(NOON.plus(DAY))).await;
    f.settle(&work[1], Verdict::Succeeded).await;
    f.clock.advance(DAY);
    let retried = f.claim(10).await;
    f.settle(&retried[0], Verdict::Succeeded).await;

    let all = f
        .store
        .attempts_of_message(app(), id, AttemptFilter::default(), newest(9))
        .await
        .unwrap()
        .items;
    let seen: Vec<_> = all
        .iter()
        .map(|row| (row.attempt.endpoint, row.attempt.number, row.attempt.last))
        .collect();
    assert_eq!(seen, [(ep(10), 2, true), (ep(11), 1, true), (ep(10), 1, false)]);
    let failed = AttemptFilter {
        state: Some(DeliveryState::Failed),
        status_class: Some(500),
        ..Default::default()
    };
    let rows = f
        .store
        .attempts_of_endpoint(app(), ep(10), failed, newest(9), true)
        .await
        .unwrap();
    let attempt = &rows.items[0].attempt;
    assert_eq!(
        (rows.items.len(), attempt.status_code, attempt.failure.as_deref()),
        (1, 500, Some("status_500"))
    );
    assert_eq!(attempt.response_headers, [("x-a".to_owned(), "b".to_owned())]);
    assert!(rows.items[0].message.as_ref().unwrap().payload.is_some());
    let both = f
        .store
        .attempts_of_endpoint(app(), ep(10), AttemptFilter::default(), newest(1), false)
        .await
        .unwrap();
    assert_eq!((both.items[0].attempt.number, both.more), (2, true));
    let later = AttemptFilter {
        message: MessageFilter {
            after: Some(NOON.plus(DAY)),
            event_types: vec!["invoice.paid".to_owned()],
            ..Default::default()
        },
        ..Default::default()
    };
    assert_eq!(
        f.store
            .attempts_of_endpoint(app(), ep(10), later, newest(9), false)
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let key = AttemptKey {
        app: app(),
        message: id,
        attempt: attempt.id,
    };
    assert_eq!(f.store.attempt(key).await.unwrap().unwrap().attempt, *attempt);
    assert_eq!(f.store.expunge_attempt(key).await, Ok(true));
    let expunged = f.store.attempt(key).await.unwrap().unwrap().attempt;
    assert!(expunged.response.is_empty() && expunged.response_headers.is_empty());
    let stranger = AttemptKey {
        app: AppId::from_number(2),
        ..key
    };
    assert_eq!(
        (f.store.attempt(stranger).await, f.store.expunge_attempt(stranger).await),
        (Ok(None), Ok(false))
    );
    assert_eq!(f.store.expunge_payload(app(), id).await, Ok(true));
    assert_eq!(f.store.message(app(), id, true).await.unwrap().unwrap().payload, None);
}

#[tokio::test]
async fn an_endpoints_messages_and_counts_agree_with_what_happened() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for verdict in [
        Some(Verdict::Succeeded),
        Some(Verdict::Failed),
        Some(Verdict::RetryAt(NOON.plus(30 * DAY))),
        Some(Verdict::Cancelled),
        None,
    ] {
        let (id, work) = f.publish(&[(10, false), (11, false)]).await;
        ids.push(id);
        if let Some(verdict) = verdict {
            f.settle(&work[0], verdict).await;
        }
        f.publish(&[(11, false)]).await;
        f.clock.advance(Duration::from_secs(9 * 3_600));
    }
    let list = async |state| {
        let rows = f
            .store
            .endpoint_messages(app(), ep(10), MessageFilter::default(), state, newest(9), true)
            .await;
        rows.unwrap()
            .items
            .iter()
            .map(|row| ids.iter().position(|id| *id == row.message.id).unwrap())
            .collect::<Vec<_>>()
    };
    f.store
        .apply(
            vec![
                Change::PutEnvironment(environment()),
                Change::PutApp(tenant()),
                Change::PutEndpoint(Box::new(endpoint())),
            ],
            None,
        )
        .await
        .unwrap();
    assert_eq!(list(None).await, [4, 3, 2, 1, 0]);
    assert_eq!(list(Some(DeliveryState::Succeeded)).await, [0]);
    assert_eq!(list(Some(DeliveryState::Failed)).await, [1]);
    assert_eq!(list(Some(DeliveryState::Pending)).await, [4, 2]);
    assert_eq!(list(Some(DeliveryState::Cancelled)).await, [3]);
    let counts = f.store.delivery_counts(ep(10), NOON, f.clock.now()).await.unwrap();
    assert_eq!(
        counts,
        DeliveryCounts {
            succeeded: 1,
            pending: 2,
            failed: 1,
            cancelled: 1
        }
    );
    let buckets = f
        .store
        .attempt_counts(vec![ep(10)], Vec::new(), NOON, DAY, 3)
        .await
        .unwrap();
    assert_eq!(
        buckets.iter().map(|b| (b.succeeded, b.failed)).collect::<Vec<_>>(),
        [(1, 2), (0, 0), (0, 0)]
    );
    let none = f
        .store
        .attempt_counts(vec![ep(10)], vec!["other".to_owned()], NOON, DAY, 1)
        .await
        .unwrap();
    assert_eq!((none[0].succeeded, none[0].failed), (0, 0));

    let rows = f
        .store
        .replay_candidates(app(), ep(10), NOON, f.clock.now(), ids[0].number(), 3)
        .await
        .unwrap();
    let seen: Vec<_> = rows
        .items
        .iter()
        .map(|c| (c.delivery.map(|d| d.state), c.last_status_code))
        .collect();
    let (failed, pending) = (Some(DeliveryState::Failed), Some(DeliveryState::Pending));
    assert_eq!(
        (seen, rows.more),
        (vec![(None, None), (failed, Some(500)), (None, None)], true)
    );
    let rest = f
        .store
        .replay_candidates(app(), ep(10), NOON, f.clock.now(), ids[1].number(), 9)
        .await
        .unwrap();
    assert_eq!(rest.items[1].delivery.map(|d| d.state), pending);

    let first = f
        .store
        .deliveries(app(), ids[0], page(1, Start::First, Order::Ascending))
        .await
        .unwrap();
    assert_eq!(
        (first.items[0].endpoint, first.items[0].state, first.more),
        (ep(10), DeliveryState::Succeeded, true)
    );
    let second = page(1, Start::After(10), Order::Ascending);
    let second = f.store.deliveries(app(), ids[0], second).await.unwrap();
    assert_eq!(
        (second.items[0].endpoint, second.items[0].state, second.more),
        (ep(11), DeliveryState::Pending, false)
    );
}

pub(super) fn environment() -> Environment {
    Environment {
        id: EnvironmentId::from_number(1),
        name: "production".to_owned(),
        validate_payloads: false,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(super) fn tenant() -> App {
    App {
        id: app(),
        environment: environment().id,
        uid: Some("acme".to_owned()),
        name: "Acme".to_owned(),
        throttle_rate: None,
        publish_rate: None,
        metadata: BTreeMap::new(),
        kind: AppKind::Tenant,
        validate_payloads: None,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(super) fn endpoint() -> Endpoint {
    Endpoint {
        id: ep(10),
        app: app(),
        uid: Some("main".to_owned()),
        url: "https://example.com/hook".to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::from([("x-token".to_owned(), "CANARY-HEADER".to_owned())]),
        keys: vec![LiveKey {
            key: SigningKey::generate_symmetric([9; 24]),
            expires_at: None,
        }],
        retry_schedule: None,
        timeout: None,
        max_in_flight: None,
        order: Default::default(),
        batch: None,
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(super) fn source() -> Source {
    Source {
        id: SourceId::from_number(20),
        environment: environment().id,
        app: app(),
        uid: Some("shop".to_owned()),
        name: "Shop".to_owned(),
        kind: "shopify".to_owned(),
        token: "CANARY-TOKEN".to_owned(),
        former_tokens: Vec::new(),
        settings: BTreeMap::from([("secret".to_owned(), vec!["CANARY-SETTING".to_owned()])]),
        rules: SourceRules::default(),
        managed: false,
        metadata: BTreeMap::new(),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn token(number: u64, app: Option<AppId>) -> Token {
    Token {
        id: TokenId::from_number(number),
        environment: environment().id,
        scope: Scope::Admin,
        app,
        name: "t".to_owned(),
        hash: [4; 32],
        expires_at: None,
        created_at: NOON,
    }
}

#[tokio::test]
async fn the_configuration_is_read_back_and_nothing_secret_lies_in_the_file() {
    let f = Fixture::new().await;
    let event_type = EventType {
        environment: environment().id,
        name: "invoice.paid".to_owned(),
        description: String::new(),
        archived: false,
        deprecated: false,
        schemas: None,
        feature_flags: Vec::new(),
        group_name: None,
        created_at: NOON,
        updated_at: NOON,
    };
    let changes = vec![
        Change::PutEnvironment(environment()),
        Change::PutApp(tenant()),
        Change::PutEndpoint(Box::new(endpoint())),
        Change::PutEventType(Box::new(event_type.clone())),
        Change::PutToken(Box::new(token(1, None))),
        Change::PutToken(Box::new(token(2, Some(app())))),
        Change::PutSource(Box::new(source())),
    ];
    f.store.apply(changes, None).await.unwrap();
    let read = f.store.configuration().await.unwrap();
    assert_eq!((read.environments, read.apps), (vec![environment()], vec![tenant()]));
    assert_eq!((read.event_types, read.tokens.len()), (vec![event_type], 2));
    assert_eq!(
        format!("{:?}", read.endpoints[0].headers),
        format!("{:?}", endpoint().headers)
    );
    assert_eq!(read.endpoints[0].keys[0].key.expose(), endpoint().keys[0].key.expose());

    let taken = App {
        id: AppId::from_number(2),
        ..tenant()
    };
    let environment_2 = Environment {
        id: EnvironmentId::from_number(2),
        name: "x".to_owned(),
        ..environment()
    };
    let refused = f
        .store
        .apply(vec![Change::PutEnvironment(environment_2), Change::PutApp(taken)], None)
        .await;
    assert_eq!(
        refused,
        Err(StoreError::Conflict {
            what: "application uid",
            value: "acme".to_owned()
        })
    );
    assert_eq!(f.store.configuration().await.unwrap().environments.len(), 1);
    let orphan = Endpoint {
        id: ep(11),
        app: AppId::from_number(5),
        uid: None,
        ..endpoint()
    };
    let refused = f.store.apply(vec![Change::PutEndpoint(Box::new(orphan))], None).await;
    assert_eq!(refused, Err(StoreError::NotFound("the application")));

    f.store.apply(vec![Change::DeleteApp(app())], None).await.unwrap();
    let read = f.store.configuration().await.unwrap();
    assert_eq!((read.apps.len(), read.endpoints.len(), read.tokens.len()), (0, 0, 1));
    f.store.close().await;
    let file = std::fs::read(f.folder.path().join("bellwire.db")).unwrap();
    for canary in [
        "CANARY-HEADER",
        "CANARY-TOKEN",
        "CANARY-SETTING",
        &endpoint().keys[0].key.expose()[10..],
    ] {
        assert!(
            !file.windows(canary.len()).any(|bytes| bytes == canary.as_bytes()),
            "{canary}"
        );
    }
}

#[tokio::test]
async fn sealing_anew_lets_the_old_main_secret_go() {
    let f = Fixture::new().await;
    let changes = vec![
        Change::PutEnvironment(environment()),
        Change::PutApp(tenant()),
        Change::PutEndpoint(Box::new(endpoint())),
        Change::PutSource(Box::new(source())),
    ];
    f.store.apply(changes, None).await.unwrap();
    f.store.close().await;
    let secret = |byte| MainSecret::from_bytes([byte; 32]).unwrap();
    let location = f.folder.path().to_str().unwrap();
    let both = Vault::new(Keyring {
        current: secret(8),
        previous: vec![secret(7)],
    });
    let clock = || Arc::clone(&f.clock) as Arc<dyn Clock>;
    let store = Sqlite::open(location, OpenOptions::new(clock(), both)).await.unwrap();
    assert_eq!((store.reseal().await, store.reseal().await), (Ok(2), Ok(0)));
    store.close().await;
    let store = Sqlite::open(location, OpenOptions::new(clock(), vault(8)))
        .await
        .unwrap();
    let configuration = store.configuration().await.unwrap();
    assert_eq!(configuration.endpoints.len(), 1);
    assert_eq!(configuration.sources, [source()]);
}

#[tokio::test]
async fn an_answer_is_kept_with_its_change_and_given_until_it_expires() {
    let f = Fixture::new().await;
    let answer = StoredAnswer {
        key: [1; 32],
        body_hash: [2; 32],
        status: 201,
        body: b"{}".to_vec(),
        expires_at: NOON.plus(DAY),
    };
    f.store
        .apply(vec![Change::PutEnvironment(environment())], Some(answer.clone()))
        .await
        .unwrap();
    assert_eq!(f.store.answer([1; 32], NOON).await, Ok(Some(answer.clone())));
    assert_eq!(f.store.answer([3; 32], NOON).await, Ok(None));
    assert_eq!(f.store.answer([1; 32], NOON.plus(DAY)).await, Ok(None));
    let twice = f
        .store
        .apply(vec![Change::PutApp(tenant())], Some(answer.clone()))
        .await;
    assert!(matches!(
        twice,
        Err(StoreError::Conflict {
            what: "idempotency key",
            ..
        })
    ));
    assert_eq!(f.store.configuration().await.unwrap().apps.len(), 0);
    f.clock.advance(DAY);
    f.store
        .apply(
            vec![Change::PutApp(tenant())],
            Some(StoredAnswer {
                expires_at: NOON.plus(2 * DAY),
                ..answer
            }),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn tasks_are_listed_by_environment_and_status() {
    let f = Fixture::new().await;
    let task = |number, environment, status| Task {
        id: TaskId::from_number(number),
        environment: EnvironmentId::from_number(environment),
        job: Job::EraseApp { app: app() },
        status,
        seen: 0,
        done: 0,
        cursor: 0,
        error: None,
        created_at: NOON,
        updated_at: NOON,
    };
    let (running, finished) = (TaskStatus::Running, TaskStatus::Finished);
    let tasks = [
        task(1, 1, running),
        task(2, 1, finished),
        task(3, 2, running),
        task(4, 1, running),
    ];
    f.store
        .apply(
            tasks.iter().cloned().map(|t| Change::PutTask(Box::new(t))).collect(),
            None,
        )
        .await
        .unwrap();
    f.store
        .apply(vec![Change::PutTask(Box::new(task(4, 1, finished)))], None)
        .await
        .unwrap();
    let list = async |environment: Option<u64>, status, page| {
        let rows = f
            .store
            .tasks(environment.map(EnvironmentId::from_number), status, page)
            .await
            .unwrap();
        (rows.items.iter().map(|t| t.id.number()).collect::<Vec<_>>(), rows.more)
    };
    assert_eq!(list(None, Some(running), newest(9)).await, (vec![3, 1], false));
    assert_eq!(list(Some(1), None, newest(2)).await, (vec![4, 2], true));
    assert_eq!(
        list(Some(1), None, page(2, Start::Before(2), Order::Ascending)).await,
        (vec![1], false)
    );
    assert_eq!(
        f.store.task(TaskId::from_number(4)).await.unwrap().unwrap().status,
        finished
    );
    assert_eq!(f.store.task(TaskId::from_number(9)).await, Ok(None));
}

#[tokio::test]
async fn an_attempt_whose_id_was_given_elsewhere_is_kept_under_it() {
    let f = Fixture::new().await;
    let (id, work) = f.publish(&[(10, false)]).await;
    // Given by another generator within the same millisecond: smaller than the message's own.
    let given = bellwire_core::id::AttemptId::from_number(id.number() - 1);
    let mut failed = settlement(&work[0], Verdict::Failed);
    failed.attempt_id = Some(given);
    f.store.settle(Arc::new(vec![failed])).await.unwrap();
    let listed = f
        .store
        .attempts_of_message(app(), id, AttemptFilter::default(), newest(9))
        .await
        .unwrap()
        .items;
    assert_eq!(listed.iter().map(|row| row.attempt.id).collect::<Vec<_>>(), [given]);
    assert!(
        f.store
            .attempt(AttemptKey {
                app: app(),
                message: id,
                attempt: given
            })
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn attempts_at_an_endpoint_are_listed_also_when_it_is_deleted() {
    let f = Fixture::new().await;
    let (_, work) = f.publish(&[(10, false)]).await;
    f.settle(&work[0], Verdict::Failed).await;
    f.store.apply(vec![Change::DeleteEndpoint(ep(10))], None).await.unwrap();
    let listed = f
        .store
        .attempts_of_endpoint(app(), ep(10), AttemptFilter::default(), newest(10), true)
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].message.as_ref().unwrap().id, work[0].message.id);
    let failed = f.store.endpoint_messages(
        app(),
        ep(10),
        MessageFilter::default(),
        Some(DeliveryState::Failed),
        newest(10),
        false,
    );
    assert_eq!(failed.await.unwrap().items.len(), 1);
}
