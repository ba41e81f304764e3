//! What the suite in `tests/suite` starts from: the published client, a bare HTTP call for what that client cannot
//! send, receivers on loopback, and an application nobody else on the server uses.
//!
//! `BELLWIRE_URL` and `BELLWIRE_TOKEN` (an admin token) name a running server started with `--dev`.
//! A failed expectation panics: everything here serves tests only.

mod bare;
mod receiver;
mod wait;
mod world;

pub use bare::bare;
pub use receiver::{Received, Receiver};
pub use wait::{eventually, finished, refused};
pub use world::{World, client, client_with, hour_ago, hour_ahead, unique_name};
