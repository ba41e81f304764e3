//! Providers that sign a time with the body: what is old is refused.

use crate::encoding::Encoding::Base64;
use crate::facts::Fact::{Header, Json};
use crate::facts::Items;
use crate::handshake::Handshake;
use crate::place::Place;
use crate::provider::{Form, Provider, Scheme, Setting};
use crate::recipe::{Recipe, Time, Unit};

const ABOUT: &str = "HMAC-SHA256 of time and body, hex";

const SECRET: &[Setting] = &[Setting::secret(
    "the webhook's signing secret; its text is the key, prefix included",
    Form::Text,
)];

const ROW: Provider = Provider {
    about: ABOUT,
    settings: SECRET,
    ..Provider::ROW
};

const fn seconds(place: Place<'static>, tolerance_secs: u64) -> Option<Time<'static>> {
    Some(Time {
        place,
        unit: Unit::Seconds,
        tolerance_secs: Some(tolerance_secs),
    })
}

/// `t=1700000000,v1=…` in one header, as Stripe began it: `t.body`.
const fn stripe_like(header: &'static [Place<'static>; 1], time: Place<'static>, tolerance_secs: u64) -> Scheme {
    Scheme::Signed(Recipe {
        signature: header,
        separator: Some(','),
        prefix: "v1=",
        content: "{ts}.{body}",
        time: seconds(time, tolerance_secs),
        ..Recipe::HMAC
    })
}

