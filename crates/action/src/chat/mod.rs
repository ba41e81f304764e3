//! The kind `chat`: a text in a channel of Slack, Discord, Teams, Mattermost or Telegram.

mod service;
mod values;

use bellwire_template::Escape;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::service::{Service, Verdict};
use crate::{
    Called, Callee, Compiled, Event, PlanError, Problem,
    http::base_url,
    settings::{HIDDEN, hide, origin, read},
    text::{JsonText, Secret, Text},
};

/// The settings as they are written: exactly one of the services.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// The URL of an incoming webhook of Slack.
    slack: Option<Secret>,
    /// The URL of a webhook of Discord.
    discord: Option<Secret>,
    /// The URL of a workflow of Teams that posts to a channel ("when a Teams webhook request is received").
    teams: Option<Secret>,
    /// The URL of an incoming webhook of Mattermost.
    mattermost: Option<Secret>,
    /// A bot of Telegram.
    telegram: Option<Telegram>,
    /// What is said. Cut at the service's limit, visibly.
    text: Option<String>,
    /// A line above it, in bold where the service can.
    title: Option<String>,
    /// What the service can show besides: blocks (Slack), embeds (Discord), elements of an adaptive card (Teams), attachments
    /// (Mattermost).
    blocks: Option<JsonText>,
}

/// A bot of Telegram and who it speaks to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Telegram {
    /// The bot's token.
    token: Secret,
    /// The chat's number, or a channel's name (`@ops`).
    chat: Chat,
    /// Where the Bot API is; `https://api.telegram.org` when left out.
    api: Option<String>,
}

/// A number or a name; a template where the message says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Chat {
    Number(i64),
    Name(String),
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings {
    service: Service,
    url: Secret,
    chat: Option<Text>,
    text: Option<Text>,
    title: Option<Text>,
    blocks: Option<JsonText>,
}

/// What is posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The body of the request, JSON.
    pub body: Value,
}

impl Settings {
    /// Which service it is.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Where it is posted: a secret, because whoever knows it may post.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// What is posted for a message.
    ///
    /// # Errors
    /// A template does not render, or nothing is said.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let scope = event.scope();
        let said = |setting: &str, text: &Option<Text>| {
            let rendered = text.as_ref().map(|text| text.render(setting, &scope)).transpose()?;
            Ok::<_, PlanError>(
                rendered
                    .map(|text| text.trim().to_owned())
                    .filter(|text| !text.is_empty()),
            )
        };
        let (title, text) = (said("title", &self.title)?, said("text", &self.text)?);
        let blocks = self.blocks.as_ref().map(|blocks| {
            values::escaped(event, self.service.escape(), |event| {
                blocks.render("blocks", &event.scope())
            })
        });
        let blocks = blocks.transpose()?;
        if text.is_none() && title.is_none() && blocks.is_none() {
            return Err(PlanError::new(
                "text",
                "there is nothing to say for this message; filter such messages out",
            ));
        }
        let mut body = self.service.body(title.as_deref(), text.as_deref(), blocks);
        if let Some(chat) = said("telegram.chat", &self.chat)? {
            body["chat_id"] = chat.into();
        }
        Ok(Plan { body })
    }
}

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        let hooks = [
            (Service::Slack, form.slack),
            (Service::Discord, form.discord),
            (Service::Teams, form.teams),
            (Service::Mattermost, form.mattermost),
        ];
        let hooks = hooks.into_iter().filter_map(|(service, url)| Some((service, url?)));
        let mut given: Vec<_> = hooks.map(|(service, url)| (service, url, None)).collect();
        if let Some(bot) = form.telegram {
            let url = telegram_url(&bot)?;
            let chat = match bot.chat {
                Chat::Number(number) => number.to_string(),
                Chat::Name(name) => name,
            };
            let chat = Text::compile(&chat, Escape::None).map_err(|why| Problem::at(["telegram", "chat"], why))?;
            given.push((Service::Telegram, Secret::new(url), Some(chat)));
        }
        let (Some((service, url, chat)), true) = (given.pop(), given.is_empty()) else {
            let all = Service::ALL.map(Service::name).join("`, `");
            return Err(Problem::at([], format!("give exactly one of `{all}`")));
        };
        base_url(url.expose().to_owned()).map_err(|problem| Problem::at([service.name()], problem.message))?;
        if form.text.is_none() && form.blocks.is_none() {
            return Err(Problem::at(["text"], "say what is to be said"));
        }
        if form.blocks.is_some() && service == Service::Telegram {
            return Err(Problem::at(["blocks"], "Telegram shows nothing but text"));
        }
        let compiled = |member: &'static str, text: Option<String>| {
            let compiled = text.map(|text| Text::compile(&text, service.escape()));
            compiled.transpose().map_err(|why| Problem::at([member], why))
        };
        Ok(Self {
            text: compiled("text", form.text)?,
            title: compiled("title", form.title)?,
            service,
            url,
            chat,
            blocks: form.blocks,
        })
    }

    fn hide(shown: &mut Value) {
        for hook in ["slack", "discord", "teams", "mattermost"] {
            hide(shown, &[hook]);
        }
        hide(shown, &["telegram", "token"]);
    }

    fn target(&self) -> String {
        format!("chat:{}", self.service.name())
    }

    fn calls(&self) -> Option<Called> {
        Some(Called {
            setting: self.service.name(),
            what: Callee::Url(self.url.expose().to_owned()),
        })
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        let url = format!("{}/{HIDDEN}", origin(self.url.expose()));
        Ok(json!({"service": self.service.name(), "method": "POST", "url": url, "body": plan.body}))
    }
}

/// Where a bot posts (Bot API, "Making requests").
fn telegram_url(bot: &Telegram) -> Result<String, Problem> {
    let token = bot.token.expose();
    if token.is_empty()
        || !token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":-_".contains(&byte))
    {
        return Err(Problem::at(
            ["telegram", "token"],
            "a bot's token looks like `123456:ABC-def`",
        ));
    }
    let api = bot.api.as_deref().unwrap_or("https://api.telegram.org");
    Ok(format!("{}/bot{token}/sendMessage", api.trim_end_matches('/')))
}

#[cfg(test)]
mod tests;
