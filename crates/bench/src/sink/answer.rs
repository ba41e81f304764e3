//! One connection of the receiver, one request at a time: read, enter into the ledger, answer.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::behaviour::Behaviour;
use super::body::Answer;
use super::{Shared, Window, lock};
use crate::mark::Mark;

/// Serves a connection until the other side closes it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let recorder = shared.open_recorder();
    let service = service_fn(|request| answer(request, &shared, &recorder));
    // Whoever is at the other end may hang up at any time: that is no failure of the receiver.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    recorder: &Mutex<Window>,
) -> anyhow::Result<Response<Answer>> {
    let lane = lane_of(request.uri().path());
    let body = read(request.into_body()).await?;
    shared.requests.fetch_add(1, Relaxed);
    let mut response = Response::new(Answer::Empty);
    match settle_behaviour(shared, lane).await {
        Reaction::Close => anyhow::bail!("this lane closes connections"),
        Reaction::Drip => *response.body_mut() = Answer::drip(shared.holding.begin()),
        Reaction::Status(status) => {
            if status.is_success() {
                arrived(&body, lane, shared, recorder);
            }
            *response.status_mut() = status;
        }
    }
    Ok(response)
}

/// What is done about one request.
enum Reaction {
    Status(StatusCode),
    Close,
    Drip,
}

/// What the lane's behaviour means for a request, once it is one that answers.
async fn settle_behaviour(shared: &Shared, lane: Option<usize>) -> Reaction {
    let Some(switch) = lane.and_then(|lane| shared.lanes.get(lane)) else {
        return Reaction::Status(StatusCode::OK);
    };
    loop {
        return match switch.get() {
            Behaviour::Accept => Reaction::Status(StatusCode::OK),
            Behaviour::Status(status) => Reaction::Status(StatusCode::from_u16(status).unwrap_or(StatusCode::OK)),
            Behaviour::Refuse => Reaction::Close,
            Behaviour::Drip => Reaction::Drip,
            Behaviour::Flaky(percent) if shared.dice.throw(percent) => {
                Reaction::Status(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Behaviour::Flaky(_) => Reaction::Status(StatusCode::OK),
            Behaviour::Slow(ms) => {
                let _hold = shared.holding.begin();
                tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
                Reaction::Status(StatusCode::OK)
            }
            Behaviour::Hang => {
                // Made before looking again: a change in between is not missed.
                let changed = shared.changed.notified();
                if switch.get() == Behaviour::Hang {
                    let _hold = shared.holding.begin();
                    changed.await;
                }
                continue;
            }
        };
    }
}

fn arrived(body: &[u8], lane: Option<usize>, shared: &Shared, recorder: &Mutex<Window>) {
    let (Some(mark), Some(lane)) = (Mark::find(body), lane.filter(|lane| *lane < shared.lanes.len())) else {
        shared.unmarked.fetch_add(1, Relaxed);
        return;
    };
    let Some(slot) = shared.ledger.slot_of(mark.seq, lane) else {
        shared.unmarked.fetch_add(1, Relaxed);
        return;
    };
    if let Some(order) = &shared.order {
        order.arrive(slot, mark.seq);
    }
    if shared.ledger.arrive(mark.seq, lane) && mark.seq >= shared.window_from.load(Relaxed) {
        let now_us = shared.clock.now_us();
        let mut recorder = lock(recorder);
        recorder.latency.record(now_us.saturating_sub(mark.t_us));
        recorder.last_us = now_us;
    }
}

/// The whole body; without a copy when it came in one piece.
async fn read(mut body: Incoming) -> anyhow::Result<Bytes> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn lane_of(path: &str) -> Option<usize> {
    path.strip_prefix("/r/")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_is_the_number_in_the_path() {
        assert_eq!(lane_of("/r/0"), Some(0));
        assert_eq!(lane_of("/r/17"), Some(17));
        assert_eq!(lane_of("/r/x"), None);
        assert_eq!(lane_of("/"), None);
    }
}
