//! What befell one of several servers, which repeats that explains, and how long it took until somebody delivered again.
//!
//! Pure. Times are microseconds on the clock of the whole. One server fails at a time, and the next fault begins when the last
//! one is over and its consequences are.
//!
//! **What a repeat may be.** A delivery that a receiver accepted may arrive again only when the outcome was not durable when its
//! server failed: it was answered while the fault lasted, or shortly before (`settling_us`). A server that is killed, stands
//! still or notices that it is cut off begins nothing new, so the repeats of a fault are bounded by what was in flight then: the
//! attempts that may be open at once, plus what was answered shortly before it and within [`UNAWARE_US`] of it.
//!
//! **What a takeover is.** The longest silence at an endpoint from the fault until its consequences are over, whoever delivers there.
//! Publishing goes on meanwhile, so that there always is something to deliver.

use std::collections::VecDeque;

/// Within this time a server that is cut off knows it, and begins no further attempt.
const UNAWARE_US: u64 = 2_500_000;
/// How long nobody may deliver to an endpoint after a fault.
pub(crate) const TAKEOVER_US: u64 = 10_000_000;

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Woe {
    /// SIGKILL, and started again.
    Killed,
    /// SIGSTOP for longer than its lease, then SIGCONT.
    Paused,
    /// Its connections to the database are closed, and it gets no new ones.
    Severed,
    /// Nothing is carried between it and the database, and no connection closes.
    Stalled,
}

impl Woe {
    /// All of them, in the order in which they come.
    pub(crate) const ALL: [Self; 4] = [Self::Killed, Self::Paused, Self::Severed, Self::Stalled];

    /// The name in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::Severed => "severed",
            Self::Stalled => "stalled",
        }
    }
}

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) woe: Woe,
    /// Which server.
    pub(crate) node: usize,
    began_us: u64,
    /// When the server was as it was before.
    over_us: Option<u64>,
    /// Of what was answered before the fault, what need not have been durable.
    settling: u64,
    /// Answered so soon after it that its server need not have known.
    unaware: u64,
    /// Accepted before its consequences were over, and arrived again.
    pub(crate) repeated: u64,
    /// By endpoint: when something arrived there last, or the fault began.
    last_us: Vec<u64>,
    /// The longest silence that has ended.
    silence_us: u64,
}

impl Fault {
    /// The longest silence at an endpoint so far.
    pub(crate) fn silence_us(&self, now_us: u64) -> u64 {
        let until = self.over_us.unwrap_or(now_us);
        let lasting = self.last_us.iter().map(|last| until.saturating_sub(*last)).max();
        self.silence_us.max(lasting.unwrap_or(0))
    }

    /// Whether something has arrived at every endpoint since this time.
    pub(crate) fn is_served_since(&self, at_us: u64) -> bool {
        self.last_us.iter().all(|last| *last > at_us)
    }
}

/// All faults of a run.
pub(crate) struct Faults {
    settling_us: u64,
    /// Attempts that may be open at once, at all endpoints together.
    open: u64,
    endpoints: usize,
    all: Vec<Fault>,
    /// When deliveries were accepted lately.
    recent: VecDeque<u64>,
}

impl Faults {
    pub(crate) fn new(settling_us: u64, open: u64, endpoints: usize) -> Self {
        Self {
            settling_us,
            open,
            endpoints,
            all: Vec::new(),
            recent: VecDeque::new(),
        }
    }

    /// A fault begins.
    pub(crate) fn began(&mut self, woe: Woe, node: usize, at_us: u64) {
        let since = at_us.saturating_sub(self.settling_us);
        self.all.push(Fault {
            woe,
            node,
            began_us: at_us,
            over_us: None,
            settling: self.recent.iter().filter(|at| **at >= since).count() as u64,
            unaware: 0,
            repeated: 0,
            last_us: vec![at_us; self.endpoints],
            silence_us: 0,
        });
    }

    /// It is over: the server is as it was.
    pub(crate) fn over(&mut self, at_us: u64) {
        if let Some(fault) = self.all.last_mut() {
            fault.over_us.get_or_insert(at_us);
        }
    }

