//! The servers that share a store: who takes part, and who serves what.

use bellwire_core::time::Timestamp;
use bellwire_store::query::NodeRow;
use schemars::JsonSchema;
use serde::Serialize;

use super::token;
use crate::{
    auth::Access,
    call::{Call, Reply},
    error::{ApiError, INSUFFICIENT_ACCESS},
    field::Time,
    operation::{Operation, get},
    pagination::ListResponse,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/node", "node.list", Access::ADMIN)
            .summary("List the servers that share the store")
            .about(
                "For admins of the default environment. Each serves its share of the endpoints, which are divided into 1,024 \
                 shards. Empty where a store is one server's alone.",
            )
            .to(list),
    ]
}

/// A server that takes part.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NodeOut {
    /// Its number: a part of the ids that it makes. The first that is free is given out again.
    number: u16,
    /// How often the number was given out: what a server sends that had it before is refused.
    epoch: u64,
    /// What it does: `all`, `api` or `worker`.
    role: String,
    /// Its machine's name and its port.
    host: String,
    /// Since when it takes part.
    #[schemars(with = "Time")]
    since: Timestamp,
    /// When it last said that it is alive.
    #[schemars(with = "Time")]
    seen_at: Timestamp,
    /// How many shards it serves.
    shards: u32,
    /// The version of the configuration that is in force there.
    version: u64,
    /// Whether it does what one server does for all: schedules, monitors, clean-up, background tasks.
    leads: bool,
    /// Whether it is the one that answers.
    answers: bool,
}

impl From<NodeRow> for NodeOut {
    fn from(row: NodeRow) -> Self {
        Self {
            number: row.number,
            epoch: row.epoch,
            role: row.role.name().to_owned(),
            host: row.host,
            since: row.since,
            seen_at: row.seen_at,
            shards: row.shards,
            version: row.version,
            leads: row.leads,
            answers: row.is_self,
        }
    }
}

async fn list(Call { cx, .. }: Call) -> Result<Reply<ListResponse<NodeOut>>, ApiError> {
    if !token::is_operator(&cx, cx.caller()?) {
        let detail = "only admins of the default environment may see the servers; use such a token";
        return Err(ApiError::new(&INSUFFICIENT_ACCESS, detail));
    }
    let nodes = cx.server.store.nodes().await?;
    Reply::ok(&ListResponse {
        data: nodes.into_iter().map(NodeOut::from).collect(),
        iterator: None,
        prev_iterator: None,
        done: true,
    })
}
