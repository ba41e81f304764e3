//! Which points a chart has: pure arithmetic on times.

use std::time::Duration;

use bellwire_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, problem::Problem};

/// Most points of a chart.
const POINTS_MAX: u64 = 1_000;

/// How long one point of a chart stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StatisticsPeriod")]
pub(super) enum Period {
    /// A day.
    OneDay,
    /// An hour.
    OneHour,
    /// Five minutes.
    FiveMinutes,
}

impl Period {
    pub fn seconds(self) -> u32 {
        match self {
            Self::OneDay => 86_400,
            Self::OneHour => 3_600,
            Self::FiveMinutes => 300,
        }
    }

    /// The finest that shows a span of time in a readable chart.
    fn for_span(span: Duration) -> Self {
        match span.as_secs() {
            0..=21_600 => Self::FiveMinutes,
            21_601..=604_800 => Self::OneHour,
            _ => Self::OneDay,
        }
    }
}

/// A chart's points: one number per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chart {
    pub period: Period,
    pub start: Timestamp,
    pub end: Timestamp,
    pub points: usize,
}

impl Chart {
    /// # Errors
    /// `validation_failed` when it ends before it begins, or has too many points.
    pub fn plan(
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        period: Option<Period>,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let end = to.unwrap_or(now);
        let start = from.unwrap_or_else(|| end.minus(Duration::from_secs(86_400)));
        if end < start {
            let msg = format!("it ends at {end}, before it begins at {start}; give a later date, or none for now");
            return Err(ApiError::invalid(Problem::query("endDate", msg)));
        }
        let period = period.unwrap_or_else(|| Period::for_span(end.since(start)));
        let seconds = i64::from(period.seconds());
        let start = Timestamp::from_secs(start.secs() - start.secs().rem_euclid(seconds));
        // The last period is the one in which it ends.
        let points = end
            .since(start)
            .as_micros()
            .div_ceil(u128::from(period.seconds()) * 1_000_000)
            .max(1);
        match usize::try_from(points) {
            Ok(points) if points as u64 <= POINTS_MAX => Ok(Self {
                period,
                start,
                end,
                points,
            }),
            _ => {
                let msg =
                    format!("that makes {points} numbers, at most {POINTS_MAX} are given; choose a longer period");
                Err(ApiError::invalid(Problem::query("period", msg)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn plan(from: Option<i64>, to: Option<i64>, period: Option<Period>, now: i64) -> Result<Chart, ApiError> {
        Chart::plan(
            from.map(Timestamp::from_secs),
            to.map(Timestamp::from_secs),
            period,
            Timestamp::from_secs(now),
        )
    }

    #[test]
    fn without_dates_a_chart_is_the_last_day_by_the_hour() {
        let chart = plan(None, None, None, 10 * DAY + 1_800).unwrap();
        let expected = Chart {
            period: Period::OneHour,
            start: Timestamp::from_secs(9 * DAY),
            end: Timestamp::from_secs(10 * DAY + 1_800),
            points: 25,
        };
        assert_eq!(chart, expected);
    }

    #[test]
    fn the_period_follows_the_span_unless_it_is_given() {
        let period = |span, given| plan(Some(DAY), Some(DAY + span), given, 0).unwrap().period;
        assert_eq!(period(3_600, None), Period::FiveMinutes);
        assert_eq!(period(7 * DAY, None), Period::OneHour);
        assert_eq!(period(7 * DAY + 1, None), Period::OneDay);
        assert_eq!(period(3_600, Some(Period::OneDay)), Period::OneDay);
    }

    #[test]
    fn a_chart_has_whole_periods_that_cover_its_end_and_no_more() {
        let points = |to| {
            plan(Some(DAY + 10), Some(to), Some(Period::FiveMinutes), 0)
                .unwrap()
                .points
        };
        assert_eq!((points(DAY + 10), points(DAY + 300), points(DAY + 301)), (1, 1, 2));
    }

    #[test]
    fn impossible_and_endless_charts_are_refused() {
        assert_eq!(plan(Some(DAY), Some(0), None, 0).unwrap_err().code().status, 422);
        assert_eq!(
            plan(Some(0), Some(30 * DAY), Some(Period::FiveMinutes), 0)
                .unwrap_err()
                .code()
                .status,
            422
        );
        assert!(plan(Some(0), Some(3 * DAY), Some(Period::FiveMinutes), 0).is_ok());
    }
}
