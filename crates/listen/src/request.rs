//! What arrived, as the verifiers see it.

use std::cell::OnceCell;
use std::net::IpAddr;

use bellwire_core::time::Timestamp;
use serde_json::Value;

use crate::refused::{Reason, Refused};

/// A request as the provider sent it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The whole URL as the provider called it, query included: some providers sign it. Behind a proxy this is the public one.
    pub url: &'a str,
    /// Names (any case) and values, in the order of arrival.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body's bytes before anything parsed them.
    pub body: &'a [u8],
    /// When it arrived.
    pub received_at: Timestamp,
    /// Who connected, for the form `ip`.
    pub peer: Option<IpAddr>,
    /// What [`Refused::fetch`] asked for, once it has been fetched.
    pub fetched: Option<Fetched<'a>>,
}

/// A certificate that a provider's request points at.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// Where it came from: exactly the URL that was asked for.
    pub url: &'a str,
    /// What was there.
    pub body: &'a [u8],
}

/// A request and what has been read out of it so far.
pub(crate) struct Seen<'a> {
    pub(crate) request: Request<'a>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(request: Request<'a>) -> Self {
        Self {
            request,
            json: OnceCell::new(),
        }
    }

    /// The only header of that name, trimmed; an empty value counts as absent.
    pub(crate) fn header(&self, name: &str) -> Result<Option<&'a str>, Refused> {
        let mut found = None;
        for (other, value) in self.request.headers {
            if other.eq_ignore_ascii_case(name) {
                let value = value.trim_matches([' ', '\t']);
                if !value.is_empty() && found.replace(value).is_some() {
                    return Err(Refused::new(
                        Reason::MalformedHeader,
                        format!("header {name} occurs more than once; it must be sent once"),
                    ));
                }
            }
        }
        Ok(found)
    }

    /// A parameter of the query, decoded; the first of that name.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.request.url.split_once('?')?;
        let query = query.split('#').next().unwrap_or(query);
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The parameters of a form body, decoded, in order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.request.body)
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect()
    }

    /// The body as JSON, parsed at most once.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json
            .get_or_init(|| serde_json::from_slice(self.request.body).ok())
            .as_ref()
    }

    /// A text, number or truth value of the JSON body, as text.
    pub(crate) fn json_text(&self, pointer: &str) -> Option<String> {
        scalar(self.json()?.pointer(pointer)?)
    }
}

/// A JSON value that has one text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
