//! What follows from rotating, disabling or deleting a thing, in words. Pure.

use std::sync::Arc;

use bellwire_core::{
    app::Token,
    endpoint::Endpoint,
    event_type::filter_covers,
    source::Source,
    task::{Job, Task},
    time::Timestamp,
    token::Scope,
};
use bellwire_store::directory::EndpointEntry;
use schemars::JsonSchema;
use serde::Serialize;

use super::Verb;

/// Things of one kind that are named one by one.
const NAMED_MAX: usize = 20;

/// What follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::routes) struct Said {
    pub breaks: Vec<BreakOut>,
    /// How it is taken back.
    pub undo: Option<&'static str>,
}

/// Something that breaks.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ImpactBreakOut")]
pub(in crate::routes) struct BreakOut {
    /// `deliveries`, `endpoint`, `receiver`, `task`, `token`, `sender`, `events` or `schema`.
    kind: &'static str,
    /// Its id; empty when it is many things, or somebody outside.
    id: String,
    /// What people call it.
    name: String,
    /// What happens to it.
    words: String,
}

impl Said {
    fn breaks(&mut self, kind: &'static str, words: impl Into<String>) {
        self.breaks_one(kind, String::new(), String::new(), words);
    }

    fn breaks_one(&mut self, kind: &'static str, id: String, name: String, words: impl Into<String>) {
        self.breaks.push(BreakOut {
            kind,
            id,
            name,
            words: words.into(),
        });
    }

    /// Endpoints one by one, and how many more there are.
    fn endpoints(&mut self, all: &[&Arc<EndpointEntry>], words: &str) {
        for entry in all.iter().take(NAMED_MAX) {
            let endpoint = &entry.endpoint;
            self.breaks_one("endpoint", endpoint.id.to_string(), name(endpoint), words);
        }
        let more = all.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            self.breaks("endpoint", format!("{more} more: {words}"));
        }
    }
}

fn name(endpoint: &Endpoint) -> String {
    endpoint.uid.clone().unwrap_or_else(|| endpoint.url.clone())
}

fn deliveries(n: u64) -> String {
    match n {
        1 => "1 delivery that waits or is under way is".to_owned(),
        n => format!("{n} deliveries that wait or are under way are"),
    }
}

/// What is known of an endpoint.
pub(super) struct OfEndpoint<'a> {
    pub endpoint: &'a Endpoint,
    pub pending: u64,
    pub blocked_lines: u64,
    pub tasks: &'a [Task],
    /// Those of its application.
    pub others: &'a [Arc<EndpointEntry>],
}

impl OfEndpoint<'_> {
    pub fn say(&self, verb: Verb) -> Said {
        let mut said = Said::default();
        if verb == Verb::Rotate {
            let receiver = self.endpoint.url.clone();
            let words = "it goes on accepting what is signed for the time of grace (24 hours, or as asked), because the old secret \
                         signs as well; afterwards it refuses everything, unless it was given the new secret";
            said.breaks_one("receiver", self.endpoint.id.to_string(), receiver, words);
            said.undo = Some("rotate again and give the old secret as `key`");
            return said;
        }
        if self.pending > 0 {
            said.breaks("deliveries", format!("{} cancelled", deliveries(self.pending)));
        }
        if self.blocked_lines > 0 {
            said.breaks(
                "deliveries",
                format!("{} blocked lines are given up", self.blocked_lines),
            );
        }
        let is_about = |task: &&Task| matches!(task.job, Job::Replay { endpoint, .. } if endpoint == self.endpoint.id);
        for task in self.tasks.iter().filter(is_about) {
            said.breaks_one("task", task.id.to_string(), String::new(), "the replay fails");
        }
        if self.endpoint.disabled.is_none() {
            let orphaned = self.orphaned();
            if !orphaned.is_empty() {
                let words = format!(
                    "no other endpoint of the application gets {}: such events go nowhere",
                    orphaned.join(", ")
                );
                said.breaks("events", words);
            }
        }
        said.undo = match verb {
            Verb::Delete => None,
            _ => Some("enable it again, then recover what was cancelled and replay what was missed"),
        };
        if verb == Verb::Delete {
            said.breaks_one(
                "receiver",
                self.endpoint.id.to_string(),
                self.endpoint.url.clone(),
                "its secret is gone for good; a new endpoint has another id and another secret",
            );
        }
        said
    }

    /// What it wants and no other endpoint that is on gets.
    fn orphaned(&self) -> Vec<String> {
        let is_other =
            |entry: &&Arc<EndpointEntry>| entry.endpoint.id != self.endpoint.id && entry.endpoint.disabled.is_none();
        let others: Vec<_> = self.others.iter().filter(is_other).collect();
        match &self.endpoint.event_types {
            None if others.iter().any(|entry| entry.endpoint.event_types.is_none()) => Vec::new(),
            None => vec!["event types that no other endpoint names".to_owned()],
            Some(wanted) => {
                let covered = |name: &String| {
                    others.iter().any(|entry| match &entry.endpoint.event_types {
                        None => true,
                        Some(theirs) => theirs.iter().any(|entry| entry == name || filter_covers(entry, name)),
                    })
                };
                wanted.iter().filter(|name| !covered(name)).cloned().collect()
            }
        }
    }
}

