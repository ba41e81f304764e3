//! The kind `http`: a request made from the message. (The signed POST of an endpoint without settings is [`super::http`].)

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwire_action::{
    Compiled as _,
    http::{Credentials, Settings},
};
use bellwire_core::{attempt::Failure, endpoint::Endpoint};
use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use super::{
    client::{Call, Caller, answered, header_map, insert, not_ok},
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// Makes requests.
struct RequestAction {
    settings: Settings,
    caller: Caller,
    /// Whether attempts show the URL that was called, and not only what stands for it.
    shows_url: bool,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    let caller = Caller::new(parts, endpoint, settings.url())?;
    let hidden = endpoint.action.hidden.iter();
    Ok(Arc::new(RequestAction {
        settings,
        caller,
        shows_url: !hidden
            .into_iter()
            .any(|pointer| pointer == "/url" || pointer == "/path"),
    }))
}

#[async_trait]
impl Executor for RequestAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let mut headers = header_map(&plan.headers);
        if let Some(content_type) = &plan.content_type {
            insert(&mut headers, CONTENT_TYPE, content_type);
        }
        if let Some(credentials) = self.settings.credentials() {
            authorize(&mut headers, credentials);
        }
        let body = match (plan.body, plan.content_type) {
            (Some(body), _) => Bytes::from(body),
            (None, Some(_)) => task.body.clone(),
            (None, None) => Bytes::new(),
        };
        let shown = plan.url.split('?').next().unwrap_or_default().to_owned();
        let call = Call {
            method: Method::from_bytes(plan.method.as_bytes()).unwrap_or(Method::POST),
            url: plan.url,
            headers,
            body,
        };
        let answer = self.caller.call(task, call).await?;
        let status = answer.status_code;
        let failure = (!self.settings.is_ok(status)).then(|| not_ok(status, &self.settings.ok()));
        Ok(Effect {
            url: self.shows_url.then_some(shown),
            ..answered(task, answer, failure)
        })
    }

    fn sweep(&self, unused: Duration) {
        self.caller.sweep(unused);
    }
}

fn authorize(headers: &mut HeaderMap, credentials: &Credentials) {
    let text = match credentials {
        Credentials::Bearer(token) => format!("Bearer {}", token.expose()),
        Credentials::Basic(basic) => {
            let pair = format!("{}:{}", basic.user, basic.pass.expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
    };
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}
