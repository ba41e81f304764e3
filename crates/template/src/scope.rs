//! What an expression sees of a message.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::{
    Value,
    value::{Enumerator, Object},
};

use crate::{
    json::{Json, Part, Work},
    path::Path,
};

/// The payload's name.
pub(crate) const BODY: &str = "body";

/// The names that are ours whatever the payload holds; its own members of these names are found below `body`.
pub(crate) const NAMES: &[&str] = &[BODY, "type", "channels", "message_id", "headers"];

/// A message as expressions see it: `body`, the payload's own top-level members, `type`, `channels`, `message_id`, `headers`.
///
/// Making one costs nothing. The payload is read when the first expression looks at it, and then kept for all of them.
#[derive(Debug)]
pub struct MessageScope<'a> {
    event_type: &'a str,
    channels: &'a [String],
    payload: &'a [u8],
    message_id: Option<&'a str>,
    headers: Option<&'a [(String, String)]>,
    root: OnceLock<Arc<Root>>,
}

impl<'a> MessageScope<'a> {
    /// The scope of a message of this type, on these channels, with this JSON payload.
    pub fn new(event_type: &'a str, channels: &'a [String], payload: &'a [u8]) -> Self {
        Self {
            event_type,
            channels,
            payload,
            message_id: None,
            headers: None,
            root: OnceLock::new(),
        }
    }

    /// With the message's id, which it has once it is accepted.
    #[must_use]
    pub fn with_message_id(mut self, id: &'a str) -> Self {
        self.message_id = Some(id);
        self
    }

    /// With the headers that it came with, by their names in lower case; the last of a name counts.
    #[must_use]
    pub fn with_headers(mut self, headers: &'a [(String, String)]) -> Self {
        self.headers = Some(headers);
        self
    }

    fn root(&self) -> &Arc<Root> {
        self.root.get_or_init(|| {
            let headers = self
                .headers
                .map(|all| all.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            Arc::new(Root {
                body: Part::new(Bytes::copy_from_slice(self.payload)),
                work: Work::new(),
                event_type: self.event_type.into(),
                channels: self
                    .channels
                    .iter()
                    .map(|channel| Value::from(channel.as_str()))
                    .collect(),
                message_id: self.message_id.map_or(Value::UNDEFINED, Value::from),
                headers: headers.map_or(Value::UNDEFINED, Value::from_pairs),
            })
        })
    }

    /// What the engine looks names up in, for one evaluation.
    pub(crate) fn context(&self) -> Value {
        let root = self.root();
        root.work.renew();
        Value::from_dyn_object(Arc::clone(root))
    }

    /// Whether the evaluation did more work on containers than it may; its answer is worth nothing then.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.root().work.is_exhausted()
    }

    /// What lies at the path: its text as the publisher wrote it, and its value.
    pub(crate) fn find(&self, path: &Path) -> Option<(Bytes, Value)> {
        let root = self.root();
        root.work.renew();
        let mut text = root.body.text();
        let mut value = root.body().clone();
        for step in path.steps() {
            let json = value.downcast_object::<Json>()?;
            let part = json.step(step)?;
            text = part.text();
            value = json.value(part);
        }
        Some((text, value))
    }
}

struct Root {
    body: Part,
    work: Arc<Work>,
    event_type: Value,
    channels: Value,
    message_id: Value,
    headers: Value,
}

impl Root {
    fn body(&self) -> &Value {
        self.body.value(0, &self.work)
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let value = match name {
            BODY => self.work.fetch(self.body()),
            "type" => self.event_type.clone(),
            "channels" => self.channels.clone(),
            "message_id" => self.message_id.clone(),
            "headers" => self.headers.clone(),
            member => self.body().get_attr(member).unwrap_or(Value::UNDEFINED),
        };
        (!value.is_undefined()).then_some(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(NAMES)
    }
}
