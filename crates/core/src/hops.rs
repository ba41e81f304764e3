//! How often an event has been sent on by an action on its way: what ends a circle of sources, applications and URLs.
//!
//! What a source brings in can be published to an application, of which an endpoint may call a URL of a source again; and an action may
//! call that of a source by itself. A message that was published so has a tag with its number; requests with a message that was
//! published, or that a source brought, have a header, which a source keeps like any other. Whoever sets either by hand only keeps a
//! message of his own from going on.

use crate::message::Message;

/// The header of requests, and what the tag begins with.
pub const NAME: &str = "bellwire-hops";

/// So often an event is sent on, and no further: more than anybody means to.
pub const HOPS_MAX: u8 = 8;

/// How often the event was sent on by an action; 0 for one that came from outside.
pub fn of(message: &Message) -> u8 {
    let tags = message
        .tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(NAME)?.strip_prefix('/'));
    let headers = message.inbound.iter().flat_map(|inbound| &inbound.headers);
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    tags.filter_map(number).max().unwrap_or(0).max(of_headers(headers))
}

/// What the headers of a request say of it, their names in lower case; 0 where nothing does.
pub fn of_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> u8 {
    let ours = headers.into_iter().filter(|(name, _)| *name == NAME);
    ours.filter_map(|(_, value)| number(value)).max().unwrap_or(0)
}

/// What is no number is somebody's nonsense; one that is too great is the greatest.
fn number(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u8::MAX))
}

/// The tag of a message with this number.
pub fn tag(hops: u8) -> String {
    format!("{NAME}/{hops}")
}

/// The header of requests with this message and its value; `None` for one that an application's owner published. A request with
/// what a source brought is one time more.
pub fn header(message: &Message) -> Option<(&'static str, String)> {
    let hops = of(message).saturating_add(u8::from(message.inbound.is_some()));
    (hops > 0).then(|| (NAME, hops.to_string()))
}
