//! `bellwire search`: find messages, attempts, endpoints and more by whatever you have in your hands.

use clap::Args;
use serde_json::Value;

use super::{
    Session,
    client::{Query, path},
    exit::Failure,
    out::{Out, Tone, cell},
    pretty,
    when::{self, When},
};

/// `search`.
#[derive(Args)]
pub struct SearchArgs {
    /// An id, an event id, a URL or a part of it, a name, a status (503, 5xx, none), a time, or a text in a payload or an
    /// answer; left out: everything that fits the options
    text: Option<String>,
    /// Only in this application: its id or uid
    #[arg(long, env = "BELLWIRE_APP")]
    app: Option<String>,
    /// Only what went to this endpoint: its id, or its uid beside --app
    #[arg(long)]
    endpoint: Option<String>,
    /// Only these event types
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    event_type: Vec<String>,
    /// Only what was answered so: 503, 5xx, or none for no answer
    #[arg(long)]
    status: Option<String>,
    /// Only messages from then on: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only messages before then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// How many hits in one answer
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    limit: Option<u16>,
    /// Go on after this iterator, as the answer before printed it
    #[arg(long)]
    iterator: Option<String>,
}

impl SearchArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// Those of the request.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let now = when::now();
        let query = Query::default()
            .maybe("q", self.text.as_deref())
            .maybe("app", self.app.as_deref())
            .maybe("endpoint", self.endpoint.as_deref())
            .list("event_types", &self.event_type)
            .maybe("status", self.status.as_deref())
            .maybe("since", self.since.map(|since| since.at(now)))
            .maybe("until", self.until.map(|until| until.at(now)))
            .maybe("limit", self.limit)
            .maybe("iterator", self.iterator.as_deref());
        let answer = client.get(&path(&["search"]), &query)?;
        if out.is_json() {
            return out.raw(&answer.text);
        }
        let found: Value = answer.json()?;
        let understood: Vec<_> = list(&found, "understood").map(|one| cell(one, "words")).collect();
        out.aside(&format!("understood as {}", understood.join(", or as ")));
        let mut none = true;
        for hit in list(&found, "hits") {
            none = false;
            show(out, hit)?;
        }
        if none {
            out.note("nothing was found");
        }
        out.aside(&cell(&found["looked"], "words"));
        if let Some(iterator) = found["iterator"].as_str() {
            out.aside(&format!("more: --iterator {iterator}"));
        }
        Ok(())
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// What it is, and where it was found.
fn show(out: &mut Out, hit: &Value) -> Result<(), Failure> {
    let kind = cell(hit, "kind");
    let words = match kind.as_str() {
        "message" => {
            let message = &hit["message"];
            let (id, kind, at) = (
                cell(message, "id"),
                cell(message, "eventType"),
                cell(message, "timestamp"),
            );
            format!("{id}  {kind}  {at}  app {}", cell(hit, "appId"))
        }
        "attempt" => {
            let attempt = &hit["attempt"];
            format!(
                "{}  {} of {} at {}: {}",
                cell(attempt, "id"),
                cell(attempt, "timestamp"),
                cell(attempt, "msgId"),
                cell(attempt, "endpointId"),
                cell(attempt, "response"),
            )
        }
        "endpoint" => format!(
            "{}  {}  {}",
            cell(hit, "endpointId"),
            cell(hit, "uid"),
            cell(hit, "url")
        ),
        "application" => format!("{}  {}  {}", cell(hit, "appId"), cell(hit, "uid"), cell(hit, "name")),
        "source" => format!("{}  {}  {}", cell(hit, "sourceId"), cell(hit, "uid"), cell(hit, "name")),
        "task" => cell(hit, "taskId"),
        _ => cell(hit, "name"),
    };
    let kind = out.tint(Tone::Bold, &format!("{kind:<11}"));
    out.line(&format!("{kind}  {}", pretty::line(&words, 400)))?;
    for place in list(hit, "where") {
        let mut line = format!("in {}", cell(place, "in"));
        if let Some(endpoint) = place["endpointId"].as_str() {
            line += &format!(" of {endpoint}");
        }
        if let Some(excerpt) = place["excerpt"].as_str() {
            line += &format!(": {excerpt}");
        }
        let line = out.tint(Tone::Dim, &pretty::line(&line, 400));
        out.line(&format!("{:11}  {line}", ""))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted, Seen},
    };

    fn run(line: &[&str], answer: &str) -> (Captured, Vec<Seen>) {
        let Command::Search(args) = Cli::try_parse_from([&["bellwire", "search"], line].concat())
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        args.run(&mut server.session(&captured, false)).unwrap();
        (captured, server.seen())
    }

    #[test]
    fn hits_are_shown_with_where_they_were_found_and_how_to_go_on() {
        let answer = r#"{"understood":[{"as":"text","words":"text in payloads and answers"}],
            "hits":[{"kind":"message","appId":"app_1","message":{"id":"msg_1","eventType":"a.b","timestamp":"2026-01-01T00:00:00Z"},
                     "where":[{"in":"payload","excerpt":"{\"id\":\"A-17\"}","from":7,"to":11}]}],
            "looked":{"messages":9,"backTo":null,"complete":false,"words":"looked through 9 messages"},
            "iterator":"msg_1","done":false}"#;
        let (captured, seen) = run(&["A-17", "--app", "acme", "--status", "5xx"], answer);
        assert_eq!(seen[0].line, "GET /api/v1/search?q=A-17&app=acme&status=5xx");
        let text = captured.text();
        assert!(
            text.contains("msg_1 a.b") && text.contains("in payload: {\"id\":\"A-17\"}"),
            "{text}"
        );
        let notes = captured.notes();
        assert!(
            notes.contains("understood as text in") && notes.contains("--iterator msg_1"),
            "{notes}"
        );
    }
}
