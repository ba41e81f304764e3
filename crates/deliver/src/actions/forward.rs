//! The kind `forward`: what came in goes on, bytes and headers, signed anew where that is wanted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_action::{Compiled as _, forward::Settings};
use bellwire_core::{
    attempt::Failure,
    endpoint::Endpoint,
    sign::{keep, signature_header},
};
use hyper::{HeaderMap, Method, header::HeaderName};
use serde_json::Value;

use super::{
    client::{Call, Caller, answered, header_map, insert, judge},
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// Passes messages on.
struct ForwardAction {
    settings: Settings,
    caller: Caller,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    let caller = Caller::new(parts, endpoint, settings.url())?;
    Ok(Arc::new(ForwardAction { settings, caller }))
}

#[async_trait]
impl Executor for ForwardAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let mut headers = header_map(&plan.headers);
        let signature = if self.settings.sign() {
            sign(task, &mut headers)
        } else {
            String::new()
        };
        let call = Call {
            method: Method::POST,
            url: self.settings.url().to_owned(),
            headers,
            body: task.body.clone(),
        };
        let answer = self.caller.call(task, call).await?;
        let failure = judge(answer.status_code);
        Ok(Effect {
            signature: keep(&signature, std::iter::empty()),
            ..answered(task, answer, failure)
        })
    }

    fn sweep(&self, unused: Duration) {
        self.caller.sweep(unused);
    }
}

/// Signs with every key of the endpoint that is live (Standard Webhooks); answers what was signed with.
fn sign(task: &Task<'_>, headers: &mut HeaderMap) -> String {
    let endpoint = &task.endpoint.endpoint;
    let keys: Vec<_> = endpoint.live_keys(task.started_at).collect();
    let secs = task.started_at.secs();
    let signature = signature_header(&keys, task.event.id, secs, task.body);
    for (name, text) in [
        ("webhook-id", task.event.id),
        ("webhook-timestamp", &secs.to_string()),
        ("webhook-signature", &signature),
    ] {
        insert(headers, HeaderName::from_static(name), text);
    }
    signature
}
