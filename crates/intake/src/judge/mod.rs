//! What a request to a source means: handshake, proof, events, items; with every step in words.
//!
//! [`prepare`] compiles a source once; [`Prepared::take`] judges one request. Called by the door for what comes in, and by
//! `bellwire hooks test`, which shows the steps ([`Prepared::explain`]). Pure: certificates that a proof needs are asked for
//! ([`Refusal::fetch`]) and passed in, and what was deduplicated or put in order is decided by the store.

mod compile;
mod events;
mod identity;
mod items;
mod kept;
mod steps;

use std::net::IpAddr;

use bellwire_core::{
    source::{Item, Source},
    time::Timestamp,
};
use bellwire_listen::{Answer, Covers, Fetched, Reason, Trusted, Verifier, acknowledge, handshake};
use bellwire_store::ArrivalPlace;
use bellwire_template::MessageScope;
use bytes::Bytes;

pub(crate) use self::kept::{Kept, without_tokens};
pub use self::{compile::PrepareError, identity::event_type};
use self::{compile::Rules, events::Part, identity::IdOfRequest, steps::Steps};

/// So many messages may come of one request.
pub const MESSAGES_MAX: usize = 1_000;
/// So many bytes the rests of a request's items may take together: each item is kept with one.
const RESTS_BYTES_MAX: usize = 32 << 20;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The whole URL as the sender called it: some providers sign it.
    pub url: &'a str,
    /// Names (any case) and values, in the order of arrival.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body's bytes.
    pub body: Bytes,
    /// Who connected.
    pub peer: Option<IpAddr>,
    /// What [`Refusal::fetch`] asked for, once it has been fetched.
    pub fetched: Option<Fetched<'a>>,
}

impl<'a> Request<'a> {
    fn seen(&'a self, now: Timestamp) -> bellwire_listen::Request<'a> {
        bellwire_listen::Request {
            method: self.method,
            url: self.url,
            headers: self.headers,
            body: &self.body,
            received_at: now,
            peer: self.peer,
            fetched: self.fetched,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let mut found = self.headers.iter();
        found
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }
}

/// What becomes of a request that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was a question of the provider's.
    Handshake(Answer),
    /// It was an event, or several.
    Events(Box<Events>),
}

/// What a trusted request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// The messages-to-be; none when it brought an empty list.
    pub messages: Vec<Coming>,
    /// Why there is none, when the list that should be there was not.
    pub nothing: Option<String>,
    /// Why it is trusted, in words.
    pub verdict: String,
    /// Its headers, as they are kept.
    pub headers: Vec<(String, String)>,
    /// What the provider takes for "received".
    pub acknowledgement: Answer,
    /// A URL on the provider's own host that must be visited once to confirm a subscription.
    pub confirm: Option<String>,
}

/// A message-to-be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    /// What kind of event it is.
    pub event_type: String,
    /// By what repetitions are recognised; `None` when nothing says.
    pub event_id: Option<String>,
    /// What it is about.
    pub ordering_key: Option<String>,
    /// Its place among the others of its ordering key, where the source puts them in order.
    pub place: Option<ArrivalPlace>,
    /// Its bytes: the request's own where possible.
    pub payload: Bytes,
    /// What the bytes are.
    pub content_type: Option<String>,
    /// The payload as JSON: what expressions see.
    pub json: Bytes,
    /// Which item of its request it is.
    pub item: Option<Item>,
    /// Headers that it has besides its request's: the attributes of a structured CloudEvent.
    pub attributes: Vec<(String, String)>,
    /// Which of the source's rules could not be applied to it, and why.
    pub note: Option<String>,
    /// It is kept for people to look at and goes nowhere: it is not what the source's actions were made for.
    pub set_aside: bool,
}

/// Why a request brings nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// For programs: a stable name.
    pub reason: &'static str,
    /// What it is answered.
    pub status: u16,
    /// For people: what is wrong and what to do.
    pub detail: String,
    /// The URL whose content is needed first; then judge again with [`Request::fetched`].
    pub fetch: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            status,
            detail: detail.into(),
            fetch: None,
        }
    }

    fn unproven(refused: bellwire_listen::Refused) -> Self {
        Self {
            reason: refused.reason.name(),
            status: if refused.reason == Reason::Settings { 503 } else { 401 },
            detail: refused.words,
            fetch: refused.fetch,
        }
    }
}

