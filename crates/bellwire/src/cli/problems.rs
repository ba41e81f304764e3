//! `bellwire problems`: what fails now, since when, and what to do about it.

use clap::Args;
use serde_json::Value;

use super::{
    Session,
    client::{Query, path},
    exit::Failure,
    out::{Out, Tone, cell, count},
    pretty,
    when::{self, When},
};

/// `problems`.
#[derive(Args)]
pub struct ProblemsArgs {
    /// Only of this application: its id or uid
    #[arg(long, env = "BELLWIRE_APP")]
    app: Option<String>,
    /// Only at this endpoint: its id, or its uid beside --app
    #[arg(long)]
    endpoint: Option<String>,
    /// Only by this reason, as timeout_headers
    #[arg(long)]
    reason: Option<String>,
    /// From when: a span back from now (2h, 7d) or RFC 3339; a day when left out
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
}

impl ProblemsArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let now = when::now();
        let query = Query::default()
            .maybe("app", self.app.as_deref())
            .maybe("endpoint", self.endpoint.as_deref())
            .maybe("reason", self.reason.as_deref())
            .maybe("since", self.since.map(|since| since.at(now)))
            .maybe("until", self.until.map(|until| until.at(now)));
        let answer = client.get(&path(&["problems"]), &query)?;
        if out.is_json() {
            return out.raw(&answer.text);
        }
        let found: Value = answer.json()?;
        let groups = found["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if groups.is_empty() {
            out.note("nothing failed");
        }
        for group in groups {
            show(out, group)?;
        }
        Ok(())
    }
}

/// Where and why, how often and since when, what to do, and how to retry all of it.
fn show(out: &mut Out, group: &Value) -> Result<(), Failure> {
    let text = |name: &str| group[name].as_str().unwrap_or_default();
    let name = |uid: &str, id: &str| match group[uid].as_str() {
        Some(uid) => uid.to_owned(),
        None => text(id).to_owned(),
    };
    let (app, endpoint) = (name("appUid", "appId"), name("endpointUid", "endpointId"));
    let reason = out.tint(Tone::Bad, &pretty::line(text("reason"), 80));
    out.line(&format!(
        "{endpoint} of {app}  {reason}  {}",
        pretty::line(text("url"), 200)
    ))?;
    let number = |name: &str| group[name].as_u64().unwrap_or(0);
    let at_least = if group["exact"] == Value::Bool(false) {
        "at least "
    } else {
        ""
    };
    let mut seen = format!(
        "{at_least}{} failed so, {} given up; first {}, last {}",
        count(number("attempts"), "attempt"),
        number("givenUp"),
        cell(group, "firstSeen"),
        cell(group, "lastSeen"),
    );
    if group["failingSince"].is_string() {
        seen += &format!("; nothing has succeeded since {}", cell(group, "failingSince"));
    }
    out.line(&format!("  {seen}"))?;
    if let Some(example) = group.pointer("/example/response").and_then(Value::as_str) {
        out.line(&format!("  for example: {}", pretty::line(example, 400)))?;
    }
    let advice = text("advice").replace('\n', " ");
    if !advice.is_empty() {
        out.line(&format!("  do: {}", pretty::line(&advice, 2_000)))?;
    }
    let again = format!(
        "  retry all: bellwire replay --app {app} --endpoint {endpoint} --reason {} --since {}",
        text("reason"),
        text("firstSeen")
    );
    let again = out.tint(Tone::Dim, &pretty::line(&again, 400));
    out.line(&again)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    #[test]
    fn a_problem_says_where_why_since_when_and_what_to_do() {
        let Command::Problems(args) = Cli::try_parse_from(["bellwire", "problems", "--reason", "status_5xx"])
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let answer = r#"{"since":"","until":"","exact":true,"data":[{"appId":"app_1","appUid":"acme","endpointId":"ep_1",
            "endpointUid":null,"url":"https://a/","reason":"status_5xx","explanation":"","advice":"Look at\nits log.",
            "attempts":3,"givenUp":1,"exact":false,"firstSeen":"2026-01-01T00:00:00Z","lastSeen":"2026-01-02T00:00:00Z",
            "failingSince":"2026-01-01T00:00:00Z","example":{"response":"answered 503"}}]}"#;
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        args.run(&mut server.session(&captured, false)).unwrap();
        let text = captured.text();
        for part in [
            "ep_1 of acme",
            "at least 3 attempts failed so, 1 given up",
            "nothing has succeeded since",
            "for example: answered 503",
            "do: Look at its log.",
            "replay --app acme --endpoint ep_1 --reason status_5xx --since 2026-01-01T00:00:00Z",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(server.seen()[0].line, "GET /api/v1/problems?reason=status_5xx");
    }
}
