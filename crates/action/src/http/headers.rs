//! The headers of a request that an action makes.

use std::collections::BTreeMap;

use bellwire_core::headers::check_headers;
use bellwire_template::MessageScope;

use crate::{PlanError, Problem, text::Text};

pub(super) const CONTENT_TYPE: &str = "content-type";

/// Headers whose values are templates. None of them frames the message or belongs to the connection.
#[derive(Debug)]
pub struct Headers(Vec<(String, Text)>);

impl Headers {
    /// Judges names, and those values that are the same for all messages.
    ///
    /// # Errors
    /// A header that may not be set, or that cannot be sent.
    pub(crate) fn new(headers: BTreeMap<String, Text>) -> Result<Self, Problem> {
        let stands = |(name, text): (&String, &Text)| {
            let value = if text.is_constant() { text.source() } else { "" };
            (name.clone(), value.to_owned())
        };
        let judged: BTreeMap<_, _> = headers.iter().map(stands).collect();
        check(judged).map_err(|message| Problem::at(["headers"], message))?;
        let lower = |(name, text): (String, Text)| (name.to_ascii_lowercase(), text);
        Ok(Self(headers.into_iter().map(lower).collect()))
    }

    /// Whether there is one of this name, in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// The headers for a message, names in lower case.
    ///
    /// # Errors
    /// A value does not render, or cannot be sent: it has a line break, or letters that are not ASCII.
    pub fn render(&self, scope: &MessageScope<'_>) -> Result<Vec<(String, String)>, PlanError> {
        let mut rendered = Vec::with_capacity(self.0.len() + 1);
        for (name, text) in &self.0 {
            let setting = format!("headers.{name}");
            let value = text.render(&setting, scope)?.trim_matches([' ', '\t']).to_owned();
            check(BTreeMap::from([(name.clone(), value.clone())])).map_err(|error| PlanError::new(setting, error))?;
            rendered.push((name.clone(), value));
        }
        Ok(rendered)
    }
}

/// The rules for headers of endpoints, but for the content type: what the body is, the author knows.
fn check(mut headers: BTreeMap<String, String>) -> Result<(), String> {
    let own = headers
        .keys()
        .find(|name| name.eq_ignore_ascii_case(CONTENT_TYPE))
        .cloned();
    if let Some(value) = own.and_then(|name| headers.remove(&name)) {
        headers.insert("x-content-type".to_owned(), value);
    }
    check_headers(&headers).map_err(|error| error.to_string())
}
