//! Promises about looking through many things at once, and about what people changed.

use std::time::Duration;

use bellwire_core::{
    delivery::Trigger,
    id::{AppId, AuditId, EnvironmentId, Id as _, MessageId},
};
use bellwire_store::{
    Change, StoreError, Verdict,
    audit::{Actor, ActorKind, AuditEntry, AuditFilter, Changed, KEPT, Subject},
    query::{Cutoffs, Order, Page, Requeue, Start},
    scan::{Found, Needle, Scan, Scanned, StatusWanted},
    survey::{FailureQuery, Sample, SampleQuery, Timing},
};
use bytes::Bytes;

use super::{
    Backend, Bench,
    bench::{ALL, DAY, HOUR, NOON, SECOND},
};

// -- samples and failures ------------------------------------------------------------------------------------------

fn query(endpoints: &[bellwire_core::id::EndpointId], width: Duration, n: usize) -> SampleQuery {
    SampleQuery {
        endpoints: endpoints.to_vec(),
        since: NOON,
        width,
        n,
        counted: 1_000,
        timed: 1_000,
    }
}

async fn sample<B: Backend>(bench: &Bench<B>, query: SampleQuery) -> Vec<Sample> {
    bench.store().sample_attempts(query).await.unwrap()
}

/// In spans that go over midnight, too; of the endpoints that are asked for.
pub async fn samples_count_and_time_attempts_by_when_they_were_over<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    for hours in [0, 1, 1, 11, 12, 25] {
        bench.clock.set(NOON.plus(hours * HOUR));
        bench.publish(&[one, two]).await;
        bench.attempt_all(one, Verdict::Succeeded, 200).await;
        bench.attempt_all(two, Verdict::Failed, 500).await;
    }
    let counts = |samples: &[Sample]| -> Vec<(u64, u64, usize)> {
        assert!(samples.iter().all(|sample| !sample.projected));
        let of = |sample: &Sample| (sample.attempts, sample.failed, sample.timings.len());
        samples.iter().map(of).collect()
    };
    let days = sample(&bench, query(&[one], DAY, 2)).await;
    assert_eq!(counts(&days), [(5, 0, 5), (1, 0, 1)]);
    let both = sample(&bench, query(&[one, two], 10 * HOUR, 3)).await;
    assert_eq!(counts(&both), [(6, 3, 6), (4, 2, 4), (2, 1, 2)]);
    let timing = Timing {
        answer: Duration::from_millis(20),
        lag: Some(Duration::ZERO),
    };
    assert!(
        both.iter()
            .all(|sample| sample.timings.iter().all(|one| *one == timing))
    );
    assert_eq!(counts(&sample(&bench, query(&[], DAY, 2)).await), [(0, 0, 0); 2]);
}

/// By how far the count came.
pub async fn a_sample_that_is_cut_is_projected<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for minute in 0..20u32 {
        bench.clock.set(NOON.plus(minute * 60 * SECOND));
        bench.publish(&[endpoint]).await;
        bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    }
    let cut = SampleQuery {
        counted: 11,
        timed: 3,
        ..query(&[endpoint], 20 * 60 * SECOND, 1)
    };
    let samples = sample(&bench, cut).await;
    assert_eq!(
        (samples[0].attempts, samples[0].failed, samples[0].projected),
        (22, 0, true)
    );
    assert_eq!(samples[0].timings.len(), 3);
}

/// Neither a retry nor what a person asked for has one.
pub async fn a_lag_is_that_of_the_first_try_and_not_of_a_delay_that_was_asked_for<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut later = bench.message(&[endpoint]);
    later.deliver_at = Some(NOON.plus(HOUR));
    bench.append(later).await.unwrap();
    let soon = bench.publish(&[endpoint]).await;
    bench.clock.set(NOON.plus(3 * SECOND));
    bench
        .attempt_all(endpoint, Verdict::RetryAt(NOON.plus(HOUR)), 500)
        .await;
    bench.clock.set(NOON.plus(HOUR + 2 * SECOND));
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let again = Requeue {
        message: soon,
        endpoint,
        due_at: bench.now(),
        trigger: Trigger::Manual,
    };
    bench.requeue(vec![again]).await;
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let samples = sample(&bench, query(&[endpoint], 2 * HOUR, 1)).await;
    let mut lags: Vec<_> = samples[0].timings.iter().map(|timing| timing.lag).collect();
    lags.sort_unstable();
    assert_eq!(lags, [None, None, Some(2 * SECOND), Some(3 * SECOND)]);
}

