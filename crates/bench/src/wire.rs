//! One HTTP/1.1 connection to a server, driven by the task that uses it.
//!
//! hyper's client wants its connection polled beside the request. Polling it in the same task, instead of spawning one for it, saves a
//! wake-up across tasks for each request: the load generator must not eat the cores that it measures.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// How much of an answer that is not a success is kept, to say what went wrong.
const EXCERPT_BYTES: usize = 512;

/// An open connection. After an error it is of no more use.
pub(crate) struct Conn {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    driver_ended: bool,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `Retry-After` in seconds, where the server gave one.
    pub(crate) retry_after: Option<Duration>,
    /// Whether there was one at all: it may be a date.
    pub(crate) retry_after_given: bool,
    /// An excerpt when the answer is no success, otherwise empty (it was read and dropped).
    pub(crate) body: Bytes,
}

impl Conn {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver,
            driver_ended: false,
        })
    }

    /// Sends one request and reads its answer to the end, so that the connection is free again.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let Self {
            sender,
            driver,
            driver_ended,
        } = self;
        let mut exchange = pin!(exchange(sender, request));
        poll_fn(|context| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if !*driver_ended && pin!(&mut *driver).poll(context).is_ready() {
                *driver_ended = true;
            }
            // The driver may just have read the answer.
            exchange.as_mut().poll(context)
        })
        .await
    }
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let limit = if status.is_success() { 0 } else { EXCERPT_BYTES };
    let retry_after = match status.is_success() {
        true => None,
        false => answer.headers().get(header::RETRY_AFTER),
    };
    let retry_after_given = retry_after.is_some();
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = drain(answer.into_body(), limit).await?;
    Ok(Answer {
        status,
        retry_after: retry_after.map(Duration::from_secs),
        retry_after_given,
        body,
    })
}

async fn drain(mut body: Incoming, limit: usize) -> anyhow::Result<Bytes> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = limit.saturating_sub(kept.len()).min(data.len());
            kept.extend_from_slice(&data[..room]);
        }
    }
    Ok(kept.freeze())
}
