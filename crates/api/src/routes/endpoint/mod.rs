//! `/api/v1/app/{app_id}/endpoint`: endpoints of an application.
//!
//! What is the same for operational webhook endpoints ([`super::operational_webhook`]) is here too, with the application
//! passed in.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    app::App,
    endpoint::{Disabled, DisabledReason, Endpoint},
    id::{AppId, EndpointId, Id as _},
    order::OrderSettings,
    secret::SigningKey,
    time::Timestamp,
};
use bellwire_store::{Change, Directory, directory::EndpointEntry, operational::OperationalEvent, query::Order};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use self::flow::{BatchOut, Exhausted, OrderingMode};
pub(super) use self::settings::{EndpointIn, EndpointUpdate};
use self::{
    settings::{EndpointPatch, Signature},
    shape::{FormatName, ThrottleOut},
};
use super::application::uid_of_path;
use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Outcome, Reply},
    error::{ApiError, SOURCE_MANAGED},
    field::{EndpointUid, SpanText},
    operation::{Operation, delete, get, patch, post, put},
    pagination::{ListQuery, ListResponse},
    query::NoQuery,
};

mod backtest;
mod doing;
mod flow;
pub(super) mod headers;
pub(super) mod secret;
mod send_example;
pub(super) mod sequence;
pub(super) mod settings;
mod shape;
mod stats;
mod status;
pub(super) mod transformation;

/// What hangs below an endpoint comes with it.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = vec![
        get("/api/v1/app/{app_id}/endpoint", "v1.endpoint.list", Access::READ_APP)
            .summary("List endpoints")
            .to(list),
        post("/api/v1/app/{app_id}/endpoint", "v1.endpoint.create", Access::APP)
            .summary("Create an endpoint")
            .about("Without `secret` one is made; a `whsk_` secret, or `signature: v1a`, makes an Ed25519 endpoint.")
            .to(create),
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
            "v1.endpoint.get",
            Access::READ_APP,
        )
        .summary("Get an endpoint")
        .to(show),
        put(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
            "v1.endpoint.update",
            Access::APP,
        )
        .summary("Create or replace an endpoint")
        .about("Secret and headers stay, and so do those settings that only this server knows, unless they are given.")
        .statuses(&[200, 201])
        .edits()
        .to(update),
        patch(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
            "patch_endpoint",
            Access::APP,
        )
        .summary("Change an endpoint")
        .edits()
        .to(change),
        delete(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}",
            "v1.endpoint.delete",
            Access::APP,
        )
        .summary("Delete an endpoint")
        .about("Deliveries that wait for it are cancelled.")
        .to(remove),
    ];
    operations.extend(backtest::operations());
    operations.extend(headers::operations());
    operations.extend(secret::operations());
    operations.extend(send_example::operations());
    operations.extend(sequence::operations());
    operations.extend(stats::operations());
    operations.extend(status::operations());
    operations.extend(transformation::operations());
    operations
}

/// An endpoint. Its secret and headers are asked for separately.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOut {
    #[schemars(with = "String")]
    id: EndpointId,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    description: String,
    disabled: bool,
    /// `requested`, `gone` (the receiver answered 410) or `failing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    disabled_reason: Option<DisabledReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::field::Time>")]
    disabled_since: Option<Timestamp>,
    /// When the unbroken row of failures began that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::field::Time>")]
    failing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u16>,
    metadata: BTreeMap<String, String>,
    signature: Option<Signature>,
    /// What receivers verify with, when `signature` is `v1a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<Vec<SpanText>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<u16>,
    ordering: OrderingMode,
    on_exhausted: Exhausted,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_key_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<BatchOut>,
    http_signatures: bool,
    /// What is done with a message.
    kind: String,
    /// The settings of that kind, without what is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transformation: Option<String>,
    format: FormatName,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle: Option<ThrottleOut>,
    #[schemars(with = "crate::field::Time")]
    created_at: Timestamp,
    #[schemars(with = "crate::field::Time")]
    updated_at: Timestamp,
}

