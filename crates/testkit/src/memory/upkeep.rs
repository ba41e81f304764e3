//! Forgetting, and proving that what is left adds up.

use std::{collections::BTreeSet, sync::Arc};

use bellwire_core::{
    delivery::DeliveryState,
    id::{AppId, Id as _, MessageId},
    time::Timestamp,
};
use bellwire_store::query::{CheckReport, Cutoffs, Retained, StoreHealth};

use super::{Told, lists::counts_of, state::State};

impl State {
    pub fn retain(&mut self, cutoffs: Cutoffs, now: Timestamp, told: &mut Told) -> Retained {
        let mut days = BTreeSet::new();
        let old: Vec<(MessageId, i64)> = self
            .messages
            .values()
            .filter(|kept| kept.message.created_at < cutoffs.messages)
            .map(|kept| (kept.message.id, kept.message.created_at.day()))
            .collect();
        for (id, day) in old {
            self.remove_message(id, now, told);
            days.insert(day);
        }
        self.forget_unused_streams(cutoffs.messages);
        self.attempts.retain(|_, attempt| attempt.at >= cutoffs.attempts);
        let kept_from = now.minus(bellwire_store::audit::KEPT);
        self.audit.retain(|id, _| id.created_at() >= kept_from);
        for kept in self.messages.values_mut() {
            if kept.message.payload.is_some() && kept.message.payload_expires_at < cutoffs.payloads {
                Arc::make_mut(&mut kept.message).payload = None;
            }
        }
        Retained {
            partitions: days.len() as u64,
            more: false,
        }
    }

    pub fn erase_app(&mut self, app: AppId, limit: usize, now: Timestamp, told: &mut Told) -> u64 {
        let held = self.erase_streams(app, limit);
        let of_app = self
            .messages
            .values()
            .filter(|kept| kept.message.app == app)
            .map(|kept| kept.message.id);
        let erased: Vec<_> = of_app.take(limit - held).collect();
        for id in &erased {
            self.remove_message(*id, now, told);
        }
        (held + erased.len()) as u64
    }

    pub fn check(&self) -> CheckReport {
        let mut problems = Vec::new();
        for (id, kept) in &self.messages {
            for endpoint in &kept.routed {
                if !self.deliveries.contains_key(&(*endpoint, *id)) {
                    problems.push(format!("message {id} has no delivery to {endpoint}"));
                }
            }
        }
        for ((endpoint, id), delivery) in &self.deliveries {
            if !self.messages.contains_key(id) {
                problems.push(format!("the delivery of {id} to {endpoint} has no message"));
            }
            if delivery.lease.is_some() && delivery.state != DeliveryState::Pending {
                problems.push(format!(
                    "the delivery of {id} to {endpoint} is leased and {:?}",
                    delivery.state
                ));
            }
        }
        self.check_lines(&mut problems);
        self.check_streams(&mut problems);
        for attempt in self.attempts.values() {
            if !self.deliveries.contains_key(&(attempt.endpoint, attempt.message)) {
                problems.push(format!("attempt {} belongs to no delivery", attempt.id));
            }
        }
        let counts = counts_of(self.deliveries.values().map(|delivery| delivery.state));
        let deliveries = self.deliveries.len() as u64;
        if counts.succeeded + counts.pending + counts.failed + counts.cancelled != deliveries {
            problems.push(format!("{deliveries} deliveries stand as {counts:?}"));
        }
        CheckReport {
            messages: self.messages.len() as u64,
            deliveries,
            counts,
            held: self.streams.values().map(|kept| kept.held.len() as u64).sum(),
            problems,
        }
    }

    pub fn health(&self) -> StoreHealth {
        let waiting = || self.deliveries.iter().filter(|(_, delivery)| delivery.waits());
        StoreHealth {
            unwritable: self.closed.then(|| "it is closed".to_owned()),
            waiting: self
                .deliveries
                .values()
                .filter(|delivery| delivery.has_a_place())
                .count() as u64,
            oldest_due: waiting()
                .filter(|((endpoint, id), _)| self.may_run(*endpoint, *id))
                .map(|(_, delivery)| delivery.due_at)
                .min(),
            ..StoreHealth::default()
        }
    }
}
