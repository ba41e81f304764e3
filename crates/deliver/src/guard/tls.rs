//! TLS: one set of settings for all receivers and one for all other servers, built once.
//!
//! The cryptography is passed in explicitly; no process-wide default is set or read, so that two servers can run in
//! one process. Sessions are resumed, so a reconnect costs no full handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bellwire_core::address::TargetHost;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect::host_text;
use super::{ConnectError, GuardError};

/// TLS sessions remembered for resumption, over all receivers.
const SESSIONS_MAX: usize = 2048;

/// The connectors, one for each way to speak TLS.
pub(super) struct Connectors {
    /// To receivers: ALPN `h2` and `http/1.1`.
    pub http: TlsConnector,
    /// To other servers: without ALPN, which some of them refuse.
    pub other: TlsConnector,
    /// To other servers, whoever they are.
    pub unverified: TlsConnector,
}

impl Connectors {
    /// Public roots and `extra_roots`, TLS 1.2 and 1.3.
    pub fn new(extra_roots: &[Vec<u8>]) -> Result<Self, GuardError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| GuardError::Tls(error.to_string()))?;
        let mut other = builder
            .clone()
            .with_root_certificates(roots(extra_roots)?)
            .with_no_client_auth();
        other.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        let mut http = other.clone();
        http.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let unverified = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let connector = |config| TlsConnector::from(Arc::new(config));
        Ok(Self {
            http: connector(http),
            other: connector(other),
            unverified: connector(unverified),
        })
    }
}

fn roots(extra: &[Vec<u8>]) -> Result<RootCertStore, GuardError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for (index, bytes) in extra.iter().enumerate() {
        let bad = |why: String| GuardError::Root { index, why };
        for certificate in certificates(bytes).map_err(bad)? {
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    Ok(roots)
}

/// Lets every certificate pass; that whoever shows it has its key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificates of a PEM bundle, or the one that the bytes are.
fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if !bytes.windows(10).any(|window| window == b"-----BEGIN") {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        Err("no certificate in it".to_owned())
    } else {
        Ok(found)
    }
}

/// Speaks TLS with the host's own name over `tcp`, which leads to `peer`. Returns the stream and whether HTTP/2 was
/// chosen.
pub(super) async fn handshake(
    connector: &TlsConnector,
    tcp: TcpStream,
    peer: SocketAddr,
    host: &TargetHost,
    after: Duration,
) -> Result<(TlsStream<TcpStream>, bool), ConnectError> {
    let name = host;
    let host = host_text(name);
    let name = match name {
        TargetHost::Ip(ip) => ServerName::from(ip.to_canonical()),
        TargetHost::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| ConnectError::TlsFailed {
            host: host.clone(),
            why: error.to_string(),
        })?,
    };
    let stream = match timeout(after, connector.connect(name, tcp)).await {
        Err(_) => return Err(ConnectError::TlsTimeout { host, after }),
        Ok(Err(error)) => return Err(failure(host, peer, &error)),
        Ok(Ok(stream)) => stream,
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((stream, http2))
}

fn failure(host: String, peer: SocketAddr, error: &io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(why)) => certificate_failure(host, why),
        Some(other) => ConnectError::TlsFailed {
            host,
            why: other.to_string(),
        },
        None => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                ConnectError::ConnectionReset { peer }
            }
            _ => ConnectError::TlsFailed {
                host,
                why: error.to_string(),
            },
        },
    }
}

fn certificate_failure(host: String, error: &CertificateError) -> ConnectError {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ConnectError::TlsCertificateExpired { host }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ConnectError::TlsCertificateNotYetValid { host }
        }
        CertificateError::UnknownIssuer => ConnectError::TlsCertificateUnknownIssuer { host },
        CertificateError::NotValidForName => ConnectError::TlsWrongName {
            host,
            names: Vec::new(),
        },
        CertificateError::NotValidForNameContext { presented, .. } => ConnectError::TlsWrongName {
            host,
            names: presented.clone(),
        },
        other => ConnectError::TlsCertificateInvalid {
            host,
            why: other.to_string(),
        },
    }
}
