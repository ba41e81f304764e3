//! Asking the API: the one way in which a page learns or changes anything.

use axum::{
    Router,
    body::{Body, to_bytes},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::Peer;

/// The longest answer that a page is made of, in bytes.
const ANSWER_MAX: usize = 32 << 20;

/// What the API refused, in its words.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub status: StatusCode,
    pub code: String,
    pub words: String,
    /// What is wrong with which members, where the API says so.
    pub members: Vec<Wrong>,
}

/// What is wrong with one member of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Its path, with dots; empty for the whole.
    pub place: String,
    pub words: String,
}

impl Failure {
    fn broken(words: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal_error".to_owned(),
            words: words.into(),
            members: Vec::new(),
        }
    }

    /// Whether there is no such operation or thing.
    pub fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND || self.status == StatusCode::FORBIDDEN
    }
}

/// An error as the API writes it.
#[derive(Deserialize)]
struct Written {
    code: String,
    detail: Value,
}

impl Written {
    fn members(&self) -> Vec<Wrong> {
        let item = |item: &Value| {
            let place = item["loc"].as_array().into_iter().flatten();
            let place: Vec<_> = place.filter_map(Value::as_str).skip(1).collect();
            Wrong {
                place: place.join("."),
                words: item["msg"].as_str().unwrap_or_default().to_owned(),
            }
        };
        self.detail.as_array().into_iter().flatten().map(item).collect()
    }

    fn words(&self) -> String {
        if let Value::String(words) = &self.detail {
            return words.clone();
        }
        let item = |Wrong { place, words }: Wrong| match place.is_empty() {
            true => words,
            false => format!("{place}: {words}"),
        };
        self.members().into_iter().map(item).collect::<Vec<_>>().join("; ")
    }
}

/// A question to the API.
pub(crate) struct Question<'a> {
    pub method: Method,
    pub path: &'a str,
    pub body: Option<&'a Value>,
    pub token: &'a str,
    pub peer: Option<Peer>,
}

/// Asks; answers whatever comes with a status of success.
///
/// # Errors
/// What the API refused.
pub(crate) async fn ask(api: &Router, question: Question<'_>) -> Result<Response, Failure> {
    let body = question
        .body
        .map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut request = Request::builder()
        .method(question.method)
        .uri(question.path)
        .body(body)
        .map_err(|error| Failure::broken(format!("cannot ask `{}`: {error}", question.path)))?;
    let headers: &mut HeaderMap = request.headers_mut();
    let mut token = HeaderValue::try_from(format!("Bearer {}", question.token))
        .map_err(|_| Failure::broken("the token is not sendable"))?;
    token.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, token);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(peer) = question.peer {
        request.extensions_mut().insert(peer);
    }
    let response = match api.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = to_bytes(response.into_body(), ANSWER_MAX).await.unwrap_or_default();
    Err(match serde_json::from_slice::<Written>(&body) {
        Ok(written) => Failure {
            status,
            words: written.words(),
            members: written.members(),
            code: written.code,
        },
        Err(_) => Failure {
            status,
            code: String::new(),
            words: format!("the API answered {status}"),
            members: Vec::new(),
        },
    })
}

/// Reads an answer; what has no content is `null`.
///
/// # Errors
/// When it is not what the page expects: a defect of ours.
pub(crate) async fn read<T: DeserializeOwned>(path: &str, response: Response) -> Result<T, Failure> {
    let body = to_bytes(response.into_body(), ANSWER_MAX).await;
    let body = body.map_err(|error| Failure::broken(format!("the answer of {path} ended early: {error}")))?;
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(text).map_err(|error| {
        tracing::error!(path, %error, "a page cannot read an answer of the API");
        Failure::broken(format!("the answer of {path} cannot be read: {error}"))
    })
}
