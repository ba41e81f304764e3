//! The listener's trust: whether a request really comes from the provider it claims to come from.
//!
//! [`providers`] is the table: a row says how one provider signs, answers the first question it asks a receiver, and where it
//! keeps event type, id and order. Most rows are data for one verifier ([`recipe`]); a scheme that is really its own has a file
//! in `own`. [`Verifier`] joins a row with a person's [`Settings`]; [`handshake`] answers the provider's questions;
//! [`sign()`] makes what the provider would send, for tests of hooks; [`cloudevents`] reads events out of a trusted request.
//!
//! `bellwire verify` and `bellwire sign` call this. Everything is pure: no I/O, no clock, no async; certificates and keys that
//! have to be fetched are asked for ([`Refused::fetch`]) and passed in. Deliberately absent: HTTP, the store, deduplication.

mod acknowledge;
pub mod cloudevents;
mod der;
pub mod doctor;
mod encoding;
mod explain;
mod facts;
mod handshake;
mod jwt;
mod key;
mod own;
mod place;
mod provider;
pub mod providers;
mod recipe;
mod refused;
mod request;
mod settings;
mod sign;
mod standard;
mod template;
mod verify;

pub use acknowledge::acknowledge;
pub use der::not_after;
pub use facts::{Order, Trusted};
pub use handshake::{ARMED, Answer, handshake, is_armed};
pub use provider::{Covers, Form, Provider, Setting};
pub use refused::{Reason, Refused};
pub use request::{Fetched, Request};
pub use settings::{Settings, SettingsError};
pub use sign::{SignError, Signed, Signing, sign};
pub use verify::{Verifier, explain, verify};
