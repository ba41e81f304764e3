//! Promises about a change of an endpoint's order with deliveries pending: nothing is lost, nothing is inverted.

use bellwire_core::{
    delivery::DeliveryState,
    id::{EndpointId, MessageId},
};
use bellwire_store::{LaneHead, Verdict, query::Tending};

use super::{
    Backend, Bench,
    bench::{HOUR, NOON, SECOND, ids, place, place_of},
};

/// Attempts what may be attempted until nothing is left; answers the messages in the order in which they went.
async fn drain<B: Backend>(bench: &Bench<B>, endpoint: EndpointId) -> Vec<MessageId> {
    let mut went = Vec::new();
    loop {
        let work = bench.claim(endpoint, 1).await.work;
        let Some(work) = work.first() else { return went };
        went.push(work.message.id);
        bench.end(work, Verdict::Succeeded).await;
        bench.tick();
    }
}

/// They were promised no order, and hold nobody up.
pub async fn from_no_order_to_keys_nobody_waits_for_the_old_ones<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let old = bench.publish(&[endpoint]).await;
    let first = bench.publish_in_era(endpoint, "a", 1).await;
    let second = bench.publish_in_era(endpoint, "a", 1).await;
    let work = bench.claim(endpoint, 10).await.work;
    assert_eq!(ids(&work), [old, first]);
    assert_eq!(place_of(&work[1]), place("a", 1, 0));
    bench.end(&work[0], Verdict::RetryAt(NOON.plus(HOUR))).await;
    bench.end(&work[1], Verdict::Succeeded).await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, second);
}

/// The old ones keep their order, and hold up nobody.
pub async fn from_keys_to_no_order_the_old_lines_go_on<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let first = bench.publish_in_era(endpoint, "a", 1).await;
    let second = bench.publish_in_era(endpoint, "a", 1).await;
    let loose = [bench.publish(&[endpoint]).await, bench.publish(&[endpoint]).await];
    let work = bench.claim(endpoint, 10).await.work;
    assert_eq!(ids(&work), [first, loose[0], loose[1]]);
    for work in &work {
        bench.end(work, Verdict::Succeeded).await;
    }
    assert_eq!(bench.claim_one(endpoint).await.message.id, second);
}

/// All keys have to be through, also those that are retried.
pub async fn from_keys_to_one_line_it_waits_for_all_keys<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let a = [
        bench.publish_in_era(endpoint, "a", 1).await,
        bench.publish_in_era(endpoint, "a", 1).await,
    ];
    let b = bench.publish_in_era(endpoint, "b", 1).await;
    let all = [
        bench.publish_in_era(endpoint, "", 2).await,
        bench.publish_in_era(endpoint, "", 2).await,
    ];
    let inbox = bench.attach();
    let work = bench.claim(endpoint, 10).await.work;
    assert_eq!(ids(&work), [a[0], b]);
    bench.end(&work[1], Verdict::RetryAt(NOON.plus(HOUR))).await;
    bench.end(&work[0], Verdict::Succeeded).await;
    assert_eq!(drain(&bench, endpoint).await, [a[1]]);
    let waits = bench.line(endpoint, "").await.unwrap();
    assert_eq!((waits.waiting, waits.head.unwrap().next_at), (2, None));
    assert_eq!(bench.delivery(all[0], endpoint).await.unwrap().next_at, None);
    bench.clock.set(NOON.plus(HOUR));
    let work = bench.claim_one(endpoint).await;
    assert_eq!(work.message.id, b);
    inbox.take_stored();
    bench.end(&work, Verdict::Failed).await;
    let told: Vec<LaneHead> = inbox.take_stored();
    assert!(told.iter().any(|head| head.endpoint == endpoint), "{told:?}");
    bench.crash().await;
    assert_eq!(drain(&bench, endpoint).await, all);
}

/// All heads of the new era have their turn at once.
pub async fn from_one_line_to_keys_all_heads_wait_for_its_end<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let all = [
        bench.publish_in_era(endpoint, "", 1).await,
        bench.publish_in_era(endpoint, "", 1).await,
    ];
    let mut heads = Vec::new();
    for key in ["b", "a", "c"] {
        heads.push(bench.publish_in_era(endpoint, key, 2).await);
        bench.publish_in_era(endpoint, key, 2).await;
    }
    let work = inbox.take();
    assert_eq!(ids(&work), [all[0]], "nothing of the new era is handed over");
    bench.end(&work[0], Verdict::Succeeded).await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (all[1], place("", 2, 1)));
    bench.end(&work, Verdict::Failed).await;
    let mut given = ids(&bench.claim(endpoint, 10).await.work);
    given.sort_unstable();
    assert_eq!(given, heads);
}

