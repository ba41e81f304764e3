//! Charts, drawn as SVG on the server.
//!
//! Colours are not in them: each is drawn with an ink, a colour that stands for a role, and the style sheet says what the role looks
//! like by day and by night. A chart says in words what it shows; the numbers are in a table beside it.

use bellwire_core::time::Timestamp;
use plotters::{
    coord::Shift,
    prelude::{ChartBuilder, DrawingArea, IntoDrawingArea as _, IntoFont as _, LineSeries, RGBColor, SVGBackend},
    series::AreaSeries,
    style::{Color as _, ShapeStyle, TextStyle},
};

use crate::{
    read::series::{Percentiles, Point, Series},
    words,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Inks: the style sheet knows them by their hexadecimal form (`#000001`).
const GOOD: RGBColor = RGBColor(0, 0, 1);
const BAD: RGBColor = RGBColor(0, 0, 2);
const FIRST: RGBColor = RGBColor(0, 0, 3);
const SECOND: RGBColor = RGBColor(0, 0, 4);
const THIRD: RGBColor = RGBColor(0, 0, 5);
const TEXT: RGBColor = RGBColor(0, 0, 6);
const GRID: RGBColor = RGBColor(0, 0, 7);

const WIDTH: u32 = 500;
const HEIGHT: u32 = 165;
const SPARK: (u32, u32) = (120, 24);

/// A picture and what it says.
pub(crate) struct Chart {
    pub svg: String,
    pub title: &'static str,
    /// What it shows, for who does not see it.
    pub words: String,
    /// The class of each line's key, and its word.
    pub keys: &'static [(&'static str, &'static str)],
}

/// A line as small as a word.
pub(crate) struct Sparkline {
    pub svg: String,
    pub words: String,
}

/// The charts of a series, and a table of the same.
pub(crate) struct Charts {
    pub charts: Vec<Chart>,
    pub rows: Vec<Row>,
    /// Whether everything was counted.
    pub exact: bool,
}

/// Some steps of the series, as text.
pub(crate) struct Row {
    pub at: String,
    pub attempts: String,
    pub failed: String,
    pub share: String,
    pub answer: String,
    pub lag: String,
}

/// Throughput, success, answers and our own share of the time.
pub(crate) fn charts(series: &Series) -> Charts {
    let total = &series.total;
    let throughput = lines(
        series,
        &[
            (GOOD, &|point: &Point| Some(as_float(point.succeeded))),
            (BAD, &|point: &Point| Some(as_float(point.failed))),
        ],
        &|value| words::number(value.max(0.0).round() as u64),
        None,
    );
    let success = lines(
        series,
        &[(GOOD, &|point: &Point| {
            (point.attempts > 0).then(|| as_float(point.succeeded) * 100.0 / as_float(point.attempts))
        })],
        &|value| format!("{value:.0} %"),
        Some(100.0),
    );
    let times = |of: fn(&Point) -> Option<Percentiles>| {
        lines(
            series,
            &[
                (FIRST, &move |point: &Point| of(point).map(|times| times.p50)),
                (SECOND, &move |point: &Point| of(point).map(|times| times.p95)),
                (THIRD, &move |point: &Point| of(point).map(|times| times.p99)),
            ],
            &|value| words::millis(value),
            None,
        )
    };
    let percentiles: &[(&str, &str)] = &[("first", "p50"), ("second", "p95"), ("third", "p99")];
    let charts = vec![
        Chart {
            svg: throughput,
            title: "Attempts",
            words: format!(
                "{}, of which {} failed",
                words::count(total.attempts, "attempt"),
                words::number(total.failed)
            ),
            keys: &[("good", "succeeded"), ("bad", "failed")],
        },
        Chart {
            svg: success,
            title: "Success rate",
            words: format!("{} succeeded", words::share(total.succeeded, total.attempts)),
            keys: &[("good", "succeeded")],
        },
        Chart {
            svg: times(|point| point.answer_ms),
            title: "Receivers answer after",
            words: told(total.answer_ms),
            keys: percentiles,
        },
        Chart {
            svg: times(|point| point.lag_ms),
            title: "We begin after",
            words: told(total.lag_ms),
            keys: percentiles,
        },
    ];
    Charts {
        charts,
        rows: rows(series),
        exact: series.exact,
    }
}

fn told(times: Option<Percentiles>) -> String {
    match times {
        None => "nothing was attempted".to_owned(),
        Some(Percentiles { p50, p95, p99 }) => format!(
            "half within {}, 95 % within {}, 99 % within {}",
            words::millis(p50),
            words::millis(p95),
            words::millis(p99)
        ),
    }
}

/// The steps in which something happened, at most so many.
fn rows(series: &Series) -> Vec<Row> {
    const ROWS: usize = 48;
    let p95 = |times: Option<Percentiles>| times.map_or("–".to_owned(), |times| words::millis(times.p95));
    let busy = series.points.iter().rev().filter(|point| point.attempts > 0);
    busy.take(ROWS)
        .map(|point| Row {
            at: point.at.map(words::clock).unwrap_or_default(),
            attempts: words::number(point.attempts),
            failed: words::number(point.failed),
            share: words::share(point.succeeded, point.attempts),
            answer: p95(point.answer_ms),
            lag: p95(point.lag_ms),
        })
        .collect()
}

/// How an endpoint fared, as small as a word: successes above, failures in their own ink.
pub(crate) fn spark(series: &Series) -> Sparkline {
    let mut svg = String::new();
    // A picture that cannot be drawn is left out: the words beside it say the same.
    if draw_spark(&mut svg, series).is_err() {
        svg.clear();
    }
    let total = &series.total;
    Sparkline {
        svg: inked(svg),
        words: match total.attempts {
            0 => "nothing was attempted".to_owned(),
            attempts => format!(
                "{} of {} succeeded",
                words::share(total.succeeded, attempts),
                words::count(attempts, "attempt")
            ),
        },
    }
}

fn draw_spark(svg: &mut String, series: &Series) -> Drawn {
    let area: Area<'_> = SVGBackend::with_string(svg, SPARK).into_drawing_area();
    let most = series
        .points
        .iter()
        .map(|point| point.attempts)
        .max()
        .unwrap_or(0)
        .max(1);
    let last = series.points.len().saturating_sub(1).max(1);
    let mut chart = ChartBuilder::on(&area)
        .margin(1)
        .build_cartesian_2d(0.0..as_float(last as u64), 0.0..as_float(most))?;
    let line = |of: fn(&Point) -> u64| {
        let points = series.points.iter().enumerate();
        points
            .map(|(at, point)| (as_float(at as u64), as_float(of(point))))
            .collect::<Vec<_>>()
    };
    chart.draw_series(AreaSeries::new(line(|point| point.succeeded), 0.0, GOOD.mix(0.15)).border_style(GOOD))?;
    if series.total.failed > 0 {
        chart.draw_series(LineSeries::new(line(|point| point.failed), BAD.stroke_width(2)))?;
    }
    drop(chart);
    area.present()?;
    Ok(())
}

/// What a line shows of a step: nothing where there was nothing to see.
type Value<'a> = &'a dyn Fn(&Point) -> Option<f64>;

fn lines(series: &Series, lines: &[(RGBColor, Value<'_>)], shown: &dyn Fn(f64) -> String, most: Option<f64>) -> String {
    let mut svg = String::new();
    if draw(&mut svg, series, lines, shown, most).is_err() {
        svg.clear();
    }
    inked(svg)
}

fn draw(
    svg: &mut String,
    series: &Series,
    lines: &[(RGBColor, Value<'_>)],
    shown: &dyn Fn(f64) -> String,
    most: Option<f64>,
) -> Drawn {
    let area: Area<'_> = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let values = lines
        .iter()
        .flat_map(|(_, value)| series.points.iter().filter_map(*value));
    let most = most.unwrap_or_else(|| nice(values.fold(0.0, f64::max)));
    let (since, until) = (series.since.secs(), series.until.secs().max(series.since.secs() + 1));
    let text: TextStyle<'_> = ("sans-serif", 12).into_font().color(&TEXT);
    let mut chart = ChartBuilder::on(&area)
        .margin(6)
        .margin_right(16)
        .x_label_area_size(22)
        .y_label_area_size(52)
        .build_cartesian_2d(since..until, 0.0..most)?;
    let days = until - since > 2 * 86_400;
    let time = |at: &i64| moment(Timestamp::from_secs(*at), days);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(ShapeStyle::from(&GRID.mix(0.0)))
        .bold_line_style(ShapeStyle::from(&GRID))
        .axis_style(ShapeStyle::from(&GRID))
        .label_style(text)
        .x_labels(6)
        .y_labels(4)
        .x_label_formatter(&time)
        .y_label_formatter(&|value| shown(*value))
        .draw()?;
    for (ink, value) in lines {
        for stretch in stretches(series, *value) {
            // A line of one point is no line.
            let point = if stretch.len() == 1 { 3 } else { 0 };
            chart.draw_series(LineSeries::new(stretch, ink.stroke_width(2)).point_size(point))?;
        }
    }
    drop(chart);
    area.present()?;
    Ok(())
}

/// The points of a line, apart where there is nothing in between.
fn stretches(series: &Series, value: Value<'_>) -> Vec<Vec<(i64, f64)>> {
    let mut stretches = vec![Vec::new()];
    for point in &series.points {
        match (point.at, value(point)) {
            (Some(at), Some(value)) => {
                if let Some(stretch) = stretches.last_mut() {
                    stretch.push((at.secs(), value));
                }
            }
            _ => stretches.push(Vec::new()),
        }
    }
    let step = (series.until.secs() - series.since.secs()) / i64::try_from(series.points.len().max(1)).unwrap_or(1);
    for stretch in &mut stretches {
        // A point stands for the whole step that begins there, and alone it has no length.
        if let Some((at, value)) = stretch.last().copied() {
            stretch.push(((at + step.max(1)).min(series.until.secs()), value));
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// The end of an axis: a round number at or above the largest value.
fn nice(largest: f64) -> f64 {
    if largest <= 0.0 {
        return 1.0;
    }
    let step = 10_f64.powf(largest.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].iter().map(|by| by * step);
    round.into_iter().find(|end| *end >= largest).unwrap_or(largest)
}

fn moment(at: Timestamp, days: bool) -> String {
    let text = words::clock(at);
    let part = if days { text.get(5..10) } else { text.get(11..16) };
    part.unwrap_or_default().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "a picture is drawn to a pixel")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// A picture that fits its place, and that a screen reader passes over: the words beside it say what it shows.
fn inked(svg: String) -> String {
    svg.replacen("<svg ", "<svg aria-hidden=\"true\" focusable=\"false\" ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(u64, u64)]) -> Series {
        let start = Timestamp::from_secs(1_766_000_000);
        let at = |index: usize| start.plus(std::time::Duration::from_secs(60 * index as u64));
        let times = |ms: f64| Percentiles {
            p50: ms,
            p95: ms * 2.0,
            p99: ms * 3.0,
        };
        let points: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(index, (succeeded, failed))| Point {
                at: Some(at(index)),
                attempts: succeeded + failed,
                succeeded: *succeeded,
                failed: *failed,
                answer_ms: (succeeded + failed > 0).then(|| times(12.0)),
                lag_ms: None,
            })
            .collect();
        let total = Point {
            attempts: points.iter().map(|point| point.attempts).sum(),
            failed: points.iter().map(|point| point.failed).sum(),
            succeeded: points.iter().map(|point| point.succeeded).sum(),
            ..Point::default()
        };
        Series {
            since: start,
            until: at(points.len()),
            exact: true,
            points,
            total,
            queue: None,
            slowness: None,
        }
    }

    #[test]
    fn a_chart_carries_inks_and_neither_styles_nor_scripts() {
        let drawn = charts(&series(&[(5, 0), (3, 2), (0, 0), (9, 0)]));
        assert_eq!(drawn.charts.len(), 4);
        for chart in &drawn.charts {
            assert!(chart.svg.starts_with("<svg aria-hidden"), "{}", chart.svg);
            assert!(
                !chart.svg.contains("style=") && !chart.svg.contains("<script"),
                "{}",
                chart.svg
            );
        }
        assert!(drawn.charts[0].svg.contains("#000001") && drawn.charts[0].svg.contains("#000002"));
        assert_eq!(drawn.charts[0].words, "19 attempts, of which 2 failed");
        assert_eq!(drawn.rows.len(), 3);
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        let drawn = charts(&series(&[]));
        assert!(drawn.charts.iter().all(|chart| !chart.svg.is_empty()));
        assert_eq!(spark(&series(&[(0, 0)])).words, "nothing was attempted");
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        assert_eq!(
            [0.0, 0.7, 3.0, 21.0, 100.0, 101.0].map(nice),
            [1.0, 1.0, 5.0, 25.0, 100.0, 200.0]
        );
    }

    #[test]
    fn a_line_is_broken_where_there_is_nothing() {
        let series = series(&[(1, 0), (2, 0), (0, 0), (4, 0)]);
        let value: Value<'_> = &|point| (point.attempts > 0).then_some(1.0);
        let lengths: Vec<_> = stretches(&series, value).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 2]);
    }
}
