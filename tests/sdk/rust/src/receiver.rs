//! A plain HTTP receiver that records every request raw and answers by a script.
//!
//! It verifies nothing while it answers; [`Received::verify`] asks the published libraries afterwards, and a receiver
//! that is dropped insists that everything it ever got was signed with a secret it trusts.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

const DEADLINE: Duration = Duration::from_secs(30);

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a UTF-8 body")
    }

    /// Whether both libraries, each seeing only its own headers, accept the request.
    pub fn verifies(&self, secret: &str) -> bool {
        let only = |prefix: &str| -> HeaderMap {
            let ours =
                |(k, v): (&HeaderName, &HeaderValue)| k.as_str().starts_with(prefix).then(|| (k.clone(), v.clone()));
            self.headers.iter().filter_map(ours).collect()
        };
        let branded = svix::Webhook::new(secret).expect("a secret the svix crate reads");
        let standard = standardwebhooks::Webhook::new(secret).expect("a secret the standard crate reads");
        branded.verify(&self.body, &only("svix-")).is_ok() && standard.verify(&self.body, &only("webhook-")).is_ok()
    }

    #[track_caller]
    pub fn verify(&self, secret: &str) {
        assert!(
            self.verifies(secret),
            "not signed with the given secret: {:?}",
            self.headers
        );
    }
}

#[derive(Default)]
struct Records {
    requests: Vec<Received>,
    script: VecDeque<u16>,
    default: u16,
    secrets: Vec<String>,
    closed: bool,
}

/// Listens on a free port of 127.0.0.1 until dropped.
pub struct Receiver {
    address: SocketAddr,
    records: Arc<(Mutex<Records>, Condvar)>,
}

impl Receiver {
    #[expect(clippy::new_without_default, reason = "opening a port is no default")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let start = Records {
            default: 200,
            ..Records::default()
        };
        let records = Arc::new((Mutex::new(start), Condvar::new()));
        let shared = Arc::clone(&records);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if locked(&shared).closed {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, records }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// One scripted status per coming request.
    pub fn answer(&self, statuses: &[u16]) {
        locked(&self.records).script.extend(statuses);
    }

    /// What to answer once the script has run out.
    pub fn always(&self, status: u16) {
        locked(&self.records).default = status;
    }

    pub fn trust(&self, secret: &str) {
        locked(&self.records).secrets.push(secret.to_owned());
    }

    pub fn requests(&self) -> Vec<Received> {
        locked(&self.records).requests.clone()
    }

    /// Waits until `count` requests match; wakes on arrival, panics after the deadline.
    #[track_caller]
    pub fn wait(&self, count: usize, matches: impl Fn(&Received) -> bool) -> Vec<Received> {
        let end = Instant::now() + DEADLINE;
        let mut records = locked(&self.records);
        loop {
            let found: Vec<_> = records.requests.iter().filter(|r| matches(r)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} of {count} came; all: {:#?}",
                found.len(),
                records.requests
            );
            records = self
                .records
                .1
                .wait_timeout(records, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for `count` requests that carry this message.
    #[track_caller]
    pub fn of(&self, message_id: &str, count: usize) -> Vec<Received> {
        self.wait(count, |r| r.header("webhook-id") == message_id)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        locked(&self.records).closed = true;
        let _ = TcpStream::connect(self.address); // wakes the listener so that it sees `closed`
        if std::thread::panicking() {
            return;
        }
        let records = locked(&self.records);
        for request in &records.requests {
            let trusted = records.secrets.iter().any(|s| request.verifies(s));
            assert!(trusted, "unverifiable request: {request:?}");
        }
    }
}

fn locked(records: &(Mutex<Records>, Condvar)) -> std::sync::MutexGuard<'_, Records> {
    records.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers requests on one connection until the other side closes it.
fn serve(stream: TcpStream, records: &(Mutex<Records>, Condvar)) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = read_request(&mut reader)?;
        let status = {
            let mut records = locked(records);
            let scripted = records.script.pop_front();
            scripted.unwrap_or(records.default)
        };
        write!(writer, "HTTP/1.1 {status} Scripted\r\ncontent-length: 6\r\n\r\nthanks").ok()?;
        locked(records).requests.push(request);
        records.1.notify_all();
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = HeaderMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        );
    }
    let length = headers
        .get("content-length")
        .and_then(|v| v.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body })
}
