//! `bellwire endpoint lines|unblock|skip|discard`: the lines of an endpoint that keeps order, and what a person does about them.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::EndpointArg;
use crate::cli::{
    Session,
    client::{Query, WalkArgs},
    exit::Failure,
    out::{Column, cell},
    pretty,
};

/// `endpoint lines`.
#[derive(Args)]
pub struct LinesArgs {
    #[command(flatten)]
    endpoint: EndpointArg,
    /// Only the line of this ordering key
    #[arg(long)]
    key: Option<String>,
    /// Only lines that wait for a person
    #[arg(long)]
    blocked: bool,
    #[command(flatten)]
    page: WalkArgs,
}

/// Which lines are meant: one, or all of the endpoint.
#[derive(Args)]
pub struct TendArgs {
    #[command(flatten)]
    endpoint: EndpointArg,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The line of this ordering key
    #[arg(long)]
    key: Option<String>,
    /// All lines of the endpoint
    #[arg(long)]
    all: bool,
}

/// What a person does about lines.
#[derive(Clone, Copy)]
pub enum Tending {
    /// Try the first delivery again.
    Unblock,
    /// Go on without it.
    Skip,
    /// Cancel all.
    Discard,
}

impl LinesArgs {
    /// Lists them.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let query = Query::default()
            .maybe("key", self.key)
            .maybe("blocked", self.blocked.then_some(true));
        client.list(
            out,
            &self.endpoint.path(&["sequence"]),
            query,
            &self.page.into(),
            COLUMNS,
        )
    }
}

impl TendArgs {
    /// Does it, and says to how many deliveries.
    ///
    /// # Errors
    /// Those of the request, and that a line that was named is not there.
    pub fn run(self, session: &mut Session, tending: Tending) -> Result<(), Failure> {
        let what = match tending {
            Tending::Unblock => "unblock",
            Tending::Skip => "skip",
            Tending::Discard => "discard",
        };
        let body = match &self.which.key {
            Some(key) => json!({ "key": key }),
            None => json!({}),
        };
        let path = self.endpoint.path(&["sequence", what]);
        let answer = session.client.write(Method::POST, &path, &body)?;
        let changed = answer.json::<Value>()?["changed"].as_u64().unwrap_or(0);
        if session.out.is_json() {
            session.out.raw(&answer.text)?;
        }
        if let (Some(key), 0) = (&self.which.key, changed) {
            return Err(Failure::Failed(self.not_there(tending, key)));
        }
        if !session.out.is_json() {
            session.out.note(&said(tending, changed));
        }
        Ok(())
    }

    /// What is wrong when a line was named and nothing came of it.
    fn not_there(&self, tending: Tending, key: &str) -> String {
        let (what, only) = match tending {
            Tending::Unblock | Tending::Skip => ("is blocked", " --blocked"),
            Tending::Discard => ("has anything waiting", ""),
        };
        let EndpointArg { endpoint, app } = &self.endpoint;
        let list = format!("bellwire endpoint lines {endpoint} --app {}{only}", app.name());
        pretty::printable(&format!("no line with the key `{key}` {what}; {list}"))
    }
}

fn said(tending: Tending, changed: u64) -> String {
    let deliveries = match changed {
        1 => "1 delivery".to_owned(),
        changed => format!("{changed} deliveries"),
    };
    match (tending, changed) {
        (Tending::Unblock | Tending::Skip, 0) => "nothing was blocked".to_owned(),
        (Tending::Discard, 0) => "nothing was waiting".to_owned(),
        (Tending::Unblock, _) => format!("{deliveries} will be tried again at once"),
        (Tending::Skip, _) => format!("skipped {deliveries}; the lines go on"),
        (Tending::Discard, _) => format!("{deliveries} left their lines for good"),
    }
}

const COLUMNS: &[Column] = &[
    Column {
        title: "KEY",
        show: |item| match item.get("key").and_then(Value::as_str) {
            Some("") => "(all)".to_owned(),
            _ => cell(item, "key"),
        },
    },
    Column {
        title: "LAST",
        show: |item| cell(item, "last"),
    },
    Column {
        title: "SUCCEEDED",
        show: |item| cell(item, "succeeded"),
    },
    Column {
        title: "WAITING",
        show: |item| cell(item, "waiting"),
    },
    Column {
        title: "NEXT",
        show: |item| head(item).map(|head| cell(head, "sequence")).unwrap_or_default(),
    },
    Column {
        title: "MESSAGE",
        show: |item| head(item).map(|head| cell(head, "msgId")).unwrap_or_default(),
    },
    Column {
        title: "NEXT ATTEMPT",
        show: next_attempt,
    },
];

