//! Why did this endpoint (not) get this message? The answer in words, with what to do about it.
//!
//! This is the asking; the explanation itself is in [`words`] and [`held`].

mod clauses;
mod held;
mod line;
mod words;

use std::{collections::BTreeMap, sync::Arc};

use bellwire_core::{
    app::App,
    delivery::DeliveryState,
    endpoint::Endpoint,
    id::{EndpointId, Id as _, MessageId},
    message::Message,
    route::Verdict,
    time::Timestamp,
};
use bellwire_store::{
    directory::EndpointEntry,
    query::{DeliveryRow, Order, Page, Rows, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    clauses::ClauseOut,
    words::{Found, Is, Reason},
};
use super::{
    attempt::{
        AttemptOut,
        attempted::{last_attempt, once_deleted},
        status::{Status, StatusText},
    },
    endpoint::{self, sequence::LineHeadOut},
};
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    pagination::{Limit, ListResponse, page},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/explain",
            "explain_delivery",
            Access::READ_APP,
        )
        .summary("Explain why an endpoint got a message, or did not")
        .to(explain),
        get(
            "/api/v1/app/{app_id}/msg/{msg_id}/explain",
            "explain_message",
            Access::READ_APP,
        )
        .summary("Explain where a message went, and where not")
        .about("One explanation for each endpoint that the application has now, and for each that was deleted after it got the message.")
        .to(explain_all),
    ]
}

/// The explanation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ExplanationOut {
    #[schemars(with = "String")]
    msg_id: MessageId,
    #[schemars(with = "String")]
    endpoint_id: EndpointId,
    /// Whether the endpoint would get such a message now.
    matches: bool,
    /// What the endpoint says of the messages it wants, and what each of that says of this one. Empty when it wants all.
    clauses: Vec<ClauseOut>,
    reason: Reason,
    /// What happened.
    summary: String,
    /// What to do about it; null when nothing needs to be done.
    advice: Option<String>,
    /// How the delivery stands; null when there is none.
    status: Option<Status>,
    status_text: Option<StatusText>,
    /// How many attempts its current run has had.
    attempts: u16,
    /// When it is tried next.
    #[schemars(with = "Option<Time>")]
    next_attempt: Option<Timestamp>,
    /// The last attempt.
    last_attempt: Option<AttemptOut>,
    /// Its number in its line; null where no order is kept.
    sequence: Option<u64>,
    /// The first of its line, while it waits for that one.
    waits_behind: Option<LineHeadOut>,
}

async fn explain(Call { cx, .. }: Call) -> Result<Reply<ExplanationOut>, ApiError> {
    let app = cx.app()?;
    let message = super::message::find(&cx, &app, false).await?;
    let name = cx.param("endpoint_id");
    if let Some(entry) = cx.server.directory.endpoint(app.id, name) {
        let message = with_payload(&cx, &app, message, [&entry]).await?;
        return Reply::ok(&explanation(&cx, &app, &message, &entry.endpoint, Is::There).await?);
    }
    let unknown = || ApiError::not_found("endpoint", name);
    let id = name.parse().map_err(|_| unknown())?;
    let gone = endpoint::deleted(&app, id, String::new());
    let explained = explanation(&cx, &app, &message, &gone, Is::Deleted).await?;
    if explained.status.is_none() {
        return Err(unknown());
    }
    Reply::ok(&explained)
}

