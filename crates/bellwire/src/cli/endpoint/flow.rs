//! The options that say how an endpoint's deliveries wait for each other and travel together.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::cli::{exit::Failure, when};

/// Order, batches and signatures of an endpoint.
#[derive(Args, Default)]
#[command(next_help_heading = "Order and load")]
pub struct Flow {
    /// Which deliveries wait for each other
    #[arg(long)]
    ordering: Option<Mode>,
    /// What a line does when its first delivery is given up
    #[arg(long)]
    on_exhausted: Option<Exhausted>,
    /// What gives a message its ordering key; '' for the publisher's own
    #[arg(long, value_name = "EXPRESSION")]
    ordering_key_expression: Option<String>,
    /// Send up to so many messages in one request; 1 for one each
    #[arg(long, value_name = "COUNT")]
    batch_messages: Option<u16>,
    /// Send a batch that is not full after so long; 1s when not given
    #[arg(long, value_name = "SPAN", value_parser = when::span, requires = "batch_messages")]
    batch_wait: Option<Duration>,
    /// What a batch looks like; json when not given
    #[arg(long, requires = "batch_messages")]
    batch_format: Option<Format>,
    /// Sign requests by RFC 9421 as well
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    http_signatures: Option<bool>,
    /// Attempts at once at most
    #[arg(long, value_name = "COUNT")]
    max_in_flight: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// None: each is attempted when it is due.
    None,
    /// Those with the same ordering key.
    Key,
    /// All of them.
    Endpoint,
}

#[derive(Clone, Copy, ValueEnum)]
enum Exhausted {
    /// The next one has its turn.
    Skip,
    /// The line waits for a person.
    Block,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A JSON array.
    Json,
    /// The JSON batch format of CloudEvents.
    Cloudevents,
}

fn name(value: impl ValueEnum) -> Option<Value> {
    Some(value.to_possible_value()?.get_name().into())
}

impl Flow {
    /// Puts the fields that were named into a body.
    ///
    /// # Errors
    /// When options contradict each other.
    pub fn put(&self, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let batch = self.batch()?;
        let expression = self.ordering_key_expression.as_deref().map(|text| match text {
            "" => Value::Null,
            text => text.into(),
        });
        for (member, value) in [
            ("ordering", self.ordering.and_then(name)),
            ("onExhausted", self.on_exhausted.and_then(name)),
            ("orderingKeyExpression", expression),
            ("batch", batch),
            ("httpSignatures", self.http_signatures.map(Value::from)),
            ("maxInFlight", self.max_in_flight.map(Value::from)),
        ] {
            if let Some(value) = value {
                body.insert(member.to_owned(), value);
            }
        }
        Ok(())
    }

    fn batch(&self) -> Result<Option<Value>, Failure> {
        let Some(messages) = self.batch_messages else {
            return Ok(None);
        };
        if messages == 1 {
            if self.batch_wait.is_some() || self.batch_format.is_some() {
                return Err(Failure::usage(
                    "--batch-messages 1 is no batch: it has no wait and no format",
                ));
            }
            return Ok(Some(Value::Null));
        }
        let mut batch = json!({ "maxMessages": messages });
        if let Some(wait) = self.batch_wait {
            batch["maxWaitMs"] = u64::try_from(wait.as_millis()).map_err(Failure::usage)?.into();
        }
        if let Some(format) = self.batch_format.and_then(name) {
            batch["format"] = format;
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;

    #[test]
    fn order_and_batches_become_the_fields_of_the_api() {
        let line = [
            "create",
            "http://h/",
            "--app",
            "a",
            "--ordering",
            "key",
            "--on-exhausted",
            "block",
            "--ordering-key-expression",
            "data.id",
            "--batch-messages",
            "100",
            "--batch-wait",
            "2s",
            "--batch-format",
            "cloudevents",
            "--http-signatures",
            "--max-in-flight",
            "4",
        ];
        let (_, seen) = run(&line, vec![(201, "{}")]);
        let expected = r#"{"batch":{"format":"cloudevents","maxMessages":100,"maxWaitMs":2000},"httpSignatures":true,"maxInFlight":4,"onExhausted":"block","ordering":"key","orderingKeyExpression":"data.id","url":"http://h/"}"#;
        assert_eq!(seen[0].body, expected);
    }

    #[test]
    fn what_was_set_can_be_taken_back() {
        let line = [
            "update",
            "ep_1",
            "--app",
            "a",
            "--ordering",
            "none",
            "--ordering-key-expression",
            "",
            "--batch-messages",
            "1",
            "--http-signatures=false",
        ];
        let (_, seen) = run(&line, vec![(200, "{}")]);
        let expected = r#"{"batch":null,"httpSignatures":false,"ordering":"none","orderingKeyExpression":null}"#;
        assert_eq!(seen[0].body, expected);
    }
}
