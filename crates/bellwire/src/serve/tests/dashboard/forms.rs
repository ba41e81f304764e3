//! What is written in forms: taken, or refused at its field, and nothing of it lost.

use super::*;

#[tokio::test]
async fn a_form_without_its_text_or_from_elsewhere_does_nothing() {
    let filled = Filled::start().await;
    let mut browser = filled.signed_in().await;
    let path = format!("/app/{}/endpoint/{}/do", filled.app, filled.endpoint);
    let csrf = browser.get("/").await.csrf();
    let paused = async || {
        let endpoint = format!("/api/v1/app/{}/endpoint/{}", filled.app, filled.endpoint);
        let endpoint = ask(filled.server.address, "GET", &endpoint, &filled.token, None).await;
        endpoint.json()["paused"] == true
    };
    for (csrf, headers) in [
        ("", vec![]),
        ("AAAAAAAAAAAAAAAAAAAAAA", vec![]),
        (csrf.as_str(), vec![("origin", "https://evil.example".to_owned())]),
        (csrf.as_str(), vec![("sec-fetch-site", "cross-site".to_owned())]),
        (csrf.as_str(), vec![("origin", "null".to_owned())]),
    ] {
        browser.headers = headers;
        let refused = browser.send("POST", &path, &[("csrf", csrf), ("do", "pause")]).await;
        assert_eq!(refused.status, 403, "{csrf:?} {:?}", browser.headers);
        assert!(!paused().await);
    }
    // Another session's text is no better than none.
    browser.headers.clear();
    let other = filled.signed_in().await.get("/").await.csrf();
    let refused = browser.send("POST", &path, &[("csrf", &other), ("do", "pause")]).await;
    assert_eq!(refused.status, 403);
    browser.headers = vec![("origin", format!("http://{}", filled.server.address))];
    let done = browser.send("POST", &path, &[("csrf", &csrf), ("do", "pause")]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(paused().await);
    // Nobody is signed in by a form of another site, either.
    let mut stranger = Browser::new(filled.server.address);
    stranger.get("/sign-in").await;
    let refused = stranger.send("POST", "/sign-in", &[("token", &filled.token)]).await;
    assert_eq!(refused.status, 403);
    filled.stop().await;
}

#[tokio::test]
async fn a_form_that_is_refused_says_why_at_the_field_and_keeps_what_was_written() {
    let filled = Filled::start().await;
    let mut browser = filled.signed_in().await;
    let csrf = browser.get("/new/event-type").await.csrf();
    let form = [
        ("csrf", csrf.as_str()),
        ("name", "order.made"),
        ("description", HOSTILE),
        ("schemas", "{\"1\": {\"type\": \"no-such\"}}"),
    ];
    let refused = browser.send("POST", "/new/event-type", &form).await;
    judge("an event type that is refused", &refused);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("id=\"schemas-wrong\"") && refused.body.contains("not a JSON Schema"));
    assert!(refused.body.contains("value=\"order.made\"") && refused.body.contains("no-such"));
    let taken = [("csrf", csrf.as_str()), ("name", "invoice.paid"), ("description", "d")];
    let refused = browser.send("POST", "/new/event-type", &taken).await;
    assert!(
        refused.status == 422 && refused.body.contains("id=\"name-wrong\""),
        "{}",
        refused.body
    );

    let form = [
        ("csrf", csrf.as_str()),
        ("name", HOSTILE),
        ("type", "no-such"),
        ("config", "a: <b>"),
        ("secrets", "secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ];
    let refused = browser.send("POST", "/new/source", &form).await;
    judge("a source that is refused", &refused);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("id=\"type-wrong\"") && refused.body.contains("value=\"no-such\""));
    assert!(refused.body.contains("a: &#60;b") && refused.body.contains("write them again"));
    filled.stop().await;
}

#[tokio::test]
async fn event_types_and_sources_are_made_changed_and_deleted_in_the_browser() {
    let filled = Filled::start().await;
    let mut browser = filled.signed_in().await;
    let csrf = browser.get("/new/event-type").await.csrf();
    let address = filled.server.address;
    let shown = async |path: &str| ask(address, "GET", path, &filled.token, None).await;
    let form = [("csrf", csrf.as_str()), ("name", "order.made"), ("description", "made")];
    let made = browser.send("POST", "/new/event-type", &form).await;
    assert_eq!(
        made.header("location"),
        "/event-type/order.made?said=made",
        "{}",
        made.body
    );
    let form = [
        ("csrf", csrf.as_str()),
        ("description", "remade"),
        ("deprecated", "true"),
    ];
    browser.send("POST", "/event-type/order.made/setting", &form).await;
    let kind = shown("/api/v1/event-type/order.made").await.json();
    assert!(kind["description"] == "remade" && kind["deprecated"] == true, "{kind}");
    browser.send("POST", "/event-type/order.made/archive", &form).await;
    assert_eq!(shown("/api/v1/event-type/order.made").await.json()["archived"], true);
    browser.send("POST", "/event-type/order.made/delete", &form).await;
    assert_eq!(shown("/api/v1/event-type/order.made").await.0, 404);

    let form = [
        ("csrf", csrf.as_str()),
        ("name", "Push"),
        ("uid", "push"),
        ("type", "github"),
        ("secrets", "secret: s3cret"),
    ];
    let made = browser.send("POST", "/new/source", &form).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let page = browser.get("/source/push/setting").await;
    assert!(
        page.body.contains("<code>secret</code>") && !page.body.contains("s3cret"),
        "{}",
        page.body
    );
    let form = [
        ("csrf", csrf.as_str()),
        ("name", "Pushes"),
        ("uid", "push"),
        ("rules", "{\"dedupe\": \"body.id\"}"),
    ];
    let saved = browser.send("POST", "/source/push/setting", &form).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let source = shown("/ingest/api/v1/source/push").await.json();
    assert_eq!(
        (&source["name"], &source["rules"]["dedupe"]),
        (&json!("Pushes"), &json!("body.id"))
    );
    assert_eq!(
        source["secrets"]["secret"], 1,
        "a secret that was not written anew is kept"
    );
    let impact = browser.get("/source/push/impact?verb=rotate").await;
    assert!(impact.body.contains("old URL"), "{}", impact.body);
    browser
        .send("POST", "/source/push/rotate", &[("csrf", &csrf), ("grace", "0")])
        .await;
    assert_ne!(
        shown("/ingest/api/v1/source/push").await.json()["ingestUrl"],
        source["ingestUrl"]
    );
    browser.send("POST", "/source/push/delete", &[("csrf", &csrf)]).await;
    assert_eq!(shown("/ingest/api/v1/source/push").await.0, 404);
    filled.stop().await;
}
