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
    id::{AppId, AttemptId, AuditId, EndpointId, EnvironmentId, IdGenerator, MessageId, SourceId, TaskId, TokenId},
    message::{IdempotencyKey, Message},
    order::{Left, Lines},
    source::Source,
    task::Task,
    time::Timestamp,
};
use bellwire_store::{
    StoredAnswer,
    audit::AuditEntry,
    query::{DeliveryRow, RefusedRequest},
};

use super::{
    Told,
    streams::{HeldPlace, KeptStream, Name},
};

/// Ids made here are told from those that a directory makes by the node in them.
const NODE: u16 = 1;

/// A message and the endpoints it was routed to.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub message: Arc<Message>,
    pub routed: Vec<EndpointId>,
}

/// A delivery. Kept in all its states; `lease` says that somebody is at it.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub state: DeliveryState,
    pub progress: Progress,
    pub due_at: Timestamp,
    pub lease: Option<Lease>,
    /// It was handed over as it was accepted, in no line: while it is out, nothing waits in the store for it.
    pub handed_over: bool,
    pub numbered: Option<Numbered>,
}

/// The number that a delivery has, also after it left its line.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub key: Arc<str>,
    pub sequence: u64,
}

impl Delivery {
    /// Whether the store keeps a place for it: also while it is out, once it had to.
    pub fn has_a_place(&self) -> bool {
        self.state == DeliveryState::Pending && (self.lease.is_none() || !self.handed_over)
    }

    pub fn waits(&self) -> bool {
        self.state == DeliveryState::Pending && self.lease.is_none()
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
    pub lines: BTreeMap<EndpointId, Lines<MessageId>>,
    /// Deliveries that are out while their message is gone: they keep their place in line until they are settled.
    pub orphans: BTreeMap<(EndpointId, MessageId), Lease>,
    /// Endpoints for which what waits may have changed in this call.
    pub touched: BTreeSet<EndpointId>,
    /// How many were last told to wait.
    pub told_waiting: BTreeMap<EndpointId, u64>,
    pub streams: BTreeMap<Name, KeptStream>,
    /// Where the one with this event id is held.
    pub held_ids: BTreeMap<(AppId, String), (Name, HeldPlace)>,
    /// How many messages were ever held: tells those of one number apart.
    pub came: u64,
    pub refused: BTreeMap<SourceId, BTreeMap<u64, RefusedRequest>>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Which tries of which runs have their attempt, so that a repeated batch makes no second one.
    pub recorded: BTreeSet<(DeliveryKey, u32, u16)>,

    pub environments: BTreeMap<EnvironmentId, Environment>,
    pub apps: BTreeMap<AppId, App>,
    pub endpoints: BTreeMap<EndpointId, Endpoint>,
    pub health: BTreeMap<EndpointId, Health>,
    pub event_types: BTreeMap<(EnvironmentId, String), EventType>,
    pub tokens: BTreeMap<TokenId, Token>,
    pub sources: BTreeMap<SourceId, Source>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub answers: BTreeMap<[u8; 32], StoredAnswer>,
    pub audit: BTreeMap<AuditId, AuditEntry>,
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
            lines: BTreeMap::new(),
            orphans: BTreeMap::new(),
            touched: BTreeSet::new(),
            told_waiting: BTreeMap::new(),
            streams: BTreeMap::new(),
            held_ids: BTreeMap::new(),
            came: 0,
            refused: BTreeMap::new(),
            attempts: BTreeMap::new(),
            recorded: BTreeSet::new(),
            environments: BTreeMap::new(),
            apps: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            health: BTreeMap::new(),
            event_types: BTreeMap::new(),
            tokens: BTreeMap::new(),
            sources: BTreeMap::new(),
            tasks: BTreeMap::new(),
            answers: BTreeMap::new(),
            audit: BTreeMap::new(),
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
    pub fn forget_leases(&mut self, now: Timestamp) {
        for delivery in self.deliveries.values_mut() {
            delivery.lease = None;
        }
        self.told_waiting.clear();
        // Nobody is attached who could be told.
        let mut told = Told::default();
        for (endpoint, id) in std::mem::take(&mut self.orphans).into_keys() {
            self.leave_line(endpoint, id, Left::GivenUp, now, &mut told);
        }
    }

    pub fn new_lease(&mut self) -> Lease {
        self.leases += 1;
        Lease(self.leases)
    }

    /// Puts a delivery as it stands now.
    pub fn put(&mut self, endpoint: EndpointId, message: MessageId, delivery: Delivery) {
        self.touched.insert(endpoint);
        self.deliveries.insert((endpoint, message), delivery);
    }

    /// Changes a delivery, if there is one.
    pub fn change(&mut self, endpoint: EndpointId, message: MessageId, change: impl FnOnce(&mut Delivery)) {
        self.touched.insert(endpoint);
        if let Some(delivery) = self.deliveries.get_mut(&(endpoint, message)) {
            change(delivery);
        }
    }

    /// How many wait for the endpoints that were touched, where that is news.
    pub fn news_of_waiting(&mut self) -> Vec<(EndpointId, u64)> {
        let mut news = Vec::new();
        for endpoint in std::mem::take(&mut self.touched) {
            let of_endpoint = self.deliveries.range(all_of(endpoint));
            let waiting = of_endpoint.filter(|(_, delivery)| delivery.has_a_place()).count() as u64;
            if self.told_waiting.insert(endpoint, waiting) != Some(waiting) {
                news.push((endpoint, waiting));
            }
        }
        news
    }

    /// The delivery as people see it.
    pub fn row(&self, endpoint: EndpointId, message: MessageId, delivery: &Delivery) -> DeliveryRow {
        let is_planned = delivery.state == DeliveryState::Pending && self.may_run(endpoint, message);
        DeliveryRow {
            message,
            endpoint,
            state: delivery.state,
            progress: delivery.progress,
            next_at: is_planned.then_some(delivery.due_at),
            sequence: delivery.numbered.as_ref().map(|numbered| numbered.sequence),
        }
    }

    pub fn all_deliveries(&self) -> Vec<DeliveryRow> {
        self.deliveries
            .iter()
            .map(|((endpoint, message), delivery)| self.row(*endpoint, *message, delivery))
            .collect()
    }

    /// Removes a message with all about it. A use of an idempotency key stays until it is forgotten by time. Its deliveries
    /// leave their lines; those that are out do so when they are settled.
    pub fn remove_message(&mut self, id: MessageId, now: Timestamp, told: &mut Told) {
        let Some(kept) = self.messages.remove(&id) else { return };
        if let Some(event_id) = &kept.message.event_id {
            self.event_ids.remove(&(kept.message.app, event_id.clone()));
        }
        let of_message: Vec<_> = self
            .deliveries
            .iter()
            .filter(|((_, message), _)| *message == id)
            .map(|((endpoint, _), delivery)| (*endpoint, delivery.lease))
            .collect();
        for (endpoint, lease) in of_message {
            self.touched.insert(endpoint);
            self.deliveries.remove(&(endpoint, id));
            match lease.filter(|_| self.is_in_line(endpoint, id)) {
                Some(lease) => drop(self.orphans.insert((endpoint, id), lease)),
                None => self.leave_line(endpoint, id, Left::GivenUp, now, told),
            }
        }
        self.attempts.retain(|_, attempt| attempt.message != id);
        self.recorded.retain(|(key, _, _)| key.message != id);
    }
}