/// Over days, at most so many of each, within the span.
pub async fn failures_come_newest_first_of_each_endpoint<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let mut messages = Vec::new();
    for hours in [0, 20, 40] {
        bench.clock.set(NOON.plus(hours * HOUR));
        messages.push(bench.publish(&[one, two]).await);
        bench
            .attempt_all(one, Verdict::RetryAt(bench.now().plus(9 * DAY)), 0)
            .await;
        let verdict = if hours == 20 {
            Verdict::Succeeded
        } else {
            Verdict::Failed
        };
        let status = if hours == 20 { 200 } else { 500 };
        bench.attempt_all(two, verdict, status).await;
    }
    let ask = async |per_endpoint, since, until| {
        let query = FailureQuery {
            endpoints: vec![two, one],
            since,
            until,
            per_endpoint,
        };
        bench.store().failed_attempts(query).await.unwrap()
    };
    let all = ask(10, NOON, NOON.plus(9 * DAY)).await;
    let told: Vec<_> = all
        .iter()
        .map(|failed| {
            (
                failed.endpoint,
                failed.message,
                failed.reason.as_str(),
                failed.status_code,
                failed.last,
            )
        })
        .collect();
    let expected = [
        (two, messages[2], "status_500", 500, true),
        (two, messages[0], "status_500", 500, true),
        (one, messages[2], "connection_refused", 0, false),
        (one, messages[1], "connection_refused", 0, false),
        (one, messages[0], "connection_refused", 0, false),
    ];
    assert_eq!(told, expected);
    assert_eq!(all[0].at(), NOON.plus(40 * HOUR));
    let newest: Vec<_> = ask(1, NOON, NOON.plus(9 * DAY))
        .await
        .iter()
        .map(|f| f.message)
        .collect();
    assert_eq!(newest, [messages[2], messages[2]]);
    let older: Vec<_> = ask(10, NOON.plus(HOUR), NOON.plus(30 * HOUR)).await;
    assert_eq!(older.iter().map(|f| f.message).collect::<Vec<_>>(), [messages[1]]);
}

// -- finding -------------------------------------------------------------------------------------------------------

/// Without payload.
pub async fn a_message_is_found_by_its_id_whosever_it_is<B: Backend>(bench: Bench<B>) {
    let id = bench.publish(&[]).await;
    let found = bench.store().find_message(id).await.unwrap().unwrap();
    assert_eq!((found.id, found.app, found.payload), (id, bench.app, None));
    let unknown = MessageId::from_number(id.number() + 1);
    assert_eq!(bench.store().find_message(unknown).await.unwrap(), None);
}

/// And in no others.
pub async fn an_event_id_is_found_in_the_applications_that_are_asked<B: Backend>(bench: Bench<B>) {
    let other = bench.app().await;
    let mut ids = Vec::new();
    for app in [bench.app, other] {
        let mut new = bench.message(&[]);
        new.app = app;
        new.event_id = Some("evt_1".to_owned());
        ids.push(bench.append(new).await.unwrap().id);
    }
    let find = async |apps: &[AppId], name: &str| -> Vec<MessageId> {
        let found = bench
            .store()
            .find_event_id(apps.to_vec(), name.to_owned())
            .await
            .unwrap();
        found.iter().map(|message| message.id).collect()
    };
    assert_eq!(find(&[bench.app, other], "evt_1").await, ids);
    assert_eq!(find(&[other], "evt_1").await, ids[1..]);
    assert!(find(&[bench.app, other], "evt_2").await.is_empty());
}

