//! Messages.

use std::collections::BTreeMap;

use bellwire_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// An accepted event.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub id: String,
    pub event_type: String,
    pub event_id: Option<String>,
    pub timestamp: Timestamp,
    #[serde(default)]
    pub channels: Option<Vec<String>>,
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    pub content_type: Option<String>,
    pub deliver_at: Option<Timestamp>,
    pub ordering_key: Option<String>,
    pub inbound: Option<Inbound>,
}

/// How it came in by a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inbound {
    pub source_id: String,
    pub verdict: String,
    pub method: String,
    pub target: String,
    pub peer: Option<String>,
    pub note: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
}

/// A payload as it came.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Raw {
    pub payload: String,
    pub encoding: Option<String>,
}

/// JSON laid out for reading; what is none stays as it is.
pub(crate) fn laid_out(text: &str) -> String {
    // The order of members and the digits of numbers are the publisher's: only spaces are put in.
    let mut out = String::with_capacity(text.len() * 2);
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_err() {
        return text.to_owned();
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(64)));
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                out.push(c);
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_laid_out_without_changing_a_digit() {
        assert_eq!(
            laid_out(r#"{"b":1.0,"a":[1,{ }],"t":"x, {\"y\": 1}"}"#),
            "{\n  \"b\": 1.0,\n  \"a\": [\n    1,\n    {}\n  ],\n  \"t\": \"x, {\\\"y\\\": 1}\"\n}"
        );
        assert_eq!(laid_out("<xml/>"), "<xml/>");
        assert_eq!(laid_out(r#""a\\""#), r#""a\\""#);
    }
}
