//! `bellwire message`: messages and what became of them.

use std::collections::HashMap;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{
    Session,
    attempt::{self, Standing},
    client::{Client, Page, Query, WalkArgs, path},
    endpoint::AppArg,
    exit::Failure,
    explain,
    out::{Column, Tone, cell},
    when::{self, When},
};

/// What to do with messages.
#[derive(Subcommand)]
pub enum MessageCommand {
    /// List an application's messages, newest first
    List(ListArgs),
    /// Show a message and where it stands with each endpoint
    Get(MessageArg),
    /// List the attempts to deliver a message
    Attempts {
        #[command(flatten)]
        message: MessageArg,
        /// Only those for this endpoint
        #[arg(long)]
        endpoint: Option<String>,
        /// Only those that stand so
        #[arg(long)]
        status: Option<Status>,
        #[command(flatten)]
        page: WalkArgs,
    },
    /// Explain why endpoints got a message, or did not, and what to do about it
    Explain(explain::ExplainArgs),
    /// Send a message to an endpoint again, now
    Resend {
        #[command(flatten)]
        message: MessageArg,
        /// The endpoint
        #[arg(long)]
        endpoint: String,
    },
    /// Forget a message's payload
    Expunge(MessageArg),
}

/// The message that is meant.
#[derive(Args)]
pub struct MessageArg {
    /// The message's id, or its event id
    pub message: String,
    /// The application that owns it
    #[command(flatten)]
    pub app: AppArg,
}

/// `message list`.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    app: AppArg,
    /// Only those attempted at this endpoint, with their state there
    #[arg(long)]
    endpoint: Option<String>,
    /// Only those that stand so at the endpoint
    #[arg(long, requires = "endpoint")]
    status: Option<Status>,
    /// Only these event types
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    event_type: Vec<String>,
    /// Only those on this channel
    #[arg(long)]
    channel: Option<String>,
    /// Only those accepted after: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only those accepted before
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    #[command(flatten)]
    page: WalkArgs,
}

/// A state to filter by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Status {
    /// The receiver answered 2xx
    Succeeded,
    /// It waits
    Pending,
    /// It failed
    Failed,
    /// It is under way
    Sending,
    /// It was cancelled
    Cancelled,
}

impl Status {
    /// The API's number for it.
    pub fn number(self) -> u8 {
        self as u8
    }
}

const MESSAGES: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "EVENT TYPE",
        show: |item| cell(item, "eventType"),
    },
    Column {
        title: "EVENT ID",
        show: |item| cell(item, "eventId"),
    },
    Column {
        title: "STATE",
        show: |item| {
            item.get("status")
                .map(|_| Standing::of(item).word())
                .unwrap_or_default()
                .into()
        },
    },
    Column {
        title: "NEXT ATTEMPT",
        show: |item| cell(item, "nextAttempt"),
    },
    Column {
        title: "CHANNELS",
        show: |item| cell(item, "channels"),
    },
    Column {
        title: "TIME",
        show: |item| cell(item, "timestamp"),
    },
];

const DELIVERIES: &[Column] = &[
    Column {
        title: "ENDPOINT",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "STATE",
        show: |item| Standing::of(item).word().to_owned(),
    },
    Column {
        title: "NUMBER",
        show: |item| cell(item, "sequence"),
    },
    Column {
        title: "NEXT ATTEMPT",
        show: |item| cell(item, "nextAttempt"),
    },
    Column {
        title: "URL",
        show: |item| cell(item, "url"),
    },
];

const ATTEMPTS: &[Column] = &[
    Column {
        title: "TIME",
        show: |item| cell(item, "timestamp"),
    },
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "ENDPOINT",
        show: |item| cell(item, "endpointId"),
    },
    Column {
        title: "OUTCOME",
        show: attempt::outcome,
    },
];

impl MessageCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        match self {
            Self::List(args) => args.run(session),
            Self::Get(message) => get(session, &message),
            Self::Attempts {
                message,
                endpoint,
                status,
                page,
            } => {
                let query = Query::default()
                    .maybe("endpoint_id", endpoint)
                    .maybe("status", status.map(Status::number));
                let at = path(&["app", &message.app.name(), "attempt", "msg", &message.message]);
                if out.is_json() {
                    return client.list(out, &at, query, &page.into(), ATTEMPTS);
                }
                let names = names(client, &message.app);
                let name = |attempt: &mut Value| rename(attempt, "endpointId", &names);
                client.list_with(out, &at, query, &page.into(), ATTEMPTS, &name)
            }
            Self::Explain(args) => args.run(session),
            Self::Resend { message, endpoint } => {
                let below = ["endpoint", &endpoint, "resend"];
                let answer = client.write(Method::POST, &message.path(&below), &json!({}))?;
                if out.is_json() {
                    return out.raw(&answer.text);
                }
                out.note(&format!("{} is due at {endpoint} again", message.message));
                Ok(())
            }
            Self::Expunge(message) => {
                client.delete(&message.path(&["content"]), &Query::default())?;
                out.note(&format!("forgot the payload of {}", message.message));
                Ok(())
            }
        }
    }
}

