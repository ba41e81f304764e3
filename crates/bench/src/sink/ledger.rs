//! Who was acknowledged and what arrived: the account that finds lost and repeated messages.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const CHUNK_SEQS: u64 = 16_384;
const CHUNKS_MAX: u64 = 65_536;

/// Where messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Each to every lane.
    ToEvery,
    /// Each to one. The numbers go round `slots` in turn, and slot `n` belongs to lane `n % lanes`.
    ToOne {
        /// How many slots there are: a multiple of the lanes, or one for each ordering key.
        slots: usize,
    },
}

/// For each message (by sequence number): was it acknowledged, and how often did it arrive where it goes. One byte each, allocated as the
/// numbers grow; up to 2^30 messages. Everything is counted with relaxed atomics: readers wait until traffic has settled.
pub struct Ledger {
    lanes: usize,
    routing: Routing,
    /// Numbers given to each slot, when publishers own slots.
    turns: Box<[AtomicU64]>,
    next: AtomicU64,
    acknowledged: AtomicU64,
    arrived: AtomicU64,
    chunks: Box<[OnceLock<Box<[AtomicU8]>>]>,
}

/// What the ledger says about a range of messages. One message to F lanes makes F deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages that the server acknowledged.
    pub acknowledged: u64,
    /// Deliveries of acknowledged messages that arrived at least once.
    pub arrived: u64,
    /// Deliveries of acknowledged messages that have not arrived.
    pub missing: u64,
    /// Arrivals beyond the first, of one message at one lane.
    pub duplicates: u64,
    /// Deliveries that arrived although no acknowledgement was seen (the answer was lost): allowed, shown for completeness.
    pub unacknowledged: u64,
}

