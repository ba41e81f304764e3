//! From messages-to-be to durable messages: routed, deduplicated, put in order by the store.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    delivery::{DeliveryState, Trigger},
    id::{AppId, Id as _, MessageId},
    message::NewMessage,
    source::{Inbound, Source},
};
use bellwire_store::{
    AppendError, Appended, Arrival, ArrivalPlace, Arrived, Directory, Store, StoreError,
    directory::Incoming,
    feed::{Feed, FeedEvent},
    query::{DeliveryRow, Order, Page, Requeue, Start},
};
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::{judge::Coming, metrics::IntakeMetrics, release::Release};

/// Deliveries looked at in one step.
const PAGE: usize = 250;
/// Repeated events that are looked after at once.
const STRIPES: usize = 64;

/// How a message came: the same for all of one request.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub peer: Option<String>,
    pub verdict: String,
}

/// What makes messages durable.
pub(crate) struct Acceptance {
    parts: AcceptanceParts,
    /// Whoever begins deliveries anew looks and acts alone: two repetitions at once begin them once.
    reviving: [Mutex<()>; STRIPES],
}

/// The parts of an [`Acceptance`].
pub(crate) struct AcceptanceParts {
    pub store: Arc<dyn Store>,
    pub directory: Arc<Directory>,
    pub feed: Arc<Feed>,
    pub metrics: Arc<IntakeMetrics>,
    pub release: Arc<Release>,
    /// How long payloads are kept.
    pub payload_retention: Duration,
}

impl Acceptance {
    pub fn new(parts: AcceptanceParts) -> Self {
        Self {
            parts,
            reviving: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Makes all messages of a request durable; those that are there already stay as they are, and what had failed of them is
    /// begun anew, unless a later message of their key was accepted since. They share a commit.
    ///
    /// # Errors
    /// Those of the store. Some may have been accepted then; when the request comes again they are recognised by their ids.
    pub async fn all(&self, source: &Source, origin: Origin, mut messages: Vec<Coming>) -> Result<(), StoreError> {
        if messages.len() == 1
            && let Some(only) = messages.pop()
        {
            return self.one(source, origin, only).await;
        }
        let each = messages
            .into_iter()
            .map(|message| self.one(source, origin.clone(), message));
        join_all(each).await.into_iter().collect()
    }

    async fn one(&self, source: &Source, origin: Origin, coming: Coming) -> Result<(), StoreError> {
        let place = coming.place.clone();
        let message = self.message(source, origin, coming);
        let watched = self.parts.feed.is_watched();
        let told = watched.then(|| (message.event_type.clone(), message.routes.len()));
        match self.put(message, place).await {
            Ok(Arrived::Accepted {
                appended: Appended { id, .. },
                freed,
            }) => {
                self.parts.metrics.accepted.inc();
                if let Some((event_type, endpoints)) = told {
                    self.parts.feed.tell(|| FeedEvent::Message {
                        environment: source.environment,
                        app: source.app,
                        id,
                        event_type,
                        endpoints,
                        at: id.created_at(),
                    });
                }
                self.parts.feed.tell_freed(&freed, |_| Some(source.environment));
            }
            Ok(Arrived::Held { until }) => {
                self.parts.metrics.accepted.inc();
                self.parts.metrics.held.inc();
                self.parts.release.held(until);
            }
            Ok(Arrived::Stale(_)) => {
                self.parts.metrics.stale.inc();
            }
            Err(AppendError::EventIdTaken {
                existing, overtaken, ..
            }) => {
                self.parts.metrics.duplicates.inc();
                // What it says is not so any more: receivers would go back to it.
                if !overtaken {
                    self.revive(source.app, existing).await?;
                }
            }
            Err(AppendError::Store(error)) => return Err(error),
            // Nobody promised anything with a key.
            Err(AppendError::IdempotencyMismatch) => {
                return Err(StoreError::Corrupt(
                    "a message without idempotency key has one".to_owned(),
                ));
            }
        }
        Ok(())
    }

    async fn put(&self, message: NewMessage, place: Option<ArrivalPlace>) -> Result<Arrived, AppendError> {
        match (place, message.ordering_key.clone()) {
            (Some(place), Some(key)) => self.parts.store.arrive(Arrival { message, key, place }).await,
            _ => {
                let appended = self.parts.store.append(message).await?;
                let freed = Vec::new();
                Ok(Arrived::Accepted { appended, freed })
            }
        }
    }

    fn message(&self, source: &Source, origin: Origin, coming: Coming) -> NewMessage {
        let mut headers = origin.headers;
        headers.extend(coming.attributes);
        let inbound = Inbound {
            source: source.id,
            method: origin.method,
            target: origin.target,
            headers,
            peer: origin.peer,
            verdict: origin.verdict,
            note: coming.note,
            item: coming.item,
        };
        let incoming = Incoming {
            event_type: &coming.event_type,
            channels: &[],
            ordering_key: coming.ordering_key.as_deref(),
            payload: &coming.json,
            inbound: Some(&inbound),
        };
        let routes = match coming.set_aside {
            true => Vec::new(),
            false => self.parts.directory.routes(source.app, &incoming),
        };
        NewMessage {
            app: source.app,
            event_type: coming.event_type,
            event_id: coming.event_id,
            channels: Vec::new(),
            tags: Vec::new(),
            ordering_key: coming.ordering_key,
            payload: coming.payload,
            payload_expires_at: self.parts.directory.now().plus(self.parts.payload_retention),
            deliver_at: None,
            traceparent: None,
            content_type: coming.content_type,
            inbound: Some(Arc::new(inbound)),
            routes,
            idempotency: None,
        }
    }

    /// An event came again: what had failed or was cancelled of it is begun anew, at endpoints that are still there.
    async fn revive(&self, app: AppId, message: MessageId) -> Result<(), StoreError> {
        let stripe = usize::try_from(message.number() % STRIPES as u64).unwrap_or(0);
        let _alone = self.reviving[stripe].lock().await;
        let mut page = Page {
            limit: PAGE,
            start: Start::First,
            order: Order::Ascending,
        };
        loop {
            let rows = self.parts.store.deliveries(app, message, page).await?;
            let due_at = self.parts.directory.now();
            let again: Vec<_> = rows
                .items
                .iter()
                .filter(|row| self.is_to_be_revived(row))
                .map(|row| Requeue {
                    message,
                    endpoint: row.endpoint,
                    due_at,
                    trigger: Trigger::Manual,
                })
                .collect();
            if !again.is_empty() {
                let count = self.parts.store.requeue(again).await?;
                self.parts.metrics.revived.inc_by(count);
                tracing::info!(%message, deliveries = count, "an event came again: what had failed of it is begun anew");
            }
            match rows.items.last().filter(|_| rows.more) {
                Some(last) => page.start = Start::After(last.endpoint.number()),
                None => return Ok(()),
            }
        }
    }

    fn is_to_be_revived(&self, row: &DeliveryRow) -> bool {
        let ended = matches!(row.state, DeliveryState::Failed | DeliveryState::Cancelled);
        let endpoint = || self.parts.directory.endpoint_by_id(row.endpoint);
        ended && endpoint().is_some_and(|entry| entry.endpoint.disabled.is_none())
    }
}
