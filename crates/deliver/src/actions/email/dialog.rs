//! What is said to a mail server, and what it answers (RFC 5321).
//!
//! Every answer is bounded: a server that never ends a line costs no memory.

use std::{fmt, io};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bellwire_action::text::Secret;
use lettre::address::Envelope;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// The longest line of an answer; RFC 5321 allows 512 bytes.
const LINE_BYTES_MAX: u64 = 4_096;
/// The most lines of one answer.
const LINES_MAX: usize = 128;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" "))
    }
}

/// Why a step was not taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection broke, or what came is no SMTP.
    Broken(io::Error),
    /// The server said no.
    Refused {
        /// To what.
        step: &'static str,
        reply: Reply,
    },
    /// The server does not offer what the letter needs.
    Lacks(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What a server says it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offers {
    pub starttls: bool,
    pub utf8: bool,
    pub size: bool,
    pub auth_plain: bool,
    pub auth_login: bool,
}

impl Offers {
    fn of(hello: &Reply) -> Self {
        let mut offers = Self::default();
        for line in hello.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // `AUTH=PLAIN` is how servers of the last century say it.
            let mut words = line.split([' ', '=']);
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("SIZE") => offers.size = true,
                Some("AUTH") => words.for_each(|word| match word {
                    "PLAIN" => offers.auth_plain = true,
                    "LOGIN" => offers.auth_login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        offers
    }
}

/// A conversation with a mail server.
#[derive(Debug)]
pub(super) struct Dialog<S> {
    io: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    pub fn new(io: S) -> Self {
        Self { io: BufReader::new(io) }
    }

    /// What is spoken over.
    pub fn stream(&self) -> &S {
        self.io.get_ref()
    }

    /// Hears the greeting.
    pub async fn greeting(&mut self) -> Result<(), Trouble> {
        let reply = self.reply().await?;
        expect("the connection", 220, reply).map(drop)
    }

    /// Introduces us.
    pub async fn hello(&mut self, name: &str) -> Result<Offers, Trouble> {
        let reply = self.say("EHLO", &format!("EHLO {name}"), 250).await?;
        Ok(Offers::of(&reply))
    }

    /// Asks to speak TLS from here on. What the server has sent beyond its answer would be taken for encrypted: an error.
    pub async fn starttls(&mut self) -> Result<(), Trouble> {
        self.say("STARTTLS", "STARTTLS", 220).await?;
        if self.io.buffer().is_empty() {
            Ok(())
        } else {
            Err(io::Error::other("the server went on talking in the clear after it agreed to TLS").into())
        }
    }

    /// Logs in. The password is in no error: a server's answer to it is not repeated.
    pub async fn login(&mut self, offers: Offers, user: &str, password: &Secret) -> Result<(), Trouble> {
        const STEP: &str = "the login";
        if offers.auth_plain {
            let secret = BASE64_STANDARD.encode(format!("\0{user}\0{}", password.expose()));
            self.say(STEP, &format!("AUTH PLAIN {secret}"), 235).await?;
        } else if offers.auth_login {
            self.say(STEP, "AUTH LOGIN", 334).await?;
            self.say(STEP, &BASE64_STANDARD.encode(user), 334).await?;
            self.say(STEP, &BASE64_STANDARD.encode(password.expose()), 235).await?;
        } else {
            return Err(Trouble::Lacks("AUTH PLAIN or AUTH LOGIN"));
        }
        Ok(())
    }

    /// Forgets what was begun; shows that the server is still there.
    pub async fn reset(&mut self) -> Result<(), Trouble> {
        self.say("RSET", "RSET", 250).await.map(drop)
    }

    /// Says whom the letter is from and to. All recipients have to be accepted: nobody gets it otherwise.
    pub async fn envelope(&mut self, envelope: &Envelope, bytes: usize, offers: Offers) -> Result<(), Trouble> {
        let from = envelope.from().map(ToString::to_string).unwrap_or_default();
        let is_ascii = from.is_ascii() && envelope.to().iter().all(|to| AsRef::<str>::as_ref(to).is_ascii());
        if !is_ascii && !offers.utf8 {
            return Err(Trouble::Lacks(
                "SMTPUTF8, which addresses with letters beyond ASCII need",
            ));
        }
        let size = if offers.size {
            format!(" SIZE={bytes}")
        } else {
            String::new()
        };
        let utf8 = if is_ascii { "" } else { " BODY=8BITMIME SMTPUTF8" };
        self.say("MAIL FROM", &format!("MAIL FROM:<{from}>{size}{utf8}"), 250)
            .await?;
        for to in envelope.to() {
            // 251: the server passes it on to another address. 252: it cannot say whether the address exists, and takes the letter.
            accepted("RCPT TO", self.ask(&format!("RCPT TO:<{to}>")).await?)?;
        }
        Ok(())
    }

    /// Hands the letter over; the server's last word on it.
    pub async fn data(&mut self, letter: &[u8]) -> Result<Reply, Trouble> {
        self.say("DATA", "DATA", 354).await?;
        self.io.get_mut().write_all(&stuffed(letter)).await?;
        self.io.get_mut().flush().await?;
        accepted("the letter", self.reply().await?)
    }

    async fn say(&mut self, step: &'static str, line: &str, expected: u16) -> Result<Reply, Trouble> {
        let reply = self.ask(line).await?;
        expect(step, expected, reply)
    }

    async fn ask(&mut self, line: &str) -> Result<Reply, Trouble> {
        if line.contains(['\r', '\n']) {
            return Err(io::Error::other("a command would have had two lines; nothing was sent").into());
        }
        self.io.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
        self.io.get_mut().flush().await?;
        Ok(self.reply().await?)
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let mut line = Vec::new();
            let mut limited = (&mut self.io).take(LINE_BYTES_MAX);
            limited.read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                return Err(match line.len() as u64 {
                    LINE_BYTES_MAX => io::Error::other("an answer has a line that does not end"),
                    _ => io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"),
                });
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
            let code = code
                .and_then(|code| code.parse().ok())
                .filter(|code| (200..600).contains(code));
            let more = line.as_bytes().get(3).copied();
            let (Some(code), None | Some(b' ' | b'-')) = (code, more) else {
                return Err(io::Error::other("an answer is no SMTP"));
            };
            let text = line.get(4..).unwrap_or_default();
            lines.push(text.chars().filter(|c| !c.is_control()).collect());
            if more != Some(b'-') {
                return Ok(Reply { code, lines });
            }
        }
        Err(io::Error::other("an answer has too many lines"))
    }
}

fn expect(step: &'static str, expected: u16, reply: Reply) -> Result<Reply, Trouble> {
    if reply.code == expected {
        Ok(reply)
    } else {
        Err(Trouble::Refused { step, reply })
    }
}

/// A step that is taken by whatever answer of 2xx: the first digit says so alone (RFC 5321 section 4.2.1).
fn accepted(step: &'static str, reply: Reply) -> Result<Reply, Trouble> {
    match reply.code {
        200..=299 => Ok(reply),
        _ => Err(Trouble::Refused { step, reply }),
    }
}

/// The letter as it goes over the wire (RFC 5321 section 4.5.2): every line ends with CR LF, one that begins with a dot gets another,
/// and a dot alone ends it.
fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(letter.len() + letter.len() / 64 + 8);
    let mut rest = letter.strip_suffix(b"\r\n").unwrap_or(letter);
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        wire.extend_from_slice(b"\r\n");
        let Some(end) = end else { break };
        let skip = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + skip..];
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_letter_ends_it_and_all_lines_end_alike() {
        for (letter, wire) in [
            ("a\r\nb\r\n", "a\r\nb\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..b", "..\r\n...b\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("\r\n\r\n", "\r\n\r\n.\r\n"),
        ] {
            let stuffed = String::from_utf8(stuffed(letter.as_bytes())).unwrap();
            assert_eq!(stuffed, wire, "{letter:?}");
        }
    }

    #[test]
    fn offers_are_found_whatever_their_spelling() {
        let lines = [
            "mail.example.com hello AUTH",
            "size 1000",
            "AUTH LOGIN plain",
            "StartTLS",
            "X-OTHER",
        ];
        let offers = Offers::of(&Reply {
            code: 250,
            lines: lines.map(str::to_owned).to_vec(),
        });
        assert!(offers.size && offers.auth_plain && offers.auth_login && offers.starttls && !offers.utf8);
        let none = Offers::of(&Reply {
            code: 250,
            lines: vec!["STARTTLS".to_owned()],
        });
        assert_eq!(none, Offers::default(), "the first line is a greeting");
    }
}
