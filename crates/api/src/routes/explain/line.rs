//! Which line a delivery stands in, and how that line stands. Asked only about deliveries that have a number.

use std::borrow::Cow;

use bellwire_core::{app::App, delivery::DeliveryState, endpoint::Endpoint, message::Message};
use bellwire_store::{
    directory::{self, Incoming},
    query::{DeliveryRow, LineQuery, LineRow},
};

use crate::{call::Context, error::ApiError};

/// The line in which a delivery waits, or which waits because of it; `None` when it is in no line any more.
///
/// What the key was is not kept with a delivery. It is what the endpoint makes of the message now or, when that changed, the
/// publisher's key or none; the line is the one whose numbers fit.
///
/// # Errors
/// Those of the store.
pub(super) async fn line_of(
    cx: &Context,
    app: &App,
    message: &Message,
    endpoint: &Endpoint,
    delivery: &DeliveryRow,
) -> Result<Option<LineRow>, ApiError> {
    let Some(number) = delivery.sequence else {
        return Ok(None);
    };
    if matches!(delivery.state, DeliveryState::Succeeded | DeliveryState::Cancelled) {
        return Ok(None);
    }
    let mut keys = vec![message.ordering_key.clone().unwrap_or_default(), String::new()];
    if let Some(key) = key_now(cx, app, message, endpoint).await? {
        keys.insert(0, key);
    }
    for (at, key) in keys.iter().enumerate() {
        if keys[..at].contains(key) {
            continue;
        }
        let only = LineQuery {
            key: Some(key.clone()),
            blocked: false,
            after: None,
            limit: 1,
        };
        let rows = cx.server.store.lines(endpoint.id, only).await?;
        let fits = |row: &LineRow| {
            row.head
                .is_some_and(|head| head.sequence <= number && number <= row.last)
        };
        if let Some(row) = rows.items.into_iter().find(fits) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The key that the endpoint would give the message now. An expression may look into the payload.
async fn key_now(cx: &Context, app: &App, message: &Message, endpoint: &Endpoint) -> Result<Option<String>, ApiError> {
    let Some(entry) = cx.server.directory.endpoint_by_id(endpoint.id) else {
        return Ok(None);
    };
    let payload = match endpoint.order.key_expression {
        Some(_) => {
            let whole = cx.server.store.message(app.id, message.id, true).await?;
            whole.and_then(|whole| whole.payload)
        }
        None => None,
    };
    let payload = payload.as_deref().unwrap_or(b"{}");
    let json = directory::json(message, payload).unwrap_or(Cow::Borrowed(b"null"));
    let incoming = Incoming::again(message, &json);
    Ok(entry
        .line(&incoming, &incoming.scope())
        .map(|line| line.key.to_string()))
}
