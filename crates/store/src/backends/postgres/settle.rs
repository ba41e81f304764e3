//! The end of holds: attempts, next states, health and notices, many at once.
//!
//! A fresh delivery that succeeds costs its attempt's row and nothing else. One that does not gets a row of its own, unless
//! somebody started it anew meanwhile: then that newer run counts. The end of a line's head gives the next one its turn.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bellwire_core::{
    attempt::Outcome,
    decide::Health,
    id::{EndpointId, Id},
    message::NewMessage,
    time::Timestamp,
};

use super::{
    append::append_notices,
    argument::{args, kept, owned},
    columns::{PENDING, SUCCEEDED, key, number, trigger_code},
    days::{Kind, day_of},
    due::{Pending, Place, delete_due, put_due},
    fate::Witness,
    fault::Fault,
    lease::FRESH,
    line::{self, Leaving, Spot},
    tx::Tx,
    verdict::{progress_after, shown_response, standing},
};
use crate::contract::{Settlement, Verdict};

/// Message and endpoint.
type Name = (u64, u64);

fn name(settlement: &Settlement) -> Name {
    (settlement.key.message.number(), settlement.key.endpoint.number())
}

/// Settles what has gathered, in the order of the messages, so that rows are written side by side.
///
/// # Errors
/// Those of the database: nothing is settled then.
pub(super) async fn settle(tx: &mut Tx, batches: &[Arc<Vec<Settlement>>]) -> Result<(), Fault> {
    let mut settlements: Vec<&Settlement> = batches.iter().flat_map(|batch| batch.iter()).collect();
    let mut health: BTreeMap<EndpointId, Health> = BTreeMap::new();
    for settlement in &settlements {
        if let Some(changed) = settlement.health {
            health.insert(settlement.key.endpoint, changed);
        }
    }
    settlements.sort_by_key(|settlement| settlement.key);
    // A delivery that is settled twice is settled a second time when the first is done.
    while !settlements.is_empty() {
        let mut seen = HashSet::new();
        let (now, later) = settlements
            .into_iter()
            .partition(|settlement| seen.insert(settlement.key));
        settle_each(tx, now).await?;
        settlements = later;
    }
    put_health(tx, health);
    Ok(())
}

/// What a delivery's row says.
struct Row {
    state: i64,
    run: u32,
    tries: u16,
    due_at: Option<i64>,
    spot: Option<Spot>,
}

/// What settlements come to.
#[derive(Default)]
struct Outcomes<'s> {
    attempts: Vec<(&'s Settlement, &'s Outcome)>,
    notices: Vec<NewMessage>,
    changed: Vec<Changed<'s>>,
    /// Places in the queue that are taken away.
    places: Vec<Place>,
    due: Vec<Pending>,
    blocked: Vec<(u64, Spot)>,
    leaving: Vec<Leaving>,
}

/// A row that changes.
struct Changed<'s> {
    settlement: &'s Settlement,
    era: Option<i64>,
}

/// Each delivery once.
async fn settle_each(tx: &mut Tx, settlements: Vec<&Settlement>) -> Result<(), Fault> {
    let rows = find_rows(tx, settlements.iter().copied().filter(|one| must_look(one))).await?;
    let made = make_rows(tx, settlements.iter().copied().filter(|one| must_make(one))).await?;
    let mut outcomes = Outcomes::default();
    for settlement in settlements {
        let found = rows.get(&name(settlement));
        let decides = if settlement.lease == FRESH {
            tx.effects.settled.push(name(settlement));
            match settlement.verdict {
                // The hot path: nothing was looked up. Only a notice has to know whether a newer run makes it out of date.
                Verdict::Succeeded => settlement.notices.is_empty() || found.is_none(),
                _ => outcomes.make(settlement, &made),
            }
        } else {
            if is_repetition(settlement, found) {
                continue;
            }
            let (message, endpoint) = name(settlement);
            tx.effects.returned.push((endpoint, message));
            outcomes.change(tx, settlement, found)
        };
        if let Some(outcome) = &settlement.outcome {
            outcomes.attempts.push((settlement, outcome));
        }
        if decides {
            outcomes.notices.extend(settlement.notices.iter().cloned());
        }
    }
    outcomes.write(tx).await
}

