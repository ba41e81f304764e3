//! How one received request reads, for people and for programs.

use base64::Engine as _;
use bellwire_core::{
    sign::{
        Mismatch, Verified,
        http::{HttpMismatch, HttpVerified},
    },
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    item::Item,
    lines::{Standing, words},
    plan::Answer,
    seen::Tries,
};
use crate::cli::{
    out::{Out, Tone, count},
    pretty, verify, when,
};

/// A request as it came, and what was made of it.
pub struct Received {
    /// When its body was complete.
    pub at: Timestamp,
    /// How many requests came, this one included.
    pub number: u64,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The message's id, when a header has one.
    pub id: Option<String>,
    /// How often it came.
    pub tries: Tries,
    /// Whether its signature matches; none when there is no secret to check with.
    pub verdict: Option<Result<Verified, Mismatch>>,
    /// The same of its HTTP message signatures; none when it has none.
    pub http: Option<Result<HttpVerified, HttpMismatch>>,
    /// Whether it is a batch.
    pub batch: bool,
    /// The messages it carries.
    pub messages: Vec<Carried>,
    /// What it will be answered.
    pub answer: Answer,
    /// The body.
    pub body: Vec<u8>,
}

/// A message that a request carries, and what is known of it.
pub struct Carried {
    /// What it says of itself.
    pub item: Item,
    /// How often it came.
    pub tries: Tries,
    /// How it stands in its line; none where no order is kept, or what says so is not proven.
    pub standing: Option<Standing>,
}

impl Carried {
    /// Its place in words; none where no order is kept.
    fn order(&self, out: &Out) -> Option<String> {
        let place = self.item.place.as_ref()?;
        let text = match &self.standing {
            Some(standing) => words(place, standing),
            None => place.sequence.to_string(),
        };
        Some(match &self.standing {
            Some(Standing::Behind { .. }) => out.tint(Tone::Bad, &text),
            Some(standing) if standing.is_gap() => out.tint(Tone::Bad, &text),
            Some(Standing::Ahead { .. }) => out.tint(Tone::Warn, &text),
            _ => text,
        })
    }

    /// The line's key, safe to show; none when all messages form one line.
    fn key(&self) -> Option<String> {
        let place = self.item.place.as_ref().filter(|place| !place.key.is_empty())?;
        Some(pretty::line(&place.key, 200))
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "id": self.item.id,
            "type": self.item.event_type,
            "try": self.tries.number,
            "duplicate": self.tries.duplicate,
        });
        if let Some(order) = self.order_json() {
            value["order"] = order;
        }
        value
    }

    fn order_json(&self) -> Option<Value> {
        let place = self.item.place.as_ref()?;
        Some(json!({
            "key": place.key,
            "sequence": place.sequence,
            "previous": place.previous,
            "standing": self.standing.as_ref().map(Standing::name),
            "words": self.standing.as_ref().map(|standing| words(place, standing)),
        }))
    }
}

impl Received {
    /// The message, when it is one and no batch.
    fn single(&self) -> Option<&Carried> {
        self.messages.first().filter(|_| !self.batch)
    }

    fn event_type(&self) -> Option<&str> {
        self.single()?.item.event_type.as_deref()
    }

