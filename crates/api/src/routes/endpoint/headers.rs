//! `…/endpoint/{endpoint_id}/headers`: headers added to every request.
//!
//! Values that look like credentials are kept and sent, and never shown again.

use std::collections::BTreeMap;

use bellwire_core::{app::App, endpoint::Endpoint, headers::is_sensitive};
use bellwire_store::{Change, operational::OperationalEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::checked_headers;
use crate::{
    auth::Access,
    call::{Call, Context, Nothing, Reply},
    error::ApiError,
    operation::{Operation, get, patch, put},
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
            "v1.endpoint.get-headers",
            Access::READ_APP,
        )
        .summary("Get an endpoint's headers")
        .about("Headers whose values look like credentials are only named.")
        .to(show),
        put(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
            "v1.endpoint.update-headers",
            Access::APP,
        )
        .summary("Replace an endpoint's headers")
        .statuses(&[204])
        .edits()
        .to(replace),
        patch(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
            "v1.endpoint.patch-headers",
            Access::APP,
        )
        .summary("Change some of an endpoint's headers")
        .statuses(&[204])
        .edits()
        .to(change),
    ]
}

/// All headers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct EndpointHeadersIn {
    /// Names to values.
    headers: BTreeMap<String, String>,
}

/// Headers to set and to remove.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointHeadersPatchIn {
    /// Names to values; null removes.
    headers: Option<BTreeMap<String, Option<String>>>,
    /// Names to remove.
    delete_headers: Option<Vec<String>>,
}

/// An endpoint's headers.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::routes) struct EndpointHeadersOut {
    /// Those that may be shown.
    headers: BTreeMap<String, String>,
    /// Names of those that may not.
    sensitive: Vec<String>,
}

impl From<&Endpoint> for EndpointHeadersOut {
    fn from(endpoint: &Endpoint) -> Self {
        let (mut headers, mut sensitive) = (BTreeMap::new(), Vec::new());
        for (name, value) in &endpoint.headers {
            if is_sensitive(name, value) {
                sensitive.push(name.clone());
            } else {
                headers.insert(name.clone(), value.clone());
            }
        }
        Self { headers, sensitive }
    }
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointHeadersOut>, ApiError> {
    let app = cx.app()?;
    Reply::ok(&EndpointHeadersOut::from(&cx.endpoint(&app)?.endpoint))
}

async fn replace(Call { cx, body, .. }: Call<NoQuery, EndpointHeadersIn>) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    replace_in(&cx, &app, body).await
}

/// Replaces the headers of the endpoint that the path names.
///
/// # Errors
/// `validation_failed`, `not_found`, `source_managed`.
pub(in crate::routes) async fn replace_in(
    cx: &Context,
    app: &App,
    body: EndpointHeadersIn,
) -> Result<Reply<Nothing>, ApiError> {
    cx.not_managed(app)?;
    let endpoint = cx.endpoint(app)?.endpoint.clone();
    save(cx, endpoint, body.headers).await
}

async fn change(Call { cx, body, .. }: Call<NoQuery, EndpointHeadersPatchIn>) -> Result<Reply<Nothing>, ApiError> {
    let app = cx.app()?;
    cx.not_managed(&app)?;
    let endpoint = cx.endpoint(&app)?.endpoint.clone();
    let mut headers = endpoint.headers.clone();
    let removed = body
        .delete_headers
        .unwrap_or_default()
        .into_iter()
        .map(|name| (name, None));
    for (name, value) in removed.chain(body.headers.unwrap_or_default()) {
        headers.retain(|known, _| !known.eq_ignore_ascii_case(&name));
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    save(&cx, endpoint, headers).await
}

async fn save(
    cx: &Context,
    mut endpoint: Endpoint,
    headers: BTreeMap<String, String>,
) -> Result<Reply<Nothing>, ApiError> {
    endpoint.headers = checked_headers(headers)?;
    endpoint.updated_at = cx.server.directory.now();
    let reply = cx
        .commit_silently(vec![Change::PutEndpoint(Box::new(endpoint.clone()))])
        .await?;
    cx.tell(OperationalEvent::EndpointUpdated(&endpoint)).await?;
    Ok(reply)
}
