//! The receiver of the crash loop and the outages: one port, an endpoint per path. It compares every byte, verifies every
//! signature, answers as planned and enters all of it into the account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::MapErr;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

use crate::account::Arrival;
use crate::payload::Messages;
use crate::port::{Answers, Port, endpoint_of};
use crate::secrets::Secrets;
use crate::violation::Kind;
use crate::world::World;

/// A running receiver; dropping it closes the port.
pub(crate) struct Receiver {
    port: Port,
    shared: Arc<Shared>,
}

struct Shared {
    world: Arc<World>,
    secrets: Secrets,
    /// Tries refused so far of what has not been accepted, by endpoint and message.
    refused: Mutex<HashMap<(usize, u64), u8>>,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub(crate) fn bind(world: &Arc<World>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            world: Arc::clone(world),
            secrets: Secrets::make(world.plan.len())?,
            refused: Mutex::default(),
        });
        let port = Port::open(Arc::clone(&shared))?;
        Ok(Self { port, shared })
    }

    /// The URLs of the endpoints.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.port.urls(self.secrets().len())
    }

    /// Their secrets.
    pub(crate) fn secrets(&self) -> &[String] {
        self.shared.secrets.texts()
    }

    /// Waits until a killed server's connections have been read to their end, so that what comes later is the next one's.
    pub(crate) async fn quiet(&self) {
        self.port.quiet().await;
    }
}

impl Answers for Shared {
    type Body = MapErr<Empty<Bytes>, fn(std::convert::Infallible) -> anyhow::Error>;

    fn run(&self) -> u32 {
        self.world.account().runs().latest()
    }

    async fn answer(&self, request: Request<Incoming>, run: u32) -> anyhow::Result<Response<Self::Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let accepted = self
            .receive(endpoint_of(head.uri.path()), &head.headers, &body, run)
            .await;
        let mut response = Response::new(Empty::new().map_err((|never| match never {}) as fn(_) -> _));
        if !accepted {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        Ok(response)
    }
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
            self.secrets.unsigned(endpoint, headers, body),
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

#[cfg(test)]
mod tests {
    use bellwire_core::secret::SigningKey;
    use bellwire_core::sign::signature_header;

    use std::time::Duration;

    use super::*;
    use crate::client::Conn;
    use crate::plan;
    use crate::secrets::unix_seconds;

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
        world.account().runs().started();
        let receiver = Receiver::bind(&world).unwrap();
        let conn = Conn::open(receiver.port.address()).await.unwrap();
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
        assert_eq!(receiver.port.connections(), 0);
    }
}
