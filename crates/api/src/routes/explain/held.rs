//! What holds a delivery that is neither over nor paused: its line, or its endpoint's lane. Pure.

use bellwire_core::{delivery::DeliveryState, time::Timestamp};
use bellwire_store::{
    directory::{LaneState, LaneStatus, WaitsFor},
    query::{DeliveryRow, LineHead, LineRow},
};

use super::words::{Reason, Words};

const TEND: &str = "correct the receiver, then unblock the line (its first delivery is tried again), skip that delivery, or \
                    discard the line: `bellwire endpoint unblock`, `skip` or `discard`, or POST …/sequence/unblock and the like";

/// Why a delivery that is pending waits although nothing is wrong with it itself; `None` when neither line nor lane hold it.
pub(super) fn held(
    delivery: &DeliveryRow,
    line: Option<&LineRow>,
    lane: Option<&LaneStatus>,
    now: Timestamp,
) -> Option<Words> {
    let in_line = line.and_then(|line| behind(delivery, line));
    in_line.or_else(|| {
        let lane = lane.filter(|_| is_due(delivery, now))?;
        for_company(lane).or_else(|| by_lane(lane))
    })
}

/// What is to be said of a delivery that was given up and still is the first of its line.
pub(super) fn blocks(delivery: &DeliveryRow, line: Option<&LineRow>) -> Option<(&'static str, &'static str)> {
    let head = line?.head?;
    (head.message == delivery.message && head.blocked).then_some(("; its line waits because of it", TEND))
}

/// One of which nothing is known is in the scheduler's hands.
fn is_due(delivery: &DeliveryRow, now: Timestamp) -> bool {
    delivery.state == DeliveryState::Sending || delivery.next_at.is_none_or(|at| at <= now)
}

fn behind(delivery: &DeliveryRow, line: &LineRow) -> Option<Words> {
    let (head, number) = (line.head?, delivery.sequence?);
    let LineHead {
        message,
        sequence,
        blocked,
        next_at,
    } = head;
    let of = match line.key.as_str() {
        "" => "of the endpoint".to_owned(),
        key => format!("of the key `{key}`"),
    };
    if message == delivery.message {
        // What it waits for when it is not blocked, nor its time is known: lines of an earlier era.
        let held = !blocked && next_at.is_none() && delivery.state == DeliveryState::Pending;
        let summary = format!(
            "waits: it is number {number} and the first in the line {of}, but deliveries that were accepted before the \
             endpoint's order was changed go first"
        );
        return held.then_some((Reason::InLine, summary, None));
    }
    if blocked {
        let summary = format!(
            "waits: it is number {number} in the line {of}, which is blocked by number {sequence} (message {message}): that \
             one was given up"
        );
        return Some((Reason::LineBlocked, summary, Some(TEND.to_owned())));
    }
    let tried = match next_at {
        Some(at) => format!("which is tried at {at}"),
        None => "which is being tried, or waits itself".to_owned(),
    };
    let summary = format!(
        "waits for its turn: it is number {number} in the line {of}, and number {sequence} (message {message}) is the first, \
         {tried}"
    );
    let advice = "if it waits for long, ask why that message does";
    Some((Reason::InLine, summary, Some(advice.to_owned())))
}

/// Whatever state the lane is in: what it waits for says more.
fn for_company(lane: &LaneStatus) -> Option<Words> {
    let WaitsFor::CompanyUntil(_) = lane.waits_for else {
        return None;
    };
    let summary = format!(
        "waits to be sent with others in one request; the endpoint waits for {}",
        lane.waits_for
    );
    let advice = "lower `batch.maxWaitMs` of the endpoint if that takes too long";
    Some((Reason::Batching, summary, Some(advice.to_owned())))
}

