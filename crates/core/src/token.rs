//! API tokens: `bw_<scope>_<id>_<secret>`, and the operator's own `admin_token`.
//!
//! `api` reads what a request presents, looks the token up by id and compares hashes here; the store keeps only
//! [`TokenHash`]. A token's secret has 256 bits, so one SHA-256 is enough: there is nothing to guess.
//!
//! Deliberately absent: what a scope may do (`api`'s decision), look-ups, expiry, randomness (passed in).

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// What every token of ours starts with; secret scanners can look for it.
pub const PREFIX: &str = "bw_";
/// Shortest `admin_token` an operator may set, in characters.
pub const OPAQUE_CHARS_MIN: usize = 32;
/// Longest id part, in characters.
const ID_CHARS_MAX: usize = 64;
/// 32 bytes in base 62: 62^43 is the first power above 2^256.
const SECRET_CHARS: usize = 43;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything in its environment.
    Admin,
    /// Publishing messages.
    Publish,
    /// Reading.
    Read,
    /// One application only (the portal).
    App,
}

impl Scope {
    /// Every scope, for help and choices.
    pub const ALL: &'static [Self] = &[Self::Admin, Self::Publish, Self::Read, Self::App];

    /// The word in the token, the API and the CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::App => "app",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.as_str() == text)
            .ok_or(TokenError::Scope)
    }
}

/// Why a text is not a token. The text is never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not `bw_…` with its four parts.
    #[error("token is not of the form bw_<scope>_<id>_<secret>")]
    Form,
    /// The scope is none of ours.
    #[error("token scope is unknown; it is one of admin, publish, read, app")]
    Scope,
    /// The id has characters or a length that no id has.
    #[error("token id must be 1 to {ID_CHARS_MAX} letters, digits, hyphens or underscores")]
    Id,
    /// The secret part is damaged.
    #[error("token secret must be {SECRET_CHARS} letters and digits; check that it was copied whole")]
    Secret,
    /// An operator's token that could be guessed.
    #[error("admin_token has {chars} characters; use at least {OPAQUE_CHARS_MIN} random ones")]
    TooShort {
        /// Characters found.
        chars: usize,
    },
    /// An operator's token that no client could send.
    #[error("admin_token must be visible ASCII characters without spaces, since it travels in a header")]
    NotSendable,
}

/// SHA-256 of a token's secret: what is stored. Equality is constant-time; printing is redacted.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// From what the store keeps.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(secret: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

/// The hash of a whole text: of the operator's `admin_token`, and of whatever a request presents, to compare the two.
#[must_use]
pub fn hash_opaque(text: &str) -> TokenHash {
    TokenHash::of(text)
}

/// Whether an operator's `admin_token` is fit for use: long enough, and sendable in a header (RFC 9110 section 5.5).
///
/// # Errors
/// [`TokenError::TooShort`], [`TokenError::NotSendable`].
pub fn check_opaque(text: &str) -> Result<(), TokenError> {
    let chars = text.chars().count();
    if chars < OPAQUE_CHARS_MIN {
        return Err(TokenError::TooShort { chars });
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(TokenError::NotSendable)
    }
}

/// A token as a request presents it, in its parts. Nothing is proven until [`Self::matches`].
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The scope it claims; the stored one counts, and [`Self::matches`] wants them equal.
    pub scope: Scope,
    /// What to look it up by.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> Presented<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenError`]: it is none of ours (it may still be the operator's, see [`hash_opaque`]).
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let (scope, rest) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or(TokenError::Form)?;
        // The secret has no underscore, an id may.
        let (id, secret) = rest.rsplit_once('_').ok_or(TokenError::Form)?;
        let scope = scope.parse()?;
        check_id(id)?;
        if secret.len() != SECRET_CHARS || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenError::Secret);
        }
        Ok(Self { scope, id, secret })
    }

    /// Whether this is the token that was stored with that scope and hash.
    #[must_use]
    pub fn matches(&self, scope: Scope, hash: &TokenHash) -> bool {
        let same = TokenHash::of(self.secret) == *hash;
        same && self.scope == scope
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({PREFIX}{}_{}_[redacted])", self.scope, self.id)
    }
}

/// A token just made: its text, to be shown once, and the hash to store.
pub struct NewToken {
    text: String,
    /// What is stored.
    pub hash: TokenHash,
}

impl NewToken {
    /// Makes a token from an id (letters, digits, hyphens, underscores) and 32 random bytes.
    ///
    /// # Errors
    /// [`TokenError::Id`].
    pub fn create(scope: Scope, id: &str, entropy: [u8; 32]) -> Result<Self, TokenError> {
        check_id(id)?;
        let secret = base62(&entropy);
        Ok(Self {
            text: format!("{PREFIX}{scope}_{id}_{secret}"),
            hash: TokenHash::of(&secret),
        })
    }

    /// The token in the clear: for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken([redacted])")
    }
}

fn check_id(id: &str) -> Result<(), TokenError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(known) {
        Ok(())
    } else {
        Err(TokenError::Id)
    }
}

