//! The same JSON as other serialisers write it, for [`super::explain()`]: spacing and escapes change, while order of
//! keys and the text of numbers stay.
//!
//! Works on the text, not on parsed values, so that only what is meant to change does. Bounded: output that would
//! grow past a multiple of the input is given up.

/// White space between tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    Keep,
    Compact,
    Spaced,
    Indented(u8),
}

/// Escapes inside strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    Keep,
    /// Python's `json.dumps`: everything past ASCII as `\uXXXX`.
    Ascii,
    /// PHP's `json_encode`: as above, and `/` as `\/`.
    Php,
    /// Go's `json.Marshal`: `<`, `>` and `&` as `\u003c` and so on.
    Html,
    /// No escape that JSON does not require.
    Plain,
}

pub(super) const SPACINGS: &[Spacing] = &[
    Spacing::Compact,
    Spacing::Spaced,
    Spacing::Indented(2),
    Spacing::Indented(4),
    Spacing::Keep,
];
pub(super) const ESCAPES: &[Escapes] = &[
    Escapes::Keep,
    Escapes::Ascii,
    Escapes::Php,
    Escapes::Html,
    Escapes::Plain,
];

impl Spacing {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Keep => "spaced as here",
            Self::Compact => "compact, without spaces",
            Self::Spaced => "on one line with a space after `,` and `:` (as Python writes it)",
            Self::Indented(2) => "indented by 2 spaces",
            Self::Indented(_) => "indented by 4 spaces",
        }
    }
}

impl Escapes {
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Keep => None,
            Self::Ascii => Some("with non-ASCII characters escaped (as Python writes it)"),
            Self::Php => Some("with non-ASCII characters and `/` escaped (as PHP writes it)"),
            Self::Html => Some("with `<`, `>` and `&` escaped (as Go writes it)"),
            Self::Plain => Some("without escapes that JSON does not require"),
        }
    }
}

const GROWTH_MAX: usize = 8;

/// `None` when `body` is not JSON, when nothing would change, or when the result grows out of proportion.
pub(super) fn rewrite(body: &[u8], spacing: Spacing, escapes: Escapes) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut writer = Writer {
        out: String::with_capacity(text.len()),
        spacing,
        depth: 0,
    };
    let bytes_max = text.len() * GROWTH_MAX + 4096;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let end = string_end(rest)?;
            escape(&rest[..end], escapes, &mut writer.out);
            rest = &rest[end..];
        } else {
            rest = &rest[c.len_utf8()..];
            writer.token(c, rest);
        }
        if writer.out.len() > bytes_max {
            return None;
        }
    }
    (writer.out != text).then(|| writer.out.into_bytes())
}

struct Writer {
    out: String,
    spacing: Spacing,
    depth: usize,
}

impl Writer {
    fn token(&mut self, c: char, rest: &str) {
        if self.spacing == Spacing::Keep {
            self.out.push(c);
            return;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                self.out.push(c);
                self.depth += 1;
                // An empty object or array stays on its line.
                if !rest.trim_start().starts_with(['}', ']']) {
                    self.line();
                }
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if !self.out.ends_with(['{', '[']) {
                    self.line();
                }
                self.out.push(c);
            }
            ',' => {
                self.out.push(c);
                self.line();
                if self.spacing == Spacing::Spaced {
                    self.out.push(' ');
                }
            }
            ':' => {
                self.out.push(c);
                if self.spacing != Spacing::Compact {
                    self.out.push(' ');
                }
            }
            other => self.out.push(other),
        }
    }

    fn line(&mut self) {
        if let Spacing::Indented(by) = self.spacing {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', self.depth * usize::from(by)));
        }
    }
}

/// Length of the JSON string that `text` starts with, quotes included.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

