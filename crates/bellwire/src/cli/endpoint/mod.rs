//! `bellwire endpoint`: where messages go.

mod backtest;
mod flow;
pub mod headers;
mod lines;
pub mod secret;
mod status;
mod test;
mod work;

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Session,
    client::{PageArgs, Query, path},
    exit::Failure,
    input,
    interrupt::Interrupt,
    out::{Column, cell},
    task,
    when::{self, When},
};

/// What to do with endpoints.
#[derive(Subcommand)]
pub enum EndpointCommand {
    /// List an application's endpoints
    List {
        #[command(flatten)]
        app: AppArg,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show an endpoint
    Get(EndpointArg),
    /// Create an endpoint
    Create {
        /// The URL that messages are posted to; left out when --action says something else to do with them
        #[arg(required_unless_present_any = ["action", "body"])]
        endpoint_url: Option<String>,
        #[command(flatten)]
        app: AppArg,
        /// Its signing secret (whsec_… or whsk_…); made when not given
        #[arg(long)]
        secret: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change an endpoint: only what is named
    Update {
        #[command(flatten)]
        endpoint: EndpointArg,
        /// Its new URL
        #[arg(long, value_name = "URL")]
        new_url: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Try a change on past messages: what would be sent, and how; nothing is changed
    Backtest(backtest::BacktestArgs),
    /// Delete an endpoint
    Delete(EndpointArg),
    /// Deliver to it again, from now on
    Enable(EndpointArg),
    /// Deliver nothing to it until it is enabled
    Disable(EndpointArg),
    /// Show what its lane is doing and what waits for it
    Status(EndpointArg),
    /// Hold its deliveries until it is resumed; messages still match it
    Pause(EndpointArg),
    /// Deliver what was held while it was paused, and go on
    Resume(EndpointArg),
    /// List its lines, where it keeps order: numbers, what waits, what is next
    Lines(lines::LinesArgs),
    /// Try the first delivery of blocked lines again, at once
    Unblock(lines::TendArgs),
    /// Let blocked lines go on without their first delivery
    Skip(lines::TendArgs),
    /// Cancel everything that waits in lines
    Discard(lines::TendArgs),
    /// Show its signing secret
    Secret(EndpointArg),
    /// Give it a new signing secret; the old one stays valid for a while
    Rotate {
        #[command(flatten)]
        endpoint: EndpointArg,
        /// The new secret; made when not given
        #[arg(long)]
        key: Option<String>,
        /// How long the old one still signs, at most 7d; the server's default is 24h
        #[arg(long, value_name = "SPAN", value_parser = when::span)]
        grace: Option<Duration>,
    },
    /// Show or change the headers that are added to its requests
    Headers(headers::HeadersArgs),
    /// Count its deliveries by state
    Stats {
        #[command(flatten)]
        endpoint: EndpointArg,
        /// From when: a span back from now (2h, 7d) or RFC 3339
        #[arg(long, value_name = "WHEN")]
        since: Option<When>,
        /// Until when
        #[arg(long, value_name = "WHEN")]
        until: Option<When>,
    },
    /// Send again what failed since a time; `bellwire replay` can do more
    Recover {
        #[command(flatten)]
        endpoint: EndpointArg,
        /// From when: a span back from now (2h, 7d) or RFC 3339
        #[arg(long, value_name = "WHEN")]
        since: When,
        /// Until when
        #[arg(long, value_name = "WHEN")]
        until: Option<When>,
        /// Do not wait for it to finish
        #[arg(long)]
        no_wait: bool,
    },
    /// Send it a message of its own now, and show what came back
    Test(test::TestArgs),
    /// Send it an example of an event type
    SendExample {
        #[command(flatten)]
        endpoint: EndpointArg,
        /// The event type whose schema has the example
        event_type: String,
    },
}

/// The application that is meant, or the source that owns it.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct AppArg {
    /// The application's id or uid
    #[arg(long, env = "BELLWIRE_APP")]
    app: Option<String>,
    /// The id or uid of a source, instead: its own messages and endpoints are meant
    #[arg(long)]
    source: Option<String>,
}

impl AppArg {
    /// How the API calls it. A source wins: the application may come from the environment.
    pub fn name(&self) -> String {
        match &self.source {
            Some(source) => format!("source:{source}"),
            None => self.app.clone().unwrap_or_default(),
        }
    }
}

/// The endpoint that is meant.
#[derive(Args)]
pub struct EndpointArg {
    /// The endpoint's id or uid
    pub endpoint: String,
    /// The application that owns it
    #[command(flatten)]
    pub app: AppArg,
}

/// What an endpoint has besides its URL.
#[derive(Args)]
pub struct Fields {
    /// Your own id for it, usable wherever its id is
    #[arg(long)]
    uid: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Only these event types; `invoice.*` takes a group. Repeat or separate by commas
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    event_type: Vec<String>,
    /// Only messages on one of these channels
    #[arg(long, value_delimiter = ',')]
    channel: Vec<String>,
    /// Messages a second at most; a batch counts as many as it has
    #[arg(long, value_name = "PER_SECOND")]
    rate_limit: Option<u16>,
    /// Deliver nothing to it until it is enabled
    #[arg(long)]
    disabled: bool,
    /// A note of yours; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    /// Further fields as a JSON object: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    #[command(flatten)]
    flow: flow::Flow,
    #[command(flatten)]
    work: work::Work,
}

impl Fields {
    /// The fields that were named, over those of `--body`.
    ///
    /// # Errors
    /// When `--body` is not a JSON object.
    pub fn body(&self, url: Option<&str>) -> Result<Map<String, Value>, Failure> {
        let mut body = input::object(self.body.as_deref())?;
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
        put("url", url.map(|url| json!(url)));
        put("uid", self.uid.as_ref().map(|uid| json!(uid)));
        put("description", self.description.as_ref().map(|text| json!(text)));
        put("eventTypes", list(&self.event_type));
        put("channels", list(&self.channel));
        put("throttleRate", self.rate_limit.map(|limit| json!(limit)));
        put("disabled", self.disabled.then_some(Value::Bool(true)));
        put(
            "metadata",
            (!self.metadata.is_empty()).then(|| input::pairs_object(&self.metadata)),
        );
        self.flow.put(&mut body)?;
        self.work.put(&mut body)?;
        Ok(body)
    }
}

/// How endpoints are listed.
pub const COLUMNS: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "UID",
        show: |item| cell(item, "uid"),
    },
    Column {
        title: "URL",
        show: |item| cell(item, "url"),
    },
    Column {
        title: "STATE",
        show: state,
    },
    Column {
        title: "EVENT TYPES",
        show: |item| cell(item, "eventTypes"),
    },
    Column {
        title: "CHANNELS",
        show: |item| cell(item, "channels"),
    },
    Column {
        title: "DESCRIPTION",
        show: |item| cell(item, "description"),
    },
];

