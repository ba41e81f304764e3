//! Promises of `settle`.

use std::time::Duration;

use bellwire_core::{
    decide::Health,
    delivery::{DeliveryState, Trigger},
    id::{AttemptId, Id},
};
use bellwire_store::{
    LaneHead, Verdict,
    query::{AttemptKey, Cutoffs, Requeue},
};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND},
};

/// For a delivery that was handed over and for one that was claimed.
pub async fn success_ends_a_delivery<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let claimed = bench.claim_one(endpoint).await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let fresh = inbox.take().remove(0);
    for work in [claimed, fresh] {
        bench
            .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(204))])
            .await;
        let row = bench.delivery(work.message.id, endpoint).await.unwrap();
        assert_eq!(
            (row.state, row.progress.tries, row.next_at),
            (DeliveryState::Succeeded, 1, None)
        );
    }
    assert_eq!(bench.head(endpoint).await, None);
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    assert_eq!(bench.sound().await.counts.succeeded, 2);
}

/// Visibly.
pub async fn failure_ends_a_delivery<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    bench.publish(&[endpoint]).await;
    let claimed = bench.claim_one(endpoint).await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let fresh = inbox.take().remove(0);
    for work in [claimed, fresh] {
        bench
            .settle(vec![bench.settlement(&work, Verdict::Failed, Some(500))])
            .await;
        let row = bench.delivery(work.message.id, endpoint).await.unwrap();
        assert_eq!(
            (row.state, row.progress.tries, row.next_at),
            (DeliveryState::Failed, 1, None)
        );
        assert_eq!(bench.attempts(work.message.id).await.len(), 1);
    }
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    assert_eq!(bench.sound().await.counts.failed, 2);
}

/// Nothing was tried, so nothing is recorded.
pub async fn cancellation_ends_a_delivery_without_an_attempt<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Cancelled, None)])
        .await;
    let row = bench.delivery(work.message.id, endpoint).await.unwrap();
    assert_eq!(
        (row.state, row.progress.tries, row.next_at),
        (DeliveryState::Cancelled, 0, None)
    );
    assert!(bench.attempts(work.message.id).await.is_empty());
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    assert_eq!(bench.sound().await.counts.cancelled, 1);
}

/// Over a whole run.
pub async fn a_retry_waits_for_its_time_and_counts_the_try<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let mut work = inbox.take().remove(0);
    for tries in 1..=5 {
        let again_at = bench.now().plus(HOUR);
        bench
            .settle(vec![bench.settlement(&work, Verdict::RetryAt(again_at), Some(503))])
            .await;
        assert_eq!(bench.head(endpoint).await, Some(again_at));
        let row = bench.delivery(work.message.id, endpoint).await.unwrap();
        assert_eq!(
            (row.state, row.progress.tries, row.next_at),
            (DeliveryState::Pending, tries, Some(again_at))
        );
        assert!(
            bench
                .claim_at(endpoint, again_at.minus(SECOND), 10)
                .await
                .work
                .is_empty()
        );
        bench.clock.set(again_at);
        work = bench.claim_one(endpoint).await;
        assert_eq!(
            (work.progress.tries, work.progress.run, work.due_at),
            (tries, 0, again_at)
        );
    }
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    let numbers: Vec<_> = bench
        .attempts(work.message.id)
        .await
        .iter()
        .map(|row| row.attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

/// It was not attempted.
pub async fn parking_gives_a_delivery_back_without_counting_a_try<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let mut work = inbox.take().remove(0);
    for at in [NOON, NOON.plus(HOUR)] {
        bench
            .settle(vec![bench.settlement(&work, Verdict::Park(at), None)])
            .await;
        assert!(inbox.take_stored().contains(&LaneHead { endpoint, due_at: at }));
        assert_eq!(bench.head(endpoint).await, Some(at));
        bench.clock.set(at);
        work = bench.claim_one(endpoint).await;
        assert_eq!((work.progress.tries, work.due_at), (0, at));
    }
    assert!(bench.attempts(work.message.id).await.is_empty());
}

