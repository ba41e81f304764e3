//! The live feed: what happens, as it happens, for people who watch.
//!
//! A copy on the side: nothing waits for a watcher, and a watcher who is too slow is told how much was missed. Costs one
//! atomic read per event while nobody watches.

use bellwire_core::{
    id::{AppId, EndpointId, EnvironmentId, Id as _, MessageId},
    time::Timestamp,
};
use tokio::sync::broadcast;

use crate::contract::Freed;

/// How many events a slow watcher may lag behind before it misses some.
const BUFFER: usize = 4_096;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// A message was accepted.
    Message {
        /// In which environment.
        environment: EnvironmentId,
        /// Whose.
        app: AppId,
        /// Which.
        id: MessageId,
        /// Of which type.
        event_type: String,
        /// How many endpoints it goes to.
        endpoints: usize,
        /// When.
        at: Timestamp,
    },
    /// An attempt ended.
    Attempt {
        /// In which environment.
        environment: EnvironmentId,
        /// Whose.
        app: AppId,
        /// Of which message.
        message: MessageId,
        /// Of which type.
        event_type: String,
        /// At which endpoint.
        endpoint: EndpointId,
        /// Which try it was.
        number: u16,
        /// The receiver's status code; 0 without an answer.
        status_code: u16,
        /// Why it failed, if it did: the stable name and the words.
        failure: Option<(String, String)>,
        /// When it is tried again, if it is.
        next_at: Option<Timestamp>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// When it was begun.
        at: Timestamp,
    },
}

/// Where events are told and watched.
#[derive(Debug)]
pub struct Feed {
    sender: broadcast::Sender<FeedEvent>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BUFFER),
        }
    }
}

impl Feed {
    /// Tells an event, made only if somebody watches.
    pub fn tell(&self, event: impl FnOnce() -> FeedEvent) {
        if self.is_watched() {
            let _ = self.sender.send(event());
        }
    }

    /// Tells of messages whose turn has come, in their order; those of applications that are gone are left out.
    pub fn tell_freed(&self, freed: &[Freed], environment: impl Fn(AppId) -> Option<EnvironmentId>) {
        if !self.is_watched() {
            return;
        }
        for message in freed {
            let Some(environment) = environment(message.app) else {
                continue;
            };
            self.tell(|| FeedEvent::Message {
                environment,
                app: message.app,
                id: message.id,
                event_type: message.event_type.clone(),
                endpoints: message.endpoints,
                at: message.id.created_at(),
            });
        }
    }

    /// Whether anybody watches: what it takes to make an event can be spared otherwise.
    pub fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<FeedEvent> {
        self.sender.subscribe()
    }
}