/// Each key counts on where it stopped.
pub async fn back_again_nothing_is_inverted_and_numbers_go_on<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut expected = Vec::new();
    for (era, key) in [(1, "a"), (2, ""), (3, "a"), (4, ""), (5, "a")] {
        for _ in 0..2 {
            bench.tick();
            expected.push(bench.publish_in_era(endpoint, key, era).await);
        }
    }
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.waiting, line.head.unwrap().sequence), (6, 6, 1));
    bench.crash().await;
    let mut went = Vec::new();
    let mut places = Vec::new();
    loop {
        let work = bench.claim(endpoint, 10).await.work;
        assert!(work.len() <= 1, "one after the other");
        let Some(work) = work.into_iter().next() else { break };
        went.push(work.message.id);
        places.push(place_of(&work));
        bench.end(&work, Verdict::Succeeded).await;
        if went.len() % 3 == 0 {
            bench.crash().await;
        }
    }
    assert_eq!(went, expected);
    let of_a: Vec<_> = places.iter().filter(|place| place.0 == "a").cloned().collect();
    assert_eq!(of_a, (1..=6).map(|n| place("a", n, n - 1)).collect::<Vec<_>>());
}

/// It was routed just before a change that others came after: it goes with those that are in line.
pub async fn a_late_comer_of_an_older_era_overtakes_nobody<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let old = bench.publish_in_era(endpoint, "a", 1).await;
    let new = bench.publish_in_era(endpoint, "a", 2).await;
    let late = bench.publish_in_era(endpoint, "a", 1).await;
    let late_of_b = bench.publish_in_era(endpoint, "b", 1).await;
    assert_eq!(bench.claim_one(endpoint).await.message.id, old);
    let row = bench.delivery(late, endpoint).await.unwrap();
    assert_eq!((row.sequence, row.next_at), (Some(3), None));
    assert_eq!(bench.delivery(late_of_b, endpoint).await.unwrap().next_at, None);
    let store = bench.store();
    assert_eq!(store.tend_line(endpoint, None, Tending::Skip).await.unwrap(), 0);
    assert_eq!(bench.head(endpoint).await, None, "the only head is out");
    assert_eq!(bench.delivery(new, endpoint).await.unwrap().next_at, None);
}

/// Until a person has tended it.
pub async fn a_blocked_line_of_an_older_era_holds_the_new_one<B: Backend>(bench: Bench<B>) {
    for tending in [Tending::Skip, Tending::Discard, Tending::Unblock(NOON)] {
        let endpoint = bench.endpoint().await;
        let old = bench.publish_in_era(endpoint, "a", 1).await;
        bench.attempt_all(endpoint, Verdict::Blocked, 500).await;
        let new = bench.publish_in_era(endpoint, "b", 2).await;
        assert_eq!(bench.head(endpoint).await, None);
        let line = bench.line(endpoint, "b").await.unwrap();
        let head = line.head.unwrap();
        assert_eq!((head.message, head.blocked, head.next_at), (new, false, None));
        assert_eq!(bench.tend(endpoint, Some("b"), Tending::Skip).await, 0);
        assert_eq!(bench.tend(endpoint, Some("a"), tending).await, 1);
        let expected = match tending {
            Tending::Unblock(_) => vec![old, new],
            Tending::Skip | Tending::Discard => vec![new],
        };
        bench.tick();
        assert_eq!(drain(&bench, endpoint).await, expected);
    }
}

/// Whatever takes the last of an era away.
pub async fn a_discarded_line_of_an_older_era_lets_the_new_one_go<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let out = bench.publish_in_era(endpoint, "a", 1).await;
    let behind = bench.publish_in_era(endpoint, "a", 1).await;
    let new = bench.publish_in_era(endpoint, "", 2).await;
    let head = inbox.take().remove(0);
    assert_eq!(bench.tend(endpoint, Some("a"), Tending::Discard).await, 1);
    assert_eq!(bench.state_at(behind, endpoint).await, Some(DeliveryState::Cancelled));
    assert_eq!(bench.head(endpoint).await, None, "{out} is out");
    bench.end(&head, Verdict::RetryAt(NOON.plus(SECOND))).await;
    assert_eq!(bench.tend(endpoint, Some("a"), Tending::Discard).await, 1);
    assert_eq!(drain(&bench, endpoint).await, [new]);
}
