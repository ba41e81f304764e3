//! From a request's bytes to a typed body, and from what is wrong with it to words.
//!
//! A body is read in one pass; only when that fails is it read again to find the path of what is wrong. The content type is
//! not asked for: several clients send none. Nothing here knows a resource.

use std::{borrow::Cow, time::Duration};

use axum::body::{Body as HttpBody, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, de::DeserializeOwned};
use serde_path_to_error::{Path, Segment};

use crate::{
    error::{ApiError, BODY_TOO_LARGE, REQUEST_TIMEOUT},
    pressure::BodyBytes,
    problem::Problem,
};

/// How long a body may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);
/// A body that is too large is still read up to so many times the limit, so that the client gets to see the answer.
const DRAIN_FACTOR: usize = 16;

/// Collects a request's body. One whose declared length is too large is refused before anything of it is read; `asked_first`
/// says that its client waits for leave to send it (`Expect: 100-continue`, RFC 9110 section 10.1.1).
///
/// Its bytes are counted as they arrive; `counted` is to be held for as long as they are.
///
/// # Errors
/// `body_too_large` beyond `max` bytes, `request_timeout` when it takes too long, `server_overloaded` when there is no room.
pub async fn collect(
    body: HttpBody,
    max: usize,
    asked_first: bool,
    counted: &mut BodyBytes,
) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > max as u64 {
        leave(body, max, asked_first);
        return Err(too_large(max));
    }
    tokio::time::timeout(ARRIVAL_MAX, collect_at_leisure(body, max, counted))
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::new(
                &REQUEST_TIMEOUT,
                "the body took more than 30 seconds; send it again",
            ))
        })
}

fn too_large(max: usize) -> ApiError {
    let detail = format!("the body is larger than {max} bytes; send less, or raise max_body");
    ApiError::new(&BODY_TOO_LARGE, detail)
}

/// What becomes of the body of a request that is refused before it was read. Most bodies came along with their head: those are
/// read here, because a task of its own would cost more than all the rest of a refusal.
pub fn leave(mut body: HttpBody, max: usize, asked_first: bool) {
    let small = body.size_hint().lower() <= max.saturating_mul(DRAIN_FACTOR) as u64;
    if !small || asked_first {
        return;
    }
    while !body.is_end_stream() {
        match body.frame().now_or_never() {
            Some(Some(Ok(_))) => {}
            // It has ended, or its connection has.
            Some(_) => return,
            None => return drain(body),
        }
    }
}

/// Reads on behind the answer, for as long as a body may take: a connection that is closed while its client still sends would
/// lose the answer on the way.
#[expect(
    clippy::disallowed_methods,
    reason = "ends by itself, with the connection or the time; nobody needs to know how"
)]
fn drain(mut body: HttpBody) {
    let read = async move { while let Some(Ok(_)) = body.frame().await {} };
    drop(tokio::spawn(tokio::time::timeout(ARRIVAL_MAX, read)));
}

async fn collect_at_leisure(mut body: HttpBody, max: usize, counted: &mut BodyBytes) -> Result<Bytes, ApiError> {
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            ApiError::new(
                &REQUEST_TIMEOUT,
                "the connection ended before the body did; send it again",
            )
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > max {
            (first, joined) = (None, BytesMut::new());
            if seen > max.saturating_mul(DRAIN_FACTOR) {
                break;
            }
            continue;
        }
        if let Err(error) = counted.add(data.len()) {
            drop((first, joined));
            drain(body);
            return Err(error);
        }
        // Most bodies come in one piece, which is then kept as it is.
        if let Some(first) = first.take() {
            joined.extend_from_slice(&first);
        }
        if joined.is_empty() {
            first = Some(data);
        } else {
            joined.extend_from_slice(&data);
        }
    }
    if seen > max {
        return Err(too_large(max));
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

/// What an operation reads from the body of its request.
pub trait Body: Sized + Send + 'static {
    /// Reads it.
    ///
    /// # Errors
    /// `validation_failed`, with the path of what is wrong.
    fn read(bytes: Bytes) -> Result<Self, ApiError>;
    /// Its schema; `None` when there is no body.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;
}

/// An operation that looks at no body.
#[derive(Debug, Default)]
pub struct NoBody;

impl Body for NoBody {
    fn read(_: Bytes) -> Result<Self, ApiError> {
        Ok(Self)
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Body for T {
    fn read(bytes: Bytes) -> Result<Self, ApiError> {
        json(&bytes)
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
}

/// Reads a JSON object; an empty body counts as `{}`.
///
/// # Errors
/// `validation_failed`, with the path of what is wrong.
pub fn json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ApiError> {
    let text = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => b"{}".as_slice(),
        Some(b'{') => bytes,
        Some(_) => {
            let problem = Problem::at("body", [], "type_error", "the body must be a JSON object");
            return Err(ApiError::invalid(problem));
        }
    };
    serde_json::from_slice(text).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| explain("body", &error))
            .and_then(|value| {
                let what = "there is more behind the JSON object";
                let trailing = |_| ApiError::invalid(Problem::at("body", [], "json_invalid", what));
                deserializer.end().map_err(trailing).map(|()| value)
            })
    })
}

