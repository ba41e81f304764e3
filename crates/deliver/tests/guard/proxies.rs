//! Proxies: they get the judged address and never the name, and a refused address never reaches them.

use std::sync::Arc;
use std::time::Duration;

use bellwire_deliver::guard::{ConnectError, Guard, GuardConfig, ProxyConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::dns::{A, DnsServer};
use crate::support::{Street, Trap, config, echo, round_trip, target};
use crate::tls::Authority;

/// The CONNECT request of one client, which is answered with `answer`; after it the proxy echoes.
fn http_proxy(listener: TcpListener, answer: &'static [u8]) -> JoinHandle<String> {
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let heard = read_head(&mut tcp).await;
        tcp.write_all(answer).await.unwrap();
        echo(tcp).await;
        heard
    })
}

async fn read_head(tcp: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert_ne!(tcp.read_buf(&mut heard).await.unwrap(), 0, "closed after {heard:?}");
    }
    String::from_utf8(heard).unwrap()
}

/// Plays a conversation: expects bytes, answers bytes, in turn; after it the proxy echoes.
fn scripted_proxy(listener: TcpListener, script: Vec<(Vec<u8>, Vec<u8>)>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        for (expected, answer) in script {
            let mut heard = vec![0; expected.len()];
            tcp.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, expected);
            tcp.write_all(&answer).await.unwrap();
        }
        echo(tcp).await;
    })
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn through(dns: &DnsServer, proxy: &str) -> GuardConfig {
    GuardConfig {
        proxy: Some(proxy.parse().unwrap()),
        ..config(dns)
    }
}

/// What a call to `http://hook.example:8080` through a CONNECT proxy with this answer comes to.
async fn call(answer: &'static [u8]) -> Result<(), ConnectError> {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    http_proxy(listener, answer);
    let guard = Guard::new(through(&dns, &format!("http://127.0.0.1:{port}"))).unwrap();
    guard.connect(&target("http://hook.example:8080/")).await.map(drop)
}

fn socks_request(port: u16) -> Vec<u8> {
    [&[5, 1, 0, 1, 127, 0, 0, 2][..], &port.to_be_bytes()].concat()
}

/// What a call to `http://hook.example:8080` through a SOCKS5 proxy with this reply code comes to.
async fn call_socks(reply: u8) -> Result<(), ConnectError> {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    let refusal = vec![5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
    scripted_proxy(
        listener,
        vec![(vec![5, 1, 0], vec![5, 0]), (socks_request(8080), refusal)],
    );
    let guard = Guard::new(through(&dns, &format!("socks5://127.0.0.1:{port}"))).unwrap();
    guard.connect(&target("http://hook.example:8080/")).await.map(drop)
}

#[tokio::test]
async fn connect_names_the_judged_address_and_never_the_host() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    let heard = http_proxy(listener, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n");
    let guard = Guard::new(through(&dns, &format!("http://127.0.0.1:{port}"))).unwrap();
    let mut connected = guard.connect(&target("http://hook.example:8080/")).await.unwrap();
    assert!(connected.proxied && !connected.http2);
    assert_eq!(connected.peer.to_string(), "127.0.0.2:8080");
    round_trip(&mut connected.io).await;
    drop(connected);
    let heard = heard.await.unwrap();
    assert_eq!(heard, "CONNECT 127.0.0.2:8080 HTTP/1.1\r\nHost: 127.0.0.2:8080\r\n\r\n");
    assert_eq!(dns.asked("hook.example", A), 1);
}

#[tokio::test]
async fn connect_sends_credentials_when_there_are_some() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    let heard = http_proxy(listener, b"HTTP/1.0 200\r\n\r\n");
    let guard = Guard::new(through(&dns, &format!("http://user:p%20ss@127.0.0.1:{port}"))).unwrap();
    drop(guard.connect(&target("http://hook.example:8080/")).await.unwrap());
    // base64 of `user:p ss`
    assert!(
        heard
            .await
            .unwrap()
            .contains("\r\nProxy-Authorization: Basic dXNlcjpwIHNz\r\n")
    );
}

#[tokio::test]
async fn tls_through_a_proxy_is_with_the_receiver() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(&["hook.example"], |_| {})));
    let proxy = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        assert!(
            read_head(&mut tcp)
                .await
                .starts_with("CONNECT 127.0.0.2:443 HTTP/1.1\r\n")
        );
        tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let io = acceptor.accept(tcp).await.unwrap();
        let name = io.get_ref().1.server_name().map(str::to_owned);
        echo(io).await;
        name
    });
    let extra_roots = vec![authority.pem];
    let guard = Guard::new(GuardConfig {
        extra_roots,
        ..through(&dns, &format!("http://127.0.0.1:{port}"))
    })
    .unwrap();
    let mut connected = guard.connect(&target("https://hook.example/")).await.unwrap();
    assert!(connected.http2 && connected.proxied);
    round_trip(&mut connected.io).await;
    drop(connected);
    assert_eq!(proxy.await.unwrap().as_deref(), Some("hook.example"));
}

