//! Types and decisions of Bellwire.
//!
//! Everything here is pure: no async, no I/O, no clock, no randomness; time and entropy are passed in. Every other room of
//! the house depends on this one, and this one on none of them.

pub mod address;
pub mod alert;
pub mod app;
pub mod attempt;
pub mod batch;
pub mod breaker;
pub mod cloudevent;
pub mod decide;
pub mod delivery;
pub mod endpoint;
pub mod event_type;
pub mod headers;
pub mod hops;
pub mod id;
pub mod limit;
pub mod message;
pub mod name;
pub mod order;
pub mod quota;
pub mod rate;
pub mod retry;
pub mod route;
pub mod seal;
pub mod secret;
pub mod sequence;
pub mod sign;
pub mod source;
pub mod task;
pub mod throttle;
pub mod time;
pub mod token;
