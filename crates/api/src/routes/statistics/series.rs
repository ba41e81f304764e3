//! `GET /api/v1/stats/series`: how attempts went over time, for charts, and whether it is slow because of us or of them.
//!
//! What is counted is bounded however much there is: see [`bellwire_store::survey`]. What numbers mean is decided in pure
//! functions here.

use std::time::Duration;

use bellwire_core::{id::EndpointId, time::Timestamp};
use bellwire_store::{
    directory::EndpointEntry,
    survey::{Sample, SampleQuery, Timing},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::scope::{Scoped, scope},
    slowness::{Slowness, SlownessOut},
};
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::Time,
    operation::{Operation, get},
    problem::Problem,
};

/// How far back it goes when nothing is asked.
const SPAN_DEFAULT: Duration = Duration::from_secs(86_400);
/// Points of a chart when nothing is asked.
const POINTS_DEFAULT: usize = 60;
const POINTS_MAX: u64 = 200;
/// Attempts that one answer counts at most, about.
const COUNTED_MAX: usize = 100_000;
/// Attempts that one answer times at most, about.
const TIMED_MAX: usize = 3_000;
/// A point is counted in so many pieces, so that what is projected is near what was counted.
const PIECES: usize = 2;
/// Pieces of one answer, of all endpoints: each costs a look-up.
const LOOKUPS_MAX: usize = 3_000;
/// Endpoints whose backlog is looked at one by one for the time of the oldest.
const BACKLOGS_MAX: usize = 200;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/stats/series", "stats.series", Access::READ_APP)
            .summary("How attempts went over time")
            .about(
                "Throughput, success, how long receivers took and how late we were, one point after the other; without dates the \
                 last day. An attempt belongs to the time at which it was over. What would take too long to count is \
                 counted in part and projected: `exact` is false then.",
            )
            .to(series),
    ]
}

/// Which attempts, and when.
#[derive(Debug, Deserialize, JsonSchema)]
struct SeriesQuery {
    /// Of this application: its id or uid. All when left out.
    app: Option<String>,
    /// At this endpoint: its id, or its uid beside `app`.
    endpoint: Option<String>,
    /// From then on; a day ago when left out.
    since: Option<Time>,
    /// Until then; now when left out.
    until: Option<Time>,
    /// Into how many points the span is divided: 1 to 200, 60 when left out.
    #[schemars(range(min = 1, max = 200))]
    points: Option<u64>,
}

/// Attempts over time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SeriesOut {
    #[schemars(with = "Time")]
    since: Timestamp,
    #[schemars(with = "Time")]
    until: Timestamp,
    /// How long one point stands for.
    bucket_ms: u64,
    /// Whether everything was counted.
    exact: bool,
    /// One after the other, those without attempts included.
    points: Vec<PointOut>,
    /// The whole span.
    total: PointOut,
    queue: QueueOut,
    slowness: SlownessOut,
}

/// Attempts of one span of time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SeriesPointOut")]
struct PointOut {
    /// Where it begins.
    #[schemars(with = "Time")]
    at: Timestamp,
    attempts: u64,
    succeeded: u64,
    failed: u64,
    /// From 0 to 1; null without attempts.
    success_rate: Option<f64>,
    /// How long attempts took: the receiver's part. Null without any.
    answer_ms: Option<PercentilesOut>,
    /// From when a message was accepted (or was to be delivered) until its first attempt began: our part.
    lag_ms: Option<PercentilesOut>,
    /// Of how many attempts the times are.
    sampled: usize,
    /// Whether all attempts were counted.
    exact: bool,
}

