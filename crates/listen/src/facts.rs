//! What a trusted request says about itself: event type, id for deduplication, order.

use std::fmt;

use bellwire_core::time::Timestamp;
use serde_json::Value;

use crate::own::aws_sns;
use crate::provider::{Covers, Provider};
use crate::recipe::Proof;
use crate::request::{Seen, scalar};
use crate::verify::Verifier;

/// Where a provider writes a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Header(&'static str),
    Json(&'static str),
    /// A field of a form body.
    Form(&'static str),
    /// Where the setting of that name says; the proof reads it.
    Setting(&'static str),
}

/// What the events of a request that brings a list of them say, each about itself. Pointers begin at the event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items {
    /// Where the list is (RFC 6901): empty for the whole body.
    pub(crate) list: &'static str,
    /// The first that is there; that of the request where none is named.
    pub(crate) event_type: &'static [&'static str],
    /// All of them together; none where events have no id.
    pub(crate) id: &'static [&'static str],
    pub(crate) order_by: &'static [&'static str],
    pub(crate) version: &'static [&'static str],
}

impl Items {
    pub(crate) const NONE: Self = Self {
        list: "",
        event_type: &[],
        id: &[],
        order_by: &[],
        version: &[],
    };

    /// Where the id is, in words: `body[].eventId + body[].subscriptionId`.
    pub(crate) fn id_place(&self) -> Option<String> {
        let word = |pointer: &&str| format!("body{}[]{}", self.list.replace('/', "."), pointer.replace('/', "."));
        let words: Vec<_> = self.id.iter().map(word).collect();
        (!words.is_empty()).then(|| words.join(" + "))
    }

    fn id_of(&self, event: &Value) -> Option<String> {
        let texts = self.id.iter().map(|pointer| text(event, pointer));
        let texts: Vec<_> = texts.collect::<Option<_>>()?;
        (!texts.is_empty()).then(|| texts.join("/"))
    }

    /// The id of the whole request: those of all its events, so that the same list is recognised and another one is not.
    fn id_of_all(&self, body: &Value) -> Option<String> {
        let events = body.pointer(self.list)?.as_array()?;
        let ids: Vec<_> = events.iter().map(|event| self.id_of(event)).collect::<Option<_>>()?;
        (!ids.is_empty()).then(|| ids.join(","))
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    scalar(value.pointer(pointer)?).filter(|text| !text.is_empty())
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.write_str(name),
            Self::Json(pointer) => write!(f, "body{}", pointer.replace('/', ".")),
            Self::Form(name) => write!(f, "form field {name}"),
            Self::Setting(name) => write!(f, "setting {name}"),
        }
    }
}

impl Fact {
    fn read(self, seen: &Seen<'_>) -> Option<String> {
        let text = match self {
            Self::Header(name) => seen.header(name).ok()?.map(str::to_owned)?,
            Self::Json(pointer) => seen.json_text(pointer)?,
            Self::Form(name) => seen.form().into_iter().find(|(key, _)| key == name)?.1,
            Self::Setting(_) => return None,
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
    /// The id is part of what was signed: nobody on the way can have changed it.
    pub id_is_signed: bool,
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
    /// Why a subscription that asks for it is not confirmed, and what to do.
    pub unconfirmed: Option<&'static str>,
}

/// The fields that order events, as text; a hook's `order` may name others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What the event is about.
    pub by: Option<String>,
    /// Its version or time: later ones are greater.
    pub version: Option<String>,
}

pub(crate) fn trusted(verifier: &Verifier, seen: &Seen<'_>, proof: Proof) -> Trusted {
    let provider = verifier.provider;
    let id_is_signed = proof.id.as_ref().is_some_and(|id| id.is_signed);
    let named = || first(provider.id, seen);
    let of_all = || provider.items?.id_of_all(seen.json()?);
    let (confirm, unconfirmed) = aws_sns::confirm(verifier, seen);
    Trusted {
        event_type: first(provider.event_type, seen),
        id: proof.id.map(|id| id.text).or_else(named).or_else(of_all),
        id_is_signed,
        order: Order {
            by: first(provider.order_by, seen),
            version: first(provider.version, seen),
        },
        key_index: proof.key_index,
        signed_at: proof.signed_at,
        covers: provider.covers,
        confirm,
        unconfirmed,
    }
}

impl Trusted {
    /// What is known of one event of a request that brings a list of them where [`Provider::items_at`] says: its own facts
    /// where the provider has any, and otherwise the request's. Its id is its own or none.
    #[must_use]
    pub fn of_item(&self, provider: &Provider, event: &[u8]) -> Self {
        let items = provider.items.unwrap_or(Items::NONE);
        let event: Value = serde_json::from_slice(event).unwrap_or_default();
        let own = |pointers: &[&str], of_request: &Option<String>| match pointers {
            [] => of_request.clone(),
            _ => pointers.iter().find_map(|pointer| text(&event, pointer)),
        };
        Self {
            event_type: own(items.event_type, &self.event_type),
            id: items.id_of(&event),
            id_is_signed: false,
            order: Order {
                by: own(items.order_by, &self.order.by),
                version: own(items.version, &self.order.version),
            },
            ..self.clone()
        }
    }
}
