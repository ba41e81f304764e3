//! Claimed work in, outcome out: the delivering half of Bellwire.
//!
//! [`scheduler`] decides what is attempted when, [`run`] attempts one delivery once, [`actions`] know how, and [`guard`] is
//! the only door through which anything leaves. It meets the API in the store and nowhere else.

pub mod action;
pub mod actions;
mod config;
pub mod guard;
pub mod metrics;
mod run;
pub mod scheduler;
mod settler;

pub use config::DeliverConfig;
pub use scheduler::{Scheduler, SchedulerParts};
