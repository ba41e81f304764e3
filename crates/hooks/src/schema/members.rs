//! What may be written where: names, values and meanings, as data.

use serde_json::{Value as Json, json};

use super::{map_of, one_or_more, or_reference, reference_to, scalar, span, truth, whole};

/// One name of the file.
#[derive(Debug)]
pub struct Member {
    /// The name.
    pub name: &'static str,
    /// What kind of value it takes, in words.
    pub value: &'static str,
    /// What it decides.
    pub about: &'static str,
    pub(super) schema: fn() -> Json,
}

const fn member(name: &'static str, value: &'static str, schema: fn() -> Json, about: &'static str) -> Member {
    Member {
        name,
        value,
        about,
        schema,
    }
}

/// A table of docs/hooks.md.
#[derive(Debug)]
pub struct Table {
    /// The name of its place on the page.
    pub name: &'static str,
    /// Its rows.
    pub members: &'static [Member],
}

/// All of them.
pub const TABLES: &[Table] = &[
    Table {
        name: "top",
        members: TOP,
    },
    Table {
        name: "connection",
        members: CONNECTION,
    },
    Table {
        name: "hook",
        members: HOOK,
    },
    Table {
        name: "cron",
        members: CRON,
    },
    Table {
        name: "order",
        members: ORDER,
    },
    Table {
        name: "throttle",
        members: THROTTLE,
    },
    Table {
        name: "monitor",
        members: MONITOR,
    },
    Table {
        name: "action",
        members: ACTION,
    },
];

pub(super) const TOP: &[Member] = &[
    member(
        "version",
        "`1`",
        || json!({ "enum": [1, "1"] }),
        "The version of the file's form. May be left out.",
    ),
    member(
        "connections",
        "names and connections",
        || map_of("connection"),
        "What several actions share: servers, tokens, chat channels.",
    ),
    member(
        "monitors",
        "names and monitors",
        || map_of("monitor"),
        "What is watched; a hook says what is done when it goes down.",
    ),
    member(
        "hooks",
        "names and hooks",
        || {
            json!({
                "type": "object",
                "propertyNames": { "pattern": "^(?!src_)[A-Za-z0-9_-]{1,60}$" },
                "additionalProperties": reference_to("hook"),
            })
        },
        "The hooks. `hooks: {}` is none at all.",
    ),
];

pub(super) const CONNECTION: &[Member] = &[
    member("smtp", "URL", scalar, "A mail server: `smtps://user:password@host`."),
    member(
        "http",
        "URL",
        scalar,
        "Where an HTTP API is; `path` of the action is put behind it.",
    ),
    member(
        "sql",
        "URL",
        scalar,
        "A database: `postgres://…`, `mysql://…`, `sqlite:…`.",
    ),
    member("slack", "URL", scalar, "An incoming webhook of Slack."),
    member("discord", "URL", scalar, "A webhook of Discord."),
    member("teams", "URL", scalar, "A workflow's URL of Microsoft Teams."),
    member("mattermost", "URL", scalar, "An incoming webhook of Mattermost."),
    member(
        "telegram",
        "a map",
        || {
            json!({
                "type": "object",
                "required": ["token", "chat"],
                "properties": { "token": scalar(), "chat": scalar(), "api": scalar() },
                "additionalProperties": false,
            })
        },
        "A bot of Telegram and whom it tells: `{token: \"${BOT_TOKEN}\", chat: \"@ops\"}`.",
    ),
];

pub(super) const HOOK: &[Member] = &[
    member(
        "verify",
        "`none`, a provider, or a form",
        || reference_to("verify"),
        "How requests to `POST /in/NAME` are trusted. A hook has this, `cron` or `monitors`.",
    ),
    member(
        "cron",
        "a schedule, or a map",
        || reference_to("cron"),
        "When a message is made by itself.",
    ),
    member(
        "monitors",
        "`all`, or names",
        || one_or_more(scalar()),
        "Whose going down and coming up are the messages.",
    ),
    member(
        "for_each",
        "expression",
        scalar,
        "A list in the body: each item becomes a message of its own, `item`.",
    ),
    member(
        "event_type",
        "expression",
        scalar,
        "The event type, where the provider's own will not do.",
    ),
    member(
        "dedupe",
        "expression",
        scalar,
        "What is the same when an event comes again, where the provider's own id will not do.",
    ),
    member(
        "order",
        "a map",
        || reference_to("order"),
        "In which order messages about one thing are accepted and acted upon.",
    ),
    member(
        "when",
        "expression",
        scalar,
        "Only messages for which it holds are acted upon.",
    ),
    member(
        "throttle",
        "a duration, or a map",
        || reference_to("throttle"),
        "How often each action acts at most.",
    ),
    member(
        "do",
        "a list of actions",
        || json!({ "type": "array", "items": reference_to("action"), "maxItems": 100 }),
        "What is done with a message. Each action has its own retries and its own record.",
    ),
];

