//! One request to one place: a kept connection or a new one of the guard, and the answer within its bounds.
//!
//! What every action that speaks HTTP has in common. It knows no endpoints and no settings.

mod answer;
mod caller;
mod connection;
mod shelf;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bellwire_core::{address::Target, attempt::Failure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio_util::task::TaskTracker;

pub(super) use self::answer::{Answer, judge};
pub(super) use self::caller::{Call, Caller, answered, header_map, insert, not_ok};
use self::{connection::Connection, shelf::Shelf};
use crate::guard::{ConnectError, Guard};

/// Sends requests through a guard.
#[derive(Debug, Clone)]
pub(super) struct Client {
    guard: Arc<Guard>,
    response_bytes: usize,
    tasks: TaskTracker,
}

/// Where requests go, with the connections that are kept for the next. Nothing is shared between endpoints: not a connection,
/// not a TLS session's trust.
#[derive(Debug)]
pub(super) struct Place {
    pub target: Target,
    shelf: Shelf,
}

impl Place {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            shelf: Shelf::default(),
        }
    }

    /// Closes connections that were not used for `unused`.
    pub fn sweep(&self, unused: Duration) {
        self.shelf.sweep(unused);
    }

    /// Connections that wait to be used again.
    pub fn idle(&self) -> usize {
        self.shelf.len()
    }
}

/// How far an attempt had come when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// It did something else than to speak to somebody.
    Acting,
    Connecting,
    Sending,
    Reading,
}

/// The stage of one attempt, noted as it goes.
#[derive(Debug)]
pub(super) struct Stages(AtomicU8);

impl Stages {
    pub fn at(stage: Stage) -> Self {
        Self(AtomicU8::new(stage as u8))
    }

    pub fn reach(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    /// What is said when the time is over now.
    pub fn timed_out(&self, timeout: Duration) -> Failure {
        const STAGES: [Stage; 4] = [Stage::Acting, Stage::Connecting, Stage::Sending, Stage::Reading];
        let stage = STAGES[usize::from(self.0.load(Ordering::Relaxed)).min(3)];
        let (reason, what) = match stage {
            Stage::Acting => ("timeout", "not done"),
            Stage::Connecting => ("timeout_connect", "no connection"),
            Stage::Sending => ("timeout_headers", "no answer"),
            Stage::Reading => ("timeout_body", "no complete answer"),
        };
        let advice = match stage {
            Stage::Acting => "raise the endpoint's timeoutMs if it may take longer",
            _ => "answer sooner and do the work afterwards, or raise the endpoint's timeoutMs",
        };
        let within = bellwire_core::time::format_span(timeout);
        Failure {
            reason,
            detail: format!("{what} within {within}; {advice}"),
        }
    }
}

/// Why an attempt has no complete answer.
#[derive(Debug)]
pub(super) enum Missed {
    /// It was not allowed to begin.
    Withheld,
    Failed(Failure),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ConnectError> for Missed {
    fn from(error: ConnectError) -> Self {
        Self::Failed(Failure {
            reason: error.reason(),
            detail: error.to_string(),
        })
    }
}

impl Client {
    /// Connects through `guard`, keeps so many bytes of answers, and runs connections on `tasks`.
    pub fn new(guard: Arc<Guard>, response_bytes: usize, tasks: TaskTracker) -> Self {
        Self {
            guard,
            response_bytes,
            tasks,
        }
    }

    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Makes one request: `request` writes it, for HTTP/2 or not. `may_begin` is asked right before the first byte leaves.
    ///
    /// A kept connection may have been closed by the other side just now: then a new one is opened and the request is sent on it.
    pub async fn exchange(
        &self,
        place: &Place,
        request: &(dyn Fn(bool) -> Request<Full<Bytes>> + Send + Sync),
        may_begin: &(dyn Fn() -> bool + Send + Sync),
        stages: &Stages,
    ) -> Result<Answer, Missed> {
        if let Some(mut kept) = place.shelf.take() {
            if !may_begin() {
                place.shelf.put(kept);
                return Err(Missed::Withheld);
            }
            stages.reach(Stage::Sending);
            match kept.send(request(kept.is_http2())).await {
                Ok(response) => return self.read(place, kept, response, stages).await,
                Err(error) if error.was_stale() => {}
                Err(error) => return Err(Missed::Failed(error.into_failure())),
            }
        }
        stages.reach(Stage::Connecting);
        let connected = self.guard.connect(&place.target).await?;
        let mut opened = Connection::open(connected, &self.tasks)
            .await
            .map_err(|error| Missed::Failed(error.into_failure()))?;
        if !may_begin() {
            place.shelf.put(opened);
            return Err(Missed::Withheld);
        }
        stages.reach(Stage::Sending);
        let response = opened
            .send(request(opened.is_http2()))
            .await
            .map_err(|error| Missed::Failed(error.into_failure()))?;
        self.read(place, opened, response, stages).await
    }

    async fn read(
        &self,
        place: &Place,
        connection: Connection,
        response: Response<Incoming>,
        stages: &Stages,
    ) -> Result<Answer, Missed> {
        stages.reach(Stage::Reading);
        let (answer, reusable) = answer::read(response, self.response_bytes).await?;
        if reusable {
            place.shelf.put(connection);
        }
        Ok(answer)
    }
}
