//! What can be asked of a store: pages of messages, attempts and deliveries.
//!
//! A page starts at one end or beside a known row, and is answered in the order it was asked in. Rows are named by the number
//! of their id, which is also their order in time.

use std::time::Duration;

use bellwire_core::{
    app::App,
    attempt::Attempt,
    delivery::{DeliveryState, Progress, Trigger},
    endpoint::Endpoint,
    id::{AppId, AttemptId, EndpointId, MessageId, SourceId},
    message::Message,
    time::Timestamp,
};

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the list's beginning.
    #[default]
    First,
    /// With the row behind this one (this one not included), in the list's order.
    After(u64),
    /// So that it ends just before this one: walking back.
    Before(u64),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows, at least 1.
    pub limit: usize,
    /// Where it begins.
    pub start: Start,
    /// The list's order; rows always come in it, also when walking back.
    pub order: Order,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows, in the order that was asked for.
    pub items: Vec<T>,
    /// Whether more lie beyond, in the direction of the walk (behind the last row, or before the first when walking back).
    pub more: bool,
}

impl<T> Rows<T> {
    /// No rows at all.
    pub const EMPTY: Self = Self {
        items: Vec::new(),
        more: false,
    };
}

/// Conditions on messages. `None` and empty mean: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// On this channel.
    pub channel: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of one of these event types (exact names).
    pub event_types: Vec<String>,
    /// Accepted (or, for attempts, begun) before this time.
    pub before: Option<Timestamp>,
    /// Accepted (or begun) at or after this time.
    pub after: Option<Timestamp>,
}

/// Conditions on attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Conditions on their message; the times are the attempts' own.
    pub message: MessageFilter,
    /// Only attempts that succeeded (`Succeeded`) or failed (`Failed`); other states match no attempt.
    pub state: Option<DeliveryState>,
    /// 0: no answer; 100…500: an answer of that class.
    pub status_class: Option<u16>,
    /// At this endpoint.
    pub endpoint: Option<EndpointId>,
}

/// An attempt with the message it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// The attempt.
    pub attempt: Attempt,
    /// Its message, without payload unless asked for; `None` when it has expired.
    pub message: Option<Message>,
}

/// A delivery as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Of which message.
    pub message: MessageId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// Where it stands. Never `Sending`: the store does not know what is on the wire.
    pub state: DeliveryState,
    /// How far its run has come.
    pub progress: Progress,
    /// When it is tried next, if it is; `None` for one that is pending and waits for its turn in line.
    pub next_at: Option<Timestamp>,
    /// Its number in its line, where order is kept.
    pub sequence: Option<u64>,
}

/// A message and how its delivery to one endpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointMessage {
    /// The message, without payload unless asked for.
    pub message: Message,
    /// The delivery.
    pub delivery: DeliveryRow,
}

/// How many deliveries of an endpoint stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// Delivered.
    pub succeeded: u64,
    /// Waiting for their first or next attempt.
    pub pending: u64,
    /// Given up.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

/// Attempts of one span of time, for charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttemptCounts {
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
}

/// A delivery to be started anew by hand: resend, recover, replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requeue {
    /// Of which message.
    pub message: MessageId,
    /// To which endpoint; it need not have been among the message's endpoints before.
    pub endpoint: EndpointId,
    /// When it is due.
    pub due_at: Timestamp,
    /// What asks for it.
    pub trigger: Trigger,
}

/// What a replay looks at: one message of an application, and how its delivery to the endpoint stands, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayCandidate {
    /// The message, without payload.
    pub message: Message,
    /// Its delivery to the endpoint; `None` when it has none.
    pub delivery: Option<DeliveryRow>,
    /// The status code of the last attempt there; `None` when there was none.
    pub last_status_code: Option<u16>,
    /// Why the last attempt there failed; `None` when it did not, or when there was none.
    pub last_failure: Option<String>,
}

