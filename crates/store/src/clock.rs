//! Where "now" comes from: passed in, so that a simulation can pass in its own.

use bellwire_core::time::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Now. May go back when somebody sets the machine's clock; callers must bear that.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}