fn state(item: &Value) -> String {
    let is = |name| item.get(name) == Some(&Value::Bool(true));
    if is("disabled") {
        "disabled".into()
    } else if is("paused") {
        "paused".into()
    } else {
        "enabled".into()
    }
}

impl EndpointArg {
    /// The path of the endpoint, or below it.
    fn path(&self, below: &[&str]) -> String {
        path(&[&["app", &*self.app.name(), "endpoint", &self.endpoint], below].concat())
    }
}

impl EndpointCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let none = Query::default();
        match self {
            Self::List { app, page } => {
                client.list(out, &path(&["app", &app.name(), "endpoint"]), none, &page, COLUMNS)
            }
            Self::Get(endpoint) => out.record(&client.get(&endpoint.path(&[]), &none)?.text),
            Self::Create {
                endpoint_url,
                app,
                secret,
                fields,
            } => {
                let mut body = fields.body(endpoint_url.as_deref())?;
                if let Some(secret) = secret {
                    body.insert("secret".into(), Value::String(secret));
                }
                out.record(
                    &client
                        .write(Method::POST, &path(&["app", &app.name(), "endpoint"]), &body)?
                        .text,
                )
            }
            Self::Update {
                endpoint,
                new_url,
                fields,
            } => {
                let body = fields.body(new_url.as_deref())?;
                if body.is_empty() {
                    return Err(Failure::usage("nothing to change; name at least one option"));
                }
                out.record(&client.write(Method::PATCH, &endpoint.path(&[]), &body)?.text)
            }
            Self::Backtest(args) => args.run(session),
            Self::Delete(endpoint) => {
                client.delete(&endpoint.path(&[]), &none)?;
                out.note(&format!("deleted {}", endpoint.endpoint));
                Ok(())
            }
            Self::Enable(endpoint) => set_disabled(session, &endpoint, false),
            Self::Disable(endpoint) => set_disabled(session, &endpoint, true),
            Self::Status(endpoint) => status::show(session, &endpoint.path(&["status"])),
            Self::Pause(endpoint) => set_paused(session, &endpoint, true),
            Self::Resume(endpoint) => set_paused(session, &endpoint, false),
            Self::Lines(args) => args.run(session),
            Self::Unblock(args) => args.run(session, lines::Tending::Unblock),
            Self::Skip(args) => args.run(session, lines::Tending::Skip),
            Self::Discard(args) => args.run(session, lines::Tending::Discard),
            Self::Secret(endpoint) => secret::show(session, &endpoint.path(&[])),
            Self::Rotate { endpoint, key, grace } => secret::rotate(session, &endpoint.path(&[]), key, grace),
            Self::Headers(args) => args.run(session),
            Self::Stats { endpoint, since, until } => {
                let now = when::now();
                let query = none
                    .maybe("since", since.map(|since| since.at(now)))
                    .maybe("until", until.map(|until| until.at(now)));
                out.record(&client.get(&endpoint.path(&["stats"]), &query)?.text)
            }
            Self::Recover {
                endpoint,
                since,
                until,
                no_wait,
            } => {
                let now = when::now();
                let mut body = json!({ "since": since.at(now).to_string() });
                if let Some(until) = until {
                    body["until"] = json!(until.at(now).to_string());
                }
                let answer = client.write(Method::POST, &endpoint.path(&["recover"]), &body)?;
                if no_wait {
                    return out.record(&answer.text);
                }
                task::follow(session, &answer, &mut Interrupt::listen()?)
            }
            Self::Test(args) => args.run(session),
            Self::SendExample { endpoint, event_type } => {
                let body = json!({ "eventType": event_type });
                out.record(
                    &client
                        .write(Method::POST, &endpoint.path(&["send-example"]), &body)?
                        .text,
                )
            }
        }
    }
}

