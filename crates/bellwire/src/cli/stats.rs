//! `bellwire stats`: throughput, success and times, and whether it is slow because of us or of them.

use clap::Args;
use serde_json::Value;

use super::{
    Session,
    client::{Query, path},
    exit::Failure,
    out::{Column, Tone, cell},
    pretty,
    when::{self, When},
};

/// `stats`.
#[derive(Args)]
pub struct StatsArgs {
    /// Only of this application: its id or uid
    #[arg(long, env = "BELLWIRE_APP")]
    app: Option<String>,
    /// Only at this endpoint: its id, or its uid beside --app
    #[arg(long)]
    endpoint: Option<String>,
    /// From when: a span back from now (2h, 7d) or RFC 3339; a day when left out
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Into how many rows the span is divided
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200), default_value_t = 12)]
    points: u16,
}

const COLUMNS: &[Column] = &[
    Column {
        title: "FROM",
        show: |point| cell(point, "at"),
    },
    Column {
        title: "ATTEMPTS",
        show: |point| {
            let about = if point["exact"] == Value::Bool(false) { "~" } else { "" };
            format!("{about}{}", cell(point, "attempts"))
        },
    },
    Column {
        title: "FAILED",
        show: |point| cell(point, "failed"),
    },
    Column {
        title: "SUCCESS",
        show: |point| match point["successRate"].as_f64() {
            Some(rate) => format!("{:.1} %", rate * 100.0),
            None => String::new(),
        },
    },
    Column {
        title: "ANSWER P50/P95/P99",
        show: |point| percentiles(&point["answerMs"]),
    },
    Column {
        title: "LAG P50/P95/P99",
        show: |point| percentiles(&point["lagMs"]),
    },
];

fn percentiles(of: &Value) -> String {
    let at = |name: &str| of[name].as_f64().map(|millis| format!("{millis:.0}"));
    match (at("p50"), at("p95"), at("p99")) {
        (Some(half), Some(most), Some(nearly)) => format!("{half}/{most}/{nearly} ms"),
        _ => String::new(),
    }
}

impl StatsArgs {
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
            .maybe("since", self.since.map(|since| since.at(now)))
            .maybe("until", self.until.map(|until| until.at(now)))
            .with("points", self.points);
        let answer = client.get(&path(&["stats", "series"]), &query)?;
        if out.is_json() {
            return out.raw(&answer.text);
        }
        let found: Value = answer.json()?;
        let points = found["points"].as_array().cloned().unwrap_or_default();
        out.table(COLUMNS, &points)?;
        let queue = &found["queue"];
        out.line(&format!(
            "{} wait, {} are under way, the oldest has been due for {} s",
            cell(queue, "waiting"),
            cell(queue, "inFlight"),
            cell(queue, "oldestAgeSeconds"),
        ))?;
        let words = found
            .pointer("/slowness/words")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let words = out.tint(Tone::Bold, &pretty::line(words, 400));
        out.line(&words)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{
        Cli, Command,
        testing::{Captured, Scripted},
    };

    #[test]
    fn points_are_a_table_and_the_verdict_comes_last() {
        let Command::Stats(args) = Cli::try_parse_from(["bellwire", "stats", "--endpoint", "ep_1", "--points", "1"])
            .unwrap()
            .command
        else {
            unreachable!()
        };
        let answer = r#"{"points":[{"at":"2026-01-01T00:00:00Z","attempts":10,"failed":1,"successRate":0.9,"exact":false,
            "answerMs":{"p50":1.2,"p95":8.0,"p99":9.0},"lagMs":null}],
            "queue":{"waiting":3,"inFlight":1,"oldestAgeSeconds":7},"slowness":{"because":"them","words":"receivers take long"}}"#;
        let server = Scripted::answering(vec![(200, answer)]);
        let captured = Captured::default();
        args.run(&mut server.session(&captured, false)).unwrap();
        let text = captured.text();
        assert!(
            text.contains("~10") && text.contains("90.0 %") && text.contains("1/8/9 ms"),
            "{text}"
        );
        assert!(text.ends_with("due for 7 s\nreceivers take long\n"), "{text}");
        assert_eq!(server.seen()[0].line, "GET /api/v1/stats/series?endpoint=ep_1&points=1");
    }
}
