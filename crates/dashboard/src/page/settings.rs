//! An endpoint's settings: what they are, changing them, and what rotating, disabling or deleting would break.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::{Map, Value, json};

use super::endpoint::Key;
use crate::{
    answer::Answer,
    form::Form,
    frame::{Frame, Section},
    read::{audit::Impact, endpoint::Endpoint},
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    pub frame: Frame,
    pub key: Key,
    pub endpoint: Endpoint,
    /// What stands in the form.
    pub filled: Filled,
    pub wrong: Option<String>,
}

/// The form's fields, as text.
pub(crate) struct Filled {
    pub url: String,
    pub description: String,
    pub event_types: String,
    pub channels: String,
    pub filter: String,
    pub transformation: String,
    pub throttle_rate: String,
    pub max_in_flight: String,
    pub timeout_ms: String,
}

impl Filled {
    /// What is in force.
    pub fn of(endpoint: &Endpoint) -> Self {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        Self {
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            event_types: Endpoint::lines(endpoint.event_types.as_ref()),
            channels: Endpoint::lines(endpoint.channels.as_ref()),
            filter: endpoint.filter.clone().unwrap_or_default(),
            transformation: endpoint.transformation.clone().unwrap_or_default(),
            throttle_rate: number(endpoint.throttle_rate),
            max_in_flight: number(endpoint.max_in_flight),
            timeout_ms: number(endpoint.timeout_ms),
        }
    }

    /// What somebody wrote.
    pub fn sent(form: &Form) -> Self {
        let text = |name: &str| form.raw(name).replace("\r\n", "\n");
        Self {
            url: text("url"),
            description: text("description"),
            event_types: text("event_types"),
            channels: text("channels"),
            filter: text("filter"),
            transformation: text("transformation"),
            throttle_rate: text("throttle_rate"),
            max_in_flight: text("max_in_flight"),
            timeout_ms: text("timeout_ms"),
        }
    }
}

/// What the form changes, as the API takes it: only members that differ from what is in force.
///
/// # Errors
/// In words, when a number is none.
pub(crate) fn change(endpoint: &Endpoint, form: &Form) -> Result<Map<String, Value>, String> {
    let (was, is) = (Filled::of(endpoint), Filled::sent(form));
    let mut change = Map::new();
    let text = |text: &str| match text.trim() {
        "" => Value::Null,
        text => text.into(),
    };
    if endpoint.is_http() && was.url != is.url.trim() {
        change.insert("url".to_owned(), is.url.trim().into());
    }
    if was.description != is.description.trim() {
        change.insert("description".to_owned(), is.description.trim().into());
    }
    for (member, field, was, is) in [
        ("eventTypes", "event_types", &was.event_types, &is.event_types),
        ("channels", "channels", &was.channels, &is.channels),
    ] {
        let names = form.list(field);
        if was != is && was.split_whitespace().ne(names.iter().map(String::as_str)) {
            let none = names.is_empty();
            change.insert(member.to_owned(), if none { Value::Null } else { json!(names) });
        }
    }
    for (member, was, is) in [
        ("filter", &was.filter, &is.filter),
        ("transformation", &was.transformation, &is.transformation),
    ] {
        if was.trim() != is.trim() {
            change.insert(member.to_owned(), text(is));
        }
    }
    for (member, was, is) in [
        ("throttleRate", &was.throttle_rate, &is.throttle_rate),
        ("maxInFlight", &was.max_in_flight, &is.max_in_flight),
        ("timeoutMs", &was.timeout_ms, &is.timeout_ms),
    ] {
        if was != is.trim() {
            let value = match is.trim() {
                "" => Value::Null,
                digits => digits
                    .parse::<u64>()
                    .map_err(|_| format!("{member}: `{digits}` is no whole number"))?
                    .into(),
            };
            change.insert(member.to_owned(), value);
        }
    }
    Ok(change)
}

pub(crate) async fn page(visit: &Visit, key: Key, endpoint: Endpoint, filled: Filled, wrong: Option<String>) -> Answer {
    let title = format!("Settings of {}", endpoint.label());
    visit.page(&SettingsPage {
        frame: visit.frame(Section::Applications, title),
        key,
        endpoint,
        filled,
        wrong,
    })
}

pub(crate) async fn show(visit: Visit, Path((app, name)): Path<(String, String)>) -> Answer {
    let key = Key::new(&app, &name);
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let filled = Filled::of(&endpoint);
    page(&visit, key, endpoint, filled, None).await
}

pub(crate) async fn save(Path((app, name)): Path<(String, String)>, Posted { visit, form }: Posted) -> Answer {
    let key = Key::new(&app, &name);
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let change = match change(&endpoint, &form) {
        Ok(change) if change.is_empty() => return visit.see(&key.page("/setting?said=saved")),
        Ok(change) => Value::Object(change),
        Err(wrong) => return page(&visit, key, endpoint, Filled::sent(&form), Some(wrong)).await,
    };
    match visit.send::<Value>(Method::PATCH, &key.api(""), Some(&change)).await {
        Ok(_) => visit.see(&key.page("/setting?said=saved")),
        Err(failure) if failure.status.as_u16() == 422 => {
            page(&visit, key, endpoint, Filled::sent(&form), Some(failure.words)).await
        }
        Err(failure) => Err(visit.refuse(&failure)),
    }
}

#[derive(Template)]
#[template(path = "impact.html")]
struct ImpactPage {
    frame: Frame,
    key: Key,
    endpoint: Endpoint,
    verb: &'static str,
    title: &'static str,
    impact: Option<Impact>,
}

/// What a change would break, before it is done.
pub(crate) async fn impact(visit: Visit, Path((app, name)): Path<(String, String)>) -> Answer {
    let key = Key::new(&app, &name);
    let (verb, title) = match visit.asks("verb") {
        "rotate" => ("rotate", "Rotate the secret"),
        "disable" => ("disable", "Disable"),
        _ => ("delete", "Delete"),
    };
    let endpoint: Endpoint = visit.get(&key.api("")).await?;
    let impact = visit.find(&key.api(&format!("/impact?verb={verb}"))).await?;
    visit.page(&ImpactPage {
        frame: visit.frame(Section::Applications, title),
        key,
        endpoint,
        verb,
        title,
        impact,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        serde_json::from_value(json!({
            "id": "ep_1", "url": "https://a/", "description": "", "kind": "http", "disabled": false, "paused": false,
            "eventTypes": ["a.b", "c.d"], "filter": "x > 1", "format": "json", "ordering": "none", "throttleRate": 5,
            "createdAt": "2026-01-31T09:30:00Z", "updatedAt": "2026-01-31T09:30:00Z",
        }))
        .unwrap()
    }

    fn changed(form: &str) -> Result<Value, String> {
        change(&endpoint(), &Form::read(form.as_bytes())).map(Value::Object)
    }

    #[test]
    fn only_what_differs_is_changed() {
        let same = "url=https://a/&event_types=a.b%0D%0Ac.d&filter=x+%3E+1&throttle_rate=5";
        assert_eq!(changed(same), Ok(json!({})));
        let other = "url=https://b/&event_types=&filter=&throttle_rate=&channels=x+y";
        let expected = json!({
            "url": "https://b/", "eventTypes": null, "filter": null, "throttleRate": null, "channels": ["x", "y"],
        });
        assert_eq!(changed(other), Ok(expected));
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        let wrong = changed("url=https://a/&event_types=a.b+c.d&filter=x+%3E+1&throttle_rate=many").unwrap_err();
        assert!(wrong.contains("throttleRate") && wrong.contains("`many`"), "{wrong}");
    }
}
