use std::collections::BTreeSet;

use crate::harness::Api;
use serde_json::Value;

#[tokio::test]
async fn the_document_is_served_and_is_the_one_of_the_code() {
    let api = Api::new().await;
    let served = api.call_as("", "GET", "/api/v1/openapi.json", ()).await.ok(200);
    assert_eq!(served, bellwire_api::openapi());
    assert_eq!(served["openapi"], "3.1.0");
}

/// Every operation of the document, with its path made concrete.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((method.to_uppercase(), path.replace(['{', '}'], ""), operation.clone()));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_is_routed_described_and_asks_for_a_token() {
    let api = Api::new().await;
    let document = bellwire_api::openapi();
    let all = operations(&document);
    assert!(all.len() > 70, "{}", all.len());
    let ids: BTreeSet<_> = all
        .iter()
        .map(|(_, _, operation)| operation["operationId"].to_string())
        .collect();
    assert_eq!(ids.len(), all.len(), "operation ids are unique");
    for (method, path, operation) in &all {
        assert!(
            operation["summary"].as_str().is_some_and(|text| text.len() > 5),
            "{method} {path}"
        );
        let status = api.call_as("", method, path, ()).await.status;
        let public = operation["security"] == serde_json::json!([]);
        assert_eq!(status == 401, !public, "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("local references only");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|member| check(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document = bellwire_api::openapi();
    check(&document, &document);
    let text = document.to_string();
    assert!(!text.contains("$defs") && !text.contains("\"$schema\""));
}

#[tokio::test]
async fn the_operations_that_published_clients_call_are_all_there() {
    let document = bellwire_api::openapi();
    let known: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    for operation in include_str!("operations.txt").lines().filter(|line| !line.is_empty()) {
        assert!(known.contains(operation), "{operation}");
    }
}

#[tokio::test]
async fn each_error_links_to_a_page_on_the_same_server() {
    let api = Api::new().await;
    for code in bellwire_api::error::CODES {
        let page = api.call_as("", "GET", &format!("/docs/errors/{}", code.code), ()).await;
        assert_eq!(page.status, 200);
        assert!(String::from_utf8_lossy(&page.bytes).contains(code.title));
    }
    api.call_as("", "GET", "/docs/errors/nonsense", ()).await.refused(404);
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_json() {
    let api = Api::new().await;
    for path in [
        "/api",
        "/api/v1/no/such/thing",
        "/api/v1/app/x/unknown/y",
        "/ingest/api/v1/nothing",
        "/api/v1/connector",
    ] {
        assert_eq!(api.get(path).await.refused(404), "not_offered", "{path}");
    }
    let wrong = api.call("DELETE", "/api/v1/app", ()).await;
    assert_eq!(wrong.refused(405), "method_not_allowed");
    assert!(wrong.headers.contains_key("allow"));
    // Percent-encoded slashes and broken encodings are names that nothing has.
    api.get("/api/v1/app/a%2Fb").await.refused(404);
    api.get("/api/v1/app/%ff").await.refused(404);
}

#[tokio::test]
async fn links_to_error_pages_start_with_what_the_operator_set() {
    let api = Api::with(|state| state.docs_url = "https://hooks.example.com/docs/errors/".to_owned()).await;
    for path in ["/api/v1/app/nobody", "/api/v1/no/such/thing"] {
        let docs = api.get(path).await.text("docs");
        assert!(docs.starts_with("https://hooks.example.com/docs/errors/not_"), "{docs}");
    }
}

#[test]
fn the_document_says_what_may_be_null_what_may_be_left_out_and_what_is_in_bounds() {
    let document = bellwire_api::openapi();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let nullable = serde_json::json!(["string", "null"]);
    for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("ListResponse")) {
        for iterator in ["iterator", "prevIterator"] {
            assert_eq!(schema["properties"][iterator]["type"], nullable, "{name}");
        }
        assert!(schema["required"].as_array().unwrap().contains(&"iterator".into()));
    }
    let bounds = |schema: &str, member: &str| {
        let member = &schemas[schema]["properties"][member];
        (member["minimum"].as_u64(), member["maximum"].as_u64())
    };
    for schema in ["EndpointIn", "EndpointUpdate", "EndpointPatch"] {
        assert_eq!(bounds(schema, "timeoutMs"), (Some(100), Some(30_000)), "{schema}");
    }
    assert_eq!(bounds("AppPortalAccessIn", "expiry"), (Some(3_600), Some(604_800)));
    assert_eq!(bounds("ApplicationTokenExpireIn", "expiry"), (Some(0), Some(604_800)));
    assert_eq!(bounds("MessageIn", "payloadRetentionPeriod"), (Some(1), Some(90)));
    assert_eq!(bounds("MessageIn", "payloadRetentionHours"), (Some(1), Some(2_160)));
    for (method, path, required) in [
        ("post", "/api/v1/app", true),
        ("patch", "/api/v1/app/{app_id}", false),
        ("post", "/api/v1/app/{app_id}/msg", true),
        ("post", "/api/v1/app/{app_id}/msg/search", false),
        (
            "post",
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
            false,
        ),
    ] {
        let body = &document["paths"][path][method]["requestBody"];
        assert_eq!(body["required"], required, "{method} {path}");
    }
}
