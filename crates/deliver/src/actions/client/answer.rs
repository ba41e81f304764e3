//! Reads an answer within its bounds and judges it.

use std::time::Duration;

use bellwire_core::{attempt::Failure, retry, time::Timestamp};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming, header};

/// So much of an answer's body is read; what comes after it is not waited for.
const READ_MAX: usize = 64 * 1_024;
/// The bytes an answer's headers may take.
pub(super) const HEADER_BYTES_MAX: usize = 32 * 1_024;
/// What is said when there are more, or too many headers.
pub(super) const TOO_LARGE: &str = "the answer's headers are larger than 64 fields or 32 KiB";
/// So many of an answer's headers are kept.
const HEADERS_KEPT: usize = 32;

/// What the receiver said.
#[derive(Debug, Default)]
pub(in crate::actions) struct Answer {
    pub status_code: u16,
    pub headers: Vec<(String, String)>,
    pub excerpt: Bytes,
    pub retry_after: Option<RetryAfter>,
}

/// A `Retry-After` as it came.
#[derive(Debug)]
pub(in crate::actions) struct RetryAfter(String);

impl RetryAfter {
    /// The wait it asks for, counted from `now`; `None` when it makes no sense.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        retry::parse_retry_after(&self.0, now)
    }
}

/// Reads the answer; the flag says whether the connection can be used again.
pub(super) async fn read(response: Response<Incoming>, keep: usize) -> Result<(Answer, bool), Failure> {
    let (parts, mut body) = response.into_parts();
    let status_code = parts.status.as_u16();
    let failed = !parts.status.is_success();
    let retry_after = parts
        .headers
        .get(header::RETRY_AFTER)
        .filter(|_| failed)
        .and_then(|value| value.to_str().ok())
        .map(|value| RetryAfter(value.to_owned()));
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts
        .headers
        .iter()
        .take(HEADERS_KEPT)
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let header_bytes: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if header_bytes > HEADER_BYTES_MAX {
        return Err(Failure {
            reason: "answer_headers_too_large",
            detail: TOO_LARGE.to_owned(),
        });
    }
    let mut excerpt = BytesMut::new();
    let mut read = 0;
    let mut complete = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure {
            reason: "answer_broken",
            detail: format!("the answer ({status_code}) broke off after {read} bytes: {error}"),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        let room = keep.saturating_sub(excerpt.len());
        excerpt.extend_from_slice(&data[..room.min(data.len())]);
        if read > READ_MAX {
            complete = false;
            break;
        }
    }
    let closes = parts
        .headers
        .get(header::CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    Ok((
        Answer {
            status_code,
            headers,
            excerpt: excerpt.freeze(),
            retry_after,
        },
        complete && !closes,
    ))
}

/// Only 2xx is a success.
pub(in crate::actions) fn judge(status_code: u16) -> Option<Failure> {
    let (reason, advice) = match status_code {
        200..=299 => return None,
        300..=399 => ("redirect", "redirects are not followed; save the endpoint's final URL"),
        401 | 403 => (
            "status_unauthorized",
            "the receiver refuses us; check its signing secret or the endpoint's headers",
        ),
        404 => (
            "status_not_found",
            "nothing listens at this path; check the endpoint's URL",
        ),
        410 => (
            "status_gone",
            "the receiver says it is gone for good; the endpoint was disabled",
        ),
        413 => ("status_too_large", "the receiver refuses payloads of this size"),
        100..=199 | 600.. => (
            "status_unexpected",
            "this is no final answer of HTTP; check what listens there",
        ),
        429 => (
            "status_too_many_requests",
            "the receiver asks for fewer requests; set a throttleRate",
        ),
        400..=499 => ("status_4xx", "the receiver refuses the request; its answer may say why"),
        503 => ("status_unavailable", "the receiver is not available; it is tried again"),
        _ => ("status_5xx", "the receiver failed; see its logs at this time"),
    };
    Some(Failure {
        reason,
        detail: format!("the receiver answered {status_code}: {advice}"),
    })
}
