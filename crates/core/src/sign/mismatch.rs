//! The reasons why a request does not verify.

use super::{Cause, SIGNATURES_MAX};
use crate::secret::KeyKind;

/// Why a request does not verify, in words for the person who has to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Nothing to verify with.
    #[error("no key was given; pass the endpoint's whsec_ secret or whpk_ public key")]
    NoKey,
    /// Signing headers are absent or empty.
    #[error("missing header {}; check that no proxy or framework strips it", names.join(", "))]
    MissingHeader {
        /// The absent ones.
        names: Vec<&'static str>,
    },
    /// A signing header occurs more than once.
    #[error("header {name} occurs more than once; it must be sent once")]
    DuplicateHeader {
        /// The header's name.
        name: &'static str,
    },
    /// The timestamp is not a whole number of seconds.
    #[error("timestamp header {value:?} is not a whole number of seconds since 1970")]
    TimestampNotNumber {
        /// The value, shortened.
        value: String,
    },
    /// The timestamp is a number, and far too large for seconds.
    #[error("timestamp {value} looks like milliseconds; it must be whole seconds since 1970")]
    TimestampInMilliseconds {
        /// The value.
        value: i64,
    },
    /// Signed too long ago.
    #[error(
        "timestamp is {by_secs} s old, more than the {tolerance_secs} s allowed; \
         check the receiver's clock, or whether this is an old request replayed"
    )]
    TooOld {
        /// Age in seconds.
        by_secs: u64,
        /// What is allowed, in seconds.
        tolerance_secs: u64,
    },
    /// Signed in the future.
    #[error(
        "timestamp is {by_secs} s in the future, more than the {tolerance_secs} s allowed; \
         check both clocks"
    )]
    TooNew {
        /// Seconds ahead of the receiver's clock.
        by_secs: u64,
        /// What is allowed, in seconds.
        tolerance_secs: u64,
    },
    /// More entries than any sender makes.
    #[error("signature header has {found} signatures; at most {SIGNATURES_MAX} are looked at")]
    TooManySignatures {
        /// Entries found.
        found: usize,
    },
    /// Entries, none of a version known here.
    #[error("signature header has only unknown versions ({}); known are v1 and v1a", found.join(", "))]
    UnknownVersion {
        /// The versions found, shortened.
        found: Vec<String>,
    },
    /// An entry that cannot be a signature.
    #[error("signature header is malformed: {0}")]
    Malformed(Malformed),
    /// Signed with a scheme that needs another kind of key.
    #[error("signed with {}, which none of the given keys can check: they are {given}", versions.join(", "))]
    KeyKind {
        /// Versions in the header.
        versions: Vec<&'static str>,
        /// The kind of the keys given.
        given: KeyKind,
    },
    /// Well-formed signatures, none of which matches. [`super::verify()`] always says [`Cause::Unknown`].
    #[error("signature does not match: {0}")]
    Signature(Cause),
}

/// What is wrong with a signature's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No `version,` in front.
    #[error("an entry is not of the form `version,base64`, such as `v1,g0hM…`")]
    NoVersion,
    /// Not base64 at all, or cut.
    #[error("the {0} signature is not complete standard base64")]
    NotBase64(&'static str),
    /// base64 of the URL-safe alphabet.
    #[error("the {0} signature is URL-safe base64 (- and _); encode with the standard alphabet (+ and /)")]
    UrlSafe(&'static str),
    /// Hexadecimal digits.
    #[error("the {0} signature is hexadecimal; encode the bytes as base64")]
    Hexadecimal(&'static str),
    /// Decodes to the wrong length.
    #[error("the {version} signature has {found} bytes instead of {expected}; it may be truncated")]
    Length {
        /// Version of the entry.
        version: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes the scheme makes.
        expected: usize,
    },
}
