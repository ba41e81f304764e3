//! Promises about blocked lines, what a person does about them, and how lines and what waits are shown.

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    id::{EndpointId, MessageId},
};
use bellwire_store::{
    Change, LaneHead, Verdict,
    query::{LineHead, LineQuery, LineRow, Requeue, Tending},
};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND, ids, place, place_of},
};

/// Three in the line of a key, the first of them given up and blocking.
async fn blocked<B: Backend>(bench: &Bench<B>, endpoint: EndpointId, key: &str) -> [MessageId; 3] {
    let messages = [
        bench.publish_in(endpoint, key).await,
        bench.publish_in(endpoint, key).await,
        bench.publish_in(endpoint, key).await,
    ];
    let work = bench.claim(endpoint, 100).await.work;
    let mut head = None;
    for work in work {
        if work.message.id == messages[0] {
            head = Some(work);
        } else {
            bench.end(&work, Verdict::Park(bench.now())).await;
        }
    }
    bench.end(&head.unwrap(), Verdict::Blocked).await;
    messages
}

// -- blocked -----------------------------------------------------------------------------------------------------------

/// Across a crash; its deliveries show why they wait, and other keys go on.
pub async fn a_blocked_line_waits_for_a_person<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let [head, second, _] = blocked(&bench, endpoint, "a").await;
    for _ in 0..2 {
        assert_eq!(bench.head(endpoint).await, None);
        assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
        let row = bench.delivery(head, endpoint).await.unwrap();
        assert_eq!(
            (row.state, row.progress.tries, row.next_at),
            (DeliveryState::Failed, 1, None)
        );
        let row = bench.delivery(second, endpoint).await.unwrap();
        assert_eq!((row.state, row.next_at), (DeliveryState::Pending, None));
        let line = bench.line(endpoint, "a").await.unwrap();
        assert_eq!((line.last, line.succeeded, line.waiting), (3, 0, 3));
        let expected = LineHead {
            message: head,
            sequence: 1,
            blocked: true,
            next_at: None,
        };
        assert_eq!(line.head, Some(expected));
        let backlog = bench.backlog(endpoint).await;
        assert_eq!(
            (backlog.waiting, backlog.oldest_due, backlog.blocked_lines),
            (2, None, 1)
        );
        assert_eq!(bench.attempts(head).await.len(), 1);
        bench.crash().await;
    }
    bench.publish_in(endpoint, "b").await;
    assert_eq!(place_of(&bench.claim_one(endpoint).await), place("b", 1, 0));
}

/// Nobody waits behind it.
pub async fn a_delivery_in_no_line_blocks_nothing<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let id = bench.publish(&[endpoint]).await;
    let work = bench.claim_one(endpoint).await;
    bench.end(&work, Verdict::Blocked).await;
    assert_eq!(bench.state(work.key()).await, Some(DeliveryState::Failed));
    assert_eq!(bench.backlog(endpoint).await.blocked_lines, 0);
    assert_eq!(bench.tend(endpoint, None, Tending::Unblock(NOON)).await, 0);
    assert_eq!(bench.delivery(id, endpoint).await.unwrap().state, DeliveryState::Failed);
    // Neither does one that was sent again after it had left its line.
    let id = bench.publish_in(endpoint, "a").await;
    bench.attempt_all(endpoint, Verdict::Failed, 500).await;
    let wish = Requeue {
        message: id,
        endpoint,
        due_at: NOON,
        trigger: Trigger::Manual,
    };
    bench.requeue(vec![wish]).await;
    bench.attempt_all(endpoint, Verdict::Blocked, 500).await;
    assert_eq!(bench.backlog(endpoint).await.blocked_lines, 0);
    bench.publish_in(endpoint, "a").await;
    assert_eq!(place_of(&bench.claim_one(endpoint).await), place("a", 2, 0));
}

// -- tending -----------------------------------------------------------------------------------------------------------