fn by_lane(lane: &LaneStatus) -> Option<Words> {
    let waits_for = &lane.waits_for;
    let failures = lane.failures_in_a_row;
    let (reason, summary, advice) = match lane.state {
        LaneState::Parked => (
            Reason::Parked,
            format!(
                "waits: the endpoint failed {failures} times in a row, so only a probe is sent now and then; it waits for {waits_for}"
            ),
            "correct the receiver; everything goes on by itself when a probe succeeds. No attempt is used up until then, except by the \
             delivery that is the probe: the one that has been due longest",
        ),
        LaneState::Resting => (
            Reason::Resting,
            format!("waits: the receiver asked for a rest; the endpoint waits for {waits_for}"),
            "the receiver decides by its `Retry-After`",
        ),
        LaneState::Throttled => (
            Reason::Throttled,
            format!("waits: a rate limit lets nothing through now; the endpoint waits for {waits_for}"),
            "raise `throttleRate` of the endpoint or the application if the receiver can take more",
        ),
        LaneState::Recovering => (
            Reason::Recovering,
            format!(
                "waits: the endpoint comes back after an outage and is given more step by step; it waits for {waits_for}"
            ),
            "nothing needs to be done; what waits is sent within minutes",
        ),
        LaneState::Idle | LaneState::Running | LaneState::Paused | LaneState::Disabled => return None,
    };
    Some((reason, summary, Some(advice.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwire_core::{
        delivery::{Progress, Trigger},
        id::{EndpointId, Id as _, MessageId},
    };

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);

    fn delivery(message: u64, number: u64) -> DeliveryRow {
        DeliveryRow {
            message: MessageId::from_number(message),
            endpoint: EndpointId::from_number(3),
            state: DeliveryState::Pending,
            progress: Progress {
                run: 0,
                tries: 0,
                trigger: Trigger::Scheduled,
            },
            next_at: None,
            sequence: Some(number),
        }
    }

    fn line(blocked: bool, next_at: Option<Timestamp>) -> LineRow {
        LineRow {
            key: "customer 42".to_owned(),
            last: 20,
            succeeded: 16,
            waiting: 4,
            head: Some(LineHead {
                message: MessageId::from_number(17),
                sequence: 17,
                blocked,
                next_at,
            }),
        }
    }

    #[test]
    fn one_in_line_is_told_behind_whom_and_when_that_one_is_tried() {
        let at = NOON.plus(Duration::from_secs(60));
        let (reason, summary, _) = held(&delivery(19, 19), Some(&line(false, Some(at))), None, NOON).unwrap();
        assert_eq!(reason, Reason::InLine);
        for part in [
            "number 19",
            "`customer 42`",
            "number 17",
            &MessageId::from_number(17).to_string(),
            &at.to_string(),
        ] {
            assert!(summary.contains(part), "{part}: {summary}");
        }
    }

    #[test]
    fn one_in_a_blocked_line_is_told_what_a_person_can_do() {
        let (reason, summary, advice) = held(&delivery(19, 19), Some(&line(true, None)), None, NOON).unwrap();
        assert_eq!(reason, Reason::LineBlocked);
        assert!(
            summary.contains("number 17") && advice.unwrap().contains("unblock"),
            "{summary}"
        );
        assert!(blocks(&delivery(17, 17), Some(&line(true, None))).is_some());
        assert!(blocks(&delivery(17, 17), Some(&line(false, None))).is_none());
        assert!(blocks(&delivery(16, 16), Some(&line(true, None))).is_none());
    }

    #[test]
    fn the_first_of_a_line_waits_for_the_lane_like_any_other_or_for_an_earlier_order() {
        let due = DeliveryRow {
            next_at: Some(NOON),
            ..delivery(17, 17)
        };
        assert_eq!(held(&due, Some(&line(false, Some(NOON))), None, NOON), None);
        let (reason, summary, _) = held(&delivery(17, 17), Some(&line(false, None)), None, NOON).unwrap();
        assert!(
            reason == Reason::InLine && summary.contains("before the endpoint's order was changed"),
            "{summary}"
        );
    }

    #[test]
    fn a_lane_holds_what_is_due_and_not_what_is_due_later() {
        let at = NOON.plus(Duration::from_secs(30));
        let lane = |state, waits_for| LaneStatus {
            state,
            waits_for,
            failures_in_a_row: 100,
            ..LaneStatus::default()
        };
        let due = DeliveryRow {
            sequence: None,
            next_at: Some(NOON),
            ..delivery(1, 1)
        };
        let parked = lane(LaneState::Parked, WaitsFor::ProbeAt(at));
        let (reason, summary, advice) = held(&due, None, Some(&parked), NOON).unwrap();
        assert_eq!(reason, Reason::Parked);
        assert!(advice.unwrap().contains("except by the delivery that is the probe"));
        assert!(
            summary.contains("100 times") && summary.contains(&at.to_string()),
            "{summary}"
        );
        for (state, reason) in [
            (LaneState::Resting, Reason::Resting),
            (LaneState::Throttled, Reason::Throttled),
            (LaneState::Recovering, Reason::Recovering),
        ] {
            let lane = lane(state, WaitsFor::RateUntil(at));
            assert_eq!(held(&due, None, Some(&lane), NOON).unwrap().0, reason);
        }
        for state in [LaneState::Running, LaneState::Recovering] {
            let gathering = lane(state, WaitsFor::CompanyUntil(at));
            let (reason, summary, _) = held(&due, None, Some(&gathering), NOON).unwrap();
            assert_eq!(reason, Reason::Batching);
            assert!(
                summary.contains("for a batch") && summary.contains(&at.to_string()),
                "{summary}"
            );
        }
        assert_eq!(held(&due, None, Some(&LaneStatus::default()), NOON), None);
        let later = DeliveryRow {
            next_at: Some(at),
            ..due
        };
        assert_eq!(held(&later, None, Some(&parked), NOON), None);
    }
}
