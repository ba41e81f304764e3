//! Whole numbers with bounds, each of which says what to do instead when it is given a number that means something else to
//! people: a limit of zero, for one, is not 'no limit' and not 'hold everything'.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident($kind:ty): $min:expr, $max:expr, $advice:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name($kind);

        impl $name {
            /// The number.
            pub const fn get(self) -> $kind {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let given = i64::deserialize(deserializer)?;
                let number = <$kind>::try_from(given).ok().filter(|number| ($min..=$max).contains(number));
                number.map(Self).ok_or_else(|| {
                    let (min, max): ($kind, $kind) = ($min, $max);
                    D::Error::custom(format_args!("{given} is out of bounds; give {min} to {max}{}", $advice))
                })
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
                json_schema!({ "type": "integer", "format": stringify!($kind).replace('u', "uint"), "minimum": $min, "maximum": $max })
            }
        }
    )*};
}

counts! {
    /// Deliveries per second.
    PerSecond(u16): 1, u16::MAX, ", leave it out for no limit, or pause the endpoint (`paused`) to hold everything back";
    /// Deliveries per second to all endpoints of an application together.
    PerSecondTogether(u16): 1, u16::MAX, ", or leave it out for no limit";
    /// Attempts at once.
    AtOnce(u16): 1, u16::MAX, ", leave it out for the server's own bound, or pause the endpoint (`paused`) to hold everything back";
    /// Messages per second that are taken from a publisher.
    PublishedPerSecond(u32): 1, 1_000_000, ", or null for the server's setting `publish_app_rate`";
    /// The same where 0 takes it away.
    PublishedPerSecondOrNone(u32): 0, 1_000_000, ", 0 or null for the server's setting `publish_app_rate`";
    /// Messages in a batch.
    BatchSize(u16): 2, bellwire_core::batch::MESSAGES_MAX, ", or no `batch` at all for one message per request";
    /// Milliseconds that a batch waits for company.
    BatchWait(u32): 0, 60_000, "";
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::batch::WAIT_MAX;
    use serde_json::{from_value, json};

    #[test]
    fn a_limit_of_zero_is_told_what_to_do_instead() {
        assert_eq!(from_value::<PerSecond>(json!(7)).unwrap().get(), 7);
        let refused = from_value::<PerSecond>(json!(0)).unwrap_err().to_string();
        assert!(
            refused.contains("1 to 65535") && refused.contains("paused"),
            "{refused}"
        );
        let refused = from_value::<PerSecondTogether>(json!(0)).unwrap_err().to_string();
        assert!(
            refused.contains("leave it out for no limit") && !refused.contains("pause"),
            "an application cannot be paused: {refused}"
        );
        assert!(from_value::<AtOnce>(json!(-1)).is_err() && from_value::<AtOnce>(json!(70_000)).is_err());
        assert!(from_value::<AtOnce>(json!("5")).is_err() && from_value::<AtOnce>(json!(1.5)).is_err());
    }

    #[test]
    fn a_batch_has_at_least_two_and_waits_no_longer_than_core_allows() {
        assert!(from_value::<BatchSize>(json!(1)).is_err() && from_value::<BatchSize>(json!(1_001)).is_err());
        assert_eq!(from_value::<BatchSize>(json!(1_000)).unwrap().get(), 1_000);
        let longest = u32::try_from(WAIT_MAX.as_millis()).unwrap();
        assert_eq!(from_value::<BatchWait>(json!(longest)).unwrap().get(), longest);
        assert!(from_value::<BatchWait>(json!(longest + 1)).is_err());
    }
}
