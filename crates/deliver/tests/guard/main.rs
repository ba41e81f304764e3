//! The guard on real sockets: DNS that lies, addresses that must not be called, TLS and proxies.
//!
//! "Public" is 127.0.0.2 here, which the policy of the tests allows; 127.0.0.1 and ::1 stand for what is private, and
//! traps listen there. Only Linux answers on all of 127.0.0.0/8 without being set up for it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the servers of a test end with its runtime")]

mod dns;
mod names;
mod plain;
mod proxies;
mod refused;
mod service;
mod support;
mod tls;
