//! A message as an action sees it.

use bellwire_core::{source::Item, time::Timestamp};
use bellwire_template::MessageScope;

/// A message, ready for templates.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The message's id: the same over attempts, so that an effect can be made once.
    pub id: &'a str,
    /// What kind of event it is.
    pub event_type: &'a str,
    /// Its channels.
    pub channels: &'a [String],
    /// The payload's bytes, as they came or as the endpoint's transformation wrote them.
    pub payload: &'a [u8],
    /// What the bytes are.
    pub content_type: &'a str,
    /// The payload as JSON: what templates see. The same bytes where they are JSON.
    pub json: &'a [u8],
    /// The headers that it came with; empty for a published message.
    pub headers: &'a [(String, String)],
    /// Which item of its request it is, when a request brought several.
    pub item: Option<&'a Item>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The uid or id of the source that brought it; empty for a published message.
    pub source: &'a str,
    /// The id of the endpoint that acts.
    pub endpoint: &'a str,
    /// Which attempt of its delivery it is, from 1.
    pub attempt: u32,
}

impl<'a> Event<'a> {
    /// What templates see of it.
    pub fn scope(&self) -> MessageScope<'a> {
        let scope = MessageScope::new(self.event_type, self.channels, self.json)
            .with_message_id(self.id)
            .with_headers(self.headers);
        match self.item {
            Some(item) => scope.with_item(item.rest.as_deref().map(str::as_bytes)),
            None => scope,
        }
    }

    /// What names this effect and no other, the same over attempts: the message at this endpoint.
    pub fn effect_id(&self) -> String {
        format!("{}.{}", self.id, self.endpoint)
    }
}
