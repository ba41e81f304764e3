//! How often an event has been published by an action on its way: what ends a circle of sources and applications.
//!
//! What a source brings in can be published to an application, and an endpoint of that may call a URL of a source again. A message that
//! was published so has a tag with its number; requests with it have a header, which a source keeps like any other. Whoever sets
//! either by hand only keeps a message of his own from being published.

use crate::message::Message;

/// The header of requests, and what the tag begins with.
pub const NAME: &str = "bellwire-hops";

/// So often an event is published, and no further: more than anybody means to.
pub const HOPS_MAX: u8 = 8;

/// How often the event was published by an action; 0 for one that came from outside.
pub fn of(message: &Message) -> u8 {
    let tags = message
        .tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(NAME)?.strip_prefix('/'));
    let headers = message.inbound.iter().flat_map(|inbound| &inbound.headers);
    let headers = headers
        .filter(|(name, _)| name == NAME)
        .map(|(_, value)| value.as_str());
    let number = |text: &str| {
        // What is no number is somebody's nonsense; one that is too great is the greatest.
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u8::MAX))
    };
    tags.chain(headers).filter_map(number).max().unwrap_or(0)
}

/// The tag of a message with this number.
pub fn tag(hops: u8) -> String {
    format!("{NAME}/{hops}")
}

/// The header of requests with this message and its value; `None` for one that came from outside.
pub fn header(message: &Message) -> Option<(&'static str, String)> {
    let hops = of(message);
    (hops > 0).then(|| (NAME, hops.to_string()))
}