/// A page of explanations, by endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
struct Explained {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` or `prevIterator` of another page.
    iterator: Option<String>,
}

async fn explain_all(Call { cx, query, .. }: Call<Explained>) -> Result<Reply<ListResponse<ExplanationOut>>, ApiError> {
    let app = cx.app()?;
    let message = super::message::find(&cx, &app, false).await?;
    let page = page::<EndpointId>(query.limit, query.iterator.as_deref(), Order::Ascending)?;
    let directory = &cx.server.directory;
    let entries = directory.endpoints(app.id, page);
    let message = with_payload(&cx, &app, message, &entries.items).await?;
    let deliveries = cx.server.store.deliveries(app.id, message.id, page).await?;
    let mut known: BTreeMap<EndpointId, Option<Arc<EndpointEntry>>> = BTreeMap::new();
    let gone = |row: &&DeliveryRow| directory.endpoint_by_id(row.endpoint).is_none();
    known.extend(deliveries.items.iter().filter(gone).map(|row| (row.endpoint, None)));
    known.extend(entries.items.into_iter().map(|entry| (entry.endpoint.id, Some(entry))));
    // Two pages from the same place make one: the rows nearest to it.
    let beyond = known.len().saturating_sub(page.limit);
    let skipped = if matches!(page.start, Start::Before(_)) {
        beyond
    } else {
        0
    };
    let mut items = Vec::with_capacity(page.limit.min(known.len()));
    for (id, entry) in known.into_iter().skip(skipped).take(page.limit) {
        items.push(match entry {
            Some(entry) => explanation(&cx, &app, &message, &entry.endpoint, Is::There).await?,
            None => {
                let gone = endpoint::deleted(&app, id, String::new());
                explanation(&cx, &app, &message, &gone, Is::Deleted).await?
            }
        });
    }
    let rows = Rows {
        items,
        more: entries.more || deliveries.more || beyond > 0,
    };
    Reply::ok(&ListResponse::new(rows, |row| row.endpoint_id.to_string(), |row| row))
}

/// The message with its payload, where one of these endpoints has a filter that looks into it.
async fn with_payload(
    cx: &Context,
    app: &App,
    message: Message,
    entries: impl IntoIterator<Item = &Arc<EndpointEntry>>,
) -> Result<Message, ApiError> {
    if !entries.into_iter().any(|entry| entry.filter().is_some()) {
        return Ok(message);
    }
    let whole = cx.server.store.message(app.id, message.id, true).await?;
    Ok(whole.unwrap_or(message))
}

/// What the message, with its payload where the endpoint has a filter, has to do with one endpoint.
async fn explanation(
    cx: &Context,
    app: &App,
    message: &Message,
    endpoint: &Endpoint,
    is: Is,
) -> Result<ExplanationOut, ApiError> {
    let (store, id) = (&cx.server.store, message.id);
    // The page that begins with this endpoint's delivery, if there is one.
    let start = Start::After(endpoint.id.number().saturating_sub(1));
    let rows = store
        .deliveries(
            app.id,
            id,
            Page {
                limit: 1,
                start,
                order: Order::Ascending,
            },
        )
        .await?;
    let delivery = rows.items.into_iter().next().filter(|row| row.endpoint == endpoint.id);
    let delivery = delivery.map(|row| match is {
        Is::There => row,
        Is::Deleted => DeliveryRow {
            state: once_deleted(row.state),
            ..row
        },
    });
    let last = last_attempt(cx, app, id, endpoint.id).await?;
    let line = match (is, delivery) {
        (Is::There, Some(delivery)) => line::line_of(cx, app, message, endpoint, &delivery).await?,
        _ => None,
    };
    let entry = cx.server.directory.endpoint_by_id(endpoint.id);
    let lane = entry.as_ref().map(|entry| entry.status());
    let filtered = entry.as_ref().and_then(|entry| entry.filtered(message));
    let head = line.as_ref().and_then(|line| line.head);
    let found = Found {
        message,
        endpoint,
        is,
        delivery,
        last: last.as_ref(),
        line: line.as_ref(),
        lane: lane.as_ref(),
        filtered: filtered.as_ref(),
        now: cx.server.directory.now(),
    };
    let (reason, summary, advice) = found.explain();
    let status = delivery.map(|row| Status(row.state));
    Ok(ExplanationOut {
        msg_id: id,
        endpoint_id: endpoint.id,
        matches: found.verdict() == Verdict::Matched,
        clauses: clauses::of(endpoint, message, filtered.as_ref()),
        reason,
        summary,
        advice,
        status,
        status_text: status.map(Status::text),
        attempts: delivery.map_or(0, |row| row.progress.tries),
        next_attempt: delivery
            .filter(|row| row.state == DeliveryState::Pending)
            .and_then(|row| row.next_at),
        last_attempt: last.map(|attempt| AttemptOut::of(attempt, true)),
        sequence: delivery.and_then(|row| row.sequence),
        waits_behind: head.filter(|head| head.message != id).map(Into::into),
    })
}
