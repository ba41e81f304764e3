//! `bellwire hooks test`: a request as the provider would send it, what the hook makes of it, and what each action would do.
//!
//! The pieces are those of a server: the provider's own signing, [`judge`], the conditions, the plans of actions. Nothing is kept
//! and nothing is sent.

mod action;
mod show;

use std::{net::IpAddr, path::Path};

use bellwire_core::{
    id::{AppId, EnvironmentId, Id as _, SourceId},
    source::{CRON, MONITOR, Source},
    time::Timestamp,
};
use bellwire_hooks::Hook;
use bellwire_intake::judge::{self, Coming, Taken};
use bellwire_listen::{Settings, SignError, Signing, providers, sign};
use bytes::Bytes;
use clap::Args;

use self::{
    action::{Message, Outcome},
    show::Shown,
};
use super::{FILE, read};
use crate::cli::{exit::Failure, input, out::Out, sign::timestamp, when};

/// The type that is sent where nobody says one, and the provider sends it in a header.
const STAND_IN: &str = "test";
/// What a monitor most often has to say.
const MONITOR_DOWN: &str = "monitor.down";

/// `hooks test`.
#[derive(Args)]
pub struct TestArgs {
    /// The hooks file (hooks.yaml when left out), the hook's name, and the file with the request's body, or - for standard input
    #[arg(value_name = "FILE HOOK FIXTURE", num_args = 2..=3, required = true)]
    words: Vec<String>,
    /// The event type, where the provider sends it in a header; of what a monitor says `monitor.down` when not given
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// A header of the request, NAME=VALUE or NAME: VALUE; repeat for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The event's id, where the provider sends it in a header
    #[arg(long)]
    id: Option<String>,
    /// When it is sent: seconds since 1970 or RFC 3339; now when not given
    #[arg(long, value_parser = timestamp)]
    timestamp: Option<i64>,
    /// The URL that is called: some providers sign it
    #[arg(long, value_name = "URL")]
    called: Option<String>,
    /// The address that connects, for the form `ip`
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// For providers that sign with a key pair: the private key, PKCS #8 in PEM, or @file
    #[arg(long, value_name = "KEY")]
    private_key: Option<String>,
    /// Send the body and the headers as they are, without signing them
    #[arg(long)]
    unsigned: bool,
}

/// For clap: `name=value` or `name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let separator = text.find([':', '=']);
    match separator.map(|at| (text[..at].trim(), text[at + 1..].trim())) {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.to_ascii_lowercase(), value.to_owned()))
        }
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// A request as it would come.
struct Sent {
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What was done to make it, in words.
    how: String,
}

