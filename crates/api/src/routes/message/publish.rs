//! Publishing: from a request's bytes to a durable message. The hot path.
//!
//! The payload is borrowed from the body and stays the publisher's bytes to the end: it is neither parsed nor written anew.
//! Event id, idempotency key, message and deliveries are one transaction of the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    app::App,
    id::{Id as _, MessageId},
    message::{IdempotencyKey, NewMessage, Route},
};
use bellwire_store::{Change, directory::Incoming, feed::FeedEvent};
use bytes::Bytes;
use http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ContentQuery, MessageOut, Payload};
use crate::{
    call::{Call, Context, Reply},
    error::ApiError,
    extract::{self, Body},
    field::{ChannelName, EventTypeName, EventUid, OrderingKey, Set, TagName, Time},
    payload_schema,
    problem::Problem,
    routes::application::{ApplicationIn, uid_of_path},
};

/// A message may wait this long for its delivery at most.
const DELIVER_AT_MAX: Duration = Duration::from_secs(60 * 86_400);
/// So many objects and lists may lie in each other in a payload. Many readers of JSON stop at 128, and in a list of messages
/// the payload lies deeper by three: a deeper one would make the whole list unreadable for them.
const DEPTH_MAX: usize = 100;

/// A message to be published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct MessageIn<'a> {
    /// What kind of event it is.
    pub event_type: EventTypeName,
    /// The event: a JSON object, delivered byte for byte as it is written here.
    #[serde(borrow)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: &'a RawValue,
    /// Your own id of the event, unique in the application.
    pub event_id: Option<EventUid>,
    /// Only endpoints that listen on one of these, or on no particular channel, get it.
    pub channels: Option<Set<ChannelName, 1, 10>>,
    /// Marks to search by.
    pub tags: Option<Set<TagName, 0, 5>>,
    /// What it is in order with: endpoints that order by key deliver messages with the same key one after the other.
    pub ordering_key: Option<OrderingKey>,
    /// Not delivered before then; at most 60 days ahead. Without a zone it is read as UTC: several clients write it so.
    pub deliver_at: Option<Time>,
    /// How many days the payload is kept: 1 to 90, 90 when left out.
    #[schemars(range(min = 1, max = 90))]
    pub payload_retention_period: Option<i64>,
    /// How many hours the payload is kept: 1 to 2160. Takes the place of `payloadRetentionPeriod`.
    #[schemars(range(min = 1, max = 2_160))]
    pub payload_retention_hours: Option<i64>,
    /// The application to make when the one in the path does not exist yet.
    pub application: Option<ApplicationIn>,
    /// What the SDKs' helpers for raw payloads give.
    pub transformations_params: Option<TransformationsParams>,
}

/// What the SDKs' helpers for raw payloads give; other members are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TransformationsParams {
    /// Delivered in the place of the payload, byte for byte.
    pub raw_payload: Option<String>,
    /// Of these only `content-type` counts: what the raw payload is sent as.
    pub headers: Option<BTreeMap<String, Option<String>>>,
}

impl TransformationsParams {
    /// What is delivered in the place of the payload, and as what.
    fn into_raw(self) -> Result<(Option<Bytes>, Option<String>), ApiError> {
        let headers = self.headers.unwrap_or_default();
        let content_type = headers
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type = content_type
            .and_then(|(_, value)| value)
            .filter(|_| self.raw_payload.is_some());
        if let Some(text) = &content_type
            && (text.is_empty() || text.len() > 256 || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        {
            let path = ["transformationsParams", "headers", "content-type"];
            return Err(ApiError::invalid(Problem::body(
                path,
                "write 1 to 256 printable ASCII characters",
            )));
        }
        Ok((self.raw_payload.map(Bytes::from), content_type))
    }
}

/// The body as it came; read in the handler, which borrows from it.
#[derive(Debug)]
pub(in crate::routes) struct MessageBody(pub Bytes);

impl Body for MessageBody {
    fn read(bytes: Bytes) -> Result<Self, ApiError> {
        Ok(Self(bytes))
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<MessageIn<'static>>())
    }
}

/// Publishes a message.
pub(super) async fn publish(
    Call { cx, query, body }: Call<ContentQuery, MessageBody>,
) -> Result<Reply<MessageOut<'static>>, ApiError> {
    let mut message: MessageIn<'_> = extract::json(&body.0)?;
    let app = match cx.app() {
        Ok(app) => app,
        Err(missing) => match message.application.take() {
            Some(wanted) => get_or_create(&cx, cx.param("app_id"), wanted).await?,
            None => return Err(missing),
        },
    };
    cx.not_of_source(&app)?;
    let channels = message.channels.take().map(Set::into_texts).unwrap_or_default();
    let routes = cx.server.directory.routes(
        app.id,
        &Incoming {
            event_type: &message.event_type,
            channels: &channels,
            ordering_key: message.ordering_key.as_deref(),
            payload: message.payload.get().as_bytes(),
            inbound: None,
        },
    );
    let wish = Wish {
        app: &app,
        channels,
        routes,
        idempotency: cx.idempotency,
    };
    let mut answer = accept(&cx, &body.0, message, wish).await?;
    if query.with_content == Some(false) {
        answer.payload = Payload::Empty;
    }
    Ok(Reply::ok(&answer)?.retyped())
}

