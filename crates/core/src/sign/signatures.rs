//! The signature header, read: `version,base64` entries separated by spaces, and which of them a key matches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Cause, Content, Malformed, Mismatch, SCHEMES, Scheme};
use crate::secret::{KeyKind, VerifyingKey};

/// Signatures looked at in one header. More than any sender has live keys; bounds the work a forged header can cause.
pub const SIGNATURES_MAX: usize = 64;
/// A signature header, decoded.
pub(super) struct Signatures {
    known: Vec<(&'static Scheme, Vec<u8>)>,
    unknown: Vec<String>,
    malformed: Option<Malformed>,
}

impl Signatures {
    pub(super) fn read(header: &str) -> Result<Self, Mismatch> {
        let found = header.split_ascii_whitespace().count();
        if found > SIGNATURES_MAX {
            return Err(Mismatch::TooManySignatures { found });
        }
        let mut signatures = Self {
            known: Vec::with_capacity(found),
            unknown: Vec::new(),
            malformed: None,
        };
        for entry in header.split_ascii_whitespace() {
            match entry
                .split_once(',')
                .map(|(version, text)| (version, Scheme::by_version(version), text))
            {
                None => signatures.malformed = Some(Malformed::NoVersion),
                Some((version, None, _)) => signatures.unknown.push(shorten(version)),
                Some((_, Some(scheme), text)) => match read_signature(scheme, text) {
                    Ok(bytes) => signatures.known.push((scheme, bytes)),
                    Err(malformed) => signatures.malformed = Some(malformed),
                },
            }
        }
        Ok(signatures)
    }

    /// The scheme's version and the key of the first match.
    pub(super) fn matching(&self, keys: &[VerifyingKey], content: &Content<'_>) -> Option<(&'static str, usize)> {
        SCHEMES.iter().find_map(|scheme| {
            let of_scheme = self.known.iter().filter(|(found, _)| found.version == scheme.version);
            let candidates: Vec<&[u8]> = of_scheme.map(|(_, bytes)| bytes.as_slice()).collect();
            if candidates.is_empty() {
                return None;
            }
            let key = keys
                .iter()
                .position(|key| (scheme.matches)(key, content, &candidates))?;
            Some((scheme.version, key))
        })
    }

    pub(super) fn why_not(self, keys: &[VerifyingKey], given: KeyKind) -> Mismatch {
        let checkable = |(scheme, _): &(&Scheme, Vec<u8>)| keys.iter().any(|key| key.kind() == scheme.key_kind);
        if self.known.iter().any(checkable) {
            return Mismatch::Signature(Cause::Unknown);
        }
        if let Some(malformed) = self.malformed {
            return Mismatch::Malformed(malformed);
        }
        if self.known.is_empty() {
            return Mismatch::UnknownVersion { found: self.unknown };
        }
        let mut versions: Vec<_> = self.known.iter().map(|(scheme, _)| scheme.version).collect();
        versions.dedup();
        Mismatch::KeyKind { versions, given }
    }
}

fn read_signature(scheme: &Scheme, text: &str) -> Result<Vec<u8>, Malformed> {
    let version = scheme.version;
    if text.len() == scheme.signature_bytes * 2 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Malformed::Hexadecimal(version));
    }
    let bytes = STANDARD.decode(text).map_err(|_| {
        if text.contains(['-', '_']) {
            Malformed::UrlSafe(version)
        } else {
            Malformed::NotBase64(version)
        }
    })?;
    if bytes.len() != scheme.signature_bytes {
        return Err(Malformed::Length {
            version,
            found: bytes.len(),
            expected: scheme.signature_bytes,
        });
    }
    Ok(bytes)
}

/// At most 40 characters of what a stranger sent.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
