//! Letters handed to mail servers that say what they are told to say, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use bellwire_core::address::AddressPolicy;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::*;
use crate::guard::GuardConfig;

const NOW: Timestamp = Timestamp::from_secs(1_766_000_000);
const LONG: Duration = Duration::from_secs(20);

/// What a server answers to the commands that begin so; anything else gets `250 ok`.
type Script = &'static [(&'static str, &'static str)];

const PLAIN: Script = &[("EHLO", "250-test\r\n250 SIZE 1000000")];
const STARTTLS: Script = &[
    ("EHLO", "250-test\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS"),
    ("STARTTLS", "220 go"),
    ("AUTH PLAIN", "235 in"),
];

/// A mail server on a free port, and what it was told.
struct Server {
    port: u16,
    heard: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Says its script; with a certificate it speaks TLS, from the first byte or after STARTTLS.
    async fn start(script: Script, tls: Option<TlsAcceptor>, implicit: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let tasks = TaskTracker::new();
        tasks.clone().spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (tell, tls) = (tell.clone(), tls.clone());
                tasks.spawn(async move {
                    let wants_tls = match (&tls, implicit) {
                        (Some(tls), true) => {
                            let Ok(stream) = tls.accept(tcp).await else { return };
                            speak(stream, script, &tell, true).await;
                            return;
                        }
                        _ => speak(tcp, script, &tell, true).await,
                    };
                    if let (Some(tcp), Some(tls)) = (wants_tls, tls)
                        && let Ok(stream) = tls.accept(tcp).await
                    {
                        speak(stream, script, &tell, false).await;
                    }
                });
            }
        });
        Self {
            port,
            heard,
            connections,
        }
    }

    /// All that was heard so far, line by line.
    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// One conversation; the bytes come back when the client asks for TLS.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    script: Script,
    tell: &mpsc::UnboundedSender<String>,
    greets: bool,
) -> Option<S> {
    let said = |line: &str| {
        script
            .iter()
            .find(|(begin, _)| line.starts_with(begin))
            .map(|(_, answer)| *answer)
    };
    let mut stream = BufReader::new(stream);
    if greets {
        let greeting = said("greeting").unwrap_or("220 test ready");
        stream.write_all(format!("{greeting}\r\n").as_bytes()).await.ok()?;
    }
    let mut in_letter = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches("\r\n");
        let _ = tell.send(line.to_owned());
        let answer = match (in_letter, line) {
            (true, ".") => {
                in_letter = false;
                said(".").unwrap_or("250 2.0.0 queued as 7")
            }
            (true, _) => continue,
            (false, "DATA") => {
                let answer = said("DATA").unwrap_or("354 go on");
                in_letter = answer.starts_with("354");
                answer
            }
            (false, line) => said(line).unwrap_or("250 ok"),
        };
        match answer {
            "hang" => std::future::pending::<()>().await,
            "close" => return None,
            _ => stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?,
        }
        if line == "STARTTLS" && answer.starts_with("220") {
            return Some(stream.into_inner());
        }
    }
}

/// A certificate for these names, and the authority to trust.
fn certificate(names: &[&str]) -> (TlsAcceptor, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root.der().to_vec())
}

fn guard(roots: Vec<Vec<u8>>) -> Arc<Guard> {
    let policy = AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ..AddressPolicy::default()
    };
    let config = GuardConfig {
        policy,
        extra_roots: roots,
        ..GuardConfig::default()
    };
    Arc::new(Guard::new(config).unwrap())
}

fn action(url: &str, guard: Arc<Guard>) -> EmailAction {
    let settings = json!({
        "smtp": url, "from": "shop@example.com", "to": ["ada@example.com", "bob@example.com"], "subject": "s", "text": "one\n.\ntwo",
    });
    EmailAction::new(Settings::read(&settings).unwrap(), guard)
}

fn letter(action: &EmailAction) -> Letter {
    let event = bellwire_action::Event {
        id: "msg_1",
        event_type: "a",
        channels: &[],
        payload: b"{}",
        content_type: "application/json",
        json: b"{}",
        headers: &[],
        item: None,
        accepted_at: NOW,
        source: "",
        endpoint: "ep_1",
        attempt: 1,
    };
    action.settings.plan(&event).unwrap()
}

async fn send(action: &EmailAction) -> Result<String, Failure> {
    send_within(action, LONG).await
}

