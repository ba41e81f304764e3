//! What a benchmark answers: figures for each scenario, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::args::{BenchArgs, Down, Scenario};
use crate::comparison::Comparison;
use crate::latency::Percentiles;
use crate::machine::Machine;
use crate::process::CpuPer1000;
use crate::verdict::{Aim, Verdict};

/// Everything that was measured, and on what.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// How it was measured.
    pub settings: Settings,
    /// One entry for each scenario, in the order asked for; with `--against`, one for each binary.
    pub scenarios: Vec<ScenarioReport>,
    /// With `--against`: this binary's figures over the other's.
    pub comparisons: Vec<Comparison>,
}

/// The options that shape the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The running server that was measured, or `None` when the bench started one for each round.
    pub target: Option<String>,
    /// Where the servers that were started kept everything: `embedded`, `postgres` (one of the bench's own) or `given`.
    pub store: &'static str,
    /// How many servers were started on one store.
    pub nodes: usize,
    /// Size of each payload in bytes.
    pub payload_bytes: usize,
    /// Connections that published.
    pub connections: usize,
    /// Length of each measurement in seconds, unless `messages` is set.
    pub seconds: f64,
    /// Messages of each measurement.
    pub messages: Option<u64>,
    /// Whether everything was small.
    pub quick: bool,
    /// How receivers were down.
    pub down: Down,
}

impl Settings {
    pub(crate) fn of(args: &BenchArgs) -> Self {
        Self {
            target: args.target.clone(),
            store: match (args.postgres, &args.store) {
                (true, _) => "postgres",
                (false, Some(_)) => "given",
                (false, None) => "embedded",
            },
            nodes: args.nodes,
            payload_bytes: args.payload_bytes,
            connections: args.connections,
            seconds: args.seconds(),
            messages: args.messages,
            quick: args.load.quick,
            down: args.down,
        }
    }
}

/// One scenario.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioReport {
    /// Which one.
    pub scenario: Scenario,
    /// Whether it is the binary of `--against` that was measured.
    pub against: bool,
    /// Medians over the rounds, each figure for itself; counts of what went wrong are sums.
    pub median: Figures,
    /// The rounds.
    pub rounds: Vec<Figures>,
}

/// What one round measured. `None` is 'not measured', never zero.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Messages acknowledged.
    pub published: u64,
    /// Acknowledged messages per second.
    pub publishes_per_s: f64,
    /// Deliveries that arrived (message × endpoint).
    pub deliveries: u64,
    /// Deliveries divided by the time from the first publish to the last arrival.
    pub deliveries_per_s: Option<f64>,
    /// Publish → acknowledgement, milliseconds.
    pub ack_ms: Option<Percentiles>,
    /// Publish → arrival, milliseconds.
    pub arrival_ms: Option<Percentiles>,
    /// CPU seconds per 1,000 deliveries.
    pub cpu_s_per_1000: CpuPer1000,
    /// The server's memory before the load, MiB.
    pub rss_idle_mib: Option<f64>,
    /// The server's memory after the load, MiB.
    pub rss_mib: Option<f64>,
    /// The server's peak memory, MiB.
    pub rss_peak_mib: Option<f64>,
    /// Deliveries of acknowledged messages that did not arrive in the time allowed.
    pub missing: Option<u64>,
    /// Arrivals beyond the first.
    pub duplicates: u64,
    /// Answers 429 and 503.
    pub refused: u64,
    /// Broken connections and answers of 500 and above.
    pub errors: u64,
    /// Figures of this scenario alone.
    pub extra: BTreeMap<&'static str, f64>,
    /// The scenario's aims, and whether they were reached.
    pub verdicts: Vec<Verdict>,
    /// What a reader should know about this round.
    pub notes: Vec<String>,
}

impl Figures {
    /// Holds a figure against its aim.
    pub(crate) fn judge(&mut self, what: &'static str, value: Option<f64>, aim: Aim) {
        self.verdicts.push(Verdict::of(what, value, aim));
    }

    /// Notes a figure of the scenario's own, where there is one.
    pub(crate) fn note_extra(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.extra.insert(name, value);
        }
    }
}

impl ScenarioReport {
    pub(crate) fn of(scenario: Scenario, against: bool, rounds: Vec<Figures>) -> Self {
        Self {
            scenario,
            against,
            median: median_of(&rounds),
            rounds,
        }
    }

    fn label(&self) -> String {
        match self.against {
            true => format!("{} (against)", self.scenario),
            false => self.scenario.to_string(),
        }
    }
}

