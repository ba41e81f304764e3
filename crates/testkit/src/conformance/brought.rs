//! What a source brings, in short words for the tests of it.

use std::{sync::Arc, time::Duration};

use bellwire_core::{
    id::{EndpointId, MessageId},
    message::{Message, NewMessage},
    source::Inbound,
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Appended, Arrival, ArrivalPlace, Arrived, Freed,
    query::{MessageFilter, StreamQuery, StreamRow},
};
use bytes::Bytes;

use super::{Backend, Bench, bench::ALL};

/// How long the messages of these tests wait.
pub const WAIT: Duration = Duration::from_secs(5);

impl<B: Backend> Bench<B> {
    /// A message about a thing, as a source brings it.
    fn brought(&self, key: &str, event_id: String, to: &[EndpointId]) -> NewMessage {
        let mut message = self.message(to);
        message.payload = Bytes::from(format!("\"{event_id}\""));
        message.event_id = Some(event_id);
        message.ordering_key = Some(key.to_owned());
        message.inbound = Some(Arc::new(Inbound {
            source: self.id(),
            method: "POST".to_owned(),
            target: "/in/shop".to_owned(),
            headers: vec![("x-topic".to_owned(), "orders".to_owned())],
            peer: None,
            verdict: "signed with the newest secret".to_owned(),
            note: None,
            item: None,
        }));
        message
    }

    /// A message of a stream whose numbers begin with 1. Its event id is `key/number`.
    pub fn numbered(&self, key: &str, number: u64, to: &[EndpointId]) -> Arrival {
        Arrival {
            message: self.brought(key, format!("{key}/{number}"), to),
            key: key.to_owned(),
            place: ArrivalPlace::Sequence {
                number,
                start: Some(1),
                wait: WAIT,
            },
        }
    }

    /// A message of a stream of versions. Its event id is `key/version`.
    pub fn versioned(&self, key: &str, version: &str, to: &[EndpointId]) -> Arrival {
        Arrival {
            message: self.brought(key, format!("{key}/{version}"), to),
            key: key.to_owned(),
            place: ArrivalPlace::Version(version.to_owned()),
        }
    }

    /// A source brings a message.
    pub async fn arrive(&self, arrival: Arrival) -> Result<Arrived, AppendError> {
        let arrived = self.store().arrive(arrival).await;
        self.sound().await;
        arrived
    }

    /// A source brings the message with this number, which goes nowhere.
    pub async fn arrive_as(&self, key: &str, number: u64) -> Arrived {
        self.arrive(self.numbered(key, number, &[])).await.unwrap()
    }

    /// Ends the waits that are over now. Answers how many messages were accepted, and when the next wait ends.
    pub async fn release(&self) -> (usize, Option<Timestamp>) {
        let released = self.store().release(self.now(), 1_000).await.unwrap();
        self.sound().await;
        (released.freed.len(), released.next)
    }

    /// That these are the application's last messages, in their order, and what they say is so.
    pub async fn are_the_last(&self, freed: &[Freed]) {
        let all = self.accepted().await;
        let last = &all[all.len() - freed.len()..];
        for (told, found) in freed.iter().zip(last) {
            assert_eq!((told.app, told.id), (self.app, found.id));
            assert_eq!(told.event_type, found.event_type);
            let deliveries = self.store().deliveries(self.app, found.id, ALL).await.unwrap();
            assert_eq!(told.endpoints, deliveries.items.len());
        }
    }

    /// All messages of the application, in the order in which they were accepted.
    pub async fn accepted(&self) -> Vec<Message> {
        let any = MessageFilter::default();
        let rows = self.store().messages(self.app, any, ALL, true).await.unwrap();
        assert!(!rows.more);
        rows.items
    }

    /// Their event ids.
    pub async fn accepted_ids(&self) -> Vec<String> {
        let all = self.accepted().await;
        all.into_iter().filter_map(|message| message.event_id).collect()
    }

    /// What became of a message, in words.
    pub async fn note_of(&self, event_id: &str) -> Option<String> {
        let id = self.store().message_by_event_id(self.app, event_id).await.unwrap()?;
        let message = self.store().message(self.app, id, false).await.unwrap()?;
        message.inbound.as_ref()?.note.clone()
    }

    /// How a stream stands.
    pub async fn stream(&self, key: &str) -> Option<StreamRow> {
        let query = StreamQuery {
            key: Some(key.to_owned()),
            held: false,
            after: None,
            limit: 10,
        };
        let rows = self.store().streams(self.app, query).await.unwrap();
        assert!(rows.items.len() <= 1 && !rows.more, "{rows:?}");
        rows.items.into_iter().next()
    }
}

/// That a message is held for the usual time.
pub fn held_since(came_at: Timestamp) -> Arrived {
    Arrived::Held {
        until: came_at.plus(WAIT),
    }
}

/// The message that was accepted.
pub fn accepted(arrived: &Arrived) -> MessageId {
    match arrived {
        Arrived::Accepted {
            appended: Appended { id, .. },
            ..
        } => *id,
        other => panic!("accepted, not {other:?}"),
    }
}

/// The message that is kept and goes nowhere.
pub fn stale(arrived: &Arrived) -> MessageId {
    match arrived {
        Arrived::Stale(appended) => appended.id,
        other => panic!("stale, not {other:?}"),
    }
}
