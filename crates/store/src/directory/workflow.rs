//! What becomes of messages on their way to an endpoint, compiled once: its filter, its transformation, its throttle.
//!
//! Settings are judged when they are saved. What an older version accepted may not compile any more; it then counts as failing
//! on every message, and says so where that is looked at.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwire_core::{
    endpoint::{self, Endpoint},
    message::Message,
    route::Verdict,
    throttle::{Held, Kind, Seen, Ticket},
    time::{Timestamp, format_span},
};
use bellwire_template::{
    DecodeError, Escape, Expression, MessageScope, Missing, Template, TemplateError, Transformation, decode,
};

/// The longest name of a kind that is told, in characters.
const NAME_CHARS: usize = 80;

/// An endpoint's workflow, ready to be used.
#[derive(Debug)]
pub struct Workflow {
    filter: Option<Filter>,
    transformation: Option<Result<Transformation, TemplateError>>,
    throttle: Option<Throttle>,
}

#[derive(Debug)]
struct Filter {
    text: Arc<str>,
    compiled: Result<Expression, TemplateError>,
}

struct Throttle {
    settings: endpoint::Throttle,
    /// What gives a message its kind; all are of one kind without it.
    key: Option<Result<Template, TemplateError>>,
    seen: Arc<Mutex<Seen>>,
}

impl Workflow {
    /// Compiles what there is to compile; `None` when there is nothing.
    pub(super) fn compile(endpoint: &Endpoint) -> Option<Self> {
        let settings = &endpoint.workflow;
        let transformation = settings
            .transformation
            .as_ref()
            .filter(|_| !settings.transformation_off);
        if settings.filter.is_none() && transformation.is_none() && settings.throttle.is_none() {
            return None;
        }
        let told = |what: &str, error: TemplateError| {
            tracing::error!(
                endpoint = %endpoint.id,
                %error,
                "the endpoint's {what} does not compile any more: it fails on every message; change it"
            );
            error
        };
        let filter = settings.filter.as_ref().map(|text| Filter {
            text: Arc::clone(text),
            compiled: Expression::compile(text, Missing::Empty).map_err(|error| told("filter", error)),
        });
        let transformation =
            transformation.map(|text| Transformation::compile(text).map_err(|error| told("transformation", error)));
        let throttle = settings.throttle.as_ref().map(|settings| Throttle {
            settings: settings.clone(),
            key: settings.key.as_ref().map(|key| {
                Template::compile(key, Escape::None, Missing::Error).map_err(|error| told("throttle key", error))
            }),
            seen: Arc::default(),
        });
        Some(Self {
            filter,
            transformation,
            throttle,
        })
    }

    /// Takes over what an earlier version throttled by the same rule.
    pub(super) fn remember(&mut self, earlier: &Self) {
        if let (Some(throttle), Some(earlier)) = (&mut self.throttle, &earlier.throttle)
            && throttle.settings == earlier.settings
        {
            throttle.seen = Arc::clone(&earlier.seen);
        }
    }

    /// Whether the filter holds; also when there is none. One that fails does not hold.
    pub(super) fn admits(&self, scope: &MessageScope<'_>) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.holds(scope).is_ok_and(|holds| holds))
    }

    /// What the filter says, with its reasons; `None` without a filter.
    pub(super) fn filtered(&self, scope: &MessageScope<'_>) -> Option<Filtered> {
        let filter = self.filter.as_ref()?;
        let held = filter.holds(scope);
        Some(Filtered {
            expression: Arc::clone(&filter.text),
            holds: held.as_ref().is_ok_and(|holds| *holds),
            error: held.err().map(|error| error.to_string()),
            read: filter.read(scope),
        })
    }

    /// Whether it does anything with messages that come here; the filter only says which do.
    pub fn acts(&self) -> bool {
        self.transformation.is_some() || self.throttle.is_some()
    }

