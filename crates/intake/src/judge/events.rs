//! From a trusted request to its events: the body as it is, or the CloudEvents in it (CloudEvents 1.0, "HTTP Protocol Binding").

use bellwire_listen::{
    Provider,
    cloudevents::{self, Event, Mode},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{MESSAGES_MAX, Refusal, Request, steps::Steps, too_many};
use crate::decode;

/// One event of a request.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub payload: Bytes,
    pub content_type: Option<String>,
    /// The payload as JSON.
    pub json: Bytes,
    /// What it says of itself, where it is a CloudEvent.
    pub cloud: Option<Cloud>,
    /// The attributes of a structured event, as the headers that the binary mode has.
    pub attributes: Vec<(String, String)>,
}

/// What a CloudEvent says of itself.
#[derive(Debug)]
pub(super) struct Cloud {
    /// Source and id, which are unique together.
    pub id: String,
    pub event_type: String,
    pub mode: Mode,
}

/// What the request brings.
pub(super) fn of(
    provider: &Provider,
    request: &Request<'_>,
    seen: &bellwire_listen::Request<'_>,
    steps: &mut Steps,
) -> Result<Vec<Part>, Refusal> {
    let mode = cloudevents::mode(seen).filter(|mode| provider.reads_cloud_events(*mode));
    let Some(mode) = mode else {
        let part = Part {
            content_type: request.header("content-type").map(str::to_owned),
            payload: request.body.clone(),
            ..Part::default()
        };
        return Ok(vec![part.decoded()?]);
    };
    let events = cloudevents::read(seen).map_err(|error| malformed(error.to_string()))?;
    steps.say(|| match mode {
        Mode::Binary => "a CloudEvent in binary mode".to_owned(),
        Mode::Structured => "a CloudEvent in structured mode".to_owned(),
        Mode::Batched => format!("{} CloudEvents in batched mode", events.len()),
    });
    if events.len() > MESSAGES_MAX {
        return Err(too_many(format!("{} CloudEvents in one request", events.len())));
    }
    let written = match mode {
        Mode::Binary => vec![Some(request.body.clone())],
        Mode::Structured => written::<Data<'_>>(&request.body, |data| vec![data.data]),
        Mode::Batched => written::<Vec<Data<'_>>>(&request.body, |all| all.into_iter().map(|one| one.data).collect()),
    };
    let of_event = |(event, written): (Event, Option<Bytes>)| {
        // Only JSON is written as itself.
        let written = written.filter(|_| mode == Mode::Binary || cloudevents::is_json(event.content_type.as_deref()));
        Part {
            attributes: if mode == Mode::Binary {
                Vec::new()
            } else {
                attributes(&event)
            },
            cloud: Some(Cloud {
                id: format!("{} {}", event.source, event.id),
                event_type: event.event_type,
                mode,
            }),
            content_type: event.content_type,
            payload: written.unwrap_or_else(|| event.data.unwrap_or_default().into()),
            json: Bytes::new(),
        }
        .decoded()
    };
    events.into_iter().zip(written).map(of_event).collect()
}

/// A structured event's data, as it was written.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The data of structured events as pieces of the body; nothing where it stands in `data_base64`.
fn written<'a, T: Deserialize<'a>>(
    body: &'a Bytes,
    data: impl FnOnce(T) -> Vec<Option<&'a RawValue>>,
) -> Vec<Option<Bytes>> {
    let all = serde_json::from_slice(body).map(data).unwrap_or_default();
    all.into_iter()
        .map(|raw| raw.map(|raw| body.slice_ref(raw.get().as_bytes())))
        .collect()
}

fn attributes(event: &Event) -> Vec<(String, String)> {
    let known = [
        ("ce-specversion", Some("1.0")),
        ("ce-id", Some(event.id.as_str())),
        ("ce-source", Some(event.source.as_str())),
        ("ce-type", Some(event.event_type.as_str())),
        ("ce-subject", event.subject.as_deref()),
        ("ce-time", event.time.as_deref()),
    ];
    let known = known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let extensions = event.extensions.iter();
    let extensions = extensions.map(|(name, value)| (format!("ce-{name}"), value.clone()));
    known.chain(extensions).collect()
}

fn malformed(detail: String) -> Refusal {
    Refusal::new(400, "malformed", detail)
}

impl Part {
    /// With the payload as JSON. Where nobody says what it is, it is JSON (nothing, for short) or a text.
    fn decoded(mut self) -> Result<Self, Refusal> {
        let said = self.content_type.as_deref().unwrap_or_default();
        self.json = decode::json(said, &self.payload).map_err(|error| malformed(error.to_string()))?;
        let is_itself = self.json.as_ptr_range() == self.payload.as_ptr_range();
        if self.content_type.is_none() && !self.payload.is_empty() && !is_itself {
            self.content_type = Some("text/plain".to_owned());
        }
        Ok(self)
    }
}
