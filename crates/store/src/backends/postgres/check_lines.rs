//! The proof that lines add up: whose turn it is, and that numbers have no gaps.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    argument::{args, plain},
    check::Proof,
    columns::{FAILED, PENDING, key, number},
    connection::Connection,
    days::{Kind, day_of},
    fault::Fault,
    line::{BLOCKED, HEAD, WAITING},
    proof::{LineName, Numbered, name, shown},
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
pub(super) async fn is_known(connection: &Connection, endpoint: u64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM endpoint WHERE id = $1";
    Ok(connection.row(sql, args![key(endpoint)]).await?.is_some())
}

/// Looks at every place in line, and at every line's numbers.
pub(super) async fn prove_lines(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let lengths = prove_places(proof).await?;
    prove_numbers(proof, lengths).await?;
    prove_members(proof).await
}

/// One in line.
struct Member {
    endpoint: u64,
    era: i64,
    okey: Arc<str>,
    sequence: i64,
    message: u64,
    state: i16,
}

/// Everybody in line: who is first is the head, who is not waits, and the delivery says the same. Answers how long lines are.
async fn prove_places(proof: &mut Proof<'_>) -> Result<HashMap<LineName, (i64, i64)>, Fault> {
    let mut lengths: HashMap<LineName, (i64, i64)> = HashMap::new();
    let sql = "SELECT endpoint, era, okey, seq, msg, state FROM line ORDER BY endpoint, era, okey, seq";
    let mut first_era: Option<(u64, i64)> = None;
    let mut before: Option<(u64, i64, Arc<str>)> = None;
    let mut days: BTreeMap<i64, Vec<Member>> = BTreeMap::new();
    for row in proof.connection.rows(sql, &[]).await? {
        let member = Member {
            endpoint: number(row.get(0)),
            era: row.get(1),
            okey: plain(row.get(2)).into(),
            sequence: row.get(3),
            message: number(row.get(4)),
            state: row.get(5),
        };
        let Member { endpoint, era, .. } = member;
        if first_era.is_none_or(|(of, _)| of != endpoint) {
            first_era = Some((endpoint, era));
        }
        let this = (endpoint, era, Arc::clone(&member.okey));
        let leads = first_era == Some((endpoint, era)) && before.as_ref() != Some(&this);
        if leads == (member.state == WAITING) {
            let what = if leads {
                "is first in line and waits"
            } else {
                "is not first in line and has its turn"
            };
            proof.problem(format!("{} {what}", name(member.message, endpoint)));
        }
        before = Some(this);
        let length = lengths.entry((endpoint, Arc::clone(&member.okey))).or_default();
        *length = (length.0 + 1, length.1.max(member.sequence));
        let day = day_of(member.message);
        // Those whose message is gone leave the line when their turn comes.
        if proof.standing.days.has(Kind::Message, day) {
            days.entry(day).or_default().push(member);
        }
    }
    for (day, members) in days {
        prove_standing(proof, day, &members).await?;
    }
    Ok(lengths)
}

/// Their deliveries say the same as their places.
async fn prove_standing(proof: &mut Proof<'_>, day: i64, members: &[Member]) -> Result<(), Fault> {
    let messages: Vec<i64> = members.iter().map(|member| key(member.message)).collect();
    let endpoints: Vec<i64> = members.iter().map(|member| key(member.endpoint)).collect();
    let sql = format!(
        "SELECT d.msg, d.endpoint, d.state, d.next_at IS NOT NULL, d.okey, d.seq, d.era FROM delivery_{day} AS d \
         JOIN unnest($1, $2) AS t (msg, endpoint) ON d.msg = t.msg AND d.endpoint = t.endpoint"
    );
    let mut standing = HashMap::new();
    for row in proof.connection.rows(&sql, args![messages, endpoints]).await? {
        let okey: Option<String> = row.get(4);
        let place = (
            okey.map(plain),
            row.get::<_, Option<i64>>(5),
            row.get::<_, Option<i64>>(6),
        );
        let stands = (i64::from(row.get::<_, i16>(2)), row.get::<_, bool>(3));
        standing.insert((number(row.get(0)), number(row.get(1))), (place, stands));
    }
    for member in members {
        let expected = match member.state {
            HEAD => (PENDING, true),
            BLOCKED => (FAILED, false),
            _ => (PENDING, false),
        };
        let place = (Some(member.okey.to_string()), Some(member.sequence), Some(member.era));
        if standing.get(&(member.message, member.endpoint)) != Some(&(place, expected)) {
            proof.problem(format!(
                "{} does not stand as its place in line says",
                name(member.message, member.endpoint)
            ));
        }
    }
    Ok(())
}

/// The bookkeeping of each line.
async fn prove_numbers(proof: &mut Proof<'_>, mut lengths: HashMap<LineName, (i64, i64)>) -> Result<(), Fault> {
    let sql = "SELECT endpoint, okey, last, succeeded, length FROM sequence";
    for row in proof.connection.rows(sql, &[]).await? {
        let line: LineName = (number(row.get(0)), plain(row.get(1)).into());
        let (last, succeeded, length): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
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
async fn prove_members(proof: &mut Proof<'_>) -> Result<(), Fault> {
    let days: Vec<i64> = proof.standing.days.of(Kind::Message).collect();
    for day in days {
        let sql = format!(
            "SELECT msg, endpoint FROM delivery_{day} AS d WHERE era IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM line WHERE line.endpoint = d.endpoint AND line.era = d.era \
             AND line.okey = d.okey AND line.seq = d.seq AND line.msg = d.msg)"
        );
        for row in proof.connection.rows(&sql, &[]).await? {
            let (message, endpoint) = (number(row.get(0)), number(row.get(1)));
            proof.problem(format!("{} is not in the line it names", name(message, endpoint)));
        }
    }
    Ok(())
}
