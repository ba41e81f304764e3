//! What lines of `bellwire source` ask, and what they print.

use clap::Parser as _;

use crate::cli::{
    Cli, Command, Failure,
    testing::{Captured, Scripted, Seen},
};

/// Runs a line against a scripted server: how it ended, what was printed, and what was asked.
fn run(line: &[&str], script: Vec<(u16, &str)>) -> (Result<(), Failure>, Captured, Vec<Seen>) {
    let cli = Cli::try_parse_from([&["bellwire", "source"], line].concat()).unwrap();
    let Command::Source(command) = cli.command else {
        unreachable!()
    };
    let server = Scripted::answering(script);
    let captured = Captured::default();
    let done = command.run(&mut server.session(&captured, cli.globals.json));
    (done, captured, server.seen())
}

const MADE: &str = r#"{"id":"src_1","uid":"code","name":"Code","type":"github","config":{},"managed":false,
    "ingestUrl":"http://h:8071/in/TOKEN","rules":{"dedupe":"body.id"}}"#;

#[test]
fn creating_says_which_url_to_give_to_whom() {
    let line = [
        "create",
        "Code",
        "--provider",
        "github",
        "--secret",
        "new",
        "--secret",
        "old",
        "--uid",
        "code",
        "--order-by",
        "body.id",
        "--sequence",
        "body.n",
        "--wait",
        "2s",
    ];
    let (done, captured, seen) = run(&line, vec![(201, MADE)]);
    done.unwrap();
    assert_eq!(seen[0].line, "POST /ingest/api/v1/source");
    let expected = r#"{"config":{"secret":["new","old"]},"name":"Code","rules":{"order":{"by":"body.id","sequence":"body.n","wait":"2s"}},"type":"github","uid":"code"}"#;
    assert_eq!(seen[0].body, expected);
    assert_eq!(captured.text(), "src_1\nhttp://h:8071/in/TOKEN\n");
    let notes = captured.notes();
    for said in [
        "give this URL to GitHub",
        "http://h:8071/in/code",
        "HMAC-SHA256",
        "endpoint create URL --source code",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn a_secret_comes_from_a_file_without_its_last_line_break() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "s3cret\r\n").unwrap();
    let secret = format!("@{}", path.display());
    let line = ["create", "Code", "--provider", "github", "--secret", &secret, "--json"];
    let (done, captured, seen) = run(&line, vec![(201, MADE)]);
    done.unwrap();
    assert!(seen[0].body.contains(r#"{"secret":"s3cret"}"#), "{}", seen[0].body);
    assert!(captured.text().starts_with(r#"{"id":"src_1""#) && captured.notes().is_empty());
}

#[test]
fn the_key_of_a_provider_has_the_name_that_the_provider_gives_it() {
    let line = [
        "create",
        "T",
        "--provider",
        "telnyx",
        "--secret",
        "k",
        "--setting",
        "a=1",
        "--setting",
        "a=2",
    ];
    let (_, _, seen) = run(&line, vec![(201, MADE)]);
    assert!(
        seen[0].body.contains(r#""config":{"a":["1","2"],"publicKey":"k"}"#),
        "{}",
        seen[0].body
    );
}

#[test]
fn a_schedule_is_a_source_without_a_url() {
    let line = ["create", "Nightly", "--schedule", "0 3 * * *", "--payload", "{}"];
    let made = r#"{"id":"src_2","type":"cron"}"#;
    let (done, captured, seen) = run(&line, vec![(201, made)]);
    done.unwrap();
    let expected = r#"{"config":{"payload":"{}","schedule":"0 3 * * *"},"name":"Nightly","type":"cron"}"#;
    assert_eq!(seen[0].body, expected);
    assert!(captured.notes().contains("schedule"));
    assert!(Cli::try_parse_from(["bellwire", "source", "create", "x"]).is_err());
}

#[test]
fn updating_lays_secrets_and_rules_over_what_there_is() {
    let line = [
        "update",
        "code",
        "--secret",
        "new",
        "--secret",
        "old",
        "--for-each",
        "body.items",
    ];
    let (done, _, seen) = run(&line, vec![(200, MADE), (200, MADE)]);
    done.unwrap();
    assert_eq!(seen[1].line, "PATCH /ingest/api/v1/source/code");
    let expected = r#"{"config":{"secret":["new","old"]},"rules":{"dedupe":"body.id","forEach":"body.items"}}"#;
    assert_eq!(seen[1].body, expected);
    let (_, _, seen) = run(&["update", "code", "--setting", "allowedOrigin="], vec![(200, MADE)]);
    assert_eq!(seen[0].body, r#"{"config":{"allowedOrigin":null}}"#);
    let (done, _, _) = run(&["update", "code"], vec![]);
    assert_eq!(done.unwrap_err().exit_code(), 2);
}

#[test]
fn refused_requests_are_a_table_of_why() {
    let list = r#"{"data":[{"id":"log1","created_at":"2026-01-02T03:04:05.000000Z","status_code":401,"reason":"mismatch",
        "error_text":"the signature does not match","skipped":7,"peer":"192.0.2.1"}],"iterator":null,"done":true}"#;
    let (done, captured, seen) = run(&["refused", "code"], vec![(200, list)]);
    done.unwrap();
    assert!(
        seen[0].line.starts_with("GET /ingest/api/v1/source/code/log"),
        "{}",
        seen[0].line
    );
    let text = captured.text();
    assert!(
        text.contains("mismatch") && text.contains("+7") && text.contains("does not match"),
        "{text}"
    );
}

#[test]
fn streams_name_the_numbers_that_never_came() {
    let list = r#"{"data":[{"key":"a","last":"9","held":2,"until":"2026-01-02T03:04:05.000000Z",
        "gaps":[{"first":4,"last":4},{"first":6,"last":8}]}],"iterator":"=a","done":true}"#;
    let (done, captured, seen) = run(&["streams", "code", "--held"], vec![(200, list)]);
    done.unwrap();
    assert!(
        seen[0].line.contains("/source/code/stream?held=true"),
        "{}",
        seen[0].line
    );
    assert!(captured.text().contains("4, 6-8"), "{}", captured.text());
}

