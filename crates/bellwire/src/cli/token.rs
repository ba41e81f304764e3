//! `bellwire token`: tokens for the API.

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    out::{Column, cell},
    when::{self, When},
};

/// What to do with tokens.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// List the tokens; none is shown in full
    List(PageArgs),
    /// Create a token; it is shown this once
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, default_value = "admin")]
        scope: Scope,
        /// The application it is confined to
        #[arg(long, required_if_eq("scope", "app"))]
        app: Option<String>,
        /// When it ends: a span from now (12h, 90d) or RFC 3339
        #[arg(long, value_name = "WHEN")]
        expires: Option<When>,
    },
    /// End a token, now
    Revoke {
        /// Its id
        token: String,
    },
}

/// What a token may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum Scope {
    /// Everything in its environment
    Admin,
    /// Publish messages
    Publish,
    /// Read
    Read,
    /// Everything in one application
    App,
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
        title: "SCOPE",
        show: |item| cell(item, "scope"),
    },
    Column {
        title: "APP",
        show: |item| cell(item, "appId"),
    },
    Column {
        title: "EXPIRES",
        show: |item| cell(item, "expiresAt"),
    },
    Column {
        title: "CREATED",
        show: |item| cell(item, "createdAt"),
    },
];

impl TokenCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        match self {
            Self::List(page) => client.list(out, &path(&["token"]), Query::default(), &page, COLUMNS),
            Self::Create {
                name,
                scope,
                app,
                expires,
            } => {
                let scope = scope.to_possible_value().map(|value| value.get_name().to_owned());
                let mut body = json!({ "name": name, "scope": scope });
                if let Some(app) = app {
                    body["appId"] = Value::String(app);
                }
                if let Some(expires) = expires {
                    body["expiresAt"] = json!(expires.ahead(when::now()).to_string());
                }
                let answer = client.write(Method::POST, &path(&["token"]), &body)?;
                out.record(&answer.text)?;
                if !out.is_json() {
                    out.note("keep the token now; it is not shown again");
                }
                Ok(())
            }
            Self::Revoke { token } => {
                client.delete(&path(&["token", &token]), &Query::default())?;
                out.note(&format!("revoked {token}"));
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
        testing::{Captured, Scripted},
    };

    #[test]
    fn an_application_token_names_its_application() {
        assert!(Cli::try_parse_from(["bellwire", "token", "create", "n", "--scope", "app"]).is_err());
        let server = Scripted::answering(vec![(201, r#"{"id":"tok_1","token":"secret"}"#)]);
        let line = [
            "bellwire",
            "token",
            "create",
            "n",
            "--scope",
            "app",
            "--app",
            "acme",
            "--expires",
            "2030-01-01T00:00:00Z",
        ];
        let Command::Token(command) = Cli::try_parse_from(line).unwrap().command else {
            unreachable!()
        };
        let captured = Captured::default();
        command.run(&mut server.session(&captured, false)).unwrap();
        assert_eq!(captured.text(), "id     tok_1\ntoken  secret\n");
        let body = server.seen().remove(0).body;
        let expected = r#"{"appId":"acme","expiresAt":"2030-01-01T00:00:00.000000Z","name":"n","scope":"app"}"#;
        assert_eq!(body, expected);
    }
}