    /// What is sent in the place of the payload; `None` without a transformation.
    ///
    /// # Errors
    /// Those of [`Transformation::apply`], and of compiling it.
    pub fn transform(&self, scope: &MessageScope<'_>) -> Option<Result<String, TemplateError>> {
        let transformation = self.transformation.as_ref()?;
        Some(
            transformation
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|compiled| compiled.apply(scope)),
        )
    }

    /// Asks whether a message may be acted upon now, as far as the throttle says.
    ///
    /// A message whose kind cannot be told, because it lacks what the key is made of or the key fails, is acted upon: rather too
    /// often than never.
    pub fn begin(&self, scope: &MessageScope<'_>, now: Timestamp) -> Begun {
        let Some(throttle) = &self.throttle else {
            return Begun::Free;
        };
        let name = match &throttle.key {
            None => String::new(),
            Some(Ok(key)) => match key.render(scope) {
                Ok(name) if !name.trim().is_empty() => name,
                Ok(_) | Err(_) => return Begun::Free,
            },
            Some(Err(_)) => return Begun::Free,
        };
        let kind = Kind::of(&name);
        let every = throttle.settings.every.0;
        let begun = throttle
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .begin(kind, every, now);
        match begun {
            Ok(ticket) => Begun::Admitted(Reservation {
                seen: Arc::clone(&throttle.seen),
                kind,
                ticket,
                succeeded: false,
            }),
            Err(held) => Begun::Held(HeldBack {
                name: name.chars().take(NAME_CHARS).collect(),
                every,
                held,
            }),
        }
    }
}

impl Filter {
    fn holds(&self, scope: &MessageScope<'_>) -> Result<bool, TemplateError> {
        self.compiled.as_ref().map_err(Clone::clone)?.holds(scope)
    }

    fn read(&self, scope: &MessageScope<'_>) -> Vec<(String, Option<String>)> {
        let reads = self.compiled.as_ref().map(|compiled| compiled.reads(scope));
        let reads = reads.unwrap_or_default().into_iter();
        reads.map(|read| (read.path, read.value)).collect()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Throttle").field(&self.settings).finish()
    }
}

/// What a filter said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The expression.
    pub expression: Arc<str>,
    /// Whether it holds.
    pub holds: bool,
    /// Why it could not be evaluated, which counts as not holding.
    pub error: Option<String>,
    /// What it looked at: paths and their values as JSON, shortened; `None` where the message has none.
    pub read: Vec<(String, Option<String>)>,
}

impl Filtered {
    /// The same as a verdict about the message.
    pub fn verdict(&self) -> Verdict {
        let expression = Arc::clone(&self.expression);
        match &self.error {
            None if self.holds => Verdict::Matched,
            None => Verdict::Filter {
                expression,
                read: self.read.clone(),
            },
            Some(error) => Verdict::FilterFailed {
                expression,
                error: error.clone(),
            },
        }
    }
}

/// Whether a message may be acted upon.
#[derive(Debug)]
pub enum Begun {
    /// Nothing throttles it.
    Free,
    /// It is the one of its kind; the others are held until it is known how it went.
    Admitted(Reservation),
    /// Another one of its kind was acted upon too short a while ago.
    Held(HeldBack),
}

/// Why a message is not acted upon, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// What its kind is called, shortened; empty when all messages are of one.
    name: String,
    every: Duration,
    held: Held,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, every, held } = self;
        f.write_str("another message ")?;
        if !name.is_empty() {
            write!(f, "of the kind `{name}` ")?;
        }
        match held.under_way {
            true => write!(f, "is being acted upon since {}", held.since)?,
            false => write!(f, "was acted upon at {}", held.since)?,
        }
        write!(
            f,
            ", and the endpoint's throttle lets one through every {}",
            format_span(*every)
        )
    }
}

/// The right to act upon a message of a kind. Let go of without [`Self::succeeded`], it leaves no trace.
pub struct Reservation {
    seen: Arc<Mutex<Seen>>,
    kind: Kind,
    ticket: Ticket,
    succeeded: bool,
}

impl Reservation {
    /// The message was acted upon: the span begins.
    pub fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.end(self.kind, self.ticket, self.succeeded);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reservation").field(&self.ticket).finish()
    }
}

/// A kept message's payload as expressions see it: borrowed where nobody said that it is anything but JSON.
///
/// # Errors
/// Those of [`decode`].
pub fn json<'a>(message: &Message, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    match &message.content_type {
        None => Ok(Cow::Borrowed(payload)),
        Some(content_type) => decode(content_type, payload),
    }
}
