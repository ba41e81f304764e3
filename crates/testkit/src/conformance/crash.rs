//! What a crash leaves.

use bellwire_core::delivery::DeliveryState;
use bellwire_store::Verdict;

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, idempotency, ids, place, place_of},
};

/// In `lanes` and for `claim`.
pub async fn what_was_handed_over_and_not_settled_waits_again<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let one = bench.publish(&[endpoint]).await;
    let two = bench.publish(&[endpoint]).await;
    assert_eq!(inbox.take().len(), 2);
    assert_eq!(bench.head(endpoint).await, None);
    bench.crash().await;
    assert!(bench.head(endpoint).await.is_some_and(|due_at| due_at <= bench.now()));
    let again = bench.claim(endpoint, 10).await.work;
    assert_eq!(again.iter().map(|work| work.message.id).collect::<Vec<_>>(), [one, two]);
    assert!(
        again
            .iter()
            .all(|work| work.progress.tries == 0 && work.message.payload.is_some())
    );
    let batch = again
        .iter()
        .map(|work| bench.settlement(work, Verdict::Succeeded, Some(200)));
    bench.settle(batch.collect()).await;
    assert_eq!(bench.sound().await.counts.succeeded, 2);
}

/// Leases end with the process that held them.
pub async fn what_was_claimed_and_not_settled_waits_again<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    for _ in 0..3 {
        assert_eq!(bench.claim_one(endpoint).await.message.id, id);
        bench.crash().await;
        assert_eq!(bench.head(endpoint).await, Some(NOON));
    }
}

/// Whether it was handed over or claimed, and however it ended.
pub async fn what_was_settled_does_not_come_back<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let verdicts = [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled];
    let mut keys = Vec::new();
    for verdict in verdicts {
        for claimed in [false, true] {
            bench.publish(&[endpoint]).await;
            let mut work = inbox.take().remove(0);
            if claimed {
                bench
                    .settle(vec![bench.settlement(&work, Verdict::Park(NOON), None)])
                    .await;
                work = bench.claim_one(endpoint).await;
            }
            let tried = (verdict != Verdict::Cancelled).then_some(200);
            bench.settle(vec![bench.settlement(&work, verdict, tried)]).await;
            keys.push(work.key());
        }
    }
    // One that is out is between them and what the crash leaves.
    let out = bench.publish(&[endpoint]).await;
    bench.crash().await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!(work.message.id, out);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, None);
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    let expected = [
        DeliveryState::Succeeded,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
    ];
    for (key, expected) in keys.iter().zip(expected.iter().flat_map(|state| [state, state])) {
        assert_eq!(bench.state(*key).await, Some(*expected));
    }
}

/// Also when it is out at the moment of the crash.
pub async fn a_retry_keeps_its_time_and_its_tries<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    let at = NOON.plus(HOUR);
    bench
        .settle(vec![bench.settlement(&work, Verdict::RetryAt(at), Some(500))])
        .await;
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, Some(at));
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    bench.clock.set(at);
    for _ in 0..2 {
        let work = bench.claim_one(endpoint).await;
        assert_eq!((work.progress.tries, work.due_at), (1, at));
        bench.crash().await;
    }
}

/// So that an id is never given twice.
pub async fn ids_go_on_behind_the_last_one_also_when_the_clock_went_back<B: Backend>(mut bench: Bench<B>) {
    let before = bench.publish(&[]).await;
    bench.clock.set(NOON.minus(2 * DAY));
    bench.crash().await;
    let after = bench.publish(&[]).await;
    assert!(before < after, "{before} < {after}");
}

