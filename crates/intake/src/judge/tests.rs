use std::collections::BTreeMap;

use bellwire_core::{
    id::Id as _,
    source::{SourceOrder, SourceRules},
};
use bellwire_listen::{Settings, Signing, providers, sign};
use ring::rand::SystemRandom;

use super::*;

const AT: Timestamp = Timestamp::from_secs(1_766_000_000);
const URL: &str = "https://example.com/in/x";

fn source(kind: &str, settings: &[(&str, &str)], rules: SourceRules) -> Source {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in settings {
        all.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    Source {
        id: bellwire_core::id::Id::from_number(1),
        environment: bellwire_core::id::Id::from_number(2),
        app: bellwire_core::id::AppId::from_number(3),
        uid: None,
        name: String::new(),
        kind: kind.to_owned(),
        token: "token".to_owned(),
        former_tokens: Vec::new(),
        settings: all,
        rules,
        managed: false,
        metadata: BTreeMap::new(),
        created_at: AT,
        updated_at: AT,
    }
}

fn rules(json: &str) -> SourceRules {
    serde_json::from_str(json).unwrap()
}

/// Signs a body as the provider would, with the first secret of these settings, and judges it with the source's.
fn signed(kind: &str, secret: &str, body: &str) -> (Vec<(String, String)>, Bytes) {
    let settings = Settings::new().with("secret", secret);
    let signing = Signing {
        method: "POST",
        url: URL,
        content_type: "application/json",
        body: body.as_bytes(),
        at: AT,
        id: Some("evt-1"),
        event_type: Some("push"),
        private_key: None,
        random: &SystemRandom::new(),
    };
    let signed = sign(providers::by_name(kind).unwrap(), &settings, &signing).unwrap();
    (signed.headers, signed.body.into())
}

fn post<'a>(headers: &'a [(&'a str, &'a str)], body: impl Into<Bytes>) -> Request<'a> {
    Request {
        method: "POST",
        url: URL,
        headers,
        body: body.into(),
        peer: None,
        fetched: None,
    }
}

fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// What a request to a source that verifies nothing brings.
fn events(rules: SourceRules, headers: &[(&str, &str)], body: &str) -> (Result<Events, Refusal>, Vec<String>) {
    let prepared = prepare(&source("none", &[], rules)).unwrap();
    let (taken, steps) = prepared.explain(&post(headers, body.to_owned()), AT);
    let events = taken.map(|taken| match taken {
        Taken::Events(events) => *events,
        Taken::Handshake(_) => panic!("a handshake"),
    });
    (events, steps)
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn a_signed_event_is_taken_and_every_step_is_said() {
    let body = r#"{"ref":"refs/heads/main"}"#;
    let (headers, sent) = signed("github", "old", body);
    let github = source(
        "github",
        &[("secret", "new"), ("secret", "old")],
        SourceRules::default(),
    );
    let pairs = pairs(&headers);
    let (taken, steps) = prepare(&github).unwrap().explain(&post(&pairs, sent.clone()), AT);
    let Ok(Taken::Events(events)) = taken else {
        panic!("{taken:?}")
    };
    let message = &events.messages[0];
    assert_eq!(
        (message.event_type.as_str(), message.event_id.as_deref()),
        ("push", Some("evt-1"))
    );
    assert_eq!(
        message.payload.as_ptr(),
        sent.as_ptr(),
        "the payload is the request's own bytes"
    );
    assert_eq!(
        steps,
        [
            "verified: GitHub, HMAC-SHA256 of the body, hex, secret 2 of 2; it covers the whole body",
            "id evt-1 from x-github-delivery",
            "event type push from x-github-event",
        ]
    );
    assert_eq!(events.verdict, steps[0]);
}

#[test]
fn what_is_not_proved_is_refused_before_it_is_read() {
    let github = prepare(&source("github", &[("secret", "right")], SourceRules::default())).unwrap();
    let status = |secret: &str, body: &str| {
        let (headers, body) = signed("github", secret, body);
        github
            .take(&post(&pairs(&headers), body), AT)
            .map_err(|refusal| (refusal.status, refusal.reason))
    };
    assert!(status("right", "{}").is_ok());
    assert_eq!(status("wrong", "{}"), Err((401, "mismatch")));
    assert_eq!(status("wrong", "{"), Err((401, "mismatch")));
    assert_eq!(status("right", "{"), Err((400, "malformed")));
    let unsigned = github.take(&post(&[], "{}"), AT).unwrap_err();
    assert_eq!((unsigned.status, unsigned.reason), (401, "missing"));
    let get = Request {
        method: "GET",
        ..post(&[], "")
    };
    assert_eq!(github.take(&get, AT).unwrap_err().status, 405);
}

#[test]
fn a_timestamp_that_is_too_old_is_refused() {
    let stripe = prepare(&source("stripe", &[("secret", "whsec_x")], SourceRules::default())).unwrap();
    let (headers, body) = signed("stripe", "whsec_x", r#"{"id":"evt_1","type":"t"}"#);
    let request_pairs = pairs(&headers);
    let request = post(&request_pairs, body);
    assert!(
        stripe
            .take(&request, AT.plus(std::time::Duration::from_secs(200)))
            .is_ok()
    );
    let late = stripe
        .take(&request, AT.plus(std::time::Duration::from_secs(420)))
        .unwrap_err();
    assert_eq!((late.status, late.reason), (401, "clock"));
    assert!(late.detail.contains("7 min"), "{late}");
}

/// Each bit of the body, of each header that is part of the proof, and of the key.
#[test]
fn every_one_bit_change_is_refused() {
    for (kind, secret, proof) in [
        ("github", "It's a Secret to Everybody", vec!["x-hub-signature-256"]),
        ("stripe", "whsec_test", vec!["stripe-signature"]),
        (
            "slack",
            "8f742231b10e8888abcd99yyyzzz85a5",
            vec!["x-slack-signature", "x-slack-request-timestamp"],
        ),
        (
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            vec!["webhook-id", "webhook-timestamp", "webhook-signature"],
        ),
        ("shopify", "hush", vec!["x-shopify-hmac-sha256"]),
    ] {
        let (headers, body) = signed(kind, secret, r#"{"id":"evt_1","n":1.10}"#);
        let judge = |secret: &str, headers: &[(String, String)], body: &[u8]| {
            let settings = [("secret", secret)];
            let prepared = prepare(&source(kind, &settings, SourceRules::default())).ok()?;
            let taken = prepared.take(&post(&pairs(headers), body.to_vec()), AT);
            Some(taken.map_err(|refusal| refusal.status))
        };
        assert!(judge(secret, &headers, &body).unwrap().is_ok(), "{kind}");
        let refused = |what: &str, taken: Option<Result<Taken, u16>>| {
            // A key that cannot be one is refused when the source is made.
            assert!(matches!(taken, None | Some(Err(401))), "{kind}: {what}: {taken:?}");
        };
        for bit in 0..body.len() * 8 {
            let mut changed = body.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            refused("body", judge(secret, &headers, &changed));
        }
        for name in proof {
            let at = headers.iter().position(|(other, _)| other == name).unwrap();
            for bit in 0..headers[at].1.len() * 8 {
                let mut value = headers[at].1.clone().into_bytes();
                value[bit / 8] ^= 1 << (bit % 8);
                let Ok(value) = String::from_utf8(value) else { continue };
                let mut changed = headers.clone();
                changed[at].1 = value;
                refused(name, judge(secret, &changed, &body));
            }
        }
        for bit in 0..secret.len() * 8 {
            let mut key = secret.as_bytes().to_vec();
            key[bit / 8] ^= 1 << (bit % 8);
            let Ok(key) = String::from_utf8(key) else { continue };
            // Spaces around a secret do not count, and the last digit of base64 has bits that mean nothing.
            let same = key.trim() == secret.trim() || kind == "standard-webhooks" && bit / 8 + 1 == secret.len();
            if !same {
                refused("key", judge(&key, &headers, &body));
            }
        }
    }
}

#[test]
fn a_handshake_is_answered_when_it_is_signed() {
    let body = r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
    let slack = prepare(&source("slack", &[("secret", "s")], SourceRules::default())).unwrap();
    let judge = |secret: &str| {
        let (headers, body) = signed("slack", secret, body);
        slack.take(&post(&pairs(&headers), body), AT)
    };
    let Ok(Taken::Handshake(answer)) = judge("s") else {
        panic!("no handshake")
    };
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"3eZbrw1a".as_slice()));
    assert_eq!(judge("x").unwrap_err().status, 401);
}

#[test]
fn json_that_is_called_text_is_json() {
    for headers in [&[("Content-Type", "text/plain; charset=UTF-8")][..], &[]] {
        let (events, _) = events(SourceRules::default(), headers, r#"{"id":"1","type":"a.b"}"#);
        let message = events.unwrap().messages.remove(0);
        assert_eq!(
            message.content_type.as_deref(),
            headers.first().map(|(_, value)| *value)
        );
        assert_eq!(
            (message.event_type.as_str(), message.event_id.as_deref()),
            ("a.b", None)
        );
    }
}

#[test]
fn cloud_events_of_all_modes_are_the_same_messages() {
    let data = r#"{"n": 1.50}"#;
    let event = format!(r#"{{"specversion":"1.0","id":"7","source":"/s","type":"a.b","subject":"u","data":{data}}}"#);
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/s"),
        ("ce-type", "a.b"),
        ("ce-subject", "u"),
        ("content-type", "application/json"),
    ];
    let batch = format!("[{event},{}]", event.replace("\"7\"", "\"8\""));
    for (headers, body) in [
        (&binary[..], data),
        (&[("content-type", "application/cloudevents+json")], event.as_str()),
        (
            &[("content-type", "application/cloudevents-batch+json")],
            batch.as_str(),
        ),
    ] {
        let all = events(rules(r#"{"order":{"by":"headers[\"ce-subject\"]"}}"#), headers, body)
            .0
            .unwrap()
            .messages;
        assert_eq!(all[0].payload, data, "as it was written");
        assert_eq!(all[0].event_type, "a.b");
        assert_eq!(all[0].event_id.as_deref(), Some("/s 7"));
        assert_eq!(
            all[0].ordering_key.as_deref(),
            Some("u"),
            "attributes are headers in each mode"
        );
        if let Some(second) = all.get(1) {
            assert_eq!(second.event_id.as_deref(), Some("/s 8"));
        }
    }
    let broken = events(SourceRules::default(), &binary[..2], data).0.unwrap_err();
    assert_eq!((broken.status, broken.reason), (400, "malformed"));
}

#[test]
fn unsigned_headers_make_no_other_event_of_a_signed_request() {
    let evil = [
        ("ce-specversion", "1.0"),
        ("ce-id", "evil"),
        ("ce-source", "/evil"),
        ("ce-type", "evil.type"),
        ("webhook-id", "evil"),
    ];
    for (kind, secret, id) in [
        ("stripe", "whsec_x", "evt_1"),
        ("svix", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "evt-1"),
    ] {
        let (headers, body) = signed(kind, secret, r#"{"id":"evt_1","type":"invoice.paid"}"#);
        let mut headers = pairs(&headers);
        headers.extend(evil);
        let prepared = prepare(&source(kind, &[("secret", secret)], SourceRules::default())).unwrap();
        let Ok(Taken::Events(events)) = prepared.take(&post(&headers, body), AT) else {
            panic!("{kind}")
        };
        let message = &events.messages[0];
        assert_eq!(
            (message.event_type.as_str(), message.event_id.as_deref()),
            ("invoice.paid", Some(id)),
            "{kind}"
        );
    }
}

#[test]
fn an_id_that_is_signed_outranks_that_of_a_cloud_event_in_headers() {
    let settings = [
        ("secret", "s"),
        ("header", "x-sig"),
        ("content", "{id}.{body}"),
        ("id", "header:x-id"),
    ];
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s");
    let tag = ring::hmac::sign(&key, b"e1.{}");
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        ("x-id", "e1"),
        ("x-sig", tag.as_str()),
        ("ce-specversion", "1.0"),
        ("ce-id", "r7"),
        ("ce-source", "/s"),
        ("ce-type", "a.b"),
    ];
    let prepared = prepare(&source("hmac", &settings, SourceRules::default())).unwrap();
    let (taken, steps) = prepared.explain(&post(&headers, "{}"), AT);
    let Ok(Taken::Events(events)) = taken else {
        panic!("{taken:?}")
    };
    let message = &events.messages[0];
    assert_eq!(
        (message.event_type.as_str(), message.event_id.as_deref()),
        ("a.b", Some("e1"))
    );
    assert!(steps.contains(&"id e1 from header:x-id".to_owned()), "{steps:?}");
}

#[test]
fn extensions_of_a_structured_event_are_headers_and_those_of_the_request_are_not() {
    let event = r#"{"specversion":"1.0","id":"7","source":"/s","type":"a.b","partitionkey":"k1","data":{}}"#;
    let headers = [("content-type", "application/cloudevents+json"), ("ce-subject", "evil")];
    let ordered = rules(r#"{"order":{"by":"headers[\"ce-partitionkey\"]"},"eventType":"headers[\"ce-subject\"]"}"#);
    let message = events(ordered, &headers, event).0.unwrap().messages.remove(0);
    assert_eq!(message.ordering_key.as_deref(), Some("k1"));
    assert_eq!(message.event_type, "a.b");
}

#[test]
fn bytes_that_are_no_text_are_kept_as_they_are() {
    let image = &b"\x89PNG\r\n\x1a\n\xff"[..];
    let prepared = prepare(&source("none", &[], SourceRules::default())).unwrap();
    let taken = |headers: &[(&str, &str)], body: Vec<u8>| {
        let Ok(Taken::Events(events)) = prepared.take(&post(headers, body), AT) else {
            panic!("{headers:?}")
        };
        events.messages[0].clone()
    };
    for headers in [&[("content-type", "image/png")][..], &[]] {
        let message = taken(headers, image.to_vec());
        assert_eq!((message.payload.as_ref(), message.json.as_ref()), (image, &b"null"[..]));
    }
    let event = r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"image/png","data_base64":"iVBORw0KGgr/"}"#;
    let message = taken(&[("content-type", "application/cloudevents+json")], event.into());
    assert_eq!(message.payload, image);
    let refused = prepared.take(&post(JSON, image), AT).unwrap_err();
    assert_eq!((refused.status, refused.reason), (400, "malformed"));
}

#[test]
fn each_item_of_a_providers_list_has_the_providers_id_and_type() {
    let event = |id: u32| {
        format!(r#"{{"eventId":{id},"subscriptionId":1,"occurredAt":{id},"objectId":4,"subscriptionType":"t{id}"}}"#)
    };
    let ids = |rules_json: &str, list: [u32; 2]| {
        let body = format!("[{},{}]", event(list[0]), event(list[1]));
        let (headers, body) = signed("hubspot", "s", &body);
        let prepared = prepare(&source("hubspot", &[("secret", "s")], rules(rules_json))).unwrap();
        let Ok(Taken::Events(events)) = prepared.take(&post(&pairs(&headers), body), AT) else {
            panic!("{list:?}")
        };
        let of = |message: &Coming| {
            format!(
                "{} {}",
                message.event_type,
                message.event_id.as_deref().unwrap_or("none")
            )
        };
        events.messages.iter().map(of).collect::<Vec<_>>()
    };
    let each = r#"{"forEach":"body"}"#;
    assert_eq!(ids(each, [1, 2]), ["t1 1/1/1", "t2 2/1/2"]);
    assert_eq!(ids(each, [9, 2]), ["t9 9/1/9", "t2 2/1/2"]);
    assert_eq!(ids("{}", [1, 3]), ["t1 1/1/1,3/1/3"]);
    let own = r#"{"forEach":"body","dedupe":"item.objectId ~ item.eventId"}"#;
    assert_eq!(ids(own, [1, 2])[1], "t2 42");
}

const ALERTS: &str = r#"{"id":"g1","receiver":"ops","alerts":[{"fp":"a","n":1.0},{"fp":"b","n":2}]}"#;

#[test]
fn each_item_is_a_message_of_its_own() {
    let (found, steps) = events(rules(r#"{"forEach":"body.alerts","dedupe":"body.id"}"#), JSON, ALERTS);
    let messages = found.unwrap().messages;
    let payloads: Vec<_> = messages.iter().map(|message| message.payload.clone()).collect();
    assert_eq!(payloads, [r#"{"fp":"a","n":1.0}"#, r#"{"fp":"b","n":2}"#]);
    let ids: Vec<_> = messages
        .iter()
        .map(|message| message.event_id.as_deref().unwrap())
        .collect();
    assert_eq!(ids, ["g1/0", "g1/1"]);
    let item = messages[1].item.as_ref().unwrap();
    assert_eq!((item.index, item.count), (1, 2));
    assert_eq!(item.rest.as_deref(), Some(r#"{"id":"g1","receiver":"ops"}"#));
    assert!(steps.contains(&"for_each body.alerts: 2 items".to_owned()), "{steps:?}");
}

#[test]
fn an_item_may_have_an_id_and_an_order_of_its_own() {
    let own = r#"{"forEach":"body.alerts","dedupe":"item.fp","eventType":"\"alert.\" ~ item.fp","order":{"by":"item.fp","version":"item.n"}}"#;
    let messages = events(rules(own), JSON, ALERTS).0.unwrap().messages;
    assert_eq!(messages[1].event_id.as_deref(), Some("b"));
    assert_eq!(messages[1].event_type, "alert.b");
    assert_eq!(messages[1].ordering_key.as_deref(), Some("b"));
    assert_eq!(messages[0].place, Some(ArrivalPlace::Version("1.0".to_owned())));
    let of_all = r#"{"forEach":"body.alerts","dedupe":"body.receiver"}"#;
    let messages = events(rules(of_all), JSON, ALERTS).0.unwrap().messages;
    assert_eq!(messages[1].event_id.as_deref(), Some("ops/1"));
}

#[test]
fn a_list_that_is_not_there_makes_no_message_and_says_so() {
    for body in ["{}", r#"{"alerts":7}"#] {
        let events = events(rules(r#"{"forEach":"body.alerts"}"#), JSON, body).0.unwrap();
        assert!(
            events.messages.is_empty() && events.nothing.unwrap().contains("body.alerts"),
            "{body}"
        );
    }
    let empty = events(rules(r#"{"forEach":"body.alerts"}"#), JSON, r#"{"alerts":[]}"#)
        .0
        .unwrap();
    assert_eq!((empty.messages.len(), empty.nothing), (0, None));
}

#[test]
fn a_rule_that_fails_is_noted_and_the_event_is_kept() {
    let typed = rules(r#"{"eventType":"body.id|int","dedupe":"body.id"}"#);
    let (found, steps) = events(typed, JSON, r#"{"id":"g1"}"#);
    let message = found.unwrap().messages.remove(0);
    assert_eq!(
        (message.event_type.as_str(), message.event_id.as_deref()),
        ("webhook", Some("g1"))
    );
    let note = message.note.unwrap();
    assert!(note.starts_with("`event_type` cannot be applied to it: "), "{note}");
    assert!(!message.set_aside && steps.contains(&note), "{steps:?}");

    let each =
        rules(r#"{"forEach":"body.alerts|select(\"gt\", 1)|list","order":{"by":"item.fp","sequence":"item.n"}}"#);
    let body = r#"{"id":"g1","alerts":7}"#;
    let messages = events(each, JSON, body).0.unwrap().messages;
    assert_eq!(messages.len(), 1);
    let whole = &messages[0];
    assert_eq!((&whole.payload[..], whole.place.as_ref()), (body.as_bytes(), None));
    let note = whole.note.as_deref().unwrap();
    assert!(
        whole.set_aside && note.contains("`for_each` cannot be applied to it"),
        "{note}"
    );
}

#[test]
fn a_number_or_version_that_cannot_be_read_is_noted() {
    let by = |rule: &str| rules(&format!(r#"{{"order":{{"by":"body.of",{rule}}}}}"#));
    let numbered = |n: &str| {
        let body = format!(r#"{{"of":"a","n":{n}}}"#);
        events(by(r#""sequence":"body.n""#), JSON, &body)
            .0
            .unwrap()
            .messages
            .remove(0)
    };
    for (n, said) in [
        ("-1", "-1"),
        ("18446744073709551616", "\"18446744073709551616\""),
        ("1.5", "1.5"),
        ("\"x\"", "\"x\""),
        ("[]", "[]"),
    ] {
        let message = numbered(n);
        let note = message.note.unwrap();
        let expected = format!("in no order: `body.n` is {said}");
        assert!(message.place.is_none() && note.starts_with(&expected), "{n}: {note}");
    }
    for n in ["null", "\"\"", "7"] {
        assert_eq!(numbered(n).note, None, "{n}");
    }
    let versioned = |bytes: usize| {
        let body = format!(r#"{{"of":"a","v":"{}"}}"#, "9".repeat(bytes));
        events(by(r#""version":"body.v""#), JSON, &body)
            .0
            .unwrap()
            .messages
            .remove(0)
    };
    assert!(matches!(versioned(256).place, Some(ArrivalPlace::Version(_))));
    let long = versioned(257);
    assert!(long.place.is_none() && long.note.unwrap().contains("longer than 256 bytes"));
    let time = "9".repeat(300);
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-type", "t"),
        ("ce-subject", "a"),
        ("ce-time", time.as_str()),
        JSON[0],
    ];
    let providers = rules(r#"{"order":{"by":"headers[\"ce-subject\"]"}}"#);
    let message = events(providers, &headers, "{}").0.unwrap().messages.remove(0);
    assert!(
        message.place.is_none() && message.note.is_some(),
        "the provider's own is bounded, too"
    );
}

#[test]
fn a_request_brings_so_many_messages_and_no_more() {
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let each = || rules(r#"{"forEach":"body"}"#);
    assert_eq!(
        events(each(), JSON, &list(MESSAGES_MAX)).0.unwrap().messages.len(),
        MESSAGES_MAX
    );
    assert_eq!(events(each(), JSON, &list(MESSAGES_MAX + 1)).0.unwrap_err().status, 413);
    let large = format!(r#"{{"list":{},"rest":"{}"}}"#, list(900), "x".repeat(100_000));
    assert_eq!(
        events(rules(r#"{"forEach":"list"}"#), JSON, &large)
            .0
            .unwrap_err()
            .status,
        413
    );
}

#[test]
fn order_is_a_number_or_a_version_and_its_lack_is_said() {
    let numbered = || SourceRules {
        order: Some(SourceOrder {
            by: "body.id".to_owned(),
            sequence: Some("body.seq".to_owned()),
            start: Some(1),
            wait: None,
            version: None,
        }),
        ..SourceRules::default()
    };
    let of = |body: &str| {
        let (found, steps) = events(numbered(), JSON, body);
        (found.unwrap().messages.remove(0), steps.last().unwrap().clone())
    };
    let (message, step) = of(r#"{"id":"c7","seq":"12"}"#);
    let expected = ArrivalPlace::Sequence {
        number: 12,
        start: Some(1),
        wait: SourceOrder::WAIT,
    };
    assert_eq!(
        (message.place, message.ordering_key.as_deref()),
        (Some(expected), Some("c7"))
    );
    assert_eq!(step, "in order by body.id: c7, number 12");
    let (message, step) = of(r#"{"id":"c7"}"#);
    assert_eq!((message.place, message.ordering_key.as_deref()), (None, Some("c7")));
    assert!(step.contains("without a number"), "{step}");
    let (message, step) = of("{}");
    assert_eq!((message.place, message.ordering_key), (None, None));
    assert!(step.contains("in no order"), "{step}");
}

#[test]
fn what_cannot_work_is_refused_when_the_source_is_made() {
    let error = |kind: &str, settings: &[(&str, &str)], rules_json: &str| {
        prepare(&source(kind, settings, rules(rules_json)))
            .unwrap_err()
            .to_string()
    };
    assert!(error("github", &[("secret", " ")], "{}").contains("empty"));
    assert!(error("github", &[], "{}").contains("secret"));
    assert!(error("nobody", &[], "{}").contains("nobody"));
    assert!(error("none", &[], r#"{"dedupe":"a +"}"#).starts_with("`dedupe`: "));
    assert!(error("none", &[], r#"{"order":{"by":"a","version":"("}}"#).starts_with("`order.version`: "));
    assert!(error("cron", &[], "{}").contains("takes no requests"));
}