impl Report {
    /// The report as indented JSON.
    ///
    /// # Errors
    /// When a figure cannot be written as JSON, which does not happen.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

fn median_of(rounds: &[Figures]) -> Figures {
    let of = |get: &dyn Fn(&Figures) -> Option<f64>| median(rounds.iter().filter_map(get).collect());
    let count = |get: fn(&Figures) -> u64| of(&|f| Some(get(f) as f64)).map_or(0, |value| value.round() as u64);
    let sum = |get: fn(&Figures) -> u64| rounds.iter().map(get).sum();
    let percentiles = |get: fn(&Figures) -> Option<Percentiles>| {
        Some(Percentiles {
            p50: of(&|f| Some(get(f)?.p50))?,
            p90: of(&|f| Some(get(f)?.p90))?,
            p99: of(&|f| Some(get(f)?.p99))?,
            max: of(&|f| Some(get(f)?.max))?,
        })
    };
    let mut notes: Vec<String> = Vec::new();
    for note in rounds.iter().flat_map(|round| &round.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let names = rounds.iter().flat_map(|round| round.extra.keys().copied());
    let extra = names
        .filter_map(|name| Some((name, of(&|f| f.extra.get(name).copied())?)))
        .collect();
    let first = rounds.first().map_or(&[][..], |round| &round.verdicts);
    let verdicts = first.iter().map(|verdict| {
        let values = rounds.iter().flat_map(|round| &round.verdicts);
        let values: Option<Vec<f64>> = values.filter(|v| v.what == verdict.what).map(|v| v.value).collect();
        Verdict::of(verdict.what, values.and_then(median), verdict.aim)
    });
    Figures {
        verdicts: verdicts.collect(),
        published: count(|f| f.published),
        publishes_per_s: of(&|f| Some(f.publishes_per_s)).unwrap_or(0.0),
        deliveries: count(|f| f.deliveries),
        deliveries_per_s: of(&|f| f.deliveries_per_s),
        ack_ms: percentiles(|f| f.ack_ms),
        arrival_ms: percentiles(|f| f.arrival_ms),
        cpu_s_per_1000: CpuPer1000 {
            server: of(&|f| f.cpu_s_per_1000.server),
            database: of(&|f| f.cpu_s_per_1000.database),
            bench: of(&|f| f.cpu_s_per_1000.bench),
            total: of(&|f| f.cpu_s_per_1000.total),
        },
        rss_idle_mib: of(&|f| f.rss_idle_mib),
        rss_mib: of(&|f| f.rss_mib),
        rss_peak_mib: of(&|f| f.rss_peak_mib),
        missing: rounds.iter().filter_map(|f| f.missing).reduce(|a, b| a + b),
        duplicates: sum(|f| f.duplicates),
        refused: sum(|f| f.refused),
        errors: sum(|f| f.errors),
        extra,
        notes,
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    match values.len() % 2 {
        0 => Some((values.get(middle - 1)? + upper) / 2.0),
        _ => Some(upper),
    }
}

const COLUMNS: [&str; 10] = [
    "scenario",
    "publishes/s",
    "deliveries/s",
    "ack p50/p99 ms",
    "arrival p50/p90/p99/max ms",
    "CPU s/1,000 server/[database/]bench/total",
    "RSS idle/end/peak MiB",
    "missing/dup",
    "refused/errors",
    "aims",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        writeln!(
            f,
            "{} cores, {}, Linux {}",
            machine.cores,
            or_unknown(&machine.cpu),
            or_unknown(&machine.kernel)
        )?;
        let settings = &self.settings;
        match &settings.target {
            Some(url) => write!(f, "server {url}")?,
            None => {
                let fsync = machine
                    .fsync_ms
                    .map_or("unknown".to_owned(), |ms| format!("{ms:.2} ms"));
                let kind = or_unknown(&machine.data_file_system);
                match (settings.store, settings.nodes) {
                    ("embedded", _) => write!(f, "a fresh server each round")?,
                    ("postgres", 1) => write!(f, "a fresh server each round, in a PostgreSQL of the bench's own")?,
                    ("postgres", nodes) => write!(
                        f,
                        "{nodes} fresh servers each round, in a PostgreSQL of the bench's own"
                    )?,
                    (_, nodes) => write!(f, "fresh servers each round ({nodes}), in a given PostgreSQL")?,
                }
                write!(f, " on {kind}, one fsync {fsync}")?;
            }
        }
        writeln!(
            f,
            "; load and receiver on the same cores; {} bytes of payload; {} connections; medians of the rounds{}",
            settings.payload_bytes,
            settings.connections,
            if settings.quick {
                "; quick: look at ratios only"
            } else {
                ""
            }
        )?;
        writeln!(f)?;
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        rows.extend(self.scenarios.iter().map(row));
        write_table(f, &rows)?;
        for scenario in &self.scenarios {
            let label = scenario.label();
            for (name, value) in &scenario.median.extra {
                writeln!(f, "{label}: {name} {}", short(*value))?;
            }
            for verdict in &scenario.median.verdicts {
                writeln!(f, "{label}: {verdict}")?;
            }
            for note in &scenario.median.notes {
                writeln!(f, "{label}: {note}")?;
            }
        }
        self.comparisons
            .iter()
            .try_for_each(|comparison| writeln!(f, "{comparison}"))
    }
}

fn row(report: &ScenarioReport) -> [String; COLUMNS.len()] {
    let figures = &report.median;
    let option = |value: Option<f64>| value.map_or("n/a".to_owned(), short);
    let memory = [figures.rss_idle_mib, figures.rss_mib, figures.rss_peak_mib];
    let cpu = figures.cpu_s_per_1000;
    // The database has a place of its own only where there is one.
    let parts = match cpu.database {
        Some(_) => vec![cpu.server, cpu.database, cpu.bench, cpu.total],
        None => vec![cpu.server, cpu.bench, cpu.total],
    };
    let cpu: Vec<String> = parts
        .into_iter()
        .map(|cpu| cpu.map_or("n/a".to_owned(), |s| format!("{s:.4}")))
        .collect();
    [
        report.label(),
        short(figures.publishes_per_s),
        option(figures.deliveries_per_s),
        figures
            .ack_ms
            .map_or("n/a".to_owned(), |p| format!("{}/{}", short(p.p50), short(p.p99))),
        figures
            .arrival_ms
            .map_or("n/a".to_owned(), |p| [p.p50, p.p90, p.p99, p.max].map(short).join("/")),
        cpu.join("/"),
        match memory {
            [None, None, None] => "n/a".to_owned(),
            _ => memory
                .map(|mib| mib.map_or("-".to_owned(), |mib| format!("{mib:.0}")))
                .join("/"),
        },
        format!(
            "{}/{}",
            figures.missing.map_or("n/a".to_owned(), |count| count.to_string()),
            figures.duplicates
        ),
        format!("{}/{}", figures.refused, figures.errors),
        match figures.verdicts.len() {
            0 => "-".to_owned(),
            all => format!("{}/{all}", figures.verdicts.iter().filter(|v| v.reached).count()),
        },
    ]
}

fn write_table(f: &mut fmt::Formatter<'_>, rows: &[[String; COLUMNS.len()]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Three significant digits or so: as many as repeat.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => thousands(value.round()),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(publishes_per_s: f64, server: Option<f64>, missing: u64) -> Figures {
        Figures {
            publishes_per_s,
            cpu_s_per_1000: CpuPer1000 {
                server,
                database: None,
                bench: Some(0.01),
                total: None,
            },
            missing: Some(missing),
            extra: [("ack_rate_ratio", publishes_per_s / 10.0)].into(),
            verdicts: vec![Verdict::of("rate", Some(publishes_per_s), Aim::AtLeast(15.0))],
            notes: vec!["same".to_owned()],
            ..Figures::default()
        }
    }

    #[test]
    fn medians_are_taken_figure_by_figure_and_losses_are_summed() {
        let median = median_of(&[
            figures(30.0, Some(3.0), 1),
            figures(10.0, None, 0),
            figures(20.0, Some(1.0), 2),
        ]);
        assert_eq!(median.publishes_per_s, 20.0);
        assert_eq!(median.cpu_s_per_1000.server, Some(2.0));
        assert_eq!(median.missing, Some(3));
        assert_eq!(median.extra["ack_rate_ratio"], 2.0);
        assert_eq!(median.notes, ["same"]);
        assert_eq!(median.deliveries_per_s, None);
        assert_eq!(median.verdicts, [Verdict::of("rate", Some(20.0), Aim::AtLeast(15.0))]);
    }

    #[test]
    fn a_figure_that_one_round_could_not_measure_has_not_reached_its_aim() {
        let mut rounds = [30.0, 20.0].map(|rate| figures(rate, None, 0));
        rounds[1].verdicts = vec![Verdict::of("rate", None, Aim::AtLeast(15.0))];
        assert!(!median_of(&rounds).verdicts[0].reached);
    }

    #[test]
    fn numbers_are_as_long_as_they_are_meaningful() {
        let texts = [0.0, 0.0284, 1.234, 12.34, 123.4, 24_600.4, 1_234_567.0].map(short);
        assert_eq!(texts, ["0", "0.028", "1.23", "12.3", "123", "24,600", "1,234,567"]);
    }

    #[test]
    fn table_lines_up_and_says_what_was_not_measured() {
        let report = Report {
            machine: Machine {
                cores: 2,
                cpu: None,
                kernel: None,
                data_file_system: None,
                fsync_ms: None,
            },
            settings: Settings {
                target: Some("http://x".to_owned()),
                store: "embedded",
                nodes: 1,
                payload_bytes: 1024,
                connections: 64,
                seconds: 1.0,
                messages: None,
                quick: false,
                down: Down::Refuse,
            },
            scenarios: vec![ScenarioReport::of(
                Scenario::Down,
                false,
                vec![figures(24_600.0, None, 0)],
            )],
            comparisons: Vec::new(),
        };
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[4].starts_with("down"), "{text}");
        assert!(lines[4].contains("24,600") && lines[4].contains("n/a"), "{text}");
        assert_eq!(lines[3].len(), lines[4].len(), "{text}");
        assert!(text.contains("down: ack_rate_ratio 2,460"), "{text}");
        assert!(
            text.contains("down: rate: 24600.000, aim at least 15: reached"),
            "{text}"
        );
        assert!(report.to_json().unwrap().contains("\"scenario\": \"down\""));
    }
}
