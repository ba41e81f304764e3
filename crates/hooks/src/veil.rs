//! What must not be seen: the values that references were replaced by.

use std::{collections::HashMap, fmt};

use bellwire_template::percent_encoded;
use serde_json::Value;

/// Values from here on, in characters, are hidden. Shorter ones are no secrets, and would be found in every text.
const CHARS_MIN: usize = 4;
/// Pieces of a value from here on, in characters, are hidden: an excerpt may have cut it.
const PIECE_CHARS_MIN: usize = 6;

/// The values to hide, and what to write in their place.
#[derive(Default, Clone, PartialEq, Eq)]
pub(crate) struct Veil {
    values: Vec<(Vec<char>, String)>,
    /// Where, in which value, these characters stand: so that a long text is looked through in one go.
    places: HashMap<[char; CHARS_MIN], Vec<(usize, usize)>>,
}

impl Veil {
    /// Hides this value, which the reference was replaced by: as it is, as it stands in a URL and in JSON, and without what is
    /// behind its `?`, as URLs are shown.
    pub fn hide(&mut self, reference: &str, value: &str) {
        let name = reference.split(":-").next().unwrap_or(reference);
        let json = Value::from(value).to_string();
        self.add(name, value);
        self.add(name, &percent_encoded(value));
        self.add(name, json.trim_matches('"'));
        self.add(name, value.split('?').next().unwrap_or_default());
    }

    fn add(&mut self, name: &str, value: &str) {
        let chars: Vec<char> = value.chars().collect();
        if chars.len() < CHARS_MIN || self.values.iter().any(|(known, _)| *known == chars) {
            return;
        }
        let number = self.values.len();
        for at in 0..=chars.len() - CHARS_MIN {
            if let Some(key) = key(&chars[at..]) {
                self.places.entry(key).or_default().push((number, at));
            }
        }
        self.values.push((chars, format!("${{{name}}}")));
    }

    /// The text with all hidden values replaced. For what is shown as it is.
    pub fn over(&self, text: &str) -> String {
        self.replace(text, usize::MAX)
    }

    /// The text with all hidden values, and longer pieces of them, replaced. For errors, which hold excerpts.
    pub fn over_excerpts(&self, text: &str) -> String {
        self.replace(text, PIECE_CHARS_MIN)
    }

    /// Pieces from so many characters on are replaced, too.
    fn replace(&self, text: &str, piece: usize) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut shown = String::new();
        let mut at = 0;
        while at < text.len() {
            match self.longest(&text[at..], piece) {
                Some((length, name)) => {
                    shown.push_str(name);
                    at += length;
                }
                None => {
                    shown.push(text[at]);
                    at += 1;
                }
            }
        }
        shown
    }

    /// All texts of a value with all hidden values replaced.
    pub fn over_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.over(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.over_json(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.over_json(member)),
            _ => {}
        }
    }

    /// How much of the text's beginning is a value or a long enough piece of one, and what to write for it.
    fn longest(&self, text: &[char], piece: usize) -> Option<(usize, &str)> {
        let places = self.places.get(&key(text)?)?;
        let found = places.iter().filter_map(|(number, from)| {
            let (value, name) = self.values.get(*number)?;
            let same = value[*from..].iter().zip(text);
            let length = same.take_while(|(one, other)| one == other).count();
            (length == value.len() || length >= piece).then_some((length, name.as_str()))
        });
        found.max_by_key(|(length, _)| *length)
    }
}

fn key(text: &[char]) -> Option<[char; CHARS_MIN]> {
    text.first_chunk().copied()
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.values.iter().map(|(_, name)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_longer_pieces_of_them_are_hidden_and_nothing_else() {
        let mut veil = Veil::default();
        veil.hide("TOKEN:-x", "canary-secret-text");
        veil.hide("PORT", "80");
        veil.hide("WORD", "four");
        for (text, shown) in [
            ("is canary-secret-text here", "is ${TOKEN} here"),
            ("cut: `canary-sec…`", "cut: `${TOKEN}…`"),
            ("the end: ret-text", "the end: ${TOKEN}"),
            ("port 80, four", "port 80, ${WORD}"),
            ("can be", "can be"),
        ] {
            assert_eq!(veil.over_excerpts(text), shown);
        }
        assert_eq!(
            veil.over("canary-secret-tex, canary-secret-text"),
            "canary-secret-tex, ${TOKEN}"
        );
        veil.hide("URL", "https://example.com/s?t=1");
        assert_eq!(veil.over("at https://example.com/s"), "at ${URL}");
    }

    #[test]
    fn a_value_is_hidden_in_urls_and_in_json_too() {
        let mut veil = Veil::default();
        veil.hide("KEY", "a/b \"c\"");
        for text in ["?k=a%2Fb%20%22c%22", r#"{"k":"a/b \"c\""}"#] {
            assert!(veil.over(text).contains("${KEY}"), "{text}");
            assert!(
                !veil.over(text).contains("a/b") && !veil.over(text).contains("a%2F"),
                "{text}"
            );
        }
        let mut value = serde_json::json!({"x": ["1 a/b \"c\"", 1]});
        veil.over_json(&mut value);
        assert_eq!(value, serde_json::json!({"x": ["1 ${KEY}", 1]}));
        assert_eq!(format!("{veil:?}"), format!("{:?}", ["${KEY}"; 3]));
    }
}