/// Says what is wrong, and where.
pub fn explain(root: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if inner.is_syntax() || inner.is_eof() {
        let msg = format!("the body is not JSON: {inner}");
        return ApiError::invalid(Problem::at(root, [], "json_invalid", msg));
    }
    let text = inner.to_string();
    // The place is told by the path; line and column say nothing more.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let text = &*in_words(text);
    let mut path = path_of(error.path());
    let quoted = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let (kind, msg) = if text.starts_with("missing field") {
        path.extend(quoted(text));
        ("missing", "this member is required".to_owned())
    } else if let Some(rest) = text.strip_prefix("unknown field ") {
        let name = quoted(text).unwrap_or_default();
        if path.last() != Some(&name) {
            path.push(name);
        }
        let known = rest.split_once(", ").map_or("there are none here", |(_, known)| known);
        ("unknown_field", format!("there is no such member; {known}"))
    } else if text.starts_with("invalid type") {
        ("type_error", text.to_owned())
    } else {
        ("value_error", text.to_owned())
    };
    ApiError::invalid(Problem::at(root, path.iter().map(String::as_str), kind, msg))
}

/// What was expected, as it is called in JSON rather than in this program.
fn in_words(text: &str) -> Cow<'_, str> {
    let Some((before, expected)) = text.rsplit_once(", expected ") else {
        return text.into();
    };
    let words = match expected {
        "a nonzero u16" => "a whole number from 1 to 65535",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => return text.into(),
    };
    format!("{before}, expected {words}").into()
}

fn path_of(path: &Path) -> Vec<String> {
    let name = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    };
    path.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pressure::{Pressure, PublishLimits};
    use serde_json::value::RawValue;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters")]
        name: String,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its types matter")]
    struct Outer {
        name: String,
        list: Option<Vec<Inner>>,
        rate: Option<u16>,
    }

    fn problem(body: &str) -> String {
        format!("{:?}", json::<Outer>(body.as_bytes()).unwrap_err())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (body, loc, kind) in [
            ("{}", r#"["body", "name"]"#, "missing"),
            ("", r#"["body", "name"]"#, "missing"),
            (r#"{"name":7}"#, r#"["body", "name"]"#, "type_error"),
            (r#"{"name":"a","naem":"b"}"#, r#"["body", "naem"]"#, "unknown_field"),
            (
                r#"{"name":"a","list":[{"name":"x"},{"nam":"x"}]}"#,
                r#"["body", "list", "1", "nam"]"#,
                "unknown_field",
            ),
            (
                r#"{"name":"a","list":[{}]}"#,
                r#"["body", "list", "0", "name"]"#,
                "missing",
            ),
            (r#"{"name":"a","rate":70000}"#, r#"["body", "rate"]"#, "value_error"),
            (r#"{"name":"a","name":"b"}"#, r#"["body"]"#, "value_error"),
            (r#"{"name":"a""#, r#"["body"]"#, "json_invalid"),
            (r#"{"name":"a"} x"#, r#"["body"]"#, "json_invalid"),
            ("[]", r#"["body"]"#, "type_error"),
            ("\"text\"", r#"["body"]"#, "type_error"),
        ] {
            let found = problem(body);
            assert!(
                found.contains(&format!("loc: {loc}")) && found.contains(&format!("kind: \"{kind}\"")),
                "{body}: {found}"
            );
        }
        assert!(json::<Outer>(b"{\"name\":\"\xff\"}").is_err());
    }

    #[test]
    fn an_unknown_member_is_told_the_known_ones() {
        let found = problem(r#"{"name":"a","naem":"b"}"#);
        assert!(
            found.contains("`name`") && found.contains("`list`") && found.contains("`rate`"),
            "{found}"
        );
    }

    #[test]
    fn null_counts_as_left_out() {
        assert!(json::<Outer>(br#"{"name":"a","list":null,"rate":null}"#).is_ok());
    }

    #[test]
    fn a_raw_value_is_borrowed_as_it_was_written() {
        #[derive(Debug, Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            payload: &'a RawValue,
        }
        let body = Bytes::from_static(br#"{"payload":  { "b": 1.10, "a":1E+2 } }"#);
        let raw: Raw<'_> = json(&body).unwrap();
        assert_eq!(
            body.slice_ref(raw.payload.get().as_bytes()),
            br#"{ "b": 1.10, "a":1E+2 }"#.as_slice()
        );
        assert!(format!("{:?}", json::<Raw<'_>>(br#"{"payload":}"#).unwrap_err()).contains("json_invalid"));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let body = |bytes: usize| HttpBody::from(vec![b'x'; bytes]);
        let pressure = Arc::new(Pressure::new(PublishLimits::default(), Arc::default()));
        let mut counted = pressure.body();
        assert_eq!(collect(body(10), 10, false, &mut counted).await.unwrap().len(), 10);
        for asked_first in [false, true] {
            let refused = collect(body(11), 10, asked_first, &mut counted).await.unwrap_err();
            assert_eq!(refused.code(), &BODY_TOO_LARGE);
        }
    }

    #[test]
    fn kinds_are_named_as_json_names_them() {
        for (body, words) in [
            (r#"{"name":"a","rate":70000}"#, "a whole number from 0 to 65535"),
            (r#"{"name":"a","rate":"x"}"#, "a whole number from 0 to 65535"),
            (r#"{"name":"a","list":7}"#, "a list"),
            (r#"{"name":"a","list":[7]}"#, "an object"),
        ] {
            let found = problem(body);
            assert!(found.contains(&format!("expected {words}\"")), "{body}: {found}");
        }
        assert_eq!(
            in_words("invalid value: integer `0`, expected a nonzero u16"),
            "invalid value: integer `0`, expected a whole number from 1 to 65535"
        );
    }
}
