//! What becomes of a single message on its way to an endpoint: held back, transformed, written in another format. Pure.

use std::{borrow::Cow, fmt::Display};

use bellwire_core::{
    attempt::Failure,
    batch, cloudevent,
    delivery::{Trigger, Work},
    endpoint::Format,
    message::Message,
    time::Timestamp,
};
use bellwire_store::directory::{self, Begun, EndpointEntry, Incoming, Reservation};
use bellwire_template::{DecodeError, encode};
use bytes::Bytes;

use super::Counts;
use crate::action::Letter;

const JSON: &str = "application/json";

/// A letter as it is sent, and the right to send it.
#[derive(Debug)]
pub(super) struct Shaped<'a> {
    pub letter: Letter<'a>,
    /// At an endpoint that throttles.
    pub reservation: Option<Reservation>,
}

/// Why nothing is sent, and what that counts for.
#[derive(Debug)]
pub(super) struct Unsent {
    pub failure: Failure,
    pub counts: Counts,
}

impl Unsent {
    fn failed(reason: &'static str, why: &dyn Display) -> Self {
        Self {
            failure: Failure {
                reason,
                detail: why.to_string(),
            },
            counts: Counts::GivenUp,
        }
    }
}

/// Whether messages are sent to the endpoint in another shape than they have, or not all of them.
pub(super) fn reshapes(entry: &EndpointEntry) -> bool {
    entry.endpoint.workflow.format != Format::Json || entry.workflow().is_some_and(|workflow| workflow.acts())
}

/// The letter of one message as the endpoint wants it. `server` is what the source of CloudEvents begins with.
///
/// # Errors
/// When another message of its kind was acted upon shortly before, and when it cannot be transformed or written.
pub(super) fn shape<'a>(
    entry: &EndpointEntry,
    work: &'a Work,
    mut letter: Letter<'a>,
    now: Timestamp,
    server: &str,
) -> Result<Shaped<'a>, Unsent> {
    let message = &*work.message;
    let payload = letter.body.clone();
    let mut json = directory::json(message, &payload);
    let mut reservation = None;
    let made: Bytes;
    if let Some(workflow) = entry.workflow() {
        let scope = Incoming::again(message, json.as_deref().unwrap_or(b"null")).scope();
        let scope = scope.with_message_id(&letter.id);
        // What a person asks for is done.
        if work.progress.trigger == Trigger::Scheduled {
            reservation = match workflow.begin(&scope, now) {
                Begun::Free => None,
                Begun::Admitted(reservation) => Some(reservation),
                Begun::Held(held) => return Err(held_back(&held)),
            };
        }
        if let Some(transformed) = workflow.transform(&scope) {
            let failed = |why: &dyn Display| Unsent::failed("transformation_failed", why);
            json.as_ref().map_err(|error| failed(error))?;
            made = Bytes::from(transformed.map_err(|error| failed(&error))?);
            letter.body = made.clone();
            letter.content_type = JSON;
            json = Ok(Cow::Borrowed(&made));
        }
    }
    let format = entry.endpoint.workflow.format;
    let posts = entry.endpoint.action.is_http() && entry.endpoint.action.settings.is_none();
    if format == Format::CloudeventsBinary && !posts {
        let why = "only a plain post carries attributes as headers; use the format `cloudevents-structured`";
        return Err(Unsent::failed("format_failed", &why));
    }
    let mut letter = write(format, letter, message, &json, server)?;
    if format != Format::Json && !posts {
        // Templates of the action see the payload, and not what was made of it.
        letter.json = json.ok().map(|json| Bytes::copy_from_slice(&json));
    }
    Ok(Shaped { letter, reservation })
}

fn held_back(why: &dyn Display) -> Unsent {
    Unsent {
        failure: Failure {
            reason: "throttled",
            detail: why.to_string(),
        },
        counts: Counts::HeldBack,
    }
}

/// The letter in a format. `json` is its body as JSON, where it can be read.
fn write<'a>(
    format: Format,
    letter: Letter<'a>,
    message: &Message,
    json: &Result<Cow<'_, [u8]>, DecodeError>,
    server: &str,
) -> Result<Letter<'a>, Unsent> {
    let failed = |why: &dyn Display| Unsent::failed("format_failed", why);
    let text = || {
        let json = json.as_ref().map_err(|error| failed(error))?;
        std::str::from_utf8(json).map_err(|error| failed(&error))
    };
    let event = cloudevent::Event {
        message,
        place: letter.place,
        server,
        content_type: letter.content_type,
    };
    Ok(match format {
        Format::Json => letter,
        Format::Xml => Letter {
            body: encode::xml(text()?).map_err(|error| failed(&error))?.into(),
            content_type: "application/xml",
            ..letter
        },
        Format::Form => Letter {
            body: encode::form(text()?).map_err(|error| failed(&error))?.into(),
            content_type: "application/x-www-form-urlencoded",
            ..letter
        },
        Format::CloudeventsBinary => Letter {
            headers: event.headers(),
            ..letter
        },
        Format::CloudeventsStructured => Letter {
            body: event.structured(&letter.body, is_json(&letter)),
            content_type: cloudevent::STRUCTURED,
            ..letter
        },
    })
}

/// Whether a letter's bytes may be spliced into JSON.
fn is_json(letter: &Letter<'_>) -> bool {
    let essence = letter.content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    (essence == JSON || essence.ends_with("+json")) && batch::is_json(&letter.body)
}
