//! The action `http`: a signed POST, every bound enforced.
//!
//! Connections come from the guard and nowhere else; they are kept per endpoint and used again. Redirects are answers like
//! any other (and not 2xx, so failures). What the receiver sends back is read up to a bound; an excerpt is kept.

mod answer;
mod connection;
mod pool;
mod request;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bellwire_core::{
    attempt::{Failure, Outcome},
    id::EndpointId,
    sign::signature_header,
};
use bytes::Bytes;
use tokio_util::task::TaskTracker;

use self::{
    answer::Answer,
    connection::Connection,
    pool::Pools,
    request::{Prepared, Sealed},
};
use crate::{
    action::{Acted, Action, Order},
    config::DeliverConfig,
    guard::{ConnectError, Guard},
};

/// Posts messages.
#[derive(Debug)]
pub struct HttpAction {
    guard: Guard,
    pools: Pools,
    config: DeliverConfig,
    tasks: TaskTracker,
}

/// How far an attempt had come when its time was over.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Connecting,
    Sending,
    Reading,
}

/// Why an attempt has no complete answer.
enum Missed {
    Withheld,
    Failed(Failure),
}

impl From<ConnectError> for Missed {
    fn from(error: ConnectError) -> Self {
        Self::Failed(Failure {
            reason: error.reason(),
            detail: error.to_string(),
        })
    }
}

impl HttpAction {
    /// An action that connects through `guard` and runs its connections on `tasks`.
    pub fn new(guard: Guard, config: DeliverConfig, tasks: TaskTracker) -> Self {
        Self {
            guard,
            pools: Pools::default(),
            config,
            tasks,
        }
    }

    /// Closes connections that nobody has used for the idle timeout. Called now and then.
    pub fn sweep(&self) {
        self.pools.sweep(self.config.idle_timeout);
    }

    /// Connections that wait to be used again.
    pub fn idle_connections(&self) -> usize {
        self.pools.idle()
    }

    async fn exchange(
        &self,
        order: &Order<'_>,
        prepared: &Arc<Prepared>,
        sealed: &Sealed,
        stage: &mut Stage,
    ) -> Result<Answer, Missed> {
        // A kept connection may have been closed by the other side just now: then a new one is opened.
        if let Some(mut kept) = self.pools.take(order.endpoint.endpoint.id, prepared) {
            if !(order.may_begin)() {
                self.pools.put(order.endpoint.endpoint.id, prepared, kept);
                return Err(Missed::Withheld);
            }
            *stage = Stage::Sending;
            let request = sealed.request(prepared, kept.is_http2());
            match kept.send(request).await {
                Ok(response) => {
                    *stage = Stage::Reading;
                    return self.read(order, prepared, kept, response).await;
                }
                Err(error) if error.was_stale() => {}
                Err(error) => return Err(Missed::Failed(error.into_failure())),
            }
        }
        *stage = Stage::Connecting;
        let connected = self.guard.connect(&prepared.target).await?;
        let mut opened = Connection::open(connected, &self.tasks)
            .await
            .map_err(|error| Missed::Failed(error.into_failure()))?;
        if !(order.may_begin)() {
            self.pools.put(order.endpoint.endpoint.id, prepared, opened);
            return Err(Missed::Withheld);
        }
        *stage = Stage::Sending;
        let request = sealed.request(prepared, opened.is_http2());
        let response = opened
            .send(request)
            .await
            .map_err(|error| Missed::Failed(error.into_failure()))?;
        *stage = Stage::Reading;
        self.read(order, prepared, opened, response).await
    }

    async fn read(
        &self,
        order: &Order<'_>,
        prepared: &Arc<Prepared>,
        connection: Connection,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Answer, Missed> {
        let (answer, reusable) = answer::read(response, self.config.response_bytes)
            .await
            .map_err(Missed::Failed)?;
        if reusable {
            self.pools.put(order.endpoint.endpoint.id, prepared, connection);
        }
        Ok(answer)
    }

    fn prepare(&self, order: &Order<'_>) -> Result<Arc<Prepared>, Failure> {
        self.pools
            .prepared(order.endpoint.endpoint.id, &order.endpoint.endpoint, || {
                Prepared::new(&order.endpoint.endpoint, self.guard.policy(), &self.config)
            })
    }
}

#[async_trait]
impl Action for HttpAction {
    async fn act(&self, order: Order<'_>) -> Acted {
        let begun = Instant::now();
        let endpoint = &order.endpoint.endpoint;
        let mut stage = Stage::Connecting;
        let keys: Vec<_> = endpoint.live_keys(order.started_at).collect();
        let letter = &order.letter;
        let mut signature = signature_header(&keys, &letter.id, order.started_at.secs(), &letter.body);
        let result = match self.prepare(&order) {
            Err(failure) => Err(Missed::Failed(failure)),
            Ok(prepared) => {
                let sealed = Sealed::new(&order, &signature, &prepared, &self.config);
                let exchange = self.exchange(&order, &prepared, &sealed, &mut stage);
                let exchanged = tokio::time::timeout(order.timeout, exchange).await;
                signature = sealed.kept;
                exchanged.unwrap_or_else(|_| Err(Missed::Failed(timed_out(stage, order.timeout))))
            }
        };
        let duration = begun.elapsed();
        let outcome = |failure, answer: Answer| Outcome {
            started_at: order.started_at,
            duration,
            url: endpoint.url.clone(),
            status_code: answer.status_code,
            failure,
            response: answer.excerpt,
            response_headers: answer.headers,
            signature: signature.clone(),
            retry_after: answer
                .retry_after
                .map(|value| value.wait(order.started_at.plus(duration)))
                .unwrap_or_default(),
        };
        match result {
            Err(Missed::Withheld) => Acted::Withheld,
            Err(Missed::Failed(failure)) => {
                let excerpt = Bytes::from(failure.detail.clone());
                Acted::Attempted(outcome(
                    Some(failure),
                    Answer {
                        excerpt,
                        ..Answer::default()
                    },
                ))
            }
            Ok(answer) => Acted::Attempted(outcome(answer::judge(answer.status_code), answer)),
        }
    }

    fn forget(&self, endpoint: EndpointId) {
        self.pools.forget(endpoint);
    }
}

fn timed_out(stage: Stage, timeout: Duration) -> Failure {
    let (reason, what) = match stage {
        Stage::Connecting => ("timeout_connect", "no connection"),
        Stage::Sending => ("timeout_headers", "no answer"),
        Stage::Reading => ("timeout_body", "no complete answer"),
    };
    let within = bellwire_core::time::format_span(timeout);
    let detail =
        format!("{what} within {within}; answer sooner and do the work afterwards, or raise the endpoint's timeoutMs");
    Failure { reason, detail }
}
