//! The one task that writes: commits what has gathered, one transaction after the other.
//!
//! No time is spent waiting for company: while one commit is on its way, the next one gathers. Publications go first; a bounded
//! number of settlements rides along with them. Whatever people ask for has a transaction of its own.
//!
//! When the database cannot be reached, or cannot write, everything in the transaction is answered `Unavailable` and nothing of
//! it is there. Later writes are tried all the same, but for a moment after a connection failed, and a small write of the
//! writer's own finds out when it works again.
//!
//! Where the connection breaks while a commit is on its way, its fate is found out before anything else is written (see
//! [`super::fate`]). Settlers wait for that; publishers do for a moment, and are told to try again then.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bellwire_core::{id::Id as _, message::NewMessage};
use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    acknowledge::Committed,
    append,
    books::Books,
    cluster::Cluster,
    connection::{Connection, Server},
    days::Days,
    effects::{Effects, Ids},
    fate::{self, Witness},
    fault::Fault,
    fresh::Fresh,
    lease::{FRESH, IN_LINE},
    line,
    node::Ownership,
    partition,
    queue::{AdminJob, AppendJob, Gathered, Operation, Queue, SettleJob},
    settle,
    shared::Shared,
    tx::{Parts, Terms, Tx},
};
use crate::{clock::Clock, contract::Settlement, error::StoreError};

/// So many settlements ride on a commit that publishers wait for.
const SETTLEMENTS_PER_PUBLISH_COMMIT: usize = 2_048;
/// So many settlements share a commit that no publisher waits for.
const SETTLEMENTS_PER_COMMIT: usize = 4_096;
/// How often at most the bookkeeping is written along with a commit, and how soon after the last one.
const BOOKKEEPING_EVERY: Duration = Duration::from_millis(500);
/// How often it is tried whether writing works again.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// After a connection could not be made, none is tried for so long: who asks meanwhile is answered at once.
const REST: Duration = Duration::from_millis(500);
/// For so long publishers wait to hear whether a commit whose answer was lost has succeeded.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked which tables other nodes have made and dropped.
const DAYS_READ_EVERY: Duration = Duration::from_secs(60);
/// How long a transaction may take, on our side.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// The writer's state.
pub(super) struct Writer {
    server: Server,
    begin: String,
    own: Ownership,
    connection: Option<Connection>,
    /// When a connection could last not be made.
    refused_at: Option<Instant>,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    clock: Arc<dyn Clock>,
    idempotency_ttl: Duration,
    committed: mpsc::UnboundedSender<Committed>,
    ids: Ids,
    days: Days,
    /// When they were read: other nodes make and drop some.
    days_at: Instant,
    fresh: Fresh,
    /// The bookkeeping in the database, and when it was written; `None` when that is not known.
    books: Option<Books>,
    books_at: Instant,
    /// Grows with each transaction.
    marker: i64,
}

/// What the writer is made from.
pub(super) struct Beginning {
    pub server: Server,
    pub begin: String,
    pub own: Ownership,
    pub connection: Connection,
    pub queue: Arc<Queue>,
    pub shared: Arc<Shared>,
    pub cluster: Arc<Cluster>,
    pub clock: Arc<dyn Clock>,
    pub idempotency_ttl: Duration,
    pub committed: mpsc::UnboundedSender<Committed>,
    pub days: Days,
    /// The bookkeeping after recovery.
    pub books: Books,
}

impl Writer {
    /// A writer for a node that was recovered.
    pub fn new(beginning: Beginning) -> Self {
        let Beginning {
            server,
            begin,
            own,
            connection,
            queue,
            shared,
            cluster,
            clock,
            idempotency_ttl,
            committed,
            days,
            books,
        } = beginning;
        Self {
            server,
            begin,
            own,
            connection: Some(connection),
            refused_at: None,
            queue,
            shared,
            cluster,
            clock,
            idempotency_ttl,
            committed,
            ids: Ids::of_node(own.number.unsigned_abs(), books.last_id),
            days,
            days_at: Instant::now(),
            fresh: Fresh::default(),
            books: Some(books),
            books_at: Instant::now(),
            // Another one than any that this node's former process left.
            marker: own.epoch << 32,
        }
    }

