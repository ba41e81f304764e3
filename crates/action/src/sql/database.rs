//! Which database, and how to get into it.

use std::path::PathBuf;

use super::query::Dialect;
use crate::{
    server::{ServerUrl, is_loopback},
    text::Secret,
};

/// A database, as its URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of SQLite. It has to exist.
    Sqlite(PathBuf),
    /// A server of PostgreSQL.
    Postgres(Server),
    /// A server of MySQL or MariaDB.
    Mysql(Server),
}

/// A database server, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub place: Place,
    /// The user.
    pub user: String,
    /// The user's password, where it has one.
    pub password: Option<Secret>,
    /// The database; the server's own choice (usually the user's name) when the URL names none.
    pub database: Option<String>,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// PostgreSQL's `options`: `-c search_path=shop`.
    pub options: Option<String>,
    /// What the server's own lists show for the connection.
    pub application: Option<String>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a port.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a socket of this machine.
    Socket(PathBuf),
}

/// How a connection to a database is encrypted; the words are PostgreSQL's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Disable,
    /// Where the server offers it; its certificate is not looked at.
    Prefer,
    /// Always; the certificate is not looked at, so it only helps against those who listen.
    Require,
    /// Always, and the certificate has to be the host's.
    VerifyFull,
}

/// Parameters that other programs put into URLs and that change nothing here.
const IGNORED: &[&str] = &[
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "target_session_attrs",
];

impl Database {
    /// Reads `postgres://user:password@host/database`, `mysql://…` or `sqlite:path`.
    ///
    /// # Errors
    /// What is wrong and what to do, without the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.is_empty() || path.contains(['?', '\0']) {
                true => Err("names no file; write sqlite:path/to/file.db, without options".to_owned()),
                false => Ok(Self::Sqlite(path.into())),
            };
        }
        let url = ServerUrl::parse(url)?;
        match url.scheme.as_str() {
            "postgres" | "postgresql" => Server::new(url, 5432, "host", |folder, port| {
                PathBuf::from(folder).join(format!(".s.PGSQL.{port}"))
            })
            .map(Self::Postgres),
            "mysql" | "mariadb" => Server::new(url, 3306, "socket", |file, _| PathBuf::from(file)).map(Self::Mysql),
            _ => Err("does not start with postgres://, mysql:// or sqlite:".to_owned()),
        }
    }

    /// What it speaks.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Whether it is reached without the network: a file or a socket of this machine, which only the operator may name.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(server) | Self::Mysql(server) => matches!(server.place, Place::Socket(_)),
        }
    }
}

impl Server {
    fn new(url: ServerUrl, port: u16, socket: &str, path: fn(&str, u16) -> PathBuf) -> Result<Self, String> {
        let port = url.port.unwrap_or(port);
        let mut place = None;
        let mut tls = None;
        let (mut options, mut application) = (None, None);
        for (name, value) in url.query {
            match name.as_str() {
                "sslmode" => tls = Some(tls_of(&value)?),
                "options" => options = Some(value),
                "application_name" => application = Some(value),
                name if name == socket && value.starts_with('/') => place = Some(Place::Socket(path(&value, port))),
                name if IGNORED.contains(&name) => {}
                name => {
                    return Err(format!(
                        "has the unknown option `{name}`; there are sslmode, {socket}, options and application_name"
                    ));
                }
            }
        }
        let place = match place {
            Some(socket) => socket,
            None if url.host.starts_with('/') => Place::Socket(path(&url.host, port)),
            None if url.host.is_empty() => return Err("names no host".to_owned()),
            None => Place::Tcp { host: url.host, port },
        };
        let usual = match &place {
            Place::Socket(_) => Tls::Disable,
            Place::Tcp { host, .. } if is_loopback(host) => Tls::Prefer,
            Place::Tcp { .. } => Tls::VerifyFull,
        };
        Ok(Self {
            tls: match place {
                Place::Socket(_) => Tls::Disable,
                Place::Tcp { .. } => tls.unwrap_or(usual),
            },
            place,
            user: url
                .user
                .ok_or("names no user; write postgres://user:password@host/database")?,
            password: url.password,
            database: Some(url.path).filter(|name| !name.is_empty()),
            options,
            application,
        })
    }
}

fn tls_of(mode: &str) -> Result<Tls, String> {
    match mode {
        "disable" => Ok(Tls::Disable),
        "allow" | "prefer" => Ok(Tls::Prefer),
        "require" => Ok(Tls::Require),
        "verify-full" => Ok(Tls::VerifyFull),
        "verify-ca" => Err("asks for sslmode=verify-ca, which lets any name pass; write verify-full".to_owned()),
        _ => Err("has an unknown sslmode; give disable, prefer, require or verify-full".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        match Database::parse(url).unwrap() {
            Database::Postgres(server) | Database::Mysql(server) => server,
            Database::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn a_remote_server_has_to_prove_who_it_is_unless_somebody_says_otherwise() {
        for (url, tls) in [
            ("postgres://u@db.example.com/d", Tls::VerifyFull),
            ("postgresql://u@10.0.0.1/d", Tls::VerifyFull),
            (
                "postgres://u@db.example.com/d?sslmode=require&channel_binding=require",
                Tls::Require,
            ),
            ("mysql://u@db.example.com/d?sslmode=disable", Tls::Disable),
            ("mysql://u@127.0.0.1/d", Tls::Prefer),
            ("postgres://u@localhost/d?sslmode=verify-full", Tls::VerifyFull),
            ("postgres://u@/d?host=/run/postgresql&sslmode=require", Tls::Disable),
        ] {
            assert_eq!(server(url).tls, tls, "{url}");
        }
    }

    #[test]
    fn files_and_sockets_are_of_this_machine() {
        for (url, path) in [
            ("postgres://u@/d?host=/run/postgresql", "/run/postgresql/.s.PGSQL.5432"),
            ("postgres://u@%2Frun%2Fpg:5433/d", "/run/pg/.s.PGSQL.5433"),
            ("mysql://u@/d?socket=/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"),
        ] {
            assert!(Database::parse(url).unwrap().is_local());
            assert_eq!(server(url).place, Place::Socket(path.into()), "{url}");
        }
        for (url, path) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite:/var/a.db", "/var/a.db"),
            ("sqlite:///var/a.db", "/var/a.db"),
        ] {
            assert_eq!(Database::parse(url).unwrap(), Database::Sqlite(path.into()));
        }
        assert!(!Database::parse("postgres://u@db").unwrap().is_local());
    }

    #[test]
    fn what_is_not_understood_is_refused_rather_than_ignored() {
        for (url, why) in [
            ("oracle://u:canary@h", "does not start with"),
            ("sqlite:", "names no file"),
            ("sqlite:a.db?mode=memory", "without options"),
            ("postgres://:canary@h/d", "names no user"),
            ("postgres://u:canary@/d", "names no host"),
            ("postgres://u:canary@h/d?sslmode=on", "unknown sslmode"),
            ("postgres://u:canary@h/d?sslmode=verify-ca", "verify-full"),
            ("postgres://u:canary@h/d?sslrootcert=x", "unknown option `sslrootcert`"),
        ] {
            let error = Database::parse(url).unwrap_err();
            assert!(error.contains(why) && !error.contains("canary"), "{url}: {error}");
        }
    }
}
