//! How a lane stands, for people: what the API and the command line show.

use std::{fmt, time::Duration};

use bellwire_core::time::Timestamp;

/// A lane's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum LaneState {
    /// Nothing is under way and nothing is due.
    #[default]
    Idle,
    /// Attempts are under way, or wait for a slot.
    Running,
    /// The endpoint asked for a rest.
    Resting,
    /// A rate limit lets nothing through at the moment: the endpoint's, its application's, or one after another.
    Throttled,
    /// The breaker is open: nothing is attempted but a probe now and then.
    Parked,
    /// It came back after an outage and is given more step by step.
    Recovering,
    /// Somebody paused it.
    Paused,
    /// It is disabled; nothing waits for it.
    Disabled,
}

impl LaneState {
    /// Every state, by its name in the API and in metrics.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("idle", Self::Idle),
        ("running", Self::Running),
        ("resting", Self::Resting),
        ("throttled", Self::Throttled),
        ("parked", Self::Parked),
        ("recovering", Self::Recovering),
        ("paused", Self::Paused),
        ("disabled", Self::Disabled),
    ];

    /// Its name in the API and in metrics.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, state)| *state == self);
        named.map_or("idle", |(name, _)| name)
    }
}

/// How the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerState {
    /// Attempts are made.
    #[default]
    Closed,
    /// Only probes are.
    Open,
    /// Closed a moment ago, and the endpoint is given more step by step.
    Recovering,
}

impl BreakerState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Recovering => "recovering",
        }
    }
}

/// The adaptive limit on attempts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStatus {
    /// So many may be under way at once now.
    pub now: u16,
    /// Never fewer.
    pub min: u16,
    /// Never more.
    pub max: u16,
}

/// What a lane waits for. Its text is a clause for people: `messages`, `its next probe at 2026-01-31T09:30:00.000000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitsFor {
    /// Something to deliver.
    #[default]
    Messages,
    /// Answers to the attempts under way.
    Answers,
    /// A free slot among the server's, or among its application's share of them.
    Slot,
    /// The end of the rest that the endpoint asked for.
    RestUntil(Timestamp),
    /// The endpoint's rate limit.
    RateUntil(Timestamp),
    /// The rate limit of its application.
    AppRateUntil(Timestamp),
    /// The ceiling under which it comes back after an outage.
    SlowStartUntil(Timestamp),
    /// The next probe; it is made of the delivery that has been due longest.
    ProbeAt(Timestamp),
    /// The answer to a probe.
    ProbeAnswer,
    /// The time at which the next delivery is due.
    DueAt(Timestamp),
    /// More messages for the batch, until then at most.
    CompanyUntil(Timestamp),
    /// Somebody to resume it.
    BeingResumed,
    /// Somebody to enable it.
    BeingEnabled,
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages => f.write_str("messages"),
            Self::Answers => f.write_str("answers to the attempts under way"),
            Self::Slot => f.write_str("a free slot"),
            Self::RestUntil(at) => write!(f, "the end, at {at}, of the rest that the endpoint asked for"),
            Self::RateUntil(at) => write!(f, "its rate limit (throttleRate), until {at}"),
            Self::AppRateUntil(at) => write!(f, "the rate limit of its application (throttleRate), until {at}"),
            Self::SlowStartUntil(at) => write!(f, "its slow start after an outage, until {at}"),
            Self::ProbeAt(at) => write!(f, "its next probe at {at}; it failed too often in a row"),
            Self::ProbeAnswer => f.write_str("the answer to a probe; it failed too often in a row"),
            Self::DueAt(at) => write!(f, "the next delivery, due at {at}"),
            Self::CompanyUntil(at) => write!(f, "more messages for a batch, until {at}"),
            Self::BeingResumed => f.write_str("somebody to resume it"),
            Self::BeingEnabled => f.write_str("somebody to enable it"),
        }
    }
}

/// How a lane stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LaneStatus {
    /// In one word.
    pub state: LaneState,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Deliveries being attempted, those of a batch one by one.
    pub in_flight: u32,
    /// Deliveries in memory that are due and not begun.
    pub in_memory: u32,
    /// Deliveries that wait in the store.
    pub waiting: u64,
    /// When the delivery that waits longest was due, or when the next is; `None` when nothing is known to wait.
    pub oldest_due: Option<Timestamp>,
    /// How many attempts may be under way at once; `None` for a lane that has not been used lately.
    pub limit: Option<LimitStatus>,
    /// How its breaker stands.
    pub breaker: BreakerState,
    /// Failures since the last success, as far as is remembered.
    pub failures_in_a_row: u32,
    /// When the next probe may begin, while the breaker is open and none is under way.
    pub next_probe: Option<Timestamp>,
    /// Deliveries attempted per second, lately.
    pub rate: f32,
    /// Deliveries per second that it was seen to take while all was well.
    pub rate_learned: Option<f32>,
    /// Deliveries per second at most, of what its settings, its application's and a slow start say, the lowest.
    pub rate_limit: Option<f32>,
    /// Attempts of the last five minutes that succeeded.
    pub succeeded_lately: u32,
    /// Attempts of the last five minutes that failed.
    pub failed_lately: u32,
    /// How long a successful answer takes, lately.
    pub latency: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_of_its_own() {
        let mut names: Vec<_> = LaneState::NAMES
            .iter()
            .map(|(name, state)| (*name, state.name()))
            .collect();
        assert!(names.iter().all(|(name, of)| name == of));
        names.dedup();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn what_a_lane_waits_for_can_be_read() {
        let at = Timestamp::from_secs(1_766_000_000);
        assert_eq!(
            WaitsFor::ProbeAt(at).to_string(),
            "its next probe at 2025-12-17T19:33:20.000000Z; it failed too often in a row"
        );
        assert_eq!(WaitsFor::default().to_string(), "messages");
    }
}
