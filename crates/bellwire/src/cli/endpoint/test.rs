//! `bellwire endpoint test`: a message for one endpoint alone, and what came back.

use clap::Args;
use http::Method;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::EndpointArg;
use crate::cli::{
    Session,
    attempt::{self, Standing},
    exit::Failure,
    input,
    out::cell,
};

/// `endpoint test`.
#[derive(Args)]
pub struct TestArgs {
    #[command(flatten)]
    endpoint: EndpointArg,
    /// The event type of the message
    #[arg(value_name = "TYPE", default_value = "bellwire.test")]
    event_type: String,
    /// Its payload, a JSON object: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON", default_value = r#"{"test":true}"#)]
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_type: &'a str,
    payload: &'a RawValue,
}

impl TestArgs {
    /// Sends it and waits for the first attempt.
    ///
    /// # Errors
    /// Those of the request, and that the attempt failed.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let payload = input::json(&self.data)?;
        let body = Body {
            event_type: &self.event_type,
            payload: &payload,
        };
        let at = self.endpoint.path(&["msg", "test-attempt"]);
        let answer = session.client.write(Method::POST, &at, &body)?;
        let attempt: Value = answer.json()?;
        let outcome = attempt::outcome(&attempt);
        let failed = Standing::of(&attempt) != Standing::Succeeded;
        let verdict = match failed {
            true => Err(Failure::Failed(
                "the attempt did not succeed; it is tried again like any other".into(),
            )),
            false => Ok(()),
        };
        if session.out.is_json() {
            session.out.raw(&answer.text)?;
            return verdict;
        }
        let outcome = session.out.tint(Standing::of(&attempt).tone(), &outcome);
        session.out.line(&format!("{}  {outcome}", cell(&attempt, "msgId")))?;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        endpoint::{EndpointCommand, tests::run},
        testing::{Captured, Scripted},
    };

    #[test]
    fn a_test_is_a_message_for_this_endpoint_and_shows_what_came_back() {
        let attempt = r#"{"msgId":"msg_1","status":0,"responseStatusCode":204,"responseDurationMs":3,"response":""}"#;
        let (captured, seen) = run(&["test", "ep_1", "--app", "a"], vec![(201, attempt)]);
        assert_eq!(captured.text(), "msg_1  succeeded: 204 in 3 ms\n");
        assert_eq!(seen[0].line, "POST /api/v1/app/a/endpoint/ep_1/msg/test-attempt");
        assert_eq!(seen[0].body, r#"{"eventType":"bellwire.test","payload":{"test":true}}"#);
    }

    #[test]
    fn an_attempt_that_failed_fails_the_command() {
        let attempt = r#"{"msgId":"msg_1","status":2,"responseStatusCode":500,"responseDurationMs":3,"response":"no"}"#;
        let server = Scripted::answering(vec![(201, attempt)]);
        let line = [
            "bellwire",
            "endpoint",
            "test",
            "ep_1",
            "a.b",
            "--app",
            "a",
            "--data",
            r#"{"n":1.0}"#,
        ];
        let Command::Endpoint(EndpointCommand::Test(args)) = Cli::try_parse_from(line).unwrap().command else {
            unreachable!()
        };
        let captured = Captured::default();
        let failure = args.run(&mut server.session(&captured, false)).unwrap_err();
        assert_eq!(
            (failure.exit_code(), captured.text().as_str()),
            (1, "msg_1  failed: 500 in 3 ms: no\n")
        );
        assert_eq!(server.seen()[0].body, r#"{"eventType":"a.b","payload":{"n":1.0}}"#);
    }
}
