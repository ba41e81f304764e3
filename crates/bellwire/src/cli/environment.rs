//! `bellwire environment`: environments, and carrying settings and event types from one to another.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    input,
    out::{Column, cell},
};

/// What to do with environments.
#[derive(Subcommand)]
pub enum EnvironmentCommand {
    /// List the environments that the token sees
    List,
    /// Make an environment; the answer has an admin token of it, shown this once
    Create {
        /// Its name, unique on the server
        name: String,
        /// Refuse payloads that do not fit the schema of their event type
        #[arg(long)]
        validate_payloads: bool,
    },
    /// Print the settings and event types of the token's environment, to be imported elsewhere
    Export,
    /// Take over what was exported: adds and replaces, removes nothing
    Import {
        /// The export: @file, - for standard input, or the text
        #[arg(value_name = "JSON")]
        export: String,
    },
}

const COLUMNS: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "NAME",
        show: |item| cell(item, "name"),
    },
    Column {
        title: "VALIDATES PAYLOADS",
        show: |item| cell(item, "validatePayloads"),
    },
    Column {
        title: "CREATED",
        show: |item| cell(item, "createdAt"),
    },
];

impl EnvironmentCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        match self {
            // Not a list in pages: the API answers them all.
            Self::List => client.list(
                out,
                &path(&["environment"]),
                Query::default(),
                &PageArgs::default(),
                COLUMNS,
            ),
            Self::Create {
                name,
                validate_payloads,
            } => {
                let body = json!({ "name": name, "validatePayloads": validate_payloads });
                out.record(&client.write(Method::POST, &path(&["environment"]), &body)?.text)?;
                if !out.is_json() {
                    out.note("keep the token now; it is not shown again");
                }
                Ok(())
            }
            Self::Export => {
                let answer = client.write(Method::POST, &path(&["environment", "export"]), &json!({}))?;
                out.raw(&answer.text)
            }
            Self::Import { export } => {
                let export = input::json(&export)?;
                client.write(Method::POST, &path(&["environment", "import"]), &export)?;
                out.note("imported");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Captured, Vec<Seen>) {
        let Command::Environment(command) = Cli::try_parse_from([&["bellwire", "environment"], line].concat())
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let server = Scripted::answering(script);
        let captured = Captured::default();
        command.run(&mut server.session(&captured, false)).unwrap();
        (captured, server.seen())
    }

    const EXPORT: &str = r#"{"version":1,"eventTypes":[{"name":"a.b"}],"settings":{"validatePayloads":true}}"#;

    #[test]
    fn what_is_exported_is_imported_as_it_is() {
        let (captured, seen) = run(&["export"], vec![(200, EXPORT)]);
        assert_eq!(captured.text().trim_end(), EXPORT);
        assert_eq!(seen[0].line, "POST /api/v1/environment/export");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("export.json");
        std::fs::write(&file, captured.text()).unwrap();
        let (captured, seen) = run(&["import", &format!("@{}", file.display())], vec![(204, "")]);
        assert_eq!(captured.notes(), "imported\n");
        assert_eq!(
            (seen[0].line.as_str(), seen[0].body.as_str()),
            ("POST /api/v1/environment/import", EXPORT)
        );
    }

    #[test]
    fn a_new_environment_is_shown_with_its_token() {
        let (captured, seen) = run(&["create", "staging"], vec![(201, r#"{"id":"env_1","token":"t"}"#)]);
        assert_eq!(captured.text(), "id     env_1\ntoken  t\n");
        assert!(captured.notes().contains("not shown again"));
        assert_eq!(seen[0].body, r#"{"name":"staging","validatePayloads":false}"#);
    }

    #[test]
    fn environments_are_listed() {
        let page = r#"{"data":[{"id":"env_1","name":"default","validatePayloads":false}],"iterator":null,
            "prevIterator":null,"done":true}"#;
        let (captured, _) = run(&["list"], vec![(200, page)]);
        assert!(captured.text().contains("env_1  default"), "{}", captured.text());
    }
}
