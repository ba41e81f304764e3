//! A session with a mail server: opened through the guard, encrypted, logged in, ready for letters.

use std::net::SocketAddr;

use bellwire_action::{
    email::{Mail, SUBMISSION_PORTS, SmtpServer, Tls},
    is_loopback,
};
use bellwire_core::attempt::Failure;

use super::dialog::{Dialog, Offers, Trouble};
use crate::guard::{Certificate, ConnectError, Guard, Service, Stream};

/// A conversation that has come as far as the first letter.
#[derive(Debug)]
pub(super) struct Session {
    dialog: Dialog<Stream>,
    offers: Offers,
}

impl Session {
    /// Connects, encrypts and logs in.
    pub async fn open(server: &SmtpServer, guard: &Guard) -> Result<Self, Failure> {
        let service = Service {
            host: &server.host,
            port: server.port,
            usual: SUBMISSION_PORTS,
        };
        let mut opened = guard.open(service).await.map_err(not_connected)?;
        let name = our_name(opened.tcp.local_addr().ok());
        let (stream, offers) = match server.tls {
            Tls::Implicit => {
                let stream = guard
                    .secure(opened, Certificate::Verified)
                    .await
                    .map_err(not_connected)?;
                (stream, None)
            }
            Tls::None => (opened.plain(), None),
            Tls::Required | Tls::Opportunistic => {
                let mut clear = Dialog::new(&mut opened.tcp);
                clear.greeting().await.map_err(not_greeted)?;
                let offers = clear.hello(&name).await.map_err(not_greeted)?;
                if offers.starttls {
                    clear.starttls().await.map_err(not_encrypted)?;
                    let stream = guard
                        .secure(opened, Certificate::Verified)
                        .await
                        .map_err(not_connected)?;
                    let mut dialog = Dialog::new(stream);
                    // What was offered in the clear counts no more (RFC 3207 section 4.2).
                    let offers = dialog.hello(&name).await.map_err(not_greeted)?;
                    return Self { dialog, offers }.logged_in(server).await;
                }
                if server.tls == Tls::Required {
                    return Err(Failure {
                        reason: "smtp_tls",
                        detail: "the server does not offer STARTTLS, and nothing was sent; write smtps://, or tls=none where \
                                 letters may be read on their way"
                            .to_owned(),
                    });
                }
                (opened.plain(), Some(offers))
            }
        };
        let mut dialog = Dialog::new(stream);
        let offers = match offers {
            Some(offers) => offers,
            None => {
                dialog.greeting().await.map_err(not_greeted)?;
                dialog.hello(&name).await.map_err(not_greeted)?
            }
        };
        Self { dialog, offers }.logged_in(server).await
    }

    async fn logged_in(mut self, server: &SmtpServer) -> Result<Self, Failure> {
        let Some((user, password)) = &server.login else {
            return Ok(self);
        };
        let is_clear = !self.dialog.stream().is_tls();
        if is_clear && server.tls != Tls::None && !is_loopback(&server.host) {
            return Err(Failure {
                reason: "smtp_tls",
                detail:
                    "the server does not offer STARTTLS, and a password is not sent in the clear; write smtps://, or \
                         tls=none where it may be read on its way"
                        .to_owned(),
            });
        }
        let login = self.dialog.login(self.offers, user, password).await;
        login.map_err(|trouble| match trouble {
            Trouble::Lacks(what) => Failure {
                reason: "smtp_auth",
                detail: format!(
                    "the server does not offer {what}; take user name and password out of the URL, or encrypt"
                ),
            },
            Trouble::Refused { reply, .. } if reply.code >= 500 => Failure {
                reason: "smtp_auth",
                detail: format!("the server refuses the login: {reply}; check user name and password"),
            },
            other => failure(other, "smtp_auth"),
        })?;
        Ok(self)
    }

    /// Whether the server is still there, ready for a letter.
    pub async fn is_alive(&mut self) -> bool {
        self.dialog.reset().await.is_ok()
    }

    /// Hands over a letter; what the server says to it. A refused letter leaves the session usable.
    pub async fn send(&mut self, mail: &Mail) -> Result<String, Failure> {
        let envelope = self
            .dialog
            .envelope(&mail.envelope, mail.bytes.len(), self.offers)
            .await;
        let sent = match envelope {
            Ok(()) => self.dialog.data(&mail.bytes).await,
            Err(trouble) => Err(trouble),
        };
        match sent {
            Ok(reply) => Ok(reply.to_string()),
            Err(Trouble::Lacks(what)) => Err(Failure {
                reason: "smtp_permanent",
                detail: format!("the server does not offer {what}; the letter cannot go this way"),
            }),
            Err(trouble) => Err(failure(trouble, "smtp_permanent")),
        }
    }
}

/// How we introduce ourselves: by our address, because a host's name is often none that others know (RFC 5321 section 4.1.4).
fn our_name(address: Option<SocketAddr>) -> String {
    match address.map(|address| address.ip().to_canonical()) {
        Some(std::net::IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Some(std::net::IpAddr::V4(ip)) => format!("[{ip}]"),
        None => "[127.0.0.1]".to_owned(),
    }
}

fn not_connected(error: ConnectError) -> Failure {
    Failure {
        reason: error.reason(),
        detail: error.to_string(),
    }
}

/// Before the first letter a server's no is about us, now, and not about a letter.
fn not_greeted(trouble: Trouble) -> Failure {
    failure(trouble, "smtp_failed")
}

fn not_encrypted(trouble: Trouble) -> Failure {
    failure(trouble, "smtp_tls")
}

/// What a server's no means: 5xx stays so and is called `permanent`, all else passes, also what has no place here.
fn failure(trouble: Trouble, permanent: &'static str) -> Failure {
    match trouble {
        Trouble::Broken(error) => Failure {
            reason: "smtp_failed",
            detail: format!("the conversation with the mail server broke off: {error}"),
        },
        Trouble::Lacks(what) => Failure {
            reason: "smtp_failed",
            detail: format!("the server does not offer {what}"),
        },
        Trouble::Refused { step, reply } => Failure {
            reason: match reply.code {
                500.. => permanent,
                _ => "smtp_transient",
            },
            detail: format!("the server's answer to {step}: {reply}"),
        },
    }
}
