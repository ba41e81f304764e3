//! The reasons why HTTP message signatures are refused.

use super::DigestMismatch;
use crate::secret::KeyKind;
use crate::sign::{SIGNATURES_MAX, nth};

/// Why a request's HTTP message signatures are refused, in words for the person who has to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpMismatch {
    /// Nothing to verify with.
    #[error("no key was given; pass the endpoint's whsec_ secret or whpk_ public key")]
    NoKey,
    /// One of the two headers is absent.
    #[error("missing header {name}; check that no proxy or framework strips it")]
    MissingHeader {
        /// Its name.
        name: &'static str,
    },
    /// A header is not a dictionary of the form that is wanted.
    #[error("header {name} is malformed at byte {at}: {what}")]
    Malformed {
        /// The header's name.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
        /// Where, from 1.
        at: usize,
    },
    /// More signatures than any sender makes.
    #[error("header signature-input names {found} signatures; at most {SIGNATURES_MAX} are looked at")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// What is covered by no signature, or a signature of nothing.
    #[error("header signature has no bytes called {label}, which signature-input announces")]
    NoBytes {
        /// The signature's name.
        label: String,
    },
    /// A covered component that is not understood.
    #[error("it covers {component}, which is not supported here")]
    Unsupported {
        /// As it was written.
        component: String,
    },
    /// A component is covered twice.
    #[error("it covers {name} twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A covered header that the request does not have.
    #[error("it covers the header {name}, which the request does not have; check that no proxy or framework strips it")]
    MissingComponent {
        /// Its name.
        name: String,
    },
    /// Components that must be covered and are not.
    #[error("it does not cover {}, so nothing proves them", names.join(", "))]
    NotCovered {
        /// Their names.
        names: Vec<&'static str>,
    },
    /// A parameter that has another type than it must have.
    #[error("its parameter {name} is missing or not of the right type")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
    },
    /// Made too long ago.
    #[error(
        "it was created {by_secs} s ago, more than the {tolerance_secs} s allowed; check the receiver's clock, or whether this is an old request replayed"
    )]
    TooOld {
        /// Age in seconds.
        by_secs: u64,
        /// What is allowed, in seconds.
        tolerance_secs: u64,
    },
    /// Made in the future.
    #[error("it was created {by_secs} s in the future, more than the {tolerance_secs} s allowed; check both clocks")]
    TooNew {
        /// Seconds ahead of the receiver's clock.
        by_secs: u64,
        /// What is allowed, in seconds.
        tolerance_secs: u64,
    },
    /// Past its own end.
    #[error("it expired {by_secs} s ago")]
    Expired {
        /// Seconds since.
        by_secs: u64,
    },
    /// An algorithm that none of the keys has.
    #[error("signed with {algorithm}, which none of the given keys can check: they are {given}")]
    Algorithm {
        /// The algorithm, shortened.
        algorithm: String,
        /// The kind of the keys given.
        given: KeyKind,
    },
    /// The digest does not prove the body.
    #[error("{0}")]
    Digest(DigestMismatch),
    /// A well-formed signature that does not match. [`super::verify()`] always says [`HttpCause::Unknown`].
    #[error("signature does not match: {0}")]
    Signature(HttpCause),
}

/// What was done differently when signing, as far as it could be found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpCause {
    /// Nothing that was tried makes it match.
    #[error("the secret is another one, or a covered part (method, URL, digest, headers) changed on the way")]
    Unknown,
    /// It matches with a key that was given for comparison only.
    #[error("it was made with another key, the {} of the old ones given: one that was rotated away", nth(*index))]
    OtherKey {
        /// Place in the slice of other keys, from 0.
        index: usize,
    },
    /// The key is one of those given, by its name, so what was signed has changed.
    #[error(
        "it was made with a key that was given, so a covered part (method, URL, digest, headers) changed on the way; most often the URL: verify with the one that the sender calls"
    )]
    Changed,
    /// It matches for another URL.
    #[error("it was made for {url}; verify with the URL that the sender calls, not with the one behind a proxy")]
    TargetUri {
        /// The URL that was signed.
        url: String,
    },
    /// It matches for another method.
    #[error("it was made for the method {method}")]
    Method {
        /// The method that was signed.
        method: &'static str,
    },
}
