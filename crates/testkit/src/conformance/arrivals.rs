//! Promises of `arrive` and `release`: accepted in turn, held until then, or stale.

use std::sync::Arc;

use bellwire_core::{order::Line, source::Item};
use bellwire_store::{AppendError, ArrivalPlace, Arrived, Change};

use super::{
    Backend, Bench,
    bench::{DAY, HOUR, NOON, SECOND, idempotency, ids},
    brought::{WAIT, accepted, held_since, stale},
};

/// Durably, and handed over like any other message.
pub async fn what_follows_is_accepted_at_once<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let inbox = bench.attach();
    let mut made = Vec::new();
    for number in 1..=3 {
        let arrived = bench.arrive(bench.numbered("a", number, &[endpoint])).await.unwrap();
        made.push(accepted(&arrived));
    }
    assert_eq!(ids(&inbox.take()), made);
    bench.crash().await;
    assert_eq!(bench.accepted_ids().await, ["a/1", "a/2", "a/3"]);
    assert_eq!(bench.note_of("a/2").await, None);
    assert_eq!(bench.head(endpoint).await, Some(NOON));
    assert_eq!(accepted(&bench.arrive_as("a", 4).await), bench.accepted().await[3].id);
}

/// It is no message before then, and comes out as it went in.
pub async fn what_comes_too_early_is_held_until_its_turn<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for number in [3, 2, 5] {
        let arrived = bench.arrive(bench.numbered("a", number, &[endpoint])).await.unwrap();
        assert_eq!(arrived, held_since(bench.now()));
        bench.crash().await;
        bench.tick();
    }
    assert_eq!((bench.sound().await.held, bench.sound().await.messages), (3, 0));
    assert_eq!(bench.head(endpoint).await, None);
    let inbox = bench.attach();
    let arrived = bench.arrive(bench.numbered("a", 1, &[endpoint])).await.unwrap();
    let handed = ids(&inbox.take());
    assert_eq!((handed.len(), handed[0]), (3, accepted(&arrived)));
    assert!(handed.is_sorted());
    bench.crash().await;
    assert_eq!(bench.accepted_ids().await, ["a/1", "a/2", "a/3"]);
    let report = bench.sound().await;
    assert_eq!((report.held, report.messages, report.deliveries), (1, 3, 3));
    assert_eq!(bench.note_of("a/1").await, None);
    assert_eq!(bench.note_of("a/2").await.unwrap(), "waited 2 s for 1");
    assert_eq!(bench.note_of("a/3").await.unwrap(), "waited 3 s for 1");
}

/// Every part of it, and at the length of a large payload.
pub async fn a_held_message_is_accepted_as_it_came<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    let mut early = bench.numbered("a", 2, &[endpoint]);
    let new = &mut early.message;
    new.channels = vec!["eu".to_owned(), "us".to_owned()];
    new.tags = vec!["x".to_owned()];
    new.content_type = Some("application/octet-stream".to_owned());
    new.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    new.payload = (0..300_000u32).map(|n| n as u8).collect();
    new.deliver_at = Some(NOON.plus(HOUR));
    new.routes[0].line = Some(Line {
        key: "a".into(),
        era: 3,
    });
    let mut inbound = new.inbound.as_deref().unwrap().clone();
    inbound.item = Some(Item {
        index: 1,
        count: 2,
        rest: Some("{\"shop\":\"ü\"}".to_owned()),
    });
    inbound.peer = Some("192.0.2.7".to_owned());
    new.inbound = Some(Arc::new(inbound.clone()));
    let new = early.message.clone();
    bench.arrive(early).await.unwrap();
    bench.crash().await;
    let came_at = bench.now();
    bench.clock.advance(3 * SECOND);
    bench.arrive_as("a", 1).await;
    let found = bench.accepted().await.remove(1);
    assert_eq!((found.event_type, found.event_id), (new.event_type, new.event_id));
    assert_eq!((found.channels, found.tags), (new.channels, new.tags));
    assert_eq!(
        (found.ordering_key, found.content_type),
        (new.ordering_key, new.content_type)
    );
    assert_eq!((found.traceparent, found.deliver_at), (new.traceparent, new.deliver_at));
    assert_eq!(found.payload, Some(new.payload));
    assert_eq!(found.payload_expires_at, new.payload_expires_at);
    assert_eq!(found.created_at, came_at.plus(3 * SECOND), "when it was accepted");
    inbound.note = Some("waited 3 s for 1".to_owned());
    assert_eq!(found.inbound.as_deref(), Some(&inbound));
    assert_eq!(bench.head(endpoint).await, Some(NOON.plus(HOUR)));
    let line = bench.line(endpoint, "a").await.unwrap();
    assert_eq!((line.last, line.waiting), (1, 1));
}

