//! The kind `publish`: the message becomes a message of an application, and goes to all its endpoints that want it.

use bellwire_core::{
    name::{EVENT_TYPE_MAX, is_channel, is_name},
    order::check_key,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Compiled, Event, PlanError, Problem, settings::read, text::Text};

/// The settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// The application's uid or id.
    app: Text,
    /// The event type; that of the message when left out.
    #[serde(rename = "type")]
    event_type: Option<Text>,
    /// What the message is in order with.
    ordering_key: Option<Text>,
    /// The channels it is published on.
    #[serde(default)]
    channels: Vec<Text>,
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings(Form);

/// What is published, with the event's JSON as its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The application's uid or id.
    pub app: String,
    /// The event type.
    pub event_type: String,
    /// What it is in order with.
    pub ordering_key: Option<String>,
    /// Sorted, without duplicates.
    pub channels: Vec<String>,
}

impl Settings {
    /// What is published for a message.
    ///
    /// # Errors
    /// A template does not render, or what it renders is no name of its kind, or the payload is no JSON object.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let Self(form) = self;
        let scope = event.scope();
        let app = form.app.render("app", &scope)?.trim().to_owned();
        if app.is_empty() {
            return Err(PlanError::new("app", "no application is named for this message"));
        }
        let event_type = match &form.event_type {
            Some(text) => text.render("type", &scope)?.trim().to_owned(),
            None => event.event_type.to_owned(),
        };
        if !is_name(&event_type, EVENT_TYPE_MAX) {
            return Err(PlanError::new(
                "type",
                format!("`{event_type}` is no event type; it has letters, digits, `-`, `_` and `.`"),
            ));
        }
        let ordering_key = form.ordering_key.as_ref();
        let ordering_key = ordering_key
            .map(|text| text.render("orderingKey", &scope))
            .transpose()?;
        if let Some(key) = &ordering_key {
            check_key(key).map_err(|error| PlanError::new("orderingKey", error))?;
        }
        let mut channels = Vec::with_capacity(form.channels.len());
        for (at, text) in form.channels.iter().enumerate() {
            let setting = format!("channels.{at}");
            let channel = text.render(&setting, &scope)?.trim().to_owned();
            if !is_channel(&channel) {
                let what = format!("`{channel}` is no channel; it has letters, digits, `-`, `_`, `.`, `:` and `+`");
                return Err(PlanError::new(setting, what));
            }
            channels.push(channel);
        }
        channels.sort();
        channels.dedup();
        if !event.json.trim_ascii_start().starts_with(b"{") {
            return Err(PlanError::new(
                "app",
                "the payload is no JSON object, and applications publish nothing else; give the endpoint a `transformation`",
            ));
        }
        Ok(Plan {
            app,
            event_type,
            ordering_key: ordering_key.map(|key| key.into_owned()),
            channels,
        })
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        if form.app.source().trim().is_empty() {
            return Err(Problem::at(["app"], "name the application by its uid or id"));
        }
        Ok(Self(form))
    }

    fn hide(_shown: &mut Value) {}

    fn target(&self) -> String {
        format!("publish:{}", self.0.app.source())
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        let payload: Value = serde_json::from_slice(event.json).map_err(|error| PlanError::new("app", error))?;
        Ok(json!({
            "app": plan.app,
            "type": plan.event_type,
            "orderingKey": plan.ordering_key,
            "channels": plan.channels,
            "payload": payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    fn plan(settings: Value, json: &str) -> Result<Plan, PlanError> {
        Settings::read(&settings).unwrap().plan(&event(json))
    }

    #[test]
    fn names_are_made_from_the_message_and_are_names() {
        let settings = json!({
            "app": "{{ account }}", "type": "stripe.{{ type }}", "orderingKey": "{{ id }}", "channels": ["b", "{{ c }}", "b"],
        });
        let plan = plan(settings, r#"{"account": "acme", "id": 7, "c": "a"}"#).unwrap();
        assert_eq!(
            (plan.app.as_str(), plan.event_type.as_str()),
            ("acme", "stripe.invoice.paid")
        );
        assert_eq!(plan.ordering_key.as_deref(), Some("7"));
        assert_eq!(plan.channels, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_published_says_so() {
        for (settings, json, setting) in [
            (json!({"app": "{{ a }}"}), r#"{"a": " "}"#, "app"),
            (json!({"app": "acme", "type": "{{ a }}"}), r#"{"a": "no way"}"#, "type"),
            (
                json!({"app": "acme", "orderingKey": "{{ a }}"}),
                r#"{"a": ""}"#,
                "orderingKey",
            ),
            (
                json!({"app": "acme", "channels": ["{{ a }}"]}),
                r#"{"a": "no way"}"#,
                "channels.0",
            ),
            (json!({"app": "acme"}), "[1]", "app"),
        ] {
            assert_eq!(plan(settings.clone(), json).unwrap_err().setting, setting, "{settings}");
        }
        assert!(Settings::read(&json!({"app": ""})).is_err());
    }
}
