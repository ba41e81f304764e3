//! How deliveries and attempts stand, as clients know it: a number and a word. Used by every route that shows or asks for one.

use std::borrow::Cow;

use bellwire_core::{
    attempt::Attempt,
    delivery::{DeliveryState, Trigger},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A status by its number: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub DeliveryState);

impl Status {
    /// Where an attempt stands: it is over, so it succeeded or failed.
    pub fn of(attempt: &Attempt) -> Self {
        Self(if attempt.failure.is_none() {
            DeliveryState::Succeeded
        } else {
            DeliveryState::Failed
        })
    }

    /// As it is shown: clients that do not know `canceled` (they do not ask for `expanded_statuses`) see a success instead,
    /// since nothing more will come.
    pub fn shown(state: DeliveryState, expanded: bool) -> Self {
        match state {
            DeliveryState::Cancelled if !expanded => Self(DeliveryState::Succeeded),
            state => Self(state),
        }
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self.0 {
            DeliveryState::Succeeded => 0,
            DeliveryState::Pending => 1,
            DeliveryState::Failed => 2,
            DeliveryState::Sending => 3,
            DeliveryState::Cancelled => 4,
        }
    }

    /// Its word.
    pub fn text(self) -> StatusText {
        match self.0 {
            DeliveryState::Succeeded => StatusText::Success,
            DeliveryState::Pending => StatusText::Pending,
            DeliveryState::Failed => StatusText::Fail,
            DeliveryState::Sending => StatusText::Sending,
            DeliveryState::Cancelled => StatusText::Canceled,
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match u8::deserialize(deserializer)? {
            0 => DeliveryState::Succeeded,
            1 => DeliveryState::Pending,
            2 => DeliveryState::Failed,
            3 => DeliveryState::Sending,
            4 => DeliveryState::Cancelled,
            other => {
                let why =
                    format_args!("{other} is no status; write 0 success, 1 pending, 2 fail, 3 sending or 4 canceled");
                return Err(D::Error::custom(why));
            }
        }))
    }
}

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "MessageStatus".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "enum": [0, 1, 2, 3, 4],
            "description": "0 success, 1 pending, 2 fail, 3 sending, 4 canceled.",
        })
    }
    // Queries look at a parameter's own schema to know that it is a number.
    fn inline_schema() -> bool {
        true
    }
}

/// A status by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MessageStatusText")]
pub enum StatusText {
    /// Delivered.
    Success,
    /// Waiting for its first or next attempt.
    Pending,
    /// Given up, or (an attempt) without success.
    Fail,
    /// An attempt is under way.
    Sending,
    /// Stopped before it succeeded.
    Canceled,
}

/// A class of status codes: 0 for no answer, else 100 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusClass(pub u16);

impl<'de> Deserialize<'de> for StatusClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            class @ (0 | 100 | 200 | 300 | 400 | 500) => Ok(Self(class)),
            other => {
                let why =
                    format_args!("{other} is no class of status codes; write 0 (no answer), 100, 200, 300, 400 or 500");
                Err(D::Error::custom(why))
            }
        }
    }
}

impl JsonSchema for StatusClass {
    fn schema_name() -> Cow<'static, str> {
        "StatusCodeClass".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "enum": [0, 100, 200, 300, 400, 500],
            "description": "The class of the receiver's status code; 0 when there was no answer.",
        })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// What made an attempt due: 0 the message or its schedule, 1 a person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerType(pub Trigger);

impl Serialize for TriggerType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self.0 {
            Trigger::Scheduled => 0,
            Trigger::Manual => 1,
        })
    }
}

impl JsonSchema for TriggerType {
    fn schema_name() -> Cow<'static, str> {
        "MessageAttemptTriggerType".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "enum": [0, 1],
            "description": "0: the message itself or its retry schedule; 1: somebody asked for it.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn every_status_has_its_number_and_word() {
        for (number, word) in [
            (0, "success"),
            (1, "pending"),
            (2, "fail"),
            (3, "sending"),
            (4, "canceled"),
        ] {
            let status: Status = from_value(json!(number)).unwrap();
            assert_eq!(to_value(status).unwrap(), json!(number));
            assert_eq!(to_value(status.text()).unwrap(), json!(word));
        }
        assert!(
            from_value::<Status>(json!(5))
                .unwrap_err()
                .to_string()
                .contains("4 canceled")
        );
    }

    #[test]
    fn canceled_is_shown_only_to_those_who_know_it() {
        assert_eq!(Status::shown(DeliveryState::Cancelled, true).number(), 4);
        assert_eq!(Status::shown(DeliveryState::Cancelled, false).number(), 0);
        assert_eq!(Status::shown(DeliveryState::Failed, false).number(), 2);
    }

    #[test]
    fn status_classes_are_whole_hundreds() {
        assert_eq!(from_value::<StatusClass>(json!(0)).unwrap(), StatusClass(0));
        assert_eq!(from_value::<StatusClass>(json!(500)).unwrap(), StatusClass(500));
        assert!(from_value::<StatusClass>(json!(404)).is_err());
        assert!(from_value::<StatusClass>(json!(600)).is_err());
    }
}
