//! The one place where an error becomes a status code, and the table of all public error codes.
//!
//! Everything that refuses a request makes an [`ApiError`] from a row of [`CODES`]; `operation` turns it into an answer. The
//! page of a code (`docs/errors/<code>.md`, and `/docs/errors/<code>` on every server) is made from its row by [`page`], so
//! code and page cannot differ. A string of lower-case words joined by underscores in this file is a public code.

use std::time::Duration;

use axum::body::Body;
use bellwire_core::source::Source;
use bellwire_store::{AppendError, StoreError};
use http::{HeaderValue, Response, StatusCode, header};

use crate::problem::Problem;

/// A public error code and its page.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// Stable: programs decide by it.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// The page's heading.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($(#[$about:meta])* $all:ident: $($name:ident = $code:literal, $status:literal, $title:literal, $meaning:literal, $remedy:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: ErrorCode =
                ErrorCode { code: $code, status: $status, title: $title, meaning: $meaning, remedy: $remedy };
        )*
        $(#[$about])*
        pub const $all: &[&ErrorCode] = &[$(&$name),*];
    };
}

codes! {
    /// The codes that only `/in/…` answers, where the API's codes are answered, too: `intake` has them in `door.rs`.
    SOURCE_CODES:
    BODY_MALFORMED = "body_malformed", 400, "Body not what it says it is",
        "The request to a source is its provider's, but its body is not the JSON, XML or form that its content type says, or holds \
         more than is taken apart. Nothing was accepted. Sending the same again has the same answer.",
        "`detail` says where the body goes wrong. The beginning of it is kept: `bellwire source refused NAME` shows it.";
    NOT_VERIFIED = "not_verified", 401, "Not verified",
        "The request to a source could not be shown to be its provider's: it has no signature or token, a wrong one, one that is \
         too old, or it comes from an address that is not allowed. Nothing was accepted.",
        "`bellwire source refused NAME` says what is wrong, in words, and `docs/providers.md` what each reason means. The usual ones: \
         the secret is another one, the provider calls another URL than `public_url`, something changed the body on the way, \
         a clock is wrong.";
    HANDSHAKE_REFUSED = "handshake_refused", 403, "Handshake refused",
        "The provider asked a question before it sends events, and it may not be answered: the verify token is another one, the \
         origin is not allowed, or the source is not armed, so that no stranger can set its secret.",
        "Give the provider the verify token of the source's settings, or set `armed` to `true` and have it ask again.";
    CERTIFICATE_UNAVAILABLE = "certificate_unavailable", 503, "Certificate unavailable",
        "The request to a source is signed with a certificate that its provider publishes, and that cannot be fetched right now. \
         Nothing was accepted, and nothing is lost when it is sent again.",
        "Senders: repeat the request after `Retry-After` seconds. Operators: `detail` says what went wrong; the server must be \
         able to reach the provider's own host over https.";
    SOURCE_UNUSABLE = "source_unusable", 503, "Source unusable",
        "The source is there, but its settings or rules cannot be used, so that no request can be judged. Nothing was accepted, \
         and nothing is lost when it is sent again.",
        "Operators: the server's log and `bellwire source refused NAME` say what is wrong with the source; mend its settings or rules.";
}

