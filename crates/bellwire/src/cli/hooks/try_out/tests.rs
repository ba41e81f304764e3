use serde_json::{Value, json};

use super::*;
use crate::cli::testing::Captured;

const FILE: &str = "monitors: {api: {tcp: \"h.example:1\"}}
hooks:
  push:
    verify: {github: canary-secret}
    when: type == \"push\"
    do:
      - {file: {path: all.jsonl, line: \"{{ ref }}\"}, name: keep}
      - {file: {path: main.jsonl, line: \"{{ ref }}\"}, name: main, when: ref == \"refs/heads/main\", throttle: {key: \"{{ ref }}\", every: 1m}}
      - {file: {path: off.jsonl}, disabled: true, name: off}
  alerts:
    verify: none
    for_each: body.alerts
    order: {by: item.id, sequence: item.n}
    do: [{file: {path: a.jsonl, line: \"{{ item.text }}\"}}]
  secret:
    verify: none
    do:
      - {http: {url: \"https://example.com/${file:path}\", query: {q: \"a ${file:key}\"}, json: {token: \"${file:key}\"}}}
      - {http: {url: \"https://example.com/\", form: {a: \"${file:key}\"}}}
      - {http: {url: \"https://example.com/\", body: \"b ${file:key}\"}}
      - {run: {argv: [x, \"${file:key}\"], env: {DSN: \"${file:key}\"}, stdin: \"${file:key}\"}}
      - {chat: {slack: \"https://hooks.example.com/x\", text: \"${file:key}\"}}
  daily:
    cron: \"@daily\"
    do: [{forward: {url: \"https://example.com/\"}, transformation: {day: \"{{ day }}\"}}]
  typed: {cron: \"@daily\", event_type: '\"day.\" ~ body.day', do: []}
  down: {monitors: all, do: []}
";

struct Run {
    done: Result<(), Failure>,
    text: String,
}

fn run(hook: &str, body: &str, options: &[&str], is_json: bool) -> Run {
    use clap::Parser as _;
    let folder = tempfile::tempdir().unwrap();
    let (file, fixture) = (folder.path().join("hooks.yaml"), folder.path().join("fixture.json"));
    std::fs::write(&file, FILE).unwrap();
    std::fs::write(&fixture, body).unwrap();
    std::fs::write(folder.path().join("key"), "canary \"0123\"").unwrap();
    std::fs::write(folder.path().join("path"), "canary/0123?k=0123").unwrap();
    let mut line = vec![
        "bellwire",
        "hooks",
        "test",
        file.to_str().unwrap(),
        hook,
        fixture.to_str().unwrap(),
    ];
    line.extend(options);
    let crate::cli::Command::Hooks(super::super::HooksCommand::Test(args)) =
        crate::cli::Cli::try_parse_from(line).unwrap().command
    else {
        unreachable!()
    };
    let captured = Captured::default();
    let done = args.run(&mut captured.out(is_json));
    Run {
        done,
        text: captured.text(),
    }
}

#[test]
fn what_a_reference_was_replaced_by_is_not_shown() {
    for is_json in [false, true] {
        let Run { done, text } = run("secret", "{}", &[], is_json);
        done.unwrap();
        assert!(!text.contains("canary") && !text.contains("0123"), "{text}");
        assert!(text.matches("${file:key}").count() >= 7, "{text}");
        assert!(text.contains("(https://example.com/${file:path})") || is_json, "{text}");
    }
}

#[test]
fn a_fixture_is_signed_judged_and_each_action_says_whether_and_what() {
    let Run { done, text } = run(
        "push",
        r#"{"ref": "refs/heads/dev"}"#,
        &["--type", "push", "--id", "one"],
        false,
    );
    done.unwrap();
    for line in [
        "sent as GitHub would: ",
        "verified: GitHub",
        "message 1 of 1: type push, id one",
        "  keep (file:all.jsonl): matches: type == \"push\"; type is \"push\"",
        "\"line\": \"refs/heads/dev\\n\"",
        "  main (file:main.jsonl): does not match: (type == \"push\") and (ref == \"refs/heads/main\"); type is \"push\", ref is \"refs/heads/dev\"",
        "  off (file:off.jsonl): disabled",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn programs_get_the_same() {
    let Run { done, text } = run("push", r#"{"ref": "refs/heads/main"}"#, &["--type", "push"], true);
    done.unwrap();
    let shown: Value = serde_json::from_str(&text).unwrap();
    let actions = &shown["messages"][0]["actions"];
    assert_eq!(
        (&shown["accepted"], &actions[1]["matches"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(actions[1]["remarks"][0], "at most one of `refs/heads/main` in 1m");
    assert_eq!(
        actions[1]["read"][1],
        json!({"path": "ref", "value": "\"refs/heads/main\""})
    );
    assert_eq!(
        (&actions[2]["matches"], &actions[2]["disabled"]),
        (&json!(false), &json!(true))
    );
}

#[test]
fn a_request_that_is_refused_says_why_and_ends_with_one() {
    let Run { done, text } = run(
        "push",
        "{}",
        &["--unsigned", "--header", "x-hub-signature-256=sha256=00"],
        false,
    );
    let failure = done.unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(failure.to_string().starts_with("refused with 401"), "{failure}");
    assert!(text.starts_with("sent as it is, unsigned\n"), "{text}");
}

#[test]
fn items_are_messages_of_their_own_in_their_order() {
    let body = r#"{"alerts": [{"id": "a", "n": 1, "text": "one"}, {"id": "b", "n": 7, "text": "two"}]}"#;
    let Run { done, text } = run("alerts", body, &[], false);
    done.unwrap();
    assert!(
        text.contains("message 2 of 2: type webhook, no id, about b, number 7"),
        "{text}"
    );
    assert!(text.contains("\"line\": \"two\\n\""), "{text}");
}

#[test]
fn an_action_that_could_not_act_is_a_failure() {
    let body = r#"{"alerts": [{"id": "a", "n": 1}]}"#;
    let failure = run("alerts", body, &[], false).done.unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(
        failure.to_string().contains("file-1 could not act: `line`"),
        "{failure}"
    );
}

#[test]
fn what_a_schedule_would_make_is_the_fixture() {
    let Run { done, text } = run("daily", r#"{"day": 3}"#, &[], true);
    done.unwrap();
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert!(
        shown["messages"][0]["actions"][0]["preview"]
            .to_string()
            .contains("{\\\"day\\\":3}")
            || shown["messages"][0]["actions"][0]["preview"]
                .to_string()
                .contains("\"day\":3"),
        "{shown}"
    );
}

#[test]
fn the_type_of_a_schedule_or_monitor_is_its_own_and_a_stand_in_is_said() {
    for (hook, body, says) in [
        ("daily", r#"{"day": 3}"#, "type cron,"),
        ("typed", r#"{"day": 3}"#, "type day.3,"),
        ("down", "{}", "type monitor.down,"),
        ("push", "{}", "the type is `test`; `--type` says another\n"),
    ] {
        let text = run(hook, body, &[], false).text;
        assert!(text.contains(says), "{hook}: {text}");
    }
    let text = run("push", "{}", &["--type", "test"], false).text;
    assert!(!text.contains("says another"), "{text}");
}

#[test]
fn a_hook_that_is_not_there_is_a_usage_failure_that_names_those_that_are() {
    let failure = run("nobody", "{}", &[], false).done.unwrap_err();
    assert_eq!(failure.exit_code(), 2);
    assert!(
        failure
            .to_string()
            .ends_with("has no hook `nobody`; it has push, alerts, secret, daily, typed, down"),
        "{failure}"
    );
}
