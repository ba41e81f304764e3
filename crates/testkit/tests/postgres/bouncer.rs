//! A PgBouncer of the tests' own, in transaction mode, in front of their PostgreSQL. It ends with the tests.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use crate::server::server;

/// Ends the pooler, and takes its folder away, when whoever started us is gone.
const NURSE: &str = r#"folder=$1; shift; "$@" & pooler=$!; read -r _; kill $pooler; wait $pooler; rm -rf "$folder""#;
/// Sessions that all stores of the tests share.
const SESSIONS: usize = 12;

/// A pooler. Its nurse's standard input holds it alive.
pub struct Bouncer {
    folder: PathBuf,
    #[allow(dead_code, reason = "holding it is its use")]
    nurse: Child,
}

impl Bouncer {
    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The pooler of all tests of this process.
pub fn bouncer() -> &'static Bouncer {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    BOUNCER.get_or_init(|| {
        // Says what is missing, or goes.
        let database = server().folder();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        match program {
            Some(program) => start(program, database),
            None if is_ci() => panic!("`pgbouncer` is missing: install it"),
            None => {
                eprintln!("skipped: `pgbouncer` is missing; install it to test the store behind a pooler");
                std::process::exit(0);
            }
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "who runs the tests says so in the environment")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn start(program: &str, database: &Path) -> Bouncer {
    let folder = tempfile::Builder::new()
        .prefix("bellwire-pool-")
        .tempdir()
        .unwrap()
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let settings = folder.join("pgbouncer.ini");
    // Of the user that the tests log in as; no address is listened on, only a socket.
    let text = format!(
        "[databases]\n* = host={} user=bellwire\n[pgbouncer]\nlisten_port = 5432\nunix_socket_dir = {}\nauth_type = any\n\
         pool_mode = transaction\nmax_client_conn = 1000\ndefault_pool_size = {SESSIONS}\n",
        database.display(),
        folder.display(),
    );
    fs::write(&settings, text).unwrap();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut nurse = Command::new("sh");
    nurse.args(["-c", NURSE, "sh"]).arg(&folder);
    if is_root {
        nurse.args(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    let mut nurse = nurse
        .arg(program)
        .arg(&settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(nurse.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("the pooler ended: {said:#?}");
        };
        let is_ready = line.contains("process up");
        said.push(line);
        if is_ready {
            break;
        }
    }
    // Whoever nobody listens to stands still.
    std::thread::spawn(move || lines.for_each(drop));
    Bouncer { folder, nurse }
}
