//! A receiver that follows a script, for the real scheduler: it answers, fails, hangs and asks for rests, in virtual time.
//!
//! A [`Witness`] is told of each attempt at the moment the first byte would leave and at the moment it is over, so that a
//! test can hold what is done against what may be done. It deliberately sends nothing and signs nothing.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bellwire_core::{
    attempt::{self, Failure, Outcome},
    delivery::{DeliveryKey, Progress, Work},
    id::EndpointId,
    order::Place,
    time::Timestamp,
};
use bellwire_deliver::action::{Acted, Action, Order};
use bytes::Bytes;

/// What a receiver does with one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers with this status code; 2xx is a success.
    Status(u16),
    /// Answers with this status code and a `Retry-After`.
    RetryAfter(u16, Duration),
    /// Takes the request and never answers: the attempt times out.
    Hangs,
    /// Does not take the connection.
    Refused,
}

/// How a receiver behaves: replies with their weights, and how long it takes.
#[derive(Debug, Clone)]
pub struct Script {
    /// What it replies, and how often compared with the others.
    pub replies: Vec<(u32, Reply)>,
    /// How long a reply takes, in milliseconds. Connecting takes a third of it.
    pub takes_ms: RangeInclusive<u64>,
}

impl Script {
    /// Always replies so, in a few milliseconds.
    pub fn always(reply: Reply) -> Self {
        Self {
            replies: vec![(1, reply)],
            takes_ms: 1..=9,
        }
    }

    /// Always succeeds, in a few milliseconds.
    pub fn healthy() -> Self {
        Self::always(Reply::Status(204))
    }

    fn draw(&self, random: &mut fastrand::Rng) -> (Reply, Duration) {
        let takes = Duration::from_millis(random.u64(self.takes_ms.clone()));
        let total: u32 = self.replies.iter().map(|(weight, _)| weight).sum();
        let mut left = random.u32(0..total.max(1));
        for (weight, reply) in &self.replies {
            if left < *weight {
                return (reply.clone(), takes);
            }
            left -= weight;
        }
        (Reply::Status(204), takes)
    }
}

/// An attempt at the moment it leaves.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Counts the attempts of this action, from 0.
    pub serial: u64,
    /// Which delivery.
    pub key: DeliveryKey,
    /// How far it had come.
    pub progress: Progress,
    /// Since when it was due.
    pub due_at: Timestamp,
    /// What the scheduler said when it begins.
    pub started_at: Timestamp,
    /// Its place in its line.
    pub place: Option<Arc<Place>>,
}

/// An attempt at the moment it is over.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which attempt.
    pub begun: Begun,
    /// What the scheduler is told.
    pub outcome: Outcome,
}

/// Is told of attempts as they happen. Must not block.
pub trait Witness: Send + Sync + 'static {
    /// The action was asked; connecting begins.
    fn asked(&self, _key: DeliveryKey) {}
    /// The attempt was not allowed to begin.
    fn withheld(&self, _key: DeliveryKey) {}
    /// The first byte leaves now.
    fn begun(&self, begun: &Begun);
    /// It is over, and the scheduler is told next.
    fn ended(&self, ended: &Ended);
}

/// The action that follows scripts. Endpoints without one are healthy.
pub struct ScriptedAction {
    witness: Arc<dyn Witness>,
    state: Mutex<Play>,
}

struct Play {
    random: fastrand::Rng,
    scripts: BTreeMap<EndpointId, Script>,
    serial: u64,
}

impl std::fmt::Debug for ScriptedAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedAction").finish_non_exhaustive()
    }
}

impl ScriptedAction {
    /// All receivers are healthy; what is random comes from the seed.
    pub fn new(seed: u64, witness: Arc<dyn Witness>) -> Self {
        let play = Play {
            random: fastrand::Rng::with_seed(seed),
            scripts: BTreeMap::new(),
            serial: 0,
        };
        Self {
            witness,
            state: Mutex::new(play),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Play) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, this endpoint's receiver behaves so.
    pub fn script(&self, endpoint: EndpointId, script: Script) {
        self.with(|play| play.scripts.insert(endpoint, script));
    }

    /// From now on, all receivers are healthy.
    pub fn heal(&self) {
        self.with(|play| play.scripts.clear());
    }

    fn begin(&self, work: &Work, started_at: Timestamp) -> Begun {
        Begun {
            serial: self.with(|play| {
                play.serial += 1;
                play.serial - 1
            }),
            key: work.key(),
            progress: work.progress,
            due_at: work.due_at,
            started_at,
            place: work.place.clone(),
        }
    }

    fn draw(&self, endpoint: EndpointId) -> (Reply, Duration) {
        self.with(|play| {
            let healthy = Script::healthy();
            play.scripts.get(&endpoint).unwrap_or(&healthy).draw(&mut play.random)
        })
    }
}

#[async_trait]
impl Action for ScriptedAction {
    async fn act(&self, order: Order<'_>) -> Acted {
        let keys = || order.works.iter().map(|work| work.key());
        keys().for_each(|key| self.witness.asked(key));
        let (reply, takes) = self.draw(order.endpoint.endpoint.id);
        let connecting = (takes / 3).min(order.timeout);
        tokio::time::sleep(connecting).await;
        if !(order.may_begin)() {
            keys().for_each(|key| self.witness.withheld(key));
            return Acted::Withheld;
        }
        // The deliveries of a batch are attempts of their own, begun and ended together.
        let begun: Vec<_> = order
            .works
            .iter()
            .map(|work| self.begin(work, order.started_at))
            .collect();
        begun.iter().for_each(|begun| self.witness.begun(begun));
        let answers = reply != Reply::Hangs && takes < order.timeout;
        let duration = if answers { takes } else { order.timeout };
        tokio::time::sleep(duration - connecting).await;
        let reply = if answers { reply } else { Reply::Hangs };
        let outcome = outcome(&order, &reply, duration);
        for begun in begun {
            let outcome = outcome.clone();
            self.witness.ended(&Ended { begun, outcome });
        }
        Acted::Attempted(outcome)
    }

    fn forget(&self, _endpoint: EndpointId) {}
}

fn outcome(order: &Order<'_>, reply: &Reply, duration: Duration) -> Outcome {
    let (status_code, retry_after, reason) = match reply {
        Reply::Status(410) => (410, None, attempt::GONE),
        Reply::Status(status) => (*status, None, "status"),
        Reply::RetryAfter(status, wait) => (*status, Some(*wait), "status"),
        Reply::Hangs => (0, None, "timeout_headers"),
        Reply::Refused => (0, None, "connection_refused"),
    };
    let failed = !(200..300).contains(&status_code);
    Outcome {
        started_at: order.started_at,
        duration,
        url: order.endpoint.endpoint.url.clone(),
        status_code,
        failure: failed.then(|| Failure {
            reason,
            detail: format!("scripted: {reply:?}"),
        }),
        response: Bytes::new(),
        response_headers: Vec::new(),
        signature: String::new(),
        retry_after,
    }
}
