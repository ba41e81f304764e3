//! Making and changing an event type. What is wrong is the API's to say; what was written stays.

use askama::Template;
use axum::{extract::Path, response::Response};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    form::Form,
    frame::{Frame, Section},
    link::segment,
    read::name::EventType,
    visit::{Posted, Visit},
    wrong::Wrongs,
};

/// The form's fields, as the API calls their members.
const FIELDS: &[&str] = &["name", "description", "groupName", "featureFlags", "schemas"];

/// The form's fields, as text.
#[derive(Debug, Clone, Default)]
struct Filled {
    name: String,
    description: String,
    group_name: String,
    feature_flags: String,
    deprecated: bool,
    archived: bool,
    schemas: String,
}

impl Filled {
    /// What is in force.
    fn of(kind: &EventType) -> Self {
        let schemas = kind.schemas.as_ref().filter(|schemas| !schemas.is_empty());
        Self {
            name: kind.name.clone(),
            description: kind.description.clone(),
            group_name: kind.group_name.clone().unwrap_or_default(),
            feature_flags: kind.feature_flags.join("\n"),
            deprecated: kind.deprecated,
            archived: kind.archived,
            schemas: schemas
                .map(|schemas| format!("{:#}", Value::Object(schemas.clone())))
                .unwrap_or_default(),
        }
    }

    /// What somebody wrote.
    fn sent(form: &Form) -> Self {
        let text = |name: &str| form.raw(name).replace("\r\n", "\n");
        Self {
            name: text("name"),
            description: text("description"),
            group_name: text("group_name"),
            feature_flags: text("feature_flags"),
            deprecated: form.has("deprecated"),
            archived: form.has("archived"),
            schemas: text("schemas"),
        }
    }

    /// What has to be sent to make of `was` what was written: only members that differ.
    ///
    /// # Errors
    /// When the schemas are no JSON.
    fn change(&self, was: &Self) -> Result<Map<String, Value>, Wrongs> {
        let mut change = Map::new();
        if self.description.trim() != was.description.trim() {
            change.insert("description".to_owned(), self.description.trim().into());
        }
        if self.group_name.trim() != was.group_name {
            let group = self.group_name.trim();
            change.insert("groupName".to_owned(), (!group.is_empty()).then_some(group).into());
        }
        let flags: Vec<_> = self.feature_flags.split_whitespace().collect();
        if was.feature_flags.split_whitespace().ne(flags.iter().copied()) {
            let none = flags.is_empty();
            change.insert("featureFlags".to_owned(), if none { Value::Null } else { json!(flags) });
        }
        for (member, was, is) in [
            ("deprecated", was.deprecated, self.deprecated),
            ("archived", was.archived, self.archived),
        ] {
            if was != is {
                change.insert(member.to_owned(), is.into());
            }
        }
        if self.schemas.trim() != was.schemas.trim() {
            let schemas = match self.schemas.trim() {
                "" => Value::Null,
                text => serde_json::from_str(text).map_err(|error| {
                    let words = format!("no JSON: {error}; write the schemas by version: {{\"1\": {{…}}}}");
                    Wrongs::one("schemas", words)
                })?,
            };
            change.insert("schemas".to_owned(), schemas);
        }
        Ok(change)
    }
}

#[derive(Template)]
#[template(path = "event_type_form.html")]
struct EventTypeForm {
    frame: Frame,
    /// The event type that is changed; none when one is made.
    changed: Option<String>,
    filled: Filled,
    wrong: Wrongs,
}

fn form(visit: &Visit, changed: Option<&str>, filled: Filled, wrong: Option<Wrongs>) -> Response {
    let status = Wrongs::status(wrong.as_ref());
    let title = changed.map_or_else(|| "New event type".to_owned(), |name| format!("Settings of {name}"));
    let page = EventTypeForm {
        frame: visit.frame(Section::EventTypes, title),
        changed: changed.map(str::to_owned),
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
    body.insert("description".to_owned(), filled.description.trim().into());
    let made = visit
        .send::<Value>(Method::POST, "/api/v1/event-type", Some(&Value::Object(body)))
        .await;
    match made {
        Ok(_) => visit.see(&format!("/event-type/{}?said=made", segment(filled.name.trim()))),
        Err(failure) => {
            let wrong = Wrongs::said(&visit, &failure)?;
            Ok(form(&visit, None, filled, Some(wrong)))
        }
    }
}

pub(crate) async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let kind: EventType = visit.get(&format!("/api/v1/event-type/{}", segment(&name))).await?;
    Ok(form(&visit, Some(&name), Filled::of(&kind), None))
}

pub(crate) async fn save(Path(name): Path<String>, Posted { visit, form: sent }: Posted) -> Answer {
    let path = format!("/api/v1/event-type/{}", segment(&name));
    let kind: EventType = visit.get(&path).await?;
    let filled = Filled::sent(&sent);
    let saved = format!("/event-type/{}?said=saved", segment(&name));
    let change = match filled.change(&Filled::of(&kind)) {
        Ok(change) if change.is_empty() => return visit.see(&saved),
        Ok(change) => Value::Object(change),
        Err(wrong) => return Ok(form(&visit, Some(&name), filled, Some(wrong))),
    };
    match visit.send::<Value>(Method::PATCH, &path, Some(&change)).await {
        Ok(_) => visit.see(&saved),
        Err(failure) => {
            let wrong = Wrongs::said(&visit, &failure)?;
            Ok(form(&visit, Some(&name), filled, Some(wrong)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_force() -> Filled {
        Filled {
            name: "a.b".to_owned(),
            description: "A".to_owned(),
            group_name: "g".to_owned(),
            feature_flags: "x\ny".to_owned(),
            schemas: "{\n  \"1\": {}\n}".to_owned(),
            ..Filled::default()
        }
    }

    fn changed(form: &str) -> Result<Value, Wrongs> {
        Filled::sent(&Form::read(form.as_bytes()))
            .change(&in_force())
            .map(Value::Object)
    }

    #[test]
    fn only_what_differs_is_changed() {
        let same = "description=A&group_name=g&feature_flags=x+y&schemas=%7B%0D%0A++%221%22%3A+%7B%7D%0D%0A%7D";
        assert_eq!(changed(same), Ok(json!({})));
        let other = "description=B&group_name=&feature_flags=&schemas=&deprecated=true";
        let expected = json!({
            "description": "B", "groupName": null, "featureFlags": null, "deprecated": true, "schemas": null,
        });
        assert_eq!(changed(other), Ok(expected));
    }

    #[test]
    fn schemas_that_are_no_json_are_said_at_their_field() {
        let wrong = changed("description=A&group_name=g&feature_flags=x+y&schemas=%7B").unwrap_err();
        assert!(
            wrong.at("schemas").is_some_and(|words| words.starts_with("no JSON")),
            "{wrong:?}"
        );
        assert_eq!(wrong.besides(FIELDS), None);
    }
}
