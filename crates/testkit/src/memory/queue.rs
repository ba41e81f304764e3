//! The three hot verbs, and starting and cancelling by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    attempt::{Attempt, Outcome},
    delivery::{DeliveryKey, DeliveryState, Progress, Work},
    id::{AppId, EndpointId, MessageId},
    message::{Message, NewMessage},
    order::Left,
    time::Timestamp,
};
use bellwire_store::{
    AppendError, Appended, ClaimRequest, Claimed, LaneHead, Settlement, StoreError, Verdict, query::Requeue,
};

use super::{
    Told,
    state::{Delivery, Kept, KeyUse, State, all_of},
};

/// How long an idempotency key is remembered.
const KEY_KEPT: Duration = Duration::from_secs(12 * 3_600);

impl State {
    pub fn append(&mut self, new: NewMessage, now: Timestamp, told: &mut Told) -> Result<Appended, AppendError> {
        self.keys.retain(|_, earlier| now.since(earlier.at) < KEY_KEPT);
        if let Some(key) = new.idempotency
            && let Some(first) = self.keys.get(&key.key)
        {
            if first.key.body != key.body {
                return Err(AppendError::IdempotencyMismatch);
            }
            return Ok(Appended {
                id: first.message,
                repeated: true,
            });
        }
        if let Some(event_id) = &new.event_id {
            self.refuse_taken(new.app, event_id)?;
        }
        let id: MessageId = self.ids.next(now);
        let message = Arc::new(Message {
            id,
            app: new.app,
            event_type: new.event_type,
            event_id: new.event_id,
            channels: new.channels,
            tags: new.tags,
            ordering_key: new.ordering_key,
            payload: Some(new.payload),
            payload_expires_at: new.payload_expires_at,
            deliver_at: new.deliver_at,
            traceparent: new.traceparent,
            content_type: new.content_type,
            inbound: new.inbound,
            created_at: now,
        });
        if let Some(event_id) = &message.event_id {
            self.event_ids.insert((message.app, event_id.clone()), id);
        }
        if let Some(key) = new.idempotency {
            self.keys.insert(
                key.key,
                KeyUse {
                    key,
                    message: id,
                    at: now,
                },
            );
        }
        let due_at = message.deliver_at.unwrap_or(now).max(now);
        let mut routed = Vec::new();
        for route in new.routes {
            let endpoint = route.endpoint;
            let joined = route.line.map(|line| self.join_line(endpoint, &line, id));
            let has_turn = joined.as_ref().is_none_or(|(_, turn)| *turn);
            let handed_over = self.attached && !route.stored && due_at <= now && has_turn;
            let lease = handed_over.then(|| self.new_lease());
            let progress = Progress::default();
            let delivery = Delivery {
                state: DeliveryState::Pending,
                progress,
                due_at,
                lease,
                handed_over: handed_over && joined.is_none(),
                numbered: joined.map(|(numbered, _)| numbered),
            };
            self.put(endpoint, id, delivery);
            routed.push(endpoint);
            match lease {
                Some(lease) => told.fresh.push(Work {
                    message: Arc::clone(&message),
                    endpoint,
                    lease,
                    progress,
                    due_at,
                    place: self.place(endpoint, id),
                }),
                None if has_turn => told.stored.push(LaneHead { endpoint, due_at }),
                None => {}
            }
        }
        self.messages.insert(id, Kept { message, routed });
        Ok(Appended { id, repeated: false })
    }

    /// Refuses an event id that a message has already.
    pub fn refuse_taken(&self, app: AppId, event_id: &str) -> Result<(), AppendError> {
        match self.event_ids.get(&(app, event_id.to_owned())) {
            None => Ok(()),
            Some(existing) => Err(AppendError::EventIdTaken {
                event_id: event_id.to_owned(),
                existing: *existing,
                overtaken: false,
            }),
        }
    }

    pub fn claim(&mut self, request: ClaimRequest) -> Claimed {
        let ClaimRequest { endpoint, now, limit } = request;
        let mut waiting: Vec<_> = self
            .deliveries
            .range(all_of(endpoint))
            .filter(|((_, id), delivery)| delivery.waits() && self.may_run(endpoint, *id))
            .map(|((_, id), delivery)| (delivery.due_at, *id))
            .collect();
        waiting.sort_unstable();
        let taken = waiting
            .iter()
            .take_while(|(due_at, _)| *due_at <= now)
            .count()
            .min(limit);
        let next_due = waiting.get(taken).map(|(due_at, _)| *due_at);
        let mut work = Vec::with_capacity(taken);
        for (due_at, id) in waiting.into_iter().take(taken) {
            let lease = self.new_lease();
            let (Some(kept), Some(delivery)) = (self.messages.get(&id), self.deliveries.get(&(endpoint, id))) else {
                continue;
            };
            work.push(Work {
                message: Arc::clone(&kept.message),
                endpoint,
                lease,
                progress: delivery.progress,
                due_at,
                place: self.place(endpoint, id),
            });
            self.change(endpoint, id, |delivery| {
                delivery.lease = Some(lease);
                delivery.handed_over = false;
            });
        }
        Claimed { work, next_due }
    }

