//! How a receiver answers, as one word that connections read for each request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 at once; the arrival counts.
    Accept,
    /// This status at once (100–999); the arrival does not count, unless it is a success.
    Status(u16),
    /// No answer until the behaviour changes, then as the new one says.
    Hang,
    /// The port refuses connections and open ones are closed. For a single lane, where the port is shared: the connection is closed without
    /// an answer.
    Refuse,
    /// 200 after this many milliseconds (at most 2^24); the arrival counts then, if the sender is still there.
    Slow(u32),
    /// This many of a hundred requests are answered 500, at random; the others 200.
    Flaky(u8),
    /// 200 at once, and then a byte of body each second, for ever. The arrival does not count: the sender never has the whole answer.
    Drip,
}

const VALUE_BITS: u32 = 24;
const VALUE_MAX: u32 = (1 << VALUE_BITS) - 1;

impl Behaviour {
    fn code(self) -> u32 {
        let (kind, value) = match self {
            Behaviour::Accept => (0, 0),
            Behaviour::Status(status) => (1, u32::from(status)),
            Behaviour::Hang => (2, 0),
            Behaviour::Refuse => (3, 0),
            Behaviour::Slow(ms) => (4, ms.min(VALUE_MAX)),
            Behaviour::Flaky(percent) => (5, u32::from(percent)),
            Behaviour::Drip => (6, 0),
        };
        (kind << VALUE_BITS) | value
    }

    fn of(code: u32) -> Self {
        let value = code & VALUE_MAX;
        match code >> VALUE_BITS {
            1 => Behaviour::Status(value as u16),
            2 => Behaviour::Hang,
            3 => Behaviour::Refuse,
            4 => Behaviour::Slow(value),
            5 => Behaviour::Flaky(value as u8),
            6 => Behaviour::Drip,
            _ => Behaviour::Accept,
        }
    }
}

/// A behaviour that can be changed while connections read it.
pub(super) struct Switch(AtomicU32);

impl Switch {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self(AtomicU32::new(behaviour.code()))
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        self.0.store(behaviour.code(), Relaxed);
    }

    pub(super) fn get(&self) -> Behaviour {
        Behaviour::of(self.0.load(Relaxed))
    }
}

/// Throws that are random enough for failures and the same in every run.
#[derive(Default)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    /// True `percent` times in a hundred.
    pub(super) fn throw(&self, percent: u8) -> bool {
        // splitmix64 of a counter.
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % 100 < u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_gives_back_what_it_was_set_to() {
        let switch = Switch::new(Behaviour::Accept);
        for behaviour in [
            Behaviour::Accept,
            Behaviour::Status(503),
            Behaviour::Hang,
            Behaviour::Refuse,
            Behaviour::Slow(30_000),
            Behaviour::Flaky(20),
            Behaviour::Drip,
        ] {
            switch.set(behaviour);
            assert_eq!(switch.get(), behaviour);
        }
    }

    #[test]
    fn dice_fall_as_often_as_they_should() {
        let dice = Dice::default();
        let falls = (0..10_000).filter(|_| dice.throw(20)).count();
        assert!((1_800..2_200).contains(&falls), "{falls}");
        assert!(!(0..1_000).any(|_| dice.throw(0)) && (0..1_000).all(|_| dice.throw(100)));
    }
}
