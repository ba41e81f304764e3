//! The stored form of endpoints and sources: a JSON document, and beside it, sealed, what is secret.
//!
//! Backends store the two as they are; reading accepts documents of older versions (missing fields take their defaults).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    batch::BatchSettings,
    endpoint::{ActionSettings, Disabled, Endpoint, HTTP, LiveKey, Workflow},
    id::{AppId, EndpointId, EnvironmentId, SourceId},
    order::OrderSettings,
    secret::SigningKey,
    source::{FormerToken, Source, SourceRules},
    time::{Timestamp, span::Span},
};
use serde::{Deserialize, Serialize};

use crate::{error::StoreError, vault::Vault};

/// An endpoint, or a source, as two columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// JSON, nothing secret in it.
    pub document: String,
    /// Keys, custom headers and settings, sealed for this row and this version of the document.
    pub sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    id: EndpointId,
    app: AppId,
    uid: Option<String>,
    url: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    disabled: Option<Disabled>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    event_types: Option<Vec<String>>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    throttle_rate: Option<u16>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    retry_schedule: Option<Vec<Span>>,
    #[serde(default)]
    timeout: Option<Span>,
    #[serde(default)]
    max_in_flight: Option<u16>,
    #[serde(default)]
    order: OrderSettings,
    #[serde(default)]
    batch: Option<BatchSettings>,
    #[serde(default)]
    http_signatures: bool,
    #[serde(default = "http", skip_serializing_if = "is_http")]
    action: Arc<str>,
    #[serde(default)]
    trusted: bool,
    #[serde(default)]
    workflow: Workflow,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Secrets {
    keys: Vec<KeyText>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    action_hidden: Vec<String>,
}

fn http() -> Arc<str> {
    HTTP.into()
}

fn is_http(kind: &Arc<str>) -> bool {
    &**kind == HTTP
}

#[derive(Serialize, Deserialize)]
struct KeyText {
    key: String,
    expires_at: Option<Timestamp>,
}

fn context(environment: EnvironmentId, endpoint: EndpointId, version: Timestamp) -> String {
    format!("{environment}|{endpoint}|{}", version.micros())
}

fn document(endpoint: &Endpoint) -> Document {
    let spans = |spans: &Vec<Duration>| spans.iter().copied().map(Span).collect();
    Document {
        id: endpoint.id,
        app: endpoint.app,
        uid: endpoint.uid.clone(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        disabled: endpoint.disabled,
        paused: endpoint.paused,
        event_types: endpoint.event_types.clone(),
        channels: endpoint.channels.clone(),
        throttle_rate: endpoint.throttle_rate,
        metadata: endpoint.metadata.clone(),
        retry_schedule: endpoint.retry_schedule.as_ref().map(spans),
        timeout: endpoint.timeout.map(Span),
        max_in_flight: endpoint.max_in_flight,
        order: endpoint.order.clone(),
        batch: endpoint.batch,
        http_signatures: endpoint.http_signatures,
        action: Arc::clone(&endpoint.action.kind),
        trusted: endpoint.action.trusted,
        workflow: endpoint.workflow.clone(),
        created_at: endpoint.created_at,
        updated_at: endpoint.updated_at,
    }
}

/// What may be seen of an endpoint's stored form: nothing of it is secret.
pub fn open_members(endpoint: &Endpoint) -> impl Serialize + use<> {
    document(endpoint)
}

/// The stored form of an endpoint.
///
/// # Errors
/// `Corrupt` when it cannot be sealed.
pub fn endpoint_to_record(
    endpoint: &Endpoint,
    environment: EnvironmentId,
    vault: &Vault,
) -> Result<Record, StoreError> {
    let document = document(endpoint);
    let keys = endpoint
        .keys
        .iter()
        .map(|live| KeyText {
            key: live.key.expose(),
            expires_at: live.expires_at,
        })
        .collect();
    let secrets = Secrets {
        keys,
        headers: endpoint.headers.clone(),
        action: endpoint.action.settings.clone(),
        action_hidden: endpoint.action.hidden.to_vec(),
    };
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("endpoint {}: {error}", endpoint.id));
    let plain = serde_json::to_vec(&secrets).map_err(|error| corrupt(&error))?;
    let place = context(environment, endpoint.id, endpoint.updated_at);
    Ok(Record {
        document: serde_json::to_string(&document).map_err(|error| corrupt(&error))?,
        sealed: vault.seal(&plain, &place).map_err(|error| corrupt(&error))?,
    })
}

