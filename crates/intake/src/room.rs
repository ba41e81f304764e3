//! How much is taken on at once: requests under way, bytes of their bodies, deliveries that wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bellwire_store::Directory;

/// Bounds of what is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Requests under way at once, from when their body is there.
    pub in_flight_max: usize,
    /// Bytes of bodies in memory at once.
    pub bodies_bytes_max: usize,
    /// While so many deliveries wait in the store, nothing is taken.
    pub high_water: u64,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            in_flight_max: 1_024,
            bodies_bytes_max: 256 << 20,
            high_water: 10_000_000,
        }
    }
}

/// There is no room: why, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub why: &'static str,
    pub again: Duration,
}

/// To a busy server soon, to a full store when something has gone out of it.
const BUSY: Duration = Duration::from_secs(1);
const FULL: Duration = Duration::from_secs(10);

/// What is under way, counted.
#[derive(Debug)]
pub(crate) struct Room {
    pub limits: IntakeLimits,
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// Something that is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    room: Arc<Room>,
    requests: usize,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.room.requests.fetch_sub(self.requests, Ordering::Relaxed);
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Room {
    pub fn new(limits: IntakeLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        })
    }

    /// The count of a request whose body is about to be read; nothing is counted yet.
    pub fn enter(self: &Arc<Self>, directory: &Directory) -> Result<Counted, Full> {
        if directory.waiting() >= self.limits.high_water {
            return Err(Full {
                why: "as many deliveries are waiting as the server takes on",
                again: FULL,
            });
        }
        if self.requests.load(Ordering::Relaxed) >= self.limits.in_flight_max {
            return Err(Self::busy());
        }
        Ok(Counted {
            room: Arc::clone(self),
            requests: 0,
            bytes: 0,
        })
    }

    fn busy() -> Full {
        Full {
            why: "as many requests are under way as the server takes on at once",
            again: BUSY,
        }
    }
}

impl Counted {
    /// So many more bytes of its body have arrived.
    pub fn bytes(&mut self, bytes: usize) -> Result<(), Full> {
        let most = self.room.limits.bodies_bytes_max;
        let counted = &self.room.bytes;
        let taken = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|sum| *sum <= most)
        });
        if taken.is_err() {
            return Err(Full {
                why: "the bodies of the requests under way take all the memory they may have",
                again: BUSY,
            });
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Its body is there: it takes a place.
    pub fn begin(&mut self) -> Result<(), Full> {
        if self.room.requests.fetch_add(1, Ordering::Relaxed) >= self.room.limits.in_flight_max {
            self.room.requests.fetch_sub(1, Ordering::Relaxed);
            return Err(Room::busy());
        }
        self.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_are_counted_while_they_are_held() {
        let room = Room::new(IntakeLimits {
            in_flight_max: 1,
            bodies_bytes_max: 10,
            ..IntakeLimits::default()
        });
        let new = || Counted {
            room: Arc::clone(&room),
            requests: 0,
            bytes: 0,
        };
        let (mut one, mut other) = (new(), new());
        one.bytes(6).unwrap();
        assert_eq!(other.bytes(5).unwrap_err().again, BUSY);
        one.begin().unwrap();
        assert!(other.begin().is_err());
        drop(one);
        other.bytes(10).unwrap();
        other.begin().unwrap();
        drop(other);
        assert_eq!(
            (
                room.requests.load(Ordering::Relaxed),
                room.bytes.load(Ordering::Relaxed)
            ),
            (0, 0)
        );
    }
}
