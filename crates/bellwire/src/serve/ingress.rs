//! Connections in: a loop that accepts them, HTTP/1.1 and HTTP/2 on them, and an end that lets answers out.
//!
//! Every bound is here: connections at once, the time for a request's head, the time for a whole request. What a request means
//! is the router's business. TLS is not spoken: a proxy in front does that.

use std::{
    io,
    net::SocketAddr,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bellwire_api::Door;
use bellwire_intake::Peer;
use hyper::{Request, StatusCode, body::Incoming, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// For the head of a request, and for a connection to be of use again after an answer.
const HEAD: Duration = Duration::from_secs(75);
/// For a whole request, its body included, until the answer begins.
const REQUEST: Duration = Duration::from_secs(120);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Who was told 503 and asks again at once, on the same connection, waits first: so long for every thousand connections that
/// are open, and never as long as `Retry-After` says. Without it, refusing those who do not respect that header takes the time
/// that what was accepted needs.
const WAIT_PER_THOUSAND: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_millis(900);
/// The wait after the system had no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Listens; restarts may take the address over at once.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener and what is behind it.
pub(super) struct Ingress {
    listener: TcpListener,
    router: Router,
    /// Asked before the router.
    door: Option<Door>,
    places: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    http: auto::Builder<TokioExecutor>,
}

/// A connection's place: given back, and counted, when it ends in whatever way.
struct Place {
    open: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a connection was last told that the server is overloaded.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Option<Instant>>>);

impl Refused {
    /// Waits, if it was told a moment ago. `open` is how many connections there are.
    async fn wait(&self, open: usize) {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(told) = told {
            tokio::time::sleep_until(told + wait_when_refused(open)).await;
        }
    }

    fn note(&self, answer: StatusCode) {
        if answer == StatusCode::SERVICE_UNAVAILABLE {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

fn wait_when_refused(open: usize) -> Duration {
    (WAIT_PER_THOUSAND * u32::try_from(open).unwrap_or(u32::MAX).min(1_000_000) / 1_000).min(WAIT_MAX)
}

impl Ingress {
    /// At most `most` connections at once; `open` counts them.
    pub fn new(listener: TcpListener, router: Router, door: Option<Door>, most: usize, open: Arc<AtomicUsize>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(15));
        Self {
            listener,
            router,
            door,
            places: Arc::new(Semaphore::new(most)),
            open,
            http,
        }
    }

    /// Accepts until stopped, then lets the requests under way end. Dropping the future cuts them off.
    pub async fn accept(&self, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        while let Some(Some((stream, peer, place))) = stop.run_until_cancelled(self.next(&mut connections)).await {
            let connection = self.connection(stream, peer, place, &graceful);
            connections.spawn(connection);
        }
        graceful.shutdown().await;
    }

    /// The next connection, once there is a place for it; nothing when there will never be one.
    async fn next(&self, connections: &mut JoinSet<()>) -> Option<(TcpStream, Peer, Place)> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok((stream, address)) => {
                    self.open.fetch_add(1, Ordering::Relaxed);
                    return Some((
                        stream,
                        Peer(address),
                        Place {
                            open: Arc::clone(&self.open),
                            _permit: permit,
                        },
                    ));
                }
                // It ended before it was accepted: nobody's problem.
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted; tried again");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }

    /// Serves one connection to its end.
    fn connection(
        &self,
        stream: TcpStream,
        peer: Peer,
        place: Place,
        graceful: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Without it small answers wait for the client's acknowledgements.
        let _ = stream.set_nodelay(true);
        let router = TowerToHyperService::new(self.router.clone());
        let door = self.door.clone();
        let began = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&began);
        let refused = Refused::default();
        let open = Arc::clone(&self.open);
        let service = service_fn(move |request: Request<Incoming>| {
            begins.store(true, Ordering::Relaxed);
            let (router, door, refused) = (router.clone(), door.clone(), refused.clone());
            let open = open.load(Ordering::Relaxed);
            async move {
                refused.wait(open).await;
                let passed = match door {
                    Some(door) => door.pass(request),
                    None => ControlFlow::Continue(request),
                };
                let mut request = match passed {
                    ControlFlow::Continue(request) => request,
                    ControlFlow::Break(answer) => {
                        refused.note(answer.status());
                        return Ok(answer);
                    }
                };
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(bellwire_api::Peer(peer.0));
                match tokio::time::timeout(REQUEST, router.call(request)).await {
                    Ok(Ok(answer)) => {
                        refused.note(answer.status());
                        Ok(answer)
                    }
                    Ok(Err(never)) => match never {},
                    // The body drips, or the store stands still: whoever waits gets no answer and may ask again.
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
                }
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            // While HTTP/1.1 and HTTP/2 are not told apart, no other limit holds.
            let first = tokio::time::timeout(HEAD, &mut connection).await;
            // How a connection ends is the client's business.
            if first.is_err() && began.load(Ordering::Relaxed) {
                drop(connection.await);
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_again_at_once_waits_longer_the_more_there_are_and_never_as_long_as_it_was_told() {
        assert_eq!(wait_when_refused(0), Duration::ZERO);
        assert_eq!(wait_when_refused(500), Duration::from_millis(50));
        assert_eq!(wait_when_refused(5_000), Duration::from_millis(500));
        assert_eq!(wait_when_refused(usize::MAX), WAIT_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_was_told_503_waits_and_only_once() {
        let refused = Refused::default();
        let waits = async |refused: &Refused| {
            let begun = Instant::now();
            refused.wait(1_000).await;
            begun.elapsed()
        };
        refused.note(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(waits(&refused).await, Duration::ZERO);
        refused.note(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(waits(&refused).await, WAIT_PER_THOUSAND);
        assert_eq!(waits(&refused).await, Duration::ZERO);
    }
}
