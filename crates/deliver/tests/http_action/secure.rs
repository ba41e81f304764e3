//! HTTPS: both versions of HTTP, one handshake for many deliveries.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bellwire_core::{address::AddressPolicy, endpoint::Endpoint, secret::SigningKey, sign};
use bellwire_deliver::{
    DeliverConfig,
    action::Acted,
    actions::http::HttpAction,
    guard::{Guard, GuardConfig},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, Version, body::Incoming, http::request::Parts, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{BODY, LONG, NOW, act_with, endpoint, post};

struct Secure {
    url: String,
    handshakes: Arc<AtomicUsize>,
    version_2: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// Of these, with HTTP message signatures that verify.
    verified: Arc<AtomicUsize>,
    certificate: Vec<u8>,
}

/// Whether the request has HTTP message signatures; they have to verify, for the URL as this receiver sees it.
fn is_signed(parts: &Parts, body: &[u8]) -> bool {
    if !parts.headers.contains_key(sign::http::SIGNATURE_INPUT) {
        return false;
    }
    let host = parts.headers.get("host").map(|host| host.to_str().unwrap());
    let authority = parts.uri.authority().map(|authority| authority.as_str()).or(host);
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let request = sign::http::Request {
        method: parts.method.as_str(),
        target_uri: &format!("https://{}{}", authority.unwrap(), parts.uri.path()),
        headers: &headers,
    };
    let key = SigningKey::generate_symmetric([7; 24]).verifying();
    sign::http::verify(&request, body, &[key], NOW.secs(), Some(sign::TOLERANCE)).unwrap();
    true
}

/// A TLS receiver on 127.0.0.1 that speaks the versions of HTTP named by `alpn`.
async fn secure(alpn: &[&str]) -> Secure {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let [handshakes, version_2, requests, verified] = [0; 4].map(|_| Arc::new(AtomicUsize::new(0)));
    let counters = [&handshakes, &version_2, &requests, &verified].map(Arc::clone);
    let tasks = TaskTracker::new();
    let serving = tasks.clone();
    tasks.spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(tls) = acceptor.accept(tcp).await else { continue };
            let [handshakes, version_2, requests, verified] = counters.clone();
            handshakes.fetch_add(1, Ordering::SeqCst);
            let service = service_fn(move |request: Request<Incoming>| {
                let [version_2, requests, verified] = [&version_2, &requests, &verified].map(Arc::clone);
                async move {
                    version_2.fetch_add(usize::from(request.version() == Version::HTTP_2), Ordering::SeqCst);
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    assert_eq!(body, BODY);
                    verified.fetch_add(usize::from(is_signed(&parts, &body)), Ordering::SeqCst);
                    requests.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from("ok")))
                }
            });
            serving.spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    });
    Secure {
        url,
        handshakes,
        version_2,
        requests,
        verified,
        certificate: certificate.pem().into_bytes(),
    }
}

fn trusting(certificate: &[u8]) -> HttpAction {
    let policy = AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ..AddressPolicy::default()
    };
    let extra_roots = vec![certificate.to_vec()];
    let guard = Guard::new(GuardConfig {
        policy,
        extra_roots,
        ..GuardConfig::default()
    })
    .unwrap();
    HttpAction::new(guard, DeliverConfig::default(), TaskTracker::new())
}

async fn many_deliveries_share_one_handshake(alpn: &[&str], expect_version_2: bool) {
    let secure = secure(alpn).await;
    let action = trusting(&secure.certificate);
    for _ in 0..50 {
        let outcome = post(&action, &secure.url, LONG).await;
        assert_eq!((outcome.status_code, outcome.failure), (200, None));
    }
    assert_eq!(secure.handshakes.load(Ordering::SeqCst), 1);
    assert_eq!(secure.requests.load(Ordering::SeqCst), 50);
    assert_eq!(
        secure.version_2.load(Ordering::SeqCst),
        if expect_version_2 { 50 } else { 0 }
    );
}

#[tokio::test]
async fn http_2_is_spoken_with_those_who_offer_it() {
    many_deliveries_share_one_handshake(&["h2", "http/1.1"], true).await;
}

#[tokio::test]
async fn http_1_is_spoken_with_those_who_do_not() {
    many_deliveries_share_one_handshake(&["http/1.1"], false).await;
    many_deliveries_share_one_handshake(&[], false).await;
}

#[tokio::test]
async fn the_url_that_is_signed_is_the_one_that_is_called_in_both_versions() {
    for alpn in ["h2", "http/1.1"] {
        let secure = secure(&[alpn]).await;
        let endpoint = Endpoint {
            http_signatures: true,
            ..endpoint(&secure.url)
        };
        let acted = act_with(&trusting(&secure.certificate), endpoint, LONG, &|| true).await;
        assert!(matches!(acted, Acted::Attempted(outcome) if outcome.status_code == 200));
        assert_eq!(secure.verified.load(Ordering::SeqCst), 1, "{alpn}");
        assert_eq!(secure.version_2.load(Ordering::SeqCst), usize::from(alpn == "h2"));
    }
}

#[tokio::test]
async fn http_2_requests_run_side_by_side_on_one_connection() {
    let secure = secure(&["h2"]).await;
    let action = trusting(&secure.certificate);
    // The first opens the connection; the others share it at the same time.
    post(&action, &secure.url, LONG).await;
    let outcomes = futures_util::future::join_all((0..20).map(|_| post(&action, &secure.url, LONG))).await;
    assert!(outcomes.iter().all(|outcome| outcome.status_code == 200));
    assert_eq!(secure.handshakes.load(Ordering::SeqCst), 1);
}
