//! Made-up histories: each violation is shown to be noticed, and what is allowed is shown not to be one.

use super::*;
use crate::order::plan::key_text;
use crate::payload::Messages;

/// The patient endpoint that orders by key, the hasty one, the one that orders all, the unordered one.
const PATIENT: usize = 0;
const HASTY: usize = 2;
const ALL: usize = 3;
const UNORDERED: usize = 4;

const SCRIPT: Script = Script {
    messages: Messages {
        seed: 3,
        payload_bytes: 200,
    },
    keys: 1,
    publishers: 2,
};

/// A run whose messages are of one type, so that it is known who wants them.
struct Story {
    ledger: Ledger,
    now_us: u64,
}

impl Story {
    fn new() -> Self {
        let mut ledger = Ledger::new(SCRIPT, 1_000);
        ledger.runs().started();
        Self { ledger, now_us: 0 }
    }

    /// The next message of this type with (or without) the only key, acknowledged.
    fn publish(&mut self, kind: u8, keyed: bool) -> u64 {
        self.publish_as(0, kind, keyed)
    }

    fn publish_as(&mut self, publisher: u32, kind: u8, keyed: bool) -> u64 {
        let (seq, _) = self.ledger.open(publisher);
        let message = &mut self.ledger.messages[seq as usize];
        message.kind = kind;
        message.key = keyed.then_some(0);
        self.ledger.acknowledged(seq, &format!("msg_{seq}"));
        seq
    }

    /// A try that has begun.
    fn begin(&mut self, endpoint: usize, seq: u64, place: Option<(u32, Option<u32>)>) -> Ticket {
        self.now_us += 10;
        let key = if endpoint == ALL { String::new() } else { key_text(0) };
        let place = place.map(|(number, previous)| Place { key, number, previous });
        let run = self.ledger.runs().latest();
        let id = format!("msg_{seq}");
        let arrival = Arrival {
            seq,
            endpoint,
            id: &id,
            place,
            run,
            at_us: self.now_us,
        };
        self.ledger.begin(&arrival).unwrap()
    }

    fn end(&mut self, ticket: Ticket, end: End) {
        self.now_us += 10;
        self.ledger.end(ticket, end, self.now_us);
    }

    /// A try of number `number`, which ends so.
    fn send(&mut self, endpoint: usize, seq: u64, number: u32, previous: u32, end: End) {
        let ticket = self.begin(endpoint, seq, Some((number, Some(previous))));
        self.end(ticket, end);
    }

    /// Accepts a message in no line.
    fn send_plain(&mut self, endpoint: usize, seq: u64) {
        let ticket = self.begin(endpoint, seq, None);
        self.end(ticket, End::Accepted);
    }

    fn kill(&mut self) {
        self.now_us += 10;
        let now = self.now_us;
        self.ledger.runs().killed(now, 0);
        self.ledger.runs().started();
        self.now_us += 100_000;
    }

    /// Closes the account; the hasty endpoint gave up these messages.
    fn close(mut self, given_up: &[u64]) -> Closed {
        let mut said = vec![Said::default(); ENDPOINTS.len()];
        let ids = given_up.iter().map(|seq| (format!("msg_{seq}"), None));
        said[HASTY].given_up = ids.collect();
        self.ledger.close(&said)
    }

    /// Closes the account, which must have these violations and no others.
    fn ends_with(self, given_up: &[u64], expected: &[(&'static str, u64)]) -> String {
        let closed = self.close(given_up);
        let expected = expected.iter().copied().collect();
        assert_eq!(closed.violations.counts(), expected, "{}", closed.violations);
        closed.violations.to_string()
    }
}

/// Three messages of the first type and key, published in this order, of which the hasty endpoint accepted all.
fn three() -> (Story, [u64; 3]) {
    let mut story = Story::new();
    let seqs = [0; 3].map(|_| story.publish(0, true));
    for (number, seq) in (1..).zip(seqs) {
        story.send(HASTY, seq, number, number - 1, End::Accepted);
    }
    (story, seqs)
}

#[test]
fn a_line_in_order_with_failing_heads_is_clean() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Refused);
    story.send(PATIENT, one, 1, 0, End::Cut);
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Refused);
    assert_eq!(story.ledger.outstanding(), 1);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    assert_eq!(story.ledger.outstanding(), 0);
    let closed = story.close(&[]);
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.lines, closed.keys, closed.longest), (2, 1, 3));
    let totals = closed.totals;
    assert_eq!((totals.ordered, totals.ordered_due, totals.tries), (6, 6, 9));
    assert_eq!((totals.refused, totals.cut), (2, 1));
}

#[test]
fn a_number_that_comes_after_a_later_one_is_an_inversion() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Refused);
    story.send(PATIENT, three, 3, 1, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    // Nothing is given up there: that 3 came before 2 was accepted is a gap at that moment.
    let text = story.ends_with(&[], &[("inversion", 1), ("gap", 1)]);
    assert!(text.contains("2 after 3 had arrived"), "{text}");
    // The whole history of the key is told.
    assert!(text.contains(">") && text.contains("message 1: Refused"), "{text}");
}

