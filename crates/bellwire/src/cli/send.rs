//! `bellwire send`: publishes one message, and with `--wait` shows what becomes of it.

use std::{collections::HashSet, time::Duration};

use clap::Args;
use http::Method;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Session,
    attempt::{self, Standing},
    client::{Page, Query, path},
    exit::Failure,
    input,
    interrupt::Interrupt,
    out::cell,
    pretty,
    when::{self, When},
};

/// Waits between two looks while waiting: short at first, because most messages arrive at once.
const POLLS: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(300),
    Duration::from_secs(1),
];

/// Of so many deliveries that have not ended it is said what they wait for.
const EXPLAINED_MAX: usize = 5;

/// `send`.
#[derive(Args)]
pub struct SendArgs {
    /// The event type, such as invoice.paid
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The payload, a JSON object: the text, @file, or - for standard input; sent on byte for byte
    #[arg(long, value_name = "JSON")]
    data: String,
    /// The application's id or uid
    #[arg(long, env = "BELLWIRE_APP")]
    app: String,
    /// Create the application if it is missing, with --app as its uid and name
    #[arg(long)]
    create_app: bool,
    /// Your own id of the event; a second message with it is refused
    #[arg(long)]
    event_id: Option<String>,
    /// Only endpoints that listen on this channel, or on none in particular; repeat or separate by commas
    #[arg(long, value_delimiter = ',')]
    channel: Vec<String>,
    /// A mark to search by; repeat for more
    #[arg(long, value_delimiter = ',')]
    tag: Vec<String>,
    /// What it is in order with, at endpoints that order by key
    #[arg(long, value_name = "KEY")]
    ordering_key: Option<String>,
    /// Not before: a span from now (10m, 2h) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    deliver_at: Option<When>,
    /// Sending again with the same key publishes once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Stay until every delivery has succeeded or failed, and show each attempt
    #[arg(long)]
    wait: bool,
    /// How long to stay at most
    #[arg(long, value_name = "SPAN", value_parser = when::span, default_value = "60s", requires = "wait")]
    timeout: Duration,
}

/// The request's body. The payload is the publisher's text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_type: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    channels: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<Value>,
}

impl SendArgs {
    /// Publishes it.
    ///
    /// # Errors
    /// Those of the request; with `--wait`, that a delivery failed or did not end in time.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let wait = self.wait.then(Interrupt::listen).transpose()?;
        self.run_with(session, wait)
    }

    fn run_with(self, session: &mut Session, wait: Option<Interrupt>) -> Result<(), Failure> {
        let payload = input::json(&self.data)?;
        let app = &self.app;
        let body = Body {
            event_type: &self.event_type,
            payload: &payload,
            event_id: self.event_id.as_deref(),
            channels: &self.channel,
            tags: &self.tag,
            ordering_key: self.ordering_key.as_deref(),
            deliver_at: self.deliver_at.map(|at| at.ahead(when::now()).to_string()),
            application: self.create_app.then(|| json!({ "name": app, "uid": app })),
        };
        let key = self.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
        // People see the id only: the payload need not travel back.
        let query = Query::default().maybe("with_content", (!session.out.is_json()).then_some(false));
        let at = query.after(&path(&["app", app, "msg"]));
        let answer = session.client.write_with(Method::POST, &at, &body, key.as_slice())?;
        let message: Value = answer.json()?;
        let id = cell(&message, "id");
        if !session.out.is_json() {
            session.out.line(&id)?;
        }
        let Some(mut interrupt) = wait else {
            return if session.out.is_json() {
                session.out.raw(&answer.text)
            } else {
                Ok(())
            };
        };
        let mut watch = Watch {
            app,
            id: &id,
            shown: HashSet::new(),
            attempts: Vec::new(),
        };
        let (deliveries, verdict) = watch.until_ended(session, &mut interrupt, self.timeout)?;
        if session.out.is_json() {
            let message: &RawValue = serde_json::from_str(&answer.text).map_err(Failure::usage)?;
            let whole = json!({ "deliveries": deliveries, "attempts": watch.attempts });
            let whole = format!("{{\"message\":{},{}", message.get(), &whole.to_string()[1..]);
            session.out.line(&whole)?;
        }
        verdict
    }
}

