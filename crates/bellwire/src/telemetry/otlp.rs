//! Traces: accepted messages and attempts as spans, sent to an OpenTelemetry collector as OTLP/HTTP JSON.
//!
//! An exporter of our own, because the official one brings a second HTTP client, a protobuf compiler's output and global
//! state, for two kinds of spans and one request. It watches the live feed, whose buffer is its bounded queue: when the
//! collector is slow, spans are lost and counted, and nothing else notices. Spans of a message belong to the publisher's trace
//! when the message came with a `traceparent` (W3C Trace Context), otherwise to one named by the message's id.
//!
//! Plain HTTP only, to a collector on the operator's own network: the address is the operator's choice and not judged.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bellwire_core::{
    id::{AppId, MessageId},
    time::Timestamp,
};
use bellwire_store::{
    Store,
    feed::{Feed, FeedEvent},
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Spans in one request.
const BATCH: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(2);
/// For one request to the collector.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends traces.
pub struct Exporter {
    url: String,
    agent: ureq::Agent,
    feed: Arc<Feed>,
    store: Arc<dyn Store>,
}

/// Which trace a message's spans belong to, and under which span of the publisher's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trace {
    id: String,
    parent: Option<String>,
    /// The publisher wants to see it.
    sampled: bool,
}

impl Exporter {
    /// An exporter to the collector with this base URL.
    pub fn new(base: &url::Url, feed: Arc<Feed>, store: Arc<dyn Store>) -> Self {
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        let url = format!("{}/v1/traces", base.as_str().trim_end_matches('/'));
        Self {
            url,
            agent: config.build().into(),
            feed,
            store,
        }
    }

    /// Exports until stopped, and then what has gathered.
    pub async fn run(&self, stop: CancellationToken) {
        let mut events = self.feed.watch();
        loop {
            let stopping = stop.is_cancelled();
            let Gathered {
                batch,
                mut lost,
                closed,
            } = gather(&mut events, &stop).await;
            lost += self.export(&batch).await;
            if lost > 0 {
                let collector = &self.url;
                tracing::warn!(
                    lost,
                    collector,
                    "traces were lost: the collector is slow or cannot be reached"
                );
            }
            if closed || (stopping && batch.len() < BATCH) {
                return;
            }
        }
    }

    /// Sends a batch; answers how many spans were lost.
    async fn export(&self, batch: &[FeedEvent]) -> u64 {
        let traces = self.traces(batch).await;
        let spans: Vec<_> = batch
            .iter()
            .filter_map(|event| span(event, traces.get(&message_of(event).1)?, fastrand::u64(1..)))
            .collect();
        if spans.is_empty() {
            return 0;
        }
        let (agent, url, count) = (self.agent.clone(), self.url.clone(), spans.len() as u64);
        let body = request(&spans).to_string();
        let sent = tokio::task::spawn_blocking(move || {
            agent
                .post(&url)
                .header("content-type", "application/json")
                .send(body.as_bytes())
                .map(|_| ())
        });
        match sent.await {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the collector took no traces");
                count
            }
            Err(_) => count,
        }
    }

    /// The traces of the messages in a batch: one look-up for each message.
    async fn traces(&self, batch: &[FeedEvent]) -> HashMap<MessageId, Trace> {
        let mut traces = HashMap::new();
        for event in batch {
            let (app, id) = message_of(event);
            if traces.contains_key(&id) {
                continue;
            }
            let message = self.store.message(app, id, false).await.ok().flatten();
            let trace = trace(id, message.as_ref().and_then(|message| message.traceparent.as_deref()));
            traces.insert(id, trace);
        }
        traces
    }
}

/// What came from the feed.
#[derive(Default)]
struct Gathered {
    batch: Vec<FeedEvent>,
    /// Events that the feed's buffer could not hold.
    lost: u64,
    /// Nothing will come any more.
    closed: bool,
}

