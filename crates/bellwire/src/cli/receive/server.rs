//! The receiver's HTTP server: HTTP/1.1 and HTTP/2 without TLS, on the loopback.

use std::{
    fmt,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::{
    secret::VerifyingKey,
    sign::{
        self, SignedHeaders, explain,
        http::{self as http_signatures, HttpMismatch, HttpVerified},
    },
    time::Timestamp,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::timeout};

use super::{
    item::{Content, Item},
    lines::{Lines, Standing},
    plan::{Answer, Plan},
    seen::{Seen, Tries},
    show::{Carried, Received},
};
use crate::cli::{
    exit::Failure,
    out::{Out, count},
    when,
};

/// Bodies are read up to here; a larger one is answered 413.
const BODY_BYTES_MAX: usize = 20 * 1024 * 1024;
/// How long the last answers may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the receiver was told.
pub struct Options {
    /// How to behave.
    pub plan: Plan,
    /// What to check signatures with; none leaves them unchecked.
    pub keys: Vec<VerifyingKey>,
    /// How old or new a signature may be.
    pub tolerance: Duration,
    /// The URL that the sender calls; none: the one that this receiver sees.
    pub public_url: Option<String>,
    /// Stop after so many requests.
    pub count: Option<u64>,
}

/// A receiver that listens.
pub struct Receiver {
    listener: TcpListener,
    shared: Arc<Shared>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What came, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests.
    pub requests: u64,
    /// Of these, answered other than 2xx or not at all because it was told to.
    pub failed: u64,
    /// Of these, with a signature that did not match; refused unless told otherwise.
    pub unverified: u64,
    /// Messages that were taken before; each of a batch counts.
    pub duplicates: u64,
    /// Messages before which others of their line are missing.
    pub gaps: u64,
    /// Messages that came after later ones of their line.
    pub out_of_order: u64,
    /// Whether it was stopped from outside.
    pub interrupted: bool,
}

struct Shared {
    options: Options,
    state: Mutex<State>,
    enough: Notify,
}

struct State {
    out: Out,
    seen: Seen,
    lines: Lines,
    summary: Summary,
    answered: u64,
    broken: Option<Failure>,
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Hung;

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer, as told")
    }
}

impl std::error::Error for Hung {}

impl Receiver {
    /// Listens on 127.0.0.1.
    ///
    /// # Errors
    /// A usage failure when the port cannot be had.
    pub async fn bind(port: u16, options: Options, out: Out) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
            Failure::Usage(format!(
                "cannot listen on port {port}: {error}; try another --port, or 0 for any"
            ))
        })?;
        let address = listener.local_addr()?;
        let state = State {
            out,
            seen: Seen::default(),
            lines: Lines::default(),
            summary: Summary::default(),
            answered: 0,
            broken: None,
        };
        let shared = Arc::new(Shared {
            options,
            state: Mutex::new(state),
            enough: Notify::new(),
        });
        Ok(Self {
            listener,
            shared,
            address,
        })
    }

    /// Says where it listens, then receives until `stop` resolves or `count` requests were answered, and sums up.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Summary, Failure> {
        self.announce()?;
        let mut connections = JoinSet::new();
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        let interrupted = loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    // A connection that ended before it was accepted concerns nobody.
                    let Ok((stream, _)) = accepted else { continue };
                    let shared = self.shared.clone();
                    let service = service_fn(move |request| handle(shared.clone(), request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    let connection = graceful.watch(connection);
                    // How a connection ends is the sender's business.
                    connections.spawn(async move { drop(connection.await) });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = self.shared.enough.notified() => break false,
                () = &mut stop => break true,
            }
        };
        let _ = timeout(FAREWELL, graceful.shutdown()).await;
        connections.shutdown().await;
        let mut state = self.shared.state();
        if let Some(failure) = state.broken.take() {
            return Err(failure);
        }
        state.summary.interrupted = interrupted;
        let summary = state.summary;
        if !state.out.is_json() {
            state.out.note(&summary.to_string());
        }
        Ok(summary)
    }

    fn announce(&self) -> Result<(), Failure> {
        let url = format!("http://{}/", self.address);
        let out = &mut self.shared.state().out;
        if out.is_json() {
            return out.line(&json!({ "event": "listening", "url": url }).to_string());
        }
        let unchecked = self.shared.options.keys.is_empty();
        let checks = if unchecked {
            "; signatures are not checked without --secret"
        } else {
            ""
        };
        out.note(&format!("listening on {url}{checks}"));
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.requests, "request"))?;
        if self.failed > 0 {
            write!(f, ", {} failed as told", self.failed)?;
        }
        if self.duplicates > 0 {
            write!(f, ", {}", count(self.duplicates, "duplicate"))?;
        }
        if self.gaps > 0 {
            write!(f, ", {}", count(self.gaps, "gap"))?;
        }
        if self.out_of_order > 0 {
            write!(f, ", {} out of order", self.out_of_order)?;
        }
        if self.unverified > 0 {
            write!(f, ", {}", count(self.unverified, "invalid signature"))?;
        }
        Ok(())
    }
}

impl State {
    /// Counts a message of a batch. One without an id is always new.
    fn came(&mut self, target: &str, item: &Item) -> Tries {
        match &item.id {
            Some(id) => self.seen.came(&format!("{target} {id}")),
            None => Tries {
                number: 1,
                duplicate: false,
            },
        }
    }

