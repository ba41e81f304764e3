//! A small blocking client of the Bellwire API.
//!
//! Called by the commands that talk to a server. It adds the token, the user agent and the time limits, and turns what
//! goes wrong into a [`Failure`]. It never retries and never re-serialises an answer: commands get the text as it came.

mod error;
mod page;
mod path;

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use http::{Method, Request, header};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, BodyReader,
    tls::{PemItem, RootCerts, TlsConfig, TlsProvider},
};

pub use error::ApiError;
pub use page::{Page, PageArgs, Query, WalkArgs};
pub use path::{path, source_path};

use super::{Globals, exit::Failure};
use crate::serve::private;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a whole request may take, the answer included.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a stream may be silent; servers send a comment more often than this.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a server may take to prepare what is downloaded.
const PREPARATION: Duration = Duration::from_secs(3_600);
/// No answer of the API is larger: 250 messages of a mebibyte each.
const ANSWER_BYTES_MAX: u64 = 300 * 1024 * 1024;

/// The client: one server, one token.
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// What the server answered to a request that succeeded.
#[derive(Debug)]
pub struct Answer {
    /// The status, 2xx.
    pub status: u16,
    /// The body as it came; empty for 204.
    pub text: String,
}

impl Answer {
    /// The body, decoded.
    ///
    /// # Errors
    /// When it is not what the API documents, which says that the server is not a Bellwire server.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text)
            .map_err(|error| Failure::Failed(format!("the server's answer is not what was expected: {error}")))
    }
}

impl Client {
    /// A client as the global options describe it. The token is `--token`, else the file that `serve --dev` leaves.
    ///
    /// # Errors
    /// A usage failure when the URL or the certificate file is wrong.
    pub fn new(globals: &Globals) -> Result<Self, Failure> {
        let base = base_url(&globals.url)?;
        let token = globals.token.clone().filter(|token| !token.is_empty()).or_else(|| {
            let saved = fs::read_to_string(globals.data_dir.join("admin-token")).ok()?;
            Some(saved.trim().to_owned()).filter(|token| !token.is_empty())
        });
        if token
            .as_deref()
            .is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Failure::usage(
                "the token contains a space or another character that a header cannot carry",
            ));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("bellwire-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .tls_config(tls(globals)?);
        // A proxy named in the environment is for the world outside, never for this machine.
        if is_loopback(&base) {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            base,
            token,
        })
    }

    /// The server's base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn get(&self, path: &str, query: &Query) -> Result<Answer, Failure> {
        self.send(Method::GET, &query.after(path), None, &[])
    }

    /// A DELETE.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn delete(&self, path: &str, query: &Query) -> Result<Answer, Failure> {
        self.send(Method::DELETE, &query.after(path), None, &[])
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn write<T: Serialize + ?Sized>(&self, method: Method, path: &str, body: &T) -> Result<Answer, Failure> {
        self.write_with(method, path, body, &[])
    }

    /// A request with a JSON body and further headers.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn write_with<T: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        body: &T,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::usage(format!("cannot write JSON: {error}")))?;
        self.send(method, path, Some(body), headers)
    }

    /// One request to `path` (with its query), answered 2xx.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] when there was no answer, [`Failure::Api`] when it is not 2xx.
    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent = &self.agent;
        let answered = match body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
                let request = request.map_err(|error| Failure::usage(format!("bad request: {error}")))?;
                agent.run(agent.configure_request(request).timeout_global(Some(WHOLE)).build())
            }
            None => {
                let request = request
                    .body(())
                    .map_err(|error| Failure::usage(format!("bad request: {error}")))?;
                agent.run(agent.configure_request(request).timeout_global(Some(WHOLE)).build())
            }
        };
        let mut response = answered.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let read = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string();
        let text = read.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(Answer { status, text });
        }
        Err(self.refused(status, &text).into())
    }

    /// Opens an event stream and hands out its bytes as they come.
    ///
    /// # Errors
    /// As for other requests; reading fails when the stream is silent for longer than a minute and a half.
    pub fn stream(&self, path: &str, query: &Query) -> Result<BodyReader<'static>, Failure> {
        let request = self
            .request(Method::GET, &query.after(path))
            .header(header::ACCEPT, "text/event-stream")
            .body(())
            .map_err(|error| Failure::usage(format!("bad request: {error}")))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_per_read(Some(SILENCE))
            .build();
        let mut response = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_with_config().limit(u64::MAX).reader());
        }
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap_or_default();
        Err(self.refused(status, &text).into())
    }

    /// Downloads a large answer, asked for with one more header, into a file that is not there yet, for its owner only. What is left of a download that broke
    /// off is removed.
    ///
    /// # Errors
    /// As for other requests, and those of the file.
    pub fn download(&self, path: &str, header: (&str, &str), to: &Path) -> Result<(), Failure> {
        let request = self.request(Method::GET, path).header(header.0, header.1).body(());
        let request = request.map_err(|error| Failure::usage(format!("bad request: {error}")))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_per_read(Some(PREPARATION))
            .build();
        let mut response = self.agent.run(request).map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            let text = response.body_mut().read_to_string().unwrap_or_default();
            return Err(match status {
                421 => Failure::Failed(format!(
                    "the server at {} is not the one that was asked for; nothing was copied",
                    self.base
                )),
                _ => self.refused(status, &text).into(),
            });
        }
        let cannot = |error: io::Error| Failure::Failed(format!("cannot write {}: {error}", to.display()));
        let mut file = private::create(to).map_err(cannot)?;
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        io::copy(&mut body, &mut file)
            .and_then(|_| file.sync_all())
            .map_err(|error| {
                // Half a file is worse than none.
                let _ = fs::remove_file(to);
                Failure::Failed(format!("the download broke off: {error}; the server's log says more"))
            })
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    fn refused(&self, status: u16, text: &str) -> ApiError {
        let error = ApiError::decode(status, text).at_server(&self.base);
        match status {
            401 if self.token.is_none() => error.with_hint(
                "no token was given: pass --token, set BELLWIRE_TOKEN, or name a development server's directory with --data",
            ),
            300..=399 => error.with_hint("the server redirects; give its final address with --url"),
            _ => error,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::Unreachable {
            url: self.base.clone(),
            reason: reason(error),
        }
    }
}

