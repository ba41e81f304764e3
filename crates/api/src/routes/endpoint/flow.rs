//! How an endpoint's deliveries wait for each other and travel together: the members `ordering`, `onExhausted`,
//! `orderingKeyExpression`, `batch` and `httpSignatures`, and the rules between them.

use std::time::Duration;

use bellwire_core::{
    batch::{BatchFormat, BatchSettings},
    endpoint::Endpoint,
    order::{OnExhausted, Ordering},
    time::span::Span,
};
use bellwire_template::KeyExpression;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    field::{BatchSize, BatchWait, Patch},
    problem::Problem,
};

/// How long a batch waits for company when it is not said.
const WAIT_DEFAULT: Duration = Duration::from_secs(1);

/// Which deliveries of an endpoint wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum OrderingMode {
    /// None: each is attempted when it is due.
    None,
    /// Those with the same ordering key.
    Key,
    /// All of them.
    Endpoint,
}

impl From<OrderingMode> for Ordering {
    fn from(mode: OrderingMode) -> Self {
        match mode {
            OrderingMode::None => Self::None,
            OrderingMode::Key => Self::Key,
            OrderingMode::Endpoint => Self::Endpoint,
        }
    }
}

impl From<Ordering> for OrderingMode {
    fn from(mode: Ordering) -> Self {
        match mode {
            Ordering::None => Self::None,
            Ordering::Key => Self::Key,
            Ordering::Endpoint => Self::Endpoint,
        }
    }
}

/// What becomes of a line whose first delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Exhausted {
    /// The next one has its turn.
    Skip,
    /// The line waits for a person.
    Block,
}

impl From<Exhausted> for OnExhausted {
    fn from(choice: Exhausted) -> Self {
        match choice {
            Exhausted::Skip => Self::Skip,
            Exhausted::Block => Self::Block,
        }
    }
}

impl From<OnExhausted> for Exhausted {
    fn from(choice: OnExhausted) -> Self {
        match choice {
            OnExhausted::Skip => Self::Skip,
            OnExhausted::Block => Self::Block,
        }
    }
}

/// What a request with several messages looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Format {
    /// A JSON array of objects with `id`, `type`, `timestamp` and `data`.
    #[default]
    Json,
    /// The JSON batch format of CloudEvents 1.0.
    Cloudevents,
}

/// Several messages in one request.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EndpointBatchIn")]
pub(in crate::routes) struct BatchIn {
    /// At most so many messages in one request.
    max_messages: BatchSize,
    /// A batch that is not full leaves when its oldest delivery has waited so many milliseconds; 1000 when left out.
    max_wait_ms: Option<BatchWait>,
    /// What the request looks like; `json` when left out.
    #[serde(default)]
    format: Option<Format>,
}

impl From<BatchIn> for BatchSettings {
    fn from(batch: BatchIn) -> Self {
        let wait = batch.max_wait_ms.map(|wait| Duration::from_millis(wait.get().into()));
        Self {
            messages_max: batch.max_messages.get(),
            wait: Span(wait.unwrap_or(WAIT_DEFAULT)),
            format: match batch.format.unwrap_or_default() {
                Format::Json => BatchFormat::Json,
                Format::Cloudevents => BatchFormat::Cloudevents,
            },
        }
    }
}

/// Several messages in one request.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointBatchOut")]
pub(in crate::routes) struct BatchOut {
    max_messages: u16,
    max_wait_ms: u64,
    format: Format,
}

impl From<BatchSettings> for BatchOut {
    fn from(batch: BatchSettings) -> Self {
        Self {
            max_messages: batch.messages_max,
            max_wait_ms: u64::try_from(batch.wait.0.as_millis()).unwrap_or(u64::MAX),
            format: match batch.format {
                BatchFormat::Json => Format::Json,
                BatchFormat::Cloudevents => Format::Cloudevents,
            },
        }
    }
}

/// What is asked of an endpoint's order and batches; what is left out stays as it is.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub ordering: Option<OrderingMode>,
    pub on_exhausted: Option<Exhausted>,
    pub key_expression: Patch<String>,
    pub batch: Patch<BatchIn>,
    pub http_signatures: Option<bool>,
}