pub(super) const ROWS: &[Provider] = &[
    Provider {
        name: "stripe",
        title: "Stripe",
        source: "Stripe docs, \"Verify webhook signatures manually\"",
        scheme: stripe_like(
            &[Place::Header("stripe-signature")],
            Place::Entry("stripe-signature", ',', "t="),
            300,
        ),
        event_type: &[Json("/type")],
        id: &[Json("/id")],
        order_by: &[Json("/data/object/id")],
        version: &[Json("/created")],
        ..ROW
    },
    Provider {
        name: "calendly",
        title: "Calendly",
        source: "Calendly developers, \"Webhook signatures\"",
        scheme: stripe_like(
            &[Place::Header("calendly-webhook-signature")],
            Place::Entry("calendly-webhook-signature", ',', "t="),
            180,
        ),
        event_type: &[Json("/event")],
        order_by: &[Json("/payload/uri")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "tailscale",
        title: "Tailscale",
        source: "Tailscale docs, \"Webhooks\": verifying an event signature",
        settings: &[
            Setting::secret("the webhook's secret, tskey-webhook-…", Form::Text),
            Setting::optional(
                "timestampGraceSeconds",
                "how old a signature may be; 300 when not given",
            ),
        ],
        scheme: stripe_like(
            &[Place::Header("tailscale-webhook-signature")],
            Place::Entry("tailscale-webhook-signature", ',', "t="),
            300,
        ),
        event_type: &[Json("/0/type")],
        version: &[Json("/0/timestamp")],
        items: Some(Items {
            event_type: &["/type"],
            version: &["/timestamp"],
            ..Items::NONE
        }),
        ..ROW
    },
    Provider {
        name: "paddle",
        title: "Paddle",
        source: "Paddle developers, \"Verify webhook signatures\"",
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("paddle-signature")],
            separator: Some(';'),
            prefix: "h1=",
            content: "{ts}:{body}",
            time: seconds(Place::Entry("paddle-signature", ';', "ts="), 5),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/event_type")],
        id: &[Json("/event_id")],
        order_by: &[Json("/data/id")],
        version: &[Json("/occurred_at")],
        ..ROW
    },
    Provider {
        name: "slack",
        title: "Slack",
        source: "Slack API docs, \"Verifying requests from Slack\"",
        settings: &[Setting::secret(
            "the app's signing secret; its text is the key",
            Form::Text,
        )],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-slack-signature")],
            prefix: "v0=",
            content: "v0:{ts}:{body}",
            time: seconds(Place::Header("x-slack-request-timestamp"), 300),
            ..Recipe::HMAC
        }),
        handshakes: &[Handshake::SlackUrlVerification],
        event_type: &[Json("/event/type"), Json("/type")],
        id: &[Json("/event_id")],
        order_by: &[Json("/event/channel")],
        version: &[Json("/event/event_ts")],
        ..ROW
    },
    Provider {
        name: "zoom",
        title: "Zoom",
        source: "Zoom developer docs, \"Using webhooks\": verify webhook events",
        settings: &[Setting::secret(
            "the app's secret token; its text is the key",
            Form::Text,
        )],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-zm-signature")],
            prefix: "v0=",
            content: "v0:{ts}:{body}",
            time: seconds(Place::Header("x-zm-request-timestamp"), 300),
            ..Recipe::HMAC
        }),
        handshakes: &[Handshake::ZoomUrlValidation],
        event_type: &[Json("/event")],
        order_by: &[Json("/payload/object/uuid"), Json("/payload/object/id")],
        version: &[Json("/event_ts")],
        ..ROW
    },
    Provider {
        name: "zendesk",
        title: "Zendesk",
        about: "HMAC-SHA256 of time and body, base64",
        source: "Zendesk developer docs, \"Verifying webhook authenticity\"",
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-zendesk-webhook-signature")],
            encoding: Base64,
            content: "{ts}{body}",
            time: Some(Time {
                place: Place::Header("x-zendesk-webhook-signature-timestamp"),
                unit: Unit::Rfc3339,
                tolerance_secs: None,
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/type")],
        // Customers write the bodies of triggers and automations: an `id` there is a ticket's as likely as an event's.
        id: &[Header("x-zendesk-webhook-invocation-id")],
        order_by: &[Json("/detail/id")],
        version: &[Json("/time")],
        ..ROW
    },
    Provider {
        name: "linear",
        title: "Linear",
        about: "HMAC-SHA256 of the body, hex; the body holds the time",
        source: "Linear developers, \"Webhooks\": securing webhooks",
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("linear-signature")],
            time: Some(Time {
                place: Place::Json("/webhookTimestamp"),
                unit: Unit::Millis,
                tolerance_secs: Some(60),
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Header("linear-event"), Json("/type")],
        id: &[Header("linear-delivery")],
        order_by: &[Json("/data/id")],
        version: &[Json("/data/updatedAt"), Json("/webhookTimestamp")],
        ..ROW
    },
    Provider {
        name: "box",
        title: "Box",
        about: "HMAC-SHA256 of body and time, base64, of the primary and the secondary key",
        source: "Box developer docs, \"Verify webhook signatures\"",
        settings: &[Setting::secret("the primary or secondary signature key", Form::Text)],
        scheme: Scheme::Signed(Recipe {
            signature: &[
                Place::Header("box-signature-primary"),
                Place::Header("box-signature-secondary"),
            ],
            encoding: Base64,
            content: "{body}{ts}",
            time: Some(Time {
                place: Place::Header("box-delivery-timestamp"),
                unit: Unit::Rfc3339,
                tolerance_secs: Some(600),
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/trigger")],
        id: &[Json("/id")],
        order_by: &[Json("/source/id")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "airwallex",
        title: "Airwallex",
        source: "Airwallex docs, \"Listen for webhook events\": check signatures",
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-signature")],
            content: "{ts}{body}",
            time: Some(Time {
                place: Place::Header("x-timestamp"),
                unit: Unit::Millis,
                tolerance_secs: None,
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/name")],
        id: &[Json("/id")],
        order_by: &[Json("/data/object/id")],
        version: &[Json("/created_at")],
        ..ROW
    },
    Provider {
        name: "port-io",
        aliases: &["port"],
        title: "Port",
        about: "HMAC-SHA256 of time and body, base64",
        source: "Port docs, \"Validating webhook signatures\"",
        settings: &[Setting::secret(
            "the organisation's client secret; its text is the key",
            Form::Text,
        )],
        scheme: Scheme::Signed(Recipe {
            signature: &[Place::Header("x-port-signature")],
            separator: Some(' '),
            prefix: "v1,",
            encoding: Base64,
            content: "{ts}.{body}",
            time: Some(Time {
                place: Place::Header("x-port-timestamp"),
                // The documentation does not say which.
                unit: Unit::Either,
                tolerance_secs: Some(300),
            }),
            ..Recipe::HMAC
        }),
        event_type: &[Json("/action")],
        ..ROW
    },
];
