//! What an expression sees of a message.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::{
    Value,
    value::{Enumerator, Object},
};

use crate::{
    json::{Json, Part},
    path::{Base, Path},
    work::Work,
};

/// The payload's name, or that of the rest of the request that brought an item.
pub(crate) const BODY: &str = "body";

/// The payload's name where it is an item of a request that brought several.
pub(crate) const ITEM: &str = "item";

/// The names that are ours whatever the payload holds; its own members of these names are found below `body` or `item`.
pub(crate) const NAMES: &[&str] = &[BODY, ITEM, "type", "channels", "message_id", "headers"];

/// A message as expressions see it: `body`, the payload's own top-level members, `type`, `channels`, `message_id`, `headers`;
/// and `item`, where the message is one.
///
/// Making one costs nothing. The payload is read when the first expression looks at it, and then kept for all of them.
#[derive(Debug)]
pub struct MessageScope<'a> {
    event_type: &'a str,
    channels: &'a [String],
    payload: &'a [u8],
    /// That it is an item, and the rest of its request.
    item: Option<Option<&'a [u8]>>,
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
            item: None,
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

    /// As an item of a request that brought several: the payload is `item`, and `body` is the rest of the request as JSON, or the
    /// item where there is no rest.
    #[must_use]
    pub fn with_item(mut self, rest: Option<&'a [u8]>) -> Self {
        self.item = Some(rest);
        self
    }

    fn root(&self) -> &Arc<Root> {
        self.root.get_or_init(|| {
            let headers = self
                .headers
                .map(|all| all.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            Arc::new(Root {
                payload: Part::new(Bytes::copy_from_slice(self.payload)),
                is_item: self.item.is_some(),
                rest: self.item.flatten().map(|rest| Part::new(Bytes::copy_from_slice(rest))),
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

    /// What the engine looks names up in, for one evaluation that is on its own account.
    pub(crate) fn context(&self) -> Value {
        self.root().work.renew();
        self.shared_context()
    }

    /// What the engine looks names up in, for one of several runs that do together what one message may cost.
    pub(crate) fn shared_context(&self) -> Value {
        Value::from_dyn_object(Arc::clone(self.root()))
    }

    /// The account of those runs.
    pub(crate) fn work(&self) -> &Work {
        &self.root().work
    }

    /// Whether the evaluation did more work on containers than it may; its answer is worth nothing then.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.root().work.is_exhausted()
    }

    /// What lies at the path: its text as the publisher wrote it, and its value.
    pub(crate) fn find(&self, path: &Path) -> Option<(Bytes, Value)> {
        let root = self.root();
        root.work.renew();
        let part = root.part(path.base())?;
        let mut text = part.text();
        let mut value = root.value(part).clone();
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
    payload: Part,
    is_item: bool,
    rest: Option<Part>,
    work: Arc<Work>,
    event_type: Value,
    channels: Value,
    message_id: Value,
    headers: Value,
}

impl Root {
    fn part(&self, base: Base) -> Option<&Part> {
        match base {
            Base::Body => Some(self.rest.as_ref().unwrap_or(&self.payload)),
            Base::Item => self.is_item.then_some(&self.payload),
            Base::Payload => Some(&self.payload),
        }
    }

    fn value<'a>(&self, part: &'a Part) -> &'a Value {
        part.value(0, &self.work)
    }

    fn fetch(&self, base: Base) -> Value {
        self.part(base)
            .map_or(Value::UNDEFINED, |part| self.work.fetch(self.value(part)))
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
            BODY => self.fetch(Base::Body),
            ITEM => self.fetch(Base::Item),
            "type" => self.event_type.clone(),
            "channels" => self.channels.clone(),
            "message_id" => self.message_id.clone(),
            "headers" => self.headers.clone(),
            member => self.value(&self.payload).get_attr(member).unwrap_or(Value::UNDEFINED),
        };
        (!value.is_undefined()).then_some(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(NAMES)
    }
}
