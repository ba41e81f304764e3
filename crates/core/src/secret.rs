//! Signing secrets of endpoints: their text forms, and the key schedule that makes signing cheap.
//!
//! `api` parses what a client gives (or generates one), the store keeps [`SigningKey::expose`] sealed by
//! [`crate::seal`], `deliver` signs with it through [`crate::sign`]. What a receiver holds is a [`VerifyingKey`].
//!
//! Deliberately absent: serde (a secret is never serialised by accident), randomness (entropy is passed in), and the
//! signing itself. Errors name what is wrong and where, never the secret.

mod verifying;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use subtle::ConstantTimeEq as _;

pub use verifying::VerifyingKey;

/// Prefix of a symmetric secret; optional on input, always written.
pub const SYMMETRIC_PREFIX: &str = "whsec_";
/// Prefix of a private Ed25519 key.
pub const PRIVATE_PREFIX: &str = "whsk_";
/// Prefix of a public Ed25519 key.
pub const PUBLIC_PREFIX: &str = "whpk_";

/// Length of a symmetric secret's base64 part, in characters (the API's pattern).
const SYMMETRIC_CHARS: std::ops::RangeInclusive<usize> = 32..=100;
/// Shortest symmetric key, in bytes (Standard Webhooks: 24 to 64; what the API's pattern allows goes up to 75).
const SYMMETRIC_BYTES_MIN: usize = 24;

/// Why a text is not a usable secret. The secret itself is never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A public key where a private or symmetric one is needed.
    #[error("a whpk_ key is public and cannot sign; give the whsec_ secret or the private whsk_ key")]
    PublicKey,
    /// A character outside the standard base64 alphabet.
    #[error(
        "character {position} of the secret is not standard base64 (A-Z a-z 0-9 + / =); \
         pass it as `whsec_` followed by base64, without spaces or line breaks"
    )]
    Character {
        /// Position in the whole text, counted in characters from 1.
        position: usize,
    },
    /// Too short or too long before decoding.
    #[error("the secret's base64 part has {chars} characters; it must have 32 to 100 (24 to 75 bytes encoded)")]
    Length {
        /// Characters found after the prefix.
        chars: usize,
    },
    /// The alphabet is right and it still does not decode.
    #[error("the secret is not complete base64; check that it was copied whole, padding (`=`) included")]
    NotBase64,
    /// It decodes to the wrong number of bytes.
    #[error("the secret decodes to {found} bytes; {expected} are needed")]
    Size {
        /// Bytes after decoding.
        found: usize,
        /// What the kind of key needs, in words.
        expected: &'static str,
    },
    /// Seed and public key in a `whsk_` do not belong together.
    #[error("the private and the public half of the whsk_ key do not belong together; generate a new key")]
    KeyPair,
}

/// The two kinds of signing key. The kind decides the signature scheme ([`crate::sign::SCHEMES`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A shared secret, `whsec_…`.
    Symmetric,
    /// An Ed25519 key pair, `whsk_…` with its public `whpk_…`.
    Asymmetric,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric => "whsec_ (shared secret)",
            Self::Asymmetric => "whsk_/whpk_ (Ed25519)",
        })
    }
}

struct Symmetric {
    bytes: Box<[u8]>,
    hmac: hmac::Key,
}

impl Symmetric {
    fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            bytes: bytes.into(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, bytes),
        })
    }

    fn parse(whole: &str, text: &str) -> Result<Arc<Self>, SecretError> {
        check_alphabet(whole, text)?;
        if !SYMMETRIC_CHARS.contains(&text.len()) {
            return Err(SecretError::Length { chars: text.len() });
        }
        let bytes = decode(text)?;
        if bytes.len() < SYMMETRIC_BYTES_MIN {
            return Err(SecretError::Size {
                found: bytes.len(),
                expected: "at least 24",
            });
        }
        Ok(Self::new(&bytes))
    }
}

struct Asymmetric {
    seed: [u8; 32],
    public: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Asymmetric {
    fn new(seed: [u8; 32]) -> Result<Arc<Self>, SecretError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SecretError::KeyPair)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SecretError::KeyPair)?;
        Ok(Arc::new(Self { seed, public, pair }))
    }

    fn parse(whole: &str, text: &str) -> Result<Arc<Self>, SecretError> {
        check_alphabet(whole, text)?;
        let bytes = decode(text)?;
        let (seed, public) = bytes.split_at_checked(32).unwrap_or((&bytes, &[]));
        let wrong_size = || SecretError::Size {
            found: bytes.len(),
            expected: "64 (seed and public key) or 32 (seed)",
        };
        let key = Self::new(seed.try_into().map_err(|_| wrong_size())?)?;
        match public.len() {
            0 => Ok(key),
            32 if public == key.public => Ok(key),
            32 => Err(SecretError::KeyPair),
            _ => Err(wrong_size()),
        }
    }
}

