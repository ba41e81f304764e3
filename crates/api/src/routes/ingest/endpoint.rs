//! `…/source/{source_id}/endpoint`: what is done with the messages of a source.
//!
//! They are the endpoints of its application, with fewer words; `/api/v1/app/{appId}/endpoint` has all of them.

use crate::{
    auth::Access,
    call::{Call, Nothing, Reply},
    error::ApiError,
    operation::{Operation, delete, get, patch, post, put},
    pagination::{ListQuery, ListResponse},
    query::NoQuery,
    routes::endpoint::{
        self, EndpointIn, EndpointOut, EndpointUpdate,
        headers::{EndpointHeadersIn, EndpointHeadersOut, replace_in},
        secret::{EndpointSecretOut, EndpointSecretRotateIn, reveal, rotate_silently_in},
        transformation::{self, EndpointTransformationOut, EndpointTransformationPatch},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let all = "/ingest/api/v1/source/{source_id}/endpoint";
    let one = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}";
    let headers = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/headers";
    let secret = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret";
    let transformation = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/transformation";
    let rotate = "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/secret/rotate";
    vec![
        get(all, "v1.ingest.endpoint.list", Access::READ)
            .summary("List a source's endpoints")
            .to(list),
        post(all, "v1.ingest.endpoint.create", Access::ADMIN)
            .summary("Create an endpoint of a source")
            .to(create),
        get(one, "v1.ingest.endpoint.get", Access::READ)
            .summary("Get an endpoint of a source")
            .to(show),
        put(one, "v1.ingest.endpoint.upsert", Access::ADMIN)
            .summary("Create or replace an endpoint of a source")
            .about(
                "Secret and headers stay, and so do those settings that only this server knows, unless they are given.",
            )
            .statuses(&[200, 201])
            .edits()
            .to(update),
        delete(one, "v1.ingest.endpoint.delete", Access::ADMIN)
            .summary("Delete an endpoint of a source")
            .about("Deliveries that wait for it are cancelled.")
            .to(remove),
        get(headers, "v1.ingest.endpoint.get-headers", Access::READ)
            .summary("Get the headers of an endpoint of a source")
            .about("Headers whose values look like credentials are only named.")
            .to(show_headers),
        put(headers, "v1.ingest.endpoint.set-headers", Access::ADMIN)
            .summary("Replace the headers of an endpoint of a source")
            .statuses(&[204])
            .edits()
            .to(replace_headers),
        get(secret, "v1.ingest.endpoint.get-secret", Access::ADMIN)
            .summary("Get the signing secret of an endpoint of a source")
            .to(show_secret),
        get(transformation, "v1.ingest.endpoint.transformation.get", Access::READ)
            .summary("Get the transformation of an endpoint of a source")
            .about("The code is a template, not JavaScript.")
            .to(show_transformation),
        patch(transformation, "v1.ingest.endpoint.transformation.patch", Access::ADMIN)
            .summary("Change the transformation of an endpoint of a source")
            .about("The code is a template, not JavaScript. It is in force once `enabled` is true.")
            .statuses(&[204])
            .edits()
            .to(change_transformation),
        post(rotate, "v1.ingest.endpoint.rotate-secret", Access::ADMIN)
            .summary("Give an endpoint of a source a new signing secret")
            .about("The old one goes on signing beside it for the time of grace: 24 hours, or as asked, up to 7 days.")
            .statuses(&[204])
            .edits()
            .to(rotate_secret),
    ]
}

async fn list(Call { cx, query, .. }: Call<ListQuery>) -> Result<Reply<ListResponse<EndpointOut>>, ApiError> {
    let app = cx.app_of_source()?;
    endpoint::list_of(&cx.server.directory, &app, &query)
}

async fn create(Call { cx, body, .. }: Call<NoQuery, EndpointIn>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app_of_source()?;
    endpoint::create_in(&cx, &app, body).await
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app_of_source()?;
    Reply::ok(&EndpointOut::from(&*cx.endpoint(&app)?))
}

async fn update(Call { cx, body, .. }: Call<NoQuery, EndpointUpdate>) -> Result<Reply<EndpointOut>, ApiError> {
    let app = cx.app_of_source()?;
    endpoint::upsert_in(&cx, &app, body).await
}

async fn remove(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app_of_source()?;
    endpoint::remove_from(&cx, &app).await
}

async fn show_headers(Call { cx, .. }: Call) -> Result<Reply<EndpointHeadersOut>, ApiError> {
    let app = cx.app_of_source()?;
    Reply::ok(&EndpointHeadersOut::from(&cx.endpoint(&app)?.endpoint))
}

async fn replace_headers(Call { cx, body, .. }: Call<NoQuery, EndpointHeadersIn>) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app_of_source()?;
    replace_in(&cx, &app, body).await
}

async fn show_secret(Call { cx, .. }: Call) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let app = cx.app_of_source()?;
    reveal(&cx, &app).await
}

async fn show_transformation(Call { cx, .. }: Call) -> Result<Reply<EndpointTransformationOut>, ApiError> {
    let app = cx.app_of_source()?;
    transformation::of(&cx, &app)
}

async fn change_transformation(
    Call { cx, body, .. }: Call<NoQuery, EndpointTransformationPatch>,
) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app_of_source()?;
    transformation::change_in(&cx, &app, body).await
}

async fn rotate_secret(
    Call { cx, body, .. }: Call<NoQuery, EndpointSecretRotateIn>,
) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app_of_source()?;
    rotate_silently_in(cx, &app, body).await
}
