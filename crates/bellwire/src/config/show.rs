//! `bellwire config`: what is in force and where each setting comes from, without secrets.

use bellwire_dashboard::InForce;
use serde_json::{Map, Value, json};

use super::{
    load::Loaded,
    settings::{SETTINGS, Setting},
};

/// What stands where a secret would.
const REDACTED: &str = "(set, not shown)";

/// The settings in force: for people in the form of a configuration file with the origins as comments, or as JSON.
pub fn show(loaded: &Loaded, json: bool) -> String {
    if json { as_json(loaded) } else { as_file(loaded) }
}

/// The settings in force as the dashboard shows them.
pub(super) fn in_force(loaded: &Loaded) -> Vec<InForce> {
    let settings = SETTINGS.iter().zip(&loaded.origins);
    let rows = settings.map(|(setting, origin)| InForce {
        name: setting.key.to_owned(),
        value: shown(setting, loaded).join(", "),
        origin: origin.to_string(),
    });
    rows.collect()
}

fn shown(setting: &Setting, loaded: &Loaded) -> Vec<String> {
    let values = (setting.get)(&loaded.config);
    if setting.secret() {
        values.iter().map(|_| REDACTED.to_owned()).collect()
    } else {
        values
    }
}

/// A value as a literal: numbers and truths are what they look like, everything else is text.
fn literal(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

fn as_json(loaded: &Loaded) -> String {
    let settings = SETTINGS.iter().zip(&loaded.origins).map(|(setting, origin)| {
        let values = shown(setting, loaded);
        let value = match (setting.list, values.first()) {
            (true, _) => values.iter().map(|value| literal(value)).collect(),
            (false, first) => first.map_or(Value::Null, |value| literal(value)),
        };
        let entry = json!({ "value": value, "from": origin.to_string(), "variable": setting.variable() });
        (setting.key.to_owned(), entry)
    });
    format!("{:#}", Value::Object(settings.collect::<Map<_, _>>()))
}

fn as_file(loaded: &Loaded) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (setting, origin) in SETTINGS.iter().zip(&loaded.origins) {
        let quoted: Vec<_> = shown(setting, loaded)
            .iter()
            .map(|value| literal(value).to_string())
            .collect();
        let line = match (setting.list, quoted.first()) {
            (true, _) => format!("{} = [{}]", setting.key, quoted.join(", ")),
            (false, Some(value)) => format!("{} = {value}", setting.key),
            (false, None) => format!("# {} is not set", setting.key),
        };
        lines.push((line, origin.to_string()));
    }
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|width| *width <= 60)
        .max()
        .unwrap_or(0);
    lines
        .iter()
        .map(|(line, origin)| format!("{line:<width$}  # {origin}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::{CANARY, loaded};
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_back_and_says_where_it_comes_from() {
        let first = loaded("disable_after = 'never'", &[("BELLWIRE_IN_FLIGHT", "9")], &["--dev"]).unwrap();
        let file = show(&first, false);
        assert!(file.contains("disable_after = \"never\""), "{file}");
        let again = loaded(&file, &[], &[]).unwrap();
        let both = SETTINGS
            .iter()
            .map(|setting| ((setting.get)(&first.config), (setting.get)(&again.config)));
        assert!(both.into_iter().all(|(one, other)| one == other));
        let json: Value = serde_json::from_str(&show(&first, true)).unwrap();
        assert_eq!(
            json["in_flight"],
            json!({ "value": 9, "from": "BELLWIRE_IN_FLIGHT", "variable": "BELLWIRE_IN_FLIGHT" })
        );
        assert_eq!(json["allow_private"]["from"], "--dev");
        assert_eq!(json["public_url"]["value"], Value::Null);
    }

    #[test]
    fn no_secret_is_shown_in_any_form() {
        let file = format!(
            "admin_token = '{CANARY}'\nmain_secret = '{CANARY}'\nprevious_main_secrets = ['{CANARY}']\n\
             proxy = 'http://me:{CANARY}@proxy:3128'\nstore = 'postgres://me:{CANARY}@db/x'\n"
        );
        let loaded = loaded(&file, &[], &[]).unwrap();
        for shown in [
            show(&loaded, false),
            show(&loaded, true),
            format!("{loaded:?}"),
            format!("{loaded:#?}"),
        ] {
            assert!(!shown.contains("canary"), "{shown}");
        }
        assert!(show(&loaded, false).contains("admin_token = \"(set, not shown)\""));
    }
}
