//! How a message came in, as it is shown: with messages that a source brought, and with requests that a source refused.

use std::collections::BTreeMap;

use bellwire_core::{
    id::SourceId,
    source::{Inbound, is_token},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Where the listener's URLs begin.
const WAY_IN: &str = "/in/";

/// How a message came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageInboundOut")]
pub struct InboundOut {
    /// By which source.
    #[schemars(with = "String")]
    source_id: SourceId,
    /// The request's method; empty for what no request brought.
    method: String,
    /// Path and query that were called, without the token.
    target: String,
    /// The request's headers, names in lower case, without credentials.
    headers: BTreeMap<String, String>,
    /// Who connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Why it was trusted.
    verdict: String,
    /// What keeping order meant for it: it waited, followed a gap, came too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Which item of its request it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemOut>,
}

/// One item of a request that brought several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MessageItemOut")]
struct ItemOut {
    /// Its place, from 0.
    index: u32,
    /// How many the request brought.
    count: u32,
    /// The request's body without the list, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<String>,
}

impl From<&Inbound> for InboundOut {
    fn from(inbound: &Inbound) -> Self {
        let item = inbound.item.as_ref().map(|item| ItemOut {
            index: item.index,
            count: item.count,
            rest: item.rest.clone(),
        });
        Self {
            source_id: inbound.source,
            method: inbound.method.clone(),
            target: target(&inbound.target),
            headers: headers(&inbound.headers),
            peer: inbound.peer.clone(),
            verdict: inbound.verdict.clone(),
            note: inbound.note.clone(),
            item,
        }
    }
}

/// Headers by name; values of one name are joined, as RFC 9110 section 5.3 allows.
pub fn headers(list: &[(String, String)]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in list {
        let joined = headers.entry(name.clone()).or_default();
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    headers
}

/// Path and query without the source's token, which is as good as a password where nothing is verified.
pub fn target(target: &str) -> String {
    let Some(rest) = target.strip_prefix(WAY_IN) else {
        return target.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    match is_token(name) {
        true => format!("{WAY_IN}…{rest}"),
        false => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::source::new_token;

    use super::*;

    #[test]
    fn the_token_of_a_url_is_not_shown_and_a_name_is() {
        let token = new_token(&[7; 32]);
        assert_eq!(target(&format!("/in/{token}?a=1")), "/in/…?a=1");
        assert_eq!(target(&format!("/in/{token}")), "/in/…");
        assert_eq!(target("/in/github?a=1"), "/in/github?a=1");
        assert_eq!(target(""), "");
    }

    #[test]
    fn headers_that_come_several_times_are_joined() {
        let list = [("a", "1"), ("b", "2"), ("a", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let joined = headers(&list);
        assert_eq!((joined["a"].as_str(), joined["b"].as_str()), ("1, 3", "2"));
    }
}
