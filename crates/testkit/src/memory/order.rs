//! Lines: who has the turn, what a person does about them, and how they are shown.
//!
//! What a line is, is [`bellwire_core::order::Lines`]; this is what follows for deliveries.

use std::sync::Arc;

use bellwire_core::{
    delivery::{DeliveryKey, DeliveryState, Progress, Trigger},
    id::{EndpointId, MessageId},
    order::{Left, Line, Lines, Place, Tended},
    time::Timestamp,
};
use bellwire_store::{
    LaneHead,
    query::{Backlog, LineHead, LineQuery, LineRow, Rows, Tending},
};

use super::{
    Told,
    state::{Delivery, Numbered, State, all_of},
};

/// A delivery with a number, for comparison with what should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Which delivery.
    pub delivery: DeliveryKey,
    /// How it stands.
    pub state: DeliveryState,
    /// The key of its line.
    pub key: Arc<str>,
    /// Its number.
    pub sequence: u64,
    /// In which era it is in line; `None` once it has left.
    pub era: Option<u32>,
}

impl State {
    /// The next number of the line, and whether the delivery has the turn at once.
    pub fn join_line(&mut self, endpoint: EndpointId, line: &Line, id: MessageId) -> (Numbered, bool) {
        let (sequence, turn) = self.lines.entry(endpoint).or_default().join(line, id);
        let numbered = Numbered {
            key: Arc::clone(&line.key),
            sequence,
        };
        (numbered, turn)
    }

    /// It has ended, or is gone: who comes behind it may have the turn now.
    pub fn leave_line(&mut self, endpoint: EndpointId, id: MessageId, left: Left, now: Timestamp, told: &mut Told) {
        let turns = self.lines.get_mut(&endpoint).map(|lines| lines.leave(id, left));
        self.give_turns(endpoint, turns.unwrap_or_default(), now, told);
    }

    /// These are due at once, or when their message says.
    pub fn give_turns(&mut self, endpoint: EndpointId, turns: Vec<MessageId>, now: Timestamp, told: &mut Told) {
        for id in turns {
            let deliver_at = self.messages.get(&id).and_then(|kept| kept.message.deliver_at);
            let due_at = deliver_at.map_or(now, |at| at.max(now));
            self.change(endpoint, id, |delivery| delivery.due_at = due_at);
            told.stored.push(LaneHead { endpoint, due_at });
        }
    }

    pub fn is_in_line(&self, endpoint: EndpointId, id: MessageId) -> bool {
        self.lines.get(&endpoint).is_some_and(|lines| lines.contains(id))
    }

    /// Whether a delivery that waits may be attempted when it is due: it is in no line, or has the turn.
    pub fn may_run(&self, endpoint: EndpointId, id: MessageId) -> bool {
        let lines = self.lines.get(&endpoint);
        lines.is_none_or(|lines| !lines.contains(id) || lines.has_turn(id))
    }

    /// Whether it is at the head of a line that waits for a person.
    pub fn is_blocked(&self, endpoint: EndpointId, id: MessageId) -> bool {
        self.lines.get(&endpoint).is_some_and(|lines| lines.is_blocked(id))
    }

    /// What the receiver is told.
    pub fn place(&self, endpoint: EndpointId, id: MessageId) -> Option<Arc<Place>> {
        let numbered = self.deliveries.get(&(endpoint, id))?.numbered.as_ref()?;
        let in_line = self.lines.get(&endpoint).and_then(|lines| lines.place(id));
        Some(Arc::new(in_line.unwrap_or_else(|| Place {
            key: Arc::clone(&numbered.key),
            sequence: numbered.sequence,
            previous: None,
        })))
    }

    /// Numbers are known as long as their endpoint.
    pub fn forget_numbers_of_the_gone(&mut self) {
        for (endpoint, lines) in &mut self.lines {
            if !self.endpoints.contains_key(endpoint) {
                lines.forget_numbers();
            }
        }
        self.lines.retain(|_, lines| !lines.is_empty());
    }

    // -- by hand ---------------------------------------------------------------------------------------------------

    pub fn tend_line(
        &mut self,
        endpoint: EndpointId,
        key: Option<&str>,
        tending: Tending,
        now: Timestamp,
        told: &mut Told,
    ) -> u64 {
        let Some(lines) = self.lines.get_mut(&endpoint) else {
            return 0;
        };
        let deliveries = &self.deliveries;
        let is_out = |id| {
            deliveries
                .get(&(endpoint, id))
                .is_some_and(|delivery| delivery.lease.is_some())
        };
        let Tended { left, turns } = match tending {
            Tending::Unblock(due_at) => {
                let blocked = lines.blocked(key);
                for id in &blocked {
                    self.start_anew(endpoint, *id, due_at, Trigger::Manual);
                    told.stored.push(LaneHead { endpoint, due_at });
                }
                return blocked.len() as u64;
            }
            Tending::Skip => lines.skip(key),
            Tending::Discard => lines.discard(key, is_out),
        };
        for id in &left {
            self.change(endpoint, *id, |delivery| {
                if delivery.state == DeliveryState::Pending {
                    delivery.state = DeliveryState::Cancelled;
                }
            });
        }
        self.give_turns(endpoint, turns, now, told);
        left.len() as u64
    }

    /// In a new run. What is out stays out until its holder settles: nobody else attempts it meanwhile.
    pub fn start_anew(&mut self, endpoint: EndpointId, id: MessageId, due_at: Timestamp, trigger: Trigger) {
        let old = self.deliveries.get(&(endpoint, id));
        let delivery = Delivery {
            state: DeliveryState::Pending,
            progress: Progress {
                run: old.map_or(0, |old| old.progress.run + 1),
                tries: 0,
                trigger,
            },
            due_at,
            lease: old.and_then(|old| old.lease),
            handed_over: false,
            numbered: old.and_then(|old| old.numbered.clone()),
        };
        self.put(endpoint, id, delivery);
        if let Some(lines) = self.lines.get_mut(&endpoint) {
            lines.unblock(id);
        }
    }

