//! Order: lines, turns, eras, and what a crash leaves of them.

use bellwire_core::delivery::DeliveryState;

use super::*;
use crate::query::{Backlog, LineHead, LineQuery, LineRow, Order, Page, Start};

const ALL: Page = Page {
    limit: 100,
    start: Start::First,
    order: Order::Ascending,
};

fn all_lines() -> LineQuery {
    LineQuery {
        key: None,
        blocked: false,
        after: None,
        limit: 100,
    }
}

/// The only delivery that can be claimed.
async fn next(f: &Fixture) -> Work {
    let mut work = f.claim(10).await;
    assert_eq!(work.len(), 1);
    work.remove(0)
}

async fn delivery(f: &Fixture, id: MessageId) -> crate::query::DeliveryRow {
    f.store.deliveries(app(), id, ALL).await.unwrap().items[0]
}

#[tokio::test]
async fn only_the_head_is_given_out_and_its_end_gives_the_next_one_its_turn() {
    let f = Fixture::new().await;
    let (first, handed) = f.publish_in("a", 0).await;
    assert_eq!((handed.len(), place(&handed[0])), (1, ("a", 1, Some(0))));
    let (second, nobody) = f.publish_in("a", 0).await;
    assert!(nobody.is_empty());
    assert!(f.received.take_heads().is_empty());
    assert!(f.claim(10).await.is_empty());
    let waits = delivery(&f, second).await;
    assert_eq!(
        (waits.state, waits.next_at, waits.sequence),
        (DeliveryState::Pending, None, Some(2))
    );
    assert_eq!(f.proven().await, (0, 2, 0, 0));

    f.clock.advance(Duration::from_secs(1));
    f.settle(&handed[0], Verdict::Succeeded).await;
    let due_at = f.clock.now();
    assert_eq!(
        f.received.take_heads(),
        [LaneHead {
            endpoint: ep(10),
            due_at
        }]
    );
    let turn = next(&f).await;
    assert_eq!(
        (turn.message.id, turn.due_at, place(&turn)),
        (second, due_at, ("a", 2, Some(1)))
    );
    assert_eq!(turn.message.ordering_key.as_deref(), Some("a"));
    assert_eq!(f.proven().await, (1, 1, 0, 0));
    f.settle(&turn, Verdict::Succeeded).await;
    assert_eq!(f.proven().await, (2, 0, 0, 0));
    assert_eq!(
        (delivery(&f, first).await.sequence, f.store.shared.leases.len()),
        (Some(1), 0)
    );
    let line = LineRow {
        key: "a".to_owned(),
        last: 2,
        succeeded: 2,
        waiting: 0,
        head: None,
    };
    assert_eq!(f.store.lines(ep(10), all_lines()).await.unwrap().items, [line]);
}

#[tokio::test]
async fn a_head_that_is_retried_or_parked_keeps_its_turn_while_other_lines_move() {
    let f = Fixture::new().await;
    let (first, a) = f.publish_in("a", 0).await;
    let (second, _) = f.publish_in("a", 0).await;
    let (_, b) = f.publish_in("b", 0).await;
    let retry_at = NOON.plus(Duration::from_secs(5));
    f.settle(&a[0], Verdict::RetryAt(retry_at)).await;
    f.settle(&b[0], Verdict::Succeeded).await;
    let (_, more_b) = f.publish_in("b", 0).await;
    assert_eq!(place(&more_b[0]), ("b", 2, Some(1)));
    assert!(f.claim(10).await.is_empty());

    f.clock.advance(Duration::from_secs(5));
    let again = next(&f).await;
    assert_eq!(
        (again.message.id, again.progress.tries, place(&again)),
        (first, 1, ("a", 1, Some(0)))
    );
    f.settle(&again, Verdict::Park(f.clock.now())).await;
    let parked = next(&f).await;
    assert_eq!(parked.message.id, first);
    f.settle(&parked, Verdict::Failed).await;
    // The gap is visible: the last one that succeeded is number 0.
    let skipped_to = next(&f).await;
    assert_eq!((skipped_to.message.id, place(&skipped_to)), (second, ("a", 2, Some(0))));
    f.settle(&more_b[0], Verdict::Cancelled).await;
    f.settle(&skipped_to, Verdict::Succeeded).await;
    assert_eq!(f.proven().await, (2, 0, 1, 1));
}

