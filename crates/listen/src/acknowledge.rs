//! What a provider takes for "received".

use crate::handshake::Answer;
use crate::provider::Provider;
use crate::request::{Request, Seen};

/// The answer to an event that is kept: 2xx, and what some providers want to read in it.
#[must_use]
pub fn acknowledge(provider: &Provider, request: &Request<'_>) -> Answer {
    let seen = Seen::new(*request);
    match provider.name {
        // Adobe wants its client id back with every event, or takes the endpoint for gone.
        "adobe-sign" => {
            let mut answer = Answer::text(200, provider.accepted);
            if let Ok(Some(id)) = seen.header("x-adobesign-clientid") {
                answer.headers.push(("x-adobesign-clientid".into(), id.to_owned()));
            }
            answer
        }
        // Discord wants 204 for webhook events; to interactions it wants another answer, which is not ours to give.
        "discord" if seen.json().is_some_and(|body| body.get("event").is_some()) => Answer::text(204, ""),
        _ => Answer::text(200, provider.accepted),
    }
}
