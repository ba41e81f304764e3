//! `/api/v1/auth`: tokens for the portal of one application, and giving one's own token back.

use std::time::Duration;

use bellwire_core::{app::App, token::Scope};
use bellwire_store::Change;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{application::ApplicationIn, message::publish::get_or_create};
use crate::{
    auth::{Access, TokenWish, new_token},
    call::{Call, Context, Nothing, Outcome, Reply},
    error::ApiError,
    field::Ignored,
    operation::{Operation, Repetition, post},
    problem::Problem,
    query::NoQuery,
};

/// How long a portal's token is valid when nothing is asked, in seconds: seven days.
const EXPIRY_DEFAULT: u64 = 7 * 86_400;
/// Shortest and longest, in seconds: one hour and seven days.
const EXPIRY: std::ops::RangeInclusive<u64> = 3_600..=7 * 86_400;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/api/v1/auth/app-portal-access/{app_id}",
            "v1.authentication.app-portal-access",
            Access::ADMIN,
        )
        .summary("Make a token for one application")
        .about("It sees this application only. With `readOnly` it changes nothing and sees no secrets.")
        .statuses(&[200])
        .shows_secret()
        .to(portal_access),
        post("/api/v1/auth/logout", "logout_api_v1_auth_logout__post", Access::ANY)
            .summary("Give back the token that this request carries")
            .statuses(&[204])
            .repetition(Repetition::Harmless)
            .to(logout),
    ]
}

/// What the token is for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppPortalAccessIn {
    /// The application to make when the one in the path does not exist yet.
    application: Option<ApplicationIn>,
    /// Nothing can be changed with it, and no secret is shown.
    read_only: Option<bool>,
    /// How long it is valid, in seconds: 3600 to 604800, 604800 when left out.
    #[schemars(range(min = 3_600, max = 604_800))]
    expiry: Option<u64>,
    /// Sent by some clients; ignored: every application sees all event types.
    #[serde(default, rename = "featureFlags")]
    #[schemars(skip)]
    _feature_flags: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "capabilities")]
    #[schemars(skip)]
    _capabilities: Ignored,
    /// Sent by some clients; ignored.
    #[serde(default, rename = "sessionId")]
    #[schemars(skip)]
    _session_id: Ignored,
}

/// The token, shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AppPortalAccessOut {
    token: String,
    /// Where a person can use it.
    url: String,
}

async fn portal_access(
    Call { cx, body, .. }: Call<NoQuery, AppPortalAccessIn>,
) -> Result<Reply<AppPortalAccessOut>, ApiError> {
    let access = PortalWish {
        expiry: body.expiry,
        read_only: body.read_only,
    };
    access.check()?;
    let app = match (cx.app(), body.application) {
        (Err(missing), None) => return Err(missing),
        (Err(_), Some(wanted)) => get_or_create(&cx, cx.param("app_id"), wanted).await?,
        (Ok(app), _) => app,
    };
    portal_of(&cx, &app, access).await
}

/// What a portal's token is to be.
pub(super) struct PortalWish {
    /// How long it is valid, in seconds.
    pub expiry: Option<u64>,
    /// Nothing can be changed with it, and no secret is shown.
    pub read_only: Option<bool>,
}

impl PortalWish {
    /// How long it is valid.
    ///
    /// # Errors
    /// `validation_failed` when that is too short or too long.
    pub fn check(&self) -> Result<Duration, ApiError> {
        let expiry = self.expiry.unwrap_or(EXPIRY_DEFAULT);
        if EXPIRY.contains(&expiry) {
            return Ok(Duration::from_secs(expiry));
        }
        let msg = format!("{expiry} is out of bounds; give {} to {}", EXPIRY.start(), EXPIRY.end());
        Err(ApiError::invalid(Problem::body(["expiry"], msg)))
    }
}

/// Makes a token for the portal of an application.
///
/// # Errors
/// `validation_failed`, and those of the directory.
pub(super) async fn portal_of(
    cx: &Context,
    app: &App,
    wish: PortalWish,
) -> Result<Reply<AppPortalAccessOut>, ApiError> {
    let valid = wish.check()?;
    let directory = &cx.server.directory;
    let wish = TokenWish {
        environment: app.environment,
        scope: if wish.read_only == Some(true) {
            Scope::Read
        } else {
            Scope::App
        },
        app: Some(app.id),
        name: format!("portal of {}", app.name),
        expires_at: Some(directory.now().plus(valid)),
    };
    let (token, new) = new_token(directory, wish).map_err(ApiError::internal)?;
    let text = new.expose().to_owned();
    // Behind a `#`, so that it is not sent to, or logged by, anybody in between.
    let server = cx.server.public_url.trim_end_matches('/');
    let url = format!("{server}/portal#app={}&token={text}", app.id);
    let answer = AppPortalAccessOut { token: text, url };
    cx.commit(vec![Change::PutToken(Box::new(token))], Outcome::Usual, &answer)
        .await
}

async fn logout(Call { cx, .. }: Call) -> Result<Reply<Nothing>, ApiError> {
    match cx.caller()?.token {
        // The operator's own token is in the configuration.
        None => Ok(Reply::nothing()),
        Some(token) => cx.commit_silently(vec![Change::DeleteToken(token)]).await,
    }
}