/// A number that comes by then is no gap.
pub async fn without_a_start_the_least_of_the_first_wait_is_the_first<B: Backend>(mut bench: Bench<B>) {
    let unknown = |number| {
        let mut arrival = bench.numbered("a", number, &[]);
        arrival.place = ArrivalPlace::Sequence {
            number,
            start: None,
            wait: WAIT,
        };
        arrival
    };
    let arrivals = [8, 9, 6, 7].map(unknown);
    for arrival in arrivals {
        assert_eq!(bench.arrive(arrival).await, Ok(held_since(bench.now())));
        bench.tick();
    }
    bench.crash().await;
    assert_eq!(bench.release().await.0, 0, "the first wait is not over");
    bench.tick();
    assert_eq!(bench.release().await, (4, None));
    assert_eq!(bench.accepted_ids().await, ["a/6", "a/7", "a/8", "a/9"]);
    assert_eq!(bench.note_of("a/6").await.unwrap(), "waited 3 s for those before it");
    assert_eq!(bench.stream("a").await.unwrap().gaps, []);
    accepted(&bench.arrive_as("a", 10).await);
    stale(&bench.arrive_as("a", 5).await);
}

/// Whoever waits is not held longer than it was told, and what is missing is noted.
pub async fn a_wait_that_is_over_ends_in_a_gap<B: Backend>(mut bench: Bench<B>) {
    accepted(&bench.arrive_as("a", 1).await);
    bench.arrive_as("a", 4).await;
    bench.clock.advance(2 * SECOND);
    bench.arrive_as("a", 5).await;
    bench.arrive_as("a", 7).await;
    bench.crash().await;
    let ends = NOON.plus(WAIT);
    assert_eq!(bench.release().await, (0, Some(ends)));
    bench.clock.set(ends);
    let next = Some(NOON.plus(7 * SECOND));
    assert_eq!(bench.release().await, (2, next));
    assert_eq!(bench.accepted_ids().await, ["a/1", "a/4", "a/5"]);
    assert_eq!(bench.note_of("a/4").await.unwrap(), "2 to 3 did not come within 5 s");
    assert_eq!(bench.note_of("a/5").await.unwrap(), "waited 3 s for 2");
    let stream = bench.stream("a").await.unwrap();
    assert_eq!(
        (stream.last.as_deref(), stream.held, stream.until),
        (Some("5"), 1, next)
    );
    assert_eq!(stream.gaps, [(2, 3)]);
    bench.crash().await;
    accepted(&bench.arrive_as("a", 6).await);
    assert_eq!(bench.release().await, (0, None));
    assert_eq!(bench.accepted_ids().await, ["a/1", "a/4", "a/5", "a/6", "a/7"]);
}

/// With all that is held before it.
pub async fn who_waits_shorter_takes_those_before_it_along<B: Backend>(bench: Bench<B>) {
    let wait = |number, wait| {
        let mut arrival = bench.numbered("a", number, &[]);
        arrival.place = ArrivalPlace::Sequence {
            number,
            start: Some(1),
            wait,
        };
        arrival
    };
    bench.arrive(wait(2, HOUR)).await.unwrap();
    bench.arrive(wait(4, SECOND)).await.unwrap();
    bench.arrive(wait(6, HOUR)).await.unwrap();
    let released = bench.store().release(bench.tick(), 1).await.unwrap();
    assert_eq!((released.freed.len(), released.next), (1, Some(NOON.plus(SECOND))));
    assert_eq!(bench.release().await, (1, Some(NOON.plus(HOUR))));
    assert_eq!(bench.accepted_ids().await, ["a/2", "a/4"]);
    assert_eq!(bench.stream("a").await.unwrap().gaps, [(1, 1), (3, 3)]);
}

