//! Providers that send a password instead of a signature: it says who sent the request, not that it is unchanged.

use crate::Covers;
use crate::facts::Fact::{Header, Json};
use crate::facts::Items;
use crate::handshake::Handshake;
use crate::own::{gitlab, ms_graph};
use crate::provider::{Form, Provider, Scheme, Setting};

const ROW: Provider = Provider {
    about: "a secret in a header",
    covers: Covers::Sender,
    ..Provider::ROW
};

const fn token(about: &'static str) -> Setting {
    Setting::secret(about, Form::Plain)
}

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "gitlab",
        title: "GitLab",
        about: "a secret in a header, or, with a signing token, Standard Webhooks",
        source: "GitLab docs, \"Webhooks\": validate payloads",
        settings: &[
            Setting {
                required: false,
                ..token("the webhook's secret token")
            },
            Setting {
                name: "signingToken",
                about: "the webhook's signing token, whsec_…; then the secret token does not count",
                secret: true,
                required: false,
                form: Form::Standard,
            },
        ],
        scheme: Scheme::Own(&gitlab::GITLAB),
        event_type: &[Header("x-gitlab-event")],
        id: &[Header("idempotency-key"), Header("webhook-id")],
        order_by: &[Json("/object_attributes/id")],
        version: &[Json("/object_attributes/updated_at")],
        ..ROW
    },
    Provider {
        name: "telegram",
        title: "Telegram",
        source: "Telegram Bot API, \"setWebhook\": secret_token",
        settings: &[token("the secret_token of setWebhook")],
        scheme: Scheme::Token(&[("x-telegram-bot-api-secret-token", "")]),
        id: &[Json("/update_id")],
        version: &[Json("/update_id")],
        ..ROW
    },
    Provider {
        name: "okta",
        title: "Okta",
        source: "Okta developer docs, \"Event hooks\": verification and authentication",
        settings: &[token(
            "the value of the Authorization header that the hook is made with",
        )],
        scheme: Scheme::Token(&[("authorization", "")]),
        handshakes: &[Handshake::OktaChallenge],
        event_type: &[Json("/data/events/0/eventType"), Json("/eventType")],
        id: &[Json("/eventId")],
        version: &[Json("/eventTime")],
        ..ROW
    },
    Provider {
        name: "ms-graph",
        aliases: &["microsoft-graph"],
        title: "Microsoft Graph",
        about: "`clientState` in every notification of the body",
        source: "Microsoft Graph docs, \"Receive change notifications through webhooks\"",
        settings: &[token("the clientState of the subscription")],
        scheme: Scheme::Own(&ms_graph::MS_GRAPH),
        handshakes: &[Handshake::GraphValidationToken],
        event_type: &[Json("/value/0/changeType"), Json("/value/0/lifecycleEvent")],
        order_by: &[Json("/value/0/resource")],
        items: Some(Items {
            list: "/value",
            event_type: &["/changeType", "/lifecycleEvent"],
            id: &["/id"],
            order_by: &["/resource"],
            ..Items::NONE
        }),
        ..ROW
    },
    Provider {
        name: "adobe-sign",
        title: "Adobe Acrobat Sign",
        about: "the client's id in a header, which every answer repeats",
        source: "Adobe Acrobat Sign docs, \"Webhooks\": verification of intent",
        settings: &[Setting::plain("clientId", "the client id of the application that made the webhook").hidden()],
        scheme: Scheme::Token(&[("x-adobesign-clientid", "")]),
        handshakes: &[Handshake::AdobeClientId],
        event_type: &[Json("/event")],
        id: &[Json("/webhookNotificationId")],
        order_by: &[Json("/agreement/id")],
        version: &[Json("/eventDate")],
        ..ROW
    },
    Provider {
        name: "openclaw",
        title: "OpenClaw",
        source: "OpenClaw docs, \"Webhooks\"",
        settings: &[token("the hook token")],
        scheme: Scheme::Token(&[("x-openclaw-token", ""), ("authorization", "Bearer ")]),
        ..ROW
    },
    Provider {
        name: "vapi",
        title: "Vapi",
        source: "Vapi docs, \"Server authentication\"",
        settings: &[token("the server's secret")],
        scheme: Scheme::Token(&[
            ("x-vapi-secret", ""),
            ("x-vapi-signature", ""),
            ("authorization", "Bearer "),
        ]),
        event_type: &[Json("/message/type")],
        order_by: &[Json("/message/call/id")],
        version: &[Json("/message/timestamp")],
        ..ROW
    },
];
