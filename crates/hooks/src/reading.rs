//! What reading a file needs everywhere: values of each type, and findings for what is not one.
//!
//! Every function answers `None` after it has added a finding, so that one reading finds everything that is wrong.

use std::time::Duration;

use bellwire_core::time::{format_span, parse_span};
use bellwire_template::{Escape, Expression, Missing, Template, TemplateError};

use crate::{
    finding::{Finding, Mark, Path},
    nearest::nearest,
    veil::Veil,
    yaml::{Entry, Node, Value},
};

/// How many findings are told: who wrote more mistakes mends these first.
pub(crate) const FINDINGS_MAX: usize = 500;

/// What was found so far.
pub(crate) struct Reading<'a> {
    lines: Vec<&'a str>,
    pub veil: Veil,
    pub findings: Vec<Finding>,
}

/// A member that is there.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    /// Where its name stands.
    pub name_at: Mark,
    pub node: &'a Node,
    pub path: Path,
}

/// A map whose names were looked at.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    pub at: Mark,
    pub path: Path,
    entries: &'a [Entry],
}

impl<'a> Table<'a> {
    /// The member of that name, which may be written `like_this` or `likeThis`.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| is_named(&entry.key, name))?;
        // A member that is there and says nothing is as one that is left out.
        (!matches!(entry.value.value, Value::Null)).then(|| self.field(entry))
    }

    /// Every member.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.field(entry)))
    }

    fn field(&self, entry: &'a Entry) -> Field<'a> {
        Field {
            name_at: entry.at,
            node: &entry.value,
            path: self.path.member(&entry.key),
        }
    }
}

/// Whether what is written is this name.
pub(crate) fn is_named(written: &str, name: &str) -> bool {
    written == name || written == camel(name)
}

/// `max_in_flight` as `maxInFlight`.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let mut joined = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        joined.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        joined.extend(letters);
    }
    joined
}

/// `maxInFlight` as `max_in_flight`.
pub(crate) fn snake(name: &str) -> String {
    let mut split = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            split.push('_');
        }
        split.push(letter.to_ascii_lowercase());
    }
    split
}

impl<'a> Reading<'a> {
    pub fn new(text: &'a str, veil: Veil, findings: Vec<Finding>) -> Self {
        Self {
            lines: text.lines().collect(),
            veil,
            findings,
        }
    }

    /// Adds a finding. What references were replaced by is hidden in it.
    pub fn find(&mut self, at: Mark, path: &Path, what: impl AsRef<str>, advice: impl AsRef<str>) {
        if self.findings.len() > FINDINGS_MAX {
            return;
        }
        self.findings.push(Finding {
            at,
            path: path.to_string(),
            what: self.veil.over_excerpts(what.as_ref()),
            advice: self.veil.over_excerpts(advice.as_ref()),
        });
    }

    /// A finding about a value as a whole; none about one that is unknown.
    pub fn wrong(&mut self, field: &Field<'_>, what: impl AsRef<str>, advice: impl AsRef<str>) {
        if matches!(field.node.value, Value::Unknown) {
            return;
        }
        self.find(field.node.at, &field.path, what, advice);
    }

