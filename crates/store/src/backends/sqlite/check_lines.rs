//! The proof that lines add up: one head per line, numbers without gaps, and everybody who waits is known to wait.

use std::{collections::HashMap, sync::Arc};

use rusqlite::Connection;

use super::{
    check::Proof,
    fault::Fault,
    line::{BLOCKED, HEAD, WAITING},
    partition::{Kind, day_of},
    proof::{LineName, Numbered, name, shown},
    row::{FAILED, PENDING, key, number},
    scan::DeliveryState,
};

/// Those of the deliveries that have a number in a line.
pub(super) fn numbered(rows: &HashMap<(u64, u64), DeliveryState>) -> impl Iterator<Item = Numbered<'_>> {
    rows.iter().filter_map(|((message, endpoint), row)| {
        let spot = row.spot.as_ref()?;
        Some(Numbered {
            message: *message,
            endpoint: *endpoint,
            okey: &spot.key,
            sequence: spot.sequence,
        })
    })
}

/// Whether there is such an endpoint.
pub(super) fn is_known(connection: &Connection, endpoint: u64) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM endpoint WHERE id = ?1")?;
    Ok(statement.exists([key(endpoint)])?)
}

/// Looks at every place in line, and at every line's numbers.
pub(super) fn prove_lines(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let lengths = prove_places(proof)?;
    prove_numbers(proof, lengths)?;
    prove_members(proof)
}

/// Everybody in line: who is first is the head, who is not waits, and the delivery says the same. Answers how long lines are.
fn prove_places(proof: &mut Proof<'_>) -> Result<HashMap<LineName, (i64, i64)>, Fault> {
    let connection = proof.connection;
    let mut lengths: HashMap<LineName, (i64, i64)> = HashMap::new();
    let mut statement = connection
        .prepare("SELECT endpoint, era, okey, seq, msg, state FROM line ORDER BY endpoint, era, okey, seq")?;
    let mut rows = statement.query([])?;
    let mut first_era: Option<(u64, i64)> = None;
    let mut before: Option<(u64, i64, Arc<str>)> = None;
    while let Some(row) = rows.next()? {
        let (endpoint, era) = (number(row.get(0)?), row.get::<_, i64>(1)?);
        let (okey, sequence): (Arc<str>, i64) = (row.get(2)?, row.get(3)?);
        let (message, state) = (number(row.get(4)?), row.get::<_, i64>(5)?);
        if first_era.is_none_or(|(of, _)| of != endpoint) {
            first_era = Some((endpoint, era));
        }
        let this = (endpoint, era, Arc::clone(&okey));
        let leads = first_era == Some((endpoint, era)) && before.as_ref() != Some(&this);
        if leads == (state == WAITING) {
            let what = if leads {
                "is first in line and waits"
            } else {
                "is not first in line and has its turn"
            };
            proof.problem(format!("{} {what}", name(message, endpoint)));
        }
        before = Some(this);
        let length = lengths.entry((endpoint, Arc::clone(&okey))).or_default();
        *length = (length.0 + 1, length.1.max(sequence));
        let day = day_of(message);
        // Those whose message is gone leave the line when their turn comes.
        if !proof.standing.days.has(Kind::Message, day) {
            continue;
        }
        let sql = format!(
            "SELECT state, next_at IS NOT NULL FROM delivery_{day} \
             WHERE msg = ?1 AND endpoint = ?2 AND okey = ?3 AND seq = ?4 AND era = ?5"
        );
        let mut delivery = connection.prepare_cached(&sql)?;
        let mut found = delivery.query((key(message), key(endpoint), &*okey, sequence, era))?;
        let standing: Option<(i64, bool)> = match found.next()? {
            Some(row) => Some((row.get(0)?, row.get(1)?)),
            None => None,
        };
        let expected = match state {
            HEAD => (PENDING, true),
            BLOCKED => (FAILED, false),
            _ => (PENDING, false),
        };
        if standing != Some(expected) {
            proof.problem(format!(
                "{} does not stand as its place in line says",
                name(message, endpoint)
            ));
        }
    }
    Ok(lengths)
}

/// The bookkeeping of each line.
fn prove_numbers(proof: &mut Proof<'_>, mut lengths: HashMap<LineName, (i64, i64)>) -> Result<(), Fault> {
    let connection = proof.connection;
    let mut statement = connection.prepare("SELECT endpoint, okey, last, succeeded, length FROM sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: LineName = (number(row.get(0)?), row.get(1)?);
        let (last, succeeded, length): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let (counted, largest) = lengths.remove(&line).unwrap_or_default();
        let seen = proof.numbers.last(&line);
        if counted != length {
            proof.problem(format!(
                "{counted} are in {}, the bookkeeping says {length}",
                shown(&line)
            ));
        }
        if largest.max(succeeded) > last || seen.is_some_and(|seen| seen != last) {
            proof.problem(format!("{last} is not the last number of {}", shown(&line)));
        }
    }
    for line in lengths.keys() {
        proof.problem(format!("{} has no number", shown(line)));
    }
    Ok(())
}

/// Whoever says that it is in line is there.
fn prove_members(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let connection = proof.connection;
    let days: Vec<i64> = proof.standing.days.of(Kind::Message).collect();
    for day in days {
        let sql = format!(
            "SELECT msg, endpoint FROM delivery_{day} AS delivery WHERE era IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM line WHERE line.endpoint = delivery.endpoint AND line.era = delivery.era \
             AND line.okey = delivery.okey AND line.seq = delivery.seq AND line.msg = delivery.msg)"
        );
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (message, endpoint) = (number(row.get(0)?), number(row.get(1)?));
            proof.problem(format!("{} is not in the line it names", name(message, endpoint)));
        }
    }
    Ok(())
}
