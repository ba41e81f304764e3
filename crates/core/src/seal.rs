//! Secrets at rest: sealed with a key derived from the operator's `main_secret`, with rotation.
//!
//! The store keeps only blobs made here; `bellwire` builds the [`Keyring`] from the configuration, and
//! `bellwire secrets rotate` re-seals what [`Keyring::needs_reseal`] names. A blob is
//!
//! ```text
//! version (1) ‖ key id (4) ‖ nonce (24) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! XChaCha20-Poly1305 with version, key id and the caller's associated data authenticated, so that a blob moved to
//! another row does not open. Nonces are random and passed in. Deliberately absent: stretching of passwords — the main
//! secret must have the entropy itself — and where it is kept.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use ring::hkdf;

/// First byte of every blob of this format.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES;
/// Shortest main secret, in characters, as for `admin_token`.
pub const MAIN_SECRET_CHARS_MIN: usize = 32;

/// Names a main secret without revealing it: derived from it, shown as 8 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The main secret has too little in it.
    #[error("main_secret has {chars} characters; use at least {MAIN_SECRET_CHARS_MIN} random ones")]
    WeakMainSecret {
        /// Characters after trimming.
        chars: usize,
    },
    /// Sealed under a main secret that the keyring does not hold.
    #[error(
        "sealed with main secret {key_id}, which is not configured; add the old main_secret to previous_main_secrets"
    )]
    UnknownKey {
        /// The id in the blob.
        key_id: KeyId,
    },
    /// The machine gave no randomness for a nonce.
    #[error("the machine gives no randomness; nothing can be sealed")]
    NoRandomness,
    /// Sealed by a newer version.
    #[error("sealed secret has format {version}, this program knows format {VERSION}; run a newer version")]
    UnknownFormat {
        /// The version byte found.
        version: u8,
    },
    /// Too short for a blob.
    #[error("sealed secret has {bytes} bytes, too few to be one; restore the row from a backup")]
    Truncated {
        /// Bytes found.
        bytes: usize,
    },
    /// The key is right and the contents are not.
    #[error(
        "sealed secret does not open with its main secret {key_id}: it was damaged or belongs to another row; restore it from a backup"
    )]
    Damaged {
        /// The id in the blob.
        key_id: KeyId,
    },
    /// The cipher refused the input; it limits plaintexts to 256 GiB.
    #[error("secret is too long to seal")]
    TooLong,
}

/// The key all secrets are sealed with, derived from the operator's `main_secret` by HKDF-SHA256 (RFC 5869).
#[derive(Clone)]
pub struct MainSecret {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl MainSecret {
    /// Derives the key from the operator's text; white space at both ends is not part of it, since files end in a
    /// line break.
    ///
    /// # Errors
    /// [`SealError::WeakMainSecret`] below [`MAIN_SECRET_CHARS_MIN`] characters.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let text = text.trim();
        let chars = text.chars().count();
        if chars < MAIN_SECRET_CHARS_MIN {
            return Err(SealError::WeakMainSecret { chars });
        }
        let main = hkdf::Salt::new(hkdf::HKDF_SHA256, b"bellwire main secret").extract(text.as_bytes());
        let mut key = [0; 32];
        expand(&main, b"seal key", &mut key)?;
        let mut id = [0; KEY_ID_BYTES];
        expand(&main, b"key id", &mut id)?;
        Ok(Self {
            id: KeyId(id),
            cipher: XChaCha20Poly1305::new(&Key::from(key)),
        })
    }

    /// The text form of a new main secret from 32 random bytes: what is written to the data directory and read back
    /// by [`Self::parse`].
    #[must_use]
    pub fn new_text(entropy: [u8; 32]) -> String {
        crate::token::base62(&entropy)
    }

    /// The key of [`Self::new_text`] for the same bytes.
    ///
    /// # Errors
    /// As [`Self::parse`]; not for length.
    pub fn from_bytes(entropy: [u8; 32]) -> Result<Self, SealError> {
        Self::parse(&Self::new_text(entropy))
    }

    /// The id that blobs carry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for MainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MainSecret({}, redacted)", self.id)
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Fails only past 8,160 bytes, which nobody asks for here.
fn expand(main: &hkdf::Prk, info: &[u8], out: &mut [u8]) -> Result<(), SealError> {
    main.expand(&[info], Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| SealError::TooLong)
}

/// The main secret in force, and those it replaced, which still open what they sealed.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// Seals, and opens.
    pub current: MainSecret,
    /// Only open.
    pub previous: Vec<MainSecret>,
}