#[test]
fn a_stream_is_reset_by_its_key() {
    let (done, _, seen) = run(&["streams", "code", "--reset", "order 7"], vec![(204, "")]);
    done.unwrap();
    let line = &seen[0].line;
    assert!(
        line.starts_with("DELETE /ingest/api/v1/source/code/stream?key=order"),
        "{line}"
    );
}

#[test]
fn providers_are_listed_without_a_server() {
    let (done, captured, _) = run(&["providers"], vec![]);
    done.unwrap();
    assert!(captured.text().contains("GitHub") && captured.text().contains("stripe"));
    let (done, captured, _) = run(&["providers", "meta", "--json"], vec![]);
    done.unwrap();
    assert!(
        captured.text().contains(r#""name":"verifyToken""#),
        "{}",
        captured.text()
    );
    let (done, _, _) = run(&["providers", "nobody"], vec![]);
    assert_eq!(done.unwrap_err().exit_code(), 2);
}

#[test]
fn a_new_token_is_printed_as_the_url_it_makes() {
    let url = format!("https://hooks.example.com/in/{}", "T".repeat(43));
    let answer = format!(r#"{{"ingestUrl":"{url}"}}"#);
    let (done, captured, seen) = run(&["rotate-token", "code"], vec![(200, answer.as_str())]);
    done.unwrap();
    assert_eq!(seen[0].line, "POST /ingest/api/v1/source/code/token/rotate");
    assert_eq!(captured.text(), format!("{url}\n"));
    let (done, _, seen) = run(&["rotate-token", "code", "--grace", "2h"], vec![(200, answer.as_str())]);
    done.unwrap();
    assert_eq!(
        seen[0].line,
        "POST /ingest/api/v1/source/code/token/rotate?gracePeriodSeconds=7200"
    );
}
