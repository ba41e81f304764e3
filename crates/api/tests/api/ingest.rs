//! Sources: made with their applications, changed, shown without their secrets, and deleted.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    id::{AppId, SourceId},
    message::NewMessage,
    source::{Inbound, Item, Source},
    token::Scope,
};
use bellwire_store::{Arrival, ArrivalPlace, Change, query::RefusedRequest};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, START};

const PATH: &str = "/ingest/api/v1/source";
const SDK: [(&str, &str); 1] = [("user-agent", "svix-libs/2.9.1/python")];

impl Api {
    async fn source(&self, body: Value) -> Value {
        self.post(PATH, body).await.ok(201)
    }

    async fn github(&self) -> Value {
        self.source(json!({ "name": "Code", "type": "github", "config": { "secret": "s3cret" }, "uid": "code" }))
            .await
    }

    async fn as_sdk(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(&self.admin, method, path, body.to_string().as_str(), &SDK)
            .await
    }

    fn kept(&self, source: &Value) -> Arc<Source> {
        let id: SourceId = source["id"].as_str().unwrap().parse().unwrap();
        self.state.directory.source_by_id(id).unwrap()
    }

    /// Makes it one of the hooks file.
    async fn manage(&self, source: &Value) {
        let managed = Source {
            managed: true,
            ..Source::clone(&self.kept(source))
        };
        let changes = vec![Change::PutSource(Box::new(managed))];
        self.state.directory.commit(changes, None).await.unwrap();
    }
}

