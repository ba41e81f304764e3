//! What an endpoint can do with a message: the kinds of action, their settings, and what exactly one of them would do.
//!
//! Each kind is a file and a row in [`kinds`]. A file reads the kind's settings (JSON, with templates in them), compiles them
//! once, and makes a *plan* for one message: the request, the letter, the statement, the command, with everything filled in.
//! Plans are carried out by the deliverer, shown by `bellwire hooks test`, and compared by tests: making one has no effects.
//!
//! Pure: no I/O, no clock, no randomness, no async. It does not know deliveries, retries or the store.

pub mod chat;
pub mod email;
mod event;
pub mod file;
pub mod forward;
pub mod http;
pub mod kinds;
mod problem;
pub mod publish;
pub mod run;
mod server;
pub mod settings;
pub mod sql;
#[cfg(test)]
mod tests;
pub mod text;
mod words;

pub use self::event::Event;
pub use self::kinds::{Called, Callee, Compiled, KINDS, Kind, Reach, by_name};
pub use self::problem::{PlanError, Problem};
pub use self::server::is_loopback;
