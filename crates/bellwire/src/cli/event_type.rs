//! `bellwire event-type`: names of events, with an optional JSON Schema.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    input,
    out::{Column, cell},
};

/// What to do with event types.
#[derive(Subcommand)]
pub enum EventTypeCommand {
    /// List the event types
    List {
        /// The archived ones, too
        #[arg(long)]
        archived: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an event type
    Get {
        /// Its name, such as invoice.paid
        name: String,
    },
    /// Create an event type
    Create {
        /// Its name, such as invoice.paid
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change an event type: only what is named
    Update {
        /// Its name
        name: String,
        /// Archive it (true) or bring it back (false)
        #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
        archived: Option<bool>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Archive an event type, or remove it
    Delete {
        /// Its name
        name: String,
        /// Remove it altogether instead of archiving it
        #[arg(long)]
        expunge: bool,
    },
}

/// What an event type has besides its name.
#[derive(Args)]
pub struct Fields {
    /// What it means, for the people who receive it
    #[arg(long)]
    description: Option<String>,
    /// The JSON Schema of its payload: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// The version the schema is filed under
    #[arg(long, default_value = "1", requires = "schema")]
    schema_version: String,
    /// Only applications with this feature flag see it
    #[arg(long)]
    feature_flag: Option<String>,
    /// Mark it as going away
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    deprecated: Option<bool>,
    /// Further fields as a JSON object: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

impl Fields {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = input::object(self.body.as_deref())?;
        if let Some(description) = &self.description {
            body.insert("description".into(), json!(description));
        }
        if let Some(flag) = &self.feature_flag {
            body.insert("featureFlag".into(), json!(flag));
        }
        if let Some(deprecated) = self.deprecated {
            body.insert("deprecated".into(), json!(deprecated));
        }
        if let Some(schema) = &self.schema {
            let raw: Box<RawValue> = input::json(schema)?;
            let schema: Value = serde_json::from_str(raw.get()).map_err(Failure::usage)?;
            body.insert("schemas".into(), json!({ &self.schema_version: schema }));
        }
        Ok(body)
    }
}

const COLUMNS: &[Column] = &[
    Column {
        title: "NAME",
        show: |item| cell(item, "name"),
    },
    Column {
        title: "DESCRIPTION",
        show: |item| cell(item, "description"),
    },
    Column {
        title: "STATE",
        show: state,
    },
    Column {
        title: "FLAG",
        show: |item| cell(item, "featureFlag"),
    },
    Column {
        title: "CREATED",
        show: |item| cell(item, "createdAt"),
    },
];

fn state(item: &Value) -> String {
    let is = |name| item.get(name) == Some(&Value::Bool(true));
    let words = [("archived", is("archived")), ("deprecated", is("deprecated"))];
    words
        .iter()
        .filter(|(_, is)| *is)
        .map(|(word, _)| *word)
        .collect::<Vec<_>>()
        .join(", ")
}

impl EventTypeCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        match self {
            Self::List { archived, page } => {
                let query = Query::default().maybe("include_archived", archived.then_some(true));
                client.list(out, &path(&["event-type"]), query, &page, COLUMNS)
            }
            Self::Get { name } => out.record(&client.get(&path(&["event-type", &name]), &Query::default())?.text),
            Self::Create { name, fields } => {
                let mut body = fields.body()?;
                body.entry("description").or_insert(json!(""));
                body.insert("name".into(), json!(name));
                out.record(&client.write(Method::POST, &path(&["event-type"]), &body)?.text)
            }
            Self::Update { name, archived, fields } => {
                let mut body = fields.body()?;
                if let Some(archived) = archived {
                    body.insert("archived".into(), json!(archived));
                }
                if body.is_empty() {
                    return Err(Failure::usage("nothing to change; name at least one option"));
                }
                out.record(&client.write(Method::PATCH, &path(&["event-type", &name]), &body)?.text)
            }
            Self::Delete { name, expunge } => {
                let query = Query::default().maybe("expunge", expunge.then_some(true));
                client.delete(&path(&["event-type", &name]), &query)?;
                out.note(&format!("{} {name}", if expunge { "removed" } else { "archived" }));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    #[test]
    fn a_schema_is_filed_under_its_version() {
        let server = Scripted::answering(vec![(201, r#"{"name":"a.b"}"#)]);
        let line = [
            "bellwire",
            "event-type",
            "create",
            "a.b",
            "--schema",
            r#"{"type":"object"}"#,
        ];
        let Command::EventType(command) = Cli::try_parse_from(line).unwrap().command else {
            unreachable!()
        };
        command.run(&mut server.session(&Captured::default(), false)).unwrap();
        let seen = server.seen().remove(0);
        assert_eq!(
            seen.body,
            r#"{"description":"","name":"a.b","schemas":{"1":{"type":"object"}}}"#
        );
    }

    #[test]
    fn deleting_archives_unless_told_to_remove() {
        let server = Scripted::answering(vec![(204, ""), (204, "")]);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        for expunge in [false, true] {
            EventTypeCommand::Delete {
                name: "a.b".into(),
                expunge,
            }
            .run(&mut session)
            .unwrap();
        }
        assert_eq!(captured.notes(), "archived a.b\nremoved a.b\n");
        let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
        assert_eq!(
            lines,
            [
                "DELETE /api/v1/event-type/a.b",
                "DELETE /api/v1/event-type/a.b?expunge=true"
            ]
        );
    }
}
