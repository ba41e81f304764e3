//! What an endpoint says of the messages it wants, clause by clause. Pure.

use bellwire_core::{endpoint::Endpoint, event_type::filter_covers, message::Message};
use bellwire_store::directory::Filtered;
use schemars::JsonSchema;
use serde::Serialize;

/// Which part of an endpoint's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ExplanationClauseName")]
pub(super) enum Clause {
    /// `eventTypes`
    EventTypes,
    /// `channels`
    Channels,
    /// `filter`
    Filter,
}

/// One clause, and what it says of the message. All of them have to hold.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ExplanationClause")]
pub(super) struct ClauseOut {
    /// Which.
    clause: Clause,
    /// What it asks for: names, or an expression.
    wants: Vec<String>,
    /// Whether it lets the message through.
    holds: bool,
    /// What it looked at.
    found: Vec<FoundOut>,
    /// Why it could not be evaluated, which counts as not holding.
    error: Option<String>,
}

/// A value that a clause looked at.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ExplanationValue")]
pub(super) struct FoundOut {
    /// Where it is: a path, as in the expression.
    path: String,
    /// The value as JSON, shortened; null where the message has none.
    value: Option<String>,
}

/// The clauses of an endpoint, with what was found out about its filter.
pub(super) fn of(endpoint: &Endpoint, message: &Message, filtered: Option<&Filtered>) -> Vec<ClauseOut> {
    let plain = |clause, wants: &Vec<String>, holds, path: &str, value: serde_json::Value| ClauseOut {
        clause,
        wants: wants.clone(),
        holds,
        found: vec![FoundOut {
            path: path.to_owned(),
            value: Some(value.to_string()),
        }],
        error: None,
    };
    let event_types = endpoint.event_types.as_ref().map(|wants| {
        let holds = wants.iter().any(|entry| filter_covers(entry, &message.event_type));
        plain(
            Clause::EventTypes,
            wants,
            holds,
            "type",
            message.event_type.as_str().into(),
        )
    });
    let channels = endpoint.channels.as_ref().map(|wants| {
        let holds = wants.iter().any(|channel| message.channels.contains(channel));
        plain(
            Clause::Channels,
            wants,
            holds,
            "channels",
            message.channels.clone().into(),
        )
    });
    let filter = filtered.map(|filtered| ClauseOut {
        clause: Clause::Filter,
        wants: vec![filtered.expression.to_string()],
        holds: filtered.holds,
        found: filtered
            .read
            .iter()
            .map(|(path, value)| FoundOut {
                path: path.clone(),
                value: value.clone(),
            })
            .collect(),
        error: filtered.error.clone(),
    });
    [event_types, channels, filter].into_iter().flatten().collect()
}