/// In a new run, due when the person says, still before all others of its line.
pub async fn an_unblocked_head_starts_anew<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let [head, second, _] = blocked(&bench, endpoint, "a").await;
    let inbox = bench.attach();
    let due_at = NOON.plus(HOUR);
    assert_eq!(bench.tend(endpoint, Some("a"), Tending::Unblock(due_at)).await, 1);
    assert!(inbox.take_stored().contains(&LaneHead { endpoint, due_at }));
    assert_eq!(bench.state_at(head, endpoint).await, Some(DeliveryState::Pending));
    bench.crash().await;
    assert_eq!(bench.head(endpoint).await, Some(due_at));
    assert!(bench.claim(endpoint, 10).await.work.is_empty());
    bench.clock.set(due_at);
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (head, place("a", 1, 0)));
    assert_eq!((work.progress.run, work.progress.tries), (1, 0));
    assert_eq!(bench.backlog(endpoint).await.blocked_lines, 0);
    bench.end(&work, Verdict::Succeeded).await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (second, place("a", 2, 1)));
}

/// It stays failed, and the receiver is told.
pub async fn a_skipped_head_leaves_its_line<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let [head, second, _] = blocked(&bench, endpoint, "a").await;
    let inbox = bench.attach();
    assert_eq!(bench.tend(endpoint, Some("a"), Tending::Skip).await, 1);
    assert!(inbox.take_stored().iter().any(|told| told.endpoint == endpoint));
    bench.crash().await;
    let row = bench.delivery(head, endpoint).await.unwrap();
    assert_eq!((row.state, row.sequence), (DeliveryState::Failed, Some(1)));
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (second, place("a", 2, 0)));
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.waiting, line.head.unwrap().blocked), (2, false));
    assert_eq!(bench.tend(endpoint, None, Tending::Skip).await, 0);
}

/// Whoever waited is cancelled; numbers go on.
pub async fn a_discarded_line_is_empty<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let [head, second, third] = blocked(&bench, endpoint, "a").await;
    assert_eq!(bench.tend(endpoint, Some("a"), Tending::Discard).await, 3);
    bench.crash().await;
    assert_eq!(bench.state_at(head, endpoint).await, Some(DeliveryState::Failed));
    for id in [second, third] {
        assert_eq!(bench.state_at(id, endpoint).await, Some(DeliveryState::Cancelled));
    }
    assert!(bench.claim_at(endpoint, NOON.plus(30 * DAY), 10).await.work.is_empty());
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.waiting, line.head), (3, 0, None));
    assert_eq!(bench.backlog(endpoint).await.waiting, 0);
    let next = bench.publish_in(endpoint, "a").await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (next, place("a", 4, 0)));
}

/// A head that waits for its retry is cancelled; one that is out goes its way.
pub async fn discarding_leaves_alone_what_is_out<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for key in ["a", "b"] {
        for _ in 0..3 {
            bench.publish_in(endpoint, key).await;
        }
    }
    let heads = bench.claim(endpoint, 10).await.work;
    bench.end(&heads[1], Verdict::RetryAt(NOON.plus(HOUR))).await;
    let loose = bench.publish(&[endpoint]).await;
    assert_eq!(bench.tend(endpoint, None, Tending::Discard).await, 2 + 3);
    assert_eq!(bench.state(heads[0].key()).await, Some(DeliveryState::Pending));
    assert_eq!(bench.state(heads[1].key()).await, Some(DeliveryState::Cancelled));
    assert_eq!(ids(&bench.claim(endpoint, 10).await.work), [loose], "it is in no line");
    let late = bench.publish_in(endpoint, "a").await;
    assert!(
        bench.claim(endpoint, 10).await.work.is_empty(),
        "the head of its line is out"
    );
    bench.end(&heads[0], Verdict::Succeeded).await;
    let work = bench.claim_one(endpoint).await;
    assert_eq!((work.message.id, place_of(&work)), (late, place("a", 4, 1)));
}

/// The others stay as they are.
pub async fn one_line_is_tended_or_all_of_them<B: Backend>(bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    for key in ["a", "b", "c", "d"] {
        blocked(&bench, endpoint, key).await;
    }
    blocked(&bench, other, "a").await;
    let now = bench.now();
    assert_eq!(bench.tend(endpoint, Some("b"), Tending::Skip).await, 1);
    assert_eq!(bench.tend(endpoint, Some("c"), Tending::Discard).await, 3);
    assert_eq!(bench.tend(endpoint, Some("nobody's"), Tending::Discard).await, 0);
    assert_eq!(bench.backlog(endpoint).await.blocked_lines, 2);
    assert_eq!(bench.tend(endpoint, None, Tending::Unblock(now)).await, 2);
    let work = bench.claim(endpoint, 10).await.work;
    let mut places: Vec<_> = work.iter().map(place_of).collect();
    places.sort();
    assert_eq!(places, [place("a", 1, 0), place("b", 2, 0), place("d", 1, 0)]);
    assert_eq!(bench.backlog(other).await.blocked_lines, 1);
    assert!(bench.claim(other, 10).await.work.is_empty());
}

