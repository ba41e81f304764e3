//! What is done to values on their way into a template's text, so that they mean themselves there.

use std::borrow::Cow;

use minijinja::HtmlEscape;

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
    /// A value calls nobody and makes no link: an invisible letter stands behind each `@`, `<` and `]`. For chats that read Markdown
    /// and call whoever a name or a mark between `<` and `>` says.
    Mentions,
    /// A value makes no link: an invisible letter stands behind each `]`. For chats that read Markdown.
    Links,
}

impl Escape {
    /// The text as it is written where this escape holds.
    pub fn written(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Html => Cow::Owned(HtmlEscape(text).to_string()),
            Self::Url => percent_encoded(text),
            Self::Entities => entities(text),
            Self::Mentions => marked(text, &['@', '<', ']']),
            Self::Links => marked(text, &[']']),
        }
    }
}

pub(crate) const URL: &str = "url";
pub(crate) const ENTITIES: &str = "entities";
pub(crate) const MENTIONS: &str = "mentions";
pub(crate) const LINKS: &str = "links";

/// Takes no room, and is neither a name's letter nor white space.
const INVISIBLE: char = '\u{200b}';

/// The text as the escape of this name writes it.
pub(crate) fn apply<'a>(name: &str, text: &'a str) -> Cow<'a, str> {
    let escape = match name {
        URL => Escape::Url,
        ENTITIES => Escape::Entities,
        MENTIONS => Escape::Mentions,
        LINKS => Escape::Links,
        _ => Escape::None,
    };
    escape.written(text)
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

/// The text with an invisible letter behind each of these marks.
fn marked<'a>(text: &'a str, marks: &[char]) -> Cow<'a, str> {
    if !text.contains(marks) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 3);
    for letter in text.chars() {
        written.push(letter);
        if marks.contains(&letter) {
            written.push(INVISIBLE);
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
    fn entities_and_invisible_letters_touch_nothing_else() {
        assert_eq!(
            apply(ENTITIES, "<!channel> & \"co\" 'x'"),
            "&lt;!channel&gt; &amp; \"co\" 'x'"
        );
        assert_eq!(
            apply(MENTIONS, "@Here <!all> [a](b) & co"),
            "@\u{200b}Here <\u{200b}!all> [a]\u{200b}(b) & co"
        );
        assert_eq!(apply(LINKS, "@Here <!all> [a](b)"), "@Here <!all> [a]\u{200b}(b)");
    }
}
