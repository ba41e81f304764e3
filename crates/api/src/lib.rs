//! The HTTP API of Bellwire: what the published SDKs speak, and what we add to it.
//!
//! The binary calls [`router`]; everything a request needs is in [`ApiState`]. The table of operations (`routes`) makes both the
//! router and the document of [`openapi`]. API, scheduler and background tasks never call each other: they meet in the store.
//!
//! Deliberately not here: listening and TLS, `/metrics`, the dashboard, and any SQL.

pub mod auth;
mod call;
mod docs;
mod door;
pub mod error;
mod extract;
mod fallback;
mod field;
mod idempotency;
mod inbound;
mod metrics;
mod openapi;
mod operation;
mod pagination;
mod payload_schema;
mod pressure;
mod problem;
mod query;
mod reply;
mod routes;
mod state;

use std::sync::Arc;

use axum::Router;

pub use door::Door;
pub use metrics::ApiMetrics;
pub use payload_schema::payload_check;
pub use pressure::PublishLimits;
pub use state::{ApiLimits, ApiState, CronCheck, SentHeaders};

/// Where the pages of error codes are served.
pub const DOCS_PATH: &str = "/docs/errors";

/// The routes of the API, its documentation included. Everything else under `/api` is answered with a JSON 404; other paths are
/// left to the caller.
pub fn router(state: ApiState) -> Router {
    open(state).0
}

/// The same, with the door in front: asked before a request is routed, it refuses what would be refused at less cost.
pub fn open(state: ApiState) -> (Router, Door) {
    let operations = routes::all();
    let docs = docs::router(&openapi::document(&operations), &state.docs_url);
    let fallback = fallback::router(&state.docs_url);
    let server = Arc::new(state::Server::new(state));
    let door = Door::new(&server, &operations);
    let router = operation::router(&server, operations).merge(docs).merge(fallback);
    (router, door)
}

/// The routes of a server that takes no requests of users: its health alone.
pub fn open_health(state: ApiState) -> (Router, Door) {
    let operations = routes::of_health();
    let fallback = fallback::router(&state.docs_url);
    let server = Arc::new(state::Server::new(state));
    let door = Door::new(&server, &operations);
    (operation::router(&server, operations).merge(fallback), door)
}

/// The OpenAPI 3.1 document of exactly the operations that [`router`] serves. Keys are in a stable order.
pub fn openapi() -> serde_json::Value {
    openapi::document(&routes::all())
}