    /// A map with any names. `what` says what it is, such as "a hook".
    pub fn map(&mut self, node: &'a Node, path: &Path, what: &str) -> Option<Table<'a>> {
        if let Some(entries) = node.entries() {
            let (at, path) = (node.at, path.clone());
            return Some(Table { at, path, entries });
        }
        if !matches!(node.value, Value::Unknown) {
            let what = format!("{what} is a map, and this is {}", node.kind());
            self.find(node.at, path, what, "");
        }
        None
    }

    /// A map with names of which all are known; `what` as in [`Self::map`].
    pub fn table(&mut self, node: &'a Node, path: &Path, what: &str, known: &[&str]) -> Option<Table<'a>> {
        let table = self.map(node, path, what)?;
        for (name, field) in table.fields() {
            if known.iter().any(|known| is_named(name, known)) {
                continue;
            }
            self.unknown(&field, format!("{what} has no `{}`", shorten(name)), name, known);
        }
        self.once(&table, known);
        Some(table)
    }

    /// A finding about each name that is there in both spellings.
    pub fn once(&mut self, table: &Table<'a>, names: &[&str]) {
        for name in names {
            let mut written = table.fields().filter(|(written, _)| is_named(written, name));
            if let (Some((first, _)), Some((_, second))) = (written.next(), written.next()) {
                let what = format!("it is the same as `{first}`");
                self.find(second.name_at, &second.path, what, "remove one of them");
            }
        }
    }

    /// A finding about each of these that is there and says nothing: somebody meant to say something.
    pub fn said(&mut self, table: &Table<'a>, names: &[&str]) {
        for (name, field) in table.fields() {
            if matches!(field.node.value, Value::Null) && names.iter().any(|known| is_named(name, known)) {
                let what = format!("`{}` says nothing", shorten(name));
                self.find(
                    field.name_at,
                    &field.path,
                    what,
                    "say something behind it, or remove it",
                );
            }
        }
    }

    /// A finding about a name that nobody knows.
    pub fn unknown(&mut self, field: &Field<'_>, what: String, name: &str, known: &[&str]) {
        let advice = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it has {}", listed(known)),
        };
        self.find(field.name_at, &field.path, what, advice);
    }

    /// A text; a number or truth value counts as it is written.
    pub fn text(&mut self, field: &Field<'a>) -> Option<&'a str> {
        let written = field.node.written();
        if written.is_none() {
            self.wrong(field, format!("this is {}; a text is needed", field.node.kind()), "");
        }
        written
    }

    /// One text or a list of them; never an empty list.
    pub fn texts(&mut self, field: &Field<'a>) -> Option<Vec<&'a str>> {
        let Value::List(items) = &field.node.value else {
            return self.text(field).map(|text| vec![text]);
        };
        if items.is_empty() {
            self.wrong(field, "the list is empty", "");
            return None;
        }
        let texts: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(at, node)| {
                self.text(&Field {
                    name_at: node.at,
                    node,
                    path: field.path.item(at),
                })
            })
            .collect();
        texts.into_iter().collect()
    }

    /// True or false.
    pub fn truth(&mut self, field: &Field<'a>) -> Option<bool> {
        match (&field.node.value, field.node.written()) {
            (Value::Bool(truth, _), _) => Some(*truth),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => {
                self.wrong(field, "write true or false", "");
                None
            }
        }
    }

    /// A whole number from `least` to `most`, however YAML writes it; or its digits, as a reference brings them.
    pub fn number(&mut self, field: &Field<'a>, least: u64, most: u64) -> Option<u64> {
        let number = match &field.node.value {
            Value::Number(number, _) => whole(number),
            Value::Text(text) if text.text.bytes().all(|byte| byte.is_ascii_digit()) => text.text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let most = if most == u64::MAX {
                String::new()
            } else {
                format!(" to {most}")
            };
            self.wrong(field, format!("write a whole number from {least}{most}"), "");
        }
        number
    }

    /// A span of time from `least` to `most`: `15m`, or a number of seconds.
    pub fn span(&mut self, field: &Field<'a>, least: Duration, most: Duration) -> Option<Duration> {
        let written = self.text(field)?;
        // A number is its value, however YAML writes it.
        let number = match &field.node.value {
            Value::Number(number, _) => Some(number.to_string()),
            _ => None,
        };
        match parse_span(number.as_deref().unwrap_or(written)) {
            Ok(span) if (least..=most).contains(&span) => Some(span),
            Ok(_) => {
                let bounds = format!("write a duration from {} to {}", format_span(least), format_span(most));
                self.wrong(field, bounds, "");
                None
            }
            Err(error) => {
                self.wrong(field, error.to_string(), "");
                None
            }
        }
    }

    /// An expression, in the house's one language.
    pub fn expression(&mut self, field: &Field<'a>) -> Option<&'a str> {
        let text = self.text(field)?;
        match Expression::compile(text, Missing::Empty) {
            Ok(_) => Some(text),
            Err(error) => {
                self.expression_error(field, text, &error);
                None
            }
        }
    }

    /// A template for a text.
    pub fn template(&mut self, field: &Field<'a>) -> Option<&'a str> {
        let text = self.text(field)?;
        match Template::compile(text, Escape::None, Missing::Empty) {
            Ok(_) => Some(text),
            Err(error) => {
                self.template_error(field, text, &error);
                None
            }
        }
    }

    /// A finding about an expression, with what was probably meant.
    pub fn expression_error(&mut self, field: &Field<'_>, text: &str, error: &TemplateError) {
        self.piece_wrong(field, text, error, advice(text));
    }

    /// A finding about a template.
    pub fn template_error(&mut self, field: &Field<'_>, text: &str, error: &TemplateError) {
        self.piece_wrong(field, text, error, "");
    }

    /// A finding about an expression or a template, at the very piece that is meant where it can be found in the file.
    fn piece_wrong(&mut self, field: &Field<'_>, text: &str, error: &TemplateError, advice: &str) {
        let at = self.piece(field.node, text, error).unwrap_or(field.node.at);
        let what = match error.excerpt.trim() {
            "" => error.what.clone(),
            excerpt => format!("{}: `{excerpt}`", error.what),
        };
        self.find(at, &field.path, what, advice);
    }

    /// Where the piece of a text that an error means stands in the file: the text's own line is searched, since quotes,
    /// escapes and folding move columns.
    fn piece(&self, node: &Node, text: &str, error: &TemplateError) -> Option<Mark> {
        let wanted = error.excerpt.trim_end_matches('…').trim();
        let line = text.lines().nth(error.line.saturating_sub(1))?;
        let before: String = line.chars().take(error.column.saturating_sub(1)).collect();
        if wanted.is_empty() {
            return None;
        }
        let written = format!("{}{wanted}", before.trim_start());
        (node.at.line..=node.last_line.min(self.lines.len())).find_map(|number| {
            let source = self.lines.get(number.checked_sub(1)?)?;
            let from = if number == node.at.line { node.at.column - 1 } else { 0 };
            let skipped: usize = source.chars().take(from).map(char::len_utf8).sum();
            let at = skipped + source[skipped..].find(&written)? + written.len() - wanted.len();
            Some(Mark {
                line: number,
                column: source[..at].chars().count() + 1,
            })
        })
    }
}

/// A number without a fraction: `1e3` is one, too.
fn whole(number: &serde_json::Number) -> Option<u64> {
    let float = || {
        number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && (0.0..=1e15).contains(float))
    };
    number.as_u64().or_else(|| float().map(|float| float as u64))
}

/// What was probably meant by an expression in the manner of another language.
fn advice(text: &str) -> &'static str {
    let is_assigned = |at: usize| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        !before.ends_with(['=', '!', '<', '>']) && !after.starts_with('=')
    };
    if text.trim_start().starts_with("{{") {
        "an expression is written without braces"
    } else if text.contains("&&") || text.contains("||") {
        "write `and` and `or`"
    } else if text.match_indices('=').any(|(at, _)| is_assigned(at)) {
        "write `==` to compare"
    } else {
        ""
    }
}

/// Names for a sentence: `a`, `b` and `c`.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// At most 60 characters, without line breaks.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_both_spellings() {
        assert_eq!(
            (camel("max_in_flight").as_str(), snake("maxInFlight").as_str()),
            ("maxInFlight", "max_in_flight")
        );
        assert!(
            is_named("forEach", "for_each") && is_named("for_each", "for_each") && !is_named("foreach", "for_each")
        );
    }

    fn placed(file: &str) -> String {
        let root = crate::yaml::compose(file).unwrap().unwrap();
        let mut reading = Reading::new(file, Veil::default(), Vec::new());
        let entry = &root.entries().unwrap()[0];
        let field = Field {
            name_at: entry.at,
            node: &entry.value,
            path: Path::default().member("when"),
        };
        assert_eq!(reading.expression(&field), None);
        reading.findings[0].to_string()
    }

    #[test]
    fn an_expression_that_does_not_compile_is_placed_at_the_piece_that_is_meant() {
        for (file, at) in [
            ("when: type|shout", "1:12: "),
            ("when: \"type|shout\"", "1:13: "),
            ("when: |\n  type\n  |shout\n", "3:4: "),
            // A folded text has other places than the file: it is named by its beginning.
            ("when: >-\n  body.a and\n  type|shout\n", "2:3: "),
        ] {
            let found = placed(file);
            assert!(
                found.starts_with(at) && found.contains("there is no filter `shout`"),
                "{file}: {found}"
            );
        }
    }
}
