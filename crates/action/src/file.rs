//! The kind `file`: appends a line for each message to a file on this machine.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    Compiled, Event, PlanError, Problem,
    settings::read,
    text::{Text, is_template},
};

/// The settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// Which file; a relative path begins in the server's data directory.
    path: PathBuf,
    /// `jsonl`: one JSON object a line.
    #[serde(default)]
    format: Format,
    /// A template for the line, instead of the JSON object.
    line: Option<Text>,
    /// Whether a line has to be on the disk before the delivery succeeds; true when left out.
    sync: Option<bool>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// One JSON object.
    #[default]
    Jsonl,
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings {
    path: PathBuf,
    line: Option<Text>,
    sync: bool,
}

/// What is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The line, with its line break and no other.
    pub line: String,
}

impl Settings {
    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the line has to be on the disk.
    pub fn sync(&self) -> bool {
        self.sync
    }

    /// The line for a message.
    ///
    /// # Errors
    /// The template of the line does not render.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let text = match &self.line {
            Some(line) => line.render("line", &event.scope())?.into_owned(),
            None => object(event)?,
        };
        // A value with a line break in it would be a second line.
        let mut line = text.trim_end_matches(['\r', '\n']).replace(['\r', '\n'], " ");
        line.push('\n');
        Ok(Plan { line })
    }
}

/// The message as JSON on one line; the payload keeps its order and its numbers.
fn object(event: &Event<'_>) -> Result<String, PlanError> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        id: &'a str,
        #[serde(rename = "type")]
        event_type: &'a str,
        time: String,
        #[serde(skip_serializing_if = "str::is_empty")]
        source: &'a str,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        channels: &'a [String],
        payload: &'a RawValue,
    }
    let unreadable = |error: serde_json::Error| PlanError::new("format", error);
    let line = Line {
        id: event.id,
        event_type: event.event_type,
        time: event.accepted_at.to_string(),
        source: event.source,
        channels: event.channels,
        payload: serde_json::from_slice(event.json).map_err(unreadable)?,
    };
    serde_json::to_string(&line).map_err(unreadable)
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        let path = form.path.to_string_lossy();
        if path.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Err(Problem::at(
                ["path"],
                "name a file: `events.jsonl`, or an absolute path",
            ));
        }
        if is_template(&path) {
            return Err(Problem::at(
                ["path"],
                "the path is the same for all messages: a message must not choose a file",
            ));
        }
        let Format::Jsonl = form.format;
        Ok(Self {
            path: form.path,
            line: form.line,
            sync: form.sync.unwrap_or(true),
        })
    }

    fn hide(_shown: &mut Value) {}

    fn target(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        Ok(json!({"path": self.path, "line": plan.line}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    fn line(settings: Value, json: &str) -> String {
        let settings = Settings::read(&settings).unwrap();
        settings.plan(&event(json)).unwrap().line
    }

    #[test]
    fn a_line_holds_the_message_with_its_payload_as_it_was_written() {
        assert_eq!(
            line(
                json!({"path": "a.jsonl", "format": "jsonl"}),
                "{\"b\": 1.50,\n \"a\": \"x\\ny\"}"
            ),
            "{\"id\":\"msg_1\",\"type\":\"invoice.paid\",\"time\":\"2025-12-17T19:33:20.000000Z\",\"payload\":{\"b\": 1.50,  \"a\": \"x\\ny\"}}\n"
        );
    }

    #[test]
    fn a_value_makes_no_second_line() {
        let settings = json!({"path": "a.log", "line": "{{ type }} {{ note }}\n"});
        assert_eq!(
            line(settings, r#"{"note": "a\nforged line\r\n"}"#),
            "invoice.paid a forged line\n"
        );
    }

    #[test]
    fn a_message_does_not_choose_the_file() {
        for path in ["{{ id }}.jsonl", "", "folder/"] {
            let problem = Settings::read(&json!({"path": path})).unwrap_err();
            assert_eq!(problem.path, ["path"], "{path}");
        }
        let problem = Settings::read(&json!({"path": "a", "rotate": 1})).unwrap_err();
        assert!(problem.message.contains("there is no `rotate`"), "{problem}");
    }
}
