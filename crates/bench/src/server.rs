//! A server process of the bench's own: started on an empty directory, stopped by SIGTERM, restarted on the same data, removed with it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::oneshot;

const ANNOUNCEMENT: &str = "listening on http://";
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_BYTES: usize = 2_000;

/// How servers are started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) data_parent: PathBuf,
    pub(crate) env: Vec<(String, String)>,
}

/// A running (or, between `stop` and `start`, a stopped) server. Dropping it kills the process and removes the directory.
pub(crate) struct ServerProcess {
    launch: Launch,
    directory: PathBuf,
    token: String,
    child: Option<Child>,
}

impl ServerProcess {
    /// Makes a directory for a server; `start` starts it.
    pub(crate) fn prepare(launch: Launch) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("bellwire-bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = launch.data_parent.join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self {
            launch,
            directory,
            token: random_hex()?,
            child: None,
        })
    }

    /// The same secrets as another server, for one that shares its store.
    pub(crate) fn beside(mut self, other: &Self) -> Self {
        self.token.clone_from(&other.token);
        self
    }

    /// The administrator's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Further environment for the starts to come. What the user of the benchmark set stays as it is.
    pub(crate) fn add_env(&mut self, key: &str, value: String) {
        if !self.launch.env.iter().any(|(set, _)| set == key) {
            self.launch.env.push((key.to_owned(), value));
        }
    }

    /// Whether the program knows a setting, by its name in the configuration file: an older one refuses to start with those it does not.
    pub(crate) fn knows(&self, setting: &str) -> bool {
        let printed = Command::new(&self.launch.binary)
            .arg("config")
            .stdin(Stdio::null())
            .output();
        printed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(setting))
    }

    /// Kills the server (SIGKILL), as a power cut would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts the server and answers its URL, as soon as it says where it listens.
    pub(crate) async fn start(&mut self) -> anyhow::Result<String> {
        let log = self.directory.join("server.log");
        let binary = self.launch.binary.display();
        let mut child = Command::new(&self.launch.binary)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.directory.join("data"))
            .env("BELLWIRE_ADMIN_TOKEN", &self.token)
            .envs(self.launch.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?;
        let stdout = child.stdout.take().context("the server's output cannot be read")?;
        self.child = Some(child);
        let (announce, announced) = oneshot::channel();
        // A thread, because the pipe must be read to its end: a server that logs to a full pipe stands still.
        std::thread::spawn(move || read_to_end(stdout, announce));
        match tokio::time::timeout(START_LIMIT, announced).await {
            Ok(Ok(url)) => Ok(url),
            Ok(Err(_)) => anyhow::bail!(
                "{binary} ended without saying `{ANNOUNCEMENT}…`; it said:\n{}",
                tail(&log)
            ),
            Err(_) => anyhow::bail!(
                "{binary} did not say `{ANNOUNCEMENT}…` in time; it said:\n{}",
                tail(&log)
            ),
        }
    }

    /// Asks the server to stop (SIGTERM) and waits for it; kills it when it does not. Answers how long it took.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<Duration> {
        let Some(mut child) = self.child.take() else {
            return Ok(Duration::ZERO);
        };
        let started = Instant::now();
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let asked = asked.is_ok_and(|status| status.success());
        while asked && started.elapsed() < STOP_LIMIT {
            if child.try_wait()?.is_some() {
                return Ok(started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.kill()?;
        child.wait()?;
        anyhow::ensure!(asked, "cannot send SIGTERM to the server: the program kill failed");
        anyhow::bail!("the server did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Reads the server's output to its end and passes on the first URL announced.
fn read_to_end(stdout: ChildStdout, announce: oneshot::Sender<String>) {
    let mut announce = Some(announce);
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Some(url) = announced_url(&line) else { continue };
        if let Some(announce) = announce.take() {
            let _ = announce.send(url);
        }
    }
}

fn announced_url(line: &str) -> Option<String> {
    let at = line.find(ANNOUNCEMENT)?;
    let url = line.get(at + "listening on ".len()..)?;
    url.split_ascii_whitespace().next().map(str::to_owned)
}

/// The end of what the server wrote to stderr.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(text.get(start..).unwrap_or_default()).into_owned()
}

/// 32 hexadecimal digits from the system.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_wherever_it_stands_in_the_line() {
        for line in [
            "listening on http://127.0.0.1:81",
            "12:00 INFO listening on http://127.0.0.1:81 data=x",
        ] {
            assert_eq!(announced_url(line).as_deref(), Some("http://127.0.0.1:81"));
        }
        assert_eq!(announced_url("listening on https://127.0.0.1:81"), None);
    }

    #[tokio::test]
    async fn a_server_that_fails_to_start_is_reported_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let binary = script(folder.path(), "echo 'the disk is on fire' >&2; exit 3");
        let mut server = ServerProcess::prepare(launch(binary, folder.path())).unwrap();
        let error = server.start().await.unwrap_err().to_string();
        assert!(error.contains("the disk is on fire"), "{error}");
    }

    #[tokio::test]
    async fn a_stopped_server_starts_again_on_the_same_data_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        // The data directory comes as the sixth word; it must survive a stop.
        let body = "mkdir -p \"$6\"; echo x >> \"$6/starts\"; echo \"listening on http://127.0.0.1:$(wc -l < \"$6/starts\")\"; exec sleep 600";
        let binary = script(folder.path(), body);
        let mut server = ServerProcess::prepare(launch(binary, folder.path())).unwrap();
        assert_eq!(server.start().await.unwrap(), "http://127.0.0.1:1");
        assert!(server.pid().is_some());
        server.stop().await.unwrap();
        assert_eq!(server.pid(), None);
        assert_eq!(server.start().await.unwrap(), "http://127.0.0.1:2");
        let directory = server.directory.clone();
        drop(server);
        assert!(!directory.exists());
    }

    #[test]
    fn what_the_user_set_is_not_overridden_by_a_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = launch(PathBuf::from("bellwire"), folder.path());
        launch.env = vec![("BELLWIRE_A".to_owned(), "theirs".to_owned())];
        let mut server = ServerProcess::prepare(launch).unwrap();
        server.add_env("BELLWIRE_A", "ours".to_owned());
        server.add_env("BELLWIRE_B", "ours".to_owned());
        let set: Vec<_> = server
            .launch
            .env
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        assert_eq!(set, [("BELLWIRE_A", "theirs"), ("BELLWIRE_B", "ours")]);
    }

    fn launch(binary: PathBuf, data_parent: &Path) -> Launch {
        Launch {
            binary,
            data_parent: data_parent.to_owned(),
            env: Vec::new(),
        }
    }

    fn script(folder: &Path, body: &str) -> PathBuf {
        let path = folder.join("server.sh");
        // Written by another process: were it open for writing here, a fork of a neighbouring test could keep it from being started.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod +x \"$2\"";
        let mut shell = Command::new("sh");
        assert!(
            shell
                .args(["-c", write, "sh", body])
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        path
    }
}
