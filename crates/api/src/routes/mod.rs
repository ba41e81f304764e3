//! The operations, one resource per file, mirroring the URL tree. A new resource is a file here and a row in [`all`].

mod application;
mod attempt;
mod audit_log;
mod authentication;
mod background_task;
mod endpoint;
mod environment;
mod event_type;
mod explain;
mod health;
mod impact;
mod ingest;
mod message;
mod node;
mod operational_webhook;
mod problems;
mod replay;
mod resend;
mod scope;
mod search;
mod statistics;
mod tail;
mod token;
mod verify;

use crate::operation::{Operation, tagged};

/// Every operation there is.
pub(crate) fn all() -> Vec<Operation> {
    [
        tagged("Application", application::operations()),
        tagged("Audit Log", audit_log::operations()),
        tagged("Authentication", authentication::operations()),
        tagged("Authentication", token::operations()),
        tagged("Background Task", background_task::operations()),
        tagged("Endpoint", endpoint::operations()),
        tagged("Endpoint", replay::operations()),
        tagged("Environment", environment::operations()),
        tagged("Event Type", event_type::operations()),
        tagged("Health", health::operations()),
        tagged("Impact", impact::operations()),
        tagged("Ingest", ingest::operations()),
        tagged("Message", message::operations()),
        tagged("Message", tail::operations()),
        tagged("Message Attempt", attempt::operations()),
        tagged("Message Attempt", resend::operations()),
        tagged("Message Attempt", explain::operations()),
        tagged("Node", node::operations()),
        tagged("Operational Webhook", operational_webhook::operations()),
        tagged("Search", search::operations()),
        tagged("Statistics", statistics::operations()),
        tagged("Statistics", problems::operations()),
        tagged("Verify", verify::operations()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those of a server that takes no requests of users.
pub(crate) fn of_health() -> Vec<Operation> {
    tagged("Health", health::operations())
}
