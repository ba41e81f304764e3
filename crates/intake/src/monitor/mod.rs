//! The source kind `monitor`: watches others and says when they are down, up again, or about to lose their certificate.
//!
//! [`targets`] reads what is watched, [`probe`] is the way out (handed in: connections are the deliverer's), [`watch`] decides
//! what is worth a message, and [`Monitors`] keeps time. What was last said is found in the source's own messages, so a
//! restart neither repeats nor forgets that something is down.

pub mod probe;
mod run;
pub mod targets;
mod watch;

pub(crate) use self::run::Monitors;
pub use self::targets::{Target, read};

/// The kind's name.
pub const KIND: &str = "monitor";
/// The event types.
pub(crate) const DOWN: &str = "monitor.down";
pub(crate) const UP: &str = "monitor.up";
pub(crate) const EXPIRING: &str = "certificate.expiring";
