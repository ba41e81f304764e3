use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn json_of(text: &str) -> Json {
    compose(text).unwrap().unwrap().to_json()
}

fn member<'a>(node: &'a Node, name: &str) -> &'a Entry {
    node.entries().unwrap().iter().find(|entry| entry.key == name).unwrap()
}

fn wrong(text: &str) -> (usize, usize, String) {
    match compose(text) {
        Ok(_) => panic!("composed: {text}"),
        Err(broken) => (broken.at.line, broken.at.column, broken.what),
    }
}

#[test]
fn values_are_those_of_json_and_texts_stay_texts() {
    let text = "a: {b: [1, -2.5, true, ~], c: no}\nd: \"1\"\ne: !!str 2\nf: |\n  two\n  lines\ng: >-\n  one\n  line\n";
    let expected = json!({
        "a": {"b": [1, -2.5, true, null], "c": "no"}, "d": "1", "e": "2", "f": "two\nlines\n", "g": "one line"
    });
    assert_eq!(json_of(text), expected);
    assert!(compose("").unwrap().is_none());
    assert!(compose("# only a remark\n").unwrap().is_none());
}

#[test]
fn values_and_keys_know_where_they_stand() {
    let root = compose("hooks:\n  ä: {when: x, do:\n    [y]}\n").unwrap().unwrap();
    let hook = member(&member(&root, "hooks").value, "ä");
    assert_eq!(hook.at, Mark { line: 2, column: 3 });
    let when = member(&hook.value, "when");
    assert_eq!(
        (when.at, when.value.at),
        (Mark { line: 2, column: 7 }, Mark { line: 2, column: 13 })
    );
    assert_eq!(member(&hook.value, "do").value.at, Mark { line: 3, column: 5 });
}

#[test]
fn anchors_and_merge_keys_are_filled_in_and_what_is_written_out_wins() {
    let text =
        "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\na: {<<: *b, x: 3}\nb: {<<: [*m, *b]}\nc: *b\nd: {\"<<\": 1}\n";
    let all = json_of(text);
    assert_eq!(all["a"], json!({"x": 3, "y": 1}));
    assert_eq!(all["b"], json!({"y": 2, "z": 2, "x": 1}));
    assert_eq!(all["c"], json!({"x": 1, "y": 1}));
    assert_eq!(all["d"], json!({"<<": 1}));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, line, column, says) in [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "`a` is there twice, first on line 1"),
        ("a: 1\n---\nb: 2\n", 3, 1, "second document"),
        ("a: !env X\n", 1, 4, "tags mean nothing"),
        ("? [a]\n: b\n", 1, 3, "a key must be a text"),
        ("a: 99999999999999999999\n", 1, 4, "too large to be kept exactly"),
        ("a: &x {b: *x}\n", 1, 11, "inside what it names"),
        ("a: {<<: 1}\n", 1, 5, "`<<` takes a map"),
        ("a: *nobody\n", 1, 4, "this is no YAML"),
        ("a: [1, 2\n", 2, 1, "this is no YAML"),
        ("a: \"x\" in y\n", 1, 8, "this is no YAML"),
        ("a:\n\tb: 1\n", 2, 2, "this is no YAML"),
    ] {
        let found = wrong(text);
        assert!(found.2.contains(says), "{text:?}: {found:?}");
        assert_eq!((found.0, found.1), (line, column), "{text:?}: {found:?}");
    }
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        let line = [before.as_str(); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{line}]\n"));
    }
    assert!(wrong(&bomb).2.contains("too much once its aliases"));
    let long = format!(
        "a: &a \"{}\"\nb: [{}]\n",
        "x".repeat(100_000),
        vec!["*a"; 200].join(", ")
    );
    assert!(wrong(&long).2.contains("too much once its aliases"));
    assert!(wrong(&"[".repeat(60)).2.contains("deep"));
    assert!(wrong(&"x".repeat(BYTES_MAX + 1)).2.contains("at most"));
}

/// Names that are looked for one after the other keep a check of this file busy for minutes.
#[test]
fn as_many_keys_as_fit_in_one_map_are_composed_and_merged() {
    let many: String = (0..45_000).map(|n| format!("  k{n}: 1\n")).collect();
    let root = compose(&format!("a: &a\n{many}b:\n  <<: *a\n  k7: 2\n"))
        .unwrap()
        .unwrap();
    let merged = member(&root, "b").value.entries().unwrap();
    assert_eq!(
        (merged.len(), merged[0].key.as_str(), merged[1].key.as_str()),
        (45_000, "k7", "k0")
    );
}

#[test]
fn advice_about_tabs_is_given_about_tabs_alone() {
    for (text, is_about_tabs) in [("a:\n\tb: 1\n", true), ("a: 1\n\0", false)] {
        let advice = compose(text).err().unwrap().advice;
        assert_eq!(advice == "indent with spaces", is_about_tabs, "{text:?}: {advice}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = compose(&text);
    }

    #[test]
    fn no_yaml_makes_it_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let _ = compose(&pieces.concat());
    }

    #[test]
    fn json_is_yaml(names in prop::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 0..8)) {
        let text = serde_json::to_string(&names).unwrap();
        prop_assert_eq!(json_of(&text), json!(names));
    }
}

const PIECES: &[&str] = &[
    "a", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", "\"", "'", "&a ", "*a", "<<", "|", ">", "#", "!", "? ",
    "---", "%", "\t", "é", "\u{feff}", "...", "0x1", "~", "@", "`", "\\", "!!str ", "|2\n", "\r\n",
];