/// Looks at a message's deliveries until each has ended.
struct Watch<'a> {
    app: &'a str,
    id: &'a str,
    /// Ids of the attempts already shown.
    shown: HashSet<String>,
    attempts: Vec<Value>,
}

impl Watch<'_> {
    /// The deliveries as they stood last, and what the command ends with. The timeout counts the pauses.
    fn until_ended(
        &mut self,
        session: &mut Session,
        interrupt: &mut Interrupt,
        timeout: Duration,
    ) -> Result<(Vec<Value>, Result<(), Failure>), Failure> {
        let mut waited = Duration::ZERO;
        let mut polls = POLLS.iter().copied();
        loop {
            let deliveries = self.deliveries(session)?;
            self.show_attempts(session, &deliveries)?;
            let open = deliveries.iter().filter(|delivery| !has_ended(delivery)).count();
            if open == 0 {
                let verdict = self.verdict(session, &deliveries);
                return Ok((deliveries, verdict));
            }
            if waited >= timeout {
                let text = format!(
                    "{open} of {} deliveries have not ended after {}; they go on: {}{}",
                    deliveries.len(),
                    when::human(timeout),
                    self.next_look(),
                    self.why(session, &deliveries)
                );
                return Ok((deliveries, Err(Failure::Failed(text))));
            }
            let pause = polls.next().unwrap_or(Duration::from_secs(1)).min(timeout - waited);
            if interrupt.within(pause) {
                session.out.note(&format!("the deliveries go on: {}", self.next_look()));
                return Err(Failure::Interrupted);
            }
            waited += pause;
        }
    }

    /// What those that have not ended wait for, such as a line that is blocked; a line each, of a few of them.
    fn why(&self, session: &Session, deliveries: &[Value]) -> String {
        let open = deliveries.iter().filter(|delivery| !has_ended(delivery));
        let one = |delivery: &Value| {
            let endpoint = cell(delivery, "id");
            let at = path(&["app", self.app, "msg", self.id, "endpoint", &endpoint, "explain"]);
            // It only adds to what is said anyway.
            let explained: Value = session.client.get(&at, &Query::default()).ok()?.json().ok()?;
            let words = ["summary", "advice"].map(|name| cell_raw(&explained, name));
            let words: Vec<_> = words.iter().filter(|words| !words.is_empty()).cloned().collect();
            Some(format!("\n  {endpoint}  {}", pretty::line(&words.join("; "), 4_000)))
        };
        open.take(EXPLAINED_MAX).filter_map(one).collect()
    }

    fn next_look(&self) -> String {
        format!("bellwire message get {} --app {}", self.id, self.app)
    }

    fn deliveries(&self, session: &Session) -> Result<Vec<Value>, Failure> {
        let at = path(&["app", self.app, "msg", self.id, "endpoint"]);
        let page: Page = session.client.get(&at, &Query::default().with("limit", 250))?.json()?;
        Ok(page.values())
    }

    /// Prints the attempts that were not shown yet, oldest first.
    fn show_attempts(&mut self, session: &mut Session, deliveries: &[Value]) -> Result<(), Failure> {
        let at = path(&["app", self.app, "attempt", "msg", self.id]);
        let page: Page = session.client.get(&at, &Query::default().with("limit", 250))?.json()?;
        let mut new: Vec<Value> = page.values();
        new.retain(|attempt| Standing::of(attempt) != Standing::Sending && self.shown.insert(cell(attempt, "id")));
        new.sort_by_key(|attempt| (cell_raw(attempt, "timestamp"), cell_raw(attempt, "id")));
        for attempt in new {
            if !session.out.is_json() {
                let endpoint = cell(&attempt, "endpointId");
                let next = deliveries.iter().find(|delivery| cell(delivery, "id") == endpoint);
                let next = next
                    .map(|delivery| cell(delivery, "nextAttempt"))
                    .filter(|next| !next.is_empty());
                let next = next.filter(|_| Standing::of(&attempt) == Standing::Failed);
                let next = next.map(|next| format!("; next attempt {next}")).unwrap_or_default();
                let text = format!("  {endpoint}  {}{next}", attempt::outcome(&attempt));
                let text = session.out.tint(Standing::of(&attempt).tone(), &text);
                session.out.line(&text)?;
            }
            self.attempts.push(attempt);
        }
        Ok(())
    }

    fn verdict(&self, session: &mut Session, deliveries: &[Value]) -> Result<(), Failure> {
        if deliveries.is_empty() {
            session.out.note("no endpoint of the application takes this message");
            return Ok(());
        }
        let bad: Vec<String> = deliveries
            .iter()
            .filter(|delivery| Standing::of(delivery) != Standing::Succeeded)
            .map(|delivery| format!("{} ({})", cell(delivery, "id"), Standing::of(delivery).word()))
            .collect();
        if bad.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} of {} deliveries did not succeed: {}",
            bad.len(),
            deliveries.len(),
            bad.join(", ")
        );
        Err(Failure::Failed(pretty::printable(&text)))
    }
}

