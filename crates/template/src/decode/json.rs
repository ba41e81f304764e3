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
pub(super) fn check(text: &str) -> Result<(), DecodeError> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| DecodeError::malformed("JSON", error.to_string()))?;
    Walk::default().walk(text)
}

/// What is known of the containers around a place. The text is known to be JSON.
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

impl<'a> Walk<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
