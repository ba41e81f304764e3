//! The server's memory over time, and whether it grows.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::stage::Stage;

/// One look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at_s: f64,
    mib: f64,
}

/// Looks at the server's memory while something runs.
pub(super) async fn sample_while<T>(
    stage: &Stage<'_>,
    every: Duration,
    work: impl Future<Output = T>,
) -> (T, Vec<Sample>) {
    let started = Instant::now();
    let mut samples = Vec::new();
    let mut every = tokio::time::interval(every);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, samples),
            _ = every.tick() => samples.extend(stage.usage().map(|usage| Sample {
                at_s: started.elapsed().as_secs_f64(),
                mib: usage.rss_mib,
            })),
        }
    }
}

/// The mean of the last third over the mean of the first; `None` with too few samples to tell.
pub(super) fn flatness(samples: &[Sample]) -> Option<f64> {
    let third = samples.len() / 3;
    let mean = |part: &[Sample]| part.iter().map(|sample| sample.mib).sum::<f64>() / part.len() as f64;
    let first = mean(samples.get(..third)?);
    (third > 0 && first > 0.0).then(|| mean(&samples[samples.len() - third..]) / first)
}

/// The slope of the line that fits best.
pub(super) fn slope_mib_per_minute(samples: &[Sample]) -> Option<f64> {
    let count = samples.len() as f64;
    let mean = |get: fn(&Sample) -> f64| samples.iter().map(get).sum::<f64>() / count;
    let (mean_s, mean_mib) = (mean(|sample| sample.at_s), mean(|sample| sample.mib));
    let spread: f64 = samples.iter().map(|sample| (sample.at_s - mean_s).powi(2)).sum();
    let together: f64 = samples
        .iter()
        .map(|sample| (sample.at_s - mean_s) * (sample.mib - mean_mib))
        .sum();
    (spread > 0.0).then(|| together / spread * 60.0)
}

/// Waits until the server's memory stands still (1 % or 1 MiB over a second), `limit` at most, and answers it.
pub(super) async fn settled_mib(stage: &Stage<'_>, limit: Duration) -> Option<f64> {
    let started = Instant::now();
    let mut last = stage.usage()?.rss_mib;
    let mut quiet = 0;
    while quiet < 3 && started.elapsed() < limit {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = stage.usage()?.rss_mib;
        quiet = if (now - last).abs() <= (last / 100.0).max(1.0) {
            quiet + 1
        } else {
            0
        };
        last = now;
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(mib: impl Fn(f64) -> f64) -> Vec<Sample> {
        let at = (0..30).map(f64::from);
        at.map(|at_s| Sample { at_s, mib: mib(at_s) }).collect()
    }

    #[test]
    fn growth_is_told_from_wobbling() {
        let wobbling = samples(|at_s| 100.0 + at_s % 2.0);
        assert!((flatness(&wobbling).unwrap() - 1.0).abs() < 0.01);
        let growing = samples(|at_s| 100.0 + at_s);
        assert!(flatness(&growing).unwrap() > 1.15);
        assert!((slope_mib_per_minute(&growing).unwrap() - 60.0).abs() < 1e-6);
    }

    #[test]
    fn too_few_samples_tell_nothing() {
        assert_eq!(flatness(&samples(|_| 1.0)[..2]), None);
        assert_eq!(slope_mib_per_minute(&[]), None);
    }
}
