//! Database servers of the tests' own: loopback, a free port, a temporary folder, gone when the tests are.
//!
//! They are Debian's packages. Where they are missing the tests fail and say what to install; `cargo xtask test` installs it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Starts what follows, ends it when whoever started us is gone, and takes the folder away.
const NURSE: &str = r#"folder=$1 signal=$2; shift 2; "$@" & server=$!; read -r _; kill -"$signal" $server; wait $server; rm -rf "$folder""#;

pub(super) struct Server {
    pub port: u16,
    pub folder: PathBuf,
    /// The authority that its certificate is of.
    pub root: Vec<u8>,
    /// Its standard input holds it alive.
    _nurse: Child,
}

pub(super) const PASSWORD: &str = "pass/word@1";

/// The PostgreSQL of all tests of this process, with a user `shop` that has a password.
pub(super) fn postgres() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let (initdb, program) = (find("initdb", "postgresql"), find("postgres", "postgresql"));
        let folder = folder();
        let root = certificate(&folder);
        let data = folder.join("data");
        let password = folder.join("password");
        write(&password, PASSWORD);
        let mut initdb = as_nobody(&initdb);
        initdb
            .args([
                "-U",
                "shop",
                "-A",
                "scram-sha-256",
                "-N",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data);
        initdb.arg(format!("--pwfile={}", password.display()));
        succeeds(initdb.current_dir(&folder));
        let port = free_port();
        let mut server = as_nobody(&program);
        server
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .arg("-k")
            .arg(&folder);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "ssl=on",
            "log_min_messages=warning",
        ] {
            server.args(["-c", setting]);
        }
        server.args(["-c", &format!("ssl_cert_file={}", folder.join("cert.pem").display())]);
        server.args(["-c", &format!("ssl_key_file={}", folder.join("key.pem").display())]);
        start(server, folder, port, root, "INT", "ready to accept connections")
    })
}

/// The MariaDB of all tests of this process, with a user `shop` that has a password.
pub(super) fn mariadb() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let package = "mariadb-server-core and mariadb-client-core";
        let (install, program) = (find("mariadb-install-db", package), find("mariadbd", package));
        let folder = folder();
        let root = certificate(&folder);
        let data = folder.join("data");
        let mut install = as_nobody(&install);
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        install.arg(format!("--datadir={}", data.display()));
        succeeds(install.current_dir(&folder));
        let init = folder.join("init.sql");
        write(
            &init,
            &format!("CREATE USER shop@localhost IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO shop@localhost;\n"),
        );
        let port = free_port();
        let mut server = as_nobody(&program);
        server.args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
        ]);
        for (name, file) in [
            ("datadir", "data"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("ssl-cert", "cert.pem"),
            ("ssl-key", "key.pem"),
            ("init-file", "init.sql"),
        ] {
            server.arg(format!("--{name}={}", folder.join(file).display()));
        }
        server.arg(format!("--port={port}"));
        start(server, folder, port, root, "TERM", "ready for connections")
    })
}

/// A program, in the folders where Debian puts it.
fn find(program: &str, package: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    folders.extend(["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from));
    let found = folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("`{program}` is missing: install {package}, or run `cargo xtask test unit`, which does; these tests need a real server")
    })
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

/// A folder that the server's user may write to. The nurse takes it away.
fn folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("bellwire-sql-")
        .tempdir()
        .unwrap()
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Writes a certificate for `localhost` alone, and its key; answers the authority's own.
fn certificate(folder: &Path) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    write(&folder.join("cert.pem"), &leaf.pem());
    // PostgreSQL wants nobody else to read the key, and it is to be the server's own: so the server's user writes it.
    let path = folder.join("key.pem");
    let mut copy = as_nobody(Path::new("sh"));
    copy.args(["-c", r#"umask 077; printf %s "$1" >"$2""#, "sh", &key.serialize_pem()])
        .arg(&path);
    succeeds(&mut copy);
    root.der().to_vec()
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it says that it is ready.
fn start(server: Command, folder: PathBuf, port: u16, root: Vec<u8>, signal: &str, ready: &str) -> Server {
    let mut nurse = Command::new("sh");
    nurse
        .args(["-c", NURSE, "sh"])
        .arg(&folder)
        .arg(signal)
        .arg(server.get_program())
        .args(server.get_args());
    let spawned = nurse
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let mut child = spawned.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("the server ended: {said:#?}");
        };
        let is_ready = line.contains(ready);
        said.push(line);
        if is_ready {
            break;
        }
    }
    // Whoever nobody listens to stands still.
    std::thread::spawn(move || lines.for_each(drop));
    Server {
        port,
        folder,
        root,
        _nurse: child,
    }
}
