//! Promises of `requeue`.

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    id::{EndpointId, MessageId},
    time::Timestamp,
};
use bellwire_store::{LaneHead, Verdict, query::Requeue};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, ids, place, place_of},
};

fn wish(message: MessageId, endpoint: EndpointId, due_at: Timestamp) -> Requeue {
    Requeue {
        message,
        endpoint,
        due_at,
        trigger: Trigger::Manual,
    }
}

/// However it ended; and it is told to whoever delivers.
pub async fn an_ended_delivery_starts_anew<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    for verdict in [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled] {
        let id = bench.publish(&[endpoint]).await;
        let work = inbox.take().remove(0);
        let tried = (verdict != Verdict::Cancelled).then_some(500);
        bench.settle(vec![bench.settlement(&work, verdict, tried)]).await;
        inbox.take_stored();
        assert_eq!(bench.requeue(vec![wish(id, endpoint, NOON)]).await, 1);
        assert!(inbox.take_stored().contains(&LaneHead { endpoint, due_at: NOON }));
        assert_eq!(bench.head(endpoint).await, Some(NOON));
        assert_eq!(bench.state(work.key()).await, Some(DeliveryState::Pending));
        let again = bench.claim_one(endpoint).await;
        assert_eq!(
            (again.message.id, again.progress.tries, again.progress.trigger),
            (id, 0, Trigger::Manual)
        );
        assert!(again.progress.run > work.progress.run);
        bench
            .settle(vec![bench.settlement(&again, Verdict::Succeeded, Some(200))])
            .await;
        let attempts = bench.attempts(id).await;
        assert_eq!(
            attempts.last().map(|row| (row.attempt.number, row.attempt.trigger)),
            Some((1, Trigger::Manual))
        );
    }
    assert_eq!(bench.sound().await.counts.succeeded, 3);
}

/// Now, with its tries forgotten.
pub async fn a_delivery_that_waits_starts_anew<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::RetryAt(NOON.plus(DAY)), 500).await;
    assert_eq!(bench.requeue(vec![wish(id, endpoint, NOON)]).await, 1);
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.progress.tries, work.due_at), (0, NOON));
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    assert!(
        bench.claim_at(endpoint, NOON.plus(2 * DAY), 10).await.work.is_empty(),
        "the old place is gone"
    );
    assert_eq!(bench.sound().await.deliveries, 1);
}

/// At the latest when the old one is settled, the new one is there to be claimed, and that is told.
pub async fn a_delivery_in_flight_starts_anew_and_its_old_outcome_decides_nothing<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    for claimed in [false, true] {
        let id = bench.publish(&[endpoint]).await;
        let mut old = inbox.take().remove(0);
        if claimed {
            bench
                .settle(vec![bench.settlement(&old, Verdict::Park(NOON), None)])
                .await;
            old = bench.claim_one(endpoint).await;
        }
        assert_eq!(bench.requeue(vec![wish(id, endpoint, NOON)]).await, 1);
        // A backend may give the new run out at once, or hold it back until the old one is over.
        let early = bench.claim(endpoint, 10).await.work;
        inbox.take_stored();
        bench
            .settle(vec![bench.settlement(&old, Verdict::Succeeded, Some(200))])
            .await;
        let new = match early.into_iter().next() {
            Some(early) => early,
            None => {
                let told = inbox.take_stored();
                assert!(
                    told.contains(&LaneHead { endpoint, due_at: NOON }),
                    "that it waits is told: {told:?}"
                );
                bench.claim_one(endpoint).await
            }
        };
        assert!(new.progress.run > old.progress.run);
        bench
            .settle(vec![bench.settlement(&new, Verdict::Failed, Some(500))])
            .await;
        assert_eq!(bench.state(new.key()).await, Some(DeliveryState::Failed));
        assert_eq!(bench.attempts(id).await.len(), 2);
    }
}