fn everything<B: Backend>(bench: &Bench<B>) -> Scan {
    Scan {
        apps: vec![bench.app],
        rows: 1_000,
        bytes: usize::MAX,
        hits: 1_000,
        ..Scan::default()
    }
}

async fn scan<B: Backend>(bench: &Bench<B>, scan: Scan) -> Scanned {
    bench.store().scan(scan).await.unwrap()
}

fn messages(scanned: &Scanned) -> Vec<MessageId> {
    scanned.hits.iter().map(|hit| hit.message.id).collect()
}

/// And it is said where.
pub async fn a_text_is_found_in_payloads_and_answers<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut order = bench.message(&[endpoint]);
    order.payload = Bytes::from_static(br#"{"order":"A-17"}"#);
    let order = bench.append(order).await.unwrap().id;
    let other = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::Succeeded, 204).await;
    let look = async |needle: &str| {
        let asked = Scan {
            needle: Needle::new(needle),
            ..everything(&bench)
        };
        scan(&bench, asked).await
    };
    let found = look("a-17").await;
    assert_eq!((messages(&found), found.seen, found.done), (vec![order], 2, true));
    let Found::Payload(excerpt) = &found.hits[0].found else {
        panic!("in the payload, not {:?}", found.hits[0].found)
    };
    assert_eq!(&excerpt.text[excerpt.from..excerpt.to], "A-17");
    assert_eq!(found.hits[0].message.payload, None);
    let found = look("answer 204").await;
    assert_eq!(messages(&found), [other, order]);
    assert!(matches!(&found.hits[0].found, Found::Answer { attempt, excerpt: Some(_) } if attempt.message == other));
    assert!(look("nowhere").await.hits.is_empty());
    bench.store().expunge_payload(bench.app, order).await.unwrap();
    assert!(look("A-17").await.hits.is_empty(), "what was expunged is not found");
}

/// With nobody looked at twice, or left out.
pub async fn a_scan_goes_on_where_it_stopped<B: Backend>(bench: Bench<B>) {
    let mut ids = Vec::new();
    for n in 0..10u32 {
        bench.clock.set(NOON.plus(n * 7 * HOUR));
        ids.push(bench.publish(&[]).await);
    }
    ids.reverse();
    for (rows, bytes, hits) in [(3, usize::MAX, 100), (100, 1, 100), (100, usize::MAX, 4)] {
        let mut walked = Vec::new();
        let mut below = None;
        loop {
            let piece = Scan {
                needle: Needle::new("amount"),
                below,
                rows,
                bytes,
                hits,
                ..everything(&bench)
            };
            let piece = scan(&bench, piece).await;
            walked.extend(messages(&piece));
            if piece.done {
                break;
            }
            assert!(piece.seen > 0 && piece.reached.is_some());
            below = piece.reached;
        }
        assert_eq!(walked, ids);
    }
}

/// An endpoint's messages are those that go there, attempted or not.
pub async fn a_scan_narrows_by_endpoint_status_and_type<B: Backend>(bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    let mut typed = bench.message(&[one, two]);
    typed.event_type = "user.made".to_owned();
    let first = bench.append(typed).await.unwrap().id;
    bench.attempt_all(one, Verdict::Succeeded, 202).await;
    let second = bench.publish(&[two]).await;
    bench.attempt_all(two, Verdict::Failed, 503).await;
    let third = bench.publish(&[one]).await;
    let narrowed = async |narrow: fn(&mut Scan), endpoint| {
        let mut asked = everything(&bench);
        asked.endpoint = endpoint;
        narrow(&mut asked);
        messages(&scan(&bench, asked).await)
    };
    assert_eq!(narrowed(|_| {}, None).await, [third, second, first]);
    assert_eq!(narrowed(|_| {}, Some(one)).await, [third, first]);
    let failed: fn(&mut Scan) = |scan| scan.status = Some(StatusWanted::Class(500));
    assert_eq!(narrowed(failed, None).await, [second, first]);
    assert_eq!(narrowed(failed, Some(one)).await, []);
    assert_eq!(
        narrowed(|scan| scan.status = Some(StatusWanted::Code(202)), None).await,
        [first]
    );
    let typed: fn(&mut Scan) = |scan| scan.filter.event_types = vec!["user.made".to_owned()];
    assert_eq!(narrowed(typed, None).await, [first]);
    assert_eq!(narrowed(|scan| scan.filter.before = Some(NOON), None).await, []);
}

