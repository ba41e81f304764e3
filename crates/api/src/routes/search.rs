//! `GET /api/v1/search`: one box for everything that people have in their hands: an id, a URL, a status, a time, a text.
//!
//! What the text may mean is decided by [`understand`]. Ids, names and statuses are looked up; a text is looked for in payloads
//! and answers, newest first, for a bounded while ([`bellwire_store::scan`]): an answer says how far back it looked, and its
//! iterator goes on from there. Nothing is indexed for it when a message is published.

mod hit;
mod lookup;
mod understand;

use std::time::Duration;

use bellwire_core::{
    id::{AttemptId, Id as _, MessageId},
    time::Timestamp,
};
use bellwire_store::{
    query::MessageFilter,
    scan::{Needle, Scan, StatusWanted},
    survey::FailureQuery,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use self::{
    hit::HitOut,
    understand::{Meaning, UnderstoodOut, understand},
};
use super::scope::{Scoped, scope};
use crate::{
    auth::Access,
    call::{Call, Context, Reply},
    error::ApiError,
    field::{EventTypeName, Set, Time},
    operation::{Operation, get},
    problem::Problem,
};

/// Hits when nothing is asked, and at most.
const LIMIT: (usize, u64) = (20, 100);
/// Bytes of the text.
const TEXT_BYTES_MAX: usize = 500;
/// Messages that the store looks at in one piece.
const PIECE_ROWS: usize = 1_000;
/// Bytes after which a piece ends.
const PIECE_BYTES: usize = 4 << 20;
/// Messages that one answer looks at.
const ROWS_MAX: u64 = 50_000;
/// How long one answer looks.
const PATIENCE: Duration = Duration::from_millis(300);
/// Failed attempts of one endpoint that are looked at for a status.
const FAILURES_MAX: usize = 5_000;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/v1/search", "search", Access::READ_APP)
            .summary("Find messages, attempts, endpoints and more by what you have in your hands")
            .about(
                "An id, an event id, a URL or a part of it, a name, a status code (`503`, `5xx`, `none`), a time, or a text that stands \
                 in a payload or an answer; `understood` says what it was taken for. A text is looked for newest first and for \
                 a bounded while: `looked` says how far back, and the iterator goes on from there, also when a page \
                 has no hits. Answers are looked at that came within four days of their message.",
            )
            .to(search),
    ]
}

/// What to find.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct SearchQuery {
    /// What to look for; everything that fits the conditions when it is left out.
    q: Option<String>,
    /// In this application: its id or uid.
    app: Option<String>,
    /// What went to this endpoint: its id, or its uid beside `app`.
    endpoint: Option<String>,
    /// Messages of these types.
    event_types: Option<Set<EventTypeName, 0, 500>>,
    /// Attempts that were answered so: `503`, `5xx`, or `none`.
    status: Option<StatusAsked>,
    /// Accepted from then on…
    since: Option<Time>,
    /// …and before then.
    until: Option<Time>,
    /// How many hits at most: 1 to 100, 20 when left out.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u64>,
    /// The `iterator` of the answer before.
    iterator: Option<String>,
}

/// A status code or a class of them, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatusAsked(StatusWanted);

impl<'de> Deserialize<'de> for StatusAsked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let why = || {
            D::Error::custom(format_args!(
                "`{text}` is no status; write 503, 5xx, or none for no answer"
            ))
        };
        understand::status(&text).map(Self).ok_or_else(why)
    }
}

impl JsonSchema for StatusAsked {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SearchStatus".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([1-5][0-9][0-9]|[1-5]xx|none)$" })
    }
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
struct SearchOut {
    /// What the text was taken for, the likeliest first.
    understood: Vec<UnderstoodOut>,
    hits: Vec<HitOut>,
    looked: LookedOut,
    /// Goes on from where this one stopped; null when there is no more.
    iterator: Option<String>,
    /// Whether everything was looked at.
    done: bool,
}

/// How far a text was looked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SearchLookedOut")]
struct LookedOut {
    /// Messages looked at.
    messages: u64,
    /// When the oldest of them was accepted.
    #[schemars(with = "Option<Time>")]
    back_to: Option<Timestamp>,
    /// Whether that were all.
    complete: bool,
    /// The same in words.
    words: String,
}

/// What is asked, checked.
struct Asked {
    text: String,
    scoped: Scoped,
    filter: MessageFilter,
    status: Option<StatusWanted>,
    limit: usize,
    from: Beginning,
}

/// Where an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// At the beginning.
    Newest,
    /// Below this message.
    Below(MessageId),
    /// Below this attempt, in a list of failures.
    BelowAttempt(AttemptId),
}