/// It counts as a delivery from then on.
pub async fn an_endpoint_that_the_message_was_not_routed_to_gets_it<B: Backend>(bench: Bench<B>) {
    let (routed, other) = (bench.endpoint().await, bench.endpoint().await);
    let id = bench.publish(&[routed]).await;
    assert_eq!(bench.requeue(vec![wish(id, other, NOON)]).await, 1);
    assert_eq!(bench.sound().await.deliveries, 2);
    let work = bench.claim_one(other).await;
    assert_eq!(work.message.id, id);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    assert_eq!(bench.state(work.key()).await, Some(DeliveryState::Succeeded));
    assert_eq!(
        bench.delivery(id, routed).await.map(|row| row.state),
        Some(DeliveryState::Pending)
    );
}

/// And not counted.
pub async fn messages_that_are_gone_are_skipped<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let here = bench.publish(&[]).await;
    let never: MessageId = bench.id();
    let batch = vec![wish(never, endpoint, NOON), wish(here, endpoint, NOON)];
    assert_eq!(bench.requeue(batch).await, 1);
    assert_eq!(bench.claim_one(endpoint).await.message.id, here);
    assert_eq!(bench.requeue(Vec::new()).await, 0);
}

/// Like any delivery.
pub async fn a_start_for_later_waits_until_its_time<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let later = NOON.plus(HOUR);
    bench.requeue(vec![wish(id, endpoint, later)]).await;
    assert_eq!(bench.head(endpoint).await, Some(later));
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    bench.clock.set(later);
    assert_eq!(bench.claim_one(endpoint).await.due_at, later);
}

/// Also when it is out, and when nothing of the message had waited before.
pub async fn a_new_start_survives_a_crash<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let succeeded = bench.publish(&[endpoint]).await;
    let work = inbox.take().remove(0);
    bench
        .settle(vec![bench.settlement(&work, Verdict::Succeeded, Some(200))])
        .await;
    let out = bench.publish(&[endpoint]).await;
    bench
        .requeue(vec![wish(succeeded, endpoint, NOON), wish(out, endpoint, NOON)])
        .await;
    for _ in 0..2 {
        bench.crash().await;
        let claimed = bench.claim(endpoint, 10).await.work;
        assert_eq!(
            claimed.iter().map(|work| work.message.id).collect::<Vec<_>>(),
            [succeeded, out]
        );
        assert!(
            claimed
                .iter()
                .all(|work| work.progress.run > 0 && work.progress.trigger == Trigger::Manual)
        );
    }
}

// -- in lines ----------------------------------------------------------------------------------------------------------

/// With its old number, beside the others, and it holds nobody up.
pub async fn what_has_left_its_line_goes_outside_of_its_turn<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let verdicts = [Verdict::Succeeded, Verdict::Failed, Verdict::Cancelled];
    let mut ended = Vec::new();
    for verdict in verdicts {
        ended.push(bench.publish_in(endpoint, "a").await);
        let work = bench.claim_one(endpoint).await;
        bench.end(&work, verdict).await;
    }
    let wishes = ended.iter().map(|id| wish(*id, endpoint, NOON));
    assert_eq!(bench.requeue(wishes.collect()).await, 3);
    bench.crash().await;
    bench.tick();
    let next = bench.publish_in(endpoint, "a").await;
    let work = bench.claim(endpoint, 10).await.work;
    assert_eq!(ids(&work), [ended[0], ended[1], ended[2], next]);
    let places: Vec<_> = work.iter().map(place_of).collect();
    let again = |sequence| place("a", sequence, None);
    assert_eq!(places, [again(1), again(2), again(3), place("a", 4, 1)]);
    // Its success is not the line's: what comes next was not told that 3 was missing and now is not.
    for again in &work[..3] {
        bench.end(again, Verdict::Succeeded).await;
    }
    bench.end(&work[3], Verdict::Failed).await;
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.succeeded, line.waiting), (4, 1, 0));
    bench.publish_in(endpoint, "a").await;
    assert_eq!(place_of(&bench.claim_one(endpoint).await), place("a", 5, 1));
}

