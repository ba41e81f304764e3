//! Promises about order: heads and turns. Numbers are in `numbers`.

use std::collections::BTreeMap;

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    id::EndpointId,
};
use bellwire_store::{
    LaneHead, Verdict,
    query::{Cutoffs, MessageFilter, Requeue},
};

use super::{
    Backend, Bench, Inbox,
    bench::{ALL, DAY, HOUR, NOON, SECOND, ids, place, place_of},
};

/// Whether the endpoint was told to have something due now.
fn is_told(inbox: &Inbox, endpoint: EndpointId, bench_now: bellwire_core::time::Timestamp) -> bool {
    let told: Vec<LaneHead> = inbox.take_stored();
    told.iter()
        .any(|head| head.endpoint == endpoint && head.due_at <= bench_now)
}

// -- heads -------------------------------------------------------------------------------------------------------------

/// Whoever comes behind it waits in the store, and nobody is given it.
pub async fn only_the_head_of_a_line_is_handed_over<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let first = bench.publish_in(endpoint, "a").await;
    for _ in 0..3 {
        bench.tick();
        bench.publish_in(endpoint, "a").await;
    }
    let fresh = inbox.take();
    assert_eq!(ids(&fresh), [first]);
    assert_eq!(place_of(&fresh[0]), place("a", 1, 0));
    assert_eq!(bench.head(endpoint).await, None);
    let claimed = bench.claim_at(endpoint, NOON.plus(DAY), 10).await;
    assert!(claimed.work.is_empty() && claimed.next_due.is_none(), "{claimed:?}");
}

/// However many are asked for.
pub async fn only_the_head_of_a_line_is_claimed<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let first = bench.publish_in(endpoint, "a").await;
    for _ in 0..3 {
        bench.tick();
        bench.publish_in(endpoint, "a").await;
    }
    assert_eq!(bench.head(endpoint).await, Some(NOON));
    let claimed = bench.claim(endpoint, 10).await;
    assert_eq!((ids(&claimed.work), claimed.next_due), (vec![first], None));
    assert_eq!(place_of(&claimed.work[0]), place("a", 1, 0));
    assert!(bench.claim_at(endpoint, NOON.plus(DAY), 10).await.work.is_empty());
}

/// Nobody waits for another key's trouble.
pub async fn keys_go_in_parallel<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for key in ["a", "b", "c"] {
        for _ in 0..2 {
            bench.publish_in(endpoint, key).await;
        }
    }
    let claimed = bench.claim(endpoint, 10).await.work;
    let places: Vec<_> = claimed.iter().map(place_of).collect();
    assert_eq!(places, [place("a", 1, 0), place("b", 1, 0), place("c", 1, 0)]);
    bench.end(&claimed[0], Verdict::RetryAt(NOON.plus(HOUR))).await;
    bench.end(&claimed[1], Verdict::Succeeded).await;
    // One is retried, one is out, one went on.
    assert_eq!(place_of(&bench.claim_one(endpoint).await), place("b", 2, 1));
    bench.end(&claimed[2], Verdict::Blocked).await;
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
}

/// At the same endpoint as others that do.
pub async fn messages_without_a_line_wait_for_nobody<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish_in(endpoint, "a").await;
    bench.publish_in(endpoint, "a").await;
    inbox.take();
    let loose = [bench.publish(&[endpoint]).await, bench.publish(&[endpoint]).await];
    let fresh = inbox.take();
    assert_eq!(ids(&fresh), loose);
    assert!(fresh.iter().all(|work| work.place.is_none()));
    assert_eq!(bench.delivery(loose[0], endpoint).await.unwrap().sequence, None);
}

/// As any delivery would.
pub async fn a_stored_head_waits_in_the_store_and_is_told<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let mut new = bench.in_line(endpoint, "a", 1);
    new.routes[0].stored = true;
    let id = bench.append(new.clone()).await.unwrap().id;
    assert!(inbox.take().is_empty());
    assert!(is_told(&inbox, endpoint, NOON));
    bench.append(new).await.unwrap();
    assert_eq!(bench.head(endpoint).await, Some(NOON));
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (id, place("a", 1, 0)));
}

