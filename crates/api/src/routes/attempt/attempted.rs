//! Deliveries, seen from both ends: the messages that went to an endpoint, and the endpoints that a message went to.

use bellwire_core::{
    app::App,
    attempt::Attempt,
    delivery::DeliveryState,
    id::{EndpointId, MessageId},
    time::Timestamp,
};
use bellwire_store::query::{AttemptFilter, DeliveryRow, EndpointMessage, Order, Page, Rows, Start};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    EventTypes,
    status::{Status, StatusText},
};
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::{ChannelName, TagName, Time},
    operation::{Operation, get},
    pagination::{Limit, ListResponse, page},
    routes::{
        endpoint::{self, EndpointOut},
        message::{self, MessageOut},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg",
            "v1.message-attempt.list-attempted-messages",
            Access::READ_APP,
        )
        .summary("List the messages that went to an endpoint")
        .about("Newest first, each with how its delivery to this endpoint stands.")
        .to(messages),
        get(
            "/api/v1/app/{app_id}/msg/{msg_id}/endpoint",
            "v1.message-attempt.list-attempted-destinations",
            Access::READ_APP,
        )
        .summary("List the endpoints that a message went to")
        .about(
            "Each with how the delivery stands. Of an endpoint that was deleted since, only its id and the URL of its last \
             attempt are known.",
        )
        .to(destinations),
    ]
}

/// How a delivery stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Stands {
    status: Status,
    status_text: StatusText,
    /// When it is tried next; null when it is not.
    #[schemars(with = "Option<Time>")]
    next_attempt: Option<Timestamp>,
    /// Its number in its line, where order is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
}

impl Stands {
    /// How a row stands; `state` may be another one than its own.
    fn new(row: &DeliveryRow, state: DeliveryState, expanded: bool) -> Self {
        let status = Status::shown(state, expanded);
        let waits = matches!(state, DeliveryState::Pending | DeliveryState::Sending);
        Self {
            status,
            status_text: status.text(),
            next_attempt: row.next_at.filter(|_| waits),
            sequence: row.sequence,
        }
    }
}

/// A message and how its delivery to the endpoint stands.
#[derive(Debug, Serialize, JsonSchema)]
struct EndpointMessageOut {
    #[serde(flatten)]
    message: MessageOut<'static>,
    #[serde(flatten)]
    stands: Stands,
}

/// Which messages are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Messages {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Only messages on this channel.
    channel: Option<ChannelName>,
    /// Only messages with this tag.
    tag: Option<TagName>,
    /// Only messages whose delivery stands so.
    status: Option<Status>,
    /// Only messages accepted before then.
    before: Option<Time>,
    /// Only messages accepted at or after then.
    after: Option<Time>,
    /// Whether to show payloads; true when left out.
    with_content: Option<bool>,
    /// Whether cancelled deliveries are shown as such (4) or, for clients that do not know that status, as 0.
    expanded_statuses: Option<bool>,
    /// Only messages of these types.
    event_types: Option<EventTypes>,
}

async fn messages(Call { cx, query, .. }: Call<Messages>) -> Result<Reply<ListResponse<EndpointMessageOut>>, ApiError> {
    let app = cx.app()?;
    let endpoint = cx.endpoint(&app)?.endpoint.id;
    let page = page::<MessageId>(query.limit, query.iterator.as_deref(), Order::Descending)?;
    let filter = message::filter(query.channel, query.tag, query.event_types, query.before, query.after);
    let state = query.status.map(|status| status.0);
    let with_content = query.with_content.unwrap_or(true);
    let expanded = query.expanded_statuses.unwrap_or(false);
    let rows = cx
        .server
        .store
        .endpoint_messages(app.id, endpoint, filter, state, page, with_content)
        .await?;
    let show = |row: EndpointMessage| EndpointMessageOut {
        message: MessageOut::of(row.message, with_content),
        stands: Stands::new(&row.delivery, row.delivery.state, expanded),
    };
    Reply::ok(&ListResponse::new(rows, |row| row.message.id.to_string(), show))
}

/// An endpoint and how the message's delivery there stands.
#[derive(Debug, Serialize, JsonSchema)]
struct MessageEndpointOut {
    #[serde(flatten)]
    endpoint: EndpointOut,
    /// True when the endpoint was deleted since; left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(flatten)]
    stands: Stands,
}

/// Which destinations are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Destinations {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
    /// Whether cancelled deliveries are shown as such (4) or, for clients that do not know that status, as 0.
    expanded_statuses: Option<bool>,
}

async fn destinations(
    Call { cx, query, .. }: Call<Destinations>,
) -> Result<Reply<ListResponse<MessageEndpointOut>>, ApiError> {
    let app = cx.app()?;
    let message = cx.message_id(&app).await?;
    let page = page::<EndpointId>(query.limit, query.iterator.as_deref(), Order::Ascending)?;
    let expanded = query.expanded_statuses.unwrap_or(true);
    let rows = cx.server.store.deliveries(app.id, message, page).await?;
    if rows.items.is_empty() {
        super::must_exist(&cx, &app, message).await?;
    }
    let mut items = Vec::with_capacity(rows.items.len());
    for row in rows.items {
        let entry = cx.server.directory.endpoint_by_id(row.endpoint);
        let deleted = entry.is_none().then_some(true);
        let endpoint = match entry {
            Some(entry) => EndpointOut::from(&*entry),
            None => {
                let last = last_attempt(&cx, &app, message, row.endpoint).await?;
                let url = last.map(|attempt| attempt.url).unwrap_or_default();
                EndpointOut::of_deleted(&endpoint::deleted(&app, row.endpoint, url))
            }
        };
        let state = deleted.map_or(row.state, |_| once_deleted(row.state));
        let stands = Stands::new(&row, state, expanded);
        let shown = MessageEndpointOut {
            endpoint,
            deleted,
            stands,
        };
        items.push((row.endpoint, shown));
    }
    let rows = Rows { items, more: rows.more };
    Reply::ok(&ListResponse::new(rows, |(id, _)| id.to_string(), |(_, shown)| shown))
}

/// How a delivery stands once its endpoint was deleted: what waits is cancelled, though the scheduler may not have come to it.
pub(in crate::routes) fn once_deleted(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Pending => DeliveryState::Cancelled,
        other => other,
    }
}

/// The last attempt to bring a message to an endpoint, which may be deleted.
///
/// # Errors
/// Those of the store.
pub(in crate::routes) async fn last_attempt(
    cx: &Context,
    app: &App,
    message: MessageId,
    endpoint: EndpointId,
) -> Result<Option<Attempt>, ApiError> {
    let filter = AttemptFilter {
        endpoint: Some(endpoint),
        ..AttemptFilter::default()
    };
    let newest = Page {
        limit: 1,
        start: Start::First,
        order: Order::Descending,
    };
    let rows = cx
        .server
        .store
        .attempts_of_message(app.id, message, filter, newest)
        .await?;
    Ok(rows.items.into_iter().next().map(|row| row.attempt))
}
