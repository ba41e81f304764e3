//! TLS: the right certificate for the right name, and names for what is wrong with others.

use std::sync::Arc;
use std::time::Duration;

use bellwire_deliver::guard::{ConnectError, Connected, Guard, GuardConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::dns::DnsServer;
use crate::support::{Street, config, echo, round_trip, target};

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: Vec<u8>,
    pub der: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("test authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        Self {
            pem: root.pem().into_bytes(),
            der: root.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A receiver's settings with a certificate of this authority for `names`, changed by `change`.
    pub fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// What a receiver learns in one handshake: the name it was asked for, and whether a session was resumed.
pub struct Greeting {
    pub name: Option<String>,
    pub resumed: bool,
}

/// Accepts `count` connections one after the other, echoes on each, and tells how they began.
pub fn serve(listener: TcpListener, config: ServerConfig, count: usize) -> JoinHandle<Vec<Greeting>> {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let mut greetings = Vec::new();
        for _ in 0..count {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(io) = acceptor.accept(tcp).await else { continue };
            let session = io.get_ref().1;
            greetings.push(Greeting {
                name: session.server_name().map(str::to_owned),
                resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            });
            echo(io).await;
        }
        greetings
    })
}

/// A guard that trusts `roots` and finds every name at the receiver.
async fn trusting(roots: &[&[u8]]) -> (Guard, DnsServer) {
    let dns = DnsServer::always(&["127.0.0.2"]).await;
    let extra_roots = roots.iter().map(|root| root.to_vec()).collect();
    (
        Guard::new(GuardConfig {
            extra_roots,
            ..config(&dns)
        })
        .unwrap(),
        dns,
    )
}

/// Calls `https://hook.example` at a receiver with `server`'s settings.
async fn call(guard: &Guard, server: ServerConfig) -> Result<Connected, ConnectError> {
    let street = Street::new().await;
    let target = target(&format!("https://hook.example:{}/", street.port));
    serve(street.receiver, server, 1);
    guard.connect(&target).await
}

#[tokio::test]
async fn tls_is_spoken_with_the_original_name_to_the_judged_address() {
    let (authority, street) = (Authority::new(), Street::new().await);
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    let port = street.port;
    let server = serve(street.receiver, authority.server(&["hook.example"], |_| {}), 1);
    let mut connected = guard
        .connect(&target(&format!("https://hook.example:{port}/")))
        .await
        .unwrap();
    assert!(connected.http2 && connected.io.is_tls() && !connected.proxied);
    assert_eq!(connected.peer.to_string(), format!("127.0.0.2:{port}"));
    round_trip(&mut connected.io).await;
    connected.io.shutdown().await.unwrap();
    drop(connected);
    assert_eq!(server.await.unwrap()[0].name.as_deref(), Some("hook.example"));
}

#[tokio::test]
async fn roots_are_read_as_pem_bundles_and_as_der() {
    let (one, other) = (Authority::new(), Authority::new());
    let bundle = [other.pem.clone(), one.pem.clone()].concat();
    for roots in [&bundle, &one.der] {
        let (guard, _dns) = trusting(&[roots]).await;
        assert!(call(&guard, one.server(&["hook.example"], |_| {})).await.is_ok());
    }
}

#[tokio::test]
async fn http_1_1_is_spoken_when_the_receiver_has_nothing_else() {
    let authority = Authority::new();
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    for protocols in [vec![b"http/1.1".to_vec()], Vec::new()] {
        let mut server = authority.server(&["hook.example"], |_| {});
        server.alpn_protocols = protocols;
        assert!(!call(&guard, server).await.unwrap().http2);
    }
}

#[tokio::test]
async fn an_address_as_host_needs_a_certificate_for_the_address() {
    let (authority, street) = (Authority::new(), Street::new().await);
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    let target = target(&format!("https://127.0.0.2:{}/", street.port));
    let server = serve(street.receiver, authority.server(&["127.0.0.2"], |_| {}), 1);
    drop(guard.connect(&target).await.unwrap());
    assert_eq!(server.await.unwrap()[0].name, None);

    let street = Street::new().await;
    let target = crate::support::target(&format!("https://127.0.0.2:{}/", street.port));
    serve(street.receiver, authority.server(&["hook.example"], |_| {}), 1);
    assert_eq!(guard.connect(&target).await.unwrap_err().reason(), "tls_wrong_name");
}

