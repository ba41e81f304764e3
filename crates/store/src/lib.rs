//! The one seam between what Bellwire decides and where it is kept.
//!
//! [`Store`] is the contract, `backends` the table of what implements it (by URL scheme), [`Directory`] the in-memory view of
//! the configuration that routing and authorisation read. SQL lives below this crate's backends and nowhere else.

pub mod audit;
pub mod backends;
mod clock;
mod contract;
pub mod directory;
mod error;
pub mod feed;
pub mod held;
pub mod operational;
pub mod query;
pub mod record;
pub mod scan;
pub mod survey;
pub mod vault;

pub use clock::{Clock, SystemClock};
pub use contract::{
    Appended, Arrival, ArrivalPlace, Arrived, Change, ClaimRequest, Claimed, Freed, Handoff, LaneHead, Lead, Lease,
    News, Released, Settlement, Store, StoredAnswer, Verdict,
};
pub use directory::Directory;
pub use error::{AppendError, CopyError, OpenError, StoreError};
