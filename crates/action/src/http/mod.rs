//! The kind `http`: any request, with everything in it made from the message.

mod headers;
mod path;

use std::collections::BTreeMap;

use bellwire_core::address::{self, AddressPolicy};
use bellwire_template::percent_encoded;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::headers::Headers;
use self::path::Path;
use crate::{
    Called, Callee, Compiled, Event, PlanError, Problem,
    settings::{HIDDEN, hide, hide_query, hide_sensitive, read},
    text::{JsonText, Secret, Text, UrlText},
};

/// The settings as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// Where requests go: scheme, host, and what all paths begin with. The same for all messages.
    url: String,
    /// What follows the URL's own path. Values are percent-encoded: each stays in its segment.
    path: Option<UrlText>,
    /// The parameters of the query.
    #[serde(default)]
    query: BTreeMap<String, Text>,
    /// The request's method; `POST` when left out.
    method: Option<String>,
    /// Headers of the request.
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// The body as JSON.
    json: Option<JsonText>,
    /// The body as text; `content-type` among the headers says what it is.
    body: Option<Text>,
    /// The body as a form (`application/x-www-form-urlencoded`).
    form: Option<BTreeMap<String, Text>>,
    /// The statuses that are a success; all of 200 to 299 when left out.
    #[serde(default)]
    ok: Vec<u16>,
    /// A token for `Authorization: Bearer`.
    bearer: Option<Secret>,
    /// A user and a password for `Authorization: Basic`.
    basic: Option<Basic>,
}

/// A user and a password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Who.
    pub user: String,
    /// With which password.
    pub pass: Secret,
}

/// The settings, compiled.
#[derive(Debug)]
pub struct Settings {
    url: String,
    path: Option<Path>,
    query: BTreeMap<String, Text>,
    method: String,
    headers: Headers,
    body: Body,
    ok: Vec<u16>,
    credentials: Option<Credentials>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each endpoint of this kind; none is moved about"
)]
enum Body {
    /// The payload, where the method has one.
    Payload,
    Json(JsonText),
    Text(Text),
    Form(BTreeMap<String, Text>),
}

/// Who we say that we are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// `Authorization: Basic`.
    Basic(Basic),
}

/// The request that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The method, in upper case.
    pub method: String,
    /// All of the URL.
    pub url: String,
    /// Headers, names in lower case, without credentials.
    pub headers: Vec<(String, String)>,
    /// What the body is; none without one.
    pub content_type: Option<String>,
    /// The body; the event's payload when it is `None` and there is a content type.
    pub body: Option<String>,
}

/// Methods whose requests have no body unless one is asked for.
const BODILESS: &[&str] = &["GET", "HEAD", "DELETE", "OPTIONS"];

impl Settings {
    /// What all requests begin with: judged and connected to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who we say that we are.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Whether an answer with this status is a success.
    pub fn is_ok(&self, status: u16) -> bool {
        if self.ok.is_empty() {
            (200..300).contains(&status)
        } else {
            self.ok.contains(&status)
        }
    }

    /// The statuses that are a success, in words.
    pub fn ok(&self) -> String {
        let all: Vec<_> = self.ok.iter().map(u16::to_string).collect();
        if all.is_empty() {
            "2xx".to_owned()
        } else {
            all.join(", ")
        }
    }

    /// The request for a message.
    ///
    /// # Errors
    /// A template does not render, or what it renders cannot be sent.
    pub fn plan(&self, event: &Event<'_>) -> Result<Plan, PlanError> {
        let scope = event.scope();
        let mut url = self.url.clone();
        if let Some(path) = &self.path {
            path.append(&mut url, &scope)?;
        }
        let pairs = |setting: &str, pairs: &BTreeMap<String, Text>| {
            let pairs = pairs.iter().map(|(name, value)| {
                let value = value.render(&format!("{setting}.{name}"), &scope)?;
                Ok(format!("{}={}", percent_encoded(name), percent_encoded(&value)))
            });
            Ok(pairs.collect::<Result<Vec<_>, PlanError>>()?.join("&"))
        };
        if !self.query.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&pairs("query", &self.query)?);
        }
        let mut headers = self.headers.render(&scope)?;
        let named = headers.iter().position(|(name, _)| name == headers::CONTENT_TYPE);
        let named = named.map(|at| headers.remove(at).1);
        let (content_type, body) = match &self.body {
            Body::Payload if BODILESS.contains(&self.method.as_str()) => (None, None),
            Body::Payload => (Some(event.content_type.to_owned()), None),
            Body::Json(value) => {
                let text = value.render("json", &scope)?.to_string();
                (Some("application/json".to_owned()), Some(text))
            }
            Body::Text(text) => {
                let text = text.render("body", &scope)?.into_owned();
                (Some("text/plain; charset=utf-8".to_owned()), Some(text))
            }
            Body::Form(all) => {
                let text = pairs("form", all)?;
                (Some("application/x-www-form-urlencoded".to_owned()), Some(text))
            }
        };
        if !self.headers.has(IDEMPOTENCY_KEY) {
            headers.push((IDEMPOTENCY_KEY.to_owned(), event.effect_id()));
        }
        Ok(Plan {
            method: self.method.clone(),
            url,
            headers,
            content_type: named.filter(|_| content_type.is_some()).or(content_type),
            body,
        })
    }
}

