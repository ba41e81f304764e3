//! What the delivering half counts. Plain numbers: `bellwire` shows them.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    delivery::{Progress, Work},
    time::Timestamp,
};

/// How long a message took that arrived with this attempt: from its acceptance, or the time that its publisher chose. None for a
/// retry, which waited on purpose, and for what was started by hand.
pub(crate) fn latency(work: &Work, ended_at: Timestamp) -> Option<Duration> {
    let Progress { run, tries, .. } = work.progress;
    let message = &work.message;
    let due_at = message
        .deliver_at
        .map_or(message.created_at, |at| at.max(message.created_at));
    (run == 0 && tries == 0).then(|| ended_at.since(due_at))
}

/// Upper bounds of the latency buckets, in milliseconds.
pub const LATENCY_BUCKETS_MS: [u64; 16] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
];

/// Counters since the start.
#[derive(Debug, Default)]
pub struct DeliverMetrics {
    /// Deliveries that succeeded.
    pub delivered: AtomicU64,
    /// Deliveries that were given up.
    pub exhausted: AtomicU64,
    /// Deliveries that were cancelled.
    pub cancelled: AtomicU64,
    /// Attempts that will be repeated.
    pub retried: AtomicU64,
    /// How often deliveries were read from the store.
    pub claims: AtomicU64,
    /// Deliveries that were read from there.
    pub claimed: AtomicU64,
    /// Deliveries that went back there from memory without an attempt.
    pub returned: AtomicU64,
    failed: Mutex<BTreeMap<&'static str, u64>>,
    latency: [AtomicU64; LATENCY_BUCKETS_MS.len() + 1],
    latency_sum_us: AtomicU64,
}

impl DeliverMetrics {
    /// An attempt failed for this named reason.
    pub fn attempt_failed(&self, reason: &'static str) {
        *self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(reason)
            .or_default() += 1;
    }

    /// Failed attempts by named reason.
    pub fn failed(&self) -> BTreeMap<&'static str, u64> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A message's first attempt at an endpoint was answered so long after it was accepted.
    pub fn arrived(&self, after: Duration) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BUCKETS_MS.partition_point(|bound| *bound < millis);
        self.latency[bucket].fetch_add(1, Ordering::Relaxed);
        self.latency_sum_us
            .fetch_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The latency histogram: count per bucket (the last is everything above), and the sum in seconds.
    pub fn latency(&self) -> (Vec<u64>, f64) {
        let counts = self.latency.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        (counts, self.latency_sum_us.load(Ordering::Relaxed) as f64 / 1e6)
    }

    /// Counts one up.
    pub(crate) fn up(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bellwire_core::{
        delivery::Lease,
        id::{AppId, EndpointId, Id as _, MessageId},
        message::Message,
    };

    use super::*;

    #[test]
    fn a_latency_falls_into_the_first_bucket_that_holds_it() {
        let metrics = DeliverMetrics::default();
        for millis in [0, 1, 2, 3, 400_000] {
            metrics.arrived(Duration::from_millis(millis));
        }
        let (counts, sum) = metrics.latency();
        assert_eq!(counts[..3], [2, 1, 1]);
        assert_eq!(counts.last(), Some(&1));
        assert!((sum - 400.006).abs() < 1e-9);
    }

    #[test]
    fn only_a_first_attempt_that_nobody_delayed_tells_a_latency() {
        let noon = Timestamp::from_secs(1_766_000_000);
        let after = |seconds| noon.plus(Duration::from_secs(seconds));
        let work = |run, tries, deliver_at| Work {
            message: Arc::new(Message {
                id: MessageId::from_number(1),
                app: AppId::from_number(2),
                event_type: "a".to_owned(),
                event_id: None,
                channels: Vec::new(),
                tags: Vec::new(),
                ordering_key: None,
                payload: None,
                payload_expires_at: Timestamp::MAX,
                deliver_at,
                traceparent: None,
                content_type: None,
                inbound: None,
                created_at: noon,
            }),
            endpoint: EndpointId::from_number(3),
            lease: Lease(0),
            progress: Progress {
                run,
                tries,
                ..Progress::default()
            },
            due_at: noon,
            place: None,
        };
        assert_eq!(latency(&work(0, 0, None), after(2)), Some(Duration::from_secs(2)));
        assert_eq!(
            latency(&work(0, 0, Some(after(60))), after(61)),
            Some(Duration::from_secs(1))
        );
        assert_eq!(latency(&work(0, 1, None), after(2)), None);
        assert_eq!(latency(&work(1, 0, None), after(2)), None);
    }
}
