//! What an endpoint's load may delay, and what it may not: the breaker, the adaptive limit, and the shares of applications.
//!
//! Two estimates of the breaker, because only the scheduler knows it exactly: that it *may* be open excuses what is late; while
//! it *surely* is, there is one attempt at a time, and not at once.

use std::{collections::BTreeSet, time::Duration};

use bellwire_core::{breaker, delivery::DeliveryKey, limit::Signal};

use super::waits::ROUNDING;

/// For so long an endpoint that came back gets less than it might take.
pub(super) const SLOW_START: Duration = Duration::from_secs(120);

/// An endpoint that gets nothing for so long is forgotten, unless its breaker is open.
const REMEMBERED: Duration = Duration::from_secs(5 * 60 - 2);

/// What is known of how an endpoint takes its load. Forgotten with the process.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Failures in a row.
    failures: u32,
    /// Those of them that the scheduler heard of at once, since the endpoint's settings last changed.
    sure: u32,
    /// The breaker surely is open: since when, or since its last probe ended.
    open_since: Option<Duration>,
    /// When an attempt last ended.
    touched: Duration,
    /// Attempts under way that were asked for since then.
    probes: BTreeSet<DeliveryKey>,
    /// Fewer attempts may be under way at once than its settings say.
    squeezed: bool,
    /// Successes since it was squeezed last.
    eased: usize,
    /// The fastest answer.
    fastest: Option<Duration>,
}

impl Load {
    /// Whether nothing but probes may be attempted, perhaps.
    pub fn may_be_open(&self, settings: breaker::Settings) -> bool {
        settings.failures > 0 && self.failures >= settings.failures
    }

    /// The fewest attempts under way that may make others wait.
    pub fn limit(&self, limit: usize) -> usize {
        if self.squeezed { limit.min(1) } else { limit }
    }

    /// Somebody changed something: a probe may come at once.
    pub fn settings_changed(&mut self) {
        self.sure = 0;
        self.open_since = None;
        self.probes.clear();
    }

    /// An attempt is asked for; `disturbed` is when the clock or the store was last in a state that moves anything. Says what
    /// is wrong with that.
    pub fn asked(
        &mut self,
        key: DeliveryKey,
        now: Duration,
        disturbed: Duration,
        settings: breaker::Settings,
    ) -> Option<&'static str> {
        let Some(since) = self.open_since else {
            if now >= self.touched + REMEMBERED || disturbed >= self.touched {
                self.sure = 0;
            }
            return None;
        };
        let crowded = !self.probes.is_empty();
        self.probes.insert(key);
        if crowded {
            return Some("is not the only one, and the breaker is open");
        }
        let too_soon = disturbed < since && now + ROUNDING < since + settings.probe_min;
        too_soon.then_some("probes too soon, and the breaker is open")
    }

    /// Nothing was attempted.
    pub fn withheld(&mut self, key: DeliveryKey, now: Duration) {
        if self.probes.remove(&key) {
            self.open_since = Some(now);
        }
    }

    /// It failed; `sure` says that the scheduler hears of it at once.
    pub fn failed(&mut self, key: DeliveryKey, signal: Signal, sure: bool, settings: breaker::Settings, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.touched = now;
        if signal == Signal::Overloaded {
            self.squeeze();
        }
        if !sure {
            self.settings_changed();
            return;
        }
        self.sure += 1;
        if self.probes.remove(&key) {
            self.open_since = Some(now);
        }
        if self.open_since.is_none() && settings.failures > 0 && self.sure >= settings.failures {
            self.open_since = Some(now);
        }
    }

    /// It succeeded after so long; answers whether a slow start may follow.
    pub fn succeeded(&mut self, took: Duration, limit: usize, settings: breaker::Settings) -> bool {
        let closes = self.may_be_open(settings);
        self.failures = 0;
        self.settings_changed();
        let fastest = self.fastest.map_or(took, |fastest| fastest.min(took));
        self.fastest = Some(fastest);
        if closes || took > 2 * fastest + Duration::from_millis(50) {
            self.squeeze();
        } else {
            // One more at once for as many successes as are allowed at once.
            self.eased += 1;
            self.squeezed &= self.eased < limit * limit;
        }
        closes
    }

    fn squeeze(&mut self) {
        self.squeezed = true;
        self.eased = 0;
    }
}
