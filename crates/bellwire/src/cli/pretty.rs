//! JSON and foreign text made readable without changing what they say.
//!
//! Called wherever a payload, a record or a receiver's answer is shown. Numbers and strings keep their text and members
//! their order, which a round through a JSON value would not. Control characters never reach the terminal.

use std::fmt::Write as _;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Valid JSON re-indented by two spaces; text that is not JSON comes back as [`printable`] leaves it.
pub fn json(text: &str) -> String {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => indent(raw.get()),
        Err(_) => printable(text),
    }
}

/// Indents the text of one valid JSON value.
fn indent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            push_printable(&mut out, c, false);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Text without control characters: what a stranger sent cannot move the cursor or recolour the terminal. Line breaks
/// and tabs stay.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_printable(&mut out, c, true));
    out
}

/// [`printable`] on one line of at most `max` characters, an ellipsis where it was cut.
pub fn line(text: &str, max: usize) -> String {
    let mut out = String::new();
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        word.chars().for_each(|c| push_printable(&mut out, c, false));
        if out.len() > max * 4 {
            break;
        }
    }
    if out.chars().count() > max {
        out = out.chars().take(max.saturating_sub(1)).chain(['…']).collect();
    }
    out
}

fn push_printable(out: &mut String, c: char, breaks: bool) {
    // Besides control characters: those that reorder the text around them (bidirectional overrides).
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if breaks && matches!(c, '\n' | '\t') || !c.is_control() && !reorders {
        out.push(c);
    } else {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
    }
}

/// The members of a JSON object in the order they were written, each as its text.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_changes_white_space_only() {
        let text = r#"{"b":1.10,"a":[1e3,{"x":"a, \"b\": {c}\\"},[],{ }],"n":12345678901234567890}"#;
        let shown = json(text);
        let expected = "{\n  \"b\": 1.10,\n  \"a\": [\n    1e3,\n    {\n      \"x\": \"a, \\\"b\\\": {c}\\\\\"\n    },\n    \
                        [],\n    {}\n  ],\n  \"n\": 12345678901234567890\n}";
        assert_eq!(shown, expected);
    }

    #[test]
    fn text_that_is_not_json_stays_but_cannot_steer_the_terminal() {
        assert_eq!(json("a=1\nb=\x1b[31mred"), "a=1\nb=\\u{1b}[31mred");
        assert_eq!(printable("\u{202e}drow"), "\\u{202e}drow");
    }

    #[test]
    fn a_line_is_one_line_and_short() {
        assert_eq!(line("a\n  b\tc", 10), "a b c");
        assert_eq!(line("abcdefghij", 5), "abcd…");
        assert_eq!(line("äöüäöü", 6), "äöüäöü");
    }

    #[test]
    fn members_keep_their_order() {
        let members: Members<'_> = serde_json::from_str(r#"{"z":1,"a":{"k":[1, 2]}}"#).unwrap();
        let shown: Vec<_> = members.0.iter().map(|(key, raw)| (key.as_str(), raw.get())).collect();
        assert_eq!(shown, [("z", "1"), ("a", r#"{"k":[1, 2]}"#)]);
    }
}
