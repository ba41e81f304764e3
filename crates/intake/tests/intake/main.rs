//! The way in, over its routes, on the store in memory and on the embedded one.

mod background;
mod certificates;
mod handshakes;
mod once;
mod refused;
mod world;