/// Publications, retries and crashes in turn.
pub async fn what_was_acknowledged_before_several_crashes_adds_up<B: Backend>(mut bench: Bench<B>) {
    let (one, two) = (bench.endpoint().await, bench.endpoint().await);
    for round in 0..6u8 {
        let inbox = bench.attach();
        for n in 0..10u8 {
            let mut new = bench.message(&[one, two]);
            new.idempotency = idempotency(round * 10 + n, 0);
            bench.append(new).await.unwrap();
        }
        // Of what was handed over in this life, a third succeeds, a third is retried, a third is out when it ends.
        let work = inbox.take();
        let batch = work.iter().enumerate().filter_map(|(n, work)| match n % 3 {
            0 => Some(bench.settlement(work, Verdict::Succeeded, Some(200))),
            1 => Some(bench.settlement(work, Verdict::RetryAt(bench.now()), Some(500))),
            _ => None,
        });
        bench.settle(batch.collect()).await;
        bench.crash().await;
        bench.tick();
        let report = bench.sound().await;
        let rounds = u64::from(round) + 1;
        assert_eq!((report.messages, report.deliveries), (rounds * 10, rounds * 20));
        if round == 3 {
            // Everything that waits by now succeeds.
            for endpoint in [one, two] {
                bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
            }
            assert_eq!(bench.sound().await.counts.succeeded, 80);
        }
    }
    for endpoint in [one, two] {
        bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    }
    assert_eq!(bench.sound().await.counts.succeeded, 120);
}

// -- in lines ----------------------------------------------------------------------------------------------------------

/// Handed over or claimed, it is its turn again; the others wait behind it.
pub async fn a_head_that_was_out_is_the_head_again<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let first = bench.publish_in(endpoint, "a").await;
    bench.publish_in(endpoint, "a").await;
    assert_eq!(ids(&inbox.take()), [first]);
    for _ in 0..3 {
        bench.crash().await;
        assert!(bench.head(endpoint).await.is_some_and(|due_at| due_at <= NOON));
        let work = bench.claim_one(endpoint).await;
        assert_eq!((work.message.id, place_of(&work)), (first, place("a", 1, 0)));
    }
    // A message that is published meanwhile comes behind them.
    let inbox = bench.attach();
    bench.publish_in(endpoint, "a").await;
    assert!(inbox.take().is_empty());
    assert_eq!(bench.line(endpoint, "a").await.unwrap().waiting, 3);
}

/// Whoever saw the next one attempted never sees the one before it again.
pub async fn a_turn_that_was_given_stays_given<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for verdict in [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled] {
        let inbox = bench.attach();
        let first = bench.publish_in(endpoint, "a").await;
        let second = bench.publish_in(endpoint, "a").await;
        let work = inbox.take().remove(0);
        assert_eq!(work.message.id, first);
        bench.end(&work, verdict).await;
        bench.crash().await;
        let work = bench.claim_one(endpoint).await;
        assert_eq!(work.message.id, second);
        bench.crash().await;
        let work = bench.claim_one(endpoint).await;
        assert_eq!(work.message.id, second);
        bench.end(&work, Verdict::Succeeded).await;
    }
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, None);
    assert_eq!(bench.line(endpoint, "a").await.unwrap().last, 6);
}

/// With their numbers, eras, retries and what was told to wait.
pub async fn lines_are_found_as_they_stood<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for (key, era) in [("a", 1), ("a", 1), ("b", 1), ("b", 1), ("", 2), ("", 2)] {
        bench.publish_in_era(endpoint, key, era).await;
    }
    let heads = bench.claim(endpoint, 10).await.work;
    bench.end(&heads[0], Verdict::RetryAt(NOON.plus(HOUR))).await;
    bench.end(&heads[1], Verdict::Blocked).await;
    let mut lines = Vec::new();
    for key in ["a", "b", ""] {
        lines.push(bench.line(endpoint, key).await.unwrap());
    }
    let backlog = bench.backlog(endpoint).await;
    for _ in 0..2 {
        bench.crash().await;
        for (key, line) in ["a", "b", ""].into_iter().zip(&lines) {
            assert_eq!(bench.line(endpoint, key).await.as_ref(), Some(line));
        }
        assert_eq!(bench.backlog(endpoint).await, backlog);
        assert_eq!(bench.head(endpoint).await, Some(NOON.plus(HOUR)));
    }
    assert_eq!((backlog.waiting, backlog.blocked_lines), (5, 1));
}
