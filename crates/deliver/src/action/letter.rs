//! What one request says: of one delivery, or of a batch.

use bellwire_core::{
    batch::{self, BatchFormat, Item},
    delivery::Work,
    order::Place,
};
use bytes::Bytes;

/// What is sent, whichever way it goes.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// The message's id, or the batch's.
    pub id: String,
    /// The bytes.
    pub body: Bytes,
    /// What the bytes are.
    pub content_type: &'a str,
    /// Further headers, by names in lower case: those of the endpoint's format.
    pub headers: Vec<(String, String)>,
    /// The publisher's W3C trace context. A batch has none: its messages have one each.
    pub traceparent: Option<&'a str>,
    /// Its place in its line, where order is kept. A batch says it of each message, inside.
    pub place: Option<&'a Place>,
}

impl<'a> Letter<'a> {
    /// One message, its payload as it was published.
    pub fn single(work: &'a Work, payload: Bytes) -> Self {
        Self {
            id: work.message.id.to_string(),
            body: payload,
            content_type: work.message.content_type.as_deref().unwrap_or("application/json"),
            headers: Vec::new(),
            traceparent: work.message.traceparent.as_deref(),
            place: work.place.as_deref(),
        }
    }

    /// Several messages, or one at an endpoint that wants batches. Each payload is JSON ([`batch::is_json`]). `server` is what the
    /// source of CloudEvents begins with. `None` without any.
    pub fn batch(works: &[(&'a Work, &'a Bytes)], format: BatchFormat, server: &str) -> Option<Self> {
        let (first, _) = works.first()?;
        let item = |(work, payload): &(&'a Work, &'a Bytes)| Item {
            message: &work.message,
            payload,
            place: work.place.as_deref(),
        };
        let items: Vec<_> = works.iter().map(item).collect();
        Some(Self {
            id: batch::id(first.message.id),
            body: batch::body(format, server, &items),
            content_type: format.content_type(),
            headers: Vec::new(),
            traceparent: (works.len() == 1)
                .then(|| first.message.traceparent.as_deref())
                .flatten(),
            place: None,
        })
    }
}
