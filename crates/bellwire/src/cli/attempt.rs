//! `bellwire attempt`: single tries to deliver a message, and how they read.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Session,
    client::{Query, path},
    endpoint::AppArg,
    exit::Failure,
    out::Tone,
    pretty, when,
};

/// What to do with attempts.
#[derive(Subcommand)]
pub enum AttemptCommand {
    /// Show an attempt
    Get(GetArgs),
}

/// `attempt get`.
#[derive(Args)]
pub struct GetArgs {
    /// Its id
    attempt: String,
    /// The message it was for
    #[arg(long)]
    message: String,
    #[command(flatten)]
    app: AppArg,
    /// Show the headers of the request and of the answer instead
    #[arg(long)]
    headers: bool,
}

impl AttemptCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Self::Get(GetArgs {
            attempt,
            message,
            app,
            headers,
        }) = self;
        let app = app.name();
        let mut at = vec!["app", &app, "msg", &message, "attempt", &attempt];
        if headers {
            at.push("headers");
        }
        let answer = session.client.get(&path(&at), &Query::default())?;
        session.out.record(&answer.text)
    }
}

/// How an attempt or a delivery stands, as the API numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// 0: the receiver answered 2xx.
    Succeeded,
    /// 1: it waits.
    Pending,
    /// 2: it failed.
    Failed,
    /// 3: it is under way.
    Sending,
    /// 4: it was cancelled.
    Cancelled,
}

impl Standing {
    /// That of an attempt or a delivery; pending when it says nothing.
    pub fn of(item: &Value) -> Self {
        match (
            item.get("status").and_then(Value::as_i64),
            item.get("statusText").and_then(Value::as_str),
        ) {
            (Some(0), _) | (None, Some("success")) => Self::Succeeded,
            (Some(2), _) | (None, Some("fail")) => Self::Failed,
            (Some(3), _) | (None, Some("sending")) => Self::Sending,
            (Some(4), _) | (None, Some("canceled" | "cancelled")) => Self::Cancelled,
            _ => Self::Pending,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Sending => "sending",
            Self::Cancelled => "cancelled",
        }
    }

    /// As a colour.
    pub fn tone(self) -> Tone {
        match self {
            Self::Succeeded => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Pending | Self::Sending => Tone::Warn,
            Self::Cancelled => Tone::Dim,
        }
    }
}

/// What came of an attempt, on one line: `succeeded: 200 in 12 ms`, `failed: 500 in 3 ms: out of memory`.
pub fn outcome(attempt: &Value) -> String {
    let standing = Standing::of(attempt);
    let word = standing.word();
    let code = attempt.get("responseStatusCode").and_then(Value::as_i64).unwrap_or(0);
    let text = |name: &str| attempt.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut parts = Vec::new();
    if code > 0 {
        parts.push(code.to_string());
    } else if standing == Standing::Failed {
        parts.push("no answer".to_owned());
    }
    if let Some(ms) = attempt.get("responseDurationMs").and_then(Value::as_u64) {
        let took = format!("in {}", when::human(Duration::from_millis(ms)));
        match parts.last_mut() {
            Some(last) => *last = format!("{last} {took}"),
            None => parts.push(took),
        }
    }
    if standing == Standing::Failed {
        let named = ["failure", "failureReason", "reason"]
            .map(text)
            .into_iter()
            .find(|name| !name.is_empty());
        // `status_500` would say the code twice.
        parts.extend(
            named
                .filter(|name| !name.starts_with("status_"))
                .map(|name| pretty::line(name, 60)),
        );
        parts.extend(Some(pretty::line(text("response"), 160)).filter(|answer| !answer.is_empty()));
    }
    // What a command or a database said; a receiver's answer is its status.
    if standing == Standing::Succeeded && code == 0 {
        parts.extend(Some(pretty::line(text("response"), 160)).filter(|said| !said.is_empty()));
    }
    if parts.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {}", parts.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_says_what_came_of_it_and_why() {
        let ok = json!({"status": 0, "responseStatusCode": 200, "responseDurationMs": 12, "response": "ok"});
        assert_eq!(outcome(&ok), "succeeded: 200 in 12 ms");
        let ran = json!({"status": 0, "responseStatusCode": 0, "responseDurationMs": 5, "response": "deployed\n"});
        assert_eq!(outcome(&ran), "succeeded: in 5 ms: deployed");
        let answered = json!({"status": 2, "responseStatusCode": 500, "responseDurationMs": 3, "failure": "status_500",
                              "response": "out\nof memory"});
        assert_eq!(outcome(&answered), "failed: 500 in 3 ms: out of memory");
        let refused = json!({"status": 2, "responseStatusCode": 0, "responseDurationMs": 0,
                             "failure": "connection_refused", "response": "connect to 127.0.0.1:9: refused"});
        assert_eq!(
            outcome(&refused),
            "failed: no answer in 0 ms: connection_refused: connect to 127.0.0.1:9: refused"
        );
    }

    #[test]
    fn every_status_has_its_word() {
        let words = [
            (0, "succeeded"),
            (1, "pending"),
            (2, "failed"),
            (3, "sending"),
            (4, "cancelled"),
        ];
        for (status, word) in words {
            assert_eq!(Standing::of(&json!({"status": status})).word(), word);
        }
        assert_eq!(Standing::of(&json!({"statusText": "fail"})), Standing::Failed);
    }
}