/// Whoever has its turn does not wait any longer, and others' waits are theirs.
pub async fn a_wait_that_is_prolonged_ends_later<B: Backend>(mut bench: Bench<B>) {
    bench.arrive_as("a", 3).await;
    bench.arrive_as("b", 2).await;
    let mut other = bench.numbered("a", 2, &[]);
    other.message.app = bench.app().await;
    bench.arrive(other).await.unwrap();
    bench.clock.advance(DAY);
    let until = bench.now().plus(WAIT);
    assert_eq!(bench.store().prolong(bench.app, until).await, Ok(2));
    assert_eq!(bench.store().prolong(bench.app, until).await, Ok(0));
    assert_eq!(
        bench.store().prolong(bench.app, NOON).await,
        Ok(0),
        "it is not made shorter"
    );
    bench.crash().await;
    let next = Some(until);
    assert_eq!(bench.release().await, (1, next), "the other's");
    assert_eq!(bench.stream("a").await.unwrap().until, next);
    accepted(&bench.arrive_as("a", 1).await);
    accepted(&bench.arrive_as("a", 2).await);
    bench.clock.set(until);
    assert_eq!(bench.release().await, (1, None));
    assert_eq!(bench.accepted_ids().await, ["a/1", "a/2", "a/3", "b/2"]);
}

/// As a message that says why.
pub async fn what_is_stale_is_kept_and_goes_nowhere<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    accepted(&bench.arrive_as("a", 1).await);
    bench.arrive_as("a", 3).await;
    bench.clock.advance(WAIT);
    bench.release().await;
    let inbox = bench.attach();
    for (number, why) in [
        (2, "2 was waited for and given up; by now 3 was accepted"),
        (0, "0 is below 3, which came before"),
    ] {
        let arrived = bench.arrive(bench.numbered("a", number, &[endpoint])).await.unwrap();
        let id = stale(&arrived);
        assert_eq!(bench.delivery(id, endpoint).await, None);
        assert_eq!(bench.note_of(&format!("a/{number}")).await.unwrap(), why);
    }
    let arrived = bench.arrive(bench.numbered("b", 0, &[endpoint])).await.unwrap();
    stale(&arrived);
    assert_eq!(bench.note_of("b/0").await.unwrap(), "0 is below 1, where numbers begin");
    assert!(inbox.take().is_empty() && inbox.take_stored().is_empty());
    bench.crash().await;
    assert_eq!(bench.sound().await.messages, 5);
    accepted(&bench.arrive_as("b", 1).await);
}

/// Accepted, stale or held; another application has its own.
pub async fn an_event_id_is_taken_once<B: Backend>(mut bench: Bench<B>) {
    let one = accepted(&bench.arrive_as("a", 1).await);
    let until = NOON.plus(WAIT);
    assert_eq!(bench.arrive_as("a", 3).await, Arrived::Held { until });
    let below = stale(&bench.arrive_as("a", 0).await);
    bench.crash().await;
    bench.tick();
    // Whatever else they say.
    let again = |event_id: &str, key: &str| {
        let mut arrival = bench.numbered(key, 1, &[]);
        arrival.message.event_id = Some(event_id.to_owned());
        arrival
    };
    for key in ["a", "b"] {
        for (event_id, existing) in [("a/1", one), ("a/0", below)] {
            let taken = AppendError::EventIdTaken {
                event_id: event_id.to_owned(),
                existing,
                overtaken: false,
            };
            assert_eq!(bench.arrive(again(event_id, key)).await, Err(taken));
        }
        assert_eq!(bench.arrive(again("a/3", key)).await, Ok(Arrived::Held { until }));
    }
    let report = bench.sound().await;
    assert_eq!((report.messages, report.held), (2, 1));
    assert_eq!(bench.stream("b").await, None, "nothing came");
    let mut other = again("a/3", "a");
    other.message.app = bench.app().await;
    accepted(&bench.arrive(other).await.unwrap());
}

