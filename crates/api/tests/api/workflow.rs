//! Endpoints that want some messages only, or want them otherwise, or do something else with them.

use crate::harness::Api;
use bellwire_store::Change;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/app/acme/endpoint";
const URL: &str = "http://127.0.0.1:9999/hook";

async fn acme() -> Api {
    let api = Api::new().await;
    api.app("acme").await;
    api
}

async fn patch(api: &Api, body: Value) -> Value {
    api.call("PATCH", &format!("{PATH}/e"), body).await.ok(200)
}

#[tokio::test]
async fn filter_and_shape_are_kept_changed_and_cleared() {
    let api = acme().await;
    let wanted = json!({
        "filter": "data.amount > 100", "transformation": "{\"id\": \"{{ id }}\"}", "format": "cloudevents-structured",
        "throttle": {"key": "{{ host }}", "every": "15m"},
    });
    let mut body = wanted.clone();
    body["url"] = json!(URL);
    body["uid"] = json!("e");
    let made = api.post(PATH, body).await.ok(201);
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    assert_eq!((&made["kind"], made.get("action")), (&json!("http"), None));
    // An SDK that does not know them leaves them as they are.
    let replaced = api
        .put(&format!("{PATH}/e"), json!({"url": URL, "uid": "e"}))
        .await
        .ok(200);
    assert_eq!(replaced["filter"], wanted["filter"]);
    let nowhere = api.put(&format!("{PATH}/e"), json!({ "uid": "e" })).await;
    assert_eq!(nowhere.loc(), "body.url");
    let changed = patch(
        &api,
        json!({"filter": "type == \"a\"", "format": "xml", "throttle": {"every": 60}}),
    )
    .await;
    assert_eq!(
        (&changed["filter"], &changed["format"]),
        (&json!("type == \"a\""), &json!("xml"))
    );
    assert_eq!(changed["throttle"], json!({"every": "1m"}));
    assert_eq!(changed["transformation"], wanted["transformation"]);
    let cleared = patch(
        &api,
        json!({"filter": null, "transformation": null, "throttle": null, "format": "json"}),
    )
    .await;
    for name in ["filter", "transformation", "throttle"] {
        assert!(cleared.get(name).is_none(), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_place() {
    let api = acme().await;
    for (body, loc, msg) in [
        (json!({"filter": "amount >"}), "body.filter", "line 1, column"),
        (json!({"filter": ""}), "body.filter", "give null"),
        (json!({"transformation": "{% for %}"}), "body.transformation", "line 1"),
        (json!({"throttle": {"every": "1ms"}}), "body.throttle.every", "1s to 7d"),
        (
            json!({"throttle": {"every": "1m", "key": "{{"}}),
            "body.throttle.key",
            "line 1",
        ),
        (json!({"format": "yaml"}), "body.format", "json"),
        (json!({"kind": "telegraph"}), "body.kind", "there are http, forward"),
        (
            json!({"kind": "run", "action": {"argv": ["/bin/true"]}}),
            "body.kind",
            "only the operator's hooks file",
        ),
        (
            json!({"action": {"url": "https://example.com", "colour": 1}}),
            "body.action",
            "colour",
        ),
        (
            json!({"batch": {"maxMessages": 5}, "format": "xml"}),
            "body.batch",
            "leave out `batch` or `format`",
        ),
    ] {
        let mut whole = body.clone();
        if body.get("action").is_none() {
            whole["url"] = json!(URL);
        }
        let answer = api.post(PATH, whole).await;
        assert!(answer.loc().starts_with(loc), "{body}: {}", answer.json());
        assert!(answer.json().to_string().contains(msg), "{body}: {}", answer.json());
    }
    let answer = api.post(PATH, json!({ "filter": "a" })).await;
    assert_eq!(answer.loc(), "body.url");
    assert!(api.ids(PATH).await.is_empty(), "nothing is left");
}

#[tokio::test]
async fn what_came_from_outside_of_the_hooks_file_is_not_shown() {
    let api = acme().await;
    let action = json!({"url": "http://127.0.0.1:9999/s3cr3t", "json": {"a": ["s3cr3t {{ id }}", "open"]}});
    let made = api.post(PATH, json!({"uid": "e", "action": action})).await.ok(201);
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let mut endpoint = api.state.directory.endpoint_by_id(id).unwrap().endpoint.clone();
    endpoint.url = "http://127.0.0.1:9999/${KEY}".to_owned();
    endpoint.action.hidden = ["/url".to_owned(), "/json/a/0".to_owned()].into();
    let changes = vec![Change::PutEndpoint(Box::new(endpoint))];
    api.state.directory.commit(changes, None).await.unwrap();
    let shown = api.get(&format!("{PATH}/e")).await.ok(200);
    assert!(!shown.to_string().contains("s3cr3t"), "{shown}");
    assert_eq!(shown["action"]["json"]["a"], json!(["[redacted]", "open"]));
}

#[tokio::test]
async fn an_action_has_no_url_of_its_own_and_shows_no_secret() {
    let api = acme().await;
    let action =
        json!({"url": "http://127.0.0.1:9999", "path": "/orders/{{ id }}", "method": "PUT", "bearer": "s3cr3t"});
    let made = api
        .post(PATH, json!({"uid": "e", "kind": "http", "action": action}))
        .await
        .ok(201);
    assert_eq!(made["kind"], "http");
    assert_eq!(
        (&made["action"]["method"], &made["action"]["path"]),
        (&json!("PUT"), &json!("/orders/{{ id }}"))
    );
    assert!(!made.to_string().contains("s3cr3t"), "{made}");
    assert!(made["url"].as_str().is_some_and(|url| !url.is_empty()));
    let again = patch(&api, json!({"description": "x", "url": made["url"]})).await;
    assert_eq!(again["action"], made["action"]);
    let other = api.call("PATCH", &format!("{PATH}/e"), json!({ "url": URL })).await;
    assert_eq!(other.loc(), "body.url");
    let private = json!({"action": {"url": "http://10.0.0.1/"}});
    let refused = api.call("PATCH", &format!("{PATH}/e"), private).await;
    assert_eq!(
        (refused.refused(422).as_str(), refused.loc().as_str()),
        ("url_refused", "body.action.url")
    );
    let plain = patch(&api, json!({"action": null, "url": URL})).await;
    assert_eq!((&plain["url"], plain.get("action")), (&json!(URL), None));
    assert_eq!(
        api.call("PATCH", &format!("{PATH}/e"), json!({"kind": "email"}))
            .await
            .status,
        422,
        "it needs settings"
    );
}

#[tokio::test]
async fn an_action_that_could_never_be_carried_out_is_refused_when_it_is_saved() {
    let api = acme().await;
    let sql = |url: &str| json!({"url": url, "insert": "t", "set": {"a": "b"}});
    let email =
        |smtp: &str| json!({"smtp": smtp, "from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "x"});
    for (kind, action, setting) in [
        ("sql", sql("sqlite:/etc/passwd"), "url"),
        ("sql", sql("postgres://u@/db?host=/run/postgresql"), "url"),
        ("sql", sql("mysql://u:p@169.254.169.254/db"), "url"),
        ("sql", sql("postgres://u:p@db.example.com:22/db"), "url"),
        ("email", email("smtp://169.254.169.254:25"), "smtp"),
        ("email", email("smtp://mail.example.com:25"), "smtp"),
        ("chat", json!({"slack": "https://10.0.0.1/x", "text": "x"}), "slack"),
    ] {
        let refused = api.post(PATH, json!({"kind": kind, "action": action})).await;
        assert_eq!(
            (refused.refused(422), refused.loc()),
            ("url_refused".to_owned(), format!("body.action.{setting}")),
            "{kind}: {action}"
        );
    }
    for (kind, action) in [
        ("sql", sql("postgres://u:p@db.example.com/db")),
        ("email", email("smtps://mail.example.com")),
    ] {
        api.post(PATH, json!({"kind": kind, "action": action})).await.ok(201);
    }
}

#[tokio::test]
async fn a_message_that_a_filter_keeps_away_is_explained_by_its_values() {
    let api = acme().await;
    api.endpoint("acme", json!({"filter": "data.amount > 100 and data.vip"}))
        .await;
    api.endpoint(
        "acme",
        json!({"filter": "data.amount > 10", "eventTypes": ["invoice.*"]}),
    )
    .await;
    let body = json!({"eventType": "invoice.paid", "payload": {"data": {"amount": 50}}});
    let id = api.post("/api/v1/app/acme/msg", body).await.ok(202)["id"].clone();
    let id = id.as_str().unwrap();
    let shown = api.get(&format!("/api/v1/app/acme/msg/{id}/explain")).await.ok(200);
    let [kept_away, matched] = [&shown["data"][0], &shown["data"][1]];
    assert_eq!(
        (&kept_away["matches"], &kept_away["reason"]),
        (&json!(false), &json!("filter"))
    );
    assert_eq!(
        kept_away["summary"],
        "not sent: the filter `data.amount > 100 and data.vip` does not hold: `data.amount` is 50, `data.vip` is missing"
    );
    assert_eq!(
        kept_away["clauses"],
        json!([{
            "clause": "filter", "wants": ["data.amount > 100 and data.vip"], "holds": false, "error": null,
            "found": [{"path": "data.amount", "value": "50"}, {"path": "data.vip", "value": null}],
        }])
    );
    assert_eq!(
        (&matched["matches"], &matched["statusText"]),
        (&json!(true), &json!("pending"))
    );
    let clauses: Vec<_> = matched["clauses"].as_array().unwrap().iter().collect();
    assert_eq!(clauses.len(), 2);
    assert!(clauses.iter().all(|clause| clause["holds"] == true), "{matched}");
    let active = json!({ "eventType": "other" });
    let precheck = api.post("/api/v1/app/acme/msg/precheck/active", active).await.ok(200);
    assert_eq!(precheck["active"], true, "it depends on the payload");
}

#[tokio::test]
async fn a_transformation_is_kept_tried_and_put_in_force() {
    let api = acme().await;
    api.endpoint("acme", json!({ "uid": "e" })).await;
    let path = format!("{PATH}/e/transformation");
    let none = api.get(&path).await.ok(200);
    assert_eq!(
        (&none["code"], &none["enabled"], &none["updatedAt"]),
        (&Value::Null, &json!(false), &Value::Null)
    );
    let code = "{\"total\": \"{{ data.amount }}\", \"of\": \"{{ type }}\"}";
    api.call("PATCH", &path, json!({ "code": code })).await.ok(204);
    let kept = api.get(&path).await.ok(200);
    assert_eq!((&kept["code"], &kept["enabled"]), (&json!(code), &json!(false)));
    assert!(
        api.get(&format!("{PATH}/e"))
            .await
            .ok(200)
            .get("transformation")
            .is_none(),
        "not in force"
    );
    api.call("PATCH", &path, json!({ "enabled": true })).await.ok(204);
    assert_eq!(api.get(&format!("{PATH}/e")).await.ok(200)["transformation"], code);
    let message = json!({"code": code, "eventType": "a", "payload": {"data": {"amount": 1.50}}});
    let tried = api.post(&format!("{path}/simulate"), message).await.ok(200);
    assert_eq!(
        (&tried["payload"], &tried["method"]),
        (&json!(r#"{"total":1.5,"of":"a"}"#), &json!("POST"))
    );
    let failing = json!({"code": "{{ nowhere }}", "eventType": "a", "payload": {}});
    assert_eq!(api.post(&format!("{path}/simulate"), failing).await.loc(), "body.code");
    assert_eq!(
        api.call("PATCH", &path, json!({ "code": "{{ }}" })).await.loc(),
        "body.code"
    );
    assert_eq!(
        api.call("PATCH", &path, json!({ "variables": {"a": "b"} })).await.loc(),
        "body.variables"
    );
    api.call("PATCH", &path, json!({ "code": null })).await.ok(204);
    assert_eq!(api.get(&path).await.ok(200), none);
}