    /// Writes until it is stopped, and then what is left.
    pub async fn run(mut self) {
        let mut gathered = Gathered::default();
        loop {
            self.queue.gather(&mut gathered, self.idle_max()).await;
            let appends = std::mem::take(&mut gathered.appends);
            let most = if appends.is_empty() {
                SETTLEMENTS_PER_COMMIT
            } else {
                SETTLEMENTS_PER_PUBLISH_COMMIT
            };
            let settles = some_of(&mut gathered.settles, most);
            let admins = std::mem::take(&mut gathered.admins);
            if appends.is_empty() && settles.is_empty() && admins.is_empty() {
                if gathered.stop {
                    break;
                }
                if self.shared.unwritable().is_some() || self.books_changed() {
                    self.write_books_alone().await;
                }
                continue;
            }
            if !(appends.is_empty() && settles.is_empty()) {
                self.write(appends, settles).await;
            }
            for job in admins {
                self.administer(job).await;
            }
        }
        if self.books_changed() {
            self.write_books_alone().await;
        }
    }

    fn idle_max(&self) -> Option<Duration> {
        let probe = self.shared.unwritable().map(|_| PROBE_EVERY);
        probe.or(self.books_changed().then_some(BOOKKEEPING_EVERY))
    }

    /// Whether the bookkeeping in the database is out of date, or not known.
    fn books_changed(&self) -> bool {
        self.books != Some(self.present_books())
    }

    /// One transaction for publishers and settlers, whatever becomes of it.
    async fn write(&mut self, appends: Vec<AppendJob>, settles: Vec<SettleJob>) {
        let (messages, append_replies): (Vec<_>, Vec<_>) =
            appends.into_iter().map(|job| (job.message, job.reply)).unzip();
        let (batches, settle_replies): (Vec<_>, Vec<_>) = settles.into_iter().map(|job| (job.batch, job.reply)).unzip();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let place = Arc::clone(&answers);
        let work: Operation = Box::new(move |tx| {
            Box::pin(async move {
                line::lock(tx, in_line(&messages, &batches));
                let answers = append::append(tx, messages).await?;
                *place.lock().unwrap_or_else(PoisonError::into_inner) = answers;
                settle::settle(tx, &batches).await
            })
        });
        let mut append_replies = Some(append_replies);
        let refuse = |told: &mut Committed, replies: &mut Option<Vec<_>>, error: &StoreError| {
            let refused = |reply| (reply, Err(error.clone().into()));
            told.appends = replies.take().into_iter().flatten().map(refused).collect();
        };
        let result = match self.transact(false, work).await {
            Err(Failure::InDoubt(doubt)) => {
                let (committed, replies) = (self.committed.clone(), &mut append_replies);
                self.find_out(doubt, move |error| {
                    let mut told = Committed::default();
                    refuse(&mut told, replies, error);
                    let _ = committed.send(told);
                })
                .await
            }
            Err(Failure::Known(error)) => Err(error),
            Ok(done) => Ok(done),
        };
        let mut told = Committed::default();
        match &result {
            Ok(_) => {
                let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
                told.appends = append_replies.take().into_iter().flatten().zip(answers).collect();
            }
            Err(error) => refuse(&mut told, &mut append_replies, error),
        }
        let settled = result.as_ref().map(drop).map_err(StoreError::clone);
        told.settles = settle_replies
            .into_iter()
            .map(|reply| (reply, settled.clone()))
            .collect();
        self.tell(told, result.ok());
    }

