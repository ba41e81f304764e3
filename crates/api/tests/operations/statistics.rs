//! Numbers about applications.

use bellwire_store::Verdict;
use serde_json::{Value, json};

use crate::bench::{ADMIN, Bench, NOON};

#[tokio::test]
async fn attempts_are_counted_per_period() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let endpoint = bench.endpoint("acme", json!({})).await;
    for (event_type, status_code) in [("a", 200), ("a", 500), ("b", 200)] {
        bench.publish("acme", json!({ "eventType": event_type })).await;
        let verdict = if status_code == 200 {
            Verdict::Succeeded
        } else {
            Verdict::Failed
        };
        bench.attempt(endpoint, status_code, verdict).await;
    }
    let sums = async |query: &str| {
        let stats = bench.get(&format!("stats/app/acme/attempt?{query}")).await;
        assert_eq!(stats.status, 200, "{stats:?}");
        let sum = |name: &str| -> u64 {
            stats.body["data"][name]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_u64)
                .sum()
        };
        (sum("successCount"), sum("failureCount"), sum("canceledCount"))
    };
    assert_eq!(sums("").await, (2, 1, 0));
    assert_eq!(sums("event_types=b").await, (1, 0, 0));
    assert_eq!(sums("endDate=2025-12-17T00:00:00Z").await, (0, 0, 0));
    let daily = bench
        .get("stats/app/acme/attempt?period=OneDay&startDate=2025-12-17T05:00:00Z")
        .await;
    assert_eq!(daily.body["data"]["successCount"], json!([0, 2]));
    assert_eq!(
        (daily.text("period"), daily.text("startDate")),
        ("OneDay".into(), "2025-12-17T00:00:00.000000Z".into())
    );
    let endless = bench
        .get("stats/app/acme/attempt?period=FiveMinutes&startDate=2020-01-01T00:00:00Z")
        .await;
    assert_eq!(endless.status, 422);
    assert_eq!(bench.get("stats/app/nobody/attempt").await.status, 404);
}

#[tokio::test]
async fn applications_with_an_enabled_endpoint_are_active() {
    let bench = Bench::new().await;
    for uid in ["on", "off", "none"] {
        bench.app(uid).await;
    }
    bench.endpoint("on", json!({})).await;
    bench.endpoint("off", json!({ "disabled": true })).await;
    assert_eq!(bench.get("app/stats/count-active").await.body, json!({ "count": 1 }));
    assert_eq!(
        bench.get("app/stats/count-active?exclude_disabled=false").await.body,
        json!({ "count": 2 })
    );
}

#[tokio::test]
async fn usage_is_a_task_that_is_finished_already() {
    let bench = Bench::new().await;
    let acme = bench.app("acme").await;
    let idle = bench.app("idle").await;
    for _ in 0..2 {
        bench.endpoint("acme", json!({})).await;
    }
    bench.publish("acme", json!({})).await;
    let asked =
        json!({ "since": NOON.to_string(), "until": "2025-12-19T00:00:00Z", "appIds": ["acme", idle, "nobody"] });
    let answer = bench.post("stats/usage/app", asked).await;
    assert_eq!(
        (answer.status, answer.text("status"), answer.text("task")),
        (202, "finished".into(), "application.stats".into())
    );
    assert_eq!(answer.body["unresolvedAppIds"], json!(["nobody"]));
    let task = bench.get(&format!("background-task/{}", answer.text("id"))).await.body;
    let expected = json!({ "appStats": [
        { "appId": acme, "appUid": "acme", "messageDestinations": 2 },
        { "appId": idle, "appUid": "idle", "messageDestinations": 0 },
    ] });
    assert_eq!((&task["status"], &task["data"]), (&json!("finished"), &expected));
    let all = bench
        .post(
            "stats/usage/app",
            json!({ "since": NOON.to_string(), "until": "2025-12-19T00:00:00Z" }),
        )
        .await;
    assert_eq!(all.body["unresolvedAppIds"], json!([]));
    let reversed = json!({ "since": "2025-12-19T00:00:00Z", "until": NOON.to_string() });
    assert_eq!(bench.post("stats/usage/app", reversed).await.status, 422);
}

#[tokio::test]
async fn subscriptions_are_aggregated_without_a_body() {
    let bench = Bench::new().await;
    let acme = bench.app("acme").await;
    bench.endpoint("acme", json!({ "eventTypes": ["b", "a"] })).await;
    bench.endpoint("acme", json!({})).await;
    let answer = bench.ask_as(ADMIN, "PUT", "stats/usage/event-types", None).await;
    assert_eq!(
        (answer.status, answer.text("task")),
        (202, "event-type.aggregate".into())
    );
    let task = bench.get(&format!("background-task/{}", answer.text("id"))).await.body;
    let row = json!({ "appId": acme, "explicitlySubscribedEventTypes": ["a", "b"], "hasCatchAllEndpoint": true });
    assert_eq!(task["data"], json!({ "event_types": [row] }));
}
