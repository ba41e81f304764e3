//! JSON is taken as it is, once it is known to be JSON, not too deep, and clear about what its members are.

use std::{borrow::Cow, collections::HashSet};

use serde::de::IgnoredAny;

use super::{
    DEPTH_MAX, DecodeError,
    error::{self, DecodeError::TooDeep},
};
use crate::tokens::{end_of_string, unescape};

/// Objects with more members than this are looked up by a set.
const SCAN_MAX: usize = 16;

/// Whether a text is one JSON value that nobody can read in two ways: an object that names a member twice is refused, because
/// some readers take the first and others the last.
///
/// One look is enough where all is well, which is nearly always; what is not is looked at once more for its words and place.
pub(super) fn check(text: &str) -> Result<(), DecodeError> {
    if Walk::default().is_well(text) {
        return Ok(());
    }
    judge(text)
}

fn judge(text: &str) -> Result<(), DecodeError> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| DecodeError::malformed("JSON", error.to_string()))?;
    Walk::default().walk(text)
}

/// What is known of the containers around a place.
#[derive(Default)]
struct Walk<'a> {
    around: Vec<Around<'a>>,
    /// The names of the members of all objects around, outermost first.
    names: Vec<Cow<'a, str>>,
}

struct Around<'a> {
    is_object: bool,
    /// Where its names begin.
    start: usize,
    /// Its names, once there are many.
    many: HashSet<Cow<'a, str>>,
}

/// What may come next (RFC 8259, section 2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// Or the end of the list that has just begun.
    FirstItem,
    Name,
    /// Or the end of the object that has just begun.
    FirstName,
    Colon,
    /// A comma, the end of what is around, or of the text.
    Behind,
}

impl<'a> Walk<'a> {
    /// Whether the text is JSON, not too deep, and names no member twice. Says nothing about why not.
    fn is_well(&mut self, text: &'a str) -> bool {
        self.look(text).is_some()
    }

    fn look(&mut self, text: &'a str) -> Option<()> {
        let bytes = text.as_bytes();
        let (mut at, mut next) = (0, Next::Value);
        loop {
            let Some(byte) = bytes.get(at) else {
                return (next == Next::Behind && self.around.is_empty()).then_some(());
            };
            at += 1;
            next = match (next, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n') => next,
                (Next::Value | Next::FirstItem, b'{') => {
                    self.open(true).ok()?;
                    Next::FirstName
                }
                (Next::Value | Next::FirstItem, b'[') => {
                    self.open(false).ok()?;
                    Next::FirstItem
                }
                (Next::Value | Next::FirstItem, b'"') => {
                    at = string(bytes, at)?;
                    Next::Behind
                }
                (Next::Value | Next::FirstItem, byte) if *byte != b']' => {
                    at = plain(bytes, at - 1)?;
                    Next::Behind
                }
                (Next::Name | Next::FirstName, b'"') => {
                    let end = string(bytes, at)?;
                    self.name(text, at - 1, end - 1).ok()?;
                    at = end;
                    Next::Colon
                }
                (Next::Colon, b':') => Next::Value,
                (Next::Behind, b',') => match self.around.last()?.is_object {
                    true => Next::Name,
                    false => Next::Value,
                },
                (Next::Behind | Next::FirstItem, b']') if !self.around.last()?.is_object => {
                    self.close();
                    Next::Behind
                }
                (Next::Behind | Next::FirstName, b'}') if self.around.last()?.is_object => {
                    self.close();
                    Next::Behind
                }
                _ => return None,
            };
        }
    }

    /// The text is known to be JSON.
    fn walk(&mut self, text: &'a str) -> Result<(), DecodeError> {
        let bytes = text.as_bytes();
        let mut at = 0;
        // Whether a string that begins here is the name of a member.
        let mut names = false;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'{' | b'[' => {
                    names = *byte == b'{';
                    self.open(names)?;
                }
                b'}' | b']' => self.close(),
                b',' => names = self.around.last().is_some_and(|inner| inner.is_object),
                b'"' => {
                    let end = end_of_string(bytes, at + 1);
                    if std::mem::take(&mut names) {
                        self.name(text, at, end)?;
                    }
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) -> Result<(), DecodeError> {
        if self.around.len() == DEPTH_MAX {
            return Err(TooDeep { max: DEPTH_MAX });
        }
        self.around.push(Around {
            is_object,
            start: self.names.len(),
            many: HashSet::new(),
        });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(closed) = self.around.pop() {
            self.names.truncate(closed.start);
        }
    }

    /// Takes the name between the quotes at `open` and `close`.
    fn name(&mut self, text: &'a str, open: usize, close: usize) -> Result<(), DecodeError> {
        let written = text.get(open + 1..close).unwrap_or_default();
        let name = unescape(written);
        let Some(around) = self.around.last_mut() else {
            return Ok(());
        };
        let known = self.names.get(around.start..).unwrap_or_default();
        let is_known = match known.len() {
            ..SCAN_MAX => known.contains(&name),
            SCAN_MAX => {
                around.many.extend(known.iter().cloned());
                !around.many.insert(name.clone())
            }
            _ => !around.many.insert(name.clone()),
        };
        if is_known {
            let line = text[..open].matches('\n').count() + 1;
            let what = format!("an object names {} twice (line {line})", error::name(&name));
            return Err(DecodeError::malformed("JSON", what));
        }
        self.names.push(name);
        Ok(())
    }
}

/// Where a string ends that begins behind its quote (section 7).
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f))?;
        at += found + 1;
        match rest.get(found)? {
            b'"' => return Some(at),
            b'\\' => match bytes.get(at)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 1,
                b'u' if bytes.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit) => at += 5,
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Where a number (section 6) or a word (section 3) ends.
fn plain(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    for word in [&b"true"[..], b"false", b"null"] {
        if rest.starts_with(word) {
            return Some(at + word.len());
        }
    }
    let mut end = usize::from(rest.first() == Some(&b'-'));
    let whole = digits(rest, end)?;
    if rest.get(end) == Some(&b'0') && whole > end + 1 {
        return None;
    }
    end = whole;
    if rest.get(end) == Some(&b'.') {
        end = digits(rest, end + 1)?;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        end = digits(rest, end + 1 + sign)?;
    }
    Some(at + end)
}

