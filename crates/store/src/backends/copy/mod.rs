//! An installation moves from one store to another: `bellwire store copy`.
//!
//! Rows go over as they are, table by table in the order of their keys, in batches of bounded size. So ids, numbers of lines and
//! what is sealed stay what they were, and nothing of a backend's own (leases, shards, books) has to be understood here. Both
//! ends are held as a server would hold them: nobody else has them open meanwhile.
//!
//! It is all or nothing. The target is marked before the first row and unmarked after the proof; nobody opens a marked store, and
//! a further copy into it begins by emptying it. The proof is the one of `bellwire check`, on the target, and must count what it
//! counts on the source.
//!
//! [`table`] says what an installation consists of. A backend takes part by implementing [`End`].

pub(super) mod table;

use async_trait::async_trait;

use self::table::{Row, TABLES, Table, Value};
use super::{OpenOptions, common::days::Days, postgres, sqlite};
use crate::{
    error::{CopyError, StoreError},
    query::CheckReport,
};

/// Rows that are read and written at once, at most.
pub(super) const ROWS_AT_ONCE: usize = 2_000;
/// And about so many bytes of them.
pub(super) const BYTES_AT_ONCE: usize = 8 << 20;

/// What a store keeps about itself, as far as it goes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Of each node: its number, the mark below which what has no row was made, and the last id it gave.
    pub nodes: Vec<(u16, u64, u64)>,
    /// The largest number of an id that was ever put into the configuration.
    pub largest_put: u64,
    /// Attempts of this day and later are all kept.
    pub attempts_kept_from: i64,
    /// What proves that the main secret is the right one.
    pub seal: Vec<u8>,
}

/// A store that is held for copying: nobody else has it open.
#[async_trait]
pub(super) trait End: Send {
    /// Where it is, as it may be shown.
    fn location(&self) -> &str;

    /// Which days have tables.
    async fn days(&mut self) -> Result<Days, StoreError>;

    /// The rows of a table behind this key, in the order of keys: not more than [`ROWS_AT_ONCE`], and one more at most than
    /// [`BYTES_AT_ONCE`] have room for. None at its end.
    async fn page(&mut self, table: &Table, day: Option<i64>, after: Option<Row>) -> Result<Vec<Row>, StoreError>;

    /// How many rows a table has.
    async fn count(&mut self, table: &Table, day: Option<i64>) -> Result<u64, StoreError>;

    /// What it keeps about itself.
    async fn ledger(&mut self) -> Result<Ledger, StoreError>;

    /// The proof that what is stored adds up.
    async fn check(&mut self) -> Result<CheckReport, StoreError>;

    /// Whether a copy into it was begun and not finished.
    async fn is_unfinished(&mut self) -> Result<bool, StoreError>;

    /// Marks it as unfinished, takes away what an earlier copy left, and makes the tables of these days.
    async fn begin(&mut self, days: &Days) -> Result<(), StoreError>;

    /// Writes rows.
    async fn put(&mut self, table: &Table, day: Option<i64>, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Writes what it keeps about itself, and makes what follows from the rows.
    async fn finish(&mut self, ledger: Ledger) -> Result<(), StoreError>;

    /// Takes the mark away: from here on it is a store like any other.
    async fn accept(&mut self) -> Result<(), StoreError>;

    /// Lets go of it.
    async fn close(self: Box<Self>);
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Both ends are held; the source is being proven.
    Proving,
    /// So many rows of this table are over, of all days together.
    Rows {
        /// The table's name.
        table: &'static str,
        /// How many.
        rows: u64,
    },
    /// All rows are over; the target is being proven.
    Comparing,
}

/// What was copied.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// Rows by table, without those that have none.
    pub rows: Vec<(&'static str, u64)>,
    /// What the proof counted, on both sides.
    pub report: CheckReport,
    /// Whether an earlier copy into the target had been left unfinished, and was taken away.
    pub began_anew: bool,
}

/// Moves what is in the store at one URL to the empty store at another. The source is held as a server would open it, so it is
/// brought to this version's schema and what was under way waits again; otherwise it stays as it is.
///
/// # Errors
/// [`CopyError`]. The source is untouched in any case.
pub async fn copy(
    from: &str,
    to: &str,
    options: OpenOptions,
    told: &mut (dyn FnMut(CopyStep) + Send),
) -> Result<Copied, CopyError> {
    for url in [from, to] {
        super::backend_of(url)?;
    }
    if !is_there(from).await? {
        return Err(CopyError::NotThere(super::without_password(from)));
    }
    let mut source = hold(from, &options, Side::Source).await?;
    let mut target = match hold(to, &options, Side::Target).await {
        Ok(target) => target,
        Err(error) => {
            source.close().await;
            return Err(error);
        }
    };
    let copied = between(&mut *source, &mut *target, told).await;
    target.close().await;
    source.close().await;
    copied
}

/// Which end a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It is read.
    Source,
    /// It is written, and made if it is not there.
    Target,
}

