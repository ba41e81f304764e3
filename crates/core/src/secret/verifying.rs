//! What a receiver holds: a key that checks signatures and, for a key pair, cannot make them.
//!
//! Its tests are beside those of [`SigningKey`], since the two are read from the same texts.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::{KeyKind, PUBLIC_PREFIX, SecretError, SigningKey, Symmetric, check_alphabet, decode, with_prefix};

/// A key that checks signatures: the same shared secret, or only the public half of an Ed25519 pair.
#[derive(Clone)]
pub struct VerifyingKey(Verifying);

#[derive(Clone)]
enum Verifying {
    Symmetric(Arc<Symmetric>),
    Public([u8; 32]),
}

impl VerifyingKey {
    /// Reads any of the three forms: `whsec_…` (prefix optional), `whsk_…` (its public half is used), `whpk_…`.
    ///
    /// # Errors
    /// [`SecretError`], without the secret.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let Some(rest) = text.strip_prefix(PUBLIC_PREFIX) else {
            return SigningKey::parse(text).map(|key| key.verifying());
        };
        check_alphabet(text, rest)?;
        let bytes = decode(rest)?;
        let wrong_size = |_| SecretError::Size {
            found: bytes.len(),
            expected: "32 for a public key",
        };
        Ok(Self(Verifying::Public(
            bytes.as_slice().try_into().map_err(wrong_size)?,
        )))
    }

    pub(super) fn shared(key: Arc<Symmetric>) -> Self {
        Self(Verifying::Symmetric(key))
    }

    pub(super) fn public_half(key: [u8; 32]) -> Self {
        Self(Verifying::Public(key))
    }

    /// The kind of this key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.0 {
            Verifying::Symmetric(_) => KeyKind::Symmetric,
            Verifying::Public(_) => KeyKind::Asymmetric,
        }
    }

    pub(crate) fn hmac(&self) -> Option<&hmac::Key> {
        match &self.0 {
            Verifying::Symmetric(key) => Some(&key.hmac),
            Verifying::Public(_) => None,
        }
    }

    pub(crate) fn public(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Verifying::Symmetric(_) => None,
            Verifying::Public(key) => Some(key),
        }
    }

    /// The base64 text of a shared secret, without prefix: what a sender that forgot to decode it used as the key.
    pub(crate) fn symmetric_text(&self) -> Option<String> {
        match &self.0 {
            Verifying::Symmetric(key) => Some(STANDARD.encode(&key.bytes)),
            Verifying::Public(_) => None,
        }
    }

    /// A symmetric key of arbitrary bytes, without the length rules: for diagnosis only.
    pub(crate) fn from_raw(bytes: &[u8]) -> Self {
        Self(Verifying::Symmetric(Symmetric::new(bytes)))
    }
}

impl From<&SigningKey> for VerifyingKey {
    fn from(key: &SigningKey) -> Self {
        key.verifying()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Verifying::Symmetric(_) => f.write_str("VerifyingKey(whsec_[redacted])"),
            Verifying::Public(key) => write!(f, "VerifyingKey({})", with_prefix(PUBLIC_PREFIX, key)),
        }
    }
}