/// It is sent when its turn comes, once.
pub async fn what_waits_behind_others_keeps_its_place<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    bench.publish_in(endpoint, "a").await;
    let second = bench.publish_in(endpoint, "a").await;
    let third = bench.publish_in(endpoint, "a").await;
    let head = inbox.take().remove(0);
    bench
        .requeue(vec![wish(third, endpoint, NOON), wish(second, endpoint, NOON)])
        .await;
    assert_eq!(bench.head(endpoint).await, None);
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    assert_eq!(bench.delivery(second, endpoint).await.unwrap().next_at, None);
    bench.end(&head, Verdict::Succeeded).await;
    for (sequence, id) in [(2, second), (3, third)] {
        let work = bench.claim_one(endpoint).await;
        assert_eq!(
            (work.message.id, place_of(&work)),
            (id, place("a", sequence, sequence - 1))
        );
        bench.end(&work, Verdict::Succeeded).await;
    }
    assert_eq!(bench.head(endpoint).await, None);
}

/// Whoever comes behind it waits for the new run.
pub async fn a_head_that_starts_anew_stays_the_head<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let head = bench.publish_in(endpoint, "a").await;
    let second = bench.publish_in(endpoint, "a").await;
    bench.attempt_all(endpoint, Verdict::RetryAt(NOON.plus(DAY)), 500).await;
    // While it waits for a retry, and while it is out.
    bench.requeue(vec![wish(head, endpoint, NOON)]).await;
    let old = bench.claim_one(endpoint).await;
    assert_eq!((old.message.id, old.progress.tries), (head, 0));
    bench.requeue(vec![wish(head, endpoint, NOON)]).await;
    assert_eq!(bench.delivery(second, endpoint).await.unwrap().next_at, None);
    bench.end(&old, Verdict::Succeeded).await;
    bench.crash().await;
    let new = bench.claim_one(endpoint).await;
    assert_eq!((new.message.id, place_of(&new)), (head, place("a", 1, 0)));
    assert!(new.progress.run > old.progress.run);
    bench.end(&new, Verdict::Failed).await;
    let next = bench.claim_one(endpoint).await;
    assert_eq!((next.message.id, place_of(&next)), (second, place("a", 2, 0)));
}

/// As if it had been unblocked.
pub async fn the_head_of_a_blocked_line_opens_it<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let head = bench.publish_in(endpoint, "a").await;
    let second = bench.publish_in(endpoint, "a").await;
    let work = inbox.take().remove(0);
    bench.end(&work, Verdict::Blocked).await;
    inbox.take_stored();
    assert_eq!(bench.requeue(vec![wish(head, endpoint, NOON)]).await, 1);
    assert!(inbox.take_stored().contains(&LaneHead { endpoint, due_at: NOON }));
    assert_eq!(bench.backlog(endpoint).await.blocked_lines, 0);
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (head, place("a", 1, 0)));
    bench.end(&work, Verdict::Succeeded).await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, second);
}

/// A replay to an endpoint that never had the message.
pub async fn a_message_that_was_never_in_line_takes_no_number<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    let id = bench.publish_in(endpoint, "a").await;
    bench.publish_in(other, "a").await;
    bench.publish_in(other, "a").await;
    assert_eq!(bench.requeue(vec![wish(id, other, NOON)]).await, 1);
    let work = bench.claim(other, 10).await.work;
    assert_eq!(work.len(), 2);
    let replayed = work.iter().find(|work| work.message.id == id).unwrap();
    assert_eq!(replayed.place, None);
    assert_eq!(bench.delivery(id, other).await.unwrap().sequence, None);
    assert_eq!(bench.line(other, "a").await.unwrap().last, 2);
}