fn head(item: &Value) -> Option<&Value> {
    item.get("head").filter(|head| head.is_object())
}

/// When the first delivery is tried.
fn next_attempt(item: &Value) -> String {
    let Some(head) = head(item) else { return String::new() };
    if head.get("blocked") == Some(&Value::Bool(true)) {
        return "blocked".to_owned();
    }
    match cell(head, "nextAttempt") {
        at if at.is_empty() => "after earlier lines".to_owned(),
        at => at,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::tests::run;
    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    const LINES: &str = r#"{"data":[
        {"key":"a","last":7,"succeeded":3,"waiting":4,"head":{"msgId":"msg_1","sequence":4,"blocked":true,"nextAttempt":null}},
        {"key":"b","last":2,"succeeded":2,"waiting":0,"head":null},
        {"key":"c","last":1,"succeeded":0,"waiting":1,"head":{"msgId":"msg_2","sequence":1,"blocked":false,
            "nextAttempt":"2026-01-31T09:30:00.000000Z"}}],
        "iterator":"=c","prevIterator":null,"done":true}"#;

    #[test]
    fn lines_are_a_table_with_what_comes_next() {
        let line = ["lines", "ep_1", "--app", "a", "--blocked", "--key", "x y"];
        let (captured, seen) = run(&line, vec![(200, LINES)]);
        assert_eq!(
            seen[0].line,
            "GET /api/v1/app/a/endpoint/ep_1/sequence?key=x%20y&blocked=true"
        );
        let expected = "KEY  LAST  SUCCEEDED  WAITING  NEXT  MESSAGE  NEXT ATTEMPT\n\
            a    7     3          4        4     msg_1    blocked\n\
            b    2     2          0\n\
            c    1     0          1        1     msg_2    2026-01-31T09:30:00Z\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn lines_come_in_pages_and_in_one_order_only() {
        let (_, seen) = run(&["lines", "ep_1", "--app", "a", "--all"], vec![(200, LINES)]);
        assert_eq!(seen[0].line, "GET /api/v1/app/a/endpoint/ep_1/sequence?limit=250");
        let ordered = ["bellwire", "endpoint", "lines", "ep_1", "--app", "a", "--order", "desc"];
        assert!(Cli::try_parse_from(ordered).is_err());
    }

    #[test]
    fn tending_names_one_line_or_all_and_says_what_it_did() {
        for (line, changed, path, body, said) in [
            (
                &["unblock", "--key", "a"][..],
                1,
                "unblock",
                r#"{"key":"a"}"#,
                "1 delivery will be tried again at once\n",
            ),
            (
                &["skip", "--all"][..],
                2,
                "skip",
                "{}",
                "skipped 2 deliveries; the lines go on\n",
            ),
            (
                &["discard", "--key", ""][..],
                5,
                "discard",
                r#"{"key":""}"#,
                "5 deliveries left their lines for good\n",
            ),
            (&["skip", "--all"][..], 0, "skip", "{}", "nothing was blocked\n"),
        ] {
            let answer = format!(r#"{{"changed":{changed}}}"#);
            let (captured, seen) = run(&[line, &["ep_1", "--app", "a"]].concat(), vec![(202, &answer)]);
            assert_eq!(
                seen[0].line,
                format!("POST /api/v1/app/a/endpoint/ep_1/sequence/{path}")
            );
            assert_eq!((seen[0].body.as_str(), captured.notes().as_str()), (body, said));
        }
    }

    #[test]
    fn a_line_that_is_named_and_not_there_fails_the_command() {
        for (line, says) in [
            (
                ["unblock", "--key", "b"],
                "no line with the key `b` is blocked; bellwire endpoint lines ep_1 --app a --blocked",
            ),
            (
                ["discard", "--key", "b"],
                "no line with the key `b` has anything waiting; bellwire endpoint lines ep_1 --app a",
            ),
        ] {
            let line = [&["bellwire", "endpoint"], &line[..], &["ep_1", "--app", "a"]].concat();
            let Command::Endpoint(command) = Cli::try_parse_from(line).unwrap().command else {
                unreachable!()
            };
            let server = Scripted::answering(vec![(202, r#"{"changed":0}"#)]);
            let failure = command
                .run(&mut server.session(&Captured::default(), false))
                .unwrap_err();
            assert_eq!((failure.exit_code(), failure.to_string().as_str()), (1, says));
        }
    }

    #[test]
    fn all_lines_are_tended_only_when_that_was_said() {
        for line in [
            &["skip", "ep_1", "--app", "a"][..],
            &["skip", "ep_1", "--app", "a", "--all", "--key", "x"][..],
        ] {
            assert!(Cli::try_parse_from([&["bellwire", "endpoint"], line].concat()).is_err());
        }
    }
}
