//! The proof that lines add up: whose turn it is, and that numbers have no gaps.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bellwire_core::id::{EndpointId, Id, node_of};

use super::{
    argument::{args, plain},
    check::{Proof, name},
    columns::{FAILED, PENDING, key, number},
    connection::Connection,
    days::{Kind, day_of},
    fault::Fault,
    line::{BLOCKED, HEAD, WAITING},
    scan::DeliveryState,
};

type LineName = (u64, Arc<str>);

/// The numbers of the deliveries of each line, seen in the order of their messages' ids.
///
/// Those of one node rise. Between nodes ids say nothing: each makes its own, and numbers are given as transactions commit.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<LineName, Seen>);

/// The numbers of a line so far.
#[derive(Debug, Default)]
struct Seen {
    /// Without gaps from the first to the last of each pair; in order, and apart.
    spans: Vec<(i64, i64)>,
    /// The last one of each node.
    last: HashMap<u16, i64>,
}

impl Seen {
    /// Takes a message's number. Answers the one that it contradicts.
    fn take(&mut self, node: u16, sequence: i64) -> Option<i64> {
        let before = self.last.insert(node, sequence);
        let at = self.spans.partition_point(|(_, end)| *end < sequence);
        if before.is_some_and(|before| before >= sequence) {
            return before;
        }
        if self.spans.get(at).is_some_and(|(first, _)| *first <= sequence) {
            return Some(sequence);
        }
        let joins_before = at > 0 && self.spans[at - 1].1 + 1 == sequence;
        let joins_after = self.spans.get(at).is_some_and(|(first, _)| first - 1 == sequence);
        match (joins_before, joins_after) {
            (true, true) => {
                self.spans[at - 1].1 = self.spans[at].1;
                self.spans.remove(at);
            }
            (true, false) => self.spans[at - 1].1 = sequence,
            (false, true) => self.spans[at].0 = sequence,
            (false, false) => self.spans.insert(at, (sequence, sequence)),
        }
        None
    }

    /// Begins anew with this number.
    fn anew(node: u16, sequence: i64) -> Self {
        Self {
            spans: vec![(sequence, sequence)],
            last: HashMap::from([(node, sequence)]),
        }
    }

    /// What is missing, from and to.
    fn gaps(&self) -> impl Iterator<Item = (i64, i64)> {
        self.spans.windows(2).map(|pair| (pair[0].1 + 1, pair[1].0 - 1))
    }
}

impl Numbers {
    /// Looks at the next messages' deliveries. Answers what contradicts itself.
    pub async fn follow(
        &mut self,
        connection: &Connection,
        rows: &HashMap<(u64, u64), DeliveryState>,
    ) -> Result<Vec<String>, Fault> {
        let mut numbered: Vec<_> = rows
            .iter()
            .filter_map(|(delivery, row)| Some((*delivery, row.spot.as_ref()?)))
            .collect();
        numbered.sort_unstable_by_key(|(delivery, _)| *delivery);
        let mut problems = Vec::new();
        for ((message, endpoint), spot) in numbered {
            let (node, sequence) = (node_of(message), spot.sequence);
            let seen = self.0.entry((endpoint, Arc::clone(&spot.key))).or_default();
            let Some(other) = seen.take(node, sequence) else {
                continue;
            };
            // Of an endpoint that was deleted, numbers may have begun anew: somebody published at that moment.
            if sequence == 1 && !is_known(connection, endpoint).await? {
                *seen = Seen::anew(node, sequence);
                continue;
            }
            let name = name(message, endpoint);
            problems.push(format!("{name} has number {sequence} and follows number {other}"));
        }
        Ok(problems)
    }

    /// Once all were seen: the numbers that nobody has.
    pub async fn gaps(&self, connection: &Connection) -> Result<Vec<String>, Fault> {
        let mut problems = Vec::new();
        for ((endpoint, okey), seen) in &self.0 {
            if seen.spans.len() > 1 && is_known(connection, *endpoint).await? {
                let endpoint = EndpointId::from_number(*endpoint);
                problems.extend(seen.gaps().map(|(from, to)| {
                    format!("nobody has the numbers {from} to {to} of the line `{okey}` of {endpoint}")
                }));
            }
        }
        Ok(problems)
    }
}

async fn is_known(connection: &Connection, endpoint: u64) -> Result<bool, Fault> {
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
        let seen = proof
            .numbers
            .0
            .get(&line)
            .and_then(|seen| seen.spans.last().map(|(_, end)| *end));
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

fn shown((endpoint, okey): &LineName) -> String {
    format!("the line \"{okey}\" of {}", EndpointId::from_number(*endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_several_nodes_come_in_any_order_and_leave_no_gap() {
        let mut seen = Seen::default();
        for (node, sequence) in [(0, 10), (1, 12), (0, 11), (1, 13), (2, 9)] {
            assert_eq!(seen.take(node, sequence), None);
        }
        assert_eq!((seen.spans.clone(), seen.gaps().count()), (vec![(9, 13)], 0));
    }

    #[test]
    fn a_gap_a_repetition_and_a_node_that_goes_back_are_told() {
        let mut seen = Seen::default();
        assert_eq!((seen.take(0, 1), seen.take(0, 4), seen.take(1, 7)), (None, None, None));
        assert_eq!(seen.gaps().collect::<Vec<_>>(), [(2, 3), (5, 6)]);
        assert_eq!(seen.take(2, 4), Some(4));
        assert_eq!(seen.take(1, 6), Some(7));
    }
}
