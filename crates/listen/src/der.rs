//! As much of DER as it takes to find a public key, or an end, in a SubjectPublicKeyInfo or an X.509 certificate (RFC 5280,
//! section 4.1).
//!
//! Reads hostile input; never panics, never copies more than the key. Deliberately absent: chains and extensions. What makes a
//! provider's certificate trusted is the pinned host it was fetched from over TLS, as in the providers' own libraries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire_core::time::Timestamp;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// The kinds of public key that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    Ed25519,
}

/// A public key in the form that the verifier wants: PKCS #1 for RSA, the point for P-256, 32 bytes for Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

/// What is used of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) key: PublicKey,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Takes one value of that tag off the front.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let length = bytes
            .iter()
            .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        (length, rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    if found != tag {
        return None;
    }
    *input = rest;
    Some(value)
}

/// The key of a SubjectPublicKeyInfo.
pub(crate) fn public_key(mut der: &[u8]) -> Option<PublicKey> {
    let info = take(&mut der, SEQUENCE)?;
    der.is_empty().then_some(())?;
    key_of(info)
}

fn key_of(mut info: &[u8]) -> Option<PublicKey> {
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let (unused_bits, bytes) = take(&mut info, BIT_STRING)?.split_first()?;
    let object = take(&mut algorithm, OBJECT_ID)?;
    let kind = match object {
        RSA => Kind::Rsa,
        EC if take(&mut algorithm, OBJECT_ID)? == P256 => Kind::P256,
        ED25519 => Kind::Ed25519,
        _ => return None,
    };
    (*unused_bits == 0 && info.is_empty()).then(|| PublicKey {
        kind,
        bytes: bytes.to_vec(),
    })
}

/// The key and the validity of a certificate.
pub(crate) fn certificate(mut der: &[u8]) -> Option<Certificate> {
    let mut certificate = take(&mut der, SEQUENCE)?;
    let mut signed = take(&mut certificate, SEQUENCE)?;
    let _ = take(&mut signed, VERSION);
    take(&mut signed, INTEGER)?;
    take(&mut signed, SEQUENCE)?; // signature algorithm
    take(&mut signed, SEQUENCE)?; // issuer
    let mut validity = take(&mut signed, SEQUENCE)?;
    take(&mut signed, SEQUENCE)?; // subject
    let key = key_of(take(&mut signed, SEQUENCE)?)?;
    Some(Certificate {
        key,
        not_before: time(&mut validity)?,
        not_after: time(&mut validity)?,
    })
}

/// Until when a certificate in DER is valid, whatever its key; nothing when it is none.
#[must_use]
pub fn not_after(mut der: &[u8]) -> Option<Timestamp> {
    let mut certificate = take(&mut der, SEQUENCE)?;
    let mut signed = take(&mut certificate, SEQUENCE)?;
    let _ = take(&mut signed, VERSION);
    take(&mut signed, INTEGER)?;
    take(&mut signed, SEQUENCE)?; // signature algorithm
    take(&mut signed, SEQUENCE)?; // issuer
    let mut validity = take(&mut signed, SEQUENCE)?;
    time(&mut validity)?;
    time(&mut validity)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn time(input: &mut &[u8]) -> Option<Timestamp> {
    let (text, digits) = match take(input, UTC_TIME) {
        Some(text) => {
            let text = std::str::from_utf8(text).ok()?;
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            (text, format!("{century}{text}"))
        }
        None => {
            let text = std::str::from_utf8(take(input, GENERALIZED_TIME)?).ok()?;
            (text, text.to_owned())
        }
    };
    if !text.is_ascii() || digits.len() != 15 {
        return None;
    }
    let at = |from: usize, to: usize| &digits[from..to];
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        at(0, 4),
        at(4, 6),
        at(6, 8),
        at(8, 10),
        at(10, 12),
        at(12, 14)
    )
    .parse()
    .ok()
}

/// The content of the first PEM block with that label (RFC 7468).
pub(crate) fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inside, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let base64: String = inside.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_certificate_is_found_and_its_validity_read() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["sns.eu-west-1.amazonaws.com".into()])
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        let found = certificate(made.der()).unwrap();
        assert_eq!(found.key.kind, Kind::P256);
        assert_eq!(found.key.bytes, rcgen::PublicKeyData::der_bytes(&pair));
        assert!(found.not_before < found.not_after);
        assert_eq!(not_after(made.der()), Some(found.not_after));
        assert_eq!(pem(&made.pem(), "CERTIFICATE").as_deref(), Some(made.der().as_ref()));
        for length in 0..made.der().len() - 1 {
            let _ = certificate(&made.der()[..length]);
            let _ = not_after(&made.der()[..length]);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for der in [
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..],
            &[0x30, 0x80],
            &[0x30],
            &[0x30, 0x02, 0x30],
            &[],
        ] {
            assert_eq!(public_key(der), None);
            assert_eq!(certificate(der), None);
        }
    }
}