/// Everything about who may do what and what goes where: read once at the start, then kept in memory by the directory.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// All environments.
    pub environments: Vec<bellwire_core::app::Environment>,
    /// All applications that are not deleted.
    pub apps: Vec<App>,
    /// Their endpoints.
    pub endpoints: Vec<Endpoint>,
    /// All event types.
    pub event_types: Vec<bellwire_core::event_type::EventType>,
    /// All tokens.
    pub tokens: Vec<bellwire_core::app::Token>,
    /// All sources.
    pub sources: Vec<bellwire_core::source::Source>,
    /// The largest number of an id that was ever put, deleted things included: no id is given twice.
    pub largest_number: u64,
    /// How endpoints are doing, where they are not simply fine.
    pub health: Vec<(EndpointId, bellwire_core::decide::Health)>,
    /// Grows with each change, by whichever process (see [`crate::Store::news`]). Always 0 where only this one changes it.
    pub version: u64,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It takes requests and makes deliveries.
    #[default]
    All,
    /// It takes requests only.
    Api,
    /// It makes deliveries, and what is done in the background, only.
    Worker,
}

impl Role {
    /// By what it is called.
    pub const NAMES: [(&'static str, Self); 3] = [("all", Self::All), ("api", Self::Api), ("worker", Self::Worker)];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// Whether it makes deliveries.
    pub fn delivers(self) -> bool {
        self != Self::Api
    }

    /// Whether it takes requests of users.
    pub fn answers(self) -> bool {
        self != Self::Worker
    }
}

impl std::str::FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        known.map(|(_, role)| role).ok_or(())
    }
}

/// One of the processes that share a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its number.
    pub number: u16,
    /// How often the number was taken: by this process last.
    pub epoch: u64,
    /// What it does.
    pub role: Role,
    /// Which machine it is on, and which process it is there.
    pub host: String,
    /// Since when it takes part.
    pub since: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// The parts of all endpoints that it serves, of [`SHARDS`].
    pub shards: u32,
    /// The version of the configuration that is in force there.
    pub version: u64,
    /// It does what one process does for all.
    pub leads: bool,
    /// It is the one that was asked.
    pub is_self: bool,
}

/// The parts that all endpoints are divided into.
pub const SHARDS: u32 = 1_024;

/// Times before which things are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    /// Messages (with all about them) accepted before then.
    pub messages: Timestamp,
    /// Attempts begun before then.
    pub attempts: Timestamp,
    /// Payloads that expired before then.
    pub payloads: Timestamp,
}

/// What a clean-up removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Time partitions dropped.
    pub partitions: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// What [`crate::Store::check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Messages looked at.
    pub messages: u64,
    /// Deliveries looked at: messages times their endpoints, and what was added by hand.
    pub deliveries: u64,
    /// How they stand; the sum is `deliveries`.
    pub counts: DeliveryCounts,
    /// Messages that are held until their turn; not among `messages`.
    pub held: u64,
    /// What contradicts itself, in words; empty when all is well.
    pub problems: Vec<String>,
}

/// Upper bounds of the buckets that commits are counted in, in milliseconds.
pub const COMMIT_BUCKETS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000];

/// How a store is doing, for metrics and readiness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// `None` when it can write; otherwise why it cannot.
    pub unwritable: Option<String>,
    /// Deliveries that wait in the store: the sum of what [`crate::Handoff::waiting`] is told.
    pub waiting: u64,
    /// The earliest time at which one of them is (or was) due.
    pub oldest_due: Option<Timestamp>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Total time spent committing since the start.
    pub commit_time: Duration,
    /// Commits since the start by how long they took: for each bound of [`COMMIT_BUCKETS_MS`] those that took so long at most
    /// and longer than the bound before, and last the longer ones.
    pub commit_buckets: [u64; COMMIT_BUCKETS_MS.len() + 1],
    /// How often publishers waited since the start while the store tidied up after itself, other than by committing.
    pub pauses: u64,
    /// For how long in all.
    pub pause_time: Duration,
    /// How it is doing among the nodes that share the store; `None` where nobody else can.
    pub node: Option<NodeHealth>,
}

