//! Attempts: what happened each time a message was tried at an endpoint.
//!
//! How a delivery stands over all its attempts is shown by [`attempted`]; what the numbers mean is in [`status`].

pub(super) mod attempted;
pub(super) mod headers;
pub(super) mod status;

use bellwire_core::{
    app::App,
    attempt::Attempt,
    id::{AttemptId, EndpointId, MessageId},
    time::Timestamp,
};
use bellwire_store::query::{AttemptFilter, AttemptKey, AttemptRow, Order, Page, Start};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::status::{Status, StatusClass, StatusText, TriggerType};
use super::message::{self, MessageOut};
use crate::{
    audit,
    auth::Access,
    call::{Call, Context, Nothing, Reply},
    error::ApiError,
    field::{ChannelName, EventTypeName, Set, TagName, Time},
    operation::{Operation, delete, get},
    pagination::{Limit, ListResponse, page},
};

/// Event types that a list is narrowed to.
type EventTypes = Set<EventTypeName, 0, 500>;

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = vec![
        get(
            "/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}",
            "v1.message-attempt.list-by-endpoint",
            Access::READ_APP,
        )
        .summary("List the attempts at an endpoint")
        .about("Newest first. An endpoint that was deleted is named by its id.")
        .to(list_by_endpoint),
        get(
            "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
            "v1.message-attempt.list-by-msg",
            Access::READ_APP,
        )
        .summary("List the attempts of a message")
        .about("Newest first.")
        .to(list_by_message),
        get(
            "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
            "v1.message-attempt.get",
            Access::READ_APP,
        )
        .summary("Get an attempt")
        .to(show),
        delete(
            "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
            "v1.message-attempt.expunge-content",
            Access::ADMIN,
        )
        .summary("Forget what the receiver answered")
        .about("The attempt itself stays.")
        .to(expunge),
    ];
    operations.extend(headers::operations());
    operations.extend(attempted::operations());
    operations
}

/// One try of a delivery.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAttemptOut")]
pub(crate) struct AttemptOut {
    #[schemars(with = "String")]
    id: AttemptId,
    /// The URL that was called.
    url: String,
    #[schemars(with = "String")]
    msg_id: MessageId,
    #[schemars(with = "String")]
    endpoint_id: EndpointId,
    /// When it was begun.
    #[schemars(with = "Time")]
    timestamp: Timestamp,
    /// The beginning of what the receiver answered, or in words why there was no answer. Empty when content was not asked
    /// for, or was expunged.
    response: String,
    /// The receiver's status code; 0 without an answer.
    response_status_code: i16,
    /// How long it took.
    response_duration_ms: i64,
    status: Status,
    status_text: StatusText,
    trigger_type: TriggerType,
    /// Which try of its run it was, from 1. Resending starts a new run.
    attempt_number: u16,
    /// The stable name of why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// The message, when it was asked for (`with_msg`) and is still kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<MessageOut<'static>>,
}

impl AttemptOut {
    /// An attempt without its message.
    pub fn of(attempt: Attempt, with_content: bool) -> Self {
        let status = Status::of(&attempt);
        let response = match with_content {
            true => String::from_utf8_lossy(&attempt.response).into_owned(),
            false => String::new(),
        };
        Self {
            id: attempt.id,
            url: attempt.url,
            msg_id: attempt.message,
            endpoint_id: attempt.endpoint,
            timestamp: attempt.at,
            response,
            response_status_code: i16::try_from(attempt.status_code).unwrap_or(0),
            response_duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
            status,
            status_text: status.text(),
            trigger_type: TriggerType(attempt.trigger),
            attempt_number: attempt.number,
            failure: attempt.failure,
            msg: None,
        }
    }
}

/// Which attempts at an endpoint are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct ByEndpoint {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Only attempts that succeeded (0) or failed (2).
    status: Option<Status>,
    /// Only attempts that were answered so.
    status_code_class: Option<StatusClass>,
    /// Only of messages on this channel.
    channel: Option<ChannelName>,
    /// Only of messages with this tag.
    tag: Option<TagName>,
    /// Only attempts begun before then.
    before: Option<Time>,
    /// Only attempts begun at or after then.
    after: Option<Time>,
    /// Whether to show what the receiver answered, and the message's payload; true when left out.
    with_content: Option<bool>,
    /// Whether to show the message as well.
    with_msg: Option<bool>,
    /// Only of messages of these types.
    event_types: Option<EventTypes>,
}

