//! The headers that tell a receiver a message's place in its line (see [`crate::order`]).

use std::borrow::Cow;
use std::fmt::Write as _;

/// The message's number in its line.
pub const SEQUENCE: &str = "webhook-sequence";
/// The number of the last one before it that the receiver took; absent when it is sent outside of its turn.
pub const PREVIOUS_SEQUENCE: &str = "webhook-previous-sequence";
/// The line's key, as [`encode_key`] writes it; absent when all messages of the endpoint form one line.
pub const ORDERING_KEY: &str = "webhook-ordering-key";

/// An ordering key as a header's value: bytes that are not visible ASCII, and `%`, percent-encoded (RFC 3986 section 2.1).
#[must_use]
pub fn encode_key(key: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if key.bytes().all(plain) {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len() * 3);
    for byte in key.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Cow::Owned(out)
}

/// The key of a header's value; `None` when it is not one that [`encode_key`] could have made.
#[must_use]
pub fn decode_key(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_a_header_cannot_carry_is_encoded() {
        assert_eq!(encode_key("customer/42\"=,"), "customer/42\"=,");
        assert_eq!(encode_key("50 % größer"), "50%20%25%20gr%C3%B6%C3%9Fer");
        assert_eq!(decode_key("%7"), None);
        assert_eq!(decode_key("%zz"), None);
        assert_eq!(decode_key("%FF"), None);
    }

    proptest! {
        #[test]
        fn every_key_reads_back_and_is_visible_ascii(key in ".{0,40}") {
            let value = encode_key(&key);
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decode_key(&value), Some(key));
        }
    }
}
