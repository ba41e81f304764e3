//! The kind `email`: a letter, written by templates and handed to a mail server.
//!
//! Nothing that a message holds can become an address, a header or a line that the settings did not ask for: each recipient is
//! one template that makes one address, and a line break in anything but the bodies is an error.

mod letter;
mod mailbox;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bellwire_template::{Escape, MessageScope, Missing, Template};
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use self::{
    letter::{Letter, Mail, Stamp},
    server::{SmtpServer, Tls},
};
use crate::{Event, PlanError, Problem, read, server::without_password};

/// Recipients of all sorts together; a mail server takes at least a hundred (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// The longest subject or header, so that no line is too long (RFC 5322 section 2.1.1).
const LINE_BYTES_MAX: usize = 900;
/// Headers that are written from other settings, or that only mail servers write.
const OWN_HEADERS: &[&str] = &[
    "from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "sender", "return-path", "received",
    "mime-version", "dkim-signature", "authentication-results",
];
/// What tells other robots not to answer (RFC 3834 section 5).
const AUTO_SUBMITTED: &str = "Auto-Submitted";

/// The settings as a person writes them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    /// The mail server: `smtps://user:password@host`, or `smtp://host:587?tls=required`.
    smtp: String,
    /// Template of the sender, `Shop <shop@example.com>`; left out, the user name of `smtp` where that is an address.
    from: Option<String>,
    /// Template of the recipient, or several.
    to: OneOrMore,
    /// Templates of those who get a copy. One that is empty for a message is left out.
    #[serde(default)]
    cc: OneOrMore,
    /// Templates of those who get a copy without the others' knowing.
    #[serde(default)]
    bcc: OneOrMore,
    /// Templates of those who get the answers.
    #[serde(default)]
    reply_to: OneOrMore,
    /// Template of the subject, one line.
    subject: String,
    /// Template of the letter as plain text.
    text: Option<String>,
    /// Template of the letter as HTML; what it writes of the message is escaped.
    html: Option<String>,
    /// Templates of further headers, by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// One template, or a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

/// Settings that were read, their templates compiled.
#[derive(Debug)]
pub struct Settings {
    server: SmtpServer,
    from: Template,
    to: Vec<Template>,
    cc: Vec<Template>,
    bcc: Vec<Template>,
    reply_to: Vec<Template>,
    subject: Template,
    text: Option<Template>,
    html: Option<Template>,
    headers: Vec<(String, Template)>,
}

impl Settings {
    /// Reads and compiles settings.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn read(settings: &Value) -> Result<Self, Problem> {
        let written: Written = read::settings(settings)?;
        let server =
            SmtpServer::parse(&written.smtp).map_err(|why| Problem::at(["smtp"], format!("the URL {why}")))?;
        let from = match (&written.from, &server.login) {
            (Some(from), _) => compile("from", from, Escape::None)?,
            (None, Some((user, _))) if user.contains('@') && !user.contains('{') => compile("from", user, Escape::None)?,
            _ => return Err(Problem::at(["from"], "is missing; give the sender's address")),
        };
        if written.text.is_none() && written.html.is_none() {
            return Err(Problem::at(["text"], "a letter needs `text` or `html`, or both"));
        }
        let to = compile_all("to", written.to)?;
        if to.is_empty() {
            return Err(Problem::at(["to"], "is empty; give at least one recipient"));
        }
        let body = |name, text: Option<String>, escape| text.map(|text| compile(name, &text, escape)).transpose();
        let settings = Self {
            server,
            from,
            to,
            cc: compile_all("cc", written.cc)?,
            bcc: compile_all("bcc", written.bcc)?,
            reply_to: compile_all("replyTo", written.reply_to)?,
            subject: compile("subject", &written.subject, Escape::None)?,
            text: body("text", written.text, Escape::None)?,
            html: body("html", written.html, Escape::Html)?,
            headers: headers(written.headers)?,
        };
        let recipients = settings.to.len() + settings.cc.len() + settings.bcc.len();
        if recipients > RECIPIENTS_MAX {
            let message = format!("there are {recipients} recipients, and a letter has at most {RECIPIENTS_MAX}");
            return Err(Problem::at(["to"], message));
        }
        Ok(settings)
    }

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
        let body = |name, template: &Option<Template>| template.as_ref().map(|text| render(name, text, &scope)).transpose();
        let to = mailboxes("to", &self.to, &scope)?;
        if to.is_empty() {
            return Err(PlanError::new("to", "is empty for this message; there is nobody to write to"));
        }
        let header = |(name, template): &(String, Template)| {
            let setting = format!("headers.{name}");
            Ok((name.clone(), line(&setting, render(&setting, template, &scope)?)?))
        };
        Ok(Letter {
            from: mailbox("from", &self.from, &scope)?
                .ok_or_else(|| PlanError::new("from", "is empty for this message; a letter needs a sender"))?,
            to,
            cc: mailboxes("cc", &self.cc, &scope)?,
            bcc: mailboxes("bcc", &self.bcc, &scope)?,
            reply_to: mailboxes("replyTo", &self.reply_to, &scope)?,
            subject: line("subject", render("subject", &self.subject, &scope)?)?,
            text: body("text", &self.text)?,
            html: body("html", &self.html)?,
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
        })
    }
}

