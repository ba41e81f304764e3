//! `…/endpoint/{endpoint_id}/sequence`: the lines of an endpoint that keeps order, and what a person does about them.
//!
//! A receiver looks here for what it should have: the last number given and the last that succeeded, for each key.

use bellwire_core::{id::MessageId, order::check_key, time::Timestamp};
use bellwire_store::query::{LineHead, LineQuery, LineRow, Tending};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit,
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get, post},
    pagination::{Limit, ListResponse, key_of, mark},
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    let tend = |path, id| post(path, id, Access::APP).statuses(&[202]);
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/sequence",
            "list_endpoint_lines",
            Access::READ_APP,
        )
        .summary("List the lines of an endpoint that keeps order")
        .about("By their key: the last number given, the last that succeeded, how many wait and which is next. Lines can be walked one way only: \
             `prevIterator` stays null.")
        .to(list),
        tend(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/sequence/unblock",
            "unblock_endpoint_lines",
        )
        .summary("Try the first delivery of blocked lines again")
        .about("At once, with the whole retry schedule before it.")
        .to(unblock),
        tend(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/sequence/skip",
            "skip_endpoint_lines",
        )
        .summary("Let blocked lines go on without their first delivery")
        .about("It stays failed. The next one tells the receiver which number was the last that succeeded.")
        .to(skip),
        tend(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/sequence/discard",
            "discard_endpoint_lines",
        )
        .summary("Cancel everything that waits in lines")
        .about("What is under way is not stopped. The numbers go on behind what was cancelled.")
        .to(discard),
    ]
}

/// How a line stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointLineOut")]
struct LineOut {
    /// Its ordering key; empty when all deliveries of the endpoint form one line.
    key: String,
    /// The last number given.
    last: u64,
    /// The last number that succeeded; 0 when none did.
    succeeded: u64,
    /// How many wait, the first included.
    waiting: u64,
    /// The first; null when none waits.
    head: Option<LineHeadOut>,
}

/// The first delivery of a line.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointLineHeadOut")]
pub(in crate::routes) struct LineHeadOut {
    #[schemars(with = "String")]
    msg_id: MessageId,
    sequence: u64,
    /// It was given up, and the line waits for a person.
    blocked: bool,
    /// When it is tried; null when it is blocked, or waits for deliveries that were accepted before the endpoint's order was
    /// changed.
    #[schemars(with = "Option<Time>")]
    next_attempt: Option<Timestamp>,
}

impl From<LineHead> for LineHeadOut {
    fn from(head: LineHead) -> Self {
        Self {
            msg_id: head.message,
            sequence: head.sequence,
            blocked: head.blocked,
            next_attempt: head.next_at,
        }
    }
}

impl From<LineRow> for LineOut {
    fn from(row: LineRow) -> Self {
        Self {
            key: row.key,
            last: row.last,
            succeeded: row.succeeded,
            waiting: row.waiting,
            head: row.head.map(Into::into),
        }
    }
}

/// Which lines are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct LinesQuery {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` of another page.
    iterator: Option<String>,
    /// Only the line of this ordering key.
    key: Option<String>,
    /// Only lines that wait for a person.
    blocked: Option<bool>,
}

impl LinesQuery {
    fn into_query(self) -> Result<LineQuery, ApiError> {
        Ok(LineQuery {
            key: self.key,
            blocked: self.blocked.unwrap_or(false),
            after: self.iterator.as_deref().map(key_of).transpose()?,
            limit: self.limit.rows(),
        })
    }
}

async fn list(Call { cx, query, .. }: Call<LinesQuery>) -> Result<Reply<ListResponse<LineOut>>, ApiError> {
    let app = cx.app()?;
    let endpoint = cx.endpoint(&app)?.endpoint.id;
    let rows = cx.server.store.lines(endpoint, query.into_query()?).await?;
    Reply::ok(&ListResponse::one_way(rows, |row| mark(&row.key), LineOut::from))
}

/// Which lines are meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EndpointLinesIn")]
struct LinesIn {
    /// The line of this ordering key; all lines of the endpoint when it is left out.
    key: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointLinesChangedOut")]
struct ChangedOut {
    /// How many deliveries were changed.
    changed: u64,
}

async fn unblock(Call { cx, body, .. }: Call<NoQuery, LinesIn>) -> Result<Reply<ChangedOut>, ApiError> {
    let now = cx.server.directory.now();
    tend(&cx, body, Tending::Unblock(now)).await
}

async fn skip(Call { cx, body, .. }: Call<NoQuery, LinesIn>) -> Result<Reply<ChangedOut>, ApiError> {
    tend(&cx, body, Tending::Skip).await
}

async fn discard(Call { cx, body, .. }: Call<NoQuery, LinesIn>) -> Result<Reply<ChangedOut>, ApiError> {
    tend(&cx, body, Tending::Discard).await
}

async fn tend(cx: &Context, lines: LinesIn, tending: Tending) -> Result<Reply<ChangedOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let endpoint = entry.endpoint.id;
    // The empty key is that of an endpoint's only line.
    if let Some(key) = lines.key.as_deref().filter(|key| !key.is_empty()) {
        check_key(key).map_err(|error| ApiError::invalid(Problem::body(["key"], error.to_string())))?;
    }
    cx.note(app.id, vec![audit::endpoint(&entry.endpoint)]).await?;
    let changed = cx.server.store.tend_line(endpoint, lines.key, tending).await?;
    Reply::ok(&ChangedOut { changed })
}
