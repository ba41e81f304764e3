//! A delivery: one message for one endpoint, from 'pending' to its end.

use std::sync::Arc;

use crate::{
    id::{EndpointId, MessageId},
    message::Message,
    order::Place,
    time::Timestamp,
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It will be attempted, now or at its time.
    Pending,
    /// An attempt is under way.
    Sending,
    /// The receiver answered 2xx.
    Succeeded,
    /// Its schedule is exhausted.
    Failed,
    /// Its endpoint was disabled or deleted, or its task was cancelled, before it succeeded.
    Cancelled,
}

/// What made an attempt due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trigger {
    /// The message itself, or its retry schedule.
    #[default]
    Scheduled,
    /// A person or a program asked for it: resend, recover, replay.
    Manual,
}

/// Names a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// What is delivered.
    pub message: MessageId,
    /// Where to.
    pub endpoint: EndpointId,
}

/// How far a delivery has come: what the next decision needs to know and a store keeps between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Counts how often the delivery was started anew by hand. An outcome of an older run no longer decides anything.
    pub run: u32,
    /// Attempts made in this run.
    pub tries: u16,
    /// What started this run.
    pub trigger: Trigger,
}

/// What the store gave when it handed a delivery over, to be given back when settling. Only the store reads meaning into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease(pub u64);

/// A delivery that is due, with the message along, ready to be attempted.
#[derive(Debug, Clone)]
pub struct Work {
    /// What to send.
    pub message: Arc<Message>,
    /// Where to.
    pub endpoint: EndpointId,
    /// The hold on it.
    pub lease: Lease,
    /// How far it has come.
    pub progress: Progress,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// Its place in its line, where order is kept.
    pub place: Option<Arc<Place>>,
}

impl Work {
    /// Its name.
    pub fn key(&self) -> DeliveryKey {
        DeliveryKey {
            message: self.message.id,
            endpoint: self.endpoint,
        }
    }
}