fn escape(string: &str, escapes: Escapes, out: &mut String) {
    if escapes == Escapes::Keep {
        out.push_str(string);
        return;
    }
    let mut rest = string;
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            let (plain, length) = read_escape(rest);
            match plain {
                Some(plain) if escapes == Escapes::Plain => out.push(plain),
                _ => out.push_str(&rest[..length]),
            }
            rest = &rest[length..];
            continue;
        }
        match (escapes, c) {
            (Escapes::Php, '/') => out.push_str("\\/"),
            (Escapes::Ascii | Escapes::Php, c) if !c.is_ascii() => push_unicode_escape(c, out),
            (Escapes::Html, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => push_unicode_escape(c, out),
            _ => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
}

/// The character an escape stands for, when JSON does not require it to be escaped, and the escape's length.
fn read_escape(text: &str) -> (Option<char>, usize) {
    match text.as_bytes().get(1) {
        Some(b'/') => (Some('/'), 2),
        Some(b'u') => {
            let (unit, length) = (hex_unit(text), 6.min(text.len()));
            let (code, length) = match unit {
                Some(high @ 0xD800..=0xDBFF) => match hex_unit(&text[length..]) {
                    Some(low @ 0xDC00..=0xDFFF) => (Some(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12),
                    _ => (None, length),
                },
                other => (other, length),
            };
            let required = |c: &char| *c < ' ' || matches!(c, '"' | '\\');
            (code.and_then(char::from_u32).filter(|c| !required(c)), length)
        }
        _ => (None, 2.min(text.len())),
    }
}

/// The number in a `\uXXXX` at the start of `text`.
fn hex_unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn push_unicode_escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to(body: &str, spacing: Spacing, escapes: Escapes) -> Option<String> {
        rewrite(body.as_bytes(), spacing, escapes).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const BODY: &str = "{ \"b\" :1.10,\n\t\"a\": [ ] , \"c\":[1,{\"d\":\"x, y: \\\"z\\\" é/<😀\"}]}\n";

    #[test]
    fn spacing_changes_and_key_order_number_text_and_strings_do_not() {
        let cases = [
            (
                Spacing::Compact,
                "{\"b\":1.10,\"a\":[],\"c\":[1,{\"d\":\"x, y: \\\"z\\\" é/<😀\"}]}",
            ),
            (
                Spacing::Spaced,
                "{\"b\": 1.10, \"a\": [], \"c\": [1, {\"d\": \"x, y: \\\"z\\\" é/<😀\"}]}",
            ),
            (
                Spacing::Indented(2),
                "{\n  \"b\": 1.10,\n  \"a\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, y: \\\"z\\\" é/<😀\"\n    }\n  ]\n}",
            ),
        ];
        for (spacing, expected) in cases {
            assert_eq!(to(BODY, spacing, Escapes::Keep).as_deref(), Some(expected));
        }
    }

    #[test]
    fn escapes_are_those_of_other_languages() {
        let plain = r#""é/<😀 \" \n""#;
        assert_eq!(
            to(plain, Spacing::Keep, Escapes::Ascii).unwrap(),
            r#""\u00e9/<\ud83d\ude00 \" \n""#
        );
        assert_eq!(
            to(plain, Spacing::Keep, Escapes::Php).unwrap(),
            r#""\u00e9\/<\ud83d\ude00 \" \n""#
        );
        assert_eq!(
            to(plain, Spacing::Keep, Escapes::Html).unwrap(),
            r#""é/\u003c😀 \" \n""#
        );
        let escaped = r#""\u00e9\/\u003c\ud83d\ude00 \" \n""#;
        assert_eq!(to(escaped, Spacing::Keep, Escapes::Plain).unwrap(), plain);
        assert_eq!(
            to(r#""\u0022\u005c\u0007""#, Spacing::Keep, Escapes::Plain),
            None,
            "required escapes stay"
        );
    }

    #[test]
    fn what_is_not_json_or_would_not_change_is_left_alone() {
        assert_eq!(to("not json", Spacing::Compact, Escapes::Keep), None);
        assert_eq!(to("{\"a\":1}", Spacing::Compact, Escapes::Keep), None);
        assert_eq!(rewrite(b"\xff", Spacing::Compact, Escapes::Keep), None);
    }

    #[test]
    fn deep_nesting_does_not_multiply_memory() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(to(&deep, Spacing::Indented(4), Escapes::Keep), None);
    }

    proptest! {
        #[test]
        fn a_rewritten_body_is_the_same_json(text in ".{0,40}", number in any::<f64>(), spacing in 0..5usize, escapes in 0..5usize) {
            let value = serde_json::json!({"a": [text, number, [], {}], text.clone(): null});
            let body = serde_json::to_vec_pretty(&value).unwrap();
            // As read back: serde_json's default float parsing is off by one bit at times.
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if let Some(rewritten) = rewrite(&body, SPACINGS[spacing], ESCAPES[escapes]) {
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&rewritten).unwrap(), value);
            }
        }
    }
}
