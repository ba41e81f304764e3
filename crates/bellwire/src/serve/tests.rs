//! Whole servers in this process: started, talked to over TCP, stopped.

mod dashboard;
#[path = "../../../store/src/backends/postgres/tests/server.rs"]
mod database;
mod hooks;
mod intake;
mod moved;
mod nodes;
mod questions;
mod shown;

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::config::{Metrics, loopback};

/// A configuration for one test: any free port, this machine may be called.
fn config(data: &Path) -> Config {
    let mut config = Config::default();
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.storage.data = data.to_owned();
    config.calls.policy.allow_private = loopback();
    config.process.grace = Duration::from_secs(5);
    config
}

/// What a server answered: status and body.
struct Answer(u16, Vec<u8>);

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.1).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.1).into_owned()
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    let request = request
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    answered(request.body(body.into_bytes()).unwrap()).await
}

/// Sends it, and answers what comes, whatever the status.
async fn answered(request: http::Request<Vec<u8>>) -> Answer {
    let sent = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let mut answer = agent.run(request).unwrap();
        Answer(answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    });
    sent.await.unwrap()
}

async fn stop(server: Running) -> Ending {
    server.stop.gracefully.cancel();
    server.wait().await
}

fn token(server: &Running) -> String {
    server.new_token.as_ref().unwrap().expose().to_owned()
}