/// One, several, or none.
pub async fn a_scan_sees_only_the_applications_that_are_asked<B: Backend>(bench: Bench<B>) {
    let mut apps = vec![bench.app, bench.app().await, bench.app().await];
    apps.sort_unstable();
    let mut ids = Vec::new();
    for app in &apps {
        let mut new = bench.message(&[]);
        new.app = *app;
        ids.push(bench.append(new).await.unwrap().id);
    }
    let of = async |apps: &[AppId]| {
        let asked = Scan {
            apps: apps.to_vec(),
            ..everything(&bench)
        };
        let scanned = scan(&bench, asked).await;
        assert!(scanned.done);
        messages(&scanned)
    };
    assert_eq!(of(&apps[1..]).await, [ids[2], ids[1]]);
    assert_eq!(of(&apps[..1]).await, [ids[0]]);
    assert!(of(&[]).await.is_empty());
}

/// The newest decides; none, and a success, tell nothing.
pub async fn replay_candidates_tell_why_the_last_attempt_failed<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for statuses in [&[0, 500][..], &[500, 200], &[]] {
        bench.publish(&[endpoint]).await;
        for status in statuses {
            let verdict = match status {
                200 => Verdict::Succeeded,
                0 => Verdict::RetryAt(bench.now()),
                _ => Verdict::RetryAt(bench.now().plus(DAY)),
            };
            let work = bench.claim_at(endpoint, bench.now().plus(DAY), 1).await.work;
            bench
                .settle(vec![bench.settlement(&work[0], verdict, Some(*status))])
                .await;
        }
        bench.store().cancel(endpoint, 10).await.unwrap();
    }
    let rows = bench
        .store()
        .replay_candidates(bench.app, endpoint, NOON, NOON.plus(DAY), 0, 10)
        .await
        .unwrap();
    let told: Vec<_> = rows.items.iter().map(|row| row.last_failure.as_deref()).collect();
    assert_eq!(told, [Some("status_500"), None, None]);
}

// -- audit log -----------------------------------------------------------------------------------------------------

fn entry<B: Backend>(bench: &Bench<B>, operation: &str) -> AuditEntry {
    AuditEntry {
        id: bench.id(),
        at: bench.now(),
        environment: bench.environment,
        app: Some(bench.app),
        actor: Actor {
            kind: ActorKind::Token,
            token: Some(bench.id()),
            name: "ü".to_owned(),
            scope: "admin".to_owned(),
        },
        peer: Some("192.0.2.7:5000".to_owned()),
        operation: operation.to_owned(),
        about: vec![Subject {
            kind: "endpoint".to_owned(),
            id: "ep_1".to_owned(),
            name: "hook\u{0}".to_owned(),
        }],
        changes: vec![Changed {
            about: "ep_1".to_owned(),
            member: "url".to_owned(),
            before: serde_json::json!(null),
            after: serde_json::json!(["\u{0}", { "a": 1.5 }]),
        }],
    }
}

fn note(entry: &AuditEntry) -> Change {
    Change::Note(Box::new(entry.clone()))
}

async fn listed<B: Backend>(bench: &Bench<B>, filter: AuditFilter) -> Vec<AuditEntry> {
    let rows = bench.store().audit(bench.environment, filter, ALL).await.unwrap();
    assert!(!rows.more);
    rows.items
}

