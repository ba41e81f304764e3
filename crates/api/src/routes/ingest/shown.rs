//! What is answered of a source: never its secrets.

use std::collections::BTreeMap;

use bellwire_core::{
    id::{AppId, SourceId},
    source::{CRON, Source, SourceRules},
    time::Timestamp,
    token::Scope,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    config::{self, ValueOut},
    kind::{self, GENERIC, Kind},
    rules::RulesIn,
};
use crate::{call::Context, error::ApiError, field::Time};

/// A source. What is secret in its settings is only counted.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "IngestSourceOut")]
pub struct SourceOut {
    #[schemars(with = "String")]
    id: SourceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    name: String,
    /// What it is.
    #[serde(rename = "type")]
    kind: String,
    /// Its settings, those that may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<BTreeMap<String, ValueOut>>,
    /// How many values each of its secret settings has.
    secrets: BTreeMap<String, usize>,
    /// Where requests are sent. Left out where nothing is called, and for readers where the URL is the only secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_url: Option<String>,
    metadata: BTreeMap<String, String>,
    /// The application of its messages and endpoints.
    #[schemars(with = "String")]
    app_id: AppId,
    /// What is done with a trusted request before it becomes messages.
    #[schemars(with = "RulesIn")]
    rules: SourceRules,
    /// It is kept in the hooks file, and not changed by the API.
    managed: bool,
    /// Who sends its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderOut>,
    #[schemars(with = "Time")]
    created_at: Timestamp,
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

/// What is known of a provider.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceProviderOut")]
struct ProviderOut {
    name: &'static str,
    /// Its name for people.
    title: &'static str,
    /// What is checked, and how.
    about: &'static str,
    /// What the proof covers.
    covers: String,
    /// What it asks before or beside its events, which is answered by itself.
    handshakes: Vec<&'static str>,
}

/// For whom sources are shown.
pub struct Viewer<'a> {
    public_url: &'a str,
    hosted_only: bool,
    reads_only: bool,
}

impl<'a> Viewer<'a> {
    /// Whoever asks.
    ///
    /// # Errors
    /// Never where the operation asks for a token.
    pub fn of(cx: &'a Context) -> Result<Self, ApiError> {
        Ok(Self {
            public_url: &cx.server.public_url,
            hosted_only: kind::reads_hosted_only(&cx.headers),
            reads_only: cx.caller()?.scope == Scope::Read,
        })
    }

    /// What they are answered of a source.
    pub fn show(&self, source: &Source) -> SourceOut {
        let kind = Kind::of(&source.kind);
        let (mut open, secrets) = kind
            .map(|kind| config::shown(kind, &source.settings))
            .unwrap_or_default();
        if self.hosted_only && source.kind == CRON {
            // They do not read a schedule without a payload.
            open.entry("payload".to_owned()).or_insert_with(ValueOut::nothing);
        }
        let shown = match (kind, self.hosted_only) {
            (kind, true) => kind.and_then(Kind::hosted).unwrap_or(GENERIC),
            (Some(kind), false) => kind.shown(),
            (None, false) => &source.kind,
        };
        // Published clients take no config with this type.
        let bare = shown == GENERIC && (self.hosted_only || open.is_empty());
        let hidden = self.reads_only && kind.is_some_and(|kind| kind.is_open(&source.settings));
        SourceOut {
            id: source.id,
            uid: source.uid.clone(),
            name: source.name.clone(),
            kind: shown.to_owned(),
            config: (!bare).then_some(open),
            secrets,
            ingest_url: url_of(self.public_url, source).filter(|_| !hidden),
            metadata: source.metadata.clone(),
            app_id: source.app,
            rules: source.rules.clone(),
            managed: source.managed,
            provider: kind.and_then(ProviderOut::of),
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }
}

impl ProviderOut {
    fn of(kind: Kind) -> Option<Self> {
        let Kind::Provider(provider) = kind else { return None };
        Some(Self {
            name: provider.name,
            title: provider.title,
            about: provider.about,
            covers: provider.covers.to_string(),
            handshakes: provider.handshakes(),
        })
    }
}

/// Where a source's requests are sent; `None` for one that no request reaches.
pub fn url_of(public_url: &str, source: &Source) -> Option<String> {
    let called = matches!(Kind::of(&source.kind), Some(Kind::Provider(_)));
    called.then(|| format!("{}/in/{}", public_url.trim_end_matches('/'), source.token))
}
