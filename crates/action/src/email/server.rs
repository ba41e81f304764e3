//! The mail server a letter is handed to.

use crate::{
    server::{ServerUrl, is_loopback},
    text::Secret,
};

/// Ports of mail servers that take letters from their users. 25 is not among them: it is how servers talk to each other.
pub const SUBMISSION_PORTS: &[u16] = &[465, 587];

/// How the connection is kept from others' eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte (`smtps://`).
    Implicit,
    /// STARTTLS, and nothing is sent to a server that does not offer it.
    Required,
    /// STARTTLS where the server offers it. A password is never sent without.
    Opportunistic,
    /// Never.
    None,
}

/// Where letters are handed in, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// A name or an address.
    pub host: String,
    /// Its port: 465 with `smtps`, 587 with `smtp` when the URL names none.
    pub port: u16,
    /// How it is encrypted.
    pub tls: Tls,
    /// The user name and the password, where it wants them.
    pub login: Option<(String, Secret)>,
}

impl SmtpServer {
    /// Reads `smtps://user:password@host:465` or `smtp://host:587?tls=required|opportunistic|none`.
    ///
    /// # Errors
    /// What is wrong and what to do, without the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = ServerUrl::parse(url)?;
        let (port, mut tls) = match url.scheme.as_str() {
            "smtps" => (465, Tls::Implicit),
            "smtp" if is_loopback(&url.host) => (587, Tls::None),
            "smtp" => (587, Tls::Required),
            _ => return Err("does not start with smtps:// or smtp://".to_owned()),
        };
        if url.host.is_empty() {
            return Err("names no host; write smtps://user:password@smtp.example.com".to_owned());
        }
        if !url.path.is_empty() {
            return Err("has a path; a mail server has none".to_owned());
        }
        for (name, value) in &url.query {
            tls = match (name.as_str(), value.as_str(), tls) {
                ("tls", "required", Tls::Implicit) => Tls::Implicit,
                ("tls", _, Tls::Implicit) => return Err("says smtps and tls; write smtp:// for another tls".to_owned()),
                ("tls", "required", _) => Tls::Required,
                ("tls", "opportunistic", _) => Tls::Opportunistic,
                ("tls", "none", _) => Tls::None,
                ("tls", ..) => return Err("has an unknown tls; give required, opportunistic or none".to_owned()),
                _ => return Err("has an unknown option; there is only tls".to_owned()),
            };
        }
        let login = match (url.user, url.password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err("has a user name or a password alone; give both or none".to_owned()),
        };
        Ok(Self {
            host: url.host,
            port: url.port.unwrap_or(port),
            tls,
            login,
        })
    }

    /// The server without the login: what attempts show.
    pub fn description(&self) -> String {
        let (scheme, port) = match self.tls {
            Tls::Implicit => ("smtps", 465),
            _ => ("smtp", 587),
        };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == port {
            true => format!("{scheme}://{host}"),
            false => format!("{scheme}://{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_encrypted_unless_the_server_is_this_machine_or_somebody_says_none() {
        for (url, port, tls) in [
            ("smtps://h", 465, Tls::Implicit),
            ("smtps://h:4650?tls=required", 4650, Tls::Implicit),
            ("smtp://h", 587, Tls::Required),
            ("smtp://10.0.0.1:25", 25, Tls::Required),
            ("smtp://127.0.0.1:2525", 2525, Tls::None),
            ("smtp://localhost?tls=required", 587, Tls::Required),
            ("smtp://h?tls=opportunistic", 587, Tls::Opportunistic),
            ("smtp://h:25?tls=none", 25, Tls::None),
        ] {
            let server = SmtpServer::parse(url).unwrap();
            assert_eq!((server.port, server.tls), (port, tls), "{url}");
        }
    }

    #[test]
    fn a_url_that_says_too_much_or_too_little_is_refused() {
        for (url, why) in [
            ("https://h", "smtps:// or smtp://"),
            ("smtps://", "no host"),
            ("smtps://u@h", "both or none"),
            ("smtps://:p@h", "both or none"),
            ("smtps://h/inbox", "path"),
            ("smtps://h?tls=none", "smtps and tls"),
            ("smtp://h?tls=maybe", "unknown tls"),
            ("smtp://h?timeout=1", "unknown option"),
        ] {
            let error = SmtpServer::parse(url).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
    }

    #[test]
    fn attempts_show_the_server_and_not_the_login() {
        let shown = |url| SmtpServer::parse(url).unwrap().description();
        assert_eq!(shown("smtps://u:canary@h"), "smtps://h");
        assert_eq!(shown("smtp://u:canary@[::1]:2525"), "smtp://[::1]:2525");
    }
}
