//! What people and programs do about lines: resend, unblock, skip, discard, cancel, delete, forget.

use bellwire_core::delivery::{DeliveryState, Trigger};

use super::*;
use crate::{
    contract::Change,
    query::{Cutoffs, DeliveryRow, LineQuery, LineRow, Order, Page, Requeue, Start, Tending},
};

const ALL: Page = Page {
    limit: 100,
    start: Start::First,
    order: Order::Ascending,
};

async fn delivery(f: &Fixture, id: MessageId) -> DeliveryRow {
    f.store.deliveries(app(), id, ALL).await.unwrap().items[0]
}

async fn lines(f: &Fixture) -> Vec<LineRow> {
    let all = LineQuery {
        key: None,
        blocked: false,
        after: None,
        limit: 100,
    };
    f.store.lines(ep(10), all).await.unwrap().items
}

async fn resend(f: &Fixture, id: MessageId) {
    let wish = Requeue {
        message: id,
        endpoint: ep(10),
        due_at: f.clock.now(),
        trigger: Trigger::Manual,
    };
    assert_eq!(f.store.requeue(vec![wish]).await, Ok(1));
}

async fn tend(f: &Fixture, key: Option<&str>, tending: Tending) -> u64 {
    f.store
        .tend_line(ep(10), key.map(str::to_owned), tending)
        .await
        .unwrap()
}

/// Publishes so many in a line; its head comes back.
async fn fill(f: &Fixture, key: &str, length: usize) -> (Work, Vec<MessageId>) {
    let (mut handed, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..length {
        let (id, work) = f.publish_in(key, 0).await;
        ids.push(id);
        handed.extend(work);
    }
    assert_eq!(handed.len(), 1);
    (handed.remove(0), ids)
}

/// As [`fill`], with the head blocked.
async fn fill_blocked(f: &Fixture, key: &str, length: usize) -> Vec<MessageId> {
    let (head, ids) = fill(f, key, length).await;
    f.settle(&head, Verdict::Blocked).await;
    ids
}

fn cut_at(cut: Timestamp) -> Cutoffs {
    Cutoffs {
        messages: cut,
        attempts: cut,
        payloads: cut,
    }
}

#[tokio::test]
async fn what_has_left_its_line_is_resent_outside_of_its_turn_with_its_old_number() {
    let f = Fixture::new().await;
    let (head, ids) = fill(&f, "a", 3).await;
    f.settle(&head, Verdict::Failed).await;
    resend(&f, ids[0]).await;
    let both = f.claim(10).await;
    let seen: Vec<_> = both.iter().map(place).collect();
    assert_eq!(seen, [("a", 1, None), ("a", 2, Some(0))]);
    // Its success is none of the line's: the receiver's own count goes on from number 0.
    f.settle(&both[0], Verdict::Succeeded).await;
    f.settle(&both[1], Verdict::Failed).await;
    assert_eq!(place(&f.claim(10).await[0]), ("a", 3, Some(0)));
    assert_eq!(f.proven().await, (1, 1, 1, 0));
    resend(&f, ids[0]).await;
    let crashed = f.after_crash().await;
    let again = crashed.claim(10).await;
    assert_eq!(
        (again.len(), place(&again[0]), again[1].progress.run),
        (2, ("a", 1, None), 0)
    );
}

#[tokio::test]
async fn one_that_waits_behind_others_goes_on_waiting_in_its_new_run() {
    let f = Fixture::new().await;
    let (head, ids) = fill(&f, "a", 2).await;
    resend(&f, ids[1]).await;
    assert!(f.claim(10).await.is_empty());
    assert_eq!(
        (f.received.told(10), delivery(&f, ids[1]).await.next_at),
        (Some(2), None)
    );
    f.settle(&head, Verdict::Succeeded).await;
    let turn = f.claim(10).await.remove(0);
    assert_eq!(
        (turn.progress.run, turn.progress.trigger, place(&turn)),
        (1, Trigger::Manual, ("a", 2, Some(1)))
    );
    f.settle(&turn, Verdict::Succeeded).await;
    assert_eq!(f.proven().await, (2, 0, 0, 0));
}

#[tokio::test]
async fn a_resend_of_a_blocked_head_opens_its_line() {
    let f = Fixture::new().await;
    let ids = fill_blocked(&f, "a", 2).await;
    resend(&f, ids[0]).await;
    let head = f.claim(10).await.remove(0);
    assert_eq!(
        (head.message.id, head.progress.run, place(&head)),
        (ids[0], 1, ("a", 1, Some(0)))
    );
    f.proven().await;
    f.settle(&head, Verdict::Succeeded).await;
    assert_eq!(place(&f.claim(10).await[0]), ("a", 2, Some(1)));
    assert_eq!(f.store.backlog(ep(10)).await.unwrap().blocked_lines, 0);
}

#[tokio::test]
async fn unblocking_starts_blocked_heads_anew_and_leaves_other_lines_alone() {
    let f = Fixture::new().await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(fill_blocked(&f, key, 2).await);
    }
    let (_, running) = fill(&f, "d", 2).await;
    let later = NOON.plus(DAY);
    assert_eq!(tend(&f, Some("b"), Tending::Unblock(later)).await, 1);
    assert_eq!(tend(&f, Some("aa"), Tending::Unblock(later)).await, 0);
    assert_eq!(tend(&f, Some("d"), Tending::Unblock(later)).await, 0);
    let opened = delivery(&f, ids[1][0]).await;
    assert_eq!(
        (opened.state, opened.next_at, opened.progress.run),
        (DeliveryState::Pending, Some(later), 1)
    );
    assert_eq!(tend(&f, None, Tending::Unblock(NOON)).await, 2);
    let moving: Vec<_> = f.claim(10).await.iter().map(|work| work.message.id).collect();
    assert_eq!(moving, [ids[0][0], ids[2][0]]);
    assert_eq!(delivery(&f, running[0]).await.progress.run, 0);
    assert_eq!(f.proven().await, (0, 8, 0, 0));
}

