//! The kind `email`: a letter, written by templates and handed to a mail server.
//!
//! Nothing that a message holds can become an address, a header or a line that the settings did not ask for: each recipient is
//! one template that makes one address, and a line break in anything but the bodies is an error.

mod letter;
mod mailbox;
mod server;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use bellwire_template::{Escape, MessageScope};
use lettre::message::Mailbox;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::Value;

pub use self::{
    letter::{Letter, Mail},
    server::{SUBMISSION_PORTS, SmtpServer, Tls},
};
use crate::{
    Called, Callee, Compiled, Event, PlanError, Problem,
    server::without_password,
    settings,
    text::{HtmlText, Secret, Text},
};

/// Recipients of all sorts together; a mail server takes at least a hundred (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// The longest subject or header, so that no line is too long (RFC 5322 section 2.1.1).
const LINE_BYTES_MAX: usize = 900;
/// Headers that are written from other settings, or that only mail servers write.
const OWN_HEADERS: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "sender",
    "return-path",
    "received",
    "mime-version",
    "dkim-signature",
    "authentication-results",
];
/// What tells other robots not to answer (RFC 3834 section 5).
const AUTO_SUBMITTED: &str = "Auto-Submitted";

/// The settings as a person writes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// The mail server: `smtps://user:password@host`, or `smtp://host:587?tls=required`.
    smtp: Secret,
    /// The sender, `Shop <shop@example.com>`; left out, the user name of `smtp` where that is an address.
    from: Option<Text>,
    /// The recipient, or several.
    to: Mailboxes,
    /// Who gets a copy. One that is empty for a message is left out.
    #[serde(default)]
    cc: Mailboxes,
    /// Who gets a copy without the others' knowing.
    #[serde(default)]
    bcc: Mailboxes,
    /// Who gets the answers; the sender when left out.
    #[serde(default)]
    reply_to: Mailboxes,
    /// One line.
    subject: Text,
    /// The letter as plain text.
    text: Option<Text>,
    /// The letter as HTML; what is written into it of the message is escaped.
    html: Option<HtmlText>,
    /// Further headers, by name.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
}

/// One template, or a list: each makes one address.
#[derive(Debug, Default)]
struct Mailboxes(Vec<Text>);

impl<'de> Deserialize<'de> for Mailboxes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Mailboxes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Mailboxes, E> {
                let text = Text::compile(text, Escape::None).map_err(E::custom)?;
                Ok(Mailboxes(vec![text]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Mailboxes, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Mailboxes(texts))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Mailboxes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mailboxes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = Text::json_schema(generator);
        json_schema!({ "anyOf": [text, { "type": "array", "items": text }] })
    }
}

/// Settings that were read, their templates compiled.
#[derive(Debug)]
pub struct Settings {
    server: SmtpServer,
    from: Text,
    form: Form,
}

impl Settings {
    /// The server that letters are handed to.
    pub fn server(&self) -> &SmtpServer {
        &self.server
    }