/// Whether settings are usable.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(settings: &Value) -> Result<(), Problem> {
    Settings::read(settings).map(drop)
}

/// The settings without the server's password.
pub fn shown(settings: &Value) -> Value {
    let mut shown = settings.clone();
    if let Some(Value::String(url)) = shown.get_mut("smtp") {
        *url = without_password(url);
    }
    shown
}

/// The letter that would be sent.
///
/// # Errors
/// Those of [`Settings::plan`].
pub fn preview(settings: &Value, event: &Event<'_>) -> Result<Value, PlanError> {
    let settings = Settings::read(settings).map_err(PlanError::from)?;
    settings.plan(event).map(|letter| letter.preview())
}

/// The JSON Schema of the settings.
pub fn schema() -> Value {
    schemars::schema_for!(Written).to_value()
}

fn compile(name: &str, text: &str, escape: Escape) -> Result<Template, Problem> {
    Template::compile(text, escape, Missing::Error).map_err(|error| Problem::at([name], error.to_string()))
}

fn compile_all(name: &str, templates: OneOrMore) -> Result<Vec<Template>, Problem> {
    let templates = match templates {
        OneOrMore::One(template) => vec![template],
        OneOrMore::More(templates) => templates,
    };
    templates.iter().map(|text| compile(name, text, Escape::None)).collect()
}

fn headers(written: BTreeMap<String, String>) -> Result<Vec<(String, Template)>, Problem> {
    let mut headers = Vec::with_capacity(written.len() + 1);
    for (name, text) in written {
        let at = |message: &str| Problem {
            path: vec!["headers".to_owned(), name.clone()],
            message: message.to_owned(),
        };
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(at("is not a header's name; use letters, digits and hyphens"));
        }
        if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("content-") || lower.starts_with("resent-") {
            return Err(at("is written by Bellwire or the mail server; take it out"));
        }
        let template = Template::compile(&text, Escape::None, Missing::Error).map_err(|error| at(&error.to_string()))?;
        headers.push((name, template));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(AUTO_SUBMITTED)) {
        headers.push((
            AUTO_SUBMITTED.to_owned(),
            compile("headers", "auto-generated", Escape::None)?,
        ));
    }
    Ok(headers)
}

fn render(name: &str, template: &Template, scope: &MessageScope<'_>) -> Result<String, PlanError> {
    template.render(scope).map_err(|error| PlanError::new(name, error))
}

fn mailbox(name: &str, template: &Template, scope: &MessageScope<'_>) -> Result<Option<Mailbox>, PlanError> {
    mailbox::parse(&render(name, template, scope)?).map_err(|why| PlanError::new(name, why))
}

fn mailboxes(name: &str, templates: &[Template], scope: &MessageScope<'_>) -> Result<Vec<Mailbox>, PlanError> {
    let all = templates.iter().map(|template| mailbox(name, template, scope));
    all.filter_map(Result::transpose).collect()
}

/// A text that is one line: white space around it is dropped, a control character in it is an error.
fn line(name: &str, text: String) -> Result<String, PlanError> {
    let line = text.trim();
    if let Some(bad) = line.chars().find(|c| c.is_control()) {
        let what = format!(
            "holds the control character U+{:04X} for this message, and has to be one line; write `|replace(\"\\n\", \" \")`",
            u32::from(bad)
        );
        return Err(PlanError::new(name, what));
    }
    if line.len() > LINE_BYTES_MAX {
        let what = format!("has {} bytes for this message, and may have {LINE_BYTES_MAX}; take a part, such as `[:200]`", line.len());
        return Err(PlanError::new(name, what));
    }
    Ok(line.to_owned())
}
