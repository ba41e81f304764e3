//! The work that may be done for one message: what the engine's own fuel does not count, and what several runs do together.
//!
//! The fuel bounds one run. An action is made of many: each text of its settings is one. What they do is added up here, so
//! that a message costs as much at most, however many texts somebody wrote.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use minijinja::{ErrorKind, Value};

/// How many bytes may be fetched as long strings, or compared or printed as containers: what fuel does not count.
const BYTES_MAX: i64 = 16 * 1024 * 1024;

/// The fuel that all templates of one message may burn together. The last one may go over it by its own.
const FUEL_MAX: u64 = 200_000;

/// Strings from this length on are counted when they are fetched: finding a letter in one, for example, walks along it.
const LONG_BYTES: usize = 1_024;

/// What was done, and what still may be.
#[derive(Debug)]
pub(crate) struct Work {
    /// The bytes that are left.
    bytes: AtomicI64,
    /// The fuel that was burnt.
    fuel: AtomicU64,
}

impl Work {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicI64::new(BYTES_MAX),
            fuel: AtomicU64::new(0),
        })
    }

    /// An evaluation begins that is on its own account: that of one endpoint's filter, say.
    pub(crate) fn renew(&self) {
        self.bytes.store(BYTES_MAX, Ordering::Relaxed);
    }

    pub(crate) fn bytes_left(&self) -> i64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes back what was done since then.
    pub(crate) fn restore(&self, bytes: i64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether more was done on containers than may be; what came of it is worth nothing then.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.bytes_left() < 0
    }

    /// Adds fuel that templates burnt, and what is worth as much.
    pub(crate) fn burn(&self, fuel: u64) {
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
    }

    /// Whether the templates of the message did together what they may.
    pub(crate) fn is_burnt(&self) -> bool {
        self.fuel.load(Ordering::Relaxed) > FUEL_MAX
    }

    /// The value as an evaluation gets it.
    pub(crate) fn fetch(&self, value: &Value) -> Value {
        match value.as_str().map(str::len) {
            Some(long) if long >= LONG_BYTES && !self.spend(long) => {
                Value::from(minijinja::Error::from(ErrorKind::OutOfFuel))
            }
            _ => value.clone(),
        }
    }

    /// Counts bytes; answers whether there is room for them.
    pub(crate) fn spend(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = self.bytes_left();
        if left < 0 {
            return false;
        }
        self.bytes.store(left.saturating_sub(bytes), Ordering::Relaxed);
        left >= bytes
    }
}