#[tokio::test]
async fn a_refused_address_never_reaches_the_proxy() {
    for scheme in ["http", "socks5"] {
        let (dns, trap) = (
            DnsServer::always(&["127.0.0.2", "127.0.0.1"]).await,
            Trap::on("127.0.0.1:0").await,
        );
        let guard = Guard::new(through(&dns, &format!("{scheme}://{}", trap.address()))).unwrap();
        for text in [
            "http://hook.example/",
            "https://hook.example/",
            "http://127.0.0.1/",
            "https://[::1]/",
        ] {
            let error = guard.connect(&target(text)).await.unwrap_err();
            assert_eq!(error.reason(), "address_refused", "{text}");
        }
        trap.assert_untouched().await;
    }
}

#[tokio::test]
async fn connect_answers_other_than_success_have_names() {
    for (answer, reason) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"[..],
            "proxy_auth_required",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy_failed"),
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno",
            "proxy_failed",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "proxy_failed"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n\r\n",
            "proxy_failed",
        ),
        (b"SSH-2.0-x\r\n\r\n", "proxy_failed"),
        (b"HTTP/1.1 200 OK\r\n\r\nsmuggled", "proxy_failed"),
    ] {
        let error = call(answer).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().starts_with("proxy 127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_closes_without_an_answer_fails() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    tokio::spawn(async move { read_head(&mut listener.accept().await.unwrap().0).await });
    let guard = Guard::new(through(&dns, &format!("http://127.0.0.1:{port}"))).unwrap();
    assert_eq!(
        guard
            .connect(&target("http://hook.example/"))
            .await
            .unwrap_err()
            .reason(),
        "proxy_failed"
    );
}

#[tokio::test]
async fn an_endless_answer_of_a_proxy_is_cut_off() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    let proxy = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        read_head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while tcp.write_all(&[b'x'; 1024]).await.is_ok() {}
    });
    let guard = Guard::new(through(&dns, &format!("http://127.0.0.1:{port}"))).unwrap();
    let error = guard.connect(&target("http://hook.example/")).await.unwrap_err();
    assert!(error.to_string().contains("longer than 8192 bytes"), "{error}");
    proxy.await.unwrap();
}