/// For as long as it takes, and in whatever way it is given back.
pub async fn a_retry_keeps_the_others_waiting<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let first = bench.publish_in(endpoint, "a").await;
    bench.publish_in(endpoint, "a").await;
    let mut work = inbox.take().remove(0);
    for (n, later) in [HOUR, SECOND, DAY, 2 * DAY].into_iter().enumerate() {
        let at = bench.now().plus(later);
        let verdict = if n == 1 {
            Verdict::Park(at)
        } else {
            Verdict::RetryAt(at)
        };
        bench.end(&work, verdict).await;
        assert_eq!(bench.head(endpoint).await, Some(at));
        assert!(bench.claim(endpoint, 10).await.work.is_empty());
        bench.clock.set(at);
        work = bench.claim_one(endpoint).await;
        assert_eq!((work.message.id, place_of(&work)), (first, place("a", 1, 0)));
    }
    assert!(inbox.take().is_empty());
}

/// In the transaction that writes the end; and that it waits is told.
pub async fn the_end_of_a_head_gives_the_next_one_its_turn_and_tells_it<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    for (n, verdict) in [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled]
        .into_iter()
        .enumerate()
    {
        let key = format!("key {n}");
        bench.publish_in(endpoint, &key).await;
        let second = bench.publish_in(endpoint, &key).await;
        let third = bench.publish_in(endpoint, &key).await;
        let head = inbox.take().remove(0);
        inbox.take_stored();
        bench.tick();
        bench.end(&head, verdict).await;
        assert!(is_told(&inbox, endpoint, bench.now()), "{verdict:?}");
        assert!(bench.head(endpoint).await.is_some_and(|due_at| due_at <= bench.now()));
        let next = bench.claim_one(endpoint).await;
        assert_eq!(next.message.id, second);
        assert_eq!((next.progress.run, next.progress.tries), (0, 0));
        let previous = u64::from(verdict == Verdict::Succeeded);
        assert_eq!(place_of(&next), place(&key, 2, previous));
        bench.end(&next, verdict).await;
        let last = bench.claim_one(endpoint).await;
        assert_eq!(
            (last.message.id, place_of(&last)),
            (third, place(&key, 3, 2 * previous))
        );
        bench.end(&last, verdict).await;
        assert_eq!(bench.head(endpoint).await, None);
        let line = bench.line(endpoint, &key).await.unwrap();
        assert_eq!(
            (line.last, line.succeeded, line.waiting, line.head),
            (3, 3 * previous, 0, None)
        );
    }
}

/// Whoever comes to an empty line is its head at once.
pub async fn a_line_that_ran_empty_goes_on_with_the_next_number<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    for n in 1..=4 {
        bench.publish_in(endpoint, "a").await;
        let work = inbox.take().remove(0);
        assert_eq!(place_of(&work), place("a", n, n - 1));
        bench.end(&work, Verdict::Succeeded).await;
    }
}

/// What lies between it and the last one that succeeded was given up.
pub async fn a_receiver_is_told_what_was_skipped<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..5 {
        bench.publish_in(endpoint, "a").await;
    }
    let verdicts = [
        (Verdict::Succeeded, 0),
        (Verdict::Failed, 1),
        (Verdict::Cancelled, 1),
        (Verdict::Succeeded, 1),
        (Verdict::Succeeded, 4),
    ];
    for (sequence, (verdict, previous)) in (1..).zip(verdicts) {
        let work = bench.claim_one(endpoint).await;
        assert_eq!(place_of(&work), place("a", sequence, previous));
        bench.end(&work, verdict).await;
        bench.crash().await;
    }
    assert_eq!(bench.line(endpoint, "a").await.unwrap().succeeded, 5);
}

/// Each line in a batch moves on.
pub async fn many_heads_settled_at_once_give_many_their_turn<B: Backend>(bench: Bench<B>) {
    let endpoints = [bench.endpoint().await, bench.endpoint().await];
    let keys: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
    for _ in 0..3 {
        for key in &keys {
            for endpoint in endpoints {
                bench.publish_in(endpoint, key).await;
            }
        }
    }
    for round in 1..=3 {
        let mut batch = Vec::new();
        for endpoint in endpoints {
            let work = bench.claim(endpoint, 100).await.work;
            assert_eq!(work.len(), 20);
            for work in work {
                assert_eq!(place_of(&work).1, round);
                batch.push(bench.settlement(&work, Verdict::Succeeded, Some(200)));
            }
        }
        bench.settle(batch).await;
    }
    assert_eq!(bench.sound().await.counts.succeeded, 120);
}

