//! `…/token/rotate`: a new URL.

use bellwire_core::source::{Source, new_token};
use bellwire_store::Change;
use schemars::JsonSchema;
use serde::Serialize;

use super::shown::url_of;
use crate::{
    auth::{Access, random},
    call::{Call, Outcome, Reply},
    error::ApiError,
    operation::{Operation, post},
    problem::Problem,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/ingest/api/v1/source/{source_id}/token/rotate",
            "v1.ingest.source.rotate-token",
            Access::ADMIN,
        )
        .summary("Give a source a new URL")
        .about("Requests to the old one are refused at once. The URL with the source's uid, where there is one, stays.")
        .statuses(&[200])
        .shows_secret()
        .edits()
        .to(rotate),
    ]
}

/// The new URL.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RotateTokenOut")]
struct RotatedOut {
    /// Where requests are sent from now on.
    ingest_url: String,
}

async fn rotate(Call { cx, .. }: Call) -> Result<Reply<RotatedOut>, ApiError> {
    let entropy = random().ok_or_else(|| ApiError::internal("the machine gives no randomness"))?;
    let source = Source {
        token: new_token(&entropy),
        updated_at: cx.server.directory.now(),
        ..Source::clone(&*cx.source()?)
    };
    let Some(ingest_url) = url_of(&cx.server.public_url, &source) else {
        let msg = format!("a source of the type `{}` has no URL", source.kind);
        return Err(ApiError::invalid(Problem::at(
            "path",
            ["source_id"],
            "value_error",
            msg,
        )));
    };
    let answer = RotatedOut { ingest_url };
    cx.commit(vec![Change::PutSource(Box::new(source))], Outcome::Usual, &answer)
        .await
}