/// Why there was no answer, in the words of who has to do something about it.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "connection refused; is `bellwire serve` running there?".to_owned()
        }
        ureq::Error::Timeout(phase) => format!("timed out ({phase})"),
        ureq::Error::HostNotFound => "the host name does not resolve".to_owned(),
        other => {
            let text = other.to_string();
            let hint = if text.contains("UnknownIssuer") {
                "; name its authority with --ca-cert"
            } else {
                ""
            };
            format!("{text}{hint}")
        }
    }
}

/// TLS with the ring provider, trusting the public roots or those of `--ca-cert`.
fn tls(globals: &Globals) -> Result<TlsConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider);
    let Some(path) = &globals.ca_cert else {
        return Ok(config.build());
    };
    let pem = fs::read(path).map_err(|error| Failure::Usage(format!("cannot read `{}`: {error}", path.display())))?;
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(Failure::Usage(format!("`{}` is not PEM: {error}", path.display()))),
        }
    }
    if roots.is_empty() {
        return Err(Failure::Usage(format!("`{}` holds no certificate", path.display())));
    }
    Ok(config.root_certs(RootCerts::from(roots)).build())
}

/// The URL as requests start with it. `/api/v1` at its end is forgiven: that is what SDKs are not given either.
fn base_url(text: &str) -> Result<String, Failure> {
    let fail = |why: &str| Failure::Usage(format!("--url `{text}` {why}; write it like http://127.0.0.1:8071"));
    let url: http::Uri = text.trim().parse().map_err(|_| fail("is not a URL"))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(fail("does not start with http:// or https://"));
    }
    if url.query().is_some()
        || url
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(fail("must not have a query or a user name"));
    }
    let text = text.trim().trim_end_matches('/');
    Ok(text.strip_suffix("/api/v1").unwrap_or(text).to_owned())
}

