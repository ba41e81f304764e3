//! A real `bellwire serve --dev` on a free port, for a suite to talk to.
//!
//! It learns the address from stdout, waits for readiness, and stops the server as an operator would: SIGTERM, and the
//! exit code has to be 0. Whatever happens, no server outlives its [`Server`].

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::scratch::Scratch;
use crate::process;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const READY_PATH: &str = "/api/v1/health/ready";

/// A running server.
pub(super) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    /// A token with every right.
    pub(super) token: String,
    log: PathBuf,
    _data: Scratch,
}

impl Server {
    /// Starts `binary` on an empty store, with further environment, and waits until it is ready. Its output goes to a log file
    /// under `target`.
    ///
    /// # Errors
    /// When it does not become ready; the message carries the end of its log.
    pub(super) fn start(
        binary: &Path,
        target: &Path,
        name: &str,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self> {
        let data = Scratch::new(target, name)?;
        let log = target.join("xtask").join(format!("{name}.log"));
        let token = random_token()?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path());
        process::announce(&command);
        let errors = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let output = errors.try_clone().context("could not share the log file")?;
        let mut child = command
            .env("BELLWIRE_ADMIN_TOKEN", &token)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        let lines = follow(child.stdout.take().context("the server has no stdout")?, output);
        // From here on, dropping it ends the process.
        let mut server = Self {
            child,
            url: String::new(),
            token,
            log,
            _data: data,
        };
        let started = server.wait_until_ready(&lines);
        match started {
            Ok(url) => {
                server.url = url;
                Ok(server)
            }
            Err(error) => Err(error.context(format!(
                "the server did not start; its log ends:\n{}",
                server.log_tail()
            ))),
        }
    }

    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> Result<String> {
        let deadline = Instant::now() + START;
        let url = loop {
            let line = lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .context("no line `listening on http://…` on its stdout")?;
            if let Some(url) = address(&line) {
                break url.to_owned();
            }
        };
        while !matches!(get(&url, READY_PATH), Ok(200 | 204)) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} before it was ready");
            }
            ensure!(Instant::now() < deadline, "GET {READY_PATH} does not answer 200 or 204");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(url)
    }

    /// Asks the server to stop and waits until it has.
    ///
    /// # Errors
    /// When it is gone already, takes too long, or does not end with exit code 0.
    pub(super) fn stop(mut self) -> Result<()> {
        let ended = self.stop_within(STOP);
        ended.with_context(|| format!("the server did not stop well; its log ends:\n{}", self.log_tail()))
    }

    fn stop_within(&mut self, patience: Duration) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it had ended before it was asked to, with {status}");
        }
        process::capture(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let status = self
            .wait(patience)?
            .with_context(|| format!("still running {patience:?} after SIGTERM"))?;
        ensure!(
            status.code() == Some(0),
            "it ended with {status} after SIGTERM, not with exit code 0"
        );
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if Instant::now() >= deadline => return Ok(None),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..]
            .join("\n")
            .replace(&self.token, "[admin token]")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Copies the server's stdout into the log, and hands its lines on for as long as somebody listens. Reading never
/// stops, so that the server never waits on a full pipe.
fn follow(stdout: impl std::io::Read + Send + 'static, mut log: File) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // A log that cannot be written costs a hint, not the run.
            drop(writeln!(log, "{line}"));
            drop(sender.send(line));
        }
    });
    receiver
}

/// The address in a line that says `listening on http://…`.
fn address(line: &str) -> Option<&str> {
    let url = &line[line.find("listening on http://")? + "listening on ".len()..];
    let url = url
        .split(|c: char| c.is_whitespace() || c.is_control() || "\"',".contains(c))
        .next()?;
    Some(url.trim_end_matches('/'))
}

/// The status of a GET, over a connection of its own.
fn get(url: &str, path: &str) -> Result<u16> {
    let host = url.strip_prefix("http://").context("not an http:// URL")?;
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    status(&answer).context("not an HTTP answer")
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Forty characters that nobody can guess.
fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 20];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("could not read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    /// A stand-in for the server, written in shell: `body` runs with the arguments of `bellwire`.
    fn start(body: &str) -> (Scratch, Result<Server>) {
        let scratch = Scratch::new(&Repo::find().target(), "server-test").expect("a folder");
        let (text, script) = (scratch.path().join("text"), scratch.path().join("bellwire"));
        std::fs::write(&text, format!("#!/bin/sh\n{body}\n")).expect("a script");
        // Not written by us: a file that this process has open for writing cannot be started, and another test may be
        // forking a copy of the handle at this very moment.
        process::run(Command::new("install").args(["-m", "755"]).arg(&text).arg(&script)).expect("install");
        let server = Server::start(&script, scratch.path(), "fake", []);
        (scratch, server)
    }

    #[test]
    fn the_address_is_found_in_its_line() {
        assert_eq!(
            address("listening on http://127.0.0.1:8071"),
            Some("http://127.0.0.1:8071")
        );
        assert_eq!(
            address("\u{1b}[1mlistening on http://[::1]:80/\u{1b}[0m"),
            Some("http://[::1]:80")
        );
        assert_eq!(address("the dashboard is at http://127.0.0.1:8071"), None);
    }

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n"), Some(204));
        assert_eq!(status(b"SSH-2.0-x\r\n"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn tokens_are_long_enough_and_never_the_same() {
        let (one, two) = (random_token().expect("a token"), random_token().expect("a token"));
        assert_eq!(one.len(), 40);
        assert_ne!(one, two);
    }

    #[test]
    fn a_server_that_dies_at_once_is_an_error_with_its_log() {
        let (_scratch, server) = start("echo \"disk is full\" >&2; exit 7");
        let error = format!("{:#}", server.err().expect("it did not start"));
        assert!(
            error.contains("disk is full") && error.contains("listening on"),
            "{error}"
        );
    }

    /// Answers one request with 204; joins to its first line.
    fn answer_once(listener: std::net::TcpListener) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut lines = BufReader::new(&stream).lines().map(|line| line.expect("a line"));
            let first = lines.next().expect("a request");
            lines.find(String::is_empty).expect("its end");
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("answered");
            first
        })
    }

    /// Starts a stand-in that becomes ready and ends with `exit_code` when it is asked to stop; what stopping it says.
    fn start_and_stop(exit_code: u8) -> Result<()> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answering = answer_once(listener);
        let body = format!(
            "trap 'kill $!; exit {exit_code}' TERM; sleep 60 & echo hello; echo listening on http://127.0.0.1:{port}; wait"
        );
        let (_scratch, server) = start(&body);
        let server = server.expect("it started");
        assert_eq!(
            answering.join().expect("it answered"),
            "GET /api/v1/health/ready HTTP/1.1"
        );
        assert_eq!(server.url, format!("http://127.0.0.1:{port}"));
        server.stop()
    }

    #[test]
    fn a_server_that_becomes_ready_and_stops_when_asked_is_fine() {
        start_and_stop(0).expect("it stopped well");
    }

    #[test]
    fn a_server_that_stops_with_the_wrong_code_is_an_error() {
        let error = format!("{:#}", start_and_stop(3).expect_err("exit code 3"));
        assert!(error.contains("not with exit code 0"), "{error}");
    }
}