#[test]
fn an_earlier_number_that_comes_again_after_a_kill_is_an_inversion() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.kill();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    story.ends_with(&[], &[("inversion", 1)]);
}

#[test]
fn the_newest_number_may_come_again_after_a_kill() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.kill();
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    let closed = story.close(&[]);
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!((closed.totals.repeated, closed.kills[0].repeated), (1, 1));
}

#[test]
fn the_newest_number_again_without_a_kill_is_a_stray() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.ledger.runs().stopped();
    story.ledger.runs().started();
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    story.ends_with(&[], &[("stray_repeat", 2)]);
}

#[test]
fn two_tries_of_a_line_at_once_overlap() {
    let (mut story, [one, two, three]) = three();
    let first = story.begin(PATIENT, one, Some((1, Some(0))));
    let second = story.begin(PATIENT, one, Some((1, Some(0))));
    story.end(first, End::Refused);
    story.end(second, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    story.ends_with(&[], &[("overlap", 1)]);
}

#[test]
fn the_next_one_while_the_head_is_being_answered_overlaps_and_one_that_was_hung_up_on_does_not() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    let hung = story.begin(PATIENT, two, Some((2, Some(1))));
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.end(hung, End::Cut);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    story.ends_with(&[], &[]);

    let mut story = Story::new();
    let (one, two) = (story.publish(3, true), story.publish(3, true));
    for endpoint in [0, 1] {
        story.send(endpoint, one, 1, 0, End::Accepted);
        story.send(endpoint, two, 2, 1, End::Accepted);
    }
    let head = story.begin(ALL, one, Some((1, Some(0))));
    let next = story.begin(ALL, two, Some((2, Some(0))));
    story.end(head, End::Accepted);
    story.end(next, End::Accepted);
    story.ends_with(&[], &[("overlap", 1), ("gap", 1)]);
}