    /// The lines for people.
    pub fn text(&self, out: &Out) -> String {
        let title = format!(
            "{}  {} {}",
            when::clock(self.at),
            pretty::line(&self.method, 20),
            pretty::line(&self.target, 200)
        );
        let mut lines = vec![out.tint(Tone::Bold, &title)];
        let mut field =
            |name: &str, value: String| lines.push(format!("  {}{value}", out.tint(Tone::Dim, &format!("{name:<11}"))));
        if let Some(event_type) = self.event_type() {
            field("type", pretty::line(event_type, 200));
        }
        field(
            "id",
            self.id
                .as_deref()
                .map_or_else(|| "none".to_owned(), |id| pretty::line(id, 200)),
        );
        let duplicate = out.tint(Tone::Warn, "duplicate: it was already answered 2xx");
        let number = self.tries.number;
        field(
            "try",
            if self.tries.duplicate {
                format!("{number}, {duplicate}")
            } else {
                number.to_string()
            },
        );
        if let Some(order) = self.single().and_then(|message| message.order(out)) {
            field("sequence", order);
        }
        if let Some(key) = self.single().and_then(Carried::key) {
            field("key", key);
        }
        if self.batch {
            field("batch", count(self.messages.len() as u64, "message"));
        }
        field(
            "signature",
            match &self.verdict {
                None => out.tint(Tone::Dim, "not checked: no --secret was given"),
                Some(Ok(verified)) => out.tint(Tone::Good, &verify::matched(verified)),
                Some(Err(mismatch)) => out.tint(Tone::Bad, &format!("INVALID: {mismatch}")),
            },
        );
        match &self.http {
            None => {}
            Some(Ok(verified)) => field("http sig", out.tint(Tone::Good, &verify::matched_http(verified))),
            Some(Err(mismatch)) => field("http sig", out.tint(Tone::Bad, &format!("INVALID: {mismatch}"))),
        }
        field(
            "answer",
            match self.answer {
                Answer::Status(status) if self.answer.is_success() => status.to_string(),
                Answer::Status(status) => out.tint(Tone::Warn, &format!("{status}, as told")),
                Answer::Refuse => out.tint(Tone::Bad, "401"),
                Answer::Hang(span) => out.tint(
                    Tone::Warn,
                    &format!("none, as told; closing after {}", when::human(span)),
                ),
            },
        );
        for (at, message) in self.messages.iter().enumerate().filter(|_| self.batch) {
            let mut parts = vec![format!("{}.", at + 1)];
            let texts = [&message.item.event_type, &message.item.id];
            parts.extend(texts.into_iter().flatten().map(|text| pretty::line(text, 200)));
            if message.tries.number > 1 {
                parts.push(format!("try {}", message.tries.number));
            }
            if message.tries.duplicate {
                parts.push(out.tint(Tone::Warn, "duplicate"));
            }
            parts.extend(message.order(out).map(|order| format!("sequence {order}")));
            parts.extend(message.key().map(|key| format!("key {key}")));
            lines.push(format!("    {}", parts.join("  ")));
        }
        let body = match std::str::from_utf8(&self.body) {
            Ok("") => "(no body)".to_owned(),
            Ok(text) => pretty::json(text),
            Err(_) => format!("({} bytes that are not text)", self.body.len()),
        };
        lines.extend(body.lines().map(|line| format!("  {line}")));
        lines.push(String::new());
        lines.join("\n")
    }

