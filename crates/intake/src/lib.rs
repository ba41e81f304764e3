//! The way in besides the API: what sources bring, from a request's bytes to durable messages.
//!
//! [`judge`] is the pure half: what a request to a source means. [`Intake`] is the acting half: the route `/in/{source}`
//! (`door`), which takes a body within bounds (`room`), judges it, makes its messages durable (`accept`) and only then
//! answers; and, in the background, the release of held messages, the list of refused requests, and the sources that bring
//! messages by themselves, [`cron`] and [`monitor`].
//!
//! Called by the binary, which hands in the store, the live feed and the ways out ([`Fetch`], [`Probe`]): connections are made
//! by the deliverer's guard and not here. It does not know actions: what comes of a message is the deliverer's.

mod accept;
mod answer;
mod body;
mod confirm;
pub mod cron;
mod decode;
mod door;
mod fetch;
mod intake;
pub mod judge;
mod metrics;
pub mod monitor;
mod peer;
mod refusals;
mod release;
mod room;
mod sources;
mod why;

pub use self::fetch::{Fetch, FetchError};
pub use self::intake::{Intake, IntakeLimits, IntakeParts};
pub use self::metrics::IntakeMetrics;
pub use self::monitor::probe::{Check, Probe, Probed};
pub use self::peer::{Peer, sender};