/// Which attempts of a message are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct ByMessage {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Only attempts that succeeded (0) or failed (2).
    status: Option<Status>,
    /// Only attempts that were answered so.
    status_code_class: Option<StatusClass>,
    /// Only if the message is on this channel.
    channel: Option<ChannelName>,
    /// Only if the message has this tag.
    tag: Option<TagName>,
    /// Only attempts at this endpoint: its id or uid.
    endpoint_id: Option<String>,
    /// Only attempts begun before then.
    before: Option<Time>,
    /// Only attempts begun at or after then.
    after: Option<Time>,
    /// Whether to show what the receiver answered; true when left out.
    with_content: Option<bool>,
    /// Only if the message is of one of these types.
    event_types: Option<EventTypes>,
}

async fn list_by_endpoint(
    Call { cx, query, .. }: Call<ByEndpoint>,
) -> Result<Reply<ListResponse<AttemptOut>>, ApiError> {
    let app = cx.app()?;
    let name = cx.param("endpoint_id");
    let endpoint = endpoint_named(&cx, &app, name)?;
    // One of somebody else's is not looked for: there may be millions of attempts at it.
    let theirs = cx.server.directory.endpoint_by_id(endpoint);
    if theirs.is_some_and(|entry| entry.endpoint.app != app.id) {
        return Err(ApiError::not_found("endpoint", name));
    }
    let page = page::<AttemptId>(query.limit, query.iterator.as_deref(), Order::Descending)?;
    let filter = AttemptFilter {
        message: message::filter(query.channel, query.tag, query.event_types, query.before, query.after),
        state: query.status.map(|status| status.0),
        status_class: query.status_code_class.map(|class| class.0),
        endpoint: None,
    };
    let with_content = query.with_content.unwrap_or(true);
    let with_msg = query.with_msg.unwrap_or(false);
    let store = &cx.server.store;
    let rows = store
        .attempts_of_endpoint(app.id, endpoint, filter, page, with_msg && with_content)
        .await?;
    if rows.items.is_empty() {
        must_have_been(&cx, &app, endpoint).await?;
    }
    let show = |row: AttemptRow| {
        let message = row.message.filter(|_| with_msg);
        AttemptOut {
            msg: message.map(|message| MessageOut::of(message, with_content)),
            ..AttemptOut::of(row.attempt, with_content)
        }
    };
    Reply::ok(&ListResponse::new(rows, |row| row.attempt.id.to_string(), show))
}

async fn list_by_message(Call { cx, query, .. }: Call<ByMessage>) -> Result<Reply<ListResponse<AttemptOut>>, ApiError> {
    let app = cx.app()?;
    let message = cx.message_id(&app).await?;
    let page = page::<AttemptId>(query.limit, query.iterator.as_deref(), Order::Descending)?;
    let filter = AttemptFilter {
        message: message::filter(query.channel, query.tag, query.event_types, query.before, query.after),
        state: query.status.map(|status| status.0),
        status_class: query.status_code_class.map(|class| class.0),
        endpoint: query
            .endpoint_id
            .map(|name| endpoint_named(&cx, &app, &name))
            .transpose()?,
    };
    let with_content = query.with_content.unwrap_or(true);
    let rows = cx
        .server
        .store
        .attempts_of_message(app.id, message, filter, page)
        .await?;
    if rows.items.is_empty() {
        must_exist(&cx, &app, message).await?;
    }
    let show = |row: AttemptRow| AttemptOut::of(row.attempt, with_content);
    Reply::ok(&ListResponse::new(rows, |row| row.attempt.id.to_string(), show))
}

/// An endpoint to narrow a list to. Attempts outlive their endpoint, so an id need not be one of an endpoint that is there.
fn endpoint_named(cx: &Context, app: &App, name: &str) -> Result<EndpointId, ApiError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let found = cx.server.directory.endpoint(app.id, name);
    found
        .map(|entry| entry.endpoint.id)
        .ok_or_else(|| ApiError::not_found("endpoint", name))
}