/// Where the digits end that begin here; there is one at least.
fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    let count = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of JSON and of what is none, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"a\":",
            "\"\\u0061\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\u00g0\"",
            "\"\u{1}\"",
            "\"\u{7f}é\"",
            " ",
            "\n",
            "\u{a0}",
            "true",
            "false",
            "nul",
            "null",
            "0",
            "-0",
            "01",
            "1.5",
            "1.",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "-",
            "+1",
            "1e400",
            "NaN",
            "\\",
            "//",
            "'",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// JSON that is nearly always right.
    fn documents() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "1", "-1.5e3", "\"x\"", "\"\\n\"", "true", "null", "\"\"", "{}", "[]",
        ])
        .prop_map(str::to_owned);
        leaf.prop_recursive(6, 64, 5, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" ,")));
            let name = prop::sample::select(vec!["a", "b", "c", "\\u0061", "d d", ""]);
            let object = prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", members.join(",\n"))
            });
            prop_oneof![list, object]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn one_look_finds_well_what_the_judge_does(text in prop_oneof![pieces(), documents()], cut in any::<prop::sample::Index>()) {
            let at = text.floor_char_boundary(cut.index(text.len() + 1));
            for text in [&text, &text[..at]] {
                prop_assert_eq!(Walk::default().is_well(text), judge(text).is_ok(), "{}", text);
            }
        }
    }

    #[test]
    fn an_object_that_names_a_member_twice_is_refused_however_it_is_written() {
        let many: String = (0..40).map(|number| format!("\"k{number}\":{{\"a\":1}},")).collect();
        for text in [
            r#"{"a": 1, "b": {"a": 2}, "a": 3}"#.to_owned(),
            r#"{"a": 1, "\u0061": 3}"#.to_owned(),
            r#"[1, {"x": {"a": [], "b": "}", "a": {}}}]"#.to_owned(),
            r#"{"": 1, "": 2}"#.to_owned(),
            format!("{{{many}\"k7\":1}}"),
            format!("{{{many}\"k39\":1}}"),
        ] {
            let error = check(&text).expect_err(&text);
            assert!(error.to_string().contains("twice (line 1)"), "{error}");
        }
        for text in [
            r#"{"a": {"a": {"a": ["a", "a", {"a": "a"}]}}, "b": "a", "c": ["a"], "d": "a"}"#.to_owned(),
            r#"[{"a": 1}, {"a": 1}, "a", "a"]"#.to_owned(),
            r#"{"\"a": "\\", "a\\": "\"", "\ud800": 1}"#.to_owned(),
            format!("{{{many}\"k40\":{{{many}\"k40\":1}}}}"),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_depth_is_bounded_and_brackets_in_texts_do_not_count() {
        let nested = |levels: usize| format!("{}\"{}\"{}", "[".repeat(levels), "[".repeat(200), "]".repeat(levels));
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        assert_eq!(check(&nested(DEPTH_MAX + 1)), Err(TooDeep { max: DEPTH_MAX }));
        assert_eq!(check(&nested(100_000)), Err(TooDeep { max: DEPTH_MAX }));
    }

    #[test]
    fn what_ends_too_early_or_goes_on_says_where() {
        for (text, place) in [
            ("{\"a\":", "line 1 column 5"),
            ("[1,\n2", "line 2 column 1"),
            ("{} {}", "column 4"),
            ("nul", "column 3"),
            (" ", "column 1"),
            ("{\"a\": 01}", "column 8"),
        ] {
            let error = check(text).expect_err(text).to_string();
            assert!(
                error.starts_with("the body is no JSON: ") && error.contains(place),
                "{error}"
            );
        }
    }
}
