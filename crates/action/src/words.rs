//! What is wrong with settings, in the house's words: serde's are those of Rust's types.

use std::borrow::Cow;

/// What serde says about a value, said for the person who wrote the settings.
pub(crate) fn of(said: &str) -> Cow<'_, str> {
    wrong_type(said)
        .or_else(|| out_of_range(said))
        .or_else(|| unknown(said))
        .or_else(|| no_form(said))
        .map_or(Cow::Borrowed(said), Cow::Owned)
}

/// `invalid type: string "a b", expected a sequence`
fn wrong_type(said: &str) -> Option<String> {
    let (found, wanted) = said.strip_prefix("invalid type: ")?.rsplit_once(", expected ")?;
    Some(format!("this is {}; {}", kind(found), needed(wanted)?))
}

/// `invalid value: integer `256`, expected u8`
fn out_of_range(said: &str) -> Option<String> {
    let (found, wanted) = said.strip_prefix("invalid value: ")?.rsplit_once(", expected ")?;
    let number = found.split('`').nth(1)?;
    let range = match wanted {
        "u8" => "from 0 to 255",
        "u16" => "from 0 to 65535",
        "u32" | "u64" | "usize" => "from 0",
        "i32" => "from -2147483648 to 2147483647",
        _ => return None,
    };
    Some(format!("{number} is not possible here; write a whole number {range}"))
}

/// `data did not match any variant of untagged enum User`
fn no_form(said: &str) -> Option<String> {
    let is_so = said.starts_with("data did not match any variant");
    is_so.then(|| "this has another form than is needed; docs/actions.md says which".to_owned())
}

/// Names: of members, and of variants.
fn unknown(said: &str) -> Option<String> {
    if let Some(rest) = said.strip_prefix("missing field ") {
        return Some(format!("{rest} is missing; add it"));
    }
    let (what, rest) = match said.strip_prefix("unknown field ") {
        Some(rest) => ("there is no ", rest),
        None => ("it cannot be ", said.strip_prefix("unknown variant ")?),
    };
    let (name, known) = rest.split_once(", ")?;
    let known = known.strip_prefix("expected ").unwrap_or(known);
    let known = known.strip_prefix("one of ").unwrap_or(known);
    Some(format!("{what}{name}; write {}", listed(known)))
}

/// `a`, `b`, `c` as a choice.
fn listed(known: &str) -> String {
    match known.rsplit_once(", ") {
        Some((first, last)) => format!("{first} or {last}"),
        None => known.to_owned(),
    }
}

/// What stands there. Its value is not repeated: it may be long, or secret.
fn kind(found: &str) -> &'static str {
    let word = found.split([' ', '`']).next().unwrap_or_default();
    match word {
        "string" => "a text",
        "integer" => "a number",
        "floating" => "a number with a point",
        "boolean" => "true or false",
        "null" | "unit" | "Option" => "nothing",
        "sequence" => "a list",
        "map" => "a map",
        _ => "something else",
    }
}

fn is_whole(wanted: &str) -> bool {
    let bits = wanted.strip_prefix(['i', 'u']).unwrap_or_default();
    ["8", "16", "32", "64", "size"].contains(&bits)
}

/// What has to stand there, and how it is written.
fn needed(wanted: &str) -> Option<String> {
    let written = match wanted {
        "a sequence" => "a list is needed, such as `[a, b]`",
        "a string" | "a borrowed string" | "string" => "a text is needed; put it in quotes",
        "a boolean" => "write true or false",
        "a map" => "a map is needed, such as `{name: value}`",
        "f64" | "f32" => "a number is needed",
        wanted if is_whole(wanted) => "a whole number is needed",
        wanted if wanted.starts_with("struct ") => "a map is needed, such as `{name: value}`",
        wanted if wanted.starts_with("a ") || wanted.starts_with("an ") => return Some(format!("{wanted} is needed")),
        _ => return None,
    };
    Some(written.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use crate::settings::read;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        #[serde(default)]
        list: Vec<u8>,
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        truth: bool,
        #[serde(default)]
        map: BTreeMap<String, String>,
        #[serde(default)]
        ratio: f64,
        #[serde(default)]
        choice: Choice,
        needed: (),
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        #[default]
        One,
        Two,
    }

    #[test]
    fn no_word_of_rusts_types_reaches_whoever_wrote_the_settings() {
        for (settings, path, says) in [
            (
                json!({"list": "a b"}),
                "list",
                "this is a text; a list is needed, such as `[a, b]`",
            ),
            (
                json!({"list": ["a"]}),
                "list.0",
                "this is a text; a whole number is needed",
            ),
            (
                json!({"list": [1.5]}),
                "list.0",
                "this is a number with a point; a whole number is needed",
            ),
            (
                json!({"list": [256]}),
                "list.0",
                "256 is not possible here; write a whole number from 0 to 255",
            ),
            (
                json!({"text": 5}),
                "text",
                "this is a number; a text is needed; put it in quotes",
            ),
            (json!({"truth": "yes"}), "truth", "this is a text; write true or false"),
            (json!({"truth": null}), "truth", "this is nothing; write true or false"),
            (
                json!({"map": []}),
                "map",
                "this is a list; a map is needed, such as `{name: value}`",
            ),
            (
                json!({"map": {"a": {}}}),
                "map.a",
                "this is a map; a text is needed; put it in quotes",
            ),
            (
                json!({"ratio": true}),
                "ratio",
                "this is true or false; a number is needed",
            ),
            (
                json!({"choice": "three"}),
                "choice",
                "it cannot be `three`; write `one` or `two`",
            ),
            (json!({"rest": 1}), "rest", "there is no `rest`; write `list`, `text`,"),
            (json!({}), "", "`needed` is missing; add it"),
            (json!("a"), "", "this is a text; a map is needed"),
        ] {
            let problem = read::<Sample>(&settings).unwrap_err();
            assert_eq!(problem.path.join("."), path, "{settings}: {problem}");
            assert!(problem.message.starts_with(says), "{settings}: {problem}");
        }
    }
}