codes! {
    /// Every public error code of the API, by status.
    CODES:
    AUTHENTICATION_FAILED = "authentication_failed", 401, "Authentication failed",
        "The request has no `Authorization: Bearer …` header, or the token in it is not known, was deleted, or has expired.",
        "Send a token of this server. The first start prints an admin token; `bellwire token create` makes others. Check that \
         the token was copied whole and belongs to this server.";
    INSUFFICIENT_ACCESS = "insufficient_access", 403, "Insufficient access",
        "The token is valid, but its scope does not cover this operation. Scopes are `admin` (everything), `publish` (messages \
         in), `read` (no changes, no secrets) and `app` (one application only).",
        "Use a token whose scope covers the operation; `detail` says which scopes do.";
    NOT_FOUND = "not_found", 404, "Not found",
        "There is no such thing, or it belongs to another application or environment than the token. The two are not told apart \
         on purpose.",
        "Check the id or uid, and that the token belongs to the environment in which the thing was made.";
    NOT_OFFERED = "not_offered", 404, "Not offered",
        "There is no such operation here. Some operations that client libraries know belong to a hosted product and are not \
         part of this server.",
        "Look at `/api/v1/openapi.json` for everything this server offers.";
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "Method not allowed",
        "The path exists, but not with this HTTP method.",
        "Use one of the methods in the answer's `Allow` header.";
    REQUEST_TIMEOUT = "request_timeout", 408, "Request timeout",
        "The request's body did not arrive in time.",
        "Send the body in one go; check the network in between.";
    UID_TAKEN = "uid_taken", 409, "Name taken",
        "Another thing of the same kind already has this uid or name, which must be unique in its application or environment.",
        "Choose another one, update the existing thing with PUT, or create an application with `get_if_exists=true`.";
    EVENT_TYPE_EXISTS = "event_type_exists", 409, "Event type exists",
        "There is an event type with this name that is not archived.",
        "Update it with PUT or PATCH.";
    EVENT_ID_TAKEN = "event_id_taken", 409, "Event id taken",
        "A message of this application was published with the same `eventId` before. `messageId` in the answer names it. \
         Nothing was published now.",
        "If this is a retry, the first one worked and nothing is left to do. Otherwise give each event its own `eventId`.";
    IDEMPOTENCY_IN_FLIGHT = "idempotency_in_flight", 409, "First request still in flight",
        "Another request with the same `idempotency-key` is still being worked on.",
        "Wait a moment and send the request again: it then gets the first one's answer.";
    PAYLOAD_EXPIRED = "payload_expired", 409, "Payload expired",
        "The message's payload has expired or was expunged, so there is nothing to send again.",
        "Publish the event anew. `payloadRetentionPeriod` on the message says how long a payload is kept.";
    ENDPOINT_DISABLED = "endpoint_disabled", 409, "Endpoint disabled",
        "The endpoint is disabled: nothing is sent to it.",
        "Enable it (`{\"disabled\": false}` with PATCH), then repeat the request.";
    SOURCE_MANAGED = "source_managed", 409, "Source kept in the hooks file",
        "The source is written down in the hooks file (`hooks` in the configuration), which says how it and its endpoints are. \
         A change by the API would be undone when the file is read again.",
        "Change the file: a running server reads it again by itself. Endpoints can be paused, resumed, disabled and enabled \
         by the API, and the URL's token can be replaced.";
    APP_OF_SOURCE = "app_of_source", 409, "Application of a source",
        "The application belongs to a source: what comes in at the source's URL becomes its messages, so nothing is published \
         to it by the API, and it is changed and deleted with its source.",
        "Send requests to the source's `ingestUrl`, or publish to an application of your own. Change or delete the source \
         instead (`/ingest/api/v1/source/…`).";
    BODY_TOO_LARGE = "body_too_large", 413, "Body too large",
        "The request's body is larger than the server takes (`max_body`, 1 MiB by default).",
        "Publish a reference to large data instead of the data, or raise `max_body` in the server's configuration.";
    VALIDATION_FAILED = "validation_failed", 422, "Validation failed",
        "Something in the request is not as it must be. Each item of `detail` says where (`loc`: body or query, then the \
         path), what is wrong (`msg`) and of which kind it is (`type`). Nothing was changed.",
        "Correct what the items name.";
    URL_REFUSED = "url_refused", 422, "URL refused",
        "The endpoint's URL may not be called: it is malformed, or it leads to an address that is not public. Webhooks are \
         only sent to public addresses, so that nobody reaches the server's own network through them.",
        "Use an https URL with a public host name. An operator can allow private ranges with `allow_private`; for \
         development `bellwire serve --dev` allows loopback addresses.";
    PAYLOAD_INVALID = "payload_invalid", 422, "Payload does not fit its schema",
        "The event type has a JSON Schema, the application or environment asks for validation, and the payload does not fit. \
         Each item of `detail` has the path of what is wrong.",
        "Correct the payload, or the schema of the event type, or switch `validatePayloads` off.";
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch", 422, "Idempotency key reused",
        "The same `idempotency-key` was used within the last 12 hours for a request with another body.",
        "Use a new key for every new request; use the same key only to repeat the very same request.";
    QUOTA_EXCEEDED = "quota_exceeded", 429, "Quota exceeded",
        "The application publishes more messages a second than it may (its `publishRate`, or the server's \
         `publish_app_rate`), or too many deliveries are waiting for its endpoints (`publish_app_waiting`). Nothing was \
         accepted. Other applications are not affected.",
        "Repeat the request after `Retry-After` seconds, with the same `idempotency-key`. The headers `RateLimit-Policy` and \
         `RateLimit`, which every answer to a publication has while a rate is in force, say how much is left.";
    INTERNAL_ERROR = "internal_error", 500, "Internal error",
        "The server met a defect of its own, or its store is damaged. It is in the server's log.",
        "Look at the log; run `bellwire check` on the store; report the defect.";
    STORE_UNAVAILABLE = "store_unavailable", 503, "Store unavailable",
        "The server cannot write right now: the disk is full, the directory is not writable, or the database is away. Nothing \
         was accepted or changed.",
        "Repeat the request later (`Retry-After` says when). Operators: the log and `/api/v1/health/ready` say what is wrong.";
    OVERLOADED = "server_overloaded", 503, "Overloaded",
        "The server has as much to do as it takes on: too many publications are under way at once \
         (`publish_max_in_flight`), their bodies take too much memory (`publish_body_bytes_max`), or too many deliveries \
         are waiting (`publish_high_water`). Nothing was accepted.",
        "Repeat the request after `Retry-After` seconds, with the same `idempotency-key`. Operators: \
         `bellwire_requests_refused` in the metrics says which bound it is.";
    ATTEMPT_PENDING = "attempt_pending", 504, "No attempt yet",
        "The test message was accepted, but its first attempt was not over in time: the endpoint is slow, or much waits for it.",
        "Look at the message's attempts a little later; `detail` names the message.";
}

