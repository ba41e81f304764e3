//! The kind `chat`: a text in a channel.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_action::{
    Compiled as _,
    chat::{Service, Settings, Verdict},
};
use bellwire_core::{attempt::Failure, endpoint::Endpoint};
use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use super::{
    client::{Call, Caller, answered, not_ok},
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// Says things.
struct ChatAction {
    settings: Settings,
    caller: Caller,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    let caller = Caller::new(parts, endpoint, settings.url().expose())?;
    Ok(Arc::new(ChatAction { settings, caller }))
}

#[async_trait]
impl Executor for ChatAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let call = Call {
            method: Method::POST,
            url: self.settings.url().expose().to_owned(),
            headers,
            body: Bytes::from(plan.body.to_string()),
        };
        let answer = self.caller.call(task, call).await?;
        let service = self.settings.service();
        let Verdict { refused, retry_after } = service.judge(answer.status_code, &answer.excerpt);
        let failure = refused.map(|said| failure(service, answer.status_code, &said));
        let effect = answered(task, answer, failure);
        Ok(Effect {
            retry_after: retry_after.max(effect.retry_after),
            ..effect
        })
    }

    fn sweep(&self, unused: Duration) {
        self.caller.sweep(unused);
    }
}

/// A refusal in the service's own words; what every server may answer is named as it always is.
fn failure(service: Service, status: u16, said: &str) -> Failure {
    match status {
        200..=299 | 400 | 403 | 404 | 410 => Failure {
            reason: "chat_refused",
            detail: format!("{} answered {status}: {said}", service.name()),
        },
        other => not_ok(other, "2xx"),
    }
}
