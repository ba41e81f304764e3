//! What a source brings: accepted in its turn, held until then, or stale. Which is decided by [`bellwire_core::sequence`].
//!
//! Those that waited are accepted a bounded number at a time. The first of those that are left is due from then on, so that
//! it is found whatever happens.

use std::{fmt::Display, sync::Arc, time::Duration};

use bellwire_core::{
    id::Id,
    message::NewMessage,
    sequence::{Judged, Lateness, Stale, Stream},
    time::Timestamp,
};

use super::{
    fault::Fault,
    held::{self, Held, Wait},
    ingest,
    row::key,
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
pub(super) fn arrive(tx: &mut Tx<'_>, arrival: Arrival) -> Result<Result<Answer, AppendError>, Fault> {
    let Arrival {
        mut message,
        key: okey,
        place,
    } = arrival;
    message.idempotency = None;
    let name = Name { app: message.app, okey };
    if let Some(until) = repetition_of_held(tx, &message)? {
        let arrived = Arrived::Held { until };
        return Ok(Ok(Answer { arrived, more: None }));
    }
    let mut opened = stream::open(tx.connection, &name)?;
    let came = match place {
        ArrivalPlace::Sequence { number, start, wait } => {
            let numbered = Numbered { number, start, wait };
            by_number(tx, &name, &mut opened.stream, message, numbered)?
        }
        ArrivalPlace::Version(version) => by_version(tx, &mut opened.stream, message, version)?,
    };
    let (arrived, more) = match came {
        Ok(came) => came,
        Err(error) => return Ok(Err(error)),
    };
    stream::write(tx, &name, &opened)?;
    Ok(Ok(Answer {
        arrived,
        more: more.then_some(name),
    }))
}

/// Until when a message with the same event id is held.
fn repetition_of_held(tx: &Tx<'_>, message: &NewMessage) -> rusqlite::Result<Option<Timestamp>> {
    match &message.event_id {
        Some(event_id) => held::until(tx.connection, message.app, event_id),
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

fn by_number(
    tx: &mut Tx<'_>,
    name: &Name,
    stream: &mut Stream,
    message: NewMessage,
    numbered: Numbered,
) -> Result<Came, Fault> {
    let Numbered { number, start, wait } = numbered;
    let least_held = held::first(tx.connection, name)?.map(|(_, number)| number);
    match stream.judge_number(number, start, least_held) {
        Judged::Stale(why) => stale(tx, message, &why),
        Judged::Accept => match ingest::append(tx, message)? {
            Ok(appended) => {
                stream.accept_number(number);
                let turns = accept_held(tx, name, stream, None, TURNS_PER_COMMIT)?;
                let freed = turns.freed;
                Ok(Ok((Arrived::Accepted { appended, freed }, turns.more)))
            }
            Err(error) => Ok(Err(error)),
        },
        Judged::Hold { missing } => {
            if let Some(taken) = event_id_taken(tx, &message)? {
                return Ok(Err(taken));
            }
            let until = tx.now.plus(wait);
            held::put(tx, name, number, &message, &Wait { until, missing })?;
            Ok(Ok((Arrived::Held { until }, false)))
        }
    }
}

fn by_version(tx: &mut Tx<'_>, stream: &mut Stream, message: NewMessage, version: String) -> Result<Came, Fault> {
    if let Err(why) = stream.judge_version(&version) {
        return stale(tx, message, &why);
    }
    let appended = ingest::append(tx, message)?;
    if appended.is_ok() {
        stream.accept_version(version);
    }
    let freed = Vec::new();
    Ok(appended.map(|appended| (Arrived::Accepted { appended, freed }, false)))
}

/// Kept, and sent nowhere.
fn stale(tx: &mut Tx<'_>, mut message: NewMessage, why: &Stale) -> Result<Came, Fault> {
    message.routes.clear();
    note(&mut message, why);
    Ok(match ingest::append(tx, message)? {
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
fn event_id_taken(tx: &Tx<'_>, message: &NewMessage) -> rusqlite::Result<Option<AppendError>> {
    let Some(event_id) = &message.event_id else {
        return Ok(None);
    };
    let existing = ingest::by_event_id(tx.connection, key(message.app.number()), event_id)?;
    Ok(existing.map(|existing| ingest::taken(event_id, existing)))
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
fn accept_held(
    tx: &mut Tx<'_>,
    name: &Name,
    stream: &mut Stream,
    over: Option<u64>,
    limit: usize,
) -> Result<Turns, Fault> {
    let mut turns = Turns::default();
    while let Some((id, number)) = held::first(tx.connection, name)? {
        if turns.given == limit {
            if stream.follows(number) {
                held::make_due(tx, id)?;
                turns.more = true;
            }
            break;
        }
        let Some(turn) = stream.turn(number, over) else { break };
        let Held {
            mut message,
            came_at,
            missing,
        } = held::take(tx, name, id)?;
        let lateness = Lateness {
            waited: tx.now.since(came_at),
            missing,
            gap: turn.gap,
        };
        note(&mut message, &lateness);
        leave_out_the_gone(tx, &mut message)?;
        turns.given += 1;
        let (event_type, endpoints) = (message.event_type.clone(), message.routes.len());
        // An event that was published under its id meanwhile is there already.
        if let Ok(Appended { id, .. }) = ingest::append(tx, message)? {
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
fn leave_out_the_gone(tx: &Tx<'_>, message: &mut NewMessage) -> rusqlite::Result<()> {
    let mut exists = tx.connection.prepare_cached("SELECT 1 FROM endpoint WHERE id = ?1")?;
    let mut there = Vec::with_capacity(message.routes.len());
    for route in message.routes.drain(..) {
        if exists.exists([key(route.endpoint.number())])? {
            there.push(route);
        }
    }
    message.routes = there;
    Ok(())
}

/// Goes on where [`arrive`] stopped.
pub(super) fn go_on(tx: &mut Tx<'_>, name: &Name) -> Result<Turns, Fault> {
    let mut opened = stream::open(tx.connection, name)?;
    let turns = accept_held(tx, name, &mut opened.stream, None, TURNS_PER_COMMIT)?;
    if turns.given > 0 {
        stream::write(tx, name, &opened)?;
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
pub(super) fn release(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Piece, Fault> {
    let limit = limit.min(TURNS_PER_COMMIT);
    let mut piece = Piece {
        released: Released::default(),
        given: 0,
        more: false,
    };
    while let Some(name) = held::due(tx.connection, now)? {
        if piece.given >= limit {
            piece.more = true;
            break;
        }
        let mut opened = stream::open(tx.connection, &name)?;
        let over = held::over(tx.connection, &name, now)?;
        let turns = accept_held(tx, &name, &mut opened.stream, over, limit - piece.given)?;
        stream::write(tx, &name, &opened)?;
        piece.given += turns.given;
        piece.released.freed.extend(turns.freed);
    }
    piece.released.next = held::next(tx.connection)?;
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
pub(super) fn reset(tx: &mut Tx<'_>, name: &Name) -> Result<ResetPiece, Fault> {
    let mut opened = stream::open(tx.connection, name)?;
    let turns = accept_held(tx, name, &mut opened.stream, Some(u64::MAX), TURNS_PER_COMMIT)?;
    let more = held::first(tx.connection, name)?.is_some();
    let known = if more {
        stream::write(tx, name, &opened)?;
        true
    } else {
        stream::forget_one(tx, name)? || turns.given > 0
    };
    let freed = turns.freed;
    Ok(ResetPiece { known, freed, more })
}
