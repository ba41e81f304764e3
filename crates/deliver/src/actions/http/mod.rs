//! The action `http`: a signed POST, every bound enforced.
//!
//! Connections come from the guard and nowhere else; they are kept per endpoint and used again. Redirects are answers like
//! any other (and not 2xx, so failures). What the receiver sends back is read up to a bound; an excerpt is kept.

mod pool;
mod request;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bellwire_core::{
    attempt::{Failure, Outcome},
    id::EndpointId,
    sign::signature_header,
};
use bytes::Bytes;
use tokio_util::task::TaskTracker;

pub(super) use self::request::continue_trace;
use self::{
    pool::Pools,
    request::{Prepared, Sealed},
};
use super::client::{self, Answer, Client, Missed, Stage, Stages};
use crate::{
    action::{Acted, Action, Order},
    config::DeliverConfig,
    guard::Guard,
};

/// Posts messages.
#[derive(Debug)]
pub struct HttpAction {
    client: Client,
    pools: Pools,
    config: DeliverConfig,
}

impl HttpAction {
    /// An action that connects through `guard` and runs its connections on `tasks`.
    pub fn new(guard: impl Into<Arc<Guard>>, config: DeliverConfig, tasks: TaskTracker) -> Self {
        Self {
            client: Client::new(guard.into(), config.response_bytes, tasks),
            pools: Pools::default(),
            config,
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

    fn prepare(&self, order: &Order<'_>) -> Result<Arc<Prepared>, Failure> {
        self.pools
            .prepared(order.endpoint.endpoint.id, &order.endpoint.endpoint, || {
                Prepared::new(&order.endpoint.endpoint, self.client.guard().policy(), &self.config)
            })
    }
}

#[async_trait]
impl Action for HttpAction {
    async fn act(&self, order: Order<'_>) -> Acted {
        let begun = Instant::now();
        let endpoint = &order.endpoint.endpoint;
        let stages = Stages::at(Stage::Connecting);
        let keys: Vec<_> = endpoint.live_keys(order.started_at).collect();
        let letter = &order.letter;
        let mut signature = signature_header(&keys, &letter.id, order.started_at.secs(), &letter.body);
        let result = match self.prepare(&order) {
            Err(failure) => Err(Missed::Failed(failure)),
            Ok(prepared) => {
                let sealed = Sealed::new(&order, &signature, &prepared, &self.config);
                let request = |http2| sealed.request(&prepared, http2);
                let exchange = self
                    .client
                    .exchange(&prepared.place, &request, order.may_begin, &stages);
                let exchanged = tokio::time::timeout(order.timeout, exchange).await;
                signature = sealed.kept;
                exchanged.unwrap_or_else(|_| Err(Missed::Failed(stages.timed_out(order.timeout))))
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
            Ok(answer) => Acted::Attempted(outcome(client::judge(answer.status_code), answer)),
        }
    }

    fn forget(&self, endpoint: EndpointId) {
        self.pools.forget(endpoint);
    }
}