/// Whether nothing more will happen to a delivery by itself.
fn has_ended(delivery: &Value) -> bool {
    match Standing::of(delivery) {
        Standing::Succeeded | Standing::Cancelled => true,
        Standing::Failed => cell(delivery, "nextAttempt").is_empty(),
        Standing::Pending | Standing::Sending => false,
    }
}

fn cell_raw(item: &Value, member: &str) -> String {
    item.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    fn parsed(further: &[&str]) -> SendArgs {
        let line = ["bellwire", "send", "invoice.paid", "--app", "acme"];
        match Cli::try_parse_from([&line, further].concat()).unwrap().command {
            Command::Send(args) => args,
            _ => unreachable!(),
        }
    }

    fn page(items: &str) -> String {
        format!(r#"{{"data":[{items}],"iterator":null,"prevIterator":null,"done":true}}"#)
    }

    const ACCEPTED: (u16, &str) = (202, r#"{"id":"msg_1","payload":{}}"#);
    const FAILED_ONCE: &str = r#"{"id":"atmpt_1","endpointId":"ep_1","timestamp":"2026-01-01T00:00:00Z","status":2,
        "responseStatusCode":500,"responseDurationMs":3,"response":"no"}"#;
    const THEN_OK: &str = r#"{"id":"atmpt_2","endpointId":"ep_1","timestamp":"2026-01-01T00:00:05Z","status":0,
        "responseStatusCode":200,"responseDurationMs":4,"response":""}"#;

    #[test]
    fn the_payload_travels_byte_for_byte() {
        let server = Scripted::answering(vec![ACCEPTED]);
        let captured = Captured::default();
        let data = r#"{"b": 1.10, "a": 12345678901234567890}"#;
        let line = [
            "--data",
            data,
            "--create-app",
            "--event-id",
            "e1",
            "--idempotency-key",
            "k1",
            "--channel",
            "x,y",
            "--ordering-key",
            "customer 42",
        ];
        parsed(&line).run(&mut server.session(&captured, false)).unwrap();
        assert_eq!(captured.text(), "msg_1\n");
        let seen = server.seen().remove(0);
        assert_eq!(seen.line, "POST /api/v1/app/acme/msg?with_content=false");
        assert!(seen.body.contains(&format!(r#""payload":{data}"#)), "{}", seen.body);
        assert!(
            seen.body.contains(r#""application":{"name":"acme","uid":"acme"}"#),
            "{}",
            seen.body
        );
        assert!(seen.body.contains(r#""orderingKey":"customer 42""#), "{}", seen.body);
        assert!(seen.head.contains("idempotency-key: k1"), "{}", seen.head);
    }

    #[test]
    fn a_payload_that_is_not_json_is_not_sent() {
        let mut session = crate::cli::testing::session("http://127.0.0.1:9", &Captured::default(), false);
        assert_eq!(
            parsed(&["--data", "{oops"]).run(&mut session).unwrap_err().exit_code(),
            2
        );
    }

    #[test]
    fn waiting_shows_each_attempt_once_and_ends_well_when_all_succeeded() {
        let pending = page(r#"{"id":"ep_1","status":1,"nextAttempt":"2026-01-01T00:00:05Z"}"#);
        let done = page(r#"{"id":"ep_1","status":0}"#);
        let (first, both) = (page(FAILED_ONCE), page(&format!("{THEN_OK},{FAILED_ONCE}")));
        let server = Scripted::answering(vec![
            ACCEPTED,
            (200, &pending),
            (200, &first),
            (200, &done),
            (200, &both),
        ]);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        parsed(&["--data", "{}", "--wait"])
            .run_with(&mut session, Some(Interrupt::scripted(&[false])))
            .unwrap();
        let expected = "msg_1\n  ep_1  failed: 500 in 3 ms: no; next attempt 2026-01-01T00:00:05Z\n  \
                        ep_1  succeeded: 200 in 4 ms\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn a_failed_delivery_fails_the_command() {
        let (failed, attempts) = (
            page(r#"{"id":"ep_1","status":2,"nextAttempt":null}"#),
            page(FAILED_ONCE),
        );
        let server = Scripted::answering(vec![ACCEPTED, (200, &failed), (200, &attempts)]);
        let captured = Captured::default();
        let mut session = server.session(&captured, true);
        let wait = Some(Interrupt::scripted(&[]));
        let failure = parsed(&["--data", "{}", "--wait"])
            .run_with(&mut session, wait)
            .unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(failure.to_string(), "1 of 1 deliveries did not succeed: ep_1 (failed)");
        let shown: Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(
            (&shown["message"]["id"], &shown["attempts"][0]["id"]),
            (&json!("msg_1"), &json!("atmpt_1"))
        );
    }

    #[test]
    fn waiting_ends_at_the_timeout_and_on_interruption() {
        let (pending, none) = (page(r#"{"id":"ep_1","status":1}"#), page(""));
        let script = || vec![ACCEPTED, (200, pending.as_str()), (200, none.as_str())];
        let blocked = r#"{"endpointId":"ep_1","summary":"waits behind msg_0 in the line `k`, which is blocked","advice":"skip it"}"#;
        let server = Scripted::answering([script(), vec![(200, blocked)]].concat());
        let mut session = server.session(&Captured::default(), false);
        let line = ["--data", "{}", "--wait", "--timeout", "0s"];
        let failure = parsed(&line)
            .run_with(&mut session, Some(Interrupt::scripted(&[])))
            .unwrap_err();
        let expected = "1 of 1 deliveries have not ended after 0 ms; they go on: bellwire message get msg_1 --app acme\n  \
                        ep_1  waits behind msg_0 in the line `k`, which is blocked; skip it";
        assert_eq!((failure.exit_code(), failure.to_string().as_str()), (1, expected));
        assert_eq!(
            server.seen().last().unwrap().line,
            "GET /api/v1/app/acme/msg/msg_1/endpoint/ep_1/explain"
        );

        let server = Scripted::answering(script());
        let mut session = server.session(&Captured::default(), false);
        let wait = Some(Interrupt::scripted(&[true]));
        let failure = parsed(&["--data", "{}", "--wait"])
            .run_with(&mut session, wait)
            .unwrap_err();
        assert_eq!(failure.exit_code(), 130);
    }

    #[test]
    fn a_message_that_nobody_takes_is_no_failure() {
        let none = page("");
        let server = Scripted::answering(vec![ACCEPTED, (200, &none), (200, &none)]);
        let captured = Captured::default();
        let mut session = server.session(&captured, false);
        parsed(&["--data", "{}", "--wait"])
            .run_with(&mut session, Some(Interrupt::scripted(&[])))
            .unwrap();
        assert!(captured.notes().contains("no endpoint"));
    }
}
