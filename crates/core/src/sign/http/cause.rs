//! Why an HTTP message signature does not match: what commonly goes wrong, tried one after the other.
//!
//! As [`crate::sign::explain()`], for people who wait for the answer; and a cause is proof, because it is reported only when a
//! signature really matches under it. One is not: [`HttpCause::Changed`] goes by the key's name.

use std::time::Duration;

use super::base::Request;
use super::verify::{Given, given, verify};
use super::{CONTENT_DIGEST, DigestMismatch, HttpCause, HttpMismatch, HttpVerified, digest, fingerprint};
use crate::secret::VerifyingKey;

/// [`verify()`], and when it fails, the cause. `other_keys` are candidates that would not be accepted and are worth naming.
///
/// # Errors
/// As [`verify()`], with the [`HttpCause`] found, or how the body differs from the one that was signed.
pub fn explain(
    request: &Request<'_>,
    body: &[u8],
    keys: &[VerifyingKey],
    other_keys: &[VerifyingKey],
    now_secs: i64,
    tolerance: Option<Duration>,
) -> Result<HttpVerified, HttpMismatch> {
    match verify(request, body, keys, now_secs, tolerance) {
        Err(HttpMismatch::Signature(_)) => Err(HttpMismatch::Signature(cause(request, keys, other_keys)?)),
        Err(HttpMismatch::Digest(DigestMismatch::Body { .. })) => {
            let header = request.header(CONTENT_DIGEST).unwrap_or_default();
            let change = digest::change(&header, body);
            Err(HttpMismatch::Digest(DigestMismatch::Body { change }))
        }
        other => other,
    }
}

fn cause(request: &Request<'_>, keys: &[VerifyingKey], other_keys: &[VerifyingKey]) -> Result<HttpCause, HttpMismatch> {
    let given = given(request)?;
    let made_by = |request: &Request<'_>, keys: &[VerifyingKey]| {
        given
            .iter()
            .find_map(|signature| signature.matching(request, keys).ok().flatten())
    };
    if let Some(index) = made_by(request, other_keys) {
        return Ok(HttpCause::OtherKey { index });
    }
    for url in other_urls(request) {
        let target_uri = url.as_str();
        if made_by(&Request { target_uri, ..*request }, keys).is_some() {
            return Ok(HttpCause::TargetUri { url });
        }
    }
    for method in ["POST", "PUT", "GET"] {
        if method != request.method && made_by(&Request { method, ..*request }, keys).is_some() {
            return Ok(HttpCause::Method { method });
        }
    }
    if given.iter().any(|signature| is_named(signature, keys)) {
        return Ok(HttpCause::Changed);
    }
    Ok(HttpCause::Unknown)
}

/// Whether its `keyid` is how we name one of these keys.
fn is_named(signature: &Given, keys: &[VerifyingKey]) -> bool {
    let Ok(Some(name)) = signature.text("keyid") else {
        return false;
    };
    keys.iter().any(|key| name.ends_with(&format!(".{}", fingerprint(key))))
}

/// What the sender may have called instead: another scheme, the host that a proxy was asked for, a path or query that a proxy
/// or framework changed.
fn other_urls(request: &Request<'_>) -> Vec<String> {
    let (_, authority, path, query) = request.target();
    let forwarded = request.header("x-forwarded-host");
    let host = request.header("host");
    let mut authorities = vec![authority];
    authorities.extend(forwarded.as_deref());
    authorities.extend(host.as_deref());
    let mut paths = vec![path.to_owned()];
    match path.strip_suffix('/') {
        Some(shorter) => paths.push(shorter.to_owned()),
        None => paths.push(format!("{path}/")),
    }
    let mut urls = Vec::new();
    for authority in authorities {
        for scheme in ["https", "http"] {
            for path in &paths {
                for query in [query, ""] {
                    let url = format!("{scheme}://{authority}{path}{query}");
                    if url != request.target_uri && !urls.contains(&url) {
                        urls.push(url);
                    }
                }
            }
        }
    }
    urls
}
