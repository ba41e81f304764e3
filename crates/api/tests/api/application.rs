use crate::harness::Api;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_created_is_shown_by_id_and_by_uid() {
    let api = Api::new().await;
    let body = json!({ "name": "Acme", "uid": "acme", "throttleRate": 7, "metadata": { "a": "b" } });
    let made = api.post("/api/v1/app", body).await.ok(201);
    assert_eq!(
        (&made["name"], &made["uid"], &made["throttleRate"]),
        (&json!("Acme"), &json!("acme"), &json!(7))
    );
    assert_eq!(
        (&made["metadata"], &made["createdAt"]),
        (&json!({ "a": "b" }), &json!("2026-01-02T03:04:05.000000Z"))
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/api/v1/app/{id}")).await.ok(200), made);
    assert_eq!(api.get("/api/v1/app/acme/").await.ok(200), made);
}

#[tokio::test]
async fn a_taken_uid_is_refused_unless_the_existing_one_is_asked_for() {
    let api = Api::new().await;
    let id = api.app("acme").await;
    let again = json!({ "name": "Other", "uid": "acme" });
    assert_eq!(api.post("/api/v1/app", again.clone()).await.refused(409), "uid_taken");
    let found = api.post("/api/v1/app?get_if_exists=true", again).await.ok(200);
    assert_eq!((&found["id"], &found["name"]), (&json!(id), &json!("acme")));
    let fresh = api
        .post("/api/v1/app?get_if_exists=true", json!({ "name": "New", "uid": "new" }))
        .await;
    fresh.ok(201);
}

#[tokio::test]
async fn put_creates_by_uid_and_replaces() {
    let api = Api::new().await;
    let made = api
        .call("PUT", "/api/v1/app/acme", json!({ "name": "One", "throttleRate": 3 }))
        .await
        .ok(201);
    assert_eq!(made["uid"], "acme");
    let replaced = api
        .call("PUT", "/api/v1/app/acme", json!({ "name": "Two", "uid": "acme2" }))
        .await
        .ok(200);
    assert_eq!((&replaced["id"], &replaced["uid"]), (&made["id"], &json!("acme2")));
    assert_eq!(replaced.get("throttleRate"), None);
    api.get("/api/v1/app/acme").await.refused(404);
    let other = api
        .call("PUT", "/api/v1/app/x", json!({ "name": "x", "uid": "y" }))
        .await;
    assert_eq!(other.loc(), "body.uid");
    let id = made["id"].as_str().unwrap().replace("app_0", "app_1");
    api.call("PUT", &format!("/api/v1/app/{id}"), json!({ "name": "x" }))
        .await
        .refused(404);
}

#[tokio::test]
async fn patch_tells_null_from_left_out() {
    let api = Api::new().await;
    let id = api.app("acme").await;
    let path = format!("/api/v1/app/{id}");
    api.call("PATCH", &path, json!({ "throttleRate": 5, "metadata": { "k": "v" } }))
        .await
        .ok(200);
    let kept = api.call("PATCH", &path, json!({ "name": "New" })).await.ok(200);
    assert_eq!((&kept["uid"], &kept["throttleRate"]), (&json!("acme"), &json!(5)));
    let cleared = api
        .call(
            "PATCH",
            &path,
            json!({ "uid": null, "throttleRate": null, "name": null }),
        )
        .await
        .ok(200);
    assert_eq!((cleared.get("uid"), cleared.get("throttleRate")), (None, None));
    assert_eq!(
        (&cleared["name"], &cleared["metadata"]),
        (&json!("New"), &json!({ "k": "v" }))
    );
}

#[tokio::test]
async fn wrong_bodies_name_what_is_wrong_and_change_nothing() {
    let api = Api::new().await;
    for (body, loc) in [
        (json!({}), "body.name"),
        (json!({ "name": 7 }), "body.name"),
        (json!({ "name": "" }), "body.name"),
        (json!({ "name": "a".repeat(257) }), "body.name"),
        (json!({ "name": "a", "uid": "has space" }), "body.uid"),
        (json!({ "name": "a", "uid": "app_x" }), "body.uid"),
        (json!({ "name": "a", "uid": "a".repeat(257) }), "body.uid"),
        (json!({ "name": "a", "throttleRate": 0 }), "body.throttleRate"),
        (json!({ "name": "a", "metadata": { "k": 1 } }), "body.metadata.k"),
        (json!({ "name": "a", "nmae": "b" }), "body.nmae"),
    ] {
        assert_eq!(api.post("/api/v1/app", body.clone()).await.loc(), loc, "{body}");
    }
    for text in ["{", "[]", "\"text\"", "{\"name\":\"a\"} x", "nonsense"] {
        assert_eq!(api.post("/api/v1/app", text).await.loc(), "body", "{text}");
    }
    api.post("/api/v1/app", b"{\"name\":\"\xff\xfe\"}".to_vec())
        .await
        .refused(422);
    assert_eq!(api.ids("/api/v1/app").await, [""; 0]);
}

#[tokio::test]
async fn lists_walk_forth_and_back_in_both_orders() {
    let api = Api::new().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(api.app(&format!("a{n}")).await);
    }
    assert_eq!(api.walk("/api/v1/app?order=ascending").await, made);
    made.reverse();
    assert_eq!(api.walk("/api/v1/app?order=descending").await, made);
    for limit in ["0", "251", "x"] {
        assert_eq!(
            api.get(&format!("/api/v1/app?limit={limit}")).await.loc(),
            "query.limit"
        );
    }
    assert_eq!(api.get("/api/v1/app?iterator=nonsense").await.loc(), "query.iterator");
    api.get("/api/v1/app?limit=250&nobody=knows").await.ok(200);
}

#[tokio::test]
async fn a_deleted_application_is_gone_with_its_endpoints() {
    let api = Api::new().await;
    let id = api.app("acme").await;
    let endpoint = api.endpoint("acme", json!({})).await;
    assert_eq!(
        api.call("DELETE", &format!("/api/v1/app/{id}"), ()).await.ok(204),
        Value::Null
    );
    api.get(&format!("/api/v1/app/{id}")).await.refused(404);
    api.get(&format!("/api/v1/app/{id}/endpoint/{endpoint}"))
        .await
        .refused(404);
    api.call("DELETE", "/api/v1/app/acme", ()).await.refused(404);
    // Its name is free again.
    api.app("acme").await;
}

#[tokio::test]
async fn of_many_that_get_or_create_the_same_at_once_one_makes_it_and_all_are_answered() {
    let api = Api::new().await;
    let body = json!({ "name": "Acme", "uid": "acme" });
    let ask = || api.post("/api/v1/app?get_if_exists=true", body.clone());
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    assert!([b, c, d].iter().all(|answer| answer.text("id") == a.text("id")));
    let (a, b) = tokio::join!(
        api.post("/api/v1/app", json!({ "name": "x", "uid": "x" })),
        api.post("/api/v1/app", json!({ "name": "x", "uid": "x" })),
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "who did not ask for the existing one is refused");
}