/// Success with its answer, failure with its answer and headers, and no answer with the reason in words.
pub async fn an_attempt_is_kept_as_it_happened<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    for (status, verdict) in [
        (0, Verdict::RetryAt(NOON)),
        (500, Verdict::RetryAt(NOON)),
        (202, Verdict::Succeeded),
    ] {
        let work = bench.claim_one(endpoint).await;
        bench.tick();
        bench.settle(vec![bench.settlement(&work, verdict, Some(status))]).await;
    }
    bench.crash().await;
    let rows = bench.attempts(id).await;
    let [none, failed, succeeded] = &rows[..] else {
        panic!("three attempts: {rows:?}")
    };
    for (at, row) in (1..).zip(&rows) {
        let attempt = &row.attempt;
        assert_eq!(
            (attempt.app, attempt.message, attempt.endpoint),
            (bench.app, id, endpoint)
        );
        assert_eq!((attempt.number, attempt.trigger), (at, Trigger::Scheduled));
        assert_eq!(attempt.at, NOON.plus(u32::from(at) * SECOND));
        assert_eq!(attempt.duration, Duration::from_millis(20));
        assert_eq!(
            (attempt.url.as_str(), attempt.signature.as_str()),
            ("https://example.com/hooks", "v1,abc")
        );
        assert_eq!(attempt.last, at == 3);
    }
    assert_eq!(
        (none.attempt.status_code, none.attempt.failure.as_deref()),
        (0, Some("connection_refused"))
    );
    assert_eq!(&none.attempt.response[..], b"the receiver is out");
    assert_eq!(
        (failed.attempt.status_code, failed.attempt.failure.as_deref()),
        (500, Some("status_500"))
    );
    assert_eq!(&failed.attempt.response[..], b"answer 500");
    assert_eq!(
        failed.attempt.response_headers,
        [("x-answer".to_owned(), "no".to_owned())]
    );
    assert_eq!(
        (succeeded.attempt.status_code, &succeeded.attempt.failure),
        (202, &None)
    );
    assert_eq!(&succeeded.attempt.response[..], b"answer 202");
    assert!(rows.is_sorted_by(|a, b| a.attempt.id < b.attempt.id));
}

/// Whatever it says, with whatever it carries.
pub async fn an_outcome_of_an_older_run_is_recorded_and_decides_nothing<B: Backend>(bench: Bench<B>) {
    let (endpoint, teller) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    for (n, verdict) in [
        Verdict::Succeeded,
        Verdict::Failed,
        Verdict::RetryAt(NOON.plus(9 * DAY)),
        Verdict::Cancelled,
        Verdict::Park(NOON.plus(9 * DAY)),
    ]
    .into_iter()
    .enumerate()
    {
        let id = bench.publish(&[endpoint]).await;
        // Half of them were handed over, half were claimed.
        let mut old = inbox.take().remove(0);
        if n % 2 == 0 {
            bench
                .settle(vec![bench.settlement(&old, Verdict::Park(bench.now()), None)])
                .await;
            old = bench.claim_one(endpoint).await;
        }
        let due_at = bench.now();
        let wish = Requeue {
            message: id,
            endpoint,
            due_at,
            trigger: Trigger::Manual,
        };
        assert_eq!(bench.requeue(vec![wish]).await, 1);
        let tried = matches!(verdict, Verdict::Succeeded | Verdict::Failed | Verdict::RetryAt(_));
        let mut settlement = bench.settlement(&old, verdict, tried.then_some(500));
        settlement.notices = vec![bench.message(&[teller])];
        let before = bench.sound().await;
        bench.settle(vec![settlement]).await;

        assert_eq!(bench.attempts(id).await.len(), usize::from(tried), "{verdict:?}");
        let row = bench.delivery(id, endpoint).await.unwrap();
        assert_eq!(
            (row.state, row.progress.tries),
            (DeliveryState::Pending, 0),
            "{verdict:?}"
        );
        assert!(row.progress.run > old.progress.run, "{verdict:?}");
        assert_eq!(bench.sound().await, before, "no notice was accepted: {verdict:?}");
        assert!(inbox.take().is_empty());

        let new = bench.claim_one(endpoint).await;
        assert_eq!(
            (new.message.id, new.progress, new.due_at),
            (id, row.progress, due_at),
            "{verdict:?}"
        );
        bench
            .settle(vec![bench.settlement(&new, Verdict::Succeeded, Some(200))])
            .await;
        assert_eq!(bench.state(new.key()).await, Some(DeliveryState::Succeeded));
        bench.tick();
    }
}