/// Whoever begins anew what had failed must not bring back what was.
pub async fn an_event_that_comes_again_too_late_is_said_to_be_overtaken<B: Backend>(mut bench: Bench<B>) {
    let again = async |bench: &Bench<B>, arrival| match bench.arrive(arrival).await {
        Err(AppendError::EventIdTaken { overtaken, .. }) => overtaken,
        other => panic!("taken, not {other:?}"),
    };
    for version in ["1", "2"] {
        accepted(&bench.arrive(bench.versioned("v", version, &[])).await.unwrap());
        accepted(&bench.arrive_as("n", version.parse().unwrap()).await);
        bench.crash().await;
        assert!(
            !again(&bench, bench.versioned("v", version, &[])).await,
            "it is the newest"
        );
        assert!(!again(&bench, bench.numbered("n", version.parse().unwrap(), &[])).await);
    }
    assert!(again(&bench, bench.versioned("v", "1", &[])).await);
    assert!(again(&bench, bench.numbered("n", 1, &[])).await);
    let mut elsewhere = bench.numbered("n", 1, &[]);
    elsewhere.key = "m".to_owned();
    assert!(!again(&bench, elsewhere).await, "nothing came after it there");
}

/// Until a later one was accepted.
pub async fn two_with_one_number_are_both_accepted<B: Backend>(mut bench: Bench<B>) {
    let named = |number, event_id: &str| {
        let mut arrival = bench.numbered("a", number, &[]);
        arrival.message.event_id = Some(event_id.to_owned());
        arrival
    };
    let arrivals = [
        (2, "two"),
        (2, "two again"),
        (1, "one"),
        (2, "two once more"),
        (3, "three"),
    ];
    let arrivals = arrivals.map(|(number, event_id)| named(number, event_id));
    let late = named(2, "two too late");
    for arrival in arrivals {
        bench.arrive(arrival).await.unwrap();
        bench.crash().await;
    }
    let expected = ["one", "two", "two again", "two once more", "three"];
    assert_eq!(bench.accepted_ids().await, expected);
    stale(&bench.arrive(late).await.unwrap());
}

/// By another door, under its event id.
pub async fn an_event_that_was_published_meanwhile_is_not_accepted_twice<B: Backend>(bench: Bench<B>) {
    bench.arrive_as("a", 2).await;
    let mut new = bench.message(&[]);
    new.event_id = Some("a/2".to_owned());
    let published = bench.append(new).await.unwrap().id;
    accepted(&bench.arrive_as("a", 1).await);
    accepted(&bench.arrive_as("a", 3).await);
    assert_eq!(bench.accepted_ids().await, ["a/2", "a/1", "a/3"]);
    assert_eq!(bench.accepted().await[0].id, published);
    assert_eq!(bench.sound().await.held, 0);
}

/// Two arrivals are told apart by their event ids, and by nothing else.
pub async fn idempotency_keys_of_arrivals_are_not_looked_at<B: Backend>(bench: Bench<B>) {
    for number in [2, 1] {
        let mut arrival = bench.numbered("a", number, &[]);
        arrival.message.idempotency = idempotency(1, 1);
        bench.arrive(arrival).await.unwrap();
    }
    let mut new = bench.message(&[]);
    new.idempotency = idempotency(1, 2);
    assert!(bench.append(new).await.is_ok());
    assert_eq!(bench.sound().await.messages, 3);
}

/// Equally new ones are not: senders tell seconds.
pub async fn only_older_versions_are_stale<B: Backend>(mut bench: Bench<B>) {
    let endpoint = bench.endpoint().await;
    for version in [
        "2026-01-31T08:30:00Z",
        "2026-01-31T10:30:00+02:00",
        "2026-01-31T08:30:01Z",
    ] {
        let arrived = bench.arrive(bench.versioned("a", version, &[endpoint])).await.unwrap();
        accepted(&arrived);
        bench.crash().await;
    }
    let older = "2026-01-31T08:30:00.5Z";
    let arrived = bench.arrive(bench.versioned("a", older, &[endpoint])).await.unwrap();
    assert_eq!(bench.delivery(stale(&arrived), endpoint).await, None);
    assert_eq!(
        bench.note_of(&format!("a/{older}")).await.unwrap(),
        "version 2026-01-31T08:30:00.5Z is older than 2026-01-31T08:30:01Z, which came before"
    );
    let stream = bench.stream("a").await.unwrap();
    assert_eq!((stream.last.as_deref(), stream.held), (Some("2026-01-31T08:30:01Z"), 0));
    // Numbers are versions as well, of any length.
    for version in ["9", "10", "100000000000000000000000000000000000001"] {
        accepted(&bench.arrive(bench.versioned("b", version, &[])).await.unwrap());
    }
    stale(&bench.arrive(bench.versioned("b", "11", &[])).await.unwrap());
}

