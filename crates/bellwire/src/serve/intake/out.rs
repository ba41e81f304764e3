//! The ways out that sources have: certificates of providers, and what monitors look at. All of them lead through the guard.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bellwire_core::address::{self, AddressPolicy, Target};
use bellwire_deliver::guard::{ConnectError, Connected, Guard};
use bellwire_intake::{Check, Fetch, FetchError, Probe, Probed};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// So much of an answer is read.
const READ_MAX: usize = 64 << 10;
/// For all of a fetch.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// The bytes and the number that an answer's headers may have.
const HEADER_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;

/// Leads out.
pub(super) struct Out {
    /// To what strangers may name.
    pub guard: Arc<Guard>,
    /// To what the operator named.
    pub trusted: Arc<Guard>,
    /// Who we say that we are.
    pub user_agent: String,
}

/// What was answered.
struct Answered {
    status: StatusCode,
    body: Bytes,
}

#[async_trait]
impl Fetch for Out {
    async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let policy = AddressPolicy {
            https_only: true,
            ..self.guard.policy().clone()
        };
        let target = address::check_url(url, &policy).map_err(|error| FetchError::Refused(error.to_string()))?;
        let get = async {
            let connected = self.guard.connect(&target).await.map_err(not_connected)?;
            let answered = self.ask(&target, connected, true).await;
            answered.map_err(FetchError::Unreachable)
        };
        let answered = tokio::time::timeout(FETCH_MAX, get)
            .await
            .map_err(|_| FetchError::Unreachable(format!("{target} did not answer within 5 s")))??;
        match answered.status.as_u16() {
            200 => Ok(answered.body),
            status @ (408 | 425 | 429 | 500..=599) => {
                Err(FetchError::Unreachable(format!("{target} answered {status}")))
            }
            status => Err(FetchError::Refused(format!("{target} answered {status}"))),
        }
    }
}

/// A host that is not there, or must not be called, is the sender's invention; all else may pass.
fn not_connected(error: ConnectError) -> FetchError {
    match error {
        ConnectError::DnsNotFound { .. } | ConnectError::AddressRefused(_) => FetchError::Refused(error.to_string()),
        other => FetchError::Unreachable(other.to_string()),
    }
}

#[async_trait]
impl Probe for Out {
    async fn look(&self, check: &Check, timeout: Duration, trusted: bool) -> Probed {
        let guard = if trusted { &self.trusted } else { &self.guard };
        let began = Instant::now();
        let looked = tokio::time::timeout(timeout, self.seen(check, guard)).await;
        let mut probed = match looked {
            Ok(Ok(probed)) => probed,
            Ok(Err(failure)) => failed(failure),
            Err(_) => failed(format!(
                "it did not answer within {}",
                bellwire_core::time::format_span(timeout)
            )),
        };
        probed.latency = began.elapsed();
        probed
    }
}

fn failed(failure: String) -> Probed {
    Probed {
        failure: Some(failure),
        ..Probed::default()
    }
}

impl Out {
    async fn seen(&self, check: &Check, guard: &Guard) -> Result<Probed, String> {
        let (url, asks) = match check {
            Check::Http { url, .. } => (url.clone(), true),
            // Only host and port count.
            Check::Tcp { address } => (format!("http://{address}/"), false),
            Check::Certificate { address } => (format!("https://{address}/"), false),
        };
        let target = address::check_url(&url, guard.policy()).map_err(|error| error.to_string())?;
        let connected = guard.connect(&target).await.map_err(|error| error.to_string())?;
        let mut probed = Probed {
            not_after: connected.io.peer_certificate().and_then(bellwire_listen::not_after),
            ..Probed::default()
        };
        if asks {
            let reads = matches!(check, Check::Http { body: true, .. });
            let answered = self.ask(&target, connected, reads).await?;
            probed.status = Some(answered.status.as_u16());
            probed.body = String::from_utf8_lossy(&answered.body).into_owned();
        }
        Ok(probed)
    }

