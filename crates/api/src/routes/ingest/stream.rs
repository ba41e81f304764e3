//! `…/source/{source_id}/stream`: how what a source puts in order stands, by key.

use bellwire_core::time::Timestamp;
use bellwire_store::query::{StreamQuery, StreamRow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit,
    auth::Access,
    call::{Call, Nothing, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, delete, get},
    pagination::{Limit, ListResponse, key_of, mark},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/ingest/api/v1/source/{source_id}/stream",
            "list_source_streams",
            Access::READ,
        )
        .summary("List the keys that a source keeps in order")
        .about(
            "For each: the last number or version that was accepted, what waits and until when, and the numbers that were \
             waited for in vain. Keys can be walked one way only: `prevIterator` stays null.",
        )
        .to(list),
        delete(
            "/ingest/api/v1/source/{source_id}/stream",
            "reset_source_stream",
            Access::ADMIN,
        )
        .summary("Let a key that a source keeps in order begin anew")
        .about(
            "For a number or version that was a mistake and makes all others stale. What waits for the key is accepted first, in \
             the order of its numbers; the next message of the key is its first then. What was kept as stale stays so: resend it \
             where it is still wanted.",
        )
        .to(reset),
    ]
}

/// Which key.
#[derive(Debug, Deserialize, JsonSchema)]
struct ResetQuery {
    /// The key.
    key: String,
}

/// Which keys are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct StreamsQuery {
    /// How many rows at most.
    #[serde(default)]
    limit: Limit,
    /// The `iterator` of another page.
    iterator: Option<String>,
    /// Only this key.
    key: Option<String>,
    /// Only keys for which something waits.
    held: Option<bool>,
}

/// How the messages of one key stand.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceStreamOut")]
struct StreamOut {
    key: String,
    /// The last number or version that was accepted; null when none was.
    last: Option<String>,
    /// How many wait for those before them.
    held: u64,
    /// When the first of those no longer waits.
    #[schemars(with = "Option<Time>")]
    until: Option<Timestamp>,
    /// Numbers that were waited for in vain; the newest hundred stretches.
    gaps: Vec<GapOut>,
}

/// A stretch of missing numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SourceGapOut")]
struct GapOut {
    first: u64,
    last: u64,
}

impl From<StreamRow> for StreamOut {
    fn from(row: StreamRow) -> Self {
        let gap = |(first, last)| GapOut { first, last };
        Self {
            key: row.key,
            last: row.last,
            held: row.held,
            until: row.until,
            gaps: row.gaps.into_iter().map(gap).collect(),
        }
    }
}

async fn list(Call { cx, query, .. }: Call<StreamsQuery>) -> Result<Reply<ListResponse<StreamOut>>, ApiError> {
    let wanted = StreamQuery {
        key: query.key,
        held: query.held.unwrap_or(false),
        after: query.iterator.as_deref().map(key_of).transpose()?,
        limit: query.limit.rows(),
    };
    let rows = cx.server.store.streams(cx.source()?.app, wanted).await?;
    Reply::ok(&ListResponse::one_way(rows, |row| mark(&row.key), StreamOut::from))
}

async fn reset(Call { cx, query, .. }: Call<ResetQuery>) -> Result<Reply<Nothing>, ApiError> {
    let source = cx.source()?;
    cx.note(source.app, vec![audit::source(&source)]).await?;
    let freed = cx.server.store.reset_stream(source.app, query.key.clone()).await?;
    let freed = freed.ok_or_else(|| ApiError::not_found("stream", &query.key))?;
    cx.server.feed.tell_freed(&freed, |_| Some(source.environment));
    Ok(Reply::nothing())
}
