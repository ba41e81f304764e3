//! `/api/v1/operational-webhook/endpoint`: where the owner of an environment is told about it.
//!
//! They are endpoints like any other, of one application that the environment has for them, made when it is first needed
//! and never listed.

use std::{collections::BTreeMap, sync::Arc};

use bellwire_core::{
    app::{App, AppKind},
    event_type::filter_covers,
    id::EnvironmentId,
};
use bellwire_store::{Change, Directory, StoreError, operational::OperationalEvent};

use super::endpoint::{
    self, EndpointIn, EndpointOut, EndpointUpdate,
    headers::{EndpointHeadersIn, EndpointHeadersOut, replace_in},
    secret::{EndpointSecretOut, EndpointSecretRotateIn, reveal, rotate_silently_in},
};
use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Outcome, Reply},
    error::ApiError,
    operation::{Operation, delete, get, post, put},
    pagination::{ListQuery, ListResponse},
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    let all = "/api/v1/operational-webhook/endpoint";
    let one = "/api/v1/operational-webhook/endpoint/{endpoint_id}";
    let headers = "/api/v1/operational-webhook/endpoint/{endpoint_id}/headers";
    let secret = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret";
    let rotate = "/api/v1/operational-webhook/endpoint/{endpoint_id}/secret/rotate";
    vec![
        get(all, "v1.operational-webhook.endpoint.list", Access::READ)
            .summary("List operational webhook endpoints")
            .to(list),
        post(all, "v1.operational-webhook.endpoint.create", Access::ADMIN)
            .summary("Create an operational webhook endpoint")
            .about("It is sent what happens in your environment: endpoints created, changed and disabled, deliveries failing.")
            .to(create),
        get(one, "v1.operational-webhook.endpoint.get", Access::READ)
            .summary("Get an operational webhook endpoint")
            .to(show),
        put(one, "v1.operational-webhook.endpoint.upsert", Access::ADMIN)
            .summary("Create or replace an operational webhook endpoint")
            .statuses(&[200, 201])
            .to(update),
        delete(one, "v1.operational-webhook.endpoint.delete", Access::ADMIN)
            .summary("Delete an operational webhook endpoint")
            .to(remove),
        get(headers, "v1.operational-webhook.endpoint.get-headers", Access::READ)
            .summary("Get an operational webhook endpoint's headers")
            .to(show_headers),
        put(headers, "v1.operational-webhook.endpoint.set-headers", Access::ADMIN)
            .summary("Replace an operational webhook endpoint's headers")
            .statuses(&[204])
            .to(replace_headers),
        get(secret, "v1.operational-webhook.endpoint.get-secret", Access::ADMIN)
            .summary("Get an operational webhook endpoint's signing secret")
            .to(show_secret),
        post(rotate, "v1.operational-webhook.endpoint.rotate-secret", Access::ADMIN)
            .summary("Give an operational webhook endpoint a new signing secret")
            .about("The old one goes on signing beside it for the time of grace: 24 hours, or as asked, up to 7 days.")
            .statuses(&[204])
            .to(rotate_secret),
    ]
}

/// The environment's operational application; `not_found` for what the path names while there is none.
fn existing(cx: &Context) -> Result<Arc<App>, ApiError> {
    let found = cx.server.directory.operational_app(cx.environment()?);
    found.ok_or_else(|| ApiError::not_found("endpoint", cx.param("endpoint_id")))
}

/// The environment's operational application, made if there is none. Two requests at once make one.
async fn made(cx: &Context) -> Result<Arc<App>, ApiError> {
    let environment = cx.environment()?;
    let directory = Arc::clone(&cx.server.directory);
    if let Some(app) = directory.operational_app(environment) {
        return Ok(app);
    }
    // Written to the end, also when the client goes away meanwhile.
    #[expect(
        clippy::disallowed_methods,
        reason = "waited for right here; its panic becomes an error"
    )]
    let making = tokio::spawn(async move {
        let build = || Ok::<_, StoreError>(missing(&directory, environment));
        directory
            .commit_with(None, build)
            .await
            .map(|()| directory.operational_app(environment))
    });
    let made = making.await.map_err(ApiError::internal)??;
    made.ok_or_else(|| ApiError::internal("the operational application is not there after it was made"))
}