/// Opening a store makes it where there is none; a copy must not.
async fn is_there(url: &str) -> Result<bool, CopyError> {
    match url.split_once(':') {
        Some(("sqlite", place)) => Ok(sqlite::is_there(place)),
        _ => Ok(postgres::is_there(url).await?),
    }
}

async fn hold(url: &str, options: &OpenOptions, side: Side) -> Result<Box<dyn End>, CopyError> {
    match url.split_once(':') {
        Some(("sqlite", place)) => Ok(sqlite::hold(place, options, side).await?),
        _ => Ok(postgres::hold(url, options, side).await?),
    }
}

async fn between(
    source: &mut dyn End,
    target: &mut dyn End,
    told: &mut (dyn FnMut(CopyStep) + Send),
) -> Result<Copied, CopyError> {
    let began_anew = target.is_unfinished().await?;
    if !began_anew {
        must_be_empty(target).await?;
    }
    told(CopyStep::Proving);
    let before = source.check().await?;
    if let Some(problem) = before.problems.first() {
        return Err(CopyError::Unsound {
            location: source.location().to_owned(),
            problem: problem.clone(),
        });
    }
    let (days, ledger) = (source.days().await?, source.ledger().await?);
    target.begin(&days).await?;
    let mut rows = Vec::new();
    for table in TABLES {
        let copied = copy_table(source, target, table, &days, told).await?;
        if copied > 0 {
            rows.push((table.name, copied));
        }
    }
    if source.ledger().await? != ledger {
        return Err(CopyError::Differs("somebody used the source meanwhile".to_owned()));
    }
    target.finish(ledger).await?;
    told(CopyStep::Comparing);
    compare(source, target, &days, &before).await?;
    target.accept().await?;
    Ok(Copied {
        rows,
        report: before,
        began_anew,
    })
}

/// A table with all its days, each as a name and a day.
fn days_of(table: &Table, days: &Days) -> Vec<Option<i64>> {
    table
        .of
        .map_or_else(|| vec![None], |kind| days.of(kind).map(Some).collect())
}

async fn must_be_empty(target: &mut dyn End) -> Result<(), CopyError> {
    let days = target.days().await?;
    for table in TABLES {
        for day in days_of(table, &days) {
            if !target.page(table, day, None).await?.is_empty() {
                return Err(CopyError::NotEmpty {
                    location: target.location().to_owned(),
                    table: table.name,
                });
            }
        }
    }
    Ok(())
}

async fn copy_table(
    source: &mut dyn End,
    target: &mut dyn End,
    table: &'static Table,
    days: &Days,
    told: &mut (dyn FnMut(CopyStep) + Send),
) -> Result<u64, CopyError> {
    let mut copied = 0;
    for day in days_of(table, days) {
        let mut after: Option<Row> = None;
        loop {
            let rows = source.page(table, day, after).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last[..table.key].to_vec());
            copied += rows.len() as u64;
            target.put(table, day, rows).await?;
            told(CopyStep::Rows {
                table: table.name,
                rows: copied,
            });
        }
    }
    Ok(copied)
}

/// That the target has what the source has: as many rows in every table, and the same proof.
async fn compare(
    source: &mut dyn End,
    target: &mut dyn End,
    days: &Days,
    before: &CheckReport,
) -> Result<(), CopyError> {
    for table in TABLES {
        for day in days_of(table, days) {
            let (here, there) = (source.count(table, day).await?, target.count(table, day).await?);
            if here != there {
                return Err(CopyError::Differs(format!(
                    "{} has {there} rows, the source has {here}",
                    table.on(day)
                )));
            }
        }
    }
    let after = target.check().await?;
    if let Some(problem) = after.problems.first() {
        return Err(CopyError::Differs(format!("the copy does not add up: {problem}")));
    }
    let told = |report: &CheckReport| (report.messages, report.deliveries, report.counts, report.held);
    if told(&after) != told(before) {
        return Err(CopyError::Differs(format!(
            "the proof counts {:?}, on the source {:?}",
            told(&after),
            told(before)
        )));
    }
    Ok(())
}

/// Reads rows until there is enough of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    bytes: usize,
}

impl Batch {
    /// Takes one more; false when it is full.
    pub fn add(&mut self, row: Row) -> bool {
        self.bytes += row.iter().map(Value::size).sum::<usize>();
        self.rows.push(row);
        self.rows.len() < ROWS_AT_ONCE && self.bytes < BYTES_AT_ONCE
    }

    /// What was taken.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_by_rows_and_by_bytes() {
        let taken = |row: Row| {
            let mut batch = Batch::default();
            while batch.add(row.clone()) {}
            batch.into_rows().len()
        };
        assert_eq!(taken(vec![Value::Number(1)]), ROWS_AT_ONCE);
        assert_eq!(taken(vec![Value::Bytes(vec![0; BYTES_AT_ONCE / 4])]), 4);
    }
}
