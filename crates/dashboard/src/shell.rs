//! What all pages share while the server runs, and the two sides of the house.

use std::sync::Arc;

use axum::Router;
use bellwire_core::{seal::Keyring, time::Timestamp};

use crate::{InForce, Now, PORTAL, Parts, asset::Assets, brand::Brand, session::limit::Limiter};

/// Which side a page is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The dashboard of whoever runs the server.
    Operator,
    /// The portal of one application.
    Portal,
}

impl Kind {
    /// What the paths of this side begin with.
    pub const fn base(self) -> &'static str {
        match self {
            Self::Operator => "",
            Self::Portal => PORTAL,
        }
    }

    /// The name of its cookie, without a prefix: one browser may be signed in on both sides.
    pub const fn cookie(self) -> &'static str {
        match self {
            Self::Operator => "bellwire",
            Self::Portal => "bellwire-portal",
        }
    }
}

/// What lives as long as the router.
pub(crate) struct Shell {
    pub api: Router,
    pub keyring: Keyring,
    pub now: Now,
    pub public_url: String,
    pub brand: Brand,
    pub frame_origins: Vec<String>,
    pub settings: Vec<InForce>,
    pub assets: Assets,
    pub limiter: Limiter,
}

impl Shell {
    pub fn new(parts: Parts) -> Self {
        Self {
            assets: Assets::new(&parts.brand),
            api: parts.api,
            keyring: parts.keyring,
            now: parts.now,
            public_url: parts.public_url,
            brand: parts.brand,
            frame_origins: parts.frame_origins,
            settings: parts.settings,
            limiter: Limiter::default(),
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Whether people reach the server by https only.
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// One side, as its handlers get it.
#[derive(Clone)]
pub(crate) struct Side {
    pub shell: Arc<Shell>,
    pub kind: Kind,
}