impl EndpointOut {
    /// What is answered of an endpoint; `failing_since` is its lane's.
    pub fn of(endpoint: &Endpoint, failing_since: Option<Timestamp>) -> Self {
        let key = endpoint.keys.first().map(|live| &live.key);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let spans = |spans: &Vec<Duration>| spans.iter().copied().map(SpanText).collect();
        Self {
            id: endpoint.id,
            url: endpoint.url.clone(),
            uid: endpoint.uid.clone(),
            description: endpoint.description.clone(),
            disabled: endpoint.disabled.is_some(),
            disabled_reason: endpoint.disabled.map(|disabled| disabled.reason),
            disabled_since: endpoint.disabled.map(|disabled| disabled.since),
            failing_since,
            event_types: endpoint.event_types.clone(),
            channels: endpoint.channels.clone(),
            throttle_rate: endpoint.throttle_rate,
            metadata: endpoint.metadata.clone(),
            signature: key.map(|key| Signature::of(key.kind())),
            public_key: key.and_then(SigningKey::public_form),
            paused: endpoint.paused,
            retry_schedule: endpoint.retry_schedule.as_ref().map(spans),
            timeout_ms: endpoint.timeout.map(millis),
            max_in_flight: endpoint.max_in_flight,
            ordering: endpoint.order.ordering.into(),
            on_exhausted: endpoint.order.on_exhausted.into(),
            ordering_key_expression: endpoint.order.key_expression.clone(),
            batch: endpoint.batch.map(Into::into),
            http_signatures: endpoint.http_signatures,
            kind: endpoint.action.kind.to_string(),
            action: doing::shown(&endpoint.action),
            filter: endpoint.workflow.filter.as_deref().map(str::to_owned),
            transformation: transformation::in_force(&endpoint.workflow).map(str::to_owned),
            format: endpoint.workflow.format.into(),
            throttle: endpoint.workflow.throttle.as_ref().map(Into::into),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

/// An endpoint of which nothing is known but its id, made when its id was.
fn blank_of(app: AppId, id: EndpointId) -> Endpoint {
    let made = id.created_at();
    Endpoint {
        id,
        app,
        uid: None,
        url: String::new(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: BTreeMap::new(),
        headers: BTreeMap::new(),
        keys: Vec::new(),
        retry_schedule: None,
        timeout: None,
        max_in_flight: None,
        order: OrderSettings::default(),
        batch: None,
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: made,
        updated_at: made,
    }
}

/// What is left of an endpoint that was deleted: its id, and where it was last called. It takes nothing any more.
pub(super) fn deleted(app: &App, id: EndpointId, url: String) -> Endpoint {
    Endpoint {
        url,
        disabled: Some(Disabled {
            since: id.created_at(),
            reason: DisabledReason::Requested,
        }),
        ..blank_of(app.id, id)
    }
}

impl EndpointOut {
    /// What is answered of an endpoint that was [`deleted`]: when and why it was disabled is not known any more.
    pub fn of_deleted(endpoint: &Endpoint) -> Self {
        Self {
            disabled_reason: None,
            disabled_since: None,
            ..Self::of(endpoint, None)
        }
    }
}

impl From<&EndpointEntry> for EndpointOut {
    fn from(entry: &EndpointEntry) -> Self {
        Self::of(&entry.endpoint, entry.lane.health().failing_since)
    }
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<EndpointOut>>, ApiError> {
    let app = cx.app()?;
    list_of(&cx.server.directory, &app, &query)
}

/// The endpoints of an application.
pub(super) fn list_of(
    directory: &Directory,
    app: &App,
    query: &ListQuery,
) -> Result<Reply<ListResponse<EndpointOut>>, ApiError> {
    let rows = directory.endpoints(app.id, query.page::<EndpointId>(Order::Ascending)?);
    Reply::ok(&ListResponse::new(
        rows,
        |row| row.endpoint.id.to_string(),
        |row| EndpointOut::from(&*row),
    ))
}

async fn create(Call { cx, body, .. }: Call<NoQuery, EndpointIn>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app()?;
    create_in(&cx, &app, body).await
}

/// Creates an endpoint, and tells it.
///
/// # Errors
/// `validation_failed`, `url_refused`, `source_managed`, and those of the directory.
pub(super) async fn create_in(cx: &Context, app: &App, body: EndpointIn) -> Result<Reply<EndpointOut>, ApiError> {
    cx.not_managed(app)?;
    let endpoint = body.build(&cx.server, app)?;
    let reply = save(cx, &endpoint, Outcome::Usual).await?;
    cx.tell(OperationalEvent::EndpointCreated(&endpoint)).await?;
    Ok(reply)
}

/// Writes an endpoint and answers it.
///
/// # Errors
/// Those of the directory.
pub(super) async fn save(cx: &Context, endpoint: &Endpoint, outcome: Outcome) -> Result<Reply<EndpointOut>, ApiError> {
    let before = cx.server.directory.endpoint_by_id(endpoint.id);
    // Enabling it again makes it forget its failures.
    let forgets = |entry: &EndpointEntry| entry.endpoint.disabled.is_some() && endpoint.disabled.is_none();
    let failing_since = before
        .filter(|entry| !forgets(entry))
        .and_then(|entry| entry.lane.health().failing_since);
    let answer = EndpointOut::of(endpoint, failing_since);
    cx.commit(vec![Change::PutEndpoint(Box::new(endpoint.clone()))], outcome, &answer)
        .await
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app()?;
    Reply::ok(&EndpointOut::from(&*cx.endpoint(&app)?))
}

async fn update(Call { cx, body, .. }: Call<NoQuery, EndpointUpdate>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app()?;
    upsert_in(&cx, &app, body).await
}

/// Creates or replaces the endpoint that the path names, and tells it.
///
/// # Errors
/// `validation_failed`, `url_refused`, `source_managed`, and those of the directory.
pub(super) async fn upsert_in(cx: &Context, app: &App, body: EndpointUpdate) -> Result<Reply<EndpointOut>, ApiError> {
    cx.not_managed(app)?;
    let name = cx.param("endpoint_id");
    if let Some(entry) = cx.server.directory.endpoint(app.id, name) {
        not_trusted(&entry.endpoint)?;
        let mut endpoint = entry.endpoint.clone();
        body.replace(&cx.server, &mut endpoint)?;
        let reply = save(cx, &endpoint, Outcome::Usual).await?;
        cx.tell(OperationalEvent::EndpointUpdated(&endpoint)).await?;
        return Ok(reply);
    }
    if !EndpointUid::allows(name) {
        return Err(ApiError::not_found("endpoint", name));
    }
    let mut endpoint = settings::blank(&cx.server, app)?;
    body.replace(&cx.server, &mut endpoint)?;
    endpoint.uid = Some(uid_of_path(name, endpoint.uid.take())?);
    let reply = save(cx, &endpoint, Outcome::Other).await?;
    cx.tell(OperationalEvent::EndpointCreated(&endpoint)).await?;
    Ok(reply)
}

async fn change(Call { cx, body, .. }: Call<NoQuery, EndpointPatch>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    let mut endpoint = entry.endpoint.clone();
    body.apply(&cx.server, &mut endpoint)?;
    if !only_switched(&entry.endpoint, &endpoint) {
        cx.not_managed(&app)?;
        not_trusted(&entry.endpoint)?;
    }
    let reply = save(&cx, &endpoint, Outcome::Usual).await?;
    cx.tell(OperationalEvent::EndpointUpdated(&endpoint)).await?;
    Ok(reply)
}

/// Refuses to change an endpoint that the operator wrote: it may do what nobody else may ask for.
fn not_trusted(endpoint: &Endpoint) -> Result<(), ApiError> {
    if !endpoint.action.trusted {
        return Ok(());
    }
    let detail = format!(
        "the endpoint `{}` is kept in the hooks file; change it there (it can be paused, disabled and given a new secret here)",
        endpoint.uid.clone().unwrap_or_else(|| endpoint.id.to_string())
    );
    Err(ApiError::new(&SOURCE_MANAGED, detail))
}

/// Whether one differs from the other in nothing but whether it is paused or disabled.
fn only_switched(before: &Endpoint, after: &Endpoint) -> bool {
    let switched = Endpoint {
        paused: after.paused,
        disabled: after.disabled,
        updated_at: after.updated_at,
        ..before.clone()
    };
    switched == *after
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    remove_from(&cx, &app).await
}

/// Deletes the endpoint that the path names, and tells it.
///
/// # Errors
/// `not_found`, `source_managed`, and those of the directory.
pub(super) async fn remove_from(cx: &Context, app: &App) -> Result<Reply<Nothing>, ApiError> {
    cx.not_managed(app)?;
    let entry = cx.endpoint(app)?;
    not_trusted(&entry.endpoint)?;
    let reply = cx
        .commit_silently(vec![Change::DeleteEndpoint(entry.endpoint.id)])
        .await?;
    cx.tell(OperationalEvent::EndpointDeleted(&entry.endpoint)).await?;
    Ok(reply)
}
