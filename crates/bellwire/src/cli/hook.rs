//! `bellwire operational-webhook`: the endpoints at which the owner of an environment is told about it.
//!
//! They are endpoints like any other, and shown like them; the API has no partial change for them, so a change here is read,
//! changed and written back.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Session,
    client::{PageArgs, Query, path},
    endpoint::{COLUMNS, Fields, headers, secret},
    exit::Failure,
    input, when,
};

/// What to do with operational webhook endpoints.
#[derive(Subcommand)]
pub enum HookCommand {
    /// List the endpoints
    List(PageArgs),
    /// Show an endpoint
    Get(HookArg),
    /// Create an endpoint
    Create {
        /// The URL that operational events are posted to
        endpoint_url: String,
        /// Its signing secret (whsec_… or whsk_…); made when not given
        #[arg(long)]
        secret: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change an endpoint: only what is named
    Update {
        #[command(flatten)]
        hook: HookArg,
        /// Its new URL
        #[arg(long, value_name = "URL")]
        new_url: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Delete an endpoint
    Delete(HookArg),
    /// Tell it what happens again, from now on
    Enable(HookArg),
    /// Tell it nothing until it is enabled
    Disable(HookArg),
    /// Show its signing secret
    Secret(HookArg),
    /// Give it a new signing secret; the old one stays valid for a while
    Rotate {
        #[command(flatten)]
        hook: HookArg,
        /// The new secret; made when not given
        #[arg(long)]
        key: Option<String>,
        /// How long the old one still signs, at most 7d; the server's default is 24h
        #[arg(long, value_name = "SPAN", value_parser = when::span)]
        grace: Option<Duration>,
    },
    /// Show or replace the headers that are added to its requests
    Headers {
        #[command(flatten)]
        hook: HookArg,
        /// Make this its only header; repeat for more
        #[arg(long, value_name = "NAME: VALUE", value_parser = input::header)]
        set: Vec<(String, String)>,
        /// Remove them all
        #[arg(long, conflicts_with = "set")]
        clear: bool,
    },
}

/// The endpoint that is meant.
#[derive(Args)]
pub struct HookArg {
    /// The endpoint's id or uid
    pub endpoint: String,
}

/// What is written back of what is read; the API keeps the rest.
const KEPT: [&str; 8] = [
    "url",
    "uid",
    "description",
    "disabled",
    "eventTypes",
    "channels",
    "throttleRate",
    "metadata",
];

impl HookArg {
    fn path(&self) -> String {
        path(&["operational-webhook", "endpoint", &self.endpoint])
    }
}

impl HookCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let none = Query::default();
        let all = path(&["operational-webhook", "endpoint"]);
        match self {
            Self::List(page) => client.list(out, &all, none, &page, COLUMNS),
            Self::Get(hook) => out.record(&client.get(&hook.path(), &none)?.text),
            Self::Create {
                endpoint_url,
                secret,
                fields,
            } => {
                let mut body = fields.body(Some(&endpoint_url))?;
                if let Some(secret) = secret {
                    body.insert("secret".into(), Value::String(secret));
                }
                out.record(&client.write(Method::POST, &all, &body)?.text)
            }
            Self::Update { hook, new_url, fields } => {
                let changes = fields.body(new_url.as_deref())?;
                if changes.is_empty() {
                    return Err(Failure::usage("nothing to change; name at least one option"));
                }
                let text = change(session, &hook, changes)?;
                session.out.record(&text)
            }
            Self::Delete(hook) => {
                client.delete(&hook.path(), &none)?;
                out.note(&format!("deleted {}", hook.endpoint));
                Ok(())
            }
            Self::Enable(hook) => set_disabled(session, &hook, false),
            Self::Disable(hook) => set_disabled(session, &hook, true),
            Self::Secret(hook) => secret::show(session, &hook.path()),
            Self::Rotate { hook, key, grace } => secret::rotate(session, &hook.path(), key, grace),
            Self::Headers { hook, set, clear } => {
                let at = format!("{}/headers", hook.path());
                if clear || !set.is_empty() {
                    client.write(Method::PUT, &at, &json!({ "headers": input::pairs_object(&set) }))?;
                }
                headers::show(session, &at)
            }
        }
    }
}

/// Changes these fields and answers the endpoint as it is then. Somebody who changes it at the same time may be undone.
fn change(session: &Session, hook: &HookArg, changes: Map<String, Value>) -> Result<String, Failure> {
    let client = &session.client;
    let mut now: Map<String, Value> = client.get(&hook.path(), &Query::default())?.json()?;
    now.retain(|name, value| KEPT.contains(&name.as_str()) && !value.is_null());
    now.extend(changes);
    Ok(client.write(Method::PUT, &hook.path(), &now)?.text)
}

fn set_disabled(session: &mut Session, hook: &HookArg, disabled: bool) -> Result<(), Failure> {
    let changes = Map::from_iter([("disabled".to_owned(), Value::Bool(disabled))]);
    let text = change(session, hook, changes)?;
    if session.out.is_json() {
        return session.out.raw(&text);
    }
    let what = if disabled { "disabled" } else { "enabled" };
    session.out.note(&format!("{what} {}", hook.endpoint));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Captured, Vec<Seen>) {
        let Command::OperationalWebhook(command) = Cli::try_parse_from([&["bellwire", "hook"], line].concat())
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

    const KNOWN: &str = r#"{"id":"ep_1","url":"http://h/","description":"","disabled":false,"eventTypes":["a.b"],
        "throttleRate":null,"metadata":{},"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}"#;

    #[test]
    fn an_endpoint_is_created_with_the_options_of_endpoints() {
        let line = [
            "create",
            "http://h/",
            "--uid",
            "me",
            "--event-type",
            "endpoint.disabled",
        ];
        let (_, seen) = run(&line, vec![(201, KNOWN)]);
        assert_eq!(seen[0].line, "POST /api/v1/operational-webhook/endpoint");
        assert_eq!(
            seen[0].body,
            r#"{"eventTypes":["endpoint.disabled"],"uid":"me","url":"http://h/"}"#
        );
    }

    #[test]
    fn a_change_keeps_what_is_not_named() {
        let (captured, seen) = run(&["disable", "ep_1"], vec![(200, KNOWN), (200, KNOWN)]);
        assert_eq!(captured.notes(), "disabled ep_1\n");
        assert_eq!(seen[1].line, "PUT /api/v1/operational-webhook/endpoint/ep_1");
        let expected = r#"{"description":"","disabled":true,"eventTypes":["a.b"],"metadata":{},"url":"http://h/"}"#;
        assert_eq!(seen[1].body, expected);
    }

    #[test]
    fn headers_are_replaced_as_a_whole() {
        let shown = r#"{"headers":{"x-one":"1"},"sensitive":[]}"#;
        let (captured, seen) = run(&["headers", "ep_1", "--set", "X-One: 1"], vec![(204, ""), (200, shown)]);
        assert_eq!(
            (seen[0].body.as_str(), captured.text().as_str()),
            (r#"{"headers":{"x-one":"1"}}"#, "x-one: 1\n")
        );
        assert!(seen[0].line.starts_with("PUT "), "{}", seen[0].line);
    }

    #[test]
    fn the_secret_comes_from_its_own_path() {
        let (captured, seen) = run(&["secret", "ep_1"], vec![(200, r#"{"key":"whsec_x"}"#)]);
        assert_eq!(captured.text(), "whsec_x\n");
        assert_eq!(seen[0].line, "GET /api/v1/operational-webhook/endpoint/ep_1/secret");
    }
}
