//! What the receiver remembers: how often each message came, and whether it was already taken.

use std::collections::{HashMap, VecDeque};

/// Messages remembered; the oldest is forgotten first. A receiver left running for days stays small.
const REMEMBERED: usize = 100_000;

/// The memory.
#[derive(Debug, Default)]
pub struct Seen {
    tries: HashMap<String, Tries>,
    order: VecDeque<String>,
}

/// What is known of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How often it came, this time included.
    pub number: u32,
    /// Whether it had been answered 2xx before: this one is a duplicate.
    pub duplicate: bool,
}

impl Seen {
    /// Counts a request for `key`, which names the message and the URL it came to.
    pub fn came(&mut self, key: &str) -> Tries {
        if let Some(tries) = self.tries.get_mut(key) {
            tries.number = tries.number.saturating_add(1);
            return *tries;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.tries.remove(&oldest);
        }
        let first = Tries {
            number: 1,
            duplicate: false,
        };
        self.order.push_back(key.to_owned());
        self.tries.insert(key.to_owned(), first);
        first
    }

    /// It is answered 2xx: whatever comes of it from now on is a duplicate.
    pub fn taken(&mut self, key: &str) {
        if let Some(tries) = self.tries.get_mut(key) {
            tries.duplicate = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_no_duplicate_but_what_comes_after_success_is() {
        let mut seen = Seen::default();
        assert_eq!(
            seen.came("a"),
            Tries {
                number: 1,
                duplicate: false
            }
        );
        assert_eq!(
            seen.came("a"),
            Tries {
                number: 2,
                duplicate: false
            }
        );
        seen.taken("a");
        assert_eq!(
            seen.came("a"),
            Tries {
                number: 3,
                duplicate: true
            }
        );
        assert_eq!(
            seen.came("b"),
            Tries {
                number: 1,
                duplicate: false
            }
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        (0..REMEMBERED + 5).for_each(|n| {
            seen.came(&n.to_string());
        });
        assert_eq!((seen.tries.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(seen.came("0").number, 1, "the oldest was forgotten");
    }
}
