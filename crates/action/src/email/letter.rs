//! A letter: everything filled in, ready to be handed to a mail server.

use std::time::{Duration, SystemTime};

use bellwire_core::time::Timestamp;
use lettre::{
    Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use serde_json::{Value, json};

use crate::PlanError;

/// A letter for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What names this letter and no other, the same over attempts ([`Event::effect_id`](crate::Event::effect_id)).
    pub id: String,
    /// Whom it is from.
    pub from: Mailbox,
    /// To whom; at least one.
    pub to: Vec<Mailbox>,
    /// Who gets a copy.
    pub cc: Vec<Mailbox>,
    /// Who gets a copy without the others' knowing.
    pub bcc: Vec<Mailbox>,
    /// Who gets the answers; the sender where nobody is named.
    pub reply_to: Vec<Mailbox>,
    /// One line.
    pub subject: String,
    /// For readers of plain text.
    pub text: Option<String>,
    /// For all others.
    pub html: Option<String>,
    /// Further headers, one line each.
    pub headers: Vec<(String, String)>,
}

/// A letter as a mail server takes it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Who is told to the server.
    pub envelope: Envelope,
    /// Headers and body.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// The letter as it is written at `date`. Its `Message-ID` is made from its id, so that a mail system that gets the letter twice can
    /// tell.
    ///
    /// # Errors
    /// A letter that cannot be written: one without a recipient.
    pub fn write(&self, date: Timestamp) -> Result<Mail, PlanError> {
        let mut builder = Message::builder()
            .message_id(Some(format!("<{}@{}>", self.id, self.from.email.domain())))
            .date(system_time(date))
            .from(self.from.clone())
            .subject(self.subject.as_str());
        for mailbox in &self.to {
            builder = builder.to(mailbox.clone());
        }
        for mailbox in &self.cc {
            builder = builder.cc(mailbox.clone());
        }
        for mailbox in &self.bcc {
            builder = builder.bcc(mailbox.clone());
        }
        for mailbox in &self.reply_to {
            builder = builder.reply_to(mailbox.clone());
        }
        for (name, value) in &self.headers {
            let field = HeaderName::new_from_ascii(name.clone())
                .map_err(|_| PlanError::new(format!("headers.{name}"), "is not a header's name"))?;
            builder = builder.raw_header(HeaderValue::new(field, value.clone()));
        }
        let plain = |text: &str| SinglePart::plain(lines(text));
        let html = |html: &str| SinglePart::html(lines(html));
        let message = match (&self.text, &self.html) {
            (Some(text), Some(page)) => {
                // Nobody who wrote the payload can know the message's id: the boundary occurs in no part.
                let parts = MultiPart::alternative().boundary(self.boundary());
                builder.multipart(parts.singlepart(plain(text)).singlepart(html(page)))
            }
            (None, Some(page)) => builder.singlepart(html(page)),
            (text, None) => builder.singlepart(plain(text.as_deref().unwrap_or_default())),
        };
        let message = message.map_err(|error| PlanError::new("to", error))?;
        Ok(Mail {
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
        })
    }

    /// What stands between the parts: at most 70 characters (RFC 2046 section 5.1.1).
    fn boundary(&self) -> String {
        self.id.chars().take(70).collect()
    }

    /// The letter as JSON, to be shown.
    pub fn preview(&self) -> Value {
        let all = |mailboxes: &[Mailbox]| mailboxes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut shown = json!({
            "from": self.from.to_string(),
            "to": all(&self.to),
            "subject": self.subject,
        });
        for (name, mailboxes) in [("cc", &self.cc), ("bcc", &self.bcc), ("replyTo", &self.reply_to)] {
            if !mailboxes.is_empty() {
                shown[name] = json!(all(mailboxes));
            }
        }
        for (name, body) in [("text", &self.text), ("html", &self.html)] {
            if let Some(body) = body {
                shown[name] = json!(body);
            }
        }
        for (name, value) in &self.headers {
            shown["headers"][name] = json!(value);
        }
        shown
    }
}

/// A text whose lines all end alike: what ends a line for one mail server and not for the next could hide a second letter in it.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn system_time(date: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(date.secs().max(0).unsigned_abs())
}
