//! The server's process: started on the same data again and again, killed, stopped, checked.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::client::Server;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const LOG_TAIL_BYTES: usize = 3_000;

/// A server that runs, or does not at the moment. Dropping it kills the process; the data stay.
pub(crate) struct Process {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    token: String,
    address: SocketAddr,
    env: Vec<(String, String)>,
    child: Option<Child>,
}

/// What `bellwire check` said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Checked {
    /// Exit code 0.
    Sound,
    /// There is no such command in this binary.
    Absent,
    /// Anything else.
    Unsound(String),
}

impl Process {
    /// Picks a port and a token; nothing runs yet. `data` is the server's directory, `log` the file its output is added to.
    pub(crate) fn prepare(binary: &Path, data: PathBuf, log: PathBuf) -> anyhow::Result<Self> {
        let binary = fs::canonicalize(binary).with_context(|| format!("there is no binary at {}", binary.display()))?;
        Ok(Self {
            binary,
            data,
            log,
            token: random_token()?,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
            env: Vec::new(),
            child: None,
        })
    }

    /// The same token as another server's: they share a store.
    pub(crate) fn beside(mut self, other: &Self) -> Self {
        self.token.clone_from(&other.token);
        self
    }

    /// Sends the process a signal, by its name.
    ///
    /// # Errors
    /// When there is no process.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.as_ref().context("the server does not run")?.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status()
            .context("cannot run kill")?;
        ensure!(sent.success(), "kill -{name} {id} failed");
        Ok(())
    }

    /// A further environment variable of the server.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The server as a client sees it.
    pub(crate) fn client(&self) -> anyhow::Result<Server> {
        Server::new(self.address, &self.token)
    }

    /// Whether a process was started and has not been seen to end.
    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Starts the process and does not wait.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.binary)
            .args(["serve", "--dev", "--listen", &self.address.to_string(), "--data"])
            .arg(&self.data)
            .env("BELLWIRE_ADMIN_TOKEN", &self.token)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the server says that it is ready; answers how long that took.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Duration> {
        let (began, server) = (Instant::now(), self.client()?);
        loop {
            if server.readiness().await.is_some_and(|status| status.is_success()) {
                return Ok(began.elapsed());
            }
            if let Some(status) = self.ended()? {
                bail!(
                    "the server ended with {status} before it was ready; its log ends:\n{}",
                    self.log_tail()
                );
            }
            ensure!(
                began.elapsed() < START,
                "the server is not ready after {START:?}; its log ends:\n{}",
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How it ended, if it did so by itself. It is forgotten then.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// That a process which was started has not ended.
    ///
    /// # Errors
    /// When it has.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.ended()? {
            bail!(
                "the server ended by itself with {status}; its log ends:\n{}",
                self.log_tail()
            );
        }
        Ok(())
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    /// When it had ended before.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.still_runs()?;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM; waits until the server has stopped and answers how long that took.
    ///
    /// # Errors
    /// When it takes too long or does not end with exit code 0.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.signal("TERM")?;
        while began.elapsed() < STOP {
            if let Some(status) = self.ended()? {
                let tail = self.log_tail();
                ensure!(
                    status.code() == Some(0),
                    "SIGTERM made the server end with {status}; its log ends:\n{tail}"
                );
                return Ok(began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!(
            "the server still runs {STOP:?} after SIGTERM; its log ends:\n{}",
            self.log_tail()
        )
    }

    /// Runs `bellwire check` on the data of a server that does not run.
    fn check(&self) -> anyhow::Result<Checked> {
        let run = |with: &[&str]| {
            Command::new(&self.binary)
                .arg("check")
                .args(with)
                .envs(self.env.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .output()
        };
        if !run(&["--help"])?.status.success() {
            return Ok(Checked::Absent);
        }
        let data = self.data.to_string_lossy();
        let output = run(&["--data", &data])?;
        if output.status.code() == Some(0) {
            return Ok(Checked::Sound);
        }
        let text = [output.stdout, output.stderr].concat();
        Ok(Checked::Unsound(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&text)
        )))
    }

    /// The same in words, for the summary.
    ///
    /// # Errors
    /// When what is stored does not add up.
    pub(crate) fn check_says(&self) -> anyhow::Result<String> {
        match self.check()? {
            Checked::Sound => Ok("exit 0".to_owned()),
            Checked::Absent => Ok("skipped: this binary has no such command".to_owned()),
            Checked::Unsound(text) => bail!("bellwire check: {text}"),
        }
    }

    /// The end of what the server wrote.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(LOG_TAIL_BYTES);
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).replace(&self.token, "[admin token]")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A free port below those that the system gives to outgoing connections. The server leaves its port again and again; from
/// the usual range it could be handed to somebody else, or to a publisher that would then be connected to itself.
fn free_port() -> anyhow::Result<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let low = range
        .split_whitespace()
        .next()
        .and_then(|low| low.parse().ok())
        .unwrap_or(32_768_u16);
    let ports = if low > 12_000 { 10_000..low } else { 61_000..65_500 };
    for _ in 0..200 {
        let port = fastrand::u16(ports.clone());
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {ports:?}")
}

/// Forty characters that nobody can guess.
fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 20];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for the server, written in shell.
    fn stand_in(folder: &Path, body: &str) -> Process {
        let (text, script) = (folder.join("text"), folder.join("bellwire"));
        fs::write(&text, format!("#!/bin/sh\n{body}\n")).unwrap();
        // Written by another process: a file that is open for writing here, even for a fork's moment, cannot be started.
        let installed = Command::new("install")
            .args(["-m", "755"])
            .arg(&text)
            .arg(&script)
            .status()
            .unwrap();
        assert!(installed.success());
        Process::prepare(&script, folder.join("data"), folder.join("log")).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_ends_by_itself_is_an_error_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = stand_in(folder.path(), "echo 'disk on fire' >&2; exit 7");
        process.spawn().unwrap();
        let error = process.ready().await.unwrap_err().to_string();
        assert!(error.contains("disk on fire") && error.contains("7"), "{error}");
    }

    #[tokio::test]
    async fn stopping_wants_exit_code_zero() {
        let folder = tempfile::tempdir().unwrap();
        for (code, fine) in [(0, true), (3, false)] {
            let body = format!("trap 'kill $!; exit {code}' TERM; sleep 60 & echo up; wait");
            let mut process = stand_in(folder.path(), &body);
            process.spawn().unwrap();
            while !process.log_tail().contains("up") {
                tokio::task::yield_now().await;
            }
            assert_eq!(process.stop().await.is_ok(), fine);
            fs::remove_file(&process.log).unwrap();
        }
    }

    #[test]
    fn check_tells_sound_unsound_and_absent_apart() {
        let folder = tempfile::tempdir().unwrap();
        let check = |body: &str| stand_in(folder.path(), body).check().unwrap();
        assert_eq!(check("exit 2"), Checked::Absent);
        assert_eq!(check("exit 0"), Checked::Sound);
        let unsound = check("test \"$2\" = --help || { echo 3 lost; exit 1; }");
        assert!(
            matches!(&unsound, Checked::Unsound(text) if text.contains("3 lost")),
            "{unsound:?}"
        );
    }
}
