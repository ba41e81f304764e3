//! `bellwire message explain`: why endpoints got a message, or did not, and what to do about it.

use clap::Args;
use serde_json::Value;

use super::{
    Session,
    attempt::Standing,
    client::{Page, PageArgs, Query},
    exit::Failure,
    message::{MessageArg, names, rename},
    out::{Out, Tone, cell},
    pretty,
};

/// `message explain`.
#[derive(Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    message: MessageArg,
    /// Only this endpoint; without it, every endpoint that the application has now
    #[arg(long)]
    endpoint: Option<String>,
}

impl ExplainArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        if let Some(endpoint) = &self.endpoint {
            let at = self.message.path(&["endpoint", endpoint, "explain"]);
            let answer = client.get(&at, &Query::default())?;
            if out.is_json() {
                return out.raw(&answer.text);
            }
            let mut explanation = answer.json()?;
            rename(&mut explanation, "endpointId", &names(client, &self.message.app));
            return show(out, &explanation);
        }
        let at = self.message.path(&["explain"]);
        if out.is_json() {
            return client.list(out, &at, Query::default(), &PageArgs::every(), &[]);
        }
        let names = names(client, &self.message.app);
        let mut query = Query::default().with("limit", 250);
        let mut none = true;
        loop {
            let page: Page = client.get(&at, &query)?.json()?;
            for mut explanation in page.values() {
                rename(&mut explanation, "endpointId", &names);
                none = false;
                show(out, &explanation)?;
            }
            match page.iterator.filter(|_| !page.done) {
                Some(next) => query = Query::default().with("limit", 250).with("iterator", next),
                None => break,
            }
        }
        if none {
            out.note("the application has no endpoint");
        }
        Ok(())
    }
}

/// The endpoint and what happened, then what to do about it.
fn show(out: &mut Out, explanation: &Value) -> Result<(), Failure> {
    let has_delivery = explanation.get("status").is_some_and(|status| !status.is_null());
    let tone = if has_delivery {
        Standing::of(explanation).tone()
    } else {
        Tone::Dim
    };
    // In full: these are the words that were asked for.
    let words = |name| pretty::line(explanation.get(name).and_then(Value::as_str).unwrap_or_default(), 4_000);
    let summary = out.tint(tone, &words("summary"));
    out.line(&format!("{}  {summary}", cell(explanation, "endpointId")))?;
    for clause in explanation
        .get("clauses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        out.line(&format!("  {}", clause_words(clause)))?;
    }
    let advice = words("advice");
    match advice.is_empty() {
        true => Ok(()),
        false => out.line(&format!("  {advice}")),
    }
}

/// `filter data.amount > 100: no, data.amount is 50`.
fn clause_words(clause: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| clause.get(name).and_then(Value::as_array).into_iter().flatten();
    let wants: Vec<_> = list("wants").filter_map(Value::as_str).collect();
    let found = list("found").map(|found| match found.get("value").and_then(Value::as_str) {
        Some(value) => format!(", {} is {value}", text(found, "path")),
        None => format!(", {} is missing", text(found, "path")),
    });
    let holds = clause.get("holds").and_then(Value::as_bool).unwrap_or_default();
    let error = text(clause, "error");
    let end = match error.is_empty() {
        true => found.collect::<String>(),
        false => format!(", {error}"),
    };
    let said = if holds { "yes" } else { "no" };
    let line = format!("{} {}: {said}{end}", text(clause, "clause"), wants.join(", "));
    pretty::line(&line, 4_000)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Captured, Vec<Seen>) {
        let line = [&["bellwire", "message", "explain", "msg_1", "--app", "a"], line].concat();
        let Command::Message(command) = Cli::try_parse_from(line).unwrap().command else {
            unreachable!()
        };
        let server = Scripted::answering(script);
        let captured = Captured::default();
        command.run(&mut server.session(&captured, false)).unwrap();
        (captured, server.seen())
    }

    /// Longer than a cell of a table.
    const LONG: &str = "given up after 3 attempts; the last attempt, at 2026-01-01T00:00:00Z, failed: status_500: no";
    const FAILED: &str = r#"{"endpointId":"ep_1","status":2,"summary":"failed 3 times","advice":"resend it"}"#;
    /// The endpoints, one of which has a name.
    const NAMED: &str = r#"{"data":[{"id":"ep_1","uid":"deploy"},{"id":"ep_2","uid":null}],"iterator":null,"prevIterator":null,"done":true}"#;
    const OTHER: &str = r#"{"endpointId":"ep_2","status":null,"summary":"wants other event types","advice":null}"#;

    #[test]
    fn one_endpoint_is_explained_with_what_to_do() {
        let (captured, seen) = run(&["--endpoint", "ep_1"], vec![(200, FAILED), (200, NAMED)]);
        assert_eq!(captured.text(), "deploy  failed 3 times\n  resend it\n");
        assert_eq!(seen[0].line, "GET /api/v1/app/a/msg/msg_1/endpoint/ep_1/explain");
    }

    #[test]
    fn each_clause_is_shown_with_what_it_looked_at() {
        let item = r#"{"endpointId":"ep_1","status":null,"summary":"not sent","advice":null,"clauses":[
            {"clause":"eventTypes","wants":["a.*","b"],"holds":true,"found":[{"path":"type","value":"\"a.x\""}],"error":null},
            {"clause":"filter","wants":["n > 1 or m"],"holds":false,
             "found":[{"path":"n","value":"1"},{"path":"m","value":null}],"error":null},
            {"clause":"filter","wants":["n"],"holds":false,"found":[],"error":"too much work"}]}"#;
        let (captured, _) = run(&["--endpoint", "ep_1"], vec![(200, item), (403, "{}")]);
        assert_eq!(
            captured.text(),
            "ep_1  not sent\n  eventTypes a.*, b: yes, type is \"a.x\"\n  filter n > 1 or m: no, n is 1, m is missing\n  \
             filter n: no, too much work\n"
        );
    }

    #[test]
    fn an_explanation_is_shown_in_full() {
        let item = format!(r#"{{"endpointId":"ep_1","status":2,"summary":"{LONG}","advice":"{LONG}"}}"#);
        let (captured, _) = run(&["--endpoint", "ep_1"], vec![(200, &item), (403, "{}")]);
        assert_eq!(captured.text(), format!("ep_1  {LONG}\n  {LONG}\n"));
    }

    #[test]
    fn without_an_endpoint_every_one_is_explained() {
        let page =
            |item: &str, done: bool| format!(r#"{{"data":[{item}],"iterator":"i","prevIterator":null,"done":{done}}}"#);
        let (first, last) = (page(FAILED, false), page(OTHER, true));
        let (captured, seen) = run(&[], vec![(200, NAMED), (200, &first), (200, &last)]);
        assert_eq!(
            captured.text(),
            "deploy  failed 3 times\n  resend it\nep_2  wants other event types\n"
        );
        assert_eq!(seen[2].line, "GET /api/v1/app/a/msg/msg_1/explain?limit=250&iterator=i");
    }
}
