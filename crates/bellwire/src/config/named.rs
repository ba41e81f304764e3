//! What refusals tell people to set exists: the texts of the rooms that judge addresses and open connections, compared with
//! the table of settings. Those rooms do not know the table.

use std::{collections::BTreeSet, fs, path::Path};

use super::settings::SETTINGS;

/// Where the texts are.
const FOLDERS: [&str; 2] = ["../core/src/address", "../deliver/src/guard"];

/// The texts of errors, and of advice that is put into them, in a source file.
fn texts(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["#[error(", "advice: "] {
        for (at, _) in source.match_indices(start) {
            let rest = source[at + start.len()..].trim_start();
            // Without a quote it is `#[error(transparent)]`, or a field that is declared.
            let Some(text) = rest.strip_prefix('"') else { continue };
            found.push(text.split('"').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The settings that a text names: what only a setting's name looks like (`allow_private`), `dns in the configuration`, and
/// what stands last in `allow it in …`.
fn named(text: &str) -> Vec<String> {
    // What is filled in is not the text's own.
    let pieces = text.split('{').enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece.split_once('}').map_or("", |(_, rest)| rest),
    });
    let text = pieces.collect::<String>();
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))
        .map(|word| word.trim_matches(['.', '-']))
        .collect();
    let followed = |at: usize, by: &[&str]| words[at + 1..].starts_with(by);
    let is_named = |at: usize| {
        words[at].contains('_')
            || followed(at, &["in", "the", "configuration"])
            || at + 1 == words.len() && at > 0 && words[at - 1] == "in"
    };
    (0..words.len())
        .filter(|at| is_named(*at))
        .map(|at| words[at].to_owned())
        .collect()
}

#[test]
fn names_of_settings_are_recognised_in_a_text() {
    assert_eq!(named("endpoint {host_name}: allow it in ports"), ["ports"]);
    assert_eq!(named("check dns in the configuration"), ["dns"]);
    assert_eq!(named("entry {index} of ca_file ({why}); correct it"), ["ca_file"]);
    assert!(named("write it in full, like https://example.com/hook").is_empty());
}

#[test]
fn every_setting_that_a_refusal_names_exists() {
    let mut all = BTreeSet::new();
    for folder in FOLDERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|end| end == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                all.extend(texts(&source).iter().flat_map(|text| named(text)));
            }
        }
    }
    let exists = |name: &String| SETTINGS.iter().any(|setting| setting.key == *name);
    let unknown: Vec<_> = all.iter().filter(|name| !exists(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no settings");
    for expected in [
        "allow_ports",
        "allow_private",
        "ca_file",
        "dns",
        "extra_denied",
        "no_proxy",
        "proxy",
    ] {
        assert!(
            all.contains(expected),
            "{expected} is named nowhere: are the texts still where they were?"
        );
    }
}
