//! How often an address may try to sign in.
//!
//! Tokens cannot be guessed; this keeps somebody who tries all the same from taking the server's time. Counted per node.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::time::Timestamp;

/// Tries in one window.
const TRIES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond them all others share one.
const ADDRESSES: usize = 10_000;

/// Who tried how often.
#[derive(Default)]
pub(crate) struct Limiter(Mutex<HashMap<IpAddr, Tried>>);

struct Tried {
    since: Timestamp,
    times: u32,
}

impl Limiter {
    /// Counts a try; refused with how long to wait.
    ///
    /// # Errors
    /// The rest of the window, when there were too many tries in it.
    pub fn admit(&self, peer: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = network(peer);
        if !tried.contains_key(&key) && tried.len() >= ADDRESSES {
            tried.retain(|_, tried| now.since(tried.since) < WINDOW);
            if tried.len() >= ADDRESSES {
                key = network(None);
            }
        }
        let entry = tried.entry(key).or_insert(Tried { since: now, times: 0 });
        // A clock that was set back must not lock anybody out.
        if now.since(entry.since) >= WINDOW || now < entry.since {
            *entry = Tried { since: now, times: 0 };
        }
        if entry.times >= TRIES {
            return Err(WINDOW.saturating_sub(now.since(entry.since)));
        }
        entry.times += 1;
        Ok(())
    }
}

/// An IPv6 customer has a whole /64 of addresses.
fn network(peer: Option<IpAddr>) -> IpAddr {
    match peer.unwrap_or(IpAddr::from([0, 0, 0, 0])) {
        IpAddr::V6(address) => IpAddr::from((address.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    #[test]
    fn an_address_has_ten_tries_a_minute_and_others_are_not_held_up() {
        let limiter = Limiter::default();
        let (one, other) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..TRIES {
            limiter.admit(one, NOON).unwrap();
        }
        let later = NOON.plus(Duration::from_secs(20));
        assert_eq!(limiter.admit(one, later), Err(Duration::from_secs(40)));
        assert_eq!(limiter.admit(other, later), Ok(()));
        assert_eq!(limiter.admit(one, NOON.plus(WINDOW)), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let limiter = Limiter::default();
        let address = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        for last in 0..10 {
            limiter.admit(address(last), NOON).unwrap();
        }
        assert!(limiter.admit(address(99), NOON).is_err());
    }
}