/// The change that makes the application, unless somebody was faster.
fn missing(directory: &Directory, environment: EnvironmentId) -> Vec<Change> {
    if directory.operational_app(environment).is_some() {
        return Vec::new();
    }
    let now = directory.now();
    vec![Change::PutApp(App {
        id: directory.new_id(),
        environment,
        uid: None,
        name: "Operational webhooks".to_owned(),
        throttle_rate: None,
        publish_rate: None,
        metadata: BTreeMap::new(),
        kind: AppKind::Operational,
        validate_payloads: Some(false),
        created_at: now,
        updated_at: now,
    })]
}

/// Refuses a filter that names an event that there is not: nothing would ever come.
///
/// # Errors
/// `validation_failed`, with the names there are.
fn check_events<T: AsRef<str>>(wanted: Option<&[T]>) -> Result<(), ApiError> {
    let names = OperationalEvent::NAMES;
    let unknown = |entry: &&T| !names.iter().any(|name| filter_covers(entry.as_ref(), name));
    match wanted.unwrap_or_default().iter().find(unknown) {
        None => Ok(()),
        Some(entry) => {
            let msg = format!(
                "there is no operational event `{}`; there are {}",
                entry.as_ref(),
                names.join(", ")
            );
            Err(ApiError::invalid(Problem::body(["eventTypes"], msg)))
        }
    }
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<EndpointOut>>, ApiError> {
    match cx.server.directory.operational_app(cx.environment()?) {
        Some(app) => endpoint::list_of(&cx.server.directory, &app, &query),
        None => Reply::ok(&ListResponse {
            data: Vec::new(),
            iterator: None,
            prev_iterator: None,
            done: true,
        }),
    }
}

async fn create(Call { cx, body, .. }: Call<NoQuery, EndpointIn>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = made(&cx).await?;
    let new = body.build(&cx.server, &app)?;
    check_events(new.event_types.as_deref())?;
    endpoint::save(&cx, &new, Outcome::Usual).await
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointOut>, ApiError> {
    let app = existing(&cx)?;
    Reply::ok(&EndpointOut::from(&*cx.endpoint(&app)?))
}

async fn update(Call { cx, body, .. }: Call<NoQuery, EndpointUpdate>) -> Result<Reply<EndpointOut>, ApiError> {
    let wanted = body.event_types.as_ref();
    let wanted: Option<Vec<&str>> = wanted.map(|types| types.0.iter().map(|entry| &**entry).collect());
    check_events(wanted.as_deref())?;
    let app = made(&cx).await?;
    endpoint::upsert_in(&cx, &app, body).await
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = existing(&cx)?;
    endpoint::remove_from(&cx, &app).await
}

async fn show_headers(Call { cx, .. }: Call) -> Result<Reply<EndpointHeadersOut>, ApiError> {
    let app = existing(&cx)?;
    Reply::ok(&EndpointHeadersOut::from(&cx.endpoint(&app)?.endpoint))
}

async fn replace_headers(Call { cx, body, .. }: Call<NoQuery, EndpointHeadersIn>) -> Result<Reply<Nothing>, ApiError> {
    let app = existing(&cx)?;
    replace_in(&cx, &app, body).await
}

async fn show_secret(Call { cx, .. }: Call) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let app = existing(&cx)?;
    reveal(&cx, &app).await
}

/// Clients expect no body here, unlike when an application's endpoint gets a new secret.
async fn rotate_secret(
    Call { cx, body, .. }: Call<NoQuery, EndpointSecretRotateIn>,
) -> Result<Reply<Nothing>, ApiError> {
    let app = existing(&cx)?;
    rotate_silently_in(cx, &app, body).await
}
