//! A PostgreSQL of a run's own: made by `initdb` in a temporary folder, with a socket there and no port, gone when the run is.
//!
//! The benchmark measures on it, and the repository's tests borrow this file. It is as durable as it comes: what is committed is
//! on the disk. Whoever starts it may be killed: a small shell beside the server ends it then, and removes the folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context as _, ensure};

/// Starts what follows, and ends it by a signal that it is told, or when whoever started us is gone; then the folder goes.
const NURSE: &str = r#"folder=$1; shift; "$@" & server=$!; read -r signal; kill -"${signal:-INT}" $server; wait $server
rm -rf "$folder""#;

/// A server that runs.
pub(crate) struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    nurse: Child,
}

impl Postgres {
    /// Makes and starts one below a folder, with further settings (`name=value`).
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub(crate) fn start(below: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let programs = programs().context("`initdb` is not there; install PostgreSQL (Debian: postgresql)")?;
        // A socket's path has a hundred characters at most.
        let name = format!("bw-pg-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let folder = below.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        let made = as_nobody(&programs.join("initdb"))
            .args(["-U", "bellwire", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"])
            .arg(folder.join("data"))
            .current_dir(&folder)
            .output()
            .context("cannot run initdb")?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let nurse = nurse(&folder, &programs.join("postgres"), settings)?;
        Ok(Self {
            folder,
            programs,
            nurse,
        })
    }

    /// The URL of a store in it, in this schema.
    pub(crate) fn url(&self, schema: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://bellwire@{folder}/postgres?schema={schema}")
    }

    /// The folder its socket is in.
    #[allow(dead_code, reason = "not everybody who borrows this file needs it")]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its programs are.
    #[allow(dead_code, reason = "not everybody who borrows this file needs it")]
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The process above all of its processes.
    #[allow(dead_code, reason = "not everybody who borrows this file needs it")]
    pub(crate) fn pid(&self) -> u32 {
        self.nurse.id()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut told) = self.nurse.stdin.take() {
            // A fast shutdown: nobody is waited for.
            let _ = told.write_all(b"INT\n");
        }
        let _ = self.nurse.wait();
    }
}

/// Where PostgreSQL's programs are: the newest of Debian's, or those in `PATH`'s usual places.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    folders.into_iter().find(|folder| folder.join("initdb").exists())
}

/// The program as a user without rights where we are root: no database server runs as root.
fn as_nobody(program: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program);
    command
}

fn nurse(folder: &Path, program: &Path, settings: &[&str]) -> anyhow::Result<Child> {
    let mut server = as_nobody(program);
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    let always = ["listen_addresses=", "max_connections=200", "shared_buffers=256MB"];
    for setting in always.iter().chain(settings) {
        server.args(["-c", setting]);
    }
    let mut nurse = Command::new("sh");
    nurse
        .args(["-c", NURSE, "sh"])
        .arg(folder)
        .arg(server.get_program())
        .args(server.get_args());
    let mut child = nurse
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start PostgreSQL")?;
    let stderr = child.stderr.take().context("PostgreSQL's output cannot be read")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            anyhow::bail!("PostgreSQL ended: {}", said.join("\n"));
        };
        let is_ready = line.contains("ready to accept connections");
        said.push(line);
        if is_ready {
            break;
        }
    }
    // Whoever nobody listens to stands still.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(child)
}
