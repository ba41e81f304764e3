//! A connection to the server under test, and the few calls that set a run up.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::payload::EVENT_TYPES;
use crate::plan::Endpoint;

/// The longest wait for an answer. A server that accepts a request and never answers is at fault.
const PATIENCE: Duration = Duration::from_secs(30);
/// The application of a run.
pub(crate) const APP: &str = "crash";
/// Waits before each retry: short, so that retries fall between kills, and more than any receiver refuses.
const RETRY_SCHEDULE: [&str; 8] = ["200ms", "300ms", "500ms", "1s", "1s", "2s", "2s", "2s"];

/// Where the server is and who we are.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    token: HeaderValue,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// In words, for a message.
    pub(crate) fn text(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("{} {body}", self.status)
    }
}

/// An open connection; of no more use after an error. It closes when dropped.
pub(crate) struct Conn {
    sender: SendRequest<Full<Bytes>>,
    /// The task that drives it.
    _driver: JoinSet<()>,
}

impl Conn {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        // Its error is the error of the request that it ends.
        tasks.spawn(async move { drop(driver.await) });
        Ok(Self { sender, _driver: tasks })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .context("no answer in time")?
    }
}

impl Server {
    pub(crate) fn new(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut token = HeaderValue::from_str(&format!("Bearer {token}"))?;
        token.set_sensitive(true);
        Ok(Self { address, token })
    }

    /// A request of ours.
    pub(crate) fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, &self.token)
            .header(header::CONTENT_TYPE, "application/json");
        Ok(request.body(Full::new(body))?)
    }

    /// One call over a connection of its own.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let what = format!("{method} {path}");
        let request = self.request(method, path, body)?;
        let answer = async { Conn::open(self.address).await?.send(request).await };
        answer.await.with_context(|| what)
    }

    /// Whether it says that it is ready: the status, or `None` when it does not answer.
    pub(crate) async fn readiness(&self) -> Option<StatusCode> {
        let answer = self.call(Method::GET, "/api/v1/health/ready", &Value::Null).await;
        answer.ok().map(|answer| answer.status)
    }

    /// Makes the event types, the application and its endpoints; `secrets` are what they sign with.
    pub(crate) async fn set_up(&self, plan: &[Endpoint], urls: &[String], secrets: &[String]) -> anyhow::Result<()> {
        for name in EVENT_TYPES {
            self.create(
                "/api/v1/event-type",
                &json!({"name": name, "description": "crash loop"}),
            )
            .await?;
        }
        self.create("/api/v1/app", &json!({"name": APP, "uid": APP})).await?;
        for ((endpoint, url), secret) in plan.iter().zip(urls).zip(secrets) {
            let mut body = json!({
                "url": url,
                "secret": secret,
                "maxInFlight": endpoint.in_flight_max,
                "retrySchedule": RETRY_SCHEDULE,
            });
            if let Some(only) = endpoint.only {
                body["filterTypes"] = json!([EVENT_TYPES[only]]);
            }
            self.create(&format!("/api/v1/app/{APP}/endpoint"), &body).await?;
        }
        Ok(())
    }

    /// Makes something; the answer must be a success.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self.call(Method::POST, path, body).await?;
        anyhow::ensure!(answer.status.is_success(), "POST {path} answered {}", answer.text());
        Ok(())
    }
}
