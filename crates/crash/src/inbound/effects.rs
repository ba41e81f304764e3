//! What the events did: a SQLite file that the server's actions write to, and the judgement on it.
//!
//! The tables allow every mistake: no column is unique, so that what is done twice stands there twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rusqlite::Connection;

use super::plan::PER_KEY;
use crate::violation::{Kind, Violations};

const TABLES: &str = "
CREATE TABLE seen (at INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL);
CREATE TABLE steps (at INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL, number INTEGER NOT NULL);
";

/// The file.
pub(crate) struct Effects {
    path: PathBuf,
}

impl Effects {
    /// Makes the file with its tables.
    pub(crate) fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = Connection::open(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.pragma_update(None, "journal_mode", "wal")?;
        file.execute_batch(TABLES)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many effects there are.
    pub(crate) fn count(&self) -> anyhow::Result<u64> {
        let sql = "SELECT (SELECT count(*) FROM seen) + (SELECT count(*) FROM steps)";
        let count: i64 = self.open()?.query_row(sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Holds them against what came in: each event once, each key's numbers in order.
    pub(crate) fn judge(&self, events: u32, numbered: u32, violations: &mut Violations) -> anyhow::Result<()> {
        let file = self.open()?;
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        let mut statement = file.prepare("SELECT id FROM seen")?;
        for id in statement.query_map([], |row| row.get(0))? {
            *times.entry(id?).or_default() += 1;
        }
        judge_plain(events, times, violations);
        let mut lines: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        let mut statement = file.prepare("SELECT line, number FROM steps ORDER BY at")?;
        for step in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (line, number) = step?;
            lines.entry(line).or_default().push(number);
        }
        judge_lines(numbered, &lines, violations);
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Connection> {
        let file = Connection::open(&self.path)?;
        file.busy_timeout(std::time::Duration::from_secs(10))?;
        Ok(file)
    }
}

fn judge_plain(events: u32, mut times: BTreeMap<String, u32>, violations: &mut Violations) {
    for number in 0..events {
        match times.remove(&super::plan::Event::Plain(number).id()) {
            Some(1) => {}
            None => violations.add(Kind::Lost, format!("event {number} took no effect")),
            Some(times) => violations.add(Kind::Twice, format!("event {number} took effect {times} times")),
        }
    }
    for id in times.into_keys() {
        violations.add(Kind::Unknown, format!("`{id}` took effect and never came"));
    }
}

fn judge_lines(numbered: u32, lines: &BTreeMap<String, Vec<u32>>, violations: &mut Violations) {
    for key in 0..numbered.div_ceil(PER_KEY) {
        let most = (numbered - key * PER_KEY).min(PER_KEY);
        let line = format!("k{key}");
        let done = lines.get(&line).map_or(&[][..], Vec::as_slice);
        if done.windows(2).any(|pair| pair[0] > pair[1]) {
            violations.add(Kind::Inversion, format!("{line} was done in the order {done:?}"));
        }
        for number in 1..=most {
            match done.iter().filter(|done| **done == number).count() {
                1 => {}
                0 => violations.add(Kind::Lost, format!("{line} number {number} took no effect")),
                times => violations.add(Kind::Twice, format!("{line} number {number} took effect {times} times")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let effects = Effects::create(folder.path().join("effects.db")).unwrap();
        let file = effects.open().unwrap();
        file.execute_batch(
            "INSERT INTO seen (id) VALUES ('event-0'), ('event-1'), ('event-1'), ('event-9');
             INSERT INTO steps (line, number) VALUES ('k0', 1), ('k0', 3), ('k0', 2), ('k0', 4);",
        )
        .unwrap();
        assert_eq!(effects.count().unwrap(), 8);
        let mut violations = Violations::default();
        effects.judge(3, 5, &mut violations).unwrap();
        let found = violations.counts();
        let expected = [("inversion", 1), ("lost", 2), ("twice", 1), ("unknown", 1)];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn each_once_and_in_order_is_clean() {
        let folder = tempfile::tempdir().unwrap();
        let effects = Effects::create(folder.path().join("effects.db")).unwrap();
        let file = effects.open().unwrap();
        file.execute_batch("INSERT INTO seen (id) VALUES ('event-1'), ('event-0')")
            .unwrap();
        for number in 1..=PER_KEY {
            file.execute("INSERT INTO steps (line, number) VALUES ('k0', ?1)", [number])
                .unwrap();
        }
        let mut violations = Violations::default();
        effects.judge(2, PER_KEY, &mut violations).unwrap();
        assert!(violations.is_empty(), "{violations}");
    }
}
