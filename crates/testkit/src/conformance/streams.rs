//! Promises about streams: many at once, through crashes, listed, and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use bellwire_core::time::Timestamp;
use bellwire_store::{
    AppendError, ArrivalPlace, Arrived, Change,
    query::{Cutoffs, Rows, StreamQuery, StreamRow},
};
use futures_util::future::join_all;

use super::{
    Backend, Bench,
    bench::{DAY, NOON, SECOND},
    brought::{WAIT, accepted, held_since, stale},
};

/// Numbers of some keys, shuffled.
fn shuffled(random: &mut fastrand::Rng, keys: u64, numbers: u64) -> Vec<(String, u64)> {
    let mut all: Vec<_> = (0..keys)
        .flat_map(|key| (1..=numbers).map(move |number| (format!("key-{key}"), number)))
        .collect();
    random.shuffle(&mut all);
    all
}

/// By key, the numbers of all messages in the order in which they were accepted.
async fn accepted_by_key<B: Backend>(bench: &Bench<B>) -> BTreeMap<String, Vec<u64>> {
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event_id in bench.accepted_ids().await {
        let (key, number) = event_id.split_once('/').unwrap();
        by_key.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    by_key
}

/// That each key has all of its numbers, in their order.
fn prove_complete(by_key: &BTreeMap<String, Vec<u64>>, keys: usize, numbers: u64) {
    let complete: Vec<u64> = (1..=numbers).collect();
    assert_eq!(by_key.len(), keys);
    for (key, accepted) in by_key {
        assert_eq!(*accepted, complete, "{key}");
    }
}

/// Ten thousand, in whatever order they come.
pub async fn racing_arrivals_are_accepted_in_order<B: Backend>(bench: Bench<B>) {
    let mut random = fastrand::Rng::with_seed(11);
    let all = shuffled(&mut random, 125, 80);
    let store = bench.store();
    let racing = all
        .iter()
        .map(|(key, number)| store.arrive(bench.numbered(key, *number, &[])));
    let answers = join_all(racing).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(bench.sound().await.held, 0);
    prove_complete(&accepted_by_key(&bench).await, 125, 80);
    assert_eq!(bench.release().await, (0, None));
}

/// More than a store accepts at one go.
pub async fn a_turn_that_is_given_to_many_is_taken_by_all<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let store = bench.store();
    let early = (2..=1_500).map(|number| store.arrive(bench.numbered("a", number, &[endpoint])));
    let answers = join_all(early).await;
    assert!(answers.iter().all(|answer| *answer == Ok(held_since(NOON))));
    drop(store);
    bench.crash().await;
    assert_eq!(bench.sound().await.held, 1_499);
    accepted(&bench.arrive(bench.numbered("a", 1, &[endpoint])).await.unwrap());
    let report = bench.sound().await;
    assert_eq!((report.held, report.messages, report.deliveries), (0, 1_500, 1_500));
    prove_complete(&accepted_by_key(&bench).await, 1, 1_500);
}

/// By id, so that whoever watches sees them: those that waited for one that came, those whose wait was over, and nobody who was
/// published under its event id meanwhile.
pub async fn who_has_its_turn_is_told<B: Backend>(bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let store = bench.store();
    for number in (2..=300).chain([302, 303, 305]) {
        let to = if number % 2 == 0 { &[endpoint][..] } else { &[] };
        bench.store().arrive(bench.numbered("a", number, to)).await.unwrap();
    }
    let taken = bench.numbered("a", 303, &[]).message;
    store.append(taken).await.unwrap();
    let first = store.arrive(bench.numbered("a", 1, &[])).await.unwrap();
    let Arrived::Accepted { freed, .. } = first else {
        panic!("accepted, not {first:?}");
    };
    assert_eq!(freed.len(), 299);
    bench.are_the_last(&freed).await;
    let alone = store.arrive(bench.numbered("b", 1, &[])).await.unwrap();
    assert!(matches!(alone, Arrived::Accepted { freed, .. } if freed.is_empty()));
    bench.clock.advance(WAIT);
    let released = store.release(bench.now(), 1_000).await.unwrap();
    assert_eq!(released.freed.len(), 2, "302 and 305");
    bench.are_the_last(&released.freed).await;
    bench.sound().await;
}

