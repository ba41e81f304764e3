//! `…/endpoint/{endpoint_id}/send-example`: an example of an event, to this endpoint only.

use bellwire_core::{event_type::EventType, message::Route};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth::Access,
    call::{Call, Reply},
    error::{ApiError, ENDPOINT_DISABLED},
    extract,
    field::EventTypeName,
    operation::{Operation, Repetition, post},
    problem::Problem,
    query::NoQuery,
    routes::message::{
        MessageOut,
        publish::{MessageIn, Wish, accept},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example",
            "v1.endpoint.send-example",
            Access::APP,
        )
        .summary("Send an example of an event to an endpoint")
        .about("The payload is the one given, or an example of the event type's schema.")
        .statuses(&[200])
        .repetition(Repetition::ByStore)
        .publishes()
        .to(send),
    ]
}

/// Which example.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventExampleIn {
    /// Of which event type.
    event_type: EventTypeName,
    /// Which of the schema's examples, from 0.
    example_index: Option<usize>,
    /// Sent in the place of an example.
    payload: Option<serde_json::Map<String, Value>>,
}

async fn send(Call { cx, body, .. }: Call<NoQuery, EventExampleIn>) -> Result<Reply<MessageOut<'static>>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    if entry.endpoint.disabled.is_some() {
        return Err(ApiError::new(
            &ENDPOINT_DISABLED,
            "the endpoint is disabled; enable it first",
        ));
    }
    let event_type = cx.server.directory.event_type(app.environment, &body.event_type);
    let payload = match body.payload {
        Some(payload) => Value::Object(payload),
        None => example(event_type.as_deref(), body.example_index.unwrap_or(0)).ok_or_else(|| {
            let msg = "the event type has no such example in its schema; add one, or give a payload";
            ApiError::invalid(Problem::body(["exampleIndex"], msg))
        })?,
    };
    let text = Bytes::from(json!({ "eventType": *body.event_type, "payload": payload }).to_string());
    let message: MessageIn<'_> = extract::json(&text)?;
    let stored = entry.endpoint.paused || entry.lane.is_backlogged();
    let routes = vec![Route {
        endpoint: entry.endpoint.id,
        stored,
        line: None,
    }];
    let wish = Wish {
        app: &app,
        channels: Vec::new(),
        routes,
        idempotency: cx.idempotency,
    };
    Ok(Reply::ok(&accept(&cx, &text, message, wish).await?)?.retyped())
}

/// An example of an event type: one of its schema's, or, when there is none, something that shows that it works.
fn example(event_type: Option<&EventType>, index: usize) -> Option<Value> {
    let schema = event_type.and_then(EventType::current_schema);
    let examples = schema
        .and_then(|schema| schema.get("examples"))
        .and_then(Value::as_array);
    match examples {
        Some(examples) => examples.get(index).filter(|example| example.is_object()).cloned(),
        None => schema
            .and_then(|schema| schema.get("example"))
            .filter(|example| example.is_object())
            .cloned()
            .or_else(|| Some(json!({ "example": true })))
            .filter(|_| index == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::{id::Id as _, time::Timestamp};

    fn of(schema: Value) -> EventType {
        EventType {
            environment: bellwire_core::id::EnvironmentId::from_number(1),
            name: "a".to_owned(),
            description: String::new(),
            archived: false,
            deprecated: false,
            schemas: json!({ "1": schema }).as_object().cloned(),
            feature_flags: Vec::new(),
            group_name: None,
            created_at: Timestamp::MIN,
            updated_at: Timestamp::MIN,
        }
    }

    #[test]
    fn examples_come_from_the_schema_by_their_index() {
        let two = of(json!({ "examples": [{ "a": 1 }, { "a": 2 }, 3] }));
        assert_eq!(example(Some(&two), 1), Some(json!({ "a": 2 })));
        assert_eq!(example(Some(&two), 2), None, "an example must be an object");
        assert_eq!(example(Some(&two), 3), None);
        assert_eq!(
            example(Some(&of(json!({ "example": { "b": 1 } }))), 0),
            Some(json!({ "b": 1 }))
        );
        assert_eq!(example(None, 0), Some(json!({ "example": true })));
        assert_eq!(example(None, 1), None);
    }
}
