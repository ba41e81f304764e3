//! What a message-to-be is: its type, the id by which repetitions are recognised, and its place among others.

use bellwire_core::{
    order,
    source::{Item, SourceRules},
};
use bellwire_listen::{Provider, Trusted};
use bellwire_store::ArrivalPlace;
use bellwire_template::{Expression, MessageScope, Missing};
use serde_json::Value;

use super::{
    Coming, Refusal,
    compile::{Order, Place, Rules},
    events::Part,
    steps::Steps,
};

/// The type of events whose source does not say.
const UNTYPED: &str = "webhook";
/// The longest event type, in bytes.
const TYPE_BYTES_MAX: usize = 256;

/// What is known of an event before the source's own rules are asked.
#[derive(Debug)]
pub(super) struct Known {
    pub event_type: String,
    id: Option<String>,
    by: Option<String>,
    version: Option<String>,
    origin: Origin,
}

/// Who says so.
#[derive(Debug, Clone, Copy)]
enum Origin {
    CloudEvent,
    Provider(&'static Provider),
    Nobody(&'static Provider),
}

impl Origin {
    fn of_type(self) -> String {
        match self {
            Self::CloudEvent => "the CloudEvent".to_owned(),
            Self::Provider(provider) => provider.event_type_places().join(" or "),
            Self::Nobody(_) => "nothing that says one".to_owned(),
        }
    }

    fn of_id(self) -> String {
        match self {
            Self::CloudEvent => "the CloudEvent's source and id".to_owned(),
            Self::Provider(provider) | Self::Nobody(provider) => provider.id_places().join(" or "),
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

/// What the provider, or the CloudEvent, says.
pub(super) fn known(
    provider: &'static Provider,
    trusted: &Trusted,
    part: &Part,
    headers: &[(String, String)],
) -> Known {
    let (id, event_type, origin) = match &part.cloud {
        Some((id, event_type)) => (Some(id), Some(event_type), Origin::CloudEvent),
        None if trusted.event_type.is_some() => (
            trusted.id.as_ref(),
            trusted.event_type.as_ref(),
            Origin::Provider(provider),
        ),
        None => (trusted.id.as_ref(), None, Origin::Nobody(provider)),
    };
    let time = || headers.iter().find(|(name, _)| name == "ce-time");
    let version = trusted.order.version.clone();
    Known {
        event_type: event_type.cloned().map_or_else(|| UNTYPED.to_owned(), lawful_type),
        id: id.cloned().map(lawful_id),
        by: trusted.order.by.clone(),
        version: version.or_else(|| time().map(|(_, time)| time.clone())),
        origin,
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
}

impl Found {
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
        }
    }
}

impl Rules {
    /// The id of a whole request that is taken apart, where it has one.
    pub fn id_of_request(&self, known: &Known, scope: &MessageScope<'_>) -> Option<String> {
        match &self.dedupe {
            Some(dedupe) if dedupe.of_item => None,
            Some(dedupe) => dedupe.key.key(scope),
            None => known.id.clone(),
        }
    }

    /// What an event is that is a message.
    pub fn identify(&self, known: &Known, scope: &MessageScope<'_>, steps: &mut Steps) -> Result<Found, Refusal> {
        let event_id = match &self.dedupe {
            Some(dedupe) => dedupe.key.key(scope),
            None => known.id.clone(),
        };
        let from = || match &self.dedupe {
            Some(dedupe) => dedupe.key.text().to_owned(),
            None => known.origin.of_id(),
        };
        steps.say(|| match &event_id {
            Some(id) => format!("id {id} from {}", from()),
            None if from().is_empty() => "no id: repetitions are not recognised".to_owned(),
            None => format!("no id from {}: repetitions are not recognised", from()),
        });
        self.found(known, scope, event_id, steps)
    }

    /// What an item is. Its id is the request's and its place, unless its own is wanted.
    pub fn identify_item(
        &self,
        known: &Known,
        scope: &MessageScope<'_>,
        of_request: Option<&str>,
        index: usize,
        steps: &mut Steps,
    ) -> Result<Found, Refusal> {
        let event_id = match (of_request, &self.dedupe) {
            (Some(id), _) => Some(lawful_id(format!("{id}/{index}"))),
            (None, Some(dedupe)) => dedupe.key.key(scope),
            (None, None) => None,
        };
        steps.say(|| match &event_id {
            Some(id) => format!("item {index}: id {id}"),
            None => format!("item {index}: no id, repetitions are not recognised"),
        });
        self.found(known, scope, event_id, steps)
    }

    fn found(
        &self,
        known: &Known,
        scope: &MessageScope<'_>,
        event_id: Option<String>,
        steps: &mut Steps,
    ) -> Result<Found, Refusal> {
        let made = match &self.event_type {
            Some(rule) => text(rule.evaluate(scope).map_err(|error| {
                let detail = format!("`event_type` cannot be applied to this request: {error}");
                Refusal::new(400, "rule", detail)
            })?),
            None => None,
        };
        let rule = self.event_type.as_ref().filter(|_| made.is_some());
        let event_type = made.map_or_else(|| known.event_type.clone(), lawful_type);
        steps.say(|| {
            let from = rule.map_or_else(|| known.origin.of_type(), |rule| rule.text().to_owned());
            format!("event type {event_type} from {from}")
        });
        let mut found = Found {
            event_type,
            event_id,
            ordering_key: known.by.clone().map(lawful_id),
            place: None,
            item: None,
        };
        if let Some(order) = &self.order {
            found.ordering_key = order.by.key(scope);
            match found.ordering_key.as_ref() {
                Some(key) => {
                    found.place = order.place(known, scope);
                    steps.say(|| {
                        format!(
                            "in order by {}: {key}, {}",
                            order.by.text(),
                            words(found.place.as_ref())
                        )
                    });
                }
                None => steps.say(|| format!("in no order: nothing is at {}", order.by.text())),
            }
        }
        Ok(found)
    }
}

impl Order {
    fn place(&self, known: &Known, scope: &MessageScope<'_>) -> Option<ArrivalPlace> {
        match &self.place {
            Place::Sequence { number, start, wait } => Some(ArrivalPlace::Sequence {
                number: whole(&number.evaluate(scope).ok()?)?,
                start: *start,
                wait: *wait,
            }),
            Place::Version(version) => version.key(scope).map(ArrivalPlace::Version),
            Place::Provider => known.version.clone().map(ArrivalPlace::Version),
        }
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
