//! `…/dashboard`: a token for the portal of a source's application.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    auth::Access,
    call::{Call, Reply},
    error::ApiError,
    operation::{Operation, post},
    query::NoQuery,
    routes::authentication::{AppPortalAccessOut, PortalWish, portal_of},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/ingest/api/v1/source/{source_id}/dashboard",
            "v1.ingest.authentication.consumer-portal-access",
            Access::ADMIN,
        )
        .summary("Make a token for one source")
        .about(
            "It sees the source's application only: messages, endpoints, deliveries. With `readOnly` it changes nothing and \
             sees no secrets.",
        )
        .statuses(&[200])
        .shows_secret()
        .to(access),
    ]
}

/// What the token is for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "IngestSourceConsumerPortalAccessIn")]
struct AccessIn {
    /// How long it is valid, in seconds: 3600 to 604800, 604800 when left out.
    #[schemars(range(min = 3_600, max = 604_800))]
    expiry: Option<u64>,
    /// Nothing can be changed with it, and no secret is shown.
    read_only: Option<bool>,
}

async fn access(Call { cx, body, .. }: Call<NoQuery, AccessIn>) -> Result<Reply<AppPortalAccessOut>, ApiError> {
    let app = cx.app_of_source()?;
    let wish = PortalWish {
        expiry: body.expiry,
        read_only: body.read_only,
    };
    portal_of(&cx, &app, wish).await
}
