//! `bellwire replay`: past messages to an endpoint again, as a background task of the server.

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Session,
    client::path,
    endpoint::AppArg,
    exit::Failure,
    interrupt::Interrupt,
    message::Status,
    out, task,
    when::{self, When},
};

/// `replay`.
#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    app: AppArg,
    /// The endpoint's id or uid
    #[arg(long)]
    endpoint: String,
    /// From when: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: When,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only messages that were never attempted at the endpoint
    #[arg(long, conflicts_with = "only_failed")]
    only_missing: bool,
    /// Only messages that failed at the endpoint
    #[arg(long)]
    only_failed: bool,
    /// Only messages whose last attempt there failed by this reason, such as timeout_headers (docs/failures.md)
    #[arg(long, conflicts_with = "only_missing")]
    reason: Option<String>,
    /// Only these event types
    #[arg(long, value_name = "TYPE", value_delimiter = ',', conflicts_with_all = ["only_missing", "only_failed"])]
    event_type: Vec<String>,
    /// Only messages on this channel
    #[arg(long, conflicts_with_all = ["only_missing", "only_failed"])]
    channel: Option<String>,
    /// Only messages whose delivery stands so
    #[arg(long, conflicts_with_all = ["only_missing", "only_failed"])]
    status: Option<Status>,
    /// Only count what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for it to finish
    #[arg(long)]
    no_wait: bool,
}

impl ReplayArgs {
    /// Starts it and follows it to its end.
    ///
    /// # Errors
    /// Those of the request, and that the task failed.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let answer = session
            .client
            .write(Method::POST, &self.path(), &self.body(when::now()))?;
        if self.dry_run {
            let Some(count) = counted(&answer.json()?) else {
                return session.out.record(&answer.text);
            };
            if session.out.is_json() {
                return session.out.raw(&answer.text);
            }
            return session.out.line(&format!(
                "{} would be sent to {}",
                out::count(count, "message"),
                self.endpoint
            ));
        }
        if self.no_wait {
            return session.out.record(&answer.text);
        }
        task::follow(session, &answer, &mut Interrupt::listen()?)
    }

    fn path(&self) -> String {
        let operation = match (self.only_missing, self.only_failed) {
            (true, _) => "replay-missing",
            (_, true) => "recover",
            _ => "bulk-replay",
        };
        path(&["app", &self.app.name(), "endpoint", &self.endpoint, operation])
    }

    fn body(&self, now: bellwire_core::time::Timestamp) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("since", Some(json!(self.since.at(now))));
        put("until", self.until.map(|until| json!(until.at(now))));
        put(
            "eventTypes",
            (!self.event_type.is_empty()).then(|| json!(self.event_type)),
        );
        put("channel", self.channel.as_ref().map(|channel| json!(channel)));
        put("status", self.status.map(|status| json!(status.number())));
        put("failure", self.reason.as_ref().map(|reason| json!(reason)));
        put("dryRun", self.dry_run.then_some(Value::Bool(true)));
        body
    }
}

/// The count that a dry run answers, at the top or among the task's data.
fn counted(answer: &Value) -> Option<u64> {
    answer.get("count").or_else(|| answer.pointer("/data/count"))?.as_u64()
}

#[cfg(test)]
mod tests {
    use bellwire_core::time::Timestamp;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    fn parsed(further: &[&str]) -> ReplayArgs {
        let line = ["bellwire", "replay", "--app", "a", "--endpoint", "e", "--since", "2h"];
        match Cli::try_parse_from([&line, further].concat()).unwrap().command {
            Command::Replay(args) => args,
            _ => unreachable!(),
        }
    }

    #[test]
    fn each_kind_of_replay_has_its_operation() {
        assert_eq!(parsed(&[]).path(), "/api/v1/app/a/endpoint/e/bulk-replay");
        assert_eq!(
            parsed(&["--only-missing"]).path(),
            "/api/v1/app/a/endpoint/e/replay-missing"
        );
        assert_eq!(parsed(&["--only-failed"]).path(), "/api/v1/app/a/endpoint/e/recover");
        let line = [
            "bellwire",
            "replay",
            "--app",
            "a",
            "--endpoint",
            "e",
            "--since",
            "2h",
            "--only-failed",
            "--only-missing",
        ];
        assert!(Cli::try_parse_from(line).is_err());
    }

    #[test]
    fn spans_become_points_in_time() {
        let body =
            parsed(&["--until", "1h", "--event-type", "x.y", "--status", "failed"]).body(Timestamp::from_secs(7_200));
        let expected = r#"{"eventTypes":["x.y"],"since":"1970-01-01T00:00:00.000000Z","status":2,"until":"1970-01-01T01:00:00.000000Z"}"#;
        assert_eq!(serde_json::to_string(&body).unwrap(), expected);
    }

    #[test]
    fn a_dry_run_prints_the_count_and_starts_nothing() {
        let server = Scripted::answering(vec![(200, r#"{"count":42}"#)]);
        let captured = Captured::default();
        parsed(&["--dry-run"])
            .run(&mut server.session(&captured, false))
            .unwrap();
        assert_eq!(captured.text(), "42 messages would be sent to e\n");
        let seen = server.seen();
        assert!(seen.len() == 1 && seen[0].body.contains(r#""dryRun":true"#));
    }
}