/// What is known of an application.
pub(super) struct OfApp<'a> {
    pub endpoints: &'a [Arc<EndpointEntry>],
    pub tokens: &'a [Arc<Token>],
}

impl OfApp<'_> {
    pub fn say(&self, verb: Verb) -> Said {
        let mut said = Said::default();
        for token in self.tokens.iter().take(NAMED_MAX) {
            let words = "whoever uses it is answered 401";
            said.breaks_one("token", token.id.to_string(), token.name.clone(), words);
        }
        let more = self.tokens.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            said.breaks("token", format!("{more} more: whoever uses one is answered 401"));
        }
        match verb {
            Verb::Rotate => said.undo = Some("make new tokens, or open the portal anew"),
            Verb::Disable => {
                said.breaks.clear();
                let on = |entry: &&Arc<EndpointEntry>| entry.endpoint.disabled.is_none();
                let on: Vec<_> = self.endpoints.iter().filter(on).collect();
                said.endpoints(
                    &on,
                    "an application is disabled by disabling its endpoints: what waits is cancelled",
                );
                said.undo = Some("enable its endpoints again, then recover and replay");
            }
            Verb::Delete => {
                let all: Vec<_> = self.endpoints.iter().collect();
                said.endpoints(&all, "it is deleted, and what waits for it is cancelled");
                said.breaks(
                    "events",
                    "all its messages, payloads and attempts are erased; publishing to it is answered 404",
                );
            }
        }
        said
    }
}

/// What is known of an event type.
pub(super) struct OfEventType<'a> {
    pub name: &'a str,
    pub has_schema: bool,
    /// How many event types there are.
    pub known: usize,
    pub endpoints: &'a [Arc<EndpointEntry>],
}

impl OfEventType<'_> {
    pub fn say(&self, verb: Verb) -> Said {
        let mut said = Said::default();
        if verb == Verb::Rotate {
            return said;
        }
        let names = |entry: &&Arc<EndpointEntry>| {
            let types = entry.endpoint.event_types.as_deref().unwrap_or_default();
            types.iter().any(|wanted| wanted == self.name)
        };
        let naming: Vec<_> = self.endpoints.iter().filter(names).collect();
        said.endpoints(
            &naming,
            "it names this event type: it goes on getting such messages, and people can no longer choose the type for others",
        );
        if self.has_schema && verb == Verb::Delete {
            said.breaks(
                "schema",
                "payloads of it are no longer checked, and its examples are gone",
            );
        }
        said.undo = Some(match verb {
            Verb::Delete => "make it again, with its schema",
            _ => "set `archived` to false",
        });
        if self.known == 1 && naming.is_empty() && !self.has_schema {
            said.breaks.clear();
        }
        said
    }
}

/// What is known of a source.
pub(super) struct OfSource<'a> {
    pub source: &'a Source,
    pub endpoints: &'a [Arc<EndpointEntry>],
}

impl OfSource<'_> {
    pub fn say(&self, verb: Verb) -> Said {
        let mut said = Said::default();
        let kind = self.source.kind.clone();
        match verb {
            Verb::Rotate => {
                let words = "it goes on calling the old URL, which is answered 404 once its time of grace is over: give it the new one";
                said.breaks_one("sender", String::new(), kind, words);
            }
            Verb::Disable | Verb::Delete => {
                let words = "it calls a URL that is answered 404; many providers switch a webhook off after a while";
                said.breaks_one("sender", String::new(), kind, words);
                let all: Vec<_> = self.endpoints.iter().collect();
                said.endpoints(
                    &all,
                    "it is deleted with the source, and what waits for it is cancelled",
                );
                said.breaks(
                    "events",
                    "what it brought is erased, and what is held until its turn is lost",
                );
            }
        }
        if self.source.managed {
            let words = "it is kept in the hooks file, and refused to be changed here: change it there";
            said.breaks_one("source", self.source.id.to_string(), self.source.name.clone(), words);
        }
        said
    }
}

