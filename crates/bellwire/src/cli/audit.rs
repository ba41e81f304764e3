//! `bellwire audit`: what people changed.

use clap::Args;
use serde_json::Value;

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    out::{Column, cell},
    pretty,
    when::{self, When},
};

/// `audit`.
#[derive(Args)]
pub struct AuditArgs {
    /// From when: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only about this application: its id or uid
    #[arg(long)]
    app: Option<String>,
    /// Only by the token with this id, or `operator`
    #[arg(long = "by", value_name = "TOKEN_ID")]
    by: Option<String>,
    /// Only by this operation of the API
    #[arg(long)]
    operation: Option<String>,
    /// Only about the thing with this id
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "TIME",
        show: |entry| cell(entry, "at"),
    },
    Column {
        title: "WHO",
        show: |entry| match entry.pointer("/actor/name").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => pretty::line(name, 40),
            _ => cell(&entry["actor"], "kind"),
        },
    },
    Column {
        title: "FROM",
        show: |entry| cell(entry, "peer"),
    },
    Column {
        title: "OPERATION",
        show: |entry| cell(entry, "operation"),
    },
    Column {
        title: "ABOUT",
        show: |entry| {
            let about = entry["about"].as_array().into_iter().flatten();
            let about = about.map(|one| format!("{} {}", cell(one, "kind"), cell(one, "id")));
            about.collect::<Vec<_>>().join(", ")
        },
    },
    Column {
        title: "CHANGED",
        show: |entry| {
            let changes = entry["changes"].as_array().into_iter().flatten();
            let changes = changes.map(|one| {
                let member = cell(one, "member");
                format!("{member}: {} → {}", one["before"], one["after"])
            });
            pretty::line(&changes.collect::<Vec<_>>().join("; "), 300)
        },
    },
];

impl AuditArgs {
    /// Lists.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let now = when::now();
        let query = Query::default()
            .maybe("since", self.since.map(|since| since.at(now)))
            .maybe("until", self.until.map(|until| until.at(now)))
            .maybe("app", self.app.as_deref())
            .maybe("token", self.by.as_deref())
            .maybe("operation", self.operation.as_deref())
            .maybe("about", self.about.as_deref());
        client.list(out, &path(&["audit"]), query, &self.page, COLUMNS)
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
    fn entries_say_who_did_what_to_what() {
        let Command::Audit(args) = Cli::try_parse_from(["bellwire", "audit", "--by", "operator", "--about", "ep_1"])
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let answer = r#"{"data":[{"id":"aud_1","at":"2026-01-01T00:00:00Z","operation":"patch_endpoint",
            "actor":{"kind":"operator","tokenId":null,"name":"","scope":"admin"},"peer":"127.0.0.1:5","appId":null,
            "about":[{"kind":"endpoint","id":"ep_1","name":"hook"}],
            "changes":[{"about":"ep_1","member":"url","before":"https://a/","after":"https://b/"}]}],
            "iterator":"aud_1","prevIterator":"-aud_1","done":true}"#;
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        args.run(&mut server.session(&captured, false)).unwrap();
        let text = captured.text();
        assert!(text.contains("operator") && text.contains("endpoint ep_1"), "{text}");
        assert!(text.contains(r#"url: "https://a/" → "https://b/""#), "{text}");
        assert_eq!(server.seen()[0].line, "GET /api/v1/audit?token=operator&about=ep_1");
    }
}
