//! `/api/v1/tail`: what happens, as it happens, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A copy on the side: nothing waits for a watcher, and nothing is kept for one. A watcher who is too slow is told how much it
//! missed; one who comes back is not told what happened meanwhile.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Body as HttpBody;
use bellwire_core::{
    delivery::DeliveryState,
    id::{AppId, EndpointId},
    time::Timestamp,
};
use bellwire_store::{Directory, feed::FeedEvent};
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

use super::attempt::status::Status;
use crate::{
    auth::{Access, Caller},
    call::{Call, Nothing, Reply},
    error::ApiError,
    operation::{Operation, get},
    state::Server,
};

/// A comment is sent after so long without an event, so that nobody in between takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(15);
/// How soon a watcher's stream ends when the server stops.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/tail", "tail", Access::READ_APP)
            .summary("Watch messages and attempts live")
            .about(
                "A stream of server-sent events: `message`, `attempt`, and `missed` with the number of events that came too \
                 fast. The data of each is a JSON object.",
            )
            .to(tail),
    ]
}

/// What is watched.
#[derive(Debug, Deserialize, JsonSchema)]
struct Watched {
    /// Only this application: its id or uid.
    app: Option<String>,
    /// Only attempts at this endpoint: its id, or its uid when the application is named as well.
    endpoint: Option<String>,
    /// Only attempts that failed.
    failed: Option<bool>,
}

/// Which events a watcher is shown.
#[derive(Debug, Clone, Copy)]
struct Filter {
    caller: Caller,
    app: Option<AppId>,
    endpoint: Option<EndpointId>,
    failed: bool,
}

impl Filter {
    fn passes(&self, event: &FeedEvent) -> bool {
        match event {
            FeedEvent::Message { environment, app, .. } => {
                *environment == self.caller.environment
                    && self.app.is_none_or(|only| only == *app)
                    && self.endpoint.is_none()
                    && !self.failed
            }
            FeedEvent::Attempt {
                environment,
                app,
                endpoint,
                failure,
                ..
            } => {
                *environment == self.caller.environment
                    && self.app.is_none_or(|only| only == *app)
                    && self.endpoint.is_none_or(|only| only == *endpoint)
                    && (!self.failed || failure.is_some())
            }
        }
    }
}

async fn tail(Call { cx, query, .. }: Call<Watched>) -> Result<Reply<Nothing>, ApiError> {
    let caller = cx.caller()?;
    let directory = &cx.server.directory;
    let app = match &query.app {
        None => None,
        Some(name) => Some(
            cx.find_app(name)?
                .ok_or_else(|| ApiError::not_found("application", name))?
                .id,
        ),
    };
    let app = app.or(caller.app);
    let endpoint = query.endpoint.as_ref().map(|name| {
        let entry = match (app, name.parse()) {
            (Some(app), _) => directory.endpoint(app, name),
            (None, Ok(id)) => directory
                .endpoint_by_id(id)
                .filter(|entry| entry.environment == caller.environment),
            (None, Err(_)) => None,
        };
        entry
            .map(|entry| entry.endpoint.id)
            .ok_or_else(|| ApiError::not_found("endpoint", name))
    });
    let filter = Filter {
        caller,
        app,
        endpoint: endpoint.transpose()?,
        failed: query.failed == Some(true),
    };
    let watch = Watch {
        events: cx.server.feed.watch(),
        server: Arc::clone(&cx.server),
        filter,
        said: None,
    };
    let frames = stream::unfold(watch, |mut watch| async move {
        let frame = watch.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame)), watch))
    });
    let mut response = Response::new(HttpBody::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some proxies hold answers back until they are long enough.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(Reply::raw(response))
}

struct Watch {
    events: Receiver<FeedEvent>,
    server: Arc<Server>,
    filter: Filter,
    /// When something was last sent; `None` before the first line.
    said: Option<Instant>,
}

impl Watch {
    /// The next piece of the stream; `None` when it ends.
    async fn next(&mut self) -> Option<String> {
        let frame = match self.said {
            // At once, so that the watcher knows that it watches.
            None => ": watching\n\n".to_owned(),
            Some(said) => self.wait(said).await?,
        };
        self.said = Some(Instant::now());
        Some(frame)
    }

    async fn wait(&mut self, said: Instant) -> Option<String> {
        while self.server.ready.load(Ordering::Relaxed) {
            match tokio::time::timeout(LOOK, self.events.recv()).await {
                Ok(Ok(event)) if self.filter.passes(&event) => return Some(frame(&event, &self.server.directory)),
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(missed))) => {
                    return Some(format!("event: missed\ndata: {{\"count\":{missed}}}\n\n"));
                }
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => {}
            }
            if said.elapsed() >= ALIVE {
                return Some(":\n\n".to_owned());
            }
        }
        None
    }
}

