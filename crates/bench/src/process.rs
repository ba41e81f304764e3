//! CPU time and memory of processes, from `/proc`.
//!
//! A named process counts with all its descendants (PostgreSQL forks one for each connection), and time that ended children handed to their
//! parent counts as well, so that nothing drops out of the sum between two readings. On systems without `/proc` everything is `None`.

use std::fs;

use serde::Serialize;

/// `utime` and `stime` are in units of 1/100 s on every Linux that people run (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a group of processes has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time, in seconds, since they started.
    pub(crate) cpu_s: f64,
    /// Memory now.
    pub(crate) rss_mib: f64,
    /// The sum of each process's own peak.
    pub(crate) rss_peak_mib: f64,
}

/// Memory and CPU of `roots` and their descendants; `None` when none of them can be read.
pub(crate) fn usage(roots: &[u32]) -> Option<Usage> {
    let stats: Vec<(u32, Stat)> = all_stats();
    let mut total = Usage::default();
    let mut found = false;
    for pid in family(roots, &stats) {
        let Some((_, stat)) = stats.iter().find(|(candidate, _)| *candidate == pid) else {
            continue;
        };
        found = true;
        total.cpu_s += stat.ticks as f64 / TICKS_PER_SECOND;
        if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            total.rss_mib += memory_mib(&status, "VmRSS:").unwrap_or(0.0);
            total.rss_peak_mib += memory_mib(&status, "VmHWM:").unwrap_or(0.0);
        }
    }
    found.then_some(total)
}

/// CPU seconds of this process, without its children.
pub(crate) fn own_cpu_s() -> Option<f64> {
    let stat = parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some(stat.own_ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds per 1,000 deliveries over a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuPer1000 {
    /// The servers' processes.
    pub server: Option<f64>,
    /// The database's, where the bench started one.
    pub database: Option<f64>,
    /// Load generator and receiver.
    pub bench: Option<f64>,
    /// All of it, where the servers' and the bench's are known.
    pub total: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// utime + stime.
    own_ticks: u64,
    /// The same with what ended children left (cutime, cstime).
    ticks: u64,
}

fn all_stats() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect()
}

/// `roots` and whoever descends from them, each once.
fn family(roots: &[u32], stats: &[(u32, Stat)]) -> Vec<u32> {
    let mut family: Vec<u32> = Vec::new();
    let mut open: Vec<u32> = roots.to_vec();
    while let Some(pid) = open.pop() {
        if !family.contains(&pid) {
            family.push(pid);
            open.extend(
                stats
                    .iter()
                    .filter(|(_, stat)| stat.parent == pid)
                    .map(|(child, _)| *child),
            );
        }
    }
    family
}

/// Parses `/proc/PID/stat` (proc(5)). The second field is the command in parentheses and may hold anything, so fields count from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let own_ticks = number(11)? + number(12)?;
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks,
        ticks: own_ticks + number(13)? + number(14)?,
    })
}

fn memory_mib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_also_when_the_command_holds_spaces_and_parentheses() {
        let text = "77 (a) b (c) S 12 77 77 0 -1 4194560 1 2 3 4 250 50 7 3 20 0 4 0 100 1 2";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                parent: 12,
                own_ticks: 300,
                ticks: 310
            })
        );
        assert_eq!(parse_stat("77 (x) S 12"), None);
    }

    #[test]
    fn family_follows_children_of_children_and_counts_each_once() {
        let stat = |parent| Stat {
            parent,
            own_ticks: 0,
            ticks: 0,
        };
        let stats = [
            (1, stat(0)),
            (10, stat(1)),
            (11, stat(10)),
            (12, stat(11)),
            (20, stat(1)),
        ];
        let mut family = family(&[10, 11], &stats);
        family.sort_unstable();
        assert_eq!(family, [10, 11, 12]);
    }

    #[test]
    fn memory_lines_are_kib() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory_mib(status, "VmHWM:"), Some(2.0));
        assert_eq!(memory_mib(status, "VmRSS:"), Some(1.0));
        assert_eq!(memory_mib("Name:\tkthread\n", "VmRSS:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory() {
        let usage = usage(&[std::process::id()]).unwrap();
        assert!(usage.rss_mib > 0.0 && usage.rss_peak_mib >= usage.rss_mib, "{usage:?}");
        assert!(own_cpu_s().is_some());
    }
}