pub(super) const CRON: &[Member] = &[
    member(
        "schedule",
        "five fields, or a word",
        scalar,
        "Minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily`, `@weekly`, `@monthly`.",
    ),
    member(
        "timezone",
        "name",
        scalar,
        "Whose clock it goes by: `Europe/Berlin`; UTC when left out.",
    ),
    member(
        "payload",
        "any value",
        || json!({}),
        "What the message says; left out: the schedule, and the time that was due.",
    ),
    member(
        "content_type",
        "text",
        scalar,
        "What the payload is; `application/json` when left out.",
    ),
];

pub(super) const ORDER: &[Member] = &[
    member(
        "by",
        "expression",
        scalar,
        "What a message is about. Messages about different things do not wait for each other.",
    ),
    member(
        "sequence",
        "expression",
        scalar,
        "The message's number: numbers about one thing follow each other without gaps.",
    ),
    member(
        "version",
        "expression",
        scalar,
        "The message's version or time: what is older than the newest that came does nothing.",
    ),
    member(
        "wait",
        "duration",
        span,
        "How long a message waits for those before it in its `sequence`; `5s` when left out, `1h` at most.",
    ),
    member(
        "start",
        "number",
        || whole(0, None),
        "The first number of each `sequence`; left out: the least that comes within the wait.",
    ),
];

pub(super) const THROTTLE: &[Member] = &[
    member(
        "key",
        "template",
        scalar,
        "What counts as the same; all messages do when left out.",
    ),
    member(
        "every",
        "duration",
        span,
        "The span, counted from the last that was acted upon. The others are cancelled, visibly.",
    ),
];

pub(super) const MONITOR: &[Member] = &[
    member("http", "URL", scalar, "A URL that must answer 2xx."),
    member(
        "tcp",
        "host and port",
        scalar,
        "A port that must accept connections: `db.example.com:5432`.",
    ),
    member(
        "certificate",
        "host and port",
        scalar,
        "A server whose certificate must not be about to expire.",
    ),
    member(
        "every",
        "duration",
        span,
        "How often it is looked at; `30s` when left out.",
    ),
    member(
        "fails",
        "number",
        || whole(1, Some(1_000)),
        "How many looks in a row must fail before it is down; 3 when left out.",
    ),
    member(
        "timeout",
        "duration",
        span,
        "How long a look may take; `10s` when left out.",
    ),
    member(
        "status",
        "number, or list of numbers",
        || one_or_more(whole(100, Some(599))),
        "What an `http` answer may be instead of 2xx.",
    ),
    member("contains", "text", scalar, "What must stand in an `http` answer."),
    member(
        "days",
        "number",
        || whole(1, Some(366)),
        "How many days before its end a certificate is told about; 14 when left out.",
    ),
];

pub(super) const ACTION: &[Member] = &[
    member(
        "name",
        "text",
        scalar,
        "Its name in the record, the endpoint's uid; KIND-1, KIND-2 … when left out. Name an action, and it stays the same when others come before it.",
    ),
    member(
        "when",
        "expression",
        scalar,
        "Only messages for which it holds, and the hook's own `when`.",
    ),
    member(
        "retry",
        "list of durations, or `none`",
        || json!({ "anyOf": [or_reference(json!({ "const": "none" })), { "type": "array", "items": span(), "maxItems": 100 }] }),
        "The wait before each retry; left out: the server's.",
    ),
    member(
        "timeout",
        "duration",
        span,
        "How long one attempt may take; left out: the server's, or the kind's.",
    ),
    member(
        "max_in_flight",
        "number",
        || whole(1, Some(10_000)),
        "How many attempts may be under way at once.",
    ),
    member(
        "throttle",
        "a duration, or a map",
        || reference_to("throttle"),
        "In the place of the hook's.",
    ),
    member(
        "transformation",
        "any value",
        || json!({}),
        "What takes the payload's place: a value whose texts are templates.",
    ),
    member(
        "format",
        "`json`, `xml`, `form`, `cloudevents-binary`, `cloudevents-structured`",
        || or_reference(json!({ "enum": ["json", "xml", "form", "cloudevents-binary", "cloudevents-structured"] })),
        "What the payload is written as.",
    ),
    member(
        "paused",
        "true or false",
        truth,
        "What is to be done waits until this is gone.",
    ),
    member(
        "disabled",
        "true or false",
        truth,
        "Nothing is done with what comes now; what waits is cancelled.",
    ),
];
