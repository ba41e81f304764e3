//! For the tests of this module: captured output, and a server that answers from a script over real TCP.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use super::{Globals, Session, client::Client, out::Out};

/// Output that a test can read back.
#[derive(Clone, Default)]
pub struct Captured {
    text: Arc<Mutex<Vec<u8>>>,
    notes: Arc<Mutex<Vec<u8>>>,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// An output that writes here.
    pub fn out(&self, json: bool) -> Out {
        Out::into_writers(
            json,
            Box::new(Sink(self.text.clone())),
            Box::new(Sink(self.notes.clone())),
        )
    }

    /// What was written to standard output.
    pub fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// What was written to standard error.
    pub fn notes(&self) -> String {
        String::from_utf8(self.notes.lock().unwrap().clone()).unwrap()
    }
}

/// One request as the scripted server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and target: `GET /api/v1/app?limit=1`.
    pub line: String,
    /// The header lines, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Answers each request by the next entry of its script, then closes the listener.
pub struct Scripted {
    /// Where it listens.
    pub url: String,
    thread: JoinHandle<Vec<Seen>>,
}

impl Scripted {
    /// Each entry is a status and a JSON body.
    pub fn answering(script: Vec<(u16, &str)>) -> Self {
        let script = script.into_iter().map(|(status, body)| {
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        });
        Self::speaking(script.collect())
    }

    /// Each entry is a whole answer as bytes on the wire; the connection is closed after it.
    pub fn speaking(script: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            for answer in script {
                let (stream, _) = listener.accept().unwrap();
                seen.push(read_request(&stream));
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        Self { url, thread }
    }

    /// A session whose client speaks to this server.
    pub fn session(&self, captured: &Captured, json: bool) -> Session {
        session(&self.url, captured, json)
    }

    /// The requests that came; waits until the script is through.
    pub fn seen(self) -> Vec<Seen> {
        self.thread.join().unwrap()
    }
}

/// A session against any URL, with a token.
pub fn session(url: &str, captured: &Captured, json: bool) -> Session {
    let globals = Globals {
        url: url.into(),
        token: Some("test-token".into()),
        ca_cert: None,
        data_dir: "/nowhere".into(),
        json,
    };
    let client = Client::new(&globals).unwrap();
    Session {
        client,
        out: captured.out(json),
    }
}

fn read_request(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = next();
    let mut head = String::new();
    for line in std::iter::from_fn(|| Some(next()).filter(|line| !line.is_empty())) {
        head.push_str(&line.to_ascii_lowercase());
        head.push('\n');
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Seen {
        line: first.trim_end_matches(" HTTP/1.1").to_owned(),
        head,
        body: String::from_utf8(body).unwrap(),
    }
}
