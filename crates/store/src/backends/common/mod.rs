//! What backends share: decisions about rows, days, leases and pages that no database has a part in.
//!
//! Deliberately absent: SQL. A backend brings its own.

pub(crate) mod acknowledge;
pub(crate) mod backlog;
pub(crate) mod columns;
pub(crate) mod days;
pub(crate) mod effects;
pub(crate) mod fit;
pub(crate) mod fresh;
pub(crate) mod lease;
pub(crate) mod paging;
pub(crate) mod proof;
pub(crate) mod shared;
pub(crate) mod verdict;
