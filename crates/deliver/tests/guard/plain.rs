//! Plain TCP: failures have names, and HTTP can be spoken over what comes back.

use std::time::Duration;

use bellwire_core::address::check_url;
use bellwire_deliver::guard::{Guard, GuardConfig};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dns::DnsServer;
use crate::support::{Street, config, guard, policy, target};

#[tokio::test]
async fn http_is_spoken_over_a_connection() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let target = target(&format!("http://hook.example:{}/a?b=c#d", street.port));
    let server = tokio::spawn(async move {
        let (mut io, _) = street.receiver.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert_ne!(io.read_buf(&mut heard).await.unwrap(), 0);
        }
        io.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    let connected = guard(&dns).connect(&target).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connected.io))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(target.path_and_query()).header("host", target.authority());
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 204);
    let heard = server.await.unwrap();
    assert!(heard.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: {}\r\n", target.authority())), "{heard}");
}

#[tokio::test]
async fn a_closed_port_is_connection_refused() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let target = target(&format!("http://hook.example:{}/", street.port));
    drop(street.receiver);
    let error = guard(&dns).connect(&target).await.unwrap_err();
    assert_eq!(error.reason(), "connection_refused");
    assert_eq!(
        error.to_string(),
        format!(
            "connection to 127.0.0.2:{} was refused; check that the receiver is running and listens on this port",
            street.port
        )
    );
}

#[tokio::test]
async fn nothing_is_tried_once_the_time_is_over() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let guard = Guard::new(GuardConfig {
        connect_timeout: Duration::ZERO,
        ..config(&dns)
    })
    .unwrap();
    let error = guard
        .connect(&target(&format!("http://hook.example:{}/", street.port)))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "connect_timeout");
    street.receiver_untouched().await.assert_traps_untouched().await;
}

#[tokio::test]
async fn addresses_as_hosts_are_connected_to_when_they_are_allowed() {
    let (street, dns) = (Street::new().await, DnsServer::always(&[]).await);
    for host in ["127.0.0.2", "127.2", "2130706434", "[::ffff:127.0.0.2]"] {
        let target = check_url(&format!("http://{host}:{}/", street.port), &policy()).unwrap();
        let connected = guard(&dns).connect(&target).await.unwrap();
        assert_eq!(connected.peer, street.receiver.local_addr().unwrap(), "{host}");
    }
    street.assert_traps_untouched().await;
}

#[test]
fn what_passes_the_url_policy_is_a_request_target_for_the_http_library() {
    for path in [
        "/",
        "/a",
        "/\"<>`{}|^'",
        "/%00%ff%",
        "/é?ü=ß",
        "/?\"<>'`{}|^[]",
        "/;=@:$,&+!*()~",
        "//x",
        "/a/./../b?#",
    ] {
        let target = check_url(&format!("https://example.com{path}"), &policy()).unwrap();
        let parsed = target.path_and_query().parse::<http::uri::PathAndQuery>();
        assert_eq!(parsed.unwrap().as_str(), target.path_and_query(), "{path}");
        assert!(target.authority().parse::<http::uri::Authority>().is_ok());
    }
}
