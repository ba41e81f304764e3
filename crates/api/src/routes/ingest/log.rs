//! `…/source/{source_id}/log`: requests that were refused, and why.

use std::collections::BTreeMap;

use bellwire_core::{
    id::{Id as _, RefusedId, SourceId},
    time::Timestamp,
};
use bellwire_store::query::{Order, RefusedRequest};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    auth::Access,
    call::{Call, Reply},
    error::ApiError,
    field::Time,
    inbound,
    operation::{Operation, get},
    pagination::{ListQuery, ListResponse},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/ingest/api/v1/source/{source_id}/log",
            "v1.ingest.log.list",
            Access::READ,
        )
        .summary("List requests that a source refused, newest first")
        .about("The newest 500 are kept, without credentials and with the beginning of the body.")
        .to(list),
    ]
}

/// A request that was refused. The first members are named as clients know them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IngestLogOut")]
struct LogOut {
    #[schemars(with = "String")]
    id: RefusedId,
    #[schemars(with = "String")]
    source_id: SourceId,
    /// What it was answered.
    status_code: u16,
    /// Why, for people.
    error_text: String,
    /// Why, for programs: a stable name such as `mismatch` or `clock`.
    reason: String,
    /// Its headers, names in lower case, without credentials.
    headers: BTreeMap<String, String>,
    /// The beginning of its body, as text.
    payload: String,
    method: String,
    /// Path and query, without the token.
    target: String,
    /// Who connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// How many like it were not kept since the last that was, because there were too many.
    skipped: u64,
    #[schemars(with = "Time")]
    created_at: Timestamp,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

impl From<RefusedRequest> for LogOut {
    fn from(request: RefusedRequest) -> Self {
        Self {
            id: RefusedId::from_number(request.number),
            source_id: request.source,
            status_code: request.status,
            error_text: request.detail,
            reason: request.reason,
            headers: inbound::headers(&request.headers),
            payload: request.body,
            method: request.method,
            target: inbound::target(&request.target),
            peer: request.peer,
            skipped: request.skipped,
            created_at: request.at,
            updated_at: request.at,
        }
    }
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<LogOut>>, ApiError> {
    let source = cx.source()?;
    let page = query.page::<RefusedId>(Order::Descending)?;
    let rows = cx.server.store.refused(source.id, page).await?;
    let id = |request: &RefusedRequest| RefusedId::from_number(request.number).to_string();
    Reply::ok(&ListResponse::new(rows, id, LogOut::from))
}