fn set_disabled(session: &mut Session, endpoint: &EndpointArg, disabled: bool) -> Result<(), Failure> {
    let answer = session
        .client
        .write(Method::PATCH, &endpoint.path(&[]), &json!({ "disabled": disabled }))?;
    if session.out.is_json() {
        return session.out.raw(&answer.text);
    }
    session.out.note(&format!(
        "{} {}",
        if disabled { "disabled" } else { "enabled" },
        endpoint.endpoint
    ));
    Ok(())
}

/// Nothing is answered, so there is nothing to print for programs.
fn set_paused(session: &mut Session, endpoint: &EndpointArg, paused: bool) -> Result<(), Failure> {
    let (verb, done) = if paused {
        ("pause", "paused")
    } else {
        ("resume", "resumed")
    };
    session
        .client
        .write(Method::POST, &endpoint.path(&[verb]), &json!({}))?;
    session.out.note(&format!("{done} {}", endpoint.endpoint));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    /// Runs a line against a scripted server: what was printed, and what was asked.
    pub fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Captured, Vec<Seen>) {
        let Command::Endpoint(command) = Cli::try_parse_from([&["bellwire", "endpoint"], line].concat())
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
    fn options_become_the_fields_of_the_api() {
        let line = [
            "create",
            "http://127.0.0.1:9/hook",
            "--app",
            "acme",
            "--event-type",
            "a.b,c.*",
            "--rate-limit",
            "5",
            "--disabled",
            "--body",
            r#"{"retrySchedule":["1s"]}"#,
        ];
        let (_, seen) = run(&line, vec![(201, r#"{"id":"ep_1"}"#)]);
        assert_eq!(seen[0].line, "POST /api/v1/app/acme/endpoint");
        let expected = r#"{"disabled":true,"eventTypes":["a.b","c.*"],"retrySchedule":["1s"],"throttleRate":5,"url":"http://127.0.0.1:9/hook"}"#;
        assert_eq!(seen[0].body, expected);
    }

    #[test]
    fn a_source_stands_for_its_application() {
        let line = ["get", "ep_1", "--source", "github"];
        let (_, seen) = run(&line, vec![(200, "{}")]);
        assert_eq!(seen[0].line, "GET /api/v1/app/source%3Agithub/endpoint/ep_1");
        assert!(Cli::try_parse_from(["bellwire", "endpoint", "get", "ep_1"]).is_err());
    }

    #[test]
    fn pausing_and_resuming_are_requests_of_their_own() {
        for (verb, done) in [("pause", "paused ep_1\n"), ("resume", "resumed ep_1\n")] {
            let (captured, seen) = run(&[verb, "ep_1", "--app", "a"], vec![(204, "")]);
            assert_eq!(seen[0].line, format!("POST /api/v1/app/a/endpoint/ep_1/{verb}"));
            assert_eq!(captured.notes(), done);
        }
    }

    #[test]
    fn disabling_is_one_field() {
        let (captured, seen) = run(&["disable", "ep_1", "--app", "a"], vec![(200, "{}")]);
        assert_eq!(
            (captured.notes().as_str(), seen[0].body.as_str()),
            ("disabled ep_1\n", r#"{"disabled":true}"#)
        );
    }
}
