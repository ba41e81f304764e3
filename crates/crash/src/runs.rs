//! The server's runs: each started, and ended by a kill or in good order; and with that, which repeats a kill explains.
//!
//! Pure, and shared by both accounts. Times are microseconds on the clock of the whole.
//!
//! **What a repeat may be.** A delivery that a receiver accepted may arrive again only when the outcome of the first arrival
//! was not durable at a kill. So the server's run that the first one fell into must have ended by a kill, and the first one
//! must have been answered after that kill or shortly before it (`settling_us`: outcomes gather, then are committed; an
//! outage of the store extends it). Every other repeat is a stray. The repeats of one kill are bounded by what was in
//! flight: the attempts that may be open at once at all endpoints, plus what was answered within that window.

use std::collections::VecDeque;

use crate::faults::Faults;

/// The end of one of the server's runs by a kill.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// Just before the signal was sent.
    pub(crate) at_us: u64,
    /// What was answered before this was durable, or should have been.
    pub(crate) since_us: u64,
    /// What the loop aimed at (an index of `PHASES`).
    pub(crate) phase: usize,
    /// Attempts that may have been open at once, at all endpoints together.
    pub(crate) open: u64,
    /// Deliveries answered so shortly before that their outcomes need not have been durable.
    pub(crate) settling: u64,
    /// Deliveries accepted before it, or while it happened, that arrived again.
    pub(crate) repeated: u64,
    /// The longest time between such an acceptance and the kill.
    pub(crate) oldest_us: u64,
}

impl Kill {
    /// Deliveries that may have been in flight: the bound of `repeated`.
    pub(crate) fn bound(&self) -> u64 {
        self.open + self.settling
    }
}

/// How a run of the server ended.
#[derive(Clone, Debug)]
enum End {
    Running,
    Killed(Kill),
    Stopped,
}

/// All runs of the server, in order.
pub(crate) struct Runs {
    settling_us: u64,
    /// Attempts that may be open at once, at all endpoints together.
    open: u64,
    ends: Vec<End>,
    /// When deliveries were accepted lately.
    recent: VecDeque<u64>,
    /// Since when no outcome can become durable.
    unwritable_since: Option<u64>,
    /// With several servers, what befell one of them: then nothing else explains a repeat.
    faults: Option<Faults>,
}

impl Runs {
    /// None yet. `settling_us`: how long an outcome may take from the receiver's answer until it is durable; `open`: how many
    /// attempts may be open at once.
    pub(crate) fn new(settling_us: u64, open: u64) -> Self {
        Self {
            settling_us,
            open,
            ends: Vec::new(),
            recent: VecDeque::new(),
            unwritable_since: None,
            faults: None,
        }
    }

    /// There are several servers, and so many endpoints: repeats are explained by [`Faults`] from here on.
    pub(crate) fn watch_faults(&mut self, endpoints: usize) {
        self.faults = Some(Faults::new(self.settling_us, self.open, endpoints));
    }

    /// What befell one of several servers.
    pub(crate) fn faults(&mut self) -> Option<&mut Faults> {
        self.faults.as_mut()
    }

    /// The server was started; answers the number of this run of it.
    pub(crate) fn started(&mut self) -> u32 {
        self.ends.push(End::Running);
        self.latest()
    }

    /// The number of the latest run.
    pub(crate) fn latest(&self) -> u32 {
        u32::try_from(self.ends.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// A receiver is about to answer 200.
    pub(crate) fn accepted(&mut self, at_us: u64) {
        if let Some(faults) = &mut self.faults {
            faults.accepted(at_us);
        }
        self.recent.push_back(at_us);
        let since = self.unsettled_since(at_us);
        while self.recent.front().is_some_and(|at| *at < since) {
            self.recent.pop_front();
        }
    }

    /// The latest run is about to be killed.
    pub(crate) fn killed(&mut self, at_us: u64, phase: usize) {
        let since_us = self.unsettled_since(at_us);
        let settling = self.recent.iter().filter(|at| **at >= since_us).count() as u64;
        let open = self.open;
        if let Some(end) = self.ends.last_mut() {
            *end = End::Killed(Kill {
                at_us,
                since_us,
                phase,
                open,
                settling,
                repeated: 0,
                oldest_us: 0,
            });
        }
    }

    /// The latest run ended because it was asked to.
    pub(crate) fn stopped(&mut self) {
        if let Some(end) = self.ends.last_mut() {
            *end = End::Stopped;
        }
    }

    /// From now on the store cannot be written: no outcome becomes durable.
    pub(crate) fn unwritable(&mut self, now_us: u64) {
        self.unwritable_since.get_or_insert(now_us);
    }

    /// The store can be written again.
    pub(crate) fn writable(&mut self) {
        self.unwritable_since = None;
    }

    /// Judges an arrival in `run` of what had been accepted at `accepted_us` in the run `before`, and counts it for the kill
    /// that explains it.
    ///
    /// # Errors
    /// Why no kill does.
    pub(crate) fn repeated(&mut self, before: u32, accepted_us: u64, run: u32) -> Result<(), String> {
        if let Some(faults) = &mut self.faults {
            return faults.repeated(accepted_us);
        }
        match self.ends.get_mut(before as usize) {
            _ if before == run => Err("within one run of the server".to_owned()),
            Some(End::Killed(kill)) => {
                let age_us = kill.at_us.saturating_sub(accepted_us);
                kill.repeated += 1;
                kill.oldest_us = kill.oldest_us.max(age_us);
                if accepted_us >= kill.since_us {
                    return Ok(());
                }
                Err(format!("it had been answered {} ms before the kill", age_us / 1_000))
            }
            Some(End::Stopped) => Err("after the server had stopped in good order".to_owned()),
            _ => Err("by another run while its own still went on".to_owned()),
        }
    }

    /// Every kill, in order.
    pub(crate) fn kills(&self) -> impl Iterator<Item = &Kill> {
        self.ends.iter().filter_map(|end| match end {
            End::Killed(kill) => Some(kill),
            End::Running | End::Stopped => None,
        })
    }

    /// How many runs ended in good order.
    pub(crate) fn stops(&self) -> usize {
        self.ends.iter().filter(|end| matches!(end, End::Stopped)).count()
    }

    /// Each kill after which more was repeated than can have been in flight, in words.
    pub(crate) fn over_bound(&self) -> Vec<String> {
        if let Some(faults) = &self.faults {
            return faults.over_bound();
        }
        let over = self
            .kills()
            .enumerate()
            .filter(|(_, kill)| kill.repeated > kill.bound());
        over.map(|(number, kill)| {
            format!(
                "kill {number}: {} repeated, {} can have been in flight",
                kill.repeated,
                kill.bound()
            )
        })
        .collect()
    }

    /// At this time, outcomes of what was answered since then need not be durable yet.
    fn unsettled_since(&self, now_us: u64) -> u64 {
        self.unwritable_since
            .unwrap_or(now_us)
            .min(now_us)
            .saturating_sub(self.settling_us)
    }
}
