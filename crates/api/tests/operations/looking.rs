//! Search, problems, series, the audit log, backtests, the signature doctor and impact: what the pages are made of.

use bellwire_core::{
    id::EndpointId,
    task::{Job, ReplayWhich},
    token::Scope,
};
use bellwire_store::Verdict;
use serde_json::{Value, json};

use crate::bench::{ADMIN, Bench, NOON};

/// An application `acme` with the endpoint `hook`, which answered 200 to the first message and 503 to the second, and an
/// application `other` with a message of its own.
struct Found {
    bench: Bench,
    hook: EndpointId,
    /// Succeeded; its event id is `order-17`.
    first: String,
    /// Failed.
    second: String,
    /// Of the other application.
    theirs: String,
}

async fn found() -> Found {
    let bench = Bench::new().await;
    bench.app("acme").await;
    bench.app("other").await;
    let hook = bench
        .endpoint("acme", json!({ "uid": "hook", "url": "https://hooks.example.com/in" }))
        .await;
    let first = json!({ "eventId": "order-17", "payload": { "order": "A-17" } });
    let first = bench.publish("acme", first).await;
    bench.attempt(hook, 200, Verdict::Succeeded).await;
    let second = json!({ "eventType": "user.made", "payload": { "amount": 5 } });
    let second = bench.publish("acme", second).await;
    bench.attempt(hook, 503, Verdict::Failed).await;
    let theirs = bench.publish("other", json!({ "payload": { "order": "A-17" } })).await;
    Found {
        bench,
        hook,
        first,
        second,
        theirs,
    }
}

fn messages(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap().iter();
    let ids = hits.filter_map(|hit| hit["message"]["id"].as_str());
    ids.map(str::to_owned).collect()
}