/// And the rest has its turn after the next one.
pub async fn a_release_stops_at_its_limit_and_goes_on<B: Backend>(mut bench: Bench<B>) {
    let store = bench.store();
    // 1 is missing in both; 300 as well in the first.
    let numbers = |key: &'static str| (2..=700).filter(move |number| key == "b" || *number != 300);
    let early = ["a", "b"]
        .into_iter()
        .flat_map(|key| numbers(key).map(move |number| (key, number)));
    let early = early.map(|(key, number)| store.arrive(bench.numbered(key, number, &[])));
    join_all(early).await;
    drop(store);
    bench.clock.advance(WAIT);
    let mut released = 0;
    for limit in [1, 9, 290, 400, 1] {
        let piece = bench.store().release(bench.now(), limit).await.unwrap();
        assert_eq!(piece.freed.len(), limit);
        assert!(piece.next.is_some_and(|next| next <= bench.now()));
        released += piece.freed.len();
        bench.crash().await;
    }
    assert_eq!(bench.release().await, (1_397 - released, None));
    let by_key = accepted_by_key(&bench).await;
    for key in ["a", "b"] {
        assert_eq!(by_key[key], numbers(key).collect::<Vec<_>>());
    }
    assert_eq!(bench.stream("a").await.unwrap().gaps, [(1, 1), (300, 300)]);
    assert_eq!(bench.stream("b").await.unwrap().gaps, [(1, 1)]);
}

/// A crash may fall between any two, and the sender repeats what it has no answer to.
pub async fn shuffled_and_repeated_arrivals_survive_crashes<B: Backend>(mut bench: Bench<B>) {
    let mut random = fastrand::Rng::with_seed(23);
    for round in 0..3 {
        let app = bench.app().await;
        bench.app = app;
        let all = shuffled(&mut random, 7, 40);
        let mut sent: Vec<(String, u64)> = Vec::new();
        let mut left = all.as_slice();
        while !left.is_empty() {
            let (now, then) = left.split_at(random.usize(1..=40).min(left.len()));
            left = then;
            let again = (0..random.usize(0..10)).filter_map(|_| random.choice(&sent).cloned());
            let again: Vec<_> = again.collect();
            let store = bench.store();
            let racing = now
                .iter()
                .chain(&again)
                .map(|(key, number)| store.arrive(bench.numbered(key, *number, &[])));
            for answer in join_all(racing).await {
                let repeated = matches!(answer, Err(AppendError::EventIdTaken { .. }));
                assert!(
                    repeated || matches!(answer, Ok(Arrived::Accepted { .. } | Arrived::Held { .. })),
                    "{answer:?}"
                );
            }
            sent.extend_from_slice(now);
            drop(store);
            bench.crash().await;
        }
        assert_eq!(bench.sound().await.held, 0, "round {round}");
        prove_complete(&accepted_by_key(&bench).await, 7, 40);
    }
}

/// Some never come, waits end in between, and late ones are stale: nobody is lost, nobody is accepted out of order.
pub async fn nobody_is_lost_however_waits_and_arrivals_fall<B: Backend>(mut bench: Bench<B>) {
    let mut random = fastrand::Rng::with_seed(37);
    let (mut accepted, mut stale, mut sent) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (key, number) in shuffled(&mut random, 5, 60) {
        if random.u32(0..10) == 0 {
            continue;
        }
        let mut arrival = bench.numbered(&key, number, &[]);
        arrival.place = ArrivalPlace::Sequence {
            number,
            start: random.bool().then_some(1),
            wait: random.u32(0..40) * SECOND,
        };
        sent += 1;
        match bench.store().arrive(arrival).await.unwrap() {
            Arrived::Accepted { .. } => drop(accepted.insert((key, number))),
            Arrived::Stale(_) => drop(stale.insert((key, number))),
            Arrived::Held { .. } => {}
        }
        match random.u32(0..20) {
            0 => bench.crash().await,
            1..8 => {
                bench.tick();
                let released = bench.store().release(bench.now(), random.usize(1..20)).await.unwrap();
                let report = bench.sound().await;
                assert_eq!(report.messages + report.held, sent);
                assert_eq!(released.next.is_some(), report.held > 0);
            }
            _ => {}
        }
    }
    bench.clock.advance(60 * SECOND);
    assert_eq!(bench.release().await.1, None);
    let report = bench.sound().await;
    assert_eq!((report.messages, report.held), (sent, 0));
    for (key, mut numbers) in accepted_by_key(&bench).await {
        numbers.retain(|number| !stale.contains(&(key.clone(), *number)));
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        let gaps = bench.stream(&key).await.unwrap().gaps;
        let given_up = |number: &u64| gaps.iter().any(|(first, last)| (*first..=*last).contains(number));
        assert!(!numbers.iter().any(given_up), "{key}: {gaps:?}");
    }
    assert!(!accepted.is_empty() && !stale.is_empty());
}

