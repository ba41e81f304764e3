//! Whole files: what they ask for, and that nothing secret is said about them.

mod bad;

use std::{io, path::Path as FilePath};

use serde_json::Value as Json;

use super::*;
use crate::{File, Hook, HookAction};

const DESIGN: &str = include_str!("../../fixtures/design.yaml");
const CANARY: &str = "canary-0123456789";

/// Every variable is set, and holds what nobody may see.
fn variable(name: &str) -> Option<String> {
    match name {
        "DATABASE_URL" => Some(format!("postgres://app:{CANARY}@db.example.com/crm")),
        "SLACK_URL" => Some(format!("https://hooks.slack.com/services/{CANARY}")),
        "CLERK_SECRET" => Some("whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5".to_owned()),
        "SHOP_URL" | "CRM_URL" => Some("https://example.com/".to_owned()),
        "SMTP_URL" => Some(format!("smtps://hello%40example.com:{CANARY}@smtp.example.com")),
        "SMTP_USER" => Some("hello@example.com".to_owned()),
        "UNSET" => None,
        _ => Some(CANARY.to_owned()),
    }
}

fn file(path: &FilePath) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/etc/bellwire/welcome.html") => Ok(b"<p>Hello {{ data.first_name }}</p>".to_vec()),
        Some("/etc/bellwire/broken.html") => Ok(b"<p>\n{{ data.first_name|shout }}</p>".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn read_text(text: &str) -> Result<Desired, Vec<String>> {
    let around = Surroundings {
        variable: &variable,
        file: &file,
        folder: FilePath::new("/etc/bellwire"),
        source: &|kind, settings| match settings.values().flatten().any(|value| value.contains("never")) {
            true => Err((
                if kind == "cron" { "schedule" } else { "monitor api" }.to_owned(),
                "`never` is no time".to_owned(),
            )),
            false => Ok(()),
        },
    };
    let read = File::read(text, &around);
    read.map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

fn desired(text: &str) -> Desired {
    read_text(text).unwrap_or_else(|findings| panic!("{}\n{text}", findings.join("\n")))
}

/// A file with one hook of these lines.
fn one(lines: &str) -> Hook {
    let text = format!("hooks:\n  x:\n    {}\n", lines.replace('\n', "\n    "));
    desired(&text).hooks.remove(0)
}

/// A file with one hook that does this.
fn action(text: &str) -> HookAction {
    one(&format!("verify: none\ndo:\n  - {}", text.replace('\n', "\n    ")))
        .actions
        .remove(0)
}

fn settings(action: &HookAction) -> Json {
    serde_json::from_str(action.action.settings.as_deref().unwrap()).unwrap()
}

#[test]
fn of_very_many_findings_the_first_are_told() {
    let keys: String = (0..90_000).map(|n| format!("k{n}:\n")).collect();
    let findings = read_text(&format!("hooks: {{}}\n{keys}")).unwrap_err();
    assert_eq!(findings.len(), FINDINGS_MAX + 1);
    assert!(
        findings[0].starts_with("2:1: k0: the file has no `k0`"),
        "{}",
        findings[0]
    );
    assert!(
        findings[500].ends_with("there is more; mend these first"),
        "{}",
        findings[500]
    );
}

#[test]
fn the_example_of_the_design_is_what_it_says() {
    let desired = desired(DESIGN);
    let names: Vec<_> = desired
        .hooks
        .iter()
        .map(|hook| (hook.name.as_str(), hook.kind.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("signup", "clerk"),
            ("payments", "stripe"),
            ("customers", "shopify"),
            ("alerts", "basic"),
            ("anything", "hmac"),
        ]
    );
    let [signup, payments, customers, alerts, anything] = desired.hooks.as_slice() else {
        panic!()
    };

    let email = &signup.actions[0];
    assert_eq!(
        (email.uid.as_str(), &**email.kind(), email.action.trusted),
        ("email-1", "email", true)
    );
    assert_eq!(email.workflow.filter.as_deref(), Some("type == \"user.created\""));
    assert_eq!(settings(email)["html"], "<p>Hello {{ data.first_name }}</p>");
    assert_eq!(
        settings(email)["smtp"],
        format!("smtps://hello@example.com:{CANARY}@smtp.example.com")
    );
    assert!(
        email.url.contains("smtp.example.com") && !email.url.contains("canary"),
        "{}",
        email.url
    );

    assert_eq!(payments.settings["secret"].len(), 2);
    let http = settings(&payments.actions[0]);
    assert_eq!(
        (&http["url"], &http["bearer"]),
        (&"https://api.crm.example".into(), &CANARY.into())
    );
    assert_eq!(http["ok"], serde_json::json!([200, 201, 409]));

    let order = customers.rules.order.as_ref().unwrap();
    assert_eq!(
        (order.by.as_str(), order.version.as_deref()),
        ("body.id", Some("body.updated_at"))
    );
    assert_eq!(customers.actions[0].ordering, bellwire_core::order::Ordering::Key);

    assert_eq!(alerts.settings["user"], ["am"]);
    assert_eq!(alerts.rules.for_each.as_deref(), Some("body.alerts"));
    let uids: Vec<_> = alerts.actions.iter().map(|action| action.uid.as_str()).collect();
    assert_eq!(uids, ["chat-1", "run-1"]);
    for action in &alerts.actions {
        let throttle = action.workflow.throttle.as_ref().unwrap();
        assert_eq!(throttle.key.as_deref(), Some("{{ item.fingerprint }}"));
        assert_eq!(throttle.every.0.as_secs(), 900);
    }
    assert_eq!(alerts.actions[1].max_in_flight, Some(1));
    assert_eq!(settings(&alerts.actions[1])["timeout"], "30s");

    assert_eq!(anything.settings["ts"], ["header:x-ts"]);
    assert_eq!(anything.settings["tolerance"], ["300s"]);
    let kinds: Vec<_> = anything.actions.iter().map(|action| &**action.kind()).collect();
    assert_eq!(kinds, ["publish", "file"]);
}

#[test]
fn every_whole_file_of_the_guide_and_the_examples_can_be_used() {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_to_string(root.join("docs/hooks.md")).unwrap();
    let blocks = guide
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let whole: Vec<&str> = blocks.filter(|block| block.contains("hooks:\n")).collect();
    assert!(whole.len() >= 3, "{whole:?}");
    whole.into_iter().for_each(|block| drop(desired(block)));
    for folder in std::fs::read_dir(root.join("examples")).unwrap() {
        if let Ok(text) = std::fs::read_to_string(folder.unwrap().path().join("hooks.yaml")) {
            desired(&text);
        }
    }
}

#[test]
fn nobody_sees_what_references_were_replaced_by() {
    let shown = format!("{:?}", desired(DESIGN));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn requests_are_trusted_by_providers_and_forms() {
    for (verify, kind, setting, values) in [
        ("none", "none", "", &[][..]),
        ("{github: s3cret}", "github", "secret", &["s3cret"]),
        ("{provider: github, secret: [a, b]}", "github", "secret", &["a", "b"]),
        ("{bearer: 12345}", "bearer", "secret", &["12345"]),
        ("{basic: {user: u, pass: p}}", "basic", "pass", &["p"]),
        ("{token: {secret: t, header: x-t}}", "token", "header", &["x-t"]),
        (
            "{ip: [192.0.2.0/24, \"2001:db8::/32\"]}",
            "ip",
            "cidr",
            &["192.0.2.0/24", "2001:db8::/32"],
        ),
        (
            "{standard_webhooks: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}",
            "standard-webhooks",
            "secret",
            &["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        ),
        (
            "{hmac: {secret: s, header: x-s, ts: \"header:x-t\", ts_unit: ms, content: \"{ts}.{body}\"}}",
            "hmac",
            "tsUnit",
            &["ms"],
        ),
        (
            "{provider: meta, secret: s, verify_token: v}",
            "meta",
            "verifyToken",
            &["v"],
        ),
        ("{asana: {armed: true}}", "asana", "armed", &["true"]),
        (
            "{jwt: {jwk: {kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}}}",
            "jwt",
            "jwk",
            &[r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#],
        ),
    ] {
        let hook = one(&format!("verify: {verify}\ndo: []"));
        assert_eq!(hook.kind, kind, "{verify}");
        if !setting.is_empty() {
            assert_eq!(hook.settings[setting], values, "{verify}");
        }
    }
}

#[test]
fn messages_may_come_from_a_schedule_or_a_watch() {
    let hook = one("cron: \"0 6 * * 1\"\ndo: []");
    assert_eq!(
        (hook.kind.as_str(), &hook.settings["schedule"][..]),
        ("cron", &["0 6 * * 1".to_owned()][..])
    );
    let hook = one("cron: {schedule: \"@daily\", payload: {a: [1]}, content_type: application/json}\ndo: []");
    assert_eq!(hook.settings["payload"], [r#"{"a":[1]}"#]);
    let text = "monitors:\n  api: {http: \"https://a.example\", every: 30s, fails: 3}\n  db: {tcp: \"db:5432\"}\nhooks:\n  \
                down: {monitors: all, do: []}\n  api: {monitors: [api], do: []}\n";
    let desired = desired(text);
    assert_eq!(desired.hooks[0].kind, "monitor");
    assert_eq!(desired.hooks[0].settings["monitor"].len(), 2);
    assert_eq!(desired.hooks[1].settings["monitor"].len(), 1);
}

#[test]
fn what_every_action_has_stands_beside_the_kind_or_among_its_settings() {
    let beside = action(
        "file: {path: a.jsonl}\nname: keep\nwhen: x > 1\nretry: [1s, 1m]\nmax_in_flight: 2\nthrottle: 10s\ndisabled: true\ntimeout: 5",
    );
    let inside = action(
        "file: {path: a.jsonl, name: keep, when: x > 1, retry: [1s, 1m], maxInFlight: 2, throttle: {every: 10s}, disabled: true, timeout: 5s}",
    );
    assert_eq!(beside, inside);
    assert_eq!(
        (beside.uid.as_str(), beside.workflow.filter.as_deref()),
        ("keep", Some("x > 1"))
    );
    assert_eq!(beside.timeout.map(|timeout| timeout.as_secs()), Some(5));
    assert_eq!(action("file: {path: a}\nretry: none").retry_schedule, Some(vec![]));
    // The kind's own names are the kind's: `run` has a timeout, `file` a format.
    let run = action("run: {argv: [x], timeout: 10m}");
    assert_eq!((run.timeout, &settings(&run)["timeout"]), (None, &"10m".into()));
    let format = action("file: {path: a, format: jsonl}\nformat: xml");
    assert_eq!(format.workflow.format, bellwire_core::endpoint::Format::Xml);
}

#[test]
fn a_command_begins_in_the_folder_of_the_file() {
    for (written, cwd) in [
        ("", "/etc/bellwire"),
        (", cwd: site", "/etc/bellwire/site"),
        (", cwd: /srv", "/srv"),
    ] {
        let run = action(&format!("run: {{argv: [./x]{written}}}"));
        assert_eq!(settings(&run)["cwd"], cwd, "{written}");
    }
}

#[test]
fn both_conditions_must_hold_and_an_actions_throttle_wins() {
    let hook = one(
        "verify: none\nwhen: a or b\nthrottle: 1m\ndo:\n  - {file: {path: a}, when: c or d, throttle: 1s}\n  - file: {path: b}",
    );
    assert_eq!(
        hook.actions[0].workflow.filter.as_deref(),
        Some("(a or b) and (c or d)")
    );
    let every = |at: usize| hook.actions[at].workflow.throttle.as_ref().unwrap().every.0.as_secs();
    assert_eq!((every(0), every(1)), (1, 60));
    assert_eq!(hook.actions[1].uid, "file-2");
}

#[test]
fn a_transformation_is_written_as_the_value_it_makes() {
    let action = action("forward: {url: \"https://a.example/\"}\ntransformation: {id: \"{{ id }}\", ok: true}");
    assert_eq!(
        action.workflow.transformation.as_deref(),
        Some(r#"{"id":"{{ id }}","ok":true}"#)
    );
}

#[test]
fn no_finding_repeats_what_a_reference_was_replaced_by() {
    for text in [
        "hooks: {a: {verify: {clerk: \"${X}\"}, do: []}}",
        "hooks: {a: {verify: {hmac: {secret: s, header: x, alg: \"${X}\"}}, do: []}}",
        "hooks: {a: {verify: {provider: \"${X}\"}, do: []}}",
        "hooks: {a: {verify: none, when: \"x|${X}\", do: []}}",
        "hooks: {a: {verify: none, when: \"'${X}' ~ (\", do: []}}",
        "hooks: {a: {verify: none, throttle: \"${X}\", do: []}}",
        "hooks: {a: {verify: none, do: [{http: {url: \"${X}\"}}]}}",
        "hooks: {a: {verify: none, do: [{http: {url: \"https://u:${X}@h/\"}}]}}",
        "hooks: {a: {verify: none, do: [{http: {url: \"https://h/\", headers: {x-a: \"{{ ${X} \"}}}]}}",
        "hooks: {a: {verify: none, do: [{sql: {url: \"${X}\", insert: t, set: {a: 1}}}]}}",
        "hooks: {a: {verify: none, do: [{email: {smtp: \"smtps://u:${X}@h:nan\", from: a@b.c, to: a@b.c, subject: s, text: t}}]}}",
        "hooks: {a: {verify: none, do: [{chat: {slack: \"${X}\", text: \"{{ a \"}}]}}",
        "hooks: {a: {verify: none, do: [{file: {path: a}, name: \"${X} x\"}]}}",
        "hooks: {a: {verify: none, do: [{chat: {via: \"${X}\", text: x}}]}}",
        "hooks: {a: {verify: none, do: [{run: {argv: [x], stdin: \"{{ '${X}' \"}}]}}",
        "version: \"${X}\"\nhooks: {}",
    ] {
        let findings = read_text(text).expect_err(text);
        assert!(!findings.join("\n").contains("canary"), "{text}: {findings:?}");
    }
}

#[test]
fn where_references_were_replaced_is_told_with_the_settings() {
    let text = "connections: {api: {http: \"https://example.com/${KEY}\", headers: {x: \"${KEY}\"}}}\nhooks:\n  x:\n    verify: none\n    \
                do: [{http: {via: api, json: {a/b: [open, \"t ${KEY}\"]}, query: {q: open}}}]\n";
    let hook = desired(text).hooks.remove(0);
    let action = &hook.actions[0].action;
    assert_eq!(*action.hidden, ["/headers/x", "/json/a~1b/1", "/url"]);
    let mut shown = settings(&hook.actions[0]);
    bellwire_action::settings::hide_at(&mut shown, &action.hidden);
    assert!(
        !shown.to_string().contains(CANARY) && shown.to_string().contains("open"),
        "{shown}"
    );
    assert_eq!(hook.actions[0].url, "https://example.com/${KEY}");
}
