//! The published `svix` crate against a running Bellwire; see `tests/sdk/README.md` for how to run it.

mod application;
mod attempt;
mod endpoint;
mod ingest;
mod message;
mod operations;
