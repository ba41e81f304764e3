//! What is said of messages, endpoints and deliveries that are made by hand.

use std::time::Duration;

use bellwire_core::{
    delivery::{Progress, Trigger},
    id::{AppId, AttemptId, EndpointId, Id as _, MessageId},
};
use bytes::Bytes;

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_766_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn message() -> Message {
    Message {
        id: MessageId::from_number(1),
        app: AppId::from_number(2),
        event_type: "invoice.paid".to_owned(),
        event_id: None,
        channels: vec!["eu".to_owned()],
        tags: Vec::new(),
        ordering_key: None,
        payload: None,
        payload_expires_at: NOON.plus(HOUR),
        deliver_at: None,
        traceparent: None,
        content_type: None,
        inbound: None,
        created_at: NOON,
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: EndpointId::from_number(3),
        app: AppId::from_number(2),
        uid: None,
        url: "https://example.com/".to_owned(),
        description: String::new(),
        disabled: None,
        paused: false,
        event_types: None,
        channels: None,
        throttle_rate: None,
        metadata: Default::default(),
        headers: Default::default(),
        keys: Vec::new(),
        retry_schedule: None,
        timeout: None,
        max_in_flight: None,
        order: Default::default(),
        batch: None,
        http_signatures: false,
        action: Default::default(),
        workflow: Default::default(),
        created_at: NOON.minus(HOUR),
        updated_at: NOON.minus(HOUR),
    }
}

fn delivery(state: DeliveryState, tries: u16) -> DeliveryRow {
    DeliveryRow {
        message: MessageId::from_number(1),
        endpoint: EndpointId::from_number(3),
        state,
        progress: Progress {
            run: 0,
            tries,
            trigger: Trigger::Scheduled,
        },
        next_at: Some(NOON.plus(HOUR)),
        sequence: None,
    }
}

fn attempt(status_code: u16) -> Attempt {
    Attempt {
        id: AttemptId::from_number(4),
        app: AppId::from_number(2),
        message: MessageId::from_number(1),
        endpoint: EndpointId::from_number(3),
        trigger: Trigger::Scheduled,
        number: 1,
        at: NOON,
        duration: Duration::ZERO,
        url: "https://example.com/".to_owned(),
        status_code,
        failure: (status_code != 200).then(|| "connection_refused".to_owned()),
        response: Bytes::new(),
        response_headers: Vec::new(),
        signature: String::new(),
        last: false,
    }
}

fn words(endpoint: &Endpoint, delivery: Option<DeliveryRow>, last: Option<&Attempt>) -> Words {
    Found {
        message: &message(),
        endpoint,
        is: Is::There,
        delivery,
        last,
        line: None,
        lane: None,
        filtered: None,
        now: NOON,
    }
    .explain()
}

#[test]
fn an_endpoint_that_does_not_match_is_told_because_of_which_clause() {
    let types = Endpoint {
        event_types: Some(vec!["order.*".to_owned()]),
        ..endpoint()
    };
    let (reason, summary, _) = words(&types, None, None);
    assert_eq!(reason, Reason::EventTypeFilter);
    assert!(
        summary.contains("`order.*`") && summary.contains("`invoice.paid`"),
        "{summary}"
    );
    let channels = Endpoint {
        channels: Some(vec!["us".to_owned()]),
        ..endpoint()
    };
    let (reason, summary, _) = words(&channels, None, None);
    assert_eq!(reason, Reason::ChannelFilter);
    assert!(summary.contains("`us`") && summary.contains("`eu`"), "{summary}");
    let gone = Endpoint {
        disabled: Some(Disabled {
            since: NOON,
            reason: DisabledReason::Gone,
        }),
        ..endpoint()
    };
    let (reason, summary, _) = words(&gone, None, None);
    assert_eq!(reason, Reason::EndpointDisabled);
    assert!(summary.contains("410"), "{summary}");
}

#[test]
fn a_filter_is_told_with_what_it_looked_at() {
    let said = |filtered: &Filtered| {
        let found = Found {
            message: &message(),
            endpoint: &endpoint(),
            is: Is::There,
            delivery: None,
            last: None,
            line: None,
            lane: None,
            filtered: Some(filtered),
            now: NOON,
        };
        found.explain()
    };
    let filtered = Filtered {
        expression: "data.amount > 100 and data.vip".into(),
        holds: false,
        error: None,
        read: vec![
            ("data.amount".to_owned(), Some("50".to_owned())),
            ("data.vip".to_owned(), None),
        ],
    };
    let (reason, summary, _) = said(&filtered);
    assert_eq!(reason, Reason::Filter);
    assert_eq!(
        summary,
        "not sent: the filter `data.amount > 100 and data.vip` does not hold: `data.amount` is 50, `data.vip` is missing"
    );
    let failed = Filtered {
        error: Some("too much work".to_owned()),
        ..filtered.clone()
    };
    let (reason, summary, _) = said(&failed);
    assert_eq!(reason, Reason::Filter);
    assert!(
        summary.ends_with("cannot be evaluated, which counts as not holding: too much work"),
        "{summary}"
    );
    let holding = Filtered {
        holds: true,
        ..filtered
    };
    assert_eq!(said(&holding).0, Reason::NotRouted);
}

