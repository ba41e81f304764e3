//! From an endpoint's kind to what carries it out, and from an effect to an outcome.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bellwire_action::{Event, Reach, kinds};
use bellwire_core::{
    app::App,
    attempt::{Failure, Outcome},
    endpoint::Endpoint,
    id::EndpointId,
    time::Timestamp,
};
use bellwire_store::{Directory, Store, feed::Feed};
use bytes::Bytes;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::{
    EXECUTORS,
    client::{Client, Stage, Stages},
    executor::{Effect, Executor, Task, Undone, unplanned, unusable},
    http::HttpAction,
};
use crate::{
    action::{Acted, Action, Order},
    config::DeliverConfig,
    guard::Guard,
};

/// What is kept of an endpoint that nobody used for so long is let go of.
const KEPT: Duration = Duration::from_secs(600);

/// What actions work with.
pub struct ActionParts {
    /// Posts to endpoints of the plain kind.
    pub http: Arc<HttpAction>,
    /// What endpoints that anybody wrote connect through.
    pub guard: Arc<Guard>,
    /// What endpoints that the operator wrote connect through: it refuses nothing that can be named.
    pub trusted_guard: Arc<Guard>,
    /// Where messages are published.
    pub store: Arc<dyn Store>,
    /// Who listens to them.
    pub directory: Arc<Directory>,
    /// Where publications are told of.
    pub feed: Arc<Feed>,
    /// What is in force for deliveries.
    pub config: DeliverConfig,
    /// Where relative paths begin.
    pub data: PathBuf,
    /// The environment variables that commands are given: `PATH`, `HOME`, `LANG`.
    pub variables: BTreeMap<String, String>,
    /// How long the payloads of published messages are kept.
    pub payload_retention: Duration,
    /// Asked before a message is published.
    pub payload_check: Arc<PayloadCheck>,
    /// Where connections run.
    pub tasks: TaskTracker,
}

/// Whether an application takes a payload of this event type; what is wrong with it, in words.
pub type PayloadCheck = dyn Fn(&App, &str, &str) -> Result<(), String> + Send + Sync;

impl std::fmt::Debug for ActionParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActionParts").finish_non_exhaustive()
    }
}

impl ActionParts {
    /// What this endpoint sends requests with.
    pub(super) fn client(&self, endpoint: &Endpoint) -> Client {
        Client::new(
            Arc::clone(self.guard(endpoint)),
            self.config.response_bytes,
            self.tasks.clone(),
        )
    }

    /// What this endpoint connects through.
    pub(super) fn guard(&self, endpoint: &Endpoint) -> &Arc<Guard> {
        if endpoint.action.trusted {
            &self.trusted_guard
        } else {
            &self.guard
        }
    }
}

/// All actions: each order goes to what its endpoint's kind says.
pub struct Actions {
    parts: Arc<ActionParts>,
    kept: Mutex<HashMap<EndpointId, Kept>>,
}

/// The executor of one version of an endpoint.
struct Kept {
    version: Timestamp,
    executor: Arc<dyn Executor>,
    used: Instant,
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actions").finish_non_exhaustive()
    }
}

impl Actions {
    /// Actions that work with these parts.
    pub fn new(parts: ActionParts) -> Self {
        Self {
            parts: Arc::new(parts),
            kept: Mutex::default(),
        }
    }