    /// The letter for a message.
    ///
    /// # Errors
    /// A template that does not render, an address that is none, a line break where there must be one line.
    pub fn plan(&self, event: &Event<'_>) -> Result<Letter, PlanError> {
        let scope = event.scope();
        let form = &self.form;
        let to = mailboxes("to", &form.to, &scope)?;
        if to.is_empty() {
            return Err(PlanError::new(
                "to",
                "is empty for this message: there is nobody to write to",
            ));
        }
        let from = mailbox("from", &self.from, &scope)?;
        let body = |name, text: Option<&Text>| match text {
            Some(text) => text.render(name, &scope).map(|text| Some(text.into_owned())),
            None => Ok(None),
        };
        let header =
            |(name, text): (&String, &Text)| Ok((name.clone(), line(&format!("headers.{name}"), text, &scope)?));
        let mut headers = form.headers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(AUTO_SUBMITTED))
        {
            headers.push((AUTO_SUBMITTED.to_owned(), "auto-generated".to_owned()));
        }
        Ok(Letter {
            id: event.effect_id(),
            from: from.ok_or_else(|| PlanError::new("from", "is empty for this message: a letter has a sender"))?,
            to,
            cc: mailboxes("cc", &form.cc, &scope)?,
            bcc: mailboxes("bcc", &form.bcc, &scope)?,
            reply_to: mailboxes("replyTo", &form.reply_to, &scope)?,
            subject: line("subject", &form.subject, &scope)?,
            text: body("text", form.text.as_ref())?,
            html: body("html", form.html.as_ref().map(|html| &html.0))?,
            headers,
        })
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let mut form: Form = settings::read(settings)?;
        let url = SmtpServer::parse(form.smtp.expose());
        let server = url.map_err(|why| Problem::at(["smtp"], format!("the URL {why}")))?;
        let from = match (form.from.take(), &server.login) {
            (Some(from), _) => from,
            (None, Some((user, _))) if user.contains('@') => constant("from", user)?,
            (None, _) => return Err(Problem::at(["from"], "is missing; give the sender's address")),
        };
        if form.text.is_none() && form.html.is_none() {
            return Err(Problem::at(
                ["text"],
                "is missing; a letter needs `text` or `html`, or both",
            ));
        }
        if form.to.0.is_empty() {
            return Err(Problem::at(["to"], "is empty; give at least one recipient"));
        }
        let recipients = form.to.0.len() + form.cc.0.len() + form.bcc.0.len();
        if recipients > RECIPIENTS_MAX {
            let message =
                format!("names {recipients} recipients with cc and bcc; a letter has at most {RECIPIENTS_MAX}");
            return Err(Problem::at(["to"], message));
        }
        for name in form.headers.keys() {
            check_header(name)?;
        }
        for (setting, texts) in [
            ("to", &form.to),
            ("cc", &form.cc),
            ("bcc", &form.bcc),
            ("replyTo", &form.reply_to),
        ] {
            texts.0.iter().try_for_each(|text| check_constant(setting, text))?;
        }
        check_constant("from", &from)?;
        Ok(Self { server, from, form })
    }

    fn hide(shown: &mut Value) {
        if let Some(Value::String(url)) = shown.get_mut("smtp") {
            *url = without_password(url);
        }
    }

    fn target(&self) -> String {
        self.server.description()
    }

    fn calls(&self) -> Option<Called> {
        Some(Called {
            setting: "smtp",
            what: Callee::Server {
                host: self.server.host.clone(),
                port: self.server.port,
                usual: SUBMISSION_PORTS,
            },
        })
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        self.plan(event).map(|letter| letter.preview())
    }
}

/// A text that is no template, whatever is in it.
fn constant(name: &str, text: &str) -> Result<Text, Problem> {
    match text.contains('{') {
        true => Err(Problem::at(
            [name],
            "is missing, and the user name of `smtp` is no plain address; give it",
        )),
        false => Text::compile(text, Escape::None).map_err(|why| Problem::at([name], why)),
    }
}

fn check_header(name: &str) -> Result<(), Problem> {
    let lower = name.to_ascii_lowercase();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Problem::at(
            ["headers", name],
            "is not a header's name; use letters, digits and hyphens",
        ));
    }
    if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("content-") || lower.starts_with("resent-") {
        return Err(Problem::at(
            ["headers", name],
            "is written by Bellwire or the mail server; take it out",
        ));
    }
    Ok(())
}

/// A text that is the same for all messages must be an address, or nothing.
fn check_constant(setting: &str, text: &Text) -> Result<(), Problem> {
    if !text.is_constant() {
        return Ok(());
    }
    match mailbox::parse(text.source()) {
        Ok(_) => Ok(()),
        Err(why) => Err(Problem::at([setting], why)),
    }
}

fn mailbox(name: &str, text: &Text, scope: &MessageScope<'_>) -> Result<Option<Mailbox>, PlanError> {
    mailbox::parse(&text.render(name, scope)?).map_err(|why| PlanError::new(name, why))
}

fn mailboxes(name: &str, texts: &Mailboxes, scope: &MessageScope<'_>) -> Result<Vec<Mailbox>, PlanError> {
    let all = texts.0.iter().map(|text| mailbox(name, text, scope));
    all.filter_map(Result::transpose).collect()
}

/// A text that is one line: white space around it is dropped, a control character in it is an error.
fn line(name: &str, text: &Text, scope: &MessageScope<'_>) -> Result<String, PlanError> {
    let text = text.render(name, scope)?;
    let line = text.trim();
    if let Some(bad) = line.chars().find(|c| c.is_control()) {
        let what = format!(
            "holds the control character U+{:04X} for this message and has to be one line; add `|replace(\"\\n\", \" \")`",
            u32::from(bad)
        );
        return Err(PlanError::new(name, what));
    }
    if line.len() > LINE_BYTES_MAX {
        let bytes = line.len();
        let what =
            format!("has {bytes} bytes for this message and may have {LINE_BYTES_MAX}; take a part, such as `[:200]`");
        return Err(PlanError::new(name, what));
    }
    Ok(line.to_owned())
}
