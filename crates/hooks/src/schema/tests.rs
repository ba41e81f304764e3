use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

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
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());
    let validator = &*VALIDATOR;
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

/// Whether the reader takes a file; its variables hold what spellings need.
fn is_read(yaml: &str) -> Result<(), String> {
    let variable = |name: &str| {
        let held = match name {
            "SPAN" => "5m",
            "NUMBER" => "3",
            "TRUE" => "true",
            "FORMAT" => "xml",
            "NONE" => "none",
            _ => return None,
        };
        Some(held.to_owned())
    };
    let around = crate::Surroundings {
        variable: &variable,
        file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        folder: Path::new("/etc/bellwire"),
        source: &|_, _| Ok(()),
    };
    let said = |findings: Vec<crate::Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    crate::File::read(yaml, &around).map(drop).map_err(said)
}

/// Each place, and what may stand there and what may not.
const SPELLINGS: &[(&str, &[&str], &[&str])] = &[
    (
        "version: {}\nhooks: {}",
        &["1", "\"1\"", "1.0"],
        &["2", "one", "\"1.0\""],
    ),
    (
        "hooks: {a: {verify: none, throttle: {}, do: []}}",
        &[
            "5m",
            "500ms",
            "1.5h",
            "5",
            "0.5",
            "\"5\"",
            "1 d",
            ".5s",
            "\"${SPAN}\"",
            "{every: 2s}",
            "1e1",
            "0x10",
        ],
        &[
            "soon",
            "5 minutes",
            "-5",
            "5w",
            "true",
            "[5m]",
            "m",
            "\"-1s\"",
            "1.2.3s",
            "{every: soon}",
            "{key: a}",
            "5M",
        ],
    ),
    (
        "hooks: {a: {verify: none, order: {by: body.a, sequence: body.n, wait: {}}, do: []}}",
        &["5s", "1h", "\"${SPAN}\"", "0"],
        &["later", "5x", "[]"],
    ),
    (
        "hooks: {a: {verify: none, order: {by: body.a, sequence: body.n, start: {}}, do: []}}",
        &["0", "1", "\"7\"", "1e3", "\"${NUMBER}\""],
        &["-1", "1.5", "first", "\"1.0\"", "\"+1\"", "true", "\"\""],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, max_in_flight: {}}]}}",
        &["1", "\"2\"", "10000", "\"${NUMBER}\""],
        &["0", "10001", "many", "1.5", "[1]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, paused: {}}]}}",
        &["true", "false", "True", "\"true\"", "\"${TRUE}\""],
        &["yes", "no", "1", "\"True\"", "[]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, format: {}}]}}",
        &["json", "xml", "cloudevents-binary", "\"${FORMAT}\""],
        &["JSON", "yaml", "cloudevents_binary", "1"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, retry: {}}]}}",
        &["none", "[]", "[10s, 60, \"1m\"]", "\"${NONE}\"", "[\"${SPAN}\"]"],
        &["never", "10s", "[often]", "[none]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{run: {argv: [a], timeout: {}}}]}}",
        &["30s", "30", "\"1m\"", "\"${SPAN}\""],
        &["soon", "-1", "true", "[30s]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{run: {argv: {}}}]}}",
        &["[a]", "[a, \"b c\"]"],
        &["a b", "a", "{a: b}", "[1]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{run: {argv: [a], ok: {}}}]}}",
        &["[0, 2]"],
        &["[abc]", "0", "[1.5]"],
    ),
    (
        "hooks: {a: {verify: none, do: [{{}: {path: a}}]}}",
        &["file"],
        &["File", "fax"],
    ),
    (
        "hooks: {a: {verify: {}, do: []}}",
        &[
            "none",
            "aws-sns",
            "aws_sns",
            "{basic: {user: a, pass: b}}",
            "{aws_sns: ~}",
            "{provider: github, secret: s}",
        ],
        &[
            "nobody",
            "None",
            "github",
            "{provider: GitHub, secret: s}",
            "{Basic: {user: a, pass: b}}",
            "[none]",
        ],
    ),
    (
        "monitors: {m: {http: \"https://a\", {}}}\nhooks: {a: {monitors: [m], do: []}}",
        &[
            "every: 30s",
            "fails: 3",
            "fails: \"3\"",
            "days: 1",
            "status: 404",
            "status: [200, 404]",
            "contains: 5",
        ],
        &[
            "every: often",
            "fails: 0",
            "days: 1.5",
            "status: []",
            "status: 99",
            "tcp: \"h:1\"",
            "status: ok",
        ],
    ),
    (
        "hooks: {a: {verify: none, {}: body.b, do: []}}",
        &["for_each", "forEach", "event_type", "eventType"],
        &["foreach", "For_each", "eventtype"],
    ),
    (
        "hooks: {a: {verify: none, do: [{run: {argv: [a], {}: [1]}}]}}",
        &["give_up_on", "giveUpOn"],
        &["giveupon", "give-up-on"],
    ),
];

#[test]
fn the_schema_and_the_reader_take_and_refuse_the_same_spellings() {
    let mut wrong = Vec::new();
    for (file, good, bad) in SPELLINGS {
        for (written, is_good) in good
            .iter()
            .map(|good| (good, true))
            .chain(bad.iter().map(|bad| (bad, false)))
        {
            let text = file.replacen("{}", written, 1);
            let (read, against) = (is_read(&text), errors(&text));
            if read.is_ok() != is_good {
                wrong.push(format!("the reader: {text}: {read:?}"));
            }
            if against.is_empty() != is_good {
                wrong.push(format!("the schema: {text}: {against:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schema_takes_every_file_of_the_examples_and_of_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("examples")).unwrap() {
        let file = entry.unwrap().path().join("hooks.yaml");
        if let Ok(text) = fs::read_to_string(&file) {
            files.push((file.display().to_string(), text));
        }
    }
    assert!(files.len() >= 6, "{files:?}");
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let page = entry.unwrap().path();
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        for (at, block) in text.split("```yaml\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap_or_default();
            if block.lines().any(|line| line.starts_with("hooks:")) {
                files.push((format!("{}, block {}", page.display(), at + 1), block.to_owned()));
            }
        }
    }
    assert!(files.len() >= 8, "the guide has files, too: {}", files.len());
    for (name, text) in files {
        assert_eq!(errors(&text), [""; 0], "{name}");
    }
}