    /// One GET on one connection; without its body unless that is wanted.
    async fn ask(&self, target: &Target, connected: Connected, reads: bool) -> Result<Answered, String> {
        let http2 = connected.http2;
        let io = TokioIo::new(connected.io);
        let request = self.request(target, http2).map_err(|error| error.to_string())?;
        if http2 {
            let (mut sender, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(HEADER_BYTES_MAX as u32)
                .handshake(io)
                .await
                .map_err(in_words)?;
            return driven(driver, async { read(sender.send_request(request).await, reads).await }).await;
        }
        let (mut sender, driver) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .handshake(io)
            .await
            .map_err(in_words)?;
        driven(driver, async { read(sender.send_request(request).await, reads).await }).await
    }

    fn request(&self, target: &Target, http2: bool) -> Result<Request<Empty<Bytes>>, ::http::Error> {
        let request = Request::builder()
            .method(Method::GET)
            .header(header::USER_AGENT, &self.user_agent)
            .header(header::ACCEPT, "*/*");
        let request = if http2 {
            let (scheme, authority) = (target.scheme().as_str(), target.authority());
            request.uri(format!("{scheme}://{authority}{}", target.path_and_query()))
        } else {
            request
                .uri(target.path_and_query())
                .header(header::HOST, target.authority())
                .header(header::CONNECTION, "close")
        };
        request.body(Empty::new())
    }
}

/// Moves a connection on while somebody asks on it.
async fn driven<T>(
    driver: impl Future<Output = T>,
    asking: impl Future<Output = Result<Answered, String>>,
) -> Result<Answered, String> {
    let (mut driver, mut asking) = (std::pin::pin!(driver), std::pin::pin!(asking));
    tokio::select! {
        biased;
        answered = &mut asking => answered,
        // What it has read is still to be had.
        _ = &mut driver => asking.await,
    }
}

async fn read(answer: hyper::Result<Response<Incoming>>, reads: bool) -> Result<Answered, String> {
    let (head, mut body) = answer.map_err(in_words)?.into_parts();
    let mut read = BytesMut::new();
    while reads && read.len() < READ_MAX {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(in_words)?.into_data() {
            read.extend_from_slice(&data[..data.len().min(READ_MAX - read.len())]);
        }
    }
    Ok(Answered {
        status: head.status,
        body: read.freeze(),
    })
}

fn in_words(error: hyper::Error) -> String {
    format!("the answer is no HTTP, or broke off: {error}")
}

#[cfg(test)]
mod tests {
    use bellwire_deliver::guard::GuardConfig;

    use super::*;

    fn out(policy: AddressPolicy) -> Out {
        let guard = |policy| {
            Arc::new(
                Guard::new(GuardConfig {
                    policy,
                    ..GuardConfig::default()
                })
                .unwrap(),
            )
        };
        Out {
            guard: guard(policy),
            trusted: guard(AddressPolicy::open()),
            user_agent: "Bellwire-Test/1".to_owned(),
        }
    }

    #[tokio::test]
    async fn certificates_are_fetched_over_tls_and_from_public_addresses_only() {
        let out = out(AddressPolicy::default());
        for url in ["http://sns.us-east-1.amazonaws.com/x.pem", "https://127.0.0.1/x.pem"] {
            assert!(matches!(out.get(url).await, Err(FetchError::Refused(_))), "{url}");
        }
    }

    #[test]
    fn a_host_that_is_not_there_is_the_senders_fault_and_one_that_is_away_is_not() {
        let name = "sns.us-nowhere-1.amazonaws.com".to_owned();
        let gone = not_connected(ConnectError::DnsNotFound { name: name.clone() });
        assert!(matches!(gone, FetchError::Refused(_)), "{gone}");
        let why = "SERVFAIL".to_owned();
        let away = not_connected(ConnectError::DnsFailed { name, why });
        assert!(matches!(away, FetchError::Unreachable(_)), "{away}");
    }

    #[tokio::test]
    async fn only_trusted_monitors_look_at_private_addresses() {
        let out = out(AddressPolicy::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = Check::Tcp {
            address: listener.local_addr().unwrap().to_string(),
        };
        let look = async |trusted| out.look(&check, Duration::from_secs(5), trusted).await.failure;
        assert_eq!(look(true).await, None);
        assert!(
            look(false).await.unwrap().contains("private"),
            "{:?}",
            look(false).await
        );
    }
}