/// From 0 to the largest, in their order.
pub async fn numbers_may_be_as_large_as_they_come<B: Backend>(bench: Bench<B>) {
    let numbers = [u64::MAX, 1 << 63, (1 << 63) - 1, 3, u64::MAX - 1, 0];
    for number in numbers {
        bench.arrive_as("a", number).await;
    }
    bench.clock.advance(WAIT);
    bench.release().await;
    let mut expected: Vec<u64> = numbers.to_vec();
    expected.sort_unstable();
    let stream = bench.stream("a").await.unwrap();
    assert_eq!(stream.last, Some(u64::MAX.to_string()));
    assert_eq!(stream.gaps, [(1, 2), (4, (1 << 63) - 2), ((1 << 63) + 1, u64::MAX - 2)]);
    let by_key = accepted_by_key(&bench).await;
    assert_eq!(by_key["a"], expected);
}

fn page(after: Option<&str>, held: bool, limit: usize) -> StreamQuery {
    StreamQuery {
        key: None,
        held,
        after: after.map(str::to_owned),
        limit,
    }
}

fn keys(rows: &Rows<StreamRow>) -> (Vec<&str>, bool) {
    (rows.items.iter().map(|row| row.key.as_str()).collect(), rows.more)
}

/// A page at a time; and only those in which something is held, when that is asked for.
pub async fn streams_are_listed_by_key<B: Backend>(mut bench: Bench<B>) {
    for key in ["d", "a", "e", "b", "c"] {
        bench.arrive_as(key, 1).await;
    }
    for key in ["b", "d", "e"] {
        bench.arrive_as(key, 3).await;
        bench.arrive_as(key, 5).await;
    }
    let other = bench.app().await;
    bench.crash().await;
    let store = bench.store();
    let list = async |query| store.streams(bench.app, query).await.unwrap();
    assert_eq!(
        keys(&list(page(None, false, 10)).await),
        (vec!["a", "b", "c", "d", "e"], false)
    );
    assert_eq!(keys(&list(page(None, false, 2)).await), (vec!["a", "b"], true));
    assert_eq!(
        keys(&list(page(Some("b"), false, 3)).await),
        (vec!["c", "d", "e"], false)
    );
    assert_eq!(keys(&list(page(Some("bb"), false, 1)).await), (vec!["c"], true));
    assert_eq!(keys(&list(page(None, true, 10)).await), (vec!["b", "d", "e"], false));
    assert_eq!(keys(&list(page(None, true, 2)).await), (vec!["b", "d"], true));
    assert_eq!(keys(&list(page(Some("b"), true, 2)).await), (vec!["d", "e"], false));
    let one = |key: &str, held| StreamQuery {
        key: Some(key.to_owned()),
        ..page(None, held, 10)
    };
    assert_eq!(keys(&list(one("c", false)).await), (vec!["c"], false));
    assert_eq!(keys(&list(one("c", true)).await), (vec![], false));
    assert_eq!(keys(&list(one("d", true)).await), (vec!["d"], false));
    assert_eq!(keys(&list(one("x", false)).await), (vec![], false));
    let of_other = store.streams(other, page(None, false, 10)).await;
    assert_eq!(of_other, Ok(Rows::EMPTY));
}

/// What was accepted last, how many wait and until when, and what never came.
pub async fn a_stream_shows_how_it_stands<B: Backend>(mut bench: Bench<B>) {
    assert_eq!(bench.stream("a").await, None);
    bench.arrive_as("a", 3).await;
    let until = NOON.plus(WAIT);
    let begins = StreamRow {
        key: "a".to_owned(),
        last: None,
        held: 1,
        until: Some(until),
        gaps: Vec::new(),
    };
    assert_eq!(bench.stream("a").await, Some(begins.clone()));
    bench.tick();
    bench.arrive_as("a", 9).await;
    bench.arrive_as("a", 5).await;
    bench.crash().await;
    let stands = StreamRow { held: 3, ..begins };
    assert_eq!(bench.stream("a").await, Some(stands));
    bench.clock.set(until);
    bench.release().await;
    let until = Some(until.plus(SECOND));
    let stream = bench.stream("a").await.unwrap();
    assert_eq!(
        (stream.last.as_deref(), stream.held, stream.until),
        (Some("3"), 2, until)
    );
    assert_eq!(stream.gaps, [(1, 2)]);
}

