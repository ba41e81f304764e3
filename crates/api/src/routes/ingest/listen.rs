//! `/ingest/api/v1/source/{source_id}/listen`: what comes in at a source, whole, as server-sent events (WHATWG HTML, section
//! 9.2): for a developer's machine, which no provider can reach.
//!
//! Unlike the tail it loses nothing: it reads the store, from where the listener says it is, and the live feed only says when
//! to look. It is a reader: what the source's endpoints do is not touched by it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Body as HttpBody;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwire_core::{
    id::{Id as _, MessageId, first_number_at},
    message::Message,
    source::Source,
};
use bellwire_listen::{Settings, Verifier, providers};
use bellwire_store::{
    feed::FeedEvent,
    query::{MessageFilter, Order, Page, Start},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use crate::{
    auth::Access,
    call::{Call, Nothing, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    problem::Problem,
    state::Server,
};

/// A comment is sent after so long without a message, so that nobody in between takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(15);
/// How soon a stream ends when the server stops.
const LOOK: Duration = Duration::from_secs(1);
/// How often the store is asked though the feed says nothing.
const ASK: Duration = Duration::from_secs(5);
/// Messages read at once.
const BATCH: usize = 20;
/// The forms that are trusted for what `Authorization` says.
const BY_AUTHORIZATION: [&str; 2] = ["basic", "jwt"];
/// What the names of headers have in them that hold a proof over a body, in lower case.
const SIGNATURES: [&str; 5] = ["signature", "hmac", "digest", "-sig", "content-md5"];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/ingest/api/v1/source/{source_id}/listen",
            "listen_to_source",
            Access::READ,
        )
        .summary("Receive what comes in at a source")
        .about(
            "A stream of server-sent events. Each `message` is one that came in, with its request's headers and its body in \
             base64; its id is the message's. One item of a request that brought several has none of the headers that sign the \
             whole. The first event, `listening`, names the headers that are credentials, so that nobody has them. Connect \
             again with `Last-Event-ID`, and nothing is missed. What the source's endpoints do is not touched by it.",
        )
        .to(listen),
    ]
}

/// Where to begin.
#[derive(Debug, Deserialize, JsonSchema)]
struct From {
    /// Behind this message. `Last-Event-ID` says the same, and counts for more.
    after: Option<String>,
    /// With what came in since then. Without it, and without `after`: with what comes in from now on.
    since: Option<Time>,
}

async fn listen(Call { cx, query, .. }: Call<From>) -> Result<Reply<Nothing>, ApiError> {
    let name = cx.param("source_id");
    let source = cx.server.directory.source(cx.environment()?, name);
    let source = source.ok_or_else(|| ApiError::not_found("source", name))?;
    let last = cx.headers.get("last-event-id").map(HeaderValue::to_str).transpose();
    let last = last.unwrap_or_default().map(str::to_owned).or(query.after);
    let behind = match (last, query.since) {
        (Some(id), _) => id
            .parse::<MessageId>()
            .map_err(|error| ApiError::invalid(Problem::query("after", error.to_string())))?
            .number(),
        (None, Some(Time(at))) => first_number_at(at).saturating_sub(1),
        (None, None) => first_number_at(cx.server.directory.now()).saturating_sub(1),
    };
    let arrivals = Arrivals {
        events: cx.server.feed.watch(),
        server: Arc::clone(&cx.server),
        source,
        behind,
        read: VecDeque::new(),
        said: None,
    };
    let frames = stream::unfold(arrivals, |mut arrivals| async move {
        let frame = arrivals.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), arrivals))
    });
    let mut response = Response::new(HttpBody::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some proxies hold answers back until they are long enough.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(Reply::raw(response))
}

/// One listener's stream.
struct Arrivals {
    events: Receiver<FeedEvent>,
    server: Arc<Server>,
    source: Arc<Source>,
    /// The number of the last message that was sent, or where it began.
    behind: u64,
    /// Read, and not sent yet.
    read: VecDeque<Message>,
    /// When something was last sent; `None` before the first line.
    said: Option<Instant>,
}