/// Reads the stored form.
///
/// # Errors
/// `Corrupt`, with the reason, when document or secrets cannot be read.
pub fn endpoint_from_record(
    record: &Record,
    environment: EnvironmentId,
    vault: &Vault,
) -> Result<Endpoint, StoreError> {
    let document: Document = serde_json::from_str(&record.document)
        .map_err(|error| StoreError::Corrupt(format!("an endpoint's document cannot be read: {error}")))?;
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("endpoint {}: {error}", document.id));
    let place = context(environment, document.id, document.updated_at);
    let plain = vault.open(&record.sealed, &place).map_err(|error| corrupt(&error))?;
    let secrets: Secrets = serde_json::from_slice(&plain).map_err(|_| corrupt(&"its secrets cannot be read"))?;
    let mut keys = Vec::with_capacity(secrets.keys.len());
    for text in secrets.keys {
        let key = SigningKey::parse(&text.key).map_err(|error| corrupt(&error))?;
        keys.push(LiveKey {
            key,
            expires_at: text.expires_at,
        });
    }
    let spans = |spans: Vec<Span>| spans.into_iter().map(|span| span.0).collect();
    Ok(Endpoint {
        id: document.id,
        app: document.app,
        uid: document.uid,
        url: document.url,
        description: document.description,
        disabled: document.disabled,
        paused: document.paused,
        event_types: document.event_types,
        channels: document.channels,
        throttle_rate: document.throttle_rate,
        metadata: document.metadata,
        headers: secrets.headers,
        keys,
        retry_schedule: document.retry_schedule.map(spans),
        timeout: document.timeout.map(|span| span.0),
        max_in_flight: document.max_in_flight,
        order: document.order,
        batch: document.batch,
        http_signatures: document.http_signatures,
        action: ActionSettings {
            kind: document.action,
            settings: secrets.action,
            trusted: document.trusted,
            hidden: secrets.action_hidden.into(),
        },
        workflow: document.workflow,
        created_at: document.created_at,
        updated_at: document.updated_at,
    })
}

#[derive(Serialize, Deserialize)]
struct SourceDocument {
    id: SourceId,
    environment: EnvironmentId,
    app: AppId,
    uid: Option<String>,
    name: String,
    kind: String,
    #[serde(default)]
    rules: SourceRules,
    #[serde(default)]
    managed: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SourceSecrets {
    token: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_tokens: Vec<FormerToken>,
    settings: BTreeMap<String, Vec<String>>,
}

fn source_context(environment: EnvironmentId, source: SourceId, version: Timestamp) -> String {
    format!("{environment}|{source}|{}", version.micros())
}

fn source_document(source: &Source) -> SourceDocument {
    SourceDocument {
        id: source.id,
        environment: source.environment,
        app: source.app,
        uid: source.uid.clone(),
        name: source.name.clone(),
        kind: source.kind.clone(),
        rules: source.rules.clone(),
        managed: source.managed,
        metadata: source.metadata.clone(),
        created_at: source.created_at,
        updated_at: source.updated_at,
    }
}

/// What may be seen of a source's stored form: nothing of it is secret.
pub fn open_members_of_source(source: &Source) -> impl Serialize + use<> {
    source_document(source)
}

/// The stored form of a source: its settings and its URL's token are sealed.
///
/// # Errors
/// `Corrupt` when it cannot be sealed.
pub fn source_to_record(source: &Source, vault: &Vault) -> Result<Record, StoreError> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("source {}: {error}", source.id));
    let document = source_document(source);
    let secrets = SourceSecrets {
        token: source.token.clone(),
        former_tokens: source.former_tokens.clone(),
        settings: source.settings.clone(),
    };
    let plain = serde_json::to_vec(&secrets).map_err(|error| corrupt(&error))?;
    let place = source_context(source.environment, source.id, source.updated_at);
    Ok(Record {
        document: serde_json::to_string(&document).map_err(|error| corrupt(&error))?,
        sealed: vault.seal(&plain, &place).map_err(|error| corrupt(&error))?,
    })
}

/// Reads the stored form.
///
/// # Errors
/// `Corrupt`, with the reason, when document or settings cannot be read.
pub fn source_from_record(record: &Record, vault: &Vault) -> Result<Source, StoreError> {
    let document: SourceDocument = serde_json::from_str(&record.document)
        .map_err(|error| StoreError::Corrupt(format!("a source's document cannot be read: {error}")))?;
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("source {}: {error}", document.id));
    let place = source_context(document.environment, document.id, document.updated_at);
    let plain = vault.open(&record.sealed, &place).map_err(|error| corrupt(&error))?;
    let secrets: SourceSecrets = serde_json::from_slice(&plain).map_err(|_| corrupt(&"its settings cannot be read"))?;
    Ok(Source {
        id: document.id,
        environment: document.environment,
        app: document.app,
        uid: document.uid,
        name: document.name,
        kind: document.kind,
        token: secrets.token,
        former_tokens: secrets.former_tokens,
        settings: secrets.settings,
        rules: document.rules,
        managed: document.managed,
        metadata: document.metadata,
        created_at: document.created_at,
        updated_at: document.updated_at,
    })
}
