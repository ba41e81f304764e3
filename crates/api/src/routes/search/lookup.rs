//! What can be looked up without looking through messages.

use bellwire_core::{
    app::AppKind,
    id::{AppId, AttemptId, EndpointId, Id as _, MessageId, SourceId, TaskId},
};
use bellwire_store::{
    directory::NamedStart,
    query::{AttemptFilter, AttemptKey, Order, Page, Start},
    scan::StatusWanted,
    survey::FailedAttempt,
};

use super::{Asked, failure_query, hit::HitOut};
use crate::{call::Context, error::ApiError, routes::scope::ALL};

/// Hits of one kind of thing with a name.
const NAMED_MAX: usize = 10;
/// Endpoints that are asked for an attempt's id, one after the other.
const ASKED_MAX: usize = 2_000;

pub(super) async fn message(cx: &Context, asked: &Asked, id: MessageId) -> Result<Vec<HitOut>, ApiError> {
    let found = cx.server.store.find_message(id).await?;
    let found = found.filter(|message| asked.scoped.app(message.app).is_some());
    Ok(found
        .map(|message| HitOut::message(message, "id"))
        .into_iter()
        .collect())
}

pub(super) async fn attempt(cx: &Context, asked: &Asked, id: AttemptId) -> Result<Vec<HitOut>, ApiError> {
    let at = Page {
        limit: 1,
        start: Start::After(id.number().saturating_add(1)),
        order: Order::Descending,
    };
    for entry in asked.scoped.endpoints.iter().take(ASKED_MAX) {
        let (app, endpoint) = (entry.endpoint.app, entry.endpoint.id);
        let store = &cx.server.store;
        let rows = store.attempts_of_endpoint(app, endpoint, AttemptFilter::default(), at, false);
        let found = rows.await?.items.into_iter().find(|row| row.attempt.id == id);
        if let Some(row) = found {
            return Ok(vec![HitOut::attempt(row.attempt, "id")]);
        }
    }
    Ok(Vec::new())
}

pub(super) fn endpoint(asked: &Asked, id: EndpointId) -> Vec<HitOut> {
    let found = asked.scoped.endpoints.iter().find(|entry| entry.endpoint.id == id);
    found
        .map(|entry| HitOut::endpoint(&entry.endpoint, "id"))
        .into_iter()
        .collect()
}

pub(super) fn app(asked: &Asked, id: AppId) -> Vec<HitOut> {
    let found = asked.scoped.app(id).filter(|app| app.kind == AppKind::Tenant);
    found.map(|app| HitOut::app(app, "id")).into_iter().collect()
}

pub(super) fn source(cx: &Context, asked: &Asked, id: SourceId) -> Result<Vec<HitOut>, ApiError> {
    let environment = cx.environment()?;
    let found = cx.server.directory.source(environment, &id.to_string());
    let found = found.filter(|source| asked.scoped.app(source.app).is_some());
    Ok(found.map(|source| HitOut::source(&source, "id")).into_iter().collect())
}

pub(super) async fn task(cx: &Context, id: TaskId) -> Result<Vec<HitOut>, ApiError> {
    let caller = cx.caller()?;
    let found = cx.server.store.task(id).await?;
    let found = found.filter(|task| task.environment == caller.environment && caller.app.is_none());
    Ok(found.map(|task| HitOut::task(task.id)).into_iter().collect())
}

/// Whatever is called so, or has an event id that is.
pub(super) async fn named(cx: &Context, asked: &Asked) -> Result<Vec<HitOut>, ApiError> {
    let directory = &cx.server.directory;
    let (caller, text) = (cx.caller()?, &asked.text);
    let messages = cx
        .server
        .store
        .find_event_id(asked.scoped.app_ids(), text.clone())
        .await?;
    let mut hits: Vec<HitOut> = messages
        .into_iter()
        .map(|message| HitOut::message(message, "event_id"))
        .collect();
    let lower = text.to_lowercase();
    let has = |name: &str| name.to_lowercase().contains(&lower);
    let called = |uid: &Option<String>, name: &str| match uid {
        Some(uid) if has(uid) => Some("uid"),
        _ => has(name).then_some("name"),
    };
    let endpoints = asked.scoped.endpoints.iter().filter_map(|entry| {
        let endpoint = &entry.endpoint;
        let place = match &endpoint.uid {
            Some(uid) if has(uid) => "uid",
            _ if has(&endpoint.url) => "url",
            _ if has(&endpoint.description) => "description",
            _ => return None,
        };
        Some(HitOut::endpoint(endpoint, place))
    });
    hits.extend(endpoints.take(NAMED_MAX));
    let tenants = asked.scoped.apps.iter().filter(|app| app.kind == AppKind::Tenant);
    let apps = tenants.filter_map(|app| called(&app.uid, &app.name).map(|place| HitOut::app(app, place)));
    hits.extend(apps.take(NAMED_MAX));
    let sources = directory.sources(caller.environment, ALL).items.into_iter();
    let sources = sources.filter(|source| asked.scoped.app(source.app).is_some());
    let sources =
        sources.filter_map(|source| called(&source.uid, &source.name).map(|place| HitOut::source(&source, place)));
    hits.extend(sources.take(NAMED_MAX));
    if caller.app.is_none() && !asked.scoped.one_endpoint {
        let types = directory.event_types(
            caller.environment,
            false,
            NamedStart::First,
            Order::Ascending,
            usize::MAX,
        );
        let types = types.items.iter().filter(|event_type| has(&event_type.name));
        hits.extend(types.take(NAMED_MAX).map(|event_type| HitOut::event_type(event_type)));
    }
    Ok(hits)
}

/// Failed attempts with a status, newest first, and where to go on when there are more.
pub(super) async fn failed(
    cx: &Context,
    asked: &Asked,
    status: StatusWanted,
    below: Option<AttemptId>,
) -> Result<(Vec<HitOut>, Option<AttemptId>), ApiError> {
    let store = &cx.server.store;
    let now = cx.server.directory.now();
    let mut failures = store.failed_attempts(failure_query(asked, below, now)).await?;
    failures.retain(|failed| {
        status.takes(failed.status_code) && below.is_none_or(|below| failed.attempt < below) && is_within(asked, failed)
    });
    failures.sort_unstable_by_key(|failed| std::cmp::Reverse(failed.attempt));
    let mut hits = Vec::new();
    let mut last = None;
    for failed in &failures {
        if hits.len() == asked.limit {
            return Ok((hits, last));
        }
        last = Some(failed.attempt);
        let entry = cx.server.directory.endpoint_by_id(failed.endpoint);
        let Some(entry) = entry else { continue };
        let key = AttemptKey {
            app: entry.endpoint.app,
            message: failed.message,
            attempt: failed.attempt,
        };
        let Some(row) = store.attempt(key).await? else { continue };
        let types = &asked.filter.event_types;
        let is_of = |message: &bellwire_core::message::Message| types.contains(&message.event_type);
        if types.is_empty() || row.message.as_ref().is_some_and(is_of) {
            hits.push(HitOut::attempt(row.attempt, "status"));
        }
    }
    Ok((hits, None))
}

/// Whether the attempt's message was accepted in the span that is asked for.
fn is_within(asked: &Asked, failed: &FailedAttempt) -> bool {
    let accepted = failed.message.created_at();
    asked.filter.after.is_none_or(|after| accepted >= after)
        && asked.filter.before.is_none_or(|before| accepted < before)
}