/// Milliseconds that half, 95 % and 99 % of attempts did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PercentilesOut")]
pub(super) struct PercentilesOut {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// What waits now.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SeriesQueueOut")]
struct QueueOut {
    /// Deliveries that wait in the store.
    waiting: u64,
    /// Deliveries being attempted.
    in_flight: u64,
    /// When the one that waits longest was due, or when the next one is; null also when there are too many endpoints to ask.
    #[schemars(with = "Option<Time>")]
    oldest_due: Option<Timestamp>,
    /// For how many seconds it has been due.
    oldest_age_seconds: u64,
}

async fn series(Call { cx, query, .. }: Call<SeriesQuery>) -> Result<Reply<SeriesOut>, ApiError> {
    let scoped = scope(&cx, query.app.as_deref(), query.endpoint.as_deref())?;
    let now = cx.server.directory.now();
    let asked = Asked::plan(query.since, query.until, query.points, now)?;
    let endpoints = scoped.endpoint_ids();
    let pieces = asked.query(endpoints.clone());
    let per_point = pieces.n / asked.points;
    let samples = cx.server.store.sample_attempts(pieces).await?;
    let points: Vec<Sample> = samples.chunks(per_point.max(1)).map(joined).collect();
    let total = joined(&points);
    let slowness = Slowness::of(&total.timings).out();
    Reply::ok(&SeriesOut {
        since: asked.since,
        until: asked.until,
        bucket_ms: u64::try_from(asked.bucket.as_millis()).unwrap_or(u64::MAX),
        exact: !total.projected,
        points: points
            .iter()
            .enumerate()
            .map(|(at, sample)| point(asked.begin(at), sample))
            .collect(),
        total: point(asked.since, &total),
        queue: queue(&cx, &scoped, now).await?,
        slowness,
    })
}

/// A span and its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    since: Timestamp,
    until: Timestamp,
    bucket: Duration,
    points: usize,
}

impl Asked {
    /// # Errors
    /// `validation_failed`.
    fn plan(since: Option<Time>, until: Option<Time>, points: Option<u64>, now: Timestamp) -> Result<Self, ApiError> {
        let until = until.map_or(now, |Time(until)| until);
        let since = since.map_or(until.minus(SPAN_DEFAULT), |Time(since)| since);
        if since >= until {
            let msg = format!("it ends at {until}, not after it begins at {since}; give a later time, or none for now");
            return Err(ApiError::invalid(Problem::query("until", msg)));
        }
        let points = match points {
            None => POINTS_DEFAULT,
            Some(points @ 1..=POINTS_MAX) => points as usize,
            Some(points) => {
                let msg = format!("{points} is out of bounds; ask for 1 to {POINTS_MAX}");
                return Err(ApiError::invalid(Problem::query("points", msg)));
            }
        };
        // Ids are exact to the millisecond, and so are the points; the last one covers the end.
        let millis = until.since(since).as_millis().div_ceil(points as u128).max(1);
        let pieces = PIECES as u128;
        let millis = millis.div_ceil(pieces) * pieces;
        Ok(Self {
            since,
            until,
            bucket: Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)),
            points,
        })
    }

    fn begin(self, point: usize) -> Timestamp {
        let offset = self.bucket * u32::try_from(point).unwrap_or(u32::MAX);
        self.since.plus(offset)
    }

    /// What is asked of the store: pieces of points, as many as the endpoints allow.
    fn query(self, endpoints: Vec<EndpointId>) -> SampleQuery {
        let each = endpoints.len().max(1);
        let pieces = match self.points * PIECES * each <= LOOKUPS_MAX {
            true => PIECES,
            false => 1,
        };
        let n = self.points * pieces;
        SampleQuery {
            endpoints,
            since: self.since,
            width: self.bucket / pieces as u32,
            n,
            counted: (COUNTED_MAX / (n * each)).max(50),
            timed: (TIMED_MAX / (n * each)).max(1),
        }
    }
}

/// Spans that follow each other, as one.
fn joined(samples: &[Sample]) -> Sample {
    let mut joined = Sample::default();
    for sample in samples {
        joined.attempts += sample.attempts;
        joined.failed += sample.failed;
        joined.projected |= sample.projected;
        joined.timings.extend_from_slice(&sample.timings);
    }
    joined
}

fn point(at: Timestamp, sample: &Sample) -> PointOut {
    let succeeded = sample.attempts.saturating_sub(sample.failed);
    let lags = sample.timings.iter().filter_map(|timing| timing.lag);
    PointOut {
        at,
        attempts: sample.attempts,
        succeeded,
        failed: sample.failed,
        success_rate: (sample.attempts > 0).then(|| succeeded as f64 / sample.attempts as f64),
        answer_ms: percentiles(sample.timings.iter().map(|timing: &Timing| timing.answer)),
        lag_ms: percentiles(lags),
        sampled: sample.timings.len(),
        exact: !sample.projected,
    }
}

