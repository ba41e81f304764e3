//! An endpoint as routing and delivering see it: its settings, and what was compiled of them once.

use std::sync::Arc;

use bellwire_core::{
    endpoint::Endpoint,
    id::EnvironmentId,
    message::{Message, Route},
    order::{Line, Ordering},
    route::{self, Verdict},
    source::Inbound,
};
use bellwire_template::{KeyExpression, MessageScope};

use super::{
    lane::LaneGauge,
    workflow::{Filtered, Workflow, json},
};

/// An endpoint and its lane's gauge. Replaced as a whole when the endpoint changes; the gauge stays.
#[derive(Debug, Clone)]
pub struct EndpointEntry {
    /// Its settings.
    pub endpoint: Endpoint,
    /// The environment of its application.
    pub environment: EnvironmentId,
    /// What its lane is doing.
    pub lane: Arc<LaneGauge>,
    /// The compiled `order.key_expression`; `None` also when it does not compile.
    key: Option<Arc<KeyExpression>>,
    /// The compiled `workflow`; `None` when there is nothing in it that has to be compiled.
    workflow: Option<Arc<Workflow>>,
}

/// What routing has to know about a message.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// What kind of event it is.
    pub event_type: &'a str,
    /// Its channels.
    pub channels: &'a [String],
    /// The publisher's ordering key.
    pub ordering_key: Option<&'a str>,
    /// The payload as JSON: of what a source received, what [`bellwire_template::decode`] made of it.
    pub payload: &'a [u8],
    /// How it came in, when a source brought it.
    pub inbound: Option<&'a Inbound>,
}

impl<'a> Incoming<'a> {
    /// A message that is kept already, with its payload as JSON.
    pub fn again(message: &'a Message, payload: &'a [u8]) -> Self {
        Self {
            event_type: &message.event_type,
            channels: &message.channels,
            ordering_key: message.ordering_key.as_deref(),
            payload,
            inbound: message.inbound.as_deref(),
        }
    }

    /// What expressions see of it. Nothing is read before one of them looks.
    pub fn scope(&self) -> MessageScope<'a> {
        let scope = MessageScope::new(self.event_type, self.channels, self.payload);
        let Some(inbound) = self.inbound else { return scope };
        let scope = scope.with_headers(&inbound.headers);
        match &inbound.item {
            Some(item) => scope.with_item(item.rest.as_deref().map(str::as_bytes)),
            None => scope,
        }
    }
}

impl EndpointEntry {
    /// An entry; its expressions and templates are compiled here, once.
    pub fn new(endpoint: Endpoint, environment: EnvironmentId, lane: Arc<LaneGauge>) -> Self {
        let key = compile_key(&endpoint);
        let workflow = Workflow::compile(&endpoint).map(Arc::new);
        Self {
            endpoint,
            environment,
            lane,
            key,
            workflow,
        }
    }

    /// With what an earlier version of the same endpoint remembers of the messages it acted upon.
    pub(super) fn remembering(mut self, earlier: &Self) -> Self {
        let workflow = self.workflow.as_mut().and_then(Arc::get_mut);
        if let (Some(workflow), Some(earlier)) = (workflow, &earlier.workflow) {
            workflow.remember(earlier);
        }
        self
    }

