//! What is done with a delivery: the signed POST ([`http`]), and what carries out each kind of [`bellwire_action::KINDS`].
//!
//! [`Actions`] looks at the endpoint's kind and hands the order on. A kind is one file (or folder) here: an [`Executor`], made
//! once from an endpoint's settings and kept until they change, and one row in [`EXECUTORS`]. What an executor does it is told
//! by the kind's plan, which `bellwire_action` makes.
//!
//! [`Executor`]: executor::Executor

mod chat;
mod client;
mod dispatch;
mod email;
mod executor;
mod file;
mod forward;
pub mod http;
mod pool;
mod publish;
mod request;
mod run;
mod sql;

pub use self::dispatch::{ActionParts, Actions, PayloadCheck};
use self::executor::Make;

/// What makes the executor of each kind, by its name. A row of [`bellwire_action::KINDS`] has one here.
const EXECUTORS: &[(&str, Make)] = &[
    ("http", request::make),
    ("forward", forward::make),
    ("chat", chat::make),
    ("run", run::make),
    ("file", file::make),
    ("publish", publish::make),
    ("email", email::make),
    ("sql", sql::make),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_executor_and_every_executor_a_kind() {
        let kinds: Vec<_> = bellwire_action::KINDS.iter().map(|kind| kind.name).collect();
        let executors: Vec<_> = EXECUTORS.iter().map(|(name, _)| *name).collect();
        assert_eq!(kinds, executors);
    }
}
