//! The options that say what is done with a trusted request before it becomes messages.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::when;

/// Rules of a source; expressions are those of docs/templates.md.
#[derive(Args, Default)]
#[command(next_help_heading = "What becomes of a request")]
pub struct Rules {
    /// Make a message of each item of a list, such as body.alerts
    #[arg(long, value_name = "EXPRESSION")]
    for_each: Option<String>,
    /// What the event type is; the provider's own when not given
    #[arg(long, value_name = "EXPRESSION")]
    event_type: Option<String>,
    /// By what repetitions are recognised; the provider's own id when not given
    #[arg(long, value_name = "EXPRESSION")]
    dedupe: Option<String>,
    /// Accept in order what this is the same for, such as body.customer.id
    #[arg(long, value_name = "EXPRESSION")]
    order_by: Option<String>,
    /// The number by which it is in order, without gaps
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "version")]
    sequence: Option<String>,
    /// The first number; otherwise the least that comes within the wait
    #[arg(long, value_name = "NUMBER")]
    start: Option<u64>,
    /// How long a message waits for those before it, at most 1h; 5s when not given
    #[arg(long, value_name = "SPAN", value_parser = when::span)]
    wait: Option<Duration>,
    /// A version or time: what is not newer than the newest is left alone
    #[arg(long, value_name = "EXPRESSION")]
    version: Option<String>,
    /// Begin without the rules there are
    #[arg(long)]
    no_rules: bool,
}

impl Rules {
    /// Whether any is named.
    pub fn changes(&self) -> bool {
        self.no_rules || !self.named().is_empty() || !self.order().is_empty()
    }

    /// The rules that are named over those there are; `None` when none is. An empty text removes a rule.
    pub fn over(&self, now: &Value) -> Option<Value> {
        if !self.changes() {
            return None;
        }
        let now = match self.no_rules {
            true => Map::new(),
            false => now.as_object().cloned().unwrap_or_default(),
        };
        let mut order = now.get("order").and_then(Value::as_object).cloned().unwrap_or_default();
        if self.sequence.is_some() {
            order.remove("version");
        }
        if self.version.is_some() {
            ["sequence", "start", "wait"]
                .iter()
                .for_each(|name| drop(order.remove(*name)));
        }
        order.extend(self.order());
        let order = without_empty(order);
        let mut rules = now;
        rules.extend(self.named());
        // Nothing is in order by nothing.
        match order.contains_key("by") || self.orders() {
            true => rules.insert("order".to_owned(), Value::Object(order)),
            false => rules.remove("order"),
        };
        Some(Value::Object(without_empty(rules)))
    }

    /// Whether something is named that only makes sense in order.
    fn orders(&self) -> bool {
        self.sequence.is_some() || self.version.is_some() || self.start.is_some() || self.wait.is_some()
    }

    fn named(&self) -> Map<String, Value> {
        collect([
            ("forEach", self.for_each.as_ref().map(|text| json!(text))),
            ("eventType", self.event_type.as_ref().map(|text| json!(text))),
            ("dedupe", self.dedupe.as_ref().map(|text| json!(text))),
        ])
    }

    fn order(&self) -> Map<String, Value> {
        collect([
            ("by", self.order_by.as_ref().map(|text| json!(text))),
            ("sequence", self.sequence.as_ref().map(|text| json!(text))),
            ("start", self.start.map(|start| json!(start))),
            (
                "wait",
                self.wait.map(|wait| json!(bellwire_core::time::format_span(wait))),
            ),
            ("version", self.version.as_ref().map(|text| json!(text))),
        ])
    }
}

fn collect<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let named = members.into_iter();
    named
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn without_empty(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().filter(|(_, value)| *value != json!("")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_laid_over_those_there_are() {
        let now = json!({ "dedupe": "body.id", "order": { "by": "body.a", "sequence": "body.n", "wait": "2s" } });
        let over = |rules: &Rules| rules.over(&now);
        assert_eq!(over(&Rules::default()), None);
        let versioned = Rules {
            version: Some("body.at".into()),
            dedupe: Some(String::new()),
            ..Rules::default()
        };
        assert_eq!(
            over(&versioned),
            Some(json!({ "order": { "by": "body.a", "version": "body.at" } }))
        );
        let longer = Rules {
            wait: Some(Duration::from_secs(60)),
            ..Rules::default()
        };
        let order = json!({ "by": "body.a", "sequence": "body.n", "wait": "1m" });
        assert_eq!(over(&longer), Some(json!({ "dedupe": "body.id", "order": order })));
        let unordered = Rules {
            order_by: Some(String::new()),
            ..Rules::default()
        };
        assert_eq!(over(&unordered), Some(json!({ "dedupe": "body.id" })));
        let none = Rules {
            no_rules: true,
            for_each: Some("body.items".into()),
            ..Rules::default()
        };
        assert_eq!(over(&none), Some(json!({ "forEach": "body.items" })));
    }

    #[test]
    fn an_order_without_a_key_is_left_to_the_server_to_refuse() {
        let rules = Rules {
            sequence: Some("body.n".into()),
            ..Rules::default()
        };
        assert_eq!(
            rules.over(&Value::Null),
            Some(json!({ "order": { "sequence": "body.n" } }))
        );
    }
}