fn kinds(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn ids_names_urls_statuses_and_times_are_found() {
    let Found {
        bench,
        hook,
        first,
        second,
        ..
    } = found().await;
    let search = async |query: &str| {
        let answer = bench.get(&format!("search?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let by_id = search(&format!("q={first}")).await;
    assert_eq!(messages(&by_id), std::slice::from_ref(&first));
    assert_eq!(
        (&by_id["understood"][0]["as"], &by_id["done"]),
        (&json!("message_id"), &json!(true))
    );
    let by_event_id = search("q=order-17").await;
    assert_eq!(messages(&by_event_id), std::slice::from_ref(&first));
    assert_eq!(by_event_id["hits"][0]["where"][0]["in"], json!("event_id"));
    assert_eq!(kinds(&search(&format!("q={hook}")).await), ["endpoint"]);
    let by_url = search("q=hooks.example.com").await;
    assert_eq!(by_url["hits"][0]["where"][0]["in"], json!("url"));
    let by_status = search("q=503").await;
    assert_eq!(by_status["hits"][0]["attempt"]["msgId"], json!(second));
    let filtered = search("status=5xx&app=acme").await;
    assert_eq!(kinds(&filtered), ["attempt"]);
    let attempt = filtered["hits"][0]["attempt"]["id"].as_str().unwrap();
    assert_eq!(kinds(&search(&format!("q={attempt}")).await), ["attempt"]);
    let at = NOON.to_string();
    assert!(messages(&search(&format!("q={}&app=acme", &at[..16])).await).contains(&first));
    assert_eq!(messages(&search("app=acme&event_types=user.made").await), [second]);
    assert_eq!(bench.get("search?q=x&limit=101").await.status, 422);
    assert_eq!(bench.get("search?status=abc").await.status, 422);
    assert_eq!(bench.get("search?q=x&iterator=nonsense").await.status, 422);
}

#[tokio::test]
async fn a_text_is_found_in_payloads_and_answers_and_said_where() {
    let Found {
        bench, first, theirs, ..
    } = found().await;
    let found = bench.get("search?q=A-17").await.body;
    assert_eq!(messages(&found), [theirs, first.clone()]);
    let place = &found["hits"][1]["where"][0];
    assert_eq!(place["in"], json!("payload"));
    let (from, to) = (
        place["from"].as_u64().unwrap() as usize,
        place["to"].as_u64().unwrap() as usize,
    );
    assert_eq!(&place["excerpt"].as_str().unwrap()[from..to], "A-17");
    assert_eq!(
        (&found["looked"]["messages"], &found["looked"]["complete"]),
        (&json!(3), &json!(true))
    );
    let answered = bench.get("search?q=answer%20200").await.body;
    assert_eq!(messages(&answered), [first]);
    assert_eq!(answered["hits"][0]["where"][0]["in"], json!("answer"));
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.publish("acme", json!({ "payload": { "needle": 1 } })).await);
    }
    ids.reverse();
    let mut walked = Vec::new();
    let mut next = String::new();
    loop {
        let page = bench.get(&format!("search?q=needle&limit=2{next}")).await.body;
        walked.extend(messages(&page));
        if page["done"] == json!(true) {
            break;
        }
        next = format!("&iterator={}", page["iterator"].as_str().unwrap());
    }
    assert_eq!(walked, ids);
}

#[tokio::test]
async fn an_applications_token_finds_its_own_only() {
    let Found {
        bench,
        hook,
        first,
        theirs,
        ..
    } = found().await;
    let other = bench.state.directory.app(bench.environment, "other").unwrap().id;
    let token = bench.token(Scope::App, Some(other)).await;
    let ask = async |path: &str| bench.ask_as(&token, "GET", path, None).await;
    for query in [&first, "order-17", &hook.to_string(), "503", "acme"] {
        let answer = ask(&format!("search?q={query}")).await.body;
        assert!(answer["hits"].as_array().unwrap().is_empty(), "{query}: {answer}");
    }
    assert_eq!(messages(&ask("search?q=A-17").await.body), [theirs]);
    assert_eq!(ask("search?q=x&app=acme").await.status, 404);
    assert_eq!(ask(&format!("search?q=x&endpoint={hook}")).await.status, 404);
    assert_eq!(ask("problems?app=acme").await.status, 404);
    assert_eq!(ask("problems").await.body["data"], json!([]));
    assert_eq!(ask("stats/series").await.body["total"]["attempts"], json!(0));
    assert_eq!(ask("audit").await.status, 403);
}

#[tokio::test]
async fn problems_say_where_why_and_what_to_do_and_are_retried_by_their_reason() {
    let Found { bench, hook, .. } = found().await;
    let problems = bench.get("problems").await;
    assert_eq!(problems.status, 200, "{problems:?}");
    let data = problems.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 1);
    let one = &data[0];
    assert_eq!(
        (
            &one["endpointId"],
            &one["reason"],
            &one["attempts"],
            &one["givenUp"],
            &one["exact"]
        ),
        (&json!(hook), &json!("status_500"), &json!(1), &json!(1), &json!(true))
    );
    assert_eq!(one["example"]["responseStatusCode"], json!(503));
    assert_eq!(
        bench.get("problems?reason=timeout_headers").await.body["data"],
        json!([])
    );
    let at = "app/acme/endpoint/hook/recover";
    let by = |reason: &str, dry: bool| json!({ "since": NOON.to_string(), "failure": reason, "dryRun": dry });
    assert_eq!(bench.post(at, by("status_500", true)).await.body["count"], json!(1));
    assert_eq!(
        bench.post(at, by("timeout_headers", true)).await.body["count"],
        json!(0)
    );
    let started = bench.post(at, by("status_500", false)).await;
    assert_eq!(
        (started.status, &started.body["task"]),
        (202, &json!("endpoint.recover"))
    );
    let job = bench.job(&started.text("id")).await;
    assert!(
        matches!(&job, Job::Replay { which: ReplayWhich::FailedBy { reason }, .. } if reason == "status_500"),
        "{job:?}"
    );
}

#[tokio::test]
async fn a_series_has_every_point_and_says_whose_fault_it_is() {
    let Found { bench, hook, .. } = found().await;
    let series = bench.get(&format!("stats/series?endpoint={hook}&points=4")).await;
    assert_eq!(series.status, 200, "{series:?}");
    let body = series.body;
    assert_eq!(body["points"].as_array().unwrap().len(), 4);
    let total = &body["total"];
    assert_eq!(
        (
            &total["attempts"],
            &total["failed"],
            &total["successRate"],
            &body["exact"]
        ),
        (&json!(2), &json!(1), &json!(0.5), &json!(true))
    );
    assert_eq!(total["answerMs"]["p95"], json!(20.0));
    assert_eq!(
        body["slowness"]["because"],
        json!("us"),
        "a second passes before each first attempt"
    );
    assert_eq!(bench.get("stats/series?endpoint=hook").await.status, 422);
    assert_eq!(bench.get("stats/series?app=acme&endpoint=hook").await.status, 200);
    assert_eq!(bench.get("stats/series?app=nobody").await.status, 404);
}

#[tokio::test]
async fn what_people_change_is_written_down_without_secrets() {
    let bench = Bench::new().await;
    let acme = bench.app("acme").await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let headers = json!({ "x-key": "hush-hush" });
    let hook = bench
        .endpoint("acme", json!({ "uid": "hook", "secret": secret, "headers": headers }))
        .await;
    let changed = bench
        .patch("app/acme/endpoint/hook", json!({ "url": "https://example.com/new" }))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(bench.get("app/acme/endpoint/hook/secret").await.status, 200);
    bench.post("app/acme/endpoint/hook/secret/rotate", json!({})).await;
    bench.post("app/acme/endpoint/hook/pause", json!({})).await;
    let log = bench.get(&format!("audit?about={hook}")).await;
    assert_eq!(log.status, 200, "{log:?}");
    let operations: Vec<_> = log.column("operation");
    assert_eq!(
        operations,
        [
            "pause_endpoint",
            "v1.endpoint.rotate-secret",
            "v1.endpoint.get-secret",
            "patch_endpoint",
            "v1.endpoint.create"
        ]
    );
    let text = log.body.to_string();
    assert!(!text.contains(&secret[6..]) && !text.contains("hush-hush"), "{text}");
    let row = |at: usize| &log.body["data"][at];
    assert_eq!(
        row(3)["changes"],
        json!([{ "about": hook, "member": "url", "before": "https://example.com/hook", "after": "https://example.com/new" }])
    );
    assert_eq!(row(2)["changes"], json!([]));
    assert_eq!(
        (&row(1)["changes"][0]["member"], &row(1)["changes"][0]["after"]),
        (&json!("signing_keys"), &json!("(hidden)"))
    );
    assert_eq!(
        (&row(0)["actor"]["kind"], &row(0)["appId"], &row(0)["at"]),
        (&json!("operator"), &json!(acme), &json!(NOON.to_string()))
    );
    // Who had a token is named by it.
    let token = bench.token(Scope::Admin, None).await;
    bench
        .ask_as(&token, "POST", "app", Some(json!({ "name": "b", "uid": "b" })))
        .await;
    let newest = bench.get("audit?limit=1").await;
    assert_eq!(newest.body["data"][0]["actor"]["name"], json!("test"));
    let by_operator = bench.get("audit?token=operator&operation=v1.application.create").await;
    assert_eq!(by_operator.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(bench.get("audit?token=nonsense").await.status, 422);
}

#[tokio::test]
async fn what_changes_nothing_and_what_is_refused_is_not_written_down() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    bench.endpoint("acme", json!({ "uid": "hook" })).await;
    let count = async || bench.get("audit").await.body["data"].as_array().unwrap().len();
    let before = count().await;
    bench.patch("app/acme/endpoint/hook", json!({})).await;
    let clash = bench.post("app", json!({ "name": "again", "uid": "acme" })).await;
    assert_eq!(clash.status, 409);
    bench.publish("acme", json!({})).await;
    assert_eq!(count().await, before);
}

#[tokio::test]
async fn a_backtest_says_what_a_change_would_have_done_and_changes_nothing() {
    let bench = Bench::new().await;
    bench.app("acme").await;
    bench.endpoint("acme", json!({ "uid": "hook" })).await;
    let mut ids = Vec::new();
    for amount in [50, 150, 250] {
        ids.push(bench.publish("acme", json!({ "payload": { "amount": amount } })).await);
    }
    let at = "app/acme/endpoint/hook/backtest";
    let filter = json!({ "change": { "filter": "amount > 100" } });
    let tried = bench.post(at, filter).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    let body = &tried.body;
    assert_eq!(
        (
            &body["seen"],
            &body["matchedBefore"],
            &body["matchedAfter"],
            &body["lost"]
        ),
        (&json!(3), &json!(3), &json!(2), &json!(1))
    );
    assert_eq!(body["rows"][0]["msgId"], json!(ids[0]));
    assert!(
        body["rows"][0]["because"].as_str().unwrap().contains("amount is 50"),
        "{body}"
    );
    let template = json!({ "change": { "transformation": r#"{"n": {{ amount }}}"# }, "bodies": 1 });
    let tried = bench.post(at, template).await.body;
    assert_eq!(
        (&tried["bodiesChanged"], &tried["failed"]),
        (&json!(3), &json!(0)),
        "{tried}"
    );
    let first = &tried["rows"][0]["body"];
    assert!(
        first["difference"].as_str().unwrap().contains("+   \"n\": 250"),
        "{first}"
    );
    assert_eq!(tried["rows"][1]["body"], json!(null), "one body was asked for");
    let failing = json!({ "change": { "transformation": r#"{"n": {{ nothing }}}"# }, "last": 2 });
    let tried = bench.post(at, failing).await.body;
    assert_eq!((&tried["seen"], &tried["failed"]), (&json!(2), &json!(2)), "{tried}");
    assert_eq!(bench.get("app/acme/endpoint/hook").await.body["filter"], json!(null));
    assert_eq!(bench.post(at, json!({ "change": { "filter": "(" } })).await.status, 422);
    assert_eq!(bench.post(at, json!({ "change": {}, "last": 1_001 })).await.status, 422);
}

#[tokio::test]
async fn the_signature_doctor_names_what_is_wrong() {
    let bench = Bench::new().await;
    let ask = |secret: &str, body: &str| {
        json!({
            "headers": {
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
                "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            },
            "secrets": [secret], "body": body, "anyAge": true,
        })
    };
    let right = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let valid = bench.post("verify", ask(right, r#"{"test": 2432232314}"#)).await;
    assert_eq!(
        (valid.status, &valid.body["verdict"]),
        (200, &json!("valid")),
        "{valid:?}"
    );
    let rewritten = bench.post("verify", ask(right, r#"{"test":2432232314}"#)).await;
    assert_eq!(rewritten.body["reason"], json!("body-changed"));
    let wrong = bench
        .post(
            "verify",
            ask("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", r#"{"test": 2432232314}"#),
        )
        .await;
    assert_eq!(
        (&wrong.body["verdict"], &wrong.body["reason"]),
        (&json!("invalid"), &json!("mismatch"))
    );
    assert_eq!(bench.post("verify", ask("nonsense", "{}")).await.status, 422);
    let provider = json!({ "headers": { "x-hub-signature-256": "sha256=00" }, "provider": "github", "secrets": ["s"], "body": "{}" });
    assert_eq!(bench.post("verify", provider).await.body["scheme"], json!("github"));
    let source = json!({ "headers": {}, "source": "nobody", "body": "" });
    assert_eq!(bench.post("verify", source).await.status, 404);
}

#[tokio::test]
async fn what_would_break_is_said_before_it_is_done() {
    let Found { bench, hook, .. } = found().await;
    bench.publish("acme", json!({})).await;
    let impact = async |path: &str| {
        let answer = bench.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    };
    let deleted = impact("app/acme/endpoint/hook/impact?verb=delete").await;
    assert_eq!(
        (&deleted["pending"], &deleted["undo"]),
        (&json!(1), &json!(null)),
        "{deleted}"
    );
    assert_eq!(deleted["breaks"][0]["kind"], json!("deliveries"));
    let rotated = impact("app/acme/endpoint/hook/impact?verb=rotate").await;
    assert_eq!(rotated["breaks"][0]["id"], json!(hook));
    let app = impact("app/acme/impact").await;
    assert!(
        app["breaks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == json!(hook)),
        "{app}"
    );
    bench
        .post("event-type", json!({ "name": "a.b", "description": "" }))
        .await;
    assert_eq!(impact("event-type/a.b/impact").await["harmless"], json!(true));
    let token = bench
        .ask_as(ADMIN, "POST", "token", Some(json!({ "name": "ci", "scope": "read" })))
        .await;
    let token = impact(&format!("token/{}/impact", token.text("id"))).await;
    assert_eq!(token["harmless"], json!(false));
    assert_eq!(bench.get("app/acme/endpoint/nobody/impact").await.status, 404);
    assert_eq!(bench.get("app/acme/impact?verb=explode").await.status, 422);
    assert_eq!(
        bench.get("app/acme/endpoint/hook").await.status,
        200,
        "nothing was done"
    );
}
