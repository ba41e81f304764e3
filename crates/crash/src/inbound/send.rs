//! Senders: each posts what is next on the list until it is acknowledged, as a provider does that gets no answer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;

use super::plan::{self, Event};
use crate::client::{Conn, Server};
use crate::violation::{Kind, Violations};
use crate::world::Signal;

/// The wait before a server that is gone is tried again.
const GONE: Duration = Duration::from_millis(15);

/// What senders share.
pub(crate) struct Course {
    list: Vec<Event>,
    next: AtomicUsize,
    /// Requests that are about to leave.
    pub(crate) sending: Signal,
    /// Requests that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Requests whose answer a kill took.
    pub(crate) answers_lost: AtomicU64,
    /// Answers 429 and 503.
    pub(crate) refusals: AtomicU64,
    violations: Mutex<Violations>,
}

impl Course {
    pub(crate) fn new(list: Vec<Event>) -> Self {
        Self {
            list,
            next: AtomicUsize::new(0),
            sending: Signal::new(),
            acknowledged: AtomicU64::new(0),
            answers_lost: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            violations: Mutex::default(),
        }
    }

    /// How many requests there are to send.
    pub(crate) fn len(&self) -> u64 {
        self.list.len() as u64
    }

    pub(crate) fn violations(&self) -> MutexGuard<'_, Violations> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until nothing is left on the list.
    pub(crate) async fn send(&self, server: &Server) {
        let mut conn = None;
        while let Some(event) = self.list.get(self.next.fetch_add(1, Relaxed)) {
            while !self.once(server, *event, &mut conn).await {
                tokio::time::sleep(GONE).await;
            }
            self.acknowledged.fetch_add(1, Relaxed);
        }
    }

    /// One try; whether it was acknowledged, or never will be.
    async fn once(&self, server: &Server, event: Event, open: &mut Option<Conn>) -> bool {
        let mut conn = match open.take() {
            Some(conn) => conn,
            None => match Conn::open(server.address).await {
                Ok(conn) => conn,
                Err(_) => return false,
            },
        };
        let Ok(request) = request(server, event) else {
            return true;
        };
        self.sending.bump();
        let Ok(answer) = conn.send(request).await else {
            self.answers_lost.fetch_add(1, Relaxed);
            return false;
        };
        *open = Some(conn);
        match answer.status {
            status if status.is_success() => true,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.refusals.fetch_add(1, Relaxed);
                false
            }
            _ => {
                let what = format!("{} was answered {}", event.id(), answer.text());
                self.violations().add(Kind::Answer, what);
                true
            }
        }
    }
}

fn request(server: &Server, event: Event) -> http::Result<Request<Full<Bytes>>> {
    let body = event.body();
    Request::builder()
        .method(Method::POST)
        .uri(format!("/in/{}", event.source()))
        .header(header::HOST, server.address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-github-event", "crash")
        .header("x-github-delivery", event.id())
        .header("x-hub-signature-256", plan::signature(&body))
        .body(Full::new(body))
}
