//! `bellwire source`: where the webhooks of others come in, and schedules.
//!
//! What is done with what comes in are endpoints of the source: the commands `endpoint`, `message`, `tail` and `replay` take
//! `--source` where they take `--app`.

mod providers;
mod refused;
mod rules;
mod settings;
mod streams;
mod url;

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Session,
    client::{Client, PageArgs, Query, source_path},
    exit::Failure,
    input,
    out::{Column, cell},
    pretty, when,
};

/// What to do with sources.
#[derive(Subcommand)]
pub enum SourceCommand {
    /// List sources
    List(PageArgs),
    /// Show a source
    Get(SourceArg),
    /// Create a source, and say which URL to give to whom
    Create(Box<CreateArgs>),
    /// Change a source: only what is named
    Update(Box<UpdateArgs>),
    /// Delete a source, with its endpoints and all that came in
    Delete(SourceArg),
    /// Give it a new URL; the old one stays good for a while
    RotateToken {
        #[command(flatten)]
        source: SourceArg,
        /// How long the old one is good, at most 7d; 0s ends it, and those of before, at once; the server's default is 48h
        #[arg(long, value_name = "SPAN", value_parser = when::span)]
        grace: Option<Duration>,
    },
    /// List the requests that it refused, newest first, and why
    Refused(refused::RefusedArgs),
    /// List the keys that it keeps in order: what waits for what, and what never came
    Streams(streams::StreamsArgs),
    /// List the providers that a source can be of, or show what one needs; asks no server
    Providers(providers::ProvidersArgs),
}

/// The source that is meant.
#[derive(Args)]
pub struct SourceArg {
    /// The source's id or uid
    pub source: String,
}

/// `source create`.
#[derive(Args)]
pub struct CreateArgs {
    /// A name for people
    name: String,
    #[command(flatten)]
    settings: settings::NewSettings,
    #[command(flatten)]
    fields: Fields,
}

/// `source update`.
#[derive(Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    source: SourceArg,
    /// Its new name for people
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    settings: settings::ChangedSettings,
    #[command(flatten)]
    fields: Fields,
}

/// What a source has besides its name and settings.
#[derive(Args)]
struct Fields {
    /// Your own id for it, usable wherever its id is, and in its URL where something is verified
    #[arg(long)]
    uid: Option<String>,
    /// A note of yours; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    /// Further fields as a JSON object: the text, @file, or - for standard input
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    #[command(flatten)]
    rules: rules::Rules,
}

impl Fields {
    /// The fields that were named, over those of `--body`; `rules` are those there are.
    fn body(&self, rules: &Value) -> Result<Map<String, Value>, Failure> {
        let mut body = input::object(self.body.as_deref())?;
        if let Some(uid) = &self.uid {
            body.insert("uid".to_owned(), json!(uid));
        }
        if !self.metadata.is_empty() {
            body.insert("metadata".to_owned(), input::pairs_object(&self.metadata));
        }
        if let Some(rules) = self.rules.over(rules) {
            body.insert("rules".to_owned(), rules);
        }
        Ok(body)
    }
}

const COLUMNS: &[Column] = &[
    Column {
        title: "ID",
        show: |item| cell(item, "id"),
    },
    Column {
        title: "UID",
        show: |item| cell(item, "uid"),
    },
    Column {
        title: "NAME",
        show: |item| cell(item, "name"),
    },
    Column {
        title: "TYPE",
        show: |item| cell(item, "type"),
    },
    Column {
        title: "KEPT IN",
        show: |item| match item["managed"].as_bool() {
            Some(true) => "hooks file".to_owned(),
            _ => String::new(),
        },
    },
    Column {
        title: "URL",
        show: |item| whole(item, "ingestUrl"),
    },
];

/// Longest text that is shown whole.
const WHOLE_CHARS: usize = 500;

/// A text that is of no use when it is cut.
fn whole(item: &Value, name: &str) -> String {
    pretty::line(item[name].as_str().unwrap_or_default(), WHOLE_CHARS)
}

impl SourceCommand {
    /// Does it.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Session { client, out } = session;
        let none = Query::default();
        match self {
            Self::List(page) => client.list(out, &source_path(&[]), none, &page, COLUMNS),
            Self::Get(source) => out.record(&client.get(&source.path(&[]), &none)?.text),
            Self::Create(args) => args.run(session),
            Self::Update(args) => {
                let body = args.body(client)?;
                out.record(&client.write(Method::PATCH, &args.source.path(&[]), &body)?.text)
            }
            Self::Delete(source) => {
                client.delete(&source.path(&[]), &none)?;
                out.note(&format!("deleted {}", source.source));
                Ok(())
            }
            Self::RotateToken { source, grace } => {
                let path = source.path(&["token", "rotate"]);
                let path = match grace {
                    Some(grace) => format!("{path}?gracePeriodSeconds={}", grace.as_secs()),
                    None => path,
                };
                let answer = client.write(Method::POST, &path, &json!({}))?;
                if out.is_json() {
                    return out.raw(&answer.text);
                }
                out.line(&whole(&answer.json()?, "ingestUrl"))?;
                out.note(&match grace {
                    Some(Duration::ZERO) => {
                        "the old URL is refused from now on; give this one to the provider".to_owned()
                    }
                    Some(grace) => format!(
                        "the old URL is good for {} more; give this one to the provider",
                        when::human(grace)
                    ),
                    None => "the old URL is good for two days more; give this one to the provider".to_owned(),
                });
                Ok(())
            }
            Self::Refused(args) => args.run(session),
            Self::Streams(args) => args.run(session),
            Self::Providers(args) => args.run(out),
        }
    }
}

impl SourceArg {
    /// The path of the source, or below it.
    fn path(&self, below: &[&str]) -> String {
        source_path(&[&[&*self.source], below].concat())
    }
}

impl CreateArgs {
    fn run(self, session: &mut Session) -> Result<(), Failure> {
        let mut body = self.fields.body(&Value::Null)?;
        body.insert("name".to_owned(), json!(self.name));
        let (kind, config) = self.settings.read()?;
        body.insert("type".to_owned(), json!(kind));
        if !config.is_empty() {
            body.insert("config".to_owned(), Value::Object(config));
        }
        let answer = session.client.write(Method::POST, &source_path(&[]), &body)?;
        if session.out.is_json() {
            return session.out.raw(&answer.text);
        }
        url::show(&answer.json()?, &mut session.out)
    }
}

impl UpdateArgs {
    /// What is to change. Settings and rules are laid over those there are, which are asked for where that matters.
    fn body(&self, client: &Client) -> Result<Map<String, Value>, Failure> {
        let looks = self.settings.has_secrets() || self.fields.rules.changes();
        let now: Value = match looks {
            true => client.get(&self.source.path(&[]), &Query::default())?.json()?,
            false => Value::Null,
        };
        let mut body = self.fields.body(&now["rules"])?;
        if let Some(name) = &self.name {
            body.insert("name".to_owned(), json!(name));
        }
        let config = self.settings.read(now["type"].as_str())?;
        if !config.is_empty() {
            body.insert("config".to_owned(), Value::Object(config));
        }
        if body.is_empty() {
            return Err(Failure::usage("nothing to change; name at least one option"));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests;
