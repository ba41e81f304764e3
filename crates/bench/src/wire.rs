//! One HTTP/1.1 connection to a server, driven by the task that uses it.
//!
//! hyper's client wants its connection polled beside the request. Polling it in the same task, instead of spawning one for it, saves a
//! wake-up across tasks for each request: the load generator must not eat the cores that it measures.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
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
    /// None once it has ended: it holds the requests that it was given, which fail only when it is dropped.
    driver: Option<Driver>,
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
            driver: Some(driver),
        })
    }

    /// Whether the server has closed it since it was last used.
    pub(crate) async fn closed(&mut self) -> bool {
        let driver = &mut self.driver;
        poll_fn(|context| {
            drive(driver, context);
            Poll::Ready(())
        })
        .await;
        driver.is_none()
    }

    /// Sends one request and reads its answer to the end, so that the connection is free again.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let Self { sender, driver } = self;
        let mut exchange = pin!(exchange(sender, request));
        poll_fn(|context| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            drive(driver, context);
            // The driver may just have read the answer.
            exchange.as_mut().poll(context)
        })
        .await
    }
}

/// Lets the connection do what it can.
fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if driver
        .as_mut()
        .is_some_and(|driver| pin!(driver).poll(context).is_ready())
    {
        *driver = None;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A connection whose server has closed it after one answer.
    async fn after_the_close() -> Conn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 1_024];
            assert!(stream.read(&mut seen).await.unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        };
        let client = async {
            let mut conn = Conn::open(address).await.unwrap();
            assert_eq!(conn.send(request()).await.unwrap().status, StatusCode::ACCEPTED);
            conn
        };
        tokio::join!(server, client).1
    }

    fn request() -> Request<Full<Bytes>> {
        Request::post("/")
            .header("host", "localhost")
            .body(Full::default())
            .unwrap()
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_while_unused_says_so() {
        let mut conn = after_the_close().await;
        while !conn.closed().await {
            tokio::task::yield_now().await;
        }
        assert!(conn.send(request()).await.is_err(), "and a request on it fails");
    }

    #[tokio::test]
    async fn a_request_on_a_closed_connection_fails_and_does_not_wait_for_ever() {
        assert!(after_the_close().await.send(request()).await.is_err());
    }
}