    /// One line for programs. A body that is not UTF-8 is `bodyBase64`; headers that repeat are joined by a comma.
    pub fn json(&self) -> String {
        let mut headers = serde_json::Map::new();
        for (name, value) in &self.headers {
            let joined = match headers.get(name).and_then(Value::as_str) {
                Some(before) => format!("{before}, {value}"),
                None => value.clone(),
            };
            headers.insert(name.clone(), Value::String(joined));
        }
        let (status, hang_ms) = match self.answer {
            Answer::Status(status) => (Some(status), None),
            Answer::Refuse => (Some(401), None),
            Answer::Hang(span) => (None, Some(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))),
        };
        let mut line = json!({
            "event": "request",
            "time": self.at,
            "number": self.number,
            "method": self.method,
            "target": self.target,
            "headers": headers,
            "id": self.id,
            "type": self.event_type(),
            "try": self.tries.number,
            "duplicate": self.tries.duplicate,
            "signature": self.verdict.as_ref().map_or_else(|| json!({ "verdict": "unchecked" }), verify::verdict_json),
            "status": status,
            "hangMs": hang_ms,
        });
        if let Some(http) = &self.http {
            line["httpSignature"] = verify::http_json(http);
        }
        if let Some(order) = self.single().and_then(Carried::order_json) {
            line["order"] = order;
        }
        if self.batch {
            line["messages"] = self.messages.iter().map(Carried::json).collect();
        }
        match std::str::from_utf8(&self.body) {
            Ok(text) => line["body"] = json!(text),
            Err(_) => line["bodyBase64"] = json!(base64::engine::general_purpose::STANDARD.encode(&self.body)),
        }
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::item::Place, *};
    use crate::cli::testing::Captured;

    fn carried(item: Item) -> Carried {
        let tries = Tries {
            number: 1,
            duplicate: false,
        };
        Carried {
            item,
            tries,
            standing: None,
        }
    }

    fn received() -> Received {
        Received {
            at: Timestamp::from_millis(1_700_000_000_123),
            number: 1,
            method: "POST".into(),
            target: "/hook".into(),
            headers: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
            id: Some("msg_1".into()),
            tries: Tries {
                number: 2,
                duplicate: true,
            },
            verdict: Some(Err(Mismatch::NoKey)),
            http: None,
            batch: false,
            messages: vec![carried(Item {
                event_type: Some("a.b".to_owned()),
                ..Item::default()
            })],
            answer: Answer::Status(500),
            body: br#"{"type":"a.b","n":1.10}"#.to_vec(),
        }
    }

    #[test]
    fn a_request_reads_from_top_to_bottom() {
        let text = received().text(&Captured::default().out(false));
        let expected = format!(
            "22:13:20.123  POST /hook\n  type       a.b\n  id         msg_1\n  try        2, duplicate: it was already \
             answered 2xx\n  signature  INVALID: {}\n  answer     500, as told\n  {{\n    \"type\": \"a.b\",\n    \
             \"n\": 1.10\n  }}\n",
            Mismatch::NoKey
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn order_and_batches_are_shown_in_words() {
        let place = Place {
            key: "customer\u{1b} 42".to_owned(),
            sequence: 5,
            previous: Some(3),
        };
        let item = Item {
            id: Some("msg_1".to_owned()),
            event_type: Some("a.b".to_owned()),
            place: Some(place),
        };
        let ahead = || Carried {
            standing: Some(Standing::Ahead { last: 3, missing_to: 3 }),
            ..carried(item.clone())
        };
        let single = Received {
            messages: vec![ahead()],
            ..received()
        };
        let text = single.text(&Captured::default().out(false));
        assert!(
            text.contains("  sequence   5 after 3: 4 was given up\n  key        customer"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
        let line: Value = serde_json::from_str(&single.json()).unwrap();
        assert_eq!(
            (&line["order"]["standing"], &line["order"]["previous"]),
            (&json!("given_up"), &json!(3))
        );
        let batch = Received {
            batch: true,
            messages: vec![ahead(), carried(Item::default())],
            ..received()
        };
        let text = batch.text(&Captured::default().out(false));
        assert!(text.contains("  batch      2 messages\n"), "{text}");
        assert!(
            text.contains("\n    1.  a.b  msg_1  sequence 5 after 3: 4 was given up"),
            "{text}"
        );
        let line: Value = serde_json::from_str(&batch.json()).unwrap();
        assert_eq!(
            (&line["messages"][0]["order"]["sequence"], &line["type"]),
            (&json!(5), &Value::Null)
        );
    }

    #[test]
    fn a_hostile_body_cannot_steer_the_terminal() {
        let hostile = Received {
            body: b"\x1b[2J{".to_vec(),
            target: "/\u{1b}x".into(),
            ..received()
        };
        assert!(!hostile.text(&Captured::default().out(false)).contains('\u{1b}'));
    }

    #[test]
    fn the_line_for_programs_has_everything() {
        let line: Value = serde_json::from_str(&received().json()).unwrap();
        assert_eq!(
            (&line["headers"]["a"], &line["try"], &line["status"]),
            (&json!("1, 2"), &json!(2), &json!(500))
        );
        assert_eq!(line["body"], r#"{"type":"a.b","n":1.10}"#);
        let binary = Received {
            body: vec![0xff],
            answer: Answer::Hang(Duration::from_secs(1)),
            ..received()
        };
        let line: Value = serde_json::from_str(&binary.json()).unwrap();
        assert_eq!(
            (&line["bodyBase64"], &line["status"], &line["hangMs"]),
            (&json!("/w=="), &Value::Null, &json!(1000))
        );
    }
}