/// An event on the wire.
fn frame(event: &FeedEvent, directory: &Directory) -> String {
    let uid = |app: AppId| directory.app_by_id(app).and_then(|app| app.uid.clone());
    let (kind, at, data) = match event {
        FeedEvent::Message { app, at, .. } => ("message", at, shown(event, uid(*app))),
        FeedEvent::Attempt { app, at, .. } => ("attempt", at, shown(event, uid(*app))),
    };
    wire(kind, *at, &data)
}

fn wire(kind: &str, at: Timestamp, data: &Value) -> String {
    format!("id: {}\nevent: {kind}\ndata: {data}\n\n", at.micros())
}

/// The data of an event.
fn shown(event: &FeedEvent, app_uid: Option<String>) -> Value {
    match event {
        FeedEvent::Message {
            app,
            id,
            event_type,
            endpoints,
            at,
            ..
        } => json!({
            "id": id, "appId": app, "appUid": app_uid, "eventType": event_type, "endpoints": endpoints, "timestamp": at,
        }),
        FeedEvent::Attempt {
            app,
            message,
            event_type,
            endpoint,
            number,
            status_code,
            failure,
            next_at,
            duration_ms,
            at,
            ..
        } => {
            let state = if failure.is_none() {
                DeliveryState::Succeeded
            } else {
                DeliveryState::Failed
            };
            let status = Status(state);
            let (reason, response) = failure.as_ref().map(|(reason, words)| (reason, words)).unzip();
            json!({
                "msgId": message, "appId": app, "appUid": app_uid, "eventType": event_type, "endpointId": endpoint,
                "attemptNumber": number, "status": status, "statusText": status.text(), "responseStatusCode": status_code,
                "responseDurationMs": duration_ms, "failure": reason, "response": response, "nextAttempt": next_at,
                "timestamp": at,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::{
        id::{EnvironmentId, Id as _, MessageId},
        token::Scope,
    };

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn attempt(failed: bool) -> FeedEvent {
        FeedEvent::Attempt {
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(2),
            message: MessageId::from_number(3),
            event_type: "a.b".to_owned(),
            endpoint: EndpointId::from_number(4),
            number: 2,
            status_code: if failed { 500 } else { 200 },
            failure: failed.then(|| ("status_500".to_owned(), "out of\nmemory".to_owned())),
            next_at: failed.then_some(NOON),
            duration_ms: 3,
            at: NOON,
        }
    }

    fn message() -> FeedEvent {
        FeedEvent::Message {
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(2),
            id: MessageId::from_number(3),
            event_type: "a.b".to_owned(),
            endpoints: 2,
            at: NOON,
        }
    }

    fn all() -> Filter {
        let caller = Caller {
            environment: EnvironmentId::from_number(1),
            scope: Scope::Read,
            app: None,
            token: None,
        };
        Filter {
            caller,
            app: None,
            endpoint: None,
            failed: false,
        }
    }

    #[test]
    fn a_watcher_sees_its_own_environment_and_what_it_asked_for() {
        assert!(all().passes(&message()) && all().passes(&attempt(false)));
        let other = Caller {
            environment: EnvironmentId::from_number(9),
            ..all().caller
        };
        assert!(!Filter { caller: other, ..all() }.passes(&message()));
        assert!(!Filter { caller: other, ..all() }.passes(&attempt(true)));
        let app = Filter {
            app: Some(AppId::from_number(9)),
            ..all()
        };
        assert!(!app.passes(&message()) && !app.passes(&attempt(true)));
        let endpoint = Filter {
            endpoint: Some(EndpointId::from_number(4)),
            ..all()
        };
        assert!(endpoint.passes(&attempt(false)) && !endpoint.passes(&message()));
        let failed = Filter { failed: true, ..all() };
        assert!(failed.passes(&attempt(true)) && !failed.passes(&attempt(false)) && !failed.passes(&message()));
    }

    #[test]
    fn an_event_is_one_line_of_data_whatever_the_receiver_answered() {
        let text = wire("attempt", NOON, &shown(&attempt(true), Some("acme".to_owned())));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            (lines.len(), lines[0], lines[1]),
            (4, "id: 1766000000000000", "event: attempt")
        );
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            (&data["status"], &data["statusText"], &data["failure"]),
            (&json!(2), &json!("fail"), &json!("status_500"))
        );
        assert_eq!(
            (&data["response"], &data["appUid"]),
            (&json!("out of\nmemory"), &json!("acme"))
        );
        assert!(text.ends_with("\n\n"));
    }

    #[test]
    fn a_message_is_shown_with_its_application() {
        let data = shown(&message(), None);
        assert_eq!(
            (&data["id"], &data["endpoints"]),
            (&json!(MessageId::from_number(3)), &json!(2))
        );
        assert_eq!(data["timestamp"], "2025-12-17T19:33:20.000000Z");
    }
}