/// A caller that did not hear the answer asks again.
pub async fn a_repeated_batch_moves_a_line_once<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..3 {
        bench.publish_in(endpoint, "a").await;
    }
    let first = bench.claim_one(endpoint).await;
    let batch = vec![bench.settlement(&first, Verdict::Succeeded, Some(200))];
    bench.settle(batch.clone()).await;
    bench.settle(batch.clone()).await;
    let second = bench.claim_one(endpoint).await;
    assert_eq!(place_of(&second), place("a", 2, 1));
    bench.settle(batch).await;
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.succeeded, line.waiting), (1, 2));
}

/// Like any message.
pub async fn a_notice_joins_its_line<B: Backend>(bench: Bench<B>) {
    let (endpoint, teller) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    let mut settlement = bench.settlement(&work, Verdict::Failed, Some(500));
    settlement.notices = vec![bench.in_line(teller, "", 1), bench.in_line(teller, "", 1)];
    bench.settle(vec![settlement]).await;
    let told = inbox.take();
    assert_eq!(told.iter().map(place_of).collect::<Vec<_>>(), [place("", 1, 0)]);
    bench.end(&told[0], Verdict::Succeeded).await;
    assert_eq!(place_of(&bench.claim_one(teller).await), place("", 2, 1));
}

// -- time --------------------------------------------------------------------------------------------------------------

/// Order comes before speed.
pub async fn a_head_that_is_for_later_holds_its_line<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let later = NOON.plus(HOUR);
    let mut new = bench.in_line(endpoint, "a", 1);
    new.deliver_at = Some(later);
    let first = bench.append(new).await.unwrap().id;
    let second = bench.publish_in(endpoint, "a").await;
    assert!(inbox.take().is_empty());
    assert_eq!(bench.head(endpoint).await, Some(later));
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    bench.clock.set(later);
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, work.due_at), (first, later));
    bench.end(&work, Verdict::Succeeded).await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, second);
}

/// Neither before its turn nor before its time.
pub async fn a_turn_waits_for_the_time_of_its_message<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish_in(endpoint, "a").await;
    let later = NOON.plus(HOUR);
    let mut new = bench.in_line(endpoint, "a", 1);
    new.deliver_at = Some(later);
    let second = bench.append(new).await.unwrap().id;
    let third = bench.publish_in(endpoint, "a").await;
    let head = inbox.take().remove(0);
    inbox.take_stored();
    bench.end(&head, Verdict::Succeeded).await;
    let told = LaneHead {
        endpoint,
        due_at: later,
    };
    assert!(inbox.take_stored().contains(&told));
    assert_eq!(bench.head(endpoint).await, Some(later));
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    assert_eq!(bench.delivery(second, endpoint).await.unwrap().next_at, Some(later));
    bench.clock.set(later.plus(SECOND));
    let work = bench.claim_one(endpoint).await;
    assert_eq!(work.message.id, second);
    bench.end(&work, Verdict::Failed).await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (third, place("a", 3, 1)));
}

/// The number, and when it is tried: at nobody knows what time, for whoever waits.
pub async fn deliveries_show_their_numbers<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let first = bench.publish_in(endpoint, "a").await;
    let second = bench.publish_in(endpoint, "a").await;
    let rows = [
        bench.delivery(first, endpoint).await.unwrap(),
        bench.delivery(second, endpoint).await.unwrap(),
    ];
    assert!(rows.iter().all(|row| row.state == DeliveryState::Pending));
    assert_eq!(rows.map(|row| row.next_at), [Some(NOON), None]);
    assert_eq!(rows.map(|row| row.sequence), [Some(1), Some(2)]);
    let store = bench.store();
    let any = MessageFilter::default();
    let listed = store
        .endpoint_messages(bench.app, endpoint, any, None, ALL, false)
        .await;
    let listed: Vec<_> = listed.unwrap().items.iter().map(|row| row.delivery).collect();
    assert_eq!(listed, rows);
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let ended = bench.delivery(first, endpoint).await.unwrap();
    assert_eq!(
        (ended.state, ended.sequence, ended.next_at),
        (DeliveryState::Succeeded, Some(1), None)
    );
    assert!(bench.delivery(second, endpoint).await.unwrap().next_at.is_some());
}

// -- what is gone ------------------------------------------------------------------------------------------------------

/// Claims until something is given, or nothing remains: a backend may find out here that a message is gone.
async fn claim_next<B: Backend>(bench: &Bench<B>, endpoint: EndpointId) -> Vec<bellwire_core::delivery::Work> {
    for _ in 0..10 {
        let claimed = bench.claim(endpoint, 10).await;
        if !claimed.work.is_empty() || claimed.next_due.is_none() {
            return claimed.work;
        }
    }
    panic!("claiming comes to an end");
}

