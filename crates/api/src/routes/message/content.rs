//! `…/msg/{msg_id}/content` and `/raw`: the payload on its own.

use bellwire_core::id::MessageId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::find;
use crate::{
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
        .to(raw),
    ]
}

async fn expunge(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    let id = cx.message_id(&app).await?;
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
}

async fn raw(Call { cx, .. }: Call) -> Result<Reply<MessageRawPayloadOut>, ApiError> {
    let app = cx.app()?;
    let message = find(&cx, &app, true).await?;
    let payload = message
        .payload
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Reply::ok(&MessageRawPayloadOut {
        payload: payload.unwrap_or_default(),
    })
}
