//! Order as people see and tend it: lines, numbers, status, pause, and why something waits.

use std::time::Duration;

use bellwire_core::{
    id::{EndpointId, Id as _},
    token::Scope,
};
use bellwire_store::{
    Verdict,
    directory::{BreakerState, LaneState, LaneStatus, LimitStatus, WaitsFor},
};
use serde_json::{Value, json};

use crate::bench::{Bench, NOON};

/// An application `acme` with an endpoint that orders by key and blocks.
async fn ordered() -> (Bench, EndpointId) {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench
        .endpoint("acme", json!({ "ordering": "key", "onExhausted": "block" }))
        .await;
    (bench, endpoint)
}

async fn of_key(bench: &Bench, key: &str) -> String {
    bench.publish("acme", json!({ "orderingKey": key })).await
}

async fn lines(bench: &Bench, endpoint: EndpointId, query: &str) -> Vec<Value> {
    let answer = bench
        .get(&format!("app/acme/endpoint/{endpoint}/sequence{query}"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].as_array().unwrap().clone()
}

async fn explained(bench: &Bench, message: &str, endpoint: EndpointId) -> Value {
    let answer = bench
        .get(&format!("app/acme/msg/{message}/endpoint/{endpoint}/explain"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn lines_say_what_a_receiver_should_have_and_what_comes_next() {
    let (bench, endpoint) = ordered().await;
    let a1 = of_key(&bench, "a").await;
    let a2 = of_key(&bench, "a").await;
    of_key(&bench, "b").await;
    assert_eq!(
        bench.attempt(endpoint, 200, Verdict::Succeeded).await,
        2,
        "the first of each line"
    );
    let all = lines(&bench, endpoint, "").await;
    assert_eq!(all.len(), 2);
    let a = &all[0];
    assert_eq!(
        (&a["key"], &a["last"], &a["succeeded"], &a["waiting"]),
        (&json!("a"), &json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        (&a["head"]["msgId"], &a["head"]["sequence"], &a["head"]["blocked"]),
        (&json!(a2), &json!(2), &json!(false))
    );
    assert_eq!((&all[1]["succeeded"], &all[1]["head"]), (&json!(1), &Value::Null));
    assert_eq!(lines(&bench, endpoint, "?key=b").await, all[1..]);
    assert_eq!(lines(&bench, endpoint, "?blocked=true").await, [] as [Value; 0]);
    // Deliveries show their numbers, from both ends.
    let sent = bench.get(&format!("app/acme/endpoint/{endpoint}/msg")).await;
    let numbers: Vec<_> = sent.column("id").into_iter().zip(sent.column("sequence")).collect();
    assert!(
        numbers.contains(&(json!(a1), json!(1))) && numbers.contains(&(json!(a2), json!(2))),
        "{numbers:?}"
    );
    let destinations = bench.get(&format!("app/acme/msg/{a2}/endpoint")).await;
    assert_eq!(destinations.column("sequence"), [json!(2)]);
    // One page after the other.
    let first = bench
        .get(&format!("app/acme/endpoint/{endpoint}/sequence?limit=1"))
        .await;
    assert_eq!(
        (&first.body["done"], &first.body["prevIterator"]),
        (&json!(false), &Value::Null)
    );
    let iterator = first.text("iterator").replace('=', "%3D");
    let next = format!("?limit=1&iterator={iterator}");
    assert_eq!(lines(&bench, endpoint, &next).await, all[1..]);
    let wrong = bench
        .get(&format!("app/acme/endpoint/{endpoint}/sequence?iterator=a"))
        .await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn an_endpoint_with_one_line_for_all_has_one_with_an_empty_key() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({ "ordering": "endpoint" })).await;
    for _ in 0..3 {
        bench.publish("acme", json!({})).await;
    }
    let all = lines(&bench, endpoint, "").await;
    assert_eq!(
        (all.len(), &all[0]["key"], &all[0]["waiting"]),
        (1, &json!(""), &json!(3))
    );
    let path = format!("app/acme/endpoint/{endpoint}/sequence/discard");
    let done = bench.post(&path, json!({ "key": "" })).await;
    assert_eq!((done.status, &done.body), (202, &json!({ "changed": 3 })));
    assert_eq!(lines(&bench, endpoint, "").await[0]["waiting"], 0);

    // They keep their numbers, are listed with them, and say what may have become of them.
    let listed = bench.get(&format!("app/acme/endpoint/{endpoint}/msg")).await;
    let sequence = |row: &Value| (row["sequence"].clone(), row["status"].clone());
    let rows: Vec<_> = listed.body["data"].as_array().unwrap().iter().map(sequence).collect();
    assert_eq!(
        rows.first(),
        Some(&(json!(3), json!(0))),
        "cancelled, as clients know it"
    );
    let message = listed.body["data"][0]["id"].as_str().unwrap();
    let why = bench
        .get(&format!("app/acme/msg/{message}/endpoint/{endpoint}/explain"))
        .await;
    assert_eq!(why.text("reason"), "cancelled");
    assert!(why.text("summary").contains("its line was discarded"), "{why:?}");
}

#[tokio::test]
async fn a_blocked_line_is_shown_and_goes_on_when_it_is_unblocked_skipped_or_discarded() {
    let (bench, endpoint) = ordered().await;
    let path = |what: &str| format!("app/acme/endpoint/{endpoint}/sequence/{what}");
    for key in ["a", "a", "b", "b", "c", "c", "c"] {
        of_key(&bench, key).await;
    }
    assert_eq!(bench.attempt(endpoint, 500, Verdict::Blocked).await, 3);
    assert_eq!(
        bench.attempt(endpoint, 200, Verdict::Succeeded).await,
        0,
        "nothing moves"
    );
    assert_eq!(lines(&bench, endpoint, "?blocked=true").await.len(), 3);
    let status = bench.get(&format!("app/acme/endpoint/{endpoint}/status")).await;
    assert_eq!(status.body["backlog"]["blockedLines"], 3);
    assert!(
        status.text("waitsFor").contains("3 lines wait for a person"),
        "{status:?}"
    );

    let skipped = bench.post(&path("skip"), json!({ "key": "a" })).await;
    assert_eq!((skipped.status, &skipped.body), (202, &json!({ "changed": 1 })));
    let unblocked = bench.post(&path("unblock"), json!({ "key": "b" })).await;
    assert_eq!(unblocked.body, json!({ "changed": 1 }));
    assert_eq!(bench.attempt(endpoint, 200, Verdict::Succeeded).await, 2);
    let all = lines(&bench, endpoint, "").await;
    assert_eq!(
        (&all[0]["succeeded"], &all[0]["waiting"]),
        (&json!(2), &json!(0)),
        "a went on without 1"
    );
    assert_eq!(
        (&all[1]["succeeded"], &all[1]["waiting"]),
        (&json!(1), &json!(1)),
        "b has 1 at last"
    );
    assert_eq!(all[2]["head"]["blocked"], true);

    let discarded = bench.post(&path("discard"), json!({})).await;
    assert_eq!(discarded.status, 202);
    assert!(discarded.body["changed"].as_u64().unwrap() >= 3, "{:?}", discarded.body);
    assert!(
        lines(&bench, endpoint, "")
            .await
            .iter()
            .all(|line| line["waiting"] == 0)
    );
    let again = bench.post(&path("skip"), json!({})).await;
    assert_eq!(again.body, json!({ "changed": 0 }));
}

#[tokio::test]
async fn lines_are_tended_by_those_who_may_and_named_by_keys_that_can_be() {
    let (bench, endpoint) = ordered().await;
    let acme = bench.state.directory.app(bench.environment, "acme").unwrap().id;
    let (owner, reader, publisher) = (
        bench.token(Scope::App, Some(acme)).await,
        bench.token(Scope::Read, None).await,
        bench.token(Scope::Publish, None).await,
    );
    let listed = format!("app/acme/endpoint/{endpoint}/sequence");
    let skip = format!("{listed}/skip");
    for (token, list, tend) in [(&owner, 200, 202), (&reader, 200, 403), (&publisher, 403, 403)] {
        assert_eq!(bench.ask_as(token, "GET", &listed, None).await.status, list);
        assert_eq!(bench.ask_as(token, "POST", &skip, Some(json!({}))).await.status, tend);
    }
    for (body, says) in [
        (json!({ "key": "x".repeat(257) }), "256 bytes"),
        (json!({ "keys": ["a"] }), "key"),
        (json!({ "key": 7 }), "string"),
    ] {
        let refused = bench.post(&skip, body).await;
        assert!(
            refused.status == 422 && refused.body.to_string().contains(says),
            "{refused:?}"
        );
    }
    assert_eq!(
        bench
            .post("app/acme/endpoint/nobody/sequence/skip", json!({}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn pausing_and_resuming_are_one_request_and_asking_twice_is_no_mistake() {
    let (bench, endpoint) = ordered().await;
    let path = |what: &str| format!("app/acme/endpoint/{endpoint}/{what}");
    for (what, paused) in [("pause", true), ("pause", true), ("resume", false), ("resume", false)] {
        let done = bench.post(&path(what), json!({})).await;
        assert_eq!((done.status, &done.body), (204, &Value::Null));
        assert_eq!(
            bench.get(&format!("app/acme/endpoint/{endpoint}")).await.body["paused"],
            paused
        );
    }
    bench.post(&path("pause"), json!({})).await;
    let status = bench.get(&path("status")).await.body;
    assert_eq!(
        (&status["state"], &status["waitsFor"]),
        (&json!("paused"), &json!("somebody to resume it"))
    );
    let message = of_key(&bench, "a").await;
    let why = explained(&bench, &message, endpoint).await;
    assert_eq!(why["reason"], "paused");
    assert!(why["advice"].as_str().unwrap().contains("resume"), "{why}");
    assert_eq!(
        bench.post("app/acme/endpoint/nobody/pause", json!({})).await.status,
        404
    );
}

#[tokio::test]
async fn the_status_shows_what_the_lane_says_and_what_waits() {
    let (bench, endpoint) = ordered().await;
    of_key(&bench, "a").await;
    let probe = NOON.plus(Duration::from_secs(60));
    let entry = bench.state.directory.endpoint_by_id(endpoint).unwrap();
    entry.lane.tell(Some(LaneStatus {
        state: LaneState::Parked,
        waits_for: WaitsFor::ProbeAt(probe),
        in_memory: 4,
        oldest_due: Some(NOON.minus(Duration::from_secs(90))),
        limit: Some(LimitStatus {
            now: 1,
            min: 1,
            max: 32,
        }),
        breaker: BreakerState::Open,
        failures_in_a_row: 120,
        next_probe: Some(probe),
        rate: 0.0,
        rate_learned: Some(12.5),
        rate_limit: None,
        failed_lately: 120,
        latency: Some(Duration::from_micros(2_500)),
        ..LaneStatus::default()
    }));
    let status = bench.get(&format!("app/acme/endpoint/{endpoint}/status")).await.body;
    assert_eq!(status["state"], "parked");
    assert_eq!(
        status["breaker"],
        json!({ "state": "open", "failuresInARow": 120, "nextProbe": probe.to_string() })
    );
    assert_eq!(status["limit"], json!({ "now": 1, "min": 1, "max": 32 }));
    assert_eq!(status["rate"], json!({ "now": 0.0, "learned": 12.5, "limit": null }));
    assert_eq!(status["attempts"], json!({ "succeeded": 0, "failed": 120 }));
    assert_eq!((&status["inMemory"], &status["latencyMs"]), (&json!(4), &json!(2.5)));
    assert_eq!(
        (&status["backlog"]["waiting"], &status["backlog"]["oldestAgeSeconds"]),
        (&json!(1), &json!(91))
    );
    assert!(
        status["waitsFor"].as_str().unwrap().contains(&probe.to_string()),
        "{status}"
    );
}

#[tokio::test]
async fn who_waits_in_line_is_told_behind_whom_and_who_blocks_what_to_do() {
    let (bench, endpoint) = ordered().await;
    let first = of_key(&bench, "a").await;
    let second = of_key(&bench, "a").await;
    let why = explained(&bench, &second, endpoint).await;
    assert_eq!(
        (&why["reason"], &why["sequence"], &why["nextAttempt"]),
        (&json!("in_line"), &json!(2), &Value::Null)
    );
    assert_eq!(
        (&why["waitsBehind"]["msgId"], &why["waitsBehind"]["sequence"]),
        (&json!(first), &json!(1))
    );
    let why = explained(&bench, &first, endpoint).await;
    assert_eq!((&why["reason"], &why["waitsBehind"]), (&json!("waiting"), &Value::Null));

    bench.attempt(endpoint, 500, Verdict::Blocked).await;
    let why = explained(&bench, &second, endpoint).await;
    assert_eq!(
        (&why["reason"], &why["waitsBehind"]["blocked"]),
        (&json!("line_blocked"), &json!(true))
    );
    let why = explained(&bench, &first, endpoint).await;
    assert_eq!((&why["reason"], &why["status"]), (&json!("line_blocked"), &json!(2)));
    assert!(why["advice"].as_str().unwrap().contains("unblock"), "{why}");

    // Of an application that asks about all endpoints, the same.
    let all = bench.get(&format!("app/acme/msg/{second}/explain")).await;
    assert_eq!(all.column("reason"), [json!("line_blocked")]);
    bench
        .post(&format!("app/acme/endpoint/{endpoint}/sequence/skip"), json!({}))
        .await;
    assert_eq!(explained(&bench, &first, endpoint).await["reason"], "exhausted");
    assert_eq!(explained(&bench, &second, endpoint).await["reason"], "waiting");
}

#[tokio::test]
async fn a_parked_lane_explains_what_is_due() {
    let (bench, endpoint) = ordered().await;
    let message = bench.publish("acme", json!({})).await;
    let entry = bench.state.directory.endpoint_by_id(endpoint).unwrap();
    entry.lane.tell(Some(LaneStatus {
        state: LaneState::Parked,
        waits_for: WaitsFor::ProbeAnswer,
        failures_in_a_row: 100,
        ..LaneStatus::default()
    }));
    let why = explained(&bench, &message, endpoint).await;
    assert_eq!(why["reason"], "parked");
    assert!(why["summary"].as_str().unwrap().contains("100 times"), "{why}");
}

#[tokio::test]
async fn attempts_at_a_deleted_endpoint_are_listed_for_its_application_only() {
    let (bench, endpoint) = ordered().await;
    bench.app("other").await;
    of_key(&bench, "a").await;
    bench.attempt(endpoint, 200, Verdict::Succeeded).await;
    let path = |app: &str| format!("app/{app}/attempt/endpoint/{endpoint}");
    assert_eq!(bench.get(&path("other")).await.status, 404, "theirs while it is there");
    assert_eq!(bench.delete(&format!("app/acme/endpoint/{endpoint}")).await.status, 204);
    let listed = bench.get(&path("acme")).await;
    assert_eq!(
        (listed.status, listed.column("endpointId")),
        (200, vec![json!(endpoint)])
    );
    let none = bench.get(&format!("{}?status=2", path("acme"))).await;
    assert_eq!(
        (none.status, none.column("id").len()),
        (200, 0),
        "none of that kind, but it was there"
    );
    assert_eq!(bench.get(&path("other")).await.status, 404);
    let never = EndpointId::from_number(77);
    assert_eq!(
        bench.get(&format!("app/acme/attempt/endpoint/{never}")).await.status,
        404
    );
    assert_eq!(bench.get("app/acme/attempt/endpoint/nobody").await.status, 404);
}