/// Where a message comes from and goes to.
pub(in crate::routes) struct Wish<'a> {
    /// Whose it is.
    pub app: &'a Arc<App>,
    /// Sorted, without duplicates.
    pub channels: Vec<String>,
    /// The endpoints it goes to.
    pub routes: Vec<Route>,
    /// The client's promise.
    pub idempotency: Option<IdempotencyKey>,
}

/// Checks and appends a message; answers it with its content.
///
/// # Errors
/// `validation_failed`, `payload_invalid`, `event_id_taken`, and those of the store.
pub(in crate::routes) async fn accept<'a>(
    cx: &Context,
    body: &Bytes,
    message: MessageIn<'a>,
    wish: Wish<'_>,
) -> Result<MessageOut<'a>, ApiError> {
    let payload = message.payload.get();
    if !payload.starts_with('{') {
        return Err(ApiError::invalid(Problem::at(
            "body",
            ["payload"],
            "type_error",
            "must be a JSON object",
        )));
    }
    if is_too_deep(payload) {
        let msg =
            format!("objects and lists lie in each other more than {DEPTH_MAX} levels deep; send a flatter payload");
        return Err(ApiError::invalid(Problem::body(["payload"], msg)));
    }
    validate(cx, wish.app, &message.event_type, payload)?;
    let now = cx.server.directory.now();
    let deliver_at = message.deliver_at.map(|Time(at)| at).filter(|at| *at > now);
    if deliver_at.is_some_and(|at| at.since(now) > DELIVER_AT_MAX) {
        return Err(ApiError::invalid(Problem::body(
            ["deliverAt"],
            "is more than 60 days ahead",
        )));
    }
    let kept = retention(&message)?.unwrap_or(cx.server.limits.payload_retention);
    let (raw, content_type) = match message.transformations_params {
        Some(params) => params.into_raw()?,
        None => (None, None),
    };
    let new = NewMessage {
        app: wish.app.id,
        event_type: message.event_type.into(),
        event_id: message.event_id.map(Into::into),
        channels: wish.channels,
        tags: message.tags.map(Set::into_texts).unwrap_or_default(),
        ordering_key: message.ordering_key.map(Into::into),
        payload: raw.unwrap_or_else(|| body.slice_ref(payload.as_bytes())),
        payload_expires_at: deliver_at.unwrap_or(now).plus(kept),
        deliver_at,
        traceparent: traceparent(&cx.headers),
        content_type,
        inbound: None,
        routes: wish.routes,
        idempotency: wish.idempotency,
    };
    let endpoints = new.routes.len();
    let mut answer = MessageOut {
        id: MessageId::from_number(0),
        event_type: new.event_type.clone().into(),
        event_id: new.event_id.clone(),
        channels: (!new.channels.is_empty()).then(|| new.channels.clone()),
        tags: (!new.tags.is_empty()).then(|| new.tags.clone()),
        ordering_key: new.ordering_key.clone(),
        deliver_at: new.deliver_at,
        payload: Payload::Borrowed(message.payload),
        raw_payload: None,
        raw_payload_encoding: None,
        content_type: new.content_type.clone(),
        inbound: None,
        timestamp: now,
    };
    let appended = cx.server.store.append(new).await?;
    answer.id = appended.id;
    answer.timestamp = appended.id.created_at();
    if !appended.repeated {
        cx.server.metrics.messages_accepted.inc();
        cx.server.feed.tell(|| FeedEvent::Message {
            environment: wish.app.environment,
            app: wish.app.id,
            id: answer.id,
            event_type: answer.event_type.to_string(),
            endpoints,
            at: answer.timestamp,
        });
    }
    Ok(answer)
}

