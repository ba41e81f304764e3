//! A message as an action sees it.

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
}

impl<'a> Event<'a> {
    /// What templates see of it.
    pub fn scope(&self) -> MessageScope<'a> {
        MessageScope::new(self.event_type, self.channels, self.json)
            .with_message_id(self.id)
            .with_headers(self.headers)
    }
}