    /// What becomes of messages on their way here, compiled; `None` when they are sent as they are.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        self.workflow.as_ref()
    }

    /// Whether a message goes here and, if not, because of which clause and which values.
    pub fn verdict(&self, message: &Incoming<'_>) -> Verdict {
        let verdict = route::verdict(&self.endpoint, message.event_type, message.channels);
        let filtered = || self.workflow.as_ref()?.filtered(&message.scope());
        match verdict {
            Verdict::Matched => filtered().map_or(Verdict::Matched, |filtered| filtered.verdict()),
            other => other,
        }
    }

    /// What the filter says of a message that is kept, which has to come with its payload; `None` without a filter.
    pub fn filtered(&self, message: &Message) -> Option<Filtered> {
        let expression = self.filter()?;
        let failed = |error: String| Filtered {
            expression: Arc::clone(expression),
            holds: false,
            error: Some(error),
            read: Vec::new(),
        };
        let Some(payload) = &message.payload else {
            return Some(failed("the payload expired or was expunged".to_owned()));
        };
        match json(message, payload) {
            Ok(json) => self
                .workflow
                .as_ref()?
                .filtered(&Incoming::again(message, &json).scope()),
            Err(error) => Some(failed(error.to_string())),
        }
    }

    /// The filter's expression, where there is one.
    pub fn filter(&self) -> Option<&Arc<str>> {
        self.endpoint.workflow.filter.as_ref()
    }

    /// The cheap half of routing: whether all clauses but the filter let a message through.
    pub(super) fn takes_kind(&self, event_type: &str, channels: &[String]) -> bool {
        route::verdict(&self.endpoint, event_type, channels) == Verdict::Matched
    }

    /// Whether an expression has to be evaluated to route a message here.
    pub(super) fn looks_into_messages(&self) -> bool {
        self.key.is_some() || self.filter().is_some()
    }

    /// Whether the filter, if there is one, holds.
    pub(super) fn admits(&self, scope: &MessageScope<'_>) -> bool {
        self.workflow.as_ref().is_none_or(|workflow| workflow.admits(scope))
    }

    /// The route of a message that matched. `scope` is the message's, the same for all endpoints.
    pub(super) fn route(&self, message: &Incoming<'_>, scope: &MessageScope<'_>) -> Route {
        Route {
            endpoint: self.endpoint.id,
            stored: self.endpoint.paused || self.lane.is_backlogged(),
            line: self.line(message, scope),
        }
    }

    /// The line that a message joins here, where order is kept.
    pub fn line(&self, message: &Incoming<'_>, scope: &MessageScope<'_>) -> Option<Line> {
        let order = &self.endpoint.order;
        let key: Arc<str> = match order.ordering {
            Ordering::None => return None,
            Ordering::Key if order.key_expression.is_some() => self.key.as_ref()?.key(scope)?.into(),
            Ordering::Key => message.ordering_key?.into(),
            Ordering::Endpoint => "".into(),
        };
        Some(Line { key, era: order.era })
    }
}