/// A source with everything compiled.
#[derive(Debug)]
pub struct Prepared {
    verifier: Verifier,
    rules: Rules,
    secret_headers: Vec<String>,
    tokens: Vec<String>,
}

/// Compiles a source.
///
/// # Errors
/// [`PrepareError`]: it takes no requests, its settings cannot verify, or one of its rules does not compile.
pub fn prepare(source: &Source) -> Result<Prepared, PrepareError> {
    let verifier = compile::verifier(source)?;
    Ok(Prepared {
        secret_headers: verifier.secret_headers(),
        tokens: source.tokens().map(str::to_owned).collect(),
        rules: Rules::compile(&source.rules)?,
        verifier,
    })
}

impl Prepared {
    /// Judges one request.
    ///
    /// # Errors
    /// [`Refusal`], with the reason that the check itself gives.
    pub fn take(&self, request: &Request<'_>, now: Timestamp) -> Result<Taken, Refusal> {
        self.judge(request, now, &mut Steps::unwatched())
    }

    /// Judges one request, and says what was done, step by step.
    pub fn explain(&self, request: &Request<'_>, now: Timestamp) -> (Result<Taken, Refusal>, Vec<String>) {
        let mut steps = Steps::watched();
        let taken = self.judge(request, now, &mut steps);
        (taken, steps.into_lines())
    }

    /// Why a request is not trusted, after the usual mistakes have been tried (see [`Verifier::explain`]); costs dozens of
    /// hashes of the body. `others` are secrets that are not live any more.
    pub fn reason(&self, request: &Request<'_>, now: Timestamp, others: &[String]) -> Option<(&'static str, String)> {
        let refused = self.verifier.explain(&request.seen(now), others, false).err()?;
        Some((refused.reason.name(), refused.words))
    }