impl Keyring {
    /// A keyring without a past.
    #[must_use]
    pub fn new(current: MainSecret) -> Self {
        Self {
            current,
            previous: Vec::new(),
        }
    }

    /// Seals with the current main secret. `nonce` is 24 random bytes, never used twice; `aad` says where the secret
    /// belongs (see [`associated_data`]) and must be the same when it is opened.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(&self, plaintext: &[u8], aad: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Vec<u8>, SealError> {
        let mut blob = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + plaintext.len() + TAG_BYTES);
        blob.push(VERSION);
        blob.extend_from_slice(&self.current.id.0);
        let aad = [&blob, aad].concat();
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        let sealed = self
            .current
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::TooLong)?;
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&sealed);
        Ok(blob)
    }

    /// Opens a blob with the main secret it names.
    ///
    /// # Errors
    /// [`SealError`]: which main secret is missing, or that the blob is damaged.
    pub fn open(&self, blob: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        let parts = Parts::of(blob)?;
        let aad = [parts.head, aad].concat();
        let mut found = false;
        // Ids are short: two main secrets may share one, so a failure is final only when all were tried.
        for secret in std::iter::once(&self.current)
            .chain(&self.previous)
            .filter(|secret| secret.id == parts.key_id)
        {
            found = true;
            let payload = Payload {
                msg: parts.sealed,
                aad: &aad,
            };
            if let Ok(plaintext) = secret.cipher.decrypt(&XNonce::from(parts.nonce), payload) {
                return Ok(plaintext);
            }
        }
        let key_id = parts.key_id;
        Err(if found {
            SealError::Damaged { key_id }
        } else {
            SealError::UnknownKey { key_id }
        })
    }

    /// Whether a blob is not sealed with the current main secret in the current format, so that rotation has to open
    /// and seal it again. True also for what is no blob at all: opening it then says why.
    #[must_use]
    pub fn needs_reseal(&self, blob: &[u8]) -> bool {
        Parts::of(blob).map_or(true, |parts| parts.key_id != self.current.id)
    }
}