/// A caller that did not hear the answer asks again.
pub async fn repeating_a_batch_changes_nothing<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut batch = Vec::new();
    let verdicts = [
        Verdict::Succeeded,
        Verdict::Failed,
        Verdict::RetryAt(NOON.plus(HOUR)),
        Verdict::Cancelled,
    ];
    for verdict in verdicts {
        bench.publish(&[endpoint]).await;
        let work = bench.claim_one(endpoint).await;
        let tried = (verdict != Verdict::Cancelled).then_some(500);
        batch.push(bench.settlement(&work, verdict, tried));
    }
    bench.settle(batch.clone()).await;
    let before = bench.sound().await;
    let mut rows = Vec::new();
    for settlement in &batch {
        rows.push(bench.delivery(settlement.key.message, endpoint).await);
    }
    bench.settle(batch.clone()).await;
    assert_eq!(bench.sound().await, before);
    for (settlement, delivery) in batch.iter().zip(rows) {
        assert_eq!(bench.delivery(settlement.key.message, endpoint).await, delivery);
    }
    assert_eq!(bench.head(endpoint).await, Some(NOON.plus(HOUR)));
}

/// Also when the delivery is out again, or over, by the time the repetition comes.
pub async fn a_repeated_batch_does_not_undo_what_followed<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    let first = bench.claim_one(endpoint).await;
    let retry = bench.settlement(&first, Verdict::RetryAt(NOON), Some(500));
    bench.settle(vec![retry.clone()]).await;
    let second = bench.claim_one(endpoint).await;
    bench.settle(vec![retry.clone()]).await;
    assert!(bench.claim(endpoint, 10).await.work.is_empty(), "it is out");
    assert_eq!(bench.delivery(id, endpoint).await.unwrap().progress.tries, 1);
    bench
        .settle(vec![bench.settlement(&second, Verdict::Succeeded, Some(200))])
        .await;
    bench.settle(vec![retry]).await;
    assert_eq!(bench.state(second.key()).await, Some(DeliveryState::Succeeded));
    assert!(bench.claim_at(endpoint, NOON.plus(DAY), 10).await.work.is_empty());
}

/// They are messages like any other.
pub async fn notices_are_accepted_with_the_settlement_and_handed_over<B: Backend>(mut bench: Bench<B>) {
    let (endpoint, teller) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    let mut settlement = bench.settlement(&work, Verdict::Failed, Some(500));
    let mut notice = bench.message(&[teller]);
    notice.event_type = "message.attempt.exhausted".to_owned();
    settlement.notices = vec![notice.clone(), notice];
    bench.settle(vec![settlement]).await;
    let told = inbox.take();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|work| work.endpoint == teller));
    assert!(
        told.iter()
            .all(|work| work.message.event_type == "message.attempt.exhausted")
    );
    bench.crash().await;
    assert_eq!(bench.claim(teller, 10).await.work.len(), 2);
    assert_eq!(bench.sound().await.messages, 3);
}

