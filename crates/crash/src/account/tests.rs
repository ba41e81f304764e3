//! Each violation is shown to be noticed, and what is allowed is shown not to be one.

use super::*;
use crate::plan;

const SETTLING_US: u64 = 1_000;

/// Message 0 is wanted by all four endpoints, message 1 by the first three.
fn account() -> Account {
    let mut account = Account::new(plan::endpoints(4).into(), SETTLING_US);
    assert_eq!(account.runs().started(), 0);
    account
}

/// An arrival, accepted, in the latest run.
fn arrive(account: &mut Account, seq: u64, endpoint: usize, at_us: u64) {
    let id = format!("msg_{seq}");
    let run = account.runs().latest();
    account.arrived(Arrival {
        seq,
        endpoint,
        id: &id,
        run,
        at_us,
        accepted: true,
    });
}

fn kill(account: &mut Account, at_us: u64) {
    account.runs().killed(at_us, 0);
    account.runs().started();
}

/// A message that was acknowledged and arrived everywhere at 10,000 µs.
fn delivered(account: &mut Account) -> u64 {
    let seq = account.open();
    account.acknowledged(seq, &format!("msg_{seq}"));
    for endpoint in 0..4 {
        if account.plan[endpoint].wants(seq) {
            arrive(account, seq, endpoint, 10_000);
        }
    }
    seq
}

fn only(closed: &Closed, kind: Kind, count: u64) {
    assert_eq!(
        closed.violations.counts(),
        [(kind.name(), count)].into(),
        "{}",
        closed.violations
    );
}

#[test]
fn a_run_in_which_all_arrives_once_is_clean() {
    let mut account = account();
    delivered(&mut account);
    delivered(&mut account);
    assert_eq!(account.outstanding(), 0);
    let closed = account.close();
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.totals.due, closed.totals.delivered), (7, 7));
    assert_eq!(closed.totals.acknowledged, 2);
}

#[test]
fn an_acknowledged_message_that_misses_one_endpoint_is_lost() {
    let mut account = account();
    let seq = account.open();
    account.acknowledged(seq, "msg_0");
    for endpoint in [0, 1, 3] {
        arrive(&mut account, seq, endpoint, 10_000);
    }
    assert_eq!(account.outstanding(), 1);
    let closed = account.close();
    only(&closed, Kind::Lost, 1);
    assert!(closed.violations.to_string().contains("endpoint 2 (slow)"));
}

#[test]
fn a_delivery_that_was_only_refused_is_lost() {
    let mut account = account();
    delivered(&mut account);
    let seq = account.open();
    account.acknowledged(seq, "msg_1");
    arrive(&mut account, seq, 0, 1);
    arrive(&mut account, seq, 2, 1);
    let refused = Arrival {
        seq,
        endpoint: 1,
        id: "msg_1",
        run: 0,
        at_us: 1,
        accepted: false,
    };
    account.arrived(refused);
    account.arrived(refused);
    assert_eq!(account.totals().refused_tries, 2);
    assert_eq!(account.totals().repeated, 0);
    only(&account.close(), Kind::Lost, 1);
}

#[test]
fn what_was_never_acknowledged_may_arrive_or_not() {
    let mut account = account();
    let (arrived, _gone, refused) = (account.open(), account.open(), account.open());
    arrive(&mut account, arrived, 0, 10_000);
    account.refused(refused);
    arrive(&mut account, refused, 0, 10_000);
    let closed = account.close();
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.totals.unpromised, closed.totals.refused_yet_delivered), (1, 1));
}

#[test]
fn an_acknowledgement_may_come_after_the_arrival_or_after_a_refusal() {
    let mut account = account();
    let seq = account.open();
    account.refused(seq);
    for endpoint in 0..4 {
        arrive(&mut account, seq, endpoint, 10_000);
    }
    account.acknowledged(seq, "msg_0");
    assert_eq!(account.outstanding(), 0);
    let closed = account.close();
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.totals.refused, closed.totals.delivered), (0, 4));
}

#[test]
fn a_repeat_within_one_run_of_the_server_is_a_stray() {
    let mut account = account();
    let seq = delivered(&mut account);
    arrive(&mut account, seq, 2, 10_001);
    only(&account.close(), Kind::Stray, 1);
}

#[test]
fn a_repeat_of_what_was_in_flight_at_a_kill_is_allowed_and_counted_there() {
    let mut account = account();
    let seq = delivered(&mut account);
    kill(&mut account, 10_000 + SETTLING_US);
    arrive(&mut account, seq, 0, 50_000);
    // The answer may also have come after the kill.
    let late = account.open();
    account.acknowledged(late, "msg_1");
    for endpoint in 0..3 {
        let (id, at_us) = ("msg_1", 12_000);
        account.arrived(Arrival {
            seq: late,
            endpoint,
            id,
            run: 0,
            at_us,
            accepted: true,
        });
    }
    arrive(&mut account, late, 1, 50_000);
    let closed = account.close();
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!(closed.totals.repeated, 2);
    assert_eq!((closed.kills[0].repeated, closed.kills[0].oldest_us), (2, SETTLING_US));
}

