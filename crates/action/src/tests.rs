//! What holds for all kinds, and the message that the tests of each are about.

use bellwire_core::time::Timestamp;

use crate::{Event, KINDS};

/// A message of type `invoice.paid` with this JSON payload.
pub(crate) fn event(json: &str) -> Event<'_> {
    Event {
        id: "msg_1",
        event_type: "invoice.paid",
        channels: &[],
        payload: json.as_bytes(),
        content_type: "application/json",
        json: json.as_bytes(),
        headers: &[],
        item: None,
        accepted_at: Timestamp::from_secs(1_766_000_000),
        source: "",
        endpoint: "ep_1",
        attempt: 1,
    }
}

#[test]
fn names_are_unique_and_every_schema_refuses_unknown_members() {
    for (at, kind) in KINDS.iter().enumerate() {
        assert!(
            KINDS[at + 1..].iter().all(|other| other.name != kind.name),
            "{}",
            kind.name
        );
        let schema = (kind.schema)();
        assert_eq!(schema["type"], "object", "{}: {schema}", kind.name);
        assert_eq!(schema["additionalProperties"], false, "{}", kind.name);
    }
}