#[test]
fn one_that_was_held_back_is_told_why() {
    let held = Attempt {
        failure: Some("throttled".to_owned()),
        response: Bytes::from_static(b"another message of the kind `db1` was acted upon"),
        ..attempt(0)
    };
    let (reason, summary, _) = words(&endpoint(), Some(delivery(DeliveryState::Cancelled, 1)), Some(&held));
    assert_eq!(reason, Reason::HeldBack);
    assert_eq!(summary, "cancelled: another message of the kind `db1` was acted upon");
}

#[test]
fn what_has_no_receiver_is_not_told_as_if_somebody_had_answered() {
    let mut endpoint = endpoint();
    endpoint.action.kind = "run".into();
    let done = Attempt {
        failure: None,
        ..attempt(0)
    };
    let (_, summary, _) = words(&endpoint, Some(delivery(DeliveryState::Succeeded, 1)), Some(&done));
    assert!(summary.starts_with("done at "), "{summary}");
    let (_, summary, advice) = words(&endpoint, Some(delivery(DeliveryState::Failed, 1)), Some(&attempt(0)));
    assert!(summary.starts_with("given up after 1 attempt; "), "{summary}");
    assert!(
        !format!("{summary}{advice:?}").contains("receiver"),
        "{summary} {advice:?}"
    );
    let (_, summary, _) = words(&endpoint, Some(delivery(DeliveryState::Pending, 1)), Some(&attempt(0)));
    assert!(summary.starts_with("failed once so far; "), "{summary}");
}

#[test]
fn an_endpoint_that_matches_only_now_is_told_since_when() {
    let newer = Endpoint {
        created_at: NOON.plus(HOUR),
        updated_at: NOON.plus(HOUR),
        ..endpoint()
    };
    assert_eq!(words(&newer, None, None).0, Reason::EndpointNewer);
    let changed = Endpoint {
        updated_at: NOON.plus(HOUR),
        ..endpoint()
    };
    assert_eq!(words(&changed, None, None).0, Reason::EndpointChanged);
    assert_eq!(words(&endpoint(), None, None).0, Reason::NotRouted);
}

#[test]
fn a_delivery_is_told_by_its_state_and_its_last_attempt() {
    let refused = attempt(0);
    let (reason, summary, advice) = words(&endpoint(), Some(delivery(DeliveryState::Failed, 10)), Some(&refused));
    assert_eq!(reason, Reason::Exhausted);
    assert!(
        summary.contains("10 attempts") && summary.contains("connection_refused"),
        "{summary}"
    );
    assert!(advice.is_some());
    let (reason, summary, _) = words(
        &endpoint(),
        Some(delivery(DeliveryState::Pending, 2)),
        Some(&attempt(503)),
    );
    assert_eq!(reason, Reason::Retrying);
    assert!(
        summary.contains("answered 503") && summary.contains(&NOON.plus(HOUR).to_string()),
        "{summary}"
    );
    assert_eq!(
        words(&endpoint(), Some(delivery(DeliveryState::Pending, 0)), None).0,
        Reason::Waiting
    );
    let (reason, _, advice) = words(
        &endpoint(),
        Some(delivery(DeliveryState::Succeeded, 1)),
        Some(&attempt(200)),
    );
    assert_eq!((reason, advice), (Reason::Delivered, None));
    let paused = Endpoint {
        paused: true,
        ..endpoint()
    };
    assert_eq!(
        words(&paused, Some(delivery(DeliveryState::Pending, 3)), None).0,
        Reason::Paused
    );
    assert_eq!(
        words(&endpoint(), Some(delivery(DeliveryState::Cancelled, 0)), None).0,
        Reason::Cancelled
    );
}

#[test]
fn a_cancelled_one_of_a_line_may_have_been_discarded() {
    let of_a_line = DeliveryRow {
        sequence: Some(4),
        ..delivery(DeliveryState::Cancelled, 0)
    };
    let said = |endpoint: &Endpoint, delivery| words(endpoint, Some(delivery), None).1;
    let disabled = Endpoint {
        disabled: Some(Disabled {
            since: NOON,
            reason: DisabledReason::Requested,
        }),
        ..endpoint()
    };
    for endpoint in [endpoint(), disabled] {
        let summary = said(&endpoint, of_a_line);
        assert!(
            summary.contains("disabled") && summary.contains("its line was discarded"),
            "{summary}"
        );
        let summary = said(&endpoint, delivery(DeliveryState::Cancelled, 0));
        assert!(!summary.contains("discarded"), "{summary}");
    }
}

#[test]
fn a_message_that_is_to_be_delivered_later_is_not_overdue() {
    let later = Message {
        deliver_at: Some(NOON.plus(HOUR)),
        ..message()
    };
    let pending = Some(delivery(DeliveryState::Pending, 0));
    let found = Found {
        message: &later,
        endpoint: &endpoint(),
        is: Is::There,
        delivery: pending,
        last: None,
        line: None,
        lane: None,
        filtered: None,
        now: NOON,
    };
    assert_eq!(found.explain().0, Reason::Scheduled);
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<_> = (0..12).map(|n| n.to_string()).collect();
    assert!(list(&names).ends_with("`9` and 2 more"));
}
