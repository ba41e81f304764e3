//! The way in, over its routes, on the store in memory and on the embedded one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod background;
mod certificates;
mod handshakes;
mod once;
mod refused;
mod world;