/// What is known of a token.
pub(super) struct OfToken<'a> {
    pub token: &'a Token,
    /// Those of the environment.
    pub all: &'a [Arc<Token>],
    pub is_own: bool,
    pub now: Timestamp,
}

impl OfToken<'_> {
    pub fn say(&self, _verb: Verb) -> Said {
        let mut said = Said::default();
        let has_expired = |token: &Token| token.expires_at.is_some_and(|at| at <= self.now);
        if has_expired(self.token) {
            return said;
        }
        let (id, name) = (self.token.id.to_string(), self.token.name.clone());
        let words = format!(
            "whoever uses it is answered 401 from then on; it may {}",
            match self.token.scope {
                Scope::Admin => "do everything in its environment",
                Scope::Publish => "publish",
                Scope::Read => "read",
                Scope::App => "do everything of one application",
            }
        );
        said.breaks_one("token", id.clone(), name.clone(), words);
        if self.is_own {
            said.breaks_one("token", id.clone(), name.clone(), "it is the one that you ask with");
        }
        let is_admin = |token: &&Arc<Token>| token.scope == Scope::Admin && !has_expired(token);
        if self.token.scope == Scope::Admin && self.all.iter().filter(is_admin).count() == 1 {
            let words =
                "it is the last of its environment that may change things; the operator's own remains, if there is one";
            said.breaks_one("token", id, name, words);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::id::{AppId, EndpointId, EnvironmentId, Id as _, TokenId};
    use bellwire_store::directory::LaneGauge;

    use super::*;
    use crate::routes::endpoint::deleted;

    fn entry(number: u64, wants: Option<&[&str]>) -> Arc<EndpointEntry> {
        let app = bellwire_core::app::App {
            id: AppId::from_number(1),
            environment: EnvironmentId::from_number(1),
            uid: None,
            name: String::new(),
            throttle_rate: None,
            publish_rate: None,
            metadata: Default::default(),
            kind: Default::default(),
            validate_payloads: None,
            created_at: Timestamp::MIN,
            updated_at: Timestamp::MIN,
        };
        let mut endpoint = deleted(&app, EndpointId::from_number(number), "https://example.com/".to_owned());
        endpoint.disabled = None;
        endpoint.event_types = wants.map(|all| all.iter().map(|&one| one.to_owned()).collect());
        Arc::new(EndpointEntry::new(
            endpoint,
            EnvironmentId::from_number(1),
            Arc::new(LaneGauge::new(Default::default())),
        ))
    }

    fn kinds(said: &Said) -> Vec<&'static str> {
        said.breaks.iter().map(|one| one.kind).collect()
    }

    #[test]
    fn a_deleted_endpoint_cancels_what_waits_and_leaves_events_that_nobody_gets() {
        let (one, two) = (entry(1, Some(&["a.b", "c"])), entry(2, Some(&["a.*"])));
        let others = [Arc::clone(&one), two];
        let facts = OfEndpoint {
            endpoint: &one.endpoint,
            pending: 17,
            blocked_lines: 0,
            tasks: &[],
            others: &others,
        };
        let said = facts.say(Verb::Delete);
        assert_eq!(kinds(&said), ["deliveries", "events", "receiver"]);
        assert!(said.breaks[0].words.starts_with("17 deliveries"), "{said:?}");
        assert!(said.breaks[1].words.contains("gets c:"), "{said:?}");
        assert_eq!(said.undo, None);
        assert_eq!(kinds(&facts.say(Verb::Disable)), ["deliveries", "events"]);
        assert_eq!(kinds(&facts.say(Verb::Rotate)), ["receiver"]);
    }

    #[test]
    fn the_last_token_that_may_change_things_is_named() {
        let token = |number, scope| {
            Arc::new(Token {
                id: TokenId::from_number(number),
                environment: EnvironmentId::from_number(1),
                scope,
                app: None,
                name: "ci".to_owned(),
                hash: [0; 32],
                expires_at: None,
                created_at: Timestamp::MIN,
            })
        };
        let all = [token(1, Scope::Admin), token(2, Scope::Read)];
        let say = |at: usize| {
            let facts = OfToken {
                token: &all[at],
                all: &all,
                is_own: false,
                now: Timestamp::from_secs(0),
            };
            facts.say(Verb::Delete).breaks.len()
        };
        assert_eq!((say(0), say(1)), (2, 1));
    }
}
