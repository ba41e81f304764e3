//! The receiver over real TCP: a thread sends signed requests, the receiver answers, shows and counts.

use std::{
    future,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bellwire_core::{
    secret::{SigningKey, VerifyingKey},
    sign::{TOLERANCE, signature_header},
};
use serde_json::Value;

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
        count: Some(count),
    }
}

/// One request on a connection of its own; the answer's status, or 0 when there was none.
fn send(to: SocketAddr, id: &str, signature: &str, timestamp: i64, body: &str) -> u16 {
    let mut stream = TcpStream::connect(to).unwrap();
    let length = body.len();
    let head = format!(
        "POST /hook HTTP/1.1\r\nhost: {to}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
         webhook-signature: {signature}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
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
