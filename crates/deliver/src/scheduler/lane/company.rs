//! How long a batch that is not full waits for company, and what it is made of.
//!
//! Only first attempts wait, at most the endpoint's `wait` from when their message was accepted (or was to be delivered). What was
//! attempted before, or started anew by hand, leaves at once, and so does what had to wait for its turn anyway: a line would move by
//! one message per `wait` otherwise. Whatever else is due goes along.

use std::{
    collections::{HashSet, VecDeque},
    hash::BuildHasherDefault,
};

use bellwire_core::{
    batch::{self, BatchSettings, Filling},
    delivery::Work,
    id::MessageId,
    time::Timestamp,
};

use super::{Lane, Queued};
use crate::scheduler::state::IdHasher;

/// When a delivery that came at `now` leaves, with whatever company it has by then.
fn leaves_at(work: &Work, batch: BatchSettings, now: Timestamp) -> Timestamp {
    let message = &work.message;
    let is_first = work.progress.tries == 0 && work.progress.run == 0;
    // Nothing joins behind a message that goes alone.
    if !is_first || batch::goes_alone(message) {
        return Timestamp::MIN;
    }
    let accepted_at = message
        .deliver_at
        .map_or(message.created_at, |at| at.max(message.created_at));
    // A clock that was set back does not make it wait for longer.
    accepted_at.min(now).plus(batch.wait.0)
}

impl Lane {
    /// One more waits in memory.
    pub fn enqueue(&mut self, queued: Queued, now: Timestamp) {
        if let Some(batch) = self.batch {
            let leaves_at = leaves_at(&queued.work, batch, now);
            self.company_ends = Some(self.company_ends.map_or(leaves_at, |at| at.min(leaves_at)));
        }
        self.queue.push_back(queued);
    }

    /// Something left the queue, or the settings changed. Looks only at what is less than a batch: more does not wait at all.
    pub fn company_changed(&mut self, now: Timestamp) {
        let is_less = |batch: &BatchSettings| self.queue.len() < usize::from(batch.messages_max.max(1));
        self.company_ends = self.batch.filter(is_less).and_then(|batch| {
            let waiting = self.queue.iter().map(|queued| leaves_at(&queued.work, batch, now));
            waiting.min()
        });
    }

    /// Until when a batch that is not full waits for company; `None` when it leaves now, or when there is nothing to leave.
    pub fn company_until(&self, now: Timestamp) -> Option<Timestamp> {
        let batch = self.batches()?;
        let full = self.queue.len() >= usize::from(batch.messages_max.max(1));
        let waits = !full && !self.hurries && !self.queue.is_empty();
        self.company_ends.filter(|at| waits && *at > now)
    }

    /// Takes what the next attempt is made of: one delivery, or up to `n_max` that go together, no two of the same message: one that
    /// was started anew by hand while its first run waits here stays in the queue.
    pub fn take(&mut self, n_max: usize, now: Timestamp) -> Option<(Work, Vec<Work>)> {
        let first = self.queue.pop_front()?.work;
        let mut others = Vec::new();
        if let Some(batch) = self.batches() {
            self.hurries = false;
            let mut inside: HashSet<MessageId, BuildHasherDefault<IdHasher>> = HashSet::default();
            inside.insert(first.message.id);
            let mut stays = VecDeque::new();
            let mut filling = Filling::default();
            filling.add(&first.message);
            while let Some(next) = self.queue.front()
                && filling.messages() < n_max
                && filling.fits(batch, &next.work.message)
            {
                let is_new = inside.insert(next.work.message.id);
                let Some(next) = self.queue.pop_front() else { break };
                if is_new {
                    filling.add(&next.work.message);
                    others.push(next.work);
                } else {
                    stays.push_back(next);
                }
            }
            while let Some(one) = stays.pop_back() {
                self.queue.push_front(one);
            }
        }
        self.company_changed(now);
        let n = 1 + others.len();
        self.out = self.out.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        self.gauge.set_in_flight(self.out);
        Some((first, others))
    }
}
