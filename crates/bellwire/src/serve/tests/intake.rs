//! What others send, through a whole server: from a signed request to an endpoint that is told.

use bellwire_listen::{Settings, Signed, Signing, providers, sign};
use ring::rand::SystemRandom;

use super::*;

const BODY: &str = r#"{"ref":"refs/heads/main", "n": 1.10}"#;

/// What GitHub would send.
fn push(secret: &str, delivery: &str, body: &str) -> Signed {
    let signing = Signing {
        method: "POST",
        url: "http://127.0.0.1/in/code",
        content_type: "application/json",
        body: body.as_bytes(),
        at: bellwire_core::time::Timestamp::from_secs(1_766_000_000),
        id: Some(delivery),
        event_type: Some("push"),
        private_key: None,
        random: &SystemRandom::new(),
    };
    let settings = Settings::new().with("secret", secret);
    sign(providers::by_name("github").unwrap(), &settings, &signing).unwrap()
}

async fn send(address: SocketAddr, path: &str, signed: &Signed) -> Answer {
    let mut request = http::Request::post(format!("http://{address}{path}"));
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    answered(request.body(signed.body.clone()).unwrap()).await
}

/// Takes one request, answers it with that status, and tells all of it.
async fn take(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(BODY.as_bytes()) {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the request ended early");
        received.extend_from_slice(&piece[..read]);
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_signed_event_reaches_its_endpoint_once_and_again_when_that_failed() {
    let data = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = config(data.path());
    // Given up at once: the sender's repetition is what tries again.
    settings.delivery.retry_schedule = Vec::new();
    let server = serve(settings).await.unwrap();
    let (address, token) = (server.address, token(&server));
    let source = json!({ "name": "Code", "uid": "code", "type": "github", "config": { "secret": "s" } });
    let made = ask(address, "POST", "/ingest/api/v1/source", &token, Some(source)).await;
    assert_eq!(made.0, 201, "{}", made.text());
    let app = made.json()["appId"].as_str().unwrap().to_owned();
    let url = format!("http://{}/act", receiver.local_addr().unwrap());
    let endpoint = ask(
        address,
        "POST",
        &format!("/api/v1/app/{app}/endpoint"),
        &token,
        Some(json!({ "url": url })),
    )
    .await;
    assert_eq!(endpoint.0, 201, "{}", endpoint.text());

    // By the name and by the token, which are the same source: the first time it fails.
    let path = made.json()["ingestUrl"].as_str().unwrap().to_owned();
    let path = path[path.find("/in/").unwrap()..].to_owned();
    let event = push("s", "delivery-1", BODY);
    let (failed, answer) = tokio::join!(take(&receiver, "500 No"), send(address, &path, &event));
    assert_eq!((answer.0, answer.1.as_slice()), (200, b"".as_slice()));
    assert!(failed.contains("webhook-id: msg_"), "{failed}");
    let attempts = || async {
        let list = ask(address, "GET", &format!("/api/v1/app/{app}/msg"), &token, None)
            .await
            .json();
        let message = list["data"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
        let path = format!("/api/v1/app/{app}/attempt/msg/{message}");
        ask(address, "GET", &path, &token, None).await.json()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    while attempts().await == 0 {}
    let (taken, answer) = tokio::join!(take(&receiver, "204 Yes"), send(address, "/in/code", &event));
    assert_eq!(answer.0, 200);
    assert!(taken.ends_with(BODY), "byte for byte: {taken}");
    while attempts().await == 1 {}
    assert_eq!(send(address, "/in/code/", &event).await.0, 200);

    for (signed, status) in [(push("wrong", "2", BODY), 401), (push("s", "3", "{"), 400)] {
        assert_eq!(send(address, "/in/code", &signed).await.0, status);
    }
    assert_eq!(send(address, "/in/nothing", &event).await.0, 404);
    let mut large = event.clone();
    large.body = vec![b' '; (1 << 20) + 1];
    assert_eq!(send(address, "/in/code", &large).await.0, 413);
    let page = ask(address, "GET", "/metrics", &token, None).await.text();
    for line in [
        "bellwire_intake_accepted_total 1\n",
        "bellwire_intake_duplicates_total 2\n",
        "bellwire_intake_revived_total 1\n",
        "bellwire_intake_refused_total{reason=\"malformed\"} 1\n",
        "bellwire_intake_refused_total{reason=\"unknown\"} 1\n",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert_eq!(attempts().await, 2);
    assert_eq!(stop(server).await, Ending::Graceful);
}
