//! The memory that waiting deliveries take: how much is in use, and how much a lane may have of what is left.

use bellwire_core::delivery::Work;

use super::Bounds;

/// What a lane keeps when memory is short.
const WINDOW_WHEN_SHORT: usize = 64;
/// What a lane keeps when memory is used up: nobody is starved by others.
const WINDOW_WHEN_FULL: usize = 8;

/// What is in memory and not begun.
#[derive(Debug, Default)]
pub(super) struct Memory {
    deliveries: usize,
    payload_bytes: usize,
}

impl Memory {
    /// Deliveries in memory.
    pub fn deliveries(&self) -> usize {
        self.deliveries
    }

    /// One of this size came in.
    pub fn enter(&mut self, payload_bytes: usize) {
        self.deliveries += 1;
        self.payload_bytes += payload_bytes;
    }

    /// These were begun, or went back.
    pub fn leave<'a>(&mut self, works: impl IntoIterator<Item = &'a Work>) {
        for work in works {
            self.deliveries -= 1;
            self.payload_bytes = self.payload_bytes.saturating_sub(payload_bytes(work));
        }
    }

    /// How many deliveries a lane may have in memory now.
    pub fn window(&self, bounds: &Bounds) -> usize {
        let used_up = |share: usize| {
            self.deliveries >= bounds.in_memory / share || self.payload_bytes >= bounds.payload_bytes / share
        };
        if used_up(1) {
            bounds.window.min(WINDOW_WHEN_FULL)
        } else if used_up(2) {
            bounds.window.min(WINDOW_WHEN_SHORT)
        } else {
            bounds.window
        }
    }
}

/// The size of a delivery.
pub(super) fn payload_bytes(work: &Work) -> usize {
    work.message.payload.as_ref().map_or(0, |payload| payload.len())
}