/// Tells an empty list from one of an endpoint that never was: a deleted one is known by its attempts.
async fn must_have_been(cx: &Context, app: &App, endpoint: EndpointId) -> Result<(), ApiError> {
    let name = endpoint.to_string();
    if cx.server.directory.endpoint(app.id, &name).is_some() {
        return Ok(());
    }
    let any = Page {
        limit: 1,
        start: Start::First,
        order: Order::Descending,
    };
    let store = &cx.server.store;
    let found = store.attempts_of_endpoint(app.id, endpoint, AttemptFilter::default(), any, false);
    match found.await?.items.is_empty() {
        true => Err(ApiError::not_found("endpoint", &name)),
        false => Ok(()),
    }
}

/// Tells an empty list from one of a message that is not there.
///
/// # Errors
/// `not_found`, and those of the store.
pub(super) async fn must_exist(cx: &Context, app: &App, message: MessageId) -> Result<(), ApiError> {
    let found = cx.server.store.message(app.id, message, false).await?;
    found
        .map(drop)
        .ok_or_else(|| ApiError::not_found("message", cx.param("msg_id")))
}

/// The attempt that the path names.
///
/// # Errors
/// `not_found`, and those of the store.
async fn key_of(cx: &Context) -> Result<AttemptKey, ApiError> {
    let app = cx.app()?;
    let message = cx.message_id(&app).await?;
    let name = cx.param("attempt_id");
    let attempt = name.parse().map_err(|_| ApiError::not_found("attempt", name))?;
    Ok(AttemptKey {
        app: app.id,
        message,
        attempt,
    })
}

async fn find(cx: &Context) -> Result<Attempt, ApiError> {
    let found = cx.server.store.attempt(key_of(cx).await?).await?;
    found
        .map(|row| row.attempt)
        .ok_or_else(|| ApiError::not_found("attempt", cx.param("attempt_id")))
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<AttemptOut>, ApiError> {
    Reply::ok(&AttemptOut::of(find(&cx).await?, true))
}

async fn expunge(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let key = key_of(&cx).await?;
    cx.note(key.app, vec![audit::message(key.message)]).await?;
    match cx.server.store.expunge_attempt(key).await? {
        true => Ok(Reply::nothing()),
        false => Err(ApiError::not_found("attempt", cx.param("attempt_id"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwire_core::{
        delivery::Trigger,
        id::{AppId, Id as _},
    };
    use bytes::Bytes;
    use serde_json::{json, to_value};

    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            id: AttemptId::from_number(4),
            app: AppId::from_number(1),
            message: MessageId::from_number(2),
            endpoint: EndpointId::from_number(3),
            trigger: Trigger::Manual,
            number: 2,
            at: Timestamp::from_secs(1_766_000_000),
            duration: Duration::from_micros(12_900),
            url: "https://example.com/hook".to_owned(),
            status_code: 500,
            failure: Some("status_500".to_owned()),
            response: Bytes::from_static(b"bro\xffken"),
            response_headers: Vec::new(),
            signature: String::new(),
            last: false,
        }
    }

    #[test]
    fn a_failed_attempt_is_shown_with_everything_clients_insist_on() {
        let shown = to_value(AttemptOut::of(attempt(), true)).unwrap();
        let expected = json!({
            "id": AttemptId::from_number(4), "msgId": MessageId::from_number(2), "endpointId": EndpointId::from_number(3),
            "url": "https://example.com/hook", "timestamp": "2025-12-17T19:33:20.000000Z", "response": "bro\u{fffd}ken",
            "responseStatusCode": 500, "responseDurationMs": 12, "status": 2, "statusText": "fail", "triggerType": 1,
            "attemptNumber": 2, "failure": "status_500",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_content_the_answer_is_empty_text() {
        let succeeded = Attempt {
            failure: None,
            status_code: 204,
            ..attempt()
        };
        let shown = to_value(AttemptOut::of(succeeded, false)).unwrap();
        assert_eq!(
            (&shown["response"], &shown["status"], &shown["failure"]),
            (&json!(""), &json!(0), &json!(null))
        );
    }
}
