//! What a message-to-be is: its type, the id by which repetitions are recognised, and its place among others.

use bellwire_core::{
    order,
    sequence::VERSION_BYTES_MAX,
    source::{Item, SourceRules},
};
use bellwire_listen::{Trusted, Verifier, cloudevents::Mode};
use bellwire_store::ArrivalPlace;
use bellwire_template::{Expression, MessageScope, Missing};
use serde_json::Value;

use super::{
    Coming,
    compile::{Order, Place, Rules},
    events::Part,
    short,
    steps::Steps,
};

/// The type of events whose source does not say.
const UNTYPED: &str = "webhook";
/// The longest event type, in bytes.
const TYPE_BYTES_MAX: usize = 256;

/// What is known of an event before the source's own rules are asked.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub event_type: String,
    id: Option<String>,
    by: Option<String>,
    version: Option<String>,
    type_from: Origin<'a>,
    id_from: Origin<'a>,
}

/// Who says so.
#[derive(Debug, Clone, Copy)]
enum Origin<'a> {
    CloudEvent,
    Provider(&'a Verifier),
    Nobody,
}

impl Origin<'_> {
    fn of_type(self) -> String {
        match self {
            Self::CloudEvent => "the CloudEvent".to_owned(),
            Self::Provider(verifier) => verifier.provider().event_type_places().join(" or "),
            Self::Nobody => "nothing that says one".to_owned(),
        }
    }

    fn of_id(self) -> String {
        match self {
            Self::CloudEvent => "the CloudEvent's source and id".to_owned(),
            Self::Provider(verifier) => verifier.id_places().join(" or "),
            Self::Nobody => String::new(),
        }
    }
}

/// The type of a message that no request brought: what the rule makes of it, where there is one and it applies.
pub fn event_type(rules: &SourceRules, otherwise: &str, json: &[u8]) -> String {
    let scope = MessageScope::new(otherwise, &[], json);
    let rule = rules.event_type.as_ref();
    let made = rule
        .and_then(|rule| Expression::compile(rule, Missing::Empty).ok())
        .and_then(|rule| text(rule.evaluate(&scope).ok()?));
    made.map_or_else(|| otherwise.to_owned(), lawful_type)
}

/// What the provider, or the CloudEvent, says. A signed id outranks one that nothing signs; several events never share one.
pub(super) fn known<'a>(
    verifier: &'a Verifier,
    trusted: &Trusted,
    part: &Part,
    headers: &[(String, String)],
) -> Known<'a> {
    let of_provider = Origin::Provider(verifier);
    let (event_type, type_from) = match (&part.cloud, &trusted.event_type) {
        (Some(cloud), _) => (Some(&cloud.event_type), Origin::CloudEvent),
        (None, Some(event_type)) => (Some(event_type), of_provider),
        (None, None) => (None, Origin::Nobody),
    };
    let (id, id_from) = match &part.cloud {
        None => (trusted.id.as_ref(), of_provider),
        Some(cloud) => {
            let outranks = match cloud.mode {
                Mode::Binary => true,
                Mode::Structured => trusted.id_is_signed,
                Mode::Batched => false,
            };
            match trusted.id.as_ref().filter(|_| outranks) {
                Some(id) => (Some(id), of_provider),
                None => (Some(&cloud.id), Origin::CloudEvent),
            }
        }
    };
    let time = || {
        headers
            .iter()
            .rfind(|(name, _)| part.cloud.is_some() && name == "ce-time")
    };
    let version = trusted.order.version.clone();
    Known {
        event_type: event_type.cloned().map_or_else(|| UNTYPED.to_owned(), lawful_type),
        id: id.cloned().map(lawful_id),
        by: trusted.order.by.clone(),
        version: version.or_else(|| time().map(|(_, time)| time.clone())),
        type_from,
        id_from,
    }
}

/// What the rules made of it.
#[derive(Debug)]
pub(super) struct Found {
    event_type: String,
    event_id: Option<String>,
    ordering_key: Option<String>,
    place: Option<ArrivalPlace>,
    pub item: Option<Item>,
    /// What could not be applied, in words.
    note: Option<String>,
}