/// For a number that was a mistake: what waits is accepted first, and the others' streams stay.
pub async fn a_stream_that_is_reset_begins_anew<B: Backend>(mut bench: Bench<B>) {
    accepted(&bench.arrive_as("a", 1).await);
    bench.arrive_as("a", 500).await;
    bench.clock.advance(WAIT);
    bench.release().await;
    stale(&bench.arrive_as("a", 2).await);
    let store = bench.store();
    let early = (502..=1_200).map(|number| store.arrive(bench.numbered("a", number, &[])));
    assert!(join_all(early).await.iter().all(Result::is_ok));
    bench.arrive_as("b", 7).await;
    let freed = store.reset_stream(bench.app, "a".to_owned()).await.unwrap().unwrap();
    assert_eq!(freed.len(), 699);
    bench.are_the_last(&freed).await;
    assert_eq!(store.reset_stream(bench.app, "a".to_owned()).await, Ok(None));
    assert_eq!(store.reset_stream(bench.app, "c".to_owned()).await, Ok(None));
    drop(store);
    bench.crash().await;
    assert_eq!(bench.stream("a").await, None);
    assert_eq!(bench.stream("b").await.unwrap().held, 1);
    let numbers = accepted_by_key(&bench).await["a"].clone();
    assert!(
        numbers.ends_with(&[1_199, 1_200]) && numbers[3..].is_sorted(),
        "{numbers:?}"
    );
    let mut anew = bench.numbered("a", 1, &[]);
    anew.message.event_id = Some("another 1".to_owned());
    accepted(&bench.arrive(anew).await.unwrap());
    let mut next = bench.numbered("a", 2, &[]);
    next.message.event_id = Some("another 2".to_owned());
    accepted(&bench.arrive(next).await.unwrap());
}

/// Its held messages with it, a piece at a time; those of others stay.
pub async fn an_erased_application_leaves_no_stream<B: Backend>(mut bench: Bench<B>) {
    let (app, other) = (bench.app, bench.app().await);
    for of in [app, other] {
        for (key, number) in [("a", 1), ("a", 3), ("a", 4), ("b", 2), ("b", 3), ("c", 1)] {
            let mut arrival = bench.numbered(key, number, &[]);
            arrival.message.app = of;
            bench.arrive(arrival).await.unwrap();
        }
    }
    bench.apply(vec![Change::DeleteApp(app)]).await;
    let mut erased = 0;
    loop {
        let n = bench.store().erase_app(app, 3).await.unwrap();
        assert!(n <= 3);
        bench.crash().await;
        erased += n;
        if n == 0 {
            break;
        }
    }
    assert_eq!(erased, 6);
    assert!(bench.accepted().await.is_empty());
    let all = page(None, false, 10);
    assert_eq!(bench.store().streams(app, all.clone()).await, Ok(Rows::EMPTY));
    let left = bench.store().streams(other, all).await.unwrap();
    assert_eq!(keys(&left), (vec!["a", "b", "c"], false));
    let report = bench.sound().await;
    assert_eq!((report.messages, report.held), (2, 4));
    bench.clock.advance(WAIT);
    assert_eq!(bench.release().await.0, 4);
}

/// Its next number is the first then. One in which something is held is in use.
pub async fn an_unused_stream_is_forgotten_like_old_messages<B: Backend>(mut bench: Bench<B>) {
    for key in ["old", "used", "held"] {
        bench.arrive_as(key, 1).await;
    }
    bench.arrive_as("held", 3).await;
    bench.clock.advance(3 * DAY);
    accepted(&bench.arrive_as("used", 2).await);
    let cutoffs = |messages| Cutoffs {
        messages,
        attempts: Timestamp::MIN,
        payloads: Timestamp::MIN,
    };
    for (cutoff, left) in [(NOON, 3), (NOON.plus(2 * DAY), 2)] {
        while bench.store().retain(cutoffs(cutoff)).await.unwrap().more {}
        bench.crash().await;
        let rows = bench.store().streams(bench.app, page(None, false, 10)).await.unwrap();
        assert_eq!(rows.items.len(), left, "{rows:?}");
    }
    assert_eq!(bench.stream("old").await, None);
    let mut anew = bench.numbered("old", 1, &[]);
    anew.message.event_id = None;
    accepted(&bench.arrive(anew).await.unwrap());
    bench.release().await;
    assert_eq!(bench.stream("held").await.unwrap().gaps, [(2, 2)]);
}
