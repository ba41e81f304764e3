//! Outgoing signatures: the table of schemes, and the header that carries every live key's signature.
//!
//! The content signed is `{id}.{timestamp}.{body}`, the header `webhook-signature` (and `svix-signature`) holds
//! `version,base64` entries separated by spaces (Standard Webhooks, "Signature scheme"). `deliver` calls
//! [`signature_header`] once per attempt; receivers, `bellwire receive` and `bellwire verify` use [`verify()`] and
//! [`explain()`].
//!
//! A further scheme is one file here and one row in [`SCHEMES`]. [`http`] signs the request itself, beside and with the same keys;
//! [`line`] has the headers that say a message's place in its line. Deliberately absent: signatures of providers other
//! than Standard Webhooks, clocks, and HTTP types.

mod explain;
pub mod http;
mod kept;
pub mod line;
mod mismatch;
mod received;
mod rewrite;
mod signatures;
mod v1;
mod v1a;
mod verify;

use std::cell::OnceCell;

use crate::secret::{KeyKind, SecretError, SigningKey, VerifyingKey};

pub use explain::{BodyChange, Cause, body_change, explain, nth};
pub use kept::{keep, kept};
pub use mismatch::{Malformed, Mismatch};
pub use received::{Family, HeaderSet, Received, SignedHeaders};
pub use signatures::SIGNATURES_MAX;
pub use verify::{TOLERANCE, Verified, verify};

/// Every signature scheme, in the order of `docs` and help.
pub static SCHEMES: &[Scheme] = &[v1::SCHEME, v1a::SCHEME];

/// One signature scheme. The kind of the key decides which scheme signs.
pub struct Scheme {
    /// What stands before the comma in the header, and the value of the setting `default_signature`.
    pub version: &'static str,
    /// The algorithm's name.
    pub name: &'static str,
    /// One line for help and documentation.
    pub about: &'static str,
    /// The kind of key it works with.
    pub key_kind: KeyKind,
    /// Length of a decoded signature, in bytes.
    pub signature_bytes: usize,
    generate: fn([u8; 32]) -> Result<SigningKey, SecretError>,
    append: fn(&SigningKey, &Content<'_>, &mut String) -> bool,
    matches: fn(&VerifyingKey, &Content<'_>, &[&[u8]]) -> bool,
}

impl Scheme {
    /// The scheme of a version (`v1`, `v1a`).
    #[must_use]
    pub fn by_version(version: &str) -> Option<&'static Self> {
        SCHEMES.iter().find(|scheme| scheme.version == version)
    }

    /// A new key for this scheme from 32 random bytes; a shared secret takes the first 24.
    ///
    /// # Errors
    /// See [`SigningKey::generate_asymmetric`].
    pub fn generate(&self, entropy: [u8; 32]) -> Result<SigningKey, SecretError> {
        (self.generate)(entropy)
    }
}

impl std::fmt::Debug for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scheme({} {})", self.version, self.name)
    }
}

/// The value of the signature header: one `version,base64` per key, separated by spaces, in the order given. Callers
/// pass the newest key first, because some receivers look no further than the first entry. `timestamp_secs` is Unix
/// time and must equal the timestamp header. Empty when `keys` is empty.
#[must_use]
pub fn signature_header(keys: &[&SigningKey], id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let timestamp = timestamp_secs.to_string();
    let content = Content::standard(id, &timestamp, body);
    // `v1,` and 44 characters of base64 fill 48 with the space; v1a needs more and grows once.
    let mut header = String::with_capacity(keys.len() * 48);
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        // Every kind of key has its row: a test of the table says so.
        let _ = SCHEMES.iter().any(|scheme| (scheme.append)(key, &content, &mut header));
    }
    header
}

/// What is signed, in pieces, so that a hash can be fed without copying the body.
struct Content<'a> {
    parts: [&'a [u8]; 5],
    whole: OnceCell<Vec<u8>>,
}

impl<'a> Content<'a> {
    /// `{id}.{timestamp}.{body}`.
    fn standard(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> Self {
        Self::of([id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
    }

    fn of(parts: [&'a [u8]; 5]) -> Self {
        Self {
            parts,
            whole: OnceCell::new(),
        }
    }

    /// The contiguous form that Ed25519 needs (it hashes twice); copied once, however many keys ask.
    fn whole(&self) -> &[u8] {
        self.whole.get_or_init(|| self.parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PAIR: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn every_kind_of_key_has_one_scheme_and_versions_are_unique() {
        for kind in [KeyKind::Symmetric, KeyKind::Asymmetric] {
            assert_eq!(
                SCHEMES.iter().filter(|scheme| scheme.key_kind == kind).count(),
                1,
                "{kind}"
            );
        }
        for scheme in SCHEMES {
            assert!(std::ptr::eq(Scheme::by_version(scheme.version).unwrap(), scheme));
            assert!(!scheme.version.contains([' ', ',']));
        }
        assert!(Scheme::by_version("v2").is_none());
    }

    #[test]
    fn a_key_generated_for_a_scheme_signs_with_that_scheme() {
        for scheme in SCHEMES {
            let key = scheme.generate([9; 32]).unwrap();
            assert_eq!(key.kind(), scheme.key_kind);
            let header = signature_header(&[&key], "msg_1", 1_700_000_000, b"{}");
            assert!(header.starts_with(&format!("{},", scheme.version)), "{header}");
        }
    }

    #[test]
    fn every_live_key_signs_in_the_order_given() {
        let old = SigningKey::parse(SECRET).unwrap();
        let new = SigningKey::parse(PAIR).unwrap();
        let both = signature_header(
            &[&new, &old],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            both,
            "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ== \
             v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(signature_header(&[], "msg_1", 0, b""), "");
    }
}
