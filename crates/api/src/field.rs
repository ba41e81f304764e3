//! Members of requests that check themselves: each type reads only what is allowed, and says in the OpenAPI document what
//! that is. Used by every resource under `routes`.
//!
//! Text that breaks a rule is refused while the body is read, so the refusal carries the path of the member.

mod count;

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use bellwire_core::{
    event_type::is_filter_entry,
    id::{AppId, EndpointId, Id, MessageId},
    name::{EVENT_TYPE_MAX, UID_MAX, is_channel, is_name, is_tag, is_uid},
    order::{KEY_BYTES_MAX, check_key},
    source,
    time::{Timestamp, span::Span},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub use self::count::{
    AtOnce, BatchSize, BatchWait, PerSecond, PerSecondTogether, PublishedPerSecond, PublishedPerSecondOrNone,
};

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $allowed:expr, $rule:expr, $max:expr, $pattern:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// What is allowed, in words.
            pub const RULE: &'static str = $rule;
            /// Whether a text is allowed.
            pub fn allows(text: &str) -> bool {
                let allowed: fn(&str) -> bool = $allowed;
                allowed(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                if Self::allows(&text) { Ok(Self(text)) } else { Err(refused(&text, $rule)) }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern: Option<&str> = $pattern;
                let mut schema = json_schema!({ "type": "string", "minLength": 1, "maxLength": $max });
                if let Some(pattern) = pattern {
                    schema.insert("pattern".to_owned(), pattern.into());
                }
                schema
            }
        }
    )*};
}

fn refused<E: serde::de::Error>(text: &str, rule: &str) -> E {
    let short: String = text.chars().take(64).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    E::custom(format_args!("`{short}{dots}` is not allowed here; write {rule}"))
}

const NAME: Option<&str> = Some(r"^[a-zA-Z0-9\-_.]+$");

texts! {
    /// An application's uid.
    AppUid: |t| is_uid(t, AppId::PREFIX),
        "1 to 256 letters, digits, `-`, `_` and `.`, not starting with `app_`", UID_MAX, NAME;
    /// An endpoint's uid.
    EndpointUid: |t| is_uid(t, EndpointId::PREFIX),
        "1 to 256 letters, digits, `-`, `_` and `.`, not starting with `ep_`", UID_MAX, NAME;
    /// A source's uid.
    SourceUid: source::is_uid,
        "1 to 60 letters, digits, `-` and `_`, not starting with `src_`", source::UID_MAX,
        Some(r"^(?!src_)[a-zA-Z0-9_-]+$");
    /// The publisher's own id of an event.
    EventUid: |t| is_uid(t, MessageId::PREFIX),
        "1 to 256 letters, digits, `-`, `_` and `.`, not starting with `msg_`", UID_MAX, NAME;
    /// The name of an event type, of a group of them, or of a feature flag.
    EventTypeName: |t| is_name(t, EVENT_TYPE_MAX),
        "1 to 256 letters, digits, `-`, `_` and `.`, such as `invoice.paid`", EVENT_TYPE_MAX, NAME;
    /// An entry of an endpoint's filter of event types.
    EventTypeFilter: is_filter_entry,
        "the name of an event type, a beginning such as `invoice.*`, or `*`", EVENT_TYPE_MAX + 2,
        Some(r"^([a-zA-Z0-9\-_.]+(\.\*)?|\*)$");
    /// A channel.
    ChannelName: is_channel,
        "1 to 128 letters, digits, `-`, `_`, `.`, `:` and `+`", 128, Some(r"^[a-zA-Z0-9\-_.:+]+$");
    /// A tag.
    TagName: is_tag,
        "1 to 128 letters, digits, `-`, `_`, `.`, `/`, `\\` and `#`", 128, Some(r"^[a-zA-Z0-9\-_./\\#]+$");
    /// A name for people.
    DisplayName: |t| !t.trim().is_empty() && t.chars().count() <= 256 && !t.contains('\0'),
        "1 to 256 characters", 256, None;
}

/// What a message is in order with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderingKey(String);

impl From<OrderingKey> for String {
    fn from(key: OrderingKey) -> Self {
        key.0
    }
}

impl std::ops::Deref for OrderingKey {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for OrderingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        check_key(&key).map_err(D::Error::custom)?;
        Ok(Self(key))
    }
}

impl JsonSchema for OrderingKey {
    fn schema_name() -> Cow<'static, str> {
        "OrderingKey".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX })
    }
}

/// A description for people: up to 4,096 characters, also none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description(pub String);

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > 4_096 {
            Err(refused(&text, "at most 4096 characters"))
        } else {
            Ok(Self(text))
        }
    }
}

impl JsonSchema for Description {
    fn schema_name() -> Cow<'static, str> {
        "Description".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 4096 })
    }
}

/// The owner's notes: names to texts, 16 KiB in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(pub BTreeMap<String, String>);

