//! What is done to values on their way into a template's text, so that they mean themselves there.

use std::borrow::Cow;

/// What is done to values that are written into a template's text. The text that the author wrote stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// Nothing. For plain text.
    #[default]
    None,
    /// Letters that mean something to HTML are written so that they mean themselves.
    Html,
    /// Everything but letters, digits and `-._~` is percent-encoded (RFC 3986 section 2.3): a value stays inside its segment of
    /// a path, or inside its parameter of a query. `|safe` changes nothing about it.
    Url,
    /// `&`, `<` and `>` are written as entities, and nothing else is. For chats that read marks between `<` and `>`.
    Entities,
    /// A value that says `@channel`, `@all`, `@here` or `@everyone` calls nobody: an invisible letter stands behind its `@`.
    Mentions,
}

pub(crate) const URL: &str = "url";
pub(crate) const ENTITIES: &str = "entities";
pub(crate) const MENTIONS: &str = "mentions";

/// Letters that call everybody, behind an `@`.
const EVERYBODY: &[&str] = &["channel", "all", "here", "everyone"];

/// The text as the escape of this name writes it.
pub(crate) fn apply<'a>(name: &str, text: &'a str) -> Cow<'a, str> {
    match name {
        URL => percent_encoded(text),
        ENTITIES => entities(text),
        MENTIONS => without_mentions(text),
        _ => Cow::Borrowed(text),
    }
}

/// The text with everything percent-encoded but letters, digits and `-._~` (RFC 3986 section 2.3), as [`Escape::Url`] writes it.
pub fn percent_encoded(text: &str) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(encoded)
}

fn entities(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

fn without_mentions(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 3);
    for (at, letter) in text.char_indices() {
        written.push(letter);
        let rest = &text[at + letter.len_utf8()..];
        let calls = |word: &&str| {
            rest.get(..word.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if letter == '@' && EVERYBODY.iter().any(calls) {
            written.push('\u{200b}');
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_inside_its_part_of_a_url() {
        for (text, written) in [
            ("in_7", "in_7"),
            ("a/b?c=d&e#f", "a%2Fb%3Fc%3Dd%26e%23f"),
            ("ä %", "%C3%A4%20%25"),
            ("\r\n\\@:", "%0D%0A%5C%40%3A"),
        ] {
            assert_eq!(apply(URL, text), written);
        }
    }

    #[test]
    fn entities_and_mentions_touch_nothing_else() {
        assert_eq!(
            apply(ENTITIES, "<!channel> & \"co\" 'x'"),
            "&lt;!channel&gt; &amp; \"co\" 'x'"
        );
        assert_eq!(
            apply(MENTIONS, "@Here, ada@example.com @@all"),
            "@\u{200b}Here, ada@example.com @@\u{200b}all"
        );
    }
}