#[derive(Debug)]
enum Detail {
    Text(String),
    Problems(Vec<Problem>),
}

/// Why a request is refused.
#[derive(Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: &'static ErrorCode,
    detail: Detail,
    retry_after_seconds: Option<u32>,
    /// A further member of the answer.
    extra: Option<(&'static str, String)>,
}

impl ApiError {
    /// With a sentence that says what is wrong, with which value, and what to do.
    pub fn new(code: &'static ErrorCode, detail: impl Into<String>) -> Self {
        Self::of(code, Detail::Text(detail.into()))
    }

    /// With the problems of a request that cannot be used.
    pub fn problems(code: &'static ErrorCode, problems: Vec<Problem>) -> Self {
        Self::of(code, Detail::Problems(problems))
    }

    /// One problem with a request that cannot be used.
    pub fn invalid(problem: Problem) -> Self {
        Self::problems(&VALIDATION_FAILED, vec![problem])
    }

    /// There is no such thing.
    pub fn not_found(what: &str, name: &str) -> Self {
        let short: String = name.chars().take(128).collect();
        Self::new(&NOT_FOUND, format!("there is no {what} `{short}`"))
    }

    /// The hooks file says how a source is.
    pub fn managed(source: &Source) -> Self {
        let name = source.uid.clone().unwrap_or_else(|| source.id.to_string());
        Self::new(
            &SOURCE_MANAGED,
            format!("the source `{name}` is kept in the hooks file; change it there"),
        )
    }

    /// A defect of ours; `detail` goes to the log, not to the client.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(error = %detail, "a request failed because of a defect");
        Self::new(&INTERNAL_ERROR, "the server met a defect of its own; its log says more")
    }

    /// The server has as much to do as it takes on.
    pub fn overloaded(why: &str, again: Duration) -> Self {
        Self::for_now(&OVERLOADED, format!("{why}; send the request again later"), again)
    }

    /// The application has used up what it may publish.
    pub fn quota_exceeded(why: String, again: Duration) -> Self {
        Self::for_now(&QUOTA_EXCEEDED, format!("{why}; send the request again later"), again)
    }

    /// Refused now, not for ever: `Retry-After` says when to come back, in whole seconds and at least one.
    fn for_now(code: &'static ErrorCode, detail: String, again: Duration) -> Self {
        let mut error = Self::new(code, detail);
        let seconds = again.as_secs() + u64::from(again.subsec_nanos() > 0);
        error.0.retry_after_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        error
    }

    fn of(code: &'static ErrorCode, detail: Detail) -> Self {
        Self(Box::new(Parts {
            code,
            detail,
            retry_after_seconds: None,
            extra: None,
        }))
    }

    /// Its code.
    pub fn code(&self) -> &'static ErrorCode {
        self.0.code
    }

    /// The answer; `docs_url` is what the links to the pages start with.
    pub fn into_response(self, docs_url: &str) -> Response<Body> {
        self.into_answer(docs_url).map(Body::from)
    }

    /// The same, with its text.
    pub(crate) fn into_answer(self, docs_url: &str) -> Response<String> {
        let Parts {
            code,
            detail,
            retry_after_seconds,
            extra,
        } = *self.0;
        let mut body = serde_json::Map::new();
        body.insert("code".to_owned(), code.code.into());
        let detail = match detail {
            Detail::Text(text) => text.into(),
            Detail::Problems(problems) => serde_json::to_value(problems).unwrap_or_default(),
        };
        body.insert("detail".to_owned(), detail);
        body.insert(
            "docs".to_owned(),
            format!("{}/{}", docs_url.trim_end_matches('/'), code.code).into(),
        );
        if let Some((name, value)) = extra {
            body.insert(name.to_owned(), value.into());
        }
        let mut response = Response::new(serde_json::Value::Object(body).to_string());
        *response.status_mut() = StatusCode::from_u16(code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                let detail = format!("nothing was changed: {why}; try again later");
                Self::for_now(&STORE_UNAVAILABLE, detail, Duration::from_secs(1))
            }
            StoreError::NotFound(what) => Self::new(&NOT_FOUND, format!("{what} was not found")),
            StoreError::Conflict { .. } => Self::new(&UID_TAKEN, format!("{error}; choose another one")),
            StoreError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::EventIdTaken { existing, .. } => {
                let mut taken = Self::new(&EVENT_ID_TAKEN, error.to_string());
                taken.0.extra = Some(("messageId", existing.to_string()));
                taken
            }
            AppendError::IdempotencyMismatch => Self::idempotency_mismatch(),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl ApiError {
    /// The same idempotency key with another body.
    pub fn idempotency_mismatch() -> Self {
        let msg = "this key was used before with another request body; use a new key for a new request";
        let problem = Problem::header("idempotency-key", msg);
        Self::problems(&IDEMPOTENCY_MISMATCH, vec![problem])
    }
}

/// Every code that has a page.
pub fn with_pages() -> impl Iterator<Item = &'static ErrorCode> {
    CODES.iter().chain(SOURCE_CODES).copied()
}