const METADATA_BYTES_MAX: usize = 16 * 1_024;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        let bytes: usize = map.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > METADATA_BYTES_MAX {
            let why = format_args!("metadata takes {bytes} bytes; at most {METADATA_BYTES_MAX} are kept");
            return Err(D::Error::custom(why));
        }
        Ok(Self(map))
    }
}

impl JsonSchema for Metadata {
    fn schema_name() -> Cow<'static, str> {
        "Metadata".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// A list of different values, sorted, of at least `MIN` and at most `MAX` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<T, const MIN: usize, const MAX: usize>(pub Vec<T>);

impl<T: Into<String>, const MIN: usize, const MAX: usize> Set<T, MIN, MAX> {
    /// The texts.
    pub fn into_texts(self) -> Vec<String> {
        self.0.into_iter().map(Into::into).collect()
    }
}

impl<'de, T: Deserialize<'de> + Ord, const MIN: usize, const MAX: usize> Deserialize<'de> for Set<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut list = Vec::<T>::deserialize(deserializer)?;
        list.sort_unstable();
        list.dedup();
        if list.len() < MIN || list.len() > MAX {
            let why = format_args!("there are {} different entries; give {MIN} to {MAX}", list.len());
            return Err(D::Error::custom(why));
        }
        Ok(Self(list))
    }
}

impl<T: JsonSchema, const MIN: usize, const MAX: usize> JsonSchema for Set<T, MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("SetOf{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items, "uniqueItems": true, "minItems": MIN, "maxItems": MAX })
    }
}

/// A point in time: RFC 3339. Without a zone it is read as UTC, which is how some clients mean it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Time(pub Timestamp);

impl Time {
    /// Reads a time.
    ///
    /// # Errors
    /// The words of the refusal.
    pub fn parse(text: &str) -> Result<Self, String> {
        // In a query a `+` that was not percent-encoded arrives as a space.
        let text = text.replace(' ', "+");
        let with_zone = text
            .parse()
            .or_else(|error| format!("{text}Z").parse().map_err(|_| error));
        with_zone.map(Self).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A span of time: text such as `500ms`, `5s`, `2h`, or a number of seconds. Written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanText(pub Duration);

impl<'de> Deserialize<'de> for SpanText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Span::deserialize(deserializer)?.0))
    }
}

impl Serialize for SpanText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Span(self.0).serialize(serializer)
    }
}

impl JsonSchema for SpanText {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "examples": ["500ms", "5s", "30m", "2h"] })
    }
}

/// A member of a PATCH: left out (keep), null (clear), or a new value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Left out: keep what is.
    #[default]
    Keep,
    /// Null: clear it.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Puts the change into an optional setting.
    pub fn apply(self, setting: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *setting = None,
            Self::Set(value) => *setting = Some(value),
        }
    }

    /// The new value as another type.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(f(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Option<T>>()
    }
}

/// Members that some clients send and that mean nothing here: read and forgotten.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn names_are_read_by_their_rules() {
        assert!(from_value::<AppUid>(json!("cust-1")).is_ok());
        assert!(from_value::<AppUid>(json!("app_1")).is_err());
        assert!(from_value::<EventTypeFilter>(json!("invoice.*")).is_ok());
        assert!(from_value::<EventTypeFilter>(json!("inv*")).is_err());
        let error = from_value::<ChannelName>(json!("no way!")).unwrap_err().to_string();
        assert!(error.contains("`no way!`") && error.contains("letters"), "{error}");
    }

    #[test]
    fn sets_are_sorted_without_duplicates_and_bounded() {
        let set: Set<ChannelName, 1, 2> = from_value(json!(["b", "a", "b"])).unwrap();
        assert_eq!(set.into_texts(), ["a", "b"]);
        assert!(from_value::<Set<ChannelName, 1, 2>>(json!([])).is_err());
        assert!(from_value::<Set<ChannelName, 1, 2>>(json!(["a", "b", "c"])).is_err());
    }

    #[test]
    fn times_are_read_as_every_client_writes_them() {
        let at = Timestamp::from_micros(1_767_323_045_000_006);
        for text in [
            "2026-01-02T03:04:05.000006Z",
            "2026-01-02T03:04:05.000006+00:00",
            "2026-01-02T03:04:05.000006 00:00",
            "2026-01-02T03:04:05.000006000+00:00",
            "2026-01-02T03:04:05.000006",
        ] {
            assert_eq!(Time::parse(text), Ok(Time(at)), "{text}");
        }
        assert!(Time::parse("tomorrow").is_err() && Time::parse("").is_err());
    }

    #[test]
    fn a_patch_tells_left_out_from_null() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            uid: Patch<AppUid>,
        }
        let read = |body: serde_json::Value| from_value::<Body>(body).unwrap().uid;
        assert_eq!(read(json!({})), Patch::Keep);
        assert_eq!(read(json!({ "uid": null })), Patch::Clear);
        assert_eq!(read(json!({ "uid": "a" })), Patch::Set(AppUid("a".to_owned())));
    }
}
