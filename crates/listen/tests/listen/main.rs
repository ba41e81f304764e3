//! The table of providers, row by row: what a row signs it trusts, what has changed it refuses, and what it says then.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod documentation;
mod documented;
mod facts;
mod handshakes;
mod proofs;
mod rows;
mod support;
mod words;
