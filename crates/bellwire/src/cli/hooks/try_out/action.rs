//! What an action would do with a message.

use bellwire_action::{Event, by_name};
use bellwire_core::{
    endpoint::Format,
    id::{EndpointId, Id as _, MessageId},
    time::{Timestamp, format_span},
};
use bellwire_hooks::{Desired, HookAction};
use bellwire_intake::judge::Coming;
use bellwire_template::{Escape, Expression, Missing, Read, Template, Transformation};
use serde_json::Value;

/// A message-to-be.
pub(super) struct Message<'a> {
    pub hook: &'a str,
    pub coming: &'a Coming,
    pub headers: &'a [(String, String)],
    pub now: Timestamp,
}

/// What would become of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The action's name, kind and target.
    pub name: String,
    pub kind: String,
    pub target: String,
    pub matches: Match,
    /// What is remarkable: throttles, formats.
    pub remarks: Vec<String>,
    /// What would be done, without what is secret; nothing where nothing would.
    pub preview: Option<Result<Value, String>>,
}

impl Outcome {
    /// Errors hold excerpts of what they are about.
    pub fn veil_errors(&mut self, desired: &Desired) {
        if let Match::Broken(_, error) = &mut self.matches {
            *error = desired.veiled_error(error);
        }
        if let Some(Err(error)) = &mut self.preview {
            *error = desired.veiled_error(error);
        }
    }
}

/// Whether an action is for a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// It has no condition.
    Always,
    /// Its condition holds.
    Holds(String, Vec<Read>),
    /// Its condition does not hold.
    Fails(String, Vec<Read>),
    /// Its condition cannot be evaluated, which counts as not holding.
    Broken(String, String),
    /// It is disabled.
    Disabled,
}

/// Plans an action.
pub(super) fn outcome(action: &HookAction, message: &Message<'_>) -> Outcome {
    let (id, endpoint) = (
        MessageId::from_number(1).to_string(),
        EndpointId::from_number(1).to_string(),
    );
    let coming = message.coming;
    let event = Event {
        id: &id,
        event_type: &coming.event_type,
        channels: &[],
        payload: &coming.payload,
        content_type: coming.content_type.as_deref().unwrap_or("application/json"),
        json: &coming.json,
        headers: message.headers,
        item: coming.item.as_ref(),
        accepted_at: message.now,
        source: message.hook,
        endpoint: &endpoint,
        attempt: 1,
    };
    let matches = matches(action, &event);
    let acts = matches!(matches, Match::Always | Match::Holds(..));
    Outcome {
        name: action.uid.clone(),
        kind: action.kind().to_string(),
        target: action.url.clone(),
        remarks: if acts { remarks(action, &event) } else { Vec::new() },
        preview: acts.then(|| preview(action, event)),
        matches,
    }
}

fn matches(action: &HookAction, event: &Event<'_>) -> Match {
    if action.disabled {
        return Match::Disabled;
    }
    let Some(text) = &action.workflow.filter else {
        return Match::Always;
    };
    let scope = event.scope();
    let judged =
        Expression::compile(text, Missing::Empty).and_then(|when| Ok((when.holds(&scope)?, when.reads(&scope))));
    match judged {
        Ok((true, reads)) => Match::Holds(text.to_string(), reads),
        Ok((false, reads)) => Match::Fails(text.to_string(), reads),
        Err(error) => Match::Broken(text.to_string(), error.to_string()),
    }
}

fn remarks(action: &HookAction, event: &Event<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(throttle) = &action.workflow.throttle {
        let every = format_span(throttle.every.0);
        let key = throttle
            .key
            .as_ref()
            .map(|key| Template::compile(key, Escape::None, Missing::Error).and_then(|key| key.render(&event.scope())));
        remarks.push(match key {
            None => format!("at most one in {every}"),
            Some(Ok(key)) if key.trim().is_empty() => "the throttle's key is empty: not held back".to_owned(),
            Some(Ok(key)) => format!("at most one of `{key}` in {every}"),
            Some(Err(error)) => format!("the throttle has no key for it: not held back: {error}"),
        });
    }
    if action.workflow.format != Format::Json {
        let format = serde_json::to_value(action.workflow.format).unwrap_or_default();
        remarks.push(format!(
            "the payload is written as {}",
            format.as_str().unwrap_or_default()
        ));
    }
    remarks
}

fn preview(action: &HookAction, event: Event<'_>) -> Result<Value, String> {
    let transformed;
    let event = match &action.workflow.transformation {
        None => event,
        Some(text) => {
            let made = Transformation::compile(text).and_then(|transformation| transformation.apply(&event.scope()));
            transformed = made.map_err(|error| format!("transformation: {error}"))?;
            Event {
                payload: transformed.as_bytes(),
                json: transformed.as_bytes(),
                content_type: "application/json",
                ..event
            }
        }
    };
    let kind = by_name(action.kind()).ok_or("there is no such kind of action")?;
    let settings: Value = action
        .action
        .settings
        .as_deref()
        .and_then(|settings| serde_json::from_str(settings).ok())
        .unwrap_or_default();
    (kind.preview)(&settings, &event).map_err(|error| error.to_string())
}
