//! Verification of HTTP message signatures (RFC 9421 section 3.2), and what a webhook's must cover.

use std::time::Duration;

use super::base::{Component, Request, signature_base};
use super::fields::{Bare, Item, Member, Params, dictionary};
use super::{CONTENT_DIGEST, COVERED, HttpCause, HttpMismatch, SIGNATURE, SIGNATURE_INPUT, algorithm, digest};
use crate::secret::VerifyingKey;
use crate::sign::signatures::shorten;
use crate::sign::{Content, SCHEMES, SIGNATURES_MAX};

/// A signature that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpVerified {
    /// Its name in the headers.
    pub label: String,
    /// Its algorithm.
    pub algorithm: &'static str,
    /// Which of the keys, by its place in the slice given.
    pub key: usize,
    /// When it was made, Unix time in seconds.
    pub created_secs: i64,
    /// What it covers, in order.
    pub covered: Vec<String>,
}

/// One signature as it came.
#[derive(Debug)]
pub(super) struct Given {
    pub label: String,
    covered: Vec<Item>,
    params: Params,
    bytes: Vec<u8>,
}

impl Given {
    fn param(&self, name: &str) -> Option<&Bare> {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    fn seconds(&self, name: &'static str) -> Result<Option<i64>, HttpMismatch> {
        match self.param(name) {
            None => Ok(None),
            Some(Bare::Integer(seconds)) => Ok(Some(*seconds)),
            Some(_) => Err(HttpMismatch::Parameter { name }),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, HttpMismatch> {
        match self.param(name) {
            None => Ok(None),
            Some(Bare::String(text)) => Ok(Some(text)),
            Some(_) => Err(HttpMismatch::Parameter { name }),
        }
    }

    /// What is covered, with the values that this request has.
    fn components(&self, request: &Request<'_>) -> Result<Vec<Component>, HttpMismatch> {
        let mut components: Vec<Component> = Vec::with_capacity(self.covered.len());
        for item in &self.covered {
            let component = Component::of(request, item.clone())?;
            if components.iter().any(|known| known.item == component.item) {
                return Err(HttpMismatch::Twice {
                    name: shorten(component.name()),
                });
            }
            components.push(component);
        }
        Ok(components)
    }

    /// The key that made it for this request, among those of its algorithm.
    pub(super) fn matching(&self, request: &Request<'_>, keys: &[VerifyingKey]) -> Result<Option<usize>, HttpMismatch> {
        let (base, _) = signature_base(&self.components(request)?, &self.params);
        let content = Content::of([base.as_bytes(), b"", b"", b"", b""]);
        let named = self.text("alg")?;
        Ok(keys.iter().position(|key| {
            let mut schemes = SCHEMES.iter().filter(|scheme| scheme.key_kind == key.kind());
            named.is_none_or(|named| named == algorithm(key.kind()))
                && schemes.any(|scheme| (scheme.matches)(key, &content, &[&self.bytes]))
        }))
    }

    fn verify(
        &self,
        request: &Request<'_>,
        body: &[u8],
        keys: &[VerifyingKey],
        now_secs: i64,
        tolerance: Option<Duration>,
    ) -> Result<HttpVerified, HttpMismatch> {
        let named = self.text("alg")?;
        if let Some(named) = named
            && let Some(first) = keys.first()
            && !keys.iter().any(|key| named == algorithm(key.kind()))
        {
            let algorithm = shorten(named);
            return Err(HttpMismatch::Algorithm {
                algorithm,
                given: first.kind(),
            });
        }
        let key = self
            .matching(request, keys)?
            .ok_or(HttpMismatch::Signature(HttpCause::Unknown))?;
        let covered: Vec<String> = self
            .components(request)?
            .iter()
            .map(|part| part.name().to_owned())
            .collect();
        let needed =
            |name: &&&'static str| name.starts_with('@') || **name == CONTENT_DIGEST || request.header(name).is_some();
        let names: Vec<_> = COVERED
            .iter()
            .filter(needed)
            .filter(|name| !covered.iter().any(|known| known == *name))
            .copied()
            .collect();
        if !names.is_empty() {
            return Err(HttpMismatch::NotCovered { names });
        }
        let created_secs = self
            .seconds("created")?
            .ok_or(HttpMismatch::Parameter { name: "created" })?;
        if let Some(tolerance) = tolerance {
            self.check_age(created_secs, now_secs, tolerance.as_secs())?;
        }
        let header = request.header(CONTENT_DIGEST).unwrap_or_default();
        digest::check(&header, body).map_err(HttpMismatch::Digest)?;
        Ok(HttpVerified {
            label: self.label.clone(),
            algorithm: algorithm(keys[key].kind()),
            key,
            created_secs,
            covered,
        })
    }

    fn check_age(&self, created_secs: i64, now_secs: i64, tolerance_secs: u64) -> Result<(), HttpMismatch> {
        let by_secs = now_secs.abs_diff(created_secs);
        if by_secs > tolerance_secs {
            return Err(if created_secs < now_secs {
                HttpMismatch::TooOld {
                    by_secs,
                    tolerance_secs,
                }
            } else {
                HttpMismatch::TooNew {
                    by_secs,
                    tolerance_secs,
                }
            });
        }
        match self.seconds("expires")? {
            Some(expires) if expires < now_secs => Err(HttpMismatch::Expired {
                by_secs: now_secs.abs_diff(expires),
            }),
            _ => Ok(()),
        }
    }
}

/// The signatures of a request.
pub(super) fn given(request: &Request<'_>) -> Result<Vec<Given>, HttpMismatch> {
    let read = |name: &'static str| {
        let text = request.header(name).ok_or(HttpMismatch::MissingHeader { name })?;
        dictionary(&text).map_err(|(what, at)| HttpMismatch::Malformed { name, what, at })
    };
    let (inputs, signatures) = (read(SIGNATURE_INPUT)?, read(SIGNATURE)?);
    if inputs.is_empty() {
        return Err(HttpMismatch::MissingHeader { name: SIGNATURE_INPUT });
    }
    if inputs.len() > SIGNATURES_MAX {
        return Err(HttpMismatch::TooMany { found: inputs.len() });
    }
    inputs
        .into_iter()
        .map(|(label, input)| {
            let Member::Inner(covered, params) = input else {
                let what = "an entry is not a list of what it covers";
                return Err(HttpMismatch::Malformed {
                    name: SIGNATURE_INPUT,
                    what,
                    at: 1,
                });
            };
            let bytes = signatures.iter().find(|(known, _)| *known == label);
            match bytes {
                Some((
                    _,
                    Member::Item(Item {
                        value: Bare::Bytes(bytes),
                        ..
                    }),
                )) => Ok(Given {
                    label,
                    covered,
                    params,
                    bytes: bytes.clone(),
                }),
                _ => Err(HttpMismatch::NoBytes { label: shorten(&label) }),
            }
        })
        .collect()
}

/// Verifies a request against every live key: one signature that matches is enough, when it covers the method, the URL, the
/// digest of the body, and of content type, `webhook-id`, `webhook-timestamp` and the headers of order those that the request
/// has. `now_secs` is Unix time; `tolerance` is [`crate::sign::TOLERANCE`] for a server, or `None` to leave the age unjudged.
///
/// # Errors
/// [`HttpMismatch`] of the signature that came nearest; one that merely does not match is [`HttpCause::Unknown`] here, ask
/// [`super::explain()`].
pub fn verify(
    request: &Request<'_>,
    body: &[u8],
    keys: &[VerifyingKey],
    now_secs: i64,
    tolerance: Option<Duration>,
) -> Result<HttpVerified, HttpMismatch> {
    if keys.is_empty() {
        return Err(HttpMismatch::NoKey);
    }
    let mut nearest: Option<HttpMismatch> = None;
    for given in given(request)? {
        match given.verify(request, body, keys, now_secs, tolerance) {
            Ok(verified) => return Ok(verified),
            Err(mismatch) => {
                if nearest
                    .as_ref()
                    .is_none_or(|known| distance(&mismatch) < distance(known))
                {
                    nearest = Some(mismatch);
                }
            }
        }
    }
    Err(nearest.unwrap_or(HttpMismatch::MissingHeader { name: SIGNATURE_INPUT }))
}

/// How far a signature is from being accepted: what was refused last came nearest.
fn distance(mismatch: &HttpMismatch) -> u8 {
    match mismatch {
        HttpMismatch::Digest(_) => 0,
        HttpMismatch::TooOld { .. } | HttpMismatch::TooNew { .. } | HttpMismatch::Expired { .. } => 1,
        HttpMismatch::NotCovered { .. } => 2,
        HttpMismatch::Signature(_) => 3,
        HttpMismatch::Algorithm { .. } => 5,
        _ => 4,
    }
}
