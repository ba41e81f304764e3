//! The pieces of a JSON text one after the other: names in their order, and numbers as they were written.

use std::borrow::Cow;

/// A piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    OpenObject,
    OpenList,
    /// The end of the innermost object or list.
    Close,
    /// The name of the member whose value follows.
    Name(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// A number, as it was written.
    Number(&'a str),
    Bool(bool),
    Null,
}

/// Walks over a text that is known to be JSON; of any other it makes some pieces or other.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    /// Whether the containers around are objects, outermost first.
    around: Vec<bool>,
    name_follows: bool,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            around: Vec::new(),
            name_follows: false,
        }
    }

    fn open(&mut self, is_object: bool) {
        self.at += 1;
        self.around.push(is_object);
        self.name_follows = is_object;
    }

    /// The string that begins here, and where it ends.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at + 1;
        let close = end_of_string(self.text.as_bytes(), start);
        self.at = (close + 1).min(self.text.len());
        let written = self.text.get(start..close).unwrap_or_default();
        unescape(written)
    }

    fn literal(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest
            .find(|letter: char| matches!(letter, ',' | ']' | '}' | ':') || letter.is_ascii_whitespace())
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'{' => {
                    self.open(true);
                    return Some(Token::OpenObject);
                }
                b'[' => {
                    self.open(false);
                    return Some(Token::OpenList);
                }
                b'}' | b']' => {
                    self.at += 1;
                    self.around.pop();
                    self.name_follows = false;
                    return Some(Token::Close);
                }
                b',' => {
                    self.at += 1;
                    self.name_follows = self.around.last().copied().unwrap_or_default();
                }
                b'"' => {
                    let is_name = std::mem::take(&mut self.name_follows);
                    let text = self.string();
                    return Some(if is_name { Token::Name(text) } else { Token::Text(text) });
                }
                b':' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => {
                    return Some(match self.literal() {
                        "true" => Token::Bool(true),
                        "false" => Token::Bool(false),
                        "null" => Token::Null,
                        number => Token::Number(number),
                    });
                }
            }
        }
    }
}

/// Where the quote is that ends the string.
pub(crate) fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// What a string stands for; as it is written, if that is no text (half a surrogate pair).
pub(crate) fn unescape(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    serde_json::from_str(&format!("\"{written}\"")).map_or(Cow::Borrowed(written), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::{Token::*, *};

    #[test]
    fn a_text_is_its_pieces_in_their_order() {
        let text = r#" {"b": [1.50, -0e+9, "x\n\"{", true], "a\u0020": {}, "": [[null]] , "c":false} "#;
        let pieces: Vec<_> = Tokens::new(text).collect();
        assert_eq!(
            pieces,
            [
                OpenObject,
                Name("b".into()),
                OpenList,
                Number("1.50"),
                Number("-0e+9"),
                Text("x\n\"{".into()),
                Bool(true),
                Close,
                Name("a ".into()),
                OpenObject,
                Close,
                Name("".into()),
                OpenList,
                OpenList,
                Null,
                Close,
                Close,
                Name("c".into()),
                Bool(false),
                Close
            ]
        );
        assert_eq!(Tokens::new("\"\\ud800\"").collect::<Vec<_>>(), [Text("\\ud800".into())]);
        assert_eq!(Tokens::new("12").collect::<Vec<_>>(), [Number("12")]);
    }

    #[test]
    fn nonsense_ends_somewhere() {
        for text in ["", "{", "\"", "\"\\", "}}]]", "[1 2", "{\"a\":", "é", ",:,"] {
            assert!(Tokens::new(text).count() < 8, "{text}");
        }
    }
}
