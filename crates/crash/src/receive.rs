//! The receiver: one port, an endpoint per path. It compares every byte, verifies every signature, answers as planned and
//! enters all of it into the account.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bellwire_core::secret::VerifyingKey;
use bellwire_core::sign::{Received, SignedHeaders, TOLERANCE, verify};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::account::Arrival;
use crate::payload::Messages;
use crate::violation::Kind;
use crate::world::World;

/// A running receiver; dropping it closes the port.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    secrets: Vec<String>,
    _task: JoinSet<()>,
}

struct Shared {
    world: Arc<World>,
    keys: Vec<[VerifyingKey; 1]>,
    /// Tries refused so far of what has not been accepted, by endpoint and message.
    refused: Mutex<HashMap<(usize, u64), u8>>,
    open: AtomicUsize,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub(crate) async fn bind(world: &Arc<World>) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(4_096)?;
        let address = listener.local_addr()?;
        let secrets: Vec<String> = (0..world.plan.len()).map(secret).collect();
        let keys = secrets
            .iter()
            .map(|secret| VerifyingKey::parse(secret).map(|key| [key]));
        let shared = Arc::new(Shared {
            world: Arc::clone(world),
            keys: keys.collect::<Result<_, _>>().context("the receiver's secrets")?,
            refused: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            secrets,
            _task: task,
        })
    }

    /// The URLs of the endpoints.
    pub(crate) fn urls(&self) -> Vec<String> {
        (0..self.secrets.len())
            .map(|number| format!("http://{}/{number}", self.address))
            .collect()
    }

    /// Their secrets.
    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Waits until a killed server's connections have been read to their end, so that what comes later is the next one's.
    pub(crate) async fn quiet(&self) {
        let closed = async {
            // What is in the backlog is accepted first.
            tokio::time::sleep(Duration::from_millis(2)).await;
            while self.shared.open.load(Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }
}

/// The secret of an endpoint: 24 bytes in base64.
fn secret(number: usize) -> String {
    format!("whsec_{:A>32}", format!("crash{number}"))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let run = shared.world.account().run();
                shared.open.fetch_add(1, Relaxed);
                connections.spawn(serve(stream, run, Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, run: u32, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, run, &shared));
    // The other side is killed again and again: a broken connection is no failure of the receiver.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    shared.open.fetch_sub(1, Relaxed);
}

async fn answer(request: Request<Incoming>, run: u32, shared: &Shared) -> anyhow::Result<Response<Empty<Bytes>>> {
    let (head, body) = request.into_parts();
    let endpoint = head
        .uri
        .path()
        .trim_start_matches('/')
        .parse::<usize>()
        .unwrap_or(usize::MAX);
    let body = body.collect().await?.to_bytes();
    let accepted = shared.receive(endpoint, &head.headers, &body, run).await;
    let mut response = Response::new(Empty::new());
    if !accepted {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

impl Shared {
    /// Judges one request; whether it is to be answered with 200.
    async fn receive(&self, endpoint: usize, headers: &HeaderMap, body: &[u8], run: u32) -> bool {
        let world = &self.world;
        let Some(seq) = Messages::seq_of(body) else {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            world
                .account()
                .violation(Kind::Unknown, format!("endpoint {endpoint} was sent {text}"));
            return true;
        };
        let (changed, unsigned) = (
            world.messages.payload(seq) != body,
            self.unsigned(endpoint, headers, body),
        );
        let delay = world.plan.get(endpoint).map(|endpoint| endpoint.delay(seq));
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            tokio::time::sleep(delay).await;
        }
        let accepted = !self.refuse(endpoint, seq);
        world.answering.bump();
        let at_us = world.now_us();
        let id = headers
            .get("webhook-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        let mut account = world.account();
        if changed {
            let what = format!(
                "message {seq} ({id}) at endpoint {endpoint}: {} bytes arrived",
                body.len()
            );
            account.violation(Kind::Changed, what);
        }
        if let Some(why) = unsigned {
            account.violation(
                Kind::Unverified,
                format!("message {seq} ({id}) at endpoint {endpoint}: {why}"),
            );
        }
        account.arrived(Arrival {
            seq,
            endpoint,
            id,
            run,
            at_us,
            accepted,
        });
        accepted
    }

    /// Why the signature does not verify, if it does not.
    fn unsigned(&self, endpoint: usize, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let keys = self.keys.get(endpoint)?;
        let pairs = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let received = Received {
            headers: SignedHeaders::from_pairs(pairs),
            body,
        };
        let why = verify(&received, keys, unix_seconds(), Some(TOLERANCE)).err()?;
        Some(why.to_string())
    }

    /// Whether this try is refused, as planned.
    fn refuse(&self, endpoint: usize, seq: u64) -> bool {
        let Some(plan) = self.world.plan.get(endpoint) else {
            return false;
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let before = refused.get(&(endpoint, seq)).copied().unwrap_or(0);
        if plan.refuses(seq, before) {
            refused.insert((endpoint, seq), before + 1);
            return true;
        }
        // The count stays: what is repeated after a kill is accepted again.
        false
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "timestamps of signatures are judged by the real clock, as a receiver does"
)]
fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use bellwire_core::secret::SigningKey;
    use bellwire_core::sign::signature_header;

    use super::*;
    use crate::client::Conn;
    use crate::plan;

    struct Rig {
        world: Arc<World>,
        receiver: Receiver,
        conn: Conn,
    }

    async fn rig() -> Rig {
        let messages = Messages {
            seed: 1,
            payload_bytes: 200,
        };
        let world = World::new(plan::endpoints(4), messages, Duration::from_secs(1));
        world.account().started();
        let receiver = Receiver::bind(&world).await.unwrap();
        let conn = Conn::open(receiver.address).await.unwrap();
        Rig { world, receiver, conn }
    }

    impl Rig {
        /// Delivers `body` to an endpoint as the server would, signed with the secret of endpoint `signer`.
        async fn deliver(&mut self, endpoint: usize, signer: usize, body: Vec<u8>) -> StatusCode {
            let key = SigningKey::parse(&self.receiver.secrets()[signer]).unwrap();
            let (id, now) = ("msg_0", unix_seconds());
            let request = Request::post(format!("/{endpoint}"))
                .header("host", "localhost")
                .header("webhook-id", id)
                .header("webhook-timestamp", now)
                .header("webhook-signature", signature_header(&[&key], id, now, &body))
                .body(http_body_util::Full::new(body.into()))
                .unwrap();
            self.conn.send(request).await.unwrap().status
        }

        fn counts(&self) -> std::collections::BTreeMap<&'static str, u64> {
            self.world.account().violations().counts()
        }
    }

    #[tokio::test]
    async fn what_arrives_as_published_and_signed_is_entered() {
        let mut rig = rig().await;
        let seq = rig.world.account().open();
        let payload = rig.world.messages.payload(seq);
        assert_eq!(rig.deliver(0, 0, payload).await, StatusCode::OK);
        rig.world.account().acknowledged(seq, "msg_0");
        assert_eq!(rig.counts(), [].into());
        assert_eq!(rig.world.account().totals().delivered, 1);
    }

    #[tokio::test]
    async fn one_changed_byte_and_a_wrong_key_are_noticed() {
        let mut rig = rig().await;
        let seq = rig.world.account().open();
        let mut payload = rig.world.messages.payload(seq);
        *payload.last_mut().unwrap() = b' ';
        rig.deliver(0, 0, payload.clone()).await;
        assert_eq!(rig.counts(), [("changed", 1)].into());
        *payload.last_mut().unwrap() = b'}';
        rig.deliver(2, 0, payload).await;
        assert_eq!(rig.counts(), [("changed", 1), ("unverified", 1)].into());
        rig.deliver(2, 2, b"{}".to_vec()).await;
        assert_eq!(rig.counts()["unknown"], 1);
    }

    #[tokio::test]
    async fn the_failing_endpoint_refuses_first_and_then_accepts() {
        let mut rig = rig().await;
        rig.world.account().open();
        let seq = rig.world.account().open();
        let payload = rig.world.messages.payload(seq);
        assert_eq!(
            rig.deliver(1, 1, payload.clone()).await,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(rig.deliver(1, 1, payload).await, StatusCode::OK);
        assert_eq!(rig.world.account().totals().refused_tries, 1);
        assert_eq!(rig.counts(), [].into());
    }

    #[tokio::test]
    async fn quiet_waits_until_connections_have_ended() {
        let mut rig = rig().await;
        let seq = rig.world.account().open();
        let payload = rig.world.messages.payload(seq);
        rig.deliver(0, 0, payload).await;
        let Rig { receiver, conn, .. } = rig;
        drop(conn);
        receiver.quiet().await;
        assert_eq!(receiver.shared.open.load(Relaxed), 0);
    }
}
