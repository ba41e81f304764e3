//! What tests of the house share: a store in memory, clocks that are told the time, a receiver that follows a script, and
//! the suite that every storage backend passes.
//!
//! Used by tests only. It opens no files and no connections, starts no threads, and is deterministic: whatever is random
//! comes from a seed.

mod action;
pub mod clock;
pub mod conformance;
mod faults;
pub mod memory;

pub use action::{Begun, Ended, Reply, Script, ScriptedAction, Witness};
pub use clock::{ManualClock, SimClock};
pub use faults::{FaultPlan, Verb};
pub use memory::MemoryStore;