    /// One transaction for whatever somebody asks for.
    async fn administer(&mut self, job: AdminJob) {
        let AdminJob { run, reply } = job;
        let result = match self.transact(true, run).await {
            Err(Failure::InDoubt(doubt)) => self.find_out(doubt, |_| ()).await,
            Err(Failure::Known(error)) => Err(error),
            Ok(done) => Ok(done),
        };
        let told = Committed {
            admins: vec![(reply, result.as_ref().map(drop).map_err(StoreError::clone))],
            ..Committed::default()
        };
        self.tell(told, result.ok());
    }

    fn tell(&self, mut told: Committed, done: Option<Done>) {
        if let Some(Done { waiting, heads, work }) = done {
            told.waiting = waiting;
            told.heads = heads;
            told.work = work;
        }
        let _ = self.committed.send(told);
    }

    /// Runs work in a transaction and commits it.
    ///
    /// # Errors
    /// What the work was judged to, or that the database could not do it; nothing of it is there then, unless it is in doubt.
    async fn transact(&mut self, administers: bool, work: Operation) -> Result<Done, Failure> {
        let begun = Instant::now();
        let books = self.present_books();
        let parts = self.parts().await.map_err(Failure::Known)?;
        self.marker += 1;
        let marker = self.marker;
        let mut tx = Tx::begin(parts, self.terms());
        let writes_books = administers || self.books_at.elapsed() >= BOOKKEEPING_EVERY;
        let known = self.books;
        let mut written = None;
        let ran = {
            let tx = &mut tx;
            let written = &mut written;
            let ran = AssertUnwindSafe(async move {
                work(tx).await?;
                let books = Books {
                    last_id: tx.ids.last(),
                    ..books
                };
                // Administration writes them along: dropping attempts must not outrun what the database says is settled.
                if writes_books && known != Some(books) {
                    books.write(tx);
                    *written = Some(books);
                }
                tx.commit(marker).await
            });
            timeout(TRANSACTION_MAX, ran.catch_unwind()).await
        };
        let result = match ran {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Fault::Away("a write ended unexpectedly; this is a defect".to_owned())),
            Err(_) => Err(Fault::Away(format!(
                "PostgreSQL did not answer within {} s",
                TRANSACTION_MAX.as_secs()
            ))),
        };
        match result {
            Ok(()) => {
                self.shared.committed(begun.elapsed());
                self.note_writable();
                let (parts, effects) = tx.into_parts();
                self.keep(parts);
                if let Some(books) = written {
                    self.books = Some(books);
                    self.books_at = Instant::now();
                }
                Ok(self.follow(effects))
            }
            Err(fault) => Err(match tx.in_doubt(&fault) {
                None => Failure::Known(self.failed(tx, fault).await),
                Some(witness) => {
                    self.note_unwritable(fault);
                    let (parts, effects) = tx.into_parts();
                    (self.ids, self.days) = (parts.ids, parts.days);
                    Failure::InDoubt(Doubt { witness, effects })
                }
            }),
        }
    }

    /// Finds out whether a transaction was committed. Whoever comes meanwhile is told to try again later; `patience_ends` is
    /// called when that takes longer than publishers should wait.
    async fn find_out(
        &mut self,
        doubt: Doubt,
        patience_ends: impl FnOnce(&StoreError) + Send,
    ) -> Result<Done, StoreError> {
        let begun = Instant::now();
        let Doubt { witness, mut effects } = doubt;
        let lost = StoreError::Unavailable("the connection to PostgreSQL broke before it answered".to_owned());
        let mut patience_ends = Some(patience_ends);
        loop {
            let found = timeout(TRANSACTION_MAX, self.look_for(witness)).await;
            let is_over = begun.elapsed() > PATIENCE;
            match found {
                Ok(Ok(true)) => {
                    self.note_writable();
                    return Ok(self.follow(effects));
                }
                Ok(Err(_)) | Err(_) if !(self.shared.is_fenced() || is_over && self.queue.is_stopped()) => {}
                _ => {
                    effects.held.append(&mut effects.handed);
                    self.shared.leases.give_back(effects.held);
                    return Err(lost);
                }
            }
            if is_over && let Some(patience_ends) = patience_ends.take() {
                patience_ends(&lost);
            }
            self.refuse_newcomers(&lost);
            sleep(REST).await;
        }
    }

    async fn look_for(&mut self, witness: Witness) -> Result<bool, StoreError> {
        let connection = self.connect().await?;
        match fate::was_committed(&connection, &self.begin, self.own, witness).await {
            Ok(committed) => {
                self.connection = Some(connection);
                Ok(committed)
            }
            Err(fault) => Err(self.note_unwritable(fault)),
        }
    }

    /// Nothing can be written for now.
    fn refuse_newcomers(&self, error: &StoreError) {
        let mut gathered = Gathered::default();
        self.queue.take(&mut gathered);
        let refused = Committed {
            appends: gathered
                .appends
                .into_iter()
                .map(|job| (job.reply, Err(error.clone().into())))
                .collect(),
            settles: gathered
                .settles
                .into_iter()
                .map(|job| (job.reply, Err(error.clone())))
                .collect(),
            admins: gathered
                .admins
                .into_iter()
                .map(|job| (job.reply, Err(error.clone())))
                .collect(),
            ..Committed::default()
        };
        let _ = self.committed.send(refused);
    }

    /// What the next transaction is made from.
    async fn parts(&mut self) -> Result<Parts, StoreError> {
        if self.shared.is_fenced() {
            return Err(StoreError::Unavailable(self.shared.unwritable().unwrap_or_default()));
        }
        let connection = match self.connection.take().filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        if self.days_at.elapsed() >= DAYS_READ_EVERY && !self.cluster.is_alone() {
            self.days_at = Instant::now();
            match reload(&connection, &self.begin).await {
                Ok(days) => self.days = days,
                Err(fault) => return Err(self.note_unwritable(fault)),
            }
        }
        Ok(Parts {
            connection,
            ids: std::mem::replace(&mut self.ids, Ids::after(0)),
            days: std::mem::take(&mut self.days),
        })
    }

    async fn connect(&mut self) -> Result<Connection, StoreError> {
        if self.refused_at.is_some_and(|at| at.elapsed() < REST) {
            let why = self.shared.unwritable();
            return Err(StoreError::Unavailable(
                why.unwrap_or_else(|| "PostgreSQL is away".to_owned()),
            ));
        }
        match self.connect_and_look().await {
            Ok(connection) => {
                self.refused_at = None;
                Ok(connection)
            }
            Err(fault) => {
                self.refused_at = Some(Instant::now());
                Err(self.note_unwritable(fault))
            }
        }
    }

    async fn connect_and_look(&mut self) -> Result<Connection, Fault> {
        let connection = self.server.connect().await?;
        self.days = reload(&connection, &self.begin).await?;
        Ok(connection)
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            begin: &self.begin,
            now: self.clock.now(),
            leases: &self.shared.leases,
            attached: self.shared.is_attached(),
            idempotency_ttl: self.idempotency_ttl,
            own: self.own,
            owned: &self.cluster.owned,
        }
    }

    fn keep(&mut self, parts: Parts) {
        self.connection = Some(parts.connection);
        self.ids = parts.ids;
        self.days = parts.days;
    }

    /// Gives back what the transaction held, and leaves the connection as it was before it, or none.
    async fn failed(&mut self, mut tx: Tx, fault: Fault) -> StoreError {
        let is_lost = fault.ends_the_connection() || tx.roll_back().await.is_err();
        let (parts, mut effects) = tx.into_parts();
        effects.held.append(&mut effects.handed);
        self.shared.leases.give_back(effects.held);
        let Parts { connection, ids, days } = parts;
        self.ids = ids;
        self.days = days;
        if !is_lost {
            match reload(&connection, &self.begin).await {
                Ok(days) => {
                    self.days = days;
                    self.connection = Some(connection);
                }
                Err(fault) => tracing::debug!(?fault, "the store cannot be read"),
            }
        }
        if matches!(fault, Fault::Judged(_)) {
            return fault.into();
        }
        if fault.is_about_a_missing_table() {
            return StoreError::Unavailable("a day's tables were dropped meanwhile; try again".to_owned());
        }
        self.note_unwritable(fault)
    }

    /// What a commit entails in memory.
    fn follow(&mut self, mut effects: Effects) -> Done {
        let numbers = self.shared.backlogs().after(&effects.waiting);
        self.shared.backlogs().set(&numbers);
        let owned = &self.cluster.owned;
        for (message, endpoint) in &effects.settled {
            if self.fresh.settle(*message, *endpoint) {
                owned.fresh_came_back(*endpoint);
            }
        }
        for work in effects.work.iter().filter(|work| work.lease == FRESH) {
            self.fresh.push(work.message.id.number(), work.endpoint.number());
            owned.fresh_went_out(work.endpoint.number());
        }
        if !effects.returned.is_empty() {
            self.shared.leases.give_back(effects.returned.drain(..));
        }
        let (heads, others): (Vec<_>, Vec<_>) = effects
            .lane_heads()
            .into_iter()
            .partition(|head| owned.serves(head.endpoint.number()));
        if !self.cluster.is_alone() {
            let others: Vec<_> = others.iter().map(|head| (head.endpoint.number(), head.due_at)).collect();
            self.cluster.say_waits(&others);
        }
        self.shared.leases.give_back(effects.held);
        Done {
            waiting: numbers.into_iter().map(|(endpoint, _)| endpoint).collect(),
            heads,
            work: effects.work,
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
    async fn write_books_alone(&mut self) {
        self.books = None;
        if self
            .transact(true, Box::new(|_| Box::pin(async { Ok(()) })))
            .await
            .is_err()
        {
            self.books_at = Instant::now();
        }
    }

    fn note_writable(&self) {
        if self.shared.set_unwritable(None).is_some() {
            tracing::info!("the store can be written again");
        }
    }

    fn note_unwritable(&self, fault: Fault) -> StoreError {
        if fault.is_fenced() {
            self.shared.fence();
            self.cluster.oust();
        }
        let answer = match StoreError::from(fault) {
            StoreError::Corrupt(reason) => StoreError::Unavailable(reason),
            other => other,
        };
        let reason = match &answer {
            StoreError::Unavailable(reason) => reason.clone(),
            other => other.to_string(),
        };
        if self.shared.set_unwritable(Some(reason.clone())).is_none() {
            tracing::error!(
                reason,
                "the store cannot be written; nothing is acknowledged until it can"
            );
        }
        answer
    }
}

/// Why a transaction is not known to be committed.
enum Failure {
    /// It is not.
    Known(StoreError),
    /// Nobody knows.
    InDoubt(Doubt),
}

/// A transaction that may have been committed.
struct Doubt {
    witness: Witness,
    /// What follows if it was.
    effects: Effects,
}

/// What a commit leaves to be told.
struct Done {
    waiting: Vec<u64>,
    heads: Vec<crate::contract::LaneHead>,
    work: Vec<bellwire_core::delivery::Work>,
}

/// Which tables there are, outside of any transaction.
async fn reload(connection: &Connection, begin: &str) -> Result<Days, Fault> {
    connection.batch(begin).await?;
    let days = partition::read(connection).await?;
    connection.batch("COMMIT").await?;
    Ok(days)
}

/// The endpoints whose lines are about to change.
fn in_line(messages: &[NewMessage], batches: &[Arc<Vec<Settlement>>]) -> Vec<u64> {
    let routes = messages.iter().flat_map(|message| &message.routes);
    let joined = routes.filter(|route| route.line.is_some()).map(|route| route.endpoint);
    let settlements = batches.iter().flat_map(|batch| batch.iter());
    let left = settlements.filter(|settlement| settlement.lease == IN_LINE);
    let left = left.map(|settlement| settlement.key.endpoint);
    joined.chain(left).map(|endpoint| endpoint.number()).collect()
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