fn must_look(settlement: &Settlement) -> bool {
    settlement.lease != FRESH || (settlement.verdict == Verdict::Succeeded && !settlement.notices.is_empty())
}

fn must_make(settlement: &Settlement) -> bool {
    settlement.lease == FRESH && settlement.verdict != Verdict::Succeeded
}

/// Settled before, and perhaps out again: a repetition changes nothing.
fn is_repetition(settlement: &Settlement, found: Option<&Row>) -> bool {
    found.is_some_and(|row| row.run == settlement.progress.run && row.tries > settlement.progress.tries)
}

/// The rows of deliveries, of those that have one.
async fn find_rows(tx: &mut Tx, settlements: impl Iterator<Item = &Settlement>) -> Result<HashMap<Name, Row>, Fault> {
    let mut days: BTreeMap<i64, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for settlement in settlements {
        let (message, endpoint) = name(settlement);
        let day = day_of(message);
        if tx.has(Kind::Message, day).await? {
            let (messages, endpoints) = days.entry(day).or_default();
            messages.push(key(message));
            endpoints.push(key(endpoint));
        }
    }
    let mut found = HashMap::new();
    for (day, (messages, endpoints)) in days {
        // Somebody else may be starting one of them anew.
        let sql = format!(
            "SELECT d.msg, d.endpoint, d.state, d.run, d.tries, d.next_at, d.okey, d.seq, d.era FROM delivery_{day} AS d \
             JOIN unnest($1, $2) AS t (msg, endpoint) ON d.msg = t.msg AND d.endpoint = t.endpoint FOR UPDATE OF d"
        );
        for row in tx.rows(&sql, args![messages, endpoints]).await? {
            let name = (number(row.get(0)), number(row.get(1)));
            let row = Row {
                state: i64::from(row.get::<_, i16>(2)),
                run: row.get::<_, i32>(3) as u32,
                tries: row.get::<_, i16>(4) as u16,
                due_at: row.get(5),
                spot: Spot::read(&row, 6),
            };
            found.insert(name, row);
        }
    }
    Ok(found)
}

/// Rows for fresh deliveries that are not over after their first try. Answers which were made: where there is one already, a
/// newer run has begun.
async fn make_rows(tx: &mut Tx, settlements: impl Iterator<Item = &Settlement>) -> Result<HashSet<Name>, Fault> {
    type Columns = (
        Vec<i64>,
        Vec<i64>,
        Vec<i16>,
        Vec<i32>,
        Vec<i16>,
        Vec<i16>,
        Vec<Option<i64>>,
    );
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for settlement in settlements {
        let (message, endpoint) = name(settlement);
        let day = day_of(message);
        if !tx.has(Kind::Message, day).await? {
            continue;
        }
        let progress = progress_after(settlement);
        let (state, next_at) = standing(settlement.verdict);
        let c = days.entry(day).or_default();
        c.0.push(key(message));
        c.1.push(key(endpoint));
        c.2.push(state as i16);
        c.3.push(progress.run as i32);
        c.4.push(progress.tries as i16);
        c.5.push(trigger_code(progress.trigger) as i16);
        c.6.push(next_at.map(Timestamp::micros));
    }
    let mut made = HashSet::new();
    for (day, c) in days {
        let sql = format!(
            "INSERT INTO delivery_{day} (msg, endpoint, state, run, tries, trigger, next_at) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (msg, endpoint) DO NOTHING RETURNING msg, endpoint"
        );
        for row in tx.rows(&sql, args![c.0, c.1, c.2, c.3, c.4, c.5, c.6]).await? {
            made.insert((number(row.get(0)), number(row.get(1))));
        }
    }
    Ok(made)
}