impl TestArgs {
    /// Shows what would happen.
    ///
    /// # Errors
    /// A usage failure when the file, the hook's name or the fixture is wrong; a failure when the request is refused, or an
    /// action that matches could not act.
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let (file, name, fixture) = match self.words.as_slice() {
            [name, fixture] => (Path::new(FILE), name, fixture),
            [file, name, fixture] => (Path::new(file), name, fixture),
            _ => {
                return Err(Failure::usage(
                    "give the hook's name and a fixture, with the hooks file before them",
                ));
            }
        };
        let desired = read(file)?;
        let hook = desired.hook(name).ok_or_else(|| {
            let names: Vec<&str> = desired.hooks.iter().map(|hook| hook.name.as_str()).collect();
            Failure::Usage(format!(
                "{} has no hook `{}`; it has {}",
                file.display(),
                name,
                names.join(", ")
            ))
        })?;
        let body = match fixture.as_str() {
            "-" => input::bytes("-")?,
            file => input::bytes(&format!("@{file}"))?,
        };
        let now = self.timestamp.map_or_else(when::now, Timestamp::from_secs);
        let mut shown = Shown::default();
        if [CRON, MONITOR].contains(&hook.kind.as_str()) {
            shown
                .steps
                .push(format!("made by a {}: the fixture is the message", hook.kind));
            let coming = self.made(hook, body);
            shown.add(&coming, outcomes(hook, &coming, &[], now));
        } else {
            let sent = self.sent(hook, body, now)?;
            self.judge(hook, sent, now, &mut shown)?;
        }
        shown.print(&desired, hook, out)
    }

    /// What a schedule or a watch would make.
    fn made(&self, hook: &Hook, body: Vec<u8>) -> Coming {
        let body = Bytes::from(body);
        let usual = || match hook.kind.as_str() {
            MONITOR => MONITOR_DOWN.to_owned(),
            kind => judge::event_type(&hook.rules, kind, &body),
        };
        Coming {
            event_type: self.event_type.clone().unwrap_or_else(usual),
            event_id: self.id.clone(),
            ordering_key: None,
            place: None,
            payload: body.clone(),
            content_type: Some("application/json".to_owned()),
            json: body,
            item: None,
            attributes: Vec::new(),
            note: None,
            set_aside: false,
        }
    }

    fn content_type(&self) -> &str {
        let given = self.header.iter().find(|(name, _)| name == "content-type");
        given.map_or("application/json", |(_, value)| value)
    }

    fn sent(&self, hook: &Hook, body: Vec<u8>, now: Timestamp) -> Result<Sent, Failure> {
        let url = self
            .called
            .clone()
            .unwrap_or_else(|| format!("https://example.com/in/{}", hook.name));
        if self.unsigned {
            let mut headers = self.header.clone();
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), self.content_type().to_owned()));
            }
            let how = "sent as it is, unsigned".to_owned();
            return Ok(Sent {
                url,
                headers,
                body,
                how,
            });
        }
        let provider = providers::by_name(&hook.kind).map_err(Failure::usage)?;
        let private_key = self.private_key.as_deref().map(input::text).transpose()?;
        let signing = Signing {
            method: "POST",
            url: &url,
            content_type: self.content_type(),
            body: &body,
            at: now,
            id: self.id.as_deref(),
            event_type: self.event_type.as_deref(),
            private_key: private_key.as_deref(),
            random: &ring::rand::SystemRandom::new(),
        };
        let signed = sign(provider, &settings(hook), &signing).map_err(|error| match error {
            SignError::PrivateKey => Failure::Usage(format!("{error}: --private-key @FILE")),
            other => Failure::usage(other),
        })?;
        let mut headers = signed.headers;
        let added: Vec<String> = headers
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|name| name != "content-type")
            .collect();
        // What was given wins over what was made.
        headers.retain(|(name, _)| !self.header.iter().any(|(given, _)| given == name));
        headers.extend(self.header.iter().cloned());
        let with = if added.is_empty() {
            String::new()
        } else {
            format!(": {}", added.join(", "))
        };
        Ok(Sent {
            url: signed.url,
            headers,
            body: signed.body,
            how: format!("sent as {} would{with}", provider.title),
        })
    }

    fn judge(&self, hook: &Hook, sent: Sent, now: Timestamp, shown: &mut Shown) -> Result<(), Failure> {
        let prepared = judge::prepare(&source(hook, now)).map_err(Failure::usage)?;
        let headers: Vec<(&str, &str)> = sent
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = judge::Request {
            method: "POST",
            url: &sent.url,
            headers: &headers,
            body: Bytes::from(sent.body),
            peer: self.peer,
            fetched: None,
        };
        let (taken, steps) = prepared.explain(&request, now);
        shown.steps.push(sent.how);
        shown.steps.extend(steps);
        match taken {
            Ok(Taken::Events(events)) => {
                shown.steps.extend(events.nothing.clone());
                let is_stand_in = |coming: &Coming| coming.event_type == STAND_IN;
                if self.event_type.is_none() && events.messages.iter().any(is_stand_in) {
                    shown
                        .steps
                        .push(format!("the type is `{STAND_IN}`; `--type` says another"));
                }
                for coming in &events.messages {
                    let headers = [events.headers.as_slice(), &coming.attributes].concat();
                    shown.add(coming, outcomes(hook, coming, &headers, now));
                }
            }
            Ok(Taken::Handshake(_)) => {}
            Err(refusal) => {
                let why = prepared.reason(&request, now, &[]).map(|(_, words)| words);
                shown.refuse(refusal.status, refusal.reason, why.unwrap_or(refusal.detail));
            }
        }
        Ok(())
    }
}

fn outcomes(hook: &Hook, coming: &Coming, headers: &[(String, String)], now: Timestamp) -> Vec<Outcome> {
    let message = Message {
        hook: &hook.name,
        coming,
        headers,
        now,
    };
    hook.actions
        .iter()
        .map(|action| action::outcome(action, &message))
        .collect()
}

fn settings(hook: &Hook) -> Settings {
    let mut settings = Settings::new();
    for (name, values) in &hook.settings {
        for value in values {
            settings.add(name, value.as_str());
        }
    }
    settings
}

/// The source as a server would have it.
fn source(hook: &Hook, now: Timestamp) -> Source {
    Source {
        id: SourceId::from_number(1),
        environment: EnvironmentId::from_number(1),
        app: AppId::from_number(1),
        uid: Some(hook.name.clone()),
        name: hook.name.clone(),
        kind: hook.kind.clone(),
        token: String::new(),
        former_tokens: Vec::new(),
        settings: hook.settings.clone(),
        rules: hook.rules.clone(),
        managed: true,
        metadata: Default::default(),
        created_at: now,
        updated_at: now,
    }
}

#[cfg(test)]
mod tests;
