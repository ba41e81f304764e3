//! `bellwire listen`: what comes in at a source of a running server, posted to an address on this machine.
//!
//! The connection goes out from here, so no provider and no firewall has to know this machine. Each request is made as the
//! provider made it: its method, its query, its headers, the bytes of its body. When the connection breaks it is opened again, from
//! the last message on, and when nobody listens on this machine it is waited for: nothing is missed. Enter posts the last one once
//! more. Ctrl-C ends it.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use http::Request;
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;

use super::{
    Session,
    client::{Query, source_path},
    exit::Failure,
    out::Out,
    sse::{Event, Reader},
    when::{self, When},
};

/// Waits before connecting again, to the server or on this machine; the last one repeats.
const WAITS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// An event of the stream is never larger; a line that is, is not one.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long the program on this machine may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Headers of the connection that brought it, not of the request.
const NOT_PASSED_ON: [&str; 8] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
];

/// `listen`.
#[derive(Args)]
pub struct ListenArgs {
    /// Where each request is posted to, such as http://localhost:3000/webhooks
    #[arg(long, value_name = "URL")]
    forward: String,
    /// The source whose requests are wanted: its id or uid
    #[arg(long)]
    source: String,
    /// Begin with what came in since then: a span back from now (2h, 7d) or RFC 3339 [default: now]
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
}

/// What came in, as the stream has it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arrival {
    id: String,
    event_type: String,
    method: String,
    /// Path and query of the URL that was called.
    target: Option<String>,
    headers: Vec<(String, String)>,
    content_type: Option<String>,
    body: Option<String>,
}

/// What the stream begins with.
#[derive(Default, Deserialize)]
struct Listening {
    /// Headers that nobody is given, because they are credentials.
    #[serde(default)]
    withheld: Vec<String>,
}

/// The last one, for whoever wants it once more.
type Last = Arc<Mutex<Option<Arrival>>>;

impl ListenArgs {
    /// Posts what comes in until it is interrupted.
    ///
    /// # Errors
    /// When the first connection fails, or a later one is refused by the server.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let (last, forward, json) = (Last::default(), Forward::to(&self.forward)?, session.out.is_json());
        let (again, agent) = (Arc::clone(&last), forward.clone());
        thread::Builder::new().name("again".into()).spawn(move || {
            let mut out = Out::standard(json);
            for line in io::stdin().lines() {
                let wanted = again.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match (line, wanted) {
                    (Err(_), _) => return,
                    (Ok(_), Some(arrival)) => drop(agent.post(&arrival).tell(&arrival, &mut out)),
                    (Ok(_), None) => out.aside("nothing has come in yet"),
                }
            }
        })?;
        self.run_with(session, &forward, &last, &mut |pause| {
            thread::sleep(pause);
            true
        })
    }

    /// `pause` waits before a reconnect; false ends the command.
    fn run_with(
        &self,
        session: &mut Session,
        forward: &Forward,
        last: &Last,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<(), Failure> {
        let since = self.since.map(|since| since.at(when::now()));
        let (mut reader, mut behind, mut broken, mut is_first) = (Reader::default(), String::new(), 0, true);
        loop {
            let after = (!behind.is_empty()).then_some(behind.as_str());
            let query = Query::default()
                .maybe("after", after)
                .maybe("since", since.filter(|_| after.is_none()));
            let way = source_path(&[&self.source, "listen"]);
            match session.client.stream(&way, &query) {
                Ok(stream) => {
                    let begun = match is_first {
                        true => format!(
                            "what comes in at `{}` is posted to {}; Enter posts the last one again",
                            self.source, self.forward
                        ),
                        false => "connected again".to_owned(),
                    };
                    session.out.aside(&begun);
                    broken = 0;
                    let ended = read(stream, &mut reader, |event| {
                        match event.kind.as_str() {
                            "listening" if is_first => tell_withheld(&event.data, &mut session.out),
                            "message" => {
                                if let Ok(arrival) = serde_json::from_str::<Arrival>(&event.data) {
                                    if !forward.deliver(&arrival, &mut session.out, pause)? {
                                        return Ok(false);
                                    }
                                    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrival);
                                }
                            }
                            _ => {}
                        }
                        is_first = false;
                        behind.clone_from(&event.id);
                        Ok(true)
                    })?;
                    if !ended {
                        return Ok(());
                    }
                    session
                        .out
                        .aside("the connection ended; connecting again, and nothing is missed");
                }
                // Only a server that was there once is waited for.
                Err(Failure::Unreachable { .. }) if !behind.is_empty() => {}
                Err(Failure::Api(error)) if !behind.is_empty() && error.status >= 500 => {}
                Err(failure) => return Err(failure),
            }
            reader.broken();
            if !pause(wait(broken)) {
                return Ok(());
            }
            broken += 1;
        }
    }
}

