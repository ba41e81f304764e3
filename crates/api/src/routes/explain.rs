//! Why did this endpoint (not) get this message? The answer in words, with what to do about it.
//!
//! This is the asking; the explanation itself is in [`words`].

mod words;

use bellwire_core::{
    app::App,
    delivery::DeliveryState,
    endpoint::Endpoint,
    id::{EndpointId, Id as _, MessageId},
    message::Message,
    route::Verdict,
    time::Timestamp,
};
use bellwire_store::query::{AttemptFilter, Order, Page, Rows, Start};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::words::{Found, Reason};
use super::attempt::{
    AttemptOut,
    status::{Status, StatusText},
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
        .about("One explanation for each endpoint that the application has now.")
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
}

async fn explain(Call { cx, .. }: Call) -> Result<Reply<ExplanationOut>, ApiError> {
    let app = cx.app()?;
    let message = super::message::find(&cx, &app, false).await?;
    let entry = cx.endpoint(&app)?;
    Reply::ok(&explanation(&cx, &app, &message, &entry.endpoint).await?)
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
    let entries = cx.server.directory.endpoints(app.id, page);
    let mut items = Vec::with_capacity(entries.items.len());
    for entry in &entries.items {
        items.push(explanation(&cx, &app, &message, &entry.endpoint).await?);
    }
    let rows = Rows {
        items,
        more: entries.more,
    };
    Reply::ok(&ListResponse::new(rows, |row| row.endpoint_id.to_string(), |row| row))
}

/// What the message has to do with one endpoint.
async fn explanation(
    cx: &Context,
    app: &App,
    message: &Message,
    endpoint: &Endpoint,
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
    let filter = AttemptFilter {
        endpoint: Some(endpoint.id),
        ..AttemptFilter::default()
    };
    let newest = Page {
        limit: 1,
        start: Start::First,
        order: Order::Descending,
    };
    let last = store
        .attempts_of_message(app.id, id, filter, newest)
        .await?
        .items
        .into_iter()
        .next();
    let last = last.map(|row| row.attempt);
    let found = Found {
        message,
        endpoint,
        delivery,
        last: last.as_ref(),
        now: cx.server.directory.now(),
    };
    let (reason, summary, advice) = found.explain();
    let status = delivery.map(|row| Status(row.state));
    Ok(ExplanationOut {
        msg_id: id,
        endpoint_id: endpoint.id,
        matches: found.verdict() == Verdict::Matched,
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
    })
}