/// By this header a receiver recognises the same effect: message and endpoint, the same over attempts.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl Compiled for Settings {
    type Form = Form;

    fn read(settings: &Value) -> Result<Self, Problem> {
        let form: Form = read(settings)?;
        let url = base_url(form.url)?;
        let method = form.method.unwrap_or_else(|| "POST".to_owned()).to_ascii_uppercase();
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            return Err(Problem::at(["method"], format!("`{method}` is no method of HTTP")));
        }
        if method == "CONNECT" || method == "TRACE" {
            return Err(Problem::at(
                ["method"],
                format!("`{method}` asks for nothing that an action could do"),
            ));
        }
        if let Some(status) = form.ok.iter().find(|status| !(200..600).contains(*status)) {
            return Err(Problem::at(
                ["ok"],
                format!("{status} is no final status; write 200 to 599"),
            ));
        }
        let body = match (form.json, form.body, form.form) {
            (None, None, None) => Body::Payload,
            (Some(json), None, None) => Body::Json(json),
            (None, Some(text), None) => Body::Text(text),
            (None, None, Some(pairs)) => Body::Form(pairs),
            _ => {
                return Err(Problem::at(
                    [],
                    "a request has one body: give one of `json`, `body` and `form`",
                ));
            }
        };
        let credentials = match (form.bearer, form.basic) {
            (None, None) => None,
            (Some(token), None) => Some(Credentials::Bearer(token)),
            (None, Some(basic)) => Some(Credentials::Basic(basic)),
            _ => return Err(Problem::at([], "give one of `bearer` and `basic`")),
        };
        let headers = Headers::new(form.headers)?;
        if credentials.is_some() && headers.has("authorization") {
            return Err(Problem::at(
                ["headers"],
                "`authorization` is given twice: leave out `bearer` and `basic`, or this",
            ));
        }
        let path = form.path.map(|path| Path::new(path.0)).transpose()?;
        if let Some(Credentials::Bearer(token)) = &credentials
            && !token.expose().bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Problem::at(
                ["bearer"],
                "a token has no white space and nothing but ASCII in it",
            ));
        }
        Ok(Self {
            url,
            path,
            query: form.query,
            method,
            headers,
            body,
            ok: form.ok,
            credentials,
        })
    }

    fn hide(shown: &mut Value) {
        hide_query(shown, "url");
        hide(shown, &["bearer"]);
        hide(shown, &["basic", "pass"]);
        hide_sensitive(shown, "headers");
        hide_sensitive(shown, "query");
    }

    fn target(&self) -> String {
        let path = self.path.as_ref().map(Path::source).unwrap_or_default();
        format!("{}{path}", self.url.split(['?', '#']).next().unwrap_or_default())
    }

    fn calls(&self) -> Option<Called> {
        Some(Called {
            setting: "url",
            what: Callee::Url(self.url.clone()),
        })
    }

    fn preview(&self, event: &Event<'_>) -> Result<Value, PlanError> {
        let plan = self.plan(event)?;
        let headers = plan.headers.iter().map(|(name, value)| {
            let hidden = bellwire_core::headers::is_sensitive(name, value);
            (name.clone(), Value::from(if hidden { HIDDEN } else { value }))
        });
        let mut headers: serde_json::Map<_, _> = headers.collect();
        if let Some(content_type) = &plan.content_type {
            headers.insert(headers::CONTENT_TYPE.to_owned(), content_type.as_str().into());
        }
        if self.credentials.is_some() {
            headers.insert("authorization".to_owned(), HIDDEN.into());
        }
        let body = plan.content_type.as_ref().map(|_| match plan.body {
            Some(body) => body,
            None => String::from_utf8_lossy(event.payload).into_owned(),
        });
        let url = self.without_secrets(&plan.url);
        Ok(json!({"method": plan.method, "url": url, "headers": headers, "body": body}))
    }
}

impl Settings {
    /// A planned URL without its own query, and without the values of parameters that are secret by their names or values.
    fn without_secrets(&self, planned: &str) -> String {
        let Some((address, query)) = planned.split_once('?') else {
            return planned.to_owned();
        };
        let own = self.url.split_once('?').map_or("", |(_, own)| own);
        let rest = query.strip_prefix(own).unwrap_or_default();
        let hidden = Some(HIDDEN.to_owned()).filter(|_| !own.is_empty());
        let rest = rest.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match bellwire_core::headers::is_sensitive(name, value) {
                true => format!("{name}={HIDDEN}"),
                false => pair.to_owned(),
            }
        });
        let parts: Vec<_> = hidden.into_iter().chain(rest).collect();
        format!("{address}?{}", parts.join("&"))
    }
}

/// A URL that is the same for all messages: well formed, whatever it leads to. Who it leads to is judged by whoever knows the
/// policy.
pub(crate) fn base_url(url: String) -> Result<String, Problem> {
    if crate::text::is_template(&url) {
        return Err(Problem::at(
            ["url"],
            "the URL is the same for all messages: a message must not choose whom we call; `path` may have templates",
        ));
    }
    address::check_url(&url, &AddressPolicy::open()).map_err(|error| Problem::at(["url"], error.to_string()))?;
    if url.contains('#') {
        return Err(Problem::at(
            ["url"],
            "nobody sends what stands behind `#`; leave it out",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
