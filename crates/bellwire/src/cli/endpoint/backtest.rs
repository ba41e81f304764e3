//! `bellwire endpoint backtest`: what a change would have done to past messages, before it is made.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{EndpointArg, Fields};
use crate::cli::{
    Session,
    exit::Failure,
    out::{Column, Out, Tone, cell},
    pretty,
    when::{self, When},
};

/// `endpoint backtest`.
#[derive(Args)]
pub struct BacktestArgs {
    #[command(flatten)]
    endpoint: EndpointArg,
    /// On so many of the application's newest messages
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    last: Option<u16>,
    /// Only on messages from then on: a span back from now (2h, 7d) or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// How many of the bodies that differ are shown
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=20))]
    bodies: Option<u16>,
    #[command(flatten)]
    fields: Box<Fields>,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "MESSAGE",
        show: |row| cell(row, "msgId"),
    },
    Column {
        title: "TYPE",
        show: |row| cell(row, "eventType"),
    },
    Column {
        title: "TIME",
        show: |row| cell(row, "timestamp"),
    },
    Column {
        title: "BEFORE",
        show: |row| wanted(&row["before"]),
    },
    Column {
        title: "AFTER",
        show: |row| wanted(&row["after"]),
    },
    Column {
        title: "BECAUSE",
        show: |row| pretty::line(row["because"].as_str().unwrap_or_default(), 300),
    },
];

fn wanted(value: &Value) -> String {
    match value.as_bool() {
        Some(true) => "sent".to_owned(),
        _ => "not sent".to_owned(),
    }
}

impl BacktestArgs {
    /// Asks and shows.
    ///
    /// # Errors
    /// Those of the request, and a usage failure when nothing would change.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let change = self.fields.body(None)?;
        if change.is_empty() {
            return Err(Failure::usage(
                "nothing would change; name at least one option, such as --filter",
            ));
        }
        let mut body = json!({ "change": change });
        if let Some(last) = self.last {
            body["last"] = json!(last);
        }
        if let Some(since) = self.since {
            body["since"] = json!(since.at(when::now()).to_string());
        }
        if let Some(bodies) = self.bodies {
            body["bodies"] = json!(bodies);
        }
        let answer = client.write(Method::POST, &self.endpoint.path(&["backtest"]), &body)?;
        if out.is_json() {
            return out.raw(&answer.text);
        }
        show(out, &answer.json()?)
    }
}

fn show(out: &mut Out, found: &Value) -> Result<(), Failure> {
    let number = |name: &str| found[name].as_u64().unwrap_or(0);
    let rows = found["rows"].as_array().cloned().unwrap_or_default();
    if !rows.is_empty() {
        out.table(COLUMNS, &rows)?;
    }
    for row in &rows {
        let Some(difference) = row.pointer("/body/difference").and_then(Value::as_str) else {
            continue;
        };
        out.line(&format!("\n{}", cell(row, "msgId")))?;
        for line in difference.lines() {
            let tone = match line.chars().next() {
                Some('-') => Tone::Bad,
                Some('+') => Tone::Good,
                _ => Tone::Dim,
            };
            let line = out.tint(tone, &pretty::line(line, 400));
            out.line(&line)?;
        }
    }
    out.line(&format!(
        "of {} messages {} match now and {} would: {} more, {} fewer; {} would be sent differently, {} would fail, {} cannot be judged",
        number("seen"),
        number("matchedBefore"),
        number("matchedAfter"),
        number("gained"),
        number("lost"),
        number("bodiesChanged"),
        number("failed"),
        number("unknown"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;

    #[test]
    fn a_change_is_tried_and_what_differs_is_shown() {
        let answer = r#"{"seen":3,"matchedBefore":3,"matchedAfter":2,"gained":0,"lost":1,"bodiesChanged":1,"failed":0,"unknown":0,
            "rows":[{"msgId":"msg_1","eventType":"a","timestamp":"2026-01-01T00:00:00Z","before":true,"after":false,
                     "because":"the filter does not hold"},
                    {"msgId":"msg_2","eventType":"a","timestamp":"2026-01-01T00:00:00Z","before":true,"after":true,"because":"",
                     "body":{"before":"1","after":"2","difference":"- 1\n+ 2\n"}}]}"#;
        let line = ["backtest", "ep_1", "--app", "a", "--filter", "n > 1", "--last", "3"];
        let (captured, seen) = run(&line, vec![(200, answer)]);
        assert_eq!(seen[0].line, "POST /api/v1/app/a/endpoint/ep_1/backtest");
        assert_eq!(seen[0].body, r#"{"change":{"filter":"n > 1"},"last":3}"#);
        let text = captured.text();
        assert!(text.contains("not sent") && text.contains("- 1\n+ 2\n"), "{text}");
        assert!(text.contains("3 match now and 2 would: 0 more, 1 fewer"), "{text}");
    }
}