/// Waits for events until there are enough for a batch, or the first one has waited long enough. When it is stopped, only
/// takes what is there.
async fn gather(events: &mut Receiver<FeedEvent>, stop: &CancellationToken) -> Gathered {
    let mut gathered = Gathered::default();
    let mut deadline = None;
    while gathered.batch.len() < BATCH {
        let event = match events.try_recv() {
            Ok(event) => Ok(event),
            Err(TryRecvError::Empty) if stop.is_cancelled() => break,
            Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => tokio::select! {
                event = events.recv() => event,
                () = stop.cancelled() => break,
                () = until(deadline) => break,
            },
        };
        match event {
            Ok(event) => {
                deadline.get_or_insert_with(|| Instant::now() + GATHER);
                gathered.batch.push(event);
            }
            Err(RecvError::Lagged(missed)) => gathered.lost += missed,
            Err(RecvError::Closed) => {
                gathered.closed = true;
                break;
            }
        }
    }
    gathered
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn message_of(event: &FeedEvent) -> (AppId, MessageId) {
    match event {
        FeedEvent::Message { app, id, .. } => (*app, *id),
        FeedEvent::Attempt { app, message, .. } => (*app, *message),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names for a message's own trace and its first span.
fn names(id: MessageId) -> (String, String) {
    let hash = digest(&SHA256, id.to_string().as_bytes());
    let hash = hash.as_ref();
    (hex(&hash[..16]), hex(&hash[16..24]))
}

/// The trace that a message belongs to. A `traceparent` is `version-trace-parent-flags` in hexadecimal digits.
fn trace(id: MessageId, traceparent: Option<&str>) -> Trace {
    let given = traceparent.and_then(|text| {
        let mut parts = text.split('-').skip(1);
        let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace.len() == 32 && parent.len() == 16).then(|| Trace {
            id: trace.to_owned(),
            parent: Some(parent.to_owned()),
            sampled,
        })
    });
    given.unwrap_or_else(|| Trace {
        id: names(id).0,
        parent: None,
        sampled: true,
    })
}

fn nanos(at: Timestamp) -> String {
    (i128::from(at.micros()) * 1_000).to_string()
}

fn attribute(key: &str, value: impl ToString) -> Value {
    json!({ "key": key, "value": { "stringValue": value.to_string() } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// The span of an event; nothing when its trace is not sampled. `id` names an attempt's span.
fn span(event: &FeedEvent, trace: &Trace, id: u64) -> Option<Value> {
    const PRODUCER: u8 = 4;
    const CLIENT: u8 = 3;
    if !trace.sampled {
        return None;
    }
    let first = names(message_of(event).1).1;
    let span = match event {
        FeedEvent::Message {
            environment,
            app,
            id,
            event_type,
            endpoints,
            at,
        } => json!({
            "traceId": trace.id,
            "spanId": first,
            "parentSpanId": trace.parent.as_deref().unwrap_or_default(),
            "name": "accept",
            "kind": PRODUCER,
            "startTimeUnixNano": nanos(*at),
            "endTimeUnixNano": nanos(*at),
            "attributes": [
                attribute("bellwire.environment", environment),
                attribute("bellwire.app", app),
                attribute("bellwire.message", id),
                attribute("bellwire.event_type", event_type),
                number("bellwire.endpoints", *endpoints as u64),
            ],
        }),
        FeedEvent::Attempt {
            environment,
            app,
            message,
            event_type,
            endpoint,
            number: nth,
            status_code,
            failure,
            duration_ms,
            at,
            ..
        } => {
            let mut attributes = vec![
                attribute("bellwire.environment", environment),
                attribute("bellwire.app", app),
                attribute("bellwire.message", message),
                attribute("bellwire.event_type", event_type),
                attribute("bellwire.endpoint", endpoint),
                number("bellwire.attempt", u64::from(*nth)),
            ];
            if *status_code > 0 {
                attributes.push(number("http.response.status_code", u64::from(*status_code)));
            }
            let status = failure.as_ref().map_or_else(
                || json!({}),
                |(reason, words)| {
                    attributes.push(attribute("error.type", reason));
                    json!({ "code": 2, "message": words })
                },
            );
            json!({
                "traceId": trace.id,
                "spanId": format!("{id:016x}"),
                "parentSpanId": first,
                "name": "attempt",
                "kind": CLIENT,
                "startTimeUnixNano": nanos(*at),
                "endTimeUnixNano": nanos(at.plus(Duration::from_millis(*duration_ms))),
                "attributes": attributes,
                "status": status,
            })
        }
    };
    Some(span)
}

fn request(spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", "bellwire"),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{ "scope": { "name": "bellwire" }, "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::{EndpointId, EnvironmentId, Id as _};

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn attempt(failure: Option<(&str, &str)>) -> FeedEvent {
        FeedEvent::Attempt {
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(2),
            message: MessageId::from_number(3),
            event_type: "invoice.paid".to_owned(),
            endpoint: EndpointId::from_number(4),
            number: 2,
            status_code: 503,
            failure: failure.map(|(reason, words)| (reason.to_owned(), words.to_owned())),
            next_at: None,
            duration_ms: 20,
            at: NOON,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_gather_for_a_while_and_when_stopping_nothing_that_is_there_is_left() {
        let (feed, stop) = (Feed::default(), CancellationToken::new());
        let mut events = feed.watch();
        let began = Instant::now();
        feed.tell(|| attempt(None));
        feed.tell(|| attempt(None));
        assert_eq!(gather(&mut events, &stop).await.batch.len(), 2);
        assert_eq!(began.elapsed(), GATHER);
        for _ in 0..BATCH + 1 {
            feed.tell(|| attempt(None));
        }
        stop.cancel();
        assert_eq!(gather(&mut events, &stop).await.batch.len(), BATCH);
        assert_eq!(gather(&mut events, &stop).await.batch.len(), 1);
        assert_eq!(began.elapsed(), GATHER, "nobody waits when stopping");
        for _ in 0..5_000 {
            feed.tell(|| attempt(None));
        }
        let lagged = gather(&mut events, &stop).await;
        assert_eq!(lagged.lost, 5_000 - 4_096, "what the feed cannot hold is counted");
    }

    #[test]
    fn a_message_continues_the_publishers_trace_or_has_its_own() {
        let id = MessageId::from_number(3);
        let given = trace(id, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert_eq!(given.id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            (given.parent.as_deref(), given.sampled),
            (Some("00f067aa0ba902b7"), true)
        );
        let own = trace(id, None);
        assert_eq!((own.id.len(), own.parent, own.sampled), (32, None, true));
        assert_eq!(trace(id, Some("nonsense")).id, own.id);
        let quiet = trace(id, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
        assert_eq!(span(&attempt(None), &quiet, 9), None);
    }

    #[test]
    fn an_attempt_is_a_client_span_below_its_messages_span() {
        let id = MessageId::from_number(3);
        let failed = span(
            &attempt(Some(("status_503", "the receiver answered 503"))),
            &trace(id, None),
            9,
        )
        .unwrap();
        assert_eq!(failed["parentSpanId"], names(id).1);
        assert_eq!(failed["spanId"], "0000000000000009");
        assert_eq!(failed["startTimeUnixNano"], "1766000000000000000");
        assert_eq!(failed["endTimeUnixNano"], "1766000000020000000");
        assert_eq!(failed["status"]["code"], 2);
        let attributes = failed["attributes"].as_array().unwrap();
        assert!(attributes.contains(&json!({ "key": "error.type", "value": { "stringValue": "status_503" } })));
        assert!(attributes.contains(&json!({ "key": "http.response.status_code", "value": { "intValue": "503" } })));
    }
}
