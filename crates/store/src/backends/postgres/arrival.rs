//! What a source brings: accepted in its turn, held until then, or stale. Which is decided by [`bellwire_core::sequence`].
//!
//! Those that waited are accepted a bounded number at a time. The first of those that are left is due from then on, so that
//! it is found whatever happens.

use std::{collections::HashSet, fmt::Display, sync::Arc, time::Duration};

use bellwire_core::{
    id::Id,
    message::NewMessage,
    sequence::{Judged, Lateness, Stale, Stream},
    time::Timestamp,
};

use super::{
    append,
    argument::args,
    columns::{key, number},
    fault::Fault,
    held::{self, Held, Wait},
    known,
    stream::{self, Name},
    tx::Tx,
};
use crate::{
    contract::{Appended, Arrival, ArrivalPlace, Arrived, Freed, Released},
    error::AppendError,
};

/// So many that waited are accepted in one transaction.
const TURNS_PER_COMMIT: usize = 256;

/// What became of an arrival.
pub(super) struct Answer {
    pub arrived: Arrived,
    /// Its stream, when more of it have their turn now.
    pub more: Option<Name>,
}

/// Accepts a message in its turn.
pub(super) async fn arrive(tx: &mut Tx, arrival: Arrival) -> Result<Result<Answer, AppendError>, Fault> {
    let Arrival {
        mut message,
        key: okey,
        place,
    } = arrival;
    message.idempotency = None;
    let name = Name { app: message.app, okey };
    if let Some(until) = repetition_of_held(tx, &message).await? {
        let arrived = Arrived::Held { until };
        return Ok(Ok(Answer { arrived, more: None }));
    }
    let mut opened = stream::open(tx, &name).await?;
    let came = match place {
        ArrivalPlace::Sequence { number, start, wait } => {
            let numbered = Numbered { number, start, wait };
            by_number(tx, &name, &mut opened.stream, message, numbered).await?
        }
        ArrivalPlace::Version(version) => by_version(tx, &mut opened.stream, message, version).await?,
    };
    let (arrived, more) = match came {
        Ok(came) => came,
        Err(error) => return Ok(Err(error)),
    };
    stream::write(tx, &name, &opened);
    Ok(Ok(Answer {
        arrived,
        more: more.then_some(name),
    }))
}

/// Until when a message with the same event id is held.
async fn repetition_of_held(tx: &mut Tx, message: &NewMessage) -> Result<Option<Timestamp>, Fault> {
    match &message.event_id {
        Some(event_id) => held::until(tx, message.app, event_id).await,
        None => Ok(None),
    }
}

/// What became of an arrival, and whether more of its stream have their turn now.
type Came = Result<(Arrived, bool), AppendError>;

struct Numbered {
    number: u64,
    start: Option<u64>,
    wait: Duration,
}

async fn by_number(
    tx: &mut Tx,
    name: &Name,
    stream: &mut Stream,
    message: NewMessage,
    numbered: Numbered,
) -> Result<Came, Fault> {
    let Numbered { number, start, wait } = numbered;
    let least_held = held::first(tx, name).await?.map(|(_, number)| number);
    match stream.judge_number(number, start, least_held) {
        Judged::Stale(why) => stale(tx, message, &why).await,
        Judged::Accept => match append::append_one(tx, message).await? {
            Ok(appended) => {
                stream.accept_number(number);
                let turns = accept_held(tx, name, stream, None, TURNS_PER_COMMIT).await?;
                let freed = turns.freed;
                Ok(Ok((Arrived::Accepted { appended, freed }, turns.more)))
            }
            Err(error) => Ok(Err(error)),
        },
        Judged::Hold { missing } => {
            if let Some(taken) = event_id_taken(tx, &message).await? {
                return Ok(Err(taken));
            }
            let until = tx.now.plus(wait);
            held::put(tx, name, number, &message, &Wait { until, missing })?;
            Ok(Ok((Arrived::Held { until }, false)))
        }
    }
}

async fn by_version(tx: &mut Tx, stream: &mut Stream, message: NewMessage, version: String) -> Result<Came, Fault> {
    if let Err(why) = stream.judge_version(&version) {
        return stale(tx, message, &why).await;
    }
    let appended = append::append_one(tx, message).await?;
    if appended.is_ok() {
        stream.accept_version(version);
    }
    let freed = Vec::new();
    Ok(appended.map(|appended| (Arrived::Accepted { appended, freed }, false)))
}

/// Kept, and sent nowhere.
async fn stale(tx: &mut Tx, mut message: NewMessage, why: &Stale) -> Result<Came, Fault> {
    message.routes.clear();
    note(&mut message, why);
    Ok(match append::append_one(tx, message).await? {
        Ok(appended) => Ok((Arrived::Stale(appended), false)),
        Err(AppendError::EventIdTaken { event_id, existing, .. }) => Err(AppendError::EventIdTaken {
            event_id,
            existing,
            overtaken: true,
        }),
        Err(error) => Err(error),
    })
}

/// That an accepted message has the event id.
async fn event_id_taken(tx: &mut Tx, message: &NewMessage) -> Result<Option<AppendError>, Fault> {
    let Some(event_id) = &message.event_id else {
        return Ok(None);
    };
    let existing = known::by_event_id(tx.flushed().await?, message.app, event_id).await?;
    Ok(existing.map(|existing| append::taken(event_id, existing)))
}

