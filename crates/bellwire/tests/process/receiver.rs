//! A receiver of webhooks that answers, or holds what comes without an answer.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// What came, by `webhook-id`.
#[derive(Default)]
pub struct Seen {
    /// Whether what comes is held.
    holds: bool,
    /// Answered with 204.
    pub answered: Vec<String>,
    /// Not answered; the connections stay open.
    pub held: Vec<(String, TcpStream)>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    came: Condvar,
}

/// The receiver; its threads end with the process.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Listens on a free port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let receiving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&receiving);
                std::thread::spawn(move || shared.receive(stream));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What comes from now on is held.
    pub fn hold(&self) {
        self.shared.seen.lock().unwrap().holds = true;
    }

    /// What comes from now on is answered.
    pub fn answer(&self) {
        self.shared.seen.lock().unwrap().holds = false;
    }

    /// Waits until what came is enough.
    pub fn wait_for(&self, what: &str, patience: Duration, is_enough: impl Fn(&Seen) -> bool) {
        let seen = self.shared.seen.lock().unwrap();
        let waited = self
            .shared
            .came
            .wait_timeout_while(seen, patience, |seen| !is_enough(seen));
        assert!(!waited.unwrap().1.timed_out(), "{what} does not come");
    }
}

impl Shared {
    /// Takes one request. One that is broken off is nothing that came.
    fn receive(&self, mut stream: TcpStream) {
        let Some(id) = read(&stream) else { return };
        let mut seen = self.seen.lock().unwrap();
        if seen.holds {
            seen.held.push((id, stream));
        } else if stream
            .write_all(b"HTTP/1.1 204 Yes\r\nconnection: close\r\n\r\n")
            .is_ok()
        {
            seen.answered.push(id);
        }
        self.came.notify_all();
    }
}

/// Reads a request to its end; answers its id.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => id = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    id
}
