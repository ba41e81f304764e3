//! What a trusted request says about itself: event type, id for deduplication, order.

use std::fmt;

use bellwire_core::time::Timestamp;

use crate::provider::{Covers, Provider};
use crate::recipe::Proof;
use crate::request::Seen;

/// Where a provider writes a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Header(&'static str),
    Json(&'static str),
    /// A field of a form body.
    Form(&'static str),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.write_str(name),
            Self::Json(pointer) => write!(f, "body{}", pointer.replace('/', ".")),
            Self::Form(name) => write!(f, "form field {name}"),
        }
    }
}

impl Fact {
    fn read(self, seen: &Seen<'_>) -> Option<String> {
        let text = match self {
            Self::Header(name) => seen.header(name).ok()?.map(str::to_owned)?,
            Self::Json(pointer) => seen.json_text(pointer)?,
            Self::Form(name) => seen.form().into_iter().find(|(key, _)| key == name)?.1,
        };
        (!text.is_empty()).then_some(text)
    }
}

/// The first that is there.
fn first(facts: &[Fact], seen: &Seen<'_>) -> Option<String> {
    facts.iter().find_map(|fact| fact.read(seen))
}

/// A request that was verified, and what its provider says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The event type, where the provider has one.
    pub event_type: Option<String>,
    /// The provider's id of the event, the same when it is sent again: the key for deduplication.
    pub id: Option<String>,
    /// Where the event stands among others about the same thing.
    pub order: Order,
    /// Which of the live secrets signed it, counted from 0; none where nothing is signed.
    pub key_index: Option<usize>,
    /// When it was signed, where that is part of the proof.
    pub signed_at: Option<Timestamp>,
    /// What the proof covers.
    pub covers: Covers,
    /// A URL on the provider's own host that must be visited once to confirm a subscription (AWS SNS).
    pub confirm: Option<String>,
}

/// The fields that order events, as text; a hook's `order` may name others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What the event is about.
    pub by: Option<String>,
    /// Its version or time: later ones are greater.
    pub version: Option<String>,
}

pub(crate) fn trusted(provider: &Provider, seen: &Seen<'_>, proof: Proof) -> Trusted {
    Trusted {
        event_type: first(provider.event_type, seen),
        id: first(provider.id, seen),
        order: Order {
            by: first(provider.order_by, seen),
            version: first(provider.version, seen),
        },
        key_index: proof.key_index,
        signed_at: proof.signed_at,
        covers: provider.covers,
        confirm: crate::own::aws_sns::confirm(provider, seen),
    }
}
