//! The three hot verbs, and starting and cancelling by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bellwire_core::{
    attempt::{Attempt, Outcome},
    delivery::{DeliveryKey, DeliveryState, Progress, Work},
    id::{EndpointId, MessageId},
    message::{Message, NewMessage},
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
        if let Some(event_id) = &new.event_id
            && let Some(existing) = self.event_ids.get(&(new.app, event_id.clone()))
        {
            return Err(AppendError::EventIdTaken {
                event_id: event_id.clone(),
                existing: *existing,
            });
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
            let handed_over = self.attached && !route.stored && due_at <= now;
            let lease = handed_over.then(|| self.new_lease());
            let progress = Progress::default();
            self.deliveries.insert(
                (endpoint, id),
                Delivery {
                    state: DeliveryState::Pending,
                    progress,
                    due_at,
                    lease,
                },
            );
            routed.push(endpoint);
            match lease {
                Some(lease) => {
                    let message = Arc::clone(&message);
                    told.fresh.push(Work {
                        message,
                        endpoint,
                        lease,
                        progress,
                        due_at,
                        place: None,
                    });
                }
                None => told.stored.push(LaneHead { endpoint, due_at }),
            }
        }
        self.messages.insert(id, Kept { message, routed });
        Ok(Appended { id, repeated: false })
    }

    pub fn claim(&mut self, request: ClaimRequest) -> Claimed {
        let ClaimRequest { endpoint, now, limit } = request;
        let mut waiting: Vec<_> = self
            .deliveries
            .range(all_of(endpoint))
            .filter(|(_, delivery)| delivery.waits())
            .map(|((_, message), delivery)| (delivery.due_at, *message))
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
            let (Some(kept), Some(delivery)) = (self.messages.get(&id), self.deliveries.get_mut(&(endpoint, id)))
            else {
                self.deliveries.remove(&(endpoint, id));
                continue;
            };
            delivery.lease = Some(lease);
            let message = Arc::clone(&kept.message);
            work.push(Work {
                message,
                endpoint,
                lease,
                progress: delivery.progress,
                due_at,
                place: None,
            });
        }
        Claimed { work, next_due }
    }

    pub fn settle(&mut self, batch: Vec<Settlement>, now: Timestamp, told: &mut Told) -> Result<(), StoreError> {
        for settlement in batch {
            let DeliveryKey { message, endpoint } = settlement.key;
            let Some(delivery) = self.deliveries.get(&(endpoint, message)).copied() else {
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
                self.deliveries.insert(
                    (endpoint, message),
                    Delivery {
                        lease: None,
                        ..delivery
                    },
                );
                told.stored.push(LaneHead {
                    endpoint,
                    due_at: delivery.due_at,
                });
                continue;
            }
            let mut progress = delivery.progress;
            if settlement.outcome.is_some() {
                progress.tries = settlement.progress.tries.saturating_add(1);
            }
            let (state, due_at) = match settlement.verdict {
                Verdict::Succeeded => (DeliveryState::Succeeded, delivery.due_at),
                Verdict::Failed | Verdict::Blocked => (DeliveryState::Failed, delivery.due_at),
                Verdict::Cancelled => (DeliveryState::Cancelled, delivery.due_at),
                Verdict::RetryAt(at) | Verdict::Park(at) => (DeliveryState::Pending, at),
            };
            self.deliveries.insert(
                (endpoint, message),
                Delivery {
                    state,
                    progress,
                    due_at,
                    lease: None,
                },
            );
            if state == DeliveryState::Pending {
                told.stored.push(LaneHead { endpoint, due_at });
            }
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
        for ((endpoint, _), delivery) in self.deliveries.iter().filter(|(_, delivery)| delivery.waits()) {
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
            let old = self.deliveries.get(&(endpoint, message));
            let run = old.map_or(0, |old| old.progress.run + 1);
            // What is out stays out until its holder settles: nobody else attempts it meanwhile.
            let lease = old.and_then(|old| old.lease);
            let progress = Progress { run, tries: 0, trigger };
            let delivery = Delivery {
                state: DeliveryState::Pending,
                progress,
                due_at,
                lease,
            };
            self.deliveries.insert((endpoint, message), delivery);
            told.stored.push(LaneHead { endpoint, due_at });
            started += 1;
        }
        started
    }

    pub fn cancel(&mut self, endpoint: EndpointId, limit: usize) -> u64 {
        let waiting = self
            .deliveries
            .range_mut(all_of(endpoint))
            .filter(|(_, delivery)| delivery.waits());
        let mut cancelled = 0;
        for (_, delivery) in waiting.take(limit) {
            delivery.state = DeliveryState::Cancelled;
            cancelled += 1;
        }
        cancelled
    }
}
