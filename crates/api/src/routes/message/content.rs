//! `…/msg/{msg_id}/content` and `/raw`: the payload on its own.

use bellwire_core::id::MessageId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{
    find,
    shown::{Encoding, text_of},
};
use crate::{
    audit,
    auth::Access,
    call::{Call, Nothing, Reply},
    error::ApiError,
    operation::{Operation, delete, get, post},
    problem::Problem,
    query::NoQuery,
};

/// Most messages that one request expunges.
const BULK_MAX: usize = 250;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        delete(
            "/api/v1/app/{app_id}/msg/{msg_id}/content",
            "v1.message.expunge-content",
            Access::ADMIN,
        )
        .summary("Forget a message's payload")
        .about("What is still to be delivered cannot be delivered after this.")
        .to(expunge),
        post(
            "/api/v1/app/{app_id}/msg/bulk-expunge",
            "v1.message.bulk-expunge-content",
            Access::ADMIN,
        )
        .summary("Forget the payloads of several messages")
        .statuses(&[200])
        .to(bulk_expunge),
        get(
            "/api/v1/app/{app_id}/msg/{msg_id}/raw",
            "v1.message.get-raw-payload",
            Access::READ_APP,
        )
        .summary("Get a payload as the text that was published")
        .about("What is not UTF-8 is answered in base64, and `encoding` says so.")
        .to(raw),
    ]
}

async fn expunge(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    let id = cx.message_id(&app).await?;
    cx.note(app.id, vec![audit::message(id)]).await?;
    if cx.server.store.expunge_payload(app.id, id).await? {
        Ok(Reply::nothing())
    } else {
        Err(ApiError::not_found("message", cx.param("msg_id")))
    }
}

/// Which messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageBulkExpungeIn {
    /// Ids of messages, 1 to 250.
    ids: Vec<String>,
}

/// What became of each.
#[derive(Debug, Serialize, JsonSchema)]
struct MessageBulkExpungeOut {
    results: BTreeMap<String, Expunged>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Expunged {
    Expunged,
    NotFound,
}

async fn bulk_expunge(
    Call { cx, body, .. }: Call<NoQuery, MessageBulkExpungeIn>,
) -> Result<Reply<MessageBulkExpungeOut>, ApiError> {
    let app = cx.app()?;
    if !(1..=BULK_MAX).contains(&body.ids.len()) {
        let msg = format!("there are {} ids; give 1 to {BULK_MAX}", body.ids.len());
        return Err(ApiError::invalid(Problem::body(["ids"], msg)));
    }
    let about = body.ids.iter().filter_map(|id| id.parse().ok());
    cx.note(app.id, about.map(audit::message).collect()).await?;
    let mut results = BTreeMap::new();
    for id in body.ids {
        let done = match id.parse::<MessageId>() {
            Ok(id) => cx.server.store.expunge_payload(app.id, id).await?,
            Err(_) => false,
        };
        results.insert(id, if done { Expunged::Expunged } else { Expunged::NotFound });
    }
    Reply::ok(&MessageBulkExpungeOut { results })
}

/// A payload as text.
#[derive(Debug, Serialize, JsonSchema)]
struct MessageRawPayloadOut {
    /// Empty once it has expired or was expunged.
    payload: String,
    /// How it is to be read, when it is not the payload's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
}

async fn raw(Call { cx, .. }: Call) -> Result<Reply<MessageRawPayloadOut>, ApiError> {
    let app = cx.app()?;
    let message = find(&cx, &app, true).await?;
    let (payload, encoding) = message.payload.as_deref().map(text_of).unwrap_or_default();
    Reply::ok(&MessageRawPayloadOut { payload, encoding })
}