impl Known<'_> {
    /// The message of a request that a rule cannot take apart: as the provider sent it, and for people to look at.
    pub fn whole(self, part: Part, why: String) -> Coming {
        let found = Found {
            event_type: self.event_type,
            event_id: self.id,
            ordering_key: self.by.map(lawful_id),
            place: None,
            item: None,
            note: Some(format!("{why}; it is kept whole and goes nowhere")),
        };
        Coming {
            set_aside: true,
            ..found.message(part)
        }
    }
}

impl Found {
    fn noted(&mut self, what: String) {
        self.note = Some(match self.note.take() {
            Some(note) => format!("{note}; {what}"),
            None => what,
        });
    }

    pub fn message(self, part: Part) -> Coming {
        Coming {
            event_type: self.event_type,
            event_id: self.event_id,
            ordering_key: self.ordering_key,
            place: self.place,
            payload: part.payload,
            content_type: part.content_type,
            json: part.json,
            item: self.item,
            attributes: part.attributes,
            note: self.note,
            set_aside: false,
        }
    }
}

/// What an item's id is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum IdOfRequest<'a> {
    /// Of the request's, where it has one.
    Has(Option<&'a str>),
    /// Of nothing of the request's: the provider gives each item one.
    ItemsHaveTheirOwn,
}

impl Rules {
    /// The id of a whole request that is taken apart, where it has one.
    pub fn id_of_request(&self, known: &Known<'_>, scope: &MessageScope<'_>) -> Option<String> {
        match &self.dedupe {
            Some(dedupe) if dedupe.of_item => None,
            Some(dedupe) => dedupe.key.key(scope),
            None => known.id.clone(),
        }
    }

    /// What an event is that is a message.
    pub fn identify(&self, known: &Known<'_>, scope: &MessageScope<'_>, steps: &mut Steps) -> Found {
        let event_id = match &self.dedupe {
            Some(dedupe) => dedupe.key.key(scope),
            None => known.id.clone(),
        };
        let from = || match &self.dedupe {
            Some(dedupe) => dedupe.key.text().to_owned(),
            None => known.id_from.of_id(),
        };
        steps.say(|| match &event_id {
            Some(id) => format!("id {id} from {}", from()),
            None if from().is_empty() => "no id: repetitions are not recognised".to_owned(),
            None => format!("no id from {}: repetitions are not recognised", from()),
        });
        self.found(known, scope, event_id, steps)
    }

    /// What an item is. Its id is the request's and its place, unless its own is wanted or `known` to the provider.
    pub fn identify_item(
        &self,
        known: &Known<'_>,
        scope: &MessageScope<'_>,
        of_request: IdOfRequest<'_>,
        index: usize,
        steps: &mut Steps,
    ) -> Found {
        let event_id = match (of_request, &self.dedupe) {
            (IdOfRequest::Has(Some(id)), _) => Some(lawful_id(format!("{id}/{index}"))),
            (IdOfRequest::Has(None), Some(dedupe)) => dedupe.key.key(scope),
            (IdOfRequest::Has(None), None) => None,
            (IdOfRequest::ItemsHaveTheirOwn, _) => known.id.clone(),
        };
        steps.say(|| match &event_id {
            Some(id) => format!("item {index}: id {id}"),
            None => format!("item {index}: no id, repetitions are not recognised"),
        });
        self.found(known, scope, event_id, steps)
    }

    fn found(&self, known: &Known<'_>, scope: &MessageScope<'_>, event_id: Option<String>, steps: &mut Steps) -> Found {
        let (made, failed) = match self.event_type.as_ref().map(|rule| rule.evaluate(scope)) {
            Some(Ok(value)) => (text(value), None),
            // The operator's mistake is not the sender's.
            Some(Err(error)) => (None, Some(format!("`event_type` cannot be applied to it: {error}"))),
            None => (None, None),
        };
        if let Some(why) = &failed {
            steps.say(|| why.clone());
        }
        let rule = self.event_type.as_ref().filter(|_| made.is_some());
        let event_type = made.map_or_else(|| known.event_type.clone(), lawful_type);
        steps.say(|| {
            let from = rule.map_or_else(|| known.type_from.of_type(), |rule| rule.text().to_owned());
            format!("event type {event_type} from {from}")
        });
        let mut found = Found {
            event_type,
            event_id,
            ordering_key: known.by.clone().map(lawful_id),
            place: None,
            item: None,
            note: failed,
        };
        if let Some(order) = &self.order {
            found.ordering_key = order.by.key(scope);
            match found.ordering_key.as_ref() {
                Some(key) => {
                    let (place, unread) = match order.place(known, scope) {
                        Ok(place) => (place, None),
                        Err(why) => (None, Some(why)),
                    };
                    steps.say(|| format!("in order by {}: {key}, {}", order.by.text(), words(place.as_ref())));
                    found.place = place;
                    if let Some(why) = unread {
                        steps.say(|| why.clone());
                        found.noted(why);
                    }
                }
                None => steps.say(|| format!("in no order: nothing is at {}", order.by.text())),
            }
        }
        found
    }
}