#[tokio::test]
async fn messages_that_come_together_are_numbered_in_their_order() {
    let f = Fixture::new().await;
    let keys = ["a", "b", "c"];
    let calls: Vec<_> = (0..300).map(|n| f.store.append(in_line(10, keys[n % 3], 0))).collect();
    let ids: Vec<_> = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|a| a.unwrap().id)
        .collect();
    assert_eq!(f.received.take().len(), 3);
    let mut of_a = Vec::new();
    for id in ids.iter().step_by(3) {
        of_a.push((*id, delivery(&f, *id).await.sequence.unwrap()));
    }
    of_a.sort_unstable();
    let numbers: Vec<_> = of_a.iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    f.proven().await;
}

#[tokio::test]
async fn a_head_that_may_not_be_handed_over_waits_in_the_queue() {
    let f = Fixture::new().await;
    let mut paused = in_line(10, "a", 0);
    paused.routes[0].stored = true;
    f.store.append(paused).await.unwrap();
    let mut later = in_line(10, "b", 0);
    later.deliver_at = Some(NOON.plus(DAY));
    f.store.append(later).await.unwrap();
    f.publish_in("b", 0).await;
    assert!(f.received.take().is_empty());
    assert_eq!(place(&next(&f).await), ("a", 1, Some(0)));
    // A delivery that is not due yet holds up its line.
    f.clock.advance(DAY);
    let delayed = next(&f).await;
    assert_eq!(place(&delayed), ("b", 1, Some(0)));
    f.settle(&delayed, Verdict::Succeeded).await;
    assert_eq!(place(&next(&f).await), ("b", 2, Some(1)));
    f.proven().await;
}

#[tokio::test]
async fn the_turn_of_a_delayed_message_comes_at_its_time() {
    let f = Fixture::new().await;
    let (_, head) = f.publish_in("a", 0).await;
    let mut later = in_line(10, "a", 0);
    later.deliver_at = Some(NOON.plus(DAY));
    f.store.append(later).await.unwrap();
    f.settle(&head[0], Verdict::Succeeded).await;
    assert!(f.claim(10).await.is_empty());
    assert_eq!(f.store.lanes().await.unwrap()[0].due_at, NOON.plus(DAY));
    f.clock.advance(DAY);
    assert_eq!(next(&f).await.due_at, NOON.plus(DAY));
}

#[tokio::test]
async fn a_blocked_head_stays_in_line_and_holds_it_up() {
    let f = Fixture::new().await;
    let (first, head) = f.publish_in("a", 0).await;
    f.publish_in("a", 0).await;
    f.settle(&head[0], Verdict::Blocked).await;
    assert!(f.claim(10).await.is_empty());
    let (third, nobody) = f.publish_in("a", 0).await;
    assert!(nobody.is_empty());
    assert_eq!(f.proven().await, (0, 2, 1, 0));
    let lines = f.store.lines(ep(10), all_lines()).await.unwrap().items;
    let blocked = LineHead {
        message: first,
        sequence: 1,
        blocked: true,
        next_at: None,
    };
    assert_eq!((lines[0].waiting, lines[0].last, lines[0].head), (3, 3, Some(blocked)));
    let backlog = Backlog {
        waiting: 2,
        oldest_due: None,
        blocked_lines: 1,
    };
    assert_eq!(f.store.backlog(ep(10)).await, Ok(backlog));
    assert_eq!(delivery(&f, third).await.sequence, Some(3));
    // Of a delivery that is in no line it is a failure like any other.
    let (_, work) = f.publish(&[(11, false)]).await;
    f.settle(&work[0], Verdict::Blocked).await;
    assert_eq!(f.proven().await, (0, 2, 2, 0));
}