/// 32 bytes as a big-endian number in 43 digits of base 62: letters and digits only, so that a double click selects it.
pub(crate) fn base62(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = *bytes;
    let mut digits = [0u8; SECRET_CHARS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u16;
        for byte in &mut number {
            let value = (remainder << 8) | u16::from(*byte);
            // The remainder is below 62, so the quotient fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = DIGITS[usize::from(remainder)];
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_token_has_the_documented_form_and_matches_its_hash() {
        for scope in Scope::ALL {
            let token = NewToken::create(*scope, "0Fz9", [0xAB; 32]).unwrap();
            assert!(token.expose().starts_with(&format!("bw_{scope}_0Fz9_")), "{scope}");
            let presented = Presented::parse(token.expose()).unwrap();
            assert_eq!((presented.scope, presented.id), (*scope, "0Fz9"));
            assert!(presented.matches(*scope, &TokenHash::from_bytes(*token.hash.as_bytes())));
        }
    }

    #[test]
    fn the_hash_is_sha256_of_the_secret_part() {
        let token = NewToken::create(Scope::Read, "x", [0; 32]).unwrap();
        assert_eq!(token.expose(), format!("bw_read_x_{}", "0".repeat(43)));
        // `printf 0…0 | sha256sum` with 43 zeros.
        let hex: String = token.hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b918b22a1581fedd39058065f00e6aad35bd561f20257151131a1ddcd21803de");
    }

    #[test]
    fn base62_of_known_numbers() {
        let mut one = [0; 32];
        one[31] = 61;
        assert_eq!(base62(&one), format!("{}z", "0".repeat(42)));
        one[31] = 62;
        assert_eq!(base62(&one), format!("{}10", "0".repeat(41)));
        assert_eq!(base62(&[0xFF; 32]), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn another_scope_or_secret_does_not_match() {
        let token = NewToken::create(Scope::Read, "x", [1; 32]).unwrap();
        let raised = token.expose().replace("bw_read", "bw_admin");
        let presented = Presented::parse(&raised).unwrap();
        assert!(
            !presented.matches(Scope::Read, &token.hash),
            "a claimed scope must be the stored one"
        );
        let text = token.expose();
        for i in text.len() - SECRET_CHARS..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[i] = if changed[i] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                !Presented::parse(&changed).unwrap().matches(Scope::Read, &token.hash),
                "character {i}"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_part_that_is_wrong() {
        let secret = "a".repeat(43);
        let cases = [
            (String::new(), TokenError::Form),
            ("bw_".into(), TokenError::Form),
            ("bw_admin_x".into(), TokenError::Form),
            (format!("xx_admin_x_{secret}"), TokenError::Form),
            (format!("bw_root_x_{secret}"), TokenError::Scope),
            (format!("bw_Admin_x_{secret}"), TokenError::Scope),
            (format!("bw_admin__{secret}"), TokenError::Id),
            (format!("bw_admin_ü_{secret}"), TokenError::Id),
            (format!("bw_admin_{}_{secret}", "x".repeat(65)), TokenError::Id),
            (format!("bw_admin_x_{secret}a"), TokenError::Secret),
            (format!("bw_admin_x_{}", &secret[1..]), TokenError::Secret),
            (format!("bw_admin_x_{}\n", &secret[1..]), TokenError::Secret),
        ];
        for (text, error) in cases {
            assert_eq!(Presented::parse(&text).unwrap_err(), error, "{text}");
        }
        assert_eq!(
            NewToken::create(Scope::App, "a b", [0; 32]).unwrap_err(),
            TokenError::Id
        );
    }

    #[test]
    fn an_id_may_contain_underscores() {
        let token = NewToken::create(Scope::Admin, "tok_1_2", [5; 32]).unwrap();
        assert_eq!(Presented::parse(token.expose()).unwrap().id, "tok_1_2");
    }

    #[test]
    fn an_operators_token_is_any_sendable_text_of_32_characters() {
        let text = "correct-horse/battery.staple:1234";
        assert_eq!(check_opaque(text), Ok(()));
        assert!(hash_opaque(text) == hash_opaque(text) && hash_opaque(text) != hash_opaque(&text[1..]));
        assert_eq!(check_opaque(&"x".repeat(31)), Err(TokenError::TooShort { chars: 31 }));
        assert_eq!(check_opaque(""), Err(TokenError::TooShort { chars: 0 }));
        assert_eq!(check_opaque(&"x ".repeat(32)), Err(TokenError::NotSendable));
        assert_eq!(check_opaque(&"ü".repeat(32)), Err(TokenError::NotSendable));
        assert_eq!(
            check_opaque(&format!("{}\r\nX: y", "x".repeat(32))),
            Err(TokenError::NotSendable)
        );
    }

    #[test]
    fn printing_reveals_neither_secret_nor_hash() {
        let token = NewToken::create(Scope::Admin, "x", [0x5A; 32]).unwrap();
        let secret = base62(&[0x5A; 32]);
        let presented = Presented::parse(token.expose()).unwrap();
        let shown = format!("{token:?} {presented:?} {:?} {token:#?}", token.hash);
        assert!(!shown.contains(&secret) && !shown.contains(&secret[..8]), "{shown}");
        assert!(!shown.contains(&format!("{:?}", token.hash.as_bytes())), "{shown}");
        let broken = format!("{}!", token.expose());
        let error = Presented::parse(&broken).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&secret[..8]));
    }

    proptest! {
        #[test]
        fn parse_undoes_create(entropy in any::<[u8; 32]>(), id in "[a-zA-Z0-9_-]{1,64}") {
            let token = NewToken::create(Scope::Publish, &id, entropy).unwrap();
            let presented = Presented::parse(token.expose()).unwrap();
            prop_assert_eq!(presented.id, id);
            prop_assert!(presented.matches(Scope::Publish, &token.hash));
        }

        #[test]
        fn different_entropy_gives_different_secrets(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            prop_assert_eq!(a == b, base62(&a) == base62(&b));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(bw_)?(admin|read|x)?.{0,80}") {
            let _ = Presented::parse(&text);
        }
    }
}
