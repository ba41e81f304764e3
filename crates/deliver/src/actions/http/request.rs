//! Makes the request: what is the same for every attempt at an endpoint is prepared once.

use bellwire_core::{
    address::{self, AddressPolicy, Target},
    attempt::Failure,
    endpoint::Endpoint,
    time::Timestamp,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};

use crate::{action::Order, config::DeliverConfig};

const WEBHOOK: [HeaderName; 3] = [
    HeaderName::from_static("webhook-id"),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];
const SVIX: [HeaderName; 3] = [
    HeaderName::from_static("svix-id"),
    HeaderName::from_static("svix-timestamp"),
    HeaderName::from_static("svix-signature"),
];
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is the same for every attempt at one version of an endpoint.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The version of the endpoint it was made from.
    pub version: Timestamp,
    /// Where to connect.
    pub target: Target,
    path: Uri,
    absolute: Uri,
    headers: HeaderMap,
}

impl Prepared {
    /// Judges the URL again, under the policy in force now.
    pub fn new(endpoint: &Endpoint, policy: &AddressPolicy, config: &DeliverConfig) -> Result<Self, Failure> {
        let refused = |detail: String| Failure {
            reason: "address_refused",
            detail,
        };
        let target = address::check_url(&endpoint.url, policy).map_err(|error| refused(error.to_string()))?;
        let uri = |text: String| {
            text.parse::<Uri>()
                .map_err(|error| refused(format!("endpoint URL cannot be called: {error}")))
        };
        let path = uri(target.path_and_query().to_owned())?;
        let absolute = uri(format!(
            "{}://{}{}",
            target.scheme().as_str(),
            target.authority(),
            target.path_and_query()
        ))?;
        let mut headers = HeaderMap::with_capacity(12 + endpoint.headers.len());
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Failure {
                reason: "header_invalid",
                detail: format!("`{text}` cannot be a header's value"),
            })
        };
        headers.insert(HOST, value(target.authority())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, value(&config.user_agent)?);
        for (name, text) in &endpoint.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Failure {
                reason: "header_invalid",
                detail: format!("`{name}` cannot be a header's name"),
            })?;
            let value = HeaderValue::from_str(text).map_err(|_| Failure {
                reason: "header_invalid",
                detail: format!("the value of the endpoint's header `{name}` cannot be sent"),
            })?;
            headers.insert(name, value);
        }
        Ok(Self {
            version: endpoint.updated_at,
            target,
            path,
            absolute,
            headers,
        })
    }
}

/// The request of one attempt.
pub(super) fn build(
    order: &Order<'_>,
    prepared: &Prepared,
    signature: &str,
    config: &DeliverConfig,
    http2: bool,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(order.body.clone()));
    *request.method_mut() = Method::POST;
    let mut headers = prepared.headers.clone();
    if http2 {
        *request.uri_mut() = prepared.absolute.clone();
        *request.version_mut() = Version::HTTP_2;
        headers.remove(HOST);
    } else {
        *request.uri_mut() = prepared.path.clone();
    }
    let text = |text: String| HeaderValue::from_maybe_shared(Bytes::from(text)).ok();
    let values = [
        text(order.work.message.id.to_string()),
        text(order.started_at.secs().to_string()),
        text(signature.to_owned()),
    ];
    for (at, value) in values.into_iter().enumerate() {
        let Some(value) = value else { continue };
        if config.svix_headers {
            headers.insert(SVIX[at].clone(), value.clone());
        }
        headers.insert(WEBHOOK[at].clone(), value);
    }
    if let Some(value) = order
        .work
        .message
        .content_type
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok())
    {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Some(parent) = order
        .work
        .message
        .traceparent
        .as_deref()
        .and_then(|parent| continue_trace(parent, fastrand::u64(1..)))
    {
        headers.insert(TRACEPARENT, parent);
    }
    *request.headers_mut() = headers;
    request
}

/// The publisher's trace with a new span as its parent (W3C Trace Context section 3.2.2).
fn continue_trace(parent: &str, span: u64) -> Option<HeaderValue> {
    let mut parts = parent.split('-');
    let (version, trace, _, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    HeaderValue::from_str(&format!("{version}-{trace}-{span:016x}-{flags}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_under_a_new_span() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let continued = continue_trace(parent, 0x1234).unwrap();
        assert_eq!(continued, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000001234-01");
        assert_eq!(continue_trace("nonsense", 1), None);
    }
}
