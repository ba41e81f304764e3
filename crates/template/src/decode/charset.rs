//! Character sets: UTF-8, and the one of old Western systems (Encoding Standard, section 9.1).

use std::borrow::Cow;

/// The letters of the bytes from 0x80 to 0x9f; all others are the code points of their numbers.
const HIGH: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}',
    '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}',
    '\u{17e}', '\u{178}',
];

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Nobody said otherwise.
    Utf8,
    /// windows-1252, which is also meant by ISO-8859-1 and ASCII.
    Western,
    /// One that is not read here.
    Other,
}

impl Charset {
    /// The character set of that name.
    pub fn named(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "utf-8" | "utf8" => Self::Utf8,
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "l1" | "us-ascii" | "ascii" | "windows-1252"
            | "cp1252" | "x-cp1252" => Self::Western,
            _ => Self::Other,
        }
    }

    /// The text of some bytes; what is no letter of UTF-8 becomes a replacement character.
    pub fn text(self, bytes: &[u8]) -> Cow<'_, str> {
        match (self, std::str::from_utf8(bytes)) {
            // Much that is called so is UTF-8, and hardly any text of the other is UTF-8 by accident.
            (_, Ok(text)) => Cow::Borrowed(text),
            (Self::Western, Err(_)) => bytes.iter().map(|byte| letter(*byte)).collect::<String>().into(),
            (_, Err(_)) => String::from_utf8_lossy(bytes),
        }
    }
}

fn letter(byte: u8) -> char {
    let high = byte.checked_sub(0x80).and_then(|at| HIGH.get(usize::from(at)));
    high.copied().unwrap_or(char::from(byte))
}

/// The encoding that an XML declaration names (XML 1.0, section 4.3.3).
pub(super) fn of_declaration(body: &[u8]) -> Option<String> {
    let end = body.windows(2).take(256).position(|end| end == b"?>")?;
    let declaration = std::str::from_utf8(body.get(..end)?).ok()?.strip_prefix("<?xml")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value.get(1..)?.split(quote).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_bytes_are_their_letters_and_utf8_stays_utf8() {
        assert_eq!(Charset::named("ISO-8859-1").text(b"caf\xe9 \x80"), "café €");
        assert_eq!(Charset::named("latin1").text("café".as_bytes()), "café");
        assert_eq!(Charset::named("UTF-8").text(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(Charset::named("shift_jis"), Charset::Other);
    }

    #[test]
    fn a_declaration_names_its_encoding_in_either_quotes() {
        let named = |body: &str| of_declaration(body.as_bytes());
        assert_eq!(
            named("<?xml version='1.0' encoding = 'latin1'?><a/>").as_deref(),
            Some("latin1")
        );
        assert_eq!(
            named("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>").as_deref(),
            Some("UTF-8")
        );
        for none in ["<?xml version=\"1.0\"?>", "<a encoding='x'?>", "<?xml encoding="] {
            assert_eq!(named(none), None, "{none}");
        }
    }
}
