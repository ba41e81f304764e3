//! Where commands write: tables and records for people, or the API's answer as it came for programs.
//!
//! Called by every command. Results go to standard output, notes and progress to standard error. It decides on colour
//! once (a terminal, and `NO_COLOR` unset) and knows nothing of the API's resources.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, value::RawValue};

use super::{
    exit::Failure,
    pretty::{self, Members},
    when,
};

/// The command's output.
pub struct Out {
    json: bool,
    colour: bool,
    notes_colour: bool,
    to: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
}

/// What a piece of text means; shown as a colour where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Not yet decided, or worth a look.
    Warn,
    /// Less important than its surroundings.
    Dim,
    /// A title.
    Bold,
}

/// One column of a table: its title and how a row is shown in it.
pub struct Column {
    /// The title, in capitals.
    pub title: &'static str,
    /// The cell's text for one item of the list.
    pub show: fn(&Value) -> String,
}

impl Out {
    /// Standard output and standard error.
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR is about the terminal, not a setting (no-color.org)"
    )]
    pub fn standard(json: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !no_colour && io::stdout().is_terminal();
        let notes_colour = !no_colour && io::stderr().is_terminal();
        Self {
            json,
            colour,
            notes_colour,
            to: Box::new(io::stdout()),
            notes: Box::new(io::stderr()),
        }
    }

    /// Into other writers, without colour: for tests.
    #[cfg(test)]
    pub fn into_writers(json: bool, to: Box<dyn Write + Send>, notes: Box<dyn Write + Send>) -> Self {
        Self {
            json,
            colour: false,
            notes_colour: false,
            to,
            notes,
        }
    }

    /// Whether machine-readable output was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The text, coloured by what it means when the terminal shows colours.
    pub fn tint(&self, tone: Tone, text: &str) -> String {
        paint(self.colour, tone, text)
    }

    /// One line of result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.to, "{text}")?;
        Ok(self.to.flush()?)
    }

    /// Text of result as it is, a line break added only when it does not end in one.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn raw(&mut self, text: &str) -> Result<(), Failure> {
        if text.ends_with('\n') {
            self.to.write_all(text.as_bytes())?;
            return Ok(self.to.flush()?);
        }
        self.line(text)
    }

    /// A line for people beside the result, on standard error. Nobody reading it is no failure.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.notes, "{text}");
    }

    /// A note that matters less than the result.
    pub fn aside(&mut self, text: &str) {
        let text = paint(self.notes_colour, Tone::Dim, text);
        self.note(&text);
    }

    /// An API object: as it came for programs, `name  value` lines in the API's order for people.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn record(&mut self, text: &str) -> Result<(), Failure> {
        if self.json {
            return self.raw(text);
        }
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return self.raw(&pretty::printable(text));
        };
        let shown: Vec<_> = members
            .iter()
            .filter_map(|(key, raw)| Some((key, field(raw)?)))
            .collect();
        let width = shown.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        for (key, value) in shown {
            let name = self.tint(Tone::Dim, &format!("{key:<width$}"));
            let value = value.replace('\n', &format!("\n{:width$}  ", ""));
            self.line(&format!("{name}  {value}"))?;
        }
        Ok(())
    }

    /// A table for people: aligned columns under their titles; columns empty in every row are left out.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn table(&mut self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = items
            .iter()
            .map(|item| columns.iter().map(|column| (column.show)(item)).collect())
            .collect();
        let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
        let used: Vec<bool> = (0..columns.len())
            .map(|at| rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty())))
            .collect();
        for (index, text) in aligned(&titles, &rows, &used).into_iter().enumerate() {
            let text = if index == 0 { self.tint(Tone::Dim, &text) } else { text };
            self.line(&text)?;
        }
        Ok(())
    }
}