impl Flow {
    /// Makes the change. A change of which deliveries wait for each other begins a new era (see `bellwire_core::order`).
    ///
    /// # Errors
    /// `validation_failed`; nothing is changed then.
    pub fn apply(self, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        let was = &endpoint.order;
        let ordering = self.ordering.map_or(was.ordering, Into::into);
        let on_exhausted = self.on_exhausted.map_or(was.on_exhausted, Into::into);
        let mut expression = was.key_expression.clone();
        if let Patch::Set(text) = &self.key_expression {
            check_expression(text)?;
        }
        if matches!(self.key_expression, Patch::Set(_)) && ordering != Ordering::Key {
            let msg = "nothing is ordered by it; give `ordering: key` as well, or leave it out";
            return Err(ApiError::invalid(Problem::body(["orderingKeyExpression"], msg)));
        }
        self.key_expression.apply(&mut expression);
        let mut batch = endpoint.batch;
        self.batch.map(BatchSettings::from).apply(&mut batch);
        if batch.is_some() && ordering == Ordering::Endpoint {
            let msg = "messages that all wait for each other (`ordering: endpoint`) cannot share a request; order by `key` \
                       or `none`, or leave `batch` out";
            return Err(ApiError::invalid(Problem::body(["batch"], msg)));
        }
        endpoint.order.change_to(ordering, on_exhausted, expression);
        endpoint.batch = batch;
        endpoint.http_signatures = self.http_signatures.unwrap_or(endpoint.http_signatures);
        Ok(())
    }
}

fn check_expression(text: &str) -> Result<(), ApiError> {
    let refuse = |msg: String| ApiError::invalid(Problem::body(["orderingKeyExpression"], msg));
    if text.trim().is_empty() {
        return Err(refuse(
            "is empty; give null for the publisher's `orderingKey`".to_owned(),
        ));
    }
    let compiled = KeyExpression::compile(text);
    compiled.map(drop).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::order::OrderSettings;
    use serde_json::{from_value, json};

    fn endpoint() -> Endpoint {
        let app = bellwire_core::id::Id::from_number(1);
        super::super::blank_of(app, bellwire_core::id::Id::from_number(2))
    }

    fn batch() -> Patch<BatchIn> {
        Patch::Set(from_value(json!({ "maxMessages": 10 })).unwrap())
    }

    #[test]
    fn what_is_left_out_stays_and_only_a_change_of_order_begins_an_era() {
        let mut endpoint = endpoint();
        let order = |ordering| Flow {
            ordering: Some(ordering),
            ..Flow::default()
        };
        order(OrderingMode::Key).apply(&mut endpoint).unwrap();
        let first = endpoint.order.clone();
        assert_eq!((first.ordering, first.era), (Ordering::Key, 1));
        Flow::default().apply(&mut endpoint).unwrap();
        order(OrderingMode::Key).apply(&mut endpoint).unwrap();
        assert_eq!(endpoint.order, first);
        let block = Flow {
            on_exhausted: Some(Exhausted::Block),
            ..Flow::default()
        };
        block.apply(&mut endpoint).unwrap();
        assert_eq!(
            (endpoint.order.on_exhausted, endpoint.order.era),
            (OnExhausted::Block, 1)
        );
        order(OrderingMode::None).apply(&mut endpoint).unwrap();
        assert_eq!(endpoint.order.era, 2);
    }

    #[test]
    fn batches_and_one_line_for_all_exclude_each_other_whichever_comes_first() {
        let mut endpoint = endpoint();
        let batched = Flow {
            batch: batch(),
            ..Flow::default()
        };
        batched.apply(&mut endpoint).unwrap();
        let one_line = || Flow {
            ordering: Some(OrderingMode::Endpoint),
            ..Flow::default()
        };
        assert!(one_line().apply(&mut endpoint).is_err());
        assert_eq!(endpoint.order, OrderSettings::default(), "nothing was changed");
        let both = Flow {
            batch: Patch::Clear,
            ..one_line()
        };
        both.apply(&mut endpoint).unwrap();
        assert_eq!((endpoint.batch, endpoint.order.ordering), (None, Ordering::Endpoint));
        let batched = Flow {
            batch: batch(),
            ..Flow::default()
        };
        assert!(batched.apply(&mut endpoint).is_err());
    }

    #[test]
    fn a_batch_waits_a_second_as_json_unless_it_is_said() {
        let settings = |body| BatchSettings::from(from_value::<BatchIn>(body).unwrap());
        let plain = settings(json!({ "maxMessages": 2, "format": null }));
        assert_eq!(
            (plain.wait.0, plain.format),
            (Duration::from_secs(1), BatchFormat::Json)
        );
        let other = settings(json!({ "maxMessages": 2, "maxWaitMs": 0, "format": "cloudevents" }));
        assert_eq!((other.wait.0, other.format), (Duration::ZERO, BatchFormat::Cloudevents));
    }
}
