//! Publishers: connections that publish under load, through kills and refusals.
//!
//! A message with a key is published until it is acknowledged, with the same key; some are published twice at once, and some
//! again after the acknowledgement: all of that must make one message. A message without a key is published once; when its
//! answer is lost, nobody can say whether it was accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::{APP, Answer, Conn, Server};
use crate::payload::Key;
use crate::violation::Kind;
use crate::world::World;

/// The wait before a server that is gone is tried again.
const GONE: Duration = Duration::from_millis(15);
/// With more deliveries than this promised and not arrived, publishers wait: the drain must not take for ever.
const BACKLOG_MAX: u64 = 8_000;
/// The longest that a publisher respects `Retry-After`; the run has a time to keep.
const RESPECT_MAX: Duration = Duration::from_secs(1);

/// How a publication was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is durable, under this id.
    Acknowledged(String),
    /// The same key is being worked on.
    InFlight,
    /// Not now; try again after this time.
    Refused(Duration),
    /// Not as it should be.
    Wrong(String),
}

impl Reply {
    /// Reads an answer to a message with this key.
    pub(crate) fn read(answer: &Answer, key: Key) -> Self {
        let json = answer.json();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let retry_after = || {
            let value = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
            value.parse().ok().map(Duration::from_secs)
        };
        let code = text("code").unwrap_or_default();
        let reply = match (answer.status, code.as_str()) {
            (StatusCode::ACCEPTED, _) => text("id").map(Reply::Acknowledged),
            // "If this is a retry, the first one worked."
            (StatusCode::CONFLICT, "event_id_taken") if key.event_id() => text("messageId").map(Reply::Acknowledged),
            (StatusCode::CONFLICT, "idempotency_in_flight") if key.header() => Some(Reply::InFlight),
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) if !code.is_empty() => {
                retry_after().map(Reply::Refused)
            }
            _ => None,
        };
        reply.unwrap_or_else(|| Reply::Wrong(answer.text()))
    }
}

/// Starts publishers that share `rate` messages a second (0: as fast as they can) until it is enough.
pub(crate) fn start(world: &Arc<World>, server: &Server, connections: u32, rate: u32) -> JoinSet<()> {
    let pace = (rate > 0).then(|| Duration::from_secs(1) * connections / rate);
    let mut publishers = JoinSet::new();
    for _ in 0..connections {
        let publisher = Publisher::new(Arc::clone(world), server.clone());
        publishers.spawn(publisher.run(pace));
    }
    publishers
}

/// One publisher: a connection, and a second one for what is published twice at once.
pub(crate) struct Publisher {
    world: Arc<World>,
    server: Server,
    conns: [Option<Conn>; 2],
}

impl Publisher {
    pub(crate) fn new(world: Arc<World>, server: Server) -> Self {
        Self {
            world,
            server,
            conns: [None, None],
        }
    }

    async fn run(mut self, pace: Option<Duration>) {
        let mut ticks = pace.map(tokio::time::interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        while !self.world.is_enough() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            if self.world.account().outstanding() > BACKLOG_MAX {
                tokio::time::sleep(GONE).await;
                continue;
            }
            let seq = self.world.account().open();
            self.publish(seq).await;
        }
    }

    /// Publishes a message, as often as its key allows and needs.
    async fn publish(&mut self, seq: u64) {
        let key = self.world.messages.key(seq);
        if key == Key::None {
            self.once(seq).await;
            return;
        }
        if seq.is_multiple_of(16) {
            self.twice_at_once(seq).await;
        }
        while !self.acknowledged(seq).await {}
        if seq.is_multiple_of(8) {
            self.once(seq).await;
        }
    }

    /// One try and the wait that follows from it; whether the message is acknowledged now.
    async fn acknowledged(&mut self, seq: u64) -> bool {
        match self.once(seq).await {
            Some(Reply::Acknowledged(_)) => return true,
            // It is in the account; trying again would not help.
            Some(Reply::Wrong(_)) => return true,
            Some(Reply::Refused(wait)) => tokio::time::sleep(wait.min(RESPECT_MAX)).await,
            Some(Reply::InFlight) | None => tokio::time::sleep(GONE).await,
        }
        false
    }

    /// One try, entered into the account; `None` when there was no answer.
    pub(crate) async fn once(&mut self, seq: u64) -> Option<Reply> {
        let [conn, _] = &mut self.conns;
        let reply = attempt(&self.world, &self.server, conn, seq).await;
        self.enter(seq, reply)
    }

