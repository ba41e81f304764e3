//! Answers: what a provider is told, in the API's style where it is an error.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use bellwire_listen::Answer;
use serde_json::json;

/// An answer of a provider's row: to a handshake, or to an event that is kept.
pub(crate) fn of(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// An error: `{"code", "detail"}`.
pub(crate) fn error(status: u16, code: &str, detail: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(json!({ "code": code, "detail": detail }).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == 405 {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// The server cannot take it now; the sender is asked to come back.
pub(crate) fn later(code: &str, detail: &str, again: Duration) -> Response<Body> {
    let mut response = error(503, code, detail);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(again.as_secs().max(1)));
    response
}