impl<'s> Outcomes<'s> {
    /// A fresh delivery that is not over. False when a newer run has a row already.
    fn make(&mut self, settlement: &'s Settlement, made: &HashSet<Name>) -> bool {
        let is_made = made.contains(&name(settlement));
        if let (true, (_, Some(due_at))) = (is_made, standing(settlement.verdict)) {
            self.wait(settlement, due_at, None);
        }
        is_made
    }

    fn wait(&mut self, settlement: &Settlement, due_at: Timestamp, spot: Option<Spot>) {
        let (message, endpoint) = name(settlement);
        self.due.push(Pending {
            message,
            endpoint,
            progress: progress_after(settlement),
            due_at,
            spot,
        });
    }

    /// A delivery that had a row when it was claimed. False when its run is another by now: then only the lease ends.
    fn change(&mut self, tx: &mut Tx, settlement: &'s Settlement, found: Option<&Row>) -> bool {
        let (message, endpoint) = name(settlement);
        let Some(found) = found else {
            // Its message is gone. Its place is cleared away, and the next of its line has its turn, when it comes up.
            tx.effects.head(endpoint, tx.now);
            return false;
        };
        if found.run != settlement.progress.run || found.state != PENDING {
            // While the old run was out, the new one was passed over: tell that it waits.
            if let (PENDING, Some(due_at)) = (found.state, found.due_at) {
                tx.effects.head(endpoint, Timestamp::from_micros(due_at));
            }
            return false;
        }
        let (state, next_at) = standing(settlement.verdict);
        let stays_in_line = next_at.is_some() || settlement.verdict == Verdict::Blocked;
        let era = found.spot.as_ref().and_then(|spot| spot.era);
        self.changed.push(Changed {
            settlement,
            era: era.filter(|_| stays_in_line),
        });
        if let Some(due_at) = found.due_at {
            self.places.push(Place {
                message,
                endpoint,
                due_at,
            });
        }
        if let Some(due_at) = next_at {
            self.wait(settlement, due_at, found.spot.clone());
        } else if let Some(spot) = found.spot.clone() {
            if stays_in_line {
                self.blocked.push((endpoint, spot));
            } else {
                self.leaving.push(Leaving {
                    endpoint,
                    spot,
                    succeeded: state == SUCCEEDED,
                });
            }
        }
        true
    }

    async fn write(self, tx: &mut Tx) -> Result<(), Fault> {
        change_rows(tx, &self.changed);
        put_attempts(tx, &self.attempts).await?;
        delete_due(tx, &self.places).await?;
        put_due(tx, &self.due);
        line::block(tx, self.blocked.iter().map(|(endpoint, spot)| (*endpoint, spot)));
        line::leave(tx, self.leaving).await?;
        append_notices(tx, self.notices).await
    }
}