/// Associated data from its parts (environment, endpoint, version …), each preceded by its length so that no two lists
/// of parts give the same bytes.
#[must_use]
pub fn associated_data(parts: &[&str]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

struct Parts<'a> {
    head: &'a [u8],
    key_id: KeyId,
    nonce: [u8; NONCE_BYTES],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(blob: &'a [u8]) -> Result<Self, SealError> {
        let truncated = SealError::Truncated { bytes: blob.len() };
        match blob.first() {
            None => return Err(truncated),
            Some(&VERSION) => {}
            Some(&version) => return Err(SealError::UnknownFormat { version }),
        }
        let (head, rest) = blob.split_at_checked(HEAD_BYTES).ok_or(truncated.clone())?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(truncated.clone())?;
        let key_id = head[1..].try_into().map_err(|_| truncated.clone())?;
        if sealed.len() < TAG_BYTES {
            return Err(truncated);
        }
        Ok(Self {
            head,
            key_id: KeyId(key_id),
            nonce: *nonce,
            sealed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(byte: u8) -> MainSecret {
        MainSecret::from_bytes([byte; 32]).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_blob_has_the_documented_layout() {
        let ring = Keyring::new(secret(1));
        let blob = ring.seal(b"whsec_", b"env|ep|1", [7; 24]).unwrap();
        assert_eq!(blob.len(), 1 + 4 + 24 + 6 + 16);
        assert_eq!(blob[0], 1);
        assert_eq!(hex(&blob[1..5]), ring.current.id().to_string());
        assert_eq!(blob[5..29], [7; 24]);
        assert_eq!(ring.open(&blob, b"env|ep|1").unwrap(), b"whsec_");
    }

    #[test]
    fn changing_any_byte_or_the_place_it_belongs_to_is_noticed() {
        let ring = Keyring::new(secret(1));
        let blob = ring.seal(b"the secret", b"row 1", [7; 24]).unwrap();
        for i in 0..blob.len() {
            let mut changed = blob.clone();
            changed[i] ^= 1;
            assert!(ring.open(&changed, b"row 1").is_err(), "byte {i}");
        }
        for length in 0..blob.len() {
            assert!(ring.open(&blob[..length], b"row 1").is_err(), "cut to {length}");
        }
        let key_id = ring.current.id();
        assert_eq!(ring.open(&blob, b"row 2"), Err(SealError::Damaged { key_id }));
    }

    #[test]
    fn rotation_opens_the_old_and_seals_with_the_new() {
        let old = Keyring::new(secret(1));
        let blob = old.seal(b"s", b"", [0; 24]).unwrap();
        let ring = Keyring {
            current: secret(2),
            previous: vec![secret(3), secret(1)],
        };
        assert_eq!(ring.open(&blob, b"").unwrap(), b"s");
        assert!(ring.needs_reseal(&blob));
        let resealed = ring.seal(b"s", b"", [1; 24]).unwrap();
        assert!(!ring.needs_reseal(&resealed));
        assert!(ring.needs_reseal(b""));
    }

    #[test]
    fn a_missing_main_secret_is_named_with_what_to_do() {
        let blob = Keyring::new(secret(1)).seal(b"s", b"", [0; 24]).unwrap();
        let error = Keyring::new(secret(2)).open(&blob, b"").unwrap_err();
        assert_eq!(error, SealError::UnknownKey { key_id: secret(1).id() });
        let text = error.to_string();
        assert!(
            text.contains(&secret(1).id().to_string()) && text.contains("previous_main_secrets"),
            "{text}"
        );
    }

    #[test]
    fn two_main_secrets_with_the_same_id_both_open() {
        let mut twin = secret(2);
        twin.id = secret(1).id();
        let blob = Keyring::new(twin.clone()).seal(b"s", b"", [0; 24]).unwrap();
        let ring = Keyring {
            current: secret(1),
            previous: vec![twin],
        };
        assert_eq!(ring.open(&blob, b"").unwrap(), b"s");
    }

    #[test]
    fn another_format_is_not_guessed_at() {
        let ring = Keyring::new(secret(1));
        let mut blob = ring.seal(b"s", b"", [0; 24]).unwrap();
        blob[0] = 2;
        assert_eq!(ring.open(&blob, b""), Err(SealError::UnknownFormat { version: 2 }));
        assert_eq!(ring.open(&[1; 44], b""), Err(SealError::Truncated { bytes: 44 }));
    }

    #[test]
    fn the_main_secret_is_the_text_without_surrounding_white_space() {
        let text = MainSecret::new_text([9; 32]);
        let from_file = MainSecret::parse(&format!("{text}\n")).unwrap();
        assert_eq!(from_file.id(), secret(9).id());
        assert_ne!(secret(9).id(), secret(8).id());
        assert_eq!(
            MainSecret::parse("").unwrap_err(),
            SealError::WeakMainSecret { chars: 0 }
        );
        assert_eq!(
            MainSecret::parse(&" ".repeat(64)).unwrap_err(),
            SealError::WeakMainSecret { chars: 0 }
        );
        assert_eq!(
            MainSecret::parse(&"x".repeat(31)).unwrap_err(),
            SealError::WeakMainSecret { chars: 31 }
        );
    }

    #[test]
    fn associated_data_of_different_parts_differ() {
        assert_ne!(associated_data(&["a", "bc"]), associated_data(&["ab", "c"]));
        assert_ne!(associated_data(&["a"]), associated_data(&["a", ""]));
    }

    #[test]
    fn printing_reveals_neither_main_secret_nor_plaintext() {
        let canary = "canary-canary-canary-canary-canary";
        let ring = Keyring::new(MainSecret::parse(canary).unwrap());
        let blob = ring.seal(canary.as_bytes(), b"", [0; 24]).unwrap();
        let error = ring.open(&blob, b"x").unwrap_err();
        let weak = MainSecret::parse("canary").unwrap_err();
        let shown = format!("{ring:?} {ring:#?} {error} {error:?} {weak} {weak:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!blob.windows(6).any(|window| window == b"canary"));
    }

    proptest! {
        #[test]
        fn open_undoes_seal(
            key in any::<[u8; 32]>(), nonce in any::<[u8; 24]>(),
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            aad in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let ring = Keyring::new(MainSecret::from_bytes(key).unwrap());
            let blob = ring.seal(&plaintext, &aad, nonce).unwrap();
            prop_assert_eq!(ring.open(&blob, &aad).unwrap(), plaintext);
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(blob in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Keyring::new(secret(1)).open(&blob, b"").is_err());
        }
    }
}
