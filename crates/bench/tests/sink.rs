//! The receiver by itself, as other tests use it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::time::Duration;

use bellwire_bench::sink::{Behaviour, Routing, Sink};
use bellwire_bench::{Clock, Mark, Template};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn connect(sink: &Sink) -> std::io::Result<TcpStream> {
    TcpStream::connect(sink.address()).await
}

async fn send(stream: &mut TcpStream, lane: usize, seq: u64) {
    let body = Template::payload(200).stamp(Mark { t_us: 1, seq }, &mut BytesMut::new());
    let head = format!(
        "POST /r/{lane} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
}

/// The status of the next answer, or `None` when the connection ended.
async fn status(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = [0u8; 512];
    let length = stream.read(&mut bytes).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    text.split(' ').nth(1).map(str::to_owned)
}

#[tokio::test]
async fn accepted_requests_are_entered_and_failed_ones_are_not() {
    let sink = Sink::bind(Clock::start(), 2).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    let first = sink.ledger().next_seq();
    sink.ledger().acknowledge(first);

    sink.set_lane(1, Behaviour::Status(503));
    send(&mut stream, 0, first).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    send(&mut stream, 1, first).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("503"));

    let account = sink.drain(0..1, Duration::ZERO, Duration::ZERO).await;
    assert_eq!((account.arrived, account.missing), (1, 1));
    assert_eq!((sink.seen().requests, sink.seen().connections), (2, 1));
    assert_eq!(sink.window().latency.count(), 1);
}

#[tokio::test]
async fn requests_that_are_no_messages_are_answered_and_told_apart() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 9, 0).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    assert_eq!((sink.seen().unmarked, sink.ledger().arrived()), (2, 0));
}

#[tokio::test]
async fn refusing_closes_connections_and_keeps_the_port() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));

    sink.set(Behaviour::Refuse).await.unwrap();
    assert_eq!(status(&mut stream).await, None);
    assert!(connect(&sink).await.is_err());

    sink.set(Behaviour::Accept).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 1).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
}

#[tokio::test]
async fn hanging_requests_are_answered_when_the_behaviour_changes() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set(Behaviour::Hang).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    while sink.seen().requests == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sink.ledger().arrived(), 0);
    sink.set(Behaviour::Status(204)).await.unwrap();
    assert_eq!(status(&mut stream).await.as_deref(), Some("204"));
    assert_eq!(sink.ledger().arrived(), 1);
}

#[tokio::test]
async fn a_lane_that_refuses_closes_the_connection_without_an_answer() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set_lane(0, Behaviour::Refuse);
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    assert_eq!(status(&mut stream).await, None);
}

#[tokio::test]
async fn a_window_leaves_out_what_was_published_before_it() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    for seq in 0..4 {
        if seq == 1 {
            sink.begin_window(3);
        }
        send(&mut stream, 0, seq).await;
        assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    }
    assert_eq!(sink.window().latency.count(), 1);
    assert_eq!(sink.ledger().arrived(), 4);
}

#[tokio::test]
async fn a_slow_lane_answers_late_and_the_arrival_counts_then() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set_lane(0, Behaviour::Slow(30));
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    assert_eq!(sink.ledger().arrived(), 1);
    let held = sink.held();
    assert_eq!((held.now, held.peak), (0, 1));
    assert!(held.times.percentiles().unwrap().max >= 30.0);
}

#[tokio::test]
async fn a_slow_lane_notices_that_the_sender_gave_up() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set_lane(0, Behaviour::Slow(600_000));
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    while sink.held().now == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    while sink.held().now > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((sink.ledger().arrived(), sink.held().times.count()), (0, 1));
}

#[tokio::test]
async fn a_dripping_lane_says_200_and_never_ends_and_does_not_count() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set_lane(0, Behaviour::Drip);
    let mut stream = connect(&sink).await.unwrap();
    send(&mut stream, 0, 0).await;
    assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    let mut byte = [0u8; 64];
    let length = stream.read(&mut byte).await.unwrap();
    assert_eq!(&byte[..length], b"1\r\n.\r\n");
    assert_eq!((sink.held().now, sink.ledger().arrived()), (1, 0));
    drop(stream);
    while sink.held().now > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sink.held().times.count(), 1);
}

#[tokio::test]
async fn a_flaky_lane_fails_as_often_as_it_was_told() {
    let sink = Sink::bind(Clock::start(), 1).await.unwrap();
    sink.set_lane(0, Behaviour::Flaky(50));
    let mut stream = connect(&sink).await.unwrap();
    let mut failed = 0;
    for seq in 0..200 {
        send(&mut stream, 0, seq).await;
        failed += u32::from(status(&mut stream).await.as_deref() == Some("500"));
    }
    assert!((60..140).contains(&failed), "{failed}");
    assert_eq!(sink.ledger().arrived(), u64::from(200 - failed));
}

#[tokio::test]
async fn a_message_at_the_wrong_lane_and_one_out_of_order_are_noticed() {
    let routing = Routing::ToOne { slots: 2 };
    let sink = Sink::bind_routed(Clock::start(), 2, routing, true).await.unwrap();
    let mut stream = connect(&sink).await.unwrap();
    for (lane, seq) in [(0, 0), (0, 4), (1, 1), (0, 2), (1, 2)] {
        send(&mut stream, lane, seq).await;
        assert_eq!(status(&mut stream).await.as_deref(), Some("200"));
    }
    assert_eq!((sink.seen().unmarked, sink.inversions()), (1, Some(1)));
    assert_eq!(sink.ledger().arrived(), 4);
}