#[tokio::test]
async fn two_servers_run_in_one_process_and_share_nothing() {
    let (one_data, other_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = serve(config(one_data.path())).await.unwrap();
    let other = serve(config(other_data.path())).await.unwrap();
    let apps = |server: &Running, token: String| {
        let address = server.address;
        async move { ask(address, "GET", "/api/v1/app", &token, None).await.0 }
    };
    assert_eq!(apps(&one, token(&one)).await, 200);
    assert_eq!(apps(&other, token(&other)).await, 200);
    assert_eq!(apps(&other, token(&one)).await, 401);
    assert_eq!(stop(one).await, Ending::Graceful);
    assert_eq!(apps(&other, token(&other)).await, 200, "the other one goes on");
    assert_eq!(stop(other).await, Ending::Graceful);
}

#[tokio::test]
async fn a_token_is_made_on_the_first_start_only() {
    let data = tempfile::tempdir().unwrap();
    let first = serve(config(data.path())).await.unwrap();
    let token = token(&first);
    assert_eq!(stop(first).await, Ending::Graceful);
    let second = serve(config(data.path())).await.unwrap();
    assert!(second.new_token.is_none());
    assert_eq!(
        ask(second.address, "GET", "/api/v1/app", &token, None).await.0,
        200,
        "the first one still opens"
    );
    stop(second).await;
}

#[tokio::test]
async fn a_development_server_leaves_its_token_for_the_command_line() {
    let data = tempfile::tempdir().unwrap();
    let dev = || Config {
        dev: true,
        ..config(data.path())
    };
    let left = || {
        std::fs::read_to_string(data.path().join("admin-token"))
            .unwrap()
            .trim()
            .to_owned()
    };
    let made = serve(dev()).await.unwrap();
    assert_eq!(left(), token(&made));
    stop(made).await;
    let mut configured = dev();
    configured.secrets.admin_token = Some(Hidden::new("configured-configured-configured-0"));
    let configured = serve(configured).await.unwrap();
    assert!(configured.new_token.is_none());
    assert_eq!(
        ask(configured.address, "GET", "/api/v1/app", &left(), None).await.0,
        200
    );
    stop(configured).await;
}

/// Publishes in the application `shop`, the body as it is; answers the accepted message.
async fn publish(address: SocketAddr, token: &str, body: String) -> Value {
    let request = http::Request::post(format!("http://{address}/api/v1/app/shop/msg"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let publish = tokio::task::spawn_blocking(move || {
        let mut answer = ureq::Agent::new_with_defaults().run(request).unwrap();
        assert_eq!(answer.status().as_u16(), 202);
        serde_json::from_slice(&answer.body_mut().read_to_vec().unwrap()).unwrap()
    });
    publish.await.unwrap()
}

/// Answers one request and tells its head.
async fn receive_one(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"{\"id\": 1.0}") {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(
            read > 0,
            "the request ended early: {}",
            String::from_utf8_lossy(&received)
        );
        received.extend_from_slice(&piece[..read]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    String::from_utf8(received).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn what_is_published_arrives_signed_and_is_counted() {
    let data = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let mut settings = config(data.path());
    settings.telemetry.metrics = Metrics::Listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = serve(settings).await.unwrap();
    let (address, token) = (server.address, token(&server));
    let post = async |path: &str, body: Value| ask(address, "POST", path, &token, Some(body)).await;
    assert_eq!(
        post("/api/v1/app", json!({ "name": "Shop", "uid": "shop" })).await.0,
        201
    );
    let endpoint = post("/api/v1/app/shop/endpoint", json!({ "url": url })).await;
    assert_eq!(endpoint.0, 201, "{}", endpoint.text());
    // The number's text must survive, so the body is written by hand.
    let raw = serde_json::value::RawValue::from_string("{\"id\": 1.0}".to_owned()).unwrap();
    let body = format!("{{\"eventType\":\"invoice.paid\",\"payload\":{raw}}}");
    let (received, _) = tokio::join!(receive_one(receiver), publish(address, &token, body));
    for header in [
        "webhook-id: msg_",
        "webhook-signature: v1,",
        "svix-signature: v1,",
        "webhook-timestamp: ",
    ] {
        assert!(received.contains(header), "{header} not in {received}");
    }
    assert_eq!(
        ask(address, "GET", "/metrics", &token, None).await.0,
        404,
        "metrics have an address of their own"
    );
    let metrics = server.metrics_address.unwrap();
    stop_after(server, async {
        loop {
            let page = ask(metrics, "GET", "/metrics", "", None).await.text();
            if page.contains("bellwire_deliveries_ended_total{state=\"succeeded\"} 1\n") {
                assert!(page.contains("bellwire_messages_accepted_total 1\n"), "{page}");
                assert!(page.ends_with("# EOF\n"));
                break;
            }
        }
    })
    .await;
}

/// Does something beside the running server, then stops it.
async fn stop_after(server: Running, act: impl Future<Output = ()>) {
    let stop = server.stop.clone();
    let act = async {
        act.await;
        stop.gracefully.cancel();
    };
    let (ending, ()) = tokio::join!(server.wait(), act);
    assert_eq!(ending, Ending::Graceful);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_stop() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    used.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    let began = Instant::now();
    assert_eq!(stop(server).await, Ending::Graceful);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop((silent, used));
}

#[tokio::test]
async fn a_backup_is_for_admins_and_opens_with_the_same_main_secret() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let (address, token) = (server.address, token(&server));
    ask(
        address,
        "POST",
        "/api/v1/app",
        &token,
        Some(json!({ "name": "Shop", "uid": "shop" })),
    )
    .await;
    assert_eq!(ask(address, "GET", backup::PATH, "nobody", None).await.0, 401);
    let copy = ask(address, "GET", backup::PATH, &token, None).await;
    assert_eq!(copy.0, 200);
    let left = std::fs::read_dir(data.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("backup-"));
    assert_eq!(left.count(), 0, "no copy is left beside the data");
    stop(server).await;

    let restored = tempfile::tempdir().unwrap();
    std::fs::write(restored.path().join("bellwire.db"), &copy.1).unwrap();
    std::fs::copy(keys::kept_file(data.path()), keys::kept_file(restored.path())).unwrap();
    let again = serve(config(restored.path())).await.unwrap();
    assert_eq!(
        ask(again.address, "GET", "/api/v1/app/shop", &token, None).await.json()["name"],
        "Shop"
    );
    stop(again).await;
}

#[tokio::test]
async fn a_configured_main_secret_takes_over_from_the_kept_one() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let (address, token) = (server.address, token(&server));
    ask(
        address,
        "POST",
        "/api/v1/app",
        &token,
        Some(json!({ "name": "Shop", "uid": "shop" })),
    )
    .await;
    let endpoint = json!({ "url": "http://127.0.0.1:9099/", "uid": "e" });
    assert_eq!(
        ask(address, "POST", "/api/v1/app/shop/endpoint", &token, Some(endpoint))
            .await
            .0,
        201
    );
    stop(server).await;
    let configured = || {
        let mut config = config(data.path());
        config.secrets.main_secret = Some(Hidden::new("configured-configured-configured-0"));
        config
    };
    stop(serve(configured()).await.unwrap()).await;
    std::fs::remove_file(keys::kept_file(data.path())).unwrap();
    let server = serve(configured()).await.unwrap();
    let secret = ask(
        server.address,
        "GET",
        "/api/v1/app/shop/endpoint/e/secret",
        &token,
        None,
    )
    .await;
    assert!(
        secret.json()["key"].as_str().unwrap().starts_with("whsec_"),
        "{}",
        secret.text()
    );
    stop(server).await;
    // Without it the store stays shut, and says so.
    let refused = serve(config(data.path())).await.err().unwrap().to_string();
    assert!(refused.contains("previous_main_secrets"), "{refused}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_and_nothing_is_made() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = config(&data.path().join("data"));
    settings.http.listen = taken.local_addr().unwrap();
    let refused = serve(settings).await.err().unwrap().to_string();
    assert!(
        refused.contains(&taken.local_addr().unwrap().to_string()) && refused.contains("listen"),
        "{refused}"
    );
    assert!(!data.path().join("data").exists());
}

#[tokio::test]
async fn a_store_in_use_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let refused = serve(config(data.path())).await.err().unwrap();
    assert!(matches!(refused, ServeError::Open(OpenError::InUse(_))), "{refused}");
    stop(server).await;
}
