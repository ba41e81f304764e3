//! The few calls that set a scenario up: make an application and its endpoints, and remove it.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::wire::{Answer, Conn};

/// A server that speaks the API: where it is and who we are.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    base_path: String,
    headers: HeaderMap,
}

impl Api {
    /// Resolves `url` (`http://host:port`, perhaps with a path).
    pub(crate) async fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "{url}: only http:// servers can be measured"
        );
        let authority = uri.authority().with_context(|| format!("{url} names no host"))?;
        let address =
            tokio::net::lookup_host((authority.host().trim_matches(['[', ']']), uri.port_u16().unwrap_or(80)))
                .await
                .with_context(|| format!("cannot resolve {url}"))?
                .next()
                .with_context(|| format!("{url} has no address"))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .context("the token holds characters that no header may hold")?;
        headers.insert(header::AUTHORIZATION, bearer);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            address,
            base_path: uri.path().trim_end_matches('/').to_owned(),
            headers,
        })
    }

    /// Makes an application.
    pub(crate) async fn make_app(&self, app: &str) -> anyhow::Result<()> {
        let mut conn = Conn::open(self.address).await?;
        let body = json!({"name": app, "uid": app});
        self.call(&mut conn, Method::POST, "/api/v1/app", &body).await
    }

    /// Makes endpoints of an application, each from its body.
    pub(crate) async fn make_endpoints(&self, app: &str, endpoints: impl Iterator<Item = Value>) -> anyhow::Result<()> {
        let mut conn = Conn::open(self.address).await?;
        let path = format!("/api/v1/app/{app}/endpoint");
        for body in endpoints {
            self.call(&mut conn, Method::POST, &path, &body).await?;
        }
        Ok(())
    }

    /// Makes a source whose webhooks are signed as GitHub signs them; they come in at `/in/{source}`.
    pub(crate) async fn make_source(&self, source: &str, secret: &str) -> anyhow::Result<()> {
        let mut conn = Conn::open(self.address).await?;
        let body = json!({"name": source, "uid": source, "type": "github", "config": {"secret": secret}});
        self.call(&mut conn, Method::POST, "/ingest/api/v1/source", &body).await
    }

    /// Removes a source with what came in there.
    pub(crate) async fn remove_source(&self, source: &str) -> anyhow::Result<()> {
        let mut conn = Conn::open(self.address).await?;
        let path = format!("/ingest/api/v1/source/{source}");
        self.call(&mut conn, Method::DELETE, &path, &Value::Null).await
    }

    /// Where a source's webhooks come in.
    pub(crate) fn source_path(&self, source: &str) -> String {
        format!("{}/in/{source}", self.base_path)
    }

    /// Removes an application and with it what is still to be delivered.
    pub(crate) async fn tear_down(&self, app: &str) -> anyhow::Result<()> {
        let mut conn = Conn::open(self.address).await?;
        self.call(&mut conn, Method::DELETE, &format!("/api/v1/app/{app}"), &Value::Null)
            .await
    }

    /// Where messages of `app` are published.
    pub(crate) fn publish_path(&self, app: &str) -> String {
        format!("{}/api/v1/app/{app}/msg", self.base_path)
    }

    /// What every request carries.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    async fn call(&self, conn: &mut Conn, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let what = format!("{method} {path}");
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base_path).parse()?;
        *request.headers_mut() = self.headers.clone();
        let Answer { status, body, .. } = conn.send(request).await.with_context(|| what.clone())?;
        anyhow::ensure!(
            status.is_success(),
            "{what} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}
