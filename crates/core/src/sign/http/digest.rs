//! `Content-Digest` (RFC 9530): the hash of the body that travels in a header, so that a signature over headers covers it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Algorithm, SHA256, SHA512, digest};

use super::fields::{Bare, Item, Member, dictionary};
use crate::sign::explain::{BodyChange, body_change};

/// The digests that are checked (RFC 9530 section 5, those not deprecated).
static ALGORITHMS: &[(&str, &Algorithm)] = &[("sha-256", &SHA256), ("sha-512", &SHA512)];

/// Why a digest does not prove the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestMismatch {
    /// It is no dictionary of bytes.
    #[error("header content-digest is malformed: {0}")]
    Malformed(&'static str),
    /// It has only algorithms that are unknown or broken.
    #[error("header content-digest has neither sha-256 nor sha-512")]
    Algorithm,
    /// It is the digest of another body.
    #[error("the body is not the one that was signed{}", change.as_ref().map_or_else(String::new, |change| format!(
        ": {change}; verify the raw bytes, before any parser or framework touches them"
    )))]
    Body {
        /// How it differs, where that was looked for and found.
        change: Option<BodyChange>,
    },
}

/// The value of `content-digest` for a body: `sha-256=:…:`.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body)))
}

/// Every digest that is known must be the body's, and one has to be.
pub(super) fn check(header: &str, body: &[u8]) -> Result<(), DigestMismatch> {
    let members = dictionary(header).map_err(|(what, _)| DigestMismatch::Malformed(what))?;
    let mut checked = false;
    for (name, member) in &members {
        let Some((_, algorithm)) = ALGORITHMS.iter().find(|(known, _)| known == name) else {
            continue;
        };
        let Member::Item(Item {
            value: Bare::Bytes(bytes),
            ..
        }) = member
        else {
            return Err(DigestMismatch::Malformed("a digest is base64 between colons"));
        };
        if digest(algorithm, body).as_ref() != bytes.as_slice() {
            return Err(DigestMismatch::Body { change: None });
        }
        checked = true;
    }
    if checked {
        Ok(())
    } else {
        Err(DigestMismatch::Algorithm)
    }
}

/// How the body that was signed differs from this one, by the digest alone.
pub(super) fn change(header: &str, body: &[u8]) -> Option<BodyChange> {
    body_change(body, |other| check(header, other).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 appendix B, and RFC 9421 section 2: both of `{"hello": "world"}`.
    const SHA256_HELLO: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA512_HELLO: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const HELLO: &[u8] = br#"{"hello": "world"}"#;

    #[test]
    fn digests_are_those_of_the_rfc() {
        assert_eq!(content_digest(HELLO), SHA256_HELLO);
        for header in [
            SHA256_HELLO,
            SHA512_HELLO,
            &format!("md5=:aGk=:, {SHA512_HELLO}, {SHA256_HELLO}"),
        ] {
            assert_eq!(check(header, HELLO), Ok(()), "{header}");
            assert_eq!(check(header, b"{}"), Err(DigestMismatch::Body { change: None }));
        }
    }

    #[test]
    fn a_header_that_proves_nothing_is_refused() {
        assert_eq!(check("md5=:aGk=:", HELLO), Err(DigestMismatch::Algorithm));
        assert_eq!(check("", HELLO), Err(DigestMismatch::Algorithm));
        assert!(matches!(check("sha-256=1", HELLO), Err(DigestMismatch::Malformed(_))));
        assert!(matches!(
            check("sha-256=:aGk", HELLO),
            Err(DigestMismatch::Malformed(_))
        ));
        let half = format!("{SHA256_HELLO}, sha-512=:aGk=:");
        assert_eq!(check(&half, HELLO), Err(DigestMismatch::Body { change: None }));
    }

    #[test]
    fn a_body_that_was_rewritten_is_recognised_by_its_digest() {
        assert_eq!(
            change(SHA256_HELLO, b"{\"hello\": \"world\"}\n"),
            Some(BodyChange::NewlineAdded)
        );
        assert!(matches!(
            change(SHA512_HELLO, br#"{"hello":"world"}"#),
            Some(BodyChange::JsonRewritten { .. })
        ));
        assert_eq!(change(SHA256_HELLO, b"{}"), None);
    }
}