/// The percentiles of some spans of time, by the nearest rank; `None` of none.
pub(super) fn percentiles(spans: impl Iterator<Item = Duration>) -> Option<PercentilesOut> {
    let mut spans: Vec<Duration> = spans.collect();
    spans.sort_unstable();
    let at = |percent: usize| {
        let rank = (spans.len() * percent).div_ceil(100).max(1);
        spans.get(rank - 1).map(|span| (span.as_secs_f64() * 1e6).round() / 1e3)
    };
    Some(PercentilesOut {
        p50: at(50)?,
        p95: at(95)?,
        p99: at(99)?,
    })
}

async fn queue(cx: &Context, scoped: &Scoped, now: Timestamp) -> Result<QueueOut, ApiError> {
    let mut oldest_due = None;
    let waits = |entry: &&std::sync::Arc<EndpointEntry>| entry.lane.waiting() > 0;
    let waiting: Vec<_> = scoped.endpoints.iter().filter(waits).collect();
    if waiting.len() <= BACKLOGS_MAX {
        for entry in waiting {
            let backlog = cx.server.store.backlog(entry.endpoint.id).await?;
            oldest_due = [oldest_due, backlog.oldest_due].into_iter().flatten().min();
        }
    }
    Ok(QueueOut {
        waiting: scoped.endpoints.iter().map(|entry| entry.lane.waiting()).sum(),
        in_flight: scoped
            .endpoints
            .iter()
            .map(|entry| u64::from(entry.lane.in_flight()))
            .sum(),
        oldest_due,
        oldest_age_seconds: oldest_due.map_or(0, |at| now.since(at).as_secs()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn millis(all: &[u64]) -> Vec<Duration> {
        all.iter().map(|n| Duration::from_millis(*n)).collect()
    }

    #[test]
    fn without_dates_it_is_the_last_day_in_sixty_points_that_cover_it() {
        let asked = Asked::plan(None, None, None, NOW).unwrap();
        assert_eq!((asked.points, asked.bucket), (60, Duration::from_secs(1_440)));
        assert_eq!(asked.begin(0), NOW.minus(SPAN_DEFAULT));
        assert!(asked.begin(60) >= NOW);
    }

    #[test]
    fn a_span_that_ends_before_it_begins_and_too_many_points_are_refused() {
        let status = |since, until, points| {
            let time = |at: Option<Timestamp>| at.map(Time);
            Asked::plan(time(since), time(until), points, NOW)
                .unwrap_err()
                .code()
                .status
        };
        assert_eq!(status(Some(NOW), Some(NOW), None), 422);
        assert_eq!(status(None, None, Some(0)), 422);
        assert_eq!(status(None, None, Some(201)), 422);
    }

    #[test]
    fn what_is_asked_of_the_store_is_bounded_however_many_endpoints_there_are() {
        let asked = Asked::plan(None, None, None, NOW).unwrap();
        for n in [0, 1, 50, 1_000] {
            let query = asked.query(vec![bellwire_core::id::Id::from_number(1); n]);
            assert_eq!(query.width * u32::try_from(query.n).unwrap(), asked.bucket * 60);
            assert!(query.n * n * query.timed <= TIMED_MAX.max(60 * n), "{n}");
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        let found = percentiles(millis(&hundred).into_iter()).unwrap();
        assert_eq!((found.p50, found.p95, found.p99), (50.0, 95.0, 99.0));
        let one = percentiles(millis(&[7]).into_iter()).unwrap();
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(percentiles(std::iter::empty()), None);
    }

    #[test]
    fn a_point_without_attempts_has_no_rate() {
        let empty = point(NOW, &Sample::default());
        assert_eq!((empty.attempts, empty.success_rate, empty.exact), (0, None, true));
        let sample = Sample {
            attempts: 4,
            failed: 1,
            ..Sample::default()
        };
        assert_eq!(point(NOW, &sample).success_rate, Some(0.75));
    }
}
