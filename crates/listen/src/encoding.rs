//! How signatures are written: hexadecimal, base64 and its URL-safe kind. Strict, so that a signature has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

/// One way of writing bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Upper-case hexadecimal.
    HexUpper,
    /// Base64 with padding.
    Base64,
    /// URL-safe base64 without padding.
    Base64Url,
    /// URL-safe base64 with padding.
    Base64UrlPadded,
}

pub(crate) const ENCODINGS: &[Encoding] = &[
    Encoding::Hex,
    Encoding::HexUpper,
    Encoding::Base64,
    Encoding::Base64Url,
    Encoding::Base64UrlPadded,
];

impl Encoding {
    /// The value of the setting `encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::HexUpper => "hex-upper",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base64UrlPadded => "base64url-padded",
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Hex => "lower-case hexadecimal",
            Self::HexUpper => "upper-case hexadecimal",
            Self::Base64 => "base64",
            Self::Base64Url => "URL-safe base64 without padding",
            Self::Base64UrlPadded => "URL-safe base64 with padding",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        ENCODINGS.iter().copied().find(|encoding| encoding.name() == name)
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes, b"0123456789abcdef"),
            Self::HexUpper => hex(bytes, b"0123456789ABCDEF"),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
            Self::Base64UrlPadded => URL_SAFE.encode(bytes),
        }
    }

    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Hex | Self::HexUpper => unhex(text)?,
            Self::Base64 => STANDARD.decode(text).ok()?,
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).ok()?,
            Self::Base64UrlPadded => URL_SAFE.decode(text).ok()?,
        };
        // The other case of hexadecimal is another spelling of the same bytes.
        (self.encode(&bytes) == text).then_some(bytes)
    }
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(digits[usize::from(byte >> 4)]));
        text.push(char::from(digits[usize::from(byte & 15)]));
    }
    text
}

/// Hexadecimal of either case.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    if bytes.len() % 2 == 1 {
        return None;
    }
    bytes
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_reads_what_it_writes_and_no_other_spelling() {
        let bytes = [0xab, 0xcd, 0xef, 0xfb, 0xff];
        for encoding in ENCODINGS {
            let text = encoding.encode(&bytes);
            assert_eq!(encoding.decode(&text).as_deref(), Some(&bytes[..]), "{text}");
            assert_eq!(Encoding::by_name(encoding.name()), Some(*encoding));
            let others = ENCODINGS.iter().filter(|other| *other != encoding);
            assert!(
                others
                    .filter(|other| other.decode(&text).as_deref() == Some(&bytes[..]))
                    .count()
                    == 0
            );
        }
        assert_eq!(Encoding::Hex.decode("abc"), None);
        assert_eq!(Encoding::Base64.decode("q83v+/9="), None);
        assert_eq!(unhex("ABcd"), Some(vec![0xab, 0xcd]));
        assert_eq!(unhex("é1"), None);
    }
}
