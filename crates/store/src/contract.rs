//! The seam: what every storage backend does.
//!
//! Three hot verbs carry the traffic: [`Store::append`], [`Store::claim`] and [`Store::settle`]. Everything else is a
//! noun-first read or write beside them. What the verbs promise is pinned down by one conformance suite that every backend
//! passes and that knows nothing of any of them.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bellwire_core::{
    app::{App, Environment, Token},
    attempt::Outcome,
    decide::Health,
    delivery::{DeliveryKey, DeliveryState, Progress, Work},
    endpoint::Endpoint,
    event_type::EventType,
    id::{AppId, AttemptId, EndpointId, EnvironmentId, Id as _, MessageId, SourceId, TaskId, TokenId},
    message::{Message, NewMessage},
    source::Source,
    task::{Task, TaskStatus},
    time::Timestamp,
};

use crate::{
    audit::{AuditEntry, AuditFilter},
    error::{AppendError, StoreError},
    query::{
        AttemptCounts, AttemptFilter, AttemptKey, AttemptRow, Backlog, CheckReport, Configuration, Cutoffs,
        DeliveryCounts, DeliveryRow, EndpointMessage, LineQuery, LineRow, MessageFilter, NodeRow, Page, RefusedRequest,
        ReplayCandidate, Requeue, Retained, Rows, StoreHealth, StreamQuery, StreamRow, Tending,
    },
    scan::{Scan, Scanned},
    survey::{FailedAttempt, FailureQuery, Sample, SampleQuery},
};

/// Receives deliveries the moment they are durable, so that the hot path never waits for a look-up.
///
/// Called by the store between the commit and the acknowledgement. Must not block.
pub trait Handoff: Send + Sync + 'static {
    /// These deliveries were just made durable and are leased to the receiver of this call, who must settle them.
    fn fresh(&self, work: Vec<Work>);
    /// Something came to wait in the store for this endpoint, by whichever verb (append, settle, requeue), and is due at
    /// this time. Nobody else tells.
    fn stored(&self, head: LaneHead);
    /// So many deliveries wait in the store for each of these endpoints now, those behind others of their line included. What
    /// the store keeps a place for while it is out (all that was claimed, and heads of lines) counts until it is settled.
    /// Told after each commit that changed it, and for all endpoints when the receiver of this call is attached.
    fn waiting(&self, counts: &[(EndpointId, u64)]);
    /// The deliveries of some endpoints are ours to attempt from now on ([`Store::serves`] says so already), after another node
    /// attempted them: for whom something waits is told by [`Self::stored`] behind this call. `failing` is how those of them are
    /// doing that are not simply fine; whatever else was known of them does not count any more.
    fn gained(&self, _which: &dyn Fn(EndpointId) -> bool, _failing: &[(EndpointId, Health)]) {}
    /// Some endpoints' deliveries are no longer ours to attempt ([`Store::serves`] says so already): what is in memory of
    /// them and not begun is to be settled as [`Verdict::Park`], and nothing of them is claimed or begun. Attempts under way end, and
    /// are settled: the next owner waits for that.
    fn lost(&self) {}
}

/// An endpoint for which something waits in the store, and since or until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneHead {
    /// Where to.
    pub endpoint: EndpointId,
    /// When the earliest is due.
    pub due_at: Timestamp,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The message's id; the id of the first publication when this one repeats it.
    pub id: MessageId,
    /// Whether an earlier publication with the same idempotency key is answered again, and nothing was written.
    pub repeated: bool,
}

/// Asks for due deliveries of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Whose.
    pub endpoint: EndpointId,
    /// What is due at or before now.
    pub now: Timestamp,
    /// At most so many.
    pub limit: usize,
}

/// Deliveries that the caller may attempt and must settle.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The earliest due first.
    pub work: Vec<Work>,
    /// When the earliest delivery that remains for this endpoint is due; `None` when none remains.
    pub next_due: Option<Timestamp>,
}

