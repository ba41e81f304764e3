//! The kinds of action an endpoint can have, one file (or folder) per kind and one row each.

pub mod http;

/// A kind of action: what an endpoint's `kind` may be.
#[derive(Debug, Clone, Copy)]
pub struct ActionKind {
    /// Its name in the API, the configuration and the dashboard.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// All kinds.
pub const ACTIONS: &[ActionKind] = &[ActionKind {
    name: "http",
    summary: "posts the message to a URL, signed (Standard Webhooks)",
}];