/// Behind what is noted already.
fn note(message: &mut NewMessage, what: &impl Display) {
    if let Some(inbound) = &mut message.inbound {
        let inbound = Arc::make_mut(inbound);
        inbound.note = Some(match inbound.note.take() {
            Some(note) => format!("{note}; {what}"),
            None => what.to_string(),
        });
    }
}

/// What giving turns came to.
#[derive(Default)]
pub(super) struct Turns {
    /// How many were no longer held.
    given: usize,
    /// Those of them that were accepted.
    pub freed: Vec<Freed>,
    /// There are more that have their turn.
    pub more: bool,
}

/// Accepts up to `limit` held messages of a stream that have their turn.
async fn accept_held(
    tx: &mut Tx,
    name: &Name,
    stream: &mut Stream,
    over: Option<u64>,
    limit: usize,
) -> Result<Turns, Fault> {
    let mut turns = Turns::default();
    while let Some((id, number)) = held::first(tx, name).await? {
        if turns.given == limit {
            if stream.follows(number) {
                held::make_due(tx, id);
                turns.more = true;
            }
            break;
        }
        let Some(turn) = stream.turn(number, over) else { break };
        let Held {
            mut message,
            came_at,
            missing,
        } = held::take(tx, name, id).await?;
        let lateness = Lateness {
            waited: tx.now.since(came_at),
            missing,
            gap: turn.gap,
        };
        note(&mut message, &lateness);
        leave_out_the_gone(tx, &mut message).await?;
        turns.given += 1;
        let (event_type, endpoints) = (message.event_type.clone(), message.routes.len());
        // An event that was published under its id meanwhile is there already.
        if let Ok(Appended { id, .. }) = append::append_one(tx, message).await? {
            turns.freed.push(Freed {
                app: name.app,
                id,
                event_type,
                endpoints,
            });
        }
    }
    Ok(turns)
}

/// Leaves out routes to endpoints that were deleted since the message came.
async fn leave_out_the_gone(tx: &mut Tx, message: &mut NewMessage) -> Result<(), Fault> {
    let endpoints: Vec<i64> = message
        .routes
        .iter()
        .map(|route| key(route.endpoint.number()))
        .collect();
    if endpoints.is_empty() {
        return Ok(());
    }
    let rows = tx
        .rows("SELECT id FROM endpoint WHERE id = ANY ($1)", args![endpoints])
        .await?;
    let there: HashSet<u64> = rows.iter().map(|row| number(row.get(0))).collect();
    message.routes.retain(|route| there.contains(&route.endpoint.number()));
    Ok(())
}

/// Goes on where [`arrive`] stopped.
pub(super) async fn go_on(tx: &mut Tx, name: &Name) -> Result<Turns, Fault> {
    let mut opened = stream::open(tx, name).await?;
    let turns = accept_held(tx, name, &mut opened.stream, None, TURNS_PER_COMMIT).await?;
    if turns.given > 0 {
        stream::write(tx, name, &opened);
    }
    Ok(turns)
}

/// A piece of [`crate::Store::release`].
pub(super) struct Piece {
    pub released: Released,
    /// How many are no longer held.
    pub given: usize,
    /// Other waits are over as well.
    pub more: bool,
}

/// Ends waits: of so many, or as many as one transaction bears.
pub(super) async fn release(tx: &mut Tx, now: Timestamp, limit: usize) -> Result<Piece, Fault> {
    let limit = limit.min(TURNS_PER_COMMIT);
    let mut piece = Piece {
        released: Released::default(),
        given: 0,
        more: false,
    };
    while let Some(name) = held::due(tx, now).await? {
        if piece.given >= limit {
            piece.more = true;
            break;
        }
        let mut opened = stream::open(tx, &name).await?;
        let over = held::over(tx, &name, now).await?;
        let turns = accept_held(tx, &name, &mut opened.stream, over, limit - piece.given).await?;
        stream::write(tx, &name, &opened);
        piece.given += turns.given;
        piece.released.freed.extend(turns.freed);
    }
    piece.released.next = held::next(tx).await?;
    Ok(piece)
}

/// A piece of [`crate::Store::reset_stream`].
pub(super) struct ResetPiece {
    /// There was such a stream.
    pub known: bool,
    /// What was held in it and is accepted.
    pub freed: Vec<Freed>,
    /// There is still something held in it.
    pub more: bool,
}

/// Accepts what is held in a stream, as much as one transaction bears, and forgets it when nothing is left.
pub(super) async fn reset(tx: &mut Tx, name: &Name) -> Result<ResetPiece, Fault> {
    let mut opened = stream::open(tx, name).await?;
    let turns = accept_held(tx, name, &mut opened.stream, Some(u64::MAX), TURNS_PER_COMMIT).await?;
    let more = held::first(tx, name).await?.is_some();
    let known = if more {
        stream::write(tx, name, &opened);
        true
    } else {
        stream::forget_one(tx, name).await? || turns.given > 0
    };
    let freed = turns.freed;
    Ok(ResetPiece { known, freed, more })
}
