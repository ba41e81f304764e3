//! Making and changing a source. What is wrong is the API's to say; what was written stays, but for secrets, which no page repeats.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    form::Form,
    frame::{Frame, Section},
    link::segment,
    read::source::Source,
    visit::{Posted, Visit},
    wrong::Wrongs,
};

/// The form's fields, as the API calls their members.
const FIELDS: &[&str] = &["name", "type", "uid", "config", "secrets", "rules"];

/// Values by name; several of one name are all live.
type Named = BTreeMap<String, Vec<String>>;

/// The form's fields, as text.
#[derive(Debug, Clone, Default)]
struct Filled {
    name: String,
    provider: String,
    uid: String,
    config: String,
    /// Settings that are secret: sent once, never shown again.
    secrets: String,
    rules: String,
}

impl Filled {
    /// What is in force.
    fn of(source: &Source) -> Self {
        let mut config = String::new();
        for (name, value) in &source.config {
            let values = match value {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            for value in values {
                config += &format!("{name}: {}\n", written(value));
            }
        }
        Self {
            name: source.name.clone(),
            provider: source.provider.clone(),
            uid: source.uid.clone().unwrap_or_default(),
            config,
            secrets: String::new(),
            rules: source.shown_rules().unwrap_or_default(),
        }
    }

    /// What somebody wrote.
    fn sent(form: &Form) -> Self {
        let text = |name: &str| form.raw(name).replace("\r\n", "\n");
        Self {
            name: text("name"),
            provider: text("type"),
            uid: text("uid"),
            config: text("config"),
            secrets: text("secrets"),
            rules: text("rules"),
        }
    }

    /// What has to be sent to make of `was` what was written: only members that differ.
    ///
    /// # Errors
    /// When a setting has no name, or the rules are no JSON.
    fn change(&self, was: &Self) -> Result<Map<String, Value>, Wrongs> {
        let mut change = Map::new();
        if self.name.trim() != was.name {
            change.insert("name".to_owned(), self.name.trim().into());
        }
        if self.uid.trim() != was.uid {
            let uid = self.uid.trim();
            change.insert("uid".to_owned(), (!uid.is_empty()).then_some(uid).into());
        }
        let config = self.config(was)?;
        if !config.is_empty() {
            change.insert("config".to_owned(), Value::Object(config));
        }
        if self.rules.trim() != was.rules.trim() {
            let rules = match self.rules.trim() {
                "" => Value::Null,
                text => serde_json::from_str(text)
                    .map_err(|error| Wrongs::one("rules", format!("no JSON: {error}; write {{\"dedupe\": \"…\"}}")))?,
            };
            change.insert("rules".to_owned(), rules);
        }
        Ok(change)
    }

    /// The settings that differ; null for those that are gone.
    fn config(&self, was: &Self) -> Result<Map<String, Value>, Wrongs> {
        let (before, mut after) = (named("config", &was.config)?, named("config", &self.config)?);
        let mut config = Map::new();
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            config.insert(name.clone(), Value::Null);
        }
        after.retain(|name, values| before.get(name) != Some(&*values));
        after.extend(named("secrets", &self.secrets)?);
        for (name, mut values) in after {
            values.retain(|value| !value.is_empty());
            let value = match values.as_slice() {
                [] => Value::Null,
                [one] => one.as_str().into(),
                _ => json!(values),
            };
            config.insert(name, value);
        }
        Ok(config)
    }
}

/// A value as a line has it: as it is, or as a JSON text where a line could not hold it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains(['\n', '\r']) && !text.starts_with('"') && text.trim() == text => {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// Reads `name: value`, one a line, of the field `place`.
fn named(place: &str, text: &str) -> Result<Named, Wrongs> {
    let mut named = Named::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            // Never repeats the line: it may be a secret.
            let words = format!("line {} has no `:`; write `name: value`, one a line", at + 1);
            return Err(Wrongs::one(place, words));
        };
        let value = value.trim();
        let value = match value.starts_with('"') {
            true => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
            false => value.to_owned(),
        };
        named.entry(name.trim().to_owned()).or_default().push(value);
    }
    Ok(named)
}

#[derive(Template)]
#[template(path = "source_form.html")]
struct SourceForm {
    frame: Frame,
    /// The source that is changed; none when one is made.
    changed: Option<Source>,
    filled: Filled,
    wrong: Wrongs,
    /// Whether secrets were written that have to be written again.
    again: bool,
}

