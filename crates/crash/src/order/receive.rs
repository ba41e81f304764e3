//! The receiver of an ordered run: reads the place of each delivery from its headers, fails a part of the tries, and enters
//! when each began and how it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::bail;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::course::Course;
use super::fault::Conduct;
use super::ledger::{Arrival, Place, Ticket};
use super::line::End;
use super::plan::ENDPOINTS;
use crate::payload::Messages;
use crate::port::{Answers, Port, endpoint_of};
use crate::secrets::Secrets;
use crate::violation::Kind;

/// Its random stream for the conduct at endpoint 0; those of the other endpoints follow.
const PURPOSE: u64 = 8;

/// A running receiver; dropping it closes the port.
pub(crate) struct Receiver {
    pub(crate) port: Port,
    shared: Arc<Shared>,
}

struct Shared {
    course: Arc<Course>,
    secrets: Secrets,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub(crate) fn bind(course: &Arc<Course>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            course: Arc::clone(course),
            secrets: Secrets::make(ENDPOINTS.len())?,
        });
        Ok(Self {
            port: Port::open(Arc::clone(&shared))?,
            shared,
        })
    }

    /// The secrets of the endpoints.
    pub(crate) fn secrets(&self) -> &[String] {
        self.shared.secrets.texts()
    }
}

impl Answers for Shared {
    type Body = Reply;

    fn run(&self) -> u32 {
        self.course.ledger().runs().latest()
    }

    async fn answer(&self, request: Request<Incoming>, run: u32) -> anyhow::Result<Response<Reply>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let endpoint = endpoint_of(head.uri.path());
        let Some(ticket) = self.begin(endpoint, &head.headers, &body, run) else {
            return Ok(Response::new(Reply::Empty));
        };
        let conduct = self.conduct(endpoint, &ticket, &body);
        let open = Open::new(&self.course, ticket);
        match conduct {
            Conduct::Accept(after) => {
                pause(after).await;
                open.end(End::Accepted);
                Ok(Response::new(Reply::Empty))
            }
            Conduct::Status(status, after) => {
                pause(after).await;
                open.end(End::Refused);
                let mut response = Response::new(Reply::Empty);
                *response.status_mut() = StatusCode::from_u16(status)?;
                Ok(response)
            }
            Conduct::Close(after) => {
                pause(after).await;
                open.end(End::Refused);
                bail!("closed on purpose")
            }
            Conduct::Truncate => {
                open.end(End::Refused);
                Ok(Response::new(Reply::Truncated(false)))
            }
            // Ends when the connection does, which drops this future and `open` with it.
            Conduct::Hang => std::future::pending().await,
        }
    }
}

async fn pause(after: std::time::Duration) {
    if !after.is_zero() {
        tokio::time::sleep(after).await;
    }
}

impl Shared {
    /// Judges one request and enters it.
    fn begin(&self, endpoint: usize, headers: &HeaderMap, body: &[u8], run: u32) -> Option<Ticket> {
        let course = &self.course;
        let Some(seq) = Messages::seq_of(body) else {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            let what = format!("endpoint {endpoint} was sent {text}");
            course.ledger().violation(Kind::Unknown, what);
            return None;
        };
        let changed = course.script.messages.payload(seq) != body;
        let unsigned = self.secrets.unsigned(endpoint, headers, body);
        let place = place_of(headers);
        let id = text_of(headers, "webhook-id").unwrap_or_default();
        let mut ledger = course.ledger();
        let at = || format!("message {seq} ({id}) at endpoint {endpoint}");
        if changed {
            ledger.violation(Kind::Changed, format!("{}: {} bytes arrived", at(), body.len()));
        }
        if let Some(why) = unsigned {
            ledger.violation(Kind::Unverified, format!("{}: {why}", at()));
        }
        let place = place.unwrap_or_else(|why| {
            ledger.violation(Kind::Place, format!("{}: {why}", at()));
            None
        });
        ledger.begin(&Arrival {
            seq,
            endpoint,
            id,
            place,
            run,
            at_us: course.now_us(),
        })
    }

    /// What becomes of this try. What was accepted once is accepted again, as a receiver does that knows its messages by id.
    fn conduct(&self, endpoint: usize, ticket: &Ticket, body: &[u8]) -> Conduct {
        let (seq, course) = (Messages::seq_of(body).unwrap_or(0), &self.course);
        let purpose = PURPOSE + endpoint as u64;
        let mut rng = course.script.messages.rng(seq * 64 + u64::from(ticket.tries), purpose);
        let failures = if ticket.accepted { 0 } else { course.failures };
        Conduct::draw(&mut rng, failures)
    }
}

/// A request that has not ended; when it is dropped before, the server hung up.
struct Open<'a> {
    course: &'a Course,
    ticket: Option<Ticket>,
}

impl<'a> Open<'a> {
    fn new(course: &'a Course, ticket: Ticket) -> Self {
        Self {
            course,
            ticket: Some(ticket),
        }
    }

    /// It ended so.
    fn end(mut self, end: End) {
        self.enter(end);
    }

