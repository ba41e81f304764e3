//! `…/endpoint/{endpoint_id}/secret`: what its requests are signed with.

use std::time::Duration;

use bellwire_core::{
    app::App,
    endpoint::{Endpoint, LiveKey},
};
use bellwire_store::Change;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::{Signature, key_of};
use crate::{
    audit,
    auth::Access,
    call::{Call, Context, Nothing, Outcome, Reply},
    error::ApiError,
    operation::{Operation, get, post},
    problem::Problem,
    query::NoQuery,
};

/// How long an old key goes on signing when nothing is asked.
const GRACE_DEFAULT: u32 = 24 * 3_600;
/// How long at most.
const GRACE_MAX: u32 = 7 * 24 * 3_600;
/// Most keys that sign at once: every one makes the signature header longer.
const LIVE_KEYS_MAX: usize = 10;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret",
            "v1.endpoint.get-secret",
            Access::APP,
        )
        .summary("Get an endpoint's signing secret")
        .to(show),
        post(
            "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
            "v1.endpoint.rotate-secret",
            Access::APP,
        )
        .summary("Give an endpoint a new signing secret")
        .about(
            "The old one goes on signing beside it for the time of grace: 24 hours, or as asked, up to 7 days. \
             At most 10 sign at once: one more is refused until one has ended.",
        )
        .statuses(&[200])
        .shows_secret()
        .edits()
        .to(rotate),
    ]
}

/// A signing secret.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct EndpointSecretOut {
    /// What receivers verify with: `whsec_…`, or the public `whpk_…` for Ed25519, whose private half never leaves.
    key: String,
    /// The same again, for Ed25519 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

/// How to rotate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct EndpointSecretRotateIn {
    /// The new secret; one is made when it is left out.
    key: Option<String>,
    /// How long the old secret goes on signing, in seconds: 0 to 604800, 86400 when left out.
    grace_period_seconds: Option<u32>,
    /// Which kind of secret to make when none is given; otherwise the kind there was.
    signature: Option<Signature>,
}

async fn show(Call { cx, .. }: Call) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let app = cx.app()?;
    reveal(&cx, &app).await
}

/// Shows the secret of the endpoint that the path names, and notes that it was shown.
///
/// # Errors
/// `not_found`, and those of the store: what cannot be noted is not shown.
pub(in crate::routes) async fn reveal(cx: &Context, app: &App) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let entry = cx.endpoint(app)?;
    let secret = secret_of(&entry.endpoint)?;
    cx.note(app.id, vec![audit::endpoint(&entry.endpoint)]).await?;
    Reply::ok(&secret)
}

/// The newest secret of an endpoint.
///
/// # Errors
/// A defect: an endpoint without any.
fn secret_of(endpoint: &Endpoint) -> Result<EndpointSecretOut, ApiError> {
    let newest = endpoint
        .keys
        .first()
        .ok_or_else(|| ApiError::internal("an endpoint without a key"))?;
    // What the receiver verifies with: of an Ed25519 key that is the public half, and the private half never leaves.
    let public_key = newest.key.public_form();
    Ok(EndpointSecretOut {
        key: public_key.clone().unwrap_or_else(|| newest.key.expose()),
        public_key,
    })
}

async fn rotate(
    Call { cx, body, .. }: Call<NoQuery, EndpointSecretRotateIn>,
) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let app = cx.app()?;
    rotate_in(&cx, &app, body).await
}

/// Rotates the secret of the endpoint that the path names.
///
/// # Errors
/// `validation_failed`, `not_found`.
pub(in crate::routes) async fn rotate_in(
    cx: &Context,
    app: &App,
    body: EndpointSecretRotateIn,
) -> Result<Reply<EndpointSecretOut>, ApiError> {
    let mut endpoint = cx.endpoint(app)?.endpoint.clone();
    let grace = body.grace_period_seconds.unwrap_or(GRACE_DEFAULT);
    if grace > GRACE_MAX {
        let msg = format!("{grace} is out of bounds; give 0 to {GRACE_MAX}");
        return Err(ApiError::invalid(Problem::body(["gracePeriodSeconds"], msg)));
    }
    let now = cx.server.directory.now();
    let wanted = match (&body.key, body.signature) {
        (None, None) => endpoint.keys.first().map(|newest| Signature::of(newest.key.kind())),
        (_, signature) => signature,
    };
    let key = key_of(body.key.as_deref(), "key", wanted, cx.server.default_signature)?;
    let grace_ends = now.plus(Duration::from_secs(u64::from(grace)));
    for live in &mut endpoint.keys {
        live.expires_at = Some(live.expires_at.map_or(grace_ends, |at| at.min(grace_ends)));
    }
    // A key that comes back is live again, once.
    endpoint
        .keys
        .retain(|live| live.expires_at.is_some_and(|at| at > now) && live.key != key);
    let live = endpoint.keys.len();
    if live >= LIVE_KEYS_MAX {
        let msg = format!(
            "{live} keys are still live, and no more may sign at once; wait until one has ended, or end them all with \
             gracePeriodSeconds=0"
        );
        return Err(ApiError::invalid(Problem::body(["gracePeriodSeconds"], msg)));
    }
    endpoint.keys.insert(0, LiveKey { key, expires_at: None });
    endpoint.updated_at = now;
    let answer = secret_of(&endpoint)?;
    cx.commit(vec![Change::PutEndpoint(Box::new(endpoint))], Outcome::Usual, &answer)
        .await
}

/// As [`rotate_in`], for clients that expect no body.
///
/// # Errors
/// As [`rotate_in`].
pub(in crate::routes) async fn rotate_silently_in(
    cx: Context,
    app: &App,
    body: EndpointSecretRotateIn,
) -> Result<Reply<Nothing>, ApiError> {
    let idempotency = cx.idempotency;
    // The answer that is kept must be the empty one.
    let cx = Context {
        idempotency: None,
        ..cx
    };
    rotate_in(&cx, app, body).await?;
    match idempotency {
        Some(_) => Context { idempotency, ..cx }.commit_silently(Vec::new()).await,
        None => Ok(Reply::nothing()),
    }
}