/// It is on its way.
pub async fn a_line_that_is_not_blocked_is_neither_unblocked_nor_skipped<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..2 {
        bench.publish_in(endpoint, "a").await;
    }
    let work = bench.claim_one(endpoint).await;
    for verdict in [None, Some(Verdict::RetryAt(NOON.plus(HOUR)))] {
        if let Some(verdict) = verdict {
            bench.end(&work, verdict).await;
        }
        assert_eq!(bench.tend(endpoint, Some("a"), Tending::Unblock(NOON)).await, 0);
        assert_eq!(bench.tend(endpoint, None, Tending::Skip).await, 0);
        assert!(bench.claim(endpoint, 10).await.work.is_empty());
    }
    let row = bench.delivery(work.message.id, endpoint).await.unwrap();
    assert_eq!(
        (row.state, row.progress.run, row.progress.tries),
        (DeliveryState::Pending, 0, 1)
    );
}

// -- looking -----------------------------------------------------------------------------------------------------------

async fn rows<B: Backend>(bench: &Bench<B>, endpoint: EndpointId, query: LineQuery) -> (Vec<String>, bool) {
    let rows = bench.store().lines(endpoint, query).await.unwrap();
    (rows.items.into_iter().map(|row| row.key).collect(), rows.more)
}

const EVERY: LineQuery = LineQuery {
    key: None,
    blocked: false,
    after: None,
    limit: 100,
};

/// By their keys, in pages, and narrowed.
pub async fn lines_are_listed_by_key<B: Backend>(mut bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    for key in ["b", "d", "a", "ä", "c"] {
        bench.publish_in(endpoint, key).await;
    }
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    for key in ["b", "c"] {
        blocked(&bench, endpoint, key).await;
    }
    bench.publish_in(other, "z").await;
    bench.crash().await;
    let (keys, more) = rows(&bench, endpoint, EVERY).await;
    assert_eq!((keys.join(" "), more), ("a b c d ä".to_owned(), false));
    let mut walked = Vec::new();
    let mut query = LineQuery { limit: 2, ..EVERY };
    loop {
        let (page, more) = rows(&bench, endpoint, query.clone()).await;
        assert!(page.len() == 2 || !more);
        query.after = page.last().cloned();
        walked.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(walked.join(" "), "a b c d ä");
    let stuck = LineQuery { blocked: true, ..EVERY };
    assert_eq!(rows(&bench, endpoint, stuck.clone()).await.0.join(" "), "b c");
    let one = LineQuery { limit: 1, ..stuck };
    assert_eq!(rows(&bench, endpoint, one.clone()).await, (vec!["b".to_owned()], true));
    let next = LineQuery {
        after: Some("b".to_owned()),
        ..one
    };
    assert_eq!(rows(&bench, endpoint, next).await, (vec!["c".to_owned()], false));
    let of_key = LineQuery {
        key: Some("d".to_owned()),
        ..EVERY
    };
    assert_eq!(rows(&bench, endpoint, of_key.clone()).await.0, ["d"]);
    let not_blocked = LineQuery {
        blocked: true,
        ..of_key
    };
    assert!(rows(&bench, endpoint, not_blocked).await.0.is_empty());
}

/// Numbers, who is in line, and who is at the head.
pub async fn a_line_shows_how_it_stands<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut messages = Vec::new();
    for _ in 0..4 {
        messages.push(bench.publish_in(endpoint, "a").await);
    }
    let at = |sequence: u64, next_at| LineRow {
        key: "a".to_owned(),
        last: 4,
        succeeded: sequence - 1,
        waiting: 5 - sequence,
        head: Some(LineHead {
            message: messages[sequence as usize - 1],
            sequence,
            blocked: false,
            next_at,
        }),
    };
    assert_eq!(bench.line(endpoint, "a").await, Some(at(1, Some(NOON))));
    bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    let later = NOON.plus(HOUR);
    bench.attempt_all(endpoint, Verdict::RetryAt(later), 500).await;
    assert_eq!(bench.line(endpoint, "a").await, Some(at(2, Some(later))));
    assert_eq!(bench.line(endpoint, "b").await, None);
}

