//! The port that receivers listen on: connections are accepted, told apart by the server's run they belong to, and counted
//! until they have ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// What stands behind a port.
pub(crate) trait Answers: Send + Sync + 'static {
    /// What it answers with.
    type Body: Body<Data = Bytes, Error = anyhow::Error> + Send + 'static;

    /// The server's run that a connection belongs to which is accepted now.
    fn run(&self) -> u32;

    /// Answers a request; an error closes the connection without an answer.
    fn answer(
        &self,
        request: Request<Incoming>,
        run: u32,
    ) -> impl Future<Output = anyhow::Result<Response<Self::Body>>> + Send;
}

/// A port that is listened on; dropping it closes it.
pub(crate) struct Port {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Port {
    /// Listens on a free loopback port.
    pub(crate) fn open(service: Arc<impl Answers>) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(4_096)?;
        let address = listener.local_addr()?;
        let open = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, service, Arc::clone(&open)));
        Ok(Self {
            address,
            open,
            _task: task,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that have not ended.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// The URLs of so many endpoints.
    pub(crate) fn urls(&self, endpoints: usize) -> Vec<String> {
        (0..endpoints)
            .map(|number| format!("http://{}/{number}", self.address()))
            .collect()
    }

    /// Waits until a killed server's connections have been read to their end, so that what comes later is the next one's.
    pub(crate) async fn quiet(&self) {
        let closed = async {
            // What is in the backlog is accepted first.
            tokio::time::sleep(Duration::from_millis(2)).await;
            while self.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }
}

/// The endpoint that a request is for: its path is its number.
pub(crate) fn endpoint_of(path: &str) -> usize {
    path.trim_start_matches('/').parse().unwrap_or(usize::MAX)
}

async fn accept(listener: TcpListener, service: Arc<impl Answers>, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let run = service.run();
                open.fetch_add(1, Relaxed);
                connections.spawn(serve(stream, run, Arc::clone(&service), Arc::clone(&open)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, run: u32, service: Arc<impl Answers>, open: Arc<AtomicUsize>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| service.answer(request, run));
    // The other side is killed again and again: a broken connection is no failure of the receiver.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    open.fetch_sub(1, Relaxed);
}