/// The page of a code, in Markdown: what `docs/errors/<code>.md` holds.
pub fn page(code: &ErrorCode) -> String {
    let ErrorCode {
        code,
        status,
        title,
        meaning,
        remedy,
    } = code;
    format!(
        "# {title}\n\n`{code}` · HTTP {status}\n\n{}\n\n## What to do\n\n{}\n",
        wrap(meaning),
        wrap(remedy)
    )
}

/// Breaks a paragraph into lines of at most 118 characters.
fn wrap(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 118 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn codes_are_unique_and_sorted_by_status() {
        let statuses: Vec<_> = CODES.iter().map(|code| code.status).collect();
        assert!(statuses.is_sorted());
        let mut names: Vec<_> = with_pages().map(|code| code.code).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// Run with `BELLWIRE_UPDATE=1` to write the pages.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "asks a developer's wish, not a setting of the program"
    )]
    fn every_code_has_its_page() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for code in with_pages() {
            let file = folder.join(format!("{}.md", code.code));
            if std::env::var_os("BELLWIRE_UPDATE").is_some() {
                std::fs::write(&file, page(code)).unwrap();
            }
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(
                found,
                page(code),
                "{} is not current; run this test with BELLWIRE_UPDATE=1",
                file.display()
            );
        }
    }

    async fn body_of(error: ApiError) -> (u16, serde_json::Value) {
        let response = error.into_response("/docs/errors/");
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn an_error_is_code_detail_and_docs() {
        let (status, body) = body_of(ApiError::not_found("application", "acme")).await;
        assert_eq!(status, 404);
        let expected = serde_json::json!({
            "code": "not_found", "detail": "there is no application `acme`", "docs": "/docs/errors/not_found",
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn every_422_is_a_list_of_problems_with_textual_places() {
        let problem = Problem::body(["channels", "0"], "no");
        for error in [ApiError::invalid(problem), ApiError::idempotency_mismatch()] {
            let (status, body) = body_of(error).await;
            assert_eq!(status, 422);
            let item = &body["detail"][0];
            assert!(item["loc"].as_array().unwrap().iter().all(serde_json::Value::is_string));
            assert!(item["msg"].is_string() && item["type"].is_string() && body["code"].is_string());
        }
    }

    #[tokio::test]
    async fn a_taken_event_id_names_the_first_message() {
        let existing = bellwire_core::id::Id::from_number(7);
        let error = AppendError::EventIdTaken {
            event_id: "e".to_owned(),
            existing,
            overtaken: false,
        };
        let (status, body) = body_of(error.into()).await;
        assert_eq!(
            (status, body["messageId"].as_str()),
            (409, Some(existing.to_string().as_str()))
        );
    }

    #[test]
    fn an_unavailable_store_says_when_to_come_back() {
        let response = ApiError::from(StoreError::Unavailable("disk full".to_owned())).into_response("");
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
