//! `bellwire endpoint status`: what an endpoint's lane is doing, in a few lines that a person reads at three in the morning.

use std::time::Duration;

use serde_json::Value;

use crate::cli::{
    Session,
    client::Query,
    exit::Failure,
    out::{Tone, cell, count},
    pretty, when,
};

/// Asks and shows.
///
/// # Errors
/// Those of the request.
pub fn show(session: &mut Session, path: &str) -> Result<(), Failure> {
    let Session { client, out } = session;
    let answer = client.get(path, &Query::default())?;
    if out.is_json() {
        return out.raw(&answer.text);
    }
    let status: Value = answer.json()?;
    let tone = match cell(&status, "state").as_str() {
        "running" | "idle" => Tone::Good,
        "parked" | "disabled" => Tone::Bad,
        _ => Tone::Warn,
    };
    for (name, text) in words(&status) {
        let text = if name == "state" { out.tint(tone, &text) } else { text };
        let name = out.tint(Tone::Dim, &format!("{name:<9}"));
        out.line(&format!("{name}  {text}"))?;
    }
    Ok(())
}

fn number(status: &Value, pointer: &str) -> u64 {
    status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn decimal(status: &Value, pointer: &str) -> Option<String> {
    let number = status.pointer(pointer).and_then(Value::as_f64)?;
    let text = format!("{number:.1}");
    Some(text.strip_suffix(".0").map(str::to_owned).unwrap_or(text))
}

fn time(status: &Value, pointer: &str) -> Option<String> {
    status.pointer(pointer).and_then(Value::as_str).map(when::short)
}

/// The lines: a name and what is to be said.
fn words(status: &Value) -> Vec<(&'static str, String)> {
    let waits_for = status.get("waitsFor").and_then(Value::as_str).unwrap_or_default();
    let state = format!("{}: waits for {}", cell(status, "state"), pretty::line(waits_for, 400));
    let mut lines = vec![("state", state), ("waiting", waiting(status))];
    let limit = status.get("limit").filter(|limit| !limit.is_null()).map(|_| {
        let of = |name| number(status, &format!("/limit/{name}"));
        format!(
            " of at most {} now (adapts from {} to {})",
            of("now"),
            of("min"),
            of("max")
        )
    });
    lines.push((
        "in flight",
        format!("{}{}", number(status, "/inFlight"), limit.unwrap_or_default()),
    ));
    lines.push(("breaker", breaker(status)));
    lines.push(("rate", rate(status)));
    let (good, bad) = (
        number(status, "/attempts/succeeded"),
        number(status, "/attempts/failed"),
    );
    lines.push((
        "attempts",
        format!("{good} succeeded and {bad} failed in the last 5 minutes"),
    ));
    if let Some(latency) = decimal(status, "/latencyMs") {
        lines.push(("latency", format!("{latency} ms for a successful answer")));
    }
    lines
}

fn waiting(status: &Value) -> String {
    let (stored, memory) = (number(status, "/backlog/waiting"), number(status, "/inMemory"));
    let mut text = format!("{} in the store, {memory} in memory", count_deliveries(stored));
    if let Some(due) = time(status, "/backlog/oldestDue") {
        let age = Duration::from_secs(number(status, "/backlog/oldestAgeSeconds"));
        text += &match age.is_zero() {
            true => format!("; the next is due {due}"),
            false => format!("; the oldest has been due for {} ({due})", when::human(age)),
        };
    }
    match number(status, "/backlog/blockedLines") {
        0 => text,
        1 => text + "; 1 line is blocked: see `bellwire endpoint lines --blocked`",
        lines => text + &format!("; {lines} lines are blocked: see `bellwire endpoint lines --blocked`"),
    }
}

fn count_deliveries(number: u64) -> String {
    match number {
        1 => "1 delivery".to_owned(),
        number => format!("{number} deliveries"),
    }
}

fn breaker(status: &Value) -> String {
    let state = status
        .pointer("/breaker/state")
        .and_then(Value::as_str)
        .unwrap_or("closed");
    let failures = number(status, "/breaker/failuresInARow");
    let mut text = state.to_owned();
    if failures > 0 {
        text += &format!(", {} in a row", count(failures, "failure"));
    }
    if let Some(probe) = time(status, "/breaker/nextProbe") {
        text += &format!(", next probe {probe}");
    }
    text
}

fn rate(status: &Value) -> String {
    let mut text = format!(
        "{} a second",
        decimal(status, "/rate/now").unwrap_or_else(|| "0".to_owned())
    );
    if let Some(learned) = decimal(status, "/rate/learned") {
        text += &format!(", {learned} while all was well");
    }
    if let Some(limit) = decimal(status, "/rate/limit") {
        text += &format!(", at most {limit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;

    const PARKED: &str = r#"{"state":"parked","waitsFor":"its next probe at 2026-01-31T09:30:00.000000Z","inFlight":0,
        "inMemory":20,"backlog":{"waiting":1204,"oldestDue":"2026-01-31T09:00:00.000000Z","oldestAgeSeconds":1790,"blockedLines":2},
        "limit":{"now":1,"min":1,"max":32},"breaker":{"state":"open","failuresInARow":120,"nextProbe":"2026-01-31T09:30:00.000000Z"},
        "rate":{"now":0.0,"learned":12.5,"limit":null},"attempts":{"succeeded":0,"failed":120},"latencyMs":2.5}"#;
    const IDLE: &str = r#"{"state":"idle","waitsFor":"messages","inFlight":0,"inMemory":0,
        "backlog":{"waiting":0,"oldestDue":null,"oldestAgeSeconds":0,"blockedLines":0},"limit":null,
        "breaker":{"state":"closed","failuresInARow":0,"nextProbe":null},"rate":{"now":0.0,"learned":null,"limit":10.0},
        "attempts":{"succeeded":0,"failed":0},"latencyMs":null}"#;

    #[test]
    fn a_parked_endpoint_is_shown_in_words() {
        let (captured, seen) = run(&["status", "ep_1", "--app", "a"], vec![(200, PARKED)]);
        assert_eq!(seen[0].line, "GET /api/v1/app/a/endpoint/ep_1/status");
        let expected = "state      parked: waits for its next probe at 2026-01-31T09:30:00.000000Z\n\
            waiting    1204 deliveries in the store, 20 in memory; the oldest has been due for 30 min (2026-01-31T09:00:00Z); \
            2 lines are blocked: see `bellwire endpoint lines --blocked`\n\
            in flight  0 of at most 1 now (adapts from 1 to 32)\n\
            breaker    open, 120 failures in a row, next probe 2026-01-31T09:30:00Z\n\
            rate       0 a second, 12.5 while all was well\n\
            attempts   0 succeeded and 120 failed in the last 5 minutes\n\
            latency    2.5 ms for a successful answer\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn an_idle_endpoint_has_little_to_say() {
        let (captured, _) = run(&["status", "ep_1", "--app", "a"], vec![(200, IDLE)]);
        let expected = "state      idle: waits for messages\n\
            waiting    0 deliveries in the store, 0 in memory\n\
            in flight  0\n\
            breaker    closed\n\
            rate       0 a second, at most 10\n\
            attempts   0 succeeded and 0 failed in the last 5 minutes\n";
        assert_eq!(captured.text(), expected);
    }
}
