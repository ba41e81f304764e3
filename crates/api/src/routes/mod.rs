//! The operations, one resource per file, mirroring the URL tree. A new resource is a file here and a row in [`all`].

mod application;
mod attempt;
mod authentication;
mod background_task;
mod endpoint;
mod environment;
mod event_type;
mod explain;
mod health;
mod ingest;
mod message;
mod node;
mod operational_webhook;
mod replay;
mod resend;
mod statistics;
mod tail;
mod token;

use crate::operation::{Operation, tagged};

/// Every operation there is.
pub(crate) fn all() -> Vec<Operation> {
    [
        tagged("Application", application::operations()),
        tagged("Authentication", authentication::operations()),
        tagged("Authentication", token::operations()),
        tagged("Background Task", background_task::operations()),
        tagged("Endpoint", endpoint::operations()),
        tagged("Endpoint", replay::operations()),
        tagged("Environment", environment::operations()),
        tagged("Event Type", event_type::operations()),
        tagged("Health", health::operations()),
        tagged("Ingest", ingest::operations()),
        tagged("Message", message::operations()),
        tagged("Message", tail::operations()),
        tagged("Message Attempt", attempt::operations()),
        tagged("Message Attempt", resend::operations()),
        tagged("Message Attempt", explain::operations()),
        tagged("Node", node::operations()),
        tagged("Operational Webhook", operational_webhook::operations()),
        tagged("Statistics", statistics::operations()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those of a server that takes no requests of users.
pub(crate) fn of_health() -> Vec<Operation> {
    tagged("Health", health::operations())
}