fn form(visit: &Visit, changed: Option<Source>, filled: Filled, wrong: Option<Wrongs>) -> Response {
    let status = Wrongs::status(wrong.as_ref());
    let title = match &changed {
        Some(source) => format!("Settings of {}", source.name),
        None => "New source".to_owned(),
    };
    let page = SourceForm {
        frame: visit.frame(Section::Sources, title),
        changed,
        again: wrong.is_some() && !filled.secrets.trim().is_empty(),
        filled,
        wrong: wrong.unwrap_or_default(),
    };
    visit.guest.page(status, &page)
}

pub(crate) async fn new(visit: Visit) -> Answer {
    Ok(form(&visit, None, Filled::default(), None))
}

pub(crate) async fn make(Posted { visit, form: sent }: Posted) -> Answer {
    let filled = Filled::sent(&sent);
    let mut body = match filled.change(&Filled::default()) {
        Ok(body) => body,
        Err(wrong) => return Ok(form(&visit, None, filled, Some(wrong))),
    };
    body.insert("name".to_owned(), filled.name.trim().into());
    body.insert("type".to_owned(), filled.provider.trim().into());
    let made = visit
        .send::<Source>(Method::POST, "/ingest/api/v1/source", Some(&Value::Object(body)))
        .await;
    match made {
        Ok(source) => visit.see(&format!("/source/{}?said=made", segment(&source.id))),
        Err(failure) => {
            let wrong = Wrongs::said(&visit, &failure)?;
            Ok(form(&visit, None, filled, Some(wrong)))
        }
    }
}

pub(crate) async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let source: Source = visit.get(&format!("/ingest/api/v1/source/{}", segment(&name))).await?;
    let filled = Filled::of(&source);
    Ok(form(&visit, Some(source), filled, None))
}

pub(crate) async fn save(Path(name): Path<String>, Posted { visit, form: sent }: Posted) -> Answer {
    let path = format!("/ingest/api/v1/source/{}", segment(&name));
    let source: Source = visit.get(&path).await?;
    let filled = Filled::sent(&sent);
    let saved = format!("/source/{}?said=saved", segment(&source.id));
    let change = match filled.change(&Filled::of(&source)) {
        Ok(change) if change.is_empty() => return visit.see(&saved),
        Ok(change) => Value::Object(change),
        Err(wrong) => return Ok(form(&visit, Some(source), filled, Some(wrong))),
    };
    match visit.send::<Value>(Method::PATCH, &path, Some(&change)).await {
        Ok(_) => visit.see(&saved),
        Err(failure) => {
            let wrong = Wrongs::said(&visit, &failure)?;
            Ok(form(&visit, Some(source), filled, Some(wrong)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force() -> Filled {
        Filled {
            name: "S".to_owned(),
            config: "schedule: * * * * *\nkey: a\nkey: b\n".to_owned(),
            ..Filled::default()
        }
    }

    fn changed(config: &str, secrets: &str) -> Result<Value, Wrongs> {
        let is = Filled {
            config: config.to_owned(),
            secrets: secrets.to_owned(),
            ..in_force()
        };
        is.change(&in_force()).map(Value::Object)
    }

    #[test]
    fn only_settings_that_differ_are_changed_and_secrets_kept_unless_written() {
        assert_eq!(changed("key: a\nkey: b\nschedule: * * * * *", ""), Ok(json!({})));
        let expected = json!({ "config": { "schedule": null, "key": "b", "secret": ["x:y", "z"] } });
        assert_eq!(changed("key: b", "secret: x:y\nsecret: z"), Ok(expected));
        assert_eq!(
            changed(&in_force().config, "secret:"),
            Ok(json!({ "config": { "secret": null } }))
        );
    }

    #[test]
    fn a_value_that_no_line_holds_is_written_as_json_and_read_again() {
        let line = format!("payload: {}", written(&json!("a\nb")));
        assert_eq!(named("config", &line).unwrap()["payload"], ["a\nb"]);
    }

    #[test]
    fn a_line_without_a_name_is_refused_and_not_repeated() {
        let wrong = changed(&in_force().config, "whsec_abc").unwrap_err();
        let words = wrong.at("secrets").unwrap();
        assert!(words.starts_with("line 1") && !words.contains("whsec"), "{words}");
    }
}
