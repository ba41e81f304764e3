//! One clock for publisher and receiver: microseconds since the bench began.
//!
//! Both ends live in one process, so a monotonic origin is enough and no wall clock is read.

use std::time::Instant;

/// Microseconds since [`Clock::start`]. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose zero is now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Microseconds as seconds.
pub(crate) fn us_to_seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