fn change_rows(tx: &mut Tx, changed: &[Changed<'_>]) {
    type Columns = (
        Vec<i64>,
        Vec<i64>,
        Vec<i16>,
        Vec<i16>,
        Vec<Option<i64>>,
        Vec<Option<i64>>,
    );
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for Changed { settlement, era } in changed {
        let (message, endpoint) = name(settlement);
        let (state, next_at) = standing(settlement.verdict);
        let c = days.entry(day_of(message)).or_default();
        c.0.push(key(message));
        c.1.push(key(endpoint));
        c.2.push(state as i16);
        c.3.push(progress_after(settlement).tries as i16);
        c.4.push(next_at.map(Timestamp::micros));
        c.5.push(*era);
    }
    for (day, c) in days {
        let sql = format!(
            "UPDATE delivery_{day} AS d SET state = t.state, tries = t.tries, next_at = t.next_at, era = t.era \
             FROM unnest($1, $2, $3, $4, $5, $6) AS t (msg, endpoint, state, tries, next_at, era) \
             WHERE d.msg = t.msg AND d.endpoint = t.endpoint"
        );
        tx.queue(sql, kept![c.0, c.1, c.2, c.3, c.4, c.5]);
    }
}

async fn put_attempts(tx: &mut Tx, attempts: &[(&Settlement, &Outcome)]) -> Result<(), Fault> {
    #[derive(Default)]
    struct Columns {
        messages: Vec<i64>,
        ids: Vec<i64>,
        endpoints: Vec<i64>,
        apps: Vec<i64>,
        started_at: Vec<i64>,
        durations: Vec<i64>,
        statuses: Vec<i16>,
        ok: Vec<bool>,
        failures: Vec<Option<String>>,
        triggers: Vec<i16>,
        numbers: Vec<i16>,
        last: Vec<bool>,
        urls: Vec<String>,
        signatures: Vec<String>,
        responses: Vec<Option<Vec<u8>>>,
        headers: Vec<Option<String>>,
    }
    let mut days: BTreeMap<i64, Columns> = BTreeMap::new();
    for (settlement, outcome) in attempts {
        let id = settlement
            .attempt_id
            .map_or_else(|| tx.ids.next_number(tx.now), Id::number);
        let headers = match &outcome.response_headers[..] {
            [] => None,
            headers => serde_json::to_string(headers).ok(),
        };
        let message = settlement.key.message.number();
        tx.witness.get_or_insert(Witness::Attempt { message, id });
        let is_last = !matches!(settlement.verdict, Verdict::RetryAt(_) | Verdict::Park(_));
        let c = days.entry(day_of(id)).or_default();
        c.messages.push(key(message));
        c.ids.push(key(id));
        c.endpoints.push(key(settlement.key.endpoint.number()));
        c.apps.push(key(settlement.app.number()));
        c.started_at.push(outcome.started_at.micros());
        c.durations
            .push(i64::try_from(outcome.duration.as_micros()).unwrap_or(i64::MAX));
        c.statuses.push(outcome.status_code as i16);
        c.ok.push(outcome.failure.is_none());
        c.failures
            .push(outcome.failure.as_ref().map(|failure| failure.reason.to_owned()));
        c.triggers.push(trigger_code(settlement.progress.trigger) as i16);
        c.numbers.push(settlement.progress.tries.saturating_add(1) as i16);
        c.last.push(is_last);
        c.urls.push(owned(&outcome.url));
        c.signatures.push(owned(&outcome.signature));
        c.responses.push(shown_response(outcome).map(<[u8]>::to_vec));
        c.headers.push(headers);
    }
    for (day, c) in days {
        tx.ensure(Kind::Attempt, day).await?;
        let sql = format!(
            "INSERT INTO attempt_{day} (msg, id, endpoint, app, started_at, duration_us, status, ok, failure, trigger, number, \
             last, url, signature, response, response_headers) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
             ON CONFLICT (msg, id) DO NOTHING"
        );
        let values = kept![
            c.messages,
            c.ids,
            c.endpoints,
            c.apps,
            c.started_at,
            c.durations,
            c.statuses,
            c.ok,
            c.failures,
            c.triggers,
            c.numbers,
            c.last,
            c.urls,
            c.signatures,
            c.responses,
            c.headers,
        ];
        tx.queue(sql, values);
    }
    Ok(())
}

fn put_health(tx: &mut Tx, health: BTreeMap<EndpointId, Health>) {
    let (mut failing, mut since, mut fine) = (Vec::new(), Vec::new(), Vec::new());
    for (endpoint, health) in health {
        match health.failing_since {
            Some(at) => {
                failing.push(key(endpoint.number()));
                since.push(at.micros());
            }
            None => fine.push(key(endpoint.number())),
        }
    }
    if !failing.is_empty() {
        let sql = "INSERT INTO endpoint_health (endpoint, failing_since) SELECT * FROM unnest($1, $2) \
             ON CONFLICT (endpoint) DO UPDATE SET failing_since = excluded.failing_since";
        tx.queue(sql, kept![failing, since]);
    }
    if !fine.is_empty() {
        tx.queue("DELETE FROM endpoint_health WHERE endpoint = ANY ($1)", kept![fine]);
    }
}
