//! The kind `publish`: the message becomes a message of an application, once however often it is tried.

use std::sync::Arc;

use async_trait::async_trait;
use bellwire_action::{Compiled as _, publish::Plan, publish::Settings};
use bellwire_core::{
    app::{App, AppKind},
    attempt::Failure,
    endpoint::Endpoint,
    hops::{self, HOPS_MAX},
    id::{Id as _, MessageId},
    message::NewMessage,
};
use bellwire_store::{AppendError, directory::Incoming, feed::FeedEvent};
use bytes::Bytes;
use serde_json::Value;

use super::{
    dispatch::ActionParts,
    executor::{Effect, Executor, Task, Undone, unusable},
};

/// Publishes messages.
struct PublishAction {
    settings: Settings,
    parts: Arc<ActionParts>,
}

pub(super) fn make(
    parts: &Arc<ActionParts>,
    _endpoint: &Endpoint,
    settings: &Value,
) -> Result<Arc<dyn Executor>, Failure> {
    let settings = Settings::read(settings).map_err(|problem| unusable(&problem))?;
    Ok(Arc::new(PublishAction {
        settings,
        parts: Arc::clone(parts),
    }))
}

#[async_trait]
impl Executor for PublishAction {
    async fn carry_out(&self, task: &Task<'_>) -> Result<Effect, Undone> {
        let plan = self.settings.plan(&task.event)?;
        let app = self.app(task, &plan.app)?;
        let hops = hops::of(task.message);
        if hops >= HOPS_MAX {
            return Err(refused(format!(
                "it was published {hops} times already on its way here, so it goes round in a circle: look which endpoint of an \
                 application calls a source that publishes to it"
            ))
            .into());
        }
        let payload = payload(task);
        let checked = std::str::from_utf8(&payload).map_err(|error| error.to_string());
        checked
            .and_then(|payload| (self.parts.payload_check)(&app, &plan.event_type, payload))
            .map_err(|why| {
                refused(format!(
                    "the payload does not fit the schema of `{}`: {why}",
                    plan.event_type
                ))
            })?;
        task.begin()?;
        let new = self.message(task, &plan, &app, payload);
        let endpoints = new.routes.len();
        match self.parts.store.append(new).await {
            Ok(appended) => {
                self.tell(&app, &plan, appended.id, endpoints);
                Ok(Effect::done(format!(
                    "published as {} to {endpoints} endpoints of {}",
                    appended.id, plan.app
                )))
            }
            Err(AppendError::EventIdTaken { existing, .. }) => {
                Ok(Effect::done(format!("published already, as {existing}")))
            }
            Err(error) => Err(unpublished(&error).into()),
        }
    }
}

impl PublishAction {
    /// The application, if messages of others may be published there.
    fn app(&self, task: &Task<'_>, name: &str) -> Result<Arc<App>, Failure> {
        let environment = task.endpoint.environment;
        let app = self.parts.directory.app(environment, name).ok_or_else(|| Failure {
            reason: "publish_app_unknown",
            detail: format!("there is no application `{name}` to publish to; create it, or correct the action's `app`"),
        })?;
        // Sources publish to applications, and applications to nobody.
        if app.id == task.endpoint.endpoint.app || app.kind != AppKind::Tenant {
            return Err(refused(format!(
                "`{name}` is where such messages come from; publish to an application of your own"
            )));
        }
        Ok(app)
    }

    /// The new message. Its event id is that of the effect, so that it is accepted once; people find it by a tag, the id of
    /// the message it came from.
    fn message(&self, task: &Task<'_>, plan: &Plan, app: &App, payload: Bytes) -> NewMessage {
        let directory = &self.parts.directory;
        let routes = directory.routes(
            app.id,
            &Incoming {
                event_type: &plan.event_type,
                channels: &plan.channels,
                ordering_key: plan.ordering_key.as_deref(),
                payload: &payload,
                inbound: None,
            },
        );
        NewMessage {
            app: app.id,
            event_type: plan.event_type.clone(),
            event_id: Some(task.event.effect_id()),
            channels: plan.channels.clone(),
            tags: vec![hops::tag(hops::of(task.message) + 1), task.event.id.to_owned()],
            ordering_key: plan.ordering_key.clone(),
            payload,
            payload_expires_at: directory.now().plus(self.parts.payload_retention),
            deliver_at: None,
            traceparent: task.message.traceparent.clone(),
            content_type: None,
            inbound: None,
            routes,
            idempotency: None,
        }
    }

    fn tell(&self, app: &App, plan: &Plan, id: MessageId, endpoints: usize) {
        self.parts.feed.tell(|| FeedEvent::Message {
            environment: app.environment,
            app: app.id,
            id,
            event_type: plan.event_type.clone(),
            endpoints,
            at: id.created_at(),
        });
    }
}

/// The payload as a JSON object: the very bytes, where they are one.
fn payload(task: &Task<'_>) -> Bytes {
    let json = task.event.json.trim_ascii();
    if task.body.as_ptr_range().contains(&json.as_ptr()) {
        task.body.slice_ref(json)
    } else {
        Bytes::copy_from_slice(json)
    }
}

fn refused(detail: String) -> Failure {
    Failure {
        reason: "publish_refused",
        detail,
    }
}

fn unpublished(error: &dyn std::fmt::Display) -> Failure {
    Failure {
        reason: "publish_failed",
        detail: format!("the message could not be published: {error}"),
    }
}
