//! Latencies in microseconds, kept as a histogram with three significant digits.

use hdrhistogram::Histogram;
use serde::Serialize;

/// A histogram of latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u32>,
}

impl Latency {
    /// An empty histogram that grows with what it is given.
    ///
    /// # Errors
    /// Only if the histogram cannot be made at all, which three digits never cause.
    pub fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new(3).map_err(|e| anyhow::anyhow!("cannot make a histogram: {e}"))?;
        Ok(Self { histogram })
    }

    /// Counts one latency. What cannot be held (the histogram cannot grow) saturates.
    pub fn record(&mut self, us: u64) {
        if self.histogram.record(us).is_err() {
            self.histogram.saturating_record(us);
        }
    }

    /// Adds everything the other has counted.
    pub fn merge(&mut self, other: &Latency) {
        // Cannot fail: the histogram resizes itself. A failure would only leave samples out of the percentiles.
        let _ = self.histogram.add(&other.histogram);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The percentiles that the report shows; `None` when nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!self.histogram.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: self.histogram.max() as f64 / 1e3,
        })
    }
}

/// Percentiles of a latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are at or below.
    pub p50: f64,
    /// Nine in ten are at or below.
    pub p90: f64,
    /// 99 in 100 are at or below.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds_of_all_merged_samples() {
        let mut low = Latency::new().unwrap();
        let mut high = low.clone();
        for us in 1..=90 {
            low.record(us * 10);
        }
        for _ in 0..10 {
            high.record(50_000);
        }
        low.merge(&high);
        let p = low.percentiles().unwrap();
        assert_eq!(low.count(), 100);
        assert_eq!((p.p50, p.p90), (0.5, 0.9));
        assert!((p.p99 - 50.0).abs() < 0.1, "{p:?}");
        assert!((p.max - 50.0).abs() < 0.1, "{p:?}");
    }

    #[test]
    fn nothing_counted_has_no_percentiles() {
        let mut latency = Latency::new().unwrap();
        latency.record(7);
        latency.clear();
        assert_eq!(latency.percentiles(), None);
    }
}