async fn send_within(action: &EmailAction, timeout: Duration) -> Result<String, Failure> {
    match action.send(&letter(action), NOW, timeout, &|| Ok(())).await {
        Ok(said) => Ok(said),
        Err(Undone::Failed(failure)) => Err(failure),
        Err(Undone::Withheld | Undone::Unplanned(_)) => panic!("withheld or not planned"),
    }
}

fn reason(result: Result<String, Failure>) -> &'static str {
    result.expect_err("a failure").reason
}

#[tokio::test]
async fn a_letter_is_handed_over_and_the_session_kept_for_the_next() {
    let mut server = Server::start(PLAIN, None, false).await;
    let action = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
    assert_eq!(send(&action).await.unwrap(), "250 2.0.0 queued as 7");
    let heard = server.heard();
    assert_eq!(heard[0], "EHLO [127.0.0.1]");
    assert!(heard[1].starts_with("MAIL FROM:<shop@example.com> SIZE="), "{heard:?}");
    assert_eq!(
        heard[2..5],
        ["RCPT TO:<ada@example.com>", "RCPT TO:<bob@example.com>", "DATA"]
    );
    assert!(
        heard.contains(&"Message-ID: <msg_1.ep_1@example.com>".to_owned()),
        "{heard:?}"
    );
    assert_eq!(heard[heard.len() - 4..], ["one", "..", "two", "."]);
    send(&action).await.unwrap();
    assert_eq!(server.heard()[0], "RSET");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    action.sessions.sweep(Duration::ZERO);
    send(&action).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_server_says_decides_whether_it_is_tried_again() {
    const FULL: Script = &[("RCPT", "452 4.2.2 mailbox full")];
    const UNKNOWN: Script = &[("RCPT TO:<bob", "550 5.1.1 no such user")];
    const SPAM: Script = &[(".", "554 5.7.1 looks like spam")];
    const LATER: Script = &[(".", "421 4.3.2 shutting down")];
    const UNWELCOME: Script = &[("greeting", "554 go away")];
    const GONE: Script = &[("DATA", "close")];
    const NONSENSE: Script = &[("greeting", "HTTP/1.1 400 Bad Request")];
    for (script, expected, says) in [
        (FULL, "smtp_transient", "RCPT TO: 452 4.2.2 mailbox full"),
        (UNKNOWN, "smtp_permanent", "RCPT TO: 550 5.1.1 no such user"),
        (SPAM, "smtp_permanent", "the letter: 554 5.7.1"),
        (LATER, "smtp_transient", "421"),
        (UNWELCOME, "smtp_failed", "the connection: 554 go away"),
        (GONE, "smtp_failed", "closed the connection"),
        (NONSENSE, "smtp_failed", "no SMTP"),
    ] {
        let server = Server::start(script, None, false).await;
        let action = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
        let failure = send(&action).await.unwrap_err();
        assert_eq!(failure.reason, expected, "{}", failure.detail);
        assert!(failure.detail.contains(says), "{}", failure.detail);
        assert_eq!(failure.is_final(), expected == "smtp_permanent");
    }
}

#[tokio::test]
async fn an_answer_of_2xx_is_a_yes_and_one_of_3xx_in_the_wrong_place_is_not_for_ever() {
    const UNSURE: Script = &[("RCPT", "252 2.1.5 cannot verify"), (".", "252 2.0.0 taken")];
    const CONFUSED: Script = &[(".", "354 go on")];
    let server = Server::start(UNSURE, None, false).await;
    let sure = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
    assert_eq!(send(&sure).await.unwrap(), "252 2.0.0 taken");
    let server = Server::start(CONFUSED, None, false).await;
    let confused = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
    assert_eq!(reason(send(&confused).await), "smtp_transient");
}

#[tokio::test]
async fn a_refused_letter_leaves_the_session_for_the_next() {
    const UNKNOWN: Script = &[("RCPT", "550 no such user")];
    let server = Server::start(UNKNOWN, None, false).await;
    let action = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
    for _ in 0..3 {
        assert_eq!(reason(send(&action).await), "smtp_permanent");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn letters_and_passwords_go_encrypted_to_the_server_that_was_meant() {
    let (tls, root) = certificate(&["localhost", "127.0.0.1"]);
    let login = format!(
        "AUTH PLAIN {}",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "\0me\0pass word")
    );
    for implicit in [true, false] {
        let mut server = Server::start(STARTTLS, Some(tls.clone()), implicit).await;
        let url = match implicit {
            true => format!("smtps://me:pass%20word@127.0.0.1:{}", server.port),
            false => format!("smtp://me:pass%20word@127.0.0.1:{}?tls=required", server.port),
        };
        send(&action(&url, guard(vec![root.clone()]))).await.unwrap();
        assert!(server.heard().contains(&login));
        let untrusted = send(&action(&url, guard(Vec::new()))).await;
        assert_eq!(reason(untrusted), "tls_certificate_unknown_issuer");
        let heard = server.heard();
        assert!(heard.iter().all(|line| !line.starts_with("AUTH")), "{heard:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_said_so_and_its_password_nowhere() {
    const REFUSED: Script = &[
        ("EHLO", "250-test\r\n250 AUTH LOGIN"),
        ("AUTH", "535 5.7.8 wrong canary"),
    ];
    const NONE: Script = &[("EHLO", "250 test")];
    const BUSY: Script = &[("EHLO", "250-test\r\n250 AUTH PLAIN"), ("AUTH", "454 4.7.0 later")];
    for (script, expected) in [(REFUSED, "smtp_auth"), (NONE, "smtp_auth"), (BUSY, "smtp_transient")] {
        let server = Server::start(script, None, false).await;
        let action = action(&format!("smtp://me:hush@127.0.0.1:{}", server.port), guard(Vec::new()));
        let failure = send(&action).await.unwrap_err();
        assert_eq!(failure.reason, expected, "{}", failure.detail);
        assert!(!failure.detail.contains("hush"), "{}", failure.detail);
        assert!(!failure.is_final());
    }
}

#[tokio::test]
async fn nothing_is_sent_where_encryption_is_required_and_not_offered() {
    let mut server = Server::start(PLAIN, None, false).await;
    let action = action(
        &format!("smtp://me:hush@127.0.0.1:{}?tls=required", server.port),
        guard(Vec::new()),
    );
    assert_eq!(reason(send(&action).await), "smtp_tls");
    assert_eq!(server.heard(), ["EHLO [127.0.0.1]"]);
}

#[tokio::test]
async fn what_a_server_slips_in_before_the_encryption_is_not_believed() {
    const INJECTED: Script = &[("EHLO", "250-test\r\n250 STARTTLS"), ("STARTTLS", "220 go\r\n250 evil")];
    let (tls, root) = certificate(&["127.0.0.1"]);
    let server = Server::start(INJECTED, Some(tls), false).await;
    let action = action(
        &format!("smtp://127.0.0.1:{}?tls=required", server.port),
        guard(vec![root]),
    );
    let failure = send(&action).await.unwrap_err();
    assert_eq!(failure.reason, "smtp_failed");
    assert!(failure.detail.contains("in the clear"), "{}", failure.detail);
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_timeout_and_no_more() {
    const SILENT: Script = &[("EHLO", "hang")];
    const DEAF: Script = &[(".", "hang")];
    for (script, says) in [(SILENT, "not ready"), (DEAF, "did not take the letter")] {
        let server = Server::start(script, None, false).await;
        let action = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
        let failure = send_within(&action, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(failure.reason, "smtp_timeout");
        assert!(failure.detail.contains(says), "{}", failure.detail);
    }
}

#[tokio::test]
async fn an_answer_without_end_costs_no_memory() {
    const ENDLESS: &str = concat!(
        "220 ",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let Ok((mut tcp, _)) = listener.accept().await else {
            return;
        };
        while tcp.write_all(ENDLESS.as_bytes()).await.is_ok() {}
    });
    let failure = send(&action(&format!("smtp://127.0.0.1:{port}"), guard(Vec::new())))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, "smtp_failed");
    assert!(
        failure.detail.contains("a line that does not end"),
        "{}",
        failure.detail
    );
}

#[tokio::test]
async fn addresses_that_may_not_be_called_are_not() {
    let strict = Arc::new(Guard::new(GuardConfig::default()).unwrap());
    for url in [
        "smtp://127.0.0.1:2525",
        "smtps://10.0.0.1",
        "smtp://localhost:2525",
        "smtp://8.8.8.8:25?tls=none",
    ] {
        assert_eq!(
            reason(send(&action(url, Arc::clone(&strict))).await),
            "address_refused",
            "{url}"
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_was_paused_meanwhile_sends_nothing() {
    let mut server = Server::start(PLAIN, None, false).await;
    let action = action(&format!("smtp://127.0.0.1:{}", server.port), guard(Vec::new()));
    let undone = action
        .send(&letter(&action), NOW, LONG, &|| Err(Undone::Withheld))
        .await;
    assert!(matches!(undone, Err(Undone::Withheld)));
    assert_eq!(server.heard(), ["EHLO [127.0.0.1]"]);
}
