//! Faults of a store, planned by a seed: how often which verb fails, and how long each takes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bellwire_store::StoreError;

/// What a store can be asked to do, as far as faults tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `append`, `arrive`, `release`, `prolong`, `reset_stream`.
    Append,
    /// `claim`.
    Claim,
    /// `settle`.
    Settle,
    /// `lanes`.
    Lanes,
    /// `requeue`.
    Requeue,
    /// `cancel`.
    Cancel,
    /// `apply`.
    Apply,
    /// Everything else: reads and upkeep.
    Other,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Append,
        Self::Claim,
        Self::Settle,
        Self::Lanes,
        Self::Requeue,
        Self::Cancel,
        Self::Apply,
        Self::Other,
    ];
}

/// Which calls answer `Unavailable`, and how long calls take. Nothing fails and nothing takes time until told.
#[derive(Debug)]
pub struct FaultPlan {
    state: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    random: fastrand::Rng,
    rates: BTreeMap<Verb, f64>,
    latency: Duration,
    fail_next: BTreeMap<Verb, usize>,
}

impl FaultPlan {
    /// A plan that draws from this seed.
    pub fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let plan = Plan {
            random,
            rates: BTreeMap::new(),
            latency: Duration::ZERO,
            fail_next: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(plan),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, this share (0 to 1) of the calls of this verb fails.
    pub fn fail(&self, verb: Verb, share: f64) {
        self.with(|plan| plan.rates.insert(verb, share));
    }

    /// The next `times` calls of this verb fail.
    pub fn fail_next(&self, verb: Verb, times: usize) {
        self.with(|plan| plan.fail_next.insert(verb, times));
    }

    /// From now on, each call takes up to so long before the commit, and once more as long before it answers.
    pub fn slow_down(&self, latency_max: Duration) {
        self.with(|plan| plan.latency = latency_max);
    }

    /// Nothing fails any more, and nothing takes time.
    pub fn heal(&self) {
        self.with(|plan| {
            plan.rates.clear();
            plan.fail_next.clear();
            plan.latency = Duration::ZERO;
        });
    }

    /// Whether anything may fail or take time.
    pub fn is_active(&self) -> bool {
        self.with(|plan| {
            plan.rates.values().any(|rate| *rate > 0.0)
                || plan.fail_next.values().any(|times| *times > 0)
                || plan.latency > Duration::ZERO
        })
    }

    /// Takes as long as the plan says.
    pub(crate) async fn pause(&self) {
        let wait = self.with(|plan| {
            let most = u64::try_from(plan.latency.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(if most == 0 { 0 } else { plan.random.u64(0..=most) })
        });
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }

    /// Fails when the plan says so.
    pub(crate) fn judge(&self, verb: Verb) -> Result<(), StoreError> {
        let fails = self.with(|plan| {
            if let Some(times) = plan.fail_next.get_mut(&verb).filter(|times| **times > 0) {
                *times -= 1;
                return true;
            }
            let rate = plan.rates.get(&verb).copied().unwrap_or(0.0);
            rate > 0.0 && plan.random.f64() < rate
        });
        if fails {
            Err(StoreError::Unavailable(format!("planned fault in {verb:?}")))
        } else {
            Ok(())
        }
    }
}
