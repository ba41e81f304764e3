//! What a lane knows of the load its endpoint takes: breaker, limit, rates, and what people should hear of it. Glues together
//! the machines of `core`; owned by a [`super::Lane`].

use bellwire_core::{
    alert::{Alarms, Alert, Lately, Seen, Traffic},
    breaker::{Breaker, Turned},
    limit::{self, Limit, Round, Signal},
    rate::{Learned, SlowStart},
    time::Timestamp,
};

use crate::scheduler::Rules;

/// Given to a worker with each attempt, and given back with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticket {
    /// The attempt probes an endpoint whose breaker is open.
    pub probe: bool,
    /// The limit's round in which it was begun.
    pub round: Round,
}

/// How an attempt ended, with all its deliveries: what a worker says when it asks for more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// As it came with the attempt.
    pub ticket: Ticket,
    /// Deliveries that the worker was given.
    pub given: u32,
    /// Those among them that were attempted; 0 when nothing was sent.
    pub attempted: u32,
    /// Those that go back to the store, to be tried again.
    pub back: u32,
    /// How it went; `None` when nothing was sent.
    pub signal: Option<Signal>,
    /// Until when the endpoint asked for a rest.
    pub rest_until: Option<Timestamp>,
}

/// See the module.
#[derive(Debug)]
pub(in crate::scheduler) struct Load {
    pub breaker: Breaker,
    /// When the breaker opened last.
    pub opened_at: Timestamp,
    pub limit: Limit,
    pub learned: Learned,
    pub slow_start: Option<SlowStart>,
    pub lately: Lately,
    traffic: Traffic,
    alarms: Alarms,
    /// Deliveries attempted per second, smoothed, and how many since `looked_at`.
    pub rate: f32,
    attempted: u32,
    looked_at: Timestamp,
    /// Deliveries that were waiting in the store when it was last looked at; `None` before the first time.
    waiting: Option<u64>,
    /// How many deliveries left the store for this lane since then, less those that went back.
    taken: i64,
}

impl Load {
    /// Of an endpoint that got nothing since `quiet_since`, as far as is known.
    pub fn new(limits: limit::Bounds, quiet_since: Timestamp, now: Timestamp) -> Self {
        Self {
            breaker: Breaker::default(),
            opened_at: now,
            limit: Limit::new(limits),
            learned: Learned::default(),
            slow_start: None,
            lately: Lately::default(),
            traffic: Traffic::new(quiet_since, now),
            alarms: Alarms::default(),
            rate: 0.0,
            attempted: 0,
            looked_at: now,
            waiting: None,
            taken: 0,
        }
    }

    /// An attempt ended.
    pub fn ended(&mut self, report: &Report, limits: limit::Bounds, rules: &Rules, now: Timestamp) -> Option<Turned> {
        self.attempted = self.attempted.saturating_add(report.attempted);
        self.taken -= i64::from(report.back);
        let Report { ticket, attempted, .. } = *report;
        let Some(signal) = report.signal else {
            self.breaker.not_attempted(ticket.probe, now);
            return None;
        };
        self.limit.ended(signal, ticket.round, limits);
        let succeeded = matches!(signal, Signal::Succeeded(_));
        self.lately.ended(succeeded, attempted, now);
        let turned = if succeeded {
            self.breaker.succeeded()
        } else {
            self.breaker.failed(ticket.probe, rules.breaker, now)
        };
        match turned {
            Some(Turned::Opened) => {
                self.opened_at = now;
                self.slow_start = None;
                self.learned.interrupt();
            }
            Some(Turned::Closed) => {
                self.limit.restart(limits);
                self.slow_start = Some(SlowStart::new(self.learned.per_second(), now));
            }
            // A pace that was set by us is not the endpoint's.
            None if succeeded && self.slow_start.is_none() => self.learned.succeeded(attempted, now),
            None => {}
        }
        turned
    }

    /// The slow start's ceiling, in deliveries per second; `None` when there is none, or none any more.
    pub fn ceiling(&mut self, now: Timestamp) -> Option<f64> {
        let ceiling = self.slow_start.as_mut()?.ceiling(now);
        if ceiling.is_none() {
            self.slow_start = None;
        }
        ceiling
    }

    /// Deliveries were handed over.
    pub fn handed_over(&mut self, n: u32) {
        self.traffic.arrived(n);
    }

    /// Deliveries came from the store (or went back to it, when negative).
    pub fn came_from_store(&mut self, n: i64) {
        self.taken += n;
    }

    /// Takes stock, about once a second: `waiting` deliveries are in the store.
    pub fn look(&mut self, waiting: u64, now: Timestamp) {
        // What came to wait in the store meanwhile is what is there more, and what was taken out.
        let before = self.waiting.replace(waiting).unwrap_or(waiting);
        let arrived =
            i64::try_from(waiting).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX) + self.taken;
        // Less than nothing is a settlement on its way; it is set off against what comes next.
        self.taken = arrived.clamp(-100_000, 0);
        self.traffic.arrived(u32::try_from(arrived.max(0)).unwrap_or(u32::MAX));
        self.traffic.tick(now);
        self.lately.tick(now);
        let span = now.since(self.looked_at).as_secs_f32();
        if span > 0.0 {
            let rate = self.attempted as f32 / span;
            self.rate += (rate - self.rate) * (span / 5.0).min(1.0);
            if self.rate < 0.01 {
                self.rate = 0.0;
            }
        }
        (self.attempted, self.looked_at) = (0, now);
    }

    /// What people should hear now: raised, or cleared.
    pub fn alerts(
        &mut self,
        oldest_due: Option<Timestamp>,
        rules: &Rules,
        now: Timestamp,
    ) -> impl Iterator<Item = (Alert, bool)> + use<> {
        let (succeeded, failed) = self.lately.counts();
        let seen = Seen {
            queue_age: oldest_due.filter(|due| *due <= now).map(|due| now.since(due)),
            succeeded,
            failed,
            traffic: self.traffic.seen(),
        };
        self.alarms.look(&seen, &rules.alerts)
    }

    /// Whether it must be remembered although nothing is to be done.
    pub fn is_worth_keeping(&self) -> bool {
        self.breaker.is_open() || self.slow_start.is_some() || self.alarms.any()
    }
}
