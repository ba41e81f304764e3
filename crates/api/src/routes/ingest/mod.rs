//! `/ingest/api/v1/source`: where messages come in besides the API.
//!
//! A source has an application of its own: what comes in is messages of it, and its endpoints are what is done with them. So
//! messages, deliveries, attempts and explanations of a source are those of `/api/v1/app/{appId}`.
//!
//! Deliberately not here: receiving requests (`/in/…`), which is the listener's.

mod config;
mod dashboard;
mod endpoint;
mod kind;
mod listen;
mod log;
mod rules;
mod shown;
mod source;
mod stream;
mod token;

use crate::operation::Operation;

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = source::operations();
    operations.extend(endpoint::operations());
    operations.extend(log::operations());
    operations.extend(stream::operations());
    operations.extend(listen::operations());
    operations.extend(token::operations());
    operations.extend(dashboard::operations());
    operations
}