/// The endpoint's key expression, where it is needed. One that an older version accepted may not compile any more.
fn compile_key(endpoint: &Endpoint) -> Option<Arc<KeyExpression>> {
    if endpoint.order.ordering != Ordering::Key {
        return None;
    }
    let text = endpoint.order.key_expression.as_ref()?;
    match KeyExpression::compile(text) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            tracing::error!(
                endpoint = %endpoint.id,
                %error,
                "the ordering key expression does not compile: messages to this endpoint are not ordered; change it"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bellwire_core::{
        decide::Health,
        id::{AppId, EndpointId, Id as _},
        order::OrderSettings,
        time::Timestamp,
    };

    use super::*;

    fn entry(ordering: Ordering, key_expression: Option<&str>) -> EndpointEntry {
        let endpoint = Endpoint {
            id: EndpointId::from_number(7),
            app: AppId::from_number(1),
            uid: None,
            url: "https://example.com/".to_owned(),
            description: String::new(),
            disabled: None,
            paused: false,
            event_types: None,
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::new(),
            headers: BTreeMap::new(),
            keys: Vec::new(),
            retry_schedule: None,
            timeout: None,
            max_in_flight: None,
            order: OrderSettings {
                ordering,
                key_expression: key_expression.map(str::to_owned),
                era: 3,
                ..OrderSettings::default()
            },
            batch: None,
            http_signatures: false,
            action: Default::default(),
            workflow: Default::default(),
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(1),
        };
        let lane = Arc::new(LaneGauge::new(Health::default()));
        EndpointEntry::new(endpoint, EnvironmentId::from_number(1), lane)
    }

    /// The key of the line that a message joins, whose publisher's key is `mine`.
    fn key(entry: &EndpointEntry, payload: &[u8]) -> Option<String> {
        let message = Incoming {
            event_type: "invoice.paid",
            channels: &[],
            ordering_key: Some("mine"),
            payload,
            inbound: None,
        };
        let line = entry.line(&message, &message.scope())?;
        assert_eq!(line.era, 3);
        Some(line.key.to_string())
    }

    #[test]
    fn an_endpoint_without_an_expression_goes_by_the_publishers_key_and_reads_no_payload() {
        let payload = b"not even JSON";
        assert_eq!(key(&entry(Ordering::None, Some("body.id")), payload), None);
        assert_eq!(
            key(&entry(Ordering::Endpoint, Some("body.id")), payload).as_deref(),
            Some("")
        );
        assert_eq!(key(&entry(Ordering::Key, None), payload).as_deref(), Some("mine"));
    }

    #[test]
    fn an_expression_takes_the_place_of_the_publishers_key() {
        let payload = br#"{"customer": {"id": 12345678901234567890}}"#;
        let by_customer = entry(Ordering::Key, Some("body.customer.id"));
        assert_eq!(key(&by_customer, payload).as_deref(), Some("12345678901234567890"));
        let by_both = entry(Ordering::Key, Some("type ~ \"/\" ~ customer.id"));
        assert_eq!(
            key(&by_both, payload).as_deref(),
            Some("invoice.paid/12345678901234567890")
        );
        // No value, no order: the publisher's key means something else.
        assert_eq!(key(&by_customer, br#"{"customer": {}}"#), None);
    }

    #[test]
    fn an_expression_that_does_not_compile_any_more_gives_no_key() {
        assert_eq!(key(&entry(Ordering::Key, Some("body.|")), b"{}"), None);
    }

    fn filtering(filter: &str) -> EndpointEntry {
        let mut endpoint = entry(Ordering::None, None).endpoint;
        endpoint.workflow.filter = Some(filter.into());
        let lane = Arc::new(LaneGauge::new(Health::default()));
        EndpointEntry::new(endpoint, EnvironmentId::from_number(1), lane)
    }

    #[test]
    fn a_filter_says_on_which_values_it_does_not_hold() {
        let payload = br#"{"data": {"amount": 50}}"#;
        let message = Incoming {
            event_type: "invoice.paid",
            channels: &[],
            ordering_key: None,
            payload,
            inbound: None,
        };
        assert_eq!(filtering("data.amount > 10").verdict(&message), Verdict::Matched);
        let expression: Arc<str> = "data.amount > 100 and data.name".into();
        assert_eq!(
            filtering(&expression).verdict(&message),
            Verdict::Filter {
                expression,
                read: vec![
                    ("data.amount".to_owned(), Some("50".to_owned())),
                    ("data.name".to_owned(), None)
                ],
            }
        );
    }

    #[test]
    fn a_filter_that_fails_or_does_not_compile_any_more_lets_nothing_through() {
        let message = Incoming {
            event_type: "invoice.paid",
            channels: &[],
            ordering_key: None,
            payload: b"{\"a\": {}}",
            inbound: None,
        };
        for (filter, why) in [("a - 1 > 0", "-"), ("a |", "syntax")] {
            let entry = filtering(filter);
            assert!(!entry.admits(&message.scope()));
            let verdict = entry.verdict(&message);
            assert!(
                matches!(&verdict, Verdict::FilterFailed { error, .. } if error.contains(why)),
                "{filter}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_filter_sees_the_headers_and_the_item_of_what_a_source_received() {
        let inbound = Inbound {
            source: bellwire_core::id::SourceId::from_number(1),
            method: "POST".to_owned(),
            target: "/in/x".to_owned(),
            headers: vec![("x-kind".to_owned(), "push".to_owned())],
            peer: None,
            verdict: String::new(),
            note: None,
            item: Some(bellwire_core::source::Item {
                index: 0,
                count: 1,
                rest: Some(r#"{"receiver": "ops"}"#.to_owned()),
            }),
        };
        let message = Incoming {
            event_type: "alert",
            channels: &[],
            ordering_key: None,
            payload: br#"{"status": "firing"}"#,
            inbound: Some(&inbound),
        };
        let filter = "headers[\"x-kind\"] == \"push\" and item.status == \"firing\" and body.receiver == \"ops\"";
        assert_eq!(filtering(filter).verdict(&message), Verdict::Matched);
    }
}