/// Also when nobody has been in it for long; not longer.
pub async fn a_line_is_known_as_long_as_its_endpoint<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for _ in 0..2 {
        bench.publish_in(endpoint, "a").await;
        bench.attempt_all(endpoint, Verdict::Succeeded, 200).await;
    }
    bench.clock.set(NOON.plus(9 * DAY));
    bench.crash().await;
    let row = LineRow {
        key: "a".to_owned(),
        last: 2,
        succeeded: 2,
        waiting: 0,
        head: None,
    };
    assert_eq!(bench.line(endpoint, "a").await, Some(row));
    bench.publish_in(endpoint, "a").await;
    bench.apply(vec![Change::DeleteEndpoint(endpoint)]).await;
    assert_eq!(bench.line(endpoint, "a").await, None);
    while bench.store().cancel(endpoint, 10).await.unwrap() > 0 {}
    bench.crash().await;
    assert_eq!(bench.line(endpoint, "a").await, None);
    bench.sound().await;
}

/// Those behind others of their line included; told to whoever delivers, and when it comes.
pub async fn what_waits_is_counted_and_told<B: Backend>(mut bench: Bench<B>) {
    let (endpoint, other) = (bench.endpoint().await, bench.endpoint().await);
    for key in ["a", "a", "a", "b"] {
        bench.publish_in(endpoint, key).await;
    }
    bench.publish(&[endpoint]).await;
    let mut later = bench.message(&[other]);
    later.deliver_at = Some(NOON.plus(HOUR));
    bench.append(later).await.unwrap();
    let count = async |bench: &Bench<B>| {
        let (one, two) = (bench.backlog(endpoint).await, bench.backlog(other).await);
        ((one.waiting, one.oldest_due), (two.waiting, two.oldest_due))
    };
    let before = ((5, Some(NOON)), (1, Some(NOON.plus(HOUR))));
    assert_eq!(count(&bench).await, before);
    bench.crash().await;
    assert_eq!(count(&bench).await, before);
    let inbox = bench.attach();
    assert_eq!((inbox.waiting(endpoint), inbox.waiting(other)), (5, 1));

    bench.clock.advance(SECOND);
    let work = bench.claim(endpoint, 10).await.work;
    assert_eq!(work.len(), 3);
    assert_eq!(bench.backlog(endpoint).await.waiting, 2, "what is out does not wait");
    assert_eq!(inbox.waiting(endpoint), 5, "its place is kept until it is settled");
    for work in &work {
        bench.end(work, Verdict::Succeeded).await;
    }
    assert_eq!(bench.backlog(endpoint).await.waiting, 2);
    assert_eq!(inbox.waiting(endpoint), 2);
    assert!(bench.backlog(endpoint).await.oldest_due.is_some());
    bench.attempt_all(endpoint, Verdict::RetryAt(NOON.plus(DAY)), 500).await;
    let backlog = bench.backlog(endpoint).await;
    assert_eq!((backlog.waiting, backlog.oldest_due), (2, Some(NOON.plus(DAY))));
    assert_eq!(inbox.waiting(endpoint), 2);
    assert_eq!(bench.store().cancel(endpoint, 10).await.unwrap(), 2);
    assert_eq!(bench.backlog(endpoint).await, Default::default());
    assert_eq!((inbox.waiting(endpoint), inbox.waiting(other)), (0, 1));

    // Handed over, one in line and one in none: only for the one in line there is something in the store.
    bench.publish_in(endpoint, "a").await;
    bench.publish(&[endpoint]).await;
    let work = inbox.take();
    assert_eq!((work.len(), inbox.waiting(endpoint)), (2, 1));
    assert_eq!(bench.backlog(endpoint).await.waiting, 0);
    for work in &work {
        bench.end(work, Verdict::Succeeded).await;
    }
    assert_eq!(inbox.waiting(endpoint), 0);
}