fn paint(colour: bool, tone: Tone, text: &str) -> String {
    if !colour || text.is_empty() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Warn => "33",
        Tone::Dim => "2",
        Tone::Bold => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// `1 request`, `2 requests`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// The lines of a table: the titles first, then the rows, columns padded to their widest cell and two spaces apart.
fn aligned(titles: &[String], rows: &[Vec<String>], used: &[bool]) -> Vec<String> {
    let all = || std::iter::once(titles).chain(rows.iter().map(Vec::as_slice));
    let widths: Vec<usize> = (0..titles.len())
        .map(|at| {
            all()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    all()
        .map(|row| {
            let cells = row.iter().zip(&widths).zip(used).filter(|(_, used)| **used);
            let text = cells
                .map(|((cell, width), _)| format!("{cell:<width$}"))
                .collect::<Vec<_>>()
                .join("  ");
            text.trim_end().to_owned()
        })
        .collect()
}

/// A member's value for people; none for `null` and what is empty.
fn field(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(pretty::printable(&when::short(&text))),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            Some(items.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) if members.is_empty() => None,
        Value::Object(_) | Value::Array(_) => Some(pretty::json(raw.get())),
        Value::Bool(_) | Value::Number(_) => Some(raw.get().to_owned()),
    }
}

/// A scalar without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => pretty::printable(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The text of a member for a table's cell, on one line; empty when it is absent or null.
pub fn cell(item: &Value, member: &str) -> String {
    match item.get(member) {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(items)) => pretty::line(&items.iter().map(plain).collect::<Vec<_>>().join(","), 60),
        Some(value) => pretty::line(&when::short(&plain(value)), 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Captured;

    const COLUMNS: &[Column] = &[
        Column {
            title: "ID",
            show: |item| cell(item, "id"),
        },
        Column {
            title: "UID",
            show: |item| cell(item, "uid"),
        },
        Column {
            title: "NAME",
            show: |item| cell(item, "name"),
        },
    ];

    #[test]
    fn a_table_aligns_and_leaves_out_empty_columns() {
        let captured = Captured::default();
        let items = [
            serde_json::json!({"id":"a","name":"Ähre"}),
            serde_json::json!({"id":"long","uid":null,"name":"b"}),
        ];
        captured.out(false).table(COLUMNS, &items).unwrap();
        assert_eq!(captured.text(), "ID    NAME\na     Ähre\nlong  b\n");
    }

    #[test]
    fn a_record_shows_what_is_set_in_the_order_of_the_api() {
        let captured = Captured::default();
        let text = r#"{"id":"ep_1","uid":null,"url":"http://h","eventTypes":["a","b"],"metadata":{},"createdAt":"2026-01-31T09:30:00.123456Z","n":1.10,"o":{"k":1}}"#;
        captured.out(false).record(text).unwrap();
        let expected = "id          ep_1\nurl         http://h\neventTypes  a, b\ncreatedAt   2026-01-31T09:30:00Z\nn           1.10\n\
                        o           {\n              \"k\": 1\n            }\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn colour_says_what_a_text_means_and_only_where_it_is_wanted() {
        assert_eq!(paint(true, Tone::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(paint(false, Tone::Bad, "no"), "no");
        assert_eq!(paint(true, Tone::Bad, ""), "");
    }

    #[test]
    fn json_output_is_the_answer_as_it_came() {
        let captured = Captured::default();
        captured.out(true).record(r#"{"b":1.10,  "a":null}"#).unwrap();
        assert_eq!(captured.text(), "{\"b\":1.10,  \"a\":null}\n");
    }

    #[test]
    fn what_a_stranger_sent_cannot_steer_the_terminal() {
        let captured = Captured::default();
        let item = serde_json::json!({"id": "\u{1b}[2J", "name": "a\nb"});
        captured.out(false).table(COLUMNS, &[item]).unwrap();
        assert!(!captured.text().contains('\u{1b}'), "{}", captured.text());
        assert_eq!(captured.text().lines().count(), 2);
    }
}
