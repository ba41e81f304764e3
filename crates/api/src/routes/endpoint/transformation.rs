//! `…/endpoint/{endpoint_id}/transformation`: what an endpoint makes of a payload, as clients of hosted servers ask for it.
//!
//! Their code is JavaScript; ours is a template (`docs/templates.md`). It is the endpoint's member `transformation`, which can
//! be kept here without being in force.

use bellwire_core::{app::App, endpoint::Workflow, time::Timestamp};
use bellwire_template::{MessageScope, Transformation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::shape::{check_transformation, fits_together};
use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Reply},
    error::ApiError,
    field::{ChannelName, EventTypeName, Patch, Set},
    operation::{Operation, get, patch, post},
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    let path = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation";
    vec![
        get(path, "v1.endpoint.transformation.get", Access::READ_APP)
            .summary("Get an endpoint's transformation")
            .about("The code is a template, not JavaScript.")
            .to(show),
        patch(path, "v1.endpoint.transformation.patch", Access::APP)
            .summary("Change an endpoint's transformation")
            .about("The code is a template, not JavaScript. It is in force once `enabled` is true.")
            .statuses(&[204])
            .edits()
            .to(change),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation/simulate",
            "v1.endpoint.transformation.simulate",
            Access::READ_APP,
        )
        .summary("Try a transformation")
        .about("Answers what would be sent of a message; nothing is sent, and nothing is kept.")
        .statuses(&[200])
        .to(simulate),
    ]
}

/// The transformation that is in force.
pub(super) fn in_force(workflow: &Workflow) -> Option<&str> {
    workflow
        .transformation
        .as_deref()
        .filter(|_| !workflow.transformation_off)
}

/// An endpoint's transformation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct EndpointTransformationOut {
    /// The template; null when there is none.
    code: Option<String>,
    /// Whether it is in force.
    enabled: bool,
    /// When the endpoint last changed.
    #[schemars(with = "Option<crate::field::Time>")]
    updated_at: Option<Timestamp>,
}

/// What is to change about a transformation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EndpointTransformationPatch {
    /// The template; null removes it.
    #[serde(default)]
    code: Patch<String>,
    /// Whether it is in force; without a word about it, a first one is not.
    enabled: Option<bool>,
    /// There are none here: write constants into the template.
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// The transformation of the endpoint that the path names.
///
/// # Errors
/// `not_found`.
pub(in crate::routes) fn of(cx: &Context, app: &App) -> Result<Reply<EndpointTransformationOut>, ApiError> {
    let entry = cx.endpoint(app)?;
    let workflow = &entry.endpoint.workflow;
    Reply::ok(&EndpointTransformationOut {
        code: workflow.transformation.as_deref().map(str::to_owned),
        enabled: in_force(workflow).is_some(),
        updated_at: workflow.transformation.as_ref().map(|_| entry.endpoint.updated_at),
    })
}

/// Changes the transformation of the endpoint that the path names.
///
/// # Errors
/// `validation_failed`, `not_found`, `source_managed`, and those of the directory.
pub(in crate::routes) async fn change_in(
    cx: &Context,
    app: &App,
    body: EndpointTransformationPatch,
) -> Result<Reply<Nothing>, ApiError> {
    cx.not_managed(app)?;
    let mut endpoint = cx.endpoint(app)?.endpoint.clone();
    super::not_trusted(&endpoint)?;
    no_variables(body.variables.as_ref())?;
    if let Patch::Set(code) = &body.code {
        check_transformation("code", code)?;
    }
    let workflow = &mut endpoint.workflow;
    let was_there = workflow.transformation.is_some();
    body.code.map(Into::into).apply(&mut workflow.transformation);
    workflow.transformation_off = match (body.enabled, &workflow.transformation) {
        (_, None) => false,
        (Some(enabled), _) => !enabled,
        (None, _) => workflow.transformation_off || !was_there,
    };
    fits_together(&endpoint)?;
    endpoint.updated_at = cx.server.directory.now();
    let reply = cx
        .commit_silently(vec![bellwire_store::Change::PutEndpoint(Box::new(endpoint.clone()))])
        .await?;
    cx.tell(bellwire_store::operational::OperationalEvent::EndpointUpdated(
        &endpoint,
    ))
    .await?;
    Ok(reply)
}

fn no_variables(variables: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    if variables.is_none_or(Map::is_empty) {
        return Ok(());
    }
    let msg = "there are no variables here; write constants into the template, as in `{% set name = \"value\" %}`";
    Err(ApiError::invalid(Problem::body(["variables"], msg)))
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointTransformationOut>, ApiError> {
    let app = cx.app()?;
    of(&cx, &app)
}

async fn change(Call { cx, body, .. }: Call<NoQuery, EndpointTransformationPatch>) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    change_in(&cx, &app, body).await
}

/// A message, and the template to try on it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TransformationSimulateIn {
    /// The template.
    code: String,
    /// The message's event type.
    event_type: EventTypeName,
    /// Its channels.
    channels: Option<Set<ChannelName, 1, 10>>,
    /// Its payload.
    #[schemars(with = "Map<String, Value>")]
    payload: Box<RawValue>,
    /// There are none here: write constants into the template.
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// What would be sent.
#[derive(Debug, Serialize, JsonSchema)]
struct TransformationSimulateOut {
    /// Always false: a template cancels nothing; an endpoint's `filter` does.
    cancel: bool,
    /// Always `POST`.
    method: String,
    /// The JSON that would be sent in the place of the payload.
    payload: String,
    /// Where to.
    url: String,
}

async fn simulate(
    Call { cx, body, .. }: Call<NoQuery, TransformationSimulateIn>,
) -> Result<Reply<TransformationSimulateOut>, ApiError> {
    let app = cx.app()?;
    let entry = cx.endpoint(&app)?;
    no_variables(body.variables.as_ref())?;
    let channels = body.channels.map(Set::into_texts).unwrap_or_default();
    let scope = MessageScope::new(&body.event_type, &channels, body.payload.get().as_bytes());
    let made = Transformation::compile(&body.code).and_then(|transformation| transformation.apply(&scope));
    let payload = made.map_err(|error| ApiError::invalid(Problem::body(["code"], error.to_string())))?;
    Reply::ok(&TransformationSimulateOut {
        cancel: false,
        method: "POST".to_owned(),
        payload,
        url: entry.endpoint.url.clone(),
    })
}