/// Whether the URL names this machine.
fn is_loopback(base: &str) -> bool {
    let Ok(url) = base.parse::<http::Uri>() else {
        return false;
    };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Captured, Scripted, session};

    #[test]
    fn a_request_carries_token_user_agent_and_body() {
        let server = Scripted::answering(vec![(201, r#"{"id":"app_1"}"#)]);
        let session = server.session(&Captured::default(), false);
        let body = serde_json::json!({"name": "n"});
        let answer = session.client.write(Method::POST, &path(&["app"]), &body).unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (201, r#"{"id":"app_1"}"#));
        let seen = server.seen().remove(0);
        assert_eq!(seen.line, "POST /api/v1/app");
        assert_eq!(seen.body, r#"{"name":"n"}"#);
        assert!(seen.head.contains("authorization: bearer test-token"), "{}", seen.head);
        assert!(seen.head.contains("user-agent: bellwire-cli/"), "{}", seen.head);
        assert!(seen.head.contains("content-type: application/json"), "{}", seen.head);
    }

    #[test]
    fn an_error_answer_becomes_a_failure_with_its_text() {
        let body = r#"{"code":"not_found","detail":"no application `x`","docs":"https://e/not_found"}"#;
        let server = Scripted::answering(vec![(404, body)]);
        let session = server.session(&Captured::default(), false);
        let failure = session.client.get(&path(&["app", "x"]), &Query::default()).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.to_string(),
            "not_found (404): no application `x`\nsee https://e/not_found"
        );
    }

    #[test]
    fn the_page_of_an_error_is_named_with_the_server_that_has_it() {
        let server = Scripted::answering(vec![(404, r#"{"code":"not_found","docs":"/docs/errors/not_found"}"#)]);
        let session = server.session(&Captured::default(), false);
        let failure = session.client.get("/api/v1/app/x", &Query::default()).unwrap_err();
        let expected = format!("see {}/docs/errors/not_found", server.url);
        assert!(failure.to_string().ends_with(&expected), "{failure}");
    }

    #[test]
    fn nobody_listening_is_unreachable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let url = format!("http://127.0.0.1:{port}");
        let failure = session(&url, &Captured::default(), false)
            .client
            .get("/api/v1/app", &Query::default())
            .unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains("bellwire serve"), "{failure}");
    }

    #[test]
    fn a_redirect_is_not_followed_with_the_token() {
        let server = Scripted::speaking(vec![
            "HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
        ]);
        let session = server.session(&Captured::default(), false);
        let failure = session.client.get("/api/v1/app", &Query::default()).unwrap_err();
        assert!(failure.to_string().contains("redirects"), "{failure}");
    }

    #[test]
    fn the_base_url_is_forgiving_about_its_end_only() {
        assert_eq!(base_url("http://h:1/").unwrap(), "http://h:1");
        assert_eq!(base_url("https://h/bellwire/api/v1/").unwrap(), "https://h/bellwire");
        for bad in ["h:1", "ftp://h", "", "http://user:pw@h", "http://h?x=1"] {
            assert_eq!(base_url(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        assert!(
            is_loopback("http://127.0.0.1:8071") && is_loopback("http://[::1]:1") && is_loopback("http://localhost")
        );
        assert!(!is_loopback("http://10.0.0.1") && !is_loopback("https://localhost.example.org"));
    }

    #[test]
    fn the_token_file_of_a_development_server_is_the_fallback() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("admin-token"), "saved-token\n").unwrap();
        let mut globals = Globals {
            url: "http://h".into(),
            token: None,
            ca_cert: None,
            data_dir: dir.path().to_owned(),
            json: false,
        };
        assert_eq!(Client::new(&globals).unwrap().token.as_deref(), Some("saved-token"));
        globals.token = Some("given".into());
        assert_eq!(Client::new(&globals).unwrap().token.as_deref(), Some("given"));
    }
}