/// What becomes of a delivery that was handed over or claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Succeeded,
    /// Tried again at this time.
    RetryAt(Timestamp),
    /// Given up. The next of its line has its turn.
    Failed,
    /// Given up, and its line waits for a person (see [`Store::tend_line`]). As `Failed` for a delivery that is in no line.
    Blocked,
    /// Not to be tried any more: its endpoint is gone or disabled.
    Cancelled,
    /// Given back to the store without an attempt; due at this time.
    Park(Timestamp),
}

/// The end of one hold on a delivery: what happened and what follows.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Whose.
    pub app: AppId,
    /// The lease and progress that came with the [`Work`].
    pub lease: Lease,
    /// As it came with the [`Work`].
    pub progress: Progress,
    /// The attempt's id, when somebody was told it already (in `notices`); otherwise the store gives it one.
    pub attempt_id: Option<AttemptId>,
    /// The attempt, if one was made.
    pub outcome: Option<Outcome>,
    /// What follows.
    pub verdict: Verdict,
    /// How the endpoint is doing, when that changed.
    pub health: Option<Health>,
    /// Operational events that follow, written in the same transaction.
    pub notices: Vec<NewMessage>,
}

pub use bellwire_core::delivery::Lease;

/// A message whose place among others of its key counts (see [`Store::arrive`]).
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The message, with the endpoints it goes to. It is recognised by its event id; an idempotency key is not looked at.
    pub message: NewMessage,
    /// What it is about: the others of its application with this key are what it is put in order with.
    pub key: String,
    /// Its place among them.
    pub place: ArrivalPlace,
}

/// Where a message stands among the others of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalPlace {
    /// Numbers follow each other without gaps.
    Sequence {
        /// Its number.
        number: u64,
        /// The first number of the key; without it the least that comes within the wait is the first.
        start: Option<u64>,
        /// How long it waits for those before it.
        wait: Duration,
    },
    /// Later ones are greater, as [`bellwire_core::sequence::compare`] compares them; there is no telling whether one is
    /// missing.
    Version(String),
}

/// What became of an arrival. Durable in each case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// Accepted.
    Accepted {
        /// The message.
        appended: Appended,
        /// Those that waited for it, in their order. When the store fails midway, the rest is released later.
        freed: Vec<Freed>,
    },
    /// It waits for those before it, until then at most. Also the answer to a repetition of an event id that is held.
    Held {
        /// When it no longer waits.
        until: Timestamp,
    },
    /// It came after its turn (its number was given up or later ones were accepted, or its version is older than the newest):
    /// kept as a message that goes nowhere and says why.
    Stale(Appended),
}

/// A message that was held and is accepted now: what there is to tell whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// Whose.
    pub app: AppId,
    /// Which, from now on.
    pub id: MessageId,
    /// Of which type.
    pub event_type: String,
    /// How many endpoints it goes to.
    pub endpoints: usize,
}

/// What [`Store::release`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    /// The messages that were accepted; those of one stream in their order.
    pub freed: Vec<Freed>,
    /// When the next wait ends; `None` when nothing waits.
    pub next: Option<Timestamp>,
}

/// A change of the configuration.
#[derive(Debug, Clone)]
pub enum Change {
    /// Creates or replaces.
    PutEnvironment(Environment),
    /// Creates or replaces; the uid must be free.
    PutApp(App),
    /// Removes it with its endpoints and tokens; its messages are erased by a task.
    DeleteApp(AppId),
    /// Creates or replaces; the uid must be free. An endpoint that is enabled again starts with a clean health.
    PutEndpoint(Box<Endpoint>),
    /// Removes it; its pending deliveries are cancelled.
    DeleteEndpoint(EndpointId),
    /// Creates or replaces.
    PutEventType(Box<EventType>),
    /// Removes it; messages of it stay.
    DeleteEventType {
        /// In which environment.
        environment: EnvironmentId,
        /// Its name.
        name: String,
    },
    /// Creates or replaces.
    PutToken(Box<Token>),
    /// Removes it: refused from then on.
    DeleteToken(TokenId),
    /// Creates or replaces; the uid must be free. Its application is put before it.
    PutSource(Box<Source>),
    /// Removes it; its application is removed by a change of its own.
    DeleteSource(SourceId),
    /// Creates, or replaces while the task is running. One that has ended (finished, failed, cancelled) stays as it ended, and
    /// the change is accepted without effect: whoever wrote down progress or an end may have been overtaken.
    PutTask(Box<Task>),
    /// Keeps an entry of the audit log: with the changes that it tells of, or alone.
    Note(Box<AuditEntry>),
}