/// Whether a payload, which is valid JSON, is nested more deeply than [`DEPTH_MAX`]. Most have not even that many brackets,
/// which is found out at the speed of memory.
fn is_too_deep(payload: &str) -> bool {
    let opens = |byte: &u8| matches!(byte, b'{' | b'[');
    // Each level is at least two bytes.
    if payload.len() <= 2 * DEPTH_MAX || payload.bytes().filter(opens).count() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in payload.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Refuses a payload that does not fit its event type's schema, where that is wanted.
fn validate(cx: &Context, app: &App, event_type: &str, payload: &str) -> Result<(), ApiError> {
    match payload_schema::wanted(&cx.server.directory, app, event_type) {
        Some(event_type) => cx.server.validators.check(&event_type, payload),
        None => Ok(()),
    }
}

/// How long the payload is to be kept, if the message says.
fn retention(message: &MessageIn<'_>) -> Result<Option<Duration>, ApiError> {
    let of = |member: &str, value: Option<i64>, max: u64, unit: u64| {
        let Some(value) = value else { return Ok(None) };
        match u64::try_from(value) {
            Ok(count) if (1..=max).contains(&count) => Ok(Some(Duration::from_secs(count * unit))),
            _ => {
                let msg = format!("{value} is out of bounds; give 1 to {max}");
                Err(ApiError::invalid(Problem::body([member], msg)))
            }
        }
    };
    let days = of("payloadRetentionPeriod", message.payload_retention_period, 90, 86_400)?;
    let hours = of("payloadRetentionHours", message.payload_retention_hours, 2_160, 3_600)?;
    Ok(hours.or(days))
}

/// The publisher's trace, when it is one (W3C Trace Context section 3.2).
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version == "00" && parts.next().is_none();
    let newer = version != "00" && version != "ff" && text.len() <= 128;
    let filled = |id: &str| id.bytes().any(|byte| byte != b'0');
    let valid =
        hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && filled(trace) && filled(parent);
    (valid && (known || newer)).then(|| text.to_owned())
}

/// The application that a message brings along: made, unless another request was faster.
///
/// # Errors
/// `not_found` when its name cannot be a uid, and those of the directory.
pub(in crate::routes) async fn get_or_create(
    cx: &Context,
    name: &str,
    wanted: ApplicationIn,
) -> Result<Arc<App>, ApiError> {
    let caller = cx.caller()?;
    if caller.app.is_some() || !crate::field::AppUid::allows(name) {
        return Err(ApiError::not_found("application", name));
    }
    let mut app = wanted.build(&cx.server.directory, caller.environment);
    app.uid = Some(uid_of_path(name, app.uid.take())?);
    match cx.server.commit(vec![Change::PutApp(app)], None).await {
        Err(error) if error.code().status != 409 => Err(error),
        // Made now, or by another request a moment ago.
        _ => cx
            .find_app(name)?
            .ok_or_else(|| ApiError::not_found("application", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_traceparent_is_continued_only_when_it_is_one() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(text).unwrap());
            traceparent(&headers)
        };
        assert_eq!(read(trace).as_deref(), Some(trace));
        assert!(read(&trace.replace("00-4", "01-4")).is_some());
        for broken in [
            trace.replace("00-4", "ff-4"),
            trace.to_uppercase(),
            trace.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            trace.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("{trace}-00"),
            trace.replace("-01", "-1"),
            "nonsense".to_owned(),
        ] {
            assert_eq!(read(&broken), None, "{broken}");
        }
    }

    #[test]
    fn only_brackets_that_are_open_at_once_and_outside_texts_are_deep() {
        let nested = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels), "0").to_owned() + &"}".repeat(levels);
        assert!(!is_too_deep(&nested(DEPTH_MAX)));
        assert!(is_too_deep(&nested(DEPTH_MAX + 1)));
        assert!(is_too_deep(&format!(
            r#"{{"a":{}{}}}"#,
            "[".repeat(DEPTH_MAX),
            "]".repeat(DEPTH_MAX)
        )));
        let text = "[{".repeat(500);
        for flat in [
            format!(r#"{{"a":"{text}"}}"#),
            format!(r#"{{"a":"\"{text}"}}"#),
            format!(r#"{{"a":"{text}\\","b":[]}}"#),
            format!(r#"{{"a":[{}0]}}"#, "[],{},".repeat(500)),
        ] {
            assert!(!is_too_deep(&flat), "{flat}");
            assert!(serde_json::from_str::<serde_json::Value>(&flat).is_ok());
        }
        let closed = format!(
            r#"{{"a":"{text}\\","b":{}{}}}"#,
            "[".repeat(DEPTH_MAX),
            "]".repeat(DEPTH_MAX)
        );
        assert!(is_too_deep(&closed), "a text ends behind an escaped backslash");
    }

    #[test]
    fn hours_take_the_place_of_days_and_both_are_bounded() {
        let read = |members: &str| {
            let body = format!(r#"{{"eventType":"a","payload":{{}}{members}}}"#);
            retention(&extract::json(body.as_bytes()).unwrap()).map_err(|error| error.code().status)
        };
        let hours = |hours: u64| Ok(Some(Duration::from_secs(hours * 3_600)));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read(r#","payloadRetentionPeriod":5"#), hours(120));
        assert_eq!(
            read(r#","payloadRetentionPeriod":5,"payloadRetentionHours":7"#),
            hours(7)
        );
        for wrong in [
            r#","payloadRetentionPeriod":0"#,
            r#","payloadRetentionPeriod":91"#,
            r#","payloadRetentionHours":-1"#,
        ] {
            assert_eq!(read(wrong), Err(422), "{wrong}");
        }
    }
}
