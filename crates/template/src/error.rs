//! What is wrong with an expression or a template, said so that its author can mend it.

use std::ops::Range;

use minijinja::ErrorKind;

/// The longest piece of the author's text that is quoted, in characters.
const EXCERPT_CHARS: usize = 60;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The text is not of the language; found when it is compiled.
    Syntax,
    /// The text uses what the language leaves out, or is too large; found when it is compiled.
    Refused,
    /// The message has no such member.
    Missing,
    /// It does more work than it may.
    Exhausted,
    /// It writes more than it may.
    TooLong,
    /// It does something to a value that this value does not bear.
    Value,
}

/// An error in an expression or a template: what it is, where, and in which text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (line {line}, column {column}: `{excerpt}`)")]
pub struct TemplateError {
    /// What the caller can do about it.
    pub reason: Reason,
    /// What is wrong, with what to do.
    pub what: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The piece of the text that is meant, shortened.
    pub excerpt: String,
}

impl TemplateError {
    /// An error about a piece of the text, given by its bytes.
    pub(crate) fn at(text: &str, piece: Range<usize>, reason: Reason, what: impl Into<String>) -> Self {
        let start = text.floor_char_boundary(piece.start);
        let end = text.ceil_char_boundary(piece.end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            reason,
            what: what.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            excerpt: shorten(&text[start..end]),
        }
    }

    /// An error about all of the text.
    pub(crate) fn whole(text: &str, reason: Reason, what: impl Into<String>) -> Self {
        Self::at(text, 0..text.len(), reason, what)
    }

    /// What the engine says, in our words.
    pub(crate) fn of_engine(text: &str, error: &minijinja::Error) -> Self {
        let (reason, what) = describe(error);
        match error.range() {
            Some(piece) => Self::at(text, piece, reason, what),
            None => Self::whole(text, reason, what),
        }
    }

    /// The same error, in a text that stands in a greater one at this place.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.what = format!("at {place}: {}", self.what);
        self
    }
}

fn describe(error: &minijinja::Error) -> (Reason, String) {
    let detail = error.detail();
    let said = || detail.map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape | ErrorKind::InvalidDelimiter => {
            (Reason::Syntax, format!("syntax error: {}", said()))
        }
        ErrorKind::UndefinedError => {
            let what = match detail {
                Some(detail) => format!(
                    "{}: the message has no such member",
                    detail.replace(" is undefined", " is missing")
                ),
                None => "the message has no such member".to_owned(),
            };
            (
                Reason::Missing,
                format!("{what}; ask `is defined` first, or add `|default(…)`"),
            )
        }
        ErrorKind::OutOfFuel => (
            Reason::Exhausted,
            "too much work: shorten its loops, or what they run over".to_owned(),
        ),
        ErrorKind::WriteFailure => (Reason::TooLong, said()),
        _ => (Reason::Value, said()),
    }
}

fn shorten(text: &str) -> String {
    let mut line = text.trim().chars();
    let mut short: String = line.by_ref().take(EXCERPT_CHARS).collect();
    if line.next().is_some() {
        short.push('…');
    }
    short.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_in_characters_from_one() {
        let error = TemplateError::at("a\näö {{ x }}", 10..11, Reason::Missing, "gone");
        assert_eq!((error.line, error.column, error.excerpt.as_str()), (2, 7, "x"));
        assert_eq!(error.to_string(), "gone (line 2, column 7: `x`)");
    }

    #[test]
    fn a_place_outside_of_the_text_or_inside_a_character_does_no_harm() {
        let error = TemplateError::at("ä", 1..99, Reason::Syntax, "x");
        assert_eq!((error.line, error.column, error.excerpt.as_str()), (1, 1, "ä"));
        let error = TemplateError::at("", 7..9, Reason::Syntax, "x");
        assert_eq!((error.line, error.column), (1, 1));
        let long = TemplateError::whole(&"y".repeat(100), Reason::Syntax, "x");
        assert_eq!(long.excerpt.chars().count(), EXCERPT_CHARS + 1);
    }
}
