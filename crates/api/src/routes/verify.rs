//! `POST /api/v1/verify`: the signature doctor. What somebody pastes is judged and forgotten.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwire_core::{secret::VerifyingKey, time::Timestamp};
use bellwire_listen::{
    Settings, Verifier,
    doctor::{Asked, Diagnosis, With, diagnose},
    providers,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, Repetition, post},
    problem::Problem,
    query::NoQuery,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/api/v1/verify", "verify_signature", Access::READ_APP)
            .summary("Find out why a signature does not verify")
            .about(
                "Give the request as it was received, and either `secrets` of Standard Webhooks, or a `provider` with its secrets, or a \
                 `source`, whose own settings are used then. The usual mistakes are tried one after the other: another secret, a \
                 body that was parsed and written again, a clock that is wrong. Nothing of it is kept.",
            )
            .statuses(&[200])
            .repetition(Repetition::Harmless)
            .to(verify),
    ]
}

/// A request, and what to verify it with.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyIn {
    /// The headers, by name.
    headers: BTreeMap<String, String>,
    /// The raw body as text…
    body: Option<String>,
    /// …or in base64, when it is not text.
    body_base64: Option<String>,
    /// Secrets that are valid: `whsec_…`, `whpk_…`, or the provider's.
    #[serde(default)]
    secrets: Vec<String>,
    /// Secrets that are not valid but worth naming when one of them matches.
    #[serde(default)]
    other_secrets: Vec<String>,
    /// A provider's name, as `stripe`.
    provider: Option<String>,
    /// Further settings of the provider, by name.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// A source, by id or uid: its provider and its settings.
    source: Option<String>,
    /// The URL that was called; some signatures cover it.
    url: Option<String>,
    /// The method; POST when left out.
    method: Option<String>,
    /// Do not judge its age.
    #[serde(default)]
    any_age: bool,
}

/// What was found out.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct VerifyOut {
    verdict: VerdictOut,
    /// What was judged: `v1`, `v1a`, `standard-webhooks`, `http-message-signatures`, or a provider.
    scheme: String,
    /// Why it does not verify, for programs: as in the log of a source.
    reason: Option<&'static str>,
    /// What matched, or what is wrong and what to do.
    words: String,
    /// When it was signed, where that is known.
    #[schemars(with = "Option<Time>")]
    signed_at: Option<Timestamp>,
    /// The HTTP message signatures, when the request has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Box<VerifyOut>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "VerifyVerdict")]
enum VerdictOut {
    Valid,
    Invalid,
}

impl From<Diagnosis> for VerifyOut {
    fn from(found: Diagnosis) -> Self {
        Self {
            verdict: if found.valid {
                VerdictOut::Valid
            } else {
                VerdictOut::Invalid
            },
            scheme: found.scheme,
            reason: found.reason,
            words: found.words,
            signed_at: found.signed_at,
            http: None,
        }
    }
}

async fn verify(Call { cx, body, .. }: Call<NoQuery, VerifyIn>) -> Result<Reply<VerifyOut>, ApiError> {
    let bytes = match (&body.body, &body.body_base64) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map_err(|error| problem("bodyBase64", error.to_string()))?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => return Err(problem("bodyBase64", "give `body` or `bodyBase64`, not both")),
    };
    let headers: Vec<(&str, &str)> = body
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let asked = Asked {
        method: body.method.as_deref().unwrap_or("POST"),
        url: body.url.as_deref(),
        headers: &headers,
        body: &bytes,
        now: cx.server.directory.now(),
        any_age: body.any_age,
    };
    let mut found = match verifier(&cx, &body)? {
        Some(verifier) => {
            let with = With::Provider {
                verifier: &verifier,
                others: &body.other_secrets,
            };
            diagnose(&with, &asked)
        }
        None => {
            let (keys, others) = (
                keys("secrets", &body.secrets)?,
                keys("otherSecrets", &body.other_secrets)?,
            );
            let with = With::Standard {
                keys: &keys,
                others: &others,
            };
            diagnose(&with, &asked)
        }
    }
    .into_iter();
    let first = found
        .next()
        .ok_or_else(|| ApiError::internal("the signature doctor said nothing"))?;
    let mut answer = VerifyOut::from(first);
    answer.http = found.next().map(|http| Box::new(http.into()));
    Reply::ok(&answer)
}

/// The provider that is named, or the source's, with its settings; `None` for Standard Webhooks.
fn verifier(cx: &Context, body: &VerifyIn) -> Result<Option<Verifier>, ApiError> {
    if let Some(name) = &body.source {
        let source = cx.server.directory.source(cx.environment()?, name);
        let may_see = |app| {
            cx.caller()
                .is_ok_and(|caller| caller.app.is_none_or(|only| only == app))
        };
        let source = source.filter(|source| may_see(source.app));
        let source = source.ok_or_else(|| ApiError::not_found("source", name))?;
        let provider = providers::by_name(&source.kind).map_err(|error| problem("source", error.to_string()))?;
        let mut settings = Settings::new();
        for (name, values) in &source.settings {
            for value in values {
                settings.add(name, value.as_str());
            }
        }
        let verifier = Verifier::new(provider, settings);
        return verifier.map(Some).map_err(|error| problem("source", error.to_string()));
    }
    let Some(name) = &body.provider else { return Ok(None) };
    let provider = providers::by_name(name).map_err(|error| problem("provider", error.to_string()))?;
    let mut settings = Settings::new();
    if let Some(key) = provider.settings.first() {
        for secret in &body.secrets {
            settings.add(key.name, secret.as_str());
        }
    }
    for (name, value) in &body.settings {
        settings.add(name, value.as_str());
    }
    let verifier = Verifier::new(provider, settings);
    verifier
        .map(Some)
        .map_err(|error| problem("secrets", error.to_string()))
}

fn keys(name: &str, secrets: &[String]) -> Result<Vec<VerifyingKey>, ApiError> {
    let key = |secret: &String| VerifyingKey::parse(secret.trim()).map_err(|error| problem(name, error.to_string()));
    secrets.iter().map(key).collect()
}

fn problem(name: &str, msg: impl Into<String>) -> ApiError {
    ApiError::invalid(Problem::body([name], msg))
}
