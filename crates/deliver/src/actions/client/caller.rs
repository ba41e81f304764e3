//! What endpoints have in common whose actions call one place: the connections there, and the form of a request.

use std::sync::Arc;

use bellwire_core::{
    address::{self, Target},
    attempt::{self, Failure},
    endpoint::Endpoint,
    hops,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    header::{HOST, HeaderName, HeaderValue, USER_AGENT},
};

use super::{Answer, Client, Place, judge};
use crate::actions::{
    dispatch::ActionParts,
    executor::{Effect, Task, Undone},
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Calls one place, again and again.
#[derive(Debug)]
pub(in crate::actions) struct Caller {
    client: Client,
    place: Place,
    user_agent: String,
}

/// One request.
#[derive(Debug)]
pub(in crate::actions) struct Call {
    pub method: Method,
    /// All of the URL; its host is the place's.
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

fn refused(detail: impl ToString) -> Failure {
    Failure {
        reason: "address_refused",
        detail: detail.to_string(),
    }
}

impl Caller {
    /// Calls the place of this URL as the endpoint may: the URL is judged now, the addresses behind it at each connection.
    pub fn new(parts: &Arc<ActionParts>, endpoint: &Endpoint, url: &str) -> Result<Self, Failure> {
        let client = parts.client(endpoint);
        let target = address::check_url(url, client.guard().policy()).map_err(refused)?;
        Ok(Self {
            client,
            place: Place::new(target),
            user_agent: parts.config.user_agent.clone(),
        })
    }

    /// Closes connections that were not used for so long.
    pub fn sweep(&self, unused: std::time::Duration) {
        self.place.sweep(unused);
    }

    /// Makes a request. Whatever the answer is, it is an answer.
    pub async fn call(&self, task: &Task<'_>, call: Call) -> Result<Answer, Undone> {
        let target = address::check_url(&call.url, self.client.guard().policy()).map_err(refused)?;
        let place = &self.place.target;
        if (target.scheme(), target.authority()) != (place.scheme(), place.authority()) {
            return Err(refused(format!(
                "the request leads to {target} and not to {place}; nothing was sent"
            ))
            .into());
        }
        let written = Written::new(&target, call, &self.user_agent, task)?;
        let request = |http2| written.request(http2);
        Ok(self
            .client
            .exchange(&self.place, &request, task.may_begin, &task.stages)
            .await?)
    }
}

/// A request that can be sent on a connection of either version.
struct Written {
    method: Method,
    path: Uri,
    absolute: Uri,
    host: HeaderValue,
    headers: HeaderMap,
    body: Bytes,
}

impl Written {
    fn new(target: &Target, call: Call, user_agent: &str, task: &Task<'_>) -> Result<Self, Failure> {
        let path = target.path_and_query();
        let uri = |text: &str| text.parse::<Uri>().map_err(refused);
        let mut headers = call.headers;
        if !headers.contains_key(USER_AGENT) {
            insert(&mut headers, USER_AGENT, user_agent);
        }
        let parent = task.message.traceparent.as_deref();
        let parent = parent.and_then(|parent| super::super::http::continue_trace(parent, fastrand::u64(1..)));
        if let Some(parent) = parent {
            headers.insert(TRACEPARENT, parent);
        }
        if let Some((name, value)) = hops::header(task.message) {
            insert(&mut headers, HeaderName::from_static(name), &value);
        }
        Ok(Self {
            method: call.method,
            path: uri(path)?,
            absolute: uri(&format!("{}://{}{path}", target.scheme().as_str(), target.authority()))?,
            host: HeaderValue::from_str(target.authority()).map_err(refused)?,
            headers,
            body: call.body,
        })
    }

    fn request(&self, http2: bool) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if http2 {
            *request.uri_mut() = self.absolute.clone();
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.uri_mut() = self.path.clone();
            request.headers_mut().insert(HOST, self.host.clone());
        }
        request
    }
}

/// Sets a header, if the text can be one's value: plans see to it that it can.
pub(in crate::actions) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Headers from a plan. What came in with letters that no header may have does not go on.
pub(in crate::actions) fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(pairs.len() + 4);
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    headers
}

/// An answer as an effect, with what became of it.
pub(in crate::actions) fn answered(task: &Task<'_>, answer: Answer, failure: Option<Failure>) -> Effect {
    let now = task.started_at.plus(task.begun.elapsed());
    Effect {
        failure,
        status_code: answer.status_code,
        retry_after: answer.retry_after.and_then(|value| value.wait(now)),
        response: answer.excerpt,
        response_headers: answer.headers,
        ..Effect::default()
    }
}

/// Judges a status that is no success for the action. That what it asked for is gone does not mean that the endpoint is.
pub(in crate::actions) fn not_ok(status: u16, ok: &str) -> Failure {
    match judge(status) {
        Some(Failure { reason, detail }) if reason != attempt::GONE => Failure { reason, detail },
        Some(_) => Failure {
            reason: "status_4xx",
            detail: "410 was answered: what the request asks for is gone".to_owned(),
        },
        None => Failure {
            reason: "status_not_ok",
            detail: format!("{status} was answered, and the action's `ok` says {ok}"),
        },
    }
}
