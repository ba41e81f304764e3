//! The runner of background tasks, and the clean-up of what is past its time.
//!
//! `bellwire` starts [`Tasks::run`] and [`keep`] beside the server; `api` only writes a task down and wakes the runner. A task
//! is worked on in chunks, several tasks in turn, and its progress is stored after each chunk, so that people can watch it,
//! cancel it, and a restart goes on where it was. What a chunk does is decided by pure functions; the loops are thin.
//!
//! Deliberately absent: attempts. A replay makes deliveries due and is done; from then on they are deliveries like any other.
//! A crash between a chunk and its progress repeats that chunk, which can start a delivery a second time.

mod erase;
mod replay;
mod retention;
mod runner;
mod step;

pub use retention::{Retention, keep};
pub use runner::Tasks;