impl Order {
    /// The place; none where nothing says one. `Err` says what cannot be one.
    fn place(&self, known: &Known<'_>, scope: &MessageScope<'_>) -> Result<Option<ArrivalPlace>, String> {
        match &self.place {
            Place::Sequence { number, start, wait } => {
                let rule = number.text();
                let value = number
                    .evaluate(scope)
                    .map_err(|error| format!("in no order: `{rule}` cannot be applied to it: {error}"))?;
                if value.is_null() || value == "" {
                    return Ok(None);
                }
                let number = whole(&value).ok_or_else(|| {
                    format!(
                        "in no order: `{rule}` is {}, no whole number up to 2^64 - 1",
                        brief(&value)
                    )
                })?;
                Ok(Some(ArrivalPlace::Sequence {
                    number,
                    start: *start,
                    wait: *wait,
                }))
            }
            Place::Version(version) => version.written(scope).map(lawful_version).transpose(),
            Place::Provider => known.version.clone().map(lawful_version).transpose(),
        }
    }
}

/// A version that can be compared and kept.
fn lawful_version(version: String) -> Result<ArrivalPlace, String> {
    if version.len() > VERSION_BYTES_MAX {
        return Err(format!(
            "in no order: its version `{}…` is longer than {VERSION_BYTES_MAX} bytes",
            short(&version)
        ));
    }
    Ok(ArrivalPlace::Version(version))
}

fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", short(text)),
        other => short(&other.to_string()),
    }
}

fn words(place: Option<&ArrivalPlace>) -> String {
    match place {
        Some(ArrivalPlace::Sequence { number, .. }) => format!("number {number}"),
        Some(ArrivalPlace::Version(version)) => format!("version {version}"),
        None => "without a number or version: accepted as it comes".to_owned(),
    }
}

/// A whole number, also one that was written as a text.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            let double = number.as_f64()?;
            // Above, doubles do not tell neighbours apart.
            (double.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&double)).then_some(double as u64)
        }),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A name for an event type: the sender's own, without control characters and not too long.
fn lawful_type(text: String) -> String {
    if text.len() <= TYPE_BYTES_MAX && !text.chars().any(char::is_control) {
        return text;
    }
    let mut lawful: String = text.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let end = (0..=TYPE_BYTES_MAX.min(lawful.len()))
        .rev()
        .find(|end| lawful.is_char_boundary(*end));
    lawful.truncate(end.unwrap_or(0));
    lawful
}

/// A text that can be an id or key; its hash where it is too long or has control characters, so that equal ones stay equal.
fn lawful_id(text: String) -> String {
    if order::check_key(&text).is_ok() {
        return text;
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned()).chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_however_they_are_written() {
        let read = |json: &str| whole(&serde_json::from_str(json).unwrap());
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("\"7\""), Some(7));
        assert_eq!(read("7.0"), Some(7));
        for other in ["7.5", "-1", "null", "\"x\"", "1e300", "[]"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn types_and_ids_are_the_senders_own_unless_they_cannot_be() {
        assert_eq!(lawful_type("orders/create".into()), "orders/create");
        assert_eq!(lawful_type("a\nb".into()), "a_b");
        assert_eq!(lawful_type("ü".repeat(200)).len(), 256);
        assert_eq!(lawful_id("a b".into()), "a b");
        assert!(lawful_id("x".repeat(300)).starts_with("sha256:"));
    }
}