/// How long to wait after so many failures in a row.
fn wait(failures: usize) -> Duration {
    WAITS.get(failures).or(WAITS.last()).copied().unwrap_or_default()
}

/// Says what the program will not find in the requests.
fn tell_withheld(data: &str, out: &mut Out) {
    let Listening { withheld } = serde_json::from_str(data).unwrap_or_default();
    if !withheld.is_empty() {
        out.aside(&format!(
            "without {}: a credential is kept nowhere, so your program cannot check it here",
            withheld.join(", ")
        ));
    }
}

/// Hands out events until the stream ends or breaks, or `each` wants no more; false then.
fn read(
    stream: impl Read,
    reader: &mut Reader,
    mut each: impl FnMut(&Event) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return Ok(true),
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(event) = reader.line(text.trim_end_matches('\n'))
            && !each(&event)?
        {
            return Ok(false);
        }
    }
}

/// The address on this machine.
#[derive(Clone)]
struct Forward {
    agent: Agent,
    url: String,
}

impl Forward {
    fn to(url: &str) -> Result<Self, Failure> {
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        if !is_http || url.parse::<http::Uri>().is_err() {
            return Err(Failure::usage(format!(
                "`{url}` is no address to post to; write it as http://localhost:3000/path"
            )));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(ANSWER));
        Ok(Self {
            agent: config.build().into(),
            url: url.to_owned(),
        })
    }