impl Beginning {
    fn read(iterator: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = iterator else { return Ok(Self::Newest) };
        let message = text.parse().map(Self::Below);
        message
            .or_else(|_| text.parse().map(Self::BelowAttempt))
            .map_err(|_| ApiError::invalid(Problem::query("iterator", "give the `iterator` of another answer")))
    }
}

async fn search(Call { cx, query, .. }: Call<SearchQuery>) -> Result<Reply<SearchOut>, ApiError> {
    let asked = asked(&cx, query)?;
    let meanings = understand(&asked.text);
    let mut found = Found::default();
    if asked.from == Beginning::Newest {
        for meaning in &meanings {
            look_up(&cx, &asked, meaning, &mut found).await?;
        }
    }
    let wants_text = meanings.contains(&Meaning::Text);
    let wants_filter = asked.text.is_empty();
    let by_failures = wants_filter && asked.status.is_some_and(is_failure);
    if by_failures {
        failures(&cx, &asked, &mut found).await?;
    } else if wants_text || wants_filter {
        let needle = Needle::new(&asked.text);
        scan(&cx, &asked, needle, &mut found).await?;
    }
    let mut understood: Vec<_> = meanings.iter().map(Meaning::out).collect();
    if wants_filter {
        understood.push(UnderstoodOut {
            kind: "filters",
            words: "everything that fits the conditions, newest first".to_owned(),
        });
    }
    Reply::ok(&SearchOut {
        understood,
        looked: found.looked(),
        done: found.next.is_none(),
        iterator: found.next,
        hits: found.hits,
    })
}

fn asked(cx: &Context, query: SearchQuery) -> Result<Asked, ApiError> {
    let text = query.q.unwrap_or_default().trim().to_owned();
    if text.len() > TEXT_BYTES_MAX {
        let msg = format!("it is {} bytes long; give at most {TEXT_BYTES_MAX}", text.len());
        return Err(ApiError::invalid(Problem::query("q", msg)));
    }
    let limit = match query.limit {
        None => LIMIT.0,
        Some(limit) if (1..=LIMIT.1).contains(&limit) => limit as usize,
        Some(limit) => {
            let msg = format!("{limit} is out of bounds; ask for 1 to {}", LIMIT.1);
            return Err(ApiError::invalid(Problem::query("limit", msg)));
        }
    };
    Ok(Asked {
        text,
        scoped: scope(cx, query.app.as_deref(), query.endpoint.as_deref())?,
        filter: MessageFilter {
            event_types: query.event_types.map(Set::into_texts).unwrap_or_default(),
            after: query.since.map(|Time(at)| at),
            before: query.until.map(|Time(at)| at),
            ..MessageFilter::default()
        },
        status: query.status.map(|StatusAsked(status)| status),
        limit,
        from: Beginning::read(query.iterator.as_deref())?,
    })
}

/// Whether attempts with this status failed, all of them.
fn is_failure(status: StatusWanted) -> bool {
    match status {
        StatusWanted::Code(code) => !(200..300).contains(&code),
        StatusWanted::Class(class) => class != 200,
    }
}

/// What was found, and how far it was looked for.
#[derive(Default)]
struct Found {
    hits: Vec<HitOut>,
    messages: u64,
    back_to: Option<Timestamp>,
    scanned: bool,
    next: Option<String>,
}

impl Found {
    fn looked(&self) -> LookedOut {
        let complete = self.next.is_none();
        let words = match (self.scanned, complete, self.back_to) {
            (false, ..) => "looked up by name; texts were not looked through".to_owned(),
            (true, true, _) => format!("looked through all {} messages that are kept", self.messages),
            (true, false, Some(at)) => format!(
                "looked through {} messages, back to {at}; go on for older ones",
                self.messages
            ),
            (true, false, None) => "nothing was looked at yet; go on".to_owned(),
        };
        LookedOut {
            messages: self.messages,
            back_to: self.back_to,
            complete,
            words,
        }
    }
}