/// A key that signs what an endpoint is sent, with everything computed that does not depend on the message: a
/// signature costs one pass over the content. Cloning is a reference count. Equality is constant-time.
#[derive(Clone)]
pub struct SigningKey(Signing);

#[derive(Clone)]
enum Signing {
    Symmetric(Arc<Symmetric>),
    Asymmetric(Arc<Asymmetric>),
}

impl SigningKey {
    /// Reads a secret: `whsk_` + base64 of 64 bytes (seed ‖ public key) or of the 32-byte seed, else a symmetric
    /// secret matching the API's pattern `^(whsec_)?[a-zA-Z0-9+/=]{32,100}$`. Missing base64 padding is accepted;
    /// [`Self::expose`] writes the canonical form.
    ///
    /// # Errors
    /// [`SecretError`], which says what to change without repeating the secret.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with(PUBLIC_PREFIX) {
            return Err(SecretError::PublicKey);
        }
        Ok(Self(match text.strip_prefix(PRIVATE_PREFIX) {
            Some(rest) => Signing::Asymmetric(Asymmetric::parse(text, rest)?),
            None => {
                let rest = text.strip_prefix(SYMMETRIC_PREFIX).unwrap_or(text);
                Signing::Symmetric(Symmetric::parse(text, rest)?)
            }
        }))
    }

    /// A new shared secret from 24 random bytes.
    #[must_use]
    pub fn generate_symmetric(entropy: [u8; 24]) -> Self {
        Self(Signing::Symmetric(Symmetric::new(&entropy)))
    }

    /// A new Ed25519 key pair from 32 random bytes (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`SecretError::KeyPair`] when the library refuses the seed; no 32-byte seed is known to be refused.
    pub fn generate_asymmetric(seed: [u8; 32]) -> Result<Self, SecretError> {
        Ok(Self(Signing::Asymmetric(Asymmetric::new(seed)?)))
    }

    /// The kind of this key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.0 {
            Signing::Symmetric(_) => KeyKind::Symmetric,
            Signing::Asymmetric(_) => KeyKind::Asymmetric,
        }
    }

    /// The secret in the clear, `whsec_…` or `whsk_…`: for sealing and for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> String {
        match &self.0 {
            Signing::Symmetric(key) => with_prefix(SYMMETRIC_PREFIX, &key.bytes),
            Signing::Asymmetric(key) => with_prefix(PRIVATE_PREFIX, &[key.seed, key.public].concat()),
        }
    }

    /// `whpk_…`, what a receiver verifies with; none for a shared secret, which has no public form.
    #[must_use]
    pub fn public_form(&self) -> Option<String> {
        match &self.0 {
            Signing::Symmetric(_) => None,
            Signing::Asymmetric(key) => Some(with_prefix(PUBLIC_PREFIX, &key.public)),
        }
    }

    /// What a receiver of this key's signatures holds.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        match &self.0 {
            Signing::Symmetric(key) => VerifyingKey::shared(Arc::clone(key)),
            Signing::Asymmetric(key) => VerifyingKey::public_half(key.public),
        }
    }

    pub(crate) fn hmac(&self) -> Option<&hmac::Key> {
        match &self.0 {
            Signing::Symmetric(key) => Some(&key.hmac),
            Signing::Asymmetric(_) => None,
        }
    }

    pub(crate) fn ed25519(&self) -> Option<&Ed25519KeyPair> {
        match &self.0 {
            Signing::Symmetric(_) => None,
            Signing::Asymmetric(key) => Some(&key.pair),
        }
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Signing::Symmetric(a), Signing::Symmetric(b)) => a.bytes.ct_eq(&b.bytes).into(),
            (Signing::Asymmetric(a), Signing::Asymmetric(b)) => a.seed.ct_eq(&b.seed).into(),
            _ => false,
        }
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({self})")
    }
}

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind() {
            KeyKind::Symmetric => "whsec_[redacted]",
            KeyKind::Asymmetric => "whsk_[redacted]",
        })
    }
}

