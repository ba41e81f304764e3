//! TLS on the way to the database: what each `sslmode` accepts, with a real server.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use bellwire_core::seal::{Keyring, MainSecret};
use bellwire_store::{
    OpenError, SystemClock,
    backends::{self, OpenOptions},
    vault::Vault,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use self::server::{Server, own_server};

/// A server that speaks TLS for `localhost`, its port, and the file with its authority.
fn secure_server(folder: &Path) -> (Server, u16, PathBuf) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (root, cert, key) = (
        file("root.pem", &root.pem()),
        file("cert.pem", &leaf.pem()),
        file("key.pem", &key.serialize_pem()),
    );
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // A server that runs as nobody wants its key to itself; where we are not root, it is ours already.
    drop(Command::new("chown").arg("nobody").arg(&key).output());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = [
        "fsync=off".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", cert.display()),
        format!("ssl_key_file={}", key.display()),
    ];
    let settings: Vec<&'static str> = settings.into_iter().map(|text| &*text.leak()).collect();
    (own_server(settings.leak()), port, root)
}

async fn open(url: &str) -> Result<(), OpenError> {
    let secret = MainSecret::from_bytes([3; 32]).unwrap();
    let options = OpenOptions::new(Arc::new(SystemClock), Vault::new(Keyring::new(secret)));
    let store = backends::open(url, options).await?;
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn each_mode_accepts_what_it_should_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port, root) = secure_server(folder.path());
    let root = root.display().to_string();
    let trusted = format!("verify-full&sslrootcert={root}");
    for (host, mode, refusal) in [
        ("localhost", "disable", None),
        ("localhost", "require", None),
        ("127.0.0.1", "require", None),
        ("localhost", trusted.as_str(), None),
        // Its certificate is for another name, or of an authority that nobody knows.
        ("127.0.0.1", trusted.as_str(), Some("certificate")),
        ("localhost", "verify-full", Some("certificate")),
    ] {
        let url = format!("postgres://bellwire@{host}:{port}/postgres?sslmode={mode}");
        let opened = open(&url).await;
        match refusal {
            None => opened.unwrap(),
            Some(word) => {
                let said = opened.unwrap_err().to_string();
                assert!(said.contains(word), "{host}, {mode}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_refused_where_it_is_required() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = [
        "fsync=off".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
    ];
    let settings: Vec<&'static str> = settings.into_iter().map(|text| &*text.leak()).collect();
    let _server = own_server(settings.leak());
    for (mode, opens) in [("prefer", true), ("require", false), ("verify-full", false)] {
        let opened = open(&format!("postgres://bellwire@localhost:{port}/postgres?sslmode={mode}")).await;
        assert_eq!(opened.is_ok(), opens, "{mode}: {opened:?}");
    }
}
