//! `…/token/rotate`: a new URL.

use std::time::Duration;

use bellwire_core::source::{Source, new_token};
use bellwire_store::Change;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shown::url_of;
use crate::{
    auth::{Access, random},
    call::{Call, Outcome, Reply},
    error::ApiError,
    operation::{Operation, post},
    problem::Problem,
};

/// The old URL is good for so long, in seconds, unless something else is asked for: two days, as the hosted API documents it.
const GRACE_DEFAULT: u32 = 48 * 3_600;
/// The longest that may be asked for.
const GRACE_MAX: u32 = 7 * 24 * 3_600;
/// Former URLs of a source that are good at the same time.
const FORMER_MAX: usize = 3;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post(
            "/ingest/api/v1/source/{source_id}/token/rotate",
            "v1.ingest.source.rotate-token",
            Access::ADMIN,
        )
        .summary("Give a source a new URL")
        .about(
            "The old one is good beside it for the time of grace: 48 hours, or as asked, up to 7 days; 0 ends it, and those of \
             before, at once. At most three are good beside the new one. The URL with the source's uid, where there is one, stays.",
        )
        .statuses(&[200])
        .shows_secret()
        .edits()
        .to(rotate),
    ]
}

/// How long the old one is good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Grace {
    /// Seconds for which the old URL is good beside the new one: 0 to 604,800, and 172,800 when it is left out.
    grace_period_seconds: Option<u32>,
}

/// The new URL.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RotateTokenOut")]
struct RotatedOut {
    /// Where requests are sent from now on.
    ingest_url: String,
}

async fn rotate(Call { cx, query, .. }: Call<Grace>) -> Result<Reply<RotatedOut>, ApiError> {
    let grace = query.grace_period_seconds.unwrap_or(GRACE_DEFAULT);
    let refused = |msg: String| ApiError::invalid(Problem::query("gracePeriodSeconds", msg));
    if grace > GRACE_MAX {
        return Err(refused(format!("{grace} is out of bounds; give 0 to {GRACE_MAX}")));
    }
    let entropy = random().ok_or_else(|| ApiError::internal("the machine gives no randomness"))?;
    let now = cx.server.directory.now();
    let source: Source = cx.source()?.rotated(
        new_token(&entropy),
        now,
        now.plus(Duration::from_secs(u64::from(grace))),
    );
    let Some(ingest_url) = url_of(&cx.server.public_url, &source) else {
        let msg = format!("a source of the type `{}` has no URL", source.kind);
        return Err(ApiError::invalid(Problem::at(
            "path",
            ["source_id"],
            "value_error",
            msg,
        )));
    };
    if source.former_tokens.len() > FORMER_MAX {
        return Err(refused(format!(
            "{FORMER_MAX} former URLs are still good, and no more may be; wait until one has ended, or end them all with \
             gracePeriodSeconds=0"
        )));
    }
    let answer = RotatedOut { ingest_url };
    cx.commit(vec![Change::PutSource(Box::new(source))], Outcome::Usual, &answer)
        .await
}
