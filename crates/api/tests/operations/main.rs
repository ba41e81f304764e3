//! What can be asked about deliveries, and what is administrated around them: each operation through the whole router, over
//! the store in memory.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod administration;
mod attempts;
mod bench;
mod lines;
mod looking;
mod replays;
mod statistics;
mod tail;
