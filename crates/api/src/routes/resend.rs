//! One delivery, by hand: a message again to an endpoint, and a message to one endpoint only, to see what comes back.
//!
//! Neither is a second way to deliver: both write a delivery that is due now.

use std::time::Duration;

use bellwire_core::{
    delivery::Trigger,
    endpoint::Endpoint,
    id::{AppId, AttemptId, Id as _, MessageId},
    message::Route,
};
use bellwire_store::{
    StoreError,
    feed::FeedEvent,
    query::{AttemptFilter, AttemptRow, Order, Page, Requeue, Start},
};
use tokio::{sync::broadcast::Receiver, time::Instant};

use super::{
    attempt::AttemptOut,
    message::publish::{MessageBody, MessageIn, Wish, accept},
};
use crate::{
    audit,
    auth::Access,
    call::{Call, Context, EmptyResponse, Reply},
    error::{ATTEMPT_PENDING, ApiError, ENDPOINT_DISABLED, PAYLOAD_EXPIRED},
    extract,
    field::Set,
    operation::{Operation, post},
    query::NoQuery,
};

/// How much longer than one attempt may take a test waits for it: others may be ahead of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the store is asked while nothing is heard of the attempt.
const ASK: Duration = Duration::from_secs(1);
/// How often once it is known to be over, and only has to be written.
const ASK_SOON: Duration = Duration::from_millis(10);

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
            "v1.message-attempt.resend",
            Access::APP,
        )
        .summary("Send a message to an endpoint again")
        .about("Due at once, with the endpoint's whole retry schedule ahead. The endpoint need not have got it before.")
        .statuses(&[202])
        .to(resend),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt",
            "v1.message.test-attempt",
            Access::APP,
        )
        .summary("Send a message to one endpoint and see what comes back")
        .about("Answers when the first attempt is over. A failed one is retried like any other.")
        .publishes()
        .to(test_attempt),
    ]
}

/// Whether something can be sent to it.
fn must_be_enabled(endpoint: &Endpoint) -> Result<(), ApiError> {
    if endpoint.disabled.is_some() {
        let detail = format!(
            "endpoint {} is disabled; enable it, then send the request again",
            endpoint.id
        );
        return Err(ApiError::new(&ENDPOINT_DISABLED, detail));
    }
    Ok(())
}

async fn resend(Call { cx, .. }: Call) -> Result<Reply<EmptyResponse>, ApiError> {
    let app = cx.app()?;
    let message = super::message::find(&cx, &app, true).await?;
    let entry = cx.endpoint(&app)?;
    must_be_enabled(&entry.endpoint)?;
    if message.payload.is_none() {
        let detail = format!(
            "the payload of message {} has expired; publish the event anew",
            message.id
        );
        return Err(ApiError::new(&PAYLOAD_EXPIRED, detail));
    }
    let due_at = cx.server.directory.now();
    let wanted = Requeue {
        message: message.id,
        endpoint: entry.endpoint.id,
        due_at,
        trigger: Trigger::Manual,
    };
    let about = vec![audit::message(message.id), audit::endpoint(&entry.endpoint)];
    cx.note(app.id, about).await?;
    match cx.server.store.requeue(vec![wanted]).await? {
        0 => Err(ApiError::not_found("message", cx.param("msg_id"))),
        _ => Reply::ok(&EmptyResponse {}),
    }
}

async fn test_attempt(Call { mut cx, body, .. }: Call<NoQuery, MessageBody>) -> Result<Reply<AttemptOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    must_be_enabled(&entry.endpoint)?;
    if entry.endpoint.paused {
        let detail = format!(
            "endpoint {} is paused; resume it, then send the request again",
            entry.endpoint.id
        );
        return Err(ApiError::new(&ENDPOINT_DISABLED, detail));
    }
    let mut message: MessageIn<'_> = extract::json(&body.0)?;
    let channels = message.channels.take().map(Set::into_texts).unwrap_or_default();
    let routes = vec![Route {
        endpoint: entry.endpoint.id,
        stored: entry.lane.is_backlogged(),
        line: None,
    }];
    // Listens before there is anything to hear.
    let heard = cx.server.feed.watch();
    let wish = Wish {
        app: &app,
        channels,
        routes,
        idempotency: None,
    };
    let id = accept(&cx, &body.0, message, wish).await?.id;
    // It is published; how long its receiver takes is not to hold up others who publish.
    drop(cx.publishing.take());
    match first_attempt(&cx, app.id, id, heard).await? {
        Some(row) => Reply::ok(&AttemptOut::of(row.attempt, true)),
        None => {
            let detail =
                format!("message {id} was accepted and is still waiting for its first attempt; look at it later");
            Err(ApiError::new(&ATTEMPT_PENDING, detail))
        }
    }
}

/// Waits for the first attempt of a message that goes to one endpoint; `None` when it takes too long.
async fn first_attempt(
    cx: &Context,
    app: AppId,
    message: MessageId,
    mut heard: Receiver<FeedEvent>,
) -> Result<Option<AttemptRow>, StoreError> {
    let ends = Instant::now() + cx.server.limits.timeout_max + PATIENCE;
    let first = Page {
        limit: 1,
        start: Start::After(AttemptId::from_number(0).number()),
        order: Order::Ascending,
    };
    let mut over = false;
    while Instant::now() < ends {
        if over {
            tokio::time::sleep(ASK_SOON).await;
        } else {
            over = tokio::time::timeout(ASK, hears_of(&mut heard, message))
                .await
                .unwrap_or(false);
        }
        let rows = cx
            .server
            .store
            .attempts_of_message(app, message, AttemptFilter::default(), first)
            .await?;
        if let Some(row) = rows.items.into_iter().next() {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Ends, with true, when an attempt of this message is over; with false when nothing can be heard (any more).
async fn hears_of(heard: &mut Receiver<FeedEvent>, wanted: MessageId) -> bool {
    use tokio::sync::broadcast::error::RecvError::{Closed, Lagged};
    loop {
        match heard.recv().await {
            Ok(FeedEvent::Attempt { message, .. }) if message == wanted => return true,
            Ok(_) => {}
            // It may be among what was missed.
            Err(Lagged(_)) => return false,
            Err(Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::{
        id::{EndpointId, EnvironmentId},
        time::Timestamp,
    };
    use bellwire_store::feed::Feed;

    use super::*;

    fn attempt_of(message: u64) -> FeedEvent {
        FeedEvent::Attempt {
            environment: EnvironmentId::from_number(1),
            app: AppId::from_number(1),
            message: MessageId::from_number(message),
            event_type: "a".to_owned(),
            endpoint: EndpointId::from_number(1),
            number: 1,
            status_code: 200,
            failure: None,
            next_at: None,
            duration_ms: 1,
            at: Timestamp::MIN,
        }
    }

    #[tokio::test]
    async fn the_attempt_of_the_message_itself_is_waited_for() {
        let feed = Feed::default();
        let mut heard = feed.watch();
        feed.tell(|| attempt_of(1));
        feed.tell(|| attempt_of(2));
        assert!(hears_of(&mut heard, MessageId::from_number(2)).await);
        assert!(heard.is_empty());
    }
}
