//! `/api/v1/app/{app_id}/msg`: messages.

use bellwire_core::{app::App, id::MessageId, message::Message};
use bellwire_store::query::{MessageFilter, Order, Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::{ChannelName, EventTypeName, Set, TagName, Time},
    operation::{Operation, Repetition, get, post},
    pagination::{Limit, ListResponse, page, page_asked_in},
    query::NoQuery,
};

mod content;
pub(super) mod publish;
mod shown;

pub(in crate::routes) use self::shown::{MessageOut, Payload};

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = vec![
        post("/api/v1/app/{app_id}/msg", "v1.message.create", Access::PUBLISH)
            .summary("Publish a message")
            .about(
                "Answered once it is durable. The payload is delivered byte for byte as it was written. An event type need \
                 not be known.",
            )
            .statuses(&[202])
            .repetition(Repetition::ByStore)
            .publishes()
            .to(publish::publish),
        get("/api/v1/app/{app_id}/msg", "v1.message.list", Access::READ_APP)
            .summary("List messages, newest first")
            .to(list),
        get("/api/v1/app/{app_id}/msg/{msg_id}", "v1.message.get", Access::READ_APP)
            .summary("Get a message by its id or event id")
            .to(show),
        post("/api/v1/app/{app_id}/msg/search", "v1.message.search", Access::READ_APP)
            .summary("List messages, newest first, with the conditions in the body")
            .statuses(&[200])
            .repetition(Repetition::Harmless)
            .to(search),
        post("/api/v1/app/{app_id}/msg/precheck/active", "v1.message.precheck", Access::PUBLISH)
            .summary("Whether a message would go anywhere")
            .statuses(&[200])
            .repetition(Repetition::Harmless)
            .to(precheck),
    ];
    operations.extend(content::operations());
    operations
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::routes) struct ContentQuery {
    /// With the payload; true when left out.
    pub with_content: Option<bool>,
}

type EventTypes = Set<EventTypeName, 0, 500>;

#[derive(Debug, Deserialize, JsonSchema)]
struct ListMessagesQuery {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// On this channel.
    channel: Option<ChannelName>,
    /// With this tag.
    tag: Option<TagName>,
    /// Accepted before then.
    before: Option<Time>,
    /// Accepted then or later.
    after: Option<Time>,
    /// With payloads; true when left out.
    with_content: Option<bool>,
    /// Of one of these event types.
    event_types: Option<EventTypes>,
}

/// Which messages to find.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageSearchIn {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// On this channel.
    channel: Option<ChannelName>,
    /// With this tag.
    tag: Option<TagName>,
    /// Accepted before then.
    before: Option<Time>,
    /// Accepted then or later.
    after: Option<Time>,
    /// With payloads; false when left out.
    with_content: Option<bool>,
    /// Of one of these event types.
    event_types: Option<EventTypes>,
}

/// Conditions on messages, from the members that lists have in common.
pub(in crate::routes) fn filter(
    channel: Option<ChannelName>,
    tag: Option<TagName>,
    event_types: Option<Set<EventTypeName, 0, 500>>,
    before: Option<Time>,
    after: Option<Time>,
) -> MessageFilter {
    MessageFilter {
        channel: channel.map(Into::into),
        tag: tag.map(Into::into),
        event_types: event_types.map(Set::into_texts).unwrap_or_default(),
        before: before.map(|Time(at)| at),
        after: after.map(|Time(at)| at),
    }
}

type Messages = ListResponse<MessageOut<'static>>;

async fn list(Call { cx, query, .. }: Call<ListMessagesQuery>) -> Result<Reply<Messages>, ApiError> {
    let app = cx.app()?;
    let filter = filter(query.channel, query.tag, query.event_types, query.before, query.after);
    let with_content = query.with_content.unwrap_or(true);
    let page = page::<MessageId>(query.limit, query.iterator.as_deref(), Order::Descending)?;
    list_of(&cx, &app, filter, page, with_content).await
}

async fn search(Call { cx, body, .. }: Call<NoQuery, MessageSearchIn>) -> Result<Reply<Messages>, ApiError> {
    let app = cx.app()?;
    let filter = filter(body.channel, body.tag, body.event_types, body.before, body.after);
    let with_content = body.with_content.unwrap_or(false);
    let page = page_asked_in::<MessageId>("body", body.limit, body.iterator.as_deref(), Order::Descending)?;
    list_of(&cx, &app, filter, page, with_content).await
}

async fn list_of(
    cx: &Context,
    app: &App,
    filter: MessageFilter,
    page: Page,
    with_content: bool,
) -> Result<Reply<Messages>, ApiError> {
    let rows = cx.server.store.messages(app.id, filter, page, with_content).await?;
    let show = |message| MessageOut::of(message, with_content);
    Reply::ok(&ListResponse::new(rows, |message| message.id.to_string(), show))
}

async fn show(Call { cx, query, .. }: Call<ContentQuery>) -> Result<Reply<MessageOut<'static>>, ApiError> {
    let app = cx.app()?;
    let with_content = query.with_content.unwrap_or(true);
    let message = find(&cx, &app, with_content).await?;
    Reply::ok(&MessageOut::of(message, with_content))
}

/// The message that the path names.
///
/// # Errors
/// `not_found`, and those of the store.
pub(in crate::routes) async fn find(cx: &Context, app: &App, with_payload: bool) -> Result<Message, ApiError> {
    let id = cx.message_id(app).await?;
    let found = cx.server.store.message(app.id, id, with_payload).await?;
    found.ok_or_else(|| ApiError::not_found("message", cx.param("msg_id")))
}

/// What would be published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessagePrecheckIn {
    /// Its event type.
    event_type: EventTypeName,
    /// Its channels.
    channels: Option<Set<ChannelName, 1, 10>>,
}

/// Whether somebody listens.
#[derive(Debug, Serialize, JsonSchema)]
struct MessagePrecheckOut {
    /// Whether it would go to at least one endpoint; to one with a filter only if that lets its payload through.
    active: bool,
}

async fn precheck(
    Call { cx, body, .. }: Call<NoQuery, MessagePrecheckIn>,
) -> Result<Reply<MessagePrecheckOut>, ApiError> {
    let app = cx.app()?;
    let channels = body.channels.map(Set::into_texts).unwrap_or_default();
    Reply::ok(&MessagePrecheckOut {
        active: cx.server.directory.listens(app.id, &body.event_type, &channels),
    })
}