    /// Lets go of what nobody has used for a while. Called now and then.
    pub fn sweep(&self) {
        self.parts.http.sweep();
        self.lock().retain(|_, kept| {
            kept.executor.sweep(self.parts.config.idle_timeout);
            kept.used.elapsed() < KEPT
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What carries out this version of the endpoint.
    fn executor(&self, endpoint: &Endpoint) -> Result<Arc<dyn Executor>, Failure> {
        if let Some(kept) = self.lock().get_mut(&endpoint.id)
            && kept.version == endpoint.updated_at
        {
            kept.used = Instant::now();
            return Ok(Arc::clone(&kept.executor));
        }
        // Compiling takes a while: nobody else waits for it. Of two who do it at once, the later stays.
        let executor = make(&self.parts, endpoint)?;
        let kept = Kept {
            version: endpoint.updated_at,
            executor: Arc::clone(&executor),
            used: Instant::now(),
        };
        self.lock().insert(endpoint.id, kept);
        Ok(executor)
    }

    async fn carry_out(&self, order: &Order<'_>, begun: Instant) -> Result<Effect, Undone> {
        let endpoint = &order.endpoint.endpoint;
        let executor = self.executor(endpoint)?;
        let Some(first) = order.works.first() else {
            return Err(Undone::Withheld);
        };
        let letter = &order.letter;
        let message = &first.message;
        let inbound = message.inbound.as_deref();
        let source = inbound.map(|inbound| self.source_name(inbound.source));
        let endpoint_id = endpoint.id.to_string();
        // What cannot be read is nothing to templates; actions that need none of it carry it all the same.
        let json = match &letter.json {
            Some(json) => Cow::Borrowed(&json[..]),
            // Published, and known to be JSON.
            None if message.content_type.is_none() => Cow::Borrowed(&letter.body[..]),
            None => bellwire_template::decode(letter.content_type, &letter.body).unwrap_or(Cow::Borrowed(b"null")),
        };
        let timeout = executor.timeout(order.timeout);
        let task = Task {
            event: Event {
                id: &letter.id,
                event_type: &message.event_type,
                channels: &message.channels,
                payload: &letter.body,
                content_type: letter.content_type,
                json: &json,
                headers: inbound.map_or(&[], |inbound| &inbound.headers),
                item: inbound.and_then(|inbound| inbound.item.as_ref()),
                accepted_at: message.created_at,
                source: source.as_deref().unwrap_or_default(),
                endpoint: &endpoint_id,
                attempt: u32::from(first.progress.tries) + 1,
            },
            endpoint: order.endpoint,
            message,
            body: &letter.body,
            started_at: order.started_at,
            begun,
            timeout,
            stages: Stages::at(Stage::Acting),
            may_begin: order.may_begin,
        };
        match tokio::time::timeout(timeout + executor.grace(), executor.carry_out(&task)).await {
            Ok(result) => result,
            Err(_) => Err(task.stages.timed_out(timeout).into()),
        }
    }

    /// What people call a source.
    fn source_name(&self, id: bellwire_core::id::SourceId) -> String {
        let source = self.parts.directory.source_by_id(id);
        let uid = source.and_then(|source| source.uid.clone());
        uid.unwrap_or_else(|| id.to_string())
    }
}

/// Makes what carries out an endpoint's actions.
fn make(parts: &Arc<ActionParts>, endpoint: &Endpoint) -> Result<Arc<dyn Executor>, Failure> {
    let name = &*endpoint.action.kind;
    let row = EXECUTORS.iter().find(|(row, _)| *row == name);
    let (Some((_, make)), Some(kind)) = (row, kinds::by_name(name)) else {
        return Err(Failure {
            reason: "kind_unknown",
            detail: format!("there is no action `{name}`; a newer version of this program may know it"),
        });
    };
    if kind.reach == Reach::Machine && !endpoint.action.trusted {
        return Err(Failure {
            reason: "kind_refused",
            detail: format!("only the operator's hooks file may say `{name}`; nothing was done"),
        });
    }
    let settings = match endpoint.action.settings.as_deref() {
        None => Value::Object(serde_json::Map::new()),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            unusable(&bellwire_action::Problem {
                path: Vec::new(),
                message: error.to_string(),
            })
        })?,
    };
    make(parts, endpoint, &settings)
}

#[async_trait]
impl Action for Actions {
    async fn act(&self, order: Order<'_>) -> Acted {
        let endpoint = &order.endpoint.endpoint;
        if endpoint.action.is_http() && endpoint.action.settings.is_none() {
            return self.parts.http.act(order).await;
        }
        let begun = Instant::now();
        let effect = match self.carry_out(&order, begun).await {
            Ok(effect) => effect,
            Err(Undone::Withheld) => return Acted::Withheld,
            Err(Undone::Failed(failure)) => Effect::failed(failure),
            Err(Undone::Unplanned(error)) => Effect::failed(unplanned(&error, &endpoint.action.hidden)),
        };
        // What went wrong is shown where there is nothing else to show.
        let response = match &effect.failure {
            Some(failure) if effect.response.is_empty() => Bytes::from(failure.detail.clone()),
            _ => effect.response,
        };
        Acted::Attempted(Outcome {
            started_at: order.started_at,
            duration: begun.elapsed(),
            url: effect.url.unwrap_or_else(|| endpoint.url.clone()),
            status_code: effect.status_code,
            failure: effect.failure,
            response,
            response_headers: effect.response_headers,
            signature: effect.signature,
            retry_after: effect.retry_after,
        })
    }

    fn forget(&self, endpoint: EndpointId) {
        self.parts.http.forget(endpoint);
        self.lock().remove(&endpoint);
    }
}
