//! `bellwire tail`: messages and attempts as they happen, one line each.
//!
//! It reads the server's event stream and connects again when the stream breaks. The server keeps nothing for a watcher: what
//! happened meanwhile, or came faster than it could be sent, is not shown; the latter is counted. What was missed is in
//! `bellwire message list`. Ctrl-C ends it.

use std::{
    io::{BufRead as _, BufReader, Read},
    thread,
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json, value::RawValue};

use super::sse::{Event, Reader};
use super::{
    Session,
    attempt::{self, Standing},
    client::{Query, path},
    exit::Failure,
    out::{Out, cell},
    pretty, when,
};

/// Waits before connecting again; the last one repeats.
const RECONNECT: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// An event of the stream is never larger; a line that is, is not one.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// `tail`.
#[derive(Args, Default)]
pub struct TailArgs {
    /// Only this application
    #[arg(long, env = "BELLWIRE_APP")]
    app: Option<String>,
    /// Only what this source brings in; wins over the application, which may come from the environment
    #[arg(long)]
    source: Option<String>,
    /// Only this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// Only attempts that failed
    #[arg(long)]
    failed: bool,
}

impl TailArgs {
    /// Shows what happens until it is interrupted.
    ///
    /// # Errors
    /// When the first connection fails, or a later one is refused by the server.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        self.run_with(session, &mut |pause| {
            thread::sleep(pause);
            true
        })
    }

    /// `pause` waits before a reconnect; false ends the command.
    fn run_with(self, session: &mut Session, pause: &mut dyn FnMut(Duration) -> bool) -> Result<(), Failure> {
        let of_source = self.source.as_ref().map(|source| format!("source:{source}"));
        let of = of_source.as_ref().or(self.app.as_ref());
        let query = Query::default()
            .maybe("app", of)
            .maybe("endpoint", self.endpoint.as_deref())
            .maybe("failed", self.failed.then_some(true));
        let mut reader = Reader::default();
        let mut connected = false;
        let mut broken = 0;
        loop {
            match session.client.stream(&path(&["tail"]), &query) {
                Ok(stream) => {
                    if !connected || broken > 0 {
                        let of = of.map(|app| format!(", application {app}")).unwrap_or_default();
                        let text = format!("watching {}{of}", session.client.base());
                        session.out.aside(&text);
                    }
                    (connected, broken) = (true, 0);
                    self.read(stream, &mut reader, &mut session.out)?;
                    session
                        .out
                        .aside("the stream ended; connecting again, and what happens meanwhile is not shown");
                }
                // Only a server that was there once is waited for.
                Err(Failure::Unreachable { .. }) if connected => {}
                Err(Failure::Api(error)) if connected && error.status >= 500 => {}
                Err(failure) => return Err(failure),
            }
            reader.broken();
            let wait = RECONNECT.get(broken).or(RECONNECT.last()).copied().unwrap_or_default();
            broken += 1;
            if !pause(wait) {
                return Ok(());
            }
        }
    }

    /// Shows events until the stream ends or breaks.
    fn read(&self, stream: impl Read, reader: &mut Reader, out: &mut Out) -> Result<(), Failure> {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(read) if read > 0 && line.ends_with(b"\n") => {}
                _ => return Ok(()),
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(event) = reader.line(text.trim_end_matches('\n')) {
                self.show(&event, out)?;
            }
        }
    }

    fn show(&self, event: &Event, out: &mut Out) -> Result<(), Failure> {
        let Ok(raw) = serde_json::from_str::<&RawValue>(&event.data) else {
            return Ok(());
        };
        let item: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        if event.kind == "missed" && !out.is_json() {
            out.aside(&format!(
                "{} events came too fast and are not shown",
                cell(&item, "count")
            ));
            return Ok(());
        }
        let is_missed = event.kind == "missed";
        if self.failed && !is_missed && (event.kind != "attempt" || Standing::of(&item) != Standing::Failed) {
            return Ok(());
        }
        if out.is_json() {
            let data = raw.get().replace(['\n', '\r'], " ");
            return out.line(&format!("{{\"event\":{},\"data\":{data}}}", json!(event.kind)));
        }
        let text = line(&event.kind, &item);
        let text = if event.kind == "attempt" {
            out.tint(Standing::of(&item).tone(), &text)
        } else {
            text
        };
        out.line(&text)
    }
}

