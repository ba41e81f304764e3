//! The message as `blocks` see it: with its texts escaped already.
//!
//! A value goes into `blocks` with its type, also a whole list of blocks, so it is too late to escape once it is written there.

use std::borrow::Cow;

use bellwire_core::source::Item;
use bellwire_template::Escape;

use crate::Event;

/// Gives `then` the event with all texts that a sender chose as the escape writes them. URLs stay as they are, for the members
/// of blocks that are URLs.
pub(super) fn escaped<T>(event: &Event<'_>, escape: Escape, then: impl FnOnce(&Event<'_>) -> T) -> T {
    if escape == Escape::None {
        return then(event);
    }
    let json = json(event.json, escape);
    let headers: Vec<_> = event
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), text(value, escape).into_owned()))
        .collect();
    let item = event.item.map(|item| Item {
        rest: item.rest.as_deref().map(|rest| {
            let rest = self::json(rest.as_bytes(), escape);
            String::from_utf8_lossy(&rest).into_owned()
        }),
        ..item.clone()
    });
    then(&Event {
        json: &json,
        headers: &headers,
        item: item.as_ref(),
        ..*event
    })
}

fn text(text: &str, escape: Escape) -> Cow<'_, str> {
    if is_url(text) {
        Cow::Borrowed(text)
    } else {
        escape.written(text)
    }
}

/// Whether a text is a URL and nothing else, without a letter that could call somebody or end a link.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#&=%+,;".contains(&byte))
    })
}

/// JSON with its strings escaped, names of members as well. All else is as it was, numbers and white space too.
fn json(json: &[u8], escape: Escape) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        written.extend_from_slice(&rest[..start]);
        let (literal, behind) = rest[start..].split_at(literal_bytes(&rest[start..]));
        match serde_json::from_slice::<String>(literal) {
            Ok(decoded) => {
                written.extend_from_slice(serde_json::Value::from(text(&decoded, escape)).to_string().as_bytes())
            }
            // It is no JSON, which whoever reads it will say.
            Err(_) => written.extend_from_slice(literal),
        }
        rest = behind;
    }
    written.extend_from_slice(rest);
    written
}

/// How long the string is that begins here, both quotation marks included.
fn literal_bytes(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_however_they_are_spelled_and_all_else_stays() {
        let written = |text: &str| String::from_utf8(json(text.as_bytes(), Escape::Entities)).unwrap();
        for (text, expected) in [
            (
                r#"{"a" : 1.50, "b": [true, null]}"#,
                r#"{"a" : 1.50, "b": [true, null]}"#,
            ),
            (r#"{"<a>": "\u003c!channel>"}"#, r#"{"&lt;a&gt;": "&lt;!channel&gt;"}"#),
            (r#"["\"<", "\\", "<"]"#, r#"["\"&lt;", "\\", "&lt;"]"#),
            (
                r#"["https://e.example/?a=1&b=2", "https://e.example/|<!here>"]"#,
                r#"["https://e.example/?a=1&b=2", "https://e.example/|&lt;!here&gt;"]"#,
            ),
            (r#"["torn <"#, r#"["torn <"#),
        ] {
            assert_eq!(written(text), expected);
        }
    }
}
