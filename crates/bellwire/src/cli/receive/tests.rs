//! The receiver over real TCP: a thread sends signed requests, the receiver answers, shows and counts.

use std::{
    future,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bellwire_core::{
    secret::{SigningKey, VerifyingKey},
    sign::{TOLERANCE, http, signature_header},
};
use serde_json::{Value, json};

use super::{
    plan::Plan,
    server::{Options, Receiver, Summary},
};
use crate::cli::{testing::Captured, when};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn options(plan: Plan, count: u64) -> Options {
    Options {
        plan,
        keys: vec![VerifyingKey::parse(SECRET).unwrap()],
        tolerance: TOLERANCE,
        public_url: None,
        count: Some(count),
    }
}

/// One request on a connection of its own; the answer's status, or 0 when there was none.
fn send(to: SocketAddr, id: &str, signature: &str, timestamp: i64, body: &str) -> u16 {
    send_with(to, id, signature, timestamp, body, &[])
}

/// The same with further headers.
fn send_with(to: SocketAddr, id: &str, signature: &str, timestamp: i64, body: &str, more: &[(&str, &str)]) -> u16 {
    let more: String = more
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut stream = TcpStream::connect(to).unwrap();
    let length = body.len();
    let head = format!(
        "POST /hook HTTP/1.1\r\nhost: {to}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
         webhook-signature: {signature}\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

fn signed(to: SocketAddr, id: &str, body: &str) -> u16 {
    let (key, now) = (SigningKey::parse(SECRET).unwrap(), when::now().secs());
    send(to, id, &signature_header(&[&key], id, now, body.as_bytes()), now, body)
}

/// A message in a line, with HTTP message signatures for `url`.
fn placed(to: SocketAddr, url: &str, sequence: u64, previous: u64) -> u16 {
    let (key, now, id) = (
        SigningKey::parse(SECRET).unwrap(),
        when::now().secs(),
        format!("msg_{sequence}"),
    );
    let (sequence, previous, timestamp) = (sequence.to_string(), previous.to_string(), now.to_string());
    let digest = http::content_digest(b"{}");
    let mut headers = vec![
        ("webhook-sequence", sequence.as_str()),
        ("webhook-previous-sequence", &previous),
        ("webhook-ordering-key", "customer%2042"),
        ("content-digest", &digest),
    ];
    let mut signed = headers.clone();
    signed.extend([("webhook-id", id.as_str()), ("webhook-timestamp", &timestamp)]);
    let request = http::Request {
        method: "POST",
        target_uri: url,
        headers: &signed,
    };
    let signed = http::sign(&request, &[&key], "ep_1", now);
    headers.extend([
        ("signature-input", signed.input.as_str()),
        ("signature", &signed.signature),
    ]);
    send_with(
        to,
        &id,
        &signature_header(&[&key], &id, now, b"{}"),
        now,
        "{}",
        &headers,
    )
}

/// Runs a receiver while `sender` sends: what it printed, its summary, and what the sender says.
fn receive<T: Send + 'static>(
    options: Options,
    json: bool,
    sender: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> (Captured, Summary, T) {
    let captured = Captured::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (summary, sent) = runtime.block_on(async {
        let receiver = Receiver::bind(0, options, captured.out(json)).await.unwrap();
        let address = receiver.address;
        let sending = tokio::task::spawn_blocking(move || sender(address));
        let summary = receiver.run(future::pending()).await.unwrap();
        (summary, sending.await.unwrap())
    });
    (captured, summary, sent)
}

fn lines(captured: &Captured) -> Vec<Value> {
    captured
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_signed_request_is_verified_shown_and_answered() {
    let (captured, summary, status) = receive(options(Plan::default(), 1), false, |to| {
        signed(to, "msg_1", r#"{"type":"invoice.paid","n":1.10}"#)
    });
    assert_eq!(status, 200);
    assert_eq!(
        summary,
        Summary {
            requests: 1,
            ..Summary::default()
        }
    );
    let text = captured.text();
    assert!(
        text.contains("POST /hook\n  type       invoice.paid\n  id         msg_1\n  try        1\n"),
        "{text}"
    );
    assert!(
        text.contains("signature  valid (v1, webhook-* headers") && text.contains("\"n\": 1.10"),
        "{text}"
    );
    assert!(
        captured.notes().contains("listening on http://127.0.0.1:"),
        "{}",
        captured.notes()
    );
}

#[test]
fn the_first_tries_fail_then_it_takes_it_and_marks_the_duplicate() {
    let plan = Plan {
        fail_first: Some(2),
        ..Plan::default()
    };
    let (captured, summary, statuses) =
        receive(options(plan, 4), true, |to| [(); 4].map(|()| signed(to, "msg_1", "{}")));
    assert_eq!(statuses, [500, 500, 200, 200]);
    assert_eq!((summary.failed, summary.duplicates, summary.unverified), (2, 1, 0));
    let lines = lines(&captured);
    assert_eq!(lines[0]["event"], "listening");
    let tries: Vec<_> = lines[1..]
        .iter()
        .map(|line| (line["try"].as_u64(), line["duplicate"].as_bool()))
        .collect();
    let expected = [(1, false), (2, false), (3, false), (4, true)].map(|(number, dup)| (Some(number), Some(dup)));
    assert_eq!(tries, expected);
}

#[test]
fn a_signature_that_does_not_match_is_shown_with_its_reason() {
    let (captured, summary, statuses) = receive(options(Plan::default(), 2), true, |to| {
        let (key, now) = (SigningKey::parse(SECRET).unwrap(), when::now().secs());
        let signature = signature_header(&[&key], "msg_1", now, br#"{"a": 1}"#);
        [
            send(to, "msg_1", &signature, now, r#"{"a":1}"#),
            send(to, "msg_2", "", now, "{}"),
        ]
    });
    assert_eq!(statuses, [401, 401]);
    assert_eq!((summary.unverified, summary.failed), (2, 0));
    let reasons: Vec<_> = lines(&captured)[1..]
        .iter()
        .map(|line| line["signature"]["reason"].to_string())
        .collect();
    assert!(reasons[0].contains("same JSON written differently"), "{reasons:?}");
    assert!(reasons[1].contains("missing header webhook-signature"), "{reasons:?}");
}

#[test]
fn hanging_closes_the_connection_without_an_answer() {
    let plan = Plan {
        hang: Some(Duration::from_millis(5)),
        fail_first: Some(1),
        ..Plan::default()
    };
    let (_, summary, statuses) = receive(options(plan, 2), true, |to| [(); 2].map(|()| signed(to, "msg_1", "{}")));
    assert_eq!((statuses, summary.failed), ([0, 200], 1));
}

#[test]
fn without_a_secret_nothing_is_judged() {
    let options = Options {
        keys: Vec::new(),
        ..options(
            Plan {
                status: Some(410),
                ..Plan::default()
            },
            1,
        )
    };
    let (captured, summary, status) = receive(options, true, |to| send(to, "msg_1", "nonsense", 1, "x"));
    assert_eq!((status, summary.unverified), (410, 0));
    assert_eq!(lines(&captured)[1]["signature"]["verdict"], "unchecked");
}

#[test]
fn gaps_and_disorder_are_noticed_and_http_signatures_are_checked() {
    let (captured, summary, statuses) = receive(options(Plan::default(), 6), true, |to| {
        let url = format!("http://{to}/hook");
        let sent = [(3, 2), (5, 3), (8, 7), (7, 5)].map(|(sequence, previous)| placed(to, &url, sequence, previous));
        (sent, placed(to, "http://elsewhere/hook", 9, 8), placed(to, &url, 9, 8))
    });
    assert_eq!(statuses, ([200; 4], 401, 200));
    assert_eq!((summary.gaps, summary.out_of_order, summary.unverified), (1, 1, 1));
    assert!(summary.to_string().contains("1 gap, 1 out of order"), "{summary}");
    let lines = lines(&captured);
    let standings: Vec<_> = lines[1..]
        .iter()
        .map(|line| line["order"]["standing"].as_str())
        .collect();
    let expected = ["first", "given_up", "gap", "out_of_order"].map(Some);
    assert_eq!(standings[..4], expected);
    assert_eq!(
        standings[4..],
        [None, Some("next")],
        "what a forged request says counts for nothing"
    );
    assert_eq!(lines[1]["httpSignature"]["verdict"], "valid");
    assert_eq!(lines[1]["order"]["key"], "customer 42");
    let reason = lines[5]["httpSignature"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("a covered part (method, URL, digest, headers) changed"),
        "{reason}"
    );
}

#[test]
fn behind_a_tunnel_the_url_that_the_sender_calls_counts() {
    let options = Options {
        public_url: Some("https://tunnel.example/".to_owned()),
        ..options(Plan::default(), 1)
    };
    let (captured, _, status) = receive(options, true, |to| placed(to, "https://tunnel.example/hook", 1, 0));
    assert_eq!(
        (status, lines(&captured)[1]["httpSignature"]["verdict"].as_str()),
        (200, Some("valid"))
    );
}

#[test]
fn a_batch_is_taken_apart_and_its_duplicates_are_found_in_other_batches() {
    let item = |n: u64| {
        format!(
            r#"{{"id":"msg_{n}","type":"a","sequence":{n},"previousSequence":{},"data":1}}"#,
            n - 1
        )
    };
    let (captured, summary, statuses) = receive(options(Plan::default(), 2), true, move |to| {
        let (one, two, three) = (item(1), item(2), item(3));
        [
            signed(to, "batch_1", &format!("[{one},{two}]")),
            signed(to, "batch_2", &format!("[{two},{three}]")),
        ]
    });
    assert_eq!(statuses, [200, 200]);
    assert_eq!((summary.requests, summary.duplicates, summary.gaps), (2, 1, 0));
    let lines = lines(&captured);
    let messages = &lines[2]["messages"];
    assert_eq!(
        (&messages[0]["id"], &messages[0]["duplicate"]),
        (&json!("msg_2"), &json!(true))
    );
    assert_eq!(
        (&messages[1]["duplicate"], &messages[1]["order"]["standing"]),
        (&json!(false), &json!("next"))
    );
}

#[test]
fn a_taken_port_is_usage() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bound = runtime.block_on(Receiver::bind(
        port,
        options(Plan::default(), 1),
        Captured::default().out(true),
    ));
    assert_eq!(bound.err().unwrap().exit_code(), 2);
}