    /// The same message over two connections at the same time.
    async fn twice_at_once(&mut self, seq: u64) {
        let [one, two] = &mut self.conns;
        let (one, two) = tokio::join!(
            attempt(&self.world, &self.server, one, seq),
            attempt(&self.world, &self.server, two, seq)
        );
        self.enter(seq, one);
        self.enter(seq, two);
    }

    fn enter(&self, seq: u64, reply: Option<Reply>) -> Option<Reply> {
        let mut account = self.world.account();
        match &reply {
            Some(Reply::Acknowledged(id)) => account.acknowledged(seq, id),
            Some(Reply::Refused(_)) => {
                self.world.refusals.fetch_add(1, Relaxed);
                account.refused(seq);
            }
            Some(Reply::Wrong(what)) => {
                let what = format!("message {seq} was answered {what}");
                account.violation(Kind::Answer, what);
            }
            Some(Reply::InFlight) | None => {}
        }
        reply
    }
}

/// Sends the publishing request of `seq`, opening the connection when there is none.
async fn attempt(world: &World, server: &Server, slot: &mut Option<Conn>, seq: u64) -> Option<Reply> {
    let mut conn = match slot.take() {
        Some(conn) => conn,
        None => match Conn::open(server.address).await {
            Ok(conn) => conn,
            Err(_) => {
                // Nothing was sent: the server is between two lives.
                tokio::time::sleep(GONE).await;
                return None;
            }
        },
    };
    let key = world.messages.key(seq);
    let path = format!("/api/v1/app/{APP}/msg");
    let mut request = server.request(Method::POST, &path, world.messages.request(seq)).ok()?;
    if key.header()
        && let Ok(value) = HeaderValue::from_str(&world.messages.key_text(seq))
    {
        request.headers_mut().insert("idempotency-key", value);
    }
    world.unanswered.fetch_add(1, Relaxed);
    world.publishing.bump();
    let answer = conn.send(request).await;
    world.unanswered.fetch_sub(1, Relaxed);
    match answer {
        Ok(answer) => {
            *slot = Some(conn);
            Some(Reply::read(&answer, key))
        }
        Err(_) => {
            world.answers_lost.fetch_add(1, Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, retry_after: Option<&'static str>) -> Answer {
        let mut headers = http::HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_owned().into(),
        }
    }

    fn is_wrong(answer: &Answer, key: Key) -> bool {
        matches!(Reply::read(answer, key), Reply::Wrong(_))
    }

    #[test]
    fn an_acknowledgement_names_the_message() {
        let accepted = answer(202, r#"{"id":"msg_1"}"#, None);
        assert_eq!(
            Reply::read(&accepted, Key::None),
            Reply::Acknowledged("msg_1".to_owned())
        );
        assert!(is_wrong(&answer(202, "{}", None), Key::None));
        assert!(is_wrong(&answer(200, r#"{"id":"msg_1"}"#, None), Key::None));
    }

    #[test]
    fn a_taken_event_id_is_an_acknowledgement_for_those_that_have_one() {
        let taken = answer(409, r#"{"code":"event_id_taken","messageId":"msg_1"}"#, None);
        assert_eq!(
            Reply::read(&taken, Key::EventId),
            Reply::Acknowledged("msg_1".to_owned())
        );
        assert!(is_wrong(&taken, Key::Header));
        assert!(is_wrong(&answer(409, r#"{"code":"event_id_taken"}"#, None), Key::Both));
    }

    #[test]
    fn a_key_in_flight_is_waited_for() {
        let in_flight = answer(409, r#"{"code":"idempotency_in_flight"}"#, None);
        assert_eq!(Reply::read(&in_flight, Key::Both), Reply::InFlight);
        assert!(is_wrong(&in_flight, Key::None));
    }

    #[test]
    fn a_refusal_must_be_json_and_say_when_to_come_again() {
        let body = r#"{"code":"store_unavailable","detail":"the disk is full"}"#;
        let refused = answer(503, body, Some("2"));
        assert_eq!(Reply::read(&refused, Key::None), Reply::Refused(Duration::from_secs(2)));
        assert!(is_wrong(&answer(503, body, None), Key::None));
        assert!(is_wrong(&answer(503, "Service Unavailable", Some("2")), Key::None));
        assert!(is_wrong(&answer(500, body, Some("2")), Key::None));
    }
}