#[test]
fn a_number_that_never_comes_is_a_gap() {
    let (mut story, [one, _, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, three, 3, 1, End::Accepted);
    // At once, because nothing is given up there, and again at the end; and message 2 is lost.
    story.ends_with(&[], &[("gap", 2), ("lost", 1)]);
}

#[test]
fn an_acknowledged_message_that_never_comes_is_lost_though_the_numbers_have_no_gap() {
    let (mut story, [one, two, _]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    let text = story.ends_with(&[], &[("lost", 1)]);
    assert!(text.contains("message 2 (msg_2) never reached by-key"), "{text}");
}

#[test]
fn what_was_given_up_is_told_by_the_number_before() {
    let mut story = Story::new();
    let seqs = [0; 4].map(|_| story.publish(0, true));
    for (number, seq) in (1..).zip(seqs) {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    let [one, two, three, four] = seqs;
    story.send(HASTY, one, 1, 0, End::Refused);
    story.send(HASTY, one, 1, 0, End::Refused);
    assert_eq!(story.ledger.outstanding(), 3);
    story.send(HASTY, two, 2, 0, End::Accepted);
    story.send(HASTY, three, 3, 2, End::Refused);
    story.send(HASTY, three, 3, 2, End::Cut);
    story.send(HASTY, four, 4, 2, End::Accepted);
    let closed = story.close(&[one, three]);
    assert!(closed.violations.is_empty(), "{}", closed.violations);
    assert_eq!(closed.totals.given_up, 2);
}

#[test]
fn a_wrong_number_before_is_noticed() {
    let mut story = Story::new();
    let (one, two) = (story.publish(0, true), story.publish(0, true));
    for (number, seq) in [(1, one), (2, two)] {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    story.send(HASTY, one, 1, 0, End::Refused);
    story.send(HASTY, one, 1, 0, End::Refused);
    story.send(HASTY, two, 2, 1, End::Accepted);
    let text = story.ends_with(&[one], &[("wrong_place", 1)]);
    assert!(text.contains("1 came before it, and 0 was the last accepted"), "{text}");
}

#[test]
fn a_number_passed_over_that_the_server_does_not_call_given_up_is_a_gap() {
    let mut story = Story::new();
    let (one, two) = (story.publish(0, true), story.publish(0, true));
    for (number, seq) in [(1, one), (2, two)] {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    story.send(HASTY, one, 1, 0, End::Refused);
    story.send(HASTY, two, 2, 0, End::Accepted);
    story.ends_with(&[], &[("gap", 1), ("lost", 1)]);
}

#[test]
fn given_up_at_the_server_and_accepted_at_the_receiver_is_a_wrong_state() {
    let (mut story, seqs) = three();
    for (number, seq) in (1..).zip(seqs) {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    story.ends_with(&[seqs[1]], &[("wrong_state", 1)]);
}

#[test]
fn given_up_where_nothing_is_to_be_given_up_is_lost() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Refused);
    let mut said = vec![Said::default(); ENDPOINTS.len()];
    said[PATIENT].given_up = vec![("msg_2".to_owned(), Some(3))];
    let closed = story.ledger.close(&said);
    assert_eq!(
        closed.violations.counts(),
        [("lost", 1)].into(),
        "{}",
        closed.violations
    );
}

#[test]
fn a_number_given_up_without_a_try_that_arrived_is_explained_by_the_server() {
    let mut story = Story::new();
    let (one, two) = (story.publish(0, true), story.publish(0, true));
    for (number, seq) in [(1, one), (2, two)] {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    story.send(HASTY, two, 2, 0, End::Accepted);
    let mut said = vec![Said::default(); ENDPOINTS.len()];
    said[HASTY].given_up = vec![("msg_0".to_owned(), Some(1))];
    let closed = story.ledger.close(&said);
    assert!(closed.violations.is_empty(), "{}", closed.violations);
}

#[test]
fn acknowledged_messages_of_one_publisher_must_be_numbered_as_they_were_published() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, two, 1, 0, End::Accepted);
    story.send(PATIENT, one, 2, 1, End::Accepted);
    story.send(PATIENT, three, 3, 2, End::Accepted);
    let text = story.ends_with(&[], &[("publisher_order", 1)]);
    assert!(
        text.contains("2 is message 0, which publisher 0 published before message 1"),
        "{text}"
    );
}

#[test]
fn the_order_of_two_publishers_and_of_unacknowledged_messages_is_free() {
    let mut story = Story::new();
    let one = story.publish_as(0, 1, true);
    let other = story.publish_as(1, 1, true);
    let (unanswered, _) = story.ledger.open(0);
    story.ledger.messages[unanswered as usize].key = Some(0);
    story.ledger.messages[unanswered as usize].kind = 1;
    let two = story.publish_as(0, 1, true);
    for endpoint in [0, 1] {
        for (number, seq) in (1..).zip([other, one, two, unanswered]) {
            story.send(endpoint, seq, number, number - 1, End::Accepted);
        }
    }
    for seq in [one, other, two] {
        story.send_plain(UNORDERED, seq);
    }
    story.ends_with(&[], &[]);
}

#[test]
fn one_number_for_two_messages_and_two_numbers_for_one_are_noticed() {
    let (mut story, [one, two, three]) = three();
    story.send(PATIENT, one, 1, 0, End::Accepted);
    story.send(PATIENT, two, 2, 1, End::Refused);
    story.send(PATIENT, three, 2, 1, End::Accepted);
    story.send(PATIENT, two, 3, 2, End::Accepted);
    let text = story.close(&[]).violations.to_string();
    assert!(text.contains("2 is both message 1 and message 2"), "{text}");
    assert!(text.contains("message 1 at by-key is both 2 and 3"), "{text}");
}

#[test]
fn messages_in_no_line_carry_no_number_and_those_in_one_do() {
    let mut story = Story::new();
    let plain = story.publish(0, false);
    story.send_plain(PATIENT, plain);
    let ticket = story.begin(HASTY, plain, Some((1, Some(0))));
    story.end(ticket, End::Accepted);
    let keyed = story.publish(0, true);
    story.send(PATIENT, keyed, 1, 0, End::Accepted);
    story.send_plain(HASTY, keyed);
    story.ends_with(&[], &[("wrong_place", 2)]);
}

#[test]
fn a_filter_that_is_not_kept_and_a_message_nobody_published_are_noticed() {
    let (mut story, seqs) = three();
    for (number, seq) in (1..).zip(seqs) {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    story.send(1, seqs[0], 1, 0, End::Accepted);
    let (id, place) = ("msg_9", None);
    let stranger = Arrival {
        seq: 9,
        endpoint: 0,
        id,
        place,
        run: 0,
        at_us: 0,
    };
    assert!(story.ledger.begin(&stranger).is_none());
    story.ends_with(&[], &[("misrouted", 1), ("unknown", 1)]);
}

#[test]
fn the_lines_as_the_server_tells_them_are_compared() {
    let told = |last, succeeded, waiting| SaidLine {
        key: key_text(0),
        last,
        succeeded,
        waiting,
    };
    let close = |lines: Vec<SaidLine>| {
        let (mut story, seqs) = three();
        for (number, seq) in (1..).zip(seqs) {
            story.send(PATIENT, seq, number, number - 1, End::Accepted);
        }
        let mut said = vec![Said::default(); ENDPOINTS.len()];
        said[PATIENT].lines = Some(lines);
        story.ledger.close(&said).violations.count(Kind::State)
    };
    assert_eq!(close(vec![told(3, 3, 0)]), 0);
    assert_eq!(close(vec![told(4, 3, 1)]), 1);
    assert_eq!(close(vec![told(3, 2, 0)]), 1);
    assert_eq!(close(vec![]), 1);
    let other = SaidLine {
        key: "other".to_owned(),
        ..told(1, 1, 0)
    };
    assert_eq!(close(vec![told(3, 3, 0), other]), 1);
}

#[test]
fn deliveries_that_are_still_open_at_the_end_are_noticed() {
    let (mut story, seqs) = three();
    for (number, seq) in (1..).zip(seqs) {
        story.send(PATIENT, seq, number, number - 1, End::Accepted);
    }
    let mut said = vec![Said::default(); ENDPOINTS.len()];
    said[ALL].open = 2;
    let closed = story.ledger.close(&said);
    assert_eq!(closed.violations.counts(), [("wrong_state", 1)].into());
}