impl Ledger {
    pub(super) fn new(lanes: usize, routing: Routing) -> Self {
        let chunks = (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect();
        let slots = match routing {
            Routing::ToEvery => 0,
            Routing::ToOne { slots } => slots,
        };
        Self {
            lanes,
            routing,
            turns: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            chunks,
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The slot of a message that arrived at `lane`; `None` when it does not belong there.
    #[must_use]
    pub fn slot_of(&self, seq: u64, lane: usize) -> Option<usize> {
        match self.routing {
            Routing::ToEvery => (lane < self.lanes).then_some(0),
            Routing::ToOne { slots } => {
                let slot = usize::try_from(seq % slots.max(1) as u64).ok()?;
                (slot % self.lanes == lane).then_some(slot)
            }
        }
    }

    /// The number for a new message of a slot that only the caller publishes to. Unused numbers of other slots lie between.
    pub fn next_seq_of(&self, slot: usize) -> u64 {
        let Some(turn) = self.turns.get(slot) else {
            return self.next_seq();
        };
        let seq = turn.fetch_add(1, Relaxed) * self.turns.len() as u64 + slot as u64;
        self.next.fetch_max(seq + 1, Relaxed);
        seq
    }

    /// Lets every slot go on above all numbers given so far, so that a range of numbers is a stretch of time.
    pub fn align(&self) {
        let next = self.seq_end().div_ceil(self.turns.len().max(1) as u64);
        self.turns.iter().for_each(|turn| turn.store(next, Relaxed));
        self.next.store(next * self.turns.len() as u64, Relaxed);
    }

    /// The number for a new message; numbers are given once and without gaps.
    pub fn next_seq(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// The number that [`Ledger::next_seq`] would give now.
    #[must_use]
    pub fn seq_end(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Notes that the server promised to deliver `seq`.
    pub fn acknowledge(&self, seq: u64) {
        if let Some(cell) = self.row(seq).and_then(|row| row.first()) {
            cell.store(1, Relaxed);
            self.acknowledged.fetch_add(1, Relaxed);
        }
    }

    /// Notes an arrival of `seq` at `lane`; false when it was there before or is unknown.
    pub fn arrive(&self, seq: u64, lane: usize) -> bool {
        let column = match self.routing {
            Routing::ToEvery => lane + 1,
            Routing::ToOne { .. } => 1,
        };
        let Some(cell) = self.row(seq).and_then(|row| row.get(column)) else {
            return false;
        };
        match cell.fetch_add(1, Relaxed) {
            0 => {
                self.arrived.fetch_add(1, Relaxed);
                true
            }
            u8::MAX => {
                cell.store(u8::MAX, Relaxed);
                false
            }
            _ => false,
        }
    }

    /// Messages acknowledged since the beginning.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// First arrivals since the beginning, over all lanes.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Relaxed)
    }

    /// Adds up the messages of `seqs`.
    #[must_use]
    pub fn account(&self, seqs: std::ops::Range<u64>) -> Account {
        let mut account = Account::default();
        for seq in seqs {
            let Some((acknowledged, arrivals)) = self.row(seq).and_then(|row| row.split_first()) else {
                continue;
            };
            let acknowledged = acknowledged.load(Relaxed) == 1;
            account.acknowledged += u64::from(acknowledged);
            for cell in arrivals {
                let times = u64::from(cell.load(Relaxed));
                account.duplicates += times.saturating_sub(1);
                match (acknowledged, times) {
                    (true, 0) => account.missing += 1,
                    (true, _) => account.arrived += 1,
                    (false, 0) => {}
                    (false, _) => account.unacknowledged += 1,
                }
            }
        }
        account
    }

    fn row(&self, seq: u64) -> Option<&[AtomicU8]> {
        let width = match self.routing {
            Routing::ToEvery => self.lanes + 1,
            Routing::ToOne { .. } => 2,
        };
        let chunk = self.chunks.get(usize::try_from(seq / CHUNK_SEQS).ok()?)?;
        let cells = chunk.get_or_init(|| {
            (0..CHUNK_SEQS as usize * width)
                .map(|_| AtomicU8::new(0))
                .collect::<Box<[_]>>()
        });
        let start = (seq % CHUNK_SEQS) as usize * width;
        cells.get(start..start + width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_tells_missing_from_repeated_and_unacknowledged() {
        let ledger = Ledger::new(2, Routing::ToEvery);
        for _ in 0..4 {
            ledger.next_seq();
        }
        ledger.acknowledge(0); // arrives at both lanes, at one of them three times
        ledger.acknowledge(1); // arrives at one lane only
        ledger.acknowledge(2); // never arrives
        for (seq, lane) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (3, 0)] {
            ledger.arrive(seq, lane);
        }
        let account = ledger.account(0..ledger.seq_end());
        let expected = Account {
            acknowledged: 3,
            arrived: 3,
            missing: 3,
            duplicates: 2,
            unacknowledged: 1,
        };
        assert_eq!(account, expected);
        assert_eq!((ledger.acknowledged(), ledger.arrived()), (3, 4));
    }

    #[test]
    fn only_the_first_arrival_is_new_and_repeats_saturate() {
        let ledger = Ledger::new(1, Routing::ToEvery);
        assert!(ledger.arrive(20_000, 0));
        for _ in 0..1_000 {
            assert!(!ledger.arrive(20_000, 0));
        }
        assert_eq!(ledger.account(20_000..20_001).duplicates, 254);
    }

    #[test]
    fn what_nobody_published_is_ignored() {
        let ledger = Ledger::new(1, Routing::ToEvery);
        assert!(!ledger.arrive(u64::MAX, 0));
        assert!(!ledger.arrive(0, 7));
        assert_eq!(ledger.arrived(), 0);
    }

    #[test]
    fn a_message_to_one_lane_is_one_delivery_and_belongs_there_only() {
        let ledger = Ledger::new(2, Routing::ToOne { slots: 4 });
        let seqs: Vec<u64> = (0..4).map(|_| ledger.next_seq()).collect();
        seqs.iter().for_each(|seq| ledger.acknowledge(*seq));
        assert_eq!(
            (ledger.slot_of(2, 0), ledger.slot_of(3, 1), ledger.slot_of(3, 0)),
            (Some(2), Some(3), None)
        );
        assert!(ledger.arrive(2, 0) && ledger.arrive(3, 1) && !ledger.arrive(3, 1));
        let account = ledger.account(0..4);
        assert_eq!((account.arrived, account.missing, account.duplicates), (2, 2, 1));
    }

    #[test]
    fn slots_number_their_own_messages_and_stretches_of_time_do_not_overlap() {
        let ledger = Ledger::new(1, Routing::ToOne { slots: 3 });
        assert_eq!([0, 0, 2, 0].map(|slot| ledger.next_seq_of(slot)), [0, 3, 2, 6]);
        assert_eq!(ledger.seq_end(), 7);
        ledger.align();
        assert_eq!(
            (ledger.seq_end(), ledger.next_seq_of(1), ledger.next_seq_of(1)),
            (9, 10, 13)
        );
    }
}