    /// The latest fault.
    pub(crate) fn latest(&self) -> Option<&Fault> {
        self.all.last()
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> &[Fault] {
        &self.all
    }

    /// A receiver is about to answer 200.
    pub(crate) fn accepted(&mut self, at_us: u64) {
        self.recent.push_back(at_us);
        let since = at_us.saturating_sub(self.settling_us);
        while self.recent.front().is_some_and(|at| *at < since) {
            self.recent.pop_front();
        }
        if let Some(fault) = self.all.last_mut()
            && at_us < fault.began_us + UNAWARE_US
        {
            fault.unaware += 1;
        }
    }

    /// Something arrived at an endpoint.
    pub(crate) fn arrived(&mut self, endpoint: usize, at_us: u64) {
        let Some(fault) = self.all.last_mut().filter(|fault| fault.over_us.is_none()) else {
            return;
        };
        if let Some(last) = fault.last_us.get_mut(endpoint) {
            fault.silence_us = fault.silence_us.max(at_us.saturating_sub(*last));
            *last = at_us;
        }
    }

    /// Judges an arrival of what had been accepted at `accepted_us`, and counts it for the fault that explains it.
    ///
    /// # Errors
    /// Why none does.
    pub(crate) fn repeated(&mut self, accepted_us: u64) -> Result<(), String> {
        let settling_us = self.settling_us;
        let explains = |fault: &&mut Fault| {
            let until = fault.over_us.map_or(u64::MAX, |over| over + settling_us);
            (fault.began_us.saturating_sub(settling_us)..=until).contains(&accepted_us)
        };
        match self.all.iter_mut().rev().find(explains) {
            Some(fault) => {
                fault.repeated += 1;
                Ok(())
            }
            None => Err("no server had failed when it was answered".to_owned()),
        }
    }

    /// What a fault may have made arrive again.
    pub(crate) fn bound(&self, fault: &Fault) -> u64 {
        self.open + fault.settling + fault.unaware
    }

    /// Each fault after which more was repeated than can have been in flight, in words.
    pub(crate) fn over_bound(&self) -> Vec<String> {
        let over = self.all.iter().enumerate();
        over.filter(|(_, fault)| fault.repeated > self.bound(fault))
            .map(|(number, fault)| {
                format!(
                    "fault {number} (node {} {}): {} repeated, {} can have been in flight",
                    fault.node,
                    fault.woe.name(),
                    fault.repeated,
                    self.bound(fault)
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_explains_what_was_answered_shortly_before_it_and_while_it_lasted() {
        let mut faults = Faults::new(500, 10, 1);
        faults.began(Woe::Paused, 1, 10_000);
        faults.over(20_000);
        for (accepted, explained) in [
            (9_000, false),
            (9_600, true),
            (15_000, true),
            (20_400, true),
            (21_000, false),
        ] {
            assert_eq!(faults.repeated(accepted).is_ok(), explained, "{accepted}");
        }
        assert_eq!(faults.all()[0].repeated, 3);
    }

    #[test]
    fn repeats_are_bounded_by_what_was_in_flight() {
        let mut faults = Faults::new(500, 1, 1);
        faults.accepted(9_900);
        faults.began(Woe::Killed, 0, 10_000);
        faults.accepted(10_001);
        for _ in 0..3 {
            faults.repeated(9_900).unwrap();
        }
        assert!(faults.over_bound().is_empty());
        faults.repeated(9_900).unwrap();
        assert_eq!(faults.over_bound().len(), 1);
    }

    #[test]
    fn a_takeover_is_the_longest_silence_at_an_endpoint() {
        let mut faults = Faults::new(500, 1, 2);
        faults.began(Woe::Killed, 0, 1_000);
        for (endpoint, at_us) in [(0, 1_500), (1, 5_000), (0, 5_100)] {
            faults.arrived(endpoint, at_us);
        }
        let fault = faults.latest().unwrap();
        assert_eq!((fault.silence_us(5_200), fault.silence_us(20_000)), (4_000, 15_000));
        assert!(fault.is_served_since(4_000) && !fault.is_served_since(5_000));
        faults.over(6_000);
        faults.arrived(1, 30_000);
        assert_eq!(faults.latest().unwrap().silence_us(40_000), 4_000);
    }
}