#[test]
fn a_repeat_of_what_was_answered_long_before_the_kill_is_a_stray() {
    let mut account = account();
    let seq = delivered(&mut account);
    kill(&mut account, 10_001 + SETTLING_US);
    arrive(&mut account, seq, 0, 50_000);
    only(&account.close(), Kind::Stray, 1);
}

#[test]
fn the_same_delivery_repeated_twice_after_one_kill_is_a_stray() {
    let mut account = account();
    let seq = delivered(&mut account);
    kill(&mut account, 10_100);
    arrive(&mut account, seq, 0, 50_000);
    arrive(&mut account, seq, 0, 60_000);
    only(&account.close(), Kind::Stray, 1);
}

#[test]
fn a_repeat_after_a_kill_during_the_start_counts_for_the_run_it_was_accepted_in() {
    let mut account = account();
    let seq = delivered(&mut account);
    kill(&mut account, 10_100);
    kill(&mut account, 20_000);
    arrive(&mut account, seq, 0, 50_000);
    let closed = account.close();
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.kills[0].repeated, closed.kills[1].repeated), (1, 0));
}

#[test]
fn a_repeat_after_a_stop_in_good_order_is_a_stray() {
    let mut account = account();
    let seq = delivered(&mut account);
    account.runs().stopped();
    account.runs().started();
    arrive(&mut account, seq, 0, 10_200);
    only(&account.close(), Kind::Stray, 1);
}

#[test]
fn more_repeats_than_can_have_been_in_flight_are_over_the_bound() {
    let mut account = account();
    // 56 attempts may be open; nothing was answered shortly before the kill, as the receiver saw it.
    account.runs().killed(100_000, 0);
    let bound = account.kills().next().unwrap().bound();
    assert_eq!(bound, 56);
    let seqs: Vec<u64> = (0..60).map(|_| account.open()).collect();
    for seq in &seqs {
        account.acknowledged(*seq, &format!("msg_{seq}"));
        for endpoint in (0..4).filter(|endpoint| plan::endpoints(4)[*endpoint].wants(*seq)) {
            arrive(&mut account, *seq, endpoint, 100_001);
        }
    }
    account.runs().started();
    for seq in &seqs[..56] {
        arrive(&mut account, *seq, 0, 200_000);
    }
    assert!(account.violations().is_empty());
    arrive(&mut account, seqs[57], 0, 200_000);
    only(&account.close(), Kind::OverBound, 1);
}

#[test]
fn what_was_answered_within_the_settling_window_widens_the_bound() {
    let mut account = account();
    delivered(&mut account);
    account.runs().killed(10_500, 3);
    let kill = account.kills().next().unwrap();
    assert_eq!((kill.bound(), kill.phase), (56 + 4, 3));
}

#[test]
fn a_second_message_under_one_key_is_noticed_at_the_publisher_and_at_the_receiver() {
    let mut account = account();
    let seq = delivered(&mut account);
    account.acknowledged(seq, "msg_0");
    assert!(account.violations().is_empty());
    assert_eq!(account.totals().published_again, 1);
    account.acknowledged(seq, "msg_another");
    assert_eq!(account.violations().count(Kind::SecondMessage), 1);
    let id = "msg_third";
    account.arrived(Arrival {
        seq,
        endpoint: 0,
        id,
        run: 0,
        at_us: 1,
        accepted: false,
    });
    assert_eq!(account.violations().count(Kind::SecondMessage), 2);
    assert_eq!(account.id(seq), Some("msg_0"));
}

#[test]
fn one_id_for_two_messages_is_noticed() {
    let mut account = account();
    let (one, two) = (account.open(), account.open());
    account.acknowledged(one, "msg_x");
    account.acknowledged(two, "msg_x");
    assert_eq!(account.violations().count(Kind::SecondMessage), 1);
}

#[test]
fn an_arrival_at_an_endpoint_that_does_not_want_it_is_noticed() {
    let mut account = account();
    delivered(&mut account);
    let seq = delivered(&mut account);
    arrive(&mut account, seq, 3, 10_000);
    only(&account.close(), Kind::Misrouted, 1);
}

#[test]
fn an_arrival_that_nobody_published_is_noticed() {
    let mut account = account();
    delivered(&mut account);
    arrive(&mut account, 7, 0, 10_000);
    arrive(&mut account, 0, 9, 10_000);
    only(&account.close(), Kind::Unknown, 2);
}

#[test]
fn while_the_store_cannot_be_written_outcomes_wait_and_a_kill_repeats_them() {
    let mut account = account();
    account.runs().unwritable(9_500);
    let seq = delivered(&mut account);
    let later = account.open();
    arrive(&mut account, later, 0, 900_000);
    kill(&mut account, 1_000_000);
    account.runs().writable();
    arrive(&mut account, seq, 0, 1_100_000);
    assert!(account.violations().is_empty(), "{}", account.violations());
    assert_eq!(account.kills().next().unwrap().bound(), 56 + 5);
    kill(&mut account, 1_200_000);
    arrive(&mut account, seq, 0, 1_300_000);
    only(&account.close(), Kind::Stray, 1);
}
