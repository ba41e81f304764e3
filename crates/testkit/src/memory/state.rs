//! What is kept, and the small helpers that everything around it shares.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bellwire_core::{
    app::{App, Environment, Token},
    attempt::Attempt,
    decide::Health,
    delivery::{DeliveryKey, DeliveryState, Lease, Progress},
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, AttemptId, EndpointId, EnvironmentId, IdGenerator, MessageId, TaskId, TokenId},
    message::{IdempotencyKey, Message},
    task::Task,
    time::Timestamp,
};
use bellwire_store::{StoredAnswer, query::DeliveryRow};

/// Ids made here are told from those that a directory makes by the node in them.
const NODE: u16 = 1;

/// A message and the endpoints it was routed to.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub message: Arc<Message>,
    pub routed: Vec<EndpointId>,
}

/// A delivery. Kept in all its states; `lease` says that somebody is at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub state: DeliveryState,
    pub progress: Progress,
    pub due_at: Timestamp,
    pub lease: Option<Lease>,
}

impl Delivery {
    pub fn waits(&self) -> bool {
        self.state == DeliveryState::Pending && self.lease.is_none()
    }

    pub fn row(&self, endpoint: EndpointId, message: MessageId) -> DeliveryRow {
        let next_at = (self.state == DeliveryState::Pending).then_some(self.due_at);
        DeliveryRow {
            message,
            endpoint,
            state: self.state,
            progress: self.progress,
            next_at,
            sequence: None,
        }
    }
}

/// The first use of an idempotency key.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyUse {
    pub key: IdempotencyKey,
    pub message: MessageId,
    pub at: Timestamp,
}

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub closed: bool,
    /// Somebody takes deliveries in memory.
    pub attached: bool,
    pub ids: IdGenerator,
    /// The largest number of an id that was ever put into the configuration.
    pub largest_put: u64,
    pub leases: u64,

    pub messages: BTreeMap<MessageId, Kept>,
    pub event_ids: BTreeMap<(AppId, String), MessageId>,
    pub keys: BTreeMap<[u8; 32], KeyUse>,
    pub deliveries: BTreeMap<(EndpointId, MessageId), Delivery>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Which tries of which runs have their attempt, so that a repeated batch makes no second one.
    pub recorded: BTreeSet<(DeliveryKey, u32, u16)>,

    pub environments: BTreeMap<EnvironmentId, Environment>,
    pub apps: BTreeMap<AppId, App>,
    pub endpoints: BTreeMap<EndpointId, Endpoint>,
    pub health: BTreeMap<EndpointId, Health>,
    pub event_types: BTreeMap<(EnvironmentId, String), EventType>,
    pub tokens: BTreeMap<TokenId, Token>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub answers: BTreeMap<[u8; 32], StoredAnswer>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            closed: false,
            attached: false,
            ids: IdGenerator::new(NODE, 0),
            largest_put: 0,
            leases: 0,
            messages: BTreeMap::new(),
            event_ids: BTreeMap::new(),
            keys: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            attempts: BTreeMap::new(),
            recorded: BTreeSet::new(),
            environments: BTreeMap::new(),
            apps: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            health: BTreeMap::new(),
            event_types: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tasks: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }
}

/// The range of keys that are all of one endpoint's deliveries.
pub(super) fn all_of(endpoint: EndpointId) -> std::ops::RangeInclusive<(EndpointId, MessageId)> {
    use bellwire_core::id::Id;
    (endpoint, MessageId::from_number(0))..=(endpoint, MessageId::from_number(u64::MAX))
}

/// The message as it is shown.
pub(super) fn shown(message: &Message, with_payload: bool) -> Message {
    let mut shown = message.clone();
    if !with_payload {
        shown.payload = None;
    }
    shown
}

impl State {
    /// The process that held leases is gone.
    pub fn forget_leases(&mut self) {
        for delivery in self.deliveries.values_mut() {
            delivery.lease = None;
        }
    }

    pub fn new_lease(&mut self) -> Lease {
        self.leases += 1;
        Lease(self.leases)
    }

    pub fn all_deliveries(&self) -> Vec<DeliveryRow> {
        self.deliveries
            .iter()
            .map(|((endpoint, message), delivery)| delivery.row(*endpoint, *message))
            .collect()
    }

    /// Removes a message with all about it. A use of an idempotency key stays until it is forgotten by time.
    pub fn remove_message(&mut self, id: MessageId) {
        let Some(kept) = self.messages.remove(&id) else { return };
        if let Some(event_id) = &kept.message.event_id {
            self.event_ids.remove(&(kept.message.app, event_id.clone()));
        }
        self.deliveries.retain(|(_, message), _| *message != id);
        self.attempts.retain(|_, attempt| attempt.message != id);
        self.recorded.retain(|(key, _, _)| key.message != id);
    }
}
