//! The kinds of action against real servers, real processes and real files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chat;
mod file;
mod forward;
mod house;
mod kinds;
mod publish;
mod receiver;
mod request;
mod run;