/// Whether it was at the head, behind it, or out.
pub async fn a_message_that_is_gone_leaves_its_line<B: Backend>(mut bench: Bench<B>) {
    for out in [false, true] {
        let endpoint = bench.endpoint().await;
        let begin = bench.now();
        bench.publish_in(endpoint, "a").await;
        bench.publish_in(endpoint, "a").await;
        let head = bench.claim_one(endpoint).await;
        if !out {
            bench.end(&head, Verdict::RetryAt(begin.plus(DAY))).await;
        }
        bench.clock.set(begin.plus(5 * DAY));
        let young = bench.publish_in(endpoint, "a").await;
        let cutoffs = Cutoffs {
            messages: begin.plus(3 * DAY),
            attempts: begin.minus(DAY),
            payloads: begin.minus(DAY),
        };
        while bench.store().retain(cutoffs).await.unwrap().more {}
        bench.sound().await;
        if out {
            assert!(claim_next(&bench, endpoint).await.is_empty(), "its head is out");
            bench.end(&head, Verdict::RetryAt(bench.now())).await;
        }
        let next = claim_next(&bench, endpoint).await;
        assert_eq!(ids(&next), [young]);
        assert_eq!(place_of(&next[0]), place("a", 3, 0));
        bench.end(&next[0], Verdict::Succeeded).await;
        bench.crash().await;
        assert_eq!(bench.head(endpoint).await, None);
        let line = bench.line(endpoint, "a").await.unwrap();
        assert_eq!((line.last, line.succeeded, line.waiting), (3, 3, 0));
    }
}

// -- all together ------------------------------------------------------------------------------------------------------

/// Many keys, a fifth of the attempts failing, crashes in between: the receiver sees each line in its order.
pub async fn a_receiver_never_sees_a_line_inverted<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut random = fastrand::Rng::with_seed(11);
    let mut inbox = bench.attach();
    let mut published = BTreeMap::<String, u64>::new();
    // What the receiver saw of each line: the largest number, and those that it accepted.
    let mut seen = BTreeMap::<String, (u64, Vec<u64>)>::new();
    let mut resent = 0;
    for round in 0..400 {
        bench.clock.advance(SECOND);
        if round < 200 {
            let key = format!("key {}", random.u32(0..6));
            let mut new = bench.in_line(endpoint, &key, 1);
            new.routes[0].stored = random.bool();
            let id = bench.append(new).await.unwrap().id;
            *published.entry(key).or_default() += 1;
            if random.u32(0..10) == 0 {
                let wish = Requeue {
                    message: id,
                    endpoint,
                    due_at: bench.now(),
                    trigger: Trigger::Manual,
                };
                resent += bench.requeue(vec![wish]).await;
            }
        }
        let mut work = inbox.take();
        if random.bool() {
            work.extend(bench.claim(endpoint, random.usize(1..4)).await.work);
        }
        for work in work {
            let (key, sequence, previous) = place_of(&work);
            let (largest, accepted) = seen.entry(key.clone()).or_default();
            assert!(sequence >= *largest, "{key}: {sequence} after {largest}");
            let last = accepted.last().copied().unwrap_or(0);
            assert_eq!(previous, Some(last), "{key}: the last that succeeded before {sequence}");
            *largest = sequence;
            let verdict = match random.u32(0..10) {
                0 => Verdict::RetryAt(bench.now().plus(SECOND)),
                1 => Verdict::Failed,
                2 => Verdict::Park(bench.now()),
                _ => Verdict::Succeeded,
            };
            if random.u32(0..20) == 0 {
                // Seen, and its end was never written.
                bench.crash().await;
                inbox = bench.attach();
                break;
            }
            bench.end(&work, verdict).await;
            // An outcome of a run that was started anew meanwhile decides nothing.
            if bench.state(work.key()).await == Some(DeliveryState::Succeeded) {
                accepted.push(sequence);
            }
        }
    }
    assert!(resent > 0);
    bench.crash().await;
    while bench.attempt_all(endpoint, Verdict::Succeeded, 200).await > 0 {}
    bench.clock.advance(HOUR);
    while bench.attempt_all(endpoint, Verdict::Succeeded, 200).await > 0 {}
    let report = bench.sound().await;
    assert_eq!(report.counts.pending, 0, "nobody is left behind");
    for (key, last) in published {
        let line = bench.line(endpoint, &key).await.unwrap();
        assert_eq!((line.last, line.waiting), (last, 0));
    }
}
