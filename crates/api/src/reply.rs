//! What an operation answers when all is well: its body, and which of its successes it was.
//!
//! Statuses are said once, in the table of operations; a handler only says whether it went the usual way or the other one.

use std::marker::PhantomData;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::error::ApiError;

/// Which success of an operation's it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The usual one: the first status that the table has for the operation.
    Usual,
    /// The other one, such as 'made' where a thing is usually replaced: the second status.
    Other,
}

impl Outcome {
    /// The status, of those that the table has for the operation.
    fn of(self, statuses: &[u16]) -> u16 {
        let first = statuses.first().copied().unwrap_or(200);
        match self {
            Self::Usual => first,
            Self::Other => statuses.get(1).copied().unwrap_or(first),
        }
    }
}

/// What an operation answers.
pub(crate) trait Answer {
    /// Its schema; `None` when there is no body.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;
}

/// No body at all.
#[derive(Debug)]
pub(crate) enum Nothing {}

impl Answer for Nothing {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

/// An object without members, where clients want to read one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EmptyResponse {}

impl<T: JsonSchema> Answer for T {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
}

/// A successful answer whose body is the JSON of an `O`.
pub(crate) struct Reply<O = Nothing> {
    status: Status,
    body: ReplyBody,
    /// Kept already, so that it can be given again.
    stored: bool,
    of: PhantomData<fn() -> O>,
}

enum Status {
    /// As the table says.
    Of(Outcome),
    /// As it was answered the first time.
    Repeated(u16),
}

enum ReplyBody {
    Bytes(Bytes),
    Stream(Box<Response<HttpBody>>),
}

impl Reply {
    /// Done, and nothing to say about it.
    pub fn nothing() -> Self {
        Self::new(Status::Of(Outcome::Usual), ReplyBody::Bytes(Bytes::new()), false)
    }

    /// An answer that was given before.
    pub fn repeated(status: u16, body: Vec<u8>) -> Self {
        Self::new(Status::Repeated(status), ReplyBody::Bytes(body.into()), true)
    }
}

impl<O> Reply<O> {
    fn new(status: Status, body: ReplyBody, stored: bool) -> Self {
        Self {
            status,
            body,
            stored,
            of: PhantomData,
        }
    }

    /// An answer that is not JSON, or has no end. It cannot be kept.
    pub fn raw(response: Response<HttpBody>) -> Self {
        Self::new(Status::Of(Outcome::Usual), ReplyBody::Stream(Box::new(response)), true)
    }

    /// The same answer under another type: none, or the same without its lifetime.
    pub fn retyped<P>(self) -> Reply<P> {
        Reply::new(self.status, self.body, self.stored)
    }

    /// The same answer, kept by now.
    pub fn kept(self) -> Self {
        Self { stored: true, ..self }
    }

    /// Its status, of those that the table has for the operation.
    pub fn status(&self, statuses: &[u16]) -> u16 {
        match self.status {
            Status::Of(outcome) => outcome.of(statuses),
            Status::Repeated(status) => status,
        }
    }

    /// What is still to be kept, so that it can be given again.
    pub fn unstored(&self) -> Option<&[u8]> {
        match &self.body {
            ReplyBody::Bytes(bytes) if !self.stored => Some(bytes),
            _ => None,
        }
    }

    /// As HTTP, with one of the statuses that the table has for the operation.
    pub fn into_response(self, statuses: &[u16]) -> Response<HttpBody> {
        let status = self.status(statuses).try_into();
        let bytes = match self.body {
            ReplyBody::Stream(response) => return *response,
            ReplyBody::Bytes(bytes) => bytes,
        };
        let json = (!bytes.is_empty()).then(|| HeaderValue::from_static("application/json"));
        let mut response = Response::new(HttpBody::from(bytes));
        if let Ok(status) = status {
            *response.status_mut() = status;
        }
        if let Some(json) = json {
            response.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        response
    }
}

impl<O: Serialize> Reply<O> {
    /// One of the operation's successes.
    ///
    /// # Errors
    /// A defect: what cannot be written as JSON.
    pub fn json(outcome: Outcome, answer: &O) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(answer).map_err(ApiError::internal)?;
        Ok(Self::new(Status::Of(outcome), ReplyBody::Bytes(body.into()), false))
    }

    /// The operation's usual success.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub fn ok(answer: &O) -> Result<Self, ApiError> {
        Self::json(Outcome::Usual, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_the_status_unless_the_answer_is_an_earlier_one() {
        let reply = |outcome| Reply::json(outcome, &EmptyResponse {}).unwrap();
        assert_eq!(reply(Outcome::Usual).status(&[200, 201]), 200);
        assert_eq!(reply(Outcome::Other).into_response(&[200, 201]).status(), 201);
        assert_eq!(reply(Outcome::Other).status(&[204]), 204);
        assert_eq!(Reply::repeated(202, Vec::new()).into_response(&[200]).status(), 202);
    }

    #[test]
    fn only_a_body_has_a_content_type() {
        assert!(
            !Reply::nothing()
                .into_response(&[204])
                .headers()
                .contains_key("content-type")
        );
        let json = Reply::ok(&EmptyResponse {}).unwrap().into_response(&[200]);
        assert_eq!(json.headers()["content-type"], "application/json");
    }
}
