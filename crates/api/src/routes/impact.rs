//! `…/impact`: what breaks if this is rotated, disabled or deleted. Asked before it is done; nothing is changed.
//!
//! What depends on a thing is read from the directory and the lanes; what follows is said by [`words`], which is pure.

mod words;

use bellwire_core::{app::App, task::TaskStatus};
use bellwire_store::{
    directory::NamedStart,
    query::{Order, Page, Start},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::words::{BreakOut, Said};
use self::words::{OfApp, OfEndpoint, OfEventType, OfSource, OfToken};
use super::scope::ALL;
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    operation::{Operation, get},
};

/// Running tasks that are looked through for one that is about the thing.
const TASKS: Page = Page {
    limit: 250,
    start: Start::First,
    order: Order::Descending,
};

pub(super) fn operations() -> Vec<Operation> {
    let about = "Asked before it is done; nothing is changed.";
    vec![
        get("/api/v1/app/{app_id}/impact", "impact.app", Access::READ)
            .summary("What breaks if an application is deleted or its tokens are expired")
            .about(about)
            .to(of_app),
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/impact",
            "impact.endpoint",
            Access::READ_APP,
        )
        .summary("What breaks if an endpoint is rotated, disabled or deleted")
        .about(about)
        .to(of_endpoint),
        get(
            "/api/v1/event-type/{event_type_name}/impact",
            "impact.event-type",
            Access::READ,
        )
        .summary("What breaks if an event type is archived or deleted")
        .about(about)
        .to(of_event_type),
        get(
            "/ingest/api/v1/source/{source_id}/impact",
            "impact.source",
            Access::READ,
        )
        .summary("What breaks if a source is deleted or gets a new URL")
        .about(about)
        .to(of_source),
        get("/api/v1/token/{token_id}/impact", "impact.token", Access::ADMIN)
            .summary("What breaks if a token is deleted")
            .about(about)
            .to(of_token),
    ]
}

/// What would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImpactVerb")]
pub(super) enum Verb {
    /// A new secret, URL or token in the place of the old one.
    Rotate,
    /// Switched off (an event type: archived).
    Disable,
    /// Removed.
    Delete,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ImpactQuery {
    /// What would be done; `delete` when left out.
    verb: Option<Verb>,
}

impl ImpactQuery {
    fn verb(&self) -> Verb {
        self.verb.unwrap_or(Verb::Delete)
    }
}

/// What would follow.
#[derive(Debug, Serialize, JsonSchema)]
struct ImpactOut {
    verb: Verb,
    about: AboutOut,
    /// Deliveries that wait or are under way and are concerned.
    pending: u64,
    /// What breaks, or would.
    breaks: Vec<BreakOut>,
    /// How it is taken back; null when it cannot be.
    undo: Option<&'static str>,
    /// Whether nothing breaks.
    harmless: bool,
}

/// What it is about.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ImpactAboutOut")]
struct AboutOut {
    kind: &'static str,
    id: String,
    name: String,
}

fn answer(verb: Verb, about: AboutOut, pending: u64, said: Said) -> Result<Reply<ImpactOut>, ApiError> {
    Reply::ok(&ImpactOut {
        verb,
        about,
        pending,
        harmless: said.breaks.is_empty(),
        breaks: said.breaks,
        undo: said.undo,
    })
}

async fn of_endpoint(Call { cx, query, .. }: Call<ImpactQuery>) -> Result<Reply<ImpactOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let endpoint = &entry.endpoint;
    let store = &cx.server.store;
    let backlog = store.backlog(endpoint.id).await?;
    let pending = backlog.waiting + u64::from(entry.lane.in_flight());
    let running = store
        .tasks(Some(app.environment), Some(TaskStatus::Running), TASKS)
        .await?;
    let others = cx.server.directory.endpoints(app.id, ALL).items;
    let facts = OfEndpoint {
        endpoint,
        pending,
        blocked_lines: backlog.blocked_lines,
        tasks: &running.items,
        others: &others,
    };
    let about = AboutOut {
        kind: "endpoint",
        id: endpoint.id.to_string(),
        name: endpoint.uid.clone().unwrap_or_else(|| endpoint.url.clone()),
    };
    let verb = query.verb();
    answer(verb, about, pending, facts.say(verb))
}

