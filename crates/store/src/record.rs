//! The stored form of an endpoint: a JSON document, and beside it, sealed, what is secret.
//!
//! Backends store the two as they are; reading accepts documents of older versions (missing fields take their defaults).

use std::{collections::BTreeMap, time::Duration};

use bellwire_core::{
    batch::BatchSettings,
    endpoint::{Disabled, Endpoint, LiveKey},
    id::{AppId, EndpointId, EnvironmentId},
    order::OrderSettings,
    secret::SigningKey,
    time::{Timestamp, span::Span},
};
use serde::{Deserialize, Serialize};

use crate::{error::StoreError, vault::Vault};

/// An endpoint as two columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// JSON, nothing secret in it.
    pub document: String,
    /// Signing keys and custom headers, sealed for this endpoint and this version of the document.
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
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Secrets {
    keys: Vec<KeyText>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct KeyText {
    key: String,
    expires_at: Option<Timestamp>,
}

fn context(environment: EnvironmentId, endpoint: EndpointId, version: Timestamp) -> String {
    format!("{environment}|{endpoint}|{}", version.micros())
}

/// The stored form of an endpoint.
///
/// # Errors
/// `Corrupt` when it cannot be sealed.
pub fn endpoint_to_record(
    endpoint: &Endpoint,
    environment: EnvironmentId,
    vault: &Vault,
) -> Result<EndpointRecord, StoreError> {
    let spans = |spans: &Vec<Duration>| spans.iter().copied().map(Span).collect();
    let document = Document {
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
        created_at: endpoint.created_at,
        updated_at: endpoint.updated_at,
    };
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
    };
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("endpoint {}: {error}", endpoint.id));
    let plain = serde_json::to_vec(&secrets).map_err(|error| corrupt(&error))?;
    let place = context(environment, endpoint.id, endpoint.updated_at);
    Ok(EndpointRecord {
        document: serde_json::to_string(&document).map_err(|error| corrupt(&error))?,
        sealed: vault.seal(&plain, &place).map_err(|error| corrupt(&error))?,
    })
}

/// Reads the stored form.
///
/// # Errors
/// `Corrupt`, with the reason, when document or secrets cannot be read.
pub fn endpoint_from_record(
    record: &EndpointRecord,
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
        created_at: document.created_at,
        updated_at: document.updated_at,
    })
}
