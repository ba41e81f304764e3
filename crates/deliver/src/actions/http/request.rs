//! Makes the request: what is the same for every attempt at an endpoint is prepared once.

use bellwire_core::{
    address::{self, AddressPolicy},
    attempt::Failure,
    batch,
    endpoint::Endpoint,
    hops,
    sign::{http, keep, line},
    time::Timestamp,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};

use crate::{action::Order, actions::client::Place, config::DeliverConfig};

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
const ORDER: [HeaderName; 3] = [
    HeaderName::from_static(line::SEQUENCE),
    HeaderName::from_static(line::PREVIOUS_SEQUENCE),
    HeaderName::from_static(line::ORDERING_KEY),
];
const HTTP: [HeaderName; 3] = [
    HeaderName::from_static(http::CONTENT_DIGEST),
    HeaderName::from_static(http::SIGNATURE_INPUT),
    HeaderName::from_static(http::SIGNATURE),
];
/// What most letters are.
const JSON: &str = "application/json";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is the same for every attempt at one version of an endpoint.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The version of the endpoint it was made from.
    pub version: Timestamp,
    /// Where to connect, and the connections there.
    pub place: Place,
    path: Uri,
    absolute: Uri,
    /// The same as text: what is signed as `@target-uri`.
    target_uri: String,
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
        let target_uri = format!(
            "{}://{}{}",
            target.scheme().as_str(),
            target.authority(),
            target.path_and_query()
        );
        let absolute = uri(target_uri.clone())?;
        let mut headers = HeaderMap::with_capacity(12 + endpoint.headers.len());
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Failure {
                reason: "header_invalid",
                detail: format!("`{text}` cannot be a header's value"),
            })
        };
        headers.insert(HOST, value(target.authority())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
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
            place: Place::new(target),
            path,
            absolute,
            target_uri,
            headers,
        })
    }
}

/// What one attempt says, made once however many connections are tried.
#[derive(Debug)]
pub(super) struct Sealed {
    /// What is kept of the headers ([`keep`]).
    pub kept: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Sealed {
    /// The letter with its headers. `signature` is that of Standard Webhooks; HTTP message signatures are made here, because they
    /// cover where the request goes.
    pub fn new(order: &Order<'_>, signature: &str, prepared: &Prepared, config: &DeliverConfig) -> Self {
        let letter = &order.letter;
        let mut headers = Vec::with_capacity(12);
        set(&mut headers, &WEBHOOK[0], letter.id.clone());
        set(&mut headers, &WEBHOOK[1], order.started_at.secs().to_string());
        set(&mut headers, &WEBHOOK[2], signature.to_owned());
        if config.svix_headers {
            let branded = headers.iter().zip(SVIX).map(|((_, value), name)| (name, value.clone()));
            let branded: Vec<_> = branded.collect();
            headers.extend(branded);
        }
        if let Some(place) = letter.place {
            set(&mut headers, &ORDER[0], place.sequence.to_string());
            if let Some(previous) = place.previous {
                set(&mut headers, &ORDER[1], previous.to_string());
            }
            if !place.key.is_empty() {
                set(&mut headers, &ORDER[2], line::encode_key(&place.key).into_owned());
            }
        }
        // What cannot be a header's value leaves the one that was prepared.
        if letter.content_type != JSON {
            set(&mut headers, &CONTENT_TYPE, letter.content_type.to_owned());
        }
        for (name, text) in &letter.headers {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                set(&mut headers, &name, text.clone());
            }
        }
        let hops = order.works.iter().filter_map(|work| hops::header(&work.message));
        if let Some((name, value)) = hops.max_by_key(|(_, value)| value.len()) {
            set(&mut headers, &HeaderName::from_static(name), value);
        }
        if order.endpoint.endpoint.http_signatures {
            sign_request(&mut headers, order, prepared);
        }
        let kept = keep(signature, unusual(&headers, order));
        let parent = letter
            .traceparent
            .and_then(|parent| continue_trace(parent, fastrand::u64(1..)));
        headers.extend(parent.map(|parent| (TRACEPARENT, parent)));
        Self {
            kept,
            headers,
            body: letter.body.clone(),
        }
    }

    /// The request, for one connection.
    pub fn request(&self, prepared: &Prepared, http2: bool) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        let mut headers = prepared.headers.clone();
        if http2 {
            *request.uri_mut() = prepared.absolute.clone();
            *request.version_mut() = Version::HTTP_2;
            headers.remove(HOST);
        } else {
            *request.uri_mut() = prepared.path.clone();
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        *request.headers_mut() = headers;
        request
    }
}

fn set(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &HeaderName, text: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
        headers.push((name.clone(), value));
    }
}

/// The headers that nobody could tell from the message and the endpoint.
fn unusual<'a>(
    headers: &'a [(HeaderName, HeaderValue)],
    order: &Order<'_>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let batch = order.letter.id.starts_with(batch::ID_PREFIX);
    let is_unusual = move |name: &HeaderName| {
        ORDER.contains(name) || HTTP.contains(name) || (batch && (*name == WEBHOOK[0] || *name == CONTENT_TYPE))
    };
    headers
        .iter()
        .filter(move |(name, _)| is_unusual(name))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}

/// Adds the digest of the body and a signature by every key that is live, over the request as it is sent (RFC 9421, RFC 9530).
fn sign_request(headers: &mut Vec<(HeaderName, HeaderValue)>, order: &Order<'_>, prepared: &Prepared) {
    set(headers, &HTTP[0], http::content_digest(&order.letter.body));
    let endpoint = &order.endpoint.endpoint;
    let mut pairs: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE)
        && let Some(value) = prepared.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
    {
        pairs.push((CONTENT_TYPE.as_str(), value));
    }
    let request = http::Request {
        method: Method::POST.as_str(),
        target_uri: &prepared.target_uri,
        headers: &pairs,
    };
    let keys: Vec<_> = endpoint.live_keys(order.started_at).collect();
    let signed = http::sign(&request, &keys, &endpoint.id.to_string(), order.started_at.secs());
    // An empty header would be a signature by nobody.
    if !signed.input.is_empty() {
        set(headers, &HTTP[1], signed.input);
        set(headers, &HTTP[2], signed.signature);
    }
}

/// The publisher's trace with a new span as its parent (W3C Trace Context section 3.2.2).
pub(in crate::actions) fn continue_trace(parent: &str, span: u64) -> Option<HeaderValue> {
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