#[tokio::test]
async fn skipping_lets_the_next_one_go_and_the_head_stays_failed() {
    let f = Fixture::new().await;
    let a = fill_blocked(&f, "a", 3).await;
    let b = fill_blocked(&f, "b", 1).await;
    assert_eq!(tend(&f, None, Tending::Skip).await, 2);
    assert_eq!(tend(&f, None, Tending::Skip).await, 0);
    let turn = f.claim(10).await.remove(0);
    assert_eq!((turn.message.id, place(&turn)), (a[1], ("a", 2, Some(0))));
    assert_eq!(delivery(&f, b[0]).await.state, DeliveryState::Failed);
    assert_eq!(f.proven().await, (0, 2, 2, 0));
    // A line whose head was skipped and that is empty begins anew with the next number.
    assert_eq!(place(&f.publish_in("b", 0).await.1[0]), ("b", 2, Some(0)));
}

#[tokio::test]
async fn discarding_empties_a_line_but_for_what_is_out() {
    let f = Fixture::new().await;
    let (out, ids) = fill(&f, "a", 4).await;
    fill_blocked(&f, "b", 3).await;
    fill(&f, "c", 2).await;
    let (unordered, _) = f.publish(&[(10, true)]).await;
    assert_eq!(tend(&f, Some("a"), Tending::Discard).await, 3);
    assert_eq!(delivery(&f, ids[3]).await.state, DeliveryState::Cancelled);
    assert_eq!(f.proven().await, (0, 6, 1, 3));
    // What comes next waits for the one that is out, and knows the gap.
    assert!(f.publish_in("a", 0).await.1.is_empty());
    f.settle(&out, Verdict::Succeeded).await;
    let mut claimed = f.claim(10).await;
    claimed.retain(|work| work.place.is_some());
    assert_eq!(claimed.iter().map(place).collect::<Vec<_>>(), [("a", 5, Some(1))]);
    f.settle(&claimed[0], Verdict::Park(NOON)).await;
    // All: two that wait and a blocked head of b, one that waits of c, and the parked head of a.
    assert_eq!(tend(&f, None, Tending::Discard).await, 5);
    assert_eq!(delivery(&f, unordered).await.state, DeliveryState::Pending);
    assert_eq!(f.proven().await, (1, 2, 1, 7));
    assert_eq!(f.received.told(10), Some(2));
}

#[tokio::test]
async fn large_lines_are_discarded_in_pieces_over_eras() {
    let f = Fixture::new().await;
    let calls: Vec<_> = (0..5_000)
        .map(|n: u32| {
            f.store.append(in_line(
                10,
                if n.is_multiple_of(3) { "a" } else { "b" },
                u32::from(n >= 3_000),
            ))
        })
        .collect();
    futures_util::future::join_all(calls).await;
    let heads = f.received.take();
    assert_eq!(heads.len(), 2);
    assert_eq!(tend(&f, Some("b"), Tending::Discard).await, 3_332);
    for head in heads {
        f.settle(&head, Verdict::Succeeded).await;
    }
    f.proven().await;
    assert_eq!(tend(&f, None, Tending::Discard).await, 1_666);
    assert_eq!((f.proven().await, f.received.told(10)), ((2, 0, 0, 4_998), Some(0)));
}