impl Change {
    /// The number of the id that it puts, if it puts one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::PutEnvironment(new) => Some(new.id.number()),
            Self::PutApp(new) => Some(new.id.number()),
            Self::PutEndpoint(new) => Some(new.id.number()),
            Self::PutToken(new) => Some(new.id.number()),
            Self::PutTask(new) => Some(new.id.number()),
            Self::PutSource(new) => Some(new.id.number()),
            Self::Note(new) => Some(new.id.number()),
            Self::PutEventType(_)
            | Self::DeleteApp(_)
            | Self::DeleteEndpoint(_)
            | Self::DeleteEventType { .. }
            | Self::DeleteToken(_)
            | Self::DeleteSource(_) => None,
        }
    }
}

/// What changed in the configuration since a version of it.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// The version with these changes.
    pub version: u64,
    /// What was put, as it is now, and what was deleted. Those of one thing are in their order.
    pub changes: Vec<Change>,
    /// The changes are all there is: whatever they do not put is gone.
    pub whole: bool,
}

/// The right to do what one process does for all: schedules, clean-up, background tasks. Held while it is being done, so that
/// the next one waits for it.
#[derive(Debug, Clone, Default)]
pub struct Lead(#[expect(dead_code, reason = "holding it is its use")] Option<Arc<()>>);

impl Lead {
    /// One that is counted.
    pub(crate) fn counted(by: &Arc<()>) -> Self {
        Self(Some(Arc::clone(by)))
    }
}

/// The answer that a request with an idempotency key was given, kept to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash over environment, path and the client's key.
    pub key: [u8; 32],
    /// Hash over the request's body.
    pub body_hash: [u8; 32],
    /// The status code.
    pub status: u16,
    /// The answer's body.
    pub body: Vec<u8>,
    /// Forgotten from then on.
    pub expires_at: Timestamp,
}

