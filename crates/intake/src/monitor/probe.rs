//! The way out of monitors: one look at one target.

use std::time::Duration;

use async_trait::async_trait;
use bellwire_core::time::Timestamp;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A GET, without following redirects.
    Http {
        /// Where.
        url: String,
        /// Whether to read the answer's body: only when something must stand in it.
        body: bool,
    },
    /// A connection.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// A TLS handshake, for the certificate.
    Certificate {
        /// `host:port`.
        address: String,
    },
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probed {
    /// The answer's status code.
    pub status: Option<u16>,
    /// The beginning of the answer's body, where it was asked for.
    pub body: String,
    /// Until when the certificate is valid, where there was one.
    pub not_after: Option<Timestamp>,
    /// How long it took.
    pub latency: Duration,
    /// Why nothing was seen.
    pub failure: Option<String>,
}

/// Looks at targets.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// One look, within `timeout`. `trusted` targets, which the operator wrote, may be at private addresses.
    async fn look(&self, check: &Check, timeout: Duration, trusted: bool) -> Probed;
}
