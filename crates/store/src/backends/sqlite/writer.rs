//! The one thread that writes: commits what has gathered, one transaction after the other.
//!
//! No time is spent waiting for company: while one commit is on its way to the disk, the next one gathers. Publications go
//! first; a bounded number of settlements rides along with them.
//!
//! When SQLite cannot write, everything in the transaction is answered `Unavailable` and nothing of it is there. Later writes
//! are tried all the same, and a small write of the writer's own finds out when it works again.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bellwire_core::id::Id as _;
use rusqlite::{Connection, ErrorCode, hooks::Wal, wal::CheckpointMode};
use tokio::sync::mpsc;

use super::{
    acknowledge::Committed,
    backlog,
    books::Books,
    checkpointer::Grown,
    connection::{BUSY_TIMEOUT, Deleted, set_deleted},
    fault::describe,
    fresh::Fresh,
    ingest,
    partition::Tables,
    queue::{AdminJob, AppendJob, Gathered, Queue, SettleJob, Stop},
    settle,
    shared::Shared,
    tx::{Effects, Ids, Tx},
};
use crate::{clock::Clock, error::StoreError};

/// So many settlements ride on a commit that publishers wait for.
const SETTLEMENTS_PER_PUBLISH_COMMIT: usize = 2_048;
/// So many settlements share a commit that no publisher waits for.
const SETTLEMENTS_PER_COMMIT: usize = 4_096;
/// Pages in the WAL from which on the writer itself copies them into the file between two commits: as many as the file of the WAL
/// keeps room for. Publishers wait meanwhile, and the fewer times they do, the fewer of them.
const WAL_PAGES_MAX: u32 = 16_384;
/// So many more pages in the WAL wake the checkpointer.
const WAL_PAGES_PIECE: u32 = 256;
/// How often at most the bookkeeping is written along with a commit, and how soon after the last one.
const BOOKKEEPING_EVERY: Duration = Duration::from_millis(500);
/// How often at most the log is emptied because something was erased, and how soon it is tried again when a reader needs it.
const EMPTY_LOG_EVERY: Duration = Duration::from_millis(500);
/// How soon it is tried again after it failed.
const EMPTY_LOG_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// How often it is tried whether writing works again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The writer's state.
pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    idempotency_ttl: Duration,
    committed: mpsc::UnboundedSender<Committed>,
    ids: Ids,
    tables: Tables,
    fresh: Fresh,
    /// The bookkeeping in the file, and when it was written; `None` when that is not known.
    books: Option<Books>,
    books_at: Instant,
    wal_pages: Arc<AtomicU32>,
    checkpoint_at: u32,
    grown: Grown,
    /// The checkpointer is woken when there are so many.
    grown_at: u32,
    /// Something was erased whose old copy may be in the log: from when on that may be emptied.
    empty_log_at: Option<Instant>,
    log_emptied_at: Option<Instant>,
}

/// What the writer is made from.
pub(super) struct Parts {
    pub connection: Connection,
    pub queue: Arc<Queue>,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub idempotency_ttl: Duration,
    pub committed: mpsc::UnboundedSender<Committed>,
    /// The bookkeeping after recovery.
    pub books: Books,
    /// Wakes the checkpointer.
    pub grown: Grown,
}