/// An event for people: time, kind, message, event type, and what came of it.
fn line(kind: &str, item: &Value) -> String {
    let time = item
        .get("timestamp")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .map(when::clock);
    let mut parts = vec![
        time.unwrap_or_else(|| " ".repeat(12)),
        format!("{:<8}", pretty::line(kind, 20)),
    ];
    let mut push = |text: String| parts.extend(Some(text).filter(|text| !text.is_empty()));
    if kind == "attempt" {
        push(cell(item, "msgId"));
        push(cell(item, "eventType"));
        push(cell(item, "endpointId"));
        let number = cell(item, "attemptNumber");
        push(if number.is_empty() {
            number
        } else {
            format!("try {number}")
        });
        push(attempt::outcome(item));
        let next = cell(item, "nextAttempt");
        push(if next.is_empty() {
            next
        } else {
            format!("next attempt {next}")
        });
    } else {
        push(cell(item, "id"));
        push(cell(item, "eventType"));
        let app = [cell(item, "appUid"), cell(item, "appId")]
            .into_iter()
            .find(|app| !app.is_empty());
        push(app.map(|app| format!("app {app}")).unwrap_or_default());
        push(cell(item, "eventId"));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Captured, Scripted, session};

    const MESSAGE: &str = "id: 1\nevent: message\ndata: {\"id\":\"msg_1\",\"eventType\":\"a.b\",\"appId\":\"app_1\",\
                           \"timestamp\":\"2026-01-01T00:00:00.25Z\"}\n\n";
    const FAILED: &str = "id: 2\nevent: attempt\ndata: {\"id\":\"atmpt_1\",\"msgId\":\"msg_1\",\"endpointId\":\"ep_1\",\
                          \"status\":2,\"responseStatusCode\":500,\"responseDurationMs\":3,\"response\":\"no\",\
                          \"timestamp\":\"2026-01-01T00:00:00.5Z\"}\n\n";

    fn stream(events: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hi\n\n{events}")
    }

    #[test]
    fn events_are_one_line_each_and_a_broken_stream_is_connected_again() {
        let server = Scripted::speaking(vec![stream(MESSAGE), stream(FAILED)]);
        let captured = Captured::default();
        let mut pauses = 0;
        let args = TailArgs {
            app: Some("acme".into()),
            ..TailArgs::default()
        };
        let mut pause = |_| {
            pauses += 1;
            pauses < 2
        };
        args.run_with(&mut server.session(&captured, false), &mut pause)
            .unwrap();
        let expected = "00:00:00.250  message   msg_1  a.b  app app_1\n\
                        00:00:00.500  attempt   msg_1  ep_1  failed: 500 in 3 ms: no\n";
        assert_eq!(captured.text(), expected);
        let seen = server.seen();
        assert_eq!(seen[0].line, "GET /api/v1/tail?app=acme");
        assert_eq!(seen[1].line, seen[0].line);
        for note in [", application acme\n", "what happens meanwhile is not shown"] {
            assert!(captured.notes().contains(note), "{}", captured.notes());
        }
    }

    #[test]
    fn the_application_may_come_from_the_environment_as_everywhere() {
        let tail = crate::cli::place::command();
        let tail = tail.find_subcommand("tail").unwrap();
        let app = tail.get_arguments().find(|arg| arg.get_id() == "app").unwrap();
        assert_eq!(app.get_env(), Some("BELLWIRE_APP".as_ref()));
    }

    #[test]
    fn how_many_events_were_missed_is_told_also_when_only_failures_are_watched() {
        let missed = "event: missed\ndata: {\"count\":12}\n\n";
        for (json, text, note) in [
            (true, "{\"event\":\"missed\",\"data\":{\"count\":12}}\n", ""),
            (false, "", "12 events"),
        ] {
            let server = Scripted::speaking(vec![stream(missed)]);
            let captured = Captured::default();
            let args = TailArgs {
                failed: true,
                ..TailArgs::default()
            };
            args.run_with(&mut server.session(&captured, json), &mut |_| false)
                .unwrap();
            assert_eq!(captured.text(), text);
            assert!(captured.notes().contains(note), "{}", captured.notes());
        }
    }

    #[test]
    fn failed_shows_failed_attempts_only_and_json_keeps_the_data() {
        let server = Scripted::speaking(vec![stream(&format!("{MESSAGE}{FAILED}"))]);
        let captured = Captured::default();
        let args = TailArgs {
            failed: true,
            ..TailArgs::default()
        };
        args.run_with(&mut server.session(&captured, true), &mut |_| false)
            .unwrap();
        let text = captured.text();
        assert_eq!(text.lines().count(), 1);
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&shown["event"], &shown["data"]["id"]),
            (&json!("attempt"), &json!("atmpt_1"))
        );
    }

    #[test]
    fn a_server_that_never_was_there_is_not_waited_for() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut session = session(&format!("http://127.0.0.1:{port}"), &Captured::default(), false);
        let failure = TailArgs::default()
            .run_with(&mut session, &mut |_| unreachable!())
            .unwrap_err();
        assert_eq!(failure.exit_code(), 3);
    }
}
