//! The rules of single settings of an endpoint.

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    endpoint::{Disabled, DisabledReason},
    headers::{HeaderError, check_headers},
    secret::SigningKey,
    sign::{SCHEMES, Scheme},
    time::Timestamp,
};

use super::Signature;
use crate::{auth::random, error::ApiError, field::SpanText, problem::Problem, state::ApiState};

/// Checks headers that are given as a whole.
///
/// # Errors
/// `validation_failed`.
pub(in crate::routes) fn checked_headers(
    headers: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let problem = |error: HeaderError| Problem::body(["headers"], error.to_string());
    check_headers(&headers).map_err(|error| ApiError::invalid(problem(error)))?;
    Ok(headers)
}

/// Reads a secret that was given, or makes one.
///
/// # Errors
/// `validation_failed`, never with the secret in it.
pub(in crate::routes) fn key_of(
    given: Option<&str>,
    member: &str,
    signature: Option<Signature>,
    default: &'static Scheme,
) -> Result<SigningKey, ApiError> {
    let Some(text) = given else {
        let kind = signature.map_or(default.key_kind, Signature::kind);
        let scheme = SCHEMES.iter().find(|scheme| scheme.key_kind == kind).unwrap_or(default);
        let entropy = random().ok_or_else(|| ApiError::internal("the machine gives no randomness"))?;
        return scheme.generate(entropy).map_err(ApiError::internal);
    };
    let refuse = |msg: String| ApiError::invalid(Problem::body([member], msg));
    let key = SigningKey::parse(text).map_err(|error| refuse(error.to_string()))?;
    if signature.is_some_and(|signature| signature.kind() != key.kind()) {
        return Err(refuse(format!(
            "the secret is of the kind {}, which `signature` contradicts",
            key.kind()
        )));
    }
    Ok(key)
}

const RETRIES_MAX: usize = 100;
const RETRY_WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);

pub(super) fn checked_schedule(schedule: Vec<SpanText>) -> Result<Vec<Duration>, ApiError> {
    if schedule.len() > RETRIES_MAX {
        let msg = format!("there are {} entries; give at most {RETRIES_MAX}", schedule.len());
        return Err(ApiError::invalid(Problem::body(["retrySchedule"], msg)));
    }
    let checked = schedule.into_iter().enumerate().map(|(at, SpanText(span))| {
        if span <= RETRY_WAIT_MAX {
            return Ok(span);
        }
        let place = at.to_string();
        Err(ApiError::invalid(Problem::body(
            ["retrySchedule", place.as_str()],
            "a wait is at most 7d",
        )))
    });
    checked.collect()
}

pub(super) fn checked_timeout(state: &ApiState, millis: u64) -> Result<Duration, ApiError> {
    let max = state.limits.timeout_max;
    let timeout = Duration::from_millis(millis);
    if timeout >= Duration::from_millis(100) && timeout <= max {
        return Ok(timeout);
    }
    let msg = format!("{millis} is out of bounds; give 100 to {}", max.as_millis());
    Err(ApiError::invalid(Problem::body(["timeoutMs"], msg)))
}

/// Why it is disabled from now on: an endpoint that is disabled already keeps since when and why.
pub(super) fn disabled(was: Option<Disabled>, asked: bool, now: Timestamp) -> Option<Disabled> {
    asked.then(|| {
        was.unwrap_or(Disabled {
            since: now,
            reason: DisabledReason::Requested,
        })
    })
}
