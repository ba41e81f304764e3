//! Algorithms and keys: what a setting's text decodes to, and whether a signature is of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use bellwire_core::secret::VerifyingKey;
use ring::hmac;
use ring::rand::SecureRandom;
use ring::signature::{self, UnparsedPublicKey};
use subtle::ConstantTimeEq as _;

use crate::der::{self, Kind};
use crate::encoding::unhex;
use crate::provider::{Form, Setting};
use crate::settings::SettingsError;
use crate::template::Pieces;

/// How content is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    Ed25519,
    /// ECDSA with P-256 and SHA-256, the signature in DER.
    P256,
    /// ECDSA with P-256 and SHA-256, the signature as 64 bytes (JOSE).
    P256Fixed,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-1, which old versions of some providers use.
    RsaSha1,
}

/// The shared-key algorithms, by the value of the setting `alg`.
pub(crate) const HMACS: &[(&str, Algorithm)] = &[
    ("sha256", Algorithm::HmacSha256),
    ("sha1", Algorithm::HmacSha1),
    ("sha512", Algorithm::HmacSha512),
];

impl Algorithm {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha512 => "HMAC-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::P256 | Self::P256Fixed => "ECDSA P-256",
            Self::RsaSha256 => "RSA-SHA256",
            Self::RsaSha1 => "RSA-SHA1",
        }
    }

    /// The length of a signature in bytes, where it is fixed.
    pub(crate) fn signature_bytes(self) -> Option<usize> {
        match self {
            Self::HmacSha1 => Some(20),
            Self::HmacSha256 => Some(32),
            Self::HmacSha512 | Self::Ed25519 | Self::P256Fixed => Some(64),
            Self::P256 | Self::RsaSha256 | Self::RsaSha1 => None,
        }
    }

    pub(crate) fn is_hmac(self) -> bool {
        self.hmac().is_some()
    }

    fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HmacSha1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::HmacSha256 => Some(hmac::HMAC_SHA256),
            Self::HmacSha512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// The tag of a shared key.
    pub(crate) fn tag(self, key: &[u8], content: &Pieces<'_>) -> Option<Vec<u8>> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(self.hmac()?, key));
        content.iter().for_each(|piece| context.update(piece));
        Some(context.sign().as_ref().to_vec())
    }

    /// Whether one of the signatures is of this key: one pass over the content, whole values compared in constant time.
    pub(crate) fn matches(self, key: &[u8], content: &Pieces<'_>, signatures: &[Vec<u8>]) -> bool {
        if let Some(tag) = self.tag(key, content) {
            return signatures
                .iter()
                .any(|signature| tag.as_slice().ct_eq(signature).into());
        }
        let algorithm: &dyn signature::VerificationAlgorithm = match self {
            Self::Ed25519 => &signature::ED25519,
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P256Fixed => &signature::ECDSA_P256_SHA256_FIXED,
            Self::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let whole = content.concat();
        let key = UnparsedPublicKey::new(algorithm, key);
        signatures.iter().any(|signature| key.verify(&whole, signature).is_ok())
    }

    /// Signs as the provider would. `private` is PKCS #8 in PEM for key pairs.
    pub(crate) fn sign(self, key: &[u8], content: &Pieces<'_>, random: &dyn SecureRandom) -> Result<Vec<u8>, String> {
        if let Some(tag) = self.tag(key, content) {
            return Ok(tag);
        }
        let der = std::str::from_utf8(key)
            .ok()
            .and_then(|text| der::pem(text, "PRIVATE KEY"))
            .ok_or("it is no PKCS #8 private key in PEM (`-----BEGIN PRIVATE KEY-----`)")?;
        let whole = content.concat();
        let rejected = |error: ring::error::KeyRejected| format!("it is no {} key: {error}", self.words());
        let failed = |_| "signing failed".to_owned();
        match self {
            Self::Ed25519 => {
                let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(rejected)?;
                Ok(pair.sign(&whole).as_ref().to_vec())
            }
            Self::P256 | Self::P256Fixed => {
                let scheme = if self == Self::P256 {
                    &signature::ECDSA_P256_SHA256_ASN1_SIGNING
                } else {
                    &signature::ECDSA_P256_SHA256_FIXED_SIGNING
                };
                let pair = signature::EcdsaKeyPair::from_pkcs8(scheme, &der, random).map_err(rejected)?;
                Ok(pair.sign(random, &whole).map_err(failed)?.as_ref().to_vec())
            }
            Self::RsaSha256 => {
                let pair = signature::RsaKeyPair::from_pkcs8(&der).map_err(rejected)?;
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, random, &whole, &mut out)
                    .map_err(failed)?;
                Ok(out)
            }
            _ => Err("nothing signs with SHA-1 any more".into()),
        }
    }
}

/// A decoded key.
#[derive(Clone)]
pub(crate) enum Key {
    /// A shared key's bytes, or a public key in the form the algorithm wants.
    Bytes(Vec<u8>),
    /// A Standard Webhooks key.
    Standard(VerifyingKey),
    /// JSON Web Keys, as text that parses.
    Jwk(serde_json::Value),
}

impl Key {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// Decodes a setting's value; nothing for settings that are not keys.
    pub(crate) fn decode(setting: &Setting, text: &str) -> Result<Option<Self>, SettingsError> {
        let text = text.trim();
        let wrong = |why: String| SettingsError::Value {
            name: setting.name,
            why,
        };
        let public = |kind: Kind, needs: &str| {
            let key = public_key(text).filter(|key| key.kind == kind);
            key.map(|key| Some(Self::Bytes(key.bytes)))
                .ok_or_else(|| wrong(format!("it must be {needs}")))
        };
        match setting.form {
            Form::Plain => Ok(None),
            Form::Text => Ok(Some(Self::Bytes(text.as_bytes().to_vec()))),
            Form::Ascii if text.is_ascii() => Ok(Some(Self::Bytes(text.as_bytes().to_vec()))),
            Form::Ascii => Err(wrong("only ASCII characters are supported".into())),
            Form::Hex => unhex(text)
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| Some(Self::Bytes(bytes)))
                .ok_or_else(|| wrong("it must be hexadecimal: copy it as the provider shows it".into())),
            Form::Standard => VerifyingKey::parse(text)
                .map(|key| Some(Self::Standard(key)))
                .map_err(|error| wrong(error.to_string())),
            Form::Ed25519 => {
                let raw = unhex(text).or_else(|| STANDARD_PAD_INDIFFERENT.decode(text).ok());
                match raw.filter(|bytes| bytes.len() == 32) {
                    Some(bytes) => Ok(Some(Self::Bytes(bytes))),
                    None => public(
                        Kind::Ed25519,
                        "an Ed25519 public key: 32 bytes in hex or base64, or PEM",
                    ),
                }
            }
            Form::P256 => public(Kind::P256, "an ECDSA P-256 public key in base64 or PEM"),
            Form::Rsa => public(Kind::Rsa, "an RSA public key in base64 or PEM"),
            Form::Jwk => serde_json::from_str(text)
                .map(|value| Some(Self::Jwk(value)))
                .map_err(|error| wrong(format!("it must be a JSON Web Key: {error}"))),
        }
    }
}

/// A SubjectPublicKeyInfo in PEM or bare base64.
fn public_key(text: &str) -> Option<der::PublicKey> {
    let der = der::pem(text, "PUBLIC KEY").or_else(|| STANDARD_PAD_INDIFFERENT.decode(text).ok())?;
    der::public_key(&der)
}