/// Adds what a meaning finds without looking through messages.
async fn look_up(cx: &Context, asked: &Asked, meaning: &Meaning, found: &mut Found) -> Result<(), ApiError> {
    let hits = match meaning {
        Meaning::Message(id) => lookup::message(cx, asked, *id).await?,
        Meaning::Attempt(id) => lookup::attempt(cx, asked, *id).await?,
        Meaning::Endpoint(id) => lookup::endpoint(asked, *id),
        Meaning::App(id) => lookup::app(asked, *id),
        Meaning::Source(id) => lookup::source(cx, asked, *id)?,
        Meaning::Task(id) => lookup::task(cx, *id).await?,
        Meaning::Status(status) => {
            if is_failure(*status) {
                lookup::failed(cx, asked, *status, None).await?.0
            } else {
                let piece = Scan {
                    status: Some(*status),
                    ..piece(asked, None, None)
                };
                let scanned = cx.server.store.scan(piece).await?;
                scanned.hits.into_iter().map(|hit| HitOut::of(hit, "filter")).collect()
            }
        }
        Meaning::Time { since, until } => {
            let mut piece = piece(asked, None, None);
            piece.filter.after = piece.filter.after.max(Some(*since));
            piece.filter.before = Some(piece.filter.before.map_or(*until, |before| before.min(*until)));
            let scanned = cx.server.store.scan(piece).await?;
            scanned.hits.into_iter().map(|hit| HitOut::of(hit, "time")).collect()
        }
        Meaning::Url | Meaning::Text => Vec::new(),
        Meaning::Name => lookup::named(cx, asked).await?,
    };
    found.hits.extend(hits);
    Ok(())
}

/// One piece of a scan.
fn piece(asked: &Asked, needle: Option<Needle>, below: Option<u64>) -> Scan {
    let endpoint = asked.scoped.endpoints.first();
    Scan {
        apps: asked.scoped.app_ids(),
        filter: asked.filter.clone(),
        endpoint: endpoint
            .filter(|_| asked.scoped.one_endpoint)
            .map(|entry| entry.endpoint.id),
        status: asked.status,
        needle,
        below,
        rows: PIECE_ROWS,
        bytes: PIECE_BYTES,
        hits: asked.limit,
    }
}

/// Looks through messages until there are enough hits, no more messages, or no more patience.
async fn scan(cx: &Context, asked: &Asked, needle: Option<Needle>, found: &mut Found) -> Result<(), ApiError> {
    let directory = &cx.server.directory;
    let ends = directory.now().plus(PATIENCE);
    let mut below = match asked.from {
        Beginning::Newest => None,
        Beginning::Below(id) => Some(id.number()),
        Beginning::BelowAttempt(_) => {
            let msg = "it is of another search; leave it out";
            return Err(ApiError::invalid(Problem::query("iterator", msg)));
        }
    };
    found.scanned = true;
    let mut left = asked.limit;
    loop {
        let piece = Scan {
            hits: left,
            ..piece(asked, needle.clone(), below)
        };
        let scanned = cx.server.store.scan(piece).await?;
        found.messages += scanned.seen;
        if let Some(reached) = scanned.reached {
            found.back_to = Some(MessageId::from_number(reached).created_at());
            below = Some(reached);
        }
        left = left.saturating_sub(scanned.hits.len());
        let known = std::mem::take(&mut found.hits);
        let new = scanned.hits.into_iter().map(|hit| HitOut::of(hit, "filter"));
        let new = new
            .filter(|hit| !known.iter().any(|other| other.is_message(hit)))
            .collect::<Vec<_>>();
        found.hits = known.into_iter().chain(new).collect();
        if scanned.done {
            return Ok(());
        }
        if left == 0 || found.messages >= ROWS_MAX || directory.now() >= ends {
            found.next = below.map(|number| MessageId::from_number(number).to_string());
            return Ok(());
        }
    }
}

/// Lists failed attempts with a status, by the index of failures.
async fn failures(cx: &Context, asked: &Asked, found: &mut Found) -> Result<(), ApiError> {
    let below = match asked.from {
        Beginning::Newest => None,
        Beginning::BelowAttempt(id) => Some(id),
        Beginning::Below(_) => {
            let msg = "it is of another search; leave it out";
            return Err(ApiError::invalid(Problem::query("iterator", msg)));
        }
    };
    let Some(status) = asked.status else { return Ok(()) };
    let (hits, next) = lookup::failed(cx, asked, status, below).await?;
    found.hits.extend(hits);
    found.next = next.map(|id| id.to_string());
    Ok(())
}

/// Which failures are looked at for a status.
fn failure_query(asked: &Asked, below: Option<AttemptId>, now: Timestamp) -> FailureQuery {
    let soon = now.plus(Duration::from_millis(1));
    let endpoints = asked.scoped.endpoint_ids();
    FailureQuery {
        since: asked.filter.after.unwrap_or(Timestamp::from_secs(0)),
        until: below.map_or(soon, |id| id.created_at().plus(Duration::from_millis(1))),
        per_endpoint: (FAILURES_MAX * 4 / endpoints.len().max(1)).clamp(20, FAILURES_MAX),
        endpoints,
    }
}
