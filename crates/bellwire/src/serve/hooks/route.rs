//! `/api/v1/admin/hooks`: how the hooks file stands, and reading it now.
//!
//! The server reads its own file, never one that somebody sends: who may write that file may have commands run, and a token
//! shall not be enough for it.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bellwire_api::{
    ApiState,
    auth::{Access, authorize},
    error::{ApiError, INSUFFICIENT_ACCESS},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Applied, Hooks, HooksError};

/// Where it is.
pub const PATH: &str = "/api/v1/admin/hooks";

/// What to do with the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wish {
    /// Only say what would change.
    dry_run: bool,
}

/// The routes: GET says how it stands, POST reads the file.
pub(in crate::serve) fn routes(state: ApiState, hooks: Arc<Hooks>) -> Router {
    let (asked, told) = (state.clone(), Arc::clone(&hooks));
    Router::new().route(
        PATH,
        get(async move |headers: HeaderMap| match allow(&asked, &headers) {
            Ok(()) => Json(told.standing()).into_response(),
            Err(refused) => refused.into_response(&asked.docs_url),
        })
        .post(async move |headers: HeaderMap, body: Bytes| {
            if let Err(refused) = allow(&state, &headers) {
                return refused.into_response(&state.docs_url);
            }
            let wish: Wish = serde_json::from_slice(&body).unwrap_or_default();
            answer(&hooks, wish).await
        }),
    )
}

fn allow(state: &ApiState, headers: &HeaderMap) -> Result<(), ApiError> {
    let caller = authorize(state, Access::ADMIN, headers)?;
    if caller.is_some_and(|caller| caller.environment == state.default_environment) {
        return Ok(());
    }
    let detail = "the hooks file is the operator's; it takes an admin token of the server's first environment";
    Err(ApiError::new(&INSUFFICIENT_ACCESS, detail))
}

async fn answer(hooks: &Hooks, wish: Wish) -> Response {
    let done = if wish.dry_run {
        hooks.plan().await
    } else {
        hooks.apply().await
    };
    let is_applied = done.is_ok() && !wish.dry_run;
    let file = hooks.file.display().to_string();
    let told = match done {
        Ok(Applied { lines, hooks }) => json!({
            "file": file, "applied": is_applied, "hooks": hooks, "changes": lines, "findings": [],
        }),
        Err(error) => json!({
            "file": file, "applied": false, "changes": [], "findings": error.findings(), "error": error_words(&error),
        }),
    };
    Json(told).into_response()
}

/// In words, where findings do not say it.
fn error_words(error: &HooksError) -> Value {
    match error {
        HooksError::Findings { .. } => Value::Null,
        other => other.to_string().into(),
    }
}

impl Hooks {
    fn standing(&self) -> Value {
        let told = self.told().clone();
        json!({
            "file": self.file.display().to_string(),
            "hooks": told.hooks,
            "appliedAt": told.applied_at,
            "inForce": self.figures().is_in_force,
            "refusedAt": told.refused.as_ref().map(|refused| refused.at),
            "error": told.refused.as_ref().filter(|refused| refused.findings.is_empty()).map(|refused| &refused.words),
            "findings": told.refused.map(|refused| refused.findings).unwrap_or_default(),
        })
    }
}