#[tokio::test]
async fn a_silent_proxy_fails_within_the_connect_timeout() {
    for scheme in ["http", "socks5"] {
        let (dns, trap) = (DnsServer::always(&["127.0.0.2"]).await, Trap::on("127.0.0.1:0").await);
        let connect_timeout = Duration::from_millis(50);
        let config = GuardConfig {
            connect_timeout,
            ..through(&dns, &format!("{scheme}://{}", trap.address()))
        };
        let error = Guard::new(config)
            .unwrap()
            .connect(&target("http://hook.example/"))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "proxy_failed");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_fails_by_its_own_name() {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    let gone = Trap::on("127.0.0.1:0").await.address();
    let guard = Guard::new(through(&dns, &format!("http://{gone}"))).unwrap();
    let error = guard.connect(&target("http://hook.example/")).await.unwrap_err();
    assert_eq!(error.reason(), "proxy_failed");
    assert!(
        error.to_string().starts_with(&format!("proxy {gone} failed (")),
        "{error}"
    );
}

#[tokio::test]
async fn socks5_gets_the_judged_address() {
    let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
    // The bound address of the reply may be of any kind, a name here.
    let done = [&[5, 0, 0, 3, 5][..], b"bound", &[0, 80]].concat();
    let proxy = scripted_proxy(listener, vec![(vec![5, 1, 0], vec![5, 0]), (socks_request(8080), done)]);
    let guard = Guard::new(through(&dns, &format!("socks5://127.0.0.1:{port}"))).unwrap();
    let mut connected = guard.connect(&target("http://hook.example:8080/")).await.unwrap();
    assert!(connected.proxied);
    assert_eq!(connected.peer.to_string(), "127.0.0.2:8080");
    round_trip(&mut connected.io).await;
    drop(connected);
    proxy.await.unwrap();
}

#[tokio::test]
async fn socks5_sends_credentials_and_ipv6_addresses() {
    let (dns, (listener, port)) = (DnsServer::always(&[]).await, listener().await);
    let login = [&[1, 4][..], b"user", &[4], b"pass"].concat();
    let ip = "2606:4700::1111".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let request = [&[5, 1, 0, 4][..], &ip, &8080u16.to_be_bytes()].concat();
    let done = [&[5, 0, 0, 4][..], &[0; 18]].concat();
    let script = vec![(vec![5, 1, 2], vec![5, 2]), (login, vec![1, 0]), (request, done)];
    let proxy = scripted_proxy(listener, script);
    let guard = Guard::new(through(&dns, &format!("socks5://user:pass@127.0.0.1:{port}"))).unwrap();
    let mut connected = guard.connect(&target("http://[2606:4700::1111]:8080/")).await.unwrap();
    round_trip(&mut connected.io).await;
    drop(connected);
    proxy.await.unwrap();
}

#[tokio::test]
async fn socks5_wants_credentials_or_refuses_them() {
    let login = [&[1, 1][..], b"u", &[1], b"p"].concat();
    for (credentials, script) in [
        ("", vec![(vec![5, 1, 0], vec![5, 0xff])]),
        ("u:p@", vec![(vec![5, 1, 2], vec![5, 0xff])]),
        ("u:p@", vec![(vec![5, 1, 2], vec![5, 2]), (login, vec![1, 1])]),
    ] {
        let (dns, (listener, port)) = (DnsServer::always(&["127.0.0.2"]).await, listener().await);
        scripted_proxy(listener, script);
        let guard = Guard::new(through(&dns, &format!("socks5://{credentials}127.0.0.1:{port}"))).unwrap();
        let error = guard.connect(&target("http://hook.example/")).await.unwrap_err();
        assert_eq!(error.reason(), "proxy_auth_required", "{error}");
    }
}

#[tokio::test]
async fn socks5_replies_have_names() {
    for (reply, reason) in [
        (1, "proxy_failed"),
        (2, "proxy_failed"),
        (3, "host_unreachable"),
        (4, "host_unreachable"),
        (5, "connection_refused"),
    ] {
        assert_eq!(call_socks(reply).await.unwrap_err().reason(), reason);
    }
    assert!(call_socks(0).await.is_ok());
}

#[tokio::test]
async fn exceptions_are_called_directly() {
    for exception in ["hook.example", ".example", "127.0.0.0/8", "127.0.0.2", "*"] {
        let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
        let trap = Trap::on("127.0.0.1:0").await;
        let no_proxy = vec!["other.test".to_owned(), exception.to_owned()];
        let config = GuardConfig {
            no_proxy,
            ..through(&dns, &format!("http://{}", trap.address()))
        };
        let target = target(&format!("http://hook.example:{}/", street.port));
        let connected = Guard::new(config).unwrap().connect(&target).await.unwrap();
        assert!(!connected.proxied);
        assert_eq!(connected.peer, street.receiver.local_addr().unwrap());
        trap.assert_untouched().await;
    }
}

#[tokio::test]
async fn an_exception_is_judged_like_any_other_address() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.1"]).await);
    let no_proxy = vec!["*".to_owned()];
    let config = GuardConfig {
        no_proxy,
        ..through(&dns, "http://127.0.0.1:9")
    };
    let target = target(&format!("http://hook.example:{}/", street.port));
    assert_eq!(
        Guard::new(config).unwrap().connect(&target).await.unwrap_err().reason(),
        "address_refused"
    );
    street.assert_traps_untouched().await;
}

#[tokio::test]
async fn a_proxy_may_have_a_name_and_any_address() {
    let (listener, port) = listener().await;
    let dns = DnsServer::start(|question| {
        let ip = if question.name == "proxy.example" {
            "127.0.0.1"
        } else {
            "127.0.0.2"
        };
        crate::dns::Answer::Ips(vec![ip.parse().unwrap()])
    })
    .await;
    let heard = http_proxy(listener, b"HTTP/1.1 200 OK\r\n\r\n");
    let guard = Guard::new(through(&dns, &format!("http://proxy.example:{port}"))).unwrap();
    drop(guard.connect(&target("http://hook.example/")).await.unwrap());
    assert!(heard.await.unwrap().starts_with("CONNECT 127.0.0.2:80 "));
}

#[test]
fn nothing_that_is_shown_of_a_guard_holds_the_proxy_password() {
    let proxy: ProxyConfig = "http://canary:canary@127.0.0.1:3128".parse().unwrap();
    let config = GuardConfig {
        proxy: Some(proxy),
        ..Default::default()
    };
    let shown = format!("{config:?} {:?}", Guard::new(config.clone()).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}