/// The names that people gave to the endpoints of an application: those of actions say more than ids. Without them, ids it is.
pub fn names(client: &Client, app: &AppArg) -> HashMap<String, String> {
    let at = path(&["app", &app.name(), "endpoint"]);
    let page = client.get(&at, &Query::default().with("limit", 250));
    let page: Option<Page> = page.and_then(|answer| answer.json()).ok();
    let endpoints = page.map(|page| page.values()).unwrap_or_default();
    let named = endpoints
        .iter()
        .map(|endpoint| (cell(endpoint, "id"), cell(endpoint, "uid")));
    named.filter(|(_, uid)| !uid.is_empty()).collect()
}

/// Puts an endpoint's name in its id's place.
pub fn rename(item: &mut Value, member: &str, names: &HashMap<String, String>) {
    if let Some(id) = item.get_mut(member)
        && let Some(name) = id.as_str().and_then(|id| names.get(id))
    {
        *id = name.as_str().into();
    }
}

impl MessageArg {
    /// The path of the message, or below it.
    pub fn path(&self, below: &[&str]) -> String {
        path(&[&["app", &*self.app.name(), "msg", &self.message], below].concat())
    }
}

impl ListArgs {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let now = when::now();
        let query = Query::default()
            .maybe("channel", self.channel)
            .maybe("after", self.since.map(|since| since.at(now)))
            .maybe("before", self.until.map(|until| until.at(now)))
            .maybe("status", self.status.map(Status::number))
            .maybe("with_content", (!session.out.is_json()).then_some(false))
            .list("event_types", &self.event_type);
        let at = match &self.endpoint {
            Some(endpoint) => path(&["app", &self.app.name(), "endpoint", endpoint, "msg"]),
            None => path(&["app", &self.app.name(), "msg"]),
        };
        session
            .client
            .list(&mut session.out, &at, query, &self.page.into(), MESSAGES)
    }
}

/// The message; for people also its deliveries.
fn get(session: &mut Session, message: &MessageArg) -> Result<(), Failure> {
    let Session { client, out } = session;
    let answer = client.get(&message.path(&[]), &Query::default())?;
    out.record(&answer.text)?;
    if out.is_json() {
        return Ok(());
    }
    let deliveries: Page = client
        .get(&message.path(&["endpoint"]), &Query::default().with("limit", 250))?
        .json()?;
    out.line("")?;
    if deliveries.data.is_empty() {
        let text = out.tint(Tone::Dim, "no endpoint matched it");
        return out.line(&text);
    }
    out.table(DELIVERIES, &deliveries.values())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Captured, Vec<Seen>) {
        let Command::Message(command) = Cli::try_parse_from([&["bellwire", "message"], line].concat())
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

    #[test]
    fn a_message_is_shown_with_its_deliveries_and_its_payload_unchanged() {
        let message = r#"{"id":"msg_1","eventType":"a.b","payload":{"z":1.10,"a":1}}"#;
        let deliveries = r#"{"data":[{"id":"ep_1","status":2,"url":"http://h/","sequence":7}],"iterator":null,"prevIterator":null,"done":true}"#;
        let (captured, _) = run(&["get", "msg_1", "--app", "a"], vec![(200, message), (200, deliveries)]);
        let text = captured.text();
        assert!(text.contains("\"z\": 1.10,\n"), "{text}");
        assert!(
            text.ends_with("ENDPOINT  STATE   NUMBER  URL\nep_1      failed  7       http://h/\n"),
            "{text}"
        );
    }

    #[test]
    fn attempts_say_why_they_failed() {
        let attempts = r#"{"data":[{"id":"atmpt_1","endpointId":"ep_1","timestamp":"2026-01-01T00:00:00.5Z","status":2,
            "responseStatusCode":503,"responseDurationMs":8,"response":"busy"}],"iterator":null,"done":true}"#;
        let line = [
            "attempts",
            "msg_1",
            "--app",
            "a",
            "--status",
            "failed",
            "--endpoint",
            "ep_1",
        ];
        let endpoints = r#"{"data":[{"id":"ep_1","uid":"deploy"}],"iterator":null,"prevIterator":null,"done":true}"#;
        let (captured, seen) = run(&line, vec![(200, endpoints), (200, attempts)]);
        let text = captured.text();
        assert!(
            text.contains("2026-01-01T00:00:00Z  atmpt_1  deploy    failed: 503 in 8 ms: busy"),
            "{text}"
        );
        assert_eq!(
            seen[1].line,
            "GET /api/v1/app/a/attempt/msg/msg_1?endpoint_id=ep_1&status=2"
        );
    }

    #[test]
    fn a_list_for_people_asks_for_no_payloads() {
        let empty = r#"{"data":[],"iterator":null,"prevIterator":null,"done":true}"#;
        let (captured, seen) = run(
            &["list", "--app", "a", "--endpoint", "e", "--status", "failed"],
            vec![(200, empty)],
        );
        assert_eq!(
            seen[0].line,
            "GET /api/v1/app/a/endpoint/e/msg?status=2&with_content=false"
        );
        assert_eq!(captured.notes(), "nothing\n");
    }

    #[test]
    fn who_names_neither_application_nor_source_is_told_of_both() {
        let error = Cli::try_parse_from(["bellwire", "message", "attempts", "msg_1"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("--app") && error.contains("--source"), "{error}");
    }

    #[test]
    fn messages_and_attempts_come_in_one_order_only() {
        for line in [&["list", "--app", "a"][..], &["attempts", "msg_1", "--app", "a"]] {
            let line = [&["bellwire", "message"], line, &["--order", "asc"]].concat();
            assert!(Cli::try_parse_from(line).is_err());
        }
    }
}