/// A storage backend.
///
/// Durable means: survives `kill -9` and power loss from the moment the future resolves with `Ok`. When a call answers an
/// error, nothing was changed. All calls may be made concurrently.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // -- the three hot verbs ---------------------------------------------------------------------------------------

    /// Who is handed fresh deliveries. Until somebody is attached, all deliveries wait in the store.
    fn attach(&self, handoff: Arc<dyn Handoff>);

    /// Accepts a message: message, deliveries and idempotency key in one transaction, durable when it returns.
    /// Concurrent callers share a commit. A delivery whose route is not `stored`, and that is due, is handed over.
    ///
    /// A delivery whose route names a line takes the line's next number and its end (see [`bellwire_core::order`]): unless it
    /// is the line's head, it is neither handed over nor claimable before those ahead of it have ended, durably. Its era is
    /// at least that of any delivery in line at the endpoint; a line of a later era moves when no earlier one is left.
    async fn append(&self, message: NewMessage) -> Result<Appended, AppendError>;

    /// Leases due deliveries of an endpoint to the caller: nobody else is given them until they are settled, or the
    /// process ends. Of each line its head only. A delivery whose message is gone is removed silently.
    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, StoreError>;

    /// Ends holds: attempts, next states, health and notices in one transaction. The end of a line's head (`Succeeded`,
    /// `Failed`, `Cancelled`) gives the next one its turn, due at once or at its message's `deliver_at`. A settlement whose run is no longer the
    /// delivery's current one is recorded as an attempt and changes nothing else. Repeating a batch after an error is safe;
    /// it is shared so that the caller still has it then.
    async fn settle(&self, batch: Arc<Vec<Settlement>>) -> Result<(), StoreError>;

    /// All endpoints for which something waits, with the time of the earliest. What was handed over before a crash and
    /// never settled waits again.
    async fn lanes(&self) -> Result<Vec<LaneHead>, StoreError>;

    // -- order -----------------------------------------------------------------------------------------------------

    /// How the lines of an endpoint stand, by their key. A line is known as long as its endpoint.
    async fn lines(&self, endpoint: EndpointId, query: LineQuery) -> Result<Rows<LineRow>, StoreError>;

    /// What a person does about lines: those with this key, or all of the endpoint. Returns how many deliveries it changed.
    async fn tend_line(&self, endpoint: EndpointId, key: Option<String>, tending: Tending) -> Result<u64, StoreError>;

    /// How many deliveries wait for an endpoint, and since when.
    async fn backlog(&self, endpoint: EndpointId) -> Result<Backlog, StoreError>;

    // -- sources ---------------------------------------------------------------------------------------------------

    /// Accepts a message in its turn: at once, with those that waited for it, when it is next; otherwise it is held, durably,
    /// until its turn or the end of its wait. It gets its id and time when it is accepted; its routes stay those it came
    /// with, without endpoints that are gone by then. `inbound.note` says what became of one that waited or is stale.
    ///
    /// Event ids are as unique as in [`Self::append`], those of held messages included; `append` itself does not look at
    /// held ones, and of two with one event id the one that is accepted first counts. Two arrivals with the same key and
    /// number, and different event ids, are both accepted, one after the other, as long as nothing behind them was. Two with
    /// equal versions are both accepted. When an event id is taken, the answer says whether the one that comes again would be
    /// stale now: then nothing of it is to be done once more. A key that goes over from numbers to versions, or back, begins anew.
    ///
    /// A stream is forgotten with its application, and by [`Self::retain`] when nothing came for longer than messages are
    /// kept; the next number is its first then.
    async fn arrive(&self, arrival: Arrival) -> Result<Arrived, AppendError>;

    /// Accepts up to `limit` held messages whose wait is over, in the order of their numbers and with those that are held
    /// before them, and what then has its turn; what was missing before them is noted as a gap, and is stale when it comes.
    async fn release(&self, now: Timestamp, limit: usize) -> Result<Released, StoreError>;

    /// Held messages of an application wait until then at least, because the server did not listen for a while: whoever is
    /// missing could not come. One that has its turn already does not wait any longer. Returns how many it changed.
    async fn prolong(&self, app: AppId, until: Timestamp) -> Result<u64, StoreError>;

    /// Ends a stream: what is held in it is accepted in the order of its numbers, whatever is missing, and then it is as if
    /// nothing of this key had ever come. `None` when there is no such stream.
    async fn reset_stream(&self, app: AppId, key: String) -> Result<Option<Vec<Freed>>, StoreError>;

    /// How the keys of an application's arrivals stand, by key.
    async fn streams(&self, app: AppId, query: StreamQuery) -> Result<Rows<StreamRow>, StoreError>;

    /// Keeps requests that were refused, for people to look at; of each source the newest
    /// [`REFUSED_MAX`](crate::query::REFUSED_MAX). Those to a source that is gone are not kept; the others go with it.
    async fn refuse(&self, batch: Vec<RefusedRequest>) -> Result<(), StoreError>;

    /// Requests that were refused, paged by number.
    async fn refused(&self, source: SourceId, page: Page) -> Result<Rows<RefusedRequest>, StoreError>;

    // -- deliveries, by hand ---------------------------------------------------------------------------------------

    /// Starts deliveries anew, due at their time, in a new run. Those whose message is gone are skipped. Returns how many
    /// were started. One that has left its line goes outside of its turn, with its old number; the head of a blocked line
    /// opens it; one that waits behind others goes on waiting for its turn.
    async fn requeue(&self, batch: Vec<Requeue>) -> Result<u64, StoreError>;

    /// Cancels up to `limit` deliveries that wait for this endpoint and are not leased; returns how many.
    async fn cancel(&self, endpoint: EndpointId, limit: usize) -> Result<u64, StoreError>;

    // -- configuration ---------------------------------------------------------------------------------------------

    /// All of it.
    async fn configuration(&self) -> Result<Configuration, StoreError>;

    /// Makes changes, all or none, and keeps the answer they are given, if any. Answers the version of the configuration that they
    /// made: `None` where nobody shares the store, and of changes that are only written down beside it (tasks, notes).
    async fn apply(&self, changes: Vec<Change>, answer: Option<StoredAnswer>) -> Result<Option<u64>, StoreError>;

    /// The answer kept under an idempotency key, unless forgotten.
    async fn answer(&self, key: [u8; 32], now: Timestamp) -> Result<Option<StoredAnswer>, StoreError>;

    // -- messages --------------------------------------------------------------------------------------------------

    /// One message of the application; without payload when that is not asked for.
    async fn message(&self, app: AppId, id: MessageId, with_payload: bool) -> Result<Option<Message>, StoreError>;

    /// The message with this event id.
    async fn message_by_event_id(&self, app: AppId, event_id: &str) -> Result<Option<MessageId>, StoreError>;

    /// Messages of the application.
    async fn messages(
        &self,
        app: AppId,
        filter: MessageFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<Message>, StoreError>;

    /// One message, of whichever application, without payload. Who may see it is the caller's question.
    async fn find_message(&self, id: MessageId) -> Result<Option<Message>, StoreError>;

    /// The messages with this event id of these applications, without payload.
    async fn find_event_id(&self, apps: Vec<AppId>, event_id: String) -> Result<Vec<Message>, StoreError>;

    /// Looks through messages, newest first, for a bounded while.
    async fn scan(&self, scan: Scan) -> Result<Scanned, StoreError>;

    /// Forgets a payload; false when there is no such message.
    async fn expunge_payload(&self, app: AppId, id: MessageId) -> Result<bool, StoreError>;

    // -- deliveries and attempts -----------------------------------------------------------------------------------

    /// The deliveries of a message, one per endpoint, paged by endpoint number.
    async fn deliveries(&self, app: AppId, message: MessageId, page: Page) -> Result<Rows<DeliveryRow>, StoreError>;

    /// Messages that were sent or are to be sent to an endpoint, paged by message number.
    async fn endpoint_messages(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: MessageFilter,
        state: Option<DeliveryState>,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<EndpointMessage>, StoreError>;

    /// Attempts of one message, paged by attempt number.
    async fn attempts_of_message(
        &self,
        app: AppId,
        message: MessageId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Rows<AttemptRow>, StoreError>;

    /// Attempts at one endpoint, paged by attempt number.
    async fn attempts_of_endpoint(
        &self,
        app: AppId,
        endpoint: EndpointId,
        filter: AttemptFilter,
        page: Page,
        with_payload: bool,
    ) -> Result<Rows<AttemptRow>, StoreError>;

    /// One attempt.
    async fn attempt(&self, key: AttemptKey) -> Result<Option<AttemptRow>, StoreError>;

    /// Forgets an attempt's answer; false when there is no such attempt.
    async fn expunge_attempt(&self, key: AttemptKey) -> Result<bool, StoreError>;

    /// How the deliveries of messages accepted in `[since, until)` stand at an endpoint.
    async fn delivery_counts(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts, StoreError>;

    /// Attempts at these endpoints, begun in `[since, since + n × bucket)`, counted per bucket. `event_types` empty is any.
    async fn attempt_counts(
        &self,
        endpoints: Vec<EndpointId>,
        event_types: Vec<String>,
        since: Timestamp,
        bucket: Duration,
        n: usize,
    ) -> Result<Vec<AttemptCounts>, StoreError>;

    /// How attempts went in equal spans of time: counted up to a bound, and a few of them timed.
    async fn sample_attempts(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError>;

    /// Attempts that failed: by endpoint in the order of the query, of each the newest, newest first.
    async fn failed_attempts(&self, query: FailureQuery) -> Result<Vec<FailedAttempt>, StoreError>;

    /// Messages of the application accepted in `[since, until)` behind `after`, oldest first, and how each stands at the
    /// endpoint.
    async fn replay_candidates(
        &self,
        app: AppId,
        endpoint: EndpointId,
        since: Timestamp,
        until: Timestamp,
        after: u64,
        limit: usize,
    ) -> Result<Rows<ReplayCandidate>, StoreError>;

    // -- tasks -----------------------------------------------------------------------------------------------------

    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Tasks of an environment (`None`: of all), paged by number; `status` and `kind` (the job's `kind`, or a replay's
    /// `which`) narrow.
    async fn tasks(
        &self,
        environment: Option<EnvironmentId>,
        status: Option<TaskStatus>,
        page: Page,
    ) -> Result<Rows<Task>, StoreError>;

    // -- audit log -------------------------------------------------------------------------------------------------

    /// What people changed in an environment, paged by number. Entries are put by [`Self::apply`].
    async fn audit(
        &self,
        environment: EnvironmentId,
        filter: AuditFilter,
        page: Page,
    ) -> Result<Rows<AuditEntry>, StoreError>;

    // -- upkeep ----------------------------------------------------------------------------------------------------

    /// Forgets what is older than the cut-offs, a bounded piece at a time, without holding up publishers. Entries of the audit
    /// log are kept for [`KEPT`](crate::audit::KEPT).
    async fn retain(&self, cutoffs: Cutoffs) -> Result<Retained, StoreError>;

    /// Removes up to `limit` messages of a deleted application, held ones included, with all about them. Returns how many;
    /// zero when none is left.
    async fn erase_app(&self, app: AppId, limit: usize) -> Result<u64, StoreError>;

    /// Writes a consistent copy of the store to a path that does not exist yet, while it is in use.
    async fn backup(&self, to: &Path) -> Result<(), StoreError>;

    /// Proves that what is stored adds up: messages × endpoints = succeeded + failed + cancelled + pending, and whoever is
    /// held waits for somebody.
    async fn check(&self) -> Result<CheckReport, StoreError>;

    /// Seals every secret anew with the current main secret. Returns how many were sealed.
    async fn reseal(&self) -> Result<u64, StoreError>;

    /// How it is doing. Cheap; called for every metrics scrape.
    async fn health(&self) -> StoreHealth;

    /// Writes out what is left and lets go of the files. Calls after it answer `Unavailable`.
    async fn close(&self);

    // -- many nodes ------------------------------------------------------------------------------------------------
    //
    // A store that is one process's alone answers all of these as they stand here.

    /// Which node this process is: the part of an id that tells what it made from what others make at the same moment.
    fn node(&self) -> u16 {
        0
    }

    /// Whether other processes may use the same store at the same time.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether deliveries to this endpoint are this process's to attempt. What is not is neither handed over nor claimable.
    fn serves(&self, _endpoint: EndpointId) -> bool {
        true
    }

    /// Whether attempts may be begun at this moment: not while another process may have taken this one's place, or have changed
    /// the configuration without our knowing it. To be asked before each.
    fn may_attempt(&self) -> bool {
        true
    }

    /// The right to do what one process does for all; `None` while that is another process, or nobody.
    fn lead(&self) -> Option<Lead> {
        Some(Lead::default())
    }

    /// Waits until another process has taken this one's place: whoever serves then has to begin anew. For ever where that
    /// cannot be.
    async fn ousted(&self) {
        std::future::pending::<()>().await;
    }

    /// What changed in the configuration since a version; [`Configuration::version`] is where it begins.
    async fn news(&self, since: u64) -> Result<News, StoreError> {
        Ok(News {
            version: since,
            ..News::default()
        })
    }

    /// Waits until the configuration may have another version than this one. For ever where nobody else can change it.
    async fn newer(&self, _than: u64) {
        std::future::pending::<()>().await;
    }

    /// This version of the configuration is in force in this process.
    fn in_force(&self, _version: u64) {}

    /// Waits until this version is in force in every process, but for a second at most: whoever does not have it by then begins
    /// no attempt until it has.
    async fn in_force_everywhere(&self, _version: u64) {}

    /// The processes that share this store, by their number.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        Ok(Vec::new())
    }
}