impl Arrivals {
    /// The next piece of the stream; `None` when it ends.
    async fn next(&mut self) -> Option<String> {
        let frame = match self.said {
            // With an id, so that who is cut off before the first message misses nothing either.
            None => format!(
                "id: {}\nevent: listening\ndata: {}\n\n",
                MessageId::from_number(self.behind),
                json!({ "withheld": withheld(&self.source) })
            ),
            Some(said) => self.wait(said).await?,
        };
        self.said = Some(Instant::now());
        Some(frame)
    }

    async fn wait(&mut self, said: Instant) -> Option<String> {
        while self.server.ready.load(Ordering::Relaxed) {
            // Whoever connects again is told that there is no such source.
            self.server.directory.source_by_id(self.source.id)?;
            // Watched before it is asked: what comes in between is told.
            self.events = self.server.feed.watch();
            if let Some(message) = self.take().await? {
                return Some(frame(&message, &self.source));
            }
            let asked = Instant::now();
            while asked.elapsed() < ASK && self.server.ready.load(Ordering::Relaxed) {
                match tokio::time::timeout(LOOK, self.events.recv()).await {
                    Ok(Ok(FeedEvent::Message { app, .. })) if app == self.source.app => break,
                    Ok(Ok(_)) | Err(_) => {}
                    Ok(Err(RecvError::Lagged(_))) => break,
                    Ok(Err(RecvError::Closed)) => return None,
                }
                if said.elapsed() >= ALIVE {
                    return Some(":\n\n".to_owned());
                }
            }
        }
        None
    }

    /// The next message, if there is one; the outer `None` when the store cannot be read: the listener comes again.
    async fn take(&mut self) -> Option<Option<Message>> {
        if self.read.is_empty() {
            let page = Page {
                limit: BATCH,
                start: Start::After(self.behind),
                order: Order::Ascending,
            };
            let rows = self
                .server
                .store
                .messages(self.source.app, MessageFilter::default(), page, true)
                .await;
            match rows {
                Ok(rows) => self.read.extend(rows.items),
                Err(error) => {
                    tracing::warn!(%error, "a listener's stream ends: what came in cannot be read");
                    return None;
                }
            }
        }
        let next = self.read.pop_front();
        if let Some(message) = &next {
            self.behind = message.id.number();
        }
        Some(next)
    }
}

/// A message on the wire.
fn frame(message: &Message, source: &Source) -> String {
    format!(
        "id: {}\nevent: message\ndata: {}\n\n",
        message.id,
        shown(message, source)
    )
}

/// The headers of such a source's requests that are credentials: they are not kept, so nobody can be given them.
fn withheld(source: &Source) -> Vec<String> {
    let mut settings = Settings::new();
    for (name, value) in source
        .settings
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
    {
        settings.add(name, value.as_str());
    }
    let verifier = providers::by_name(&source.kind)
        .ok()
        .and_then(|provider| Verifier::new(provider, settings).ok());
    let mut headers = verifier.map_or_else(Vec::new, |verifier| verifier.secret_headers());
    if BY_AUTHORIZATION.contains(&source.kind.as_str()) && headers.is_empty() {
        headers.push(header::AUTHORIZATION.as_str().to_owned());
    }
    headers
}

/// Whether a header signs the whole body of a request, by its name: what one item is no part of.
fn signs(name: &str, source: &Source) -> bool {
    let named = source.settings.get("header").into_iter().flatten();
    let mut own = named.map(|named| named.trim());
    own.any(|own| name.eq_ignore_ascii_case(own)) || SIGNATURES.iter().any(|part| name.contains(part))
}