    /// The headers that may be kept, names in lower case.
    pub(crate) fn kept(&self) -> Kept<'_> {
        Kept {
            secret_headers: &self.secret_headers,
            tokens: &self.tokens,
        }
    }

    /// Whether the provider's proof says something: then the source needs no secret in its URL.
    pub(crate) fn proves(&self) -> bool {
        self.verifier.proves()
    }

    fn judge(&self, request: &Request<'_>, now: Timestamp, steps: &mut Steps) -> Result<Taken, Refusal> {
        let seen = request.seen(now);
        if let Some(answer) = handshake(&self.verifier, &seen) {
            steps.say(|| format!("a handshake of {}: answered {}", self.title(), answer.status));
            return Ok(Taken::Handshake(answer));
        }
        if request.method != "POST" {
            let detail = format!(
                "{} is no event, and no handshake of {}; send events with POST",
                short(request.method),
                self.title()
            );
            return Err(Refusal::new(405, "method", detail));
        }
        let trusted = self.verifier.verify(&seen).map_err(Refusal::unproven)?;
        let verdict = self.verdict(&trusted);
        steps.say(|| verdict.clone());
        let mut headers = self.kept().of(request.headers);
        let parts = events::of(self.verifier.provider(), request, &seen, steps)?;
        if parts.iter().any(|part| !part.attributes.is_empty()) {
            // The attributes are in the body then; a header that is called like one is nobody's word.
            headers.retain(|(name, _)| !name.starts_with("ce-"));
        }
        let mut events = Events {
            messages: Vec::with_capacity(parts.len()),
            nothing: None,
            verdict,
            headers,
            acknowledgement: acknowledge(self.verifier.provider(), &seen),
            confirm: trusted.confirm.clone(),
        };
        for part in parts {
            self.add(&mut events, part, &trusted, steps)?;
            if events.messages.len() > MESSAGES_MAX {
                return Err(too_many(format!("more than {MESSAGES_MAX} messages in one request")));
            }
        }
        Ok(Taken::Events(Box::new(events)))
    }

    /// The messages of one event.
    fn add(&self, events: &mut Events, part: Part, trusted: &Trusted, steps: &mut Steps) -> Result<(), Refusal> {
        let with_attributes;
        let headers = if part.attributes.is_empty() {
            &events.headers
        } else {
            with_attributes = [events.headers.as_slice(), &part.attributes].concat();
            &with_attributes
        };
        let known = identity::known(&self.verifier, trusted, &part, headers);
        let scope = MessageScope::new(&known.event_type, &[], &part.json).with_headers(headers);
        let Some(for_each) = &self.rules.for_each else {
            let found = self.rules.identify(&known, &scope, steps);
            events.messages.push(found.message(part));
            return Ok(());
        };
        let provider = self.verifier.provider();
        let of_provider = provider.items_at().is_some_and(|list| for_each.takes(list));
        let id_of_all = self.rules.id_of_request(&known, &scope);
        let of_request = if of_provider && provider.items_have_ids() && self.rules.dedupe.is_none() {
            IdOfRequest::ItemsHaveTheirOwn
        } else {
            IdOfRequest::Has(id_of_all.as_deref())
        };
        let split = match for_each.split(&part.json, &scope) {
            items::Found::List(split) => split,
            items::Found::Failed(why) => {
                steps.say(|| why.clone());
                events.messages.push(known.whole(part, why));
                return Ok(());
            }
            items::Found::NoList(nothing) => {
                steps.say(|| nothing.clone());
                events.nothing = Some(nothing);
                return Ok(());
            }
        };
        let count = split.items.len();
        steps.say(|| {
            format!(
                "for_each {}: {count} item{}",
                for_each.text(),
                if count == 1 { "" } else { "s" }
            )
        });
        let rest_bytes = split.rest.as_ref().map_or(0, String::len);
        if count > MESSAGES_MAX || rest_bytes.saturating_mul(count) > RESTS_BYTES_MAX {
            return Err(too_many(format!(
                "{count} items of {} in one request, each kept with a rest of {rest_bytes} bytes",
                for_each.text()
            )));
        }
        for (index, json) in split.items.into_iter().enumerate() {
            let of_item = of_provider.then(|| trusted.of_item(provider, &json));
            let of_item = of_item.map(|trusted| identity::known(&self.verifier, &trusted, &part, headers));
            let known = of_item.as_ref().unwrap_or(&known);
            let scope = MessageScope::new(&known.event_type, &[], &json)
                .with_headers(headers)
                .with_item(split.rest.as_deref().map(str::as_bytes));
            let mut found = self.rules.identify_item(known, &scope, of_request, index, steps);
            found.item = Some(Item {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                count: u32::try_from(count).unwrap_or(u32::MAX),
                rest: split.rest.clone(),
            });
            events.messages.push(found.message(Part {
                payload: json.clone(),
                content_type: Some("application/json".to_owned()),
                json,
                attributes: part.attributes.clone(),
                ..Part::default()
            }));
        }
        Ok(())
    }

    fn title(&self) -> &'static str {
        self.verifier.provider().title
    }

    fn verdict(&self, trusted: &Trusted) -> String {
        let provider = self.verifier.provider();
        if trusted.covers == Covers::Nothing {
            return "not verified: whoever knows the URL is believed".to_owned();
        }
        let mut words = format!("verified: {}, {}", provider.title, provider.about);
        let live = self.verifier.secrets();
        if let Some(index) = trusted.key_index.filter(|index| live > 1 && *index < live) {
            words += &format!(", secret {} of {live}", index + 1);
        }
        if let Some(at) = trusted.signed_at {
            words += &format!(", signed {at}");
        }
        words += &format!("; it covers {}", trusted.covers);
        match trusted.unconfirmed {
            Some(why) => format!("{words}; {why}"),
            None => words,
        }
    }
}

fn too_many(what: String) -> Refusal {
    Refusal::new(
        413,
        "too-many",
        format!("{what}; at most {MESSAGES_MAX} are taken, and 32 MiB of rests"),
    )
}

/// At most 40 characters of what a stranger sent.
fn short(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
