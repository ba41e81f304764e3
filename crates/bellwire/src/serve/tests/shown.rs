//! What a server shows besides the API: metrics, error pages; and what it says that it sends.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_refused_before_it_comes() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let (address, token) = (server.address, token(&server));
    for (bytes, expect) in [
        (2_000_000_u64, ""),
        (2_000_000, "Expect: 100-continue\r\n"),
        (99_999_999_999, ""),
        (99_999_999_999, "Expect: 100-continue\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/v1/app HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: {bytes}\r\n{expect}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 413", "{bytes} {expect}");
    }
    // Who sends all of it before looking gets the answer as well.
    let name = "x".repeat(2_000_000);
    let refused = ask(address, "POST", "/api/v1/app", &token, Some(json!({ "name": name }))).await;
    assert_eq!(refused.0, 413);
    stop(server).await;
}

/// A metric as it is scraped: name, type, help.
struct Metric {
    name: String,
    kind: String,
    help: String,
}

/// The metrics of a page, by the names that samples have (`_total` for counters, `_info` for facts).
fn metrics_of(page: &str) -> Vec<Metric> {
    let after = |start: &str, name: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# {start} {name} ")));
        line.unwrap_or_default().to_owned()
    };
    let names = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let metric = |name: &str| {
        let (kind, help) = (after("TYPE", name), after("HELP", name));
        let end = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        Metric {
            name: format!("{name}{end}"),
            kind,
            help,
        }
    };
    names.map(metric).collect()
}

/// What a server shows that has the store at this URL, or one of its own.
async fn scraped(store: Option<String>) -> String {
    let data = tempfile::tempdir().unwrap();
    let hooks = data.path().join("hooks.yaml");
    fs::write(&hooks, "hooks: {ci: {verify: {bearer: hush}, do: []}}\n").unwrap();
    let mut config = config(data.path());
    config.listener.hooks = Some(hooks);
    config.storage.store = store.map(Hidden::new);
    let server = serve(config).await.unwrap();
    // Some metrics are there once something was asked.
    let (address, token) = (server.address, token(&server));
    ask(address, "GET", "/api/v1/app", &token, None).await;
    assert_eq!(ask(address, "POST", "/in/ci", "", None).await.0, 401);
    let page = ask(address, "GET", "/metrics", "", None).await.text();
    stop(server).await;
    page
}

/// A store that servers can share.
fn shared() -> String {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let schema = format!("shown{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    database::url(database::server().folder(), "bellwire", &schema)
}

/// Names of what is shown of servers that share a store.
const OF_NODES: [&str; 3] = ["bellwire_node_", "bellwire_nodes", "bellwire_store_connections_"];

fn is_of_nodes(name: &str) -> bool {
    OF_NODES.iter().any(|start| name.starts_with(start))
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let page = scraped(None).await;
    let mut shown: BTreeSet<String> = metrics_of(&page).into_iter().map(|metric| metric.name).collect();
    assert!(!shown.iter().any(|name| is_of_nodes(name)), "there is one server here");
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("## Health, metrics and alerts").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = section
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("bellwire_"))
        .map(str::to_owned)
        .collect();
    if database::is_installed() {
        let page = scraped(Some(shared())).await;
        shown.extend(metrics_of(&page).into_iter().map(|metric| metric.name));
    } else {
        eprintln!("skipped in part: `initdb` is missing; install postgresql to look at the metrics of several servers");
        shown.extend(documented.iter().filter(|name| is_of_nodes(name)).cloned());
    }
    assert_eq!(shown, documented, "left: /metrics; right: docs/operating.md");
}

/// <https://prometheus.io/docs/practices/naming>: one prefix, base units, the unit last, `_total` for what is counted.
#[tokio::test]
async fn metrics_are_named_as_prometheus_wants_them() {
    for Metric { name, kind, help } in metrics_of(&scraped(database::is_installed().then(shared)).await) {
        assert!(name.starts_with("bellwire_"), "{name}");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        for unit in ["_ms", "_millis", "_minutes", "_kb", "_mb", "_percent", "_count", "_sum"] {
            assert!(!name.contains(&format!("{unit}_")) && !name.ends_with(unit), "{name}");
        }
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}: a histogram says its unit");
        }
        let help = help.strip_suffix('.').unwrap_or_else(|| panic!("{name}: {help:?}"));
        assert!(
            help.len() > 10 && help.starts_with(char::is_uppercase),
            "{name}: {help}"
        );
    }
}

#[tokio::test]
async fn the_page_that_an_error_names_opens_without_a_token() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let (address, token) = (server.address, token(&server));
    let refused = ask(address, "GET", "/api/v1/app/nobody", &token, None).await;
    assert_eq!(refused.0, 404);
    let docs = refused.json()["docs"].as_str().unwrap().to_owned();
    let page = ask(address, "GET", &docs, "", None).await;
    assert_eq!(page.0, 200, "{docs}");
    assert!(page.text().starts_with("# "), "{}", page.text());
    stop(server).await;
}

#[tokio::test]
async fn the_headers_that_are_shown_with_an_attempt_are_those_that_were_sent() {
    for svix in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", receiver.local_addr().unwrap());
        let mut settings = config(data.path());
        settings.delivery.svix_headers = svix;
        let server = serve(settings).await.unwrap();
        let (address, token) = (server.address, token(&server));
        let post = async |path: &str, body: Value| ask(address, "POST", path, &token, Some(body)).await;
        post("/api/v1/app", json!({ "name": "Shop", "uid": "shop" })).await;
        post("/api/v1/app/shop/endpoint", json!({ "url": url })).await;
        // Written by hand: the receiver waits for these very bytes.
        let payload = serde_json::value::RawValue::from_string("{\"id\": 1.0}".to_owned()).unwrap();
        let body = format!("{{\"eventType\":\"invoice.paid\",\"payload\":{payload}}}");
        let published = publish(address, &token, body);
        let (received, published) = tokio::join!(receive_one(receiver), published);
        let id = published["id"].as_str().unwrap().to_owned();
        let attempts = format!("/api/v1/app/shop/attempt/msg/{id}");
        let attempt = loop {
            let page = ask(address, "GET", &attempts, &token, None).await.json();
            if let Some(attempt) = page["data"][0]["id"].as_str() {
                break attempt.to_owned();
            }
        };
        let path = format!("/api/v1/app/shop/msg/{id}/attempt/{attempt}/headers");
        let shown = ask(address, "GET", &path, &token, None).await;
        let sent = shown.json()["sentHeaders"].as_object().unwrap().clone();
        assert!(!sent.is_empty());
        for (name, value) in &sent {
            let line = format!("{name}: {}", value.as_str().unwrap()).to_ascii_lowercase();
            assert!(received.contains(&line), "{line} not in {received}");
        }
        assert_eq!(sent.keys().any(|name| name.starts_with("svix-")), svix);
        stop(server).await;
    }
}