async fn of_app(Call { cx, query, .. }: Call<ImpactQuery>) -> Result<Reply<ImpactOut>, ApiError> {
    let app = cx.tenant()?;
    let (pending, said) = app_facts(&cx, &app, query.verb());
    let about = AboutOut {
        kind: "application",
        id: app.id.to_string(),
        name: app.uid.clone().unwrap_or_else(|| app.name.clone()),
    };
    answer(query.verb(), about, pending, said)
}

fn app_facts(cx: &Context, app: &App, verb: Verb) -> (u64, Said) {
    let directory = &cx.server.directory;
    let endpoints = directory.endpoints(app.id, ALL).items;
    let mut tokens = directory.tokens(app.environment, ALL).items;
    tokens.retain(|token| token.app == Some(app.id));
    let facts = OfApp {
        endpoints: &endpoints,
        tokens: &tokens,
    };
    let in_flight: u64 = endpoints.iter().map(|entry| u64::from(entry.lane.in_flight())).sum();
    (directory.waiting_of(app.id) + in_flight, facts.say(verb))
}

async fn of_event_type(Call { cx, query, .. }: Call<ImpactQuery>) -> Result<Reply<ImpactOut>, ApiError> {
    let directory = &cx.server.directory;
    let (environment, name) = (cx.environment()?, cx.param("event_type_name"));
    let found = directory.event_type(environment, name);
    let event_type = found.ok_or_else(|| ApiError::not_found("event type", name))?;
    let mut all = Vec::new();
    for app in directory.apps(environment, ALL).items {
        all.extend(directory.endpoints(app.id, ALL).items);
    }
    let known = directory.event_types(environment, true, NamedStart::First, Order::Ascending, usize::MAX);
    let facts = OfEventType {
        name: &event_type.name,
        has_schema: event_type.current_schema().is_some(),
        known: known.items.len(),
        endpoints: &all,
    };
    let about = AboutOut {
        kind: "event_type",
        id: event_type.name.clone(),
        name: event_type.name.clone(),
    };
    answer(query.verb(), about, 0, facts.say(query.verb()))
}

async fn of_source(Call { cx, query, .. }: Call<ImpactQuery>) -> Result<Reply<ImpactOut>, ApiError> {
    let source = cx.source()?;
    let app = cx.app_of_source()?;
    let directory = &cx.server.directory;
    let endpoints = directory.endpoints(app.id, ALL).items;
    let facts = OfSource {
        source: &source,
        endpoints: &endpoints,
    };
    let about = AboutOut {
        kind: "source",
        id: source.id.to_string(),
        name: source.uid.clone().unwrap_or_else(|| source.name.clone()),
    };
    let verb = query.verb();
    answer(verb, about, directory.waiting_of(app.id), facts.say(verb))
}

async fn of_token(Call { cx, query, .. }: Call<ImpactQuery>) -> Result<Reply<ImpactOut>, ApiError> {
    let directory = &cx.server.directory;
    let (caller, name) = (cx.caller()?, cx.param("token_id"));
    let unknown = || ApiError::not_found("token", name);
    let token = directory.token(name.parse().map_err(|_| unknown())?);
    let token = token
        .filter(|token| token.environment == caller.environment)
        .ok_or_else(unknown)?;
    let all = directory.tokens(caller.environment, ALL).items;
    let facts = OfToken {
        token: &token,
        all: &all,
        is_own: caller.token == Some(token.id),
        now: directory.now(),
    };
    let about = AboutOut {
        kind: "token",
        id: token.id.to_string(),
        name: token.name.clone(),
    };
    answer(query.verb(), about, 0, facts.say(query.verb()))
}