    /// Those without a turn first, so that nobody is given one; blocked heads leave their lines as they are, at last.
    pub fn cancel(&mut self, endpoint: EndpointId, limit: usize) -> u64 {
        let waiting = self.deliveries.range(all_of(endpoint));
        let waiting = waiting.filter(|(_, delivery)| delivery.waits()).map(|((_, id), _)| *id);
        let (may_run, behind): (Vec<_>, Vec<_>) = waiting.partition(|id| self.may_run(endpoint, *id));
        let cancelled: Vec<_> = behind.into_iter().chain(may_run).take(limit).collect();
        for id in &cancelled {
            self.change(endpoint, *id, |delivery| delivery.state = DeliveryState::Cancelled);
        }
        if let Some(lines) = self.lines.get_mut(&endpoint) {
            for id in &cancelled {
                lines.leave(*id, Left::GivenUp);
            }
            if cancelled.len() < limit {
                lines.skip(None);
            }
        }
        self.forget_numbers_of_the_gone();
        cancelled.len() as u64
    }

    // -- looking ---------------------------------------------------------------------------------------------------

    pub fn line_rows(&self, endpoint: EndpointId, query: &LineQuery) -> Rows<LineRow> {
        let Some(lines) = self.lines.get(&endpoint) else {
            return Rows::EMPTY;
        };
        let is_behind = |key: &str| query.after.as_deref().is_none_or(|after| key > after);
        let is_wanted = |key: &str| query.key.as_deref().is_none_or(|wanted| key == wanted);
        let keys = lines.keys().filter(|key| is_behind(key) && is_wanted(key));
        let mut rows = keys
            .filter_map(|key| self.line_row(endpoint, lines, key))
            .filter(|row| !query.blocked || row.head.is_some_and(|head| head.blocked));
        let items: Vec<_> = rows.by_ref().take(query.limit).collect();
        let more = rows.next().is_some();
        Rows { items, more }
    }

    fn line_row(&self, endpoint: EndpointId, lines: &Lines<MessageId>, key: &str) -> Option<LineRow> {
        let standing = lines.standing(key)?;
        let due_at = |id| self.deliveries.get(&(endpoint, id)).map(|delivery| delivery.due_at);
        Some(LineRow {
            key: key.to_owned(),
            last: standing.last,
            succeeded: standing.succeeded,
            waiting: standing.waiting,
            head: standing.first.map(|(message, sequence)| LineHead {
                message,
                sequence,
                blocked: lines.is_blocked(message),
                next_at: due_at(message).filter(|_| lines.has_turn(message)),
            }),
        })
    }

    pub fn backlog(&self, endpoint: EndpointId) -> Backlog {
        let waiting = || {
            let of_endpoint = self.deliveries.range(all_of(endpoint));
            of_endpoint.filter(|(_, delivery)| delivery.waits())
        };
        Backlog {
            waiting: waiting().count() as u64,
            oldest_due: waiting()
                .filter(|((_, id), _)| self.may_run(endpoint, *id))
                .map(|(_, delivery)| delivery.due_at)
                .min(),
            blocked_lines: self
                .lines
                .get(&endpoint)
                .map_or(0, |lines| lines.blocked(None).len() as u64),
        }
    }

    /// Every delivery with a number, or those of one endpoint.
    pub fn placed(&self, endpoint: Option<EndpointId>) -> Vec<Placed> {
        let of_endpoint = self.deliveries.iter();
        let wanted = of_endpoint.filter(|((to, _), _)| endpoint.is_none_or(|endpoint| *to == endpoint));
        wanted
            .filter_map(|((endpoint, message), delivery)| {
                let Numbered { key, sequence } = delivery.numbered.clone()?;
                Some(Placed {
                    delivery: DeliveryKey {
                        message: *message,
                        endpoint: *endpoint,
                    },
                    state: delivery.state,
                    key,
                    sequence,
                    era: self.lines.get(endpoint).and_then(|lines| lines.era_of(*message)),
                })
            })
            .collect()
    }

    /// What contradicts itself about lines.
    pub fn check_lines(&self, problems: &mut Vec<String>) {
        for (endpoint, lines) in &self.lines {
            for id in lines.in_line(None) {
                let held = self.orphans.contains_key(&(*endpoint, id));
                let delivery = self.deliveries.get(&(*endpoint, id));
                let stands = delivery.map(|delivery| delivery.state);
                let fits = match stands {
                    Some(DeliveryState::Pending) => !lines.is_blocked(id),
                    Some(DeliveryState::Failed) => lines.is_blocked(id),
                    Some(_) => false,
                    None => held,
                };
                if !fits {
                    problems.push(format!("{id} is in line at {endpoint} and {stands:?}"));
                }
                if delivery.is_some_and(|delivery| delivery.lease.is_some()) && !lines.has_turn(id) {
                    problems.push(format!("{id} is out for {endpoint} before its turn"));
                }
            }
        }
        for ((endpoint, id), delivery) in &self.deliveries {
            let never_ended = delivery.state == DeliveryState::Pending && delivery.progress.run == 0;
            if delivery.numbered.is_some() && never_ended && !self.is_in_line(*endpoint, *id) {
                problems.push(format!(
                    "{id} has a number at {endpoint}, has not ended and is in no line"
                ));
            }
        }
    }
}