#[tokio::test]
async fn bad_certificates_are_refused_by_name() {
    let (authority, stranger) = (Authority::new(), Authority::named("stranger"));
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    let expired = authority.server(&["hook.example"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = authority.server(&["hook.example"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1)
    });
    let wrong = authority.server(&["other.example", "*.hook.example"], |_| {});
    let unknown = stranger.server(&["hook.example"], |_| {});
    let key = KeyPair::generate().unwrap();
    let alone = CertificateParams::new(vec!["hook.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let self_signed = server_config(alone.der().clone(), &key);
    for (server, reason) in [
        (expired, "tls_certificate_expired"),
        (early, "tls_certificate_not_yet_valid"),
        (wrong, "tls_wrong_name"),
        (unknown, "tls_certificate_unknown_issuer"),
        (self_signed, "tls_certificate_unknown_issuer"),
    ] {
        let error = call(&guard, server).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains("hook.example"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_authority_as_a_certificate_is_not_acceptable() {
    let authority = Authority::new();
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    let as_ca = authority.server(&["hook.example"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    assert_eq!(
        call(&guard, as_ca).await.unwrap_err().reason(),
        "tls_certificate_invalid"
    );
}

#[tokio::test]
async fn the_private_root_is_trusted_only_where_it_is_configured() {
    let authority = Authority::new();
    let (guard, _dns) = trusting(&[]).await;
    let error = call(&guard, authority.server(&["hook.example"], |_| {}))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "tls_certificate_unknown_issuer");
}

#[tokio::test]
async fn a_second_connection_resumes_the_session() {
    let (authority, street) = (Authority::new(), Street::new().await);
    let (guard, _dns) = trusting(&[&authority.pem]).await;
    let target = target(&format!("https://hook.example:{}/", street.port));
    let server = serve(street.receiver, authority.server(&["hook.example"], |_| {}), 2);
    for _ in 0..2 {
        // The session's ticket comes with the first bytes that are read.
        round_trip(&mut guard.connect(&target).await.unwrap().io).await;
    }
    let resumed: Vec<bool> = server.await.unwrap().iter().map(|greeting| greeting.resumed).collect();
    assert_eq!(resumed, [false, true]);
}

#[tokio::test]
async fn a_port_that_speaks_something_else_fails_the_handshake() {
    let street = Street::new().await;
    let (guard, _dns) = trusting(&[]).await;
    let target = target(&format!("https://hook.example:{}/", street.port));
    let server = tokio::spawn(async move {
        let (mut tcp, _) = street.receiver.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        echo(tcp).await;
    });
    assert_eq!(guard.connect(&target).await.unwrap_err().reason(), "tls_failed");
    server.await.unwrap();
}

#[tokio::test]
async fn a_port_that_closes_at_once_fails_the_handshake() {
    let street = Street::new().await;
    let (guard, _dns) = trusting(&[]).await;
    let target = target(&format!("https://hook.example:{}/", street.port));
    tokio::spawn(async move { drop(street.receiver.accept().await.unwrap()) });
    let reason = guard.connect(&target).await.unwrap_err().reason();
    assert!(matches!(reason, "tls_failed" | "connection_reset"), "{reason}");
}

#[tokio::test]
async fn a_port_that_never_answers_times_out() {
    let (street, dns) = (Street::new().await, DnsServer::always(&["127.0.0.2"]).await);
    let tls_timeout = Duration::from_millis(50);
    let guard = Guard::new(GuardConfig {
        tls_timeout,
        ..config(&dns)
    })
    .unwrap();
    let target = target(&format!("https://hook.example:{}/", street.port));
    assert_eq!(guard.connect(&target).await.unwrap_err().reason(), "tls_timeout");
}

#[test]
fn roots_that_are_no_certificates_are_refused() {
    for bad in [
        &b""[..],
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN X",
    ] {
        let config = GuardConfig {
            extra_roots: vec![Authority::new().der, bad.to_vec()],
            ..Default::default()
        };
        let error = Guard::new(config).unwrap_err().to_string();
        assert!(
            error.starts_with("entry 1 of ca_file is not a usable certificate"),
            "{error}"
        );
    }
}
