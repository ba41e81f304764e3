//! HTTP message signatures (RFC 9421) over the request and a digest of its body (RFC 9530).
//!
//! An additional scheme for endpoints that ask for it: where the signature of Standard Webhooks covers id, timestamp and body,
//! this one also covers where the request goes, what its body is, and a message's place in its line. `deliver` calls [`sign`];
//! `bellwire receive` and `bellwire verify` call [`verify()`] and [`explain()`].
//!
//! Deliberately absent: signed answers, the parameters of components (`sf`, `key`, `bs`, `tr`, `req`, `name`), and algorithms other
//! than those that our keys have. A signature that needs one of them is refused with that reason.

mod base;
mod cause;
mod digest;
mod fields;
mod mismatch;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use self::base::{Component, signature_base};
use self::fields::{Bare, Item};
use crate::secret::{KeyKind, SigningKey, VerifyingKey};

pub use base::Request;
pub use cause::explain;
pub use digest::{DigestMismatch, content_digest};
pub use mismatch::{HttpCause, HttpMismatch};
pub use verify::{HttpVerified, verify};

/// Carries the digest of the body (RFC 9530 section 2).
pub const CONTENT_DIGEST: &str = "content-digest";
/// Says what each signature covers (RFC 9421 section 4.1).
pub const SIGNATURE_INPUT: &str = "signature-input";
/// Carries the signatures (RFC 9421 section 4.2).
pub const SIGNATURE: &str = "signature";
/// The value of the parameter `tag`, by which a receiver finds our signatures among others (RFC 9421 section 2.3).
pub const TAG: &str = "bellwire";

/// What is covered, in this order, as far as the request has it.
const COVERED: &[&str] = &[
    "@method",
    "@target-uri",
    CONTENT_DIGEST,
    "content-type",
    "webhook-id",
    "webhook-timestamp",
    super::line::SEQUENCE,
    super::line::PREVIOUS_SEQUENCE,
    super::line::ORDERING_KEY,
];

/// The values of the two headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSignatures {
    /// Of `signature-input`.
    pub input: String,
    /// Of `signature`.
    pub signature: String,
}

/// Signs a request by every key, as `sig1`, `sig2` and so on in the order given. `request` has its final headers, the digest
/// of its body ([`content_digest`]) among them. `created_secs` is Unix time; `endpoint` begins the name of each key ([`key_id`])
/// and is printable ASCII. Both values are empty when `keys` is empty.
#[must_use]
pub fn sign(request: &Request<'_>, keys: &[&SigningKey], endpoint: &str, created_secs: i64) -> HttpSignatures {
    let covered: Vec<Component> = COVERED
        .iter()
        .filter_map(|name| Component::of(request, Item::of(Bare::String((*name).to_owned()))).ok())
        .collect();
    let mut signed = HttpSignatures {
        input: String::new(),
        signature: String::new(),
    };
    for (at, key) in keys.iter().enumerate() {
        let params = vec![
            ("created".to_owned(), Bare::Integer(created_secs)),
            ("keyid".to_owned(), Bare::String(key_id(endpoint, &key.verifying()))),
            ("alg".to_owned(), Bare::String(algorithm(key.kind()).to_owned())),
            ("tag".to_owned(), Bare::String(TAG.to_owned())),
        ];
        let (base, input) = signature_base(&covered, &params);
        let bytes = raw_signature(key, base.as_bytes());
        let separator = if at == 0 { "" } else { ", " };
        let label = at + 1;
        signed.input.push_str(&format!("{separator}sig{label}={input}"));
        signed
            .signature
            .push_str(&format!("{separator}sig{label}=:{}:", STANDARD.encode(bytes)));
    }
    signed
}

fn raw_signature(key: &SigningKey, base: &[u8]) -> Vec<u8> {
    match (key.hmac(), key.ed25519()) {
        (Some(key), _) => hmac::sign(key, base).as_ref().to_vec(),
        (None, Some(pair)) => pair.sign(base).as_ref().to_vec(),
        // A key is one or the other.
        (None, None) => Vec::new(),
    }
}

/// The name of an algorithm in the registry of RFC 9421 (section 6.2).
fn algorithm(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Symmetric => "hmac-sha256",
        KeyKind::Asymmetric => "ed25519",
    }
}

/// How a key is named in `keyid`: the endpoint's id, a dot, and 16 hexadecimal digits that are the key's own, so that a receiver
/// which exchanges secrets knows which one was used. The digits are the first 8 bytes of HMAC-SHA256 over `keyid`, by the
/// shared secret or by the public key's bytes.
#[must_use]
pub fn key_id(endpoint: &str, key: &VerifyingKey) -> String {
    format!("{endpoint}.{}", fingerprint(key))
}

fn fingerprint(key: &VerifyingKey) -> String {
    let tag = match (key.hmac(), key.public()) {
        (Some(key), _) => hmac::sign(key, b"keyid"),
        (None, public) => {
            let bytes = public.map_or(&[][..], |public| public.as_slice());
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"keyid")
        }
    };
    tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