#[tokio::test]
async fn no_line_of_a_new_era_moves_before_the_old_era_is_over() {
    let f = Fixture::new().await;
    let (_, a) = f.publish_in("a", 0).await;
    let (_, b) = f.publish_in("b", 0).await;
    f.publish_in("b", 0).await;
    // The endpoint orders all now: one line, of which nobody moves yet; nor does what an old route brings late.
    let (whole, none) = f.publish_in("", 1).await;
    let (late, none_either) = f.publish_in("a", 0).await;
    assert!(none.is_empty() && none_either.is_empty());
    f.settle(&a[0], Verdict::Succeeded).await;
    f.settle(&b[0], Verdict::Succeeded).await;
    let last_of_old = next(&f).await;
    assert_eq!(place(&last_of_old), ("b", 2, Some(1)));
    assert_eq!(f.proven().await, (2, 3, 0, 0));
    let head = f.store.lines(ep(10), all_lines()).await.unwrap().items[0].head.unwrap();
    assert_eq!((head.message, head.blocked, head.next_at), (whole, false, None));
    f.settle(&last_of_old, Verdict::RetryAt(NOON)).await;
    f.settle(&next(&f).await, Verdict::Failed).await;
    // Now all lines of the new era move.
    let moving = f.claim(10).await;
    let seen: Vec<_> = moving.iter().map(|work| (work.message.id, place(work))).collect();
    assert_eq!(seen, [(whole, ("", 1, Some(0))), (late, ("a", 2, Some(1)))]);
    assert_eq!(f.proven().await, (2, 2, 1, 0));
    for work in &moving {
        f.settle(work, Verdict::Succeeded).await;
    }
    // With nobody in line, an era begins at once.
    let (_, handed) = f.publish_in("a", 7).await;
    assert_eq!(place(&handed[0]), ("a", 3, Some(2)));
    // Unordered ones wait for nobody.
    assert_eq!(f.publish(&[(10, false)]).await.1.len(), 1);
}

#[tokio::test]
async fn a_settlement_of_an_older_run_moves_no_line() {
    let f = Fixture::new().await;
    let (first, head) = f.publish_in("a", 0).await;
    f.publish_in("a", 0).await;
    f.store.requeue(vec![requeue(first, NOON)]).await.unwrap();
    assert!(f.claim(10).await.is_empty(), "the old run is out");
    f.settle(&head[0], Verdict::Succeeded).await;
    let second_run = next(&f).await;
    assert_eq!(
        (second_run.message.id, second_run.progress.run, place(&second_run)),
        (first, 1, ("a", 1, Some(0)))
    );
    // Repeating what was settled changes nothing.
    f.settle(&head[0], Verdict::Succeeded).await;
    f.settle(&second_run, Verdict::Succeeded).await;
    f.settle(&second_run, Verdict::Succeeded).await;
    let turn = next(&f).await;
    assert_eq!(place(&turn), ("a", 2, Some(1)));
    assert_eq!(f.proven().await, (1, 1, 0, 0));
}

#[tokio::test]
async fn a_crash_loses_no_place_in_line_and_inverts_nothing() {
    let f = Fixture::new().await;
    let (first, _) = f.publish_in("a", 0).await;
    let (second, _) = f.publish_in("a", 0).await;
    let (_, b) = f.publish_in("b", 0).await;
    f.publish_in("b", 0).await;
    f.settle(&b[0], Verdict::Blocked).await;

    let crashed = f.after_crash().await;
    assert_eq!(crashed.proven().await, (0, 3, 1, 0));
    let again = next(&crashed).await;
    assert_eq!((again.message.id, place(&again)), (first, ("a", 1, Some(0))));
    crashed.settle(&again, Verdict::Succeeded).await;
    // The end of the head is durable, so after the next crash it is the other one's turn.
    let twice = crashed.after_crash().await;
    let turn = next(&twice).await;
    assert_eq!((turn.message.id, place(&turn)), (second, ("a", 2, Some(1))));
    assert_eq!(twice.store.health().await.waiting, 2);
    twice.proven().await;
}

#[tokio::test]
async fn a_failed_commit_leaves_no_place_in_line_and_nothing_held() {
    let f = Fixture::new().await;
    f.publish_in("a", 0).await;
    let limit = |limited: bool| {
        f.store.write(move |tx| {
            let pages: i64 = tx.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let limit = if limited { pages } else { 1 << 30 };
            Ok(tx
                .connection
                .query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?)
        })
    };
    limit(true).await.unwrap();
    let mut large = in_line(10, "b", 0);
    large.payload = Bytes::from(vec![b' '; 100_000]);
    assert!(f.store.append(large.clone()).await.is_err());
    limit(false).await.unwrap();
    assert_eq!(f.store.shared.leases.len(), 1);
    let id = f.store.append(large).await.unwrap().id;
    assert_eq!(delivery(&f, id).await.sequence, Some(1));
    f.proven().await;
}

#[tokio::test]
async fn the_end_of_a_head_is_committed_at_once_and_does_not_wait_for_company() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at(NOON);
    let mut options = OpenOptions::new(clock as Arc<dyn Clock>, vault(7));
    options.settle_linger = Duration::from_secs(3_600);
    let store = Sqlite::open(folder.path().to_str().unwrap(), options).await.unwrap();
    let received = Arc::new(Received::default());
    store.attach(Arc::clone(&received) as Arc<dyn Handoff>);
    store.append(in_line(10, "a", 0)).await.unwrap();
    store.append(in_line(10, "a", 0)).await.unwrap();
    let head = received.take().remove(0);
    let settled = store.settle(Arc::new(vec![settlement(&head, Verdict::Succeeded)]));
    tokio::time::timeout(Duration::from_secs(60), settled)
        .await
        .expect("it lingers")
        .unwrap();
    assert_eq!(received.take_heads().len(), 1);
}

