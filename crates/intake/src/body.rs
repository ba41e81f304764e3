//! Reading a request's body, within bounds.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use crate::room::{Counted, Full};

/// How long a body may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);
/// What is too large is still read up to so many times the limit, so that the sender gets to see the answer.
const DRAIN_FACTOR: usize = 8;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoBody {
    /// It is larger than allowed.
    TooLarge,
    /// It did not arrive in time, or the connection ended before it did.
    Cut,
    /// There is no room for it.
    Full(Full),
}

/// All of the body, at most `max` bytes.
pub(crate) async fn read(body: Body, max: usize, counted: &mut Counted) -> Result<Bytes, NoBody> {
    if body.size_hint().lower() > max.saturating_mul(DRAIN_FACTOR) as u64 {
        return Err(NoBody::TooLarge);
    }
    tokio::time::timeout(ARRIVAL_MAX, at_leisure(body, max, counted))
        .await
        .unwrap_or(Err(NoBody::Cut))
}

async fn at_leisure(mut body: Body, max: usize, counted: &mut Counted) -> Result<Bytes, NoBody> {
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NoBody::Cut)?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > max {
            (first, joined) = (None, BytesMut::new());
            if seen > max.saturating_mul(DRAIN_FACTOR) {
                break;
            }
            continue;
        }
        counted.bytes(data.len()).map_err(NoBody::Full)?;
        // Most bodies come in one piece, which is then kept as it is.
        if let Some(first) = first.take() {
            joined.reserve(usize::try_from(body.size_hint().lower()).unwrap_or(0).min(max) + first.len() + data.len());
            joined.extend_from_slice(&first);
        }
        if joined.is_empty() {
            first = Some(data);
        } else {
            joined.extend_from_slice(&data);
        }
    }
    if seen > max {
        return Err(NoBody::TooLarge);
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}