    /// How a message stands in its line, and remembers it when it is taken. What a forged request says counts for nothing.
    fn stands(&mut self, target: &str, item: &Item, forged: bool, answer: Answer) -> Option<Standing> {
        let place = item.place.as_ref().filter(|_| !forged)?;
        let line = format!("{target} {}", place.key);
        let standing = self.lines.standing(&line, place);
        if answer.is_success() {
            self.lines.taken(&line, place);
        }
        self.summary.gaps += u64::from(standing.is_gap());
        self.summary.out_of_order += u64::from(matches!(standing, Standing::Behind { .. }));
        Some(standing)
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change is complete in itself: what a panicking request left behind is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges, counts and shows one request; says how to answer it.
    fn receive(&self, parts: &http::request::Parts, body: Vec<u8>) -> Answer {
        let headers: Vec<(String, String)> = parts
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let signed = SignedHeaders::from_pairs(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let now = when::now();
        let verdict = (!self.options.keys.is_empty()).then(|| {
            let received = sign::Received {
                headers: signed,
                body: &body,
            };
            explain(
                &received,
                &self.options.keys,
                &[],
                now.secs(),
                Some(self.options.tolerance),
            )
        });
        let id = signed.webhook.id.or(signed.svix.id).map(str::to_owned);
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str())
            .to_owned();
        let http = self.judge_http(parts, &headers, &body, now);
        let content = Content::of(id.as_deref(), &headers, &body);
        let forged = matches!(verdict, Some(Err(_))) || matches!(http, Some(Err(_)));

        let mut state = self.state();
        // The same message may go to two endpoints of this receiver: the target tells them apart.
        let key = format!("{target} {}", id.as_deref().unwrap_or_default());
        let tries = state.seen.came(&key);
        let answer = self.options.plan.answer(tries.number, fastrand::f64(), forged);
        if answer.is_success() && id.is_some() {
            state.seen.taken(&key);
        }
        let batch = matches!(content, Content::Batch(_));
        let messages: Vec<_> = content
            .items()
            .iter()
            .map(|item| {
                let tries = if batch { state.came(&target, item) } else { tries };
                let standing = state.stands(&target, item, forged, answer);
                Carried {
                    item: item.clone(),
                    tries,
                    standing,
                }
            })
            .collect();
        if batch && answer.is_success() {
            for id in content.items().iter().filter_map(|item| item.id.as_deref()) {
                state.seen.taken(&format!("{target} {id}"));
            }
        }
        state.summary.requests += 1;
        state.summary.failed += u64::from(!answer.is_success() && answer != Answer::Refuse);
        state.summary.duplicates += messages.iter().filter(|message| message.tries.duplicate).count() as u64;
        state.summary.unverified += u64::from(forged);
        let number = state.summary.requests;
        let method = parts.method.to_string();
        let received = Received {
            at: now,
            number,
            method,
            target,
            headers,
            id,
            tries,
            verdict,
            http,
            batch,
            messages,
            answer,
            body,
        };
        let text = if state.out.is_json() {
            received.json()
        } else {
            received.text(&state.out)
        };
        if let Err(failure) = state.out.line(&text) {
            state.broken = Some(failure);
            self.enough.notify_one();
        }
        answer
    }

    /// Judges the HTTP message signatures of a request that has some; none without a key to check with.
    fn judge_http(
        &self,
        parts: &http::request::Parts,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Option<Result<HttpVerified, HttpMismatch>> {
        let signed = [http_signatures::SIGNATURE_INPUT, http_signatures::SIGNATURE];
        if self.options.keys.is_empty() || !headers.iter().any(|(name, _)| signed.contains(&name.as_str())) {
            return None;
        }
        let host = headers
            .iter()
            .find(|(name, _)| name == "host")
            .map(|(_, value)| value.as_str());
        let authority = parts
            .uri
            .authority()
            .map(|authority| authority.as_str())
            .or(host)
            .unwrap_or_default();
        let path = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let origin = match &self.options.public_url {
            Some(url) => url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"),
            None => format!("http://{authority}"),
        };
        let pairs: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = http_signatures::Request {
            method: parts.method.as_str(),
            target_uri: &format!("{origin}{path}"),
            headers: &pairs,
        };
        let tolerance = Some(self.options.tolerance);
        Some(http_signatures::explain(
            &request,
            body,
            &self.options.keys,
            &[],
            now.secs(),
            tolerance,
        ))
    }

    /// One more request is through; enough when it was the last one wanted.
    fn through(&self) {
        let mut state = self.state();
        state.answered += 1;
        if self.options.count.is_some_and(|count| state.answered >= count) {
            self.enough.notify_one();
        }
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Hung> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE, "larger than 20 MiB"));
    };
    let planned = shared.receive(&parts, body.to_bytes().to_vec());
    tokio::time::sleep(shared.options.plan.slow).await;
    let answered = match planned {
        Answer::Status(status) => {
            let text = if planned.is_success() {
                ""
            } else {
                "told to fail by bellwire receive"
            };
            Ok(answer(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), text))
        }
        Answer::Refuse => Ok(answer(StatusCode::UNAUTHORIZED, "the signature does not match")),
        Answer::Hang(span) => {
            tokio::time::sleep(span).await;
            Err(Hung)
        }
    };
    shared.through();
    answered
}

fn answer(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
