//! Environments, applications and tokens: who may do what to which tenant's things.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{AppId, EnvironmentId, TokenId},
    time::Timestamp,
    token::Scope,
};

/// The isolation above all others. A token belongs to one; nothing crosses from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// A name for people, unique on the server.
    pub name: String,
    /// Payloads that do not fit their event type's JSON Schema are refused (422) at publishing.
    #[serde(default)]
    pub validate_payloads: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What an application is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppKind {
    /// A customer of the environment's owner: listed by the API.
    #[default]
    Tenant,
    /// Carries the environment's operational events to its owner's endpoints: one per environment, never listed.
    Operational,
    /// Holds what a source brings in and what is done with it ([`crate::source`]): one per source, never listed.
    Source,
}

/// An application: a tenant inside an environment that owns endpoints, sources and messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// The environment it belongs to.
    pub environment: EnvironmentId,
    /// The owner's own name for it, unique in the environment.
    pub uid: Option<String>,
    /// A name for people.
    pub name: String,
    /// Messages per second that may be sent to all its endpoints together; `None` is unlimited.
    pub throttle_rate: Option<u16>,
    /// Messages per second that may be published to it; `None` is the server's `publish_app_rate`.
    #[serde(default)]
    pub publish_rate: Option<u32>,
    /// The owner's notes.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// What it is for.
    #[serde(default)]
    pub kind: AppKind,
    /// Overrides the environment's `validate_payloads`.
    #[serde(default)]
    pub validate_payloads: Option<bool>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An API token as it is kept: never the secret, only its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id, a part of the token's text.
    pub id: TokenId,
    /// The environment it opens.
    pub environment: EnvironmentId,
    /// What it may do there.
    pub scope: Scope,
    /// The only application it may touch; always set when the scope is `app`.
    pub app: Option<AppId>,
    /// A name for people.
    pub name: String,
    /// SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// Refused from then on.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
