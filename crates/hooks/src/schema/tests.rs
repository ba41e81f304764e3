use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::read::{self, action, connection, hook, monitor, order, origin};

const BEGIN: &str = "<!-- made from the code by a test; BELLWIRE_UPDATE=1 cargo test -p bellwire-hooks schema -->\n";

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting")]
fn updates() -> bool {
    std::env::var_os("BELLWIRE_UPDATE").is_some()
}

fn docs(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// What the schema says against a file.
fn errors(yaml: &str) -> Vec<String> {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let value = crate::yaml::compose(yaml).unwrap().unwrap().to_json();
    let errors = validator.iter_errors(&value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_published_schema_is_the_one_in_the_code() {
    let file = docs("hooks.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if updates() {
        fs::write(&file, &text).unwrap();
    }
    let published = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        published == text,
        "docs/hooks.schema.json is not current; run this test with BELLWIRE_UPDATE=1"
    );
}

#[test]
fn the_tables_of_the_guide_are_those_in_the_code() {
    let file = docs("hooks.md");
    let mut text = fs::read_to_string(&file).unwrap();
    for table in TABLES {
        let begin = format!("<!-- table {} -->\n{BEGIN}", table.name);
        let end = format!("<!-- end of {} -->\n", table.name);
        let (before, rest) = text
            .split_once(&begin)
            .unwrap_or_else(|| panic!("docs/hooks.md has no place for {}", table.name));
        let (documented, after) = rest.split_once(&end).unwrap();
        let rows = table
            .members
            .iter()
            .map(|member| format!("| `{}` | {} | {} |\n", member.name, member.value, member.about));
        let current = format!(
            "| name | value | what it decides |\n|---|---|---|\n{}",
            rows.collect::<String>()
        );
        if updates() {
            text = format!("{before}{begin}{current}{end}{after}");
            continue;
        }
        assert_eq!(
            documented, current,
            "docs/hooks.md is not current; run this test with BELLWIRE_UPDATE=1"
        );
    }
    if updates() {
        fs::write(&file, text).unwrap();
    }
}

#[test]
fn the_schema_knows_the_names_that_the_reader_knows() {
    let names = |members: &[Member]| members.iter().map(|member| member.name).collect::<BTreeSet<_>>();
    let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(names(members::TOP), set(read::TOP));
    assert_eq!(names(members::CONNECTION), set(connection::LEADS));
    assert_eq!(names(members::HOOK), set(&[hook::ORIGINS, hook::MEMBERS].concat()));
    assert_eq!(names(members::CRON), set(origin::CRON));
    assert_eq!(names(members::ORDER), set(order::ORDER));
    assert_eq!(
        names(members::MONITOR),
        set(&[monitor::WATCHES, monitor::MEMBERS].concat())
    );
    assert_eq!(names(members::ACTION), set(action::COMMON));
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    assert_eq!(errors(include_str!("../../fixtures/design.yaml")), [""; 0]);
    for text in [
        "version: 1\nhooks: {}",
        "hooks: {a: {verify: none, do: [{file: {path: a, retry: [1s, 5]}, when: true, disabled: \"${X}\"}]}}",
        "hooks: {a: {verify: {bearer: \"${X}\"}, throttle: 1m, do: []}}",
        "hooks: {a: {cron: \"@daily\", do: []}}",
        "monitors: {m: {http: \"https://a\", every: 30s, fails: 3}}\nhooks: {a: {monitors: [m], do: []}}",
        "x-base: &b {retry: none}\nhooks: {a: {verify: none, do: [{<<: *b, file: {path: a}}]}}",
        "connections: {o: {telegram: {token: \"1:a\", chat: \"@ops\"}}}\nhooks: {a: {verify: none, do: [{chat: {via: o, text: x}}]}}",
    ] {
        assert_eq!(errors(text), [""; 0], "{text}");
    }
    for text in [
        "{}",
        "hooks: {a: {do: []}}",
        "hooks: {a: {verify: none, cron: x, do: []}}",
        "hooks: {a: {verify: nobody, do: []}}",
        "hooks: {a: {verify: {provider: nobody}, do: []}}",
        "hooks: {a: {verify: none, do: [{}]}}",
        "hooks: {a: {verify: none, do: [{file: {path: a}, run: {argv: [x]}}]}}",
        "hooks: {a: {verify: none, do: [{file: {paht: a}}]}}",
        "hooks: {a: {verify: none, unknown: 1, do: []}}",
        "hooks: {a b: {verify: none, do: []}}",
    ] {
        assert!(!errors(text).is_empty(), "{text}");
    }
}
