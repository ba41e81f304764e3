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
    id::{AppId, Id as _, MessageId, first_number_at},
    message::Message,
};
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
             base64; its id is the message's. Connect again with `Last-Event-ID`, and nothing is missed. What the source's \
             endpoints do is not touched by it.",
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
        app: source.app,
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
    app: AppId,
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
                "id: {}\nevent: listening\ndata: {{}}\n\n",
                MessageId::from_number(self.behind)
            ),
            Some(said) => self.wait(said).await?,
        };
        self.said = Some(Instant::now());
        Some(frame)
    }

    async fn wait(&mut self, said: Instant) -> Option<String> {
        while self.server.ready.load(Ordering::Relaxed) {
            // Watched before it is asked: what comes in between is told.
            self.events = self.server.feed.watch();
            if let Some(message) = self.take().await? {
                return Some(frame(&message));
            }
            let asked = Instant::now();
            while asked.elapsed() < ASK && self.server.ready.load(Ordering::Relaxed) {
                match tokio::time::timeout(LOOK, self.events.recv()).await {
                    Ok(Ok(FeedEvent::Message { app, .. })) if app == self.app => break,
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
                .messages(self.app, MessageFilter::default(), page, true)
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
fn frame(message: &Message) -> String {
    format!("id: {}\nevent: message\ndata: {}\n\n", message.id, shown(message))
}

fn shown(message: &Message) -> Value {
    let inbound = message.inbound.as_deref();
    json!({
        "id": message.id,
        "eventType": message.event_type,
        "eventId": message.event_id,
        "timestamp": message.created_at,
        "method": inbound.map_or("POST", |inbound| inbound.method.as_str()),
        "target": inbound.map(|inbound| &inbound.target),
        "headers": inbound.map_or(&[][..], |inbound| &inbound.headers),
        "contentType": message.content_type,
        // Gone when it has expired.
        "body": message.payload.as_ref().map(|payload| STANDARD.encode(payload)),
    })
}

#[cfg(test)]
mod tests {
    use bellwire_core::{id::SourceId, source::Inbound, time::Timestamp};

    use super::*;

    #[test]
    fn a_message_is_shown_with_its_request_and_its_bytes() {
        let message = Message {
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
                headers: vec![("x-github-event".to_owned(), "push".to_owned())],
                peer: None,
                verdict: String::new(),
                note: None,
                item: None,
            })),
            created_at: Timestamp::from_secs(1_766_000_000),
        };
        let text = frame(&message);
        assert_eq!(text.lines().count(), 4, "{text}");
        let data = text.lines().nth(2).unwrap().strip_prefix("data: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        let body = STANDARD.decode(data["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, message.payload.as_deref().unwrap());
        assert_eq!(data["headers"], json!([["x-github-event", "push"]]));
        assert_eq!(
            (&data["method"], &data["target"]),
            (&json!("POST"), &json!("/in/deploy?x=1"))
        );
    }
}