/// What was told can be looked up.
pub async fn a_notice_names_an_attempt_that_is_kept_under_that_id<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let message = bench.publish(&[endpoint]).await;
    let work = bench.claim_one(endpoint).await;
    let mut settlement = bench.settlement(&work, Verdict::Failed, Some(500));
    let attempt: AttemptId = bench.id();
    settlement.attempt_id = Some(attempt);
    bench.settle(vec![settlement]).await;
    let found = bench
        .store()
        .attempt(AttemptKey {
            app: bench.app,
            message,
            attempt,
        })
        .await
        .unwrap();
    assert_eq!(found.map(|row| row.attempt.id.number()), Some(attempt.number()));
    assert_eq!(bench.attempts(message).await.len(), 1);
}

/// The last word counts, across a crash.
pub async fn health_is_kept_and_cleared<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let since = NOON.minus(HOUR);
    for failing_since in [Some(since), None] {
        bench.publish(&[endpoint]).await;
        let work = bench.claim_one(endpoint).await;
        let mut settlement = bench.settlement(&work, Verdict::Succeeded, Some(200));
        settlement.health = Some(Health { failing_since });
        bench.settle(vec![settlement]).await;
        // One that says nothing changes nothing.
        bench.publish(&[endpoint]).await;
        let work = bench.claim_one(endpoint).await;
        bench
            .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
            .await;
        bench.crash().await;
        let health = bench.store().configuration().await.unwrap().health;
        let failing: Vec<_> = health
            .iter()
            .filter(|(_, health)| health.failing_since.is_some())
            .collect();
        match failing_since {
            Some(_) => assert_eq!(failing, [&(endpoint, Health { failing_since })]),
            None => assert!(failing.is_empty(), "{failing:?}"),
        }
    }
}

/// All or none, each with its own verdict.
pub async fn a_batch_settles_many_deliveries_at_once<B: Backend>(mut bench: Bench<B>) {
    let endpoints = [bench.endpoint().await, bench.endpoint().await, bench.endpoint().await];
    let inbox = bench.attach();
    let store = bench.store();
    for _ in 0..200 {
        store.append(bench.message(&endpoints)).await.unwrap();
    }
    drop(store);
    let work = inbox.take();
    assert_eq!(work.len(), 600);
    let later = NOON.plus(HOUR);
    let batch = work.iter().enumerate().map(|(n, work)| match n % 4 {
        0 => bench.settlement(work, Verdict::Succeeded, Some(200)),
        1 => bench.settlement(work, Verdict::Failed, Some(400)),
        2 => bench.settlement(work, Verdict::RetryAt(later), Some(500)),
        _ => bench.settlement(work, Verdict::Park(NOON), None),
    });
    bench.settle(batch.collect()).await;
    bench.crash().await;
    let counts = bench.sound().await.counts;
    assert_eq!((counts.succeeded, counts.failed, counts.pending), (150, 150, 300));
    let mut due = 0;
    for endpoint in endpoints {
        due += bench.claim(endpoint, 1_000).await.work.len();
    }
    assert_eq!(due, 150, "what was parked is due, what is retried is not");
}

/// There is nothing left to decide, and nothing goes wrong.
pub async fn a_settlement_for_a_message_that_is_gone_is_accepted<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let fresh = inbox.take().remove(0);
    bench.publish(&[endpoint]).await;
    let parked = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&parked, Verdict::Park(NOON), None)])
        .await;
    let claimed = bench.claim_one(endpoint).await;
    bench.clock.set(NOON.plus(5 * DAY));
    let cutoff = NOON.plus(3 * DAY);
    while bench
        .store()
        .retain(Cutoffs {
            messages: cutoff,
            attempts: cutoff,
            payloads: NOON,
        })
        .await
        .unwrap()
        .more
    {}
    let batch = vec![
        bench.settlement(&fresh, Verdict::RetryAt(bench.now()), Some(500)),
        bench.settlement(&claimed, Verdict::RetryAt(bench.now()), Some(500)),
    ];
    bench.settle(batch).await;
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    assert_eq!(bench.sound().await.deliveries, 0);
}