/// A source whose owner changed its mind.
pub async fn a_stream_that_goes_over_to_another_rule_begins_anew<B: Backend>(bench: Bench<B>) {
    accepted(&bench.arrive_as("a", 1).await);
    bench.arrive_as("a", 3).await;
    accepted(&bench.arrive(bench.versioned("a", "2026-01-01", &[])).await.unwrap());
    accepted(&bench.arrive(bench.versioned("a", "2026-01-02", &[])).await.unwrap());
    bench.clock.advance(WAIT);
    assert_eq!(bench.release().await.0, 1, "what was held is not forgotten");
    accepted(&bench.arrive_as("a", 4).await);
    accepted(
        &bench
            .arrive(bench.versioned("a", "2026-01-01 again", &[]))
            .await
            .unwrap(),
    );
    assert_eq!(bench.sound().await.held, 0);
}

/// Of one application, and of two.
pub async fn streams_do_not_wait_for_each_other<B: Backend>(bench: Bench<B>) {
    let other = bench.app().await;
    bench.arrive_as("a", 2).await;
    accepted(&bench.arrive_as("b", 1).await);
    let mut arrival = bench.numbered("a", 1, &[]);
    arrival.message.app = other;
    accepted(&bench.arrive(arrival).await.unwrap());
    assert_eq!(bench.sound().await.held, 1);
    bench.clock.advance(WAIT);
    assert_eq!(bench.release().await.0, 1);
    assert_eq!(bench.accepted_ids().await, ["b/1", "a/2"]);
}

/// And the others stay.
pub async fn a_route_to_an_endpoint_that_is_gone_is_left_out<B: Backend>(bench: Bench<B>) {
    let (gone, there) = (bench.endpoint().await, bench.endpoint().await);
    bench.arrive(bench.numbered("a", 2, &[gone, there])).await.unwrap();
    bench.apply(vec![Change::DeleteEndpoint(gone)]).await;
    bench.arrive_as("a", 1).await;
    let id = bench.accepted().await[1].id;
    assert_eq!(bench.delivery(id, gone).await, None);
    assert_eq!(bench.claim_one(there).await.message.id, id);
    assert_eq!(bench.sound().await.deliveries, 1);
}

/// A stored route waits in the store; a line is joined in the order in which messages are accepted.
pub async fn what_has_its_turn_is_delivered_like_any_other<B: Backend>(bench: Bench<B>) {
    let (ordered, stored) = (bench.endpoint().await, bench.endpoint().await);
    let inbox = bench.attach();
    for number in [3, 2, 1] {
        let mut arrival = bench.numbered("a", number, &[ordered, stored]);
        arrival.message.routes[0].line = Some(Line {
            key: "a".into(),
            era: 1,
        });
        arrival.message.routes[1].stored = true;
        bench.arrive(arrival).await.unwrap();
    }
    let handed = inbox.take();
    let all = bench.accepted().await;
    assert_eq!(ids(&handed), [all[0].id], "the head of the line");
    assert!(inbox.take_stored().iter().all(|head| head.endpoint == stored));
    let line = bench.line(ordered, "a").await.unwrap();
    assert_eq!((line.last, line.waiting), (3, 3));
    assert_eq!(
        ids(&bench.claim(stored, 10).await.work),
        [all[0].id, all[1].id, all[2].id]
    );
    assert_eq!(inbox.waiting(ordered), 3);
}

/// However old it is by then.
pub async fn a_held_message_whose_payload_expired_is_a_message_without_payload<B: Backend>(bench: Bench<B>) {
    let mut arrival = bench.numbered("a", 2, &[]);
    arrival.message.payload_expires_at = NOON.plus(SECOND);
    bench.arrive(arrival).await.unwrap();
    bench.clock.advance(DAY);
    assert_eq!(bench.release().await.0, 1);
    let all = bench.accepted().await;
    assert_eq!(all[0].event_id.as_deref(), Some("a/2"));
}