/// Both, or neither.
pub async fn what_people_changed_is_kept_with_the_change<B: Backend>(mut bench: Bench<B>) {
    let (made, refused) = (entry(&bench, "made"), entry(&bench, "refused"));
    let app = bench.new_app(bench.id(), Some("taken"));
    bench.apply(vec![Change::PutApp(app), note(&made)]).await;
    let clash = bench.new_app(bench.id(), Some("taken"));
    let refusal = bench
        .store()
        .apply(vec![note(&refused), Change::PutApp(clash)], None)
        .await;
    assert!(matches!(refusal, Err(StoreError::Conflict { .. })), "{refusal:?}");
    bench.crash().await;
    assert_eq!(
        listed(&bench, AuditFilter::default()).await,
        std::slice::from_ref(&made)
    );
    let configuration = bench.store().configuration().await.unwrap();
    assert!(configuration.largest_number >= made.id.number());
}

/// In pages, newest first or oldest first.
pub async fn what_people_changed_is_listed_by_conditions<B: Backend>(bench: Bench<B>) {
    let mut all = Vec::new();
    for n in 0..6u32 {
        bench.clock.set(NOON.plus(n * HOUR));
        let mut new = entry(&bench, if n % 2 == 0 { "even" } else { "odd" });
        if n == 3 {
            new.app = None;
            new.about[0].id = "ep_3".to_owned();
            new.actor = Actor {
                kind: ActorKind::Operator,
                token: None,
                name: String::new(),
                scope: "admin".to_owned(),
            };
        }
        bench.apply(vec![note(&new)]).await;
        all.push(new);
    }
    let by = |narrow: fn(&mut AuditFilter)| {
        let mut filter = AuditFilter::default();
        narrow(&mut filter);
        filter
    };
    let places = |found: &[AuditEntry]| -> Vec<usize> {
        let place = |entry: &AuditEntry| all.iter().position(|one| one == entry).unwrap();
        found.iter().map(place).collect()
    };
    for (narrow, expected) in [
        (by(|_| {}), vec![0, 1, 2, 3, 4, 5]),
        (by(|filter| filter.operation = Some("odd".to_owned())), vec![1, 3, 5]),
        (by(|filter| filter.about = Some("ep_3".to_owned())), vec![3]),
        (by(|filter| filter.token = Some(None)), vec![3]),
        (by(|filter| filter.since = Some(NOON.plus(4 * HOUR))), vec![4, 5]),
        (by(|filter| filter.until = Some(NOON.plus(2 * HOUR))), vec![0, 1]),
    ] {
        assert_eq!(places(&listed(&bench, narrow.clone()).await), expected, "{narrow:?}");
    }
    let of_token = AuditFilter {
        token: Some(all[2].actor.token),
        ..AuditFilter::default()
    };
    assert_eq!(places(&listed(&bench, of_token).await), [2]);
    let of_app = AuditFilter {
        app: Some(bench.app),
        ..AuditFilter::default()
    };
    assert_eq!(listed(&bench, of_app).await.len(), 5);
    let newest = Page {
        limit: 2,
        start: Start::After(all[4].id.number()),
        order: Order::Descending,
    };
    let store = bench.store();
    let page = store
        .audit(bench.environment, AuditFilter::default(), newest)
        .await
        .unwrap();
    assert_eq!((places(&page.items), page.more), (vec![3, 2], true));
    let elsewhere: EnvironmentId = bench.id();
    let page = store.audit(elsewhere, AuditFilter::default(), newest).await.unwrap();
    assert!(page.items.is_empty());
}

/// Whatever else is kept.
pub async fn what_people_changed_long_ago_is_forgotten<B: Backend>(bench: Bench<B>) {
    let old = entry(&bench, "old");
    bench.apply(vec![note(&old)]).await;
    bench.clock.set(NOON.plus(HOUR));
    let new = entry(&bench, "new");
    let id: AuditId = new.id;
    bench.apply(vec![note(&new)]).await;
    bench.clock.set(NOON.plus(KEPT + SECOND));
    let cutoffs = Cutoffs {
        messages: bellwire_core::time::Timestamp::MIN,
        attempts: bellwire_core::time::Timestamp::MIN,
        payloads: NOON,
    };
    while bench.store().retain(cutoffs).await.unwrap().more {}
    let kept: Vec<_> = listed(&bench, AuditFilter::default())
        .await
        .iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(kept, [id]);
}