#[tokio::test]
async fn cancelling_empties_lines_without_giving_turns_for_nothing() {
    let f = Fixture::new().await;
    let (out, _) = fill(&f, "a", 4).await;
    let blocked = fill_blocked(&f, "b", 2).await;
    fill(&f, "c", 1).await;
    f.publish(&[(10, true)]).await;
    f.received.take_heads();
    assert_eq!(f.store.cancel(ep(10), 2).await, Ok(2));
    assert_eq!(f.store.cancel(ep(10), 100).await, Ok(3));
    assert!(f.received.take_heads().is_empty(), "nobody had a turn");
    assert_eq!(delivery(&f, blocked[0]).await.state, DeliveryState::Failed);
    assert_eq!(
        lines(&f).await.iter().map(|line| line.waiting).collect::<Vec<_>>(),
        [1, 0, 1]
    );
    f.settle(&out, Verdict::Cancelled).await;
    assert_eq!(f.proven().await, (0, 1, 1, 6));
}

#[tokio::test]
async fn the_lines_of_a_deleted_endpoint_are_known_no_more_and_begin_anew() {
    let f = Fixture::new().await;
    let (out, _) = fill(&f, "a", 2).await;
    let (done, _) = fill(&f, "b", 1).await;
    f.settle(&done, Verdict::Succeeded).await;
    f.store.apply(vec![Change::DeleteEndpoint(ep(10))], None).await.unwrap();
    assert!(lines(&f).await.is_empty());
    // Somebody had routed it already: its number is not given twice, as the line is not empty.
    f.publish_in("a", 0).await;
    assert_eq!(f.proven().await, (1, 3, 0, 0));
    assert_eq!(f.store.cancel(ep(10), 100).await, Ok(2));
    f.settle(&out, Verdict::Cancelled).await;
    assert_eq!(f.proven().await, (1, 0, 0, 3));
    let left = f
        .store
        .read(|c| Ok(c.query_row("SELECT count(*) FROM sequence", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(left.await, Ok(0));
    assert_eq!(place(&f.publish_in("a", 0).await.1[0]), ("a", 1, Some(0)));
    f.proven().await;
}

#[tokio::test]
async fn messages_that_are_forgotten_leave_their_lines() {
    let f = Fixture::new().await;
    let (due, _) = fill(&f, "a", 2).await;
    fill_blocked(&f, "b", 2).await;
    let (out, _) = fill(&f, "c", 2).await;
    f.settle(&due, Verdict::RetryAt(NOON.plus(DAY))).await;
    f.clock.advance(3 * DAY);
    for key in ["a", "b", "c"] {
        assert!(f.publish_in(key, 0).await.1.is_empty());
    }
    f.store.retain(cut_at(NOON.plus(2 * DAY))).await.unwrap();
    f.store.check().await.unwrap();
    f.settle(&out, Verdict::Succeeded).await;
    let mut seen = Vec::new();
    // What is gone is removed when it comes up; its end lets the next one come up.
    for _ in 0..3 {
        for work in f.claim(10).await {
            let (key, sequence, _) = place(&work);
            seen.push((key.to_owned(), sequence));
        }
    }
    seen.sort();
    assert_eq!(seen, [("a".to_owned(), 3), ("b".to_owned(), 3), ("c".to_owned(), 3)]);
    assert_eq!((f.proven().await, f.store.health().await.waiting), ((0, 3, 0, 0), 3));
}

#[tokio::test]
async fn an_erased_application_leaves_nobody_in_line() {
    let f = Fixture::new().await;
    fill(&f, "a", 4).await;
    fill_blocked(&f, "b", 3).await;
    let mut erased = 0;
    loop {
        match f.store.erase_app(app(), 2).await.unwrap() {
            0 => break,
            more => erased += more,
        }
        f.proven().await;
    }
    assert_eq!((erased, f.store.health().await.waiting), (7, 0));
    assert!(lines(&f).await.iter().all(|line| line.waiting == 0));
}

#[tokio::test]
async fn the_proof_sees_what_does_not_add_up() {
    for (damage, told) in [
        (
            "UPDATE line SET state = 1 WHERE seq = 2",
            "is not first in line and has its turn",
        ),
        ("UPDATE line SET state = 0 WHERE seq = 1", "is first in line and waits"),
        ("DELETE FROM line WHERE seq = 2", "is not in the line it names"),
        ("UPDATE sequence SET last = 9", "is not the last number"),
        ("UPDATE sequence SET length = 9", "the bookkeeping says 9"),
        ("DELETE FROM sequence", "has no number"),
        ("UPDATE delivery_20458 SET seq = 5 WHERE seq = 3", "follows number 2"),
        (
            "UPDATE delivery_20458 SET state = 2 WHERE seq = 2",
            "does not stand as its place in line says",
        ),
        ("UPDATE backlog SET waiting = 8", "3 deliveries wait for"),
        ("UPDATE due SET era = NULL", "has no place in the queue"),
    ] {
        let f = Fixture::new().await;
        fill(&f, "a", 3).await;
        f.proven().await;
        f.store
            .write(move |tx| Ok(tx.connection.execute(damage, [])?))
            .await
            .unwrap();
        let problems = f.store.check().await.unwrap().problems;
        assert!(
            problems.iter().any(|problem| problem.contains(told)),
            "{damage}: {problems:?}"
        );
    }
}