/// How a node is doing among others. What it says is known without asking the database, so also while that is away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// Nodes that take part, this one among them.
    pub nodes: usize,
    /// Of the [`SHARDS`] that all endpoints are divided into those that this node serves.
    pub shards: usize,
    /// Nodes that went without a word, and whose endpoints this one freed for the others, since the start.
    pub takeovers: u64,
    /// Time since this node last was certain that its place is its own: since it asked the database, where that confirmed it.
    pub place_age: Duration,
    /// Time since this node last was certain that the configuration in force here is the newest.
    pub configuration_age: Duration,
    /// Connections to the database in use.
    pub connections_in_use: usize,
    /// Connections that are opened at most.
    pub connections_max: usize,
    /// Words that were said to the other nodes since the start.
    pub said: u64,
    /// Words that were heard since the start, this node's own among them.
    pub heard: u64,
}

/// Names an attempt's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptKey {
    /// Whose.
    pub app: AppId,
    /// Of which message.
    pub message: MessageId,
    /// Which.
    pub attempt: AttemptId,
}

/// Which lines of an endpoint are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineQuery {
    /// This one only.
    pub key: Option<String>,
    /// Only those that are blocked.
    pub blocked: bool,
    /// Those whose key lies behind this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// How a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRow {
    /// Its ordering key; empty when all deliveries of the endpoint form one line.
    pub key: String,
    /// The last number given.
    pub last: u64,
    /// The last number that succeeded; 0 when none did.
    pub succeeded: u64,
    /// How many are in line, the head included.
    pub waiting: u64,
    /// Who is at its head.
    pub head: Option<LineHead>,
}

/// The head of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineHead {
    /// Which message.
    pub message: MessageId,
    /// Its number.
    pub sequence: u64,
    /// It was given up, and the line waits for a person.
    pub blocked: bool,
    /// When it is tried; `None` when it is blocked, or waits for the lines of an earlier era.
    pub next_at: Option<Timestamp>,
}

/// What a person does about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tending {
    /// Blocked heads start anew, due at this time, in a new run.
    Unblock(Timestamp),
    /// Blocked heads leave the line as they are (failed); the next one has its turn.
    Skip,
    /// Everything in line that is not out is cancelled; a blocked head stays failed and leaves the line.
    Discard,
}

/// What waits for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Deliveries that wait in the store, those behind others of their line included; what is out in memory is not counted.
    pub waiting: u64,
    /// When the earliest of those that may be attempted is, or was, due.
    pub oldest_due: Option<Timestamp>,
    /// How many lines are blocked.
    pub blocked_lines: u64,
}

/// How many refused requests of one source are kept.
pub const REFUSED_MAX: usize = 500;

/// A request to a source that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RefusedRequest {
    /// Numbers them in time, across sources (a directory's new id).
    pub number: u64,
    /// To which source.
    pub source: SourceId,
    /// When it came.
    pub at: Timestamp,
    /// What it was answered.
    pub status: u16,
    /// Why, for programs: a stable name such as `mismatch` or `clock`.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its headers, without credentials.
    pub headers: Vec<(String, String)>,
    /// Who connected.
    pub peer: Option<String>,
    /// The beginning of its body, as text.
    pub body: String,
    /// How many like it (same reason) were not kept since the last that was, because there were too many.
    pub skipped: u64,
}

/// Which streams of an application are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamQuery {
    /// This one only.
    pub key: Option<String>,
    /// Only those in which something waits.
    pub held: bool,
    /// Those whose key lies behind this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// How the arrivals of one key stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// The key.
    pub key: String,
    /// The last number or version that was accepted.
    pub last: Option<String>,
    /// How many wait for those before them.
    pub held: u64,
    /// When the first of those no longer waits.
    pub until: Option<Timestamp>,
    /// Numbers that were waited for in vain, first and last of each stretch, oldest first; the newest hundred.
    pub gaps: Vec<(u64, u64)>,
}
