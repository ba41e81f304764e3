//! One HTTP connection, of either version, on bytes that the guard opened.

use bellwire_core::attempt::Failure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use super::answer::{HEADER_BYTES_MAX, TOO_LARGE};
use crate::guard::Connected;

/// Headers an answer may have.
const HEADERS_MAX: usize = 64;

/// A connection that requests can be sent on.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct SendError {
    error: hyper::Error,
    unsent: bool,
    reused: bool,
}

impl SendError {
    /// The connection had been closed before anything of the request went out, or right as it did: not the attempt's fault.
    pub fn was_stale(&self) -> bool {
        self.reused && (self.unsent || self.error.is_incomplete_message() || is_reset(&self.error))
    }

    /// For the record.
    pub fn into_failure(self) -> Failure {
        let error = &self.error;
        let (reason, what) = if error.is_parse_too_large() {
            ("answer_headers_too_large", TOO_LARGE.to_owned())
        } else if error.is_parse() {
            ("answer_malformed", format!("the answer is not HTTP: {error}"))
        } else if error.is_incomplete_message() {
            (
                "connection_closed",
                "the receiver closed the connection without an answer".to_owned(),
            )
        } else if is_reset(error) {
            ("connection_reset", "the receiver reset the connection".to_owned())
        } else {
            ("connection_failed", format!("the request could not be sent: {error}"))
        };
        Failure { reason, detail: what }
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| {
        matches!(
            io.kind(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
        )
    })
}

impl Connection {
    /// Begins HTTP on an opened connection.
    pub async fn open(connected: Connected, tasks: &TaskTracker) -> Result<Self, SendError> {
        let io = TokioIo::new(connected.io);
        let fail = |error| SendError {
            error,
            unsent: true,
            reused: false,
        };
        if connected.http2 {
            let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(HEADER_BYTES_MAX as u32)
                .handshake(io)
                .await
                .map_err(fail)?;
            tasks.spawn(async move {
                let _ = driver.await;
            });
            return Ok(Self::Http2(sender));
        }
        let (sender, driver) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .handshake(io)
            .await
            .map_err(fail)?;
        // How a connection ends is told to whoever has a request on it; nobody else needs to know.
        tasks.spawn(async move {
            let _ = driver.await;
        });
        Ok(Self::Http1(sender))
    }

    /// Whether requests are written in HTTP/2's form.
    pub fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether it can take a request right now.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Another handle on the same connection, where requests can share one.
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendError> {
        let told = |mut error: TrySendError<Request<Full<Bytes>>>| {
            let unsent = error.take_message().is_some();
            SendError {
                error: error.into_error(),
                unsent,
                reused: true,
            }
        };
        match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(|error| SendError {
                    error,
                    unsent: true,
                    reused: true,
                })?;
                sender.try_send_request(request).await.map_err(told)
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(|error| SendError {
                    error,
                    unsent: true,
                    reused: true,
                })?;
                sender.try_send_request(request).await.map_err(told)
            }
        }
    }
}