impl Writer {
    /// A writer for a recovered file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(parts: Parts) -> rusqlite::Result<Self> {
        let Parts {
            mut connection,
            queue,
            shared,
            clock,
            idempotency_ttl,
            committed,
            books,
            grown,
        } = parts;
        let tables = Tables::load(&connection)?;
        let wal_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&wal_pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages: i32| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            queue,
            shared,
            clock,
            idempotency_ttl,
            committed,
            ids: Ids::after(books.last_id),
            tables,
            fresh: Fresh::default(),
            books: Some(books),
            books_at: Instant::now(),
            wal_pages,
            checkpoint_at: WAL_PAGES_MAX,
            grown,
            grown_at: WAL_PAGES_PIECE,
            empty_log_at: None,
            log_emptied_at: None,
        })
    }

    /// Writes until it is stopped.
    pub fn run(mut self) {
        let mut gathered = Gathered::default();
        loop {
            self.queue.gather(&mut gathered, self.idle_max());
            if gathered.stop == Some(Stop::AtOnce) {
                return;
            }
            let appends = std::mem::take(&mut gathered.appends);
            let admins = std::mem::take(&mut gathered.admins);
            let most = if appends.is_empty() {
                SETTLEMENTS_PER_COMMIT
            } else {
                SETTLEMENTS_PER_PUBLISH_COMMIT
            };
            let settles = some_of(&mut gathered.settles, most);
            if !(appends.is_empty() && admins.is_empty() && settles.is_empty()) {
                self.write(appends, settles, admins);
            } else if gathered.stop.is_some() {
                break;
            } else if self.shared.unwritable().is_some() || self.books_changed() {
                self.write_books_alone();
            }
            self.checkpoint_if_long();
            self.empty_log_if_due();
        }
        self.write_books_alone();
        if let Err(error) = self
            .connection
            .wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)
        {
            tracing::info!(%error, "the write-ahead log stays beside the file; the next start reads it");
        }
    }

    fn idle_max(&self) -> Option<Duration> {
        let probe = self.shared.unwritable().map(|_| PROBE_EVERY);
        let books = self.books_changed().then_some(BOOKKEEPING_EVERY);
        let log = self
            .empty_log_at
            .map(|due| due.saturating_duration_since(Instant::now()));
        [probe.or(books), log].into_iter().flatten().min()
    }

    /// Whether the bookkeeping in the file is out of date, or not known.
    fn books_changed(&self) -> bool {
        self.books.as_ref() != Some(&self.present_books())
    }

    /// One transaction, whatever becomes of it.
    fn write(&mut self, appends: Vec<AppendJob>, settles: Vec<SettleJob>, admins: Vec<AdminJob>) {
        let (messages, append_replies): (Vec<_>, Vec<_>) =
            appends.into_iter().map(|job| (job.message, job.reply)).unzip();
        let erases = admins.iter().any(|job| job.erases);
        let (operations, admin_replies): (Vec<_>, Vec<_>) = admins.into_iter().map(|job| (job.run, job.reply)).unzip();
        let (batches, settle_replies): (Vec<_>, Vec<_>) = settles.into_iter().map(|job| (job.batch, job.reply)).unzip();
        let administers = !operations.is_empty();
        let mut effects = Effects::default();
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let books = self.present_books();
            if erases {
                set_deleted(&self.connection, Deleted::Overwritten)?;
            }
            let mut tx = self.begin()?;
            let result = (|| -> rusqlite::Result<_> {
                let answers = messages
                    .into_iter()
                    .map(|message| ingest::append(&mut tx, message))
                    .collect::<rusqlite::Result<Vec<_>>>()?;
                settle::settle(&mut tx, &batches)?;
                operations.into_iter().try_for_each(|operation| operation(&mut tx))?;
                Ok(answers)
            })();
            effects = tx.effects;
            let answers = result?;
            let backlogs = self.shared.backlogs().after(&effects.waiting);
            self.commit(&backlogs, books, administers)?;
            Ok((answers, backlogs))
        }));
        let mut told = Committed::default();
        let result = match outcome.unwrap_or_else(|_| Err(panicked())) {
            Ok((answers, backlogs)) => {
                self.shared.committed(begun.elapsed());
                self.note_writable();
                self.shared.backlogs().set(&backlogs);
                self.follow(&mut effects);
                told.waiting = backlogs.into_iter().map(|(endpoint, _)| endpoint).collect();
                told.heads = effects.lane_heads();
                told.work = std::mem::take(&mut effects.work);
                told.appends = append_replies.into_iter().zip(answers).collect();
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                let answer = self.note_unwritable(&error);
                effects.held.append(&mut effects.handed);
                told.appends = append_replies
                    .into_iter()
                    .map(|reply| (reply, Err(answer.clone().into())))
                    .collect();
                Err(answer)
            }
        };
        told.settles = settle_replies
            .into_iter()
            .map(|reply| (reply, result.clone()))
            .collect();
        told.admins = admin_replies.into_iter().map(|reply| (reply, result.clone())).collect();
        if erases {
            self.after_erasing();
        }
        self.shared.leases.give_back(effects.held);
        let _ = self.committed.send(told);
    }

    fn begin(&mut self) -> rusqlite::Result<Tx<'_>> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Tx {
            connection: &self.connection,
            now: self.clock.now(),
            ids: &mut self.ids,
            tables: &mut self.tables,
            leases: &self.shared.leases,
            attached: self.shared.is_attached(),
            idempotency_ttl: self.idempotency_ttl,
            effects: Effects::default(),
        })
    }

    /// `books` is how they stood before the transaction: what it hands over is not settled.
    /// Administration writes them along: dropping attempts must not outrun what the file says is settled.
    fn commit(&mut self, backlogs: &[(u64, i64)], mut books: Books, administers: bool) -> rusqlite::Result<()> {
        books.last_id = self.ids.last();
        let due = administers || self.books_at.elapsed() >= BOOKKEEPING_EVERY;
        let bookkeeping = due && self.books.as_ref() != Some(&books);
        backlog::write(&self.connection, backlogs)?;
        if bookkeeping {
            self.books = None;
            books.write(&self.connection)?;
            self.tables.tell_counts(&self.connection)?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        if bookkeeping {
            self.books = Some(books);
            self.books_at = Instant::now();
        }
        Ok(())
    }

    /// What a commit entails in memory.
    fn follow(&mut self, effects: &mut Effects) {
        for (message, endpoint) in &effects.settled {
            self.fresh.settle(*message, *endpoint);
        }
        for work in effects.work.iter().filter(|work| work.lease == settle::FRESH) {
            self.fresh.push(work.message.id.number(), work.endpoint.number());
        }
        if !effects.returned.is_empty() {
            self.shared.leases.give_back(effects.returned.drain(..));
        }
    }

    /// How the books stand between two transactions.
    fn present_books(&self) -> Books {
        let last_id = self.ids.last();
        Books {
            mark: self.fresh.oldest().unwrap_or(last_id + 1),
            last_id,
        }
    }

    /// Also finds out whether writing works.
    fn write_books_alone(&mut self) {
        let books = self.present_books();
        let written = (|| {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            books.write(&self.connection)?;
            self.tables.tell_counts(&self.connection)?;
            self.connection.prepare_cached("COMMIT")?.execute([])
        })();
        self.books_at = Instant::now();
        match written {
            Ok(_) => {
                self.books = Some(books);
                self.note_writable();
            }
            Err(error) => {
                self.roll_back();
                self.note_unwritable(&error);
            }
        }
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the store cannot roll back");
        }
        if let Err(error) = self.tables.reload(&self.connection) {
            tracing::error!(%error, "the store cannot be read");
        }
    }

    fn note_writable(&self) {
        if self.shared.set_unwritable(None).is_some() {
            tracing::info!("the store can be written again");
        }
    }

    fn note_unwritable(&self, error: &rusqlite::Error) -> StoreError {
        let answer = match describe(error) {
            StoreError::Corrupt(reason) => StoreError::Unavailable(reason),
            other => other,
        };
        let reason = if let StoreError::Unavailable(reason) = &answer {
            reason.clone()
        } else {
            answer.to_string()
        };
        if self.shared.set_unwritable(Some(reason)).is_none() {
            tracing::error!(%error, "the store cannot be written; nothing is acknowledged until it can");
        }
        answer
    }

    /// The pages that a transaction overwrote are in the log; so are their contents of before, perhaps.
    fn after_erasing(&mut self) {
        if let Err(error) = set_deleted(&self.connection, Deleted::Fast) {
            tracing::warn!(%error, "the store goes on overwriting what it deletes, which costs time");
        }
        let now = Instant::now();
        let soonest = self.log_emptied_at.map_or(now, |last| last + EMPTY_LOG_EVERY);
        self.empty_log_at.get_or_insert(soonest.max(now));
    }

    /// Copies all of the WAL into the file and cuts it off. Waits for nobody: a reader that needs it makes this be tried again.
    fn empty_log_if_due(&mut self) {
        let now = Instant::now();
        if self.empty_log_at.is_none_or(|due| due > now) {
            return;
        }
        let emptied = self.connection.busy_timeout(Duration::ZERO).and_then(|()| {
            self.connection
                .wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)
                .map(drop)
        });
        if let Err(error) = self.connection.busy_timeout(BUSY_TIMEOUT) {
            tracing::warn!(%error, "the store's writer does not wait for locks");
        }
        self.empty_log_at = match emptied {
            Ok(()) => {
                self.log_emptied_at = Some(now);
                None
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Some(now + EMPTY_LOG_EVERY),
            Err(error) => {
                tracing::warn!(%error, "what was erased may still be in the write-ahead log");
                Some(now + EMPTY_LOG_AFTER_FAILURE)
            }
        };
    }

    /// Copies the WAL into the file when it has become long, so that the next commit starts it anew. The checkpointer's own
    /// work in the background has done most of it; it alone never catches up while commits go on.
    fn checkpoint_if_long(&mut self) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages + WAL_PAGES_PIECE < self.grown_at {
            // It was started anew.
            self.grown_at = WAL_PAGES_PIECE;
        }
        if pages >= self.grown_at {
            self.grown_at = pages + WAL_PAGES_PIECE;
            // When it is woken already, that is as well.
            let _ = self.grown.try_send(());
        }
        if pages < WAL_PAGES_MAX {
            self.checkpoint_at = WAL_PAGES_MAX;
        } else if pages >= self.checkpoint_at {
            let begun = Instant::now();
            let copied = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
            self.shared.paused(begun.elapsed());
            match copied {
                // A reader may keep the WAL from starting anew: then not at each commit again.
                Ok(_) => self.checkpoint_at = pages + WAL_PAGES_MAX / 4,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
                Err(error) => {
                    self.checkpoint_at = pages + WAL_PAGES_MAX / 4;
                    tracing::warn!(%error, "the write-ahead log could not be copied into the file");
                }
            }
        }
    }
}

fn panicked() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERNAL);
    rusqlite::Error::SqliteFailure(code, Some("a write ended unexpectedly; this is a defect".to_owned()))
}

fn some_of(waiting: &mut VecDeque<SettleJob>, most: usize) -> Vec<SettleJob> {
    let mut taken = Vec::new();
    let mut count = 0;
    while let Some(job) = waiting.front()
        && (taken.is_empty() || count + job.batch.len() <= most)
    {
        count += job.batch.len();
        taken.extend(waiting.pop_front());
    }
    taken
}