    /// Posts one, and waits for whoever is to listen there: a program that is being started again misses nothing. False when
    /// `pause` ends the waiting.
    fn deliver(
        &self,
        arrival: &Arrival,
        out: &mut Out,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<bool, Failure> {
        let mut failures = 0;
        loop {
            let posted = self.post(arrival);
            if !matches!(posted, Posted::NobodyListens) {
                posted.tell(arrival, out)?;
                return Ok(true);
            }
            if failures == 0 {
                let url = &self.url;
                out.aside(&format!(
                    "{}: nobody listens at {url}; it is posted as soon as somebody does",
                    arrival.id
                ));
            }
            if !pause(wait(failures)) {
                return Ok(false);
            }
            failures += 1;
        }
    }

    fn post(&self, arrival: &Arrival) -> Posted {
        let began = Instant::now();
        match self.request(arrival).map(|request| self.agent.run(request)) {
            Ok(Ok(answer)) => Posted::Answered(answer.status().as_u16(), began.elapsed()),
            Ok(Err(ureq::Error::Io(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Posted::NobodyListens
            }
            Ok(Err(ureq::Error::ConnectionFailed)) => Posted::NobodyListens,
            Ok(Err(error)) => Posted::Not(error.to_string()),
            Err(why) => Posted::Not(why),
        }
    }

    /// The address, with the query that was called.
    fn uri(&self, arrival: &Arrival) -> String {
        let target = arrival.target.as_deref().unwrap_or_default();
        match target.split_once('?') {
            Some((_, query)) if !query.is_empty() => {
                let joint = if self.url.contains('?') { '&' } else { '?' };
                format!("{}{joint}{query}", self.url)
            }
            _ => self.url.clone(),
        }
    }

    fn request(&self, arrival: &Arrival) -> Result<Request<Vec<u8>>, String> {
        let body = arrival.body.as_ref().ok_or("its body has expired")?;
        let body = STANDARD.decode(body).map_err(|_| "its body cannot be read")?;
        let method = if arrival.method.is_empty() {
            "POST"
        } else {
            &arrival.method
        };
        let mut request = Request::builder().method(method).uri(self.uri(arrival));
        let passed_on = |name: &str| !NOT_PASSED_ON.iter().any(|not| name.eq_ignore_ascii_case(not));
        for (name, value) in arrival.headers.iter().filter(|(name, _)| passed_on(name)) {
            request = request.header(name, value);
        }
        let named = arrival
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = arrival.content_type.as_ref().filter(|_| !named) {
            request = request.header(http::header::CONTENT_TYPE, kind);
        }
        request
            .body(body)
            .map_err(|error| format!("it makes no request: {error}"))
    }
}

/// How posting one went. That it failed is not the end: it can be posted again.
enum Posted {
    /// The program answered, whatever it was.
    Answered(u16, Duration),
    /// There is no program.
    NobodyListens,
    /// It was not posted, or nobody knows: why.
    Not(String),
}

impl Posted {
    fn tell(&self, arrival: &Arrival, out: &mut Out) -> Result<(), Failure> {
        let (status, took, error) = match self {
            Self::Answered(status, took) => (Some(*status), Some(took.as_millis()), None),
            Self::NobodyListens => (None, None, Some("nobody listens there")),
            Self::Not(why) => (None, None, Some(why.as_str())),
        };
        let Arrival { id, event_type, .. } = arrival;
        if out.is_json() {
            let took = took.and_then(|took| u64::try_from(took).ok());
            let line =
                json!({ "id": id, "eventType": event_type, "status": status, "durationMs": took, "error": error });
            return out.line(&line.to_string());
        }
        let went = match (status, took, error) {
            (Some(status), Some(took), _) => format!("{status} in {took} ms"),
            (.., error) => format!("not posted: {}", error.unwrap_or_default()),
        };
        out.line(&format!("{id}  {event_type}  {went}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Captured, Scripted},
        *,
    };

    fn event(id: &str, body: &str) -> String {
        let body = STANDARD.encode(body);
        format!(
            "id: {id}\nevent: message\ndata: {{\"id\":\"{id}\",\"eventType\":\"push\",\"method\":\"POST\",\"headers\":\
             [[\"host\",\"x\"],[\"x-github-event\",\"push\"]],\"contentType\":\"application/json\",\"body\":\"{body}\"}}\n\n"
        )
    }

    fn stream(events: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
    }

    #[test]
    fn what_comes_in_is_posted_as_it_came_and_a_broken_stream_goes_on_where_it_was() {
        let listening = "id: msg_0\nevent: listening\ndata: {}\n\n";
        let server = Scripted::speaking(vec![
            stream(&format!("{listening}{}", event("msg_1", "{\"a\": 1.0}"))),
            stream(&event("msg_2", "two")),
        ]);
        let local = Scripted::answering(vec![(200, ""), (500, "")]);
        let captured = Captured::default();
        let args = ListenArgs {
            forward: format!("{}/hook", local.url),
            source: "github".into(),
            since: None,
        };
        let (forward, last, mut pauses) = (Forward::to(&args.forward).unwrap(), Last::default(), 0);
        let mut pause = |_| {
            pauses += 1;
            pauses < 2
        };
        let mut session = server.session(&captured, false);
        args.run_with(&mut session, &forward, &last, &mut pause).unwrap();
        let seen = server.seen();
        assert_eq!(seen[0].line, "GET /ingest/api/v1/source/github/listen");
        assert_eq!(seen[1].line, "GET /ingest/api/v1/source/github/listen?after=msg_1");
        let posted = local.seen();
        assert_eq!(
            (posted[0].line.as_str(), posted[0].body.as_str()),
            ("POST /hook", "{\"a\": 1.0}")
        );
        assert!(posted[0].head.contains("x-github-event: push"), "{}", posted[0].head);
        assert!(!posted[0].head.contains("host: x\n"), "{}", posted[0].head);
        let text = captured.text();
        assert!(
            text.contains("msg_1  push  200") && text.contains("msg_2  push  500"),
            "{text}"
        );
        assert_eq!(last.lock().unwrap().as_ref().unwrap().id, "msg_2");
    }

    fn arrival(target: &str) -> Arrival {
        serde_json::from_value(json!({
            "id": "msg_1", "eventType": "push", "method": "POST", "target": target, "headers": [], "body": STANDARD.encode("x")
        }))
        .unwrap()
    }

    #[test]
    fn the_query_that_was_called_is_passed_on() {
        for (forward, target, url) in [
            ("http://h/hook", "/in/a", "http://h/hook"),
            ("http://h/hook", "/in/a?sig=1&b=%20", "http://h/hook?sig=1&b=%20"),
            ("http://h/hook?dev=1", "/in/a?sig=1", "http://h/hook?dev=1&sig=1"),
        ] {
            assert_eq!(Forward::to(forward).unwrap().uri(&arrival(target)), url);
        }
    }

    #[test]
    fn a_program_that_is_not_there_yet_is_waited_for() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let captured = Captured::default();
        let forward = Forward::to(&format!("http://{address}/")).unwrap();
        let mut listening = None;
        let mut pause = |_| {
            listening.get_or_insert_with(|| {
                let program = std::net::TcpListener::bind(address).unwrap();
                thread::spawn(move || {
                    use std::io::Write as _;
                    let (mut stream, _) = program.accept().unwrap();
                    stream
                        .write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n")
                        .unwrap();
                    drop(stream.read(&mut [0; 4_096]));
                })
            });
            true
        };
        assert!(
            forward
                .deliver(&arrival("/in/a"), &mut captured.out(true), &mut pause)
                .unwrap()
        );
        listening.unwrap().join().unwrap();
        assert!(captured.notes().contains("nobody listens at"), "{}", captured.notes());
        let line: serde_json::Value = serde_json::from_str(&captured.text()).unwrap();
        assert_eq!(
            (&line["id"], &line["status"]),
            (&json!("msg_1"), &json!(204)),
            "programs get an object a line"
        );
        let ended = forward.deliver(&arrival("/in/a"), &mut captured.out(false), &mut |_| false);
        assert!(!ended.unwrap());
    }

    #[test]
    fn what_the_program_cannot_have_and_that_it_is_connected_again_is_said() {
        let listening = "id: msg_0\nevent: listening\ndata: {\"withheld\":[\"x-gitlab-token\"]}\n\n";
        let gone = "HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
        let server = Scripted::speaking(vec![stream(listening), stream(listening), gone]);
        let captured = Captured::default();
        let args = ListenArgs {
            forward: "http://127.0.0.1:9/".into(),
            source: "gitlab".into(),
            since: None,
        };
        let forward = Forward::to(&args.forward).unwrap();
        let mut session = server.session(&captured, false);
        // A source that is gone ends the command.
        let ended = args.run_with(&mut session, &forward, &Last::default(), &mut |_| true);
        assert_eq!(ended.unwrap_err().exit_code(), 1);
        let notes = captured.notes();
        assert_eq!(notes.matches("without x-gitlab-token").count(), 1, "{notes}");
        assert_eq!(notes.matches("connected again").count(), 1, "{notes}");
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused_at_once() {
        for wrong in ["localhost:3000", "ftp://x", "http://"] {
            assert!(Forward::to(wrong).is_err(), "{wrong}");
        }
    }
}