#[tokio::test]
async fn lines_are_listed_by_key_in_pages() {
    let f = Fixture::new().await;
    for key in ["b", "ä", "a", "", "c"] {
        let (_, head) = f.publish_in(key, 0).await;
        if key < "b" {
            f.settle(&head[0], Verdict::Blocked).await;
        }
    }
    let listed = async |query: LineQuery| {
        let rows = f.store.lines(ep(10), query).await.unwrap();
        let keys: Vec<_> = rows.items.into_iter().map(|line| line.key).collect();
        (keys.join(","), rows.more)
    };
    let page = |after: Option<&str>, blocked| LineQuery {
        key: None,
        blocked,
        after: after.map(str::to_owned),
        limit: 2,
    };
    assert_eq!(listed(page(None, false)).await, (",a".to_owned(), true));
    assert_eq!(listed(page(Some("a"), false)).await, ("b,c".to_owned(), true));
    assert_eq!(listed(page(Some("c"), false)).await, ("ä".to_owned(), false));
    assert_eq!(listed(page(None, true)).await, (",a".to_owned(), false));
    assert_eq!(listed(page(Some(""), true)).await, ("a".to_owned(), false));
    let one = |key: &str| LineQuery {
        key: Some(key.to_owned()),
        ..all_lines()
    };
    assert_eq!(listed(one("")).await, (String::new(), false));
    assert_eq!(f.store.lines(ep(10), one("")).await.unwrap().items.len(), 1);
    assert!(f.store.lines(ep(10), one("zz")).await.unwrap().items.is_empty());
    assert!(f.store.lines(ep(11), all_lines()).await.unwrap().items.is_empty());
}

fn requeue(message: MessageId, due_at: Timestamp) -> crate::query::Requeue {
    crate::query::Requeue {
        message,
        endpoint: ep(10),
        due_at,
        trigger: bellwire_core::delivery::Trigger::Manual,
    }
}

/// Many lines, many claims at once, ends of all kinds: whoever sees the attempts in the order in which they begin sees each
/// line's numbers ascend.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_workers_never_see_a_line_go_back() {
    let f = Fixture::new().await;
    let (lines, length) = (20_usize, 25_usize);
    let seen: Arc<Mutex<HashMap<String, Vec<u64>>>> = Arc::default();
    let calls: Vec<_> = (0..lines * length)
        .map(|n| {
            let mut one = in_line(10, &format!("k{}", n % lines), 0);
            one.routes[0].stored = true;
            f.store.append(one)
        })
        .collect();
    futures_util::future::join_all(calls).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (store, seen) = (Arc::clone(&f.store), Arc::clone(&seen));
        workers.spawn(async move {
            loop {
                let request = ClaimRequest {
                    endpoint: ep(10),
                    now: NOON,
                    limit: 4,
                };
                let claimed = store.claim(request).await.unwrap();
                if claimed.work.is_empty() && store.health().await.waiting == 0 {
                    return;
                }
                for work in claimed.work {
                    let (key, sequence, _) = place(&work);
                    let times = {
                        let mut seen = seen.lock().unwrap();
                        let numbers = seen.entry(key.to_owned()).or_default();
                        numbers.push(sequence);
                        numbers.iter().filter(|n| **n == sequence).count()
                    };
                    let verdict = match (sequence % 5, times) {
                        (1, 1) => Verdict::RetryAt(NOON),
                        (2, 1) => Verdict::Park(NOON),
                        (3, _) => Verdict::Failed,
                        (4, _) => Verdict::Cancelled,
                        _ => Verdict::Succeeded,
                    };
                    store.settle(Arc::new(vec![settlement(&work, verdict)])).await.unwrap();
                }
            }
        });
    }
    workers.join_all().await;
    for (key, numbers) in seen.lock().unwrap().iter() {
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        let mut once = numbers.clone();
        once.dedup();
        assert_eq!(once, (1..=length as u64).collect::<Vec<_>>(), "{key}");
    }
    assert_eq!(f.proven().await, (300, 0, 100, 100));
    assert_eq!(f.store.shared.leases.len(), 0);
}
