//! The kind `forward`: what came in goes on as it came, bytes and headers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Called, Callee, Compiled, Event, PlanError, Problem,
    http::{Headers, base_url},
    settings::{HIDDEN, hide_query, hide_sensitive, read},
    text::Text,
};

/// The settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// Where it goes.
    url: String,
    /// Headers besides those that came; one of the same name takes the place of the one that came.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// Signed anew with the endpoint's keys (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
    #[serde(default)]
    sign: bool,
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings {
    url: String,
    headers: Headers,
    sign: bool,
}

/// What is posted, with the event's payload as its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Headers, names in lower case. A name may come more than once.
    pub headers: Vec<(String, String)>,
}

/// Headers that do not go on: they belong to the connection or frame the message (RFC 9110 section 7.6.1), open something, or
/// say where a request came from.
const KEPT_BACK: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "connection",
    "keep-alive",
    "upgrade",
    "expect",
    "accept-encoding",
    "authorization",
    "cookie",
    "forwarded",
    "traceparent",
    "tracestate",
];
const KEPT_BACK_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "x-real-"];

/// What we put in their place when we sign.
const SIGNED_PREFIXES: &[&str] = &["webhook-", "svix-"];

impl Settings {
    /// Where it goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is signed anew.
    pub fn sign(&self) -> bool {
        self.sign
    }

    /// What is posted for a message.
    ///
    /// # Errors
    /// A header's template does not render, or what it renders cannot be sent.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        // What `connection` names belongs to the connection, too.
        let connection = event.headers.iter().filter(|(name, _)| name == "connection");
        let named: Vec<_> = connection
            .flat_map(|(_, value)| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let starts = |name: &str, all: &[&str]| all.iter().any(|prefix| name.starts_with(prefix));
        let goes_on = |name: &str| {
            let kept_back = KEPT_BACK.contains(&name) || starts(name, KEPT_BACK_PREFIXES);
            // An item of a list is JSON of ours, however the list was encoded.
            let framing = name == "content-encoding" && event.item.is_some();
            let replaced = (self.sign && starts(name, SIGNED_PREFIXES)) || self.headers.has(name);
            !kept_back && !framing && !replaced && !named.iter().any(|other| other == name)
        };
        let mut headers: Vec<_> = event
            .headers
            .iter()
            .filter(|(name, _)| goes_on(name))
            .cloned()
            .collect();
        let own = self.headers.render(&event.scope())?;
        if !own.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), event.content_type.to_owned()));
        }
        headers.extend(own);
        Ok(Plan { headers })
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        Ok(Self {
            url: base_url(form.url)?,
            headers: Headers::new(form.headers)?,
            sign: form.sign,
        })
    }

    fn hide(shown: &mut Value) {
        hide_query(shown, "url");
        hide_sensitive(shown, "headers");
    }

    fn target(&self) -> String {
        self.url.split('?').next().unwrap_or_default().to_owned()
    }

    fn calls(&self) -> Option<Called> {
        Some(Called {
            setting: "url",
            what: Callee::Url(self.url.clone()),
        })
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        let headers = plan.headers.iter().map(|(name, value)| {
            let hidden = bellwire_core::headers::is_sensitive(name, value);
            json!([name, if hidden { HIDDEN } else { value }])
        });
        let headers: Vec<_> = headers.collect();
        let body = String::from_utf8_lossy(event.payload);
        Ok(json!({"method": "POST", "url": self.target(), "headers": headers, "signed": self.sign, "body": body}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    fn headers(settings: Value) -> Vec<(String, String)> {
        let came = [
            ("host", "in.example.com"),
            ("content-length", "2"),
            ("content-type", "application/vnd.x+json"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("authorization", "Bearer s"),
            ("cookie", "s"),
            ("x-forwarded-for", "10.0.0.7"),
            ("x-hub-signature-256", "sha256=00"),
            ("webhook-signature", "v1,theirs"),
            ("x-github-event", "push"),
            ("x-many", "1"),
            ("x-many", "2"),
        ];
        let came: Vec<_> = came.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let event = Event {
            headers: &came,
            content_type: "application/vnd.x+json",
            ..event("{}")
        };
        Settings::read(&settings).unwrap().plan(&event).unwrap().headers
    }

    #[test]
    fn headers_go_on_but_for_those_of_the_connection_and_credentials() {
        let sent = headers(json!({"url": "https://example.com/in", "headers": {"X-GitHub-Event": "{{ type }}"}}));
        let sent: Vec<_> = sent.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            sent,
            [
                "x-hub-signature-256: sha256=00",
                "webhook-signature: v1,theirs",
                "x-many: 1",
                "x-many: 2",
                "content-type: application/vnd.x+json",
                "x-github-event: invoice.paid",
            ]
        );
    }

    #[test]
    fn a_signature_of_ours_takes_the_place_of_theirs() {
        let sent = headers(json!({"url": "https://example.com/in", "sign": true}));
        assert!(sent.iter().all(|(name, _)| name != "webhook-signature"));
        assert!(sent.iter().any(|(name, _)| name == "x-hub-signature-256"));
    }
}
