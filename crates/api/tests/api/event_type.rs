use crate::harness::Api;
use serde_json::json;

const PATH: &str = "/api/v1/event-type";

#[tokio::test]
async fn what_is_created_is_shown_listed_and_replaced() {
    let api = Api::new().await;
    let schemas = json!({ "1": { "type": "object" } });
    let body = json!({ "name": "invoice.paid", "description": "d", "schemas": schemas, "featureFlags": ["beta"], "groupName": "g" });
    let made = api.post(PATH, body).await.ok(201);
    assert_eq!(
        (&made["schemas"], &made["featureFlags"], &made["archived"]),
        (&schemas, &json!(["beta"]), &json!(false))
    );
    assert_eq!(api.get(&format!("{PATH}/invoice.paid")).await.ok(200), made);
    assert_eq!(api.get(PATH).await.ok(200)["data"][0].get("schemas"), None);
    assert_eq!(
        api.get(&format!("{PATH}?with_content=true")).await.ok(200)["data"][0]["schemas"],
        schemas
    );
    let put = api
        .call("PUT", &format!("{PATH}/invoice.paid"), json!({ "description": "new" }))
        .await
        .ok(200);
    assert_eq!((&put["description"], put.get("schemas")), (&json!("new"), None));
    api.call("PUT", &format!("{PATH}/other"), json!({ "description": "x" }))
        .await
        .ok(201);
    let patched = api
        .call(
            "PATCH",
            &format!("{PATH}/other"),
            json!({ "deprecated": true, "description": null }),
        )
        .await
        .ok(200);
    assert_eq!(
        (&patched["deprecated"], &patched["description"]),
        (&json!(true), &json!("x"))
    );
}

#[tokio::test]
async fn archiving_hides_and_creating_again_brings_back() {
    let api = Api::new().await;
    let body = json!({ "name": "a", "description": "d" });
    api.post(PATH, body.clone()).await.ok(201);
    assert_eq!(api.post(PATH, body.clone()).await.refused(409), "event_type_exists");
    api.call("DELETE", &format!("{PATH}/a"), ()).await.ok(204);
    assert_eq!(api.ids(PATH).await, [""; 0]);
    assert_eq!(api.ids(&format!("{PATH}?include_archived=true")).await, ["a"]);
    assert_eq!(api.get(&format!("{PATH}/a")).await.ok(200)["archived"], true);
    assert_eq!(api.post(PATH, body).await.ok(201)["archived"], false);
    api.call("DELETE", &format!("{PATH}/a?expunge=true"), ()).await.ok(204);
    api.get(&format!("{PATH}/a")).await.refused(404);
    api.call("DELETE", &format!("{PATH}/a"), ()).await.refused(404);
}

#[tokio::test]
async fn lists_walk_by_name() {
    let api = Api::new().await;
    for name in ["c", "a", "e", "b", "d"] {
        api.post(PATH, json!({ "name": name, "description": "" })).await.ok(201);
    }
    assert_eq!(api.walk(PATH).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(
        api.walk(&format!("{PATH}?order=descending")).await,
        ["e", "d", "c", "b", "a"]
    );
}

#[tokio::test]
async fn a_schema_that_is_none_is_refused_with_its_version() {
    let api = Api::new().await;
    for schema in [
        json!({ "type": "nonsense" }),
        json!("text"),
        json!({ "$ref": "http://127.0.0.1/x" }),
    ] {
        let body = json!({ "name": "a", "description": "", "schemas": { "2": schema } });
        assert_eq!(api.post(PATH, body).await.loc(), "body.schemas.2", "{schema}");
    }
    assert_eq!(
        api.post(PATH, json!({ "name": "has space", "description": "" }))
            .await
            .loc(),
        "body.name"
    );
    assert_eq!(api.post(PATH, json!({ "name": "a" })).await.loc(), "body.description");
}
