//! Recover, replay missing, bulk replay; their dry runs; and background tasks.

use bellwire_core::{
    id::EndpointId,
    task::{Job, ReplayState, ReplayWhich, TaskStatus},
    token::Scope,
};
use bellwire_store::Verdict;
use serde_json::{Value, json};

use crate::bench::{Bench, NOON};

/// An application `acme` whose endpoint `hook` failed for `a.one` and succeeded for `a.two`, and a later endpoint `new` that
/// got neither.
async fn bench() -> (Bench, EndpointId, EndpointId) {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let hook = bench.endpoint("acme", json!({ "uid": "hook" })).await;
    bench
        .publish("acme", json!({ "eventType": "a.one", "tags": ["t"] }))
        .await;
    bench.attempt(hook, 500, Verdict::Failed).await;
    bench
        .publish("acme", json!({ "eventType": "a.two", "channels": ["c"] }))
        .await;
    bench.attempt(hook, 200, Verdict::Succeeded).await;
    let new = bench.endpoint("acme", json!({ "uid": "new" })).await;
    (bench, hook, new)
}

fn since() -> Value {
    json!({ "since": NOON.to_string() })
}

fn and(body: Value) -> Value {
    let mut all = since();
    all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    all
}

#[tokio::test]
async fn recovering_is_written_down_and_its_task_tells_how_far_it_has_come() {
    let (bench, hook, _) = bench().await;
    let started = bench.post("app/acme/endpoint/hook/recover", since()).await;
    assert_eq!(started.status, 202, "{started:?}");
    assert_eq!(
        (&started.body["status"], &started.body["task"]),
        (&json!("running"), &json!("endpoint.recover"))
    );
    let at = format!("background-task/{}", started.text("id"));
    assert_eq!(bench.get(&at).await.body["status"], json!("running"));
    let job = bench.job(&started.text("id")).await;
    assert!(matches!(job, Job::Replay { endpoint, which: ReplayWhich::Failed, since: NOON, .. } if endpoint == hook));
    bench.progress(&started.text("id"), TaskStatus::Finished, 2, 1).await;
    let finished = bench.get(&at).await.body;
    assert_eq!(finished["status"], json!("finished"));
    assert_eq!(
        (&finished["data"]["messagesSent"], &finished["data"]["messagesSeen"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_replay_wakes_the_runner() {
    let (bench, _, new) = bench().await;
    let started = bench.post("app/acme/endpoint/new/replay-missing", since()).await;
    assert_eq!(
        (started.status, started.text("task")),
        (202, "endpoint.replay".to_owned())
    );
    let job = bench.job(&started.text("id")).await;
    assert!(matches!(job, Job::Replay { endpoint, which: ReplayWhich::Missing, .. } if endpoint == new));
    // Answers at once only because somebody notified.
    bench.state.tasks_wake.notified().await;
}

#[tokio::test]
async fn a_dry_run_counts_what_the_replay_would_send_and_starts_nothing() {
    let (bench, hook, _) = bench().await;
    let count = async |operation: &str, body: Value| {
        let answer = bench.post(&format!("app/acme/endpoint/{operation}"), and(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["done"], json!(true));
        answer.body["count"].as_u64().unwrap()
    };
    let dry = json!({ "dryRun": true });
    assert_eq!(count("hook/recover", dry.clone()).await, 1);
    assert_eq!(count("hook/replay-missing", dry.clone()).await, 0);
    assert_eq!(count("new/replay-missing", dry.clone()).await, 2);
    assert_eq!(count("hook/bulk-replay", dry.clone()).await, 2);
    for (condition, expected) in [
        (json!({ "status": 0 }), 1),
        (json!({ "status": 2 }), 1),
        (json!({ "status": 1 }), 0),
        (json!({ "statusCodeClass": 500 }), 1),
        (json!({ "eventTypes": ["a.*"] }), 2),
        (json!({ "eventTypes": ["a.two"] }), 1),
        (json!({ "channel": "c" }), 1),
        (json!({ "tag": "t" }), 1),
        (json!({ "tag": "t", "channel": "c" }), 0),
        (json!({ "until": NOON.to_string() }), 0),
    ] {
        let mut body = condition.clone();
        body["dryRun"] = json!(true);
        assert_eq!(count("hook/bulk-replay", body).await, expected, "{condition}");
    }
    assert_eq!(bench.get("background-task").await.column("id").len(), 0);
    assert_eq!(bench.attempt(hook, 200, Verdict::Succeeded).await, 0);
}

#[tokio::test]
async fn a_bulk_replay_takes_its_conditions_along() {
    let (bench, ..) = bench().await;
    let conditions =
        json!({ "eventTypes": ["b", "a.*"], "status": 4, "statusCodeClass": 0, "channel": "c", "tag": "t" });
    let started = bench.post("app/acme/endpoint/hook/bulk-replay", and(conditions)).await;
    assert_eq!(
        (started.status, started.text("task")),
        (202, "endpoint.bulk-replay".to_owned())
    );
    let Job::Replay { which, .. } = bench.job(&started.text("id")).await else {
        panic!("not a replay")
    };
    let expected = ReplayWhich::Matching {
        event_types: Some(vec!["a.*".to_owned(), "b".to_owned()]),
        channel: Some("c".to_owned()),
        tag: Some("t".to_owned()),
        state: Some(ReplayState::Cancelled),
        status_class: Some(0),
        reason: None,
    };
    assert_eq!(which, expected);
}

#[tokio::test]
async fn impossible_replays_are_refused() {
    let (bench, ..) = bench().await;
    let refused = async |body: Value| bench.post("app/acme/endpoint/hook/recover", body).await;
    for body in [
        json!({}),
        json!({ "since": "yesterday" }),
        json!({ "since": NOON.to_string(), "until": "2020-01-01T00:00:00Z" }),
        json!({ "since": NOON.to_string(), "sinse": 1 }),
    ] {
        let answer = refused(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.body["detail"][0]["loc"].is_array());
    }
    bench.patch("app/acme/endpoint/hook", json!({ "disabled": true })).await;
    let disabled = refused(since()).await;
    assert_eq!(
        (disabled.status, disabled.text("code")),
        (409, "endpoint_disabled".to_owned())
    );
    assert_eq!(
        bench.post("app/acme/endpoint/nobody/recover", since()).await.status,
        404
    );
}

#[tokio::test]
async fn a_cancelled_task_is_shown_as_failed() {
    let (bench, ..) = bench().await;
    let task = bench.post("app/acme/endpoint/hook/recover", since()).await.text("id");
    let at = format!("background-task/{task}");
    assert_eq!(bench.delete(&at).await.status, 204);
    let shown = bench.get(&at).await.body;
    assert_eq!(
        (&shown["status"], &shown["data"]["cancelled"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(bench.delete(&at).await.status, 204, "twice is as good as once");
    let ended = bench.post("app/acme/endpoint/hook/recover", since()).await.text("id");
    bench.progress(&ended, TaskStatus::Finished, 1, 1).await;
    assert_eq!(bench.delete(&format!("background-task/{ended}")).await.status, 204);
    assert_eq!(
        bench.get(&format!("background-task/{ended}")).await.body["status"],
        json!("finished")
    );
    assert_eq!(bench.delete("background-task/qtask_1").await.status, 404);
}

#[tokio::test]
async fn tasks_are_listed_by_status_and_kind_and_paged() {
    let (bench, ..) = bench().await;
    let mut started = Vec::new();
    for operation in ["hook/recover", "new/replay-missing", "hook/recover"] {
        started.push(
            bench
                .post(&format!("app/acme/endpoint/{operation}"), since())
                .await
                .body["id"]
                .clone(),
        );
    }
    bench
        .delete(&format!("background-task/{}", started[0].as_str().unwrap()))
        .await;
    let listed = async |query: &str| {
        let list = bench.get(&format!("background-task?{query}")).await;
        assert_eq!(list.status, 200, "{list:?}");
        list.column("id")
    };
    let (a, b, c) = (started[0].clone(), started[1].clone(), started[2].clone());
    assert_eq!(listed("").await, [c.clone(), b.clone(), a.clone()]);
    assert_eq!(listed("order=ascending").await, [a.clone(), b.clone(), c.clone()]);
    assert_eq!(listed("status=failed").await, std::slice::from_ref(&a));
    assert_eq!(listed("status=running").await, [c.clone(), b.clone()]);
    assert_eq!(listed("task=endpoint.recover").await, [c.clone(), a.clone()]);
    assert_eq!(
        listed("task=endpoint.recover&status=running").await,
        std::slice::from_ref(&c)
    );
    assert_eq!(bench.get("background-task?status=cancelled").await.status, 422);
    let first = bench.get("background-task?limit=1&task=endpoint.recover").await;
    assert_eq!(
        (first.column("id"), &first.body["done"]),
        (vec![c.clone()], &json!(false))
    );
    let next = format!(
        "background-task?limit=1&task=endpoint.recover&iterator={}",
        first.text("iterator")
    );
    let second = bench.get(&next).await;
    assert_eq!((second.column("id"), &second.body["done"]), (vec![a], &json!(true)));
    let back = format!(
        "background-task?limit=1&task=endpoint.recover&iterator={}",
        second.text("prevIterator")
    );
    assert_eq!(bench.get(&back).await.column("id"), [c]);
}

#[tokio::test]
async fn the_token_of_an_application_sees_its_own_tasks_only() {
    let (bench, ..) = bench().await;
    let own = bench.get("app/acme").await.text("id").parse().unwrap();
    let other = bench.app("other").await;
    let task = bench.post("app/acme/endpoint/hook/recover", since()).await.text("id");
    let at = format!("background-task/{task}");
    let (own, other) = (
        bench.token(Scope::App, Some(own)).await,
        bench.token(Scope::App, Some(other)).await,
    );
    assert_eq!(bench.ask_as(&own, "GET", &at, None).await.status, 200);
    assert_eq!(bench.ask_as(&other, "GET", &at, None).await.status, 404);
    assert_eq!(bench.ask_as(&other, "DELETE", &at, None).await.status, 404);
    assert_eq!(
        bench
            .ask_as(&other, "GET", "background-task", None)
            .await
            .column("id")
            .len(),
        0
    );
    assert_eq!(
        bench
            .ask_as(&own, "GET", "background-task", None)
            .await
            .column("id")
            .len(),
        1
    );
}

#[tokio::test]
async fn an_erasure_is_shown_and_cannot_be_stopped() {
    let (bench, ..) = bench().await;
    bench.delete("app/acme").await;
    let list = bench.get("background-task?task=application.purge_content").await;
    let id = list.column("id")[0].as_str().unwrap().to_owned();
    assert_eq!(bench.delete(&format!("background-task/{id}")).await.status, 422);
    bench.progress(&id, TaskStatus::Finished, 2, 2).await;
    let erased = bench.get(&format!("background-task/{id}")).await.body;
    assert_eq!(
        (&erased["status"], &erased["data"]["messagesRemoved"]),
        (&json!("finished"), &json!(2))
    );
}