/// A message that goes nowhere.
fn message(app: AppId, payload: &'static [u8]) -> NewMessage {
    NewMessage {
        app,
        event_type: "push".to_owned(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        ordering_key: None,
        payload: Bytes::from_static(payload),
        payload_expires_at: START.plus(Duration::from_secs(60)),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        routes: Vec::new(),
        idempotency: None,
    }
}

fn app_path(source: &Value) -> String {
    format!("/api/v1/app/{}", source["appId"].as_str().unwrap())
}

#[tokio::test]
async fn a_source_is_shown_without_its_secret_and_with_where_to_send_to() {
    let api = Api::new().await;
    let made = api.github().await;
    assert!(!made.to_string().contains("s3cret"));
    assert_eq!((&made["type"], &made["config"]), (&json!("github"), &json!({})));
    assert_eq!(made["secrets"], json!({ "secret": 1 }));
    assert_eq!(made["provider"]["title"], "GitHub");
    let url = made["ingestUrl"].as_str().unwrap();
    let token = url.strip_prefix("http://127.0.0.1:8071/in/").unwrap();
    assert_eq!((token.len(), token), (43, &*api.kept(&made).token));
    for name in ["code", made["id"].as_str().unwrap()] {
        assert_eq!(api.get(&format!("{PATH}/{name}")).await.ok(200), made);
    }
    assert_eq!(api.get(PATH).await.ok(200)["data"], json!([made]));
}

#[tokio::test]
async fn its_application_is_made_with_it_and_is_in_no_list() {
    let api = Api::new().await;
    let made = api.github().await;
    assert_eq!(api.get("/api/v1/app").await.ok(200)["data"], json!([]));
    assert_eq!(api.get(&app_path(&made)).await.ok(200)["name"], "Code");
    let endpoint = json!({ "url": "http://127.0.0.1:9999/hook" });
    let endpoint = api
        .post(&format!("{}/endpoint", app_path(&made)), endpoint)
        .await
        .ok(201);
    let of_source = api.get(&format!("{PATH}/code/endpoint")).await.ok(200);
    assert_eq!(of_source["data"], json!([endpoint]));
    for name in [
        "source:code".to_owned(),
        format!("source:{}", made["id"].as_str().unwrap()),
    ] {
        let named = api.get(&format!("/api/v1/app/{name}/endpoint")).await.ok(200);
        assert_eq!(named["data"], json!([endpoint]), "{name}");
    }
    api.get("/api/v1/app/source:nobody").await.refused(404);
    api.call("PATCH", &format!("{PATH}/code"), json!({ "name": "Repositories" }))
        .await
        .ok(200);
    assert_eq!(api.get(&app_path(&made)).await.ok(200)["name"], "Repositories");
}

#[tokio::test]
async fn what_is_a_sources_is_not_published_to_changed_or_deleted_as_an_application() {
    let api = Api::new().await;
    let path = app_path(&api.github().await);
    let message = json!({ "eventType": "a", "payload": {} });
    for (method, path, body) in [
        ("POST", format!("{path}/msg"), message),
        ("PUT", path.clone(), json!({ "name": "x" })),
        ("PATCH", path.clone(), json!({ "name": "x" })),
        ("DELETE", path.clone(), json!({})),
    ] {
        let answer = api.call(method, &path, body).await;
        assert_eq!(answer.refused(409), "app_of_source", "{method}");
        assert!(answer.text("detail").contains("src_"), "{method}");
    }
}

#[tokio::test]
async fn deleting_a_source_deletes_what_it_has_and_erases_its_messages() {
    let api = Api::new().await;
    let made = api.github().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9999/hook", "uid": "e" });
    api.post(&format!("{PATH}/code/endpoint"), endpoint).await.ok(201);
    api.call("DELETE", &format!("{PATH}/code"), ()).await.ok(204);
    api.get(&format!("{PATH}/code")).await.refused(404);
    api.get(&app_path(&made)).await.refused(404);
    let tasks = api.get("/api/v1/background-task").await.ok(200);
    assert_eq!(tasks["data"].as_array().unwrap().len(), 1, "{tasks}");
    api.github().await;
}

#[tokio::test]
async fn settings_are_judged_by_the_provider_and_named_when_they_are_wrong() {
    let api = Api::with(|state| {
        state.check_cron = |values| match values.contains_key("schedule") {
            true => Ok(()),
            false => Err(("schedule".to_owned(), "it is missing".to_owned())),
        };
    })
    .await;
    let at = async |kind: &str, config: Value| {
        let answer = api
            .post(PATH, json!({ "name": "x", "type": kind, "config": config }))
            .await;
        answer.loc()
    };
    assert_eq!(at("github", json!({})).await, "body.config.secret");
    assert_eq!(at("github", json!({ "secret": null })).await, "body.config.secret");
    assert_eq!(at("github", json!({ "secret": "" })).await, "body.config.secret");
    assert_eq!(
        at("github", json!({ "secret": "a", "other": "b" })).await,
        "body.config.other"
    );
    assert_eq!(at("svix", json!({ "secret": "whsec_%%%" })).await, "body.config.secret");
    assert_eq!(at("meta", json!({ "secret": { "a": 1 } })).await, "body.config.secret");
    assert_eq!(at("nobody", json!({})).await, "body.type");
    assert_eq!(at("monitor", json!({})).await, "body.type");
    assert_eq!(at("cron", json!({ "payload": "{}" })).await, "body.config.schedule");
    let rules = json!({ "name": "x", "type": "generic-webhook", "rules": { "forEach": "body.|" } });
    assert_eq!(api.post(PATH, rules).await.loc(), "body.rules.forEach");
    let uid = json!({ "name": "x", "type": "generic-webhook", "uid": "src_1" });
    assert_eq!(api.post(PATH, uid).await.loc(), "body.uid");
}

#[tokio::test]
async fn a_uid_belongs_to_one_source() {
    let api = Api::new().await;
    api.github().await;
    let second = json!({ "name": "x", "type": "generic-webhook", "uid": "code" });
    assert_eq!(api.post(PATH, second).await.refused(409), "uid_taken");
    assert_eq!(api.get(PATH).await.ok(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn putting_keeps_url_and_rules_and_makes_what_is_not_there() {
    let api = Api::new().await;
    let path = format!("{PATH}/code");
    let mut body =
        json!({ "name": "Code", "type": "github", "config": { "secret": "a" }, "rules": { "dedupe": "body.id" } });
    let made = api.put(&path, body.clone()).await.ok(201);
    assert_eq!(made["uid"], "code");
    body = json!({ "name": "Code 2", "type": "stripe", "config": { "secret": ["b", "a"] }, "uid": "code" });
    let replaced = api.put(&path, body).await.ok(200);
    for same in ["id", "appId", "ingestUrl", "rules", "uid"] {
        assert_eq!(replaced[same], made[same], "{same}");
    }
    assert_eq!(
        (&replaced["type"], &replaced["secrets"]),
        (&json!("stripe"), &json!({ "secret": 2 }))
    );
}

#[tokio::test]
async fn patching_changes_the_settings_that_are_named() {
    let api = Api::new().await;
    let body = json!({ "name": "M", "type": "meta", "config": { "secret": "a", "verifyToken": "t" }, "uid": "m" });
    let made = api.source(body).await;
    let path = format!("{PATH}/m");
    api.call("PATCH", &path, json!({ "config": { "secret": ["b", "a"] } }))
        .await
        .ok(200);
    let kept = api.kept(&made);
    assert_eq!(
        (&kept.settings["secret"][..], &kept.settings["verifyToken"][..]),
        (&["b".to_owned(), "a".to_owned()][..], &["t".to_owned()][..])
    );
    let refused = api.call("PATCH", &path, json!({ "config": { "secret": null } })).await;
    assert_eq!(refused.loc(), "body.config.secret");
}

#[tokio::test]
async fn a_new_url_takes_the_place_of_the_old_one() {
    let api = Api::new().await;
    let made = api.github().await;
    let old = api.kept(&made).token.clone();
    let rotated = api.post(&format!("{PATH}/code/token/rotate"), ()).await.ok(200);
    assert_ne!(rotated["ingestUrl"], made["ingestUrl"]);
    assert_eq!(
        api.get(&format!("{PATH}/code")).await.ok(200)["ingestUrl"],
        rotated["ingestUrl"]
    );
    let opened = |token: &str| api.state.directory.source_by_token(token).map(|source| source.id);
    assert!(opened(&old).is_some() && opened(&old) == opened(&api.kept(&made).token));
    let path = format!("{PATH}/code/token/rotate");
    api.post(&format!("{path}?gracePeriodSeconds=60"), ()).await.ok(200);
    api.post(&path, ()).await.ok(200);
    let refused = api.post(&path, ()).await;
    assert_eq!(refused.loc(), "query.gracePeriodSeconds", "three are good already");
    let refused = api.post(&format!("{path}?gracePeriodSeconds=604801"), ()).await;
    assert_eq!(refused.loc(), "query.gracePeriodSeconds");
    let former = api.kept(&made).token.clone();
    api.post(&format!("{path}?gracePeriodSeconds=0"), ()).await.ok(200);
    assert!(
        opened(&old).is_none() && opened(&former).is_none(),
        "no grace ends all of them"
    );
    let cron =
        json!({ "name": "C", "type": "cron", "config": { "schedule": "* * * * *", "payload": "{}" }, "uid": "c" });
    let cron = api.source(cron).await;
    assert!(cron.get("ingestUrl").is_none());
    assert_eq!(cron["config"], json!({ "schedule": "* * * * *", "payload": "{}" }));
    api.post(&format!("{PATH}/c/token/rotate"), ()).await.refused(422);
}

#[tokio::test]
async fn what_the_hooks_file_says_is_not_changed_by_the_api() {
    let api = Api::new().await;
    let made = api.github().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9999/hook", "uid": "e" });
    api.post(&format!("{PATH}/code/endpoint"), endpoint.clone())
        .await
        .ok(201);
    api.manage(&made).await;
    let path = format!("{PATH}/code");
    let one = format!("{path}/endpoint/e");
    let same = format!("{}/endpoint/e", app_path(&made));
    let body = json!({ "name": "x", "type": "generic-webhook" });
    for (method, path, body) in [
        ("PUT", &path, body),
        ("PATCH", &path, json!({ "name": "x" })),
        ("DELETE", &path, json!({})),
        ("POST", &format!("{path}/endpoint"), endpoint.clone()),
        ("PUT", &one, endpoint),
        ("DELETE", &one, json!({})),
        ("PUT", &format!("{one}/headers"), json!({ "headers": {} })),
        ("PATCH", &same, json!({ "url": "http://127.0.0.1:9999/other" })),
        ("DELETE", &same, json!({})),
    ] {
        let answer = api.call(method, path, body).await;
        assert_eq!(answer.refused(409), "source_managed", "{method} {path}");
        assert!(answer.text("detail").contains("hooks file"));
    }
    api.call("PATCH", &same, json!({ "paused": true, "disabled": true }))
        .await
        .ok(200);
    assert_eq!(api.get(&path).await.ok(200)["managed"], true);
    api.post(&format!("{path}/token/rotate"), ()).await.ok(200);
}

#[tokio::test]
async fn clients_that_know_some_types_only_can_read_the_others_and_do_not_open_them() {
    let api = Api::new().await;
    let body = json!({ "name": "Lab", "type": "gitlab", "config": { "secret": "t" }, "uid": "lab" });
    let made = api.source(body).await;
    assert_eq!(made["type"], "gitlab");
    let path = format!("{PATH}/lab");
    let read = api.as_sdk("GET", &path, json!({})).await.ok(200);
    assert_eq!((&read["type"], read.get("config")), (&json!("generic-webhook"), None));
    assert_eq!(read["provider"]["name"], "gitlab");
    let body = json!({ "name": "Laboratory", "type": "generic-webhook", "config": {}, "uid": "lab" });
    api.as_sdk("PUT", &path, body).await.ok(200);
    let kept = api.kept(&made);
    assert_eq!((&*kept.kind, &*kept.name), ("gitlab", "Laboratory"));
    assert!(kept.settings.contains_key("secret"));
    // A schedule without a payload of its own.
    let cron = json!({ "name": "C", "type": "cron", "config": { "schedule": "* * * * *" }, "uid": "c" });
    api.source(cron).await;
    let read = api.as_sdk("GET", &format!("{PATH}/c"), json!({})).await.ok(200);
    assert_eq!(read["config"], json!({ "schedule": "* * * * *", "payload": "" }));
    // Whoever means it says so.
    api.put(&path, json!({ "name": "Lab", "type": "none" })).await.ok(200);
    assert!(api.kept(&made).settings.is_empty());
}

#[tokio::test]
async fn sources_are_for_admins_and_readers_and_readers_see_no_open_url() {
    let api = Api::new().await;
    let made = api.github().await;
    api.source(json!({ "name": "Open", "type": "generic-webhook", "uid": "open" }))
        .await;
    let read = api.token(Scope::Read, None).await;
    let publish = api.token(Scope::Publish, None).await;
    let portal = api.token(Scope::App, made["appId"].as_str()).await;
    for token in [&publish, &portal] {
        api.call_as(token, "GET", PATH, ()).await.refused(403);
        api.call_as(token, "GET", &format!("{PATH}/code/endpoint"), ())
            .await
            .refused(403);
    }
    let list = api.call_as(&read, "GET", PATH, ()).await.ok(200);
    assert!(
        list["data"][0].get("ingestUrl").is_some() && list["data"][1].get("ingestUrl").is_none(),
        "{list}"
    );
    api.call_as(&read, "POST", &format!("{PATH}/code/token/rotate"), ())
        .await
        .refused(403);
    api.call_as(&read, "GET", &format!("{PATH}/code/log"), ()).await.ok(200);
    api.call_as(&read, "GET", &format!("{PATH}/code/stream"), ())
        .await
        .ok(200);
    api.call_as(&portal, "GET", &format!("{}/msg", app_path(&made)), ())
        .await
        .ok(200);
}

#[tokio::test]
async fn the_portal_of_a_source_is_that_of_its_application() {
    let api = Api::new().await;
    let made = api.github().await;
    let access = api
        .post(&format!("{PATH}/code/dashboard"), json!({ "readOnly": true }))
        .await
        .ok(200);
    let token = access["token"].as_str().unwrap();
    assert!(access["url"].as_str().unwrap().contains(token));
    api.call_as(token, "GET", &format!("{}/endpoint", app_path(&made)), ())
        .await
        .ok(200);
    api.call_as(token, "GET", PATH, ()).await.refused(403);
    assert_eq!(
        api.post(&format!("{PATH}/code/dashboard"), json!({ "expiry": 1 }))
            .await
            .loc(),
        "body.expiry"
    );
}

#[tokio::test]
async fn endpoints_of_a_source_are_managed_through_it() {
    let api = Api::new().await;
    api.github().await;
    let all = format!("{PATH}/code/endpoint");
    let endpoint = json!({ "url": "http://127.0.0.1:9999/hook", "uid": "e", "headers": { "x-a": "1" } });
    let made = api.post(&all, endpoint).await.ok(201);
    let one = format!("{all}/{}", made["id"].as_str().unwrap());
    assert_eq!(api.get(&one).await.ok(200), made);
    api.put(&one, json!({ "url": "http://127.0.0.1:9999/other", "uid": "e" }))
        .await
        .ok(200);
    assert_eq!(
        api.get(&format!("{one}/headers")).await.ok(200)["headers"],
        json!({ "x-a": "1" })
    );
    api.put(&format!("{one}/headers"), json!({ "headers": { "x-b": "2" } }))
        .await
        .ok(204);
    assert_eq!(
        api.get(&format!("{one}/headers")).await.ok(200)["headers"],
        json!({ "x-b": "2" })
    );
    let transformation = format!("{one}/transformation");
    let code = json!({ "code": "{\"id\": \"{{ body.id }}\"}", "enabled": true });
    api.call("PATCH", &transformation, code).await.ok(204);
    assert_eq!(api.get(&transformation).await.ok(200)["enabled"], true);
    let before = api.get(&format!("{one}/secret")).await.text("key");
    let key = [("idempotency-key", "once")];
    for _ in 0..2 {
        let rotate = format!("{one}/secret/rotate");
        api.call_with(&api.admin, "POST", &rotate, "{}", &key).await.ok(204);
    }
    assert_ne!(api.get(&format!("{one}/secret")).await.text("key"), before);
    api.call("DELETE", &one, ()).await.ok(204);
    api.get(&one).await.refused(404);
}

#[tokio::test]
async fn a_message_that_a_source_brought_says_how_it_came_in_and_what_its_body_is() {
    let api = Api::new().await;
    let made = api.github().await;
    let app: AppId = made["appId"].as_str().unwrap().parse().unwrap();
    let token = api.kept(&made).token.clone();
    let bring = async |payload: &'static [u8], content_type: Option<&str>| {
        let inbound = Inbound {
            source: api.kept(&made).id,
            method: "POST".to_owned(),
            target: format!("/in/{token}?a=1"),
            headers: vec![("x-github-event".to_owned(), "push".to_owned())],
            peer: Some("192.0.2.1".to_owned()),
            verdict: "the signature matches".to_owned(),
            note: None,
            item: Some(Item {
                index: 1,
                count: 3,
                rest: None,
            }),
        };
        let message = NewMessage {
            content_type: content_type.map(str::to_owned),
            inbound: Some(Arc::new(inbound)),
            ..message(app, payload)
        };
        let id = api.state.store.append(message).await.unwrap().id;
        let path = format!("{}/msg/{id}", app_path(&made));
        (
            api.get(&path).await.ok(200),
            api.get(&format!("{path}/raw")).await.ok(200),
        )
    };
    let (shown, _) = bring(b"{\"a\":1}", Some("application/json")).await;
    assert_eq!((&shown["payload"], shown.get("rawPayload")), (&json!({ "a": 1 }), None));
    let inbound = &shown["inbound"];
    assert_eq!(
        (&inbound["target"], &inbound["verdict"]),
        (&json!("/in/…?a=1"), &json!("the signature matches"))
    );
    assert_eq!(inbound["headers"], json!({ "x-github-event": "push" }));
    assert_eq!(
        (&inbound["item"], &inbound["peer"]),
        (&json!({ "index": 1, "count": 3 }), &json!("192.0.2.1"))
    );

    let (shown, raw) = bring(b"<a>1</a>", Some("text/xml")).await;
    assert_eq!(
        (&shown["payload"], &shown["rawPayload"]),
        (&json!({}), &json!("<a>1</a>"))
    );
    assert_eq!(
        (&shown["contentType"], shown.get("rawPayloadEncoding")),
        (&json!("text/xml"), None)
    );
    assert_eq!(raw, json!({ "payload": "<a>1</a>" }));

    let (shown, raw) = bring(b"\xff\x00", Some("application/octet-stream")).await;
    assert_eq!(
        (&shown["rawPayload"], &shown["rawPayloadEncoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    assert_eq!(raw, json!({ "payload": "/wA=", "encoding": "base64" }));
}

#[tokio::test]
async fn refused_requests_are_listed_newest_first_with_why_and_without_the_token() {
    let api = Api::new().await;
    let made = api.github().await;
    let kept = api.kept(&made);
    let refused = |number: u64, reason: &str| RefusedRequest {
        number,
        source: kept.id,
        at: START,
        status: 401,
        reason: reason.to_owned(),
        detail: format!("{reason}: the secret is another one"),
        method: "POST".to_owned(),
        target: format!("/in/{}", kept.token),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        peer: None,
        body: "{}".to_owned(),
        skipped: 3,
    };
    let batch = (1..=3).map(|number| refused(number, "mismatch")).collect();
    api.state.store.refuse(batch).await.unwrap();
    let path = format!("{PATH}/code/log");
    let list = api.get(&format!("{path}?limit=2")).await.ok(200);
    let first = &list["data"][0];
    let id = first["id"].as_str().unwrap();
    assert!(id.starts_with("log") && id.len() == 30, "{id}");
    assert_eq!(first["source_id"], made["id"]);
    assert_eq!(
        (&first["status_code"], &first["reason"], &first["skipped"]),
        (&json!(401), &json!("mismatch"), &json!(3))
    );
    assert_eq!((&first["target"], &first["payload"]), (&json!("/in/…"), &json!("{}")));
    assert_eq!(first["headers"], json!({ "content-type": "application/json" }));
    assert_eq!(first["created_at"], first["updated_at"]);
    assert_eq!(api.walk(&path).await.len(), 3);
    let oldest = api.get(&format!("{path}?order=ascending")).await.ok(200);
    assert_eq!(oldest["data"][2]["id"], first["id"]);
}

#[tokio::test]
async fn streams_say_what_waits_for_what() {
    let api = Api::new().await;
    let made = api.github().await;
    let app: AppId = made["appId"].as_str().unwrap().parse().unwrap();
    for (key, number) in [("a", 1), ("a", 3), ("b", 1)] {
        let arrival = Arrival {
            message: message(app, b"{}"),
            key: key.to_owned(),
            place: ArrivalPlace::Sequence {
                number,
                start: Some(1),
                wait: Duration::from_secs(5),
            },
        };
        api.state.store.arrive(arrival).await.unwrap();
    }
    let path = format!("{PATH}/code/stream");
    let list = api.get(&path).await.ok(200);
    let until = "2026-01-02T03:04:10.000000Z";
    let waiting = json!({ "key": "a", "last": "1", "held": 1, "until": until, "gaps": [] });
    let idle = json!({ "key": "b", "last": "1", "held": 0, "until": null, "gaps": [] });
    assert_eq!(list["data"], json!([waiting, idle]));
    assert_eq!(list["prevIterator"], Value::Null);
    assert_eq!(
        api.get(&format!("{path}?held=true")).await.ok(200)["data"],
        json!([waiting])
    );
    assert_eq!(api.get(&format!("{path}?key=b")).await.ok(200)["data"], json!([idle]));
    let page = api.get(&format!("{path}?limit=1")).await.ok(200);
    let next = page["iterator"].as_str().unwrap();
    assert_eq!(
        api.get(&format!("{path}?limit=1&iterator={next}")).await.ok(200)["data"],
        json!([idle])
    );
    api.get(&format!("{path}?iterator=nonsense")).await.refused(422);
    let read = api.token(Scope::Read, None).await;
    api.call_as(&read, "DELETE", &format!("{path}?key=a"), ())
        .await
        .refused(403);
    api.call("DELETE", &format!("{path}?key=a"), ()).await.ok(204);
    assert_eq!(api.get(&path).await.ok(200)["data"], json!([idle]));
    api.call("DELETE", &format!("{path}?key=a"), ()).await.refused(404);
    api.call("DELETE", &path, ()).await.refused(422);
}
