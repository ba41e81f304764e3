//! A PostgreSQL of the tests' own: a temporary folder, a socket in it, gone when the tests are.
//!
//! It is Debian's package. Where it is missing the tests say so and are skipped; where `CI` is set they fail.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Starts what follows, ends it when whoever started us is gone, and takes the folder away.
const NURSE: &str =
    r#"folder=$1; shift; "$@" & server=$!; read -r _; kill -INT $server; wait $server; rm -rf "$folder""#;

/// A server. Its standard input holds it alive.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    _nurse: Child,
}

impl Server {
    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs statements as the server's owner.
    #[allow(dead_code, reason = "not every test does")]
    pub fn run(&self, sql: &str) -> String {
        let ran = Command::new(self.programs.join("psql"))
            .args([
                "-qAt",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "bellwire",
                "-d",
                "postgres",
                "-h",
            ])
            .arg(&self.folder)
            .args(["-c", sql])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }
}

/// The URL of a schema of a server whose socket is in this folder.
pub fn url(folder: &Path, user: &str, schema: &str) -> String {
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://{user}@{folder}/postgres?schema={schema}")
}

/// The server of all tests of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match find("initdb").zip(find("postgres")) {
        Some((initdb, program)) => start(&initdb, &program),
        None if is_ci() => panic!("`initdb` is missing: install postgresql"),
        None => {
            eprintln!("skipped: `initdb` is missing; install postgresql to test the store in PostgreSQL");
            std::process::exit(0);
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "who runs the tests says so in the environment")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// A program, in the folders where Debian puts it.
fn find(program: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| path.exists())
}

/// The program as a user without rights where we are root: no database server runs as root.
fn as_nobody(program: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program);
    command
}

fn start(initdb: &Path, program: &Path) -> Server {
    let folder = tempfile::Builder::new()
        .prefix("bellwire-pg-")
        .tempdir()
        .unwrap()
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let data = folder.join("data");
    let made = as_nobody(initdb)
        .args(["-U", "bellwire", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-D"])
        .arg(&data)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut server = as_nobody(program);
    server.arg("-D").arg(&data).arg("-k").arg(&folder);
    for setting in [
        "listen_addresses=",
        "fsync=off",
        "max_connections=300",
        "shared_buffers=64MB",
        "log_min_messages=warning",
        "autovacuum=off",
    ] {
        server.args(["-c", setting]);
    }
    let mut nurse = Command::new("sh");
    nurse
        .args(["-c", NURSE, "sh"])
        .arg(&folder)
        .arg(server.get_program())
        .args(server.get_args());
    let mut child = nurse
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("the server ended: {said:#?}");
        };
        let is_ready = line.contains("ready to accept connections");
        said.push(line);
        if is_ready {
            break;
        }
    }
    // Whoever nobody listens to stands still.
    std::thread::spawn(move || lines.for_each(drop));
    Server {
        folder,
        programs: program.parent().unwrap().to_owned(),
        _nurse: child,
    }
}
