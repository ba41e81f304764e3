//! Seals what is secret before it is written, and opens what is read.
//!
//! Every backend goes through here, so that no file, backup or database of a user's ever holds a signing key or a custom
//! header in the clear.

use bellwire_core::seal::{Keyring, SealError};
use ring::rand::{SecureRandom, SystemRandom};

/// A keyring and a source of nonces.
#[derive(Debug)]
pub struct Vault {
    keyring: Keyring,
    random: SystemRandom,
}

impl Vault {
    /// A vault that seals with the keyring's current secret and opens with any of its secrets.
    pub fn new(keyring: Keyring) -> Self {
        Self {
            keyring,
            random: SystemRandom::new(),
        }
    }

    /// Seals bytes for one place (`context` names it: environment, row, version); they open only there.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; 24];
        self.random.fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        self.keyring.seal(plain, context.as_bytes(), nonce)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// When the secret it was sealed with is not in the keyring, or the bytes are not what was sealed for this place.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        self.keyring.open(sealed, context.as_bytes())
    }

    /// Whether it was sealed with another than the current secret.
    pub fn needs_reseal(&self, sealed: &[u8]) -> bool {
        self.keyring.needs_reseal(sealed)
    }
}
