//! The API's operations, one file per resource as under `src/routes`, over a store in memory.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod harness;

mod application;
mod authorization;
mod docs;
mod endpoint;
mod event_type;
mod health;
mod idempotency;
mod ingest;
mod message;
mod order;
mod pressure;
mod robustness;
mod workflow;
