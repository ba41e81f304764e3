//! The bodies of the receiver's answers: none, or one that never ends.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::held::Hold;

const DRIP_EVERY: Duration = Duration::from_secs(1);

/// The body of an answer.
pub(super) enum Answer {
    Empty,
    Drip(Pin<Box<Drip>>),
}

/// A byte each second, for ever.
pub(super) struct Drip {
    next: Pin<Box<Sleep>>,
    _hold: Hold,
}

impl Answer {
    /// Drips from now on; `hold` ends with it.
    pub(super) fn drip(hold: Hold) -> Self {
        Answer::Drip(Box::pin(Drip {
            next: Box::pin(sleep(DRIP_EVERY)),
            _hold: hold,
        }))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Answer::Drip(drip) = self.get_mut() else {
            return Poll::Ready(None);
        };
        if drip.next.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        drip.next.as_mut().reset(Instant::now() + DRIP_EVERY);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Empty => SizeHint::with_exact(0),
            Answer::Drip(_) => SizeHint::default(),
        }
    }
}