fn shown(message: &Message, source: &Source) -> Value {
    let inbound = message.inbound.as_deref();
    let is_item = inbound.is_some_and(|inbound| inbound.item.is_some());
    let headers = inbound.map_or(&[][..], |inbound| &inbound.headers);
    let headers: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !(is_item && signs(name, source)))
        .collect();
    json!({
        "id": message.id,
        "eventType": message.event_type,
        "eventId": message.event_id,
        "timestamp": message.created_at,
        "method": inbound.map_or("POST", |inbound| inbound.method.as_str()),
        "target": inbound.map(|inbound| &inbound.target),
        "headers": headers,
        "item": inbound.and_then(|inbound| inbound.item.as_ref()).map(|item| item.index),
        "contentType": message.content_type,
        // Gone when it has expired.
        "body": message.payload.as_ref().map(|payload| STANDARD.encode(payload)),
    })
}

#[cfg(test)]
mod tests {
    use bellwire_core::{
        id::{AppId, EnvironmentId, SourceId},
        source::{Inbound, Item, SourceRules},
        time::Timestamp,
    };

    use super::*;

    fn source(kind: &str, settings: &[(&str, &str)]) -> Source {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
        Source {
            id: SourceId::from_number(1),
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(2),
            uid: None,
            name: String::new(),
            kind: kind.to_owned(),
            token: String::new(),
            former_tokens: Vec::new(),
            settings: settings.collect(),
            rules: SourceRules::default(),
            managed: false,
            metadata: Default::default(),
            created_at: Timestamp::MAX,
            updated_at: Timestamp::MAX,
        }
    }

    fn message(headers: &[(&str, &str)], item: Option<Item>) -> Message {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Message {
            id: MessageId::from_number(3),
            app: AppId::from_number(2),
            event_type: "push".to_owned(),
            event_id: Some("d-1".to_owned()),
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: None,
            payload: Some(Bytes::from_static(b"{\n \"a\": 1.0}\xff")),
            payload_expires_at: Timestamp::MAX,
            deliver_at: None,
            traceparent: None,
            content_type: Some("application/json".to_owned()),
            inbound: Some(Arc::new(Inbound {
                source: SourceId::from_number(1),
                method: "POST".to_owned(),
                target: "/in/deploy?x=1".to_owned(),
                headers: headers.collect(),
                peer: None,
                verdict: String::new(),
                note: None,
                item,
            })),
            created_at: Timestamp::from_secs(1_766_000_000),
        }
    }

    #[test]
    fn a_message_is_shown_with_its_request_and_its_bytes() {
        let message = message(
            &[("x-github-event", "push"), ("x-hub-signature-256", "sha256=00")],
            None,
        );
        let text = frame(&message, &source("github", &[]));
        assert_eq!(text.lines().count(), 4, "{text}");
        let data = text.lines().nth(2).unwrap().strip_prefix("data: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        let body = STANDARD.decode(data["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, message.payload.as_deref().unwrap());
        assert_eq!(
            (&data["headers"], &data["item"]),
            (
                &json!([["x-github-event", "push"], ["x-hub-signature-256", "sha256=00"]]),
                &Value::Null
            )
        );
        assert_eq!(
            (&data["method"], &data["target"]),
            (&json!("POST"), &json!("/in/deploy?x=1"))
        );
    }

    #[test]
    fn an_item_is_not_shown_under_the_signature_of_the_whole() {
        let item = Item {
            index: 1,
            count: 2,
            rest: None,
        };
        let headers = [
            ("x-hub-signature-256", "sha256=00"),
            ("x-proof", "00"),
            ("x-github-event", "push"),
        ];
        let data = shown(
            &message(&headers, Some(item)),
            &source("hmac", &[("header", "X-Proof")]),
        );
        assert_eq!(
            (&data["headers"], &data["item"]),
            (&json!([["x-github-event", "push"]]), &json!(1))
        );
    }

    #[test]
    fn headers_that_are_kept_nowhere_are_named() {
        for (source, named) in [
            (source("gitlab", &[("secret", "s")]), &["x-gitlab-token"][..]),
            (source("token", &[("secret", "s"), ("header", "X-Key")]), &["x-key"]),
            (source("bearer", &[("secret", "s")]), &["authorization"]),
            (source("github", &[("secret", "s")]), &[]),
            (source("cron", &[]), &[]),
        ] {
            assert_eq!(withheld(&source), named, "{}", source.kind);
        }
    }
}