    fn enter(&mut self, end: End) {
        if let Some(ticket) = self.ticket.take() {
            self.course.answering.bump();
            self.course.ledger().end(ticket, end, self.course.now_us());
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.enter(End::Cut);
    }
}

/// The place that the headers tell; `None` when they tell none.
///
/// # Errors
/// When they contradict themselves.
fn place_of(headers: &HeaderMap) -> Result<Option<Place>, String> {
    let number = |name: &str| match text_of(headers, name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{name} is {text:?}")),
        },
    };
    let key = text_of(headers, "webhook-ordering-key");
    let previous = number("webhook-previous-sequence")?;
    match number("webhook-sequence")? {
        Some(0) => Err("webhook-sequence is 0".to_owned()),
        Some(number) => Ok(Some(Place {
            key: decoded(key.unwrap_or_default())?,
            number,
            previous,
        })),
        None if key.is_some() || previous.is_some() => Err("a key or a previous number without a number".to_owned()),
        None => Ok(None),
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A percent-encoded text (RFC 3986, section 2.1) as it was.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else {
            return Err(format!("webhook-ordering-key is {text:?}"));
        };
        bytes.push(byte);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| format!("webhook-ordering-key {text:?} is no UTF-8"))
}

/// The body of an answer.
pub(crate) enum Reply {
    Empty,
    /// Announces more than it sends; whether that little was sent.
    Truncated(bool),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = anyhow::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, anyhow::Error>>> {
        Poll::Ready(match *self {
            Reply::Empty => None,
            Reply::Truncated(false) => {
                *self = Reply::Truncated(true);
                Some(Ok(Frame::data(Bytes::from_static(b"{\"o"))))
            }
            Reply::Truncated(true) => Some(Err(anyhow::anyhow!("closed on purpose"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Reply::Empty => 0,
            Reply::Truncated(_) => 64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwire_core::secret::SigningKey;
    use bellwire_core::sign::signature_header;
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::client::Conn;
    use crate::order::plan::Script;
    use crate::secrets::unix_seconds;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_place_is_read_from_its_headers() {
        let all = headers(&[
            ("webhook-sequence", "7"),
            ("webhook-previous-sequence", "4"),
            ("webhook-ordering-key", "Kunde%207/%C3%A4%25"),
        ]);
        let place = place_of(&all).unwrap().unwrap();
        assert_eq!(
            (place.key.as_str(), place.number, place.previous),
            ("Kunde 7/ä%", 7, Some(4))
        );
        let bare = place_of(&headers(&[("webhook-sequence", "1")])).unwrap().unwrap();
        assert_eq!((bare.key.as_str(), bare.previous), ("", None));
        assert_eq!(place_of(&headers(&[])), Ok(None));
        for wrong in [
            headers(&[("webhook-sequence", "x")]),
            headers(&[("webhook-sequence", "0")]),
            headers(&[("webhook-ordering-key", "a")]),
            headers(&[("webhook-sequence", "1"), ("webhook-ordering-key", "%4")]),
            headers(&[("webhook-sequence", "1"), ("webhook-ordering-key", "%FF")]),
        ] {
            assert!(place_of(&wrong).is_err(), "{wrong:?}");
        }
    }

    struct Rig {
        course: Arc<Course>,
        receiver: Receiver,
    }

    fn rig(failures: u8) -> Rig {
        let script = Script {
            messages: Messages {
                seed: 1,
                payload_bytes: 200,
            },
            keys: 100,
            publishers: 1,
        };
        let course = Course::new(script, 1, failures, Duration::from_secs(1));
        course.ledger().runs().started();
        let receiver = Receiver::bind(&course).unwrap();
        Rig { course, receiver }
    }

    impl Rig {
        /// Sends a message to endpoint 0 as the server would.
        async fn deliver(&self, seq: u64, number: u32) -> anyhow::Result<StatusCode> {
            let body = self.course.script.messages.payload(seq);
            let key = SigningKey::parse(&self.receiver.secrets()[0]).unwrap();
            let (id, now) = (format!("msg_{seq}"), unix_seconds());
            let mut request = Request::post("/0")
                .header("host", "localhost")
                .header("webhook-id", &id)
                .header("webhook-timestamp", now)
                .header("webhook-signature", signature_header(&[&key], &id, now, &body));
            if let Some(key) = self.course.script.key(seq, 0) {
                let key = crate::order::plan::key_text(key).replace('%', "%25");
                request = request
                    .header("webhook-sequence", number)
                    .header("webhook-previous-sequence", number - 1)
                    .header("webhook-ordering-key", key.replace(' ', "%20").replace('ä', "%C3%A4"));
            }
            let request = request.body(http_body_util::Full::new(body.into())).unwrap();
            let mut conn = Conn::open(self.receiver.port.address()).await?;
            Ok(conn.send(request).await?.status)
        }
    }

    #[tokio::test]
    async fn what_arrives_in_its_place_is_entered() {
        let rig = rig(0);
        let seq = rig.course.ledger().open(0).0;
        assert_eq!(rig.deliver(seq, 1).await.unwrap(), StatusCode::OK);
        let ledger = rig.course.ledger();
        assert!(ledger.violations().is_empty(), "{}", ledger.violations());
        let totals = ledger.totals();
        assert_eq!((totals.tries, totals.ordered + totals.unordered), (1, 1));
    }

    #[tokio::test]
    async fn failures_are_failures_for_the_server_and_counted_as_such() {
        let rig = rig(100);
        let mut broken = 0;
        for _ in 0..24 {
            let seq = rig.course.ledger().open(0).0;
            // A hang would take as long as the client waits.
            let sent = tokio::time::timeout(Duration::from_secs(1), rig.deliver(seq, 1)).await;
            match sent {
                Ok(Ok(status)) => assert!(!status.is_success(), "{status}"),
                Ok(Err(_)) | Err(_) => broken += 1,
            }
        }
        rig.receiver.port.quiet().await;
        let totals = rig.course.ledger().totals();
        assert_eq!((totals.ordered + totals.unordered, totals.tries), (0, 24));
        assert_eq!(totals.refused + totals.cut, 24);
        assert!(broken > 0);
    }
}
