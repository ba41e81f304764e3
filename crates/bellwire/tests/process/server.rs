//! `bellwire serve` as a process of its own, on a free port.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_bellwire");
const TOKEN: &str = "configured-configured-configured-0";
const MAIN_SECRET: &str = "the-main-secret-of-all-of-them-0123456789";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// A server. Dropping it kills its process.
pub struct Server {
    child: Child,
    url: String,
    log: PathBuf,
    /// What it says on its standard output; it ends with the process.
    lines: Receiver<String>,
}

impl Server {
    /// Starts one with this role on this store, and waits until it listens. It keeps its files in a folder that is made.
    pub fn start(data: &Path, store: &str, role: &str) -> Self {
        fs::create_dir_all(data).unwrap();
        let log = data.join("log");
        let mut child = Command::new(BINARY)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--role", role, "--data"])
            .arg(data)
            .env("BELLWIRE_STORE", store)
            .env("BELLWIRE_MAIN_SECRET", MAIN_SECRET)
            .env("BELLWIRE_ADMIN_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let (said, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Read on when nobody listens, so that the server never waits.
                let _ = said.send(line);
            }
        });
        let mut server = Self {
            child,
            url: String::new(),
            log,
            lines,
        };
        server.url = server.address();
        server
    }

    fn address(&self) -> String {
        let end = Instant::now() + START;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(url) = line.strip_prefix("listening on ") {
                        return url.to_owned();
                    }
                }
                Err(error) => panic!("it does not listen ({error}): {}", self.log()),
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What a request is answered, if it is answered well.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(body.to_owned())
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let mut answer = agent.run(request).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {text}\n{}", self.log());
        text
    }

    /// Makes something; answers what was made.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        serde_json::from_str(&self.ask("POST", path, &body.to_string())).unwrap()
    }

    /// Publishes in the application `shop`; answers the message's id.
    pub fn publish(&self) -> String {
        let body = json!({ "eventType": "invoice.paid", "payload": { "id": 1 } });
        let made = self.post("/api/v1/app/shop/msg", &body);
        made["id"].as_str().unwrap().to_owned()
    }

    /// The value of a metric, by its name with labels.
    pub fn metric(&self, name: &str) -> String {
        let page = self.ask("GET", "/metrics", "");
        let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{name} is not in {page}")).to_owned()
    }

    /// What the command line answers when it is told to ask this server.
    pub fn command(&self, arguments: &[&str]) -> Value {
        let ran = Command::new(BINARY)
            .args(arguments)
            .env("BELLWIRE_URL", &self.url)
            .env("BELLWIRE_TOKEN", TOKEN)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it must end well.
    pub fn stop(mut self, patience: Duration) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        let end = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not stop: {}", self.log()),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
