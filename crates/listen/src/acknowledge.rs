//! What a provider takes for "received".

use crate::handshake::Answer;
use crate::provider::Provider;
use crate::request::{Request, Seen};

/// The answer to an event that is kept: 200, and what some providers want to read in it.
#[must_use]
pub fn acknowledge(provider: &Provider, request: &Request<'_>) -> Answer {
    let mut answer = Answer::text(200, provider.accepted);
    if provider.name == "adobe-sign" {
        // Adobe wants its client id back with every event, or takes the endpoint for gone.
        if let Ok(Some(id)) = Seen::new(*request).header("x-adobesign-clientid") {
            answer.headers.push(("x-adobesign-clientid".into(), id.to_owned()));
        }
    }
    answer
}