    pub fn settle(&mut self, batch: Vec<Settlement>, now: Timestamp, told: &mut Told) -> Result<(), StoreError> {
        for settlement in batch {
            let DeliveryKey { message, endpoint } = settlement.key;
            let Some(delivery) = self.deliveries.get(&(endpoint, message)).cloned() else {
                if self.orphans.get(&(endpoint, message)) == Some(&settlement.lease) {
                    self.orphans.remove(&(endpoint, message));
                    self.leave_line(endpoint, message, Left::GivenUp, now, told);
                }
                continue;
            };
            if let Some(outcome) = &settlement.outcome {
                self.record(&settlement, outcome);
            }
            if delivery.lease != Some(settlement.lease) {
                continue;
            }
            if delivery.progress.run != settlement.progress.run {
                // Started anew while it was out: the new run waited for the old one to end.
                let due_at = delivery.due_at;
                self.change(endpoint, message, |delivery| delivery.lease = None);
                told.stored.push(LaneHead { endpoint, due_at });
                continue;
            }
            self.end_hold(&settlement, now, told);
            if let Some(health) = settlement.health
                && self.endpoints.contains_key(&endpoint)
            {
                self.health.insert(endpoint, health);
            }
            for notice in settlement.notices {
                self.append(notice, now, told)
                    .map_err(|error| StoreError::Corrupt(format!("a notice: {error}")))?;
            }
        }
        Ok(())
    }

    /// What the verdict says about a delivery that is out in this run.
    fn end_hold(&mut self, settlement: &Settlement, now: Timestamp, told: &mut Told) {
        let DeliveryKey { message, endpoint } = settlement.key;
        let (state, due_at) = match settlement.verdict {
            Verdict::Succeeded => (DeliveryState::Succeeded, None),
            Verdict::Failed | Verdict::Blocked => (DeliveryState::Failed, None),
            Verdict::Cancelled => (DeliveryState::Cancelled, None),
            Verdict::RetryAt(at) | Verdict::Park(at) => (DeliveryState::Pending, Some(at)),
        };
        self.change(endpoint, message, |delivery| {
            delivery.state = state;
            delivery.lease = None;
            delivery.due_at = due_at.unwrap_or(delivery.due_at);
            if settlement.outcome.is_some() {
                delivery.progress.tries = settlement.progress.tries.saturating_add(1);
            }
        });
        let left = match settlement.verdict {
            Verdict::RetryAt(due_at) | Verdict::Park(due_at) => {
                told.stored.push(LaneHead { endpoint, due_at });
                return;
            }
            Verdict::Blocked => {
                if let Some(lines) = self.lines.get_mut(&endpoint) {
                    lines.block(message);
                }
                return;
            }
            Verdict::Succeeded => Left::Succeeded,
            Verdict::Failed | Verdict::Cancelled => Left::GivenUp,
        };
        self.leave_line(endpoint, message, left, now, told);
    }

    fn record(&mut self, settlement: &Settlement, outcome: &Outcome) {
        let number = settlement.progress.tries.saturating_add(1);
        if !self.recorded.insert((settlement.key, settlement.progress.run, number)) {
            return;
        }
        let id = settlement
            .attempt_id
            .unwrap_or_else(|| self.ids.next(outcome.started_at));
        let in_words = || {
            outcome
                .failure
                .as_ref()
                .map(|failure| failure.detail.clone().into())
                .unwrap_or_default()
        };
        self.attempts.insert(
            id,
            Attempt {
                id,
                app: settlement.app,
                message: settlement.key.message,
                endpoint: settlement.key.endpoint,
                trigger: settlement.progress.trigger,
                number,
                at: outcome.started_at,
                duration: outcome.duration,
                url: outcome.url.clone(),
                status_code: outcome.status_code,
                failure: outcome.failure.as_ref().map(|failure| failure.reason.to_owned()),
                response: if outcome.status_code == 0 {
                    in_words()
                } else {
                    outcome.response.clone()
                },
                response_headers: outcome.response_headers.clone(),
                signature: outcome.signature.clone(),
                last: !matches!(settlement.verdict, Verdict::RetryAt(_) | Verdict::Park(_)),
            },
        );
    }

    pub fn lanes(&self) -> Vec<LaneHead> {
        let mut heads = BTreeMap::<EndpointId, Timestamp>::new();
        let waiting = self.deliveries.iter().filter(|(_, delivery)| delivery.waits());
        for ((endpoint, _), delivery) in waiting.filter(|((endpoint, id), _)| self.may_run(*endpoint, *id)) {
            let due_at = heads.entry(*endpoint).or_insert(delivery.due_at);
            *due_at = delivery.due_at.min(*due_at);
        }
        heads
            .into_iter()
            .map(|(endpoint, due_at)| LaneHead { endpoint, due_at })
            .collect()
    }

    pub fn requeue(&mut self, batch: &[Requeue], told: &mut Told) -> u64 {
        let mut started = 0;
        for &Requeue {
            message,
            endpoint,
            due_at,
            trigger,
        } in batch
        {
            if !self.messages.contains_key(&message) {
                continue;
            }
            started += 1;
            if !self.may_run(endpoint, message) && !self.is_blocked(endpoint, message) {
                // It waits behind others, and goes on doing so.
                continue;
            }
            self.start_anew(endpoint, message, due_at, trigger);
            told.stored.push(LaneHead { endpoint, due_at });
        }
        started
    }
}
