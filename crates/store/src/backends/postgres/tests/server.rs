//! A PostgreSQL of the tests' own: a temporary folder, a socket in it, gone when the tests are.
//!
//! It is Debian's package. Where it is missing the tests say so and are skipped; where `CI` is set they fail.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// Starts what follows, and ends it by a signal that it is told; or when whoever started us is gone: then it takes the folder
/// away.
const NURSE: &str = r#"folder=$1; shift; "$@" & server=$!; read -r signal; kill -"${signal:-INT}" $server; wait $server
[ -n "$signal" ] || rm -rf "$folder""#;

/// For tests that lose nothing when the machine fails.
const FAST: &[&str] = &["fsync=off"];
/// As it comes: what is committed is on the disk.
#[allow(dead_code, reason = "not every test needs it")]
pub const DURABLE: &[&str] = &["fsync=on"];

/// A server. Its nurse's standard input holds it alive.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    #[allow(dead_code, reason = "for those that start it again")]
    settings: &'static [&'static str],
    #[allow(dead_code, reason = "holding it is its use")]
    nurse: Child,
}

impl Server {
    fn new(initdb: &Path, program: &Path, settings: &'static [&'static str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bellwire-pg-")
            .tempdir()
            .unwrap()
            .keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let made = as_nobody(initdb)
            .args(["-U", "bellwire", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-D"])
            .arg(folder.join("data"))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let nurse = nurse(&folder, program, settings);
        Self {
            folder,
            programs: program.parent().unwrap().to_owned(),
            settings,
            nurse,
        }
    }

    /// Ends it without letting it finish anything (an immediate shutdown, by `SIGQUIT`), and starts it again.
    #[allow(dead_code, reason = "not every test does")]
    pub fn crash(&mut self) {
        self.nurse.stdin.take().unwrap().write_all(b"QUIT\n").unwrap();
        self.nurse.wait().unwrap();
        self.nurse = nurse(&self.folder, &self.programs.join("postgres"), self.settings);
    }

    /// Where its socket is.
    #[allow(dead_code, reason = "not every test does")]
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
#[allow(dead_code, reason = "not every test does")]
pub fn url(folder: &Path, user: &str, schema: &str) -> String {
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://{user}@{folder}/postgres?schema={schema}")
}

/// The server of all tests of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match find("initdb").zip(find("postgres")) {
        Some((initdb, program)) => Server::new(&initdb, &program, FAST),
        None if is_ci() => panic!("`initdb` is missing: install postgresql"),
        None => {
            eprintln!("skipped: `initdb` is missing; install postgresql to test the store in PostgreSQL");
            std::process::exit(0);
        }
    })
}

/// Whether there is a server to be started; where `CI` is set there must be.
#[allow(dead_code, reason = "for those that are not skipped as a whole")]
pub fn is_installed() -> bool {
    is_ci() || find("initdb").zip(find("postgres")).is_some()
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

/// A server of a test's own.
#[allow(dead_code, reason = "not every test does")]
pub fn own_server(settings: &'static [&'static str]) -> Server {
    // Says what is missing, or goes.
    server();
    let (initdb, program) = find("initdb").zip(find("postgres")).unwrap();
    Server::new(&initdb, &program, settings)
}

fn nurse(folder: &Path, program: &Path, settings: &[&str]) -> Child {
    let mut server = as_nobody(program);
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    let always = [
        "listen_addresses=",
        "max_connections=300",
        "shared_buffers=64MB",
        "log_min_messages=warning",
        "autovacuum=off",
    ];
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
    child
}