fn with_prefix(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::from(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text
}

fn decode(text: &str) -> Result<Vec<u8>, SecretError> {
    STANDARD_PAD_INDIFFERENT
        .decode(text)
        .map_err(|_| SecretError::NotBase64)
}

/// `rest` is the end of `whole`; positions are reported in `whole`, where the reader counts.
fn check_alphabet(whole: &str, rest: &str) -> Result<(), SecretError> {
    let bad = rest
        .chars()
        .position(|c| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')));
    match bad {
        None => Ok(()),
        Some(index) => Err(SecretError::Character {
            position: whole.len() - rest.len() + index + 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAIR: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
    const SEED: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn counting_seed() -> [u8; 32] {
        std::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    #[test]
    fn the_symmetric_prefix_is_optional_and_always_written() {
        let bare = SigningKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let prefixed = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(bare, prefixed);
        assert_eq!(bare.expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(bare.public_form(), None);
    }

    #[test]
    fn the_symmetric_length_limits_are_those_of_the_api_pattern() {
        assert!(SigningKey::parse(&"A".repeat(32)).is_ok());
        assert!(SigningKey::parse(&"A".repeat(100)).is_ok(), "75 bytes");
        assert_eq!(
            SigningKey::parse(&"A".repeat(31)),
            Err(SecretError::Length { chars: 31 })
        );
        assert_eq!(
            SigningKey::parse(&"A".repeat(101)),
            Err(SecretError::Length { chars: 101 })
        );
        assert_eq!(SigningKey::parse(""), Err(SecretError::Length { chars: 0 }));
        let short = format!("{}==", "A".repeat(30));
        assert_eq!(
            SigningKey::parse(&short),
            Err(SecretError::Size {
                found: 22,
                expected: "at least 24"
            })
        );
    }

    #[test]
    fn missing_padding_is_accepted_and_completed() {
        let key = SigningKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap();
        assert_eq!(key.expose(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    }

    #[test]
    fn bad_base64_is_refused_with_the_position_or_the_remedy() {
        let dashed = format!("whsec_{}-{}", "A".repeat(10), "A".repeat(30));
        assert_eq!(SigningKey::parse(&dashed), Err(SecretError::Character { position: 17 }));
        let newline = format!("whsec_{}\n", "A".repeat(32));
        assert_eq!(
            SigningKey::parse(&newline),
            Err(SecretError::Character { position: 39 })
        );
        assert_eq!(SigningKey::parse(&"A".repeat(33)), Err(SecretError::NotBase64));
        assert_eq!(SigningKey::parse(&"=".repeat(40)), Err(SecretError::NotBase64));
    }

    #[test]
    fn an_asymmetric_key_is_read_from_pair_or_seed_and_writes_the_pair() {
        for text in [PAIR, SEED] {
            let key = SigningKey::parse(text).unwrap();
            assert_eq!(key.kind(), KeyKind::Asymmetric);
            assert_eq!(key.expose(), PAIR);
            assert_eq!(key.public_form().as_deref(), Some(PUBLIC));
        }
        assert_eq!(SigningKey::generate_asymmetric(counting_seed()).unwrap().expose(), PAIR);
    }

    #[test]
    fn an_asymmetric_key_of_halves_that_differ_or_of_another_size_is_refused() {
        let mut bytes = [counting_seed(), [7; 32]].concat();
        let text = with_prefix(PRIVATE_PREFIX, &bytes);
        assert_eq!(SigningKey::parse(&text), Err(SecretError::KeyPair));
        bytes.pop();
        assert!(matches!(
            SigningKey::parse(&with_prefix(PRIVATE_PREFIX, &bytes)),
            Err(SecretError::Size { found: 63, .. })
        ));
        assert!(matches!(
            SigningKey::parse(&with_prefix(PRIVATE_PREFIX, &[0; 31])),
            Err(SecretError::Size { found: 31, .. })
        ));
        assert!(matches!(
            SigningKey::parse("whsk_"),
            Err(SecretError::Size { found: 0, .. })
        ));
    }

    #[test]
    fn a_public_key_verifies_but_cannot_sign() {
        assert_eq!(SigningKey::parse(PUBLIC), Err(SecretError::PublicKey));
        let from_public = VerifyingKey::parse(PUBLIC).unwrap();
        assert_eq!(from_public.public(), VerifyingKey::parse(PAIR).unwrap().public());
        assert!(matches!(
            VerifyingKey::parse("whpk_AAAA"),
            Err(SecretError::Size { found: 3, .. })
        ));
    }

    #[test]
    fn keys_and_errors_never_print_the_secret() {
        let canary = "CanaryCanaryCanaryCanaryCanaryCa";
        let key = SigningKey::parse(canary).unwrap();
        let printed = format!("{key:?} {key} {key:#?} {:?}", key.verifying());
        assert!(!printed.contains("Canary"), "{printed}");
        assert!(printed.contains("redacted"));
        let pair = SigningKey::parse(PAIR).unwrap();
        let printed = format!("{pair:?} {pair} {:?}", pair.verifying());
        assert!(!printed.contains("AAECAwQF"), "{printed}");
        for bad in [
            format!("{canary}!"),
            "Canary".into(),
            format!("whsk_{canary}"),
            format!("whpk_{canary}"),
        ] {
            let error = VerifyingKey::parse(&bad).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("Canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_expose_for_shared_secrets(bytes in any::<[u8; 24]>()) {
            let key = SigningKey::generate_symmetric(bytes);
            prop_assert_eq!(SigningKey::parse(&key.expose()).unwrap(), key);
        }

        #[test]
        fn parse_undoes_expose_for_key_pairs(seed in any::<[u8; 32]>()) {
            let key = SigningKey::generate_asymmetric(seed).unwrap();
            prop_assert_eq!(SigningKey::parse(&key.expose()).unwrap(), key);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(whsec_|whsk_|whpk_)?.{0,110}") {
            let _ = SigningKey::parse(&text);
            let _ = VerifyingKey::parse(&text);
        }
    }
}
